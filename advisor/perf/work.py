"""The work of one step, counted once: every time, byte and joule derives from this list.

A model's layers and a layout become operators *of one device*: matrix products, attention
reads, expert blocks, recurrent states, collectives. Nothing here knows a speed.
Sources: Vaswani et al., arXiv:1706.03762 (attention); Ainslie et al., arXiv:2305.13245 (GQA);
DeepSeek-V2, arXiv:2405.04434 (MLA and its absorbed decode); Shazeer et al.,
arXiv:1701.06538 (experts); Yang et al., arXiv:2412.06464 (gated delta rule); Dao and Gu,
arXiv:2405.21060 (Mamba-2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from advisor.perf.layout import Layout
from advisor.schema.engine import PeakName, WeightFormat
from advisor.schema.model import Attention, Layer, Linear, Mla, Mlp, Moe, Shape

Rows = Literal["tokens", "decode", "prefill", "emitting"]
NORM_SUM_BYTES = 8.0
"""One 32-bit sum of squares each of a token's queries and keys."""
ACTIVATION_BYTES = 2.0
"""Activations travel as 16-bit numbers between kernels on every engine covered."""


@dataclass(frozen=True)
class Matmul:
    """``count`` equal products ``rows x k @ k x n`` of one step on one device."""

    name: str
    n: float
    k: float
    count: float
    bits: float
    gemm: str
    peak: PeakName
    rows: Rows = "tokens"

    @property
    def weight_bytes(self) -> float:
        """Bytes of one product's weights."""
        return self.n * self.k * self.bits / 8.0


@dataclass(frozen=True)
class AttentionRead:
    """``count`` equal attention layers: cache traffic and pair products on one device.

    ``kv_bytes_per_token`` is what one cached token of one such layer occupies on this device;
    ``decode_dim`` and ``prefill_dim`` are key plus value dimensions per head and pair.
    ``latent``: one cached vector serves all heads (MLA).
    """

    name: str
    count: float
    heads: float
    kv_heads: float
    decode_dim: float
    prefill_dim: float
    kv_bytes_per_token: float
    reach_tokens: float
    kv_bits: float = 16.0
    latent: bool = False


@dataclass(frozen=True)
class ExpertBlock:
    """``count`` equal routed-expert blocks; numbers are of one device unless said.

    ``spread`` is how many attention ranks' tokens meet in the block; ``hidden`` the width of
    its rows.
    """

    name: str
    count: float
    experts: int
    top_k: int
    groups: int
    spread: int
    flops_per_row: float
    bytes_per_expert: float
    hidden: int
    gemm: str
    peak: PeakName


@dataclass(frozen=True)
class StateUpdate:
    """``count`` recurrent layers whose state of ``state_bytes`` is read and written."""

    name: str
    count: float
    state_bytes: float
    flops_per_token: float


@dataclass(frozen=True)
class Exchange:
    """``count`` collectives over ``devices`` of ``bytes_per_token`` a token."""

    name: str
    count: float
    devices: int
    bytes_per_token: float
    kind: Literal["all-reduce", "all-to-all", "send"]


@dataclass(frozen=True)
class Work:
    """All operators of one step of one device, and the traffic of elementwise kernels."""

    matmuls: tuple[Matmul, ...]
    attention: tuple[AttentionRead, ...]
    experts: tuple[ExpertBlock, ...]
    states: tuple[StateUpdate, ...]
    exchanges: tuple[Exchange, ...]
    layers: float
    elementwise_bytes_per_token: float


@dataclass(frozen=True)
class _Context:
    hidden: int
    layout: Layout
    dense: WeightFormat
    kv_bits: float
    moe_format: WeightFormat


def dense_format(weights: WeightFormat, plain: WeightFormat) -> WeightFormat:
    """Return the format of everything that isn't an expert."""
    return plain if weights.experts_only else weights


def mixer_format(shape: Shape, weights: WeightFormat, plain: WeightFormat) -> WeightFormat:
    """Return the format of attention and recurrent layers."""
    if shape.has_experts and weights.plain_mixers_beside_experts:
        return plain
    return dense_format(weights, plain)


def _matmul(
    ctx: _Context, name: str, n: float, k: float, count: float, rows: Rows = "tokens"
) -> Matmul:
    f = ctx.dense
    return Matmul(name, n, k, count, f.bits_per_weight, f.gemm, f.compute, rows)


