"""Answers to claims: checks of numbers against thresholds, and the verdict they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.cost.amount import Amount
from advisor.schema.fact import Evidence, worst_evidence
from advisor.schema.text import Text

Verdict = Literal["true", "partly", "not"]
Relation = Literal["<=", "<", ">=", ">"]


@dataclass(frozen=True)
class Number:
    """A number of either sign with its 80 % range."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, amount: Amount | float) -> Number:
        """Read an amount, or a number without a range."""
        if isinstance(amount, Amount):
            return cls(amount.value, amount.low, amount.high)
        return cls(amount, amount, amount)


@dataclass(frozen=True)
class Check:
    """One number against a threshold.

    Parameters
    ----------
    text
        What the number is.
    number
        The number with its 80 % range, in the unit that ``text`` names.
    relation, threshold
        What the claim would need.
    evidence
        Weakest label of what entered.
    sources
        Titles of the publications that entered.
    parts
        The two numbers it was made of, if it is a difference or a ratio.
    """

    text: Text
    number: Number
    relation: Relation
    threshold: float
    evidence: Evidence
    sources: tuple[str, ...] = ()
    parts: tuple[float, float] | None = None

    def _passes(self, value: float) -> bool:
        match self.relation:
            case "<=":
                return value <= self.threshold
            case "<":
                return value < self.threshold
            case ">=":
                return value >= self.threshold
            case _:
                return value > self.threshold

    @property
    def holds(self) -> bool:
        """Whether the number is on the claim's side of the threshold."""
        return self._passes(self.number.value)

    @property
    def sure(self) -> bool:
        """Whether both ends of its range are on the same side."""
        return self._passes(self.number.low) == self._passes(self.number.high) == self.holds


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """Return ``true`` if all checks hold, ``not`` if none does, else ``partly``.

    Raises
    ------
    ValueError
        Without checks: nothing was tested.
    """
    if not checks:
        msg = "a verdict needs at least one check"
        raise ValueError(msg)
    held = sum(check.holds for check in checks)
    if held == len(checks):
        return "true"
    return "partly" if held else "not"


@dataclass(frozen=True)
class Finding:
    """What the computation found: a headline and its checks."""

    headline: Text
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Answer:
    """One claim answered."""

    number: int
    headline: Text
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """From the checks alone: see :func:`verdict_of`."""
        return verdict_of(self.checks)

    @property
    def evidence(self) -> Evidence:
        """Weakest label of the checks."""
        return worst_evidence(*(check.evidence for check in self.checks))

    @property
    def sources(self) -> tuple[str, ...]:
        """Titles of all publications, each once, in order of use."""
        return tuple(dict.fromkeys(title for check in self.checks for title in check.sources))


def held(checks: Sequence[Check]) -> int:
    """Count the checks that hold."""
    return sum(check.holds for check in checks)
