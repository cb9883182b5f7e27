"""Ranges of the cost room as estimates of an answer, and back."""

from __future__ import annotations

import math

from advisor.cost.amount import Amount
from advisor.perf.intervals import Estimate, Spread
from advisor.schema.fact import Evidence
from advisor.schema.text import Text

NORMAL_95_OVER_80 = 1.96 / 1.2816
"""Two-sided quantiles of the normal distribution: widens an 80 % range to a 95 % one."""


def estimate_of(amount: Amount, evidence: Evidence, because: Text) -> Estimate:
    """Return an amount as an estimate; its ends move apart as a log-normal's do for 95 %."""
    v, low, high = amount.value, amount.low, amount.high
    if v <= 0.0:
        return Estimate(v, low, high, low, high, evidence, because)
    wide_low = v * (low / v) ** NORMAL_95_OVER_80 if low > 0 else 0.0
    wide_high = v * (high / v) ** NORMAL_95_OVER_80
    return Estimate(v, low, high, wide_low, wide_high, evidence, because)


def spread_of_half(half80: float) -> Spread:
    """Return the half-widths of a log-normal from its 80 % one."""
    return Spread(half80, half80 * NORMAL_95_OVER_80)


def ranged(value: float, spread: Spread) -> Amount:
    """Return an amount with symmetric log half-widths.

    >>> from advisor.perf.intervals import EXACT
    >>> ranged(2.0, EXACT)
    Amount(value=2.0, low=2.0, high=2.0)
    """
    return Amount(value, value * math.exp(-spread.q80), value * math.exp(spread.q80))
