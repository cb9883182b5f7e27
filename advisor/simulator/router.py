"""Where requests go: to a server of a tier, an API, a user's device, and on to the next tier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from advisor.simulator.events import push
from advisor.simulator.jit import inner
from advisor.simulator.queues import put, wake
from advisor.simulator.world import (
    AGAIN,
    ANSWERED,
    API,
    ARRIVAL,
    BOTH,
    CLIENTS,
    DECODE_ONLY,
    DEVICE,
    FAILED,
    FINISHED,
    FRESH,
    GONE_ON,
    HANDOVER,
    LATE,
    LEFT,
    NEXT_POOL,
    NONE,
    PASSED_ON,
    PREFILL_ONLY,
    PREFIX,
    REFUSED,
    REJECTED,
    REPLICAS,
    ROUND_ROBIN,
    ROUTED,
    ROUTER_S,
    SHORTEST,
    THINK_S,
    UNSENT,
    World,
)

MAX_HOPS = 16
HOLD_ROUNDING_S = 1e-6
SECONDS_PER_MINUTE = 60.0


@inner
def _open(server: Any, tier: Any, role: int) -> bool:
    if not server.accepting or (tier.has_roles and server.role != role):
        return False
    return bool(tier.max_outstanding == 0 or server.outstanding < tier.max_outstanding)


@inner
def _round_robin(w: World, t: int, role: int) -> int:
    tier = w.tiers[t]
    cursor = tier.decode_cursor if role == DECODE_ONLY else tier.cursor
    for turn in range(tier.servers):
        at = (cursor + turn) % tier.servers
        if _open(w.servers[tier.first_server + at], tier, role):
            if role == DECODE_ONLY:
                tier.decode_cursor = at + 1
            else:
                tier.cursor = at + 1
            return int(tier.first_server + at)
    return NONE


@inner
def _load(w: World, t: int, s: int) -> float:
    """Return what a server still has to do: requests, or seconds for `shortest-finish`."""
    tier, server = w.tiers[t], w.servers[s]
    if tier.balance != SHORTEST:
        return float(server.outstanding)
    queue_s = server.prefill_tokens * tier.prefill_s_per_token
    return float(queue_s + (server.outstanding + 1) * tier.decode_s_per_request)


@inner
def _least(w: World, t: int, role: int) -> int:
    tier, best, least = w.tiers[t], NONE, np.inf
    for s in range(tier.first_server, tier.first_server + tier.servers):
        if _open(w.servers[s], tier, role):
            load = _load(w, t, s)
            if load < least:
                best, least = s, load
    return best


@inner
def _by_prefix(w: World, t: int, i: int, role: int) -> int:
    """Return the server that was last sent most of this prompt, unless it is overloaded."""
    request, tier, least = w.requests[i], w.tiers[t], _least(w, t, role)
    found = NONE
    for at in range(request.block_low, request.block_high):
        if w.owner[w.blocks[at]] == NONE:
            break
        found = w.owner[w.blocks[at]]
    if found != NONE and least != NONE:
        known = w.servers[found]
        near = known.outstanding <= 2 * w.servers[least].outstanding + 4
        if known.tier == t and near and _open(known, tier, role):
            return int(found)
    return least


@inner
def pick(w: World, t: int, i: int, role: int) -> int:
    """Return the server of a tier that gets a request; -1 if none takes any."""
    balance = w.tiers[t].balance
    if balance == ROUND_ROBIN:
        return _round_robin(w, t, role)
    if balance == PREFIX:
        return _by_prefix(w, t, i, role)
    return _least(w, t, role)


@inner
def join(w: World, s: int, i: int, time_s: float) -> None:
    """Queue a request at a server."""
    request, server = w.requests[i], w.servers[s]
    request.server, request.queued_s = s, time_s
    server.outstanding += 1
    server.prefill_tokens += request.target - request.done
    if server.role != DECODE_ONLY:
        for at in range(request.block_low, request.block_high):
            w.owner[w.blocks[at]] = s
    put(w, s, i)
    wake(w, s, time_s, server.head == i)


@inner
def _hold_back(w: World, t: int, i: int, role: int, time_s: float) -> bool:
    """Ask again in a second while no server of the tier is up; False: full, or for too long."""
    tier, request = w.tiers[t], w.requests[i]
    for s in range(tier.first_server, tier.first_server + tier.servers):
        if w.servers[s].accepting and w.servers[s].role == role:
            return False
    if tier.refusal_tier != NONE or time_s - request.arrival_s > tier.hold_s + HOLD_ROUNDING_S:
        return False
    request.tier = t
    push(w.heap, w.counters, time_s + 1.0, ARRIVAL, i, AGAIN)
    return True


@inner
def _to_servers(w: World, t: int, i: int, time_s: float) -> bool:
    request, tier = w.requests[i], w.tiers[t]
    role = PREFILL_ONLY if tier.has_roles else BOTH
    s = pick(w, t, i, role)
    if s == NONE:
        return _hold_back(w, t, i, role, time_s)
    request.tier, request.target, request.done, request.generated = t, request.input, 0, 0
    request.scheduled_s = np.nan
    request.attempts += 1
    join(w, s, i, time_s)
    return True


@inner
def _refill(tier: Any, time_s: float) -> None:
    passed = time_s - tier.refilled_s
    tier.refilled_s = time_s
    full = tier.requests_per_s * SECONDS_PER_MINUTE
    tier.request_room = min(full, tier.request_room + passed * tier.requests_per_s)
    full = tier.tokens_per_s * SECONDS_PER_MINUTE
    tier.token_room = min(full, tier.token_room + passed * tier.tokens_per_s)


@inner
def _to_api(w: World, t: int, i: int, time_s: float) -> bool:
    """Call an API: False if it was refused for the last time."""
    request, tier = w.requests[i], w.tiers[t]
    _refill(tier, time_s)
    request.tier = t
    limited = tier.requests_per_s > 0.0 and tier.request_room < 1.0
    # Providers count the prompt at the door; answers are charged when they are known.
    limited = limited or (tier.tokens_per_s > 0.0 and tier.token_room < request.input)
    if limited:
        tier.refusals += 1
        request.tries += 1
        if request.tries > tier.retries:
            return False
        wait = tier.backoff_s * 2.0 ** (request.tries - 1) * (0.5 + request.uniform)
        push(w.heap, w.counters, time_s + wait, ARRIVAL, i, AGAIN)
        return True
    tier.request_room -= 1.0
    tier.token_room -= float(request.input)
    tier.calls += 1
    tier.input_tokens += request.input
    tier.output_tokens += request.output
    request.attempts += 1
    request.scheduled_s = time_s
    request.first_s = time_s + math.exp(tier.ttft_mu + tier.ttft_sigma * request.z_ttft)
    tpot_s = math.exp(tier.tpot_mu + tier.tpot_sigma * request.z_tpot)
    request.last_s = request.first_s + (request.output - 1) * tpot_s
    tier.busy_s += request.last_s - time_s
    push(w.heap, w.counters, request.last_s, ANSWERED, i, 0)
    return True


@inner
def _to_device(w: World, t: int, i: int, time_s: float) -> bool:
    request, tier = w.requests[i], w.tiers[t]
    if request.input > tier.max_input > 0:
        return False
    number = tier.first_device + request.device % tier.devices
    device = w.devices[number]
    start = max(time_s, device.free_s)
    heat = device.heat_s
    if start > device.free_s:  # a burst without end would give 0 x inf
        heat = max(heat - (start - device.free_s) * tier.burst_s / tier.recovery_s, 0.0)
    # Cool work first at full speed, the rest at the sustained one.
    cool = min(max(tier.burst_s - heat, 0.0), request.busy_s)
    busy = cool + (request.busy_s - cool) * tier.slowdown
    end = start + busy
    device.free_s, device.heat_s = end, min(heat + busy, tier.burst_s)
    request.tier, request.scheduled_s = t, start
    request.attempts += 1
    request.first_s = end - busy * request.decode_share + tier.delay_s
    request.last_s = end + tier.delay_s
    tier.busy_s += busy
    tier.calls += 1
    tier.input_tokens += request.input
    tier.output_tokens += request.output
    push(w.heap, w.counters, end, ANSWERED, i, 0)
    return True


@inner
def _finish(w: World, i: int, status: int, time_s: float) -> None:
    """End a request for good, and send what comes after it."""
    request = w.requests[i]
    request.status, request.end_s = status, time_s
    w.counters[LEFT] -= 1
    child = request.child
    while child != NONE:
        if status == FINISHED:
            _later(w, child, time_s + w.requests[child].think_s)
        else:
            _finish_unsent(w, child, time_s)
        child = w.requests[child].sibling
    if w.counters[CLIENTS] > 0 and w.counters[NEXT_POOL] < w.order.shape[0]:
        following = w.order[w.counters[NEXT_POOL]]
        w.counters[NEXT_POOL] += 1
        _later(w, following, time_s + w.clock[THINK_S])


@inner
def _finish_unsent(w: World, first: int, time_s: float) -> None:
    """Mark a request and all that would have followed it as never sent."""
    w.requests[first].next = NONE
    top = first
    while top != NONE:
        request = w.requests[top]
        top = request.next
        request.status, request.end_s = UNSENT, time_s
        w.counters[LEFT] -= 1
        child = request.child
        while child != NONE:
            w.requests[child].next = top
            top = child
            child = w.requests[child].sibling


@inner
def _later(w: World, i: int, time_s: float) -> None:
    push(w.heap, w.counters, time_s, ARRIVAL, i, FRESH)


@inner
def send(w: World, i: int, wanted: int, time_s: float) -> None:
    """Send a request to a tier, or to where that tier hands what it refuses."""
    request, t = w.requests[i], wanted
    for _ in range(MAX_HOPS):
        tier = w.tiers[t]
        if tier.spill_tier != NONE:
            least = _least(w, t, PREFILL_ONLY if tier.has_roles else BOTH)
            if least == NONE or w.servers[least].outstanding >= tier.spill_outstanding:
                t = tier.spill_tier
                tier = w.tiers[t]
        request.hops += 1
        request.tier = t
        if tier.kind == API:
            taken = _to_api(w, t, i, time_s)
        elif tier.kind == DEVICE:
            taken = _to_device(w, t, i, time_s)
        else:
            taken = _to_servers(w, t, i, time_s)
        if taken:
            return
        if tier.refusal_tier == NONE or tier.refusal_tier == t:
            break
        t = tier.refusal_tier
    _finish(w, i, REFUSED, time_s)


@inner
def arrive(w: World, i: int, time_s: float, why: int) -> None:
    """Take in a request at the router."""
    request = w.requests[i]
    if why == AGAIN:
        send(w, i, request.tier, time_s)
    elif why == PASSED_ON:
        send(w, i, request.second_tier, time_s)
    elif why == ROUTED:
        send(w, i, request.first_tier, time_s)
    else:
        request.arrival_s, request.sent = time_s, 1
        request.due_s += time_s
        if w.clock[ROUTER_S] > 0.0:
            push(w.heap, w.counters, time_s + w.clock[ROUTER_S], ARRIVAL, i, ROUTED)
        else:
            send(w, i, request.first_tier, time_s)


@inner
def answered(w: World, i: int, time_s: float) -> None:
    """Take an answer: done, or passed on because the verifier rejects it."""
    request = w.requests[i]
    tier = w.tiers[request.tier]
    if tier.kind == API:
        _refill(tier, time_s)
        tier.token_room -= float(request.output)
    alone = request.second_tier == NONE or request.second_tier == request.tier
    if tier.kind == REPLICAS:
        # The client sees tokens later than the engine gives them out.
        request.first_s += tier.delay_s
        request.last_s += tier.delay_s
    if alone or request.escalates == GONE_ON:
        _finish(w, i, FINISHED, request.last_s)
        return
    checked_s = request.last_s + tier.verify_s
    if request.escalates == REJECTED:
        request.tries, request.hops, request.attempts, request.done = 0, 0, 0, 0
        request.escalates = GONE_ON
        push(w.heap, w.counters, checked_s, ARRIVAL, i, PASSED_ON)
        return
    # The answer was held back until it had been checked.
    request.first_s = request.last_s = checked_s
    _finish(w, i, FINISHED, checked_s)


@inner
def late(w: World, i: int, time_s: float) -> None:
    """Give up a request whose patience has run out."""
    _finish(w, i, LATE, time_s)


@inner
def lost(w: World, i: int, retries: int, time_s: float) -> None:
    """Handle a request whose server failed: send it again, or give it up."""
    request = w.requests[i]
    if request.attempts > retries:
        _finish(w, i, FAILED, time_s)
        return
    send(w, i, request.tier, time_s)


@inner
def hand_over(w: World, i: int, time_s: float) -> None:
    """Give a request whose prompt has been read to a server that decodes."""
    s = pick(w, w.requests[i].tier, i, DECODE_ONLY)
    if s == NONE:
        push(w.heap, w.counters, time_s + 1.0, HANDOVER, i, 0)
        return
    join(w, s, i, time_s)
