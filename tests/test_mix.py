"""The solver of the mix: against enumeration, against laws, against golden cases."""

from __future__ import annotations

import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from advisor.errors import UsageError
from advisor.optimizer.conflict import explain
from advisor.optimizer.front import pareto_front
from advisor.optimizer.mix import solve
from advisor.optimizer.prices import binding_limits, shadow_prices
from advisor.optimizer.problem import Limit, MixProblem

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "optimizer" / "golden_cases.json"


def small_problem(seed, classes=2, pools=2, periods=2, api=True, scaled=True):
    """A random question of few classes, pools and periods, one option a pool and one API."""
    r = np.random.default_rng(seed)
    options = pools + int(api)
    use_s = r.uniform(0.1, 1.0, (pools, classes))
    allowed = r.random((options, classes)) < 0.8
    allowed[r.integers(options)] = True
    usd = np.zeros((options, classes))
    usd[pools:] = r.uniform(5e-4, 5e-3, (options - pools, classes))
    fixed = r.uniform(200, 2000, pools)
    return MixProblem(
        classes=tuple(f"c{i}" for i in range(classes)),
        options=tuple(f"o{i}" for i in range(options)),
        pools=tuple(f"p{i}" for i in range(pools)),
        demand_per_s=r.uniform(0.2, 2.0, (classes, periods)),
        hours=r.uniform(100, 400, periods),
        allowed=allowed,
        usd_per_request=usd,
        fixed_usd_per_month=fixed,
        scaled_usd_per_hour=fixed / 400 if scaled else np.full(pools, np.inf),
        use_option=np.arange(pools),
        use_pool=np.arange(pools),
        use_s=use_s,
    )


def flows_at(problem, fixed, scaled):
    """Least money of flows once replicas are given: a linear program, or None."""
    o, c = problem.allowed.shape
    t = len(problem.hours)
    index = [(i, j, k) for i in range(o) for j in range(c) for k in range(t)]
    at = {key: n for n, key in enumerate(index)}
    cost = [problem.usd_per_request[i, j] * problem.hours[k] * 3600 for i, j, k in index]
    bounds = [(0, None if problem.allowed[i, j] else 0) for i, j, k in index]
    a_eq, b_eq, a_ub, b_ub = [], [], [], []
    for j, k in itertools.product(range(c), range(t)):
        row = np.zeros(len(index))
        row[[at[i, j, k] for i in range(o)]] = 1
        a_eq.append(row)
        b_eq.append(problem.demand_per_s[j, k])
    for p, k in itertools.product(range(len(problem.pools)), range(t)):
        row = np.zeros(len(index))
        for u, pool in enumerate(problem.use_pool):
            for j in range(c):
                row[at[problem.use_option[u], j, k]] += (pool == p) * problem.use_s[u, j]
        a_ub.append(row)
        b_ub.append(fixed[p] + scaled[p][k])
    for limit in problem.limits:
        sign = 1 if limit.sense == "at-most" else -1
        row = [limit.per_request[i, j] * problem.hours[k] * 3600 for i, j, k in index]
        a_ub.append(sign * np.array(row))
        b_ub.append(sign * limit.value * limit.scale)
    found = linprog(cost, A_ub=a_ub, b_ub=b_ub, A_eq=a_eq, b_eq=b_eq, bounds=bounds)
    return found.fun if found.status == 0 else None


def brute_force(problem, most=5):
    """Least cost over every number of fixed and autoscaled replicas, flows by linear program."""
    pools, periods = len(problem.pools), len(problem.hours)
    scales = np.isfinite(problem.scaled_usd_per_hour).all()
    counts = itertools.product(range(most + 1), repeat=pools)
    best = np.inf
    for fixed in counts:
        ranges = [range(most + 1 if scales else 1)] * (pools * periods)
        for flat in itertools.product(*ranges):
            scaled = np.reshape(flat, (pools, periods))
            money = problem.fixed_usd_per_month @ fixed
            if scales:
                money += (problem.scaled_usd_per_hour[:, None] * scaled * problem.hours).sum()
            if money >= best:
                continue
            flows = flows_at(problem, fixed, scaled)
            best = min(best, money + flows) if flows is not None else best
    return best


