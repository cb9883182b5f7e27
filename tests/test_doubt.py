"""How sure: plans answer to the scores drawn; a safer plan keeps its floors; curves hold mixes."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from advisor.catalogue.scenarios import read_scenario
from advisor.optimizer.assemble import facts_of, question_of
from advisor.optimizer.breakeven import curve_of
from advisor.optimizer.doubt import draws_of, fate_of, recost, sureness
from advisor.optimizer.kinds import alternatives_of, solved
from advisor.optimizer.money import pool_uses
from advisor.optimizer.patterns import Curve, at_volume, pattern_of
from advisor.optimizer.recommend import recommend
from advisor.optimizer.recourse import as_planned, responses
from advisor.optimizer.search import best_plan
from advisor.report.recommend_json import recommend_json

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FEASIBLE = sorted(p.stem for p in EXAMPLES.glob("*.toml") if p.stem != "infeasible")
TODAY = dt.date(2026, 11, 23)


@cache
def question(name):
    scenario = read_scenario(EXAMPLES / f"{name}.toml")
    return question_of(facts_of(scenario, EXAMPLES, TODAY))


@cache
def winner(name):
    return solved(question(name), best_plan(question(name)), {})


@cache
def answer(name):
    return recommend(read_scenario(EXAMPLES / f"{name}.toml"), EXAMPLES, TODAY)


def certain(name, **shifts):
    """One draw in which nothing errs but the scores named."""
    draws = draws_of([winner(name)]).only(np.arange(1))
    flat = np.ones(1)
    return type(draws)(
        flat,
        dict.fromkeys(draws.speed, flat),
        dict.fromkeys(draws.price, flat),
        {m: np.array([shifts.get(m, 0.0)]) for m in draws.score},
    )


@pytest.mark.parametrize("name", FEASIBLE)
def test_without_doubt_a_plan_is_what_it_is(name):
    one = winner(name)
    [(mask, found)] = list(responses(one, certain(name).score, 1))
    assert mask.all()
    assert found[0].planned
    least = min(float(recost(one, certain(name), r)[0]) for r in found)
    fate = fate_of(one, certain(name))
    assert fate.as_planned.all()
    assert fate.usd_per_month[0] == pytest.approx(least)
    # Only a router set to more than its floor asks for leaves room.
    assert one.usd_per_month * 0.97 <= least <= one.usd_per_month * 1.002
    for use in pool_uses(one.question, one.found):
        assert as_planned(one).load[use.index].sum() > 0


def option_of(one):
    return max(one.plan.options, key=lambda o: sum(s.requests_per_month for s in o.served))


def test_a_router_sends_more_when_its_small_model_turns_out_weaker():
    one = winner("rag-documents")
    small = option_of(one).parts[0].model_id
    shares = []
    for shift in (0.0, -0.01, -0.02):
        [(_, found)] = list(responses(one, certain("rag-documents", **{small: shift}).score, 1))
        shares.append(float(found[0].share.max()))
    assert shares[0] == pytest.approx(option_of(one).share_to_large)
    assert shares[0] < shares[1] < shares[2] <= 1


def test_a_class_leaves_an_option_that_misses_its_floor():
    one = winner("customer-service")
    main = option_of(one)
    weak = certain("customer-service", **{main.parts[0].model_id: -0.05})
    fate = fate_of(one, weak)
    assert not fate.as_planned.any()
    assert np.isfinite(fate.usd_per_month).all()
    assert fate.usd_per_month[0] > one.usd_per_month
    every = {p.model_id: -0.5 for o in one.plan.options for p in o.parts}
    lost = certain("customer-service", **every)
    assert not np.isfinite(fate_of(one, lost).usd_per_month).any()


def test_a_larger_set_of_options_is_never_dearer_than_a_part_of_it():
    one = winner("customer-service")
    rows = [r for _, r in alternatives_of(question("customer-service"), one, {}) if r]
    mine = {o.name for o in one.plan.options}
    part = next(r for r in rows if {o.name for o in r.plan.options} <= mine)
    draws = draws_of([one, *rows])
    whole, less = fate_of(one, draws), fate_of(part, draws)
    assert (whole.usd_per_month <= less.usd_per_month * (1 + 1e-9)).all()
    found = sureness([one, *rows], draws)
    assert found.feasible >= found.as_planned
    assert sum(found.cheapest.values()) <= 1 + 1e-9


@pytest.mark.parametrize("name", FEASIBLE)
def test_a_safer_plan_costs_more_and_keeps_its_floors(name):
    rec = answer(name)
    planned = rec.uncertainty.probability_as_planned
    if rec.safer is None:
        assert planned >= 0.9
        return
    assert planned < 0.9
    if rec.safer.plan is None:
        return
    assert rec.safer.probability >= 0.9
    assert rec.safer.over_winner >= 1 - 1e-4
    for row in rec.safer.plan.classes:
        if row.quality.floor is not None:
            assert row.quality.value.value > row.quality.floor


def test_one_seed_gives_one_answer():
    scenario = read_scenario(EXAMPLES / "rag-documents.toml")
    first = recommend_json(recommend(scenario, EXAMPLES, TODAY))
    assert first == recommend_json(recommend(scenario, EXAMPLES, TODAY))
    other = msgspec.structs.replace(scenario, doubt=msgspec.structs.replace(scenario.doubt, seed=9))
    assert recommend_json(recommend(other, EXAMPLES, TODAY)) != first


def test_a_latency_limit_that_costs_is_among_the_binding_ones():
    rec = answer("code-assistant")
    found = {b.name: b for b in rec.binding}
    slow = found["slo:completion"]
    assert slow.unit == "times"
    assert slow.saved_usd_per_month > 0
    scenario = read_scenario(EXAMPLES / "code-assistant.toml")
    classes = tuple(
        msgspec.structs.replace(c, slo=None) if c.name == "completion" else c
        for c in scenario.workload.classes
    )
    free = msgspec.structs.replace(
        scenario, workload=msgspec.structs.replace(scenario.workload, classes=classes)
    )
    without = recommend(free, EXAMPLES, TODAY).verdict.usd_per_month
    saved = rec.verdict.usd_per_month - without
    assert slow.saved_usd_per_month == pytest.approx(saved, rel=0.02)


@pytest.mark.parametrize("name", ["customer-service", "rag-documents"])
def test_the_curve_of_kinds_holds_the_recommended_mix(name):
    one = winner(name)
    curve = curve_of(question(name))
    month = float(question(name).problem.requests_per_month.sum())
    for point in curve.points:
        known = [v for k, v in point.usd_per_month.items() if k != "mix" and v is not None]
        assert point.usd_per_month["mix"] <= min(known, default=np.inf) * (1 + 1e-9)
    own = Curve(question(name), [pattern_of(question(name), one.found)])
    assert own.of_set(0, 1.0) <= one.usd_per_month * (1 + 1e-6)
    here = min(curve.points, key=lambda p: abs(np.log(p.requests_per_month / month)))
    assert here.usd_per_month["mix"] == pytest.approx(one.usd_per_month, rel=0.02)
    assert here.cheapest == "mix"


def test_a_pattern_is_costed_as_the_solver_does_at_any_volume():
    q = question("customer-service")
    for factor in (0.3, 4.0):
        asked = at_volume(q, factor)
        found = best_plan(asked)
        own = Curve(q, [pattern_of(asked, found)])
        assert own.best("mix", factor)[0] <= found.usd_per_month * (1 + 1e-6)
        usd, devices = own._cost_of(0, factor)
        assert usd == pytest.approx(found.usd_per_month, rel=1e-3)
        assert devices > 0


def test_a_surer_plan_is_found_between_margins_that_are_too_narrow_and_too_wide():
    rec = answer("customer-service")
    assert rec.safer is not None
    assert rec.safer.plan is not None
    assert rec.safer.probability >= rec.safer.wanted > rec.uncertainty.probability_as_planned
