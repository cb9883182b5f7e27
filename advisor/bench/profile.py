"""Making a device profile of what was measured, and writing it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from advisor.bench.found import Found
from advisor.bench.table import noise, scaled
from advisor.bench.timing import Sample
from advisor.catalogue.devices import LOCAL
from advisor.catalogue.read import decode
from advisor.errors import InvalidFileError, MissingDataError
from advisor.schema.device import Cores, Device, Memory, Peak
from advisor.schema.fact import Fact, Source

SOURCE = "bench"
SERVER_CORES = 16
"""Machines with at least so many cores count as servers."""


def _fact(found: Found, sample: Sample, how: str) -> Fact:
    count = len(sample.values)
    return Fact(
        value=sample.median,
        low=sample.low,
        high=sample.high,
        source=SOURCE,
        grade="derived",
        note=f"measured by advisor bench {found.date}, median of {count} repeats: {how}",
    )


def _size(found: Found, value: int) -> Fact:
    note = f"reported by the operating system or driver, {found.date}"
    return Fact(value=value, source=SOURCE, grade="derived", note=note)


def _notes(found: Found) -> str:
    lines = ["Written by advisor bench: medians; low and high are the extremes of the repeats."]
    for name, (s, unit) in found.samples().items():
        lines.append(f"{name}: {scaled(s.median, unit)} ({100 * s.spread:.0f}%)")
    return "\n".join([*lines, noise(found)])


def _source(found: Found, name: str) -> tuple[Source, ...]:
    title = f"advisor bench on {name}, {found.date}"
    return (Source(id=SOURCE, title=title, accessed=found.date, date=found.date),)


def cpu_device(found: Found) -> Device:
    """Return the processor as a device."""
    m = found.machine
    server = m.cores >= SERVER_CORES
    n = found.best_threads
    streamed = f"streaming read, {n} thread{'s' * (n > 1)}"
    return Device(
        schema=1,
        id=LOCAL,
        name=f"{m.name} (local)",
        device_class="cpu-server" if server else "pc",
        vendor=m.vendor,
        architecture=m.architecture,
        unit="cpu",
        memory=Memory(
            bytes_per_s=_fact(found, found.read[n], streamed),
            nominal_bytes=_size(found, m.memory_bytes),
            physical_bytes=_size(found, m.memory_bytes),
        ),
        peak=Peak(
            fp32_flops_per_s=_fact(found, found.fp32, found.blas) if found.fp32 else None,
            bf16_flops_per_s=_fact(found, found.bf16, "torch") if found.bf16 else None,
            basis="measured products of square matrices, all threads",
        ),
        cores=Cores(count=m.cores, source=SOURCE, note="available to this user"),
        notes=_notes(found),
        source=_source(found, m.name),
    )


def gpu_device(found: Found) -> Device:
    """Return the graphics processor as a device."""
    gpu = found.gpu
    if gpu is None:
        msg = "no graphics processor was measured"
        raise MissingDataError(msg)
    return Device(
        schema=1,
        id=LOCAL,
        name=f"{gpu.name} (local)",
        device_class="gpu",
        vendor=gpu.vendor,
        architecture=gpu.architecture,
        unit="gpu",
        memory=Memory(
            kind=gpu.memory_kind,
            bytes_per_s=_fact(found, gpu.read, "copy within its memory, bytes read and written"),
            nominal_bytes=_size(found, gpu.memory_bytes),
            physical_bytes=_size(found, gpu.memory_bytes),
        ),
        peak=Peak(
            bf16_flops_per_s=_fact(found, gpu.bf16, "torch"),
            basis="measured products of square matrices",
        ),
        notes=_notes(found),
        source=_source(found, gpu.name),
    )


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: _without_none(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in (None, {}, "")}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value


def profile_toml(device: Device) -> str:
    """Return a device as the text of a profile that reads back the same."""
    import tomli_w

    plain = _without_none(msgspec.to_builtins(device, builtin_types=(type(device.source[0].date),)))
    text = str(tomli_w.dumps(plain, multiline_strings=True))
    decode(text, Device, "the profile")
    return text


def write_profile(device: Device, path: Path) -> None:
    """Write a profile whole or not at all.

    Raises
    ------
    InvalidFileError
        If the folder or file can't be written.
    """
    text = profile_toml(device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".tmp", encoding="utf-8", delete=False
        ) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        msg = f"{path}: can't be written: {error.strerror or error}; give another --out"
        raise InvalidFileError(msg) from error
