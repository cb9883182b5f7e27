"""Answering a request: resolve, place, load, price."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from advisor.catalogue.data_version import data_version
from advisor.catalogue.devices import PowerChoice, power_for
from advisor.catalogue.prices import get_site
from advisor.catalogue.widths import width
from advisor.errors import InfeasibleError
from advisor.estimator.money import HourlyPrices, hourly_prices
from advisor.estimator.overlays import (
    as_measured,
    measured_steps,
    overlaid,
    overlay_data,
    overlays_of,
    verdict,
)
from advisor.estimator.placement import place
from advisor.estimator.points import Bench, point, use_of
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult, Memory, Phase
from advisor.estimator.setup import SERVER_CLASSES, Setup, resolve, step_model
from advisor.perf.intervals import Spread, estimate, exact
from advisor.perf.layout import Layout
from advisor.perf.load import LoadPoint, Profile, closed_loop, open_loop
from advisor.perf.memory import MemoryPlan
from advisor.perf.roofline import Array
from advisor.perf.step import Batch, StepModel, StepTime
from advisor.schema.engine import EngineCost
from advisor.schema.fact import Evidence
from advisor.schema.overlay import Metric
from advisor.schema.text import Text

DEFAULT_SERVER_CONCURRENCY = 16
DEFAULT_SITE = "world"
GRID = 48
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
    bare, setup, layout, plan, defaults = _placed(request)
    deployment = _deploy(setup, layout, plan, request)
    money = hourly_prices(
        setup.device, request.usd_per_hour, request.max_price_age_days, today or dt.date.today()
    )
    site = DEFAULT_SITE if request.site is None else get_site(request.site).id
    power = power_for(setup.device, setup.engine.id)
    bench = Bench(setup, layout, deployment.profile, money, power, site)
    concurrency, load_defaults = _asked_concurrency(request, setup, plan, layout)
    asked, best_concurrency, best = _loads(deployment, request, concurrency)
    running = np.array([float(asked.running), float(best.running)])
    decodes, prefill = _phases(deployment, running)
    uses = [use_of(setup, load, decodes.at(i), prefill) for i, load in enumerate((asked, best))]
    points = (
        point(bench, asked, concurrency or float(asked.running) * deployment.ranks, uses[0]),
        point(bench, best, best_concurrency, uses[1]),
    )
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
        prefill=_phase(bare, setup, prefill, "prefill"),
        decode=_phase(bare, setup, decodes.at(0), "tpot"),
        asked=points[0],
        best=points[1],
        under_slo=request.slo_ttft_s is not None or request.slo_tpot_s is not None,
        defaults=(*defaults, *load_defaults, *_defaults(request, site)),
        warnings=_warnings(deployment, concurrency, power, money),
        data={**_data(setup, request, money), **overlay_data(setup)},
    )


def _placed(
    request: EstimateRequest,
) -> tuple[Setup, Setup, Layout, MemoryPlan, tuple[Text, ...]]:
    """Return the setup without and with overlay, the layout, its memory and the defaults."""
    files = overlays_of(request)
    asked_for, measured = as_measured(request, files)
    bare = resolve(asked_for)
    layout, plan, chosen = place(bare, asked_for)
    setup = overlaid(bare, layout, request, files)
    return bare, setup, layout, plan, (*setup.defaults, *measured, *chosen)


def _deploy(
    setup: Setup, layout: Layout, plan: MemoryPlan, request: EstimateRequest
) -> _Deployment:
    scheduler = setup.engine.scheduler
    profile = Profile(
        isl_tokens=float(request.isl_tokens),
        osl_tokens=float(request.osl_tokens),
        max_step_tokens=setup.cost.step_tokens or scheduler.max_step_tokens.value,
        max_sequences=_max_sequences(setup, layout, plan),
        prefill_alone=scheduler.prefill_alone,
        cost=_with_first_token(setup),
    )
    model = measured_steps(setup, step_model(setup, layout))
    return _Deployment(setup, layout, plan, model, profile)


def _max_sequences(setup: Setup, layout: Layout, plan: MemoryPlan) -> int:
    """Return the largest batch of one attention rank; a phone serves the one who holds it."""
    if setup.device.device_class == "phone":
        return 1
    return max(plan.sequences // layout.dp, 1)


def _with_first_token(setup: Setup) -> EngineCost:
    """Return the engine's costs with what the runtime adds to a first token."""
    extra = setup.family.efficiency.first_token_s
    if not extra:
        return setup.cost
    return msgspec.structs.replace(setup.cost, per_request_s=setup.cost.per_request_s + extra)


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


