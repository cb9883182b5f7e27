"""Router and scheduler know no output length: what happens before an answer ends can't tell it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import Case, flat_times, routes, run

from advisor.schema.traffic import make_requests
from advisor.simulator.numbers import Replicas, Server


@pytest.mark.parametrize(
    "balance", ["round-robin", "least-outstanding", "shortest-finish", "prefix-aware"]
)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), longer=st.integers(0, 59))
def test_a_longer_answer_changes_nothing_before_the_shorter_one_ends(balance, seed, longer):
    rng = np.random.default_rng(seed)
    n = 60
    arrival = np.cumsum(rng.exponential(0.05, n))
    prompts, answers = rng.integers(5, 60, n), rng.integers(1, 40, n)
    server = Server(flat_times(6, 64, np.linspace(0.01, 0.02, 7), 0.004), 6, 64, 400.0)
    groups = (Replicas("t", server, 3, balance=balance, prefill_s_per_token=1e-3),)
    worlds = []
    for more in (0, 30):
        lengths = answers.copy()
        lengths[longer] += more
        requests = make_requests(arrival, prompts, lengths)
        worlds.append(run(Case(requests, groups, routes(n))).requests)
    short, long = worlds
    end = short.last_s[longer]
    before = short.arrival_s < end
    assert np.array_equal(short.server[before], long.server[before])
    begun = short.scheduled_s < end
    assert np.array_equal(short.scheduled_s[begun], long.scheduled_s[begun])
    first = short.first_s < end
    assert np.array_equal(short.first_s[first], long.first_s[first])
