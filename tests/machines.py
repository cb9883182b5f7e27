"""What the simulator's tests share: made-up servers and traffic, and the two machines."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from advisor.schema.traffic import Requests, make_requests
from advisor.simulator import world as w
from advisor.simulator.build import make_world
from advisor.simulator.loop import advance, start_server, stop_server
from advisor.simulator.numbers import Api, Devices, Group, Replicas, Routing, Server, StepTimes
from advisor.simulator.reference import replay

MOST = 10**12
EXACT = ("status", "tier", "server", "preemptions", "cached")
TIMES = ("arrival_s", "scheduled_s", "first_s", "last_s", "end_s")
COUNTS = (
    "computed_tokens",
    "cached_tokens",
    "output_tokens",
    "wasted_tokens",
    "step_count",
    "sequence_steps",
    "preemptions",
    "peak_blocks",
    "used_blocks",
)


def step_times(rng: np.random.Generator, sequences: int, tokens: int, rows: int = 1) -> StepTimes:
    """Random step times that grow with batch, context and tokens."""
    nodes = int(rng.integers(2, 5))
    decode = np.cumsum(np.cumsum(rng.uniform(0, 2e-3, (sequences + 1, nodes)), axis=0), axis=1)
    decode += rng.uniform(1e-3, 2e-2)
    decode[0] = 0.0 if rng.random() < 0.5 else decode[0]
    attention = rng.uniform(0, 1e-6, (int(rng.integers(1, 3)), 4))
    attention[:, 3] = rng.integers(0, 3, len(attention))
    attention[:, 2] = np.inf
    attention[0, 2] = rng.choice([7.0, 40.0, np.inf])
    states = np.zeros((int(rng.integers(0, 2)), 5))
    states[:] = [3, *rng.uniform(0, 1e-5, 3), rng.uniform(1, 4)]
    return StepTimes(
        decode_s=decode,
        node_tokens=float(rng.integers(5, 120)),
        body_s=np.cumsum(rng.uniform(0, 1e-4, tokens + 1)),
        head_s=np.cumsum(rng.uniform(0, 1e-4, sequences * rows + 1)),
        attention=attention,
        states=states,
    )


def even_times(rng: np.random.Generator, sequences: int, tokens: int, rows: int = 1) -> StepTimes:
    """Step times in whole 1/1024 s, the same at any context: sums are exact, ties are common."""
    unit = 2.0**-10
    decode = np.repeat(np.cumsum(rng.integers(0, 3, sequences + 1))[:, None] + 4, 3, axis=1)
    attention = np.array([[unit * rng.integers(0, 2) / 64, unit, np.inf, 0.0]])
    return StepTimes(
        decode_s=decode * unit,
        node_tokens=64.0,
        body_s=np.cumsum(rng.integers(0, 2, tokens + 1)) * unit,
        head_s=np.cumsum(rng.integers(0, 2, sequences * rows + 1)) * unit,
        attention=attention,
    )


def flat_times(sequences: int, tokens: int, decode_s: Any, prompt_s: float = 0.0) -> StepTimes:
    """Decode steps of ``decode_s`` (a number, or one a batch size) at any context."""
    decode = np.broadcast_to(np.asarray(decode_s, dtype=float), (sequences + 1,))
    body = np.full(tokens + 1, prompt_s)
    body[0] = 0.0
    return StepTimes(
        decode_s=np.repeat(decode[:, None], 2, axis=1).copy(),
        node_tokens=1024.0,
        body_s=body,
        head_s=np.zeros(sequences + 1),
        attention=np.zeros((1, 4)),
    )


def traffic(rng: np.random.Generator, n: int, rate: float, **more: Any) -> Requests:
    """Poisson arrivals; prompts and answers of a few dozen tokens, ``lengths`` their mean."""
    prompt, answer = more.pop("lengths", (40, 12))
    return make_requests(
        np.cumsum(rng.exponential(1 / rate, n)),
        1 + rng.geometric(1 / prompt, n),
        rng.geometric(1 / answer, n),
        **more,
    )


@dataclass(frozen=True)
class Case:
    """One replay."""

    requests: Requests
    groups: tuple[Group, ...]
    routing: Routing
    seed: int = 0
    clients: int = 0
    think_s: float = 0.0
    outages: tuple[tuple[float, int, bool], ...] = field(default=())


def run(case: Case) -> w.World:
    """Replay with the compiled loop."""
    world = make_world(
        case.requests, case.groups, case.routing, case.seed, case.clients, case.think_s
    )
    for s in range(len(world.servers)):
        start_server(world, s, 0.0)
    for time_s, server, up in case.outages:
        advance(world, time_s, MOST)
        if up:
            start_server(world, server, time_s)
        else:
            stop_server(world, server, case.routing.retries, time_s)
    advance(world, math.inf, MOST)
    return world


def _bins(gaps: Counter[float]) -> np.ndarray[Any, Any]:
    bins = np.zeros(w.GAP_BINS, dtype=np.int64)
    for gap, count in gaps.items():
        place = 0
        if gap > w.GAP_SHORTEST_S:
            place = int(math.log(gap / w.GAP_SHORTEST_S) * w.GAPS_PER_E) + 1
        bins[min(place, w.GAP_BINS - 1)] += count
    return bins


def agree(case: Case, rel: float = 1e-9) -> w.World:
    """Both machines say the same; return the compiled loop's world."""
    world = run(case)
    ours = world.requests
    said = replay(
        case.requests,
        case.groups,
        case.routing,
        case.seed,
        case.clients,
        case.think_s,
        case.outages,
    )
    for name in EXACT:
        assert ours[name].tolist() == said.requests[name].tolist(), name
    for name in TIMES:
        np.testing.assert_allclose(ours[name], said.requests[name], rtol=rel, atol=0, err_msg=name)
    for s, server in enumerate(said.servers):
        for name in COUNTS:
            assert world.servers[name][s] == server[name], (s, name)
        for name in ("prefill_s", "decode_s"):
            assert math.isclose(world.servers[name][s], server[name], rel_tol=1e-8, abs_tol=1e-9)
    for t, tier in enumerate(said.tiers):
        for name, value in tier.items():
            expected = world.tiers[name][t] if isinstance(case.groups[t], Api | Devices) else 0
            assert math.isclose(expected, value, rel_tol=1e-9, abs_tol=1e-12), (t, name)
        ref = np.concatenate([[0], np.cumsum(_bins(said.gaps[t])), [said.gaps[t].total()]])
        got = np.cumsum(world.gaps[t])
        # Rounding moves a gap to a neighbouring bin at most.
        assert (ref[:-2] <= got).all()
        assert (got <= ref[2:]).all()
    return world


