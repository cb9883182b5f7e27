"""Answering a request: resolve, place, load, price."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from advisor.catalogue.data_version import data_version
from advisor.catalogue.widths import width
from advisor.errors import InfeasibleError
from advisor.estimator.money import HourlyPrices, hourly_prices
from advisor.estimator.placement import place
from advisor.estimator.points import Bench, point
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult, Memory, Phase
from advisor.estimator.setup import SERVER_CLASSES, Setup, resolve, step_model
from advisor.perf.intervals import Spread, estimate, exact
from advisor.perf.layout import Layout
from advisor.perf.load import LoadPoint, Profile, closed_loop, open_loop
from advisor.perf.memory import MemoryPlan
from advisor.perf.step import Batch, StepModel, StepTime
from advisor.schema.text import Text

DEFAULT_SERVER_CONCURRENCY = 16
DEFAULT_SITE = "world"
GRID = 96
"""Batch sizes looked at when the best operating point is sought."""


@dataclass(frozen=True)
class _Deployment:
    setup: Setup
    layout: Layout
    plan: MemoryPlan
    model: StepModel
    profile: Profile

    @property
    def ranks(self) -> int:
        """Attention ranks of all replicas."""
        return self.layout.replicas * self.layout.dp


def estimate_point(request: EstimateRequest, today: dt.date | None = None) -> EstimateResult:
    """Answer a request.

    Parameters
    ----------
    request
        The question.
    today
        Day price ages count from; None: the clock's.

    Raises
    ------
    AdvisorError
        See ``advisor/errors.py``: unknown names, missing facts, what doesn't fit, no point
        under the SLO, stale prices.
    """
    setup = resolve(request)
    layout, plan, layout_defaults = place(setup, request)
    deployment = _deploy(setup, layout, plan, request)
    money = hourly_prices(
        setup.device, request.usd_per_hour, request.max_price_age_days, today or dt.date.today()
    )
    site = request.site or DEFAULT_SITE
    bench = Bench(setup, layout, deployment.model, deployment.profile, money, site)
    concurrency, load_defaults = _asked_concurrency(request, setup, plan, layout)
    asked = _asked_load(deployment, request, concurrency)
    best_concurrency, best = _best(deployment, request)
    decode, prefill = _phases(deployment, asked)
    return EstimateResult(
        request=request,
        model_id=setup.model.id,
        model_name=setup.model.name,
        device_id=setup.device.id,
        device_name=setup.device.name,
        engine_id=setup.engine.id,
        engine_name=setup.engine.name,
        engine_version=setup.engine.version,
        precision=setup.weights.id,
        kv_precision=setup.kv_format,
        layout=layout,
        memory=_memory(setup, layout, plan),
        prefill=_phase(setup, prefill, "prefill"),
        decode=_phase(setup, decode, "tpot"),
        asked=point(bench, asked, concurrency or float(asked.running) * deployment.ranks),
        best=point(bench, best, best_concurrency),
        under_slo=request.slo_ttft_s is not None or request.slo_tpot_s is not None,
        defaults=(
            *setup.defaults,
            *layout_defaults,
            *load_defaults,
            *_length_defaults(request, site),
        ),
        warnings=(*setup.warnings, *_queue_warning(plan, layout, concurrency), *money.warnings),
        data=_data(money),
    )


def _deploy(
    setup: Setup, layout: Layout, plan: MemoryPlan, request: EstimateRequest
) -> _Deployment:
    scheduler = setup.engine.scheduler
    profile = Profile(
        isl_tokens=float(request.isl_tokens),
        osl_tokens=float(request.osl_tokens),
        max_step_tokens=setup.cost.step_tokens or scheduler.max_step_tokens.value,
        max_sequences=max(plan.sequences // layout.dp, 1),
        prefill_alone=scheduler.prefill_alone,
        cost=setup.cost,
    )
    return _Deployment(setup, layout, plan, step_model(setup, layout), profile)


def _asked_concurrency(
    request: EstimateRequest, setup: Setup, plan: MemoryPlan, layout: Layout
) -> tuple[float | None, tuple[Text, ...]]:
    if request.rps is not None:
        return None, ()
    if request.concurrency is not None:
        return float(request.concurrency), ()
    server = setup.device.device_class in SERVER_CLASSES
    chosen = min(DEFAULT_SERVER_CONCURRENCY if server else 1, plan.sequences) * layout.replicas
    return float(chosen), (Text.of("default_concurrency", concurrency=chosen),)


def _asked_load(d: _Deployment, request: EstimateRequest, concurrency: float | None) -> LoadPoint:
    if request.rps is not None:
        return open_loop(d.model, d.profile, request.rps / d.ranks)
    assert concurrency is not None
    # Fewer clients than attention ranks: the busy ranks hold one each.
    return closed_loop(d.model, d.profile, max(concurrency / d.ranks, 1.0))


def _best(d: _Deployment, request: EstimateRequest) -> tuple[float, LoadPoint]:
    """Find the load with the highest throughput, under the SLO if one is given.

    TTFT and TPOT grow with the batch, so the largest batch within the limits wins.
    """
    top = d.profile.max_sequences
    grid = np.unique(np.round(np.geomspace(1, top, GRID)))
    loads = closed_loop(d.model, d.profile, grid)
    good = np.ones(grid.shape, dtype=bool)
    if request.slo_ttft_s is not None:
        good &= loads.ttft_s <= request.slo_ttft_s
    if request.slo_tpot_s is not None:
        good &= loads.tpot_s <= request.slo_tpot_s
    if not good.any():
        raise _no_point(loads, request)
    rate = np.where(good, loads.requests_per_s, -1.0)
    chosen = int(np.argmax(rate))
    upper = int(grid[chosen + 1]) - 1 if chosen + 1 < len(grid) else int(grid[chosen])
    size = _refine(d, request, int(grid[chosen]), upper)
    return size * d.ranks, closed_loop(d.model, d.profile, float(size))


def _refine(d: _Deployment, request: EstimateRequest, low: int, high: int) -> int:
    """Find by bisection the largest batch in [low, high] within the SLO."""
    while low < high:
        middle = (low + high + 1) // 2
        load = closed_loop(d.model, d.profile, float(middle))
        within = float(load.ttft_s) <= (request.slo_ttft_s or np.inf) and float(load.tpot_s) <= (
            request.slo_tpot_s or np.inf
        )
        low, high = (middle, high) if within else (low, middle - 1)
    return low


def _no_point(loads: LoadPoint, request: EstimateRequest) -> InfeasibleError:
    ttft, tpot = float(np.min(loads.ttft_s)), float(np.min(loads.tpot_s))
    limits = []
    if request.slo_ttft_s is not None and ttft > request.slo_ttft_s:
        limits.append(
            f"TTFT is {ttft * 1e3:.0f} ms at best, limit {request.slo_ttft_s * 1e3:.0f} ms"
        )
    if request.slo_tpot_s is not None and tpot > request.slo_tpot_s:
        limits.append(
            f"TPOT is {tpot * 1e3:.1f} ms at best, limit {request.slo_tpot_s * 1e3:.1f} ms"
        )
    msg = "no operating point meets the SLO: " + "; ".join(limits or ["TTFT and TPOT together"])
    raise_to = [f"--slo-ttft-ms {ttft * 1e3:.0f}", f"--slo-tpot-ms {tpot * 1e3:.1f}"]
    return InfeasibleError(msg, limit="slo", suggestions=raise_to)


def _phases(d: _Deployment, asked: LoadPoint) -> tuple[StepTime, StepTime]:
    """Return a decode step at the asked batch, and the prefill of one prompt alone."""
    context = d.profile.isl_tokens + d.profile.osl_tokens / 2.0
    running = float(asked.running) / d.model.pipeline_stages
    decode = d.model.step(Batch(sequences=running, context_tokens=context))
    chunk = min(d.profile.isl_tokens, d.profile.max_step_tokens)
    offsets = np.arange(0.0, d.profile.isl_tokens, chunk)
    sizes = np.minimum(chunk, d.profile.isl_tokens - offsets)
    last = (offsets + sizes >= d.profile.isl_tokens).astype(float)
    prefill = d.model.step(
        Batch(chunks=1.0, chunk_tokens=sizes, offset_tokens=offsets, finishing=last)
    )
    return decode, prefill.summed()


def _phase(setup: Setup, step: StepTime, metric: str) -> Phase:
    seconds = float(step.seconds)
    q = width(metric, setup.evidence, setup.device.device_class)
    peak = setup.chip.peak(setup.weights.compute)
    return Phase(
        time_s=estimate(seconds, Spread(q.q80, q.q95), setup.evidence, setup.because),
        bound=step.bound(),
        mfu=float(step.flops) / seconds / peak,
        mbu=float(step.moved_bytes) / seconds / setup.chip.bytes_per_s,
        parts_s={name: float(value) for name, value in step.parts_s.items() if float(value) > 0},
    )


def _memory(setup: Setup, layout: Layout, plan: MemoryPlan) -> Memory:
    counted = Text.of("because_counted", model=setup.model.name)
    rule = Text.of("because_memory_rule", engine=setup.engine.name, version=setup.engine.version)
    physical = Text.of("because_physical", device=setup.device.name)
    q = width("memory", "calibrated", setup.device.device_class)
    spread = Spread(q.q80, q.q95)
    return Memory(
        physical_bytes=exact(plan.physical_bytes, physical),
        weights_bytes=exact(plan.weights_bytes, counted),
        workspace_bytes=estimate(plan.workspace_bytes, spread, "calibrated", rule),
        kv_bytes_per_token=exact(plan.kv_bytes_per_token, counted),
        kv_bytes_per_sequence=exact(plan.kv_bytes_per_sequence, counted),
        kv_tokens=estimate(plan.kv_tokens * layout.replicas, spread, "calibrated", rule),
        sequences=estimate(plan.sequences * layout.replicas, spread, "calibrated", rule),
    )


def _length_defaults(request: EstimateRequest, site: str) -> tuple[Text, ...]:
    found = []
    blank = EstimateRequest(model="", hw="")
    if request.isl_tokens == blank.isl_tokens and request.osl_tokens == blank.osl_tokens:
        found.append(Text.of("default_lengths", isl=blank.isl_tokens, osl=blank.osl_tokens))
    if request.site is None:
        found.append(Text.of("default_site", site=site))
    return tuple(found)


def _queue_warning(plan: MemoryPlan, layout: Layout, concurrency: float | None) -> tuple[Text, ...]:
    room = plan.sequences * layout.replicas
    if concurrency is not None and concurrency > room:
        return (Text.of("warn_queue", asked=int(concurrency), room=room),)
    return ()


def _data(money: HourlyPrices) -> dict[str, str]:
    return {**data_version(), "rental_price_date": str(money.oldest or "")}
