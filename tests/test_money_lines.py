"""The optimizer's bill is the cost room's: one formula a line, ranges from facts, no line twice."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.catalogue.scenarios import read_scenario
from advisor.catalogue.training import training_mfu
from advisor.cost.hourly import HOURS_PER_MONTH
from advisor.cost.training import lora_parameters
from advisor.estimator.owning import purchase_usd
from advisor.estimator.tuning import adapter_matrices
from advisor.optimizer.assemble import facts_of, question_of
from advisor.optimizer.electricity import curve_spread
from advisor.optimizer.hardware import hardware_of, spot_terms
from advisor.optimizer.kinds import solved
from advisor.optimizer.money import pool_uses
from advisor.optimizer.options import scaled_usd_per_hour
from advisor.optimizer.plans import usd_of
from advisor.optimizer.recommend import recommend
from advisor.optimizer.search import best_plan
from advisor.optimizer.vertical import vertical_of
from advisor.perf.parameters import active_parameters, total_parameters
from advisor.report.recommend_brief import brief_markdown
from advisor.report.recommend_text import recommend_text

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TODAY = dt.date(2026, 11, 23)


def changed(name, use=None, money=None):
    base = read_scenario(EXAMPLES / f"{name}.toml")
    return msgspec.structs.replace(
        base,
        use=msgspec.structs.replace(base.use, **(use or {})),
        money=msgspec.structs.replace(base.money, **(money or {})),
    )


@cache
def answer(name):
    return recommend(read_scenario(EXAMPLES / f"{name}.toml"), EXAMPLES, TODAY)


def lines(plan, kind):
    return [x for x in plan.lines if x.kind == kind]


def usd(plan, *kinds):
    return sum(x.usd_per_month.value for x in plan.lines if x.kind in kinds)


def test_bought_devices_pay_annuity_room_and_people_once():
    plan = answer("national-service").plan
    devices = sum(plan.chips.values())
    price = purchase_usd(get_device("h20-96")).value * 1.41
    annuity = price * (1 - 0.1 / 1.08**4) * 0.301920804 / 12
    assert usd(plan, "own", "idle") == pytest.approx(devices * annuity, rel=1e-6)
    tdp = get_device("h20-96").power.tdp_w.value
    assert usd(plan, "hosting") == pytest.approx(devices * 100 * tdp / 1e3 * 1.43, rel=1e-6)
    assert usd(plan, "staff") == pytest.approx(0.5 * 42_000 / 12)


def test_ranges_of_running_costs_are_those_of_the_facts():
    plan = answer("national-service").plan
    running = prices.operation()
    for line in lines(plan, "hosting"):
        e, fact = line.usd_per_month, running.hosting_usd_per_kw_month
        assert e.low80 / e.value == pytest.approx(fact.low / fact.value)
        assert e.high80 / e.value == pytest.approx(fact.high / fact.value)
    (staff,) = lines(plan, "staff")
    assert staff.usd_per_month.low80 < staff.usd_per_month.value < staff.usd_per_month.high80


def test_power_and_carbon_carry_the_errors_of_curve_host_building_and_grid():
    question = question_of(
        facts_of(read_scenario(EXAMPLES / "national-service.toml"), EXAMPLES, TODAY)
    )
    one = solved(question, best_plan(question), {})
    site = question.facts.site
    uses = pool_uses(question, one.found)
    devices = [(u.pool.power, u.replicas * u.pool.devices) for u in uses]
    watts = sum(p.busy_w * n for p, n in devices) * 1.43 * 1.54
    assert one.plan.power_w.value == pytest.approx(watts, rel=1e-6)
    curve = max(p.spread.q80 for p, _ in devices)
    assert one.plan.power_w.high80 / watts > 1 + curve
    carbon, power = one.plan.kgco2e_per_month, one.plan.power_w
    assert carbon.high80 / carbon.value > power.high80 / power.value
    assert site.grid.high > site.grid.value


def test_a_curve_without_errors_of_its_own_takes_the_worst():
    from advisor.catalogue.devices import power_fits

    known = [f for f in power_fits() if f.q80]
    unknown = [f for f in power_fits() if not f.q80]
    assert unknown
    assert curve_spread(unknown[0]).q80 == max(f.q80 for f in known)
    assert curve_spread(known[0]).q80 == known[0].q80


@pytest.mark.parametrize(("months", "offered"), [(11, False), (12, True), (36, True)])
def test_reserved_terms_need_a_horizon_that_covers_them(months, offered):
    scenario = changed(
        "customer-service", {"rent": ("h100-sxm",), "buy": ()}, {"horizon_months": months}
    )
    (found,) = hardware_of(scenario, TODAY).devices
    terms = {o.terms: o for o in found.offers}
    assert ("reserved" in terms) == offered
    if offered:
        assert terms["reserved"].term_months == 12
        cheap = terms["reserved"].usd_per_device_hour.value
        assert cheap < terms["rented"].usd_per_device_hour.value


def test_a_reserved_plan_keeps_its_devices_and_adds_up():
    scenario = changed("customer-service", {"rent": ("h100-sxm",), "apis": (), "buy": ()})
    question = question_of(facts_of(scenario, EXAMPLES, TODAY))
    reserved = [p for p in question.pools if p.offer.terms == "reserved"]
    assert reserved
    assert all(scaled_usd_per_hour(p, scenario) == float("inf") for p in reserved)
    one = solved(question, best_plan(question), {})
    assert one.plan.usd_per_month.value == pytest.approx(usd_of(question, one.found), rel=1e-6)
    short = changed(
        "customer-service",
        {"rent": ("h100-sxm",), "apis": (), "buy": ()},
        {"horizon_months": 6},
    )
    without = recommend(short, EXAMPLES, TODAY).plan
    assert without.deployments[0].terms == "rented"


def test_spot_hours_are_cheaper_and_keep_spare_capacity_on_its_own_line():
    plain = changed("code-assistant", {"apis": ()})
    spot = changed("code-assistant", {"apis": ()}, {"spot_share": 1.0})
    facts = prices.operation()
    terms = spot_terms(spot.money)
    price, spare = facts.spot_price_share.value, facts.spot_spare_share.value
    assert terms.factor == pytest.approx(price * (1 + spare))
    before, after = (recommend(s, EXAMPLES, TODAY).plan for s in (plain, spot))
    assert usd(after, "spot-risk") == pytest.approx(spare * usd(after, "rent", "idle"), rel=1e-6)
    assert after.usd_per_month.value < before.usd_per_month.value
    stated = spot_terms(msgspec.structs.replace(spot.money, spot_price_share=0.5, spot_spare=0.2))
    assert stated.factor == pytest.approx(0.6)


def test_owned_devices_at_no_price_still_pay_power_room_and_people():
    plan = answer("rag-documents").plan
    assert not lines(plan, "own")
    assert usd(plan, "energy", "hosting", "staff") > 0
    devices = sum(plan.chips.values())
    watts = get_device("a10").power.tdp_w.value * 1.43
    assert usd(plan, "hosting") == pytest.approx(devices * watts / 1e3 * 100, rel=1e-6)
    site = prices.get_site("deu").usd_per_kwh.value
    most = devices * watts * 1.54 / 1e3 * HOURS_PER_MONTH * site
    assert 0 < usd(plan, "energy") < most


def test_a_tuned_model_shows_its_cost_beside_its_score_and_a_model_from_nothing():
    rec = answer("financial-qa")
    (tuned,) = rec.tuned
    shape = get_model("qwen3-8b").shape
    n, d = active_parameters(shape), 50e6
    adapters = lora_parameters(adapter_matrices(shape), 16)
    peak = get_device("a100-sxm-80").peak.bf16_flops_per_s.value
    mfu = training_mfu("ampere", "finetune").value
    hours = (4 * n * d + 6 * adapters * d) / (peak * mfu * 3600)
    assert tuned.device_hours.value == pytest.approx(hours)
    full = 6 * n * d / (peak * mfu * 3600)
    assert tuned.full_usd.value / tuned.usd_once.value == pytest.approx(full / hours)
    assert tuned.pretraining_tokens == pytest.approx(20 * total_parameters(shape))
    from_nothing = 6 * n * tuned.pretraining_tokens / (peak * 3600)
    from_nothing /= training_mfu("ampere", "pretrain").value
    rent = tuned.usd_once.value / hours
    assert tuned.pretraining_usd.value == pytest.approx(from_nothing * rent)
    # One year at 8 %: a payment of 1.08 over twelve months.
    assert tuned.usd_per_month.value == pytest.approx(tuned.usd_once.value * 1.08 / 12)
    (line,) = lines(rec.plan, "fine-tune")
    assert line.usd_per_month.value == pytest.approx(tuned.usd_per_month.value)
    assert line.usd_per_month.high80 == pytest.approx(tuned.usd_per_month.high80)
    assert [(g.metric, g.before, g.after) for g in tuned.gains] == [("FinanceIQ", None, 0.66)]
    for lang in ("en", "zh"):
        gain = "FinanceIQ: not measured → 0.660" if lang == "en" else "FinanceIQ：未测 → 0.660"
        assert gain in brief_markdown(rec, lang, "x")
        assert gain.replace(" ", "") in re.sub(r"\s", "", recommend_text(rec, lang))


def test_a_gain_names_the_base_score_where_it_was_measured():
    base = read_scenario(EXAMPLES / "financial-qa.toml")
    tuned = msgspec.structs.replace(base.tuned[0], scores={"C-Eval": 0.9}, usd_data=1000.0)
    found = vertical_of(facts_of(msgspec.structs.replace(base, tuned=(tuned,)), EXAMPLES, TODAY))[0]
    assert 0.5 < found.gains[0].before < 0.9
    assert found.usd_once.value > 1000
