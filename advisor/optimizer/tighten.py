"""What is known before the search: bounds of the relaxation, and plans found without searching.

No plan cheaper than a known one uses a variable beyond ``(known - bound) / reduced cost``
(reduced cost fixing: Crowder, Johnson, Padberg, Solving large-scale zero-one linear programming
problems, Operations Research 31, 1983). Known plans: each option alone, and the relaxation's
flows on whole replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.optimizer.problem import Bools, Floats, MixProblem
from advisor.optimizer.rows import Columns, Rows

WHOLE = 1e-9
"""A load this little above whole replicas needs no further one."""
KEPT = 1e-7
"""A row is kept if it is missed by no more."""
LEAST_SHARE = 1e-7
ROUNDING = 1e-6
TRIED = 8
"""Options alone that are tried, cheapest first, until one keeps all limits."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The problem with divisible replicas.

    Parameters
    ----------
    bound
        Its least cost: no plan is cheaper.
    values
        Of its variables.
    reduced
        What one unit of each variable adds to the bound at least.
    """

    bound: float
    values: Floats
    reduced: Floats


def relaxed(rows: Rows, cost: Floats, upper: Floats) -> Relaxed | None:
    """Solve the relaxation, None if even that has no plan."""
    from scipy.optimize import linprog
    from scipy.sparse import vstack

    equal = rows.low == rows.high
    below, above = np.isfinite(rows.high) & ~equal, np.isfinite(rows.low) & ~equal
    found = linprog(
        cost,
        A_ub=vstack([rows.matrix[below], -rows.matrix[above]]),
        b_ub=np.concatenate([rows.high[below], -rows.low[above]]),
        A_eq=rows.matrix[equal],
        b_eq=rows.high[equal],
        bounds=np.stack([np.zeros(len(cost)), upper], axis=1),
        method="highs",
    )
    if found.status != 0:
        return None
    return Relaxed(float(found.fun), np.asarray(found.x), np.asarray(found.lower.marginals))


def narrowed(upper: Floats, relaxation: Relaxed, known: float, whole: Bools) -> Floats:
    """Return the largest values variables have in plans no dearer than a known one."""
    room = (known - relaxation.bound) * (1.0 + ROUNDING) + ROUNDING * abs(known)
    most = np.full(len(upper), np.inf)
    dear = relaxation.reduced > WHOLE * max(abs(known), WHOLE)
    most[dear] = room / relaxation.reduced[dear]
    most[whole] = np.floor(most[whole] + ROUNDING)
    return np.asarray(np.minimum(upper, most))


def on_replicas(load: Floats, problem: MixProblem) -> tuple[Floats, Floats, Floats]:
    """Return the cheapest whole replicas for the load of each pool.

    Parameters
    ----------
    load
        ``(P, T)`` replicas' worth of work.

    Returns
    -------
    fixed, scaled, usd
        ``(P,)``, ``(P, T)``, ``(P,)`` dollars a month, infinite where the load can't be had.
    """
    need = np.ceil(load - WHOLE)
    most = need.max(axis=1, initial=0.0)
    a, b = problem.fixed_usd_per_month, problem.scaled_usd_per_hour
    used = most > 0
    # The best number to keep is what some period needs, or the least that is allowed.
    least = np.zeros_like(most) if problem.scales_from_zero else np.minimum(most, 1.0)
    keep = np.concatenate([need, least[:, None], most[:, None]], axis=1)
    keep = np.maximum(keep, least[:, None])
    more = np.maximum(need[:, None, :] - keep[:, :, None], 0.0)
    hours = more @ problem.hours
    with np.errstate(invalid="ignore"):
        usd = np.where(keep > 0, keep * a[:, None], 0.0)
        usd = usd + np.where(hours > 0, hours * b[:, None], 0.0)
    best = usd.argmin(axis=1)
    rows = np.arange(len(need))
    fixed = np.where(used, keep[rows, best], 0.0)
    scaled = np.where(used[:, None], more[rows, best], 0.0)
    return fixed, scaled, np.where(used, usd[rows, best], 0.0)


def filled(problem: MixProblem, x: Columns, shares: Floats) -> Floats | None:
    """Return all variables of a plan with these flows, None if its replicas can't be had."""
    load = np.zeros((len(problem.pools), len(problem.hours)))
    rate = problem.demand_per_s[x.cls, x.period] * shares
    for option, pool, seconds in zip(
        problem.use_option, problem.use_pool, problem.use_s, strict=True
    ):
        at = (x.option == option) & (shares > 0)
        np.add.at(load[pool], x.period[at], seconds[x.cls[at]] * rate[at])
    fixed, scaled, usd = on_replicas(load, problem)
    if not np.isfinite(usd).all():
        return None
    serving = np.unique(x.option[shares > 0])
    charged = np.zeros(x.charges)
    charged[problem.charge_index[np.isin(problem.charge_option, serving)]] = 1.0
    return np.concatenate(
        [shares, fixed[x.fixed_pool], scaled[x.scaled_pool, x.scaled_period], charged]
    )


def holds(rows: Rows, upper: Floats, values: Floats) -> bool:
    """Tell whether a plan keeps every row and bound."""
    taken = rows.matrix @ values
    inside = (taken >= rows.low - KEPT) & (taken <= rows.high + KEPT)
    return bool(inside.all() and (values <= upper + KEPT).all())


def alone(problem: MixProblem, x: Columns) -> list[Floats]:
    """Return the flows of plans of one option that serves everything, cheapest first."""
    wanted = problem.demand_per_s.any(axis=1)
    whole = problem.allowed[:, wanted].all(axis=1)
    if problem.most_share is not None:
        whole &= (problem.most_share[:, wanted] >= 1.0).all(axis=1)
    load = np.asarray(problem.use_s @ problem.demand_per_s)
    each = _one_by_one(problem)
    usd = on_replicas(load, each)[2]
    month = problem.requests_per_month
    total = problem.usd_per_request @ month
    np.add.at(total, problem.use_option, usd)
    np.add.at(total, problem.charge_option, problem.charge_usd_per_month[problem.charge_index])
    total[~whole] = np.inf
    ranked = [int(i) for i in np.argsort(total, kind="stable") if np.isfinite(total[i])]
    return [(x.option == i).astype(float) for i in ranked[:TRIED]]


def _one_by_one(problem: MixProblem) -> MixProblem:
    """Return the problem with a pool for each use of one."""
    at = problem.use_pool
    return replace(
        problem,
        pools=tuple(problem.pools[p] for p in at),
        fixed_usd_per_month=problem.fixed_usd_per_month[at],
        scaled_usd_per_hour=problem.scaled_usd_per_hour[at],
    )


def known_plan(
    problem: MixProblem,
    x: Columns,
    rows: Rows,
    cost: Floats,
    upper: Floats,
    flows: Sequence[Floats],
) -> Floats | None:
    """Return the cheapest plan known without searching, None if none keeps the limits.

    ``flows``: shares that may make a good plan once replicas are whole.
    """
    found: list[Floats] = []
    for shares in flows:
        plan = filled(problem, x, np.where(shares > LEAST_SHARE, np.minimum(shares, 1.0), 0.0))
        if plan is not None and holds(rows, upper, plan):
            found.append(plan)
    for shares in alone(problem, x):
        plan = filled(problem, x, shares)
        if plan is not None and holds(rows, upper, plan):
            found.append(plan)
            break
    return min(found, key=lambda v: float(cost @ v), default=None)
