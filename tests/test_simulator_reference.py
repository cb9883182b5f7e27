"""The compiled loop says what the step-by-step reference says: one server, whatever its limits."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import MOST, Case, agree, even_times, one_tier, routes, run, step_times, traffic

from advisor.schema.traffic import make_requests
from advisor.simulator.numbers import Server
from advisor.simulator.reference import replay

SEEDS = st.integers(0, 2**32 - 1)
MODES = {
    "chunked": {},
    "apart": {"prefill_alone": True},
    "reserve": {"reserve_output_tokens": 20},
    "static": {"static_batch": 4, "static_wait_s": 0.25},
    "static, at once": {"static_batch": 3},
}


def server(rng, times, mode, draft=0, cache_tokens=300.0, block=4):
    sequences = int(rng.integers(1, 9))
    tokens = int(rng.integers(sequences * (1 + draft), 120))
    return Server(
        times(rng, sequences, tokens, 1 + draft),
        sequences,
        tokens,
        cache_tokens,
        block_tokens=block,
        factor=1.0 if times is even_times else 1.1,
        per_step_s=2.0**-10,
        per_sequence_s=2.0**-12,
        draft_tokens=draft,
        acceptance=0.6,
        **MODES[mode],
    )


def even(requests, every=256):
    """Arrivals at whole fractions of a second: many at the end of a step."""
    return dataclasses.replace(requests, arrival_s=np.round(requests.arrival_s * every) / every)


def case(seed, times, mode, draft, cache_tokens, block, **more):
    rng = np.random.default_rng(seed)
    made = server(rng, times, mode, draft, cache_tokens, block)
    n = int(rng.integers(1, 60))
    requests = traffic(rng, n, float(rng.choice([2, 10, 50])), priority=rng.integers(0, 3, n))
    if rng.random() < 0.5:
        more["patience_s"] = rng.integers(1, 300, n) / 64.0
    if times is even_times:
        requests = even(requests)
    return Case(requests, one_tier(made), routes(n, **more))


LIMITS = st.sampled_from([30.0, 60.0, 100.0, 300.0, 2000.0])


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS, draft=st.sampled_from([0, 0, 2]), limit=LIMITS, block=st.sampled_from([1, 4, 16])
)
def test_leaps_end_where_steps_end(mode, seed, draft, limit, block):
    agree(case(seed, step_times, mode, draft, limit, block))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS, draft=st.sampled_from([0, 0, 2]), limit=LIMITS, block=st.sampled_from([1, 4, 16])
)
def test_ties_are_resolved_alike_to_the_last_bit(mode, seed, draft, limit, block):
    agree(case(seed, even_times, mode, draft, limit, block), rel=0.0)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, clients=st.integers(1, 12), think_s=st.sampled_from([0.0, 0.125, 1.0]))
def test_a_closed_loop_of_clients(seed, clients, think_s):
    rng = np.random.default_rng(seed)
    times = even_times if seed % 2 else step_times
    requests = make_requests(np.zeros(50), rng.integers(1, 90, 50), rng.integers(1, 30, 50))
    made = server(rng, times, "chunked", cache_tokens=120.0)
    agree(Case(requests, one_tier(made), routes(50), 0, clients, think_s))


def test_the_scenarios_meet_what_they_are_for():
    """Tight caches preempt; without this the tests above would prove little."""
    preempted = late = finished = 0
    for seed in range(60):
        world = run(case(seed, step_times, "chunked", 2 * (seed % 2), 60.0, 4))
        preempted += world.requests.preemptions.sum()
        late += (world.requests.status == 4).sum()
        finished += (world.requests.status == 1).sum()
    assert preempted > 100
    assert late > 10
    assert finished > 500


def test_a_long_leap_loses_no_digits():
    rng = np.random.default_rng(5)
    made = Server(step_times(rng, 4, 64), 4, 64, 1e9, factor=1.01, per_step_s=1e-4)
    requests = make_requests([0.0, 0.5, 0.6], [10, 1500, 33], [4000, 2, 3000])
    world = agree(Case(requests, one_tier(made), routes(3)))
    assert world.counters[4] < 400  # events: the reference made one a step
    assert world.servers.step_count[0] >= 4000


def test_stopping_to_look_changes_nothing():
    """Where the loop is interrupted (samples of the timeline) doesn't matter."""
    from advisor.simulator.build import make_world
    from advisor.simulator.loop import advance, start_server

    made = case(3, step_times, "chunked", 0, 300.0, 4)
    whole = run(made)
    world = make_world(made.requests, made.groups, made.routing)
    start_server(world, 0, 0.0)
    for time_s in np.linspace(0, 20, 777):
        advance(world, float(time_s), 1 if time_s < 1 else MOST)
    advance(world, np.inf, MOST)
    assert world.requests.tobytes() == whole.requests.tobytes()


def test_a_different_rule_would_be_seen():
    """The comparison can fail: a reference with other limits disagrees."""
    made = case(3, step_times, "chunked", 0, 300.0, 4)
    other = dataclasses.replace(made.groups[0].server, max_sequences=1)
    said = replay(made.requests, one_tier(other), made.routing)
    ours = run(made).requests
    assert not np.allclose(ours.end_s, said.requests["end_s"], rtol=1e-9)