def _loads(
    d: _Deployment, request: EstimateRequest, concurrency: float | None
) -> tuple[LoadPoint, float, LoadPoint]:
    """Return the load as asked, and the best concurrency with its load.

    TTFT and TPOT grow with the batch, so the largest batch within the limits wins.
    """
    # Fewer clients than attention ranks: the busy ranks hold one each.
    wanted = max((concurrency or 1.0) / d.ranks, 1.0)
    # np.unique would load numpy.ma, a tenth of the command's start-up.
    sizes = np.round(np.geomspace(1, d.profile.max_sequences, GRID))
    grid = np.array(sorted(set(sizes.tolist())))
    every = closed_loop(d.model, d.profile, np.concatenate([[wanted], grid]))
    if request.rps is not None:
        asked = open_loop(d.model, d.profile, request.rps / d.ranks)
    else:
        asked = every.at(0)
    good = _within(every, request)[1:]
    if not good.any():
        raise _no_point(every, request)
    rates = np.where(good, every.requests_per_s[1:], -1.0)
    chosen = int(np.argmax(rates))
    if chosen + 1 >= len(grid) or good[chosen + 1]:
        return asked, grid[chosen] * d.ranks, every.at(chosen + 1)
    size = _refine(d, request, int(grid[chosen]), int(grid[chosen + 1]) - 1)
    return asked, float(size * d.ranks), closed_loop(d.model, d.profile, float(size))


def _within(load: LoadPoint, request: EstimateRequest) -> Array:
    return np.asarray(
        (load.ttft_s <= (request.slo_ttft_s or np.inf))
        & (load.tpot_s <= (request.slo_tpot_s or np.inf))
    )


def _refine(d: _Deployment, request: EstimateRequest, low: int, high: int) -> int:
    """Find by bisection the largest batch in [low, high] within the SLO."""
    while low < high:
        middle = (low + high + 1) // 2
        within = bool(_within(closed_loop(d.model, d.profile, float(middle)), request))
        low, high = (middle, high) if within else (low, middle - 1)
    return low


def _no_point(loads: LoadPoint, request: EstimateRequest) -> InfeasibleError:
    """Say which limits the smallest batch breaks: it has the lowest TTFT and TPOT of all."""
    least = loads.at(int(np.argmin(loads.tpot_s)))
    limits, mends = [], []
    for name, seconds, limit in (
        ("ttft", float(least.ttft_s), request.slo_ttft_s),
        ("tpot", float(least.tpot_s), request.slo_tpot_s),
    ):
        if limit is not None and seconds > limit:
            reach = math.ceil(seconds * 1e4) / 10
            limits.append(f"{name.upper()} is {reach:g} ms at best, limit {limit * 1e3:g} ms")
            mends.append(f"--slo-{name}-ms {reach:g}")
    msg = "no operating point meets the SLO: " + "; ".join(limits)
    return InfeasibleError(msg, limit="slo", suggestions=[" ".join(mends)])


def _phases(d: _Deployment, running: Array) -> tuple[StepTime, StepTime]:
    """Return decode steps at these batches, and the prefill of one prompt alone."""
    context = d.profile.isl_tokens + d.profile.osl_tokens / 2.0
    batch = running / d.model.pipeline_stages
    decode = d.model.step(Batch(sequences=batch, context_tokens=context))
    return decode, _lone_prefill(d.model, d.profile.isl_tokens, d.profile.max_step_tokens)


