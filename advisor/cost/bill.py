"""A monthly bill: lines with ranges, idle capacity always on a line of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from advisor.cost.amount import Amount, total
from advisor.schema.fact import Evidence, worst_evidence

LineKind = Literal[
    "rent",
    "spot_overhead",
    "capital",
    "idle",
    "power",
    "hosting",
    "staff",
    "egress",
    "api_input",
    "api_cached",
    "api_output",
    "tuning",
    "development",
    "download",
    "battery",
]
LINE_KINDS: tuple[LineKind, ...] = LineKind.__args__  # type: ignore[attr-defined]
"""In the order they are shown."""


@dataclass(frozen=True)
class Line:
    """One cost of a month, US dollars."""

    kind: LineKind
    usd_per_month: Amount
    evidence: Evidence


@dataclass(frozen=True)
class Bill:
    """Lines of one deployment or option; zero lines are left out."""

    lines: tuple[Line, ...]

    @property
    def total_usd_per_month(self) -> Amount:
        """Sum of the lines; their errors count as independent."""
        return total(line.usd_per_month for line in self.lines)

    @property
    def evidence(self) -> Evidence:
        """Weakest label of the lines; ``exact`` for an empty bill."""
        return worst_evidence("exact", *(line.evidence for line in self.lines))

    def usd_of(self, kind: LineKind) -> float:
        """Return what all lines of a kind come to."""
        return sum(line.usd_per_month.value for line in self.lines if line.kind == kind)

    def __add__(self, other: Bill) -> Bill:
        """Put two bills together."""
        return Bill(self.lines + other.lines)

    def scaled(self, factor: float) -> Bill:
        """Multiply every line, for example by an exchange rate."""
        lines = tuple(Line(x.kind, x.usd_per_month.times(factor), x.evidence) for x in self.lines)
        return Bill(lines)


def bill(*lines: Line) -> Bill:
    """Make a bill of the lines that are not zero."""
    return Bill(tuple(line for line in lines if line.usd_per_month.high > 0.0))


def split_idle(kind: LineKind, paid: Amount, busy_share: float, evidence: Evidence) -> Bill:
    """Split what is paid for capacity into the part used and the part left idle.

    Parameters
    ----------
    kind
        Line of the part used.
    paid
        US dollars a month for the whole capacity reserved.
    busy_share
        Part of it that serves requests, 0 to 1.

    Raises
    ------
    ValueError
        If ``busy_share`` is outside 0 to 1.
    """
    if not 0.0 <= busy_share <= 1.0:
        msg = f"busy share must be between 0 and 1, got {busy_share}"
        raise ValueError(msg)
    return bill(
        Line(kind, paid.times(busy_share), evidence),
        Line("idle", paid.times(1.0 - busy_share), evidence),
    )
