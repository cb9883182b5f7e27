"""Fleets: routing, spilling, refusing, verifying, failing, as the reference does it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import Case, agree, even_times, routes, run, shared_prompts, step_times, traffic

from advisor.schema.traffic import make_requests
from advisor.simulator import world as w
from advisor.simulator.numbers import Api, Devices, Replicas, Server

SEEDS = st.integers(0, 2**32 - 1)
BALANCES = ("round-robin", "least-outstanding", "shortest-finish", "prefix-aware")
MODES = ({}, {}, {"prefill_alone": True}, {"reserve_output_tokens": 20}, {"static_batch": 3})


def device_times(prompt, answer):
    return prompt * 2.0**-9, answer * 2.0**-6


def tier(rng, name, kind, times, prefix):
    if kind == "api":
        return Api(
            name,
            0.3,
            0.5,
            0.02,
            0.3,
            requests_per_s=float(rng.choice([0, 0.1, 1])),
            tokens_per_s=float(rng.choice([0, 20])),
            retries=int(rng.integers(0, 4)),
            backoff_s=0.5,
        )
    if kind == "device":
        return Devices(
            name,
            int(rng.integers(1, 9)),
            device_times,
            max_input_tokens=int(rng.choice([0, 50])),
            burst_s=float(rng.choice([0.5, np.inf])),
            sustained_share=0.5,
            delay_s=0.125,
        )
    sequences, draft = int(rng.integers(1, 9)), int(rng.choice([0, 0, 2]))
    tokens = int(rng.integers(sequences * (1 + draft), 150))
    server = Server(
        times(rng, sequences, tokens, 1 + draft),
        sequences,
        tokens,
        float(rng.choice([30, 100, 300, 2000])),
        block_tokens=int(rng.choice([1, 4, 16])),
        draft_tokens=draft,
        acceptance=0.6,
        prefix_caching=prefix,
        **MODES[rng.integers(0, len(MODES))],
    )
    reading = int(rng.integers(1, 3)) if rng.random() < 0.3 else 0
    return Replicas(
        name,
        server,
        reading + int(rng.integers(1, 4)),
        int(rng.integers(1, 3)),
        balance=str(rng.choice(BALANCES)),
        delay_s=float(rng.choice([0, 0.25])),
        prefill_replicas=reading,
        transfer_s_per_token=float(rng.choice([0, 2.0**-10])),
        max_outstanding=int(rng.choice([0, 0, 6])),
        prefill_s_per_token=2.0**-10,
        decode_s_per_request=2.0**-4,
    )


def fleet_requests(rng, n, times, prefix, clients):
    more = {}
    tokens = rng.geometric(1 / 50, n)
    if prefix:
        more = shared_prompts(rng, n, int(rng.choice([4, 8, 16])))
        tokens = more.pop("input_tokens")
    if not clients and rng.random() < 0.5:
        parents = [int(rng.integers(max(0, i - 6), i)) if i else -1 for i in range(n)]
        more["parent"] = np.where(rng.random(n) < 0.6, parents, -1)
        more["think_s"] = rng.integers(0, 64, n) / 64.0
        more["session"] = rng.integers(-1, 30, n)
    if rng.random() < 0.5:
        more["priority"] = rng.integers(0, 3, n)
    arrival_s = np.cumsum(rng.exponential(1 / rng.choice([2, 10, 50, 300]), n))
    if times is even_times:
        arrival_s = np.round(arrival_s * 128) / 128
    return make_requests(arrival_s, tokens, rng.geometric(1 / 12, n), **more)


def outages(rng, servers, last_s, times):
    """Some servers fail once, and come back."""
    found = []
    for s in rng.permutation(servers)[: int(rng.integers(0, 4))].tolist():
        at = float(rng.uniform(0, last_s + 0.5))
        at = round(at * 64) / 64 if times is even_times else at
        found += [(at, s, False), (at + int(rng.integers(1, 400)) / 64, s, True)]
    return tuple(sorted(found))


def fleet(seed, times):
    rng = np.random.default_rng(seed)
    n, prefix = int(rng.integers(1, 80)), bool(rng.random() < 0.6)
    clients = int(rng.integers(1, 6)) if rng.random() < 0.3 else 0
    requests = fleet_requests(rng, n, times, prefix, clients)
    kinds = [
        str(k) for k in rng.choice(["servers", "servers", "servers", "api"], rng.integers(1, 4))
    ]
    if rng.random() < 0.4:
        kinds[0] = "device"
    groups = tuple(tier(rng, f"t{k}", kind, times, prefix) for k, kind in enumerate(kinds))
    count = len(groups)
    second = np.full(n, -1)
    if rng.random() < 0.4:
        second = np.where(rng.random(n) < 0.7, rng.integers(0, count, n), -1)
    spilling = {
        t: (int(rng.integers(0, count)), int(rng.integers(1, 8)))
        for t, g in enumerate(groups)
        if isinstance(g, Replicas) and rng.random() < 0.3
    }
    routing = routes(
        n,
        first=rng.integers(0, count, n),
        second=second,
        escalates=rng.integers(0, 2, n),
        spill=spilling,
        refusal={t: int(rng.integers(0, count)) for t in range(count) if rng.random() < 0.4},
        retries=int(rng.integers(0, 3)),
        verify_s=float(rng.choice([0, 0.125])),
        router_s=float(rng.choice([0, 2.0**-6])),
        patience_s=rng.integers(1, 400, n) / 64.0 if rng.random() < 0.4 else np.zeros(0),
        hold_s=float(rng.choice([0, 2.0, 60.0])),
    )
    servers = sum(g.room * g.servers_per_replica for g in groups if isinstance(g, Replicas))
    failing = outages(rng, servers, requests.duration_s, times)
    think_s = 0.0 if times is even_times else 0.1
    return Case(requests, groups, routing, seed, clients, think_s, failing)


@settings(max_examples=400, deadline=None)
@given(seed=SEEDS)
def test_fleets(seed):
    agree(fleet(seed, step_times))


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS)
def test_fleets_with_ties(seed):
    agree(fleet(seed, even_times))


def test_the_fleets_meet_what_they_are_for():
    status = np.zeros(6, dtype=int)
    preempted = cached = passed_on = moved = 0
    for seed in range(150):
        made = fleet(seed, step_times)
        asked = run(made).requests
        status += np.bincount(asked.status, minlength=6)
        preempted += asked.preemptions.sum()
        cached += asked.cached.sum()
        passed_on += (asked.escalates == w.GONE_ON).sum()
        moved += (asked.attempts > 1).sum()
    assert status[w.PENDING] == 0
    assert (status[1:] > 10).all()
    assert min(preempted, cached, passed_on, moved) > 30


def pair(balance, **more):
    times = step_times(np.random.default_rng(1), 4, 64)
    server = Server(times, 4, 64, 400.0, **more)
    return (
        Replicas(
            "a", server, 3, balance=balance, prefill_s_per_token=1e-3, decode_s_per_request=0.1
        ),
    )


@pytest.mark.parametrize("balance", BALANCES)
def test_each_balance(balance):
    rng = np.random.default_rng(2)
    more = shared_prompts(rng, 120, 16)
    requests = traffic(rng, 120, 30.0)
    requests = make_requests(requests.arrival_s, output_tokens=requests.output_tokens, **more)
    groups = pair(balance, prefix_caching=True)
    world = agree(Case(requests, groups, routes(120)))
    assert set(world.requests.server.tolist()) == {0, 1, 2}


def test_prefix_aware_routing_saves_prompts():
    saved = {}
    for balance in ("round-robin", "prefix-aware"):
        rng = np.random.default_rng(4)
        more = shared_prompts(rng, 150, 16)
        times = step_times(rng, 4, 64)
        server = Server(times, 4, 64, 1e5, prefix_caching=True)
        requests = make_requests(np.arange(150.0), output_tokens=np.full(150, 5), **more)
        groups = (Replicas("a", server, 3, balance=balance),)
        saved[balance] = run(Case(requests, groups, routes(150))).requests.cached.sum()
    assert saved["prefix-aware"] > 1.1 * saved["round-robin"]


def test_requests_of_a_failed_server_are_sent_again_once():
    requests = traffic(np.random.default_rng(0), 40, 50.0, lengths=(40, 60))
    groups = pair("least-outstanding")
    once = routes(40, retries=1)
    failing = ((0.2, 0, False), (0.7, 1, False), (9.0, 0, True), (9.0, 1, True))
    world = agree(Case(requests, groups, once, outages=failing))
    assert (world.requests.attempts <= 2).all()
    assert set(world.requests.status.tolist()) == {w.FINISHED, w.FAILED}
    never = agree(Case(requests, groups, routes(40, retries=0), outages=failing))
    assert (never.requests.status == w.FAILED).sum() > (world.requests.status == w.FAILED).sum()


def test_without_any_server_requests_wait_and_are_refused_in_the_end():
    requests = make_requests([1.0, 2.0, 50.0], [9, 9, 9], [3, 3, 3])
    failing = (*((0.5, s, False) for s in range(3)), (20.25, 1, True))
    held = routes(3, hold_s=18.5)
    world = agree(Case(requests, pair("round-robin"), held, outages=failing))
    assert world.requests.status.tolist() == [w.REFUSED, w.FINISHED, w.FINISHED]
    assert world.requests.end_s[0] == 20.0
    assert 21.0 <= world.requests.scheduled_s[1] <= 21.1
