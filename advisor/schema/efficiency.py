"""Measured efficiency of a device family and rules of an engine, as fitted or documented."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from advisor.schema.device import ComputeUnit
from advisor.schema.engine import PeakName
from advisor.schema.fact import Evidence, Record, Slug, Source

Share = Annotated[float, msgspec.Meta(gt=0, le=1.2)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Sharpness = Literal[1, 2, 4]
Basis = PeakName | Literal["power"]
"""What a share of compute refers to: a datasheet peak, or TDP times `operations_per_joule`."""


class Gemm(Record, frozen=True):
    """Matrix product: how close it gets to the datasheet.

    ``compute_share`` of the dense peak of the format, ``memory_share`` of the datasheet
    bandwidth, ``launch_s`` per kernel, ``min_rows`` the tile height below which fewer rows
    cost the same, ``sharpness`` of the corner between the two roofs. ``peak`` is the datasheet
    peak the kernels run at where it isn't the weight format's (integer products of quantised
    weights, float32 arithmetic of a CPU); a device that doesn't publish it takes the format's.
    ``input_bytes`` are moved per input element before the product starts: quantising
    activations in a kernel of its own.
    """

    compute_share: Share
    memory_share: Share
    launch_s: Seconds
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 1
    sharpness: Sharpness = 4
    input_bytes: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    peak: Basis | None = None


class DecodeAttention(Record, frozen=True):
    """One query token per sequence against its KV cache.

    ``fp8_memory_share`` holds for caches of 8 bits and less (None: the same).
    """

    memory_share: Share
    launch_s: Seconds
    per_sequence_head_s: Seconds
    sharpness: Sharpness = 2
    fp8_memory_share: Share | None = None


class LatentAttention(Record, frozen=True):
    """One query token per sequence against a latent cache (MLA, absorbed).

    All heads of a device share one read of the cache, so many heads are bound by compute:
    ``compute_share`` is of the bf16 peak. ``fp8_memory_share`` as in `DecodeAttention`.
    """

    memory_share: Share
    compute_share: Share
    launch_s: Seconds
    sharpness: Sharpness = 4
    fp8_memory_share: Share | None = None


class Recurrent(Record, frozen=True):
    """A recurrent mixer's kernels: convolution and gated delta rule.

    In decode, ``memory_share`` of the bandwidth to read and write the state, and ``launch_s``.
    Of a prompt, ``compute_share`` of the bf16 peak or, since tokens follow each other,
    ``serial_s_per_token`` of the longest chunk, whichever is slower, and ``prefill_launch_s``.
    """

    memory_share: Share
    launch_s: Seconds
    compute_share: Share
    serial_s_per_token: Seconds
    prefill_launch_s: Seconds
    sharpness: Sharpness = 4


class PrefillAttention(Record, frozen=True):
    """A chunk of prompt tokens against itself and what came before.

    ``compute_share`` is of the bf16 peak, or of ``peak`` where the device publishes it.
    ``keys_per_query`` is what each query costs on top of the keys it attends to, in keys:
    loading queries, storing results, half-empty tiles on the causal diagonal.
    ``small_head_share`` multiplies the share for heads of at most 64 dimensions (None: 1).
    """

    compute_share: Share
    launch_s: Seconds
    keys_per_query: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    small_head_share: Share | None = None
    peak: Basis | None = None


class Experts(Record, frozen=True):
    """Grouped expert products of a mixture-of-experts layer; ``peak`` as in `Gemm`.

    ``row_bytes`` are moved per element of the (token, expert) rows to sort, quantise and
    combine them, not overlapped with the products.
    """

    compute_share: Share
    memory_share: Share
    launch_s: Seconds
    min_rows_per_expert: Annotated[int, msgspec.Meta(ge=1)] = 1
    sharpness: Sharpness = 4
    row_bytes: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    peak: Basis | None = None


class Elementwise(Record, frozen=True):
    """Norms, rotary embedding, activation, residual: launches and traffic of a layer.

    Recurrent layers (convolution, gates, norms of heads) and layers that pick the tokens they
    attend to (indexer) launch more kernels than others.
    """

    launch_s: Seconds
    launches_per_layer: Annotated[float, msgspec.Meta(ge=0)]
    memory_share: Share
    launches_per_recurrent_layer: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    launches_per_sparse_layer: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Collective(Record, frozen=True):
    """All-reduce over the devices of one replica: alpha-beta model.

    ``latency_s`` once, ``latency_per_doubling_s`` for each doubling of the group,
    ``bandwidth_share`` of the link's datasheet rate per direction. ``volume_exponent``: what each
    device sends, as a power of a ring's ``2 (d-1)/d``.
    """

    latency_s: Seconds
    latency_per_doubling_s: Seconds
    bandwidth_share: Share
    volume_exponent: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class ServingLink(Record, frozen=True):
    """Collectives as a serving engine runs them, fitted to logs of multi-device runs.

    They take the place of the family's own, measured between idle devices, where devices are
    linked by ``link`` only.
    """

    families: tuple[Slug, ...]
    engines: tuple[Slug, ...]
    link: Literal["pcie"]
    collective: Collective
    logs: tuple[str, ...]
    tpot_error: float
    e2e_error: float
    note: str = ""


class ServingLinkFile(Record, frozen=True):
    """``hwprofiles/efficiency/serving-links.toml``, written by ``advisor calibrate logs``."""

    schema: Literal[1]
    fitted: dt.date
    source: tuple[Source, ...]
    link: tuple[ServingLink, ...] = ()


class Dequantise(Record, frozen=True):
    """Unpacking quantised weights on CPU cores: not hidden behind the memory read.

    By weight format. ``operations_per_weight`` counts float32 operations of the datasheet peak,
    so that wider and faster cores unpack faster; ``weights_per_s_per_core`` serves processors
    that publish no such peak.
    """

    weights_per_s_per_core: dict[str, Annotated[float, msgspec.Meta(gt=0)]]
    operations_per_weight: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = msgspec.field(
        default_factory=dict
    )


class PowerCurve(Record, frozen=True):
    """Electrical power of a device over its TDP: ``base + memory x MBU + compute x MFU``.

    Never above ``ceiling``.
    """

    base_share: Share
    memory_share: Annotated[float, msgspec.Meta(ge=0)]
    compute_share: Annotated[float, msgspec.Meta(ge=0)]
    ceiling_share: Share = 1.0


class Efficiency(Record, frozen=True):
    """Constants of one device family under one kind of runtime.

    Parameters
    ----------
    id
        File name without ending.
    measured_devices
        Devices whose measurements were fitted; others inherit as ``extrapolated``.
    gemm, experts
        By compute format (``bf16``, ``fp8``, ``fp4``, ``int8``).
    latent_attention, latent_prefill
        Latent (MLA) layers; without them the constants of other attention hold.
    recurrent
        Recurrent layers; without it state traffic and the prefill share of attention hold.
    collective, engine_collective
        All-reduces; by engine where its own kernels were measured beside the family's.
    fallback_flops_per_s
        Measured matrix rate of the family where devices publish no peak.
    fallback_flops_per_s_per_core
        The same for processors, per core in use.
    host_per_step_s
        Host time per step that nothing hides.
    host_per_layer_s, host_per_expert_s
        Host time to launch one layer's kernels, and each of its experts' where they run in a
        loop, by compute format (``bf16`` for those not named). The device runs meanwhile, so a
        step lasts at least as long as launching its layers (eager execution).
    first_token_s
        What delays a lone request's first token besides the device: template, tokenising,
        starting the runtime's graph.
    bytes_per_s_per_core
        What one CPU core can read; fewer threads than it takes to saturate memory see less.
    operations_per_joule
        What ``peak = "power"`` means: kernels that hold a board at its power limit do so many
        operations per joule whatever its peak; devices without a known TDP use the peak.
    max_bytes_per_s
        What the unit (an NPU of a larger chip) can read however wide the memory is.
    evidence
        Best label a prediction from these constants may carry.
    """

    schema: Literal[1]
    id: Slug
    fitted: dt.date
    evidence: Evidence
    because: str
    source: tuple[Source, ...]
    measured_devices: tuple[Slug, ...]
    gemm: dict[str, Gemm]
    decode_attention: DecodeAttention
    prefill_attention: PrefillAttention
    elementwise: Elementwise
    experts: dict[str, Experts] = msgspec.field(default_factory=dict)
    latent_attention: LatentAttention | None = None
    latent_prefill: PrefillAttention | None = None
    recurrent: Recurrent | None = None
    collective: Collective | None = None
    engine_collective: dict[str, Collective] = msgspec.field(default_factory=dict)
    dequantise: Dequantise | None = None
    fallback_flops_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    fallback_flops_per_s_per_core: Annotated[float, msgspec.Meta(gt=0)] | None = None
    host_per_step_s: Seconds = 0.0
    first_token_s: Seconds = 0.0
    host_per_layer_s: dict[str, Seconds] = msgspec.field(default_factory=dict)
    host_per_expert_s: dict[str, Seconds] = msgspec.field(default_factory=dict)
    bytes_per_s_per_core: Annotated[float, msgspec.Meta(gt=0)] | None = None
    max_bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    operations_per_joule: Annotated[float, msgspec.Meta(gt=0)] | None = None
    notes: str = ""


class Family(Record, frozen=True):
    """Which constants speak for which architectures under which engines.

    ``own_family`` False: a stand-in from another family, so at best ``estimated``.
    ``memory_kind`` not empty: only devices whose memory's kind contains it (``"HBM"``);
    ``unit``: only devices whose models run there.
    """

    constants: Slug
    architectures: tuple[Slug, ...]
    engines: tuple[Slug, ...]
    own_family: bool
    because: str = ""
    memory_kind: str = ""
    unit: ComputeUnit | None = None


class FamilyFile(Record, frozen=True):
    """``hwprofiles/efficiency/families.toml``; the first matching row counts."""

    schema: Literal[1]
    family: tuple[Family, ...]


class PowerFit(Record, frozen=True):
    """A power curve and the architectures it speaks for; the first matching row counts.

    ``q80``, ``q95``: quantiles of |ln(measured / predicted)| on left-out groups of ``rows``
    rows; ``measured_devices`` empty: nothing was measured, the curve is a stand-in or bound.
    ``engines`` empty: all.
    """

    architectures: tuple[Slug, ...]
    curve: PowerCurve
    evidence: Evidence
    because: str
    engines: tuple[Slug, ...] = ()
    measured_devices: tuple[Slug, ...] = ()
    rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    q80: Annotated[float, msgspec.Meta(gt=0)] | None = None
    q95: Annotated[float, msgspec.Meta(gt=0)] | None = None


class PowerFile(Record, frozen=True):
    """``hwprofiles/efficiency/power.toml``, written by ``advisor.calibration.device_power``."""

    schema: Literal[1]
    fitted: dt.date
    source: tuple[Source, ...]
    power: tuple[PowerFit, ...]


class Width(Record, frozen=True):
    """Half-width of a range: quantiles of |ln(measured / predicted)| on left-out groups.

    ``device_classes`` and ``kinds`` (dense, moe) empty: all. ``launch_known``: only for runs whose
    launch settings are known (:mod:`advisor.schema.recipe`). ``engines``: only for these families
    of engines, before rows for all.
    """

    metric: Literal["tpot", "ttft", "prefill", "throughput", "memory", "power"]
    evidence: Evidence
    q80: Annotated[float, msgspec.Meta(gt=0)]
    q95: Annotated[float, msgspec.Meta(gt=0)]
    rows: Annotated[int, msgspec.Meta(ge=0)]
    groups: Annotated[int, msgspec.Meta(ge=0)]
    because: str
    device_classes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    launch_known: bool = False
    engines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.q95 < self.q80:
            msg = f"q95 {self.q95} is below q80 {self.q80}"
            raise ValueError(msg)


class WidthFile(Record, frozen=True):
    """``hwprofiles/efficiency/widths.toml``; the first matching row counts."""

    schema: Literal[1]
    fitted: dt.date
    source: tuple[Source, ...]
    width: tuple[Width, ...]
