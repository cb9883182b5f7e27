"""Words: one folder a language, one TOML an area, the same keys in each language.

Names that results carry (devices, sites, classes of the examples, options) are put into words
here too: ids become the names of the catalogue, the marks of an option's name are translated.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from advisor.errors import UsageError
from advisor.schema.text import Text

LANGUAGES = ("en", "zh")
_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]*(@[a-z0-9.-]+)?")
_MARKS = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"(?<=\)), buy(?= →| \+| \(|$)", "mark_buy"),
        (r"(?<=\)), own(?= →| \+| \(|$)", "mark_own"),
        (r" on (?=[^,;]+ \(\w+\)(?: →| \+|$))", "mark_on"),
        (r" \(router, (\d+%)\)", "mark_router"),
        (r" \(cascade, (\d+%)\)", "mark_cascade"),
        (r"(?<=\S) \+ (\d+)$", "mark_more"),
    )
)
"""Marks of an option's name (:mod:`advisor.optimizer.options`) → key of their words."""
_BETWEEN_HAN = re.compile("(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
"""A blank that a template leaves for Latin names; between Chinese characters none stands."""

FOLDER = Path(__file__).resolve().parent / "locales"


@cache
def words(lang: str) -> dict[str, str]:
    """Return key → template of a language.

    Raises
    ------
    UsageError
        For a language without a folder.
    """
    if lang not in LANGUAGES:
        msg = f"no language {lang!r}; known: {', '.join(LANGUAGES)}"
        raise UsageError(msg, suggestions=LANGUAGES)
    found: dict[str, str] = {}
    for path in sorted((FOLDER / lang).glob("*.toml")):
        found |= tomllib.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def _catalogue_name(slug: str) -> str | None:
    from advisor.catalogue import devices, models

    if slug in devices.device_ids():
        return devices.read_device(slug).name
    return models.read_model(slug).name if slug in models.model_ids() else None


def _of_id(text: str) -> str | None:
    """Return the name behind ``device``, ``model`` or ``model@device``."""
    if not _SLUG.fullmatch(text):
        return None
    parts = [_catalogue_name(part) for part in text.split("@")]
    known = [part for part in parts if part]
    return " @ ".join(known) if len(known) == len(parts) else None


def named(text: str, lang: str) -> str:
    """Return what a name of a result is called: a word, a catalogue name, an option's name.

    >>> named("qwen3-4b@h20-96", "en"), named("staff", "zh")
    ('Qwen3 4B @ H20 96GB SXM', '人工')
    >>> named("Qwen3 4B @ H20 96GB SXM (int8), buy + 2", "zh")
    'Qwen3 4B @ H20 96GB SXM (int8)，购买，另有 2 项'
    """
    found = words(lang).get(f"name_{text}") or _of_id(text)
    if found:
        return found
    for pattern, key in _MARKS:
        for match in reversed(list(pattern.finditer(text))):
            told = words(lang)[key].format(*match.groups())
            text = text[: match.start()] + told + text[match.end() :]
    return text


def _spoken(name: str, value: object, lang: str) -> object:
    if not isinstance(value, str):
        return value
    if name == "reason" and lang != "en":
        from advisor.report.error_text import translated

        return translated(value, lang) or value
    if name == "site":
        return words(lang).get(f"site_{value}", value)
    return named(value, lang)


def say(text: Text | str, lang: str) -> str:
    """Put a message into words; a plain string is looked up as a key without parameters."""
    message = Text(text) if isinstance(text, str) else text
    values = {name: _spoken(name, value, lang) for name, value in message.params}
    told = words(lang)[message.key].format(**values)
    return _BETWEEN_HAN.sub("", told) if lang == "zh" else told