@lru_cache(maxsize=512)
def _lone_prefill(model: StepModel, isl_tokens: float, max_step_tokens: float) -> StepTime:
    chunk = min(isl_tokens, max_step_tokens)
    offsets = np.arange(0.0, isl_tokens, chunk)
    sizes = np.minimum(chunk, isl_tokens - offsets)
    last = (offsets + sizes >= isl_tokens).astype(float)
    return model.step(
        Batch(chunks=1.0, chunk_tokens=sizes, offset_tokens=offsets, finishing=last)
    ).summed()


def _phase(bare: Setup, setup: Setup, step: StepTime, metric: Metric) -> Phase:
    """Return one step: only an overlay that measured it alone changes its label."""
    seconds = float(step.seconds)
    alone = setup.overlay is not None and setup.overlay.file.overlay.phases
    peak = setup.chip.peak(setup.weights.compute)
    return Phase(
        time_s=estimate(seconds, *verdict(setup if alone else bare, metric, None)),
        bound=step.bound(),
        mfu=float(step.flops) / seconds / peak,
        mbu=float(step.moved_bytes) / seconds / setup.chip.bytes_per_s,
        parts_s={name: float(value) for name, value in step.parts_s.items() if float(value) > 0},
    )


def _memory(setup: Setup, layout: Layout, plan: MemoryPlan) -> Memory:
    counted = Text.of("because_counted", model=setup.model.name)
    rule = Text.of("because_memory_rule", engine=setup.engine.name, version=setup.engine.version)
    physical = Text.of("because_physical", device=setup.device.name)
    label: Evidence = "calibrated" if _measured_memory(setup) else "estimated"
    q = width("memory", label, setup.device.device_class, setup.kind)
    spread = Spread(q.q80, q.q95)
    return Memory(
        physical_bytes=exact(plan.physical_bytes, physical),
        weights_bytes=exact(plan.weights_bytes, counted),
        workspace_bytes=estimate(plan.workspace_bytes, spread, label, rule),
        kv_bytes_per_token=exact(plan.kv_bytes_per_token, counted),
        kv_bytes_per_sequence=exact(plan.kv_bytes_per_sequence, counted),
        kv_tokens=estimate(plan.kv_tokens * layout.replicas, spread, label, rule),
        sequences=estimate(plan.sequences * layout.replicas, spread, label, rule),
    )


def _measured_memory(setup: Setup) -> bool:
    """Tell whether the engine's memory rule rests on measurements, not on assumptions."""
    rule = setup.engine.memory
    facts = (rule.workspace_bytes, rule.base_bytes, rule.logits_bytes_per_vocab_entry)
    return all(fact.grade != "assumed" for fact in facts)


def _defaults(request: EstimateRequest, site: str) -> tuple[Text, ...]:
    found = []
    if request.isl_tokens == EstimateRequest.isl_tokens:
        found.append(Text.of("default_isl", isl=request.isl_tokens))
    if request.osl_tokens == EstimateRequest.osl_tokens:
        found.append(Text.of("default_osl", osl=request.osl_tokens))
    if request.site is None:
        found.append(Text.of("default_site", site=site))
    return tuple(found)


def _warnings(
    d: _Deployment, concurrency: float | None, power: PowerChoice | None, money: HourlyPrices
) -> tuple[Text, ...]:
    found = [*d.setup.warnings]
    room = d.plan.sequences * d.layout.replicas
    if concurrency is not None and concurrency > room:
        found.append(Text.of("warn_queue", asked=int(concurrency), room=room))
    found += money.warnings
    device = d.setup.device
    if money.owned_capital and (power is None or device.power.tdp_w is None):
        found.append(Text.of("warn_no_power", device=device.name))
    return tuple(found)


def _data(setup: Setup, request: EstimateRequest, money: HourlyPrices) -> dict[str, str]:
    used = data_version(request.model, setup.model.id, request.hw, setup.device.id)
    return {**used, "rental_price_date": str(money.oldest or "")}
