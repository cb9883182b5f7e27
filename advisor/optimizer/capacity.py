"""Requests per second one replica serves within the limits of each class.

Open-loop steady states over a grid of batches, all classes in one call
(:func:`advisor.perf.load.open_curve`), and what the asked percentile adds to the mean:

* waiting for prompts, M/G/1: given that one waits, the wait is taken as exponential
  (Kleinrock, Queueing Systems II, 1976, heavy traffic), with the Pollaczek-Khinchine mean;
* the batch, Poisson round its mean: its own percentile decides step time and memory;
* lengths, lognormal with the class's spread.

Excesses over the mean add in quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.problem import Floats
from advisor.perf.load import LoadPoint, Profile, alone, open_curve
from advisor.perf.step import StepModel

GRID = 16
LEAST_BATCH = 0.02
NO_LIMIT_S = 1e9


@dataclass(frozen=True, eq=False)
class Asked:
    """Lengths and limits of the classes as ``(C, 1)`` columns.

    ``hidden``: those of the ``osl`` tokens that reason unseen; the limit on the first token
    counts to the first one of the answer, behind them.
    """

    isl: Floats
    osl: Floats
    isl_cv: Floats
    osl_cv: Floats
    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats
    tail: Floats
    z: Floats
    hidden: Floats = field(default_factory=lambda: np.zeros((1, 1)))

    def key(self) -> bytes:
        """Return what tells lengths and percentiles apart, limits left out."""
        columns = (self.isl, self.osl, self.isl_cv, self.osl_cv, self.tail, self.z, self.hidden)
        return np.concatenate([c.ravel() for c in columns]).tobytes()


def asked_of(classes: Sequence[ClassDemand], slo_factor: float = 1.0) -> Asked:
    """Collect the classes' columns; ``slo_factor`` multiplies every limit."""
    from statistics import NormalDist

    def column(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=float)[:, None]

    def limit(name: str) -> Floats:
        limits = [getattr(c.slo, name) for c in classes]
        return column([NO_LIMIT_S if v is None else v * slo_factor for v in limits])

    shares = [c.slo.percentile / 100.0 for c in classes]
    return Asked(
        isl=column([c.isl_tokens for c in classes]),
        osl=column([c.osl_tokens for c in classes]),
        isl_cv=column([c.isl_cv for c in classes]),
        osl_cv=column([c.osl_cv for c in classes]),
        ttft_s=limit("ttft_s"),
        tpot_s=limit("tpot_s"),
        e2e_s=limit("e2e_s"),
        tail=column([1.0 - s for s in shares]),
        z=column([NormalDist().inv_cdf(s) for s in shares]),
    )


@dataclass(frozen=True, eq=False)
class Capacity:
    """What one replica serves of each class alone; 0 where the class's limits can't be kept.

    Parameters
    ----------
    per_s
        ``(C,)`` largest rate within the limits.
    load
        ``(C,)`` that rate over the rate of a full batch.
    ttft_s, tpot_s, e2e_s
        ``(C,)`` percentiles at that rate.
    running
        ``(C,)`` mean batch there.
    """

    per_s: Floats
    load: Floats
    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats
    running: Floats

    def held_to(self, load: float) -> Floats:
        """Return rates at a common load, so that classes may share a replica."""
        whole = np.divide(self.per_s, self.load, out=np.zeros_like(self.per_s), where=self.load > 0)
        return np.asarray(np.where(self.per_s > 0, whole * np.minimum(load, self.load), 0.0))


def long_share(cv: Floats, z: Floats) -> Floats:
    """Length at a percentile over the mean length, lognormal of this spread."""
    sigma2 = np.log1p(cv**2)
    return np.asarray(np.exp(z * np.sqrt(sigma2) - sigma2 / 2.0))


@dataclass(frozen=True, eq=False)
class LoadCurve:
    """A replica from idle to full, ``(C, grid)``: mean batch, what it serves, percentiles there.

    Limits have no part in it: other limits on the same lengths read the same curve.
    """

    batch: Floats
    point: LoadPoint
    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats


def capacity_of(model: StepModel, profile: Profile, asked: Asked, sequences: Floats) -> Capacity:
    """Find the largest rate of each class; see :func:`curve_of` and :func:`within_limits`."""
    return within_limits(curve_of(model, profile, asked, sequences), asked, sequences)


def curve_of(model: StepModel, profile: Profile, asked: Asked, sequences: Floats) -> LoadCurve:
    """Return what a replica does for each class alone, over the mean batch.

    Parameters
    ----------
    model, profile
        Step times and scheduler; the profile's lengths are replaced.
    asked
        Lengths and percentiles of the classes; their limits aren't read.
    sequences
        ``(C,)`` sequences that fit in memory at once.
    """
    most = np.maximum(sequences[:, None], 1.0)
    # A batch whose percentile still fits: B + z sqrt(B) <= most.
    top = np.maximum((np.sqrt(asked.z**2 / 4 + most) - asked.z / 2) ** 2, LEAST_BATCH)
    single = most <= 1.0
    top = np.where(single, 1.0 - asked.tail, top)
    batch = LEAST_BATCH * (top / LEAST_BATCH) ** np.linspace(0.0, 1.0, GRID)[None, :]
    shaped = replace(profile, isl_tokens=asked.isl, osl_tokens=asked.osl)
    point = open_curve(model, shaped, batch)
    return LoadCurve(batch, point, *_percentiles(asked, point))


