"""Documents are executed: examples run, links lead somewhere, every command is described."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from advisor.cli.main import app
from advisor.report.locale import words
from advisor.schema.fact import EVIDENCE_ORDER

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
FUNCTION = re.compile(r"(advisor(?:/\w+)+\.py): ([\w.]+)")
LISTED = re.compile(r"`([\w./-]+/[\w.*/{},-]*)`")
DECISION_LINES = range(5, 21)
MISSING_IN_CHECKOUT = {
    "my-model",
    "my-device.toml",
    " my/",
    "my-trace",
    "my-logs",
    "advisor bench",
    "advisor ui",
}
"""Commands that name files of the reader's own, measure the machine for a minute, or serve."""

SAME_WORDS = {
    "TTFT, time to first token": "row_ttft",
    "TPOT, time per output token": "row_tpot",
    "KV cache": "row_kv",
    "memory-bound": "name_memory",
    "compute-bound": "name_compute",
    "network-bound": "name_network",
    "overhead-bound": "name_overhead",
    "energy per request": "row_energy",
    "rented": "row_rented",
    "owned": "row_owned",
    **{label: f"name_{label}" for label in EVIDENCE_ORDER},
}
"""Term of the nomenclature → key of the locale files that says the same."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def make_cli() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cli", DOCS / "make_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> dict[str, Any]:
    return dict(make_cli().commands(get_command(app)))


def slug(heading: str) -> str:
    """The anchor a heading gets on common hosts of Markdown."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def code_blocks(page: str) -> list[str]:
    return re.findall(r"(?ms)^```\w*\n(.*?)^```", page)


def readme_commands() -> list[str]:
    """Every call of the command in the README, without comments."""
    lines = [line for block in code_blocks(text(ROOT / "README.md")) for line in block.splitlines()]
    calls = [line.split("#")[0].strip() for line in lines if "/advisor " in line]
    return [call[call.index("/advisor ") + 1 :] for call in calls]


def test_there_are_documents():
    assert len(PAGES) > 10
    assert len(readme_commands()) >= 5


def test_the_command_page_is_current():
    assert text(DOCS / "cli.md") == make_cli().page(), "run: python docs/make_cli.py"


@pytest.mark.parametrize("path", sorted(commands()))
def test_every_command_and_option_is_described(path):
    described = text(ROOT / "README.md") + text(DOCS / "cli.md")
    assert f"## {path}\n" in text(DOCS / "cli.md")
    for parameter in commands()[path].params:
        for option in parameter.opts:
            assert f"`{option}`" in described
    assert commands()[path].help


@pytest.mark.parametrize("path", sorted(commands()))
def test_every_option_has_a_help_text(path):
    assert all(p.help for p in commands()[path].params)


@pytest.mark.parametrize("call", readme_commands())
def test_commands_of_the_readme_exist(call):
    words_ = shlex.split(call)
    known = commands()
    path = max((p for p in known if call.startswith(p)), key=len)
    options = {o for p in known[path].params for o in p.opts}
    given = {word for word in words_[len(path.split()) :] if word.startswith("-")}
    assert given <= options


@pytest.mark.parametrize(
    "call", [c for c in readme_commands() if not any(m in c for m in MISSING_IN_CHECKOUT)]
)
def test_commands_of_the_readme_run(call, tmp_path):
    # What a command writes goes elsewhere than into the checkout.
    call = re.sub(r"(--csv|--parquet|-o) (\S+)", rf"\1 {tmp_path}/\2", call)
    assert get_command(app)(shlex.split(call)[1:], standalone_mode=False) in (None, 0)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page):
    for target in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        linked = (page.parent / place).resolve() if place else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", text(linked))
            assert anchor in {slug(h) for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_run(page):
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0


def test_the_method_has_examples():
    assert text(DOCS / "method.md").count("\n>>> ") >= 6


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_functions_named_exist(page):
    for file, dotted in FUNCTION.findall(text(page)):
        place: Any = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        for part in dotted.strip(".").split("."):
            fields = getattr(place, "__annotations__", {})
            assert hasattr(place, part) or part in fields, f"{file}: {dotted}"
            place = getattr(place, part, None)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_exist(page):
    for entry in LISTED.findall(text(page)):
        if entry.startswith(("hwprofiles/", "advisor/", "pricing/", "docs/", "tests/")):
            choice = re.match(r"(.*)\{(.*)\}(.*)", entry)
            parts = choice.group(2).split(",") if choice else [""]
            names = [choice.group(1) + p + choice.group(3) for p in parts] if choice else [entry]
            for each in names:
                assert list(ROOT.glob(each.rstrip("/"))), each


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_documents_name_nothing_outside(page):
    assert "../" + "shared" not in text(page)


@pytest.mark.parametrize("term", sorted(SAME_WORDS))
def test_terms_agree_with_the_answers(term):
    rows = re.findall(rf"(?m)^\| {re.escape(term)} \|(.*)$", text(DOCS / "nomenclature.md"))
    assert len(rows) == 1
    assert words("zh")[SAME_WORDS[term]] == rows[0].split("|")[1].strip()


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=name)
def test_decisions_are_short_and_complete(page):
    lines = [line for line in text(page).splitlines() if line]
    assert len(lines) in DECISION_LINES
    assert all(f"**{part}.**" in text(page) for part in ("What", "Why", "Rejected"))
    assert page.name.startswith(text(page)[2:].split(".")[0].zfill(2))
