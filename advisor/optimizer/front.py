"""Pareto fronts by the epsilon-constraint method.

Haimes, Lasdon, Wismer, On a bicriterion formulation, IEEE Trans. SMC 1, 1971: minimise cost
under a floor (or cap) on the other measure, moved in steps from its value in the cheapest plan
to the best it can reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.optimizer.conflict import best_use
from advisor.optimizer.mix import DEFAULT_GAP, MixSolution, solve
from advisor.optimizer.problem import Limit, MixProblem

SAME = 1e-6


@dataclass(frozen=True, eq=False)
class FrontPoint:
    """One plan that no other beats in both cost and measure."""

    measure: float
    usd_per_month: float
    solution: MixSolution


def pareto_front(
    problem: MixProblem, measure: Limit, steps: int = 8, gap: float = DEFAULT_GAP
) -> tuple[FrontPoint, ...]:
    """Trace cost against a measure.

    Parameters
    ----------
    problem
        The question; its own limits hold throughout.
    measure
        A limit whose ``value`` doesn't matter: a floor on what should be high (quality), a cap
        on what should be low (latency).
    steps
        Plans sought, ends included.

    Returns
    -------
    tuple of FrontPoint
        Cheapest first, dominated ones dropped; empty if the problem has no plan.
    """
    idle = measure.at(-np.inf if measure.sense == "at-least" else np.inf)
    cheapest = solve(problem.with_limits(*problem.limits, idle), gap=gap)
    if not cheapest.feasible:
        return ()
    start = cheapest.limit_use[measure.name]
    hardest = measure.at(np.inf if measure.sense == "at-least" else -np.inf)
    end = best_use(problem, hardest, gap)
    plans = [cheapest]
    if end is not None and abs(end - start) > SAME * max(abs(start), SAME):
        for value in np.linspace(start, end, steps)[1:]:
            plans.append(solve(problem.with_limits(*problem.limits, measure.at(value)), gap=gap))
    points = [
        FrontPoint(p.limit_use[measure.name], p.usd_per_month, p)
        for p in plans
        if p.usd_per_month is not None
    ]
    return undominated(points, larger_is_better=measure.sense == "at-least")


def undominated(points: list[FrontPoint], *, larger_is_better: bool) -> tuple[FrontPoint, ...]:
    """Drop every point that another one equals or beats in both respects."""
    sign = -1.0 if larger_is_better else 1.0
    kept: list[FrontPoint] = []
    for p in sorted(points, key=lambda p: (p.usd_per_month, sign * p.measure)):
        if not kept or sign * p.measure < sign * kept[-1].measure - SAME * abs(p.measure):
            kept.append(p)
    return tuple(kept)
