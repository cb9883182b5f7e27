"""Which measurements speak for which function of :mod:`advisor.perf`, and its free constants.

Work and traffic are divided by the datasheet rate first, so that one set of constants is
fitted to several devices of a family at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.kernel_fits import Kernel, Sample
from advisor.calibration.kernel_tables import (
    Array,
    AttentionRows,
    CollectiveRows,
    ElementwiseRows,
    GemmRows,
)
from advisor.perf import interconnect, roofline
from advisor.schema.efficiency import (
    Collective,
    DecodeAttention,
    Elementwise,
    Gemm,
    PrefillAttention,
)

WEIGHT_BYTES = {
    "bf16": 2.0,
    "fp8": 1.0,
    "fp8_block": 1.0 + 4.0 / 128**2,
    "fp4": 0.5625,
    "w4a16": 0.5 + 2.0 / 128,
    "w8a16": 1.0,
    "int8": 1.0,
    "mxfp4": 0.53125,
    "mxfp4_fp8": 0.53125,
}
"""Bytes a weight occupies, scales included."""

ACTIVATION_BYTES = 2.0
"""Bytes of an activation as predictions count them, whatever the format computes in."""

PEAK_OF = {
    "bf16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "fp4": "fp4",
    "w4a16": "bf16",
    "w8a16": "bf16",
    "int8": "int8",
    "mxfp4": "bf16",
    "mxfp4_fp8": "fp8",
}
"""Format → the datasheet peak its ``compute_share`` refers to."""

SHARPNESS: tuple[Literal[2, 4], ...] = (2, 4)
GEMM_MIN_ROWS = 16
UNQUANTISED = ("bf16", "w4a16", "w8a16", "mxfp4")
SMALLEST_SIDE, LARGEST_SIDE = 512, 28672
VOCABULARY_SLICE, LARGEST_HIDDEN, MOST_GEMM_ROWS = 65536, 8192, 8192


@dataclass(frozen=True)
class Datasheet:
    """Datasheet rates of one device: dense peaks by format, memory and link bytes per second."""

    flops_per_s: dict[str, float]
    bytes_per_s: float
    link_bytes_per_s: float | None = None


def shape_groups(*columns: Array) -> NDArray[np.int64]:
    """Return a number for each distinct combination of the columns."""
    return np.unique(np.stack(columns), axis=1, return_inverse=True)[1].astype(np.int64).ravel()


def gemm_sample(rows: GemmRows, weight_format: str, sheet: Datasheet) -> Sample:
    """Matrix products of the shapes language models have.

    Kept are sides of 512-28,672 (model dimensions, sliced by tensor parallelism) and
    65,536-wide ones on at most 8,192 (a slice of the vocabulary).
    """
    low, high = np.minimum(rows.n, rows.k), np.maximum(rows.n, rows.k)
    vocabulary = (rows.n == VOCABULARY_SLICE) & (rows.k <= LARGEST_HIDDEN) & (rows.k >= 2048)
    chosen = ((low >= SMALLEST_SIDE) & (high <= LARGEST_SIDE)) | vocabulary
    chosen &= (rows.rows <= MOST_GEMM_ROWS) & (rows.seconds > 0)
    m, n, k = rows.rows[chosen], rows.n[chosen], rows.k[chosen]
    moved = WEIGHT_BYTES[weight_format] * n * k + ACTIVATION_BYTES * m * (n + k)
    peak = sheet.flops_per_s[PEAK_OF[weight_format]]
    inputs = (moved / sheet.bytes_per_s, m, n, k / peak, k / sheet.bytes_per_s)
    return Sample(inputs, rows.seconds[chosen], shape_groups(n, k), m)


def gemm_kernels(weight_format: str, min_rows: int = GEMM_MIN_ROWS) -> list[Kernel[Gemm]]:
    """Return the product model with each sharpness of the roof's corner.

    Products of 16-bit activations have no pass of their own over them: nothing to fit.
    """
    free_passes = weight_format not in UNQUANTISED

    def kernel(sharpness: Literal[2, 4]) -> Kernel[Gemm]:
        def build(free: Array) -> Gemm:
            compute, memory, launch = (float(number) for number in free[:3])
            return Gemm(
                compute_share=compute,
                memory_share=memory,
                launch_s=launch,
                min_rows=min_rows,
                sharpness=sharpness,
                input_bytes=float(free[3]) if free_passes else 0.0,
            )

        lowest: tuple[float, ...] = (0.02, 0.05, 2e-7)
        start: tuple[float, ...] = (0.7, 0.8, 4e-6)
        highest: tuple[float, ...] = (1.2, 1.2, 1e-4)
        if free_passes:
            lowest, start, highest = (*lowest, 1e-3), (*start, 4.0), (*highest, 50.0)
        return Kernel(build, _gemm_s, lowest, start, highest)

    return [kernel(sharpness) for sharpness in SHARPNESS]


def _gemm_s(constants: Gemm, inputs: tuple[Array, ...]) -> Array:
    memory, m, n, k, passes = inputs
    moving = roofline.gemm_memory_s(memory, 1.0, constants)
    computing = roofline.gemm_compute_s(m, n, k, 1.0, constants)
    quantising = roofline.input_pass_s(m, passes, 1.0, constants)
    return roofline.gemm_s(moving, computing, constants) + quantising


def decode_sample(rows: AttentionRows, sheet: Datasheet, cache_bytes: float = 2.0) -> Sample:
    """Decode attention over the full context by cache width, heads of 64 or 128.

    At least 64 tokens, 2 to 16 query heads per KV head: wider groups run on other, slower
    kernels.
    """
    chosen = (rows.window == 0) & np.isin(rows.head_dim, (64.0, 128.0)) & (rows.seconds > 0)
    chosen &= (rows.context >= 64) & (rows.batch <= 512) & (rows.cache_bytes == cache_bytes)
    chosen &= (rows.heads >= 2 * rows.kv_heads) & (rows.heads <= 16 * rows.kv_heads)
    batch, heads, context = rows.batch[chosen], rows.kv_heads[chosen], rows.context[chosen]
    read = 2.0 * batch * heads * context * rows.head_dim[chosen] * rows.cache_bytes[chosen]
    group = shape_groups(rows.heads[chosen], heads, rows.head_dim[chosen], batch)
    return Sample((batch, heads, read / sheet.bytes_per_s), rows.seconds[chosen], group, read)


def decode_kernels() -> list[Kernel[DecodeAttention]]:
    """Return the decode-attention model with each sharpness of the corner."""

    def kernel(sharpness: Literal[2, 4]) -> Kernel[DecodeAttention]:
        def build(free: Array) -> DecodeAttention:
            share, launch, head = (float(number) for number in free)
            return DecodeAttention(
                memory_share=share,
                launch_s=launch,
                per_sequence_head_s=head,
                sharpness=sharpness,
            )

        return Kernel(build, _decode_s, (0.05, 5e-7, 1e-10), (0.8, 9e-6, 2e-8), (1.2, 1e-4, 1e-6))

    return [kernel(sharpness) for sharpness in SHARPNESS]


def _decode_s(constants: DecodeAttention, inputs: tuple[Array, ...]) -> Array:
    batch, heads, read = inputs
    return roofline.decode_attention_s(batch, heads, read, 1.0, constants)


def prefill_sample(rows: AttentionRows, sheet: Datasheet, head_dim: float = 128.0) -> Sample:
    """Causal prefill attention, 16-bit cache, heads of one size, 128-32,768 tokens.

    Heads of 64 reach only 0.6 to 0.9 of the share: a factor of their own.
    """
    chosen = (rows.window == 0) & (rows.head_dim == head_dim) & (rows.seconds > 0)
    chosen &= (rows.context >= 128) & (rows.cache_bytes == 2.0) & (rows.heads >= 2 * rows.kv_heads)
    chosen &= rows.batch * rows.context <= 32768
    batch, prompt, heads = rows.batch[chosen], rows.context[chosen], rows.heads[chosen]
    pairs = batch * prompt * (prompt + 1.0) / 2.0
    work = heads / sheet.flops_per_s["bf16"]
    width = 2.0 * rows.head_dim[chosen]
    group = shape_groups(heads, rows.kv_heads[chosen], rows.head_dim[chosen], batch)
    tokens = batch * prompt
    return Sample((pairs, work, width, tokens), rows.seconds[chosen], group, tokens)


def prefill_seconds(constants: PrefillAttention, inputs: tuple[Array, ...]) -> Array:
    """Time of prefill attention from a sample's inputs, seconds."""
    pairs, heads, width, tokens = inputs
    return roofline.prefill_attention_s(pairs, heads, width, 1.0, constants, tokens)


