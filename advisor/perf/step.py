"""From work to seconds: one step of an engine on one replica.

A step runs the decode of some sequences and the prompt chunks of others together. Its time is
the sum over operators of their roofline times, plus collectives, plus what the host adds
(``docs/method.md``). Everything broadcasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from advisor.perf import interconnect, mixers, roofline
from advisor.perf.chip import Chip
from advisor.perf.roofline import Array
from advisor.perf.steptime import (
    BOUNDS,
    Batch,
    Counts,
    StepTime,
    TotalTime,
    attended_pairs,
    counts_of,
)
from advisor.perf.work import ACTIVATION_BYTES, AttentionRead, Exchange, ExpertBlock, Matmul, Work
from advisor.schema.efficiency import Recurrent

WIDE = 20_000
"""Batches with more points than this are evaluated product by product."""
__all__ = ["BOUNDS", "Batch", "Chip", "StepModel", "StepTime", "attended_pairs"]


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
        self._launches = self._small_launches()
        self._matmuls: list[Callable[[Counts, StepTime], None]] = [
            self._products(group) for group in _groups(_merged(work.matmuls))
        ]
        self._others: list[Callable[[Counts, StepTime], None]] = [
            *(self._attention(a) for a in work.attention),
            *(self._experts(e) for e in work.experts),
            *(self._exchange(x) for x in work.exchanges),
        ]

    def step(self, batch: Batch) -> StepTime:
        """Return the time of one step and its parts."""
        return self._run(batch, StepTime())

    def seconds(self, batch: Batch) -> Array:
        """Return the time of one step alone, seconds."""
        return self._run(batch, TotalTime()).seconds

    def _run(self, batch: Batch, result: StepTime) -> StepTime:
        counts = counts_of(batch)
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

    def _small_launches(self) -> float:
        """Count the small kernels of a step."""
        e, work = self.chip.efficiency.elementwise, self.work
        recurrent = sum(s.count for s in work.states)
        sparse = sum(a.count for a in work.attention if a.latent and math.isfinite(a.reach_tokens))
        return (
            work.layers * e.launches_per_layer
            + recurrent * e.launches_per_recurrent_layer
            + sparse * e.launches_per_sparse_layer
        )

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

    def _products(self, group: tuple[Matmul, ...]) -> Callable[[Counts, StepTime], None]:
        """Return the time of products that share constants, all of them in one go.

        Their dimensions stand along a first axis, before the batch's own axes. Wide batches
        take them one by one: the temporaries would outgrow the processor's caches.
        """
        first, chip = group[0], self.chip
        constants = chip.gemm(first.gemm)
        peak = chip.peak_of(constants, first.peak)
        bytes_per_s, unpack_s = chip.read_bytes_per_s, chip.unpack_s_per_weight(first.gemm)
        whole, singles = _columns(group), [_columns((m,)) for m in group]

        def run(counts: Counts, result: StepTime) -> None:
            rows = counts.emitting if first.rows == "emitting" else counts.tokens
            for names, columns in [whole] if rows.size <= WIDE else singles:
                n, k, weights, count = columns.reshape(4, -1, *[1] * rows.ndim)
                used = count * (rows > 0)
                moved = weights + rows * ((n + k) * ACTIVATION_BYTES)
                memory = roofline.gemm_memory_s(moved, bytes_per_s, constants)
                compute = roofline.gemm_compute_s(rows, n, k, peak, constants)
                total = roofline.gemm_s(memory, compute, constants)
                if constants.input_bytes:
                    total = total + roofline.input_pass_s(rows, k, bytes_per_s, constants)
                result.add_all(names, used * total, used * memory, used * compute)
                if unpack_s:
                    # Cores unpack and multiply in turn with reading: the times add up.
                    result.add_bound("unpacking", (used * (n * k * unpack_s)).sum(0), "compute")
                result.count((used * (2.0 * n * k) * rows).sum(0), (used * moved).sum(0))

        return run

    def _attention(self, a: AttentionRead) -> Callable[[Counts, StepTime], None]:
        e = self.chip.efficiency
        peak = self.chip.peak_of(mixers.prefill_constants(a, e), "bf16")
        bytes_per_s = self.chip.read_bytes_per_s

        def run(counts: Counts, result: StepTime) -> None:
            reach = np.minimum(counts.context, a.reach_tokens)
            used = a.count * (counts.sequences > 0)
            roofs = mixers.decode_roofs(a, e, peak, bytes_per_s, counts.sequences, reach)
            result.add(
                f"{a.name} decode",
                used * roofs.total_s,
                used * roofs.memory_s,
                used * roofs.compute_s,
            )
            if counts.prefill.any():
                self._prefill(a, counts, result, peak)
            pairs = counts.sequences * reach
            result.count(
                a.count * 2.0 * pairs * a.heads * a.decode_dim,
                a.count * pairs * a.kv_bytes_per_token,
            )

        return run

    def _prefill(self, a: AttentionRead, counts: Counts, result: StepTime, peak: float) -> None:
        constants = mixers.prefill_constants(a, self.chip.efficiency)
        pairs = counts.chunks * attended_pairs(counts.chunk, counts.offset, a.reach_tokens)
        used = a.count * (counts.prefill > 0)
        total = roofline.prefill_attention_s(
            pairs, a.heads, a.prefill_dim, peak, constants, counts.prefill
        )
        written = counts.prefill * a.kv_bytes_per_token
        result.add(f"{a.name} prefill", used * total, 0.0, used * (total - constants.launch_s))
        result.count(used * 2.0 * pairs * a.heads * a.prefill_dim, used * written)

    def _experts(self, block: ExpertBlock) -> Callable[[Counts, StepTime], None]:
        chip, constants = self.chip, self.chip.experts(block.gemm)
        peak = chip.peak_of(constants, block.peak)
        bytes_per_s = chip.read_bytes_per_s
        # A row of an expert costs two operations per weight.
        unpack_s_per_expert = block.flops_per_row / 2.0 * chip.unpack_s_per_weight(block.gemm)

        def run(counts: Counts, result: StepTime) -> None:
            gathered = counts.tokens * block.spread
            reached = roofline.experts_touched(
                gathered, block.experts, block.top_k, chip.routing_evenness
            )
            touched, routed = roofline.busiest_group(
                reached, gathered * block.top_k, block.experts, block.groups, chip.routing_evenness
            )
            moved = touched * block.bytes_per_expert
            memory = roofline.gemm_memory_s(moved, bytes_per_s, constants)
            compute = roofline.experts_compute_s(
                routed, touched, block.flops_per_row, peak, constants
            )
            used = block.count * (counts.tokens > 0)
            sorting = roofline.row_pass_s(
                gathered, block.top_k, block.hidden, bytes_per_s, constants
            )
            total = roofline.gemm_s(memory, compute, constants) + sorting
            result.add(block.name, used * total, used * memory, used * compute)
            if unpack_s_per_expert:
                unpacking = used * touched * unpack_s_per_expert
                result.add_bound("unpacking", unpacking, "compute")
            result.count(used * routed * block.flops_per_row, used * moved)

        return run

    def _exchange(self, x: Exchange) -> Callable[[Counts, StepTime], None]:
        constants, link = self.chip.collective()

        def run(counts: Counts, result: StepTime) -> None:
            size = counts.tokens * x.bytes_per_token
            if x.kind == "all-reduce":
                seconds = interconnect.all_reduce_s(size, x.devices, link, constants)
            elif x.kind == "all-to-all":
                seconds = interconnect.all_to_all_s(size, x.devices, link, constants)
            else:
                seconds = interconnect.send_s(size, link, constants)
            result.add_bound(x.name, x.count * seconds * (counts.tokens > 0), "network")

        return run

    def _recurrent(self, constants: Recurrent, counts: Counts, result: StepTime) -> None:
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

    def _states(self, counts: Counts, result: StepTime) -> None:
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
            result.count(s.count * flops, s.count * moved)

    def _elementwise(self, counts: Counts, result: StepTime) -> None:
        e = self.chip.efficiency.elementwise
        moved = counts.tokens * self.work.elementwise_bytes_per_token
        memory = moved / (e.memory_share * self.chip.read_bytes_per_s)
        launches = self._launches * e.launch_s * (counts.tokens > 0)
        result.add("elementwise", memory + launches, memory, 0.0)
        result.moved_bytes = result.moved_bytes + moved


def _columns(group: tuple[Matmul, ...]) -> tuple[list[str], Array]:
    """Return names and, as four rows, n, k, weight bytes and count of products."""
    rows = [[m.n, m.k, m.weight_bytes, m.count] for m in group]
    return [m.name for m in group], np.array(rows, dtype=float).T


def _groups(matmuls: list[Matmul]) -> list[tuple[Matmul, ...]]:
    """Group products that share constants and rows."""
    found: dict[tuple[object, ...], list[Matmul]] = {}
    for m in matmuls:
        found.setdefault((m.gemm, m.peak, m.rows), []).append(m)
    return [tuple(group) for group in found.values()]


def _merged(matmuls: tuple[Matmul, ...]) -> list[Matmul]:
    merged: dict[tuple[object, ...], Matmul] = {}
    for m in matmuls:
        key = (m.name, m.n, m.k, m.bits, m.gemm, m.peak, m.rows)
        count = m.count + (merged[key].count if key in merged else 0.0)
        merged[key] = Matmul(m.name, m.n, m.k, count, m.bits, m.gemm, m.peak, m.rows)
    return list(merged.values())
