"""Models described by a GGUF file: shape from its metadata, format from its tensors.

Sources: the GGUF specification (ggml repository, ``docs/gguf.md``) for keys and layout;
llama.cpp for the meaning of tensor names and for which layers of a family have a window.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from advisor.catalogue.gguf_header import ARCHITECTURES, GgufHeader, Tensor, read_header
from advisor.schema.engine import WeightFormat
from advisor.schema.fact import Fact, Source
from advisor.schema.model import Attention, Layer, Linear, Mla, Mlp, Model, Moe, Parameters, Shape

MAX_LAYERS = 10_000

_DELTANET = ("qwen3next", "qwen35", "qwen35moe")
_BLOCK = re.compile(r"^blk\.(\d{1,5})\.(.+)$")
_MATRIX = re.compile(
    r"^(attn_(q|k|v|qkv|output|gate|q_a|q_b|kv_a_mqa|kv_b|k_b|v_b)"
    r"|ffn_(gate|up|down|gate_up)(\.\d+|_exps|_shexp)?|ffn_gate_inp)\.weight$"
    r"|^ssm_"  # a linear layer's own formula counts its small vectors too
)
_GEMM = {"bf16": "F16 BF16 F32", "q8_0": "Q8_", "q6_k": "Q6_", "q5_k": "Q5_K", "mxfp4": "MXFP4"}
# Types of 32-weight blocks share their integer kernels, whatever their bits.
_GEMM |= {
    "q4_0": "Q4_0 Q4_1 Q5_0 Q5_1",
    "q4_k": "Q4_K IQ4_",
    "q3_k": "Q3_ IQ3_",
    "q2_k": "Q2_ IQ2_ IQ1_ TQ",
}


def _window(f: GgufHeader, layer: int) -> int | None:
    """Return how far a layer looks back, by the stated pattern or the family's."""
    window, period = f.optional("attention.sliding_window"), ARCHITECTURES[f.architecture]
    stated = f.fields.get(f"{f.architecture}.attention.sliding_window_pattern")
    if isinstance(stated, list) and layer < len(stated):
        return window or None if stated[layer] else None
    if isinstance(stated, int) and not isinstance(stated, bool):
        period = stated
    return window or None if period > 0 and (layer + 1) % period else None


def _attention(f: GgufHeader, layer: int, tensors: dict[str, Tensor]) -> Attention:
    """Return softmax attention; queries twice as wide as stated carry an output gate."""
    hidden, heads = f.size("embedding_length"), f.size("attention.head_count", layer)
    kv_heads = f.optional("attention.head_count_kv", layer, low=1) or heads
    dim = f.optional("attention.key_length", low=1) or max(hidden // heads, 1)
    values = f.optional("attention.value_length", low=1) or dim
    if heads % kv_heads:
        key = f"{f.architecture}.attention.head_count_kv"
        f.fail(key, f"{kv_heads} must divide head_count ({heads})")
    queries = tensors.get("attn_q.weight")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim,
        v_head_dim=values if values != dim else None,
        window_tokens=_window(f, layer),
        gated_output=queries is not None and queries.elements == 2 * hidden * heads * dim,
    )


def _latent(f: GgufHeader) -> Mla:
    """Return latent attention; newer files state the widths under names ending in _mla."""
    rope = f.size("rope.dimension_count")
    key = "key_length_mla" if f.optional("attention.key_length_mla") else "key_length"
    value = "value_length_mla" if f.optional("attention.value_length_mla") else "value_length"
    width = f.size(f"attention.{key}")
    if width <= rope:
        f.fail(f"{f.architecture}.attention.{key}", f"must exceed {rope} rotary dimensions")
    return Mla(
        heads=f.size("attention.head_count"),
        kv_lora_rank=f.size("attention.kv_lora_rank"),
        qk_rope_dim=rope,
        qk_nope_dim=width - rope,
        v_head_dim=f.size(f"attention.{value}"),
        q_lora_rank=f.optional("attention.q_lora_rank") or None,
    )


def _deltanet(f: GgufHeader) -> Linear:
    """Return a Gated DeltaNet layer of Qwen3-Next or Qwen3.5."""
    heads, inner = f.size("ssm.time_step_rank"), f.size("ssm.inner_size")
    if inner % heads:
        f.fail(f"{f.architecture}.ssm.inner_size", f"must be a multiple of {heads} heads")
    return Linear(
        variant="gated-deltanet",
        key_heads=f.size("ssm.group_count"),
        key_dim=f.size("ssm.state_size"),
        value_heads=heads,
        value_dim=inner // heads,
        conv_width=f.size("ssm.conv_kernel"),
    )


def _block(f: GgufHeader, layer: int, tensors: dict[str, Tensor]) -> Mlp | Moe:
    """Return the feed-forward block: experts where the layer has a router."""
    hidden = f.size("embedding_length")
    if "ffn_gate_inp.weight" not in tensors:
        width = f.size("feed_forward_length", layer)
        up = tensors.get("ffn_up.weight")
        # some families store gate and up as one tensor
        fused = up is not None and up.elements == 2 * hidden * width
        return Mlp(hidden=width, gated=fused or "ffn_gate.weight" in tensors)
    experts = f.size("expert_count")
    stated = f.optional("expert_feed_forward_length", layer, low=1)
    width = stated or f.size("feed_forward_length", layer)
    up = tensors.get("ffn_up_shexp.weight")
    shared = f.optional("expert_shared_count") or 1 if up else 0
    of_shared = up.elements // hidden // shared if up else width
    return Moe(
        experts=experts,
        top_k=f.size("expert_used_count", high=experts),
        expert_hidden=width,
        shared_experts=shared,
        shared_hidden=of_shared if of_shared != width else None,
    )


