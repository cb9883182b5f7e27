"""Both languages say the same things, every template is used, and none is missing."""

from __future__ import annotations

import ast
import itertools
import re
import string
import tomllib
from functools import cache
from pathlib import Path

import pytest

from advisor.catalogue import quality
from advisor.catalogue.prices import price_files
from advisor.errors import UsageError
from advisor.optimizer.result import PLAN_KINDS
from advisor.report import catalogue
from advisor.report.locale import LANGUAGES, named, say, words
from advisor.schema.fact import EVIDENCE_ORDER
from advisor.schema.text import Text
from advisor.ui.question import examples

PACKAGE = Path(__file__).resolve().parent.parent / "advisor"


@cache
def catalogue_words() -> dict[str, set[str]]:
    """Column of fixed words → the words that stand in it, over the whole catalogue."""
    tables = [catalogue.listing(k) for k in ("models", "hardware", "prices", "engines")]
    tables += [catalogue.entry("quality", name) for name in quality.score_ids()]
    found: dict[str, set[str]] = {"grade": {"published", "derived", "assumed"}}
    for table in tables:
        for i, column in enumerate(table.columns):
            joint = catalogue.CELLS.get(column)
            for cell in (row[i] for row in table.rows) if joint is not None else ():
                found.setdefault(column, set()).update(cell.split(joint) if joint else [cell])
    return found


# Variables that stand in a key, and all they can be; `value` fills name_{value}, where a
# parameter of a message is itself a word.
FILLINGS = {
    "way": ("rented", "owned"),
    "field": ("input", "output"),
    "plan": PLAN_KINDS,
    "latency": ("ttft", "tpot", "e2e"),
    "problem": (
        "usage",
        "infeasible",
        "data",
        "unknown-name",
        "missing-data",
        "invalid-file",
        "stale-price",
    ),
    "word": tuple(itertools.chain.from_iterable(catalogue_words().values())),
    "h": ("tier", "requests", "busy", "batch", "cache", "usd"),
    "reason": ("sequences", "cache", "prompts"),
    "status": ("unfinished", "failed", "refused", "late", "never_sent"),
    "choice": (
        *(site.id for file in price_files() for site in file.site),
        "any",
        "on-premises",
        "on-device",
        "yes",
        "no",
    ),
    "value": (
        *EVIDENCE_ORDER,
        *("memory", "compute", "network", "overhead", "staff"),
        *(c.name for s in examples().values() for c in s.workload.classes),
        *(site.id for file in price_files() for site in file.site),
    ),
}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@cache
def trees() -> list[ast.Module]:
    return [ast.parse(p.read_text(encoding="utf-8")) for p in sorted(PACKAGE.rglob("*.py"))]


def expanded(node: ast.JoinedStr) -> set[str]:
    """All keys an f-string can spell; a variable without known fillings counts as `value`."""
    constants = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
    if not constants or not re.fullmatch(r"[a-z_]+", "".join(constants)):
        return set()  # a sentence, not a key
    choices: list[tuple[str, ...]] = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            choices.append((str(part.value),))
        elif isinstance(part, ast.FormattedValue):
            variable = part.value.id if isinstance(part.value, ast.Name) else "value"
            choices.append(FILLINGS.get(variable, FILLINGS["value"]))
    return {"".join(pick) for pick in itertools.product(*choices)}


@cache
def spelled() -> set[str]:
    """Every string and every expanded f-string of the package."""
    found: set[str] = set()
    for node in itertools.chain.from_iterable(map(ast.walk, trees())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            found |= expanded(node)
    return found


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def messages() -> list[tuple[str, set[str]]]:
    """Every ``Text.of("key", name=...)`` and its parameter names."""
    found = []
    for node in itertools.chain.from_iterable(map(ast.walk, trees())):
        if isinstance(node, ast.Call) and _called(node) == "Text.of" and node.args:
            names = {k.arg for k in node.keywords if k.arg}
            found += [(key, names) for key in _keys(node.args[0])]
    return found


def plain_keys() -> set[str]:
    """Keys said without parameters: ``say("key", lang)`` and ``words(lang)["key"]``."""
    found: set[str] = set()
    for node in itertools.chain.from_iterable(map(ast.walk, trees())):
        if isinstance(node, ast.Call) and _called(node) in ("say", "Text") and node.args:
            found |= _keys(node.args[0])
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).startswith("words("):
            found |= _keys(node.slice)
    return found