def _attention(ctx: _Context, m: Attention, count: int) -> tuple[list[Matmul], AttentionRead]:
    tp = ctx.layout.tp
    heads = m.heads / tp
    kv_heads = max(1.0, m.kv_heads / tp)
    v_dim = m.v_head_dim or m.head_dim
    q = heads * m.head_dim * (2 if m.gated_output else 1)
    kv = 0.0 if m.shares_kv else kv_heads * (m.head_dim + (0 if m.values_are_keys else v_dim))
    stored = kv_heads * (m.head_dim + (0 if m.values_are_keys else v_dim))
    products = [
        _matmul(ctx, "qkv", q + kv, ctx.hidden, count),
        _matmul(ctx, "o", ctx.hidden, heads * v_dim, count),
    ]
    read = AttentionRead(
        name="attention",
        count=count,
        heads=heads,
        kv_heads=kv_heads,
        decode_dim=m.head_dim + v_dim,
        prefill_dim=m.head_dim + v_dim,
        kv_bytes_per_token=stored * ctx.kv_bits / 8.0,
        reach_tokens=float(m.window_tokens or float("inf")),
        kv_bits=ctx.kv_bits,
    )
    return products, read


def _mla(ctx: _Context, m: Mla, count: int) -> tuple[list[Matmul], AttentionRead]:
    heads = m.heads / ctx.layout.tp
    qk = m.qk_nope_dim + m.qk_rope_dim
    latent = m.kv_lora_rank + m.qk_rope_dim
    q_in = m.q_lora_rank or ctx.hidden
    down = latent + (m.q_lora_rank or 0)
    products = [
        _matmul(ctx, "latent", down, ctx.hidden, count),
        _matmul(ctx, "q", heads * qk, q_in, count),
        _matmul(ctx, "k_up", heads * m.qk_nope_dim, m.kv_lora_rank, count),
        _matmul(ctx, "v_up", heads * m.v_head_dim, m.kv_lora_rank, count),
        _matmul(ctx, "o", ctx.hidden, heads * m.v_head_dim, count),
    ]
    read = AttentionRead(
        name="latent attention",
        count=count,
        heads=heads,
        kv_heads=1.0,
        decode_dim=latent + m.kv_lora_rank,
        prefill_dim=qk + m.v_head_dim,
        kv_bytes_per_token=latent * ctx.kv_bits / 8.0,
        reach_tokens=float(m.sparse_top_tokens or float("inf")),
        kv_bits=ctx.kv_bits,
        latent=True,
    )
    return products, read


def _linear(ctx: _Context, m: Linear, count: int) -> tuple[list[Matmul], StateUpdate]:
    tp = ctx.layout.tp
    width_in = linear_projection_width(m) / tp
    values = m.value_heads * m.value_dim / tp
    state = m.value_heads * m.key_dim * m.value_dim / tp
    products = [
        _matmul(ctx, "state_in", width_in, ctx.hidden, count),
        _matmul(ctx, "state_out", ctx.hidden, values, count),
    ]
    # Decay, outer-product update and read-out are each two operations per state element.
    return products, StateUpdate("state", count, state * 4.0, 6.0 * state)


def linear_projection_width(m: Linear) -> int:
    """Columns of a recurrent mixer's input projection, by published design.

    Gated DeltaNet: q, k, v, output gate, two per-head gates. Mamba-2: x, z, B, C, dt.
    Others: q, k, v and gate.
    """
    keys, values = m.key_heads * m.key_dim, m.value_heads * m.value_dim
    if m.variant == "mamba2":
        return 2 * values + 2 * keys + m.value_heads
    if m.variant == "gated-deltanet":
        return 2 * keys + 2 * values + 2 * m.value_heads
    return 2 * keys + 2 * values


def _mlp(ctx: _Context, hidden: float, gated: bool, count: float, name: str) -> list[Matmul]:
    tp = ctx.layout.tp
    return [
        _matmul(ctx, f"{name}_up", (2 if gated else 1) * hidden / tp, ctx.hidden, count),
        _matmul(ctx, f"{name}_down", ctx.hidden, hidden / tp, count),
    ]


