"""Free constants of latent attention, recurrent mixers, 8-bit caches and small heads.

Constants of the same kernel under another condition (8-bit cache, heads of 64) are one
factor each, fitted with everything else as found for the usual condition.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from advisor.calibration.kernel_fits import Kernel, Sample
from advisor.calibration.kernel_models import (
    SHARPNESS,
    Datasheet,
    prefill_seconds,
    shape_groups,
)
from advisor.calibration.kernel_tables import Array
from advisor.calibration.mixer_tables import LatentRows, RecurrentRows
from advisor.perf import roofline
from advisor.schema.efficiency import (
    DecodeAttention,
    LatentAttention,
    PrefillAttention,
    Recurrent,
)

LATENT_DIM, VALUE_DIM = 576.0, 512.0
"""Cached dimensions per token of the tables' latent attention, and those that are values."""

LATENT_PREFILL_DIM = 192.0 + 128.0
STATE_BYTES = 4.0
"""States are kept as float32."""

STATE_FLOPS = 6.0
"""Operations per state element and token: decay, outer-product update and read-out."""

LARGEST_CACHE, LAUNCH_ONLY = 2.0**27, 2.0**22
"""States of up to 128 MiB stay in a last-level cache between the tables' repeats, though not
between a model's layers; those of at most 4 MiB cost a launch wherever they are."""

Free = tuple[float, ...]


def latent_sample(rows: LatentRows, sheet: Datasheet, cache_bytes: float = 2.0) -> Sample:
    """Latent decode attention on at least 64 tokens, by cache width."""
    chosen = (rows.context >= 64) & (rows.batch <= 512) & (rows.seconds > 0)
    chosen &= rows.cache_bytes == cache_bytes
    batch, heads = rows.batch[chosen], rows.heads[chosen]
    pairs = batch * rows.context[chosen]
    read = pairs * LATENT_DIM * cache_bytes
    flops_per_s = sheet.flops_per_s["bf16"]
    inputs = (read / sheet.bytes_per_s, pairs / flops_per_s, heads)
    return Sample(inputs, rows.seconds[chosen], shape_groups(heads, batch), read)


def _latent_s(constants: LatentAttention, inputs: tuple[Array, ...], kv_bits: float) -> Array:
    read, pairs, heads = inputs
    memory = roofline.cache_memory_s(read, 1.0, constants, kv_bits)
    compute = roofline.latent_compute_s(pairs, heads, LATENT_DIM + VALUE_DIM, 1.0, constants)
    return roofline.latent_attention_s(memory, compute, constants)


def latent_kernels() -> list[Kernel[LatentAttention]]:
    """Return the latent-decode model with each sharpness of the corner."""

    def kernel(sharpness: Literal[2, 4]) -> Kernel[LatentAttention]:
        def build(free: Array) -> LatentAttention:
            memory, compute, launch = (float(number) for number in free)
            return LatentAttention(
                memory_share=memory,
                compute_share=compute,
                launch_s=launch,
                sharpness=sharpness,
            )

        bounds: tuple[Free, Free, Free] = ((0.05, 0.02, 1e-6), (0.7, 0.5, 1e-5), (1.2, 1.2, 1e-4))
        return Kernel(build, lambda c, inputs: _latent_s(c, inputs, 16.0), *bounds)

    return [kernel(sharpness) for sharpness in SHARPNESS]


def latent_prefill_sample(rows: LatentRows, sheet: Datasheet) -> Sample:
    """Causal latent prefill attention, 16-bit cache, 128-32,768 tokens."""
    tokens = rows.batch * rows.context
    chosen = (rows.context >= 128) & (tokens <= 32768) & (rows.seconds > 0)
    chosen &= rows.cache_bytes == 2.0
    batch, prompt, heads = rows.batch[chosen], rows.context[chosen], rows.heads[chosen]
    pairs = batch * prompt * (prompt + 1.0) / 2.0
    work = heads / sheet.flops_per_s["bf16"]
    width = np.full_like(heads, LATENT_PREFILL_DIM)
    inputs = (pairs, work, width, tokens[chosen])
    return Sample(inputs, rows.seconds[chosen], shape_groups(heads, batch), tokens[chosen])


