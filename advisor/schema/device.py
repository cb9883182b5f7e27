"""A device as its datasheet and its measurements describe it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Fact, Record, Slug, Source, facts_of, require_sources

DeviceClass = Literal["phone", "pc", "cpu-server", "gpu", "npu"]
ComputeUnit = Literal["gpu", "npu", "cpu", "device"]
MAX_FP8_PER_BF16 = 2.3
"""A larger ratio between two dense peaks betrays a sparse figure (some vendors quote 2.27)."""


class SixteenBit(Record, frozen=True):
    """16-bit number formats that a chip's matrix units multiply, where one is missing."""

    formats: tuple[Literal["bf16", "fp16"], ...]
    source: str
    note: str = ""


class Peak(Record, frozen=True):
    """Dense peak rates of the unit that runs the model; absent means not published.

    A multiply-accumulate counts as two operations. ``int8_unit`` says whose rate the
    int8 figure is, where it is not the unit that runs language models. ``bf16_flops_per_s`` is
    the rate of 16-bit formats; ``sixteen_bit`` absent: the chip has both of them.
    """

    fp32_flops_per_s: Fact | None = None
    bf16_flops_per_s: Fact | None = None
    fp8_flops_per_s: Fact | None = None
    fp4_flops_per_s: Fact | None = None
    int8_ops_per_s: Fact | None = None
    int4_ops_per_s: Fact | None = None
    int8_unit: Literal["device", "npu", "gpu+dla"] = "device"
    basis: str = ""
    sixteen_bit: SixteenBit | None = None

    def __post_init__(self) -> None:
        bf16, fp8 = self.bf16_flops_per_s, self.fp8_flops_per_s
        if bf16 and fp8 and fp8.value > MAX_FP8_PER_BF16 * bf16.value:
            msg = f"fp8 peak is {fp8.value / bf16.value:.2f} x bf16: a sparse figure?"
            raise ValueError(msg)


class Memory(Record, frozen=True):
    """Memory the model lives in.

    ``physical_bytes`` is what the driver or operating system reports as total;
    ``nominal_bytes`` is the marketing figure. Without a published ``bytes_per_s`` no speed can
    be estimated.
    """

    bytes_per_s: Fact | None = None
    kind: str = ""
    nominal_bytes: Fact | None = None
    physical_bytes: Fact | None = None
    sustained_bytes_per_s: Fact | None = None


class Link(Record, frozen=True):
    """Connections between devices of one node, per direction and device."""

    kind: str = ""
    bytes_per_s_per_direction: Fact | None = None
    pcie_bytes_per_s_per_direction: Fact | None = None
    devices_per_node: Annotated[int, msgspec.Meta(ge=1)] = 1


class Power(Record, frozen=True):
    """Electrical power of one device, watts."""

    tdp_w: Fact | None = None
    idle_w: Fact | None = None
    battery_j: Fact | None = None


class Cores(Record, frozen=True):
    """CPU cores that can run a model; threads share the memory bandwidth."""

    count: Annotated[int, msgspec.Meta(ge=1)]
    source: str
    note: str = ""


class Thermal(Record, frozen=True):
    """How speed falls under sustained load: sustained over burst rate, dimensionless."""

    sustained_share: Fact


class Chip(Record, frozen=True):
    """Manufacture and export-control figures.

    ``tpp`` is total processing performance (dense TOPS x bits); ``performance_density``
    is TPP per mm2 of applicable die area (15 CFR 774, ECCN 3A090 notes).
    """

    process: str = ""
    die_area_mm2: Fact | None = None
    tpp: Fact | None = None
    performance_density: Fact | None = None
    export_status_cn: str = ""


class Device(Record, frozen=True):
    """One accelerator, processor or system-on-chip.

    Parameters
    ----------
    id, aliases, name
        Lower-case slug, other accepted names, and the name shown to people.
    device_class
        Decides the default engine, the memory rule and the fallback constants.
    architecture
        Name of the efficiency family (``hwprofiles/efficiency/<architecture>.toml``).
    unit
        Which unit of a system-on-chip runs the model.
    peak, memory, link, power, chip, cores, thermal
        Facts, each with its source.
    source
        The publications the facts name.
    """

    schema: Literal[1]
    id: Slug
    name: str
    device_class: DeviceClass
    vendor: str
    architecture: Slug
    memory: Memory
    source: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    year: int | None = None
    unit: ComputeUnit = "device"
    peak: Peak = Peak()
    link: Link = Link()
    power: Power = Power()
    chip: Chip = Chip()
    cores: Cores | None = None
    thermal: Thermal | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        named = {path: fact.source for path, fact in facts_of(self).items()}
        if self.cores:
            named["cores"] = self.cores.source
        if self.peak.sixteen_bit:
            named["peak.sixteen_bit"] = self.peak.sixteen_bit.source
        require_sources(named, self.source)
