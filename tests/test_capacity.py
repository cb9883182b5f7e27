"""Capacity at the limits: against the load model's fixed point, laws and bounds."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalogue.scenarios import read_scenario
from advisor.errors import UsageError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import resolve, step_model
from advisor.optimizer.bounds import bounds_of, sizes_up_to, variants_of
from advisor.optimizer.candidates import evaluate, profile_of, sequences_of
from advisor.optimizer.capacity import asked_of, capacity_of, long_share
from advisor.optimizer.demand import ClassDemand, demand_of
from advisor.optimizer.facts import facts_of
from advisor.perf.layout import Layout
from advisor.perf.load import Profile, open_curve, open_loop
from advisor.schema.workload import Slo, TrafficClass, Workload

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SETUP = resolve(EstimateRequest(model="qwen3-8b", hw="h20-96", engine="vllm", precision="fp8"))
MODEL = step_model(SETUP, Layout())


def one(ttft=1.0, tpot=0.05, isl=1000.0, osl=200.0, cv=0.5, percentile=95.0):
    slo = Slo(ttft_s=ttft, tpot_s=tpot, percentile=percentile)
    return ClassDemand("c", 1.0, isl, osl, cv, cv, slo, True, "any")


def capacity(*classes):
    asked = asked_of(classes)
    return capacity_of(MODEL, profile_of(SETUP), asked, sequences_of(SETUP, Layout(), asked))


@pytest.mark.parametrize("batch", [0.5, 4.0, 32.0])
def test_the_curve_is_the_inverse_of_the_fixed_point(batch):
    profile = Profile(1000.0, 200.0, 8192.0, 512, cost=SETUP.cost)
    point = open_curve(MODEL, profile, np.asarray(batch))
    back = open_loop(MODEL, profile, float(point.requests_per_s))
    assert float(back.running) == pytest.approx(batch, rel=1e-5)
    assert float(back.tpot_s) == pytest.approx(float(point.tpot_s), rel=1e-5)
    assert float(back.ttft_s) == pytest.approx(float(point.ttft_s), rel=1e-5)


def test_classes_in_one_call_are_classes_one_by_one():
    classes = [one(), one(isl=3000.0, osl=50.0), one(tpot=0.02)]
    together = capacity(*classes)
    for index, single in enumerate(classes):
        alone = capacity(single)
        assert together.per_s[index] == pytest.approx(alone.per_s[0], rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(tpot=st.floats(0.01, 0.2), ttft=st.floats(0.2, 5.0), ease=st.floats(1.0, 3.0))
def test_looser_limits_never_serve_less(tpot, ttft, ease):
    tight, loose = capacity(one(ttft, tpot)), capacity(one(ttft * ease, tpot * ease))
    assert loose.per_s[0] >= tight.per_s[0] * (1 - 1e-9)


@settings(max_examples=20, deadline=None)
@given(cv=st.floats(0.0, 2.0), more=st.floats(0.0, 2.0))
def test_a_higher_percentile_never_serves_more(cv, more):
    strict = capacity(one(cv=cv, percentile=99.0))
    lax = capacity(one(cv=cv, percentile=90.0))
    assert lax.per_s[0] >= strict.per_s[0] * (1 - 1e-9)


def test_percentiles_keep_the_limits_and_one_of_them_is_reached():
    found = capacity(one())
    reached = max(found.ttft_s[0] / 1.0, found.tpot_s[0] / 0.05)
    assert reached == pytest.approx(1.0, rel=0.02)


def test_limits_nothing_can_keep_serve_nothing():
    assert capacity(one(tpot=1e-5)).per_s[0] == 0.0


def test_sharing_at_the_tightest_load_slows_the_others():
    found = capacity(one(tpot=0.013), one(tpot=0.2))
    tight = float(found.load.min())
    held = found.held_to(tight)
    assert held[0] == pytest.approx(found.per_s[0])
    assert held[1] < found.per_s[1]


def test_long_share_is_the_lognormal_quantile():
    draws = np.random.default_rng(0).lognormal(-0.5 * np.log(1.25), np.sqrt(np.log(1.25)), 400_000)
    got = float(long_share(np.array(0.5), np.array(1.6449)))
    assert np.quantile(draws, 0.95) == pytest.approx(got, rel=0.01)


def test_bounds_are_below_the_truth():
    scenario = read_scenario(EXAMPLES / "customer-service.toml")
    facts = facts_of(scenario, EXAMPLES, dt.date(2026, 11, 23))
    variants = variants_of(facts.models.models, ("vllm",), "any")
    devices = facts.hardware.devices
    bounds = bounds_of(variants, devices, facts.asked, 4)
    places = np.argwhere(bounds.possible)
    compared = 0
    for v, d, s in places[np.random.default_rng(1).permutation(len(places))[:120]]:
        found = evaluate(variants[v], devices[d], bounds.sizes[s], facts.asked, 0.0, {})
        if found is None:
            continue
        per_s = found.capacity.per_s
        served = per_s > 0
        least = bounds.request_s[v, d, s][served]
        assert (least <= (1 / per_s[served]) * 1.02).all()
        compared += 1
    assert compared > 60


def test_sizes_are_powers_of_two():
    assert sizes_up_to(16) == (1, 2, 4, 8, 16)
    assert sizes_up_to(12) == (1, 2, 4, 8)


def test_demand_holds_the_month_and_grows_to_the_horizon():
    classes = (TrafficClass(name="a", isl_tokens=10.0, osl_tokens=10.0),)
    flat = Workload(requests_per_month=1e6, classes=classes)
    assert demand_of(flat).requests_per_month.sum() == pytest.approx(1e6, rel=1e-9)
    grown = Workload(requests_per_month=1e6, growth_per_year=1.0, classes=classes)
    assert demand_of(grown, 24).requests_per_month.sum() == pytest.approx(4e6, rel=1e-9)
    with pytest.raises(UsageError, match="requests_per_s or requests_per_month"):
        demand_of(Workload(clients=4, classes=classes))
