"""The commands of the optimizer: forms, exit codes, errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from advisor.cli.main import app
from advisor.errors import UnknownNameError, UsageError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FINANCE = str(EXAMPLES / "financial-qa.toml")


def run(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def test_an_answer_has_exit_code_0_and_json_holds_it():
    found = run("recommend", FINANCE, "--no-replay", "--json")
    assert found.exit_code == 0
    body = json.loads(found.stdout)
    assert body["plan"]["kind"] == body["verdict"]["winner_kind"]


def test_nothing_fits_has_exit_code_3_and_names_ways_out():
    found = run("recommend", str(EXAMPLES / "infeasible.toml"), "--no-replay")
    assert found.exit_code == 3
    assert "Nothing keeps all limits" in found.stdout
    assert "→" in found.stdout


def test_break_even_marks_the_cheapest_and_lists_flips():
    found = run("breakeven", FINANCE)
    assert found.exit_code == 0
    assert "*" in found.stdout
    assert "requests a month: small models" in found.stdout
    table = run("breakeven", FINANCE, "--csv").stdout.splitlines()
    assert table[0].startswith("requests_per_month,usd_small")


def test_a_front_rises_in_cost_and_quality():
    rows = run("frontier", FINANCE, "--csv").stdout.splitlines()[1:]
    scores = [float(r.split(",")[0]) for r in rows]
    costs = [float(r.split(",")[1]) for r in rows]
    assert scores == sorted(scores)
    assert costs == sorted(costs)


def test_one_form_and_known_measures_only():
    both = run("recommend", FINANCE, "--json", "--csv")
    assert isinstance(both.exception, UsageError)
    odd = run("frontier", FINANCE, "--measure", "beauty")
    assert isinstance(odd.exception, UsageError)
    assert "quality, latency" in str(odd.exception)


@pytest.mark.parametrize("form", ["--markdown", "--html"])
def test_briefs_name_their_command(form):
    found = run("recommend", FINANCE, "--no-replay", "--lang", "zh", form)
    assert found.exit_code == 0
    assert "金融问答" in found.stdout


def test_an_api_nobody_sells_is_an_error_that_names_the_nearest(tmp_path):
    text = (EXAMPLES / "customer-service.toml").read_text(encoding="utf-8")
    path = tmp_path / "typo.toml"
    path.write_text(text.replace('"gpt-4o-mini"', '"gpt-4o-minni"'), encoding="utf-8")
    found = run("recommend", str(path), "--no-replay")
    assert isinstance(found.exception, UnknownNameError)
    assert "Did you mean gpt-4o-mini" in str(found.exception)
