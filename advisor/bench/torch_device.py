"""Measuring with torch: a CUDA or ROCm device, and 16-bit products of the processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from advisor.bench.kernels import grow, largest_side
from advisor.bench.timing import Sample, Stopwatch
from advisor.errors import MissingDataError

COPY_SHARE = 8
"""A copy reads and writes arrays of one part in so many of the device's memory."""
CAPABILITIES = {
    (7, 5): "turing",
    (8, 0): "ampere",
    (8, 6): "ampere",
    (8, 9): "ada",
    (9, 0): "hopper",
    (10, 0): "blackwell",
    (10, 3): "blackwell-ultra",
    (12, 0): "blackwell-consumer",
    (12, 1): "blackwell-consumer",
}
"""CUDA compute capability → architecture of the efficiency constants."""
HBM = ("hopper", "blackwell", "blackwell-ultra", "cdna")
HBM_CAPABILITIES = ((8, 0),)
"""Stacked memory, which some constants ask for: whole architectures, and parts of others."""


@dataclass(frozen=True)
class Gpu:
    """What a graphics processor is, and how fast.

    Parameters
    ----------
    memory_kind
        ``"HBM"`` where its architecture says so, else empty.
    read
        Bytes read and written per second by a copy in its memory.
    bf16
        Operations per second of the fastest square bf16 product.
    launch_s
        Time from launching one empty kernel to its end.
    """

    name: str
    vendor: str
    architecture: str
    memory_kind: str
    memory_bytes: int
    read: Sample
    bf16: Sample
    launch_s: Sample


def installed_torch() -> Any | None:
    """Return the torch module, None if it isn't installed."""
    return import_module("torch") if find_spec("torch") else None


def has_gpu(torch: Any | None) -> bool:
    """Return whether torch sees a graphics processor."""
    return bool(torch is not None and torch.cuda.is_available())


def architecture_of(properties: Any) -> tuple[str, str]:
    """Return vendor and architecture of a device that torch describes.

    Raises
    ------
    MissingDataError
        If it is none that the efficiency constants know.
    """
    gfx = getattr(properties, "gcnArchName", "")
    if gfx.startswith("gfx"):
        return "AMD", "cdna" if gfx.startswith("gfx9") else "rdna"
    capability = (properties.major, properties.minor)
    if capability not in CAPABILITIES:
        known = sorted(set(CAPABILITIES.values()))
        msg = (
            f"{properties.name}: no efficiency constants for compute capability "
            f"{'.'.join(map(str, capability))}; measure the processor with --unit cpu"
        )
        raise MissingDataError(msg, suggestions=["--unit cpu", *known])
    return "NVIDIA", CAPABILITIES[capability]


def _synchronised(torch: Any, work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        work()
        return torch.cuda.synchronize()

    return run


def product(torch: Any, device: str) -> Callable[[int], Callable[[], object]]:
    """Return a maker of bf16 products of two square matrices on a torch device."""

    def make(side: int) -> Callable[[], object]:
        a, b = (torch.ones((side, side), dtype=torch.bfloat16, device=device) for _ in range(2))

        def work() -> object:
            return torch.matmul(a, b)

        return work if device == "cpu" else _synchronised(torch, work)

    return make


def cpu_bf16_rate(torch: Any, watch: Stopwatch, memory_bytes: float) -> Sample:
    """Return the processor's bf16 matrix rate, operations/s."""
    return grow(watch, product(torch, "cpu"), largest_side(memory_bytes, 2))


def _copy_rate(torch: Any, watch: Stopwatch, size_bytes: int) -> Sample:
    source, target = (torch.ones(size_bytes, dtype=torch.uint8, device="cuda") for _ in range(2))
    return watch.rates(_synchronised(torch, lambda: target.copy_(source)), 2.0 * size_bytes)


def measure_gpu(torch: Any, watch: Stopwatch, tell: Callable[[str], None]) -> Gpu:
    """Measure the first device torch sees."""
    properties = torch.cuda.get_device_properties(0)
    vendor, architecture = architecture_of(properties)
    memory = int(properties.total_memory)
    tell(f"{properties.name}: memory")
    read = _copy_rate(torch, watch, memory // COPY_SHARE)
    tell(f"{properties.name}: bf16 products")
    bf16 = grow(watch, product(torch, "cuda"), largest_side(memory, 2))
    tell(f"{properties.name}: latency")
    one = torch.ones(1, dtype=torch.bfloat16, device="cuda")
    launch = watch.times(_synchronised(torch, lambda: one.copy_(one)))
    stacked = architecture in HBM or (properties.major, properties.minor) in HBM_CAPABILITIES
    kind = "HBM" if stacked else ""
    return Gpu(properties.name, vendor, architecture, kind, memory, read, bf16, launch)
