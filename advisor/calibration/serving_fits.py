"""Fitting what engines add to kernel times, from serving runs.

Five constants an engine era and kind of model, each with a unit and a bound
(:class:`advisor.schema.engine.EngineCost`), and the step's token budget among those engines
ship with. Loss: soft absolute error of log TPOT, and of log TTFT at less weight, since repeated
runs of one configuration scatter three times as much there, plus a pull towards the prior that
all engines share: eras with few groups would else fit their models' quirks. Whole (device,
model) groups are left out in turn to measure the error that counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from advisor.calibration.serving_predict import Run, predict_run
from advisor.calibration.serving_rows import Measured
from advisor.schema.engine import EngineCost, EngineEra

STEP_TOKENS = (2048, 8192, 16384)
"""Token budgets of a step that the engines covered ship or recommend."""
FIT_ROWS = 60
FIT_ROUNDS = 70
LEFT_OUT_ROUNDS = 50
TTFT_WEIGHT = 0.4
SOFT_TPOT, SOFT_TTFT = 0.05, 0.1
"""Log errors below these count quadratically: about the scatter of repeated runs."""
PRIOR_WEIGHT = 0.01
"""Loss of a constant one scale away from its prior."""
SCALES = (0.15, *[math.log(2.5)] * 4)
"""Log distance from the prior that counts as one: kernel factor, then the four times."""
FARTHEST = 3.0
SIMPLEX = 0.7

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


def _cost(x: Sequence[float], step_tokens: int, prior: EngineCost) -> EngineCost:
    """Return the costs at scaled log distances ``x`` from the prior."""
    ratios = [
        math.exp(scale * min(max(v, -FARTHEST), FARTHEST))
        for v, scale in zip(x, SCALES, strict=True)
    ]
    return EngineCost(
        kernel_factor=round(prior.kernel_factor * ratios[0], 4),
        per_step_s=round(prior.per_step_s * ratios[1], 7),
        per_sequence_s=round(prior.per_sequence_s * ratios[2], 8),
        per_request_s=round(prior.per_request_s * ratios[3], 5),
        per_client_s=round(prior.per_client_s * ratios[4], 6),
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
    samples: Sequence[Sample], step_tokens: int, rounds: int, prior: EngineCost
) -> tuple[list[float], float]:
    from scipy.optimize import minimize

    def loss(x: Sequence[float]) -> float:
        off = residuals(samples, _cost(x, step_tokens, prior))
        pull = PRIOR_WEIGHT * sum(v * v for v in x)
        return _soft(off[:, 0], SOFT_TPOT) + TTFT_WEIGHT * _soft(off[:, 1], SOFT_TTFT) + pull

    corners = np.vstack([np.zeros(len(SCALES)), SIMPLEX * np.eye(len(SCALES))])
    options = {"maxfev": rounds, "initial_simplex": corners}
    found = minimize(loss, corners[0], method="Nelder-Mead", options=options)
    return [float(v) for v in found.x], float(found.fun)


def _thin(samples: Sequence[Sample], rows: int, seed: int) -> list[Sample]:
    """Return at most so many samples, the same ones for the same seed."""
    order = np.random.default_rng(seed).permutation(len(samples))[:rows]
    return [samples[i] for i in sorted(order)]


def fit_era(
    samples: Sequence[Sample],
    prior: EngineCost,
    on_progress: Callable[[str], None] | None = None,
) -> EraFit:
    """Fit one era, and measure it on groups left out.

    Parameters
    ----------
    samples
        Runs of the era with their measurements.
    prior
        Costs all engines share; a lone group left out is predicted with them.
    on_progress
        Called with one line at each stage.
    """
    tell = on_progress or (lambda _: None)
    thin = _thin(samples, FIT_ROWS, 0)
    tried = []
    for budget in STEP_TOKENS:
        x, loss = _search(thin, budget, FIT_ROUNDS, prior)
        tell(f"  step budget {budget}: loss {loss:.4f}")
        tried.append((loss, budget, x))
    _, budget, best = min(tried)
    cost = _cost(best, budget, prior)
    by_group: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_group[sample[0].row.group].append(sample)
    left = []
    for number, (group, held) in enumerate(sorted(by_group.items())):
        rest = [s for s in samples if s[0].row.group != group]
        held_cost = msgspec.structs.replace(prior, step_tokens=budget)
        if rest:
            x, _ = _search(_thin(rest, FIT_ROWS, number), budget, LEFT_OUT_ROUNDS, prior)
            held_cost = _cost(x, budget, prior)
        left.append(residuals(held, held_cost))
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
