"""Means and percentiles of correlated observations, with confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BATCHES = 20
FEW = 40 * BATCHES
"""Fewer observations than this are too few for batches."""
NORMAL_975 = 1.959963984540054
PERCENTILES = (50.0, 90.0, 95.0, 99.0)


@dataclass(frozen=True)
class Figure:
    """A statistic and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Distribution:
    """Mean and percentiles of one time, seconds; ``count`` observations."""

    count: int
    mean: Figure
    p50: Figure
    p90: Figure
    p95: Figure
    p99: Figure

    def at(self, percentile: float) -> Figure:
        """Return one of the percentiles 50, 90, 95, 99."""
        found: Figure = getattr(self, f"p{percentile:g}")
        return found


def distribution(values: Floats) -> Distribution | None:
    """Summarise observations in the order they came; None without any.

    From 800 on: 20 batch means, Student's t (Law, Simulation Modeling and Analysis, 5th ed.,
    section 9.5.3). Below: normal interval of the mean, binomial interval of order statistics
    (Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2).
    """
    seen = values[np.isfinite(values)]
    if not len(seen):
        return None
    ordered = np.sort(seen)
    batches = [np.sort(b) for b in np.array_split(seen, BATCHES)] if len(seen) >= FEW else []
    figures = [_mean(seen), *(_percentile(ordered, batches, p) for p in PERCENTILES)]
    return Distribution(len(seen), *figures)


def _mean(values: Floats) -> Figure:
    mean = float(values.mean())
    if len(values) >= FEW:
        return _batched(mean, np.array([b.mean() for b in np.array_split(values, BATCHES)]))
    half = NORMAL_975 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0
    return Figure(mean, mean - half, mean + half)


def _batched(value: float, batches: Floats) -> Figure:
    from scipy.special import stdtrit

    half = float(stdtrit(len(batches) - 1, 0.975) * batches.std(ddof=1) / math.sqrt(len(batches)))
    return Figure(value, value - half, value + half)


def _at(ordered: Floats, percentile: float) -> float:
    """Return a percentile of sorted values, linear between two of them."""
    place = (len(ordered) - 1) * percentile / 100.0
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))


def _percentile(ordered: Floats, batches: list[Floats], percentile: float) -> Figure:
    value = _at(ordered, percentile)
    # A batch must hold ten observations beyond the percentile to say anything of it.
    if batches and len(batches[0]) * (1.0 - percentile / 100.0) >= 10.0:
        return _batched(value, np.array([_at(b, percentile) for b in batches]))
    share, n = percentile / 100.0, len(ordered)
    spread = NORMAL_975 * math.sqrt(n * share * (1.0 - share))
    low = max(math.floor(n * share - spread), 0)
    high = min(math.ceil(n * share + spread), n - 1)
    return Figure(value, float(ordered[low]), float(ordered[high]))


def warm_up(values: Floats, most_share: float = 0.5) -> int:
    """Return how many observations to leave out at the start: the MSER-5 rule.

    Batches of five; the cut minimises the variance of the mean of what is kept (White, 1997,
    doi:10.1177/003754979706900601), at most ``most_share`` of all.
    """
    size = len(values) // 5
    if size < 20:
        return 0
    batches = values[: size * 5].reshape(size, 5).mean(axis=1)[::-1]
    count = np.arange(1, size + 1)
    mean = np.cumsum(batches) / count
    variance = np.maximum(np.cumsum(batches**2) / count - mean**2, 0.0)
    kept = np.arange(size - int(size * most_share), size + 1)
    marginal = variance[kept - 1] / kept
    best = kept[len(kept) - 1 - int(np.argmin(marginal[::-1]))]
    return int((size - best) * 5)


def histogram_percentiles(
    counts: NDArray[np.int64], edges: Floats, percentiles: tuple[float, ...]
) -> tuple[float, ...]:
    """Return percentiles of a histogram, linear within a bin; NaN without observations."""
    total = int(counts.sum())
    if total == 0:
        return tuple(math.nan for _ in percentiles)
    summed = np.concatenate([[0], np.cumsum(counts)]).astype(float)
    return tuple(float(np.interp(p / 100.0 * total, summed, edges)) for p in percentiles)
