"""Collective operations between the devices of a replica: alpha-beta models, seconds.

Source: Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in
MPICH", IJHPCA 19(1), 2005, doi:10.1177/1094342005051521.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.schema.efficiency import Collective


def all_reduce_s(
    message_bytes: ArrayLike, devices: int, bytes_per_s: float, constants: Collective
) -> NDArray[np.float64]:
    """Sum a message over ``devices``; each sends and receives ``(2 (d-1)/d)^e`` of it.

    e is ``volume_exponent``: 1 for a ring, less where switches add up on the way (NVLink SHARP).
    ``bytes_per_s`` is the link's datasheet rate per direction and device. One device: zero.
    """
    size = np.asarray(message_bytes, dtype=float)
    if devices == 1:
        return np.zeros_like(size)
    moved = (2.0 * (devices - 1) / devices) ** constants.volume_exponent * size
    alpha = constants.latency_s + constants.latency_per_doubling_s * np.log2(devices)
    return np.asarray(moved / (constants.bandwidth_share * bytes_per_s) + alpha)


def all_to_all_s(
    message_bytes: ArrayLike, devices: int, bytes_per_s: float, constants: Collective
) -> NDArray[np.float64]:
    """Send ``message_bytes`` per device, an equal part to every other device.

    Half the traffic of an all-reduce of the same message, same latency.
    """
    size = np.asarray(message_bytes, dtype=float)
    if devices == 1:
        return np.zeros_like(size)
    moved = (devices - 1) / devices * size
    alpha = constants.latency_s + constants.latency_per_doubling_s * np.log2(devices)
    return np.asarray(moved / (constants.bandwidth_share * bytes_per_s) + alpha)


def send_s(
    message_bytes: ArrayLike, bytes_per_s: float, constants: Collective
) -> NDArray[np.float64]:
    """Hand activations to the next pipeline stage."""
    size = np.asarray(message_bytes, dtype=float)
    return size / (constants.bandwidth_share * bytes_per_s) + constants.latency_s
