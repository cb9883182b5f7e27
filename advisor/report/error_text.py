"""Error messages in the reader's language.

Messages are raised in English, where what went wrong is known. A language's folder ``told`` holds
the source's templates with their translation; a message is recognised by its template, and parts
that are messages themselves are translated in turn. English needs no table.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from advisor.errors import AdvisorError
from advisor.report.locale import FOLDER, say
from advisor.schema.text import Text

MOST_NESTED = 4
_SLOT = re.compile(r"\{\d+\}")


@dataclass(frozen=True)
class Template:
    """A sentence of the source and its translation.

    ``bare``: holds no words of its own, so it stands only where a part of it is translated.
    """

    pattern: re.Pattern[str]
    told: str
    bare: bool


def _template(english: str, told: str) -> Template:
    slots = (
        "(.*)" if english.endswith(m[0]) and m.end() == len(english) else "(.*?)"
        for m in _SLOT.finditer(english)
    )
    texts = map(re.escape, _SLOT.split(english))
    pattern = next(texts)
    for slot, text in zip(slots, texts, strict=True):
        pattern += slot + text
    bare = not re.search("[A-Za-z]{2}", _SLOT.sub("", english))
    return Template(re.compile(pattern, re.DOTALL), told, bare)


@cache
def phrases(lang: str) -> dict[str, str]:
    """Return English template → translation; empty for English."""
    found: dict[str, str] = {}
    for path in sorted((FOLDER / lang / "told").glob("*.toml")):
        found |= tomllib.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def _templates(lang: str) -> tuple[Template, ...]:
    """Return all templates, those with most words of their own first."""
    known = phrases(lang)
    ordered = sorted(known, key=lambda english: -len(_SLOT.sub("", english)))
    return tuple(_template(english, known[english]) for english in ordered)


def translated(message: str, lang: str, depth: int = 0) -> str | None:
    """Return a message in a language; None if no template fits."""
    if depth > MOST_NESTED or not message:
        return None
    listed = message.split("; ")
    told = [translated(part, lang, depth + 1) for part in listed] if len(listed) > 1 else [None]
    if all(told):
        return say("list_joint", lang).join(filter(None, told))
    for template in _templates(lang):
        match = template.pattern.fullmatch(message)
        if match is None:
            continue
        parts = [translated(part, lang, depth + 1) for part in match.groups("")]
        if template.bare and not any(parts):
            continue
        return template.told.format(
            *(new or old for new, old in zip(parts, match.groups(""), strict=True))
        )
    if any(told):
        joint = say("list_joint", lang)
        return joint.join(new or old for new, old in zip(told, listed, strict=True))
    return None


def error_text(error: AdvisorError, lang: str) -> str:
    """Return what went wrong, in the reader's language."""
    return error.message if lang == "en" else told_text(error.message, lang)


def told_text(message: str, lang: str) -> str:
    """Return a message in a language; one without a template says that it is not translated."""
    if lang == "en":
        return message
    found = translated(message, lang)
    return found or say(Text.of("error_untranslated", message=message), lang)
