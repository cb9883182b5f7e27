"""Kernel times: pure functions of numbers, broadcasting over NumPy arrays.

Each is a roofline with a rounded corner plus a launch cost. The corner follows
``(a^p + c^p)^(1/p)``: real kernels near the ridge overlap memory and compute only partly.
Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009, doi:10.1145/1498765.1498785;
the constants are fitted to kernel measurements (``hwprofiles/efficiency``).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.schema.efficiency import (
    DecodeAttention,
    Experts,
    Gemm,
    LatentAttention,
    PrefillAttention,
    Recurrent,
)

Array = NDArray[np.float64]
Number = float | Array

SMALL_HEADS_DIM = 128
"""Key plus value dimensions of heads of 64, which leave matrix units half empty."""


def smooth_max(a: ArrayLike, b: ArrayLike, sharpness: int) -> Array:
    """Return ``(a^p + b^p)^(1/p)`` for p in 1, 2, 4: at least the larger of the two.

    Parameters
    ----------
    a, b
        Non-negative arrays that broadcast.
    sharpness
        p; 1 adds, larger values approach the maximum.

    Raises
    ------
    ValueError
        For another p.

    Examples
    --------
    >>> float(smooth_max(3.0, 4.0, 2))
    5.0
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if sharpness == 1:
        return np.asarray(x + y)
    x, y = x * x, y * y
    if sharpness == 2:
        return np.asarray(np.sqrt(x + y))
    if sharpness == 4:
        return np.asarray(np.sqrt(np.sqrt(x * x + y * y)))
    msg = f"sharpness must be 1, 2 or 4, got {sharpness}"
    raise ValueError(msg)


def gemm_memory_s(moved_bytes: ArrayLike, bytes_per_s: float, constants: Gemm | Experts) -> Array:
    """Time to move a product's weights and activations, seconds."""
    return np.asarray(np.asarray(moved_bytes, dtype=float) / (constants.memory_share * bytes_per_s))


def gemm_compute_s(
    rows: ArrayLike, n: Number, k: Number, flops_per_s: float, constants: Gemm
) -> Array:
    """Time to multiply ``rows x k`` by ``k x n`` at the compute roof, seconds.

    A tile of ``constants.min_rows`` rows costs the same however few of them are used.
    """
    padded = np.maximum(np.asarray(rows, dtype=float), constants.min_rows)
    return np.asarray(padded * (2.0 * n * k / (constants.compute_share * flops_per_s)))


def gemm_s(memory_s: ArrayLike, compute_s: ArrayLike, constants: Gemm | Experts) -> Array:
    """Time of one product from its two roofs, seconds, launch included."""
    return smooth_max(memory_s, compute_s, constants.sharpness) + constants.launch_s


def input_pass_s(rows: ArrayLike, k: Number, bytes_per_s: float, constants: Gemm) -> Array:
    """Time to quantise a product's inputs in a kernel of its own, seconds."""
    elements = np.asarray(rows, dtype=float) * k
    return np.asarray(elements * (constants.input_bytes / bytes_per_s))


def row_pass_s(
    tokens: ArrayLike, top_k: Number, hidden: Number, bytes_per_s: float, constants: Experts
) -> Array:
    """Time to sort rows to experts, quantise them and combine the results, seconds.

    ``tokens`` of the whole expert group: kernels lay out a row for every (token, expert) pair,
    whether or not the expert is on this device.
    """
    elements = np.asarray(tokens, dtype=float) * top_k * hidden
    return np.asarray(elements * (constants.row_bytes / bytes_per_s))


def cache_memory_s(
    kv_bytes: ArrayLike,
    bytes_per_s: float,
    constants: DecodeAttention | LatentAttention,
    kv_bits: float = 16.0,
) -> Array:
    """Time to read a KV cache of ``kv_bits`` a number, seconds."""
    share = constants.memory_share
    if kv_bits <= 8 and constants.fp8_memory_share is not None:
        share = constants.fp8_memory_share
    return np.asarray(np.asarray(kv_bytes, dtype=float) / (share * bytes_per_s))


def decode_attention_s(
    sequences: ArrayLike,
    kv_heads: Number,
    kv_bytes: ArrayLike,
    bytes_per_s: float,
    constants: DecodeAttention,
    kv_bits: float = 16.0,
) -> Array:
    """Time of one layer's decode attention, seconds.

    Parameters
    ----------
    sequences
        Sequences that decode in this step.
    kv_heads
        KV heads on this device.
    kv_bytes
        KV-cache bytes this device reads for all of them.
    bytes_per_s
        Datasheet memory bandwidth.
    kv_bits
        Bits of one cached number.
    """
    memory = cache_memory_s(kv_bytes, bytes_per_s, constants, kv_bits)
    blocks = np.asarray(sequences, dtype=float) * kv_heads * constants.per_sequence_head_s
    return smooth_max(memory, blocks, constants.sharpness) + constants.launch_s


def latent_attention_s(
    memory_s: ArrayLike, compute_s: ArrayLike, constants: LatentAttention
) -> Array:
    """Time of one layer's latent decode attention from its two roofs, launch included."""
    return smooth_max(memory_s, compute_s, constants.sharpness) + constants.launch_s


def latent_compute_s(
    pairs: ArrayLike, heads: Number, dim: Number, flops_per_s: float, constants: LatentAttention
) -> Array:
    """Time of (query, cached token) pairs of ``dim`` key plus value dimensions, seconds.

    Two operations per head and dimension (DeepSeek-V2, arXiv:2405.04434, section 2.1.2).
    """
    per_pair_s = 2.0 * heads * dim / (constants.compute_share * flops_per_s)
    return np.asarray(np.asarray(pairs, dtype=float) * per_pair_s)


