"""Fitting what engines add to kernel times, from serving runs.

Six constants an engine era and kind of model, each with a unit and a bound
(:class:`advisor.schema.engine.EngineCost`), pooled over engines and eras
(:mod:`advisor.calibration.serving_levels`): first those of a step to TPOT, then the delays to
TTFT. Whole (device, model) groups are left out in turn, over all eras at once, to measure the
error that counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.serving_levels import Labels, Levels, Term, fit_levels
from advisor.calibration.serving_linear import (
    Array,
    Constants,
    Counted,
    log_residuals,
    predict_counted,
    shares_of,
)
from advisor.calibration.serving_predict import at_share
from advisor.schema.engine import EngineCost, EngineEra

_HOST = (("all", 0.3), ("era-kind", 1.5))
STEP_TERMS = (
    Term("kernel_factor", 1.0, (("all", 0.02), ("era-kind", 0.12))),
    Term("per_step_s", 4e-4, _HOST),
    Term("per_sequence_s", 3e-5, _HOST),
)
_DELAY = (("engine", 0.4), ("engine-kind", 0.4), ("era-kind", 0.4))
WAIT_TERMS = (
    Term("wait_factor", 1.0, (("era-kind", 0.2),)),
    Term("per_request_s", 0.07, (("all", 1.0), *_DELAY)),
    Term("per_client_s", 3e-4, (("all", 1.0), ("engine", 0.4), ("era-kind", 0.4))),
    Term("ahead", 1.0),
)
SCALE_TPOT, SCALE_TTFT = 0.05, 0.1
"""Log errors below these count quadratically: about the scatter of repeated runs."""
OBSERVATIONS_TPOT = {"dense": 0.25, "moe": 0.05}
OBSERVATIONS_TTFT = 8.0
"""What a (device, model) group of an era counts for, however many runs it has: its runs err
alike. Scatter between groups of an era is some 10 % in TPOT of dense and 20 % of expert models."""

ABSENT_ROUNDS = 3
"""Fits, each with the shares of absent clients that the one before it makes."""

FULL_GROUP = 20
"""Runs a group needs to count in full."""


@dataclass(frozen=True)
class Pooled:
    """Fitted constants of all engines."""

    steps: Levels
    waits: Levels

    def cost(self, labels: Labels) -> EngineCost:
        """Return the costs of an engine era and kind of model."""
        kernel, step, sequence = self.steps.constants(labels)
        wait, request, client, _ = self.waits.constants(labels)
        return EngineCost(
            kernel_factor=round(float(kernel), 4),
            per_step_s=round(float(step), 7),
            per_sequence_s=round(float(sequence), 8),
            per_request_s=round(float(request), 5),
            per_client_s=round(float(client), 6),
            wait_factor=round(float(wait), 4),
        )


def labels_of(era: EngineEra) -> Labels:
    """Return an era's levels."""
    return {
        "all": "all",
        "engine": era.engine,
        "engine-kind": f"{era.engine}-{era.kind}",
        "era-kind": era.id,
    }


@dataclass(frozen=True)
class Runs:
    """Runs with the era each belongs to."""

    counted: Counted
    eras: tuple[EngineEra, ...]

    @property
    def groups(self) -> NDArray[np.str_]:
        """Device and model of every run."""
        return np.array(["/".join(run.row.group) for run in self.counted.runs])

    @property
    def architectures(self) -> NDArray[np.str_]:
        """Architecture of every run's device."""
        return np.array([run.setup.device.architecture for run in self.counted.runs])

    def take(self, chosen: NDArray[np.bool_]) -> Runs:
        """Return some of the runs."""
        eras = tuple(era for era, use in zip(self.eras, chosen, strict=True) if use)
        return Runs(self.counted.take(chosen), eras)


def fit_pooled(runs: Runs) -> Pooled:
    """Fit the constants of all eras together."""
    counted, labels = runs.counted, [labels_of(era) for era in runs.eras]
    keys = [
        (*run.row.group, run.row.weight_format, era.id)
        for run, era in zip(counted.runs, runs.eras, strict=True)
    ]
    sizes = Counter(keys)
    share = np.array([1.0 / max(sizes[key], FULL_GROUP) for key in keys])
    counts = np.array([OBSERVATIONS_TPOT[era.kind] for era in runs.eras])
    absent, pooled = np.zeros(len(labels)), None
    for _ in range(ABSENT_ROUNDS):
        pooled = _fit_at(counted, absent, labels, share, share * counts)
        constants = Constants.of([pooled.cost(one) for one in labels])
        absent = shares_of(counted, constants)
    assert pooled is not None
    return pooled