def recurrent_decode_sample(rows: RecurrentRows, sheet: Datasheet) -> Sample:
    """States read and written, without those a cache keeps between the tables' repeats."""
    state = rows.batch * rows.value_heads * rows.key_dim * rows.value_dim * STATE_BYTES
    chosen = ((state >= LARGEST_CACHE) | (state <= LAUNCH_ONLY)) & (rows.seconds > 0)
    moved = 2.0 * state[chosen]
    group = shape_groups(rows.value_heads[chosen], rows.batch[chosen])
    return Sample((moved / sheet.bytes_per_s,), rows.seconds[chosen], group, moved)


def recurrent_prefill_sample(rows: RecurrentRows, sheet: Datasheet) -> Sample:
    """Prompts of 64 tokens and more, up to 32,768 tokens in all."""
    tokens = rows.batch * rows.tokens
    chosen = (rows.tokens >= 64) & (tokens <= 32768) & (rows.seconds > 0)
    heads, length, batch = rows.value_heads[chosen], rows.tokens[chosen], rows.batch[chosen]
    state = heads * rows.key_dim[chosen] * rows.value_dim[chosen]
    work = STATE_FLOPS * state * tokens[chosen] / sheet.flops_per_s["bf16"]
    group = shape_groups(heads, batch)
    return Sample((work, length), rows.seconds[chosen], group, tokens[chosen])


def recurrent_decode_kernels() -> list[Kernel[Recurrent]]:
    """Return state traffic plus launch; the prompt's constants are left at nothing."""

    def build(free: Array) -> Recurrent:
        share, launch = (float(number) for number in free)
        return Recurrent(
            memory_share=share,
            launch_s=launch,
            compute_share=1.0,
            serial_s_per_token=0.0,
            prefill_launch_s=0.0,
        )

    def seconds(constants: Recurrent, inputs: tuple[Array, ...]) -> Array:
        return roofline.recurrent_decode_s(inputs[0], 1.0, constants)

    return [Kernel(build, seconds, (0.05, 1e-7), (0.8, 5e-6), (1.2, 1e-4))]


def recurrent_prefill_kernels(decode: Recurrent) -> list[Kernel[Recurrent]]:
    """Return the prompt model, with decode's constants as found."""

    def build(free: Array) -> Recurrent:
        share, serial, launch = (float(number) for number in free)
        return msgspec.structs.replace(
            decode, compute_share=share, serial_s_per_token=serial, prefill_launch_s=launch
        )

    def seconds(constants: Recurrent, inputs: tuple[Array, ...]) -> Array:
        work, length = inputs
        return roofline.recurrent_prefill_s(work, length, 1.0, constants)

    return [Kernel(build, seconds, (0.005, 1e-10, 1e-6), (0.1, 3e-8, 1e-5), (1.2, 1e-6, 2e-4))]


def fp8_cache_kernels(usual: DecodeAttention) -> list[Kernel[DecodeAttention]]:
    """Return decode attention on an 8-bit cache: only its share of the bandwidth is free."""

    def build(free: Array) -> DecodeAttention:
        return msgspec.structs.replace(usual, fp8_memory_share=float(free[0]))

    def seconds(constants: DecodeAttention, inputs: tuple[Array, ...]) -> Array:
        batch, heads, read = inputs
        return roofline.decode_attention_s(batch, heads, read, 1.0, constants, kv_bits=8.0)

    return [Kernel(build, seconds, (0.05,), (usual.memory_share,), (1.2,))]


def fp8_latent_kernels(usual: LatentAttention) -> list[Kernel[LatentAttention]]:
    """Return latent decode on an 8-bit cache: only its share of the bandwidth is free."""

    def build(free: Array) -> LatentAttention:
        return msgspec.structs.replace(usual, fp8_memory_share=float(free[0]))

    def seconds(constants: LatentAttention, inputs: tuple[Array, ...]) -> Array:
        return _latent_s(constants, inputs, 8.0)

    return [Kernel(build, seconds, (0.05,), (usual.memory_share,), (1.2,))]


def small_head_kernels(usual: PrefillAttention) -> list[Kernel[PrefillAttention]]:
    """Return prefill attention on heads of 64: only the factor on its share is free."""

    def build(free: Array) -> PrefillAttention:
        return msgspec.structs.replace(usual, small_head_share=float(free[0]))

    return [Kernel(build, prefill_seconds, (0.05,), (0.8,), (1.2,))]
