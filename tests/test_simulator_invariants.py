"""The invariants hold on runs of every kind, whole or cut short, and each of them can fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import MOST, one_tier, routes, shared_prompts, step_times, traffic
from test_simulator_reference_fleet import fleet

from advisor.schema.traffic import make_requests
from advisor.simulator import world as w
from advisor.simulator.build import make_world
from advisor.simulator.invariants import SimulationBugError, check
from advisor.simulator.loop import advance, drain_server, start_server, stop_server
from advisor.simulator.numbers import Server

SEEDS = st.integers(0, 2**32 - 1)


def cut(case, until_s):
    """Replay up to a time."""
    world = make_world(
        case.requests, case.groups, case.routing, case.seed, case.clients, case.think_s
    )
    for s in range(len(world.servers)):
        start_server(world, s, 0.0)
    for time_s, server, up in case.outages:
        if time_s > until_s:
            break
        advance(world, time_s, MOST)
        if up:
            start_server(world, server, time_s)
        else:
            stop_server(world, server, case.routing.retries, time_s)
    advance(world, until_s, MOST)
    return world


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, until_s=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, np.inf]))
def test_they_hold(seed, until_s):
    case = fleet(seed, step_times)
    world = cut(case, until_s)
    assert len(check(world, case.requests, case.groups)) == 6


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, at_s=st.floats(0, 2))
def test_they_hold_where_servers_drain(seed, at_s):
    case = fleet(seed, step_times)
    world = cut(case, at_s)
    for s in range(len(world.servers) // 2):
        drain_server(world, s, at_s)
    advance(world, 10_000.0, MOST)
    check(world, case.requests, case.groups)
    drained = world.servers[: len(world.servers) // 2]
    assert not drained.up.any()


def sample(until_s=np.inf):
    rng = np.random.default_rng(1)
    server = Server(step_times(rng, 4, 64), 4, 64, 300.0, prefix_caching=True, block_tokens=4)
    n = 80
    more = shared_prompts(rng, n, 4)
    more["parent"] = np.where(rng.random(n) < 0.4, np.arange(n) - 1, -1)
    more["think_s"] = np.full(n, 0.1)
    requests = make_requests(
        traffic(rng, n, 20.0).arrival_s, output_tokens=rng.geometric(1 / 12, n), **more
    )
    groups = one_tier(server, 2)
    world = make_world(requests, groups, routes(n))
    for s in range(2):
        start_server(world, s, 0.0)
    advance(world, until_s, MOST)
    check(world, requests, groups)
    return world, requests, groups


def first(world, status):
    return int(np.flatnonzero(world.requests.status == status)[0])


def put(table, field, change):
    def corrupt(world):
        rows = getattr(world, table)
        rows[field][0] = change(rows[field][0])

    return corrupt


def follow_early(world):
    world.requests.arrival_s[1:] = 0.0


def two_tokens_too_many(world):
    world.servers.output_tokens[1] += 2


CORRUPTIONS = {
    "status": (1, put("requests", "status", lambda _: 9)),
    "lost": (1, put("requests", "status", lambda _: w.PENDING)),
    "unsent": (1, put("requests", "status", lambda _: w.UNSENT)),
    "not sent": (1, put("requests", "sent", lambda _: 0)),
    "no end": (1, put("requests", "end_s", lambda _: np.nan)),
    "outstanding": (1, put("servers", "outstanding", lambda v: v + 1)),
    "running": (1, put("servers", "running", lambda v: v + 1)),
    "output": (2, two_tokens_too_many),
    "computed": (2, put("servers", "computed_tokens", lambda v: v - 1)),
    "wasted": (2, put("servers", "wasted_tokens", lambda v: v + 1)),
    "answer": (2, put("requests", "output", lambda v: v + 1)),
    "scheduled": (3, put("requests", "scheduled_s", lambda v: v - 10.0)),
    "first": (3, put("requests", "first_s", lambda v: v + 1e6)),
    "last": (3, put("requests", "last_s", lambda _: np.nan)),
    "follow": (3, follow_early),
    "back": (4, lambda world: world.counters.__setitem__(w.BACKWARDS, 1)),
    "busy": (5, put("servers", "decode_s", lambda v: v + 1e6)),
    "held": (6, put("servers", "used_blocks", lambda _: 1)),
    "negative": (6, put("servers", "used_blocks", lambda _: -1)),
    "idle": (6, put("servers", "idle_blocks", lambda _: -1)),
    "peak": (6, put("servers", "peak_blocks", lambda _: 10**6)),
    "reference": (6, lambda world: world.references.__setitem__((1, 0), 1)),
    "let go twice": (6, lambda world: world.references.__setitem__((1, 0), -1)),
    "private": (6, put("requests", "private", lambda _: 1)),
}


@pytest.mark.parametrize("what", CORRUPTIONS)
def test_each_can_fail(what):
    world, requests, groups = sample()
    number, corrupt = CORRUPTIONS[what]
    corrupt(world)
    with pytest.raises(SimulationBugError, match=rf"invariant {number} \(") as caught:
        check(world, requests, groups)
    assert caught.value.number == number


def idle_with_work(world):
    world.servers.doing[0] = w.IDLE


def ends_early(world):
    world.servers.end_s[0] = world.servers.start_s[0] - 1.0


def event_in_the_past(world):
    world.heap.time_s[0] = 0.0


def counted_twice(world):
    world.counters[w.LEFT] += 1


MID_RUN = {
    "idle": (5, idle_with_work),
    "plan": (4, ends_early),
    "event": (4, event_in_the_past),
    "left": (1, counted_twice),
}


@pytest.mark.parametrize("what", MID_RUN)
def test_each_can_fail_in_the_middle_of_a_run(what):
    world, requests, groups = sample(until_s=1.0)
    assert world.servers.doing[0] in (w.LEAP, w.STEP)
    number, corrupt = MID_RUN[what]
    corrupt(world)
    with pytest.raises(SimulationBugError, match=f"invariant {number}"):
        check(world, requests, groups)


def test_the_message_names_the_first_offender():
    world, requests, groups = sample()
    world.requests.scheduled_s[[7, 3]] = 0.0
    world.requests.arrival_s[[7, 3]] += 1.0
    with pytest.raises(SimulationBugError, match=r"request 3: arrival_s comes after scheduled_s"):
        check(world, requests, groups)
