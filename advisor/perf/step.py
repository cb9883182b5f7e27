"""From work to seconds: one step of an engine on one replica.

A step runs the decode of some sequences and the prompt chunks of others together. Its time is
the sum over operators of their roofline times, plus collectives, plus what the host adds
(``docs/method.md``). Everything broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from advisor.perf import interconnect, mixers, roofline
from advisor.perf.chip import Chip
from advisor.perf.roofline import Array
from advisor.perf.work import ACTIVATION_BYTES, AttentionRead, Exchange, ExpertBlock, Matmul, Work
from advisor.schema.efficiency import Recurrent

__all__ = ["BOUNDS", "Batch", "Chip", "StepModel", "StepTime", "attended_pairs"]

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


@dataclass(frozen=True)
class _Counts:
    sequences: Array
    context: Array
    chunks: Array
    chunk: Array
    offset: Array
    prefill: Array
    tokens: Array
    emitting: Array


def _counts(batch: Batch) -> _Counts:
    sequences = np.asarray(batch.sequences, dtype=float)
    chunks = np.asarray(batch.chunks, dtype=float)
    chunk = np.asarray(batch.chunk_tokens, dtype=float)
    finishing = chunks if batch.finishing is None else np.asarray(batch.finishing, dtype=float)
    prefill = chunks * chunk
    return _Counts(
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


class StepModel:
    """Step time of one model, format and layout on one chip.

    Parameters
    ----------
    work
        Operators of a step (:func:`advisor.perf.work.build_work`).
    chip
        Speeds.
    pipeline_stages
        Stages; the batch is split among them, so that all work at once.

    Raises
    ------
    MissingDataError
        If a peak or a link the work needs is not published.
    """

    def __init__(self, work: Work, chip: Chip, pipeline_stages: int = 1) -> None:
        self.work = work
        self.chip = chip
        self.pipeline_stages = pipeline_stages
        self._floor_s = self._launch_floor_s()
        self._matmuls: list[Callable[[_Counts, StepTime], None]] = [
            self._matmul(m) for m in _merged(work.matmuls)
        ]
        self._others: list[Callable[[_Counts, StepTime], None]] = [
            *(self._attention(a) for a in work.attention),
            *(self._experts(e) for e in work.experts),
            *(self._exchange(x) for x in work.exchanges),
        ]

    def step(self, batch: Batch) -> StepTime:
        """Return the time of one step and its parts."""
        counts = _counts(batch)
        result = StepTime()
        for operator in (*self._matmuls, *self._others):
            operator(counts, result)
        self._states(counts, result)
        self._elementwise(counts, result)
        self._launching(result)
        host = self.chip.host_per_step_s + self.chip.efficiency.host_per_step_s
        if host:
            result.add_bound("host", np.asarray(host), "overhead")
        return result

    def _launch_floor_s(self) -> float:
        """Host time to launch all layers, seconds; the step can't be shorter."""
        e, work = self.chip.efficiency, self.work
        if not e.host_per_layer_s:
            return 0.0
        layer, expert = e.host_per_layer_s, e.host_per_expert_s
        key = work.matmuls[0].gemm
        floor = work.layers * layer.get(key, layer.get("bf16", 0.0))
        for block in work.experts:
            each = expert.get(block.gemm, expert.get("bf16", 0.0))
            floor += block.count * block.experts / block.groups * each
        return floor

    def _launching(self, result: StepTime) -> None:
        if self._floor_s:
            waiting = np.maximum(self._floor_s - result.seconds, 0.0)
            result.add_bound("launching", waiting, "overhead")

    def prefill_rates(self) -> list[mixers.PrefillRate]:
        """Return what each attention group's prompt attention costs per attended pair."""
        e, chip = self.chip.efficiency, self.chip
        return [
            mixers.prefill_rate(a, e, chip.peak_of(mixers.prefill_constants(a, e), "bf16"))
            for a in self.work.attention
        ]

    def state_rates(self) -> list[mixers.StateRate]:
        """Return what each recurrent group's prompt chunks cost; none without constants."""
        constants = self.chip.efficiency.recurrent
        if constants is None or not self.work.states:
            return []
        peak = self.chip.peak("bf16")
        return [mixers.state_rate(s, constants, peak) for s in self.work.states]

    def _matmul(self, m: Matmul) -> Callable[[_Counts, StepTime], None]:
        chip, constants = self.chip, self.chip.gemm(m.gemm)
        peak = chip.peak_of(constants, m.peak)
        bytes_per_s = chip.read_bytes_per_s
        unpack_s = m.n * m.k * chip.unpack_s_per_weight(m.gemm)

        def run(counts: _Counts, result: StepTime) -> None:
            rows = counts.emitting if m.rows == "emitting" else counts.tokens
            moved = m.weight_bytes + rows * (m.n + m.k) * ACTIVATION_BYTES
            memory = roofline.gemm_memory_s(moved, bytes_per_s, constants)
            compute = roofline.gemm_compute_s(rows, m.n, m.k, peak, constants)
            used = m.count * (rows > 0)
            quantising = roofline.input_pass_s(rows, m.k, bytes_per_s, constants)
            total = roofline.gemm_s(memory, compute, constants) + quantising + unpack_s
            result.add(m.name, used * total, used * memory, used * (compute + unpack_s))
            result.flops = result.flops + used * 2.0 * rows * m.n * m.k
            result.moved_bytes = result.moved_bytes + used * moved

        return run

    def _attention(self, a: AttentionRead) -> Callable[[_Counts, StepTime], None]:
        e = self.chip.efficiency
        peak = self.chip.peak_of(mixers.prefill_constants(a, e), "bf16")
        bytes_per_s = self.chip.read_bytes_per_s

        def run(counts: _Counts, result: StepTime) -> None:
            reach = np.minimum(counts.context, a.reach_tokens)
            used = a.count * (counts.sequences > 0)
            roofs = mixers.decode_roofs(a, e, peak, bytes_per_s, counts.sequences, reach)
            result.add(
                f"{a.name} decode",
                used * roofs.total_s,
                used * roofs.memory_s,
                used * roofs.compute_s,
            )
            self._prefill(a, counts, result, peak)
            pairs = counts.sequences * reach
            result.flops = result.flops + a.count * 2.0 * pairs * a.heads * a.decode_dim
            result.moved_bytes = result.moved_bytes + a.count * pairs * a.kv_bytes_per_token

        return run

    def _prefill(self, a: AttentionRead, counts: _Counts, result: StepTime, peak: float) -> None:
        constants = mixers.prefill_constants(a, self.chip.efficiency)
        pairs = counts.chunks * attended_pairs(counts.chunk, counts.offset, a.reach_tokens)
        used = a.count * (counts.prefill > 0)
        total = roofline.prefill_attention_s(
            pairs, a.heads, a.prefill_dim, peak, constants, counts.prefill
        )
        written = counts.prefill * a.kv_bytes_per_token
        result.add(f"{a.name} prefill", used * total, 0.0, used * (total - constants.launch_s))
        result.flops = result.flops + used * 2.0 * pairs * a.heads * a.prefill_dim
        result.moved_bytes = result.moved_bytes + used * written

    def _experts(self, block: ExpertBlock) -> Callable[[_Counts, StepTime], None]:
        chip, constants = self.chip, self.chip.experts(block.gemm)
        peak = chip.peak_of(constants, block.peak)
        bytes_per_s = chip.read_bytes_per_s
        # A row of an expert costs two operations per weight.
        unpack_s_per_expert = block.flops_per_row / 2.0 * chip.unpack_s_per_weight(block.gemm)

        def run(counts: _Counts, result: StepTime) -> None:
            gathered = counts.tokens * block.spread
            routed = gathered * block.top_k / block.groups
            touched = roofline.experts_touched(gathered, block.experts, block.top_k) / block.groups
            moved = touched * block.bytes_per_expert
            memory = roofline.gemm_memory_s(moved, bytes_per_s, constants)
            compute = roofline.experts_compute_s(
                routed, touched, block.flops_per_row, peak, constants
            )
            used = block.count * (counts.tokens > 0)
            unpack = touched * unpack_s_per_expert
            sorting = roofline.row_pass_s(
                gathered, block.top_k, block.hidden, bytes_per_s, constants
            )
            total = roofline.gemm_s(memory, compute, constants) + sorting + unpack
            result.add(block.name, used * total, used * memory, used * (compute + unpack))
            result.flops = result.flops + used * routed * block.flops_per_row
            result.moved_bytes = result.moved_bytes + used * moved

        return run

    def _exchange(self, x: Exchange) -> Callable[[_Counts, StepTime], None]:
        constants, link = self.chip.collective()

        def run(counts: _Counts, result: StepTime) -> None:
            size = counts.tokens * x.bytes_per_token
            if x.kind == "all-reduce":
                seconds = interconnect.all_reduce_s(size, x.devices, link, constants)
            elif x.kind == "all-to-all":
                seconds = interconnect.all_to_all_s(size, x.devices, link, constants)
            else:
                seconds = interconnect.send_s(size, link, constants)
            result.add_bound(x.name, x.count * seconds * (counts.tokens > 0), "network")

        return run

    def _recurrent(self, constants: Recurrent, counts: _Counts, result: StepTime) -> None:
        peak, bytes_per_s = self.chip.peak("bf16"), self.chip.read_bytes_per_s
        for s in self.work.states:
            decode = mixers.state_decode_roofs(s, constants, bytes_per_s, counts.sequences)
            prefill = mixers.state_prefill_roofs(s, constants, peak, counts.prefill, counts.chunk)
            for name, roofs in (("decode", decode), ("prefill", prefill)):
                times = (roofs.total_s, roofs.memory_s, roofs.compute_s)
                result.add(f"{s.name} {name}", *(s.count * seconds for seconds in times))
            result.flops = result.flops + s.count * counts.tokens * s.flops_per_token
            moved = 2.0 * s.state_bytes * (counts.sequences + counts.chunks)
            result.moved_bytes = result.moved_bytes + s.count * moved

    def _states(self, counts: _Counts, result: StepTime) -> None:
        if self.chip.efficiency.recurrent is not None:
            self._recurrent(self.chip.efficiency.recurrent, counts, result)
            return
        share = self.chip.efficiency.elementwise.memory_share
        for s in self.work.states:
            moved = 2.0 * s.state_bytes * (counts.sequences + counts.chunks)
            flops = counts.tokens * s.flops_per_token
            memory = moved / (share * self.chip.read_bytes_per_s)
            constants = self.chip.efficiency.prefill_attention
            peak = self.chip.peak_of(constants, "bf16")
            compute = flops / (constants.compute_share * peak)
            launch = constants.launch_s * (counts.tokens > 0)
            total = np.asarray(s.count * (np.maximum(memory, compute) + launch))
            result.add(s.name, total, s.count * memory, s.count * compute)
            result.flops = result.flops + s.count * flops
            result.moved_bytes = result.moved_bytes + s.count * moved

    def _elementwise(self, counts: _Counts, result: StepTime) -> None:
        e = self.chip.efficiency.elementwise
        moved = counts.tokens * self.work.elementwise_bytes_per_token
        memory = moved / (e.memory_share * self.chip.read_bytes_per_s)
        launches = self.work.layers * e.launches_per_layer * e.launch_s * (counts.tokens > 0)
        result.add("elementwise", memory + launches, memory, 0.0)
        result.moved_bytes = result.moved_bytes + moved


def _merged(matmuls: tuple[Matmul, ...]) -> list[Matmul]:
    merged: dict[tuple[object, ...], Matmul] = {}
    for m in matmuls:
        key = (m.name, m.n, m.k, m.bits, m.gemm, m.peak, m.rows)
        count = m.count + (merged[key].count if key in merged else 0.0)
        merged[key] = Matmul(m.name, m.n, m.k, count, m.bits, m.gemm, m.peak, m.rows)
    return list(merged.values())
