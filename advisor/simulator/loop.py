"""The compiled loop: events in order, from the clock to a given time."""

from __future__ import annotations

import math

import numpy as np

from advisor.simulator.cache import NEXT, STATE, UNKNOWN, release
from advisor.simulator.events import drop_first, push
from advisor.simulator.jit import entry, inner
from advisor.simulator.queues import (
    drop_head,
    note_planned,
    plan_seconds,
    steps_until,
    stop_if_drained,
)
from advisor.simulator.router import answered, arrive, hand_over, lost
from advisor.simulator.scheduler import plan
from advisor.simulator.slots import begin_answer, end_answer, move_on, take_new
from advisor.simulator.world import (
    ANSWERED,
    ARRIVAL,
    BACKWARDS,
    CLIENTS,
    EVENTS,
    FRESH,
    GAP_BINS,
    GAP_SHORTEST_S,
    GAPS_PER_E,
    HANDOVER,
    HEAP_SIZE,
    IDLE,
    LEAP,
    LEFT,
    NEXT_ARRIVAL,
    NONE,
    PLAN,
    PREFILL_ONLY,
    READING,
    STEP,
    WAITING,
    World,
)


@inner
def _gap_bin(seconds: float) -> int:
    if seconds <= GAP_SHORTEST_S:
        return 0
    return min(int(math.log(seconds / GAP_SHORTEST_S) * GAPS_PER_E) + 1, GAP_BINS - 1)


@inner
def _count_gaps(w: World, s: int, sequences: int, first: int, steps: int) -> None:
    """Book the gaps of steps ``first`` to ``steps`` of a plan, bin by bin."""
    server, gaps = w.servers[s], w.gaps[w.servers[s].tier]
    at = first
    while at < steps:
        here = _gap_bin(server.step_s + server.slope_s * at)
        last = steps - 1
        if _gap_bin(server.step_s + server.slope_s * last) != here:
            # Step times change evenly: halve until the end of this bin is found.
            low, high = at, last
            while high - low > 1:
                middle = (low + high) >> 1
                if _gap_bin(server.step_s + server.slope_s * middle) == here:
                    low = middle
                else:
                    high = middle
            last = low
        gaps[here] += sequences * (last - at + 1)
        at = last + 1


@inner
def _gaps(w: World, s: int, decoding: int) -> None:
    """Book the gaps between tokens of the decoding sequences over the plan."""
    server = w.servers[s]
    first = 0
    if server.stalled:
        ends = server.start_s + server.step_s
        for at in range(server.running):
            slot = w.slots[s, at]
            if slot.ends != READING:
                last_s = slot.last_s if slot.fresh else server.emitted_s
                w.gaps[server.tier, _gap_bin(ends - last_s)] += 1
                slot.fresh = 0
        first = 1
        server.stalled = 0
    _count_gaps(w, s, decoding, first, server.steps)


@inner
def _decoded(w: World, s: int, time_s: float) -> None:
    """Move the decoding sequences on by the steps of the plan."""
    server = w.servers[s]
    decoding = server.running - server.prefilling
    if decoding == 0:
        return
    _gaps(w, s, decoding)
    server.sequence_steps += decoding * server.steps
    move_on(w, s, server.steps)
    server.emitted_s = time_s


@inner
def _read(w: World, s: int, time_s: float) -> None:
    """Give out the first token of the prompts that a step has finished."""
    server = w.servers[s]
    apart = server.prefill_alone or server.static_batch > 0
    missing, at = server.prefilling, server.running
    while missing > 0:
        at -= 1
        slot = w.slots[s, at]
        if slot.ends != READING:
            continue
        missing -= 1
        request = w.requests[slot.request]
        if request.done < request.target:
            continue
        server.prefilling -= 1
        if request.generated == 0:
            request.first_s = time_s
        else:
            w.gaps[server.tier, _gap_bin(time_s - request.last_s)] += 1
        request.generated += 1
        request.last_s = time_s
        slot.last_s, slot.fresh = time_s, apart
        begin_answer(w, s, at)