def recurrent_decode_s(moved_bytes: ArrayLike, bytes_per_s: float, constants: Recurrent) -> Array:
    """Time of one recurrent layer's decode from the state bytes it moves, seconds."""
    moved = np.asarray(moved_bytes, dtype=float)
    return np.asarray(moved / (constants.memory_share * bytes_per_s) + constants.launch_s)


def recurrent_prefill_s(
    flops: ArrayLike, chunk_tokens: ArrayLike, flops_per_s: float, constants: Recurrent
) -> Array:
    """Time of one recurrent layer's prompt chunks, seconds.

    ``flops`` of all chunks; ``chunk_tokens`` of the longest, whose blocks of tokens follow
    each other (Yang et al., arXiv:2412.06464, section 3.3).
    """
    compute = np.asarray(flops, dtype=float) / (constants.compute_share * flops_per_s)
    serial = np.asarray(chunk_tokens, dtype=float) * constants.serial_s_per_token
    return smooth_max(compute, serial, constants.sharpness) + constants.prefill_launch_s


def prefill_attention_s(
    attended_pairs: ArrayLike,
    heads: Number,
    qk_plus_v_dim: Number,
    flops_per_s: float,
    constants: PrefillAttention,
    queries: ArrayLike = 0.0,
) -> Array:
    """Time of one layer's prefill attention, seconds.

    ``attended_pairs`` is the number of (query, key) pairs; each costs two operations per
    dimension of the key product and of the value product
    (Dao, "FlashAttention-2", arXiv:2307.08691, section 2.2). Each of the ``queries`` adds
    ``constants.keys_per_query`` pairs.
    """
    small = np.asarray(qk_plus_v_dim) <= SMALL_HEADS_DIM
    share = constants.compute_share * np.where(small, constants.small_head_share or 1.0, 1.0)
    per_pair_s = 2.0 * heads * qk_plus_v_dim / (share * flops_per_s)
    extra = np.asarray(queries, dtype=float) * constants.keys_per_query
    pairs = np.asarray(attended_pairs, dtype=float) + extra
    return np.asarray(pairs * per_pair_s + constants.launch_s)


def experts_touched(rows: ArrayLike, experts: int, top_k: int, evenness: float = math.inf) -> Array:
    """Return the expected number of distinct experts that ``rows`` tokens reach.

    Routed evenly and independently, one token misses an expert with probability
    ``1 - k/E``: ``E (1 - (1 - k/E)^rows)``. Real routers favour some experts. With
    popularities spread as a gamma distribution of shape ``evenness`` round the mean, an expert
    is missed with probability ``(1 + rows k / (E evenness))^-evenness`` (the negative binomial's
    zero term: Fisher, Corbet, Williams, J. Animal Ecology 12, 1943), never fewer than ``k``.

    Parameters
    ----------
    rows
        Tokens that meet in the block.
    experts, top_k
        Experts in all, and of each token.
    evenness
        Shape of the popularity distribution; infinite: all alike.

    Examples
    --------
    >>> float(experts_touched(1, 128, 8))
    8.0
    >>> float(experts_touched(64, 128, 8, 1.0)) < float(experts_touched(64, 128, 8))
    True
    """
    tokens = np.asarray(rows, dtype=float)
    if top_k >= experts:
        return np.full_like(tokens, float(experts))
    if math.isinf(evenness):
        return np.asarray(-experts * np.expm1(tokens * np.log1p(-top_k / experts)), dtype=float)
    exponent = -evenness * np.log1p(tokens * (top_k / (experts * evenness)))
    fewest = top_k * np.minimum(tokens, 1.0)
    return np.asarray(np.maximum(-experts * np.expm1(exponent), fewest))


def _highest_of(groups: int) -> float:
    """Mean of the largest of so many standard normal draws (Blom, 1958: 0.375 plotting)."""
    return NormalDist().inv_cdf((groups - 0.375) / (groups + 0.25))


def busiest_group(
    touched: ArrayLike, routed_rows: ArrayLike, experts: int, groups: int, evenness: float
) -> tuple[Array, Array]:
    """Return experts touched and rows of the busiest of the devices that share the experts.

    A layer ends when its slowest group does. Round the mean, a group's touched experts vary as
    draws without replacement from its ``E/groups``; its rows vary with the popularity of its
    experts (variance ``groups/(E evenness)`` of the mean squared) and by chance (Poisson).

    Parameters
    ----------
    touched, routed_rows
        Experts that any token reaches, and (token, expert) rows, over all groups.
    experts, groups
        Experts in all, and devices that hold different ones.
    evenness
        As in :func:`experts_touched`.
    """
    some = np.asarray(touched, dtype=float) / groups
    rows = np.asarray(routed_rows, dtype=float) / groups
    if groups == 1:
        return some, rows
    top = _highest_of(groups)
    held = experts / groups
    spread = np.sqrt(some * np.maximum(1.0 - some / held, 0.0))
    uneven = 0.0 if math.isinf(evenness) else rows * rows / (held * evenness)
    return np.minimum(some + top * spread, held), rows + top * np.sqrt(rows + uneven)


def experts_compute_s(
    routed_rows: ArrayLike,
    touched: ArrayLike,
    flops_per_row: float,
    flops_per_s: float,
    constants: Experts,
) -> Array:
    """Time of grouped expert products at the compute roof, seconds.

    Every touched expert pays at least ``min_rows_per_expert`` rows.
    """
    floor = np.asarray(touched, dtype=float) * constants.min_rows_per_expert
    padded = np.maximum(np.asarray(routed_rows, dtype=float), floor)
    return np.asarray(padded * (flops_per_row / (constants.compute_share * flops_per_s)))
