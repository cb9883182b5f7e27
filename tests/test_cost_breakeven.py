"""Break-even volumes: closed forms against a search, and their curve."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.cost.breakeven import (
    Fleet,
    always_break_even,
    breakeven_curve,
    curve_volumes,
    first_break_even,
    linear_break_even,
)

FLEETS = st.builds(
    Fleet,
    fixed_usd_per_month=st.integers(0, 5000).map(float),
    device_usd_per_month=st.integers(1, 3000).map(float),
    requests_per_device_month=st.integers(10, 10_000).map(float),
    usd_per_request=st.sampled_from([0.0, 0.01, 0.1]),
)
PRICES = st.sampled_from([0.05, 0.2, 0.5, 1.0, 3.0])


def pays(fleet: Fleet, price: float, volume: float) -> bool:
    return fleet.usd_per_month(volume) <= price * volume * (1 + 1e-9) + 1e-9


def test_one_step_by_hand():
    fleet = Fleet(0.0, 1000.0, 1e6)
    assert first_break_even(fleet, 0.002) == 500_000.0
    # The second device comes at a million requests, where the API costs what both devices do.
    assert always_break_even(fleet, 0.002) == 500_000.0
    # With a fixed cost it would lose at the start of each of the first steps.
    assert always_break_even(Fleet(500.0, 1000.0, 1e6), 0.002) == 1_250_000.0


def test_a_device_that_never_earns_its_keep():
    fleet = Fleet(0.0, 1000.0, 1e5)
    assert first_break_even(fleet, 0.002) == math.inf
    assert always_break_even(fleet, 0.002) == math.inf


def test_a_price_below_ones_own_marginal_cost_never_pays():
    fleet = Fleet(0.0, 0.0, 1e5, usd_per_request=0.01)
    assert first_break_even(fleet, 0.005) == math.inf


def test_without_steps_it_is_the_line():
    assert linear_break_even(100.0, 0.3, 0.1) == pytest.approx(500.0)
    assert linear_break_even(100.0, 0.1, 0.1) == math.inf


@given(FLEETS, PRICES)
def test_the_first_volume_is_the_first(fleet, price):
    first = first_break_even(fleet, price)
    assume(0 < first < 1e7)
    assert pays(fleet, price, first * (1 + 1e-6)) or pays(fleet, price, first)
    assert not any(pays(fleet, price, first * share) for share in (0.999, 0.9, 0.6, 0.3, 0.01))


@given(FLEETS, PRICES)
def test_above_the_last_volume_it_always_pays(fleet, price):
    always = always_break_even(fleet, price)
    assume(always < 1e7)
    step = fleet.requests_per_device_month
    above = [always * (1 + 1e-6) + step * x for x in (0, 0.1, 0.5, 1, 1.001, 2.0001, 7.3, 50.01)]
    assert all(pays(fleet, price, v) for v in above)
    assert always >= first_break_even(fleet, price) * (1 - 1e-9)


@given(FLEETS, PRICES)
def test_just_below_the_last_volume_it_does_not(fleet, price):
    always = always_break_even(fleet, price)
    first = first_break_even(fleet, price)
    assume(0 < always < 1e7)
    if always > first * (1 + 1e-6):
        just_above_the_step = math.floor(always / fleet.requests_per_device_month - 1e-6)
        start = just_above_the_step * fleet.requests_per_device_month
        assert not pays(fleet, price, start * (1 + 1e-9) + 1e-4) or start == 0


@given(FLEETS, PRICES, st.floats(1.1, 5))
def test_a_dearer_api_pays_back_sooner(fleet, price, factor):
    assert first_break_even(fleet, price * factor) <= first_break_even(fleet, price) * (1 + 1e-9)


@given(FLEETS, PRICES, st.floats(0.1, 10))
def test_scaling_all_prices_moves_nothing(fleet, price, factor):
    scaled = Fleet(
        fleet.fixed_usd_per_month * factor,
        fleet.device_usd_per_month * factor,
        fleet.requests_per_device_month,
        fleet.usd_per_request * factor,
    )
    first = first_break_even(fleet, price)
    assume(first < math.inf)
    assume(abs(round(x := first / fleet.requests_per_device_month) - x) > 1e-6)
    assert first_break_even(scaled, price * factor) == pytest.approx(first, rel=1e-6)


@given(FLEETS, st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_volume_never_costs_less(fleet, one, two):
    low, high = sorted((one, two))
    assert fleet.usd_per_month(low) <= fleet.usd_per_month(high) + 1e-9


def test_the_curve_shows_both_sides_of_each_step():
    fleet = Fleet(0.0, 1000.0, 1e6)
    points = breakeven_curve(fleet, 0.002, curve_volumes(fleet, 3e6, points=30))
    assert [p.requests_per_month for p in points] == sorted(p.requests_per_month for p in points)
    assert {p.devices for p in points} == {0, 1, 2, 3}
    cheaper = [p.requests_per_month for p in points if p.own_is_cheaper and p.devices]
    assert min(cheaper) == pytest.approx(500_000.0)


@pytest.mark.parametrize("wrong", [
    (0.0, 1.0, 0.0), (0.0, -1.0, 1.0), (-1.0, 1.0, 1.0)])  # fmt: skip
def test_an_impossible_fleet_is_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        Fleet(*wrong)
