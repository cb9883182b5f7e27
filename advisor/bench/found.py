"""What a measurement found, ready for a table or a profile."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from advisor.bench.llama_bench import LlamaSpeed
from advisor.bench.machine import Machine
from advisor.bench.timing import Sample
from advisor.bench.torch_device import Gpu


@dataclass(frozen=True)
class Found:
    """One measurement of one machine.

    Parameters
    ----------
    machine, date
        What was measured, when.
    read
        Streaming reads, bytes/s, by number of threads.
    best_threads
        The number of threads that read fastest.
    fp32, bf16
        Matrix products with all threads, operations/s; bf16 only with torch.
    unpack
        4-bit weights one NumPy thread unpacks and multiplies per second.
    round_trip_s
        Handing nothing to all threads and waiting.
    blas
        Which BLAS multiplied.
    gpu
        The graphics processor, if it was measured instead.
    llama
        What ``llama-bench`` measured, if it was asked to.
    others
        Cores other processes used meanwhile; None: unknown.
    problems
        Why the numbers can't be trusted, where ``--force`` took them anyway.
    """

    machine: Machine
    date: dt.date
    read: dict[int, Sample]
    best_threads: int
    fp32: Sample | None
    bf16: Sample | None
    unpack: Sample | None
    round_trip_s: Sample | None
    blas: str
    gpu: Gpu | None = None
    llama: LlamaSpeed | None = None
    others: float | None = None
    problems: tuple[str, ...] = ()

    def samples(self) -> dict[str, tuple[Sample, str]]:
        """Return every quantity with its unit, by the name people read."""
        found: dict[str, tuple[Sample | None, str]] = {}
        for n, sample in self.read.items():
            found[f"memory read, {n} thread{'s' * (n > 1)}"] = (sample, "B/s")
        found["float32 products"] = (self.fp32, "FLOP/s")
        found["bf16 products"] = (self.bf16, "FLOP/s")
        found["4-bit mat-vec, NumPy, 1 thread"] = (self.unpack, "weights/s")
        found["thread round trip"] = (self.round_trip_s, "s")
        if self.gpu:
            found["device memory, copy"] = (self.gpu.read, "B/s")
            found["device bf16 products"] = (self.gpu.bf16, "FLOP/s")
            found["kernel round trip"] = (self.gpu.launch_s, "s")
        if self.llama:
            found[f"prefill, {self.llama.model}"] = (self.llama.prefill, "tokens/s")
            found[f"decode, {self.llama.model}"] = (self.llama.decode, "tokens/s")
        return {name: (s, unit) for name, (s, unit) in found.items() if s is not None}

    def deciding(self) -> dict[str, Sample]:
        """Return the quantities an estimate uses; their noise decides whether to refuse."""
        if self.gpu:
            return {"device memory": self.gpu.read, "device bf16 products": self.gpu.bf16}
        found = {"memory read": self.read[self.best_threads]}
        return found | ({"float32 products": self.fp32} if self.fp32 else {})
