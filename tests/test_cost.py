"""Closed forms of money against hand values, published prices, and money of an answer."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.cost import hourly
from advisor.errors import StalePriceError
from advisor.estimator.money import (
    capital_per_hour,
    electricity_per_hour,
    hourly_prices,
    owned_per_hour,
    rented_per_hour,
)
from advisor.estimator.owning import price_of, wage_usd_per_year
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.schema.price import Rental

PRICE_DAY = dt.date(2026, 9, 1)
money = st.floats(0.01, 1e6)


# Payments of a loan, the values any spreadsheet's PMT gives.
@pytest.mark.parametrize(
    ("price", "years", "interest", "yearly"),
    [
        (1000.0, 1.0, 0.10, 1100.0),
        (1000.0, 2.0, 0.10, 576.190476),  # 1000 x 0.1 / (1 - 1/1.21)
        (1000.0, 4.0, 0.08, 301.920804),  # 1000 x 0.08 / (1 - 1.08^-4)
        (250_000.0, 5.0, 0.075, 61_791.1795),
        (1200.0, 3.0, 0.0, 400.0),  # no interest: equal parts
    ],
)
def test_annuity_equals_the_payment_tables(price, years, interest, yearly):
    assert hourly.annuity_per_year(price, years, interest) == pytest.approx(yearly, rel=1e-7)


@given(price=money, years=st.integers(1, 15), interest=st.floats(1e-4, 0.5))
def test_payments_discounted_back_are_the_price(price, years, interest):
    payment = hourly.annuity_per_year(price, years, interest)
    value = sum(payment / (1 + interest) ** year for year in range(1, years + 1))
    assert value == pytest.approx(price, rel=1e-9)


@given(price=money, years=st.floats(0.5, 15))
def test_interest_near_zero_approaches_equal_parts(price, years):
    assert hourly.annuity_per_year(price, years, 1e-7) == pytest.approx(price / years, rel=1e-5)


def test_owned_hour_by_hand():
    # RTX 4090: price with a 41 % host over 4 years at 8 %, 10 % resale; 450 W with 43 % for the
    # host at 100 $/kW and month; 0.005 people at the mean wage.
    device, rows = get_device("rtx-4090"), prices.purchases("rtx-4090")
    whole = price_of(rows[0]).value * 1.41
    capital = whole * (1 - 0.1 / 1.08**4) * 0.301920804
    room = 12 * 100 * 0.450 * 1.43
    people = 0.005 * wage_usd_per_year("world").value
    owned, bare = owned_per_hour(device, rows), capital_per_hour(rows)
    assert bare[0].value == pytest.approx(capital / (365.25 * 24), rel=1e-7)
    assert owned[0].value == pytest.approx((capital + room + people) / (365.25 * 24), rel=1e-7)
    assert owned[0].low80 < owned[0].value < owned[0].high80


def test_electricity_by_hand():
    # 700 W with 43 % for the host at PUE 1.5 is 1.5015 kW.
    assert hourly.electricity_usd_per_hour(700.0, 0.43, 1.5, 0.10) == pytest.approx(0.15015)


def test_electricity_of_a_country_uses_its_published_price():
    # United States: 0.0813 $/kWh; host power 0.43 and PUE 1.54 of the ownership file.
    assert electricity_per_hour(1000.0, "usa") == pytest.approx(1.43 * 1.54 * 0.0813)
    assert electricity_per_hour(1000.0, "US") == electricity_per_hour(1000.0, "usa")


def test_usd_per_mtok_by_hand():
    # 3.6 $/h at 10 requests/s of 100 tokens: 1e-3 $/s over 1000 tokens/s is 1 $ per million.
    assert hourly.usd_per_mtok(3.6, 1.0, 10.0, 100.0) == pytest.approx(1.0)
    assert hourly.usd_per_mtok(3.6, 0.25, 10.0, 100.0) == pytest.approx(0.25)


@given(usd=money, share=st.floats(0.01, 1), rate=st.floats(1e-3, 1e3), factor=st.floats(0.1, 10))
def test_money_per_token_is_linear_in_the_price(usd, share, rate, factor):
    one = hourly.usd_per_mtok(usd, share, rate, 300.0)
    assert hourly.usd_per_mtok(factor * usd, share, rate, 300.0) == pytest.approx(factor * one)


# Price lists of the sellers: instance price over its devices.
@pytest.mark.parametrize(
    ("device", "provider", "usd"),
    [
        ("a10g", "aws", 1.006),  # g5.xlarge, us-east-1
        ("l40s", "aws", 1.861),  # g6e.xlarge, us-east-1
        ("b200", "aws", 113.9328 / 8),  # p6-b200.48xlarge
        ("l4", "gcp", 0.999),  # g2-standard-96 over 8
    ],
)
def test_rental_prices_are_the_published_ones(device, provider, usd):
    quotes = [r.price_per_device_hour for r in prices.rentals(device) if r.provider == provider]
    assert usd in [pytest.approx(quote, abs=5e-4) for quote in quotes]


@pytest.mark.parametrize(("device", "usd"), [("rtx-4090", 1599), ("rtx-5090", 1999)])
def test_launch_prices_are_the_published_ones(device, usd):
    launch = [p for p in prices.purchases(device) if p.kind == "launch"]
    assert [p.price for p in launch] == [usd]


def quote(price: float, **changes: object) -> Rental:
    base: dict[str, object] = {
        "device": "a100-sxm-80",
        "provider": "p",
        "region": "r",
        "terms": "on-demand",
        "currency": "USD",
        "price_per_device_hour": price,
        "date": PRICE_DAY,
        "source": "s",
    }
    return Rental(**(base | changes))


def test_rent_is_the_median_of_recent_on_demand_quotes():
    old = quote(9.0, date=PRICE_DAY - dt.timedelta(days=200))
    spot = quote(0.1, terms="spot")
    found = rented_per_hour((quote(1.0), quote(2.0), quote(4.0), old, spot))
    assert found is not None
    rent, date = found
    assert rent.value == 2.0
    assert date == PRICE_DAY
    assert rent.low95 <= 1.0 + 1e-12
    assert rent.high95 >= 4.0 - 1e-12


def test_no_on_demand_quote_gives_no_rent():
    assert rented_per_hour((quote(0.1, terms="spot"),)) is None
    assert rented_per_hour(()) is None


def test_foreign_quotes_are_converted():
    rate = prices.exchange_rate("CNY")
    assert rate is not None
    assert 6.0 < rate.per_usd < 8.0
    found = rented_per_hour((quote(10.0, currency="CNY"),))
    assert found is not None
    assert found[0].value == pytest.approx(10.0 / rate.per_usd)


@given(factor=st.floats(0.1, 10))
def test_capital_is_linear_in_the_purchase_price(factor):
    import msgspec

    row = prices.purchases("rtx-4090")[0]
    dearer = msgspec.structs.replace(row, price=row.price * factor)
    one, other = capital_per_hour((row,)), capital_per_hour((dearer,))
    assert one is not None
    assert other is not None
    assert other[0].value == pytest.approx(factor * one[0].value)
    assert other[0].high95 == pytest.approx(factor * one[0].high95)


def test_an_answer_costs_hour_over_tokens_and_splits_it_without_loss():
    request = EstimateRequest(model="4B", hw="h20", usd_per_hour=2.5, concurrency=32)
    p = estimate_point(request, PRICE_DAY).asked
    assert p.rented is not None
    assert p.requests_per_s is not None
    assert p.rented.usd_per_hour.value == 2.5
    hourly_bill = (
        p.rented.usd_per_mtok_input.value * request.isl_tokens
        + p.rented.usd_per_mtok_output.value * request.osl_tokens
    ) * (p.requests_per_s.value * 3600 / 1e6)
    assert hourly_bill == pytest.approx(2.5)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_an_answer_is_linear_in_the_rent(factor):
    base = EstimateRequest(model="4B", hw="h20", usd_per_hour=2.0)
    one = estimate_point(base, PRICE_DAY)
    other = estimate_point(dataclasses.replace(base, usd_per_hour=2.0 * factor), PRICE_DAY)
    for point in ("asked", "best"):
        a, b = getattr(one, point).rented, getattr(other, point).rented
        for field in ("usd_per_hour", "usd_per_mtok_input", "usd_per_mtok_output"):
            for end in ("value", "low95", "high95"):
                expected = factor * getattr(getattr(a, field), end)
                assert getattr(getattr(b, field), end) == pytest.approx(expected)


def test_more_devices_cost_more_an_hour_but_as_much_a_token():
    base = EstimateRequest(model="4B", hw="h20", usd_per_hour=2.0, concurrency=16, tp=1)
    one = estimate_point(base, PRICE_DAY).asked.rented
    eight = dataclasses.replace(base, count=8, concurrency=128)
    many = estimate_point(eight, PRICE_DAY).asked.rented
    assert one is not None
    assert many is not None
    assert many.usd_per_hour.value == pytest.approx(8 * one.usd_per_hour.value)
    assert many.usd_per_mtok_output.value == pytest.approx(one.usd_per_mtok_output.value)


def test_old_rents_warn_and_can_be_refused():
    device = get_device("a100-sxm-80")
    newest = max(r.date for r in prices.rentals(device.id) if r.terms == "on-demand")
    year_later = newest + dt.timedelta(days=365)
    fresh = hourly_prices(device, None, None, newest)
    assert "warn_old_price" not in [w.key for w in fresh.warnings]
    assert fresh.oldest == newest
    assert [w.key for w in hourly_prices(device, None, None, year_later).warnings] == [
        "warn_old_purchase",
        "warn_old_price",
    ]
    assert hourly_prices(device, None, 365, year_later).rented is not None
    with pytest.raises(StalePriceError, match="365 days old"):
        hourly_prices(device, None, 364, year_later)
    given_rent = hourly_prices(device, 1.5, 0, year_later).rented
    assert given_rent is not None
    assert given_rent.value == given_rent.high95 == 1.5
