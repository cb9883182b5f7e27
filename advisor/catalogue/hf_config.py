"""Models described by a Hugging Face ``config.json``.

A config states sizes, but not how many norms and biases its architecture has: those follow
from the published code of each family and are kept in one table, so that derived parameter
counts are exact.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from advisor.catalogue.engines import get_format
from advisor.catalogue.json_fields import JsonFields, load_json
from advisor.schema.engine import WeightFormat
from advisor.schema.fact import Source
from advisor.schema.model import Attention, Layer, Linear, Mla, Mlp, Model, Moe, Shape

Mixer = Attention | Mla | Linear
MAX_LAYERS = 10_000
_NESTED = ("text_config", "llm_config", "language_config")
_CONTEXT = ("max_position_embeddings", "seq_length")
_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts")
_SHARED_WIDTH = ("shared_expert_intermediate_size", "shared_intermediate_size")


@dataclass(frozen=True)
class _Family:
    """What the config of a family leaves to its code; the defaults are Llama's.

    ``norms``: norm vectors of the model's width per layer. ``qk_norm``: none, one vector per
    ``head``, or as wide as all heads (``full``). ``*_bias``: always, never, or the flag of
    the config that decides. ``slides``: where ``layer_types`` is missing, 0 for no windows,
    1 for all layers, n for all but every n-th. ``linear_every``: the same for linear layers.
    ``defaults``: sizes that publishers leave to the code.
    """

    moe: bool = False
    mla: bool = False
    norms: int = 2
    norm_bias: bool = False
    qk_norm: str = ""
    qkv_bias: str | bool = "attention_bias"
    out_bias: str | bool = "attention_bias"
    mlp_bias: str | bool = "mlp_bias"
    router_bias: bool = False
    expert_bias: bool = False
    shared_gate: bool = False
    sinks: bool = False
    tied: bool = False
    slides: int = 0
    linear_every: int = 0
    defaults: Mapping[str, int] = field(default_factory=dict)

    def has(self, c: JsonFields, rule: str | bool) -> bool:
        """Tell whether a bias exists."""
        return c.get(rule, bool, False) if isinstance(rule, str) else rule


def _softmax(c: JsonFields, family: _Family, _: int, kind: str) -> tuple[Mixer, int]:
    """Return grouped-query attention, and the count of its norms and biases."""
    if kind not in ("full_attention", "sliding_attention"):
        c.fail("layer_types", f"{kind!r}: must be full_attention or sliding_attention")
    heads, hidden = c.size("num_attention_heads"), c.size("hidden_size")
    kv_heads = c.optional("num_key_value_heads", "multi_query_group_num") or heads
    stated = c.optional("head_dim", "kv_channels")
    if heads % kv_heads:
        c.fail("num_key_value_heads", f"must divide num_attention_heads ({heads})")
    if stated is None and hidden % heads:
        c.fail("head_dim", f"missing, and hidden_size is no multiple of {heads} heads")
    dim = stated or hidden // heads
    other = (heads + 2 * kv_heads) * dim if family.has(c, family.qkv_bias) else 0
    other += hidden * family.has(c, family.out_bias) + heads * family.sinks
    head_norm = c.get("use_qk_norm", bool, False) or c.get("qk_layernorm", bool, False)
    norm = family.qk_norm or ("head" if head_norm else "")
    other += {"": 0, "head": 2 * dim, "full": (heads + kv_heads) * dim}[norm]
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim,
        window_tokens=c.size("sliding_window") if kind == "sliding_attention" else None,
        gated_output=family.linear_every > 0 and c.get("attn_output_gate", bool, True),
        norm_across_heads=norm == "full",
    ), other


def _deltanet(c: JsonFields, *_: object) -> tuple[Mixer, int]:
    """Return a Gated DeltaNet layer; its small vectors belong to the published design."""
    return Linear(
        variant="gated-deltanet",
        key_heads=c.size("linear_num_key_heads"),
        key_dim=c.size("linear_key_head_dim"),
        value_heads=c.size("linear_num_value_heads"),
        value_dim=c.size("linear_value_head_dim"),
        conv_width=c.size("linear_conv_kernel_dim"),
    ), 0


def _latent(c: JsonFields, _: _Family, index: int, __: str) -> tuple[Mixer, int]:
    """Return multi-head latent attention, its two norms, and a sparse-attention indexer."""
    rank, q_rank, hidden = c.size("kv_lora_rank"), c.optional("q_lora_rank"), c.size("hidden_size")
    top = c.optional("index_topk")
    shared = c.per_layer("indexer_types", c.size("num_hidden_layers", high=MAX_LAYERS))
    other = rank + (q_rank or 0)
    if top and not (shared and shared[index] == "shared"):
        heads, dim = c.size("index_n_heads"), c.size("index_head_dim")
        # queries from the query latent, one key with a biased norm, a weight per head
        other += (q_rank or hidden) * heads * dim + hidden * dim + 2 * dim + hidden * heads
    return Mla(
        heads=c.size("num_attention_heads"),
        kv_lora_rank=rank,
        qk_rope_dim=c.size("qk_rope_head_dim"),
        qk_nope_dim=c.size("qk_nope_head_dim"),
        v_head_dim=c.size("v_head_dim"),
        q_lora_rank=q_rank,
        sparse_top_tokens=top,
    ), other


def _block(c: JsonFields, family: _Family, index: int) -> tuple[Mlp | Moe, int]:
    """Return the feed-forward block of a layer, and the count of its biases."""
    hidden = c.size("hidden_size")
    dense = index < (c.optional("first_k_dense_replace", low=0) or 0)
    dense |= index in c.get("mlp_only_layers", list, [])
    dense |= (index + 1) % (c.optional("decoder_sparse_step") or 1) != 0
    dense |= index % (c.optional("moe_layer_freq") or 1) != 0
    if dense or not family.moe:
        width = c.size("intermediate_size", "ffn_hidden_size")
        return Mlp(hidden=width), (2 * width + hidden) * family.has(c, family.mlp_bias)
    experts, width = c.size(*_EXPERTS), c.size("moe_intermediate_size", "intermediate_size")
    shared = c.optional("n_shared_experts", "num_shared_experts", low=0) or 0
    shared_width = c.optional(*_SHARED_WIDTH, low=0) or 0
    other = experts * family.router_bias + hidden * family.shared_gate
    other += experts * (2 * width + hidden) * family.expert_bias
    return Moe(
        experts=experts,
        top_k=c.size("num_experts_per_tok", "experts_per_token", high=experts),
        expert_hidden=width,
        shared_experts=shared or int(shared_width > 0),
        shared_hidden=shared_width if shared_width not in (0, width) else None,
    ), other


def _kind(c: JsonFields, family: _Family, index: int) -> str:
    """Return what the family's rule makes of a layer where the config doesn't say."""
    if family.linear_every:
        every = c.optional("full_attention_interval") or family.linear_every
        return "linear_attention" if (index + 1) % every else "full_attention"
    slides = c.get("use_sliding_window", bool, False)
    if slides:
        slides = index >= (c.optional("max_window_layers", low=0) or 0)
    elif family.slides > 1:
        stated = c.optional("sliding_window_pattern", "_sliding_window_pattern")
        slides = (index + 1) % (stated or family.slides) != 0
    elif family.slides:
        slides = c.optional("sliding_window") is not None
    return "sliding_attention" if slides else "full_attention"


def _shape(c: JsonFields, family: _Family, tied: bool) -> Shape:
    """Return the dimensions, equal layers grouped in order of first appearance."""
    norm = c.size("hidden_size") * (1 + family.norm_bias)
    count = c.size("num_hidden_layers", "num_layers", high=MAX_LAYERS)
    kinds = c.per_layer("layer_types", count) or [_kind(c, family, i) for i in range(count)]
    groups: dict[tuple[Mixer, Mlp | Moe, int], int] = {}
    for index, kind in enumerate(kinds):
        build = _deltanet if family.linear_every and kind == "linear_attention" else _softmax
        mixer, of_mixer = (_latent if family.mla else build)(c, family, index, kind)
        ffn, of_block = _block(c, family, index)
        key = (mixer, ffn, family.norms * norm + of_mixer + of_block)
        groups[key] = groups.get(key, 0) + 1
    layers = (
        Layer(count=n, mixer=k[0], ffn=k[1], other_parameters=k[2]) for k, n in groups.items()
    )
    return Shape(
        hidden=c.size("hidden_size"),
        vocab=c.size("vocab_size", "padded_vocab_size"),
        tied_embeddings=tied,
        layers=tuple(layers),
        source="file",
        other_parameters=norm,
    )


_MLA = _Family(mla=True, moe=True, router_bias=True)
_QWEN2 = _Family(qkv_bias=True, out_bias=False)
_QWEN3 = _Family(qk_norm="head")
_NEXT = replace(_QWEN3, linear_every=4)
_GLM = _Family(out_bias=False)
_GEMMA = _Family(tied=True)
_GEMMA3_SIZES = {  # defaults of transformers' Gemma3TextConfig; published configs omit them
    "vocab_size": 262_208,
    "max_position_embeddings": 131_072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
}
_OLMO = _Family(qk_norm="full")
_FAMILIES: dict[str, _Family] = {
    **dict.fromkeys(("llama", "yi", "granite", "smollm3"), _Family()),
    **dict.fromkeys(("mistral", "ministral3"), _Family(slides=1)),
    **dict.fromkeys(("qwen2", "qwen2_vl", "qwen2_5_vl", "mimo"), _QWEN2),
    **dict.fromkeys(("qwen3", "qwen3_vl"), _QWEN3),
    **dict.fromkeys(("qwen3_moe", "qwen3_vl_moe"), replace(_QWEN3, moe=True)),
    **dict.fromkeys(("qwen3_next", "qwen3_5_moe"), replace(_NEXT, moe=True, shared_gate=True)),
    **dict.fromkeys(("deepseek_v3", "deepseek_v32", "kimi_k2"), _MLA),
    **dict.fromkeys(("glm_moe_dsa", "glm4_moe_lite"), _MLA),
    **dict.fromkeys(("glm", "internlm3"), _GLM),
    "chatglm": _Family(qkv_bias="add_qkv_bias"),
    "deepseek_v2": replace(_MLA, router_bias=False),
    "gemma": _GEMMA,
    "gemma2": replace(_GEMMA, norms=4, slides=2),
    "gemma3": replace(_GEMMA, norms=4, slides=6, qk_norm="head", defaults=_GEMMA3_SIZES),
    "glm4": replace(_GLM, norms=4),
    "glm4_moe": replace(_GLM, moe=True, router_bias=True),
    "gpt_oss": _Family(moe=True, slides=2, router_bias=True, expert_bias=True, sinks=True),
    "granitemoe": _Family(moe=True),
    "internlm2": _Family(qkv_bias="bias", out_bias="bias"),
    "minimax_m2": replace(_OLMO, moe=True, router_bias=True),
    "mixtral": _Family(moe=True, slides=1),
    "olmo2": _OLMO,
    "olmo3": replace(_OLMO, slides=4),
    "olmoe": replace(_OLMO, moe=True),
    "phi3": _Family(slides=1),
    "qwen2_moe": replace(_QWEN2, moe=True, shared_gate=True),
    "qwen3_5": _NEXT,
    "stablelm": _Family(norm_bias=True, qkv_bias="use_qkv_bias"),
}
_FORMATS = {
    **dict.fromkeys(("fp8", "fbgemm_fp8", "modelopt fp8", "float 8"), "fp8"),
    **dict.fromkeys(("fp8 block", "modelopt fp8_pb_wo", "float 8 block"), "fp8_block"),
    **dict.fromkeys(("awq 4", "gptq 4", "auto-round 4", "modelopt w4a16_awq"), "w4a16"),
    **dict.fromkeys(("gptq 8", "auto-round 8", "int 8 weight-only"), "w8a16"),
    **dict.fromkeys(("modelopt nvfp4", "nvfp4-pack-quantized"), "nvfp4"),
    **dict.fromkeys(("mxfp4", "mxfp4-pack-quantized"), "mxfp4"),
    "int 4 weight-only": "w4a16",
    "float 8 weight-only": "w8a16",
    "int 8": "int8",
}


def _scheme(q: JsonFields) -> str:
    """Return what a quantization_config says, in the words of the table of formats."""
    algorithm = q.get("quant_algo", str, "").lower()
    method = q.get("quant_method", str, "").lower()
    if algorithm:
        return f"modelopt {algorithm}"
    if method != "compressed-tensors":
        blocks = " block" if method == "fp8" and q.get("weight_block_size", list, []) else ""
        bits = q.optional("bits", "w_bit", high=32)
        return method + blocks + (f" {bits}" if bits and method not in ("fp8", "mxfp4") else "")
    packing = q.get("format", str, "")
    if packing in _FORMATS:
        return packing
    groups = q.inner("config_groups")
    group = groups.inner(next(iter(groups.values), ""))
    weights, runs = group.inner("weights"), group.inner("input_activations").values
    strategy = " block" if weights.get("strategy", str, "") == "block" else ""
    scheme = f"{weights.get('type', str, 'int')} {weights.size('num_bits', high=32)}"
    return scheme + (strategy if runs else " weight-only")


def _quantisation(top: JsonFields, c: JsonFields) -> JsonFields:
    """Return the quantisation of the config, or of the file that ModelOpt puts beside it."""
    name = "quantization_config"
    beside = top.path.with_name("hf_quant_config.json")
    if not (top.values.get(name) or c.values.get(name)) and beside.is_file():
        return load_json(beside).inner("quantization")
    return (c if c.values.get(name) else top).inner(name)


def _find_family(c: JsonFields) -> _Family | None:
    """Return the family of a model_type, else of the first architecture that is known."""
    names = [c.get("model_type", str, "").removesuffix("_text")]
    for name in c.get("architectures", list, []):
        names.append(str(name).split("For")[0])
    known = {name.replace("_", ""): family for name, family in _FAMILIES.items()}
    return next(filter(None, (known.get(n.lower().replace("_", "")) for n in names)), None)


def _text_model(top: JsonFields) -> tuple[JsonFields, _Family]:
    """Return the part of a config that holds the text model, and its family."""
    name = next((n for n in _NESTED if top.get(n, dict, {})), "")
    c = top.inner(name) if name else top
    stated = {"model_type", "architectures"} & c.values.keys()
    family = _find_family(c if stated else top)
    if family is None:
        what = c.values.get("model_type") or c.values.get("architectures")
        known = ", ".join(sorted(_FAMILIES))
        c.fail("model_type", f"{what!r} is not supported; supported: {known}")
    return JsonFields(c.path, c.text, {**family.defaults, **c.values}, c.within), family


def _name(top: JsonFields) -> str:
    """Return the model's name: of the file, its folder, or the repository it came from."""
    stem = re.sub(r"[_-]?config$", "", top.path.stem)
    folder = top.path.resolve().parent
    cached = folder.parent.parent.name.removeprefix("models--")  # cache: models--x--y/snapshots/id
    path = cached if folder.parent.name == "snapshots" else folder.name
    stated = top.get("_name_or_path", str, "").rstrip("/")
    return (stem or path or stated).replace("--", "/").rpartition("/")[2] or "model"