def _keys(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        keys = expanded(node)
        return set() if any(k.startswith("name_") for k in keys) else keys
    if isinstance(node, ast.IfExp):
        return _keys(node.body) | _keys(node.orelse)
    return set()


def test_the_package_says_something():
    assert len(messages()) > 20
    assert len(plain_keys()) > 20


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_key_stands_in_two_files(lang):
    folder = PACKAGE / "report" / "locales" / lang
    keys = [k for p in folder.glob("*.toml") for k in tomllib.loads(p.read_text("utf-8"))]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_has_the_same_keys(lang):
    assert words(lang).keys() == words("en").keys()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("key", sorted(words("en")))
def test_every_language_has_the_same_placeholders(key, lang):
    assert fields(words(lang)[key]) == fields(words("en")[key])


@pytest.mark.parametrize("key", sorted(words("en")))
def test_every_key_is_used(key):
    assert key in spelled()


def test_no_key_is_missing():
    known = set(words("en"))
    used = {key for key, _ in messages()} | plain_keys()
    assert not used - known


def test_every_message_fills_its_template_and_nothing_else():
    wrong = {
        key: (sorted(names), sorted(fields(words("en")[key])))
        for key, names in messages()
        if key in words("en") and names != fields(words("en")[key])
    }
    assert not wrong


def test_chinese_is_chinese():
    untranslated = [
        key
        for key, text in words("zh").items()
        if text == words("en")[key] and any(c.isalpha() for c in _without_fields(text))
    ]
    assert not [k for k in untranslated if len(_without_fields(words("zh")[k]).split()) > 2]


def _without_fields(template: str) -> str:
    return "".join(text for text, *_ in string.Formatter().parse(template))


def test_words_that_fill_a_message_are_translated():
    bound = Text.of("text_bound", bound="memory", mfu="1", mbu="2")
    assert words("zh")["name_memory"] in say(bound, "zh")
    assert words("en")["name_memory"] in say(bound, "en")


def test_an_unknown_language_names_the_known_ones():
    with pytest.raises(UsageError, match="en, zh"):
        words("de")


def test_names_of_results_are_translated():
    classes = {c.name for s in examples().values() for c in s.workload.classes}
    sites = {site.id for file in price_files() for site in file.site}
    assert not {c for c in classes if not re.search("[\u4e00-\u9fff]", words("zh")[f"name_{c}"])}
    assert not {s for s in sites if not re.search("[\u4e00-\u9fff]", words("zh")[f"site_{s}"])}
    assert say(Text.of("assume_site", site="chn", usd=0.1), "zh").startswith("中国")


def test_options_are_named_in_the_readers_language():
    option = "A 1B @ 2x B (int8), buy → C @ D (fp8), own (router, 60%) + 3"
    assert named(option, "en") == (
        "A 1B @ 2x B (int8), buy → C @ D (fp8), own (router, 60%), and 3 more"
    )
    told = named(option, "zh")
    assert not re.search("buy|own|router", told)
    assert "60%" in told
    assert named("A on B (q4)", "zh") == "A @ B (q4)"
    assert named("my class", "zh") == "my class"


@pytest.mark.parametrize("column", ["class", "terms", "grade", "runs on", "default for"])
def test_fixed_words_of_the_catalogue_are_translated(column):
    found = {w for w in catalogue_words()[column] if w != "–" and not w.startswith("buy ")}
    assert found
    assert not {w for w in found if f"cell_{w}" not in words("zh")}


def test_a_catalogue_table_is_put_into_words_without_losing_a_cell():
    found = catalogue.listing("prices")
    told = catalogue.in_words(found, "zh")
    assert len(told.rows) == len(found.rows)
    assert [row[1] for row in told.rows] == [row[1] for row in found.rows], "amounts stay"
    assert {"按需", "购买", "竞价"} <= {row[2] for row in told.rows}
    assert "类型" in catalogue.in_words(catalogue.listing("hardware"), "zh").columns
