"""Times of traces: numbers in some unit, or dates."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

_DATE = re.compile(
    r"\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ]\s*(\d{1,2}):(\d{2})(?::(\d{1,2}(?:[.,]\d+)?))?"
    r"\s*(Z|UTC|[+-]\d{2}:?\d{2})?\s*"
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# A number this large can only be an epoch in this unit: as seconds it would be past year 5138.
_EPOCH_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
_LATEST = 1e20
_MOST_PREFIXES = 100_000


def epoch_unit_s(value: float) -> float | None:
    """Return the unit of a number that can only be an epoch in ns, us or ms; else None.

    >>> epoch_unit_s(1_700_000_000_000)
    0.001
    """
    for floor, unit in _EPOCH_UNITS:
        if value >= floor:
            return unit
    return None


def is_date(text: str) -> bool:
    """Whether the text is a date with a time."""
    return _DATE.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Whether the text is a date, or a number that can be a time in some unit."""
    if is_date(text):
        return True
    try:
        return abs(float(text)) <= _LATEST
    except ValueError:
        return False


class Dates:
    """Dates as seconds after the first date seen, exact to below a microsecond.

    Without a zone a date counts as UTC.
    """

    def __init__(self) -> None:
        self._origin_s: int | None = None
        self._minutes: dict[str, int] = {}
        # The zone last seen: most files use one throughout.
        self._zone, self._zone_s = "", 0

    def seconds(self, text: str) -> float:
        """Return the seconds after the first date.

        Raises
        ------
        ValueError
            If it is no date.
        """
        known = self._minutes.get(text[:16])
        if known is not None and text[16:17] == ":" and text.endswith(self._zone):
            try:
                rest = float(text[17 : len(text) - len(self._zone)])
            except ValueError:
                return self._slow(text)
            if 0 <= rest < 61:
                return known - self._zone_s + rest
        return self._slow(text)

    def _slow(self, text: str) -> float:
        match = _DATE.fullmatch(text)
        if match is None:
            msg = "not a date"
            raise ValueError(msg)
        year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
        second = float((match.group(6) or "0").replace(",", "."))
        if second >= 61:
            msg = "second out of range"
            raise ValueError(msg)
        moment = dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC)
        whole = (moment - _EPOCH) // dt.timedelta(seconds=1)
        if self._origin_s is None:
            self._origin_s = whole
        base = whole - self._origin_s
        self._zone = match.group(7) or ""
        self._zone_s = _offset_s(self._zone)
        if match.end(5) == 16 and len(self._minutes) < _MOST_PREFIXES:
            self._minutes[text[:16]] = base
        return base - self._zone_s + second


def _offset_s(zone: str) -> int:
    if zone in ("", "Z", "UTC"):
        return 0
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)


def time_reader(sample: str, unit_s: float | None) -> tuple[Callable[[str], float], bool]:
    """Return what turns a cell into seconds, and whether it reads dates.

    Parameters
    ----------
    sample
        A cell for which :func:`is_time` holds.
    unit_s
        Unit of a number; None: seconds, unless it is too large to be.
    """
    if is_date(sample):
        return Dates().seconds, True
    value = abs(float(sample))
    epoch = epoch_unit_s(value)
    unit = unit_s or epoch or 1.0
    if value * unit < 1e8:
        return (float if unit == 1.0 else lambda text: float(text) * unit), False
    origin = int(sample) if sample.strip().isdecimal() else int(float(sample))

    def since(text: str) -> float:
        # Whole numbers subtract exactly; an epoch in ns is too long for a float.
        try:
            return (int(text) - origin) * unit
        except ValueError:
            return (float(text) - origin) * unit

    return since, True
