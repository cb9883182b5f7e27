"""A binary heap of events, ordered by time, kind and number: no two orders are possible."""

from __future__ import annotations

from typing import Any

from advisor.simulator.jit import inner
from advisor.simulator.world import HEAP_SIZE


@inner
def _before(a: Any, b: Any) -> bool:
    if a.time_s != b.time_s:
        return bool(a.time_s < b.time_s)
    if a.kind != b.kind:
        return bool(a.kind < b.kind)
    return bool(a.id < b.id)


@inner
def _swap(heap: Any, i: int, j: int) -> None:
    time_s, kind, number, version = heap[i].time_s, heap[i].kind, heap[i].id, heap[i].version
    heap[i] = heap[j]
    heap[j].time_s, heap[j].kind, heap[j].id, heap[j].version = time_s, kind, number, version


@inner
def push(heap: Any, counters: Any, time_s: float, kind: int, number: int, version: int) -> None:
    """Add an event."""
    at = counters[HEAP_SIZE]
    counters[HEAP_SIZE] = at + 1
    heap[at].time_s, heap[at].kind, heap[at].id, heap[at].version = time_s, kind, number, version
    while at > 0:
        above = (at - 1) >> 1
        if not _before(heap[at], heap[above]):
            break
        _swap(heap, at, above)
        at = above


@inner
def drop_first(heap: Any, counters: Any) -> None:
    """Remove the first event."""
    size = counters[HEAP_SIZE] - 1
    counters[HEAP_SIZE] = size
    heap[0] = heap[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(heap[below + 1], heap[below]):
            below += 1
        if not _before(heap[below], heap[at]):
            break
        _swap(heap, at, below)
        at = below
