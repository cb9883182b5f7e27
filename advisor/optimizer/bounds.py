"""Lower bounds of time and memory, all combinations in one array: what needn't be looked at.

A replica can't be faster than its products at the datasheet's peak and its cache reads at the
datasheet's bandwidth; weights are read once for a full batch. Bounds hold whatever the fitted
constants say, so that pruning by them loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.catalogue.devices import efficiency_for
from advisor.catalogue.engines import get_engine, get_format, kv_bits
from advisor.errors import MissingDataError
from advisor.estimator.setup import peaks_of, physical_bytes
from advisor.optimizer.capacity import Asked, mean_context
from advisor.optimizer.hardware import Hardware
from advisor.optimizer.models import ModelChoice
from advisor.optimizer.problem import Bools, Floats
from advisor.perf.memory import kv_bytes_per_sequence, weight_bytes
from advisor.schema.engine import Engine, WeightFormat

LEAST_BITS = 8.0
"""``precisions = "any"`` means weights of 8 bits or more, and each model's own format."""
SLACK = 1.25
"""Engines overlap kernels: a step may take less than the sum of its products (kernel factors
fitted so far are 0.83 and more)."""
FASTER_THAN_PEAK = 1.15
"""Measured bandwidth may exceed the datasheet's by a little (boost clocks)."""


@dataclass(frozen=True)
class Variant:
    """A model in a format under an engine."""

    model: ModelChoice
    engine: Engine
    weights: WeightFormat


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of every (variant, device, size): V x D x S.

    Parameters
    ----------
    sizes
        ``(S,)`` devices of a replica.
    possible
        The format runs there, memory suffices, and the shortest answer keeps a limit.
    request_s
        ``(V, D, S, C)`` replica-seconds one request takes at least.
    """

    variants: tuple[Variant, ...]
    sizes: tuple[int, ...]
    possible: Bools
    request_s: Floats


def variants_of(
    models: Sequence[ModelChoice], engines: Sequence[str], precisions: str | tuple[str, ...]
) -> tuple[Variant, ...]:
    """List every model in every format that may be used."""
    found = []
    for model in models:
        routed = _routed(model)
        for name in engines:
            engine = get_engine(name)
            for form in engine.formats:
                weights = get_format(form)
                if _wanted(weights, model, precisions) and (routed or not weights.experts_only):
                    found.append(Variant(model, engine, weights))
    return tuple(found)


def _routed(model: ModelChoice) -> bool:
    """Tell whether a model has experts."""
    shape = model.model.shape
    return shape is not None and shape.has_experts


def _wanted(weights: WeightFormat, model: ModelChoice, precisions: str | tuple[str, ...]) -> bool:
    if precisions != "any":
        return weights.id in precisions
    own = weights.id == model.model.native_format
    # fp16 and fp32 say nothing bf16 doesn't.
    return own or (weights.bits_per_weight >= LEAST_BITS and weights.id not in ("fp16", "fp32"))


def sizes_up_to(most: int) -> tuple[int, ...]:
    """Return the powers of two up to ``most``."""
    return tuple(2**k for k in range(most.bit_length()) if 2**k <= most)


@dataclass(frozen=True, eq=False)
class _Device:
    peaks: dict[str, float]
    shares: dict[str, float]
    bytes_per_s: float
    memory: float
    linked: bool


def _device(hardware: Hardware, engine: Engine) -> _Device | None:
    """Speeds of a device under an engine, None where nobody knows its constants."""
    device = hardware.device
    if device.device_class not in engine.device_classes or device.memory.bytes_per_s is None:
        return None
    try:
        family = efficiency_for(device, engine.id).efficiency
        memory = physical_bytes(device)[0]
    except MissingDataError:
        return None
    peaks = peaks_of(device, family.fallback_flops_per_s)
    per_core = family.fallback_flops_per_s_per_core
    if "bf16" not in peaks and per_core and device.cores:
        peaks["bf16"] = per_core * device.cores.count
    if "bf16" not in peaks:
        return None
    link = device.link.bytes_per_s_per_direction or device.link.pcie_bytes_per_s_per_direction
    # Products that run at another peak than their format's are left unbounded.
    shares = {k: g.compute_share for k, g in family.gemm.items() if g.peak is None}
    return _Device(peaks, shares, device.memory.bytes_per_s.value, memory, link is not None)


def _best_flops_per_s(variant: Variant, device: _Device) -> float:
    """Operations a second at most: a dense model's products at the share of the peak fitted."""
    if _routed(variant.model):
        return max(device.peaks.values())
    peak = device.peaks.get(variant.weights.compute, device.peaks["bf16"])
    share = device.shares.get(variant.weights.gemm)
    if share is None:
        return max(device.peaks.values())
    return peak * min(share * SLACK, 1.0)


