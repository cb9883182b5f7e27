"""How fast the estimator answers: one JSON line a figure, seconds.

``python benchmarks/estimate_speed.py`` prints the median of repeated runs:

* ``cold_help``, ``cold_estimate``: a new process each, interpreter start included;
* ``warm_estimate``: one call of ``advisor.estimate`` in a running process;
* ``grid_1000x1000``, ``flat_1e6``: a million step times in one call of the step model, as a
  batch x context grid and as two arrays of a million numbers.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

COLD_RUNS, WARM_RUNS, GRID_RUNS = 7, 200, 3
SIDE = 1000
MODEL, HARDWARE = "4B", "h20"
COMMAND = (sys.executable, "-c", "from advisor.cli.main import main; main()")


def timed(work: Callable[[], object]) -> float:
    """Return how long one call takes, seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(name: str, seconds: list[float], **more: float) -> None:
    """Print one figure as a JSON line."""
    line = {
        "name": name,
        "median_s": round(statistics.median(seconds), 6),
        "min_s": round(min(seconds), 6),
        "runs": len(seconds),
        **more,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    print(json.dumps(line), flush=True)


def cold(name: str, *options: str) -> None:
    """Time the command in new processes."""

    def run() -> object:
        return subprocess.run([*COMMAND, *options], check=True, capture_output=True)

    run()  # compiles the byte code and warms the disk cache, as installation does
    report(name, [timed(run) for _ in range(COLD_RUNS)])


def warm() -> None:
    """Time the library call at varied loads, so that no answer repeats."""
    import advisor

    advisor.estimate(MODEL, HARDWARE)
    loads = range(1, WARM_RUNS + 1)
    report(
        "warm_estimate",
        [timed(lambda n=n: advisor.estimate(MODEL, HARDWARE, concurrency=n)) for n in loads],
    )


def grids() -> None:
    """Time a million step times."""
    import numpy as np

    from advisor.estimator.request import EstimateRequest
    from advisor.estimator.setup import resolve, step_model
    from advisor.perf.layout import Layout
    from advisor.perf.step import Batch

    model = step_model(resolve(EstimateRequest(model=MODEL, hw=HARDWARE)), Layout())
    batch = np.arange(1.0, SIDE + 1)
    context = np.linspace(1.0, 100_000.0, SIDE)
    grid = Batch(sequences=batch[:, None], context_tokens=context[None, :])
    flat = Batch(sequences=np.repeat(batch, SIDE), context_tokens=np.tile(context, SIDE))
    for name, points in (("grid_1000x1000", grid), ("flat_1e6", flat)):
        assert model.step(points).seconds.size == SIDE * SIDE
        report(name, [timed(lambda p=points: model.step(p).seconds) for _ in range(GRID_RUNS)])


def main() -> None:
    """Run all benchmarks."""
    cold("cold_help", "--help")
    cold("cold_estimate", "estimate", "--model", MODEL, "--hw", HARDWARE)
    warm()
    grids()


if __name__ == "__main__":
    main()
