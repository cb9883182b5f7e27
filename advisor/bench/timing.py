"""Repeating a piece of work until its rate is known, and how much the repeats differ."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from advisor.errors import InfeasibleError

Clock = Callable[[], float]
"""Returns seconds; only differences count."""
MIN_REPEATS = 5
"""Fewer values have no middle half worth the name."""
MOST_LOOPS = 1_000_000
"""Calls one value is taken over at most, however short they are."""


@dataclass(frozen=True)
class Sample:
    """One quantity measured several times, in the unit of its user.

    >>> s = Sample((10.0, 9.0, 10.0, 4.0, 11.0))
    >>> s.median, s.low, s.high, s.spread
    (10.0, 4.0, 11.0, 0.1)
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Middle value."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """Lowest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """Highest value."""
        return max(self.values)

    @property
    def spread(self) -> float:
        """Width of the middle half over the median, dimensionless.

        One interruption among the repeats widens lowest to highest, not this.
        """
        if len(self.values) < MIN_REPEATS:
            return (self.high - self.low) / self.median
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return (third - first) / self.median


@dataclass(frozen=True)
class Stopwatch:
    """How thoroughly to measure, and on which clock.

    Parameters
    ----------
    repeats
        Values of each quantity.
    least_s
        Each value is taken over at least this time.
    stop_at_s
        Reading of the clock after which measuring is given up.
    clock
        For tests to replace.
    """

    repeats: int
    least_s: float
    stop_at_s: float
    clock: Clock = time.perf_counter

    def once(self, work: Callable[[], object], loops: int = 1) -> float:
        """Return how long so many calls take, seconds.

        Raises
        ------
        InfeasibleError
            If the time for the whole measurement is used up.
        """
        start = self.clock()
        if start > self.stop_at_s:
            msg = "measuring takes too long on this machine, or it is busy; try --quick"
            raise InfeasibleError(msg, limit="busy", suggestions=("--quick",))
        for _ in range(loops):
            work()
        return max(self.clock() - start, 1e-9)

    def times(self, work: Callable[[], object]) -> Sample:
        """Return the time of one call, seconds, each value over as many calls as it needs."""
        self.once(work)
        loops = 1
        while (taken := self.once(work, loops)) < self.least_s and loops < MOST_LOOPS:
            # At most tenfold a time: the first, shortest readings mislead.
            wanted = 1.1 * loops * self.least_s / taken
            loops = int(min(max(wanted, loops + 1), 10 * loops, MOST_LOOPS))
        return Sample(tuple(self.once(work, loops) / loops for _ in range(self.repeats)))

    def rates(self, work: Callable[[], object], amount: float) -> Sample:
        """Return ``amount`` per second of one call."""
        return Sample(tuple(amount / t for t in self.times(work).values))