def read_hf_config(path: Path) -> tuple[Model, WeightFormat | None]:
    """Read a model, and the weight format its quantization_config states.

    Parameters
    ----------
    path
        A ``config.json`` of the transformers library; multimodal ones are read for their
        text model.

    Returns
    -------
    tuple
        The model without published counts, and None where the weights are plain or their
        quantisation has no counterpart (the model's ``notes`` say so).

    Raises
    ------
    InvalidFileError
        If the file is no JSON object of at most 4 MB, its architecture is not supported, or
        a field is missing or out of range.
    """
    top = load_json(path)
    c, family = _text_model(top)
    quantised = _quantisation(top, c)
    scheme = _scheme(quantised) if quantised.values else ""
    weights = get_format(_FORMATS[scheme]) if scheme in _FORMATS else None
    dtype = c.get("dtype", str, "") or c.get("torch_dtype", str, "") or top.get("dtype", str, "")
    plain = {"float16": "fp16", "float32": "fp32"}.get(dtype, "bf16")
    tied = c.get("tie_word_embeddings", bool, family.tied)
    name, day = _name(top), dt.date.today()
    model = Model(
        schema=1,
        id=re.sub(r"[^a-z0-9.+_-]+", "-", name.lower()).strip("-._+") or "model",
        name=name,
        family=c.get("model_type", str, "") or top.get("model_type", str, "unknown"),
        developer="unknown",
        open_weights=True,
        source=(Source(id="file", title=f"file {path.name}", accessed=day),),
        max_context_tokens=c.optional(*_CONTEXT),
        native_format=weights.id if weights else plain,
        shape=_shape(c, family, top.get("tie_word_embeddings", bool, tied)),
        notes=f"quantisation {scheme!r} has no weight format here"
        if scheme and not weights
        else "",
    )
    return model, weights
