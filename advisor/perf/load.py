"""From step times to TTFT, TPOT and throughput under a steady load.

Two closed forms on top of the step model (``docs/method.md``, "Load"):

* closed loop: so many clients, each sends its next request when the last answer ends;
* open loop: Poisson arrivals at a rate; prefill work waits as in an M/D/1 queue
  (Kleinrock, Queueing Systems I, 1975, section 5.8; Little's law for the batch).

The start-up transient of a benchmark run is not modelled here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from advisor.perf.roofline import Array
from advisor.perf.step import Batch, StepModel
from advisor.schema.engine import NO_COST, EngineCost


@dataclass(frozen=True)
class Profile:
    """Lengths of a request (numbers, or arrays for several kinds) and limits of the scheduler.

    ``max_step_tokens`` bounds decodes plus prompt tokens of a step; ``max_sequences`` bounds
    the running batch of one attention rank (memory and engine limit together).
    """

    isl_tokens: Any
    osl_tokens: Any
    max_step_tokens: float
    max_sequences: float
    prefill_alone: bool = False
    cost: EngineCost = NO_COST


@dataclass(frozen=True)
class LoadPoint:
    """Steady-state figures of one attention rank; arrays broadcast over the load.

    ``stable`` False: demand exceeds capacity, and times are infinite.
    """

    running: Array
    ttft_s: Array
    tpot_s: Array
    step_s: Array
    prefill_share: Array
    requests_per_s: Array
    stable: Array

    def at(self, index: int) -> LoadPoint:
        """Pick one load of several."""
        picked = (np.asarray(getattr(self, f.name)).reshape(-1)[index] for f in fields(self))
        return LoadPoint(*(np.asarray(value) for value in picked))


@dataclass(frozen=True)
class _Steps:
    decode_s: Array
    prompt_s: Array
    chunk_steps: Array


def _steps(model: StepModel, profile: Profile, sequences: Array, prompts: Array) -> _Steps:
    """Time of a decode step, and what one prompt adds to the steps that carry it.

    A prompt fills the budget of as many steps as it needs; its last piece may share a step
    with others'. With a pipeline a token passes all stages: the step of one micro-batch is the
    whole latency, and the other micro-batches fill the stages meanwhile.
    """
    stages, isl = model.pipeline_stages, profile.isl_tokens
    running = sequences / stages
    context = isl + profile.osl_tokens / 2.0
    # The sequence whose prompt this is doesn't decode meanwhile.
    budget = np.maximum(profile.max_step_tokens - np.maximum(running - 1.0, 0.0), 1.0)
    whole = np.ceil(isl / budget) - 1.0
    last = isl - whole * budget
    together = np.where(whole > 0, 1.0, np.clip(prompts / stages, 1.0, np.maximum(budget / isl, 1)))
    cost = profile.cost
    host = cost.per_step_s + running * cost.per_sequence_s
    decode = model.seconds(Batch(running, context)) * cost.kernel_factor + host
    base = np.zeros_like(running) if profile.prefill_alone else running

    def added(chunks: Array, chunk: Array, offset: Array, finishing: Array) -> Array:
        batch = Batch(base, context, chunks, chunk, offset, finishing)
        mixed = model.seconds(batch) * cost.kernel_factor + host
        return np.asarray(mixed if profile.prefill_alone else mixed - decode)

    prompt = added(together, last, whole * budget, together) / together
    if whole.any():
        # Of the full pieces, the middle one has the mean cost: attention grows evenly.
        middle = np.maximum(whole - 1.0, 0.0) / 2.0 * budget
        one = np.ones_like(running)
        prompt = prompt + whole * added(one, np.minimum(budget, isl), middle, 0.0 * one)
    return _Steps(decode, np.asarray(prompt), whole + 1.0)


def closed_loop(model: StepModel, profile: Profile, concurrency: ArrayLike) -> LoadPoint:
    """Solve the steady state of ``concurrency`` clients without think time.

    Every request needs one prefill and ``osl - 1`` decode steps; in the time of ``osl``
    steps each client sends one prompt, whose prefill delays all others.

    Parameters
    ----------
    model, profile
        Step times, lengths and limits of one attention rank.
    concurrency
        Clients of this rank.
    """
    clients = np.asarray(concurrency, dtype=float)
    osl, isl = profile.osl_tokens, profile.isl_tokens
    # Prompt tokens a step can carry bound how many sequences keep decoding.
    budget = profile.max_step_tokens * model.pipeline_stages
    carried = (osl - 1.0) * budget / (isl + osl - 1.0) if osl > 1 else 1.0
    running = np.minimum(np.minimum(clients, profile.max_sequences), np.maximum(carried, 1.0))
    steps = _steps(model, profile, running, running / osl)
    waves = running / osl
    step_s = steps.decode_s + waves * steps.prompt_s
    others = (running - 1.0) / osl * steps.prompt_s
    tpot = steps.decode_s + np.maximum(others, 0.0)
    service = steps.decode_s * steps.chunk_steps + steps.prompt_s + np.maximum(others, 0.0)
    if profile.prefill_alone:
        service = steps.prompt_s + np.maximum(others, 0.0)
    service = service + profile.cost.per_request_s
    cycle = service + (osl - 1.0) * tpot
    rate = running / cycle
    queued = np.maximum(clients - running, 0.0) / rate
    return LoadPoint(
        running=running,
        ttft_s=service + queued,
        tpot_s=tpot,
        step_s=step_s,
        prefill_share=np.clip(rate * steps.prompt_s, 0.0, 1.0),
        requests_per_s=rate,
        stable=np.ones_like(running, dtype=bool),
    )


def open_curve(model: StepModel, profile: Profile, running: ArrayLike) -> LoadPoint:
    """Return the open-loop steady state by the mean batch it keeps, all loads in one call.

    The inverse of :func:`open_loop`: with the batch given, ``rate = B / (osl x d + B x p)``
    needs no iteration. ``isl_tokens`` and ``osl_tokens`` of the profile may be arrays that
    broadcast with ``running``.
    """
    batch = np.asarray(running, dtype=float)
    steps = _steps(model, profile, batch, np.asarray(1.0))
    rate = batch / (profile.osl_tokens * steps.decode_s + batch * steps.prompt_s)
    load = rate * steps.prompt_s
    step_s = steps.decode_s / (1.0 - load)
    wait = load * steps.prompt_s / (2.0 * (1.0 - load)) + step_s / 2.0
    first = steps.prompt_s + steps.decode_s * steps.chunk_steps + profile.cost.per_request_s
    return LoadPoint(
        running=batch,
        ttft_s=wait + first,
        tpot_s=np.asarray(step_s),
        step_s=np.asarray(step_s),
        prefill_share=np.asarray(load),
        requests_per_s=np.asarray(rate),
        stable=np.asarray(batch <= profile.max_sequences, dtype=bool),
    )


def alone(model: StepModel, profile: Profile, one: Array) -> tuple[Array, Array, Array]:
    """Return decode step, prompt time and first-token time of a request nobody else disturbs.

    ``one``: an array of ones, as the profile's lengths broadcast.
    """
    steps = _steps(model, profile, one, np.asarray(1.0))
    first = steps.prompt_s + steps.decode_s * steps.chunk_steps + profile.cost.per_request_s
    return steps.decode_s, steps.prompt_s, np.asarray(first)


def open_loop(model: StepModel, profile: Profile, rate_per_s: float, rounds: int = 60) -> LoadPoint:
    """Solve the steady state under Poisson arrivals by fixed-point iteration.

    With s the mean step and p what one prompt adds: ``s = d(B) / (1 - rate p)`` and, by
    Little's law, ``B = rate x osl x s``. Unstable when prefill alone fills the device or the
    batch exceeds its limit.
    """
    running = np.asarray(1.0)
    osl = profile.osl_tokens
    step_s, load, steps = np.asarray(np.inf), 1.0, None
    for _ in range(rounds):
        steps = _steps(model, profile, running, np.asarray(1.0))
        load = float(rate_per_s * steps.prompt_s)
        if load >= 1.0:
            break
        step_s = steps.decode_s / (1.0 - load)
        wanted = np.asarray(rate_per_s * osl * step_s)
        if float(wanted) > profile.max_sequences * 1.5:
            running = wanted
            break
        if abs(float(wanted - running)) < 1e-9 * max(float(running), 1.0):
            running = wanted
            break
        running = 0.5 * (running + wanted)
    stable = load < 1.0 and float(running) <= profile.max_sequences
    if steps is None or not stable:
        infinite = np.asarray(np.inf)
        return LoadPoint(
            running=np.asarray(float(profile.max_sequences)),
            ttft_s=infinite,
            tpot_s=infinite,
            step_s=infinite,
            prefill_share=np.asarray(min(load, 1.0)),
            requests_per_s=np.asarray(rate_per_s),
            stable=np.asarray(False),
        )
    wait = load * steps.prompt_s / (2.0 * (1.0 - load)) + step_s / 2.0
    return LoadPoint(
        running=running,
        ttft_s=wait
        + steps.prompt_s
        + steps.decode_s * steps.chunk_steps
        + profile.cost.per_request_s,
        tpot_s=np.asarray(step_s),
        step_s=np.asarray(step_s),
        prefill_share=np.asarray(load),
        requests_per_s=np.asarray(rate_per_s),
        stable=np.asarray(True),
    )
