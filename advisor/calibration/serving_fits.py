"""Fitting what engines add to kernel times, from serving runs.

Five constants an engine era and kind of model, each with a unit and a bound
(:class:`advisor.schema.engine.EngineCost`), and the step's token budget among those engines
ship with. Loss: soft absolute error of log TPOT, and of log TTFT at less weight, since repeated
runs of one configuration scatter three times as much there. Whole (device, model) groups are
left out in turn to measure the error that counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.serving_predict import Run, predict_run
from advisor.calibration.serving_rows import Measured
from advisor.schema.engine import EngineCost, EngineEra

STEP_TOKENS = (2048, 8192, 16384)
"""Token budgets of a step that the engines covered ship or recommend."""
FIT_ROWS = 60
FIT_ROUNDS = 70
LEFT_OUT_ROUNDS = 40
TTFT_WEIGHT = 0.4
SOFT_TPOT, SOFT_TTFT = 0.05, 0.1
"""Log errors below these count quadratically: about the scatter of repeated runs."""
PRIOR_WEIGHT = 0.02
_UNITS = (1.0, 1e-3, 1e-5, 1e-2, 1e-3)
_START = (0.0, 0.3, 0.5, 2.0, 0.3)
_STEP = (0.1, 0.8, 1.5, 5.0, 1.0)

Array = NDArray[np.float64]
Sample = tuple[Run, Measured]


@dataclass(frozen=True)
class EraFit:
    """Costs of one era and what they reach.

    ``residuals`` are log(measured/predicted) of TPOT, TTFT and throughput on rows of groups
    left out of the fit; ``inside`` the same in sample.
    """

    cost: EngineCost
    rows: int
    groups: int
    inside: Array
    residuals: Array


def _cost(x: Sequence[float], step_tokens: int) -> EngineCost:
    values = [abs(v) * unit for v, unit in zip(x[1:], _UNITS[1:], strict=True)]
    return EngineCost(
        kernel_factor=round(math.exp(min(max(x[0], -0.5), 0.5)), 4),
        per_step_s=round(values[0], 7),
        per_sequence_s=round(values[1], 8),
        per_request_s=round(values[2], 5),
        per_client_s=round(values[3], 6),
        step_tokens=step_tokens,
    )


def residuals(samples: Sequence[Sample], cost: EngineCost) -> Array:
    """Return log(measured / predicted) of TPOT, TTFT and throughput, one row a run."""
    rows = []
    for run, measured in samples:
        p = predict_run(run, cost)
        steps = run.row.osl - 1
        told = measured.ttft_s + steps * measured.tpot_s
        ours = p.ttft_s + steps * p.tpot_s
        rows.append(
            (
                math.log(measured.tpot_s / p.tpot_s),
                math.log(measured.ttft_s / p.ttft_s),
                math.log(ours / told),
            )
        )
    return np.array(rows)


def _soft(values: Array, scale: float) -> float:
    return float(np.mean(np.sqrt(scale * scale + values * values) - scale))


def _search(
    samples: Sequence[Sample], step_tokens: int, rounds: int, start: Sequence[float]
) -> tuple[list[float], float]:
    from scipy.optimize import minimize

    def loss(x: Sequence[float]) -> float:
        off = residuals(samples, _cost(x, step_tokens))
        prior = PRIOR_WEIGHT * abs(x[0])
        return _soft(off[:, 0], SOFT_TPOT) + TTFT_WEIGHT * _soft(off[:, 1], SOFT_TTFT) + prior

    corners = [list(start)]
    for index, step in enumerate(_STEP):
        corner = list(start)
        corner[index] += step
        corners.append(corner)
    options = {"maxfev": rounds, "initial_simplex": corners}
    found = minimize(loss, list(start), method="Nelder-Mead", options=options)
    return [float(v) for v in found.x], float(found.fun)


def _thin(samples: Sequence[Sample], rows: int, seed: int) -> list[Sample]:
    """Return at most so many samples, the same ones for the same seed."""
    order = np.random.default_rng(seed).permutation(len(samples))[:rows]
    return [samples[i] for i in sorted(order)]


def fit_era(
    samples: Sequence[Sample],
    fallback: EngineCost,
    on_progress: Callable[[str], None] | None = None,
) -> EraFit:
    """Fit one era, and measure it on groups left out.

    Parameters
    ----------
    samples
        Runs of the era with their measurements.
    fallback
        Costs a lone group is predicted with when it is left out: nothing of its own era is
        left to fit.
    on_progress
        Called with one line at each stage.
    """
    tell = on_progress or (lambda _: None)
    thin = _thin(samples, FIT_ROWS, 0)
    tried = []
    for budget in STEP_TOKENS:
        x, loss = _search(thin, budget, FIT_ROUNDS, _START)
        tell(f"  step budget {budget}: loss {loss:.4f}")
        tried.append((loss, budget, x))
    _, budget, best = min(tried)
    cost = _cost(best, budget)
    by_group: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_group[sample[0].row.group].append(sample)
    left = []
    for number, (group, held) in enumerate(sorted(by_group.items())):
        rest = [s for s in samples if s[0].row.group != group]
        x = list(_START)
        if rest:
            x, _ = _search(_thin(rest, FIT_ROWS, number), budget, LEFT_OUT_ROUNDS, best)
        left.append(residuals(held, _cost(x, budget) if rest else fallback))
        tell(f"  left out {group[0]} {group[1]}: TPOT {median_error(left[-1][:, 0]):.1%}")
    inside = residuals(samples, cost)
    return EraFit(cost, len(samples), len(by_group), inside, np.concatenate(left))


def median_error(off: Array) -> float:
    """Return the median of |predicted/measured - 1| from log residuals."""
    return float(np.median(np.abs(np.expm1(-off)))) if len(off) else 0.0


def fitted_era(era: EngineEra, fit: EraFit) -> EngineEra:
    """Return the era with fitted costs and errors in place of the old ones."""
    return EngineEra(
        id=era.id,
        engine=era.engine,
        kind=era.kind,
        runs=era.runs,
        engines=era.engines,
        versions=era.versions,
        only_versions=era.only_versions,
        note=era.note,
        cost=fit.cost,
        rows=fit.rows,
        groups=fit.groups,
        left_out_tpot_error=round(median_error(fit.residuals[:, 0]), 4),
        left_out_ttft_error=round(median_error(fit.residuals[:, 1]), 4),
        left_out_throughput_error=round(median_error(fit.residuals[:, 2]), 4),
    )


def quantiles(off: Array) -> tuple[float, float]:
    """Return the 80 and 95 % quantiles of |log residual|, with the finite-sample correction.

    Split conformal prediction takes the ceil((n + 1) q)-th smallest (arXiv:1604.04173).
    """
    size = np.sort(np.abs(off))
    ranks = [min(math.ceil((len(size) + 1) * q), len(size)) - 1 for q in (0.8, 0.95)]
    return float(size[ranks[0]]), float(size[ranks[1]])