def prefill_kernels() -> list[Kernel[PrefillAttention]]:
    """Return the prefill-attention model."""

    def build(free: Array) -> PrefillAttention:
        share, launch, keys = (float(number) for number in free)
        return PrefillAttention(compute_share=share, launch_s=launch, keys_per_query=keys)

    return [
        Kernel(build, prefill_seconds, (0.02, 1e-6, 1.0), (0.5, 1e-5, 200.0), (1.2, 2e-4, 5000.0))
    ]


def collective_sample(rows: CollectiveRows, sheet: Datasheet, most_devices: int = 8) -> Sample:
    """All-reduces of up to 256 MiB inside one node.

    Raises
    ------
    ValueError
        If the datasheet has no link.
    """
    if sheet.link_bytes_per_s is None:
        msg = "a collective needs the link's datasheet rate"
        raise ValueError(msg)
    chosen = (rows.devices <= most_devices) & (rows.message_bytes <= 2**28) & (rows.seconds > 0)
    devices, size = rows.devices[chosen], rows.message_bytes[chosen]
    group = shape_groups(size)
    return Sample((size / sheet.link_bytes_per_s, devices), rows.seconds[chosen], group, size)


IN_SWITCH_EXPONENT = 0.5
"""All-reduce volume where the switch adds up (NVLink SHARP, Hopper and later): measured times of
two, four and eight devices grow as the root of a ring's."""


