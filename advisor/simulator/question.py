"""From a question to what is replayed: scenario, trace or preset become requests and fleet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from advisor.catalogue.scenarios import read_scenario
from advisor.errors import UsageError
from advisor.schema.fleet import Fleet, ReplicaTier, Route
from advisor.schema.traffic import Requests
from advisor.schema.workload import Slo, TrafficClass, Workload
from advisor.traffic.generate import class_shares, generate
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.traces import read_trace

DEFAULT_REQUESTS = 10_000
_Record = TypeVar("_Record", bound=msgspec.Struct)
_STREAM = 3


@dataclass(frozen=True, eq=False)
class Question:
    """What to replay; ``trace`` is kept where the requests come from one."""

    title: str
    fleet: Fleet
    requests: Requests
    slos: dict[str, Slo]
    trace: Trace | None = None


@dataclass(frozen=True)
class Asked:
    """The command's options that change the traffic."""

    trace: Path | None = None
    trace_format: str | None = None
    requests: int | None = None
    rate_scale: float = 1.0
    seed: int = 0


def from_scenario(path: Path, asked: Asked) -> Question:
    """Read a scenario with a fleet, and its traffic.

    Raises
    ------
    UsageError
        If the scenario names no fleet.
    InvalidFileError
        If scenario or trace can't be read.
    """
    scenario = read_scenario(path)
    if scenario.fleet is None:
        msg = (
            f"{path}: no [fleet] to simulate; add one (docs/simulator.md), or let "
            f"`advisor recommend {path}` choose it"
        )
        raise UsageError(msg)
    workload = scenario.workload
    if asked.trace is not None:
        requests, trace = _traced(workload.classes, asked)
    else:
        workload = _sized(workload, asked)
        requests, trace = generate(workload, asked.seed, folder=path.parent), None
    slos = {c.name: c.slo for c in workload.classes if c.slo}
    return Question(scenario.title, scenario.fleet, requests, slos, trace)


def _sized(workload: Workload, asked: Asked) -> Workload:
    if asked.requests is None:
        return workload
    if asked.requests < 1:
        msg = f"--requests must be 1 or more, got {asked.requests}"
        raise UsageError(msg)
    return msgspec.structs.replace(workload, requests=asked.requests, duration_s=None)


def _traced(classes: tuple[TrafficClass, ...], asked: Asked) -> tuple[Requests, Trace]:
    """Read the trace of the command line; its requests get the scenario's classes by share."""
    if asked.trace is None:
        msg = "no trace given"
        raise UsageError(msg)
    options = TraceOptions(limit=asked.requests, rate_scale=asked.rate_scale, seed=asked.seed)
    trace = read_trace(asked.trace, asked.trace_format, options=options)
    if not classes:
        return trace.requests, trace
    rng = np.random.default_rng(np.random.SeedSequence([asked.seed, _STREAM]))
    edges = np.cumsum(class_shares(classes))[:-1]
    index = np.searchsorted(edges, rng.random(len(trace.requests)), side="right")
    names = tuple(c.name for c in classes)
    return replace(trace.requests, class_index=index.astype(np.int64), class_names=names), trace


def from_options(
    tier: dict[str, Any], preset: str | None, rps: float | None, slo: Slo | None, asked: Asked
) -> Question:
    """Put together a fleet of one tier and traffic of one preset or trace.

    Parameters
    ----------
    tier
        Fields of :class:`advisor.schema.fleet.ReplicaTier` but its name.
    preset, rps
        Named traffic and its requests per second.
    slo
        Limits, if any.

    Raises
    ------
    UsageError
        If neither a trace nor a preset with a rate is given.
    """
    given = {k: v for k, v in tier.items() if v is not None}
    only = _checked({"kind": "replicas", "name": "server", **given}, ReplicaTier)
    fleet = Fleet(tier=(only,), route=Route(first="server"))
    title = f"{tier['model']} on {tier['hw']}"
    if asked.trace is not None:
        requests, trace = _traced((), asked)
        slos = dict.fromkeys(requests.class_names, slo) if slo else {}
        return Question(title, fleet, requests, slos, trace)
    if preset is None or rps is None:
        msg = "give --scenario, or --model and --hw with --trace, or with --preset and --rps"
        raise UsageError(msg)
    one = TrafficClass(name=preset, preset=preset, slo=slo)
    count = DEFAULT_REQUESTS if asked.requests is None else asked.requests
    fields = {"requests_per_s": rps, "requests": count, "class": [one]}
    workload = _checked(fields, Workload)
    return Question(title, fleet, generate(workload, asked.seed), {preset: slo} if slo else {})


def _checked(fields: dict[str, Any], kind: type[_Record]) -> _Record:
    """Build a record from options, checked as if it had been read from a file."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error
