"""Fit whole device families and write ``hwprofiles/efficiency/<family>.toml``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from advisor.calibration import expert_models
from advisor.calibration import kernel_fits as fits
from advisor.calibration import kernel_models as models
from advisor.calibration.kernel_tables import KernelTables, optional_module
from advisor.errors import MissingDataError
from advisor.schema.device import Device
from advisor.schema.efficiency import Collective, Efficiency, Elementwise
from advisor.schema.fact import Source

T = TypeVar("T")

ENGINES = ("vllm", "trtllm", "sglang")
"""Whose tables speak for a family, first choice first."""

SOURCE = Source(
    id="kernel-tables",
    title="aiconfigurator-core 0.12.0 (PyPI, Apache-2.0) kernel tables",
    url="https://pypi.org/project/aiconfigurator-core/0.12.0/",
    accessed=dt.date(2026, 11, 23),
)
ELEMENTWISE = Elementwise(
    launch_s=2.2e-6,
    launches_per_layer=models.LAUNCHES_PER_LAYER,
    memory_share=models.ELEMENTWISE_SHARE,
)
"""Prototype value, a kernel launch inside a CUDA graph, where no table times such kernels."""

_DIGITS = 3
_FEWEST_ROWS = 100


@dataclass(frozen=True)
class Family:
    """A device family: who was measured, and how the result is to be read.

    ``engine_of`` names the engine for one ``kind`` or ``kind/format`` whose preferred table is
    not usable (``"none"``: no table is). Unusable are tables timed outside a CUDA graph (a
    flat 90 us: fp8_block products of vLLM), on untuned kernels (fp8 experts of vLLM on
    Hopper) or without slicing the weights (int4 experts of older versions).
    """

    id: str
    devices: tuple[str, ...]
    notes: str = ""
    engine_of: Mapping[str, str] = field(default_factory=dict)


FAMILIES = (
    Family(
        "hopper",
        ("h100-sxm", "h200-sxm"),
        notes="8-bit caches read at 0.64 of the bandwidth (vLLM) instead of 0.88.",
        engine_of={"gemm/fp8_block": "sglang", "experts/fp8": "trtllm"},
    ),
    Family("ampere", ("a100-sxm-80",), engine_of={"experts/w4a16": "none"}),
    Family("ada", ("l40s",), engine_of={"gemm/fp8_block": "trtllm"}),
    Family(
        "blackwell",
        ("b200", "b300", "gb200", "gb300"),
        notes="One set for B200 and B300; apart, the fp4 compute share is 0.43 and 0.30 of peak.",
        engine_of={"gemm/fp8_block": "sglang", "experts/w4a16": "sglang"},
    ),
    Family(
        "blackwell-consumer",
        ("rtx-pro-6000-server",),
        engine_of={"gemm/fp8_block": "trtllm", "experts/fp8_block": "sglang"},
    ),
)


def datasheet(device: Device) -> models.Datasheet:
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
    return models.Datasheet(rates, device.memory.bytes_per_s.value, lane.value if lane else None)


class FamilyFit:
    """Fits every kernel kind of one family; ``report`` collects the errors left.

    Parameters
    ----------
    tables
        Kernel tables.
    sheets
        Datasheet of each device id.
    family
        Which devices and engines to use.
    """

    def __init__(
        self, tables: KernelTables, sheets: Mapping[str, models.Datasheet], family: Family
    ) -> None:
        self.tables = tables
        self.sheets = {device: sheets[device] for device in family.devices}
        self.family = family
        self.report: list[str] = []

    def efficiency(self, fitted: dt.date) -> Efficiency:
        """Return the family's constants.

        Raises
        ------
        MissingDataError
            If no engine has a table of a kernel every family needs.
        """
        gemm = self._by_format("gemm", self.tables.gemm, models.gemm_sample, models.gemm_kernels)
        experts = self._by_format(
            "experts",
            self.tables.experts,
            expert_models.experts_sample,
            lambda _: expert_models.experts_kernels(),
        )
        decode = self._one(
            "decode attention",
            self.tables.decode_attention,
            models.decode_sample,
            models.decode_kernels(),
        )
        prefill = self._one(
            "prefill attention",
            self.tables.prefill_attention,
            models.prefill_sample,
            models.prefill_kernels(),
        )
        return Efficiency(
            schema=1,
            id=self.family.id,
            fitted=fitted,
            evidence="calibrated",
            because="fitted to kernel microbenchmarks of the devices named",
            source=(SOURCE,),
            measured_devices=self.family.devices,
            gemm=gemm,
            experts=experts,
            decode_attention=decode,
            prefill_attention=prefill,
            elementwise=self._elementwise(),
            collective=self._collective(),
            notes=self._notes(),
        )

    def _engines(self, kind: str) -> Sequence[str]:
        named = self.family.engine_of.get(kind)
        return ENGINES if named is None else (named,)

    def _by_format(
        self,
        kind: str,
        read: Callable[[str, str], dict[str, Any]],
        sample: Callable[[Any, str, models.Datasheet], fits.Sample],
        kernels: Callable[[str], Sequence[fits.Kernel[T]]],
    ) -> dict[str, T]:
        found: dict[str, T] = {}
        for engine in ENGINES:
            rows = {device: read(device, engine) for device in self.sheets}
            for name in models.WEIGHT_BYTES:
                if name in found or engine not in self._engines(f"{kind}/{name}"):
                    continue
                parts = [
                    sample(rows[device][name], name, sheet)
                    for device, sheet in self.sheets.items()
                    if name in rows[device] and models.PEAK_OF[name] in sheet.flops_per_s
                ]
                if sum(part.seconds.size for part in parts) >= _FEWEST_ROWS:
                    found[name] = self._fit(f"{kind} {name} ({engine})", kernels(name), parts)
        return {name: found[name] for name in models.WEIGHT_BYTES if name in found}

    def _one(
        self,
        kind: str,
        read: Callable[[str, str], Any],
        sample: Callable[[Any, models.Datasheet], fits.Sample],
        kernels: Sequence[fits.Kernel[T]],
    ) -> T:
        for engine in self._engines(kind):
            rows = {device: read(device, engine) for device in self.sheets}
            parts = [
                sample(rows[device], sheet)
                for device, sheet in self.sheets.items()
                if rows[device] is not None
            ]
            if parts:
                return self._fit(f"{kind} ({engine})", kernels, parts)
        msg = f"no table of {kind} for {self.family.id}"
        raise MissingDataError(msg)

    def _elementwise(self) -> Elementwise:
        try:
            found = self._one(
                "elementwise launch",
                self.tables.quantise,
                models.elementwise_sample,
                models.elementwise_kernels(),
            )
        except MissingDataError:
            return ELEMENTWISE
        return msgspec.structs.replace(ELEMENTWISE, launch_s=found.launch_s)

    def _collective(self) -> Collective | None:
        if all(sheet.link_bytes_per_s is None for sheet in self.sheets.values()):
            return None
        return self._one(
            "all-reduce",
            self.tables.all_reduce,
            models.collective_sample,
            models.collective_kernels(),
        )

    def _fit(self, name: str, kernels: Sequence[fits.Kernel[T]], parts: Sequence[fits.Sample]) -> T:
        result = fits.fit_kernel(kernels, fits.join(parts))
        inside, outside = f"{result.in_sample:.1%}", f"{result.held_out:.1%}"
        self.report.append(f"{name}: {inside} in sample, {outside} on left-out shapes")
        return result.constants

    def _notes(self) -> str:
        return "\n".join(
            [
                "Shares of the dense datasheet peak: bf16 for bf16, w4a16, w8a16 and mxfp4; fp8",
                "for fp8, fp8_block and mxfp4_fp8; fp4 for fp4 (nvfp4); int8 for int8.",
                "Elementwise: launches per layer and memory share are prototype values; the launch",
                "is fitted to fp8 quantisation kernels where tables have them, else 2.2 us.",
                "Products move weights and 2 bytes per activation, experts the touched weights.",
                "Attention: 16-bit cache; prefill on heads of 128.",
                *([self.family.notes] if self.family.notes else []),
                "Median errors, engine whose tables were used in brackets:",
                *self.report,
            ]
        )


def to_toml(efficiency: Efficiency) -> str:
    """Return the record as TOML, numbers rounded to three digits.

    Raises
    ------
    MissingDataError
        If ``tomli_w`` isn't installed.
    """
    tomli_w = optional_module("tomli_w")
    plain = msgspec.to_builtins(efficiency, builtin_types=(dt.date,))
    return str(tomli_w.dumps(_tidy(plain), multiline_strings=True))


def _tidy(value: Any) -> Any:
    """Drop what TOML can't say or defaults say already, and digits no fit supports."""
    if isinstance(value, dict):
        kept = {key: _tidy(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def write_family(efficiency: Efficiency, folder: Path) -> Path:
    """Write ``<id>.toml`` into a folder, checking that it reads back; return its path."""
    text = to_toml(efficiency)
    msgspec.toml.decode(text.encode(), type=Efficiency)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{efficiency.id}.toml"
    path.write_text(text, encoding="utf-8")
    return path
