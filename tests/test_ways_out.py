"""Every way out offered is a plan of the very scenario a user gets by taking it."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from advisor.catalogue.scenarios import read_scenario
from advisor.optimizer.recommend import recommend
from advisor.optimizer.relax import outwards, relaxed_scenario

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.toml"))
FEASIBLE = [n for n in NAMES if n != "infeasible"]
TODAY = dt.date(2026, 11, 23)


@cache
def scenario(name):
    return read_scenario(EXAMPLES / f"{name}.toml")


def hurried(s):
    """A first token sooner than anything can give it."""
    first = s.workload.classes[0]
    fetched_s = sum(r.seconds for r in s.retrieval if r.traffic_class == first.name)
    quick = replace(first, slo=replace(first.slo, ttft_s=fetched_s + 0.004))
    return replace(s, workload=replace(s.workload, classes=(quick, *s.workload.classes[1:])))


def poor(s):
    return replace(s, limits=replace(s.limits, per_month=3.0))


def demanding(s):
    """A floor above every score."""
    first, *rest = s.quality.floors
    return replace(s, quality=replace(s.quality, floors=(replace(first, at_least=0.999), *rest)))


def dark(s):
    """Next to no current, and nothing that draws none."""
    use = replace(s.use, apis=(), on_device=())
    return replace(s, use=use, limits=replace(s.limits, power_w=1.0))


BREAKS = {"ttft": hurried, "budget": poor, "floor": demanding, "power": dark}
UNBREAKABLE = {("financial-qa", "floor"), ("national-service", "floor")}


@pytest.mark.parametrize("name", FEASIBLE)
@pytest.mark.parametrize("limit", BREAKS)
def test_a_way_out_solves_when_taken(name, limit):
    broken = BREAKS[limit](scenario(name))
    rec = recommend(broken, EXAMPLES, TODAY)
    assert rec.plan is None
    ways = [w for w in rec.infeasible.ways_out if w.value is not None]
    assert ways, rec.infeasible
    for way in ways:
        taken = recommend(relaxed_scenario(broken, way.name, way.value), EXAMPLES, TODAY)
        assert taken.plan is not None, way
        assert taken.verdict.usd_per_month == pytest.approx(way.usd_per_month, rel=1e-6)


def test_one_class_may_wait_longer_and_the_others_keep_their_limits():
    s = scenario("customer-service")
    longer = relaxed_scenario(s, "slo:faq", 3.0)
    first, second = longer.workload.classes
    assert first.slo.ttft_s == pytest.approx(3.0)
    assert first.slo.tpot_s == pytest.approx(0.15)
    assert second.slo == s.workload.classes[1].slo


def test_values_round_away_from_the_limit():
    for name, least in (("money", 1234.2), ("power", 0.0123456), ("chips:h20", 7.4)):
        assert least <= outwards(name, least) <= least * 1.09
    assert 0.7218 <= outwards("floor:x", 0.7229) <= 0.7229
    assert outwards("slo:faq", 1.234) == pytest.approx(1.24)