def _fit_at(
    counted: Counted, absent: Array, labels: list[Labels], share: Array, weights: Array
) -> Pooled:
    """Fit at given shares of absent clients: first what makes steps long, then delays."""
    steps = fit_levels(
        at_share(counted.tpot, absent), counted.told_tpot_s, labels, STEP_TERMS, weights, SCALE_TPOT
    )
    found = np.array([steps.constants(one) for one in labels])
    wait = (at_share(counted.wait, absent) * found).sum(1)
    columns = np.column_stack(
        [wait, np.ones_like(wait), counted.clients, found[:, 0] * counted.ahead_s]
    )
    waits = fit_levels(
        columns,
        counted.told_ttft_s,
        labels,
        WAIT_TERMS,
        share * OBSERVATIONS_TTFT,
        SCALE_TTFT,
    )
    return Pooled(steps, waits)


def residuals(runs: Runs, pooled: Pooled) -> Array:
    """Return log(measured / predicted) of TPOT, TTFT and throughput, one row a run."""
    by_era = {era.id: pooled.cost(labels_of(era)) for era in runs.eras}
    predicted = predict_counted(runs.counted, [by_era[era.id] for era in runs.eras])
    return log_residuals(runs.counted, predicted)


def left_out(runs: Runs, by: NDArray[np.str_] | None = None) -> Array:
    """Return the residuals of every run, its group left out of the fit.

    ``by`` names each run's group; None: device and model, whatever the engine.
    """
    groups = runs.groups if by is None else by
    found = np.zeros((len(runs.eras), 3))
    for group in sorted(set(groups)):
        held = groups == group
        if not held.all():
            found[held] = residuals(runs.take(held), fit_pooled(runs.take(~held)))
    return found


def nested_inside(runs: Runs, tell: Callable[[str], None] | None = None) -> NDArray[np.bool_]:
    """Tell which measurements lie inside ranges that no run of their group had a part in.

    For each group, ranges come from the other groups' residuals under fits without both.

    Returns
    -------
    Array (runs, 3 metrics, 2 ranges) of truth values.
    """
    groups = runs.groups
    names = sorted(set(groups))
    off: dict[tuple[str, str], Array] = {}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            without = fit_pooled(runs.take((groups != one) & (groups != other)))
            off[one, other] = residuals(runs.take(groups == one), without)
            off[other, one] = residuals(runs.take(groups == other), without)
        if tell:
            tell(f"  ranges without {one}")
    own, kinds = left_out(runs), np.array([era.kind for era in runs.eras])
    inside = np.zeros((len(groups), 3, 2), dtype=bool)
    for one in names:
        rest = np.concatenate([off[other, one] for other in names if other != one])
        kind_of_rest = np.concatenate([kinds[groups == other] for other in names if other != one])
        for kind in sorted(set(kinds)):
            held = (groups == one) & (kinds == kind)
            for column in range(3):
                widths = quantiles(rest[kind_of_rest == kind, column])
                for which, width in enumerate(widths):
                    inside[held, column, which] = np.abs(own[held, column]) <= width
    return inside


def median_error(off: Array) -> float:
    """Return the median of |predicted/measured - 1| from log residuals."""
    return float(np.median(np.abs(np.expm1(-off)))) if len(off) else 0.0


def quantiles(off: Array | Sequence[float]) -> tuple[float, float]:
    """Return the 80 and 95 % quantiles of |log residual|, with the finite-sample correction.

    Split conformal prediction takes the ceil((n + 1) q)-th smallest (arXiv:1604.04173).
    """
    size = np.sort(np.abs(np.asarray(off)))
    ranks = [min(math.ceil((len(size) + 1) * q), len(size)) - 1 for q in (0.8, 0.95)]
    return float(size[ranks[0]]), float(size[ranks[1]])
