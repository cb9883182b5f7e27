"""Fitting collectives to logs of servers whose devices have no link but PCIe.

Microbenchmarks measure an all-reduce between idle devices; in a serving engine each one waits
for the slowest process and shares the bus with everything else. Two numbers, latency and
share of the bus, are fitted so that logs with several devices are as far off as logs of one
device: what is wrong with the kernels must not end up in the link.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from advisor.calibration.efficiency_toml import to_toml
from advisor.catalogue import devices
from advisor.catalogue.devices import efficiency_for, get_device
from advisor.catalogue.engines import get_engine
from advisor.errors import UsageError
from advisor.estimator import setup
from advisor.schema.efficiency import Collective, ServingLink, ServingLinkFile
from advisor.schema.fleet import ReplicaTier
from advisor.simulator.logs import METRICS, LogReport, fleet_of, read_meta, validate_log

COMPARED = tuple((m, s) for m in METRICS for s in ("mean", "p50", "p90"))
LATENCIES_S = (5e-6, 1e-3)
SHARES = (0.02, 1.0)
ROUNDS, GRID = 4, 5


def _tier(folder: Path) -> ReplicaTier:
    tier = fleet_of(read_meta(folder), folder).tier[0]
    if not isinstance(tier, ReplicaTier):
        msg = f"{folder}: not a log of replicas"
        raise UsageError(msg)
    return tier


def _errors(report: LogReport) -> list[float]:
    return [math.log(report.simulated[m][s] / report.measured[m][s]) for m, s in COMPARED]


@contextmanager
def _trying(row: ServingLink, current: ServingLinkFile) -> Iterator[None]:
    """Let the catalogue answer with a trial row."""
    trial = msgspec.structs.replace(current, link=(row, *current.link))
    devices.try_links(trial)
    setup.forget()
    try:
        yield
    finally:
        devices.try_links(None)
        setup.forget()


def fit_links(folders: Sequence[Path], date: dt.date) -> ServingLinkFile:
    """Fit one link from logs of one family and engine.

    Parameters
    ----------
    folders
        Log folders; at least one with several devices.
    date
        Stamped into the file.

    Raises
    ------
    UsageError
        If no log has several devices, or the logs are of several families or engines.
    """
    tiers = [_tier(f) for f in folders]
    many = [f for f, t in zip(folders, tiers, strict=True) if (t.tp or 1) > 1]
    single = [f for f, t in zip(folders, tiers, strict=True) if (t.tp or 1) == 1]
    engines = {get_engine(t.engine or "vllm").id for t in tiers}
    families = {efficiency_for(get_device(t.hw), e).efficiency.id for t in tiers for e in engines}
    if not many or len(families) != 1 or len(engines) != 1:
        msg = "give logs of one device family and engine, one of them with tensor parallelism"
        raise UsageError(msg)
    offset = [0.0] * len(COMPARED)
    if single:
        seen = [_errors(validate_log(f)) for f in single]
        offset = [sum(column) / len(seen) for column in zip(*seen, strict=True)]
    current = devices.serving_links()
    template = ServingLink(
        families=tuple(families),
        engines=tuple(engines),
        link="pcie",
        collective=Collective(latency_s=5e-5, latency_per_doubling_s=0.0, bandwidth_share=0.3),
        logs=tuple(f.name for f in folders),
        tpot_error=0.0,
        e2e_error=0.0,
        note="latency and share of PCIe; errors are in sample, of the logs with several devices",
    )
    best = _search(template, many, offset, current)
    kept = tuple(r for r in current.link if not set(r.families) & families)
    return msgspec.structs.replace(current, fitted=date, link=(best, *kept))


def _search(
    template: ServingLink, logs: Sequence[Path], offset: Sequence[float], current: ServingLinkFile
) -> ServingLink:
    """Refine a logarithmic grid round its best point."""
    spans = [LATENCIES_S, SHARES]
    best, least = template, math.inf
    for _ in range(ROUNDS):
        axes = [[lo * (hi / lo) ** (k / (GRID - 1)) for k in range(GRID)] for lo, hi in spans]
        for latency in axes[0]:
            for share in axes[1]:
                collective = Collective(
                    latency_s=float(f"{latency:.3g}"),
                    latency_per_doubling_s=0.0,
                    bandwidth_share=float(f"{share:.3g}"),
                )
                row = msgspec.structs.replace(template, collective=collective)
                with _trying(row, current):
                    reports = [validate_log(f) for f in logs]
                pairs = [zip(_errors(r), offset, strict=True) for r in reports]
                off = sum((e - o) ** 2 for pair in pairs for e, o in pair)
                if off < least:
                    best, least = _with_errors(row, reports), off
        centre = (best.collective.latency_s, best.collective.bandwidth_share)
        spans = [
            (max(c / (hi / lo) ** 0.25, bound[0]), min(c * (hi / lo) ** 0.25, bound[1]))
            for c, (lo, hi), bound in zip(centre, spans, (LATENCIES_S, SHARES), strict=True)
        ]
    return best


def _with_errors(row: ServingLink, reports: Sequence[LogReport]) -> ServingLink:
    def mean(metric: str) -> float:
        return round(sum(r.error(metric, "mean") for r in reports) / len(reports), 4)

    return msgspec.structs.replace(row, tpot_error=mean("tpot_s"), e2e_error=mean("e2e_s"))


def write_links(file: ServingLinkFile, folder: Path) -> Path:
    """Write the file as TOML; return its path."""
    path = folder / "serving-links.toml"
    path.write_text(to_toml(file), encoding="utf-8")
    return path
