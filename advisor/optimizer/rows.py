"""A problem as a sparse matrix: variables, objective, rows of the constraints.

Flows are shares of a class's demand, so that the matrix is well scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from advisor.optimizer.problem import (
    SECONDS_PER_HOUR,
    Bools,
    Floats,
    Ints,
    Limit,
    MixProblem,
)


@dataclass(frozen=True, eq=False)
class Columns:
    """Where each variable stands: shares of (option, class, period), replicas, charges."""

    option: Ints
    cls: Ints
    period: Ints
    fixed_pool: Ints
    scaled_pool: Ints
    scaled_period: Ints
    charges: int

    @property
    def shares(self) -> int:
        """Number of flow variables; they come first."""
        return len(self.option)

    @property
    def fixed_at(self) -> int:
        """Column of the first fixed pool."""
        return self.shares

    @property
    def scaled_at(self) -> int:
        """Column of the first autoscaled pool."""
        return self.shares + len(self.fixed_pool)

    @property
    def charge_at(self) -> int:
        """Column of the first charge."""
        return self.scaled_at + len(self.scaled_pool)

    @property
    def count(self) -> int:
        """Number of variables."""
        return self.charge_at + self.charges


@dataclass(frozen=True, eq=False)
class Rows:
    """The constraint matrix (sparse), its bounds, and which rows belong to which limit."""

    matrix: Any
    low: Floats
    high: Floats
    limit_rows: dict[str, slice]


def columns_of(problem: MixProblem) -> Columns:
    """Lay out the variables of a problem."""
    periods = len(problem.hours)
    option, cls = np.nonzero(problem.allowed)
    # A class without demand in a period needs no flow there.
    busy = problem.demand_per_s[cls] > 0
    pair, period = np.nonzero(busy)
    used = np.unique(problem.use_pool)
    fixed = used[np.isfinite(problem.fixed_usd_per_month[used])]
    scaled = used[np.isfinite(problem.scaled_usd_per_hour[used])]
    return Columns(
        option=option[pair],
        cls=cls[pair],
        period=period,
        fixed_pool=fixed,
        scaled_pool=np.repeat(scaled, periods),
        scaled_period=np.tile(np.arange(periods), len(scaled)),
        charges=len(problem.charge_usd_per_month),
    )


def objective_of(problem: MixProblem, x: Columns) -> Floats:
    """Dollars a month of one unit of each variable."""
    month = problem.demand_per_s[x.cls, x.period] * problem.hours[x.period] * SECONDS_PER_HOUR
    return np.concatenate(
        [
            problem.usd_per_request[x.option, x.cls] * month,
            problem.fixed_usd_per_month[x.fixed_pool],
            problem.scaled_usd_per_hour[x.scaled_pool] * problem.hours[x.scaled_period],
            problem.charge_usd_per_month,
        ]
    )


class _Builder:
    """Collects rows of a sparse matrix."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.parts: list[tuple[Ints, Ints, Floats]] = []
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.rows = 0

    def add(self, row: Any, col: Any, value: Any) -> None:
        """Put values at (row of the block now open, column)."""
        r, c, v = np.broadcast_arrays(row, col, value)
        self.parts.append((r.reshape(-1) + self.rows, c.reshape(-1), v.reshape(-1).astype(float)))

    def close(self, rows: int, low: float | Floats, high: float | Floats) -> slice:
        """End a block of rows and give its bounds."""
        self.low.append(np.broadcast_to(np.asarray(low, dtype=float), (rows,)))
        self.high.append(np.broadcast_to(np.asarray(high, dtype=float), (rows,)))
        block = slice(self.rows, self.rows + rows)
        self.rows += rows
        return block

    def build(self, limit_rows: dict[str, slice]) -> Rows:
        """Return all rows."""
        from scipy.sparse import csr_matrix

        row, col, value = (np.concatenate(list(part)) for part in zip(*self.parts, strict=True))
        matrix = csr_matrix((value, (row, col)), shape=(self.rows, self.columns))
        return Rows(matrix, np.concatenate(self.low), np.concatenate(self.high), limit_rows)


