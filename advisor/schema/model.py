"""A language model as a stack of layers; everything counted derives from it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Fact, Record, Slug, Source, facts_of, require_sources

Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]


class Attention(Record, frozen=True, tag="attention", tag_field="kind"):
    """Softmax attention with its own keys and values (MHA, GQA, MQA).

    ``window_tokens`` limits how far back a token looks (None: everything before it).
    ``shares_kv`` layers reuse the cache of an earlier layer and have no K or V weights.
    ``values_are_keys`` layers store one tensor for both. ``gated_output`` adds a gate as
    wide as the queries. ``norm_across_heads``: queries and keys are normalised over all heads at
    once, so that devices that share the heads must add up their squares.
    """

    heads: Positive
    kv_heads: Positive
    head_dim: Positive
    v_head_dim: Positive | None = None
    window_tokens: Positive | None = None
    shares_kv: bool = False
    values_are_keys: bool = False
    gated_output: bool = False
    norm_across_heads: bool = False

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            msg = f"{self.heads} heads can't share {self.kv_heads} kv heads evenly"
            raise ValueError(msg)


class Mla(Record, frozen=True, tag="mla", tag_field="kind"):
    """Multi-head latent attention: one latent vector and one rotary key per token.

    ``q_lora_rank`` None: queries come straight from the hidden state.
    ``sparse_top_tokens``: a token attends to at most so many (DSA); ``window`` unused.
    """

    heads: Positive
    kv_lora_rank: Positive
    qk_rope_dim: NonNegative
    qk_nope_dim: Positive
    v_head_dim: Positive
    q_lora_rank: Positive | None = None
    sparse_top_tokens: Positive | None = None


class Linear(Record, frozen=True, tag="linear", tag_field="kind"):
    """Linear attention or state-space mixer with a state of fixed size per sequence.

    ``variant`` names the published design; parameter counts follow it.
    ``key_heads x key_dim`` and ``value_heads x value_dim`` are the projections; the state
    holds ``value_heads x key_dim x value_dim`` numbers.
    """

    variant: Literal["gated-deltanet", "mamba2", "kda", "lightning"]
    key_heads: Positive
    key_dim: Positive
    value_heads: Positive
    value_dim: Positive
    conv_width: NonNegative = 4


class Mlp(Record, frozen=True, tag="mlp", tag_field="kind"):
    """Dense feed-forward block; gated blocks have three matrices, others two."""

    hidden: Positive
    gated: bool = True


class Moe(Record, frozen=True, tag="moe", tag_field="kind"):
    """Mixture of experts.

    Each token runs ``top_k`` of ``experts`` routed experts plus all ``shared_experts``.
    ``expert_hidden`` is the width of a routed expert, ``shared_hidden`` of one shared
    expert (None: the same). ``dense_hidden`` is a dense block run beside the experts.
    ``latent`` is the width experts act on where it is not the model's.
    """

    experts: Positive
    top_k: Positive
    expert_hidden: Positive
    shared_experts: NonNegative = 0
    shared_hidden: Positive | None = None
    dense_hidden: Positive | None = None
    latent: Positive | None = None
    gated: bool = True

    def __post_init__(self) -> None:
        if self.top_k > self.experts:
            msg = f"top_k {self.top_k} exceeds {self.experts} experts"
            raise ValueError(msg)


class Layer(Record, frozen=True):
    """``count`` equal layers: a mixer, a feed-forward block, either may be missing.

    ``other_parameters`` counts what the blocks' formulas leave out in one such layer
    (norms, biases, per-layer embeddings, indexers).
    """

    count: Positive
    mixer: Attention | Mla | Linear | None = None
    ffn: Mlp | Moe | None = None
    other_parameters: NonNegative = 0


class Parameters(Record, frozen=True):
    """Published parameter counts.

    ``total`` is what the publisher's file holds, ``active`` what one token uses.
    ``not_in_text_model`` counts parts of the file that text serving does not load or run
    (vision and audio encoders, multi-token-prediction layers). ``mismatch_reason`` must
    say why where the count derived from the shape is more than 0.5 % off.
    """

    total: Fact
    active: Fact | None = None
    not_in_text_model: Fact | None = None
    mismatch_reason: str = ""


class Shape(Record, frozen=True):
    """Dimensions of the text model.

    ``off_device_parameters``: tables that stay in host memory or flash (per-layer
    embeddings). ``other_parameters`` counts tensors outside layers, embedding and head
    (final norm, learned positions).
    """

    hidden: Positive
    vocab: Positive
    tied_embeddings: bool
    layers: tuple[Layer, ...]
    source: str
    other_parameters: NonNegative = 0
    off_device_parameters: NonNegative = 0
    embedding_hidden: Positive | None = None

    @property
    def has_experts(self) -> bool:
        """Whether any layer routes its tokens among experts."""
        return any(isinstance(layer.ffn, Moe) for layer in self.layers)


class Model(Record, frozen=True):
    """One model of the catalogue.

    ``open_weights`` False: served by its owner only; it has no shape and refuses hardware
    questions. ``shape`` None on an open model: dimensions not published or not read.
    ``reference_sizes`` are the sizes (``"4B"``) this model stands for.
    ``native_format`` is the format the publisher's weights are stored in.
    """

    schema: Literal[1]
    id: Slug
    name: str
    family: str
    developer: str
    open_weights: bool
    source: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    reference_sizes: tuple[str, ...] = ()
    release: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}(-\d{2}){0,2})?$")] = ""
    licence: str = ""
    domain: str = "general"
    base_model: str = ""
    max_context_tokens: Positive | None = None
    native_format: str = "bf16"
    parameters: Parameters | None = None
    shape: Shape | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        named = {path: fact.source for path, fact in facts_of(self).items()}
        if self.shape:
            named["shape"] = self.shape.source
        require_sources(named, self.source)
        if self.shape and not self.open_weights and self.parameters is None:
            msg = "a closed model can't have a shape without published parameters"
            raise ValueError(msg)
