"""What limits cost: binding ones, and shadow prices of the linear relaxation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.optimizer.mix import DEFAULT_GAP, MixSolution, solve
from advisor.optimizer.problem import Limit, MixProblem, merge_periods
from advisor.optimizer.rows import columns_of, objective_of, rows_of, upper_bounds

SMALL = 1e-9
NEAR = 0.5
"""A limit of which the plan leaves more than this share can't be what holds it back."""


@dataclass(frozen=True)
class Binding:
    """A limit that costs money.

    Parameters
    ----------
    saved_usd_per_month
        What the plan would save without it.
    used
        What the plan takes, in the limit's unit.
    """

    name: str
    value: float
    used: float
    saved_usd_per_month: float


def shadow_prices(problem: MixProblem) -> dict[str, float] | None:
    """Dollars a month saved by one more unit of each limit, replicas divisible.

    Duals of the linear relaxation, summed over periods where a limit holds in each; 0 for a
    limit that doesn't bind. A floor's price is what one unit less saves. None if even the
    relaxation is infeasible.
    """
    from scipy.optimize import linprog
    from scipy.sparse import vstack

    small, _ = merge_periods(problem)
    x = columns_of(small)
    rows, cost = rows_of(small, x, linked=False), objective_of(small, x)
    unit = float(np.abs(cost).max(initial=0.0)) or 1.0
    equal = rows.low == rows.high
    below, above = np.isfinite(rows.high) & ~equal, np.isfinite(rows.low) & ~equal
    found = linprog(
        cost / unit,
        A_ub=vstack([rows.matrix[below], -rows.matrix[above]]),
        b_ub=np.concatenate([rows.high[below], -rows.low[above]]),
        A_eq=rows.matrix[equal],
        b_eq=rows.high[equal],
        bounds=np.stack([np.zeros(x.count), upper_bounds(small, x)], axis=1),
        method="highs",
    )
    if found.status != 0:
        return None
    dual = np.zeros(len(rows.low))
    dual[np.concatenate([np.nonzero(below)[0], np.nonzero(above)[0]])] = -found.ineqlin.marginals
    return {
        name: float(dual[block].sum() * unit * _per_unit(rows.low, rows.high, block, limit))
        for limit in small.limits
        for name, block in [(limit.name, rows.limit_rows[limit.name])]
    }


def _per_unit(low: np.ndarray, high: np.ndarray, block: slice, limit: Limit) -> float:
    """How much the bound of a scaled row moves with one unit of its limit."""
    bound = (high if limit.sense == "at-most" else low)[block][0]
    whole = limit.value * limit.scale
    return float(bound / whole * limit.scale) if whole else 0.0


def binding_limits(
    problem: MixProblem, best: MixSolution, gap: float = DEFAULT_GAP
) -> tuple[Binding, ...]:
    """Return the limits without which a cheaper plan exists, dearest first; each is solved."""
    if best.usd_per_month is None:
        return ()
    found = []
    for limit in problem.limits:
        used = best.limit_use[limit.name]
        if not _near(limit, used):
            continue
        free = solve(problem.without(limit.name), gap=gap)
        if free.usd_per_month is None:
            continue
        saved = best.usd_per_month - free.usd_per_month
        if saved > max(2 * gap, SMALL) * best.usd_per_month + SMALL:
            found.append(Binding(limit.name, limit.value, used, saved))
    return tuple(sorted(found, key=lambda b: -b.saved_usd_per_month))


def _near(limit: Limit, used: float) -> bool:
    """Tell whether a limit could bind: whole replicas may leave a part of it unused."""
    if limit.sense == "at-least":
        return True
    return used >= NEAR * limit.value
