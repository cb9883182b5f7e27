"""Predict what serving a language model costs in time, memory, energy and money.

``advisor.estimate(model="4B", hw="h20")`` answers for one model on one kind of device; the
fields of the answer are described in :mod:`advisor.estimator.result`.
``advisor.simulate("scenario.toml")`` replays traffic on a fleet
(:mod:`advisor.simulator.result`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from advisor.estimator.result import EstimateResult
    from advisor.simulator.result import SimulationResult

__version__ = "0.1.0"
__all__ = ["__version__", "estimate", "simulate"]


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


def simulate(
    scenario: str | Path, trace: str | Path | None = None, seed: int = 0, **options: Any
) -> SimulationResult:
    """Replay a scenario's traffic, or a trace, on its fleet.

    Parameters
    ----------
    scenario
        TOML with a ``[fleet]``.
    trace
        Trace file or log folder to replay instead of the scenario's traffic.
    seed
        Same seed and data, same result.
    **options
        Fields of :class:`advisor.simulator.run.RunOptions`.

    Raises
    ------
    advisor.errors.AdvisorError
        Whatever the scenario, the trace or the catalogue does not allow.
    """
    from pathlib import Path

    from advisor.simulator.question import Asked, from_scenario
    from advisor.simulator.run import RunOptions, replay

    asked = Asked(trace=None if trace is None else Path(trace), seed=seed)
    question = from_scenario(Path(scenario), asked)
    return replay(
        question.fleet, question.requests, RunOptions(seed=seed, slos=question.slos, **options)
    )
