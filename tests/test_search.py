"""What makes the search fast loses nothing: bounds, plans known beforehand, options left out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.optimizer.dominance import undominated
from advisor.optimizer.mix import solve
from advisor.optimizer.problem import Limit, MixProblem, restrict
from advisor.optimizer.rows import columns_of, objective_of, rows_of, upper_bounds
from advisor.optimizer.search import quick, slim
from advisor.optimizer.tighten import alone, filled, holds, known_plan, on_replicas, relaxed

SEEDS = st.integers(0, 10_000)


def problem_of(seed, *, limit=False):
    """A random question: pools of one option each, a pair over two of them, an API, a charge."""
    r = np.random.default_rng(seed)
    pools, classes, periods = 4, 2, 3
    seconds = r.uniform(0.1, 1.5, (pools, classes))
    options = pools + 2
    allowed = r.random((options, classes)) < 0.7
    allowed[-1] = True
    usd = np.zeros((options, classes))
    usd[-1] = r.uniform(5e-4, 5e-3, classes)
    fixed = r.uniform(200, 2000, pools)
    sent = r.uniform(0.2, 0.8)
    problem = MixProblem(
        classes=("a", "b"),
        options=tuple(f"o{i}" for i in range(options)),
        pools=tuple(f"p{i}" for i in range(pools)),
        demand_per_s=r.uniform(0.2, 4.0, (classes, periods)),
        hours=r.uniform(100, 400, periods),
        allowed=allowed,
        usd_per_request=usd,
        fixed_usd_per_month=fixed,
        scaled_usd_per_hour=fixed / r.uniform(300, 800, pools),
        use_option=np.array([*range(pools), pools, pools]),
        use_pool=np.array([*range(pools), 0, 1]),
        use_s=np.concatenate([seconds, [(1 - sent) * seconds[0], sent * seconds[1]]]),
        charge_usd_per_month=np.array([300.0]),
        charge_option=np.array([0, 2]),
        charge_index=np.array([0, 0]),
        scales_from_zero=bool(r.random() < 0.5),
    )
    if not limit:
        return problem
    score = r.uniform(0.5, 1.0, (options, classes))
    total = float(problem.requests_per_month.sum())
    return problem.with_limits(Limit("quality", 0.75, "at-least", total, per_request=score))


def parts_of(problem):
    x = columns_of(problem)
    return x, rows_of(problem, x), objective_of(problem, x), upper_bounds(problem, x)


@given(SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_options_left_out_cost_nothing(seed, limit):
    problem = problem_of(seed, limit=limit)
    keep = undominated(problem)
    whole, few = solve(problem), solve(restrict(problem, keep))
    assert few.feasible == whole.feasible
    if whole.feasible:
        assert few.usd_per_month == pytest.approx(whole.usd_per_month, rel=1e-5)


def test_a_dearer_slower_option_is_left_out_and_a_shared_pool_is_not():
    base = problem_of(1)
    worse = replace(
        base,
        allowed=np.ones_like(base.allowed),
        fixed_usd_per_month=np.array([500.0, 500.0, 600.0, 400.0]),
        scaled_usd_per_hour=np.array([1.0, 1.0, 1.2, 0.9]),
        use_s=np.array([[0.5, 0.5]] * 2 + [[0.6, 0.6], [0.9, 0.9]] + [[0.2, 0.2]] * 2),
        charge_option=np.zeros(0, dtype=np.int64),
        charge_index=np.zeros(0, dtype=np.int64),
    )
    # The third is dearer and slower than the first; the second equals the first but its pool
    # also serves a pair; the fourth is slower but cheaper.
    assert undominated(worse).tolist() == [True, True, False, True, True, True]


@given(SEEDS, st.booleans())
@settings(max_examples=30, deadline=None)
def test_bounds_lie_on_either_side_of_the_optimum(seed, limit):
    problem = problem_of(seed, limit=limit)
    best = solve(problem)
    if not best.feasible:
        return
    x, rows, cost, upper = parts_of(problem)
    linked = relaxed(rows, cost, upper)
    plain = relaxed(rows_of(problem, x, linked=False), cost, upper)
    tolerance = 1e-6 * best.usd_per_month
    assert plain.bound <= linked.bound + tolerance <= best.usd_per_month + 2 * tolerance
    known = known_plan(problem, x, rows, cost, upper, [linked.values[: x.shares]])
    if known is not None:
        assert holds(rows, upper, known)
        assert cost @ known >= best.usd_per_month - tolerance


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_start_changes_nothing(seed):
    problem = problem_of(seed)
    best = solve(problem)
    demand = problem.demand_per_s
    again = solve(problem, start=best.flow_per_s / demand)
    bad = np.zeros_like(best.flow_per_s)
    bad[-1] = 1.0
    assert again.usd_per_month == pytest.approx(best.usd_per_month, rel=1e-6)
    assert solve(problem, start=bad).usd_per_month == pytest.approx(best.usd_per_month, rel=1e-6)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_whole_replicas_are_the_cheapest_of_all_numbers(seed):
    problem = problem_of(seed)
    r = np.random.default_rng(seed)
    load = r.uniform(0.0, 3.0, (len(problem.pools), len(problem.hours)))
    load[0] = 0.0
    fixed, scaled, usd = on_replicas(load, problem)
    assert usd[0] == fixed[0] == 0
    assert (fixed[:, None] + scaled >= load - 1e-9).all()
    for p, need in enumerate(np.ceil(load)):
        if not need.any():
            continue
        least = min(
            problem.fixed_usd_per_month[p] * n
            + problem.scaled_usd_per_hour[p] * (np.maximum(need - n, 0) @ problem.hours)
            for n in range(0 if problem.scales_from_zero else 1, 5)
        )
        assert usd[p] == pytest.approx(least)


def test_an_option_alone_is_costed_as_the_solver_does():
    problem = problem_of(3)
    problem = replace(problem, allowed=np.ones_like(problem.allowed))
    x, rows, cost, upper = parts_of(problem)
    plans = [filled(problem, x, shares) for shares in alone(problem, x)]
    costs = [float(cost @ p) for p in plans]
    assert costs == sorted(costs)
    assert all(holds(rows, upper, p) for p in plans)
    for i, shares in enumerate(alone(problem, x)):
        option = int(np.unique(x.option[shares > 0])[0])
        keep = np.arange(len(problem.options)) == option
        assert solve(restrict(problem, keep)).usd_per_month == pytest.approx(costs[i], rel=1e-6)


def test_two_options_of_one_name_keep_their_flows():
    base = problem_of(5)
    named = replace(base, options=tuple("same" for _ in base.options))
    assert slim(named).problem.allowed.shape == slim(base).problem.allowed.shape
    one, other = quick(base), quick(named)
    assert np.allclose(one.flow_per_s, other.flow_per_s)
    assert one.flow_per_s.sum() > 0


@given(SEEDS, st.floats(0.5, 2.0))
@settings(max_examples=15, deadline=None)
def test_more_demand_never_costs_less(seed, factor):
    problem = problem_of(seed)
    more = replace(problem, demand_per_s=problem.demand_per_s * (1.0 + factor))
    assert solve(more).usd_per_month >= solve(problem).usd_per_month * (1 - 1e-6)


def test_each_class_may_be_enumerated():
    """Two options, one class, one period: the cheapest of all shares by enumeration."""
    problem = MixProblem(
        classes=("a",),
        options=("pool", "api"),
        pools=("p",),
        demand_per_s=np.array([[2.3]]),
        hours=np.array([730.0]),
        allowed=np.ones((2, 1), dtype=bool),
        usd_per_request=np.array([[0.0], [2e-4]]),
        fixed_usd_per_month=np.array([400.0]),
        scaled_usd_per_hour=np.array([np.inf]),
        use_option=np.array([0]),
        use_pool=np.array([0]),
        use_s=np.array([[1.0]]),
    )
    month = 2.3 * 730 * 3600 * 2e-4
    costs = [
        400.0 * n + month * share
        for n, share in itertools.product(range(4), np.linspace(0, 1, 231))
        if 2.3 * (1 - share) <= n + 1e-9
    ]
    assert solve(problem).usd_per_month == pytest.approx(min(costs), rel=1e-3)
