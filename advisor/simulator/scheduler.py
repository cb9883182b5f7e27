"""One server's schedule: who joins the next step, what it costs, and how far it can leap.

The rules are those of a continuous-batching engine with paged cache and chunked prompts (vLLM
V1): running requests first, in the order they joined; then the queue, first come first served,
while tokens, sequences and cache blocks last. When blocks run out, the request that joined last
is preempted and computed anew. ``docs/simulator.md`` states them in full.
"""

from __future__ import annotations

import math

import numpy as np

from advisor.simulator.cache import free_blocks, hits, reserve
from advisor.simulator.events import push
from advisor.simulator.jit import inner
from advisor.simulator.queues import (
    drop_head,
    note_planned,
    plan_seconds,
    steps_until,
    stop_if_drained,
)
from advisor.simulator.router import late
from advisor.simulator.slots import (
    begin_answer,
    new_blocks,
    preempt_last,
    rows_of,
    steps_with_room,
    take_new,
    take_rest,
)
from advisor.simulator.steps import (
    chunk_attention_s,
    decode_s,
    decode_slope,
    mixed_s,
    prompt_extra_s,
)
from advisor.simulator.world import (
    IDLE,
    LEAP,
    NONE,
    PLAN,
    READING,
    STEP,
    STEPS_END,
    WAITING,
    World,
)

MANY = 1 << 40


@inner
def _grow(w: World, s: int) -> bool:
    """Get each decoding sequence room for its next token; False if some were preempted."""
    server, whole = w.servers[s], True
    if server.reserve_output > 0:
        return True
    while server.running > 1 and new_blocks(w, s, 1) > free_blocks(server):
        preempt_last(w, s)
        whole = False
    take_new(w, s, 1)
    server.grown = 1
    return whole


@inner
def _wanted(w: World, s: int, i: int, found: int, room: int) -> float:
    """Tokens of a queued request that must have room in the cache before it may join."""
    request, server = w.requests[i], w.servers[s]
    if server.reserve_output > 0:
        return float(request.input + server.reserve_output)
    if request.done == request.target:
        # It decodes in this very step; a static batch takes that block when it grows.
        return float(request.target + (server.static_batch == 0))
    cached = max(found * w.block_tokens[0], request.done)
    return float(cached + min(request.target - cached, room))


@inner
def _admit(w: World, s: int, room: int, time_s: float) -> None:
    """Let queued requests join while there is room in the step, the batch and the cache."""
    server = w.servers[s]
    while server.head != NONE and server.running < server.max_sequences and room > 0:
        i = server.head
        request = w.requests[i]
        if request.due_s < time_s and request.generated == 0:
            drop_head(w, s)
            server.outstanding -= 1
            server.prefill_tokens -= request.target - request.done
            late(w, i, time_s)
            continue
        if server.alone or server.blocked == i:
            break
        found = hits(w, s, i) if request.done == 0 else 0
        # A request longer than the cache runs alone, in what there is.
        if not reserve(w, s, i, _wanted(w, s, i, found, room), found):
            if server.running > 0:
                server.blocked = i
                break
            take_rest(w, s, i)
            found = 0
        drop_head(w, s)
        _start(w, s, i, found, time_s)
        room -= min(max(request.target - request.done, 1), room)


@inner
def _start(w: World, s: int, i: int, found: int, time_s: float) -> None:
    """Give a request the next slot."""
    request, server = w.requests[i], w.servers[s]
    if found > 0:
        saved = found * w.block_tokens[0]
        request.done = saved
        server.cached_tokens += saved
        server.prefill_tokens -= saved
    if request.generated == 0:
        request.cached = found * w.block_tokens[0]
    if math.isnan(request.scheduled_s):
        request.scheduled_s = time_s
    slot = w.slots[s, server.running]
    server.running += 1
    slot.request = i
    if request.done < request.target:
        server.prefilling += 1
        slot.ends = READING
    else:
        slot.last_s, slot.fresh = request.last_s, 1
        server.stalled = 1
        begin_answer(w, s, server.running - 1)


@inner
def plan(w: World, s: int, time_s: float) -> None:
    """Plan what a server does next."""
    server = w.servers[s]
    note_planned(w, s, time_s)
    server.doing = IDLE
    server.start_s = time_s
    if server.static_batch > 0:
        if not _static_ready(w, s, time_s):
            return
    elif server.prefill_alone:
        _admit(w, s, server.step_tokens - _unread(w, s, server.step_tokens), time_s)
    elif _grow(w, s) and server.head != NONE:
        room = server.step_tokens - rows_of(server, server.running - server.prefilling)
        _admit(w, s, room - _unread(w, s, room), time_s)
    if server.running == 0:
        stop_if_drained(server, time_s)
        return
    if server.prefilling == 0 or not _plan_prompts(w, s):
        if server.prefill_alone or server.static_batch > 0:
            _grow(w, s)
        _plan_leap(w, s)
    server.end_s = server.start_s + plan_seconds(server, server.steps)
    server.version += 1
    push(w.heap, w.counters, server.end_s, STEPS_END, s, server.version)