def collective_kernels() -> list[Kernel[Collective]]:
    """Return the all-reduce model of a ring, and that of switches that add up on the way."""

    def build(free: Array, exponent: float) -> Collective:
        latency, doubling, share = (float(number) for number in free)
        return Collective(latency, doubling, share, exponent)

    def seconds(constants: Collective, inputs: tuple[Array, ...]) -> Array:
        size, devices = inputs
        result = np.zeros_like(size)
        for count in np.unique(devices):
            at = devices == count
            result[at] = interconnect.all_reduce_s(size[at], int(count), 1.0, constants)
        return result

    bounds = (5e-7, 1e-9, 0.05), (4e-6, 5e-7, 0.6), (1e-4, 3e-5, 1.2)
    return [
        Kernel(partial(build, exponent=exponent), seconds, *bounds)
        for exponent in (1.0, IN_SWITCH_EXPONENT)
    ]


QUANTISE_BYTES = 3.0
"""Bytes per element of a kernel reading 16 bits and writing 8."""

LAUNCHES_PER_LAYER, ELEMENTWISE_SHARE = 5.0, 0.7
"""Prototype values: the tables time the kernel alone, on data that stays in cache."""


ELEMENTWISE = Elementwise(
    launch_s=2.2e-6,
    launches_per_layer=LAUNCHES_PER_LAYER,
    memory_share=ELEMENTWISE_SHARE,
    launches_per_recurrent_layer=7.0,
    launches_per_sparse_layer=28.0,
)
"""Prototype values: a kernel launch inside a CUDA graph, where no table times such kernels; more
launches of recurrent and of sparse layers as serving runs of Qwen3.5 and GLM-5 show."""


def elementwise_sample(rows: ElementwiseRows, sheet: Datasheet) -> Sample:
    """Elementwise kernels of at most 2^26 elements."""
    chosen = (rows.elements >= 1024) & (rows.elements <= 2**26) & (rows.seconds > 0)
    elements = rows.elements[chosen]
    inputs = (QUANTISE_BYTES * elements / sheet.bytes_per_s,)
    return Sample(inputs, rows.seconds[chosen], shape_groups(elements), elements)


def elementwise_kernels() -> list[Kernel[Elementwise]]:
    """Return launch plus traffic; only the launch survives, see ``ELEMENTWISE_SHARE``."""

    def build(free: Array) -> Elementwise:
        launch, share = (float(number) for number in free)
        return Elementwise(
            launch_s=launch, launches_per_layer=LAUNCHES_PER_LAYER, memory_share=share
        )

    def seconds(constants: Elementwise, inputs: tuple[Array, ...]) -> Array:
        return np.asarray(inputs[0] / constants.memory_share + constants.launch_s)

    return [Kernel(build, seconds, (1e-7, 0.05), (2e-6, 0.7), (1e-4, 20.0))]