def bounds_of(
    variants: Sequence[Variant],
    hardware: Sequence[Hardware],
    asked: Asked,
    most_devices: int,
) -> Bounds:
    """Compute the bounds of every combination."""
    sizes = sizes_up_to(most_devices)
    own = [v.model.tokens.applied(asked) for v in variants]
    context = np.array([mean_context(a) for a in own]).reshape(len(variants), -1)
    isl, osl = (
        np.array([getattr(a, n)[:, 0] for a in own]).reshape(len(variants), 1, 1, -1)
        for n in ("isl", "osl")
    )
    engines = {v.engine.id: v.engine for v in variants}
    known = {e: [_device(h, engines[e]) for h in hardware] for e in engines}
    shape = (len(variants), len(hardware), len(sizes))
    peak, top = np.zeros(shape[:2]), np.zeros(shape[:2])
    rate, memory = np.zeros(shape[:2]), np.zeros(shape[:2])
    linked = np.zeros(shape[:2], dtype=bool)
    for i, v in enumerate(variants):
        for j, d in enumerate(known[v.engine.id]):
            if d is None or (v.weights.peak_required and v.weights.compute not in d.peaks):
                continue
            peak[i, j] = d.peaks.get(v.weights.compute, d.peaks["bf16"])
            top[i, j] = _best_flops_per_s(v, d)
            rate[i, j], memory[i, j], linked[i, j] = d.bytes_per_s, d.memory, d.linked
    weights, moved, held = _model_bytes(variants, context)
    active = np.array([v.model.active for v in variants])
    size = np.array(sizes, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        flops = 2.0 * active[:, None, None] / (top[:, :, None] * size)
        stream = 1.0 / (FASTER_THAN_PEAK * rate[:, :, None] * size)
        fits = weights[:, None, None] + held.min(axis=1)[:, None, None] <= memory[:, :, None] * size
        one = moved[:, None, None] * stream
        compute = flops[..., None] * (isl + osl)
        reading = stream[..., None] * held[:, None, None, :] * 0.5 * osl
        request = np.maximum(compute, reading)
        # While a token may take so long, the weights must be read at least so often.
        left = 1.0 - one[..., None] / asked.tpot_s[:, 0]
        request = np.where(left > 0, request / np.maximum(left, 1e-9), np.inf)
        # No more sequences than memory holds, each step no shorter than reading the weights.
        free = memory[:, :, None] * size - weights[:, None, None]
        most = np.maximum(free[..., None] / held[:, None, None, :], 1.0)
        request = np.maximum(request, one[..., None] * osl / most)
        quick = (one[..., None] <= asked.tpot_s[:, 0]) & (
            flops[..., None] * isl <= asked.ttft_s[:, 0]
        )
        quick &= one[..., None] * osl + flops[..., None] * isl <= asked.e2e_s[:, 0]
    possible = (peak[:, :, None] > 0) & fits & quick.any(axis=-1)
    possible &= (size == 1.0) | linked[:, :, None]
    return Bounds(tuple(variants), sizes, possible, np.where(np.isfinite(request), request, np.inf))


def _model_bytes(variants: Sequence[Variant], context: Floats) -> tuple[Floats, Floats, Floats]:
    """Bytes of all weights, of those a token reads, and of a sequence's cache ``(V, C)``."""
    plain = get_format("bf16")
    total, moved, held = [], [], []
    for v, one in zip(variants, context, strict=True):
        shape = v.model.model.shape
        assert shape is not None
        b = weight_bytes(shape, v.weights, plain)
        bits = kv_bits(v.engine.kv_format)
        total.append(b.total)
        moved.append(b.total * min(v.model.active / v.model.parameters, 1.0) * 0.9)
        held.append([kv_bytes_per_sequence(shape, bits, float(c)) for c in one])
    return np.array(total), np.array(moved), np.array(held).reshape(len(total), -1)