def rows_of(problem: MixProblem, x: Columns, *, linked: bool = True) -> Rows:
    """Build demand, capacity, charge and limit rows.

    ``linked`` adds rows that whole replicas keep anyway and divisible ones needn't: no part of
    a class runs on a pool without a replica. Bounds of the relaxation are far higher with them.
    """
    b = _Builder(x.count)
    _demand_rows(problem, x, b)
    _capacity_rows(problem, x, b)
    _base_rows(problem, x, b)
    _charge_rows(problem, x, b)
    if linked:
        _linking_rows(problem, x, b)
    limit_rows = {limit.name: _limit_rows(problem, x, b, limit) for limit in problem.limits}
    return b.build(limit_rows)


def _demand_rows(problem: MixProblem, x: Columns, b: _Builder) -> None:
    periods = len(problem.hours)
    b.add(x.cls * periods + x.period, np.arange(x.shares), 1.0)
    served = (problem.demand_per_s > 0).reshape(-1).astype(float)
    b.close(len(served), served, served)


def _capacity_rows(problem: MixProblem, x: Columns, b: _Builder) -> None:
    """Replica-seconds asked of a pool in a second are at most its replicas."""
    periods = len(problem.hours)
    for option, pool, seconds in zip(
        problem.use_option, problem.use_pool, problem.use_s, strict=True
    ):
        at = np.nonzero(x.option == option)[0]
        cls, period = x.cls[at], x.period[at]
        b.add(pool * periods + period, at, seconds[cls] * problem.demand_per_s[cls, period])
    every = np.arange(periods)
    for i, pool in enumerate(x.fixed_pool):
        b.add(pool * periods + every, x.fixed_at + i, -1.0)
    scaled = np.arange(len(x.scaled_pool))
    b.add(x.scaled_pool * periods + x.scaled_period, x.scaled_at + scaled, -1.0)
    b.close(len(problem.pools) * periods, -np.inf, 0.0)


def _base_rows(problem: MixProblem, x: Columns, b: _Builder) -> None:
    """Let replicas come and go only beside one that stays: models take minutes to load."""
    if problem.scales_from_zero or not len(x.scaled_pool):
        return
    fixed_at = {int(pool): x.fixed_at + i for i, pool in enumerate(x.fixed_pool)}
    most = _most_replicas(problem)
    rows = np.arange(len(x.scaled_pool))
    b.add(rows, x.scaled_at + rows, 1.0)
    base = np.array([fixed_at[int(pool)] for pool in x.scaled_pool])
    b.add(rows, base, -most[x.scaled_pool])
    b.close(len(rows), -np.inf, 0.0)


def _most_replicas(problem: MixProblem) -> Floats:
    """``(P,)`` replicas a pool needs if it serves everything it can."""
    peak = problem.demand_per_s.max(axis=1)
    most = np.zeros(len(problem.pools))
    for option, pool, seconds in zip(
        problem.use_option, problem.use_pool, problem.use_s, strict=True
    ):
        most[pool] = max(most[pool], float((problem.allowed[option] * seconds * peak).sum()))
    return np.asarray(np.maximum(np.ceil(most), 1.0))


def _charge_rows(problem: MixProblem, x: Columns, b: _Builder) -> None:
    """Let options with a charge serve nothing of any class in any period unless it is paid."""
    cells = problem.demand_per_s.size
    periods = len(problem.hours)
    for option, charge in set(zip(problem.charge_option, problem.charge_index, strict=True)):
        at = np.nonzero(x.option == option)[0]
        b.add(charge * cells + x.cls[at] * periods + x.period[at], at, 1.0)
    for charge in range(x.charges):
        b.add(charge * cells + np.arange(cells), x.charge_at + charge, -1.0)
    b.close(x.charges * cells, -np.inf, 0.0)


