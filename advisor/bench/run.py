"""The whole measurement, from the busy check to the numbers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from advisor.bench import busy, kernels, torch_device
from advisor.bench.found import Found
from advisor.bench.llama_bench import LlamaSpeed, run_llama_bench
from advisor.bench.machine import Machine, blas_name, read_machine
from advisor.bench.timing import MIN_REPEATS, Clock, Stopwatch
from advisor.errors import InfeasibleError

LONGEST_S = 60.0
"""Measuring is given up after this time; ``llama-bench`` has its own limit."""
IDLE_S = 1.0
"""How long the machine is watched before measuring."""
CACHE_MULTIPLE = 4
"""The array that is read is so many times larger than the last-level caches."""
LEAST_ARRAY_BYTES = 2**28
MEMORY_SHARE = 8
"""And never more than one part in so many of memory."""
Tell = Callable[[str], None]
Unit = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Options:
    """How to measure.

    Parameters
    ----------
    quick
        Fewer, shorter repeats.
    force
        Measure even if the machine is busy.
    unit
        Processor or graphics processor; None: the latter if torch sees one.
    gguf
        Model file to run ``llama-bench`` on.
    """

    quick: bool = False
    force: bool = False
    unit: Unit | None = None
    gguf: Path | None = None

    @property
    def repeats(self) -> int:
        """Values of each quantity."""
        return MIN_REPEATS if self.quick else 11

    @property
    def least_s(self) -> float:
        """Shortest time one value is taken over."""
        return 0.05 if self.quick else 0.15


@dataclass(frozen=True)
class World:
    """What the measurement touches besides the machine's speed; tests replace it.

    ``today`` is a function, so that a profile carries the day of the measurement.
    """

    machine: Callable[[], Machine] = read_machine
    torch: Callable[[], Any | None] = torch_device.installed_torch
    clock: Clock = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    own: Callable[[], float] = busy.own_busy_s
    system: Callable[[Machine], Callable[[], float] | None] = lambda m: busy.system_busy_s(m.cpus)
    llama: Callable[[Path, int, int, bool], LlamaSpeed] = run_llama_bench
    today: Callable[[], dt.date] = dt.date.today


REAL = World()


def array_bytes(machine: Machine) -> int:
    """Return the size of the array to read: beyond all caches, well within memory."""
    wanted = max(CACHE_MULTIPLE * machine.cache_bytes, LEAST_ARRAY_BYTES)
    return min(wanted, machine.memory_bytes // MEMORY_SHARE) // 8 * 8


def _measure_cpu(
    machine: Machine, torch: Any | None, watch: Stopwatch, today: dt.date, tell: Tell
) -> Found:
    tell("memory")
    threads = kernels.thread_counts(machine.threads)
    read = kernels.read_rates(watch, array_bytes(machine), threads)
    tell("float32 products")
    side = kernels.largest_side(machine.memory_bytes)
    fp32 = kernels.grow(watch, kernels.float32_product, side)
    bf16 = None
    if torch is not None:
        tell("bf16 products")
        bf16 = torch_device.cpu_bf16_rate(torch, watch, machine.memory_bytes)
    tell("unpacking")
    unpack = kernels.unpack_rate(watch)
    tell("latency")
    waiting = kernels.round_trip_s(watch, machine.threads)
    fastest = kernels.best(read)
    return Found(machine, today, read, fastest, fp32, bf16, unpack, waiting, blas_name())


def _measure_gpu(
    machine: Machine, torch: Any, watch: Stopwatch, today: dt.date, tell: Tell
) -> Found:
    gpu = torch_device.measure_gpu(torch, watch, tell)
    return Found(machine, today, {}, 0, None, None, None, None, "torch", gpu=gpu)


def measure(options: Options, tell: Tell, world: World = REAL) -> Found:
    """Measure this machine.

    Parameters
    ----------
    options
        How.
    tell
        Called with the name of each stage before it starts.
    world
        Everything else it touches.

    Raises
    ------
    InfeasibleError
        If the machine is too busy, unless forced, or too slow; if it has no such unit.
    MissingDataError
        If its kind isn't known, or ``llama-bench`` is missing.
    """
    machine, torch = world.machine(), world.torch()
    unit = options.unit or ("gpu" if torch_device.has_gpu(torch) else "cpu")
    if unit == "gpu" and not torch_device.has_gpu(torch):
        msg = "no graphics processor: torch isn't installed, or doesn't see one"
        raise InfeasibleError(msg, suggestions=("--unit cpu",))
    meter = busy.Meter(world.system(machine), world.own, world.clock)
    tell("load of the machine")
    world.sleep(IDLE_S)
    before = busy.problems(meter.others(), {})
    if not options.force:
        busy.refuse(before)
    meter.restart()
    stop_at = world.clock() + LONGEST_S
    watch = Stopwatch(options.repeats, options.least_s, stop_at, world.clock)
    run = _measure_gpu if unit == "gpu" else _measure_cpu
    found = run(machine, torch, watch, world.today(), tell)
    others = meter.others()
    after = busy.problems(others, found.deciding())
    if not options.force:
        busy.refuse(after)
    problems = tuple(dict.fromkeys([*before, *after]))
    llama = None
    if options.gguf is not None:
        tell("llama-bench")
        llama = world.llama(options.gguf, machine.cores, MIN_REPEATS, unit == "gpu")
    return replace(found, llama=llama, others=others, problems=problems)
