"""Arrivals against closed forms: renewals, wandering rate, hours of the day, clients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalogue.read import decode
from advisor.errors import UsageError
from advisor.schema.traffic_facts import GapTable
from advisor.schema.workload import Workload
from advisor.traffic.clients import length_factors, zipf_shares
from advisor.traffic.facts import get_arrival_fit, get_client_mix, get_diurnal
from advisor.traffic.gaps import GammaGaps, TableGaps, arrivals_until, first_arrivals, gaps_of_cv
from advisor.traffic.generate import generate
from advisor.traffic.rate import Rate, ornstein_uhlenbeck, peak_hour, week_shape

FIXED = '[[class]]\nname = "a"\nisl_tokens = 100\nosl_tokens = 10\n'
DAY_S = 86400.0


def times(text: str, seed: int = 0) -> np.ndarray:
    return generate(decode(text + "\n" + FIXED, Workload, "s.toml"), seed).arrival_s


def dispersion(arrival_s: np.ndarray, window_s: float, end_s: float) -> float:
    edges = np.arange(0.0, end_s + window_s / 2, window_s)
    counts, _ = np.histogram(arrival_s, edges)
    return float(counts.var() / counts.mean())


@given(st.sampled_from(["gamma", "weibull"]), st.floats(0.1, 30.0))
def test_gap_laws_have_the_cv_asked_for(law, cv):
    assert gaps_of_cv(law, cv).cv == pytest.approx(cv, rel=1e-6)


@pytest.mark.parametrize("law", ["gamma", "weibull"])
@pytest.mark.parametrize("cv", [0.4, 1.0, 2.5])
def test_gaps_have_mean_one_and_their_cv(law, cv):
    gaps = gaps_of_cv(law, cv).draw(np.random.default_rng(1), 400_000)
    assert gaps.mean() == pytest.approx(1.0, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_table_moments_are_those_of_its_draws():
    fit = get_arrival_fit("code").law
    assert isinstance(fit, GapTable)
    gaps = TableGaps(fit)
    drawn = gaps.draw(np.random.default_rng(2), 2_000_000)
    assert drawn.mean() == pytest.approx(1.0, rel=0.03)
    assert drawn.std() == pytest.approx(gaps.cv, rel=0.1)


@pytest.mark.parametrize("gaps", [GammaGaps(0.04), gaps_of_cv("weibull", 5.0), GammaGaps(4.0)])
def test_processes_are_stationary_from_the_start(gaps):
    # An ordinary renewal process would start with (cv² - 1) / 2 arrivals too many: 12 here.
    counts = [
        len(arrivals_until(gaps, 30.0, *(np.random.default_rng([s, k]) for k in (0, 1))))
        for s in range(4000)
    ]
    error = np.std(counts) / math.sqrt(len(counts))
    assert abs(np.mean(counts) - 30.0) < 4 * error


def test_table_first_gap_is_a_residual_life():
    fit = get_arrival_fit("code").law
    assert isinstance(fit, GapTable)
    gaps = TableGaps(fit)
    rng = np.random.default_rng(3)
    firsts = np.array([gaps.first(rng) for _ in range(40_000)])
    # Mean residual life of a renewal process: (1 + cv²) / 2.
    assert firsts.mean() == pytest.approx((1 + gaps.cv**2) / 2, rel=0.05)


def test_first_arrivals_and_arrivals_until_are_one_process():
    gaps = GammaGaps(0.5)
    rngs = [[np.random.default_rng(k) for k in (5, 6)] for _ in range(2)]
    until = arrivals_until(gaps, 200.0, *rngs[0])
    assert first_arrivals(gaps, len(until), *rngs[1]) == pytest.approx(until, rel=1e-12)


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0.01, 20.0), st.integers(0, 5))
def test_wandering_path_is_the_recursion(count, step_over_constant, seed):
    noise = np.random.default_rng(seed).standard_normal(count)
    path = ornstein_uhlenbeck(noise.copy(), step_over_constant, 1.0)
    decay = math.exp(-step_over_constant)
    expected, last = [], noise[0]
    for k in range(count):
        last = noise[0] if k == 0 else decay * last + math.sqrt(1 - decay**2) * noise[k]
        expected.append(last)
    assert path == pytest.approx(np.array(expected), abs=1e-9)


def test_poisson():
    arrival = times("requests_per_s = 5\nduration_s = 40000")
    assert len(arrival) == pytest.approx(200_000, abs=4 * math.sqrt(200_000))
    gaps = np.diff(arrival)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.01)
    assert dispersion(arrival, 10.0, 40000.0) == pytest.approx(1.0, abs=0.1)


def test_renewal_dispersion_tends_to_cv_squared():
    arrival = times('requests_per_s = 50\nduration_s = 20000\narrivals = "gamma"\ncv = 2.0')
    assert dispersion(arrival, 20.0, 20000.0) == pytest.approx(4.0, rel=0.15)


def test_conversation_disperses_as_the_trace():
    found = np.array(
        [
            [dispersion(a, w, 30000.0) for w in (1.0, 10.0, 60.0)]
            for a in (
                times('requests_per_s = 5.53\nduration_s = 30000\narrivals = "conversation"', s)
                for s in range(4)
            )
        ]
    ).mean(axis=0)
    # Azure 2023 conversation: 1.39, 3.87, 16.4; closed form of the fit 1.38, 3.89.
    assert found[0] == pytest.approx(1.38, abs=0.1)
    assert found[1] == pytest.approx(3.89, rel=0.15)
    assert found[2] == pytest.approx(16.4, rel=0.25)


def test_conversation_keeps_the_mean_at_a_low_rate():
    # Far below one request per time constant the step is long: the variance must shrink with it.
    arrival = times('requests_per_s = 0.01\nrequests = 40000\narrivals = "conversation"')
    assert len(arrival) / arrival[-1] == pytest.approx(0.01, rel=0.05)


def test_code_bursts():
    arrival = times('requests_per_s = 2.566\nduration_s = 300000\narrivals = "code"', 1)
    assert len(arrival) / 300000 == pytest.approx(2.566, rel=0.15)
    assert dispersion(arrival, 1.0, 300000.0) == pytest.approx(9.2, rel=0.15)
    assert dispersion(arrival, 60.0, 300000.0) > 60


def test_week_follows_its_profile():
    arrival = times('requests_per_s = 2\nduration_s = 604800\ndiurnal = "azure-2024-conv"')
    counts, _ = np.histogram(arrival, np.arange(169) * 3600.0)
    profile = get_diurnal("azure-2024-conv")
    week = np.concatenate([np.tile(profile.weekday, 5), np.tile(profile.weekend, 2)])
    expected = 2 * 3600 * week / week.mean()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert len(arrival) == pytest.approx(2 * 604800, rel=0.01)


def test_a_run_starts_at_its_hour():
    flat = [0.0] * 24
    flat[9] = 24.0
    text = f"requests_per_s = 1\nduration_s = {DAY_S}\nstart_hour = 8.5\ndiurnal = {flat}"
    arrival = times(text)
    assert arrival.min() >= 1800.0
    assert arrival.max() <= 1800.0 + 3600.0
    assert len(arrival) == pytest.approx(DAY_S, abs=5 * math.sqrt(DAY_S))


def test_own_weights_are_scaled_to_mean_one():
    text = f"requests_per_s = 1\ndiurnal = {[100] * 24}\ndiurnal_weekend = {[50] * 24}\n" + FIXED
    workload = decode(text, Workload, "s.toml")
    week = week_shape(workload)
    assert week.mean() == pytest.approx(1.0)
    assert week[0] == pytest.approx(2 * week[-1])
    assert peak_hour(workload) == (0, pytest.approx(700 / 600))


def test_ramp_rises_in_a_line():
    for load in ("duration_s = 10000", "requests = 50000"):
        arrival = times(f'requests_per_s = 5\narrivals = "ramp"\n{load}')
        early = (arrival < 5000).sum()
        assert early / len(arrival) == pytest.approx(0.25, abs=0.02)
        assert arrival[-1] <= 10000


def test_growth_has_its_integral():
    text = "requests_per_s = 3\ngrowth_per_year = 1.0\n" + FIXED
    year = 365.25 * DAY_S
    clock = Rate(3.0, decode(text, Workload, "s.toml")).until(year)
    assert clock.end_mass == pytest.approx(3.0 * year / math.log(2), rel=1e-6)


def test_a_shrinking_load_that_never_gets_there_is_refused():
    with pytest.raises(UsageError, match="reach 100 years"):
        times("requests_per_s = 1e-6\ngrowth_per_year = -0.9\nrequests = 1000")


def test_all_at_once():
    arrival = times('arrivals = "all-at-once"\nrequests = 500')
    assert len(arrival) == 500
    assert not arrival.any()


def test_clients_have_zipf_shares_and_lengths_of_mean_one():
    mix = get_client_mix("servegen-m-large")
    shares = zipf_shares(mix)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] / shares[9] == pytest.approx(10**mix.zipf_exponent)
    factors = length_factors(1.1, shares, np.random.default_rng(0))
    assert shares @ factors == pytest.approx(1.0)


def test_clients_superpose_to_the_rate_and_are_bursty():
    text = 'requests_per_s = 20\nclient_mix = "servegen-m-large"\n'
    counts = [len(times(text + "duration_s = 2000", seed)) for seed in range(12)]
    assert np.mean(counts) == pytest.approx(40_000, rel=0.1)
    assert len(times(text + "requests = 12345")) == 12345
    assert dispersion(times(text + "duration_s = 2000"), 10.0, 2000.0) > 1.5


def test_too_many_requests_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="at most 50,000,000"):
        times("requests_per_s = 1e6\nduration_s = 1e6")
