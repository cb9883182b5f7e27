"""Which measurements speak for expert layers, and their free constants.

Expert tables route synthetically: evenly, or by a power law in which the most loaded device
of the group is timed. :func:`busiest_device` follows that routing, so that constants describe
the kernels and not the routing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from advisor.calibration.kernel_fits import Kernel, Sample
from advisor.calibration.kernel_models import (
    PEAK_OF,
    SHARPNESS,
    WEIGHT_BYTES,
    Datasheet,
    shape_groups,
)
from advisor.calibration.kernel_tables import Array, ExpertRows
from advisor.perf import roofline
from advisor.schema.efficiency import Experts

EXPERT_MATRICES = 3
_ROW_FLOORS = (1, 8, 16, 32)
_TOP_K, _LARGEST_TP, _LARGEST_EP, _NARROWEST, _MOST_TOKENS = (4, 10), 8, 16, 128, 8192
_GROUP_LIMITED = (7168, 256)

UNGATED_HIDDEN = (2688.0, 8192.0)
"""Hidden sizes of the tables' models whose experts have two matrices instead of three.

Also left out by shape: 256 experts on 7,168 (DeepSeek-V3), whose group-limited router the
tables' synthetic logits drive into half of the experts, faster than memory could deliver all.
"""


def experts_sample(rows: ExpertRows, weight_format: str, sheet: Datasheet) -> Sample:
    """Expert layers as serving lays them out, on the most loaded device of their group.

    Kept are 4 to 10 experts per token, slices of at least 128 columns, groups of up to 16.
    Evenly routed rows are used where the table has them, else those of the mildest skew.
    """
    mildest = float(rows.imbalance.min())
    chosen = (rows.imbalance == mildest) & (rows.seconds > 0) & (rows.tokens <= _MOST_TOKENS)
    chosen &= (rows.top_k >= _TOP_K[0]) & (rows.top_k <= _TOP_K[1])
    chosen &= (rows.tp <= _LARGEST_TP) & (rows.ep <= _LARGEST_EP)
    chosen &= (rows.inner / rows.tp >= _NARROWEST) & ~np.isin(rows.hidden, UNGATED_HIDDEN)
    chosen &= ~((rows.hidden == _GROUP_LIMITED[0]) & (rows.experts == _GROUP_LIMITED[1]))
    tokens, hidden, inner = rows.tokens[chosen], rows.hidden[chosen], rows.inner[chosen]
    top_k, experts, tp = rows.top_k[chosen], rows.experts[chosen], rows.tp[chosen]
    ep = rows.ep[chosen]
    routed, touched = busiest_device(tokens, top_k, experts, ep, mildest)
    weights = EXPERT_MATRICES * hidden * inner / tp
    moved = touched * weights * WEIGHT_BYTES[weight_format]
    flops = 2.0 * weights / sheet.flops_per_s[PEAK_OF[weight_format]]
    rate = sheet.bytes_per_s
    inputs = (moved / rate, routed * flops, touched * flops, tokens * top_k * hidden / rate)
    group = shape_groups(hidden, inner, top_k, experts, tp, ep)
    return Sample(inputs, rows.seconds[chosen], group, tokens)


def busiest_device(
    tokens: Array, top_k: Array, experts: Array, ep: Array, exponent: float
) -> tuple[Array, Array]:
    """Return rows and touched experts of the device with most rows, as the tables route.

    Even routing (``exponent`` 0) spreads rows exactly, so ``min(E, M k)`` experts are touched,
    not the expectation under random routing. Skewed routing draws each expert's weight from a
    power law over 1 to 0.8 M rows and rounds (the tables' own generator, followed here).
    """
    if exponent == 0.0:
        routed = np.maximum(tokens * top_k / ep, 1.0)
        return routed, np.minimum(experts / ep, routed)
    cases, back = np.unique(np.stack([tokens, top_k, experts, ep]), axis=1, return_inverse=True)
    rng = np.random.default_rng(0)
    drawn = [_skewed_case(case, exponent, rng) for case in cases.T]
    found = np.array(drawn)[back.ravel()]
    return np.maximum(found[:, 0], 1.0), np.maximum(found[:, 1], 1.0)


def _skewed_case(
    case: Array, exponent: float, rng: np.random.Generator, draws: int = 16
) -> tuple[float, float]:
    tokens, top_k, experts, ep = (float(number) for number in case)
    low, high = (1.0, 0.8 * tokens) if tokens * top_k > experts else (0.01, 2.0)
    power = 1.0 - exponent
    u = rng.random((draws, int(experts)))
    weight = ((high**power - low**power) * u + low**power) ** (1.0 / power)
    rows = weight / weight.sum(axis=1, keepdims=True) * tokens * top_k
    whole = np.minimum(np.round(rows), tokens).reshape(draws, int(ep), -1)
    load = whole.sum(axis=2)
    busiest = load.argmax(axis=1)
    each = np.arange(draws)
    return float(load[each, busiest].mean()), float((whole[each, busiest] > 0).sum(axis=1).mean())


def experts_kernels(floors: Sequence[int] = _ROW_FLOORS) -> list[Kernel[Experts]]:
    """Return the expert model with each sharpness and each floor of rows per expert."""

    def kernel(sharpness: Literal[2, 4], floor: int) -> Kernel[Experts]:
        def build(free: Array) -> Experts:
            compute, memory, launch, passes = (float(number) for number in free)
            return Experts(
                compute_share=compute,
                memory_share=memory,
                launch_s=launch,
                min_rows_per_expert=floor,
                sharpness=sharpness,
                row_bytes=passes,
            )

        lowest, highest = (0.02, 0.05, 1e-6, 1e-3), (1.2, 1.2, 5e-4, 200.0)
        return Kernel(build, _experts_s, lowest, (0.5, 0.7, 2e-5, 4.0), highest)

    return [kernel(sharpness, floor) for sharpness in SHARPNESS for floor in floors]


def _experts_s(constants: Experts, inputs: tuple[Array, ...]) -> Array:
    memory, routed, touched, elements = inputs
    moving = roofline.gemm_memory_s(memory, 1.0, constants)
    computing = roofline.experts_compute_s(routed, touched, 1.0, 1.0, constants)
    passing = roofline.row_pass_s(elements, 1.0, 1.0, 1.0, constants)
    return roofline.gemm_s(moving, computing, constants) + passing
