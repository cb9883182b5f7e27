"""Queues whose answers are known in closed form, within the confidence interval.

One server with c sequences whose steps take the same time whatever the batch is M/G/c; one whose
step time is proportional to the batch shares its time evenly (processor sharing). Steps are a
thousandth of the mean service or less, so that their grid hardly shows.
"""

import math

import numpy as np
import pytest
from machines import MOST, Case, flat_times, one_tier, routes, run

from advisor.schema.traffic import make_requests
from advisor.simulator.build import make_world
from advisor.simulator.loop import advance, start_server
from advisor.simulator.numbers import Server, StepTimes

STEP_S = 1e-3
TOKENS = 1000  # one second of service
T_999 = 3.88  # Student's t, 19 degrees of freedom, 99.9 % two-sided


def interval(values, batches=20):
    """Mean and half-width from batch means, without the first tenth."""
    kept = values[len(values) // 10 :]
    means = np.array([part.mean() for part in np.array_split(kept, batches)])
    return means.mean(), T_999 * means.std(ddof=1) / math.sqrt(batches)


def near(values, wanted, width=0.08, grid=2 * STEP_S):
    mean, half = interval(values)
    assert half < width * wanted, "too few requests to tell"
    assert abs(mean - wanted) < half + grid


def poisson(rng, n, rate, tokens):
    return make_requests(np.cumsum(rng.exponential(1 / rate, n)), np.ones(n), tokens)


def slots(sequences, **more):
    """Every step takes the same time: each sequence is a server of its own."""
    times = flat_times(sequences, sequences, STEP_S)
    return Server(times, sequences, sequences, more.pop("kv_tokens", 1e12), **more)


def sharing(sequences):
    """A step takes a millisecond a sequence, prompts of one token count as one."""
    decode_s = STEP_S * np.arange(sequences + 1)
    return Server(
        StepTimes(
            decode_s=np.repeat(decode_s[:, None], 2, axis=1),
            node_tokens=1024.0,
            body_s=STEP_S * np.arange(sequences + 1),
            head_s=np.zeros(sequences + 1),
            attention=np.zeros((0, 4)),
        ),
        sequences,
        sequences,
        1e12,
    )


def geometric(rng, n):
    return rng.geometric(1 / TOKENS, n)


def sojourn(world):
    return world.requests.end_s - world.requests.arrival_s


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_with_exponential_service(load):
    rng = np.random.default_rng(1)
    n = 200_000
    asked = poisson(rng, n, load, geometric(rng, n))
    world = run(Case(asked, one_tier(slots(1)), routes(n)))
    near(sojourn(world), 1 / (1 - load), width=0.1)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_with_equal_services(load):
    rng = np.random.default_rng(2)
    n = 200_000
    asked = poisson(rng, n, load, np.full(n, TOKENS))
    world = run(Case(asked, one_tier(slots(1)), routes(n)))
    wait = world.requests.scheduled_s - world.requests.arrival_s
    near(wait, load / (2 * (1 - load)), width=0.1)
    assert sojourn(world) == pytest.approx(wait + 1.0)


def erlang_c(servers, offered):
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (4, 0.8), (16, 0.8)])
def test_many_servers_with_one_queue(servers, load):
    rng = np.random.default_rng(3)
    n, rate = 300_000, load * servers
    asked = poisson(rng, n, rate, geometric(rng, n))
    world = run(Case(asked, one_tier(slots(servers)), routes(n)))
    wait = world.requests.scheduled_s - world.requests.arrival_s
    wanted = erlang_c(servers, rate) / (servers - rate)
    near(wait, wanted, width=0.25)


@pytest.mark.parametrize("service", [geometric, lambda _, n: np.full(n, TOKENS)])
def test_processor_sharing_asks_only_for_the_mean_service(service):
    rng = np.random.default_rng(4)
    n, load = 100_000, 0.7
    asked = poisson(rng, n, load, service(rng, n))
    world = run(Case(asked, one_tier(sharing(300)), routes(n)))
    # A request waits for the step under way: a grid of one step of a larger batch.
    near(sojourn(world), 1 / (1 - load), grid=10 * STEP_S)