def one_tier(server: Server, replicas: int = 1, **more: Any) -> tuple[Replicas]:
    """One tier of such servers."""
    return (Replicas("a", server, replicas, **more),)


def routes(n: int, **more: Any) -> Routing:
    """All to the first tier, unless told otherwise."""
    return Routing(
        first=more.pop("first", np.zeros(n, dtype=np.int64)),
        second=more.pop("second", np.full(n, -1, dtype=np.int64)),
        escalates=more.pop("escalates", np.zeros(n, dtype=np.int64)),
        **more,
    )


def shared_prompts(rng: np.random.Generator, n: int, block: int) -> dict[str, Any]:
    """Prompts of a few families that begin alike and part after a while: blocks by name."""
    families, offsets, ids = int(rng.integers(1, 5)), [0], []
    tokens = 1 + rng.geometric(1 / 60, n)
    for i in range(n):
        family, alike = int(rng.integers(0, families)), int(rng.integers(0, 8))
        for j in range(int(rng.integers(0, tokens[i] // block + 2))):
            branch = 0 if j < alike else int(rng.choice([100, 200, 1000 * (i + 5)]))
            ids.append(10**7 * family + branch + j)
        offsets.append(len(ids))
    return {
        "input_tokens": tokens,
        "block_offsets": np.array(offsets),
        "block_ids": np.array(ids, dtype=np.int64),
        "block_tokens": block,
    }
