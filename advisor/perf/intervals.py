"""Numbers with a range, an evidence label and a reason.

Ranges are multiplicative: ``[value / e^q, value x e^q]`` with q a quantile of
``|ln(measured / predicted)|`` over groups left out of the fit (split conformal prediction:
Lei et al., JASA 113, 2018, arXiv:1604.04173). Independent sources of error add in quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from advisor.schema.fact import Evidence, worst_evidence
from advisor.schema.text import Text


@dataclass(frozen=True)
class Spread:
    """Half-widths in natural-log units at 80 % and 95 %."""

    q80: float = 0.0
    q95: float = 0.0

    def __add__(self, other: Spread) -> Spread:
        """Combine two independent sources of error."""
        return Spread(math.hypot(self.q80, other.q80), math.hypot(self.q95, other.q95))


EXACT = Spread()


@dataclass(frozen=True)
class Estimate:
    """One number of an answer.

    Parameters
    ----------
    value
        In the SI unit the field's name states.
    low80, high80, low95, high95
        Range that holds the truth in 80 and 95 of 100 cases.
    evidence
        Weakest label of anything that entered.
    because
        One line: what decided the number and what the label rests on.

    Raises
    ------
    ValueError
        If the range doesn't contain the value or the wider range the narrower.
    """

    value: float
    low80: float
    high80: float
    low95: float
    high95: float
    evidence: Evidence
    because: Text

    def __post_init__(self) -> None:
        ordered = (self.low95, self.low80, self.value, self.high80, self.high95)
        if math.isfinite(self.value) and not all(
            a <= b * (1 + 1e-12) for a, b in pairwise(ordered)
        ):
            msg = f"range {ordered} is not in order"
            raise ValueError(msg)


def estimate(value: float, spread: Spread, evidence: Evidence, because: Text) -> Estimate:
    """Put a range round a positive number.

    >>> estimate(10.0, Spread(0.1, 0.2), "calibrated", Text("x")).high80 > 11
    True
    """
    low, high = math.exp(-spread.q80), math.exp(spread.q80)
    low_wide, high_wide = math.exp(-spread.q95), math.exp(spread.q95)
    return Estimate(
        float(value),
        float(value * low),
        float(value * high),
        float(value * low_wide),
        float(value * high_wide),
        evidence,
        because,
    )


def exact(value: float, because: Text) -> Estimate:
    """Return a number that is counted, not predicted."""
    return estimate(value, EXACT, "exact", because)


def weakest(*labels: Evidence) -> Evidence:
    """Return the weakest of the labels."""
    return worst_evidence(*labels)
