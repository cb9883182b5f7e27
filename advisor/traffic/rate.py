"""The rate over time: hours of the day, growth, ramp, and chat traffic's own wandering."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from advisor.errors import UsageError
from advisor.schema.traffic import Floats
from advisor.schema.traffic_facts import CoxGamma
from advisor.schema.workload import HOURS_PER_WEEK, SECONDS_PER_MONTH, Workload
from advisor.traffic.facts import get_diurnal

HOUR_S = 3600.0
YEAR_S = 12 * SECONDS_PER_MONTH
_WEEKDAYS = 5
_RAMP_STEPS = 4096
_MEMORY_FLOOR = 1e-14
_LONGEST_S = 100 * YEAR_S


def week_shape(workload: Workload) -> Floats:
    """Return the rate of each hour of the week, from Monday midnight, over the week's mean.

    Returns
    -------
    ``(168,)`` factors of mean 1.

    Raises
    ------
    UnknownNameError
        If the profile's name is unknown.
    """
    if isinstance(workload.diurnal, tuple):
        weekday = workload.diurnal
        weekend = workload.diurnal_weekend or workload.diurnal
    elif workload.diurnal == "flat":
        return np.ones(HOURS_PER_WEEK)
    else:
        profile = get_diurnal(workload.diurnal)
        weekday, weekend = profile.weekday, profile.weekend
    week = np.concatenate([np.tile(weekday, _WEEKDAYS), np.tile(weekend, 2)])
    return np.asarray(week / week.mean())


def peak_hour(workload: Workload) -> tuple[int, float]:
    """Return the busiest hour of the week (0: Monday midnight) and its rate over the mean."""
    week = week_shape(workload)
    hour = int(np.argmax(week))
    return hour, float(week[hour])


def ornstein_uhlenbeck(noise: Floats, step_s: float, time_constant_s: float) -> Floats:
    """Turn white noise into an Ornstein-Uhlenbeck path of variance 1 at the middle of steps.

    x_k = a x_{k-1} + sqrt(1 - a²) noise_k with a = exp(-step / time constant), by doubling: after
    j rounds every x holds 2^j terms.
    """
    decay = math.exp(-step_s / time_constant_s)
    path = noise * math.sqrt(1 - decay * decay)
    path[:1] = noise[:1]
    reach = 1
    while reach < len(path) and decay**reach > _MEMORY_FLOOR:
        path[reach:] = path[reach:] + decay**reach * path[:-reach]
        reach *= 2
    return path


@dataclass(frozen=True, eq=False)
class Clock:
    """Operational time: the expected number of arrivals up to a time.

    Parameters
    ----------
    times_s, mass
        ``(k,)`` knots, both rising; linear between.
    """

    times_s: Floats
    mass: Floats

    def time_s(self, mass: Floats) -> Floats:
        """Return the times at which so many arrivals are expected."""
        return np.interp(mass, self.mass, self.times_s)

    @property
    def end_mass(self) -> float:
        """Expected arrivals up to the last knot."""
        return float(self.mass[-1])


@dataclass(frozen=True, eq=False)
class Rate:
    """Everything the rate depends on.

    Parameters
    ----------
    mean_per_s
        Mean over the week, now.
    workload
        Hours, growth and ramp.
    wander, seeds
        Law of the random rate, and one seed for each of its two paths; None: none.
    """

    mean_per_s: float
    workload: Workload
    wander: CoxGamma | None = None
    seeds: tuple[np.random.SeedSequence, ...] = ()

    def until(self, end_s: float) -> Clock:
        """Return the clock up to ``end_s``."""
        edges = self._edges(end_s)
        middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        rate = self.mean_per_s * np.ones(len(middle))
        rate *= self._shape(middle)
        if self.workload.arrivals == "ramp":
            start = self.workload.ramp_from
            rate *= start + 2 * (1 - start) * middle / end_s
        if self.wander is not None:
            rate *= self._wandering(self.wander, len(middle))
        return Clock(edges, np.concatenate([[0.0], np.cumsum(rate * width)]))

    def holding(self, mass: float) -> Clock:
        """Return a clock long enough for so many expected arrivals.

        Raises
        ------
        UsageError
            If they don't come within a hundred years, where the rate varies.
        """
        end_s = mass / self.mean_per_s
        if self.workload.arrivals == "ramp":
            return self.until(end_s)
        while True:
            end_s *= 1.1
            clock = self.until(end_s)
            if clock.end_mass > mass:
                return clock

    def _shape(self, middle_s: Floats) -> Floats:
        factor: Floats = np.ones(1)
        if self.workload.diurnal != "flat":
            hours = self.workload.start_hour + middle_s / HOUR_S
            factor = week_shape(self.workload)[hours.astype(np.int64) % HOURS_PER_WEEK]
        if self.workload.growth_per_year:
            factor = factor * (1 + self.workload.growth_per_year) ** (middle_s / YEAR_S)
        return np.asarray(factor, dtype=np.float64)

    def _step_s(self) -> float:
        if self.wander is None:
            return HOUR_S
        return max(self.wander.time_constants_s[0] / 7, 0.5 / self.mean_per_s)

    def _edges(self, end_s: float) -> Floats:
        if self.workload.arrivals == "ramp":
            return np.linspace(0.0, end_s, _RAMP_STEPS + 1)
        flat = self.workload.diurnal == "flat" and not self.workload.growth_per_year
        if self.wander is None and flat:
            return np.array([0.0, end_s])
        if end_s > _LONGEST_S:
            msg = (
                'workload: diurnal, growth_per_year and arrivals = "conversation" reach 100 years; '
                "at this rate the run takes longer: lower requests or duration_s"
            )
            raise UsageError(msg)
        step_s = self._step_s()
        offset_s = (self.workload.start_hour * HOUR_S) % step_s if self.wander is None else 0.0
        count = math.ceil((end_s + offset_s) / step_s)
        edges = np.arange(count + 1) * step_s - offset_s
        edges[0] = 0.0
        if self.wander is None:
            edges[-1] = end_s
        return np.asarray(edges, dtype=np.float64)

    def _wandering(self, law: CoxGamma, count: int) -> Floats:
        step_s = self._step_s()
        log_rate = np.zeros(count)
        for s, constant_s, seed in zip(law.s, law.time_constants_s, self.seeds, strict=True):
            # A step averages the path: variance 2 (x - 1 + e^-x) / x² with x = step / constant.
            x = step_s / constant_s
            variance = math.log1p(s) * 2 * (x + math.expm1(-x)) / (x * x)
            noise = np.random.default_rng(seed).standard_normal(count)
            path = ornstein_uhlenbeck(noise, step_s, constant_s)
            log_rate += math.sqrt(variance) * path - variance / 2
        return np.asarray(np.exp(log_rate), dtype=np.float64)
