"""From a benchmark's result file to a measured overlay."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from advisor.calibration.bench_files import BadLine, newest, read_bench
from advisor.calibration.bench_point import BenchPoint
from advisor.calibration.overlay_fit import Outcome, configurations, judge
from advisor.calibration.overlay_names import (
    engine_name,
    model_name,
    precision_name,
    the_device,
)
from advisor.calibration.overlay_points import Case, case_of, steady_cost, usable
from advisor.catalogue.data_version import constants_version
from advisor.errors import InvalidFileError
from advisor.estimator.overlays import target_of
from advisor.estimator.placement import place
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup, resolve
from advisor.perf.layout import Layout
from advisor.schema.overlay import BenchSource, Overlay, Reach
from advisor.schema.text import Text

_VERSION_LENGTH = 40


@dataclass(frozen=True)
class Options:
    """What the user says about a file, where it doesn't say itself; see the command."""

    model: str | None = None
    hw: str | None = None
    engine: str | None = None
    precision: str | None = None
    kv_precision: str | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None


@dataclass(frozen=True)
class Imported:
    """One overlay made from a file, and what there is to say about it."""

    overlay: Overlay
    outcome: Outcome
    setup: Setup
    layout: Layout
    assumed: tuple[Text, ...]
    refused: tuple[BadLine, ...]
    example: BenchPoint


@dataclass(frozen=True)
class Import:
    """All of one file: overlays, and the lines that weren't used."""

    tool: str
    points: int
    overlays: tuple[Imported, ...]
    bad: tuple[BadLine, ...] = field(default=())


