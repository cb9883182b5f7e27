"""The mix of least cost: continuous flows, whole replicas, solved by HiGHS.

``scipy.optimize.milp`` (Huangfu, Hall, Parallelizing the dual revised simplex method, Math.
Prog. Comp. 10, 2018). A plan known beforehand and the relaxation narrow the search first
(:mod:`advisor.optimizer.tighten`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from advisor.optimizer.problem import Floats, Ints, Limit, MixProblem, merge_periods
from advisor.optimizer.rows import (
    Columns,
    Rows,
    columns_of,
    limit_coefficients,
    objective_of,
    rows_of,
    upper_bounds,
)
from advisor.optimizer.tighten import known_plan, narrowed, relaxed

Status = Literal["optimal", "infeasible", "stopped"]
DEFAULT_GAP = 1e-6
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class MixSolution:
    """What the solver found; numbers are None or empty unless there is a plan.

    Parameters
    ----------
    status
        ``stopped``: at the node limit; a plan may be there, ``gap`` says how far it may be from
        the best.
    usd_per_month
        Objective.
    gap
        Relative difference to the best bound proven.
    flow_per_s
        ``(O, C, T)``.
    fixed, scaled
        ``(P,)`` and ``(P, T)`` whole replicas.
    charged
        ``(G,)`` 1 where a charge is due.
    limit_use
        Limit → what the plan takes of it, in the limit's unit (its largest period).
    """

    status: Status
    usd_per_month: float | None
    gap: float | None
    flow_per_s: Floats
    fixed: Ints
    scaled: Ints
    charged: Ints
    limit_use: dict[str, float]

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return self.usd_per_month is not None


def solve(
    problem: MixProblem,
    *,
    gap: float = DEFAULT_GAP,
    node_limit: int | None = None,
    start: Floats | None = None,
) -> MixSolution:
    """Find the mix of least cost.

    Parameters
    ----------
    problem
        Numbers of the question.
    gap
        Relative difference to the best bound at which the search may stop.
    node_limit
        Most nodes of the search tree, so that the answer doesn't depend on the machine's speed;
        None: until the gap is reached.
    start
        ``(O, C, T)`` share of each class on each option in a plan known to be good.
    """
    small, index = merge_periods(problem)
    if not _servable(small):
        return _nothing("infeasible")
    x = columns_of(small)
    rows, cost = rows_of(small, x), objective_of(small, x)
    unit = float(np.abs(cost).max(initial=0.0)) or 1.0
    upper = upper_bounds(small, x)
    relaxation = relaxed(rows, cost / unit, upper)
    if relaxation is None:
        return _nothing("infeasible")
    flows = [relaxation.values[: x.shares]]
    if start is not None:
        first = np.unique(index, return_index=True)[1]
        flows.append(start[:, :, first][x.option, x.cls, x.period])
    known = known_plan(small, x, rows, cost, upper, flows)
    if known is not None:
        usd, bound = float(cost @ known), relaxation.bound * unit
        off = max(usd - bound, 0.0) / max(abs(usd), TINY)
        if off <= gap:
            return _unpack(small, x, known, index, usd, "optimal", off)
        whole = np.arange(x.count) >= x.fixed_at
        upper = narrowed(upper, relaxation, usd / unit, whole)
    values, status, reached = _searched(x, rows, cost / unit, upper, gap, node_limit)
    if values is None and known is None:
        return _nothing(status)
    if values is None or (known is not None and cost @ known < cost @ values):
        assert known is not None
        values = known
    return _unpack(small, x, values, index, float(cost @ values), status, reached)


def _searched(
    x: Columns, rows: Rows, cost: Floats, upper: Floats, gap: float, node_limit: int | None
) -> tuple[Floats | None, Status, float]:
    """Run the solver: variables (None: no plan), how it ended, gap reached."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    whole = np.zeros(x.count)
    whole[x.fixed_at :] = 1.0
    options: dict[str, Any] = {"mip_rel_gap": gap, "presolve": True}
    if node_limit is not None:
        options["node_limit"] = node_limit
    found = milp(
        cost,
        integrality=whole,
        bounds=Bounds(np.zeros(x.count), upper),
        constraints=LinearConstraint(rows.matrix, rows.low, rows.high),
        options=options,
    )
    if found.x is None:
        return None, "stopped" if found.status == 1 else "infeasible", 0.0
    values = np.maximum(np.asarray(found.x, dtype=float), 0.0)
    values[x.fixed_at :] = np.round(values[x.fixed_at :])
    done: Status = "optimal" if found.status == 0 else "stopped"
    return values, done, float(found.mip_gap) if found.mip_gap is not None else 0.0


def _servable(problem: MixProblem) -> bool:
    """Tell whether every class with demand has an option at all."""
    wanted = problem.demand_per_s.any(axis=1)
    return bool(np.all(problem.allowed[:, wanted].any(axis=0)))


def _nothing(status: Status) -> MixSolution:
    empty = np.zeros(0, dtype=np.int64)
    return MixSolution(status, None, None, np.zeros((0, 0, 0)), empty, empty, empty, {})


def _unpack(
    problem: MixProblem,
    x: Columns,
    values: Floats,
    index: Ints,
    usd: float,
    status: Status,
    gap: float,
) -> MixSolution:
    c, t = problem.demand_per_s.shape
    flow = np.zeros((len(problem.options), c, t))
    rate = problem.demand_per_s[x.cls, x.period]
    flow[x.option, x.cls, x.period] = values[: x.shares] * rate
    fixed = np.zeros(len(problem.pools), dtype=np.int64)
    fixed[x.fixed_pool] = values[x.fixed_at : x.scaled_at].astype(np.int64)
    scaled = np.zeros((len(problem.pools), t), dtype=np.int64)
    scaled[x.scaled_pool, x.scaled_period] = values[x.scaled_at : x.charge_at].astype(np.int64)
    charged = values[x.charge_at :].astype(np.int64)
    used = {limit.name: _used(problem, x, values, limit) for limit in problem.limits}
    return MixSolution(status, usd, gap, flow[:, :, index], fixed, scaled[:, index], charged, used)


def _used(problem: MixProblem, x: Columns, values: Floats, limit: Limit) -> float:
    row, col, value = limit_coefficients(problem, x, limit)
    total = np.zeros(len(problem.hours) if limit.each_period else 1)
    np.add.at(total, row, value * values[col])
    worst = total.max() if limit.sense == "at-most" else total.min()
    return float(worst / limit.scale)
