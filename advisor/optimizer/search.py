"""Solving a question fast: hours joined, then exact.

1. Hours are joined into a few levels, each as busy as its busiest hour, and the mix is solved.
2. The pools it chose are solved again with every hour as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.mix import MixSolution, solve
from advisor.optimizer.problem import Bools, MixProblem, merge_periods, restrict
from advisor.optimizer.singles import Singles

LEVELS = 5
COARSE_GAP = 2e-3
FINE_GAP = 1e-4
COARSE_NODES = 200
FINE_NODES = 2_000


def options_on(question: Question, pools: Bools) -> Bools:
    """``(O,)`` options that use only these pools, or none."""
    return np.array([all(pools[p] for p, _ in o.uses) for o in question.options], dtype=bool)


def in_levels(problem: MixProblem, levels: int = LEVELS) -> MixProblem:
    """Join hours into levels of demand, each as busy as its busiest hour."""
    small, _ = merge_periods(problem)
    total = small.demand_per_s.sum(axis=0)
    if len(total) <= levels:
        return small
    edges = np.unique(np.quantile(total, np.linspace(0.0, 1.0, levels + 1)))
    index = np.clip(np.searchsorted(edges, total, side="left") - 1, 0, len(edges) - 2)
    groups = [np.nonzero(index == i)[0] for i in range(len(edges) - 1) if i in index]
    return replace(
        small,
        demand_per_s=np.stack([small.demand_per_s[:, g].max(axis=1) for g in groups], axis=1),
        hours=np.array([small.hours[g].sum() for g in groups]),
    )


def compact(problem: MixProblem) -> MixProblem:
    """Drop pools, options and charges that nothing allowed uses; indices shift."""
    options = np.asarray(problem.allowed.any(axis=1))
    uses = options[problem.use_option]
    pools = np.zeros(len(problem.pools), dtype=bool)
    pools[problem.use_pool[uses]] = True
    new_option, new_pool = np.cumsum(options) - 1, np.cumsum(pools) - 1
    charged = options[problem.charge_option]
    return replace(
        problem,
        options=tuple(n for n, k in zip(problem.options, options, strict=True) if k),
        pools=tuple(n for n, k in zip(problem.pools, pools, strict=True) if k),
        allowed=problem.allowed[options],
        usd_per_request=problem.usd_per_request[options],
        most_share=None if problem.most_share is None else problem.most_share[options],
        fixed_usd_per_month=problem.fixed_usd_per_month[pools],
        scaled_usd_per_hour=problem.scaled_usd_per_hour[pools],
        use_option=new_option[problem.use_option[uses]],
        use_pool=new_pool[problem.use_pool[uses]],
        use_s=problem.use_s[uses],
        charge_option=new_option[problem.charge_option[charged]],
        charge_index=problem.charge_index[charged],
        limits=tuple(
            replace(
                x,
                per_request=x.per_request[options] if x.per_request.size else x.per_request,
                per_fixed=x.per_fixed[pools] if x.per_fixed.size else x.per_fixed,
                per_scaled=x.per_scaled[pools] if x.per_scaled.size else x.per_scaled,
            )
            for x in problem.limits
        ),
    )


def _expanded(problem: MixProblem, small: MixProblem, found: MixSolution) -> MixSolution:
    """Put a solution of a compact problem back on the indices of the whole one."""
    if not found.feasible:
        return found
    option = {n: i for i, n in enumerate(problem.options)}
    pool = {n: i for i, n in enumerate(problem.pools)}
    flow = np.zeros((len(problem.options), *found.flow_per_s.shape[1:]))
    flow[[option[n] for n in small.options]] = found.flow_per_s
    fixed = np.zeros(len(problem.pools), dtype=np.int64)
    scaled = np.zeros((len(problem.pools), found.flow_per_s.shape[2]), dtype=np.int64)
    at = [pool[n] for n in small.pools]
    fixed[at], scaled[at] = found.fixed, found.scaled
    return replace(found, flow_per_s=flow, fixed=fixed, scaled=scaled)


def solve_exactly(problem: MixProblem) -> MixSolution:
    """Solve with every hour as it is; indices of the problem given."""
    small = compact(problem)
    found = solve(small, gap=FINE_GAP, node_limit=FINE_NODES)
    return _expanded(problem, small, found)


def quick(problem: MixProblem) -> MixSolution:
    """Solve with joined hours: the choice of pools, and a cost that is a little high."""
    levelled = compact(in_levels(problem))
    found = solve(levelled, gap=COARSE_GAP, node_limit=COARSE_NODES)
    return _expanded(in_levels(problem), levelled, found)


def best_plan(question: Question, keep: Bools | None = None) -> MixSolution:
    """Return the cheapest mix of the options in ``keep`` ``(O,)`` (None: of all)."""
    problem = question.problem if keep is None else restrict(question.problem, keep)
    coarse = quick(problem)
    if coarse.status == "infeasible":
        # Joined hours overstate what a month takes: a limit may still hold with exact ones.
        return solve_exactly(problem) if problem.limits else coarse
    used = np.zeros(len(problem.pools), dtype=bool)
    if coarse.feasible:
        used |= (coarse.fixed > 0) | coarse.scaled.any(axis=1)
    # The best option alone is known at exact hours: joined hours may have hidden it.
    alone = Singles(replace(question, problem=problem)).best("mix", 1.0)[1]
    if alone is not None:
        used[[p for p, _ in question.options[alone].uses]] = True
    chosen = restrict(problem, options_on(question, used))
    exact = solve_exactly(chosen)
    return exact if exact.feasible else solve_exactly(problem)