@inner
def _unread(w: World, s: int, room: int) -> int:
    """Tokens of a step, of ``room``, that go to prompts already begun."""
    server, left = w.servers[s], max(room, 0)
    if server.prefilling > 0:
        for at in range(_first_reading(w, s), server.running):
            if w.slots[s, at].ends == READING:
                request = w.requests[w.slots[s, at].request]
                left -= min(request.target - request.done, left)
    return int(max(room, 0) - left)


@inner
def _first_reading(w: World, s: int) -> int:
    """Return the first slot whose prompt is being read: such slots stand near the end."""
    server = w.servers[s]
    at, missing = server.running, server.prefilling
    while missing > 0:
        at -= 1
        missing -= w.slots[s, at].ends == READING
    return int(at)


@inner
def _static_ready(w: World, s: int, time_s: float) -> bool:
    """Start a static batch if it is full or its first request has waited long enough."""
    server = w.servers[s]
    if server.running > 0:
        return True
    if server.waiting == 0:
        return False
    ready_s = w.requests[server.head].queued_s + server.static_wait_s
    if server.waiting < server.static_batch and time_s < ready_s:
        server.doing = WAITING
        server.version += 1
        push(w.heap, w.counters, ready_s, PLAN, s, server.version)
        return False
    limit = server.max_sequences
    server.max_sequences = min(server.static_batch, limit)
    _admit(w, s, MANY, time_s)
    server.max_sequences = limit
    server.batch = server.running
    return bool(server.running > 0)


@inner
def _plan_prompts(w: World, s: int) -> bool:
    """One step that carries prompt chunks, in the order requests joined; False if none fits."""
    server, steps = w.servers[s], w.steps
    alone = server.prefill_alone or server.static_batch > 0
    budget = server.step_tokens
    if not alone:
        budget = max(budget - rows_of(server, server.running - server.prefilling), 1)
    added, longest, chunks, finishing, attention_s = 0, 0, 0, 0, 0.0
    at = _first_reading(w, s) - 1
    while at + 1 < server.running:
        at += 1
        i = w.slots[s, at].request
        request = w.requests[i]
        chunk = min(request.target - request.done, budget)
        if chunk <= 0 or w.slots[s, at].ends != READING:
            continue
        bounded = server.reserve_output == 0 and not server.alone
        if bounded and not reserve(w, s, i, float(request.done + chunk), 0):
            chunk = _made_room(w, s, i, chunk)
            if chunk == 0:
                break
        attention_s += chunk_attention_s(steps, server.table, chunk, request.done)
        request.done += chunk
        budget -= chunk
        added += chunk
        chunks += 1
        longest = max(longest, chunk)
        finishing += request.done == request.target
    if chunks == 0:
        return False
    carried = 0 if alone else server.running - server.prefilling
    mean = server.context / carried if carried > 0 else 0.0
    rows = rows_of(server, carried)
    seconds = mixed_s(steps, server.table, carried, rows, mean, added, finishing)
    seconds += attention_s + prompt_extra_s(steps, server.table, added, longest)
    extra = server.per_step_s + (carried + chunks) * server.per_sequence_s
    server.step_s, server.slope_s = seconds * server.factor + extra, 0.0
    server.steps, server.doing = 1, STEP
    server.computed_tokens += added
    server.prefill_tokens -= added
    return True


@inner
def _made_room(w: World, s: int, i: int, chunk: int) -> int:
    """Preempt later requests until a chunk fits; a request alone needs no room."""
    server = w.servers[s]
    while w.slots[s, server.running - 1].request != i:
        preempt_last(w, s)
        if reserve(w, s, i, float(w.requests[i].done + chunk), 0):
            return chunk
    if server.running > 1:
        return 0
    take_rest(w, s, i)
    return chunk


@inner
def _plan_leap(w: World, s: int) -> None:
    """Decode until an answer ends, blocks run out, or the time stops being a straight line."""
    server = w.servers[s]
    decoding = server.running - server.prefilling
    size = max(server.batch, decoding) if server.static_batch > 0 else decoding
    mean, rate = server.context / decoding, server.growth / decoding
    slope, edge = decode_slope(w.steps, server.table, size, mean)
    steps = server.next_end - server.made
    if edge < np.inf:
        steps = min(steps, max(math.ceil((edge - mean) / rate), 1))
    if server.prefilling > 0:
        steps = 1
    if server.reserve_output == 0 and steps > 1 and decoding > 1:
        steps = steps_with_room(w, s, steps)
    seconds = decode_s(w.steps, server.table, size, mean)
    extra = server.per_step_s + size * server.per_sequence_s
    server.step_s = seconds * server.factor + extra
    server.slope_s = slope * rate * server.factor
    server.steps, server.doing = steps, LEAP
    if steps > 1 and server.head != NONE and server.static_batch == 0:
        _look_at_queue(w, s)


@inner
def _look_at_queue(w: World, s: int) -> None:
    """End a leap where the head of the queue could join, or its patience has run out."""
    server = w.servers[s]
    if server.running >= server.max_sequences:
        return
    if server.alone or server.blocked == server.head:
        head = w.requests[server.head]
        if head.due_s < np.inf and head.generated == 0:
            server.steps = steps_until(server, head.due_s)
    else:
        server.steps = 1
