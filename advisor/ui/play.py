"""Replaying the recommended plan: its fleets at the busiest hour, or under a trace."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from msgspec.structs import replace

from advisor.charts.replay import Flow, Timeline
from advisor.errors import InvalidFileError
from advisor.optimizer.fleets import Part, fleets_of
from advisor.optimizer.kinds import solved
from advisor.optimizer.play import simulate_with
from advisor.optimizer.search import best_plan
from advisor.optimizer.verify import settled
from advisor.schema.scenario import Scenario
from advisor.schema.traffic import Requests
from advisor.schema.workload import Slo
from advisor.simulator.result import SimulationResult
from advisor.simulator.run import RunOptions, replay
from advisor.traffic.generate import generate
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.traces import read_trace
from advisor.ui.jobs import Job

MOST_REQUESTS = 100_000
MOST_GENERATED = 30_000
SPAN_S = 300.0
"""Traffic worth watching: fleets fill up before they show what they bear."""
MAX_MB = 20
ENDINGS = (".csv", ".jsonl", ".json", ".gz", ".zip")


@dataclass(frozen=True, eq=False)
class Played:
    """A replay, the limits of each class of the scenario, and what the trace left out.

    ``parents``: class of the replay → class of the scenario; an option each of a class split.
    """

    result: SimulationResult
    slos: Mapping[str, Slo]
    parents: Mapping[str, str]
    trace_format: str = ""
    rejected: int = 0
    reasons: tuple[tuple[int, str], ...] = ()


def planned(scenario: Scenario, replayed: bool = False) -> list[Part]:
    """Return the fleets of the recommended plan's busiest hour; none if nothing fits."""
    from advisor.optimizer.assemble import facts_of, question_of

    facts = facts_of(scenario, Path(), dt.date.today())
    question = question_of(facts)
    first = solved(question, best_plan(question), {})
    if first is not None and replayed:
        held = settled(facts, first, simulate_with(Path()))
        question, first = held.question, held.one
    return fleets_of(question, first) if first else []


def ending(name: str) -> str:
    """Return what the readers may learn from an upload's name: its last known endings.

    >>> ending("../a.b.CSV.gz"), ending("x.csv/../../etc/passwd"), ending("x.toml")
    ('.csv.gz', '', '')
    """
    kept = [s.lower() for s in PurePath(name).suffixes[-2:]]
    return "".join(s for s in kept if s in ENDINGS)


def _requests(
    part: Part, seed: int, upload: tuple[str, bytes] | None
) -> tuple[Requests, Trace | None]:
    if upload is None:
        rate = part.workload.requests_per_s or 0.0
        enough = int(min(rate * SPAN_S, MOST_GENERATED))
        requests = max(part.workload.requests or 1, enough)
        return generate(replace(part.workload, requests=requests), seed), None
    name, content = upload
    if len(content) > MAX_MB * 1_000_000:
        msg = f"{name} is larger than {MAX_MB} MB"
        raise InvalidFileError(msg)
    with tempfile.TemporaryDirectory(prefix="advisor-trace-") as folder:
        path = Path(folder) / f"trace{ending(name)}"
        path.write_bytes(content)
        options = TraceOptions(limit=MOST_REQUESTS, seed=seed)
        read = read_trace(path, options=options)
        workload = replace(
            part.workload,
            requests_per_s=None,
            requests_per_month=None,
            arrivals=None,
            cv=None,
            client_mix=None,
            diurnal="flat",
            diurnal_weekend=None,
            start_hour=0.0,
            growth_per_year=0.0,
            duration_s=None,
            requests=MOST_REQUESTS,
            trace=path.name,
        )
        return generate(workload, seed, folder=Path(folder)), read


def play(
    job: Job[Played], scenario: Scenario, part: Part, seed: int, upload: tuple[str, bytes] | None
) -> Played:
    """Replay one fleet, telling the job how far it is.

    Raises
    ------
    AdvisorError
        A trace that can't be read, a fleet that can't serve it.
    """
    requests, trace = _requests(part, seed, upload)
    slos = {c.name: c.slo for c in part.workload.classes if c.slo}
    options = RunOptions(seed=seed, slos=slos, on_progress=job.progress, should_stop=job.stopping)
    result = replay(part.fleet, requests, options)
    limits = {c.name: c.slo for c in scenario.workload.classes if c.slo}
    if trace is None:
        return Played(result, limits, part.parents)
    return Played(
        result,
        limits,
        part.parents,
        trace.format,
        trace.rejected_count,
        tuple((r.line, r.reason) for r in trace.rejected[:20]),
    )


def classes_of(played: Played) -> list[str]:
    """Return the scenario's classes that came, those with limits first."""
    table = played.result.table
    came = {table.class_names[c] for c in np.unique(table.class_index)}
    names = dict.fromkeys(played.parents.get(name, name) for name in sorted(came))
    return sorted(names, key=lambda name: name not in played.slos)


def latencies(played: Played, name: str) -> Mapping[str, np.ndarray]:
    """Return the times of the finished requests of one class by latency."""
    table = played.result.table
    mine = [played.parents.get(c, c) == name for c in table.class_names]
    chosen = np.asarray(mine)[table.class_index]
    answered = np.maximum(table.output_tokens - 1, 1)
    tpot = np.where(
        table.output_tokens > 1, (table.last_token_s - table.first_token_s) / answered, np.nan
    )
    found = {"ttft": table.ttft_s, "tpot": tpot, "e2e": table.e2e_s}
    return {key: values[chosen & np.isfinite(values)] for key, values in found.items()}


def limits_of(slo: Slo | None) -> dict[str, float]:
    """Return the limits that are stated, by latency, seconds."""
    named = {n: getattr(slo, f"{n}_s") for n in ("ttft", "tpot", "e2e")} if slo else {}
    return {name: limit for name, limit in named.items() if limit is not None}


def broken(played: Played) -> list[tuple[str, str]]:
    """Return the (class, latency) whose percentile is beyond its limit."""
    found = []
    for name, slo in played.slos.items():
        waits = latencies(played, name)
        for key, limit in limits_of(slo).items():
            if len(waits[key]) and np.percentile(waits[key], slo.percentile) > limit:
                found.append((name, key))
    return found


def timeline(result: SimulationResult) -> Timeline:
    """Return the state of all tiers together; the fullest cache counts."""
    t = result.timeline
    peak = max((tier.peak_cache_share for tier in result.tiers), default=0.0)
    return Timeline(
        t.time_s, t.running.sum(axis=1), t.waiting.sum(axis=1), t.cache_share.max(axis=1), peak
    )


def flows(played: Played) -> list[Flow]:
    """Return requests by class → tier that answered, and what became of the others."""
    table, figures = played.result.table, {t.name: t for t in played.result.tiers}
    counts: dict[tuple[str, str], int] = {}
    for c, name in enumerate(table.class_names):
        parent = played.parents.get(name, name)
        mine = table.class_index == c
        for number, tier in enumerate(table.tier_names):
            what = figures[tier].what or tier if tier in figures else tier
            here = mine & (table.tier == number)
            for escalated, shown in ((False, what), (True, f"↑ {what}")):
                count = int((here & ((table.escalated > 0) == escalated)).sum())
                counts[parent, shown] = counts.get((parent, shown), 0) + count
        counts[parent, "✗"] = counts.get((parent, "✗"), 0) + int((mine & (table.tier < 0)).sum())
    return [Flow(*ends, float(count)) for ends, count in counts.items() if count]
