"""What training costs: operations, device-hours, memory, money. Pure functions of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from advisor.cost.amount import Amount, product, ratio
from advisor.cost.hourly import MONTHS_PER_YEAR, SECONDS_PER_HOUR, capital_recovery_factor

Method = Literal["full", "lora", "qlora"]
METHODS: tuple[Method, ...] = ("full", "lora", "qlora")

WEIGHT_BYTES, GRADIENT_BYTES, OPTIMISER_BYTES = 2.0, 2.0, 12.0
"""Per trained parameter with Adam in mixed precision: fp16 weight and gradient; fp32 copy,
momentum and variance (Rajbhandari et al., ZeRO, SC 2020, arXiv:1910.02054, section 3.1)."""
NF4_BYTES = 4.127 / 8.0
"""Per frozen parameter in 4-bit NormalFloat with double quantisation: 4 + 0.127 bits
(Dettmers et al., QLoRA, NeurIPS 2023, arXiv:2305.14314, section 3)."""
LAYER_ACTIVATIONS = 34.0
"""Bytes per token and hidden unit that one layer keeps at 16 bit without checkpointing, the
attention scores apart, which fused attention does not store (Korthikanti et al., MLSys 2023,
arXiv:2205.05198, equation 1)."""


def training_flops(
    active_parameters: float,
    tokens: float,
    method: Method = "full",
    trained_parameters: float = 0.0,
) -> float:
    """Operations of training on so many tokens, all epochs counted.

    Full: ``6 N D`` (Kaplan et al., 2020, arXiv:2001.08361, section 2.1: forward 2, backward 4 a
    parameter and token). Adapters: frozen weights need no gradient of their own, which saves
    one of the three passes, ``4 N D + 6 A D`` for ``A`` adapter parameters. The attention
    scores are left out: a few per cent below 8k tokens of context.
    """
    if method == "full":
        return 6.0 * active_parameters * tokens
    return (4.0 * active_parameters + 6.0 * trained_parameters) * tokens


def lora_parameters(matrices: tuple[tuple[int, int], ...], rank: int) -> int:
    """Parameters of low-rank adapters: ``r (rows + columns)`` a matrix (arXiv:2106.09685).

    >>> lora_parameters(((4096, 4096),) * 64, 8)
    4194304
    """
    return sum(rank * (rows + columns) for rows, columns in matrices)


def device_hours(flops: Amount, peak_flops_per_s: float, mfu: Amount) -> Amount:
    """Hours of one device: operations over ``peak x MFU``; MFU is over the dense 16-bit peak."""
    return ratio(flops, mfu).times(1.0 / (peak_flops_per_s * SECONDS_PER_HOUR))


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on each device while training."""

    weights_bytes: float
    gradients_bytes: float
    optimiser_bytes: float
    activations_bytes: float

    @property
    def total_bytes(self) -> float:
        """All of them."""
        states = self.weights_bytes + self.gradients_bytes + self.optimiser_bytes
        return states + self.activations_bytes


@dataclass(frozen=True)
class Stack:
    """Dimensions of a model that decide its activations."""

    layers: int
    hidden: int
    vocab: int


def activation_bytes(stack: Stack, sequences: float, tokens: float, checkpointing: bool) -> float:
    """Activations of one device.

    With full checkpointing each layer keeps its 16-bit input, one layer at a time is
    recomputed; without, every layer keeps all. The logits are kept once in fp32 and once in
    16 bit. Source: Korthikanti et al., arXiv:2205.05198, sections 4 and 5.
    """
    position = sequences * tokens
    layer = LAYER_ACTIVATIONS * stack.hidden * position
    kept = (
        2.0 * stack.hidden * position * stack.layers + layer
        if checkpointing
        else (layer * stack.layers)
    )
    return kept + 6.0 * stack.vocab * position


def training_memory(
    parameters: float,
    method: Method,
    activations_bytes: float,
    trained_parameters: float = 0.0,
    unquantised_parameters: float = 0.0,
    shards: int = 1,
) -> TrainingMemory:
    """Memory of one device.

    Parameters
    ----------
    parameters
        All parameters of the model.
    method
        ``full`` trains all; ``lora`` keeps them frozen at 16 bit, ``qlora`` at 4 bit.
    activations_bytes
        See :func:`activation_bytes`.
    trained_parameters
        Adapter parameters (not for ``full``).
    unquantised_parameters
        Embedding and output head, which ``qlora`` leaves at 16 bit.
    shards
        Devices that share weights, gradients and optimiser (ZeRO stage 3, FSDP).
    """
    trained = parameters if method == "full" else trained_parameters
    if method == "qlora":
        frozen = NF4_BYTES * (parameters - unquantised_parameters)
        frozen += WEIGHT_BYTES * unquantised_parameters
    else:
        frozen = 0.0 if method == "full" else WEIGHT_BYTES * parameters
    return TrainingMemory(
        weights_bytes=(frozen + WEIGHT_BYTES * trained) / shards,
        gradients_bytes=GRADIENT_BYTES * trained / shards,
        optimiser_bytes=OPTIMISER_BYTES * trained / shards,
        activations_bytes=activations_bytes,
    )


def devices_to_hold(
    states_bytes: float, activations_bytes: float, usable_bytes: float
) -> int | None:
    """Fewest devices that hold the training states; None if the activations alone don't fit."""
    room = usable_bytes - activations_bytes
    return None if room <= 0 else max(math.ceil(states_bytes / room), 1)


def training_usd(hours: Amount, usd_per_device_hour: Amount) -> Amount:
    """Money of so many device-hours."""
    return product(hours, usd_per_device_hour)


def amortised_usd_per_month(
    usd: Amount, horizon_months: float, interest_per_year: float = 0.0
) -> Amount:
    """Spread a one-off cost over the months it is used, with interest."""
    years = horizon_months / MONTHS_PER_YEAR
    return usd.times(capital_recovery_factor(years, interest_per_year) / MONTHS_PER_YEAR)
