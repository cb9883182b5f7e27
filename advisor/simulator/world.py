"""The state of a replay as arrays of records: what the compiled loop reads and writes.

A *server* is what schedules batches of its own: one attention rank, and one pipeline stage's
worth of batch, of one replica (``docs/simulator.md``). Times are seconds from the start.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1
# Status of a request.
PENDING, FINISHED, FAILED, REFUSED, LATE, UNSENT = 0, 1, 2, 3, 4, 5
STATUS_NAMES = ("unfinished", "finished", "failed", "refused", "late", "never-sent")
# Kinds of tier, and ways to pick a server of one.
REPLICAS, API, DEVICE = 0, 1, 2
ROUND_ROBIN, LEAST, SHORTEST, PREFIX = 0, 1, 2, 3
# Kinds of event, in the order they are handled at one time: steps end, requests arrive, and
# only then are new steps planned.
STEPS_END, ANSWERED, HANDOVER, ARRIVAL, PLAN = 0, 1, 2, 3, 4
# Why a request arrives: for the first time, again after a refusal, or passed on by a verifier.
FRESH, AGAIN, PASSED_ON, ROUTED = 0, 1, 2, 3
# What a server is doing; WAITING: for more requests of a static batch.
IDLE, LEAP, STEP, WAITING = 0, 1, 2, 3
# Whether the answer of the first tier will be passed on, or has been.
ACCEPTED, REJECTED, GONE_ON = 0, 1, 2
# Roles of a server where prompts and answers run apart.
BOTH, PREFILL_ONLY, DECODE_ONLY = 0, 1, 2

f8, i8, i4, i1 = np.float64, np.int64, np.int32, np.int8

REQUEST = np.dtype(
    [
        ("arrival_s", f8),  # when it reached the router
        ("queued_s", f8),  # when it joined the queue it waits in
        ("scheduled_s", f8),  # when a step first carried it
        ("first_s", f8),  # first token of the answer that counts
        ("last_s", f8),  # latest token
        ("end_s", f8),
        ("think_s", f8),
        ("due_s", f8),  # patience: seconds after arrival
        ("z_ttft", f8),
        ("z_tpot", f8),
        ("uniform", f8),
        ("busy_s", f8),  # time on a user's own device, cool
        ("decode_share", f8),  # of which for the answer
        ("input", i8),
        ("output", i8),
        ("target", i8),  # prompt tokens to compute (with those generated before a preemption)
        ("done", i8),  # of these, computed or cached
        ("generated", i8),
        ("cached", i8),  # prompt tokens the cache saved
        ("private", i8),  # cache blocks of its own
        ("tracked", i8),  # shared prefix blocks it holds
        ("block_low", i8),
        ("block_high", i8),
        ("next", i8),  # behind it in its queue
        ("child", i8),  # first request that follows in its session
        ("sibling", i8),
        ("device", i8),
        ("number_class", i4),
        ("priority", i4),
        ("server", i4),
        ("preemptions", i4),
        ("attempts", i4),
        ("tries", i4),  # refusals of an API so far
        ("hops", i4),
        ("tier", i4),
        ("first_tier", i4),
        ("second_tier", i4),
        ("escalates", i1),
        ("status", i1),
        ("sent", i1),
    ],
    align=True,
)
SERVER = np.dtype(
    [
        ("factor", f8),
        ("per_step_s", f8),
        ("per_sequence_s", f8),
        ("static_wait_s", f8),
        ("acceptance", f8),
        ("transfer_s_per_token", f8),
        ("tier", i4),
        ("replica", i4),
        ("table", i4),
        ("role", i4),
        ("max_sequences", i8),
        ("step_tokens", i8),
        ("blocks", i8),  # of the cache
        ("block_tokens", i8),
        ("reserve_output", i8),  # tokens reserved for an answer; 0: pages as they fill
        ("static_batch", i8),  # 0: continuous
        ("draft_tokens", i8),
        ("prefill_alone", i1),
        ("prefix", i1),
        # what follows changes
        ("up", i1),
        ("accepting", i1),
        ("doing", i1),
        ("stalled", i1),  # some sequences missed the last step
        ("grown", i1),  # blocks of the coming decode step are taken
        ("alone", i1),  # its request needs more than the whole cache: nobody joins
        ("version", i8),
        ("running", i8),
        ("prefilling", i8),
        ("waiting", i8),
        ("outstanding", i8),
        ("head", i8),
        ("tail", i8),
        ("blocked", i8),  # request that found no room since blocks were last let go
        ("batch", i8),  # size a static batch started with
        ("made", i8),  # decode steps made so far: the clock of the slots
        ("next_end", i8),  # value of that clock at which an answer ends first
        ("context", f8),  # summed over the decoding sequences
        ("growth", f8),  # what a step adds to it
        ("emitted_s", f8),  # end of the last decode step
        ("steps", i8),  # of the plan
        ("start_s", f8),
        ("step_s", f8),  # first step of the plan
        ("slope_s", f8),  # what each further one takes more
        ("end_s", f8),
        ("used_blocks", i8),  # held by requests
        ("idle_blocks", i8),  # in the list of cached or forgotten blocks
        ("list_head", i8),
        ("list_tail", i8),
        ("spare", i8),  # free list of nodes
        ("prefill_tokens", i8),  # queued prompt tokens
        # totals
        ("prefill_s", f8),
        ("decode_s", f8),
        ("computed_tokens", i8),
        ("cached_tokens", i8),
        ("output_tokens", i8),
        ("wasted_tokens", i8),
        ("step_count", i8),
        ("sequence_steps", i8),
        ("preemptions", i8),
        ("peak_blocks", i8),
        ("started_s", f8),
        ("stopped_s", f8),
        ("up_s", f8),  # time up before the last start
    ],
    align=True,
)
TIER = np.dtype(
    [
        ("kind", i4),
        ("balance", i4),
        ("first_server", i4),
        ("servers", i4),
        ("cursor", i4),
        ("decode_cursor", i4),
        ("has_roles", i4),
        ("spill_tier", i4),
        ("refusal_tier", i4),
        ("retries", i4),
        ("hold_s", f8),
        ("max_outstanding", i8),
        ("spill_outstanding", i8),
        ("max_input", i8),
        ("delay_s", f8),  # before a first token, outside the device
        ("prefill_s_per_token", f8),
        ("decode_s_per_request", f8),
        ("ttft_mu", f8),
        ("ttft_sigma", f8),
        ("tpot_mu", f8),
        ("tpot_sigma", f8),
        ("requests_per_s", f8),
        ("tokens_per_s", f8),
        ("request_room", f8),
        ("token_room", f8),
        ("refilled_s", f8),
        ("backoff_s", f8),
        ("burst_s", f8),
        ("recovery_s", f8),
        ("slowdown", f8),
        ("verify_s", f8),
        ("first_device", i8),
        ("devices", i8),
        # totals
        ("input_tokens", i8),
        ("output_tokens", i8),
        ("calls", i8),
        ("refusals", i8),
        ("busy_s", f8),
    ],
    align=True,
)
SLOT = np.dtype(
    [
        ("request", i8),
        ("ends", i8),  # value of the server's step clock at the last token; READING: in prefill
        ("base", f8),  # context less growth times clock
        ("growth", f8),  # tokens a step
        ("last_s", f8),  # latest token of a slot that has not decoded here yet
        ("fresh", i8),
    ],
    align=True,
)
READING = 1 << 60
"""End of a slot whose prompt is still being read."""
EVENT = np.dtype([("time_s", f8), ("kind", i8), ("id", i8), ("version", i8)], align=True)
DEVICE_STATE = np.dtype([("free_s", f8), ("heat_s", f8)], align=True)

# Counters of the loop.
HEAP_SIZE, NEXT_ARRIVAL, LEFT, NEXT_POOL, EVENTS, BACKWARDS, CLIENTS = 0, 1, 2, 3, 4, 5, 6
PLANNED, COUNTERS = 7, 8
NOW_S, THINK_S, PLANNED_S, ROUTER_S = 0, 1, 2, 3

GAP_SHORTEST_S = 1e-6
GAPS_PER_E = 400.0
"""Gap histogram: bins of a quarter per cent, from a microsecond to three hours."""
GAP_BINS = 9300


class Steps(NamedTuple):
    """Step times as tables, one a kind of server (:mod:`advisor.simulator.steps`)."""

    decode_s: NDArray[np.float64]
    node_tokens: NDArray[np.float64]
    body_s: NDArray[np.float64]
    head_s: NDArray[np.float64]
    attention: NDArray[np.float64]
    states: NDArray[np.float64]


class World(NamedTuple):
    """All arrays of one replay."""

    requests: Any
    order: NDArray[np.int64]  # requests without parent, in the order they come
    servers: Any
    tiers: Any
    slots: Any
    phases: NDArray[np.int64]  # sequences by when they need their next block
    ended: NDArray[np.int64]  # requests whose answers end with a step
    heap: Any
    counters: NDArray[np.int64]
    # at NOW_S the time; think time of clients; when steps were planned; time the router takes
    clock: NDArray[np.float64]
    gaps: NDArray[np.int64]
    devices: Any
    blocks: NDArray[np.int64]
    block_tokens: NDArray[np.int64]
    owner: NDArray[np.int32]
    references: NDArray[np.int32]
    links: NDArray[np.int32]
    steps: Steps