def _layer(f: GgufHeader, layer: int, tensors: dict[str, Tensor]) -> Layer:
    """Return one layer; what its blocks don't account for is counted from the tensors."""
    if not tensors:
        f.fail(f"blk.{layer}", "no tensors (one part of a split file?)")
    mixer: Attention | Mla | Linear
    if f.optional("attention.kv_lora_rank"):
        mixer = _latent(f)
    elif f.architecture in _DELTANET and "ssm_out.weight" in tensors:
        mixer = _deltanet(f)
    else:
        mixer = _attention(f, layer, tensors)
    other = sum(t.elements for name, t in tensors.items() if not _MATRIX.match(name))
    return Layer(count=1, mixer=mixer, ffn=_block(f, layer, tensors), other_parameters=other)


def _bits(tensors: Iterable[Tensor]) -> float:
    """Return the average bits of one element, block scales included."""
    found = list(tensors)
    return 8 * sum(t.bytes for t in found) / max(sum(t.elements for t in found), 1)


def _shape(f: GgufHeader, blocks: dict[int, dict[str, Tensor]], table: Tensor) -> Shape:
    """Return the dimensions, equal layers grouped in order of first appearance."""
    hidden = f.size("embedding_length")
    if table.elements == 0 or table.elements % hidden:
        f.fail(table.name, f"{table.elements} elements are no multiple of {hidden}")
    groups: dict[Layer, int] = {}
    for index in range(_text_layers(f)):
        layer = _layer(f, index, blocks.get(index, {}))
        groups[layer] = groups.get(layer, 0) + 1
    tables = ("token_embd.weight", "output.weight")
    outside = (t for t in f.tensors if not _BLOCK.match(t.name) and t.name not in tables)
    return Shape(
        hidden=hidden,
        vocab=table.elements // hidden,
        tied_embeddings=f.tensor("output.weight") is None,
        layers=tuple(msgspec.structs.replace(g, count=n) for g, n in groups.items()),
        source="file",
        other_parameters=sum(t.elements for t in outside),
    )


def _text_layers(f: GgufHeader) -> int:
    """Return the number of layers without those that only predict further tokens."""
    count = f.size("block_count", high=MAX_LAYERS)
    return max(count - (f.optional("nextn_predict_layers") or 0), 1)


def _format(f: GgufHeader, blocks: Iterable[Tensor], table: Tensor) -> WeightFormat:
    """Return the weight format with the exact average bits of the file's tensors."""
    from gguf import LlamaFileType

    found = list(blocks)
    sizes: Counter[str] = Counter()
    for t in found:
        sizes[t.kind] += t.elements
    dominant = sizes.most_common(1)[0][0]
    gemm = next(
        (k for k, starts in _GEMM.items() if dominant.startswith(tuple(starts.split()))), None
    )
    if gemm is None:
        f.fail("tensor type", f"{dominant} has no efficiency constants")
    stated = f.fields.get("general.file_type")
    names = {int(t): re.sub("^(MOSTLY|ALL)_", "", t.name) for t in LlamaFileType}
    recipe = names.get(stated, dominant) if isinstance(stated, int) else dominant
    head = f.tensor("output.weight") or table
    stored = sum(t.bytes for t in f.tensors)
    return WeightFormat(
        id=f"gguf-{recipe.lower()}",
        name=f"GGUF {recipe} as in {f.path.name}",
        bits_per_weight=_bits(found),
        head_bits=_bits([head]),
        embedding_bits=_bits([table]),
        compute="bf16",
        gemm=gemm,
        source="file",
        gguf=True,
        note=f"average over the layers' tensors; all tensors take {stored} bytes",
    )


def read_gguf(path: Path) -> tuple[Model, WeightFormat]:
    """Read a model and its weight format from a GGUF file.

    Parameters
    ----------
    path
        The file, or the first part of a split one.

    Returns
    -------
    tuple
        The model, its total counted from the tensors, and the format they are stored in.

    Raises
    ------
    InvalidFileError
        If the file is broken, its architecture is not supported, or a key or tensor is
        missing or out of range; the message names it.
    """
    f = read_header(path)
    table = f.tensor("token_embd.weight")
    if table is None:
        f.fail("token_embd.weight", "missing tensor")
    blocks: dict[int, dict[str, Tensor]] = {}
    for t in f.tensors:
        if found := _BLOCK.match(t.name):
            blocks.setdefault(int(found[1]), {})[found[2]] = t
    shape = _shape(f, blocks, table)
    layers = _text_layers(f)
    further = sum(t.elements for i, b in blocks.items() if i >= layers for t in b.values())
    total = sum(t.elements for t in f.tensors)
    text = [t for i, b in blocks.items() if i < layers for t in b.values()]
    model = Model(
        schema=1,
        id=re.sub(r"[^a-z0-9.+_-]+", "-", path.stem.lower()).strip("-._+") or "model",
        name=f.text("general.name", path.stem),
        family=f.architecture,
        developer=f.text("general.organization", "unknown"),
        licence=f.text("general.license", ""),
        open_weights=True,
        source=(Source(id="file", title=f"file {path.name}", accessed=dt.date.today()),),
        max_context_tokens=f.optional("context_length", low=1),
        parameters=Parameters(
            total=Fact(value=total, source="file"),
            not_in_text_model=Fact(value=further, source="file") if further else None,
        ),
        shape=shape,
    )
    return model, _format(f, text, table)
