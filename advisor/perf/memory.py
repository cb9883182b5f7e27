"""Where device memory goes: weights, KV cache, workspace, under the engine's own rule.

Sources: vLLM's KV-cache sizing (gpu_memory_utilization x total minus profiled peak), measured
breakdowns named in ``advisor/catalogue/engines``; TensorRT-LLM's free_gpu_memory_fraction;
llama.cpp's up-front context.
"""

from __future__ import annotations

from dataclasses import dataclass

from advisor.perf.layout import Layout
from advisor.perf.parameters import ffn_parameters, mixer_parameters
from advisor.perf.work import ACTIVATION_BYTES, dense_format, mixer_format
from advisor.schema.engine import Engine, MemoryRule, WeightFormat
from advisor.schema.model import Attention, Layer, Linear, Mla, Moe, Shape

STATE_BYTES = 4.0
"""Recurrent states are kept in 32-bit numbers (Gated DeltaNet and Mamba-2 kernels)."""


def _expert_bytes(moe: Moe, hidden: int, weights: WeightFormat) -> float:
    pad = weights.pad_expert_hidden_to
    width = -(-moe.expert_hidden // pad) * pad
    matrices = 3 if moe.gated else 2
    numbers = moe.experts * matrices * (moe.latent or hidden) * width
    return numbers * weights.bits_per_weight / 8.0


def _expert_numbers(moe: Moe, hidden: int) -> int:
    return moe.experts * (3 if moe.gated else 2) * (moe.latent or hidden) * moe.expert_hidden


def layer_bytes(
    layer: Layer, hidden: int, weights: WeightFormat, plain: WeightFormat, mixers: WeightFormat
) -> tuple[float, float]:
    """Return (dense, expert) bytes of one layer of a group; norms and biases stay 16 bit.

    ``mixers`` is the format of attention and recurrent layers.
    """
    dense, experts = float(ffn_parameters(layer.ffn, hidden)), 0.0
    if isinstance(layer.ffn, Moe):
        dense -= _expert_numbers(layer.ffn, hidden)
        experts = _expert_bytes(layer.ffn, hidden, weights)
    bits = dense * dense_format(weights, plain).bits_per_weight
    bits += mixer_parameters(layer.mixer, hidden) * mixers.bits_per_weight
    return bits / 8.0 + layer.other_parameters * ACTIVATION_BYTES, experts


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a model's weights: layers' dense part, experts, output head, input embedding."""

    dense: float
    experts: float
    head: float
    embedding: float

    @property
    def total(self) -> float:
        """All of it, bytes."""
        return self.dense + self.experts + self.head + self.embedding

    def on_largest_device(self, layout: Layout) -> float:
        """Bytes on the device that holds most: dense over tp, experts over tp*dp, by stage.

        With a pipeline the input embedding and the head sit on different stages.
        """
        dense = self.dense / (layout.tp * layout.pp)
        experts = self.experts / (layout.tp * layout.dp * layout.pp)
        tables = (self.head, self.embedding)
        ends = sum(tables) if layout.pp == 1 else max(tables)
        return dense + experts + ends / layout.tp


def weight_bytes(shape: Shape, weights: WeightFormat, plain: WeightFormat) -> WeightBytes:
    """Count the bytes of a model's weights in a format.

    Tables kept off the device (per-layer embeddings) are not counted.
    """
    dense = shape.other_parameters * ACTIVATION_BYTES
    experts, mixers = 0.0, mixer_format(shape, weights, plain)
    for layer in shape.layers:
        d, e = layer_bytes(layer, shape.hidden, weights, plain, mixers)
        dense, experts = dense + layer.count * d, experts + layer.count * e
    table = shape.vocab * (shape.embedding_hidden or shape.hidden) / 8.0
    return WeightBytes(
        dense=dense,
        experts=experts,
        head=table * weights.head_bits,
        embedding=0.0 if shape.tied_embeddings else table * weights.embedding_bits,
    )


def _stored_per_token(mixer: object) -> float:
    if isinstance(mixer, Mla):
        return mixer.kv_lora_rank + mixer.qk_rope_dim
    if isinstance(mixer, Attention) and not mixer.shares_kv:
        v_dim = mixer.v_head_dim or mixer.head_dim
        return mixer.kv_heads * (mixer.head_dim + (0 if mixer.values_are_keys else v_dim))
    return 0.0


def kv_bytes_per_token(shape: Shape, kv_bits: float) -> float:
    """Bytes one more token adds to the cache, all layers, before any window is full.

    GQA: ``2 x layers x kv_heads x head_dim x bits/8``. MLA: ``layers x (kv_lora_rank +
    rope) x bits/8``. Recurrent layers add nothing; layers that share a cache add nothing.
    """
    numbers = sum(layer.count * _stored_per_token(layer.mixer) for layer in shape.layers)
    return numbers * kv_bits / 8.0


def kv_bytes_per_sequence(shape: Shape, kv_bits: float, context_tokens: float) -> float:
    """Bytes one sequence of ``context_tokens`` holds: windows capped, states included."""
    total = 0.0
    for layer in shape.layers:
        mixer = layer.mixer
        reach = context_tokens
        if isinstance(mixer, Attention) and mixer.window_tokens:
            reach = min(context_tokens, mixer.window_tokens)
        total += layer.count * _stored_per_token(mixer) * reach * kv_bits / 8.0
        if isinstance(mixer, Linear):
            state = mixer.value_heads * mixer.key_dim * mixer.value_dim
            total += layer.count * state * STATE_BYTES
    return total


def _kv_share_per_device(shape: Shape, layout: Layout) -> float:
    """Share of a replica's cache that one device stores.

    A latent cache is whole on every tensor-parallel device; KV heads fewer than devices are
    copied. Attention ranks (dp) hold different sequences.
    """
    heads = [m.kv_heads for layer in shape.layers if isinstance(m := layer.mixer, Attention)]
    latent = any(isinstance(layer.mixer, Mla) for layer in shape.layers)
    split = 1 if latent else min([layout.tp, *heads])
    return 1.0 / (split * layout.pp)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of one device, and what fits in the rest.

    ``kv_tokens`` counts tokens of one attention rank's pool times the ranks of the replica;
    ``sequences`` whole requests of the asked length. ``pool_bytes`` may be negative: the
    weights don't fit.
    """

    physical_bytes: float
    usable_bytes: float
    weights_bytes: float
    workspace_bytes: float
    pool_bytes: float
    kv_bytes_per_token: float
    kv_bytes_per_sequence: float
    kv_tokens: float
    sequences: int

    @property
    def fits(self) -> bool:
        """Whether weights and at least one request fit."""
        return self.sequences >= 1


def workspace_bytes(shape: Shape, rule: MemoryRule, layout: Layout, step_tokens: float) -> float:
    """Bytes an engine needs beside weights and cache, on one device.

    The sampler's logits grow with the vocabulary; expert layers stage their routed rows
    (``tokens x top_k x (hidden + 2 x expert_hidden)`` 16-bit numbers).
    """
    total = rule.logits_bytes_per_vocab_entry.value * shape.vocab + rule.workspace_bytes.value
    moes = [layer.ffn for layer in shape.layers if isinstance(layer.ffn, Moe)]
    if moes:
        m = moes[0]
        rows = step_tokens * m.top_k / layout.ep
        width = (m.latent or shape.hidden) + 2.0 * m.expert_hidden / layout.moe_tp
        total += rows * width * ACTIVATION_BYTES
    if layout.devices_per_replica > 1 and rule.collective_bytes:
        pipeline = rule.pipeline_bytes if layout.tp * layout.dp == 1 else None
        return total + (pipeline or rule.collective_bytes).value
    return total + rule.base_bytes.value


def plan_memory(
    shape: Shape,
    weights: WeightBytes,
    kv_bits: float,
    layout: Layout,
    engine: Engine,
    physical_bytes: float,
    share: float,
    context_tokens: float,
) -> MemoryPlan:
    """Divide one device's memory as the engine does.

    Parameters
    ----------
    physical_bytes
        What the driver reports.
    share
        The engine's memory share (of all, or of what is free).
    context_tokens
        Tokens of one request, prompt and output.
    """
    rule = engine.memory
    step_tokens = engine.scheduler.max_step_tokens.value
    held = weights.on_largest_device(layout)
    extra = workspace_bytes(shape, rule, layout, step_tokens)
    if rule.kind == "share-of-free":
        usable = physical_bytes
        pool = (physical_bytes - held - extra) * share
    else:
        usable = physical_bytes * share
        pool = usable - held - extra
    per_device = _kv_share_per_device(shape, layout)
    per_token = kv_bytes_per_token(shape, kv_bits)
    per_sequence = kv_bytes_per_sequence(shape, kv_bits, context_tokens)
    block = engine.kv_block_tokens
    rounded = per_sequence * (-(-context_tokens // block) * block) / max(context_tokens, 1.0)
    free = max(pool, 0.0)
    by_memory = free / (rounded * per_device) if rounded else float("inf")
    tokens = free / (per_token * per_device) if per_token else float("inf")
    limit = engine.scheduler.max_sequences.value
    return MemoryPlan(
        physical_bytes=physical_bytes,
        usable_bytes=usable,
        weights_bytes=held,
        workspace_bytes=extra,
        pool_bytes=pool,
        kv_bytes_per_token=per_token,
        kv_bytes_per_sequence=per_sequence,
        kv_tokens=tokens * layout.dp,
        sequences=int(min(by_memory, limit) if pool > 0 else 0) * layout.dp,
    )
