"""Means, percentiles, intervals and warm-up of the simulator against known laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.simulator.statistics import (
    distribution,
    histogram_percentiles,
    warm_up,
)


def test_nothing_seen_gives_nothing():
    assert distribution(np.array([np.nan, np.nan])) is None


def test_one_observation_has_no_width_but_a_value():
    seen = distribution(np.array([3.0]))
    assert seen is not None
    assert seen.mean.value == seen.p99.value == 3.0


@pytest.mark.parametrize("count", [200, 4000])
def test_intervals_cover_the_truth_about_95_times_in_100(count):
    hits = {"mean": 0, "p50": 0, "p90": 0}
    truth = {"mean": 1.0, "p50": math.log(2.0), "p90": math.log(10.0)}
    for seed in range(200):
        seen = distribution(np.random.default_rng(seed).exponential(1.0, count))
        assert seen is not None
        for name, value in truth.items():
            figure = getattr(seen, name)
            hits[name] += figure.low <= value <= figure.high
    for name, count_hit in hits.items():
        assert 180 <= count_hit <= 200, name


def test_batches_widen_the_interval_of_correlated_series():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(20_000)
    series = np.empty_like(noise)
    level = 0.0
    for i, step in enumerate(noise):
        level = 0.95 * level + step
        series[i] = level
    seen = distribution(series)
    alone = 1.96 * series.std() / math.sqrt(len(series))
    assert seen is not None
    # Autocorrelation 0.95 multiplies the variance of the mean by (1 + r) / (1 - r) = 39.
    assert seen.mean.high - seen.mean.value > 3.0 * alone


def test_a_transient_is_cut_and_a_steady_series_is_kept():
    rng = np.random.default_rng(2)
    steady = rng.exponential(1.0, 5000)
    assert warm_up(steady) < 500
    ramp = np.concatenate([np.linspace(20.0, 1.0, 1000) + rng.random(1000), steady])
    assert 700 <= warm_up(ramp) <= 1500


def test_a_short_series_is_never_cut():
    assert warm_up(np.arange(50.0)) == 0


def test_histogram_percentiles_interpolate():
    counts = np.array([0, 50, 50])
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    assert histogram_percentiles(counts, edges, (25.0, 50.0, 100.0)) == (1.5, 2.0, 3.0)
    assert math.isnan(histogram_percentiles(np.zeros(3, dtype=int), edges, (50.0,))[0])
