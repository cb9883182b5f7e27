"""Parameter counts of a model, derived from its dimensions.

Every function is pure and counts numbers, not bytes. Matrices (and the small vectors that
belong to a mixer's published design) follow from the dimensions; norms and biases differ
from family to family, so a layer states them as ``other_parameters``.
"""

from __future__ import annotations

from advisor.schema.model import Attention, Layer, Linear, Mla, Mlp, Moe, Shape

Mixer = Attention | Mla | Linear
Ffn = Mlp | Moe


def mixer_parameters(mixer: Mixer | None, hidden: int) -> int:
    """Count the weights of a token mixer.

    Parameters
    ----------
    mixer
        Attention, latent attention, linear mixer, or None for a layer without one.
    hidden
        Width of the residual stream.

    Returns
    -------
    int
        Number of parameters, without norms and biases of attention.

    Examples
    --------
    >>> mixer_parameters(Attention(heads=32, kv_heads=8, head_dim=128), 4096)
    41943040
    """
    match mixer:
        case None:
            return 0
        case Attention():
            return _attention_parameters(mixer, hidden)
        case Mla():
            return _mla_parameters(mixer, hidden)
        case Linear():
            return _linear_parameters(mixer, hidden)


def _attention_parameters(mixer: Attention, hidden: int) -> int:
    """Count query, key, value and output projections (and the gate) of softmax attention.

    Layers that reuse another layer's cache have no key and value matrices; layers whose
    values are their keys have only the key matrix.
    """
    values = mixer.v_head_dim or mixer.head_dim
    query = mixer.heads * mixer.head_dim * (2 if mixer.gated_output else 1)
    key_value = mixer.kv_heads * mixer.head_dim
    if mixer.shares_kv:
        key_value = 0
    elif not mixer.values_are_keys:
        key_value += mixer.kv_heads * values
    return hidden * (query + key_value + mixer.heads * values)


def _mla_parameters(mixer: Mla, hidden: int) -> int:
    """Count latent attention as in DeepSeek-V2 (arXiv:2405.04434, section 2.1)."""
    query_width = mixer.heads * (mixer.qk_nope_dim + mixer.qk_rope_dim)
    if mixer.q_lora_rank is None:
        query = hidden * query_width
    else:
        query = mixer.q_lora_rank * (hidden + query_width)
    down = hidden * (mixer.kv_lora_rank + mixer.qk_rope_dim)
    up = mixer.kv_lora_rank * mixer.heads * (mixer.qk_nope_dim + mixer.v_head_dim)
    return query + down + up + mixer.heads * mixer.v_head_dim * hidden


def _linear_parameters(mixer: Linear, hidden: int) -> int:
    """Count a linear mixer by its published design, gates and short convolutions included.

    Gated DeltaNet: Qwen3-Next (transformers ``qwen3_next``). Mamba-2: arXiv:2405.21060,
    ``key_heads`` groups of B and C with ``key_dim`` states. KDA: Kimi Linear,
    arXiv:2510.26692, decay and output gates of rank ``value_dim``. Lightning attention:
    MiniMax-01, arXiv:2501.08313.
    """
    keys = mixer.key_heads * mixer.key_dim
    values = mixer.value_heads * mixer.value_dim
    heads = mixer.value_heads
    channels = 2 * keys + values
    convolution = channels * mixer.conv_width
    match mixer.variant:
        case "gated-deltanet":
            projections = hidden * (channels + values + 2 * heads + values)
            # decay and time step per head, norm per value channel
            return projections + convolution + 2 * heads + mixer.value_dim
        case "mamba2":
            projections = hidden * (channels + values + heads + values)
            # convolution bias; decay, skip and time step per head; gated norm
            return projections + convolution + channels + 3 * heads + values
        case "kda":
            projections = hidden * (channels + heads + values)
            gates = 2 * hidden * mixer.value_dim + mixer.value_dim * (keys + values)
            # decay per head, time step per key channel, norm per value channel
            return projections + gates + convolution + heads + keys + mixer.value_dim
        case "lightning":
            return hidden * (channels + 2 * values) + values