@inner
def _leave(w: World, s: int, time_s: float) -> int:
    """Take out the requests that are done here; return how many."""
    server, kept, gone = w.servers[s], 0, 0
    if server.next_end > server.made and server.role != PREFILL_ONLY:
        return 0
    server.next_end = READING
    for at in range(server.running):
        slot = w.slots[s, at]
        moves_on = server.role == PREFILL_ONLY and slot.ends != READING
        if slot.ends > server.made and not moves_on:
            server.next_end = min(server.next_end, slot.ends)
            if kept != at:
                w.slots[s, kept] = w.slots[s, at]
            kept += 1
            continue
        end_answer(w, s, at)
        w.requests[slot.request].last_s = time_s
        release(w, s, slot.request)
        w.ended[gone] = slot.request
        gone += 1
    server.running = kept
    if kept == 0:
        server.alone = 0
    server.outstanding -= gone
    return gone


@inner
def _steps_end(w: World, s: int, time_s: float) -> None:
    """Carry out a plan that has come to its end."""
    server = w.servers[s]
    leap = server.doing == LEAP
    server.doing = IDLE
    server.step_count += server.steps
    if leap:
        server.decode_s += time_s - server.start_s
        _decoded(w, s, time_s)
    else:
        server.prefill_s += time_s - server.start_s
        if server.prefill_alone or server.static_batch > 0:
            server.stalled = 1
        else:
            _decoded(w, s, time_s)
            server.emitted_s = time_s
        server.grown = 0
        _read(w, s, time_s)
    gone = _leave(w, s, time_s)
    for k in range(gone):
        i = w.ended[k]
        request = w.requests[i]
        if server.role == PREFILL_ONLY and request.output > 1:
            wait = request.input * server.transfer_s_per_token
            push(w.heap, w.counters, time_s + wait, HANDOVER, i, 0)
            continue
        server.output_tokens += request.output
        server.wasted_tokens += request.target - request.input
        answered(w, i, time_s)
    stop_if_drained(server, time_s)


@inner
def _stream(w: World) -> int:
    """Return the next request without parent that comes by itself; -1 if there is none."""
    clients = w.counters[CLIENTS]
    size = min(clients, w.order.shape[0]) if clients > 0 else w.order.shape[0]
    at = w.counters[NEXT_ARRIVAL]
    return int(w.order[at]) if at < size else NONE


@inner
def _stream_first(w: World, i: int) -> bool:
    """Tell whether the next request of the stream comes before the first event."""
    if i == NONE:
        return False
    if w.counters[HEAP_SIZE] == 0:
        return True
    event, time_s = w.heap[0], w.requests[i].arrival_s
    if event.time_s != time_s:
        return bool(time_s < event.time_s)
    if event.kind != ARRIVAL:
        return bool(event.kind > ARRIVAL)
    return bool(i < event.id)


@inner
def _quiet(w: World, time_s: float) -> bool:
    """Tell whether nothing else happens at this very time."""
    i = _stream(w)
    if i != NONE and w.requests[i].arrival_s <= time_s:
        return False
    return bool(w.counters[HEAP_SIZE] == 0 or w.heap[0].time_s > time_s)


@inner
def _handle(w: World, time_s: float, kind: int, number: int, version: int) -> None:
    if kind == ARRIVAL:
        arrive(w, number, time_s, version)
    elif kind == ANSWERED:
        answered(w, number, time_s)
    elif kind == HANDOVER:
        hand_over(w, number, time_s)
    else:
        server = w.servers[number]
        if server.version != version or not server.up:
            return
        if kind == PLAN:
            if server.doing in (IDLE, WAITING):
                plan(w, number, time_s)
            return
        _steps_end(w, number, time_s)
        if not server.up:
            return
        if _quiet(w, time_s):
            plan(w, number, time_s)
        else:
            server.version += 1
            push(w.heap, w.counters, time_s, PLAN, number, server.version)


