"""Gaps between arrivals with mean 1: what kind of randomness, whatever the rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from advisor.schema.traffic import Floats
from advisor.schema.traffic_facts import GapTable

_HALVINGS = 200


class Gaps(Protocol):
    """A stationary renewal process of rate 1."""

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        ...

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Return so many gaps of mean 1."""
        ...

    def first(self, rng: np.random.Generator) -> float:
        """Return the time to the first arrival as seen from a random moment."""
        ...


@dataclass(frozen=True)
class GammaGaps:
    """Gamma renewals; shape 1 is the Poisson process."""

    shape: float

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return 1 / math.sqrt(self.shape)

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Return so many gaps of mean 1."""
        if self.shape == 1.0:
            return rng.standard_exponential(count)
        return rng.standard_gamma(self.shape, count) / self.shape

    def first(self, rng: np.random.Generator) -> float:
        """Return a uniform part of a length-biased gap, which is gamma of shape + 1."""
        return float(rng.random() * rng.standard_gamma(self.shape + 1.0) / self.shape)


@dataclass(frozen=True)
class WeibullGaps:
    """Weibull renewals."""

    shape: float

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return math.sqrt(math.expm1(_log_moment_ratio(self.shape)))

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Return so many gaps of mean 1."""
        return rng.weibull(self.shape, count) / math.gamma(1 + 1 / self.shape)

    def first(self, rng: np.random.Generator) -> float:
        """Return a uniform part of a length-biased gap: its power ``shape`` is gamma."""
        power = rng.standard_gamma(1 + 1 / self.shape)
        return float(rng.random() * power ** (1 / self.shape) / math.gamma(1 + 1 / self.shape))


class TableGaps:
    """Independent gaps from a quantile table, linear in ln(gap) between its entries."""

    def __init__(self, table: GapTable) -> None:
        self._probabilities = np.asarray(table.probabilities)
        self._log_gap = np.log(np.asarray(table.gap_s))
        low, high = self._log_gap[:-1], self._log_gap[1:]
        width = np.where(high > low, high - low, 1.0)
        share = np.diff(self._probabilities)
        flat = high <= low
        # A gap uniform in its logarithm has moments (e^mb - e^ma) / (m (b - a)).
        means = np.where(flat, np.exp(low), (np.exp(high) - np.exp(low)) / width)
        squares = np.where(flat, np.exp(2 * low), (np.exp(2 * high) - np.exp(2 * low)) / 2 / width)
        self.mean_s = float(share @ means)
        self.cv = math.sqrt(float(share @ squares) / self.mean_s**2 - 1)
        self._biased = np.cumsum(share * means) / self.mean_s

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Return so many gaps, scaled to mean 1."""
        logs = np.interp(rng.random(count), self._probabilities, self._log_gap)
        return np.asarray(np.exp(logs) / self.mean_s)

    def first(self, rng: np.random.Generator) -> float:
        """Return a uniform part of a length-biased gap, which is uniform within an entry."""
        entry = min(int(np.searchsorted(self._biased, rng.random())), len(self._log_gap) - 2)
        low, high = np.exp(self._log_gap[entry : entry + 2])
        return float(rng.random() * (low + rng.random() * (high - low)) / self.mean_s)


def gaps_of_cv(law: Literal["gamma", "weibull"], cv: float) -> GammaGaps | WeibullGaps:
    """Return the gamma or Weibull renewals whose gaps have this CV.

    >>> round(gaps_of_cv("weibull", 2.0).shape, 3)
    0.543
    """
    if law == "gamma":
        return GammaGaps(cv**-2)
    target = math.log1p(cv * cv)
    low, high = math.log(0.02), math.log(1e4)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _log_moment_ratio(math.exp(middle)) > target else (low, middle)
        )
    return WeibullGaps(math.exp((low + high) / 2))


def _log_moment_ratio(shape: float) -> float:
    """Return ln(E[x²] / E[x]²) of a Weibull law."""
    return math.lgamma(1 + 2 / shape) - 2 * math.lgamma(1 + 1 / shape)


def arrivals_until(
    gaps: Gaps, mass: float, rng: np.random.Generator, rng_first: np.random.Generator
) -> Floats:
    """Return the arrival times of a stationary rate-1 process before ``mass``."""
    first = gaps.first(rng_first)
    parts = [np.array([first])]
    end = first
    while end < mass:
        room = mass - end
        count = int(room + 4 * max(gaps.cv, 1.0) * math.sqrt(room)) + 16
        times = end + np.cumsum(gaps.draw(rng, count))
        parts.append(times)
        end = float(times[-1])
    times = np.concatenate(parts)
    return times[: int(np.searchsorted(times, mass, side="left"))]


def first_arrivals(
    gaps: Gaps, count: int, rng: np.random.Generator, rng_first: np.random.Generator
) -> Floats:
    """Return the first ``count`` arrival times of a stationary rate-1 process."""
    if count == 0:
        return np.zeros(0)
    start = np.array([gaps.first(rng_first)])
    return np.cumsum(np.concatenate([start, gaps.draw(rng, count - 1)]))
