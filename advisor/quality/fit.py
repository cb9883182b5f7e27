"""Fitting the dependence of two models' answers, and what the fit misses when left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.quality.joint import (
    Floats,
    copula_both,
    fisher_z_of,
    probit_gap,
    shares_from_both,
)
from advisor.quality.outcomes import Correctness
from advisor.quality.pairs import Constants, LeftOut, fisher_z
from advisor.quality.routing import Router, route

LEAST_DIFFERENCE = 0.02
"""Pairs whose accuracies lie closer are no small and large model."""
CHECK_ROUTER = Router(0.7)
CHECK_ESCALATED = 0.3
_START = (0.9, -0.3)
_GRID = np.linspace(-0.5, 2.5, 121)

Keep = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PairTable:
    """All ordered pairs of some benchmarks, one row a pair.

    Parameters
    ----------
    benchmark, small_model, large_model
        ``(p,)`` names.
    small, large, both
        ``(p,)`` accuracies and the share both answer.
    """

    benchmark: NDArray[np.str_]
    small_model: NDArray[np.str_]
    large_model: NDArray[np.str_]
    small: Floats
    large: Floats
    both: Floats

    def __len__(self) -> int:
        return len(self.small)


def pair_table(tables: Mapping[str, Correctness]) -> PairTable:
    """List every ordered pair whose accuracies differ by 2 points or more.

    Parameters
    ----------
    tables
        Benchmark name → answers.
    """
    rows: list[tuple[str, str, str, float, float, float]] = []
    for name, table in tables.items():
        accuracy = table.accuracy
        together = table.right.T.astype(float) @ table.right / len(table.right)
        for i, j in np.argwhere(accuracy[None, :] - accuracy[:, None] >= LEAST_DIFFERENCE - 1e-12):
            pair = (table.models[i], table.models[j])
            rows.append((name, *pair, accuracy[i], accuracy[j], together[i, j]))
    names = np.array([row[:3] for row in rows], dtype=np.str_).reshape(-1, 3)
    numbers = np.array([row[3:] for row in rows], dtype=np.float64).reshape(-1, 3)
    return PairTable(
        names[:, 0], names[:, 1], names[:, 2], numbers[:, 0], numbers[:, 1], numbers[:, 2]
    )


def _on_grid(pairs: PairTable) -> Callable[[Floats], Floats]:
    """Return ``both`` as a function of z for every pair, by linear interpolation of a grid."""
    values = copula_both(pairs.small[:, None], pairs.large[:, None], _GRID[None, :])
    step = _GRID[1] - _GRID[0]
    rows = np.arange(len(pairs))

    def both(z: Floats) -> Floats:
        at = np.clip((z - _GRID[0]) / step, 0, len(_GRID) - 1.001)
        left = at.astype(np.int64)
        part = at - left
        return np.asarray((1 - part) * values[rows, left] + part * values[rows, left + 1])

    return both


class Fitter:
    """Least mean absolute error of ``both``, every benchmark with the same weight."""

    def __init__(self, pairs: PairTable) -> None:
        self.pairs = pairs
        self.gap = probit_gap(pairs.small, pairs.large)
        self._both = _on_grid(pairs)

    def fit(self, keep: Keep, start: tuple[float, float] = _START) -> Constants:
        """Return the constants that fit the kept pairs best.

        Parameters
        ----------
        keep
            ``(p,)`` which pairs the fit sees.
        start
            Where the search starts: intercept, slope.
        """
        from scipy.optimize import minimize

        names, index, counts = np.unique(
            self.pairs.benchmark[keep], return_inverse=True, return_counts=True
        )
        weight = np.zeros(len(self.pairs))
        weight[keep] = 1 / (counts[index] * len(names))

        def loss(c: Floats) -> float:
            off = np.abs(self._both(c[0] + c[1] * self.gap) - self.pairs.both)
            return float(weight @ off)

        options = {"xatol": 1e-5, "fatol": 1e-9, "maxiter": 400}
        best = minimize(loss, start, method="Nelder-Mead", options=options).x
        return Constants(intercept=float(best[0]), gap_slope=float(best[1]))


def predicted_both(constants: Constants, small: Floats, large: Floats) -> Floats:
    """Return the share both answer for arrays of accuracies, exact copula."""
    return copula_both(small, large, fisher_z(constants, small, large))


def mean_points(small: Floats, large: Floats, measured: Floats, predicted: Floats) -> Floats:
    """Return each pair's mean absolute error over four shares and router accuracy, in points.

    Both sides route analytically; the router sends 30 % with AUC 0.7.
    """
    errors = []
    for s, b, is_, will in zip(small, large, measured, predicted, strict=True):
        routed = [
            route(CHECK_ROUTER, shares_from_both(s, b, both), CHECK_ESCALATED).accuracy
            for both in (is_, will)
        ]
        errors.append((4 * abs(is_ - will) + abs(routed[0] - routed[1])) / 5)
    return 100 * np.array(errors)


def left_out_predictions(fitter: Fitter, kind: str) -> Floats:
    """Return ``both`` of every pair by a fit that has not seen it.

    Parameters
    ----------
    fitter
        Holds the pairs.
    kind
        ``fit`` (nothing left out), ``pair``, ``model`` (for either model of the pair; the two
        predictions are averaged) or ``benchmark``.
    """
    pairs = fitter.pairs
    everything = np.ones(len(pairs), dtype=bool)
    whole = fitter.fit(everything)
    start = (whole.intercept, whole.gap_slope)
    if kind == "fit":
        return predicted_both(whole, pairs.small, pairs.large)
    if kind == "pair":
        hidden = [np.arange(len(pairs)) == i for i in range(len(pairs))]
    elif kind == "model":
        models = np.unique(np.concatenate([pairs.small_model, pairs.large_model]))
        hidden = [(pairs.small_model == m) | (pairs.large_model == m) for m in models]
    else:
        hidden = [pairs.benchmark == name for name in np.unique(pairs.benchmark)]
    total, times = np.zeros(len(pairs)), np.zeros(len(pairs))
    for out in hidden:
        constants = fitter.fit(~out, start)
        total[out] += predicted_both(constants, pairs.small[out], pairs.large[out])
        times[out] += 1
    return total / times


def left_out_errors(fitter: Fitter) -> tuple[LeftOut, ...]:
    """Return the errors by benchmark and by what was left out."""
    pairs, found = fitter.pairs, []
    for kind in ("fit", "pair", "model", "benchmark"):
        predicted = left_out_predictions(fitter, kind)
        points = mean_points(pairs.small, pairs.large, pairs.both, predicted)
        for name in np.unique(pairs.benchmark):
            mean = round(float(points[pairs.benchmark == name].mean()), 3)
            found.append(LeftOut(benchmark=str(name), kind=kind, points=mean))
    return tuple(found)


def z_residuals(pairs: PairTable, predicted: Floats) -> Floats:
    """Return measured minus predicted Fisher z of every pair."""
    z = [
        fisher_z_of(*map(float, row)) - fisher_z_of(float(row[0]), float(row[1]), float(will))
        for row, will in zip(
            zip(pairs.small, pairs.large, pairs.both, strict=True), predicted, strict=True
        )
    ]
    return np.array(z)


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the value below which this share of the weight lies."""
    order = np.argsort(values)
    total = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(total, share)])
