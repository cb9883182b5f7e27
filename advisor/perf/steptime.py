"""What a step runs, and the seconds it takes by operator and by bound."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from advisor.perf.roofline import Array

BOUNDS = ("memory", "compute", "network", "overhead")


@dataclass(frozen=True)
class Batch:
    """What one step runs on one attention rank; all fields broadcast.

    Parameters
    ----------
    sequences
        Sequences that decode one token.
    context_tokens
        Mean tokens each of them attends to.
    chunks
        Prompt chunks in the step.
    chunk_tokens, offset_tokens
        Tokens of each chunk, and of the same prompt already cached.
    finishing
        Chunks that end their prompt and so emit a token (None: all).
    """

    sequences: ArrayLike = 0.0
    context_tokens: ArrayLike = 0.0
    chunks: ArrayLike = 0.0
    chunk_tokens: ArrayLike = 0.0
    offset_tokens: ArrayLike = 0.0
    finishing: ArrayLike | None = None


@dataclass
class StepTime:
    """Seconds of a step and where they go.

    ``parts_s`` by operator; ``bounds_s`` the same seconds by the bound that decided
    (memory, compute, network, overhead); ``flops`` and ``moved_bytes`` of one device.
    """

    parts_s: dict[str, Array] = field(default_factory=dict)
    bounds_s: dict[str, Array] = field(default_factory=dict)
    flops: Array = field(default_factory=lambda: np.zeros(()))
    moved_bytes: Array = field(default_factory=lambda: np.zeros(()))

    @property
    def seconds(self) -> Array:
        """Total time of the step, seconds."""
        return np.asarray(sum(self.parts_s.values()))

    def bound(self) -> str:
        """Return the bound with the largest share of a scalar step."""
        return max(BOUNDS, key=lambda b: float(self.bounds_s.get(b, 0.0)))

    def summed(self) -> StepTime:
        """Add up a run of steps given along arrays into one scalar step."""
        return StepTime(
            {name: np.asarray(value.sum()) for name, value in self.parts_s.items()},
            {name: np.asarray(value.sum()) for name, value in self.bounds_s.items()},
            np.asarray(self.flops.sum()),
            np.asarray(self.moved_bytes.sum()),
        )

    def at(self, index: int) -> StepTime:
        """Pick one step of a run of steps given along a one-dimensional array."""

        def pick(value: Array) -> Array:
            return np.asarray(value[index] if value.ndim else value)

        return StepTime(
            {name: pick(value) for name, value in self.parts_s.items()},
            {name: pick(value) for name, value in self.bounds_s.items()},
            pick(self.flops),
            pick(self.moved_bytes),
        )

    def count(self, flops: Array, moved_bytes: Array) -> None:
        """Book operations done and bytes moved."""
        self.flops = self.flops + flops
        self.moved_bytes = self.moved_bytes + moved_bytes

    def add_all(self, names: list[str], total_s: Array, memory_s: Array, compute_s: Array) -> None:
        """Book several operators whose times stand along the first axis."""
        for index, name in enumerate(names):
            self.add(name, total_s[index], memory_s[index], compute_s[index])

    def add(self, name: str, total_s: Array, memory_s: ArrayLike, compute_s: ArrayLike) -> None:
        """Book an operator: the larger roof takes the time above the launch."""
        memory, compute = np.asarray(memory_s), np.asarray(compute_s)
        roof = np.maximum(memory, compute)
        by_memory = np.where(memory >= compute, roof, 0.0)
        self._book(name, total_s)
        self._bound("memory", by_memory)
        self._bound("compute", roof - by_memory)
        self._bound("overhead", total_s - roof)

    def add_bound(self, name: str, total_s: Array, bound: str) -> None:
        """Book an operator that one bound decides."""
        self._book(name, total_s)
        self._bound(bound, total_s)

    def _book(self, name: str, total_s: Array) -> None:
        self.parts_s[name] = self.parts_s.get(name, np.zeros(())) + total_s

    def _bound(self, bound: str, seconds: Array) -> None:
        self.bounds_s[bound] = self.bounds_s.get(bound, np.zeros(())) + seconds


class TotalTime(StepTime):
    """A step's seconds alone: half the work where parts and bounds aren't asked for."""

    def count(self, flops: Array, moved_bytes: Array) -> None:
        """Book nothing: only seconds are asked for."""

    def add_all(self, names: list[str], total_s: Array, memory_s: Array, compute_s: Array) -> None:
        """Add the times along the first axis to the total."""
        self.add_bound("", total_s.sum(0), "")

    def add(self, name: str, total_s: Array, memory_s: ArrayLike, compute_s: ArrayLike) -> None:
        """Add an operator's time to the total; its roofs are not booked."""
        self.add_bound(name, total_s, "")

    def add_bound(self, name: str, total_s: Array, bound: str) -> None:
        """Add an operator's time to the total."""
        self.parts_s[""] = self.parts_s[""] + total_s if self.parts_s else total_s


@dataclass(frozen=True)
class Counts:
    """The fields of a batch as arrays, and the sums every operator needs."""

    sequences: Array
    context: Array
    chunks: Array
    chunk: Array
    offset: Array
    prefill: Array
    tokens: Array
    emitting: Array


def counts_of(batch: Batch) -> Counts:
    """Turn a batch into arrays."""
    sequences = np.asarray(batch.sequences, dtype=float)
    chunks = np.asarray(batch.chunks, dtype=float)
    chunk = np.asarray(batch.chunk_tokens, dtype=float)
    finishing = chunks if batch.finishing is None else np.asarray(batch.finishing, dtype=float)
    prefill = chunks * chunk
    return Counts(
        sequences=sequences,
        context=np.asarray(batch.context_tokens, dtype=float),
        chunks=chunks,
        chunk=chunk,
        offset=np.asarray(batch.offset_tokens, dtype=float),
        prefill=prefill,
        tokens=sequences + prefill,
        emitting=sequences + finishing,
    )


def attended_pairs(chunk: ArrayLike, offset: ArrayLike, reach: float) -> Array:
    """Count (query, key) pairs of one prompt chunk under a causal mask and a window.

    Token i of the chunk, at position ``offset + i``, attends to ``min(offset + i, reach)``
    tokens, i from 1.

    >>> float(attended_pairs(4, 0, float("inf")))
    10.0
    >>> float(attended_pairs(4, 0, 2.0))
    7.0
    """
    c, o = np.asarray(chunk, dtype=float), np.asarray(offset, dtype=float)
    if np.isinf(reach):
        return np.asarray(c * o + c * (c + 1.0) / 2.0)
    growing = np.clip(reach - o, 0.0, c)
    whole = growing * o + growing * (growing + 1.0) / 2.0
    return np.asarray(whole + (c - growing) * reach)
