"""Speeds of one device: datasheet figures and fitted constants, with their fallbacks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.errors import MissingDataError
from advisor.schema.efficiency import (
    Collective,
    Efficiency,
    Experts,
    Gemm,
    PrefillAttention,
)


@dataclass(frozen=True)
class Chip:
    """Speeds of one device as the step model needs them.

    Parameters
    ----------
    name
        Shown in error messages.
    peaks
        Peak name → dense operations per second.
    bytes_per_s
        Datasheet memory bandwidth.
    link_bytes_per_s
        Per direction to the other devices of the replica, None if not published.
    efficiency
        Constants of the family.
    cores
        CPU cores used, for dequantisation; 0 off CPU.
    host_per_step_s
        Host time per step that nothing hides.
    tdp_w
        Thermal design power, None if not published.
    routing_evenness
        How alike experts are used (:func:`advisor.perf.roofline.experts_touched`).
    """

    name: str
    peaks: dict[str, float]
    bytes_per_s: float
    link_bytes_per_s: float | None
    efficiency: Efficiency
    cores: int = 0
    host_per_step_s: float = 0.0
    tdp_w: float | None = None
    routing_evenness: float = math.inf

    def peak(self, name: str) -> float:
        """Return a dense peak; raises MissingDataError naming those published."""
        per_core = self.efficiency.fallback_flops_per_s_per_core
        if name == "bf16" and name not in self.peaks and per_core and self.cores:
            return per_core * self.cores
        if name not in self.peaks:
            known = ", ".join(sorted(self.peaks)) or "none"
            msg = f"{self.name}: no {name} peak is published (published: {known})"
            raise MissingDataError(msg)
        return self.peaks[name]

    def peak_of(self, constants: Gemm | Experts | PrefillAttention, name: str) -> float:
        """Return the peak some constants refer to: their own if published, else ``name``."""
        per_joule = self.efficiency.operations_per_joule
        if constants.peak == "power":
            own = self.tdp_w * per_joule if self.tdp_w and per_joule else None
        else:
            own = self.peaks.get(constants.peak) if constants.peak else None
        return self.peak(name) if own is None else own

    @property
    def read_bytes_per_s(self) -> float:
        """Datasheet bandwidth, or what the cores in use or the unit can draw of it."""
        e = self.efficiency
        limits = [self.bytes_per_s]
        if e.bytes_per_s_per_core and self.cores:
            limits.append(e.bytes_per_s_per_core * self.cores)
        if e.max_bytes_per_s:
            limits.append(e.max_bytes_per_s)
        return min(limits)

    def unpack_s_per_weight(self, key: str) -> float:
        """Time all cores together need to unpack one weight of a format, seconds."""
        unpack = self.efficiency.dequantise
        if unpack is None:
            return 0.0
        operations, fp32 = unpack.operations_per_weight.get(key), self.peaks.get("fp32")
        if operations and fp32:
            return operations / fp32
        rate = unpack.weights_per_s_per_core.get(key)
        return 1.0 / (rate * max(self.cores, 1)) if rate else 0.0

    def gemm(self, key: str) -> Gemm:
        """Return the product constants of a format, or the family's bf16 ones.

        Raises
        ------
        MissingDataError
            If the family has neither.
        """
        table = self.efficiency.gemm
        constants = table.get(key) or table.get("bf16")
        if constants is None:
            msg = f"{self.efficiency.id}: no matrix-product constants"
            raise MissingDataError(msg)
        return constants

    def experts(self, key: str) -> Experts:
        """Return grouped-product constants; a family without takes its dense ones."""
        table = self.efficiency.experts
        found = table.get(key) or table.get("bf16")
        if found:
            return found
        g = self.gemm(key)
        return Experts(
            compute_share=g.compute_share,
            memory_share=g.memory_share,
            launch_s=3 * g.launch_s,
            sharpness=g.sharpness,
            peak=g.peak,
        )

    def collective(self) -> tuple[Collective, float]:
        """Return collective constants and the link rate.

        Raises
        ------
        MissingDataError
            If the device publishes no link, or its family has no constants.
        """
        if self.link_bytes_per_s is None or self.efficiency.collective is None:
            msg = f"{self.name}: no published link between devices; one device only (tp 1, pp 1)"
            raise MissingDataError(msg)
        return self.efficiency.collective, self.link_bytes_per_s
