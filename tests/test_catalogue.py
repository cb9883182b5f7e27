"""Fact files: all valid, names unique, every entry printable, and all of it in the wheel."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.catalogue import devices, engines, models, prices, quality
from advisor.catalogue.names import find, folder_names, nearest, normalise
from advisor.catalogue.paths import data_dir
from advisor.cli.main import main
from advisor.errors import InvalidFileError, UnknownNameError
from advisor.estimator.check import check_all
from advisor.report.catalogue import entry, listing, table_json, table_text

ROOT = Path(__file__).resolve().parent.parent


def test_every_fact_file_is_valid():
    report = check_all()
    assert report.problems == []
    assert report.files > 800
    assert report.facts > 2000


def test_check_prints_one_line_and_succeeds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["advisor", "catalogue", "check"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.out.endswith("all valid\n")
    assert captured.err == ""


def test_check_names_each_problem_and_fails(monkeypatch, capsys):
    monkeypatch.setattr("advisor.catalogue.devices.device_ids", lambda: ("h20-96", "nonesuch"))
    monkeypatch.setattr(sys, "argv", ["advisor", "catalogue", "check"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 4
    assert "nonesuch.toml" in capsys.readouterr().err


def facts(folder: Path, name: str, aliases: str) -> None:
    text = f'schema = 1\nid = "{name}"\naliases = [{aliases}]\n'
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("first", "second"), [('"x"', '"x"'), ('"b"', '"y"'), ('"My X"', '"my_x"'), ('"X"', '"x"')]
)
def test_one_name_for_two_entries_is_refused(tmp_path, first, second):
    facts(tmp_path, "a", first)
    facts(tmp_path, "b", second)
    with pytest.raises(InvalidFileError, match=r"b\.toml: name '.*' is already used by a\.toml"):
        folder_names(tmp_path)


def test_an_alias_may_repeat_in_its_own_entry(tmp_path):
    facts(tmp_path, "a", '"x", "X", "a"')
    assert folder_names(tmp_path) == {"a": "a", "x": "a"}


@pytest.mark.parametrize("folder", ["models", "hwprofiles", "engines"])
def test_names_read_from_file_heads_are_the_records_own(folder):
    """The quick reader of file heads must see every alias the full reader sees."""
    ids, read, names = {
        "models": (models.model_ids, models.read_model, models.model_names()),
        "hwprofiles": (devices.device_ids, devices.read_device, devices.device_names()),
        "engines": (engines.engine_ids, engines.read_engine, folder_names(data_dir("engines"))),
    }[folder]
    for identifier in ids():
        record = read(identifier)
        assert record.id == identifier
        for alias in (identifier, *record.aliases):
            assert names[normalise(alias)] == identifier


@pytest.mark.parametrize(
    ("typed", "known", "first"),
    [
        ("h-100", ["h100", "h200", "a100"], "h100"),
        ("qwen3-4", ["qwen3-4b", "qwen3-8b", "llama"], "qwen3-4b"),
        ("LAMA", ["llama", "gemma"], "llama"),
        ("4090", ["rtx-4090", "rtx-4080"], "rtx-4090"),
    ],
)
def test_the_nearest_name_comes_first(typed, known, first):
    assert nearest(typed, known)[0] == first
    with pytest.raises(UnknownNameError, match=rf"Did you mean {first}") as caught:
        find(typed, {k: k for k in known}, "thing", "list")
    assert caught.value.suggestions[0] == first


def test_names_like_nothing_point_to_the_list():
    with pytest.raises(UnknownNameError, match="List: advisor catalogue models"):
        models.get_model("zzzzzz")


ENTRIES = {
    "models": models.model_ids,
    "hardware": devices.device_ids,
    "quality": quality.score_ids,
    "engines": engines.engine_ids,
    "formats": lambda: tuple(f.id for f in engines.format_file().format),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_every_entry_prints(kind):
    for identifier in ENTRIES[kind]():
        table = entry(kind, identifier)
        assert table.rows, identifier
        text = table_text(table)
        assert len(text.splitlines()) == len(table.rows) + 1
        assert len(json.loads(table_json(table))) == len(table.rows)


def test_every_device_has_a_price_table_even_if_it_says_unknown():
    for identifier in devices.device_ids():
        rows = entry("prices", identifier).rows
        assert rows
        known = prices.rentals(identifier) or prices.purchases(identifier)
        assert (rows[0][1] == "unknown") is not bool(known)


@pytest.mark.parametrize("kind", [*ENTRIES, "prices"])
def test_lists_have_a_line_for_each_entry(kind):
    table = listing(kind)
    assert len({len(row) for row in (table.columns, *table.rows)}) == 1
    if kind in ENTRIES:
        assert {row[0] for row in table.rows} == set(ENTRIES[kind]())


def test_facts_show_grade_source_and_date():
    rows = {row[0]: row for row in entry("hardware", "h20").rows}
    _, value, grade, source, note = rows["memory.bytes_per_s"]
    assert (value, grade) == ("4e+12", "published")
    assert "Epoch AI" in source
    assert "[20" in source
    assert rows["link.bytes_per_s_per_direction"][2] == "assumed"
    assert rows["link.bytes_per_s_per_direction"][4]
    assert note == ""


@pytest.mark.parametrize("device", devices.device_ids())
def test_no_sparse_peak_passes_for_a_dense_one(device):
    peak = devices.read_device(device).peak
    if peak.bf16_flops_per_s and peak.fp8_flops_per_s:
        assert peak.fp8_flops_per_s.value <= 2.3 * peak.bf16_flops_per_s.value
    if peak.fp8_flops_per_s and peak.fp4_flops_per_s:
        assert peak.fp4_flops_per_s.value <= 4.1 * peak.fp8_flops_per_s.value


def _copy_of_the_project(to: Path) -> Path:
    to.mkdir()
    for name in ("advisor", "hwprofiles", "pricing", "examples"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, to / name)
    return to


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="needs hatchling")
def test_a_wheel_answers_from_an_empty_folder(tmp_path):
    """Built offline, unpacked into an empty folder and run from another."""
    source, wheels, site = _copy_of_the_project(tmp_path / "src"), tmp_path / "whl", tmp_path / "to"
    empty = tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run([*pip, *build], check=True, capture_output=True, cwd=empty)
    (wheel,) = wheels.glob("advisor-*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True, cwd=empty)
    code = (
        "import advisor; from advisor.catalogue.paths import data_dir;"
        "print(advisor.__file__, data_dir('hwprofiles'), data_dir('pricing'));"
        "import sys; sys.argv[1:] = ['estimate', '--model', '4B', '--hw', 'h20'];"
        "from advisor.cli.main import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    where, *answer = ran.stdout.splitlines()
    assert all(str(site) in part for part in where.split())
    assert answer[0].startswith("Qwen3 4B")
    for folder in ("hwprofiles", "pricing"):
        shipped = sorted(p.name for p in (site / "advisor/_data" / folder).rglob("*.toml"))
        assert shipped == sorted(p.name for p in (ROOT / folder).rglob("*.toml"))
