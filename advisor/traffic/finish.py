"""Rows of a trace as arrays: order, batches, windows, samples, sessions, blocks."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, fields

import numpy as np

from advisor.schema.traffic import NO_PARENT, Floats, Ints
from advisor.traffic.collect import Collector
from advisor.traffic.trace import TraceOptions


@dataclass(eq=False)
class Rows:
    """Accepted rows; arrays of n, or empty where the file holds nothing of the kind.

    Parameters
    ----------
    time_s, inputs, outputs
        ``(n,)`` arrival, prompt and answer tokens.
    ttft_s, e2e_s
        Measured times.
    session, parent
        Session number (-1: none); row of the turn before among these rows (-1: none), where the
        file names it.
    block_counts, block_starts
        Blocks of each row, and where they begin in ``block_ids``.
    block_ids
        All blocks, not by row.
    """

    time_s: Floats
    inputs: Ints
    outputs: Ints
    ttft_s: Floats
    e2e_s: Floats
    session: Ints
    parent: Ints
    block_counts: Ints
    block_starts: Ints
    block_ids: Ints

    def taken(self, chosen: Ints) -> Rows:
        """Return these rows, in this order."""
        n = len(self.time_s)
        arrays = {
            one.name: value[chosen] if one.name != "block_ids" and len(value) == n else value
            for one in fields(self)
            for value in (getattr(self, one.name),)
        }
        if len(self.parent):
            place = np.full(n, NO_PARENT)
            place[chosen] = np.arange(len(chosen))
            arrays["parent"] = np.where(arrays["parent"] >= 0, place[arrays["parent"]], NO_PARENT)
        return Rows(**arrays)


def rows_of(sink: Collector) -> Rows:
    """Turn what was collected into arrays, without rows whose id stood before."""
    kept = sink.drop_duplicates()
    counts = _whole(sink.block_counts)
    session, parent = _whole(sink.sessions), np.zeros(0, dtype=np.int64)
    if len(sink.parents):
        session, parent = _family(session, _whole(sink.parents))
    rows = Rows(
        time_s=_real(sink.time_s),
        inputs=_whole(sink.inputs),
        outputs=_whole(sink.outputs),
        ttft_s=_real(sink.ttft_s),
        e2e_s=_real(sink.e2e_s),
        session=session,
        parent=parent,
        block_counts=counts,
        block_starts=np.cumsum(counts) - counts,
        block_ids=_whole(sink.block_ids),
    )
    return rows.taken(kept)


def _real(values: array[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _whole(values: array[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _family(own: Ints, parent: Ints) -> tuple[Ints, Ints]:
    """Turn names of turns and of their parents into sessions and parent rows."""
    row_of: dict[int, int] = {}
    session, above = np.empty(len(own), dtype=np.int64), np.full(len(own), NO_PARENT)
    for row, (name, before) in enumerate(zip(own.tolist(), parent.tolist(), strict=True)):
        found = row_of.get(before, NO_PARENT)
        above[row] = found
        session[row] = session[found] if found >= 0 else row
        row_of.setdefault(name, row)
    return session, above


def spread(time_s: Floats, rng: np.random.Generator) -> None:
    """Spread rows of one time uniformly over the time to the next, in place and in order.

    The last batch takes the median interval.
    """
    starts = np.flatnonzero(np.concatenate([[True], np.diff(time_s) > 0]))
    moments = time_s[starts]
    if len(moments) < 2:
        return
    intervals = np.diff(moments)
    intervals = np.append(intervals, np.median(intervals))
    sizes = np.diff(np.append(starts, len(time_s)))
    batch = np.repeat(np.arange(len(starts)), sizes)
    place = rng.random(len(time_s))
    place = place[np.lexsort((place, batch))]
    time_s[:] = moments[batch] + place * intervals[batch]


def cut(rows: Rows, options: TraceOptions) -> Rows:
    """Apply window and sample."""
    if options.window_s is not None:
        low, high = options.window_s
        kept = np.flatnonzero((rows.time_s >= low) & (rows.time_s < high))
        rows = rows.taken(kept)
        rows.time_s = rows.time_s - low
    if options.sample < 1:
        n = len(rows.time_s)
        alone = np.arange(n)
        group = np.where(rows.session >= 0, rows.session, n + alone) if len(rows.session) else alone
        _, number = np.unique(group, return_inverse=True)
        chance = np.random.default_rng([options.seed, 1]).random(n)
        rows = rows.taken(np.flatnonzero(chance[number] < options.sample))
    return rows


def chain(rows: Rows) -> dict[str, object]:
    """Return ``parent`` and ``think_s``: a turn waits for the end of the turn before.

    The pause counts from the end of the turn before where the file measures it, else from its
    arrival.
    """
    n = len(rows.time_s)
    parent = rows.parent
    if not len(parent):
        parent = np.full(n, NO_PARENT)
        order = np.argsort(rows.session, kind="stable")
        same = rows.session[order][1:] == rows.session[order][:-1]
        same &= rows.session[order][1:] >= 0
        parent[order[1:][same]] = order[:-1][same]
    later = parent < np.arange(n)
    parent = np.where(later, parent, NO_PARENT)
    has = parent >= 0
    spent = np.zeros(n)
    if len(rows.e2e_s):
        spent = np.nan_to_num(rows.e2e_s, nan=0.0)
    think = np.zeros(n)
    ends = rows.time_s[parent[has]] + spent[parent[has]]
    think[has] = np.maximum(rows.time_s[has] - ends, 0.0)
    return {"parent": parent, "think_s": think}


def gather_blocks(rows: Rows) -> dict[str, object]:
    """Return ``block_offsets`` and ``block_ids`` in the order of the rows."""
    offsets = np.concatenate([[0], np.cumsum(rows.block_counts)])
    shift = np.repeat(rows.block_starts - offsets[:-1], rows.block_counts)
    return {
        "block_offsets": offsets,
        "block_ids": rows.block_ids[np.arange(int(offsets[-1])) + shift],
    }
