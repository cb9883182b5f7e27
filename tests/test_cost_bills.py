"""Monthly bills: lines, idle capacity, ranges, ownership, API prices."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalogue.api_rates import api_tariff
from advisor.catalogue.devices import get_device
from advisor.cost.amount import Amount, exactly, product, ratio, total
from advisor.cost.api import ApiUse, api_bill, rate_for, usd_per_call, usd_per_kchar
from advisor.cost.bill import split_idle
from advisor.cost.carbon import embodied_kgco2e_per_month, operating_kgco2e
from advisor.cost.deployment import (
    Capacity,
    Ownership,
    SpotRisk,
    capital_usd_per_month,
    mean_power_w,
    rented_bill,
    spot_bill,
)
from advisor.cost.hourly import HOURS_PER_MONTH, annuity_per_year, capital_recovery_factor
from advisor.cost.on_device import (
    AppTerms,
    RamTier,
    app_bill,
    battery_share,
    battery_usd,
    supported_share,
)
from advisor.errors import MissingDataError, UnknownNameError
from advisor.estimator import bills
from advisor.quality.text import text_per_token
from advisor.schema.price import ApiRate, ApiTariff

AT = dt.datetime(2026, 11, 23)
POSITIVE = st.floats(1e-3, 1e6)
SHARE = st.floats(0.0, 1.0)


@st.composite
def amounts(draw, smallest=1e-3):
    ends = sorted(draw(st.lists(st.floats(smallest, 1e6), min_size=3, max_size=3)))
    return Amount(ends[1], ends[0], ends[2])


def tariff(batch: bool = True) -> ApiTariff:
    short = ApiRate(input_usd_per_mtok=2.0, output_usd_per_mtok=10.0, cached_input_usd_per_mtok=0.5)
    long = ApiRate(input_usd_per_mtok=4.0, output_usd_per_mtok=15.0, above_input_tokens=200_000)
    half = ApiRate(input_usd_per_mtok=1.0, output_usd_per_mtok=5.0, cached_input_usd_per_mtok=0.25)
    return ApiTariff(
        provider="p", model="m", as_of=AT.date(), source="s",
        standard=(short, long), batch=(half,) if batch else (),
    )  # fmt: skip


@given(amounts(), amounts())
def test_sums_and_products_hold_their_values(a, b):
    assert total([a, b]).value == pytest.approx(a.value + b.value)
    assert product(a, b).value == pytest.approx(a.value * b.value)
    assert ratio(a, b).value == pytest.approx(a.value / b.value)


@given(amounts(), amounts())
def test_a_sum_is_never_wider_than_adding_the_ends(a, b):
    both = total([a, b])
    assert both.low >= a.low + b.low - 1e-9 * both.value
    assert both.high <= (a.high + b.high) * (1 + 1e-9)


@given(amounts(), amounts())
def test_a_product_is_never_wider_than_multiplying_the_ends(a, b):
    both = product(a, b)
    assert both.low >= a.low * b.low * (1 - 1e-9)
    assert both.high <= a.high * b.high * (1 + 1e-9)


def test_an_amount_out_of_order_is_refused():
    with pytest.raises(ValueError, match="low <= value <= high"):
        Amount(1.0, 2.0, 3.0)


def test_dividing_by_a_range_that_touches_zero_is_refused():
    with pytest.raises(ZeroDivisionError):
        ratio(exactly(1.0), Amount(1.0, 0.0, 2.0))


@given(st.floats(0.1, 40), st.floats(1e-9, 0.5), SHARE)
def test_the_annuity_pays_back_the_price(life, interest, residual):
    yearly = annuity_per_year(1000.0, life, interest, residual)
    factor = capital_recovery_factor(life, interest)
    discounted = (1 + interest) ** -life
    assert yearly / factor + 1000.0 * residual * discounted == pytest.approx(1000.0, rel=1e-6)


def test_the_annuity_without_interest_is_the_straight_line():
    assert annuity_per_year(1000.0, 4.0, 0.0) == 250.0
    assert annuity_per_year(1000.0, 4.0, 0.0, residual_share=0.2) == pytest.approx(200.0)
    assert annuity_per_year(1000.0, 4.0, 1e-12) == pytest.approx(250.0)


def test_the_annuity_of_a_device_that_lasts_for_ever_is_its_interest():
    assert annuity_per_year(1000.0, 1e4, 0.08) == pytest.approx(80.0)


@given(amounts(), SHARE)
def test_idle_and_used_make_up_what_is_paid(paid, busy):
    both = split_idle("rent", paid, busy, "measured")
    assert both.usd_of("rent") + both.usd_of("idle") == pytest.approx(paid.value)
    assert both.usd_of("idle") == pytest.approx(paid.value * (1 - busy), abs=1e-9)


@given(st.floats(1, 100), SHARE, amounts(), st.floats(0.1, 10))
def test_rent_is_linear_in_price(devices, busy, price, factor):
    capacity = Capacity(devices, busy)
    one = rented_bill(capacity, price).total_usd_per_month.value
    many = rented_bill(capacity, price.times(factor)).total_usd_per_month.value
    assert many == pytest.approx(one * factor)


def test_a_month_of_rent():
    month = rented_bill(Capacity(2, busy_share=0.25), exactly(3.0))
    assert month.total_usd_per_month.value == pytest.approx(2 * 3.0 * 730.5)
    assert month.usd_of("idle") == pytest.approx(0.75 * 2 * 3.0 * 730.5)


@pytest.mark.parametrize("kwargs", [{"devices": -1}, {"devices": 1, "busy_share": 1.1},
                                    {"devices": 1, "hours_per_month": 745.0}])  # fmt: skip
def test_impossible_capacity_is_refused(kwargs):
    with pytest.raises(ValueError, match=r"devices must be|a month has"):
        Capacity(**kwargs)


def test_spot_pays_for_the_time_lost():
    risk = SpotRisk(exactly(10.0), exactly(HOURS_PER_MONTH / 100))
    month = spot_bill(Capacity(4), exactly(1.0), risk)
    assert risk.lost_share().value == pytest.approx(0.1)
    assert month.usd_of("spot_overhead") == pytest.approx(4 * HOURS_PER_MONTH * 0.1 / 0.9)
    assert risk.all_lost_at_once(1, 0.5) == 10.0
    assert risk.all_lost_at_once(8, 0.5) == 5.0


def test_capital_moves_with_every_assumption():
    def terms(**changed: Amount) -> Ownership:
        fixed = {
            "life_years": exactly(4.0), "interest_per_year": exactly(0.08),
            "host_share": exactly(0.4), "residual_share": exactly(0.1),
            "pue": exactly(1.5), "host_power_share": exactly(0.4),
        }  # fmt: skip
        return Ownership(**{**fixed, **changed})

    exact = capital_usd_per_month(exactly(30_000.0), terms())
    assert exact.low == exact.value == exact.high
    expected = annuity_per_year(30_000.0 * 1.4, 4.0, 0.08, 0.1) / 12
    assert exact.value == pytest.approx(expected)
    wide = capital_usd_per_month(exactly(30_000.0), terms(life_years=Amount(4.0, 3.0, 6.0)))
    assert wide.value == pytest.approx(exact.value)
    assert wide.low < exact.value < wide.high


def test_mean_power_lies_between_idle_and_busy():
    assert mean_power_w(700.0, 100.0, 0.5) == 400.0


def test_an_owned_deployment_has_every_line():
    device = get_device("h100-sxm")
    month = bills.owned_deployment(device, Capacity(8, 0.5), "usa", exactly(400.0))
    kinds = {line.kind for line in month.lines}
    assert kinds == {"capital", "idle", "power", "hosting", "staff"}
    assert month.usd_of("capital") == pytest.approx(month.usd_of("idle"))
    power = 400.0 * 1.43 * 1.54 * 8 * HOURS_PER_MONTH / 1000 * 0.0813
    assert month.usd_of("power") == pytest.approx(power)
    whole = month.total_usd_per_month
    assert whole.low < whole.value < whole.high
    assert month.evidence == "estimated"


def test_a_site_without_a_wage_spans_those_known():
    wide, usa = bills.wage_usd_per_year("deu"), bills.wage_usd_per_year("usa")
    assert wide.low < usa.low
    assert wide.high >= usa.high


def test_reserved_and_spot_rent_less_than_on_demand():
    demand = bills.quotes_on("h100-sxm", "on-demand")
    for terms in ("reserved", "spot"):
        quotes = bills.quotes_on("h100-sxm", terms)
        assert quotes is not None
        assert demand is not None
        assert quotes.usd_per_hour.low < demand.usd_per_hour.value


def test_rent_without_a_quote_is_refused():
    with pytest.raises(MissingDataError, match="no spot price"):
        bills.rented_deployment(get_device("ascend-910b2"), Capacity(1), "spot")


def test_a_price_of_ones_own_needs_no_quote():
    month = bills.rented_deployment(get_device("ascend-910b2"), Capacity(1), "spot", exactly(1.0))
    assert month.usd_of("rent") == pytest.approx(HOURS_PER_MONTH)


def test_cache_and_batch_of_a_call():
    use = ApiUse(1.0, 1000.0, 100.0, cached_share=0.5)
    assert usd_per_call(tariff(), use) == pytest.approx((0.001, 0.00025, 0.001))
    later = ApiUse(1.0, 1000.0, 100.0, cached_share=0.5, batch_share=1.0)
    assert usd_per_call(tariff(), later) == pytest.approx((0.0005, 0.000125, 0.0005))
    assert usd_per_call(tariff(batch=False), later) == usd_per_call(tariff(), use)


def test_hidden_reasoning_is_paid_as_output():
    plain, hidden = ApiUse(1.0, 0.0, 300.0), ApiUse(1.0, 0.0, 100.0, hidden_output_tokens=200.0)
    assert usd_per_call(tariff(), plain) == usd_per_call(tariff(), hidden)


def test_a_long_prompt_is_charged_whole_at_the_higher_step():
    assert rate_for(tariff().standard, 200_000).input_usd_per_mtok == 2.0
    assert rate_for(tariff().standard, 200_001).input_usd_per_mtok == 4.0
    assert usd_per_call(tariff(), ApiUse(1.0, 200_001, 0.0))[0] == pytest.approx(0.800004)


def test_a_cache_without_a_price_saves_nothing():
    use = ApiUse(1.0, 300_000.0, 0.0, cached_share=1.0)
    assert sum(usd_per_call(tariff(), use)) == pytest.approx(0.3 * 4.0)


@given(st.floats(0, 1e9), st.floats(0, 1e5), st.floats(0, 1e5), SHARE, SHARE)
def test_an_api_bill_is_linear_in_volume(requests, isl, osl, cached, batch):
    def month(n: float) -> float:
        use = ApiUse(n, isl, osl, cached_share=cached, batch_share=batch)
        return api_bill(tariff(), use).total_usd_per_month.value

    assert month(requests * 3) == pytest.approx(3 * month(requests))


@pytest.mark.parametrize("wrong", [{"cached_share": 2.0}, {"batch_share": -0.1},
                                   {"hidden_output_tokens": -1.0}])  # fmt: skip
def test_impossible_use_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        ApiUse(1.0, 1.0, 1.0, **wrong)


def test_published_tariffs():
    mini = api_tariff("gpt-4o-mini", AT)
    assert (mini.standard[0].input_usd_per_mtok, mini.standard[0].output_usd_per_mtok) == (
        0.15, 0.6)  # fmt: skip
    assert mini.batch[0].input_usd_per_mtok == pytest.approx(0.075)
    long = api_tariff("gemini-2.5-pro", AT).standard
    assert [rate.above_input_tokens for rate in long] == [0, 200_000]
    assert long[1].input_usd_per_mtok == 2 * long[0].input_usd_per_mtok


def test_yuan_become_dollars_at_a_dated_rate():
    rate = api_tariff("qwen-max", AT).standard[0]
    assert rate.input_usd_per_mtok == pytest.approx(2.4 / 6.9858)


def test_an_api_of_nobody_names_the_nearest():
    with pytest.raises(UnknownNameError):
        bills.api_month("gpt-4o-minni", ApiUse(1.0, 1.0, 1.0), AT)


def test_price_of_a_thousand_characters():
    assert usd_per_kchar(2.0, 0.5) == pytest.approx(0.001)
    # The same price per token buys more Chinese where the vocabulary holds more of it.
    newer, older = (text_per_token(m, "chinese").tokens_per_char for m in ("gpt-4o", "gpt-4"))
    assert usd_per_kchar(1.0, newer) < usd_per_kchar(1.0, older)


def test_a_tariff_needs_a_price_for_short_prompts():
    long = ApiRate(input_usd_per_mtok=1, output_usd_per_mtok=1, above_input_tokens=5)
    with pytest.raises(ValueError, match="short prompts"):
        ApiTariff(provider="p", model="m", as_of=AT.date(), source="s", standard=(long,))


def test_carbon_is_energy_times_intensity():
    assert operating_kgco2e(exactly(100.0), exactly(0.5)).value == 50.0
    assert embodied_kgco2e_per_month(exactly(164.0), 4.0, 8).value == pytest.approx(164 * 8 / 48)
    month = bills.carbon_kg_per_month(exactly(400.0), 1, "fra")
    assert month.value == pytest.approx(0.4 * 1.43 * 1.54 * HOURS_PER_MONTH * 0.0414)
    assert month.value < bills.carbon_kg_per_month(exactly(400.0), 1, "chn").value


def test_phones_that_hold_a_model():
    tiers = [RamTier(8e9, exactly(0.5)), RamTier(4e9, exactly(0.9))]
    assert supported_share(tiers, 1.5e9, 0.5).value == 0.9
    assert supported_share(tiers, 3e9, 0.5).value == 0.5
    assert supported_share(tiers, 9e9, 0.5).value == 0.0


@given(st.floats(1e8, 2e10), st.floats(1.0, 3.0))
def test_a_larger_model_runs_on_no_more_phones(needed, factor):
    for market in ("world", "chn"):
        small = bills.phones_that_hold(needed, market).value
        assert bills.phones_that_hold(needed * factor, market).value <= small


def test_energy_of_a_phone():
    # 5000 mAh at 3.87 V, 1 J a token: 70 thousand tokens.
    battery = exactly(5.0 * 3.87 * 3600)
    assert battery_share(exactly(69.66), battery).value == pytest.approx(1e-3)
    whole = battery_usd(exactly(3.6e6 * 0.75), exactly(0.1), exactly(0.75))
    assert whole.value == pytest.approx(0.1)
    unsure = battery_usd(Amount(3.6e6, 1.8e6, 7.2e6), exactly(0.1), exactly(1.0))
    assert (unsure.low, unsure.high) == pytest.approx((0.05, 0.2))


def test_an_app_pays_for_people_and_downloads():
    terms = AppTerms(exactly(12.0), exactly(10_000.0), exactly(0.2), exactly(0.05))
    month = app_bill(terms, 2e9, 1000.0, 24.0)
    assert month.usd_of("development") == pytest.approx(120_000 / 24 + 120_000 * 0.2 / 12)
    assert month.usd_of("download") == pytest.approx(2 * 0.05 * 1000)


def test_traffic_to_users():
    assert bills.egress(1e9).usd_of("egress") == pytest.approx(250 * 0.09)


def test_every_range_is_finite():
    month = bills.owned_deployment(get_device("h20-96"), Capacity(1), "chn", exactly(300.0))
    assert all(math.isfinite(line.usd_per_month.high) for line in month.lines)
