"""Predict what serving a language model costs in time, memory, energy and money.

``advisor.estimate(model="4B", hw="h20")`` answers for one model on one kind of device; the
fields of the answer are described in :mod:`advisor.estimator.result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.estimator.result import EstimateResult

__version__ = "0.1.0"
__all__ = ["__version__", "estimate"]


def estimate(model: str, hw: str, **options: Any) -> EstimateResult:
    """Estimate one operating point.

    Parameters
    ----------
    model, hw
        Catalogue id, alias, size or file of the model; id, alias or TOML of the device.
    **options
        Fields of :class:`advisor.estimator.request.EstimateRequest`.

    Raises
    ------
    advisor.errors.AdvisorError
        Whatever the request or the catalogue does not allow.
    """
    from advisor.estimator.request import EstimateRequest
    from advisor.estimator.run import estimate_point

    return estimate_point(EstimateRequest(model=model, hw=hw, **options))
