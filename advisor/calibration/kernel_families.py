"""Which devices and whose tables speak for each device family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.calibration.kernel_models import Datasheet
from advisor.catalogue.devices import bandwidth_of
from advisor.errors import MissingDataError
from advisor.schema.device import Device

ENGINES = ("vllm", "trtllm", "sglang")
"""Whose tables speak for a family, first choice first."""


@dataclass(frozen=True)
class Family:
    """A device family: who was measured, and how the result is to be read.

    ``engine_of`` names the engine for one ``kind`` or ``kind/format`` whose preferred table is
    not usable (``"none"``: no table is). Unusable are tables timed outside a CUDA graph (a
    flat 90 us: fp8_block products of vLLM), on untuned kernels (fp8 experts of vLLM on
    Hopper) or without slicing the weights (int4 experts of older versions). fp8 products of
    vLLM include a quantisation kernel that serving fuses into the norm before them; those of
    TensorRT-LLM don't, but were launched outside a graph: ``launch_of`` names the engine, or
    the format, whose table gives a format's launch alone. On Blackwell, dense serving runs of
    vLLM and TensorRT-LLM show quantised products launched as fast as bf16 ones.
    ``devices_of`` names the devices whose table of a kind is usable: all-reduces of vLLM
    between two GB200 take 2.5 times those of other engines, between eight GB300 they wait 13 us.
    """

    id: str
    devices: tuple[str, ...]
    notes: str = ""
    engine_of: Mapping[str, str] = field(default_factory=dict)
    launch_of: Mapping[str, str] = field(default_factory=dict)
    devices_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_LATENT_NOTE = "Latent decode: compute never binds in the tables, its share is at the bound of 1.2."

_FUSED_LAUNCH = {"gemm/fp8": "bf16"}

FAMILIES = (
    Family(
        "hopper",
        ("h100-sxm", "h200-sxm"),
        engine_of={"gemm/fp8": "trtllm", "gemm/fp8_block": "sglang", "experts/fp8": "trtllm"},
        launch_of={"gemm/fp8": "vllm"},
    ),
    Family("ampere", ("a100-sxm-80",), engine_of={"experts/w4a16": "none"}),
    Family("ada", ("l40s",), engine_of={"gemm/fp8_block": "trtllm"}),
    Family(
        "blackwell",
        ("b200", "gb200"),
        notes=_LATENT_NOTE,
        devices_of={"all-reduce": ("b200",)},
        engine_of={"gemm/fp8": "trtllm", "gemm/fp8_block": "sglang", "experts/w4a16": "sglang"},
        launch_of=_FUSED_LAUNCH,
    ),
    Family(
        "blackwell-ultra",
        ("b300", "gb300"),
        notes=_LATENT_NOTE,
        devices_of={"all-reduce": ("b300",)},
        engine_of={"gemm/fp8": "trtllm", "gemm/fp8_block": "sglang", "experts/w4a16": "sglang"},
        launch_of=_FUSED_LAUNCH,
    ),
    Family(
        "blackwell-consumer",
        ("rtx-pro-6000-server",),
        engine_of={"gemm/fp8_block": "trtllm", "experts/fp8_block": "sglang"},
    ),
)


def datasheet(device: Device) -> Datasheet:
    """Take the rates constants refer to from a device's facts.

    Raises
    ------
    MissingDataError
        If the device publishes no bf16 peak.
    """
    peak, link = device.peak, device.link
    named = {
        "bf16": peak.bf16_flops_per_s,
        "fp8": peak.fp8_flops_per_s,
        "fp4": peak.fp4_flops_per_s,
        "int8": peak.int8_ops_per_s,
    }
    rates = {name: fact.value for name, fact in named.items() if fact is not None}
    if "bf16" not in rates:
        msg = f"{device.id} publishes no bf16 peak to measure kernels against"
        raise MissingDataError(msg)
    lane = link.bytes_per_s_per_direction or link.pcie_bytes_per_s_per_direction
    return Datasheet(rates, bandwidth_of(device), lane.value if lane else None)
