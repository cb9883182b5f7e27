"""When nothing fits: which limits clash, and the smallest step back from each.

The irreducible set is found by a deletion filter (Chinneck, Dravnieks, Locating minimal
infeasible constraint sets in linear programs, ORSA J. Computing 3, 1991): a limit stays in the
set only if the problem becomes feasible without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from advisor.optimizer.mix import DEFAULT_GAP, solve
from advisor.optimizer.problem import Floats, Limit, MixProblem

MARGIN = 1e-6
"""A relaxed value is rounded outwards by this share, within the solver's tolerance."""


@dataclass(frozen=True)
class Relaxation:
    """The least change of one limit that makes the problem feasible, the others kept.

    ``value`` None: no value of this limit alone helps. ``usd_per_month``: cost of the plan
    found with it.
    """

    name: str
    stated: float
    value: float | None
    usd_per_month: float | None


@dataclass(frozen=True)
class Conflict:
    """Limits that can't hold together, each needed for the clash, and ways out.

    ``demand`` True: demand can't be served even without any limit.
    """

    limits: tuple[str, ...]
    relaxations: tuple[Relaxation, ...]
    demand: bool = False


def _free(problem: MixProblem) -> MixProblem:
    """Return the problem with all prices zero: any plan will do."""
    return replace(
        problem,
        usd_per_request=np.zeros_like(problem.usd_per_request),
        fixed_usd_per_month=_kept(problem.fixed_usd_per_month),
        scaled_usd_per_hour=_kept(problem.scaled_usd_per_hour),
        charge_usd_per_month=np.zeros_like(problem.charge_usd_per_month),
    )


def _feasible(problem: MixProblem) -> bool:
    return solve(_free(problem)).feasible


def _kept(prices: Floats) -> Floats:
    """Zero prices; what can't be had stays infinite."""
    return np.where(np.isfinite(prices), 0.0, np.inf)


def irreducible(problem: MixProblem) -> tuple[str, ...]:
    """Return an irreducible infeasible set of limits; empty if it fits or demand itself can't.

    Without any one of them, and with every limit outside the set ignored, a plan exists.
    """
    if _feasible(problem) or not _feasible(problem.with_limits()):
        return ()
    kept = list(problem.limits)
    for limit in problem.limits:
        rest = [x for x in kept if x.name != limit.name]
        if not _feasible(problem.with_limits(*rest)):
            kept = rest
    return tuple(x.name for x in kept)


def explain(problem: MixProblem) -> Conflict:
    """Explain why a problem has no plan.

    A relaxation without a value says that another clash lies behind the first.
    """
    names = irreducible(problem)
    if not names:
        return Conflict((), (), demand=not _feasible(problem))
    ordered = [problem.limit(n) for n in names]
    ways = [relaxed(problem, x) for x in ordered]
    return Conflict(names, tuple(ways))


def relaxed(problem: MixProblem, limit: Limit, within: float = MARGIN) -> Relaxation:
    """Return the least change of a limit that makes the problem feasible, checked by solving.

    The least use of the limit under all other limits is itself a mix problem, whose prices are
    the limit's coefficients. ``within``: share by which a peak may miss its least value.
    """
    others = problem.without(limit.name)
    least = best_use(others, limit, within=within)
    if least is None:
        return Relaxation(limit.name, limit.value, None, None)
    outwards = MARGIN * abs(least)
    value = least + outwards if limit.sense == "at-most" else least - outwards
    plan = solve(problem.with_value(limit.name, value))
    if plan.usd_per_month is None:
        return Relaxation(limit.name, limit.value, None, None)
    return Relaxation(limit.name, limit.value, value, plan.usd_per_month)


def best_use(
    problem: MixProblem, limit: Limit, gap: float = DEFAULT_GAP, within: float = MARGIN
) -> float | None:
    """Return the least (for a floor: the largest) use of a limit; None if nothing fits."""
    if limit.each_period:
        return _best_peak(problem, limit, within)
    requests = _or_zero(limit.per_request, problem.usd_per_request)
    # A floor is a sum over all requests: its largest value is the least shortfall.
    floor = limit.sense == "at-least"
    top = float(requests.max(initial=0.0)) if floor else 0.0
    fixed = _or_zero(limit.per_fixed, problem.fixed_usd_per_month)
    scaled = _or_zero(limit.per_scaled, problem.scaled_usd_per_hour)
    priced = replace(
        problem,
        usd_per_request=top - requests if floor else requests,
        fixed_usd_per_month=fixed + _kept(problem.fixed_usd_per_month),
        scaled_usd_per_hour=scaled + _kept(problem.scaled_usd_per_hour),
        charge_usd_per_month=_or_zero(limit.per_charge, problem.charge_usd_per_month),
    )
    found = solve(priced, gap=gap)
    if found.usd_per_month is None:
        return None
    whole = float((problem.requests_per_month * top).sum())
    return (whole - found.usd_per_month if floor else found.usd_per_month) / limit.scale


def _or_zero(values: Floats, like: Floats) -> Floats:
    return values if values.size else np.zeros_like(like)


def _best_peak(problem: MixProblem, limit: Limit, within: float) -> float | None:
    """Least peak over the periods, by bisection: any plan under a peak lowers it."""
    problem = _free(problem)
    plan = solve(problem.with_limits(*problem.limits, limit.at(np.inf)))
    if not plan.feasible:
        return None
    high, low = plan.limit_use[limit.name], limit.value
    while high - low > within * max(high, 1.0):
        middle = (low + high) / 2.0
        tried = solve(problem.with_limits(*problem.limits, limit.at(middle)))
        if tried.feasible:
            high = min(middle, tried.limit_use[limit.name])
        else:
            low = middle
    return high
