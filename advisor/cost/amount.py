"""Amounts of money (or anything additive) with an 80 % range: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from advisor.schema.fact import Fact


@dataclass(frozen=True)
class Amount:
    """A number of zero or more, and the range that holds it in 80 of 100 cases.

    Raises
    ------
    ValueError
        If the three are not finite, in order and non-negative.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high) and 0.0 <= self.low <= self.value <= self.high):
            msg = f"0 <= low <= value <= high must hold, got {self.low}, {self.value}, {self.high}"
            raise ValueError(msg)

    def times(self, factor: float) -> Amount:
        """Scale by an exact factor of zero or more."""
        return Amount(self.value * factor, self.low * factor, self.high * factor)

    @property
    def half_widths(self) -> tuple[float, float]:
        """Return ln(value / low) and ln(high / value); needs a value and low end above zero."""
        return math.log(self.value / self.low), math.log(self.high / self.value)


ZERO = Amount(0.0, 0.0, 0.0)


def exactly(value: float) -> Amount:
    """Return an amount without a range."""
    return Amount(value, value, value)


def of_fact(fact: Fact) -> Amount:
    """Read a sourced fact and its range."""
    low = fact.value if fact.low is None else fact.low
    high = fact.value if fact.high is None else fact.high
    return Amount(fact.value, low, high)


def total(amounts: Iterable[Amount]) -> Amount:
    """Add independent amounts: distances to the ends add in quadrature.

    >>> total([Amount(10.0, 7.0, 13.0), Amount(10.0, 6.0, 14.0)])
    Amount(value=20.0, low=15.0, high=25.0)
    """
    parts = tuple(amounts)
    value = sum(p.value for p in parts)
    low = math.hypot(*(p.value - p.low for p in parts)) if parts else 0.0
    high = math.hypot(*(p.high - p.value for p in parts)) if parts else 0.0
    return Amount(value, max(value - low, 0.0), value + high)


def product(*amounts: Amount) -> Amount:
    """Multiply independent amounts: distances on the log scale add in quadrature.

    >>> product(Amount(2.0, 1.0, 4.0), exactly(3.0))
    Amount(value=6.0, low=3.0, high=12.0)
    """
    value = math.prod(p.value for p in amounts)
    if value == 0.0:
        return Amount(0.0, 0.0, math.prod(p.high for p in amounts))
    if any(p.low == 0.0 for p in amounts):
        low = 0.0
    else:
        low = value * math.exp(-math.hypot(*(p.half_widths[0] for p in amounts)))
    high = value * math.exp(math.hypot(*(math.log(p.high / p.value) for p in amounts)))
    return Amount(value, min(low, value), max(high, value))


def ratio(numerator: Amount, denominator: Amount) -> Amount:
    """Divide independent amounts; the divisor's low end must be above zero.

    Raises
    ------
    ZeroDivisionError
        If the divisor's range touches zero.
    """
    if denominator.low <= 0.0:
        msg = "can't divide by a range that touches zero"
        raise ZeroDivisionError(msg)
    inverse = Amount(1.0 / denominator.value, 1.0 / denominator.high, 1.0 / denominator.low)
    return product(numerator, inverse)
