"""Times of one layer's mixer: which constants speak for it, and its two roofs.

Latent attention and recurrent layers have constants of their own where a family was measured
with them; elsewhere those of other attention stand in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from advisor.perf import roofline
from advisor.perf.roofline import Array
from advisor.perf.work import AttentionRead, StateUpdate
from advisor.schema.efficiency import Efficiency, PrefillAttention, Recurrent


@dataclass(frozen=True)
class Roofs:
    """Seconds of one layer: in all, to move its bytes, and to compute."""

    total_s: Array
    memory_s: Array
    compute_s: Array


@dataclass(frozen=True)
class PrefillRate:
    """Prompt attention of ``count`` layers as a straight line of attended pairs.

    ``pair_s`` per pair, each query adding ``keys_per_query`` of them, and ``launch_s``.
    """

    count: float
    reach_tokens: float
    pair_s: float
    launch_s: float
    keys_per_query: float


@dataclass(frozen=True)
class StateRate:
    """Prompt chunks on ``count`` recurrent layers: the scalar twin of `state_prefill_roofs`."""

    count: float
    token_s: float
    serial_s: float
    launch_s: float
    sharpness: int

    def seconds(self, tokens: int, longest_tokens: int) -> float:
        """Time of chunks of so many tokens in all, the longest of ``longest_tokens``."""
        compute, serial = tokens * self.token_s, longest_tokens * self.serial_s
        rounded = (compute**self.sharpness + serial**self.sharpness) ** (1.0 / self.sharpness)
        return float(self.count * (rounded + self.launch_s))


def state_rate(state: StateUpdate, constants: Recurrent, flops_per_s: float) -> StateRate:
    """Return what prompt chunks cost on some recurrent layers."""
    return StateRate(
        state.count,
        state.flops_per_token / (constants.compute_share * flops_per_s),
        constants.serial_s_per_token,
        constants.prefill_launch_s,
        constants.sharpness,
    )


def prefill_constants(read: AttentionRead, efficiency: Efficiency) -> PrefillAttention:
    """Return the prefill constants of a layer's kind of attention."""
    if read.latent and efficiency.latent_prefill is not None:
        return efficiency.latent_prefill
    return efficiency.prefill_attention


def prefill_rate(read: AttentionRead, efficiency: Efficiency, flops_per_s: float) -> PrefillRate:
    """Return what the prompt attention of some layers costs per attended pair."""
    c = prefill_constants(read, efficiency)
    one = roofline.prefill_attention_s(1.0, read.heads, read.prefill_dim, flops_per_s, c)
    pair_s = float(one) - c.launch_s
    return PrefillRate(read.count, read.reach_tokens, pair_s, c.launch_s, c.keys_per_query)


def decode_roofs(
    read: AttentionRead,
    efficiency: Efficiency,
    flops_per_s: float,
    bytes_per_s: float,
    sequences: Array,
    reach_tokens: Array,
) -> Roofs:
    """Time of one layer's decode attention.

    Parameters
    ----------
    read
        The layer.
    efficiency
        Constants of the family.
    flops_per_s, bytes_per_s
        Peak the constants refer to, and datasheet bandwidth.
    sequences, reach_tokens
        Sequences that decode, and cached tokens each of them attends to.
    """
    pairs = sequences * reach_tokens
    kv_bytes = pairs * read.kv_bytes_per_token
    latent = efficiency.latent_attention if read.latent else None
    if latent is not None:
        memory = roofline.cache_memory_s(kv_bytes, bytes_per_s, latent, read.kv_bits)
        compute = roofline.latent_compute_s(pairs, read.heads, read.decode_dim, flops_per_s, latent)
        return Roofs(roofline.latent_attention_s(memory, compute, latent), memory, compute)
    decode, prefill = efficiency.decode_attention, efficiency.prefill_attention
    # One query per sequence: the decode kernel's own launch counts, not prefill's.
    compute = (
        roofline.prefill_attention_s(pairs, read.heads, read.decode_dim, flops_per_s, prefill)
        - prefill.launch_s
    )
    reading = roofline.decode_attention_s(
        sequences, read.kv_heads, kv_bytes, bytes_per_s, decode, read.kv_bits
    )
    memory = roofline.cache_memory_s(kv_bytes, bytes_per_s, decode, read.kv_bits)
    return Roofs(np.maximum(reading, compute + decode.launch_s), memory, compute)


def state_decode_roofs(
    state: StateUpdate, constants: Recurrent, bytes_per_s: float, sequences: Array
) -> Roofs:
    """Time of one recurrent layer to read and write the states of decoding sequences."""
    moved = 2.0 * state.state_bytes * sequences
    total = roofline.recurrent_decode_s(moved, bytes_per_s, constants) * (sequences > 0)
    return Roofs(total, moved / (constants.memory_share * bytes_per_s), np.zeros(()))


def state_prefill_roofs(
    state: StateUpdate,
    constants: Recurrent,
    flops_per_s: float,
    prompt_tokens: Array,
    chunk_tokens: ArrayLike,
) -> Roofs:
    """Time of one recurrent layer on prompt chunks, the longest of ``chunk_tokens``."""
    flops = prompt_tokens * state.flops_per_token
    used = prompt_tokens > 0
    total = roofline.recurrent_prefill_s(flops, chunk_tokens, flops_per_s, constants) * used
    return Roofs(total, np.zeros(()), total - constants.prefill_launch_s * used)