def ffn_parameters(ffn: Ffn | None, hidden: int) -> int:
    """Count the weights of a feed-forward block, with all experts and the router.

    Parameters
    ----------
    ffn
        Dense block, mixture of experts, or None for a layer without one.
    hidden
        Width of the residual stream.

    Returns
    -------
    int
        Number of parameters, without biases.

    Examples
    --------
    >>> ffn_parameters(Mlp(hidden=14336), 4096)
    176160768
    """
    if isinstance(ffn, Moe):
        return _moe_parameters(ffn, hidden, ffn.experts)
    return ffn_active_parameters(ffn, hidden)


def ffn_active_parameters(ffn: Ffn | None, hidden: int) -> int:
    """Count the feed-forward weights one token uses.

    Parameters
    ----------
    ffn
        Dense block, mixture of experts, or None for a layer without one.
    hidden
        Width of the residual stream.

    Returns
    -------
    int
        Number of parameters: the routed experts one token picks, plus all that every
        token runs through (router, shared experts, dense block).

    Examples
    --------
    >>> ffn_active_parameters(Moe(experts=8, top_k=2, expert_hidden=14336), 4096)
    352354304
    """
    match ffn:
        case None:
            return 0
        case Mlp():
            return _matrices(ffn.gated) * hidden * ffn.hidden
        case Moe():
            return _moe_parameters(ffn, hidden, ffn.top_k)


def _matrices(gated: bool) -> int:
    """Return how many matrices a block has: up and down, and a gate."""
    return 3 if gated else 2


def _moe_parameters(moe: Moe, hidden: int, experts: int) -> int:
    """Count the router, so many routed experts, and what runs beside them.

    Experts on a latent of another width need a projection into it and one back.
    """
    matrices = _matrices(moe.gated)
    width = moe.latent or hidden
    routed = experts * matrices * width * moe.expert_hidden
    shared = moe.shared_experts * matrices * hidden * (moe.shared_hidden or moe.expert_hidden)
    dense = matrices * hidden * (moe.dense_hidden or 0)
    projections = 2 * hidden * (moe.latent or 0)
    return hidden * moe.experts + routed + shared + dense + projections


def layer_parameters(layer: Layer, hidden: int) -> int:
    """Count one layer of a group (``layer.count`` is not applied).

    Parameters
    ----------
    layer
        Group of equal layers.
    hidden
        Width of the residual stream.

    Returns
    -------
    int
        Number of parameters of one layer, norms and biases included.
    """
    blocks = mixer_parameters(layer.mixer, hidden) + ffn_parameters(layer.ffn, hidden)
    return blocks + layer.other_parameters


def _outside_layers(shape: Shape) -> int:
    """Count embedding, output head (once if tied) and the tensors outside layers."""
    embedding = shape.vocab * (shape.embedding_hidden or shape.hidden)
    tables = 1 if shape.tied_embeddings else 2
    return tables * embedding + shape.other_parameters


def total_parameters(shape: Shape) -> int:
    """Count every parameter of the text model.

    Parameters
    ----------
    shape
        Dimensions of the text model.

    Returns
    -------
    int
        Number of parameters, tables kept off the device included; a tied head counts once.
    """
    layers = sum(group.count * layer_parameters(group, shape.hidden) for group in shape.layers)
    return layers + _outside_layers(shape) + shape.off_device_parameters


def active_parameters(shape: Shape) -> int:
    """Count the parameters one token uses, in the convention of most publishers.

    The embedding table counts in full although a token reads one row of it, so that a
    dense model's active count is its total (Mistral and Qwen count so; OpenAI leaves the
    input table of gpt-oss out). Tables kept off the device don't count: Google's
    "effective" sizes leave them out.

    Parameters
    ----------
    shape
        Dimensions of the text model.

    Returns
    -------
    int
        Number of parameters; only the experts a token picks are counted.
    """
    unused = 0
    for group in shape.layers:
        spare = ffn_parameters(group.ffn, shape.hidden)
        spare -= ffn_active_parameters(group.ffn, shape.hidden)
        unused += group.count * spare
    return total_parameters(shape) - shape.off_device_parameters - unused
