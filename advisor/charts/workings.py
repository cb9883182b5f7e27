"""What stands behind an estimate's steps: points and roofs of a roofline, seconds by operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.estimator.overlays import as_measured, measured_steps, overlaid, overlays_of
from advisor.estimator.result import EstimateResult
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.perf.step import Batch, StepModel

BATCHES = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class StepPoint:
    """One step of one device: operations per byte it moves, and operations per second."""

    phase: str
    batch: int
    flops_per_byte: float
    flops_per_s: float
    seconds: float


@dataclass(frozen=True)
class Workings:
    """Roofs of a device and the scenario's steps under them.

    ``peak_flops_per_s`` and ``bytes_per_s`` are the datasheet's; the ``reached`` ones what the
    fitted constants say that products reach of them.
    """

    peak_flops_per_s: float
    bytes_per_s: float
    reached_flops_per_s: float
    reached_bytes_per_s: float
    points: tuple[StepPoint, ...]


def _point(model: StepModel, phase: str, batch: int, step: Batch) -> StepPoint:
    found = model.step(step)
    seconds = float(found.seconds)
    return StepPoint(
        phase,
        batch,
        float(found.flops) / float(found.moved_bytes),
        float(found.flops) / seconds,
        seconds,
    )


def _setup(r: EstimateResult) -> Setup:
    files = overlays_of(r.request)
    asked, _ = as_measured(r.request, files)
    return overlaid(resolve(asked), r.layout, asked, files)


def workings(r: EstimateResult) -> Workings:
    """Return the roofs of the estimate's device and its decode and prefill steps.

    Decode at the batches of ``BATCHES`` that fit one replica, prefill of one prompt cut as the
    engine cuts it; both of one device.
    """
    setup = _setup(r)
    model = measured_steps(setup, step_model(setup, r.layout))
    room = max(r.memory.sequences.value / r.layout.replicas / r.layout.dp, 1.0)
    context = r.request.isl_tokens + r.request.osl_tokens / 2.0
    points = [
        _point(model, "decode", n, Batch(sequences=float(n), context_tokens=context))
        for n in BATCHES
        if n <= room
    ]
    scheduler = setup.engine.scheduler.max_step_tokens.value
    chunk = min(float(r.request.isl_tokens), setup.cost.step_tokens or scheduler)
    points.append(_point(model, "prefill", 1, Batch(chunks=1.0, chunk_tokens=chunk)))
    gemm = setup.chip.gemm(setup.weights.gemm)
    peak = setup.chip.peak_of(gemm, setup.weights.compute)
    return Workings(
        peak_flops_per_s=peak,
        bytes_per_s=setup.chip.bytes_per_s,
        reached_flops_per_s=gemm.compute_share * peak,
        reached_bytes_per_s=gemm.memory_share * setup.chip.read_bytes_per_s,
        points=tuple(points),
    )


def roof(
    peak_flops_per_s: float, bytes_per_s: float, low: float, high: float
) -> tuple[list[float], list[float]]:
    """Return a roof's corner points between two intensities (operations per byte)."""
    ridge = peak_flops_per_s / bytes_per_s
    x = sorted({low, min(max(ridge, low), high), high})
    return x, [float(np.minimum(v * bytes_per_s, peak_flops_per_s)) for v in x]
