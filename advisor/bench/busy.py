"""Who else uses the machine: processor time that went to other processes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from advisor.bench.timing import Clock, Sample
from advisor.errors import InfeasibleError

MAX_OTHERS = 0.5
"""Cores that other processes may use on average."""
MAX_SPREAD = 0.25
"""Of the median; more than that between repeats, and the median means little."""
IDLE_FIELDS = (3, 4)
"""Columns of a line of ``/proc/stat`` that aren't work: idle, waiting for a disk."""
GUEST_FIELDS = 8
"""Columns from here on are already counted in the first ones."""
_STAT = Path("/proc/stat")


def busy_ticks(stat: str, cpus: Collection[int]) -> int:
    r"""Return the clock ticks that so many processors spent on anything but idling.

    Stolen time counts: another virtual machine had the processor.

    >>> busy_ticks("cpu  9 9 9 9\ncpu0 5 1 2 90 7 0 0 3 0 0\ncpu1 1 0 0 99 0 0 0 0\n", {0})
    11
    """
    total = 0
    for number, fields in re.findall(r"(?m)^cpu(\d+) (.*)$", stat):
        if int(number) in cpus:
            values = [int(v) for v in fields.split()[:GUEST_FIELDS]]
            total += sum(v for i, v in enumerate(values) if i not in IDLE_FIELDS)
    return total


def system_busy_s(cpus: Collection[int]) -> Callable[[], float] | None:
    """Return a reading of the processors' busy time, seconds; None where there is none."""
    if not _STAT.is_file():
        return None
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return lambda: busy_ticks(_STAT.read_text(encoding="ascii"), cpus) / ticks_per_s


def own_busy_s() -> float:
    """Return the processor time of this process and those it waited for, seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass
class Meter:
    """Cores in use by others between two readings.

    Parameters
    ----------
    system
        Busy time of all processors, seconds; None: the operating system doesn't say.
    own
        Processor time of this process, seconds.
    clock
        Wall time, seconds.
    """

    system: Callable[[], float] | None
    own: Callable[[], float] = own_busy_s
    clock: Clock = time.perf_counter

    def __post_init__(self) -> None:
        self.restart()

    def _read(self) -> tuple[float, float]:
        return (self.system() - self.own() if self.system else 0.0), self.clock()

    def restart(self) -> None:
        """Count from now on."""
        self._start = self._read()

    def others(self) -> float | None:
        """Return the cores in use by others since the start, on average."""
        if self.system is None:
            return None
        busy, now = self._read()
        return max(busy - self._start[0], 0.0) / max(now - self._start[1], 1e-9)


def problems(others: float | None, samples: dict[str, Sample]) -> list[str]:
    """Return why a measurement can't be trusted; empty if it can."""
    found = []
    if others is not None and others > MAX_OTHERS:
        found.append(f"other processes use {others:.1f} cores")
    for name, sample in samples.items():
        if sample.spread > MAX_SPREAD:
            found.append(f"{name} varies by {100 * sample.spread:.0f}%")
    return found


def refuse(found: list[str]) -> None:
    """Raise InfeasibleError if there are problems."""
    if found:
        msg = f"too busy to measure: {'; '.join(found)}; wait, or measure anyway with --force"
        raise InfeasibleError(msg, limit="busy", suggestions=("--force",))
