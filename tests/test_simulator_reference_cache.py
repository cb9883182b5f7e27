"""Prefix caches: the compiled loop finds, shares, evicts and preempts as the reference does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import Case, agree, even_times, one_tier, routes, shared_prompts, step_times

from advisor.schema.traffic import make_requests
from advisor.simulator.numbers import Server
from advisor.simulator.reference_cache import Cache, Holding

SEEDS = st.integers(0, 2**32 - 1)


def case(seed, times, cache_tokens, block, trace_block, mode):
    rng = np.random.default_rng(seed)
    n, sequences = int(rng.integers(1, 80)), int(rng.integers(1, 9))
    draft = int(rng.choice([0, 0, 2])) if mode != "reserve" else 0
    tokens = int(rng.integers(sequences * (1 + draft), 120))
    made = Server(
        times(rng, sequences, tokens, 1 + draft),
        sequences,
        tokens,
        cache_tokens,
        block_tokens=block,
        prefix_caching=True,
        prefill_alone=mode == "apart",
        reserve_output_tokens=16 if mode == "reserve" else 0,
        static_batch=3 if mode == "static" else 0,
        static_wait_s=0.25,
        draft_tokens=draft,
        acceptance=0.7,
    )
    more = shared_prompts(rng, n, trace_block)
    if rng.random() < 0.5:
        parents = [int(rng.integers(max(0, i - 6), i)) if i else -1 for i in range(n)]
        more["parent"] = np.where(rng.random(n) < 0.6, parents, -1)
        more["think_s"] = rng.integers(0, 64, n) / 64.0
    every = 256.0 if times is even_times else 1e12
    arrival_s = np.round(np.cumsum(rng.exponential(rng.choice([0.02, 0.2]), n)) * every) / every
    requests = make_requests(arrival_s, output_tokens=rng.geometric(1 / 12, n), **more)
    return Case(requests, one_tier(made), routes(n))


@pytest.mark.parametrize("mode", ["chunked", "apart", "reserve", "static"])
@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    limit=st.sampled_from([40.0, 100.0, 300.0, 1000.0, 1e5]),
    block=st.sampled_from([1, 4]),
    trace_block=st.sampled_from([4, 8, 16]),
)
def test_prefix_caches(mode, seed, limit, block, trace_block):
    agree(case(seed, step_times, limit, block, trace_block, mode))


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    limit=st.sampled_from([40.0, 100.0, 300.0]),
    mode=st.sampled_from(["chunked", "apart", "reserve", "static"]),
)
def test_prefix_caches_with_ties(seed, limit, mode):
    agree(case(seed, even_times, limit, 4, 8, mode), rel=0.0)


def test_sessions_find_their_history():
    """The second turn starts with the first's blocks, the third with more."""
    times = step_times(np.random.default_rng(0), 4, 64)
    made = Server(times, 4, 64, 1e4, block_tokens=16, prefix_caching=True)
    requests = make_requests(
        np.zeros(3),
        [40, 80, 200],
        [8, 8, 8],
        parent=[-1, 0, 1],
        think_s=[0.0, 1.0, 1.0],
        block_offsets=[0, 2, 7, 19],
        block_ids=[0, 1, *range(5), *range(12)],
    )
    world = agree(Case(requests, one_tier(made), routes(3)))
    # Blocks 0-1 come three times, 2-4 twice; what came once can't be found.
    assert world.requests.cached.tolist() == [0, 32, 80]


def test_hits_grow_with_the_cache():
    saved = []
    for limit in (200.0, 400.0, 800.0, 1e5):
        total = 0
        for seed in range(20):
            made = case(seed, step_times, limit, 4, 8, "chunked")
            total += agree(made).requests.cached.sum()
        saved.append(total)
    assert saved[0] < 0.8 * saved[-1]


def test_blocks_leave_in_the_stated_order():
    """The start of a prompt stays longest; blocks never used go first."""
    cache, held = Cache(6, 4, 4, prefix=True), Holding()
    assert cache.reserve((1, 2, 3), held, 14, 14)
    assert (held.shared, held.own, cache.used) == (3, 1, 4)
    cache.release((1, 2, 3), held)
    cache.take(2)  # never used
    assert cache.found((1, 2, 3), 99) == 3
    cache.take(1)  # the own block
    assert cache.found((1, 2, 3), 99) == 3
    cache.take(1)
    assert cache.found((1, 2, 3), 99) == 2
    assert cache.found((1, 2), 8) == 1  # one token is left to compute


def test_own_blocks_become_shared_in_place():
    """A prefix block read in two chunks evicts no more than one read in one."""
    cache, held, other = Cache(8, 1, 4, prefix=True), Holding(), Holding()
    cache.reserve((7,), other, 4, 5)
    cache.release((7,), other)
    assert cache.reserve((1,), held, 3, 5)
    assert cache.reserve((1,), held, 4, 5)
    assert (held.shared, held.own, cache.used) == (1, 0, 4)
    assert cache.found((7,), 9) == 1
