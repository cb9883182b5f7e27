"""Weight formats and serving engines, as their documentation and measurements state them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from advisor.schema.device import DeviceClass
from advisor.schema.fact import Fact, Record, Slug, Source, facts_of, require_sources

PeakName = Literal["bf16", "fp8", "fp4", "int8", "fp32"]
Bits = Annotated[float, msgspec.Meta(gt=0, le=32)]


class WeightFormat(Record, frozen=True):
    """How weights are stored and in which number format they are multiplied.

    Parameters
    ----------
    bits_per_weight
        Bits of one weight of a layer, scales included.
    head_bits, embedding_bits
        Bits of the output head and of the input embedding (a tied table uses head_bits).
    compute
        Datasheet peak the products run at.
    gemm
        Key of the efficiency constants.
    weight_only_gemm
        Key of the efficiency constants where the format is only unpacked, not multiplied in.
    peak_required
        The device must publish the ``compute`` peak, else it can't run the format.
    experts_only
        Only expert weights use the format; the rest is bf16.
    plain_mixers_beside_experts
        In models with experts, attention and recurrent layers stay bf16.
    pad_expert_hidden_to
        Expert width is padded to a multiple of this in memory.
    """

    id: Slug
    name: str
    bits_per_weight: Bits
    head_bits: Bits
    embedding_bits: Bits
    compute: PeakName
    gemm: str
    source: str
    aliases: tuple[str, ...] = ()
    weight_only_gemm: str = ""
    peak_required: bool = False
    experts_only: bool = False
    plain_mixers_beside_experts: bool = False
    pad_expert_hidden_to: int = 1
    gguf: bool = False
    note: str = ""


class FormatFile(Record, frozen=True):
    """All weight formats, and the bytes of KV-cache formats."""

    schema: Literal[1]
    source: tuple[Source, ...]
    format: tuple[WeightFormat, ...]
    kv_bits: dict[str, Bits]

    def __post_init__(self) -> None:
        require_sources({f.id: f.source for f in self.format}, self.source)


class MemoryRule(Record, frozen=True):
    """How an engine divides device memory.

    Parameters
    ----------
    kind
        ``share-of-total``: the pool is ``share`` of physical memory minus everything else
        (vLLM, SGLang). ``share-of-free``: ``share`` of what weights and workspace leave
        (TensorRT-LLM). ``context-up-front``: the context of every slot is reserved at start
        (llama.cpp and on-device runtimes).
    share
        By device class.
    logits_bytes_per_vocab_entry
        Sampler workspace per vocabulary entry, all rows of the profiling batch together.
    workspace_bytes
        Rest of the activation peak.
    collective_bytes, base_bytes
        Outside the tensor allocator: with and without communication between devices.
    graph_bytes
        Captured execution graphs counted against the pool.
    """

    kind: Literal["share-of-total", "share-of-free", "context-up-front"]
    share: dict[DeviceClass, Fact]
    logits_bytes_per_vocab_entry: Fact
    workspace_bytes: Fact
    base_bytes: Fact
    collective_bytes: Fact | None = None
    pipeline_bytes: Fact | None = None


class SmallDevices(Record, frozen=True):
    """Lower limits on devices with less memory than ``below_bytes``, and on some named ones.

    ``devices`` are what the ids of those named start with.
    """

    below_bytes: Fact
    max_step_tokens: Fact
    max_sequences: Fact
    devices: tuple[Slug, ...] = ()


class WeightOnly(Record, frozen=True):
    """Formats run on chips without units for them: stored so, multiplied in 16 bits."""

    formats: tuple[Slug, ...]
    architectures: tuple[Slug, ...]
    source: Slug


class Scheduler(Record, frozen=True):
    """Limits of a step: tokens in all, sequences, and whether prompts run alone.

    ``reserves_output``: a request joins only if the cache has room for its whole answer.
    """

    max_step_tokens: Fact
    max_sequences: Fact
    prefill_alone: bool = False
    reserves_output: bool = False
    small: SmallDevices | None = None

    def on(self, device_id: str, physical_bytes: float) -> Scheduler:
        """Return the limits on one device."""
        small = self.small
        if small is None:
            return self
        if physical_bytes >= small.below_bytes.value and not device_id.startswith(small.devices):
            return self
        return msgspec.structs.replace(
            self, max_step_tokens=small.max_step_tokens, max_sequences=small.max_sequences
        )


class Engine(Record, frozen=True):
    """One serving engine at one version.

    ``default_for`` lists the device classes it is the default of; ``formats`` the weight
    formats it runs, preferred first: the first one the device has a peak for is the default.
    ``converts_bf16``: it runs bf16 weights also on chips without bf16 arithmetic.
    """

    schema: Literal[1]
    id: Slug
    name: str
    version: str
    date: dt.date
    source: tuple[Source, ...]
    device_classes: tuple[DeviceClass, ...]
    formats: tuple[Slug, ...]
    memory: MemoryRule
    scheduler: Scheduler
    aliases: tuple[str, ...] = ()
    default_for: tuple[DeviceClass, ...] = ()
    kv_format: str = "bf16"
    converts_bf16: bool = False
    kv_block_tokens: Annotated[int, msgspec.Meta(ge=1)] = 1
    host_per_step_s: Fact | None = None
    weight_only: WeightOnly | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        named = {path: fact.source for path, fact in facts_of(self).items()}
        named |= {f"memory.share.{k}": f.source for k, f in self.memory.share.items()}
        if self.weight_only:
            named["weight_only"] = self.weight_only.source
        require_sources(named, self.source)


class EngineCost(Record, frozen=True):
    """What an engine adds to kernel times, fitted to serving runs.

    Parameters
    ----------
    kernel_factor
        Kernel time of a step over the sum of its kernels: below 1 where launches overlap or
        fuse, above 1 where there are more kernels than counted.
    per_step_s, per_sequence_s
        Host time of each step, and for each sequence in it, that the device waits for.
    per_request_s
        Tokenising, transport and first scheduling: delays a first token, not the device.
    per_client_s
        Further delay of a first token for each client that starts at the same time.
    wait_factor
        Measured over replayed time from sending a prompt to its first token, without the two
        delays: prompts run outside execution graphs, and wait in more than one queue.
    step_tokens
        Token budget of a step; None: the engine's default.
    """

    kernel_factor: Annotated[float, msgspec.Meta(gt=0, le=3)] = 1.0
    per_step_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    per_sequence_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    per_request_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    per_client_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    wait_factor: Annotated[float, msgspec.Meta(gt=0, le=3)] = 1.0
    step_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


NO_COST = EngineCost()


class EngineEra(Record, frozen=True):
    """Fitted costs of one engine era and one kind of model.

    ``runs`` are the benchmark series (prefixes of their names) measured with that era,
    ``architectures`` those of its devices, ``versions`` what engine versions of it start with,
    ``only_versions`` those it is confined to within its runs; ``engines`` the catalogue engines it
    speaks for. The errors are medians on groups
    (device, model) left out of the fit, ``left_out_in80`` and ``left_out_in95`` the shares of
    their TPOT inside the stated ranges. ``fixed``: costs read off other measurements, named in the
    note; a fit to serving runs leaves them alone.
    """

    id: Slug
    engine: Slug
    kind: Literal["dense", "moe"]
    runs: tuple[str, ...]
    engines: tuple[Slug, ...]
    cost: EngineCost
    rows: int
    groups: int
    left_out_tpot_error: float
    left_out_ttft_error: float
    left_out_throughput_error: float = 0.0
    left_out_in80: float = 0.0
    left_out_in95: float = 0.0
    architectures: tuple[Slug, ...] = ()
    versions: tuple[str, ...] = ()
    only_versions: tuple[str, ...] = ()
    note: str = ""
    fixed: bool = False


class EngineCostFile(Record, frozen=True):
    """``hwprofiles/efficiency/engine-costs.toml``, written by ``advisor calibrate serving``.

    ``prior``: what an engine nobody measured is taken to add; fits are pulled towards it.
    ``routing_evenness``: how alike routers use experts, fitted over all expert models.
    """

    schema: Literal[1]
    fitted: dt.date
    routing_evenness: Annotated[float, msgspec.Meta(gt=0)]
    prior: EngineCost
    source: tuple[Source, ...]
    era: tuple[EngineEra, ...]
