"""The queue before a server, and waking a server when something joins it."""

from __future__ import annotations

import math
from typing import Any

from advisor.simulator.events import push
from advisor.simulator.jit import inner
from advisor.simulator.world import (
    IDLE,
    LEAP,
    NONE,
    PLAN,
    PLANNED,
    PLANNED_S,
    STEPS_END,
    WAITING,
    World,
)


@inner
def put_first(w: World, s: int, i: int) -> None:
    """Put a request at the head: it was preempted."""
    server, request = w.servers[s], w.requests[i]
    request.next = server.head
    server.head = i
    if server.tail == NONE:
        server.tail = i
    server.waiting += 1


@inner
def put(w: World, s: int, i: int) -> None:
    """Put a request behind the last one of its own or a higher priority."""
    server, request = w.servers[s], w.requests[i]
    server.waiting += 1
    request.next = NONE
    if server.tail == NONE:
        server.head = i
        server.tail = i
        return
    if w.requests[server.tail].priority >= request.priority:
        w.requests[server.tail].next = i
        server.tail = i
        return
    before, at = NONE, server.head
    while at != NONE:
        if w.requests[at].priority >= request.priority:
            before = at
        at = w.requests[at].next
    if before == NONE:
        request.next = server.head
        server.head = i
    else:
        request.next = w.requests[before].next
        w.requests[before].next = i


@inner
def drop_head(w: World, s: int) -> None:
    """Take the first request out of the queue."""
    server = w.servers[s]
    server.head = w.requests[server.head].next
    if server.head == NONE:
        server.tail = NONE
    server.waiting -= 1


@inner
def stop_if_drained(server: Any, time_s: float) -> None:
    """Stop a server that takes nothing new and has nothing left."""
    if server.up and not server.accepting and server.outstanding == 0:
        server.up, server.stopped_s = 0, time_s
        server.up_s += time_s - server.started_s


@inner
def plan_seconds(server: Any, steps: int) -> float:
    """Time of the first ``steps`` steps of a server's plan."""
    return float(steps * server.step_s + server.slope_s * (steps * (steps - 1) / 2.0))


@inner
def steps_until(server: Any, time_s: float) -> int:
    """Count the steps of the plan up to the first that ends at ``time_s`` or later."""
    wanted = time_s - server.start_s
    if wanted <= 0.0:
        return 1
    linear, half = server.step_s - server.slope_s / 2.0, server.slope_s / 2.0
    # q = (-b + sqrt(b2 + 4 a w)) / 2 a, in the form that loses no digits for small slopes.
    root = math.sqrt(max(linear * linear + 4.0 * half * wanted, 0.0))
    guess = int(2.0 * wanted / (linear + root))
    steps = min(max(guess, 1), server.steps)
    while steps > 1 and server.start_s + plan_seconds(server, steps - 1) >= time_s:
        steps -= 1
    while steps < server.steps and server.start_s + plan_seconds(server, steps) < time_s:
        steps += 1
    return int(steps)


@inner
def note_planned(w: World, s: int, time_s: float) -> None:
    """Keep in mind up to which server the steps of this time have been planned."""
    if w.clock[PLANNED_S] == time_s:
        w.counters[PLANNED] = max(w.counters[PLANNED], s)
    else:
        w.clock[PLANNED_S], w.counters[PLANNED] = time_s, s


@inner
def wake(w: World, s: int, time_s: float, first: bool) -> None:
    """See to it that the server plans anew: at once if idle, else after the step it is in.

    A request behind others that wait for room changes nothing; ``first`` tells that the one
    that joined went to the head of the queue.
    """
    server = w.servers[s]
    if not server.up:
        return
    if server.doing == LEAP and server.steps > 1:
        behind = server.waiting > 1 and not first
        if behind or server.running >= server.max_sequences or server.static_batch > 0:
            return
        steps = steps_until(server, time_s)
        ends_now = server.start_s + plan_seconds(server, steps) <= time_s
        if ends_now and w.clock[PLANNED_S] == time_s and s <= w.counters[PLANNED]:
            steps += 1  # the step after it has been planned
        if steps < server.steps:
            server.steps = steps
            server.end_s = server.start_s + plan_seconds(server, steps)
            server.version += 1
            push(w.heap, w.counters, server.end_s, STEPS_END, s, server.version)
    elif server.doing in (IDLE, WAITING):
        server.doing = IDLE
        server.version += 1
        push(w.heap, w.counters, time_s, PLAN, s, server.version)
