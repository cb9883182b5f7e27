"""Fitting a correction to a file's own configurations, and measuring it on some left out.

As few numbers as the points allow. Rates of lone requests: a factor on prompts and one on decode
steps, medians. Serving runs: the engine's kernel factor; from three configurations also what
delays a first token, from four with three different loads also the host's time a step and a
sequence: bounded robust least squares on logs, drawn to the catalogue's costs where the points
don't tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

from advisor.calibration.overlay_points import Case, predict_case, residuals
from advisor.catalogue.widths import width
from advisor.estimator.setup import Setup
from advisor.schema.engine import EngineCost
from advisor.schema.overlay import Metric, MetricError

METRICS: tuple[Metric, ...] = ("ttft", "tpot", "throughput", "prefill")
WEIGHT: Mapping[Metric, float] = {"tpot": 1.0, "ttft": 0.4, "throughput": 0.5, "prefill": 1.0}
"""Repeated runs scatter most in TTFT."""
SOFT = 0.1
"""Log residuals above this count linearly."""
HELD_OUT_EVERY = 3
FEWEST_TO_HOLD_OUT = 3
FLOOR_80, FLOOR_95 = 0.05, 0.1
"""No range is narrower: clocks, temperature and versions differ from day to day."""
PRIOR_ROWS = 2.0
"""So many residuals the usual range is worth when held-out ones narrow it."""
MAX_FACTOR = 3.0
_SLACK = 0.02
_PRIOR = (0.01, 0.03, 0.03, 0.03)
_SMALLEST = {"per_request_s": 2e-3, "per_step_s": 2e-5, "per_sequence_s": 1e-6}
"""Where the search starts for engines without a cost of their own."""
_HOST_BOUND = 4.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A correction: costs and factors. ``at_bound``: measurements ask for more than it may do."""

    cost: EngineCost
    prefill_factor: float = 1.0
    decode_factor: float = 1.0
    at_bound: bool = False


@dataclass(frozen=True)
class Outcome:
    """A fit to all configurations, and what the split of them shows."""

    fit: Fit
    errors: tuple[MetricError, ...]
    held_out: int
    fitted_on: int
    notes: tuple[str, ...] = field(default=())


def configurations(cases: Sequence[Case]) -> list[list[Case]]:
    """Group repeats of one configuration, in a fixed order."""
    found: dict[tuple[float, ...], list[Case]] = {}
    for case in sorted(cases, key=lambda c: (c.point.configuration, c.point.line)):
        found.setdefault(case.point.configuration, []).append(case)
    return list(found.values())


def split(groups: Sequence[list[Case]]) -> tuple[list[Case], list[Case]]:
    """Hold out every third configuration, the second first; the ends of the range stay."""
    if len(groups) < FEWEST_TO_HOLD_OUT:
        return [c for group in groups for c in group], []
    held = [c for i, group in enumerate(groups) if i % HELD_OUT_EVERY == 1 for c in group]
    rest = [c for i, group in enumerate(groups) if i % HELD_OUT_EVERY != 1 for c in group]
    return rest, held


def fit_cases(cases: Sequence[Case], base: EngineCost) -> Fit:
    """Fit a correction on top of an engine's costs."""
    lone = [case for case in cases if case.point.lone]
    if lone:
        return _fit_lone(lone, base)
    return _fit_serving(cases, base)


def _fit_lone(cases: Sequence[Case], base: EngineCost) -> Fit:
    off = residuals(cases, base)
    factors = {m: math.exp(median(off[m])) if m in off else 1.0 for m in ("prefill", "tpot")}
    kept = {m: min(max(f, 1.0 / 100.0), 100.0) for m, f in factors.items()}
    wide = any(not 1.0 / MAX_FACTOR <= f <= MAX_FACTOR for f in kept.values())
    return Fit(base, round(kept["prefill"], 4), round(kept["tpot"], 4), wide)