def _moe(ctx: _Context, m: Moe, count: int) -> tuple[list[Matmul], ExpertBlock]:
    f, layout = ctx.moe_format, ctx.layout
    pad = f.pad_expert_hidden_to
    # Kernels pad what each device holds, after the split.
    width = float(-(-m.expert_hidden // (pad * layout.moe_tp)) * pad)
    if pad == 1:
        width = m.expert_hidden / layout.moe_tp
    matrices = 3 if m.gated else 2
    weights = matrices * (m.latent or ctx.hidden) * width
    products = [Matmul("router", m.experts, ctx.hidden, count, 16.0, "bf16", "bf16")]
    if m.shared_experts:
        shared = m.shared_experts * (m.shared_hidden or m.expert_hidden)
        products += _mlp(ctx, shared, m.gated, count, "shared")
    if m.dense_hidden:
        products += _mlp(ctx, m.dense_hidden, m.gated, count, "mlp")
    block = ExpertBlock(
        name="experts",
        count=count,
        experts=m.experts,
        top_k=m.top_k,
        groups=layout.ep,
        spread=layout.dp,
        flops_per_row=2.0 * weights,
        bytes_per_expert=weights * f.bits_per_weight / 8.0,
        hidden=m.latent or ctx.hidden,
        gemm=f.gemm,
        peak=f.compute,
    )
    return products, block


def _mixer(ctx: _Context, layer: Layer) -> tuple[list[Matmul], AttentionRead | StateUpdate | None]:
    if isinstance(layer.mixer, Attention):
        return _attention(ctx, layer.mixer, layer.count)
    if isinstance(layer.mixer, Mla):
        return _mla(ctx, layer.mixer, layer.count)
    if isinstance(layer.mixer, Linear):
        return _linear(ctx, layer.mixer, layer.count)
    return [], None


def _exchanges(ctx: _Context, layers: tuple[Layer, ...]) -> list[Exchange]:
    layout, row = ctx.layout, ctx.hidden * ACTIVATION_BYTES
    mixers = sum(layer.count for layer in layers if layer.mixer)
    dense = sum(layer.count for layer in layers if isinstance(layer.ffn, Mlp))
    routed = sum(layer.count for layer in layers if isinstance(layer.ffn, Moe))
    found: list[Exchange] = []
    reduces = mixers + dense + (routed if layout.dp == 1 else 0)
    if layout.tp > 1 and reduces:
        found.append(Exchange("all-reduce", reduces, layout.tp, row, "all-reduce"))
    normed = sum(
        layer.count
        for layer in layers
        if isinstance(layer.mixer, Attention) and layer.mixer.norm_across_heads
    )
    if layout.tp > 1 and normed:
        found.append(Exchange("norm sums", normed, layout.tp, NORM_SUM_BYTES, "all-reduce"))
    if layout.dp > 1 and routed:
        # Tokens of every rank go to the experts and come back: two exchanges a layer.
        group = layout.tp * layout.dp
        found.append(Exchange("dispatch", 2 * routed, group, row * layout.dp, "all-to-all"))
    if layout.pp > 1:
        found.append(Exchange("stage hand-over", layout.pp - 1, 2, row, "send"))
    return found


def _ffn_width(layer: Layer) -> float:
    ffn = layer.ffn
    if isinstance(ffn, Mlp):
        return ffn.hidden
    if isinstance(ffn, Moe):
        shared = ffn.shared_experts * (ffn.shared_hidden or ffn.expert_hidden)
        return ffn.top_k * ffn.expert_hidden + shared + (ffn.dense_hidden or 0)
    return 0.0


def build_work(
    shape: Shape, weights: WeightFormat, plain: WeightFormat, kv_bits: float, layout: Layout
) -> Work:
    """Count the operators of one step on one device.

    Parameters
    ----------
    shape
        The model.
    weights, plain
        Format asked for, and the 16-bit format of what it leaves alone.
    kv_bits
        Bits of one number of the KV cache.
    layout
        How the replica is spread; a pipeline's stages are all counted, since a token
        passes through every one of them.
    """
    ctx = _Context(shape.hidden, layout, dense_format(weights, plain), kv_bits, weights)
    mixing = replace(ctx, dense=mixer_format(shape, weights, plain))
    matmuls: list[Matmul] = []
    attention: list[AttentionRead] = []
    experts: list[ExpertBlock] = []
    states: list[StateUpdate] = []
    traffic = 0.0
    for layer in shape.layers:
        products, mixed = _mixer(mixing, layer)
        matmuls += products
        if isinstance(mixed, AttentionRead):
            attention.append(mixed)
        elif mixed:
            states.append(mixed)
        if isinstance(layer.ffn, Mlp):
            matmuls += _mlp(ctx, layer.ffn.hidden, layer.ffn.gated, layer.count, "mlp")
        elif isinstance(layer.ffn, Moe):
            products, block = _moe(ctx, layer.ffn, layer.count)
            matmuls += products
            experts.append(block)
        # Two norms and two residual adds read and write the hidden state; the activation
        # reads two vectors and writes one.
        per_token = 8.0 * shape.hidden + 3.0 * _ffn_width(layer) / layout.tp
        traffic += layer.count * per_token * ACTIVATION_BYTES
    head = Matmul(
        "lm_head",
        shape.vocab / layout.tp,
        shape.hidden,
        1,
        weights.head_bits,
        plain.gemm if weights.head_bits == plain.bits_per_weight else weights.gemm,
        plain.compute,
        "emitting",
    )
    return Work(
        matmuls=(*matmuls, head),
        attention=tuple(attention),
        experts=tuple(experts),
        states=tuple(states),
        exchanges=tuple(_exchanges(ctx, shape.layers)),
        layers=sum(layer.count for layer in shape.layers),
        elementwise_bytes_per_token=traffic,
    )
