"""The simulator as :mod:`advisor.optimizer.verify` asks for it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from advisor.optimizer.verify import Played, Simulate
from advisor.schema.fleet import Fleet
from advisor.schema.workload import Workload

if TYPE_CHECKING:
    from advisor.simulator.result import SimulationResult

SECONDS_PER_HOUR = 3600.0


def simulate_with(folder: Path, today: dt.date | None = None) -> Simulate:
    """Return a replay of one fleet under one workload.

    Percentiles are those of each class's own limits, over the requests after the warm-up.
    """

    def play(fleet: Fleet, workload: Workload, seed: int) -> Played:
        from advisor.simulator.run import RunOptions, replay
        from advisor.traffic.generate import generate

        requests = generate(workload, seed, folder=folder)
        slos = {c.name: c.slo for c in workload.classes if c.slo}
        found = replay(fleet, requests, RunOptions(seed=seed, slos=slos), today)
        table = found.table
        late = np.arange(len(requests)) >= found.warm_up_requests
        percentiles = {}
        for index, name in enumerate(table.class_names):
            if name not in slos:
                continue
            mine = late & (table.class_index == index)
            percentiles[name] = {
                metric: _percentile(values[mine], slos[name].percentile)
                for metric, values in (
                    ("ttft", table.ttft_s),
                    ("tpot", table.tpot_s),
                    ("e2e", table.e2e_s),
                )
            }
        return Played(len(requests), percentiles, _usd_per_hour(found, requests.duration_s))

    return play


def _usd_per_hour(found: SimulationResult, arriving_s: float) -> float:
    """Return money an hour: capacity over the whole run, tokens over the time requests came.

    The last answers end after the last request came; nobody is asked meanwhile.
    """
    total = 0.0
    for tier in found.tiers:
        span_s = arriving_s if tier.kind == "api" else found.duration_s
        total += (tier.usd or 0.0) / max(span_s, 1e-9) * SECONDS_PER_HOUR
    return total


def _percentile(values: np.ndarray, percent: float) -> float:
    """Return a percentile; a request that never ended counts as late without end."""
    waited = np.where(np.isfinite(values), values, np.inf)
    return float(np.percentile(waited, percent, method="higher")) if len(waited) else 0.0