def test_two_servers_in_turn():
    """Round robin halves the rate of each and evens out its arrivals: E2/M/1, root of a cubic."""
    rng = np.random.default_rng(5)
    n, rate = 150_000, 1.6
    asked = poisson(rng, n, rate, geometric(rng, n))
    world = run(Case(asked, one_tier(slots(1), 2, balance="round-robin"), routes(n)))
    # E2/M/1: x = (2a / (2a + 1 - x))^2 with a = rate / 2 arrivals and one service a second.
    x = 0.5
    for _ in range(200):
        x = (rate / (rate + 1 - x)) ** 2
    near(sojourn(world), 1 / (1 - x))


def test_littles_law_by_looking_now_and_then():
    """Requests counted at even times = rate x time in the system."""
    rng = np.random.default_rng(6)
    n, rate = 100_000, 3.2
    asked = poisson(rng, n, rate, geometric(rng, n))
    world = make_world(asked, one_tier(slots(4)), routes(n))
    start_server(world, 0, 0.0)
    seen = []
    for time_s in np.arange(0.0, asked.duration_s, 0.5):
        advance(world, float(time_s), MOST)
        seen.append(world.servers.outstanding[0])
    advance(world, np.inf, MOST)
    inside, half = interval(np.array(seen, dtype=float))
    kept = slice(n // 10, None)
    came = (n - n // 10) / (asked.arrival_s[-1] - asked.arrival_s[n // 10])
    assert half < 0.1 * inside
    assert abs(inside - came * sojourn(world)[kept].mean()) < half


def test_busy_time_is_the_work_done():
    rng = np.random.default_rng(7)
    n = 20_000
    tokens = geometric(rng, n)
    world = run(Case(poisson(rng, n, 0.5, tokens), one_tier(slots(1)), routes(n)))
    busy_s = world.servers.prefill_s[0] + world.servers.decode_s[0]
    assert busy_s == pytest.approx(tokens.sum() * STEP_S)
    assert world.servers.step_count[0] == tokens.sum()


CAPACITY = {
    "slots": lambda: one_tier(slots(8)),
    "cache": lambda: one_tier(
        slots(64, kv_tokens=8 * 1024.0, reserve_output_tokens=1008, block_tokens=16)
    ),
    "two replicas": lambda: one_tier(slots(4), 2),
    "eight replicas": lambda: one_tier(slots(1), 8),
}


@pytest.mark.parametrize("limit", CAPACITY)
def test_capacity_is_slots_over_service(limit):
    """Eight slots and one second of service: eight a second. What frees slots early says more.

    A simulator that gives a slot back before the answer has ended calls 1.05 of the capacity
    stable; one that keeps it longer calls 0.95 unstable.
    """
    n, backlog, longest = 40_000, {}, {}
    for share in (0.95, 1.05):
        asked = poisson(np.random.default_rng(8), n, 8 * share, np.full(n, TOKENS))
        world = run(Case(asked, CAPACITY[limit](), routes(n)))
        assert (world.requests.status == 1).all()
        backlog[share] = int((world.requests.end_s > asked.duration_s).sum())
        longest[share] = sojourn(world).max()
        assert not world.servers.running.any()
        assert not world.servers.waiting.any()
        assert not world.servers.outstanding.any()
        assert not world.servers.used_blocks.any()
        # No more than eight seconds of service fit into a second.
        assert asked.output_tokens.sum() * STEP_S <= 8 * world.requests.end_s.max()
    assert backlog[0.95] < 200
    assert longest[0.95] < 30.0
    # 5 % of what comes stays behind: the queue grows without end.
    assert backlog[1.05] == pytest.approx(n * 0.05 / 1.05, rel=0.25)
    assert longest[1.05] > 200.0
