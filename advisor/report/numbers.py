"""Numbers as people read them; the only place where SI units turn human."""

from __future__ import annotations

import math
import re
import unicodedata

GIB = 2.0**30

LEAST_PLAIN = 1e-6
"""Numbers below are told as a power of ten; money never is."""

_SCALES = {
    "en": ((1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")),
    "zh": ((1e4, "\u00a0万"), (1e8, "\u00a0亿"), (1e12, "\u00a0万亿")),
}
"""Units of large numbers by language, as people count in it; no line breaks before them."""


def significant(value: float, digits: int = 3, lang: str = "en", least: float = LEAST_PLAIN) -> str:
    """Return a number with so many significant digits and thousands separators.

    Parameters
    ----------
    least
        Smaller numbers are told as a power of ten.

    >>> significant(1234.5), significant(0.012345), significant(7.0), significant(0.000146)
    ('1,234', '0.0123', '7.00', '0.000146')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < least:
        return _compact(value, digits, lang)
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}" if places >= 0 else f"{value:,.0f}"


def _compact(value: float, digits: int, lang: str) -> str:
    r"""Write a large number in the language's units, another one as a power of ten.

    >>> _compact(4.126e6, 3, "en"), _compact(4.126e6, 3, "zh"), _compact(2.62e-7, 3, "en")
    ('4.13M', '413\xa0万', '2.62e-7')
    """
    for scale, suffix in reversed(_SCALES[lang]):
        if scale <= abs(value) < 1e5 * scale:
            return significant(value / scale, digits) + suffix
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def amount(value: float, lang: str = "en") -> str:
    r"""Return an amount of money without its sign: never as a power of ten.

    >>> amount(0.000146), amount(2.5e-8), amount(4.2e7, "zh")
    ('0.000146', '0.0000000250', '4,200\xa0万')
    """
    return significant(value, lang=lang, least=0.0)


def tick(value: float, lang: str = "en") -> str:
    r"""Return a round number as it stands on an axis.

    >>> tick(20000.0), tick(5e8), tick(0.00005), tick(20000.0, "zh"), tick(5e8, "zh")
    ('20k', '500M', '0.00005', '2\xa0万', '5\xa0亿')
    """
    for scale, suffix in reversed(_SCALES[lang]):
        if abs(value) >= max(scale, 1e4):
            return f"{value / scale:g}{suffix}"
    plain = f"{value:,g}"
    return f"{value:.15f}".rstrip("0") if "e-" in plain else plain


def seconds(value: float) -> tuple[float, str]:
    """Return a time in the unit people use for its size: µs, ms or s."""
    if value < 1e-3:
        return value * 1e6, "µs"
    if value < 1.0:
        return value * 1e3, "ms"
    return value, "s"


def count(value: float, lang: str = "en") -> str:
    r"""Return a whole number with thousands separators, compact above 100,000.

    >>> count(578540), count(1234), count(578540, "zh")
    ('579k', '1,234', '57.9\xa0万')
    """
    return significant(value, lang=lang) if value >= 1e5 else f"{value:,.0f}"


def gib(value_bytes: float) -> str:
    """Return bytes as GiB."""
    return significant(value_bytes / GIB)


def width(text: str) -> int:
    """Return the columns a terminal gives a text: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int) -> str:
    """Fill a text with blanks to so many terminal columns, one blank at least."""
    return text + " " * max(columns - width(text), 1)


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """Break a text into lines of so many terminal columns, at blanks or between CJK characters.

    >>> wrap("one two three", 8, "  ")
    ['one two', '  three']
    """
    lines: list[str] = []
    line = ""
    for piece in re.findall(
        r"[\u2e80-\uffef][，。；：）、]*|[^\u2e80-\uffef\s]+[，。；：）、]*|\s+", text
    ):
        if width(line + piece.rstrip()) > columns and line.strip():
            lines.append(line.rstrip())
            line = indent + piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