def import_bench(path: Path, options: Options, today: dt.date) -> Import:
    """Read a result file and fit an overlay for each deployment it measured.

    Parameters
    ----------
    path
        Result file of any tool that `read_bench` knows.
    options
        Stands in for, and overrides, what the file says.
    today
        Day of the import, and of the measurement where the file has no date.

    Raises
    ------
    InvalidFileError
        If the file can't be read or nothing of it can be used.
    UsageError
        If file and options leave model or device open.
    UnknownNameError, MissingDataError, InfeasibleError
        As for `advisor estimate`.
    """
    file = read_bench(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    deployments: dict[EstimateRequest, list[BenchPoint]] = {}
    said: dict[EstimateRequest, tuple[Text, ...]] = {}
    for point in file.points:
        request, assumed = _request(point, options)
        deployments.setdefault(request, []).append(point)
        said[request] = assumed
    made, bad = [], list(file.bad)
    for request, points in deployments.items():
        for kind in _kinds(points):
            one = _overlay(request, kind, said[request], _source(path, digest, kind, today), today)
            if isinstance(one, Imported):
                made.append(one)
                bad += one.refused
            else:
                bad += one
    if not made:
        worst = min(bad, key=lambda b: b.line)
        msg = f"{path}, line {worst.line}: {worst.reason}; nothing of the file can be used"
        raise InvalidFileError(msg)
    tools = ", ".join(dict.fromkeys(point.tool for point in file.points))
    bad.sort(key=lambda b: b.line)
    return Import(tools, len(file.points), tuple(made), tuple(bad))


def _kinds(points: Sequence[BenchPoint]) -> list[list[BenchPoint]]:
    """Split rates of lone requests from serving runs: they correct different things."""
    kinds = [[p for p in points if p.lone is lone] for lone in (True, False)]
    return [kind for kind in kinds if kind]


def _request(point: BenchPoint, options: Options) -> tuple[EstimateRequest, tuple[Text, ...]]:
    """Return the deployment a point was measured on, without its lengths."""
    assumed: list[Text] = []
    model = model_name(point, options.model)
    device = the_device(point, options.hw)
    engine = engine_name(point, options.engine, device)
    if not options.engine and not point.engine:
        assumed.append(Text.of("import_assumed_engine", engine=engine))
    precision, stated = precision_name(point, options.precision, model, engine, device)
    if not stated:
        assumed.append(Text.of("import_assumed_format", format=precision))
    request = EstimateRequest(
        model=model,
        hw=options.hw or device.id,
        engine=engine,
        precision=precision,
        kv_precision=options.kv_precision,
        tp=options.tp,
        pp=options.pp,
        dp=options.dp,
        ep=options.ep,
    )
    return request, tuple(assumed)


def _source(path: Path, digest: str, points: Sequence[BenchPoint], today: dt.date) -> BenchSource:
    version = "".join(c for c in points[0].version if c.isprintable())[:_VERSION_LENGTH]
    name = path.name.encode("utf-8", "backslashreplace").decode()
    return BenchSource(
        file="".join(c for c in name if c.isprintable()),
        sha256=digest,
        tool=points[0].tool,
        version=version,
        date=newest(tuple(points)) or today,
    )


def _overlay(
    request: EstimateRequest,
    points: Sequence[BenchPoint],
    assumed: tuple[Text, ...],
    source: BenchSource,
    today: dt.date,
) -> Imported | list[BadLine]:
    """Fit the points of one deployment; only what can't be used, if that is all."""
    longest = replace(
        request,
        isl_tokens=max(1, *(round(p.isl) + p.depth for p in points)),
        osl_tokens=max(1, *(round(p.osl) for p in points)),
    )
    setup = resolve(longest)
    layout, _, layout_defaults = place(setup, longest)
    base = steady_cost(setup)
    good, bad = usable([case_of(p, setup, layout) for p in points], base)
    refused = [BadLine(case.point.line, why) for case, why in bad]
    if not good:
        return refused
    outcome = judge(good, base)
    target = target_of(setup, layout)
    where = re.sub(r"[^a-z0-9.+_-]+", "-", f"{target.precision}-{layout}".lower())
    kind = "--lone" if good[0].point.lone else ""
    overlay = Overlay(
        schema=1,
        id=f"{target.model}--{target.device}--{target.engine}--{where}{kind}",
        imported=today,
        constants=constants_version(),
        configurations=len(configurations(good)),
        points=len(good),
        source=source,
        target=target,
        reach=_reach(good),
        base=base,
        fitted=outcome.fit.cost,
        prefill_factor=outcome.fit.prefill_factor,
        decode_factor=outcome.fit.decode_factor,
        error=outcome.errors,
    )
    example = good[len(good) // 2].point
    said = (*assumed, *layout_defaults)
    return Imported(overlay, outcome, setup, layout, said, tuple(refused), example)


def _reach(cases: Sequence[Case]) -> Reach:
    points = [case.point for case in cases]
    if points[0].lone:
        return _lone_reach(points)
    flights = []
    for case in cases:
        p = case.point
        held = (p.ttft_s or 0.0) + (p.osl - 1.0) * (p.tpot_s or 0.0)
        flights.append(float(p.concurrency or max((p.rps or 0.0) * held, 1.0)))
    return Reach(
        isl_low=min(p.isl for p in points),
        isl_high=max(p.isl for p in points),
        osl_low=min(p.osl for p in points),
        osl_high=max(p.osl for p in points),
        concurrency_low=min(flights) / cases[0].layout.replicas,
        concurrency_high=max(flights) / cases[0].layout.replicas,
    )


def _lone_reach(points: Sequence[BenchPoint]) -> Reach:
    """Prompts as long as measured; the length of an answer hardly changes its rate."""
    prompts = [p.isl + p.depth for p in points if p.prefill_tok_per_s]
    held = [p.depth + p.osl for p in points if p.decode_tok_per_s]
    return Reach(
        isl_low=min(prompts) if prompts else 1.0,
        isl_high=max(prompts) if prompts else max(held),
        osl_low=1.0,
        osl_high=max([*prompts, *held]),
        concurrency_low=1.0,
        concurrency_high=1.0,
    )