@entry
def advance(w: World, until_s: float, most_events: int) -> int:
    """Run until ``until_s``, or ``most_events``; return the events handled.

    Zero: nothing more happens up to then.
    """
    handled = 0
    while w.counters[LEFT] > 0 and handled < most_events:
        i = _stream(w)
        if _stream_first(w, i):
            time_s = w.requests[i].arrival_s
            if time_s > until_s:
                break
            w.counters[NEXT_ARRIVAL] += 1
            w.counters[BACKWARDS] += time_s < w.clock[0]
            w.clock[0] = time_s
            arrive(w, i, time_s, FRESH)
        else:
            if w.counters[HEAP_SIZE] == 0 or w.heap[0].time_s > until_s:
                break
            event = w.heap[0]
            time_s, kind = event.time_s, event.kind
            number, version = event.id, event.version
            drop_first(w.heap, w.counters)
            w.counters[BACKWARDS] += time_s < w.clock[0]
            w.clock[0] = time_s
            _handle(w, time_s, kind, number, version)
        handled += 1
    w.counters[EVENTS] += handled
    return handled


@inner
def _break_off(w: World, s: int, time_s: float) -> None:
    """Book the steps of a plan that are over, and the time of the one under way."""
    server = w.servers[s]
    if server.doing == LEAP:
        over = server.steps
        while over > 0 and server.start_s + plan_seconds(server, over) > time_s:
            over = min(over - 1, steps_until(server, time_s))
        server.decode_s += time_s - server.start_s
        server.step_count += over
        if over > 0:
            server.steps = over
            _decoded(w, s, server.start_s + plan_seconds(server, over))
            if server.reserve_output == 0:
                take_new(w, s, 1)
    elif server.doing == STEP:
        server.prefill_s += time_s - server.start_s


@entry
def stop_server(w: World, s: int, retries: int, time_s: float) -> None:
    """Fail a server: what it holds is lost, its requests are sent again or given up."""
    server, count = w.servers[s], 0
    held = np.empty(server.running + server.waiting, dtype=np.int64)
    if server.up:
        _break_off(w, s, time_s)
        server.up_s += time_s - server.started_s
    for at in range(server.running):
        slot = w.slots[s, at]
        held[count] = slot.request
        if slot.ends != READING:
            w.requests[slot.request].last_s = slot.last_s if slot.fresh else server.emitted_s
        release(w, s, held[count])
        count += 1
    while server.head != NONE:
        held[count] = server.head
        drop_head(w, s)
        count += 1
    for k in range(count):
        server.wasted_tokens += w.requests[held[k]].done
        w.requests[held[k]].done = 0
    server.up, server.accepting, server.doing, server.alone = 0, 0, IDLE, 0
    server.running, server.prefilling, server.outstanding, server.prefill_tokens = 0, 0, 0, 0
    server.stalled, server.batch, server.steps, server.grown = 0, 0, 0, 0
    server.context, server.growth, server.next_end = 0.0, 0.0, READING
    w.phases[s, :] = 0
    server.stopped_s = time_s
    note_planned(w, len(w.servers), time_s)
    server.version += 1
    _forget(w, s)
    for k in range(count):
        lost(w, held[k], retries, time_s)


@inner
def _forget(w: World, s: int) -> None:
    """Empty the cache."""
    server, known = w.servers[s], w.references.shape[1]
    server.used_blocks, server.idle_blocks, server.blocked = 0, 0, NONE
    server.list_head, server.list_tail = NONE, NONE
    if not server.prefix:
        return
    nodes = w.links.shape[1]
    for node in range(nodes):
        w.links[s, node, STATE] = UNKNOWN
        w.links[s, node, NEXT] = node + 1 if node + 1 < nodes else NONE
    server.spare = known if nodes > known else NONE


@entry
def start_server(w: World, s: int, time_s: float) -> None:
    """Let a server take requests."""
    server = w.servers[s]
    server.up, server.accepting, server.doing, server.started_s = 1, 1, IDLE, time_s
    server.version += 1
    _forget(w, s)


@entry
def drain_server(w: World, s: int, time_s: float) -> None:
    """Let a server take nothing new; it stops when it is empty."""
    server = w.servers[s]
    server.accepting = 0
    stop_if_drained(server, time_s)