def _free(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the costs that the points can tell, besides the kernel factor."""
    groups = len(configurations(cases))
    loads = {(c.point.concurrency, c.point.rps) for c in cases}
    if groups >= 4 and len(loads) >= 3:
        return ("per_request_s", "per_step_s", "per_sequence_s")
    return ("per_request_s",) if groups >= 3 else ()


def _cost(
    u: Sequence[float], free: Sequence[str], start: Mapping[str, float], base: EngineCost
) -> EngineCost:
    added = {name: start[name] * math.exp(v - 1.0) for name, v in zip(free, u[1:], strict=True)}
    factor = base.kernel_factor * math.exp(u[0] - 1.0)
    return msgspec.structs.replace(base, kernel_factor=factor, **added)


def _fit_serving(cases: Sequence[Case], base: EngineCost) -> Fit:
    from scipy.optimize import least_squares

    free = _free(cases)
    start = {name: max(getattr(base, name), _SMALLEST[name]) for name in free}
    prior = np.array(_PRIOR[: 1 + len(free)])

    def loss(u: Array) -> Array:
        cost = _cost([float(v) for v in u], free, start, base)
        rows: list[float] = []
        for case in cases:
            predicted = predict_case(case, cost)
            for metric, value in case.measured.items():
                told = predicted.get(metric, 0.0)
                # Demand above capacity: as wrong as the bound allows.
                off = math.log(value / told) if told > 0 else math.log(MAX_FACTOR)
                rows.append(WEIGHT[metric] * off)
        return np.concatenate([np.array(rows), prior * (u - 1.0)])

    high = min(math.log(MAX_FACTOR), math.log(3.0 / base.kernel_factor) - 1e-6)
    bounds = (
        [1.0 - math.log(MAX_FACTOR), *[1.0 - _HOST_BOUND] * len(free)],
        [1.0 + high, *[1.0 + _HOST_BOUND] * len(free)],
    )
    guess = np.ones(1 + len(free))
    found = least_squares(
        loss, guess, bounds=bounds, loss="soft_l1", f_scale=SOFT, diff_step=1e-2, max_nfev=20
    )
    u = [float(v) for v in found.x]
    near = u[0] - bounds[0][0] < _SLACK or bounds[1][0] - u[0] < _SLACK
    cost = _cost(u, free, start, base)
    rounded = {
        "kernel_factor": round(cost.kernel_factor, 5),
        "per_step_s": round(cost.per_step_s, 8),
        "per_sequence_s": round(cost.per_sequence_s, 9),
        "per_request_s": round(cost.per_request_s, 6),
    }
    return Fit(msgspec.structs.replace(cost, **rounded), at_bound=near)


def corrected(off: Mapping[Metric, Sequence[float]], fit: Fit) -> dict[Metric, list[float]]:
    """Take a fit's factors of lone requests out of residuals."""
    factor: dict[Metric, float] = {"prefill": fit.prefill_factor, "tpot": fit.decode_factor}
    return {m: [r - math.log(factor.get(m, 1.0)) for r in rows] for m, rows in off.items()}


def judge(cases: Sequence[Case], base: EngineCost) -> Outcome:
    """Fit on two thirds, measure on the rest, then fit on all.

    The half-widths are of the first fit, on configurations it didn't see; the correction kept
    is the second's, which saw more.
    """
    groups = configurations(cases)
    rest, held = split(groups)
    before = residuals(held, base)
    trial = fit_cases(rest, base)
    after = corrected(residuals(held, trial.cost), trial)
    final = fit_cases(cases, base) if held else trial
    inside = corrected(residuals(cases, final.cost), final)
    repeat = repeat_spread(groups)
    setup = cases[0].setup
    errors = []
    for metric in METRICS:
        if metric in inside:
            errors.append(
                _error(metric, before.get(metric, []), after.get(metric, []), repeat, setup)
            )
    return Outcome(final, tuple(errors), len(groups) - len(configurations(rest)), len(rest))


def repeat_spread(groups: Sequence[Sequence[Case]]) -> float:
    """Return the largest spread of repeats: stated by the tool, or between lines of the file."""
    widest = max((case.point.repeat for group in groups for case in group), default=0.0)
    for group in groups:
        for metric in METRICS:
            told = [math.log(c.measured[metric]) for c in group if metric in c.measured]
            if len(told) > 1:
                widest = max(widest, (max(told) - min(told)) / 2.0)
    return widest


def median_error(off: Sequence[float]) -> float | None:
    """Return the median of |predicted/measured - 1| from log residuals, None without any."""
    return median(abs(math.expm1(-r)) for r in off) if off else None


def _quantile(off: Sequence[float], share: float) -> float:
    size = sorted(abs(r) for r in off)
    return size[min(math.ceil((len(size) + 1) * share), len(size)) - 1]


def _error(
    metric: Metric,
    before: Sequence[float],
    after: Sequence[float],
    repeat: float,
    setup: Setup,
) -> MetricError:
    """Return a metric's errors; few residuals narrow the usual range only so far."""
    usual = width(metric, "calibrated", setup.device.device_class, setup.kind)
    rows = len(after)

    def blend(prior: float, share: float, floor: float) -> float:
        seen = _quantile(after, share) if rows else 0.0
        return max((PRIOR_ROWS * prior + rows * seen) / (PRIOR_ROWS + rows), floor)

    q80 = blend(usual.q80, 0.8, max(FLOOR_80, repeat))
    q95 = max(blend(usual.q95, 0.95, max(FLOOR_95, 2.0 * repeat)), q80)
    old, new = median_error(before), median_error(after)
    return MetricError(
        metric=metric,
        held_out=rows,
        q80=round(q80, 4),
        q95=round(q95, 4),
        before=None if old is None else round(old, 5),
        after=None if new is None else round(new, 5),
    )
