# Two commands for a newcomer: `make run` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint format benchmarks gallery clean

run: .venv/installed
	$(BIN)/advisor ui

test: .venv/installed-dev lint
	$(BIN)/python -m pytest -q
	$(BIN)/advisor catalogue check

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: .venv/installed-dev
	$(BIN)/python benchmarks/estimate_speed.py

gallery: .venv/installed-dev
	$(BIN)/python docs/make_gallery.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "Python's venv module is needed: apt-get install python3-venv"; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv dist build
