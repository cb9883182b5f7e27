"""Electrical power and energy of a device under load.

``P = TDP x min(ceiling, base + memory x MBU + compute x MFU)``, a linear model fitted to
measured board power (constants and their residuals in ``hwprofiles/efficiency``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.schema.efficiency import PowerCurve

JOULES_PER_WH = 3600.0


def power_w(tdp_w: float, mbu: ArrayLike, mfu: ArrayLike, curve: PowerCurve) -> NDArray[np.float64]:
    """Mean power of one device, watts.

    Parameters
    ----------
    tdp_w
        Thermal design power of the device.
    mbu, mfu
        Achieved over datasheet bandwidth and operations, dimensionless.
    """
    share = (
        curve.base_share
        + curve.memory_share * np.asarray(mbu, dtype=float)
        + curve.compute_share * np.asarray(mfu, dtype=float)
    )
    return tdp_w * np.minimum(share, curve.ceiling_share)