def within_limits(curve: LoadCurve, asked: Asked, sequences: Floats) -> Capacity:
    """Return the largest rate of each class that keeps its limits."""
    batch, point = curve.batch, curve.point
    ttft, tpot, e2e = curve.ttft_s, curve.tpot_s, curve.e2e_s
    over = np.maximum(np.maximum(ttft / asked.ttft_s, tpot / asked.tpot_s), e2e / asked.e2e_s)
    at = _last_within(over)
    rate = _pick(point.requests_per_s, at)
    within = (over[:, 0] <= 1.0) & (sequences >= 1)
    return Capacity(
        per_s=np.where(within, rate, 0.0),
        load=np.where(within, rate / point.requests_per_s[:, -1], 0.0),
        ttft_s=_pick(ttft, at),
        tpot_s=_pick(tpot, at),
        e2e_s=_pick(e2e, at),
        running=_pick(batch, at),
    )


def unloaded(model: StepModel, profile: Profile, asked: Asked) -> tuple[Floats, Floats, Floats]:
    """Return TTFT, TPOT and end-to-end percentiles of a device that serves one request at a time.

    Only lengths spread then: nobody waits.
    """
    shaped = replace(profile, isl_tokens=asked.isl, osl_tokens=asked.osl)
    one = np.ones_like(asked.isl)
    decode, prompt, first = alone(model, shaped, one)
    long_prompt, long_answer = long_share(asked.isl_cv, asked.z), long_share(asked.osl_cv, asked.z)
    late = prompt * (long_prompt - 1.0)
    answer = (asked.osl - 1.0) * decode
    over = np.hypot(late, asked.osl * (long_answer - 1.0) * decode)
    unseen = asked.hidden * (long_answer - 1.0) * decode
    late = np.where(asked.hidden > 0, np.hypot(late, unseen), late)
    ttft = first + late + asked.hidden * decode
    return ttft[:, 0], (decode * one)[:, 0], (first + answer + over)[:, 0]


def busy_s(model: StepModel, profile: Profile, asked: Asked) -> Floats:
    """``(C,)`` seconds a device that serves one request at a time works on a mean one."""
    shaped = replace(profile, isl_tokens=asked.isl, osl_tokens=asked.osl)
    decode, _, first = alone(model, shaped, np.ones_like(asked.isl))
    return np.asarray((first + (asked.osl - 1.0) * decode)[:, 0])


def _percentiles(asked: Asked, point: LoadPoint) -> tuple[Floats, Floats, Floats]:
    """Percentiles of TTFT, TPOT and end-to-end time at every load of the grid."""
    load, rate, step, batch = (
        point.prefill_share,
        point.requests_per_s,
        point.step_s,
        point.running,
    )
    prompt = load / rate
    long_prompt, long_answer = long_share(asked.isl_cv, asked.z), long_share(asked.osl_cv, asked.z)
    mean_wait = load * prompt * (1.0 + asked.isl_cv**2) / (2.0 * (1.0 - load))
    waits = load > asked.tail
    given_wait = mean_wait / np.maximum(load, 1e-12)
    tail_wait = np.where(waits, given_wait * np.log(np.maximum(load / asked.tail, 1.0)), 0.0)
    # The mean of open_curve counts equal prompts; unequal ones wait longer.
    mean_ttft = point.ttft_s + mean_wait - load * prompt / (2.0 * (1.0 - load))
    ttft_over = np.hypot(np.maximum(tail_wait - mean_wait, 0.0), prompt * (long_prompt - 1.0))
    full = batch + asked.z * np.sqrt(batch)
    tail_step = np.stack([np.interp(f, b, s) for f, b, s in zip(full, batch, step, strict=True)])
    # Beyond the grid's end the batch is full: its step is the last one.
    tpot = np.maximum(tail_step, step)
    mean_e2e = mean_ttft + (asked.osl - 1.0) * step
    e2e_over = np.hypot(
        np.hypot(ttft_over, asked.osl * (tpot - step)), asked.osl * (long_answer - 1.0) * step
    )
    # Whoever reasons unseen shows the first token of the answer so many steps later.
    unseen = np.hypot(asked.hidden * (tpot - step), asked.hidden * (long_answer - 1.0) * step)
    shown = mean_ttft + asked.hidden * step + np.hypot(ttft_over, unseen)
    return shown, tpot, mean_e2e + e2e_over


def _last_within(over: Floats) -> Floats:
    """Fractional grid position up to which every load keeps the limits, ``(C,)``."""
    broken = over > 1.0
    first = np.where(broken.any(axis=1), broken.argmax(axis=1), over.shape[1])
    low = np.clip(first - 1, 0, over.shape[1] - 1)
    high = np.clip(first, 0, over.shape[1] - 1)
    rows = np.arange(len(over))
    a, b = over[rows, low], over[rows, high]
    part = np.where((high > low) & (b > a), (1.0 - a) / np.maximum(b - a, 1e-12), 0.0)
    return np.asarray(low + np.clip(part, 0.0, 1.0))


def _pick(values: Floats, at: Floats) -> Floats:
    """Interpolate each row at a fractional position."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, values.shape[1] - 1)
    rows, part = np.arange(len(at)), at - low
    return np.asarray(values[rows, low] * (1.0 - part) + values[rows, high] * part)


def mean_context(asked: Asked) -> Floats:
    """``(C,)`` tokens a running sequence holds on average: long answers are met more often.

    ``isl + osl (1 + cv^2) / 2``: the mean age of a renewal (Cox, Renewal Theory, 1962).
    """
    context = asked.isl + asked.osl * (1.0 + asked.osl_cv**2) / 2.0
    return np.asarray(context[:, 0])