def _linking_rows(problem: MixProblem, x: Columns, b: _Builder) -> None:
    """Let a pool serve at most as many times a class's demand as it has replicas."""
    classes, periods = problem.demand_per_s.shape
    cells = np.arange(classes * periods)
    row = {int(pool): i * len(cells) for i, pool in enumerate(np.unique(problem.use_pool))}
    needs: dict[tuple[int, int], Bools] = {}
    for option, pool, seconds in zip(
        problem.use_option, problem.use_pool, problem.use_s, strict=True
    ):
        key = int(option), int(pool)
        needs[key] = needs.get(key, np.zeros(classes, dtype=bool)) | (seconds > 0)
    for (option, pool), needed in needs.items():
        at = np.nonzero((x.option == option) & needed[x.cls])[0]
        b.add(row[pool] + x.cls[at] * periods + x.period[at], at, 1.0)
    for i, pool in enumerate(x.fixed_pool):
        b.add(row[int(pool)] + cells, x.fixed_at + i, -1.0)
    if problem.scales_from_zero:
        for i, (pool, period) in enumerate(zip(x.scaled_pool, x.scaled_period, strict=True)):
            b.add(row[int(pool)] + np.arange(classes) * periods + period, x.scaled_at + i, -1.0)
    b.close(len(row) * len(cells), -np.inf, 0.0)


def limit_coefficients(problem: MixProblem, x: Columns, limit: Limit) -> tuple[Any, Any, Any]:
    """Return (row, column, value) of a limit's rows."""
    rate = problem.demand_per_s[x.cls, x.period]
    rows: list[Any] = []
    cols: list[Any] = []
    values: list[Any] = []

    def put(row: Any, col: Any, value: Any) -> None:
        r, c, v = np.broadcast_arrays(row, col, value)
        rows.append(r.reshape(-1))
        cols.append(c.reshape(-1))
        values.append(v.reshape(-1).astype(float))

    each = limit.each_period
    if limit.per_request.size:
        per = limit.per_request[x.option, x.cls] * rate
        whole = per if each else per * problem.hours[x.period] * SECONDS_PER_HOUR
        put(x.period if each else 0, np.arange(x.shares), whole)
    if limit.per_fixed.size:
        every = np.arange(len(problem.hours)) if each else np.zeros(1, dtype=np.int64)
        for i, pool in enumerate(x.fixed_pool):
            put(every, x.fixed_at + i, limit.per_fixed[pool])
        if each and len(x.scaled_pool):
            scaled = np.arange(len(x.scaled_pool))
            put(x.scaled_period, x.scaled_at + scaled, limit.per_fixed[x.scaled_pool])
    if limit.per_scaled.size and not each and len(x.scaled_pool):
        hours = problem.hours[x.scaled_period]
        scaled = np.arange(len(x.scaled_pool))
        put(0, x.scaled_at + scaled, limit.per_scaled[x.scaled_pool] * hours)
    if limit.per_charge.size and not each:
        put(0, x.charge_at + np.arange(x.charges), limit.per_charge)
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    return np.concatenate(rows), np.concatenate(cols), np.concatenate(values)


def _row_unit(values: Floats, bound: float) -> float:
    """Scale of a row: its largest entry, so that tolerances mean the same in every row."""
    largest = float(np.abs(values).max(initial=0.0))
    return max(largest, abs(bound) if np.isfinite(bound) else 0.0, 1e-12)


def _limit_rows(problem: MixProblem, x: Columns, b: _Builder, limit: Limit) -> slice:
    row, col, value = limit_coefficients(problem, x, limit)
    bound = limit.value * limit.scale
    unit = _row_unit(value, bound)
    b.add(row, col, value / unit)
    rows = len(problem.hours) if limit.each_period else 1
    most = limit.sense == "at-most"
    return b.close(rows, -np.inf if most else bound / unit, bound / unit if most else np.inf)


def upper_bounds(problem: MixProblem, x: Columns) -> Floats:
    """Return the largest value of each variable."""
    upper = np.full(x.count, np.inf)
    most = problem.most_share
    upper[: x.shares] = 1.0 if most is None else most[x.option, x.cls]
    upper[x.charge_at :] = 1.0
    return upper
