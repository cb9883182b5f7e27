"""Joint correctness of a pair: counted where there is data, else from the two scores alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from advisor.catalogue.names import find, normalise
from advisor.catalogue.read import read_record
from advisor.quality.joint import (
    Floats,
    JointShares,
    copula_both,
    probit_gap,
    shares_from_both,
)
from advisor.schema.fact import Evidence, Record, Slug, Source, require_sources

_HERE = Path(__file__).resolve().parent
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Constants(Record, frozen=True):
    """Fisher's z of the copula = ``intercept + gap_slope * gap``; gap in probits of the scores."""

    intercept: float
    gap_slope: float


class BenchmarkConstants(Record, frozen=True):
    """Constants of one benchmark and what they were fitted on."""

    benchmark: Slug
    constants: Constants
    pairs: int
    models: int
    questions: int
    source: str
    aliases: tuple[str, ...] = ()


class LeftOut(Record, frozen=True):
    """Mean absolute error over four shares and router accuracy, in points of 100, left out.

    ``kind`` says what the fit did not see: nothing left out (``fit``), the pair, every pair
    with one of its models, the whole benchmark, or pairs of benchmarks it never sees (``outside``).
    """

    benchmark: Slug
    kind: Literal["fit", "pair", "model", "benchmark", "outside"]
    points: float


class Dependence(Record, frozen=True):
    """``dependence.toml``: what ``benchmarks/fit_pairs.py`` found."""

    schema: Literal[1]
    fitted: dt.date
    pooled: Constants
    z_low: float
    z_high: float
    """10 % and 90 % of (measured - predicted) z on benchmarks the fit did not see."""
    benchmark: tuple[BenchmarkConstants, ...]
    error: tuple[LeftOut, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        named = {f"benchmark[{i}]": row.source for i, row in enumerate(self.benchmark)}
        require_sources(named, self.source)


class MeasuredPair(Record, frozen=True):
    """Joint shares counted question by question; ``both`` follows from the other numbers."""

    benchmark: str
    small: str
    large: str
    questions: int
    small_accuracy: Share
    large_accuracy: Share
    only_large: Share
    only_small: Share
    source: str
    note: str = ""

    @property
    def shares(self) -> JointShares:
        """The four shares; rounding of the printed figures falls on ``neither``."""
        both = (self.small_accuracy + self.large_accuracy - self.only_large - self.only_small) / 2
        rest = 1 - both - self.only_large - self.only_small
        return JointShares(both, self.only_large, self.only_small, max(rest, 0.0))


class MeasuredPairs(Record, frozen=True):
    """``measured_pairs.toml``."""

    schema: Literal[1]
    pair: tuple[MeasuredPair, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        named = {f"pair[{i}]": row.source for i, row in enumerate(self.pair)}
        require_sources(named, self.source)


@dataclass(frozen=True)
class PairQuality:
    """Joint shares of a pair, how sure, and from what.

    Parameters
    ----------
    shares
        Best estimate.
    both_low, both_high
        80 % range of the share both answer; the accuracies are held.
    evidence
        ``measured`` if counted, ``extrapolated`` if from the dependence model.
    questions
        Number counted; 0 for the model.
    source, date
        Where it comes from; for the model, what the constants were fitted on and when.
    """

    shares: JointShares
    both_low: float
    both_high: float
    evidence: Evidence
    questions: int
    source: str
    date: dt.date | None


@cache
def dependence() -> Dependence:
    """Return the fitted constants of the dependence model."""
    return read_record(_HERE / "dependence.toml", Dependence)


@cache
def measured_pairs() -> MeasuredPairs:
    """Return the joint tables that ship with the package."""
    return read_record(_HERE / "measured_pairs.toml", MeasuredPairs)


def constants_for(benchmark: str = "") -> Constants:
    """Return the pooled constants, or those of a benchmark that the fit has seen.

    Raises
    ------
    UnknownNameError
        If a benchmark is named that the fit has not seen.
    """
    if not benchmark:
        return dependence().pooled
    rows = {row.benchmark: row.constants for row in dependence().benchmark}
    names = {name: name for name in rows}
    for row in dependence().benchmark:
        names.update({normalise(alias): row.benchmark for alias in row.aliases})
    return rows[find(benchmark, names, "fitted benchmark", "docs/quality.md")]


def fisher_z(constants: Constants, small: ArrayLike, large: ArrayLike) -> Floats:
    """Return Fisher's z of the copula for two accuracies strictly between 0 and 1."""
    return np.asarray(constants.intercept + constants.gap_slope * probit_gap(small, large))


def predict_pair(small: float, large: float, benchmark: str = "") -> PairQuality:
    """Return the joint shares of a pair from its two accuracies alone.

    A Gaussian copula whose correlation falls with the distance of the two scores, see
    ``docs/quality.md``.

    Parameters
    ----------
    small, large
        Accuracies from 0 to 1.
    benchmark
        Name of a fitted benchmark to use its own constants; empty: the pooled ones, which is
        right for any other task.

    Examples
    --------
    >>> predict_pair(0.6808, 0.8058).evidence
    'extrapolated'
    """
    facts = dependence()
    constants = constants_for(benchmark)
    inside = 0 < small < 1 and 0 < large < 1
    z = float(fisher_z(constants, small, large)) if inside else 0.0
    both, low, high = (
        float(copula_both(small, large, z + off)) for off in (0.0, facts.z_low, facts.z_high)
    )
    pairs = sum(row.pairs for row in facts.benchmark)
    return PairQuality(
        shares_from_both(small, large, both),
        low,
        high,
        "extrapolated",
        0,
        f"Gaussian copula fitted on {pairs} pairs of {len(facts.benchmark)} benchmarks",
        facts.fitted,
    )


def counted_pair(
    shares: JointShares, questions: int, source: str, date: dt.date | None = None
) -> PairQuality:
    """Return measured shares with the 80 % range of counting ``questions`` of them."""
    spread = 1.2816 * (shares.both * (1 - shares.both) / questions) ** 0.5
    low, high = max(shares.both - spread, 0.0), min(shares.both + spread, 1.0)
    return PairQuality(shares, low, high, "measured", questions, source, date)


def find_measured(small: str, large: str, benchmark: str) -> PairQuality | None:
    """Return the table of this pair on this benchmark if one ships, else None."""
    wanted = tuple(normalise(name) for name in (small, large, benchmark))
    file = measured_pairs()
    titles = {source.id: source for source in file.source}
    for row in file.pair:
        if tuple(normalise(name) for name in (row.small, row.large, row.benchmark)) == wanted:
            source = titles[row.source]
            return counted_pair(row.shares, row.questions, source.title, source.date)
    return None
