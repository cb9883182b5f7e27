"""Solving a question fast: hours joined, then exact.

1. Hours are joined into a few levels, each as busy as its busiest hour, and the mix is solved.
2. The pools it chose are solved again with every hour as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.dominance import undominated
from advisor.optimizer.mix import MixSolution, solve
from advisor.optimizer.problem import Bools, Floats, Ints, MixProblem, merge_periods, restrict
from advisor.optimizer.singles import Singles

LEVELS = 5
COARSE_GAP = 2e-3


@dataclass(frozen=True)
class Effort:
    """When a search may stop: gap to the best bound, nodes of the tree."""

    gap: float
    nodes: int


COARSE, FINE = Effort(COARSE_GAP, 200), Effort(1e-4, 2_000)
OTHERS = Effort(1e-3, 200)
"""For the best plan of another kind."""
ROUGH = Effort(1e-2, 20)
"""For the safer plan and the patterns of curves."""


def options_on(question: Question, pools: Bools) -> Bools:
    """``(O,)`` options that use only these pools, or none."""
    return np.array([all(pools[p] for p, _ in o.uses) for o in question.options], dtype=bool)


def in_levels(problem: MixProblem, levels: int = LEVELS) -> MixProblem:
    """Join hours into levels of demand, each as busy as its busiest hour."""
    return levelled(problem, levels)[0]


def levelled(problem: MixProblem, levels: int = LEVELS) -> tuple[MixProblem, Ints]:
    """Join hours as :func:`in_levels` does; returns the level of each hour as well."""
    small, merged = merge_periods(problem)
    total = small.demand_per_s.sum(axis=0)
    if len(total) <= levels:
        return small, merged
    edges = np.unique(np.quantile(total, np.linspace(0.0, 1.0, levels + 1)))
    index = np.clip(np.searchsorted(edges, total, side="left") - 1, 0, len(edges) - 2)
    used, index = np.unique(index, return_inverse=True)
    groups = [np.nonzero(index == i)[0] for i in range(len(used))]
    joined = replace(
        small,
        demand_per_s=np.stack([small.demand_per_s[:, g].max(axis=1) for g in groups], axis=1),
        hours=np.array([small.hours[g].sum() for g in groups]),
    )
    return joined, index[merged]


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


@dataclass(frozen=True, eq=False)
class Slim:
    """A problem without what a best plan needn't use, and where its indices were before."""

    problem: MixProblem
    options: Ints
    pools: Ints


def slim(problem: MixProblem) -> Slim:
    """Drop what nothing allowed uses, and options that another one replaces without loss."""
    once = compact(problem)
    options, pools = _kept(problem)
    worth = restrict(once, undominated(once))
    some, left = _kept(worth)
    return Slim(compact(worth), options[some], pools[left])


def _kept(problem: MixProblem) -> tuple[Ints, Ints]:
    """Return the indices of options and pools that :func:`compact` keeps."""
    options = np.asarray(problem.allowed.any(axis=1))
    pools = np.unique(problem.use_pool[options[problem.use_option]])
    return np.nonzero(options)[0], pools


def _expanded(problem: MixProblem, small: Slim, found: MixSolution) -> MixSolution:
    """Put a solution of a slim problem back on the indices of the whole one."""
    if not found.feasible:
        return found
    periods = found.flow_per_s.shape[2]
    flow = np.zeros((len(problem.options), *found.flow_per_s.shape[1:]))
    fixed = np.zeros(len(problem.pools), dtype=np.int64)
    scaled = np.zeros((len(problem.pools), periods), dtype=np.int64)
    flow[small.options] = found.flow_per_s
    fixed[small.pools], scaled[small.pools] = found.fixed, found.scaled
    return replace(found, flow_per_s=flow, fixed=fixed, scaled=scaled)


def solve_exactly(
    problem: MixProblem, start: Floats | None = None, effort: Effort = FINE
) -> MixSolution:
    """Solve with every hour as it is; indices of the problem given.

    ``start``: ``(O, C, T)`` share of each class on each option in a plan known to be good.
    """
    small = slim(problem)
    first = None if start is None else start[small.options]
    found = solve(small.problem, gap=effort.gap, node_limit=effort.nodes, start=first)
    return _expanded(problem, small, found)


def quick(problem: MixProblem, effort: Effort = COARSE) -> MixSolution:
    """Solve with joined hours: the choice of pools, and a cost that is a little high."""
    joined = in_levels(problem)
    small = slim(joined)
    found = solve(small.problem, gap=effort.gap, node_limit=effort.nodes)
    return _expanded(joined, small, found)


def _shares_by_hour(problem: MixProblem, coarse: MixSolution) -> Floats:
    """``(O, C, T)`` shares of a plan found with joined hours, hour by hour."""
    joined, level = levelled(problem)
    demand = np.where(joined.demand_per_s > 0, joined.demand_per_s, 1.0)
    return np.asarray((coarse.flow_per_s / demand)[:, :, level])


def best_plan(question: Question, keep: Bools | None = None, effort: Effort = FINE) -> MixSolution:
    """Return the cheapest mix of the options in ``keep`` ``(O,)`` (None: of all)."""
    problem = question.problem if keep is None else restrict(question.problem, keep)
    coarse = quick(problem, effort if effort is ROUGH else COARSE)
    if coarse.status == "infeasible":
        # Joined hours overstate what a month takes: a limit may still hold with exact ones.
        return solve_exactly(problem) if problem.limits else coarse
    used = np.zeros(len(problem.pools), dtype=bool)
    start = None
    if coarse.feasible:
        used |= (coarse.fixed > 0) | coarse.scaled.any(axis=1)
        start = _shares_by_hour(problem, coarse)
    # The best option alone is known at exact hours: joined hours may have hidden it.
    alone = Singles(replace(question, problem=problem)).best("mix", 1.0)[1]
    if alone is not None:
        used[[p for p, _ in question.options[alone].uses]] = True
    chosen = restrict(problem, options_on(question, used))
    exact = solve_exactly(chosen, start, effort)
    return exact if exact.feasible else solve_exactly(problem)
