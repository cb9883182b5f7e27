"""What the operating system reports about the machine."""

from __future__ import annotations

import math
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from advisor.errors import MissingDataError

ROOT = Path("/")
ARCHITECTURES = {"x86_64": "x86-cpu", "amd64": "x86-cpu", "aarch64": "arm-cpu", "arm64": "arm-cpu"}
"""Instruction set as Python names it → architecture of the efficiency constants."""
VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class Machine:
    """The processor and its memory.

    Parameters
    ----------
    cores
        Physical cores this process may use, fewer under a container's quota.
    threads
        Hardware threads of those.
    cache_bytes
        All last-level caches together; 0 if the operating system doesn't say.
    memory_bytes
        Total memory, or a container's limit.
    """

    name: str
    vendor: str
    architecture: str
    cores: int
    threads: int
    cpus: frozenset[int]
    cache_bytes: int
    memory_bytes: int


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _field(text: str, *names: str) -> str:
    for name in names:
        found = re.search(rf"(?m)^{name}\s*:\s*(\S.*)$", text)
        if found:
            return found.group(1).strip()
    return ""


def quota_cores(text: str) -> float:
    """Return the cores a container may use, from its ``cpu.max``.

    >>> quota_cores("150000 100000"), quota_cores("max 100000"), quota_cores("")
    (1.5, inf, inf)
    """
    found = re.fullmatch(r"(\d+) (\d+)", text)
    return int(found.group(1)) / int(found.group(2)) if found else math.inf


def size_bytes(text: str) -> int:
    """Return a cache size as Linux writes it.

    >>> size_bytes("32768K"), size_bytes("")
    (33554432, 0)
    """
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(found.group(1)) * UNITS.get(found.group(2), 1) if found else 0


def last_level_cache_bytes(root: Path, cpus: frozenset[int]) -> int:
    """Return the size of the last-level caches these processors share, all together."""
    found: dict[tuple[int, str], int] = {}
    for cpu in cpus:
        for index in (root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
            level, shared = _text(index / "level"), _text(index / "shared_cpu_list")
            if level.isdigit():
                found[int(level), shared] = size_bytes(_text(index / "size"))
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last)


def physical_cores(root: Path, cpus: frozenset[int]) -> int:
    """Return how many cores these processors are: hardware threads of one core count once."""
    folder = root / "sys/devices/system/cpu"
    groups = {_text(folder / f"cpu{c}/topology/thread_siblings_list") or f"cpu{c}" for c in cpus}
    return len(groups)


def _cpus() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _memory_bytes(root: Path) -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError) as error:
        msg = "the operating system doesn't report the size of its memory"
        raise MissingDataError(msg) from error
    limit = _text(root / "sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def read_machine(root: Path = ROOT) -> Machine:
    """Read what is known about this machine.

    Raises
    ------
    MissingDataError
        If its kind of processor has no efficiency constants, or its memory is unknown.
    """
    kind = platform.machine().lower()
    if kind not in ARCHITECTURES:
        msg = f"no efficiency constants for processors of kind {kind or 'unknown'!r}"
        raise MissingDataError(msg, suggestions=sorted(ARCHITECTURES))
    info = _text(root / "proc/cpuinfo")
    vendor = _field(info, "vendor_id")
    cpus = _cpus()
    quota = quota_cores(_text(root / "sys/fs/cgroup/cpu.max"))
    return Machine(
        name=_field(info, "model name", "Model") or platform.processor() or kind,
        vendor=VENDORS.get(vendor, vendor) or "unknown",
        architecture=ARCHITECTURES[kind],
        cores=max(int(min(physical_cores(root, cpus), quota)), 1),
        threads=max(int(min(len(cpus), quota)), 1),
        cpus=cpus,
        cache_bytes=last_level_cache_bytes(root, cpus),
        memory_bytes=_memory_bytes(root),
    )


def blas_name() -> str:
    """Return which BLAS NumPy multiplies with, and its version."""
    # Two-sided overloads of NumPy's stubs don't know the dictionary form.
    config: dict[str, dict[str, dict[str, str]]] = np.show_config(mode="dicts")  # type: ignore
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return " ".join(str(blas.get(k, "")) for k in ("name", "version")).strip() or "unknown BLAS"
