"""Words: one folder a language, one TOML an area, the same keys in each language."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from advisor.errors import UsageError
from advisor.schema.text import Text

LANGUAGES = ("en", "zh")
_FOLDER = Path(__file__).resolve().parent / "locales"


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
    for path in sorted((_FOLDER / lang).glob("*.toml")):
        found |= tomllib.loads(path.read_text(encoding="utf-8"))
    return found


def say(text: Text | str, lang: str) -> str:
    """Put a message into words; a plain string is looked up as a key without parameters."""
    message = Text(text) if isinstance(text, str) else text
    values = {
        name: words(lang).get(f"name_{value}", value) if isinstance(value, str) else value
        for name, value in message.params
    }
    return words(lang)[message.key].format(**values)