@pytest.mark.parametrize("seed", range(8))
def test_equals_enumeration_with_reserved_replicas(seed):
    problem = small_problem(seed, scaled=False)
    found = solve(problem)
    assert found.usd_per_month == pytest.approx(brute_force(problem), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_equals_enumeration_with_autoscaling(seed):
    problem = small_problem(seed, classes=1, pools=2, periods=1)
    problem = replace(problem, scaled_usd_per_hour=problem.fixed_usd_per_month / 900)
    assert solve(problem).usd_per_month == pytest.approx(brute_force(problem, 4), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_equals_enumeration_under_a_quality_floor(seed):
    problem = quality_problem(seed, floor=0.7)
    found, truth = solve(problem), brute_force(problem)
    if found.feasible:
        assert found.usd_per_month == pytest.approx(truth, rel=1e-6)
        assert found.limit_use["quality"] >= 0.7 - 1e-6
    else:
        assert truth == np.inf


def quality_problem(seed, floor):
    problem = small_problem(seed, scaled=False)
    score = np.random.default_rng(seed + 99).uniform(0.4, 0.95, problem.allowed.shape)
    total = problem.requests_per_month.sum()
    limit = Limit("quality", floor, "at-least", total, per_request=score)
    return problem.with_limits(limit)


def golden():
    if not CASES.is_file():
        pytest.skip("shared/optimizer is not at hand")
    path = ROOT / "benchmarks" / "golden_allocation.py"
    spec = importlib.util.spec_from_file_location("golden_allocation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, json.loads(CASES.read_text(encoding="utf-8"))


def test_golden_cases_reach_the_bound():
    module, cases = golden()
    for case in cases:
        found = solve(module.problem_of(case), gap=1e-9)
        assert found.usd_per_month <= case["bounds"]["fractional_split_integer_gpus_cost"] + 1e-6
        relaxation = case["bounds"]["lp_relaxation_cost"]
        assert found.usd_per_month >= relaxation * (1 - 1e-6)


def test_a_gpu_without_a_throughput_serves_nothing_of_that_bucket():
    path = ROOT / "benchmarks" / "golden_allocation.py"
    spec = importlib.util.spec_from_file_location("golden_allocation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case = {
        "gpu_info": {
            "cheap": {"cost": 1.0, "tputs": [[0, 2.0]]},
            "dear": {"cost": 3.0, "tputs": [[2.0]]},
        },
        "workload_distribution": [[0.5, 0.5]],
        "total_request_rate": 2.0,
    }
    found = solve(module.problem_of(case))
    assert found.fixed.tolist() == [1, 1]
    del case["gpu_info"]["dear"]
    assert solve(module.problem_of(case)).status == "infeasible"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100))
def test_scaling_all_prices_scales_cost(seed, factor):
    problem = small_problem(seed)
    dear = replace(
        problem,
        usd_per_request=problem.usd_per_request * factor,
        fixed_usd_per_month=problem.fixed_usd_per_month * factor,
        scaled_usd_per_hour=problem.scaled_usd_per_hour * factor,
    )
    assert solve(dear).usd_per_month == pytest.approx(
        factor * solve(problem).usd_per_month, rel=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), option=st.integers(0, 2))
def test_more_options_never_cost_more(seed, option):
    problem = small_problem(seed)
    allowed = problem.allowed.copy()
    allowed[option] = False
    fewer = solve(replace(problem, allowed=allowed))
    if fewer.feasible:
        assert solve(problem).usd_per_month <= fewer.usd_per_month * (1 + 1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), floor=st.floats(0.4, 0.95), step=st.floats(0, 0.2))
def test_a_lower_floor_never_costs_more(seed, floor, step):
    hard, easy = quality_problem(seed, floor), quality_problem(seed, floor - step)
    found = solve(hard)
    if found.feasible:
        assert solve(easy).usd_per_month <= found.usd_per_month * (1 + 1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.5, 0.999))
def test_a_budget_below_the_optimum_clashes_and_relaxes_to_it(seed, share):
    problem = small_problem(seed)
    best = solve(problem).usd_per_month
    tight = problem.with_limits(budget(problem, best * share))
    assert solve(tight).status == "infeasible"
    found = explain(tight)
    assert found.limits == ("budget",)
    assert found.relaxations[0].value == pytest.approx(best, rel=1e-5)


def budget(problem, value):
    return Limit(
        "budget",
        value,
        per_request=problem.usd_per_request,
        per_fixed=problem.fixed_usd_per_month,
        per_scaled=problem.scaled_usd_per_hour,
    )


