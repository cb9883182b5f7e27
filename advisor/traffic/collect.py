"""Collecting accepted rows into compact arrays, and counting the others."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from advisor.schema.traffic import Ints
from advisor.traffic.trace import Rejection

MOST_TOKENS = 100_000_000
KEPT_REJECTIONS = 1000
MOST_BLOCK_ID = 2**63 - 1
LONGEST_S = 1e12
_DETAIL = 80


class Collector:
    """Accepted rows of a trace.

    Parameters
    ----------
    limit
        Accept at most so many.
    wall_clock
        Whether times are dates, of which only differences count: may be below 0.
    """

    def __init__(self, limit: int | None = None, *, wall_clock: bool = False) -> None:
        self.time_s, self.inputs, self.outputs = array("d"), array("q"), array("q")
        self.ttft_s, self.e2e_s = array("d"), array("d")
        self.lines, self.ids = array("q"), array("q")
        self.sessions, self.parents = array("q"), array("q")
        self.block_counts, self.block_ids = array("q"), array("q")
        self.rejected: list[Rejection] = []
        self.counts: dict[str, int] = {}
        self.most = limit if limit is not None else MOST_BLOCK_ID
        self.earliest_s = -LONGEST_S if wall_clock else 0.0
        self._names: dict[object, int] = {}

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return len(self.time_s) >= self.most

    def reject(self, line: int, reason: str, detail: str = "") -> None:
        """Count a line left out; the first thousand are kept with their detail."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if len(self.rejected) < KEPT_REJECTIONS:
            text = f"{reason}: {detail[:_DETAIL]}" if detail else reason
            self.rejected.append(Rejection(line, text))

    def fault(self, time_s: float, inputs: int, outputs: int) -> tuple[str, str] | None:
        """Return reason and detail if a row can't be a request."""
        if not self.earliest_s <= time_s <= LONGEST_S:
            if time_s < self.earliest_s:
                return "negative time", f"{time_s:g}"
            return "time out of range", f"{time_s:g}"
        for name, value in (("input", inputs), ("output", outputs)):
            if value < 1:
                return f"{name} below 1 token", str(value)[:_DETAIL]
            if value > MOST_TOKENS:
                return f"{name} above {MOST_TOKENS:,} tokens", f"{len(str(value))} digits"
        return None

    def add(self, line: int, time_s: float, inputs: int, outputs: int) -> bool:
        """Accept a row, or reject it; return which."""
        if fault := self.fault(time_s, inputs, outputs):
            self.reject(line, *fault)
            return False
        self.time_s.append(time_s)
        self.inputs.append(inputs)
        self.outputs.append(outputs)
        return True

    def identify(self, line: int, request_id: object) -> None:
        """Note the accepted row's id, to find duplicates at the end."""
        self.lines.append(line)
        self.ids.append(hash(request_id))

    def measure(self, ttft_s: float, e2e_s: float) -> None:
        """Note the accepted row's measured times; NaN: none."""
        self.ttft_s.append(ttft_s)
        self.e2e_s.append(e2e_s)

    def number_of(self, name: object) -> int:
        """Return a running number for a session's name."""
        return self._names.setdefault(name, len(self._names))

    def add_blocks(self, ids: Sequence[int]) -> None:
        """Note the accepted row's prefix blocks."""
        self.block_ids.extend(ids)
        self.block_counts.append(len(ids))

    def drop_duplicates(self) -> Ints:
        """Reject rows whose id stood before; return the rows kept, in file order."""
        count = len(self.time_s)
        if len(self.ids) != count or not count:
            return np.arange(count)
        ids = np.frombuffer(self.ids, dtype=np.int64)
        _, first = np.unique(ids, return_index=True)
        kept = np.zeros(count, dtype=bool)
        kept[first] = True
        for row in np.flatnonzero(~kept):
            self.reject(self.lines[row], "duplicate id")
        return np.flatnonzero(kept)