def test_conflict_is_irreducible_and_every_way_out_is_one():
    problem = quality_problem(3, floor=0.0)
    best = problem.limit("quality")
    top = explain(problem.with_limits(best.at(2.0))).relaxations[0].value
    good = solve(problem.with_limits(best.at(top)))
    cheap = solve(problem)
    assert cheap.usd_per_month < good.usd_per_month
    money = budget(problem, (cheap.usd_per_month + good.usd_per_month) / 2)
    idle = Limit("idle", 1e9, per_fixed=np.ones(len(problem.pools)))
    clash = problem.with_limits(idle, best.at(top), money)
    found = explain(clash)
    assert set(found.limits) == {"quality", "budget"}
    for name in found.limits:
        rest = [clash.limit(n) for n in found.limits if n != name]
        assert solve(clash.with_limits(*rest)).feasible
    for way in found.relaxations:
        assert solve(clash.with_value(way.name, way.value)).feasible
        tighter = way.value + 0.01 * (way.stated - way.value)
        assert not solve(clash.with_value(way.name, tighter)).feasible


def test_a_peak_limit_relaxes_to_the_least_peak():
    problem = small_problem(1, api=False, scaled=False)
    chips = Limit("chips", 1.0, per_fixed=np.ones(2), each_period=True)
    found = explain(problem.with_limits(chips))
    least = min(
        sum(n)
        for n in itertools.product(range(7), repeat=2)
        if flows_at(problem, n, np.zeros((2, 2))) is not None
    )
    assert found.limits == (("chips",) if least > 1 else ())
    if least > 1:
        assert found.relaxations[0].value == pytest.approx(least, rel=1e-4)


def test_shadow_price_predicts_the_saving_of_a_divisible_plan():
    problem = small_problem(5, scaled=False)
    divisible = replace(
        problem,
        fixed_usd_per_month=problem.fixed_usd_per_month * 1e-4,
        use_s=problem.use_s * 1e4,
    )
    score = np.random.default_rng(0).uniform(0.4, 0.95, problem.allowed.shape)
    total = problem.requests_per_month.sum()
    free = Limit("quality", 0.0, "at-least", total, per_request=score)
    start = solve(divisible.with_limits(free)).limit_use["quality"]
    floor = start + 0.02
    at, step = divisible.with_limits(free.at(floor)), 1e-3
    price = shadow_prices(at)["quality"]
    saved = solve(at).usd_per_month - solve(at.with_value("quality", floor - step)).usd_per_month
    assert price == pytest.approx(saved / step, rel=0.02)
    assert binding_limits(at, solve(at))[0].name == "quality"


def test_front_is_monotone_and_ends_at_the_best_quality():
    problem = quality_problem(3, floor=0.0)
    front = pareto_front(problem.with_limits(), problem.limit("quality"))
    assert len(front) > 2
    costs, scores = [p.usd_per_month for p in front], [p.measure for p in front]
    assert costs == sorted(costs)
    assert scores == sorted(scores)
    hard = problem.with_value("quality", scores[-1] * 1.001)
    assert not solve(hard).feasible


def test_a_charge_is_paid_once_when_its_option_is_used():
    problem = small_problem(2)
    plain = solve(problem)
    used = int(np.argmax(plain.flow_per_s.sum(axis=(1, 2))))
    tiny = replace(
        problem,
        charge_usd_per_month=np.array([1e-3]),
        charge_option=np.array([used]),
        charge_index=np.array([0]),
    )
    assert solve(tiny).charged.tolist() == [1]
    assert solve(tiny).usd_per_month == pytest.approx(plain.usd_per_month + 1e-3)
    huge = replace(tiny, charge_usd_per_month=np.array([1e9]))
    assert solve(huge).charged.tolist() == [0]


def test_shapes_are_checked():
    problem = small_problem(0)
    with pytest.raises(UsageError, match="use_s has shape"):
        replace(problem, use_s=problem.use_s[:1])
    with pytest.raises(UsageError, match="must be 0 or more"):
        replace(problem, hours=-problem.hours)
    with pytest.raises(UsageError, match="share a name"):
        problem.with_limits(budget(problem, 1.0), budget(problem, 2.0))
    with pytest.raises(UsageError, match="requests of the month only"):
        Limit("floor", 1.0, "at-least", each_period=True)
