"""A solver's solution put into the words of the result: options, deployments, checks."""

from __future__ import annotations

from typing import Literal

import numpy as np

from advisor.catalogue.widths import width
from advisor.cost.amount import Amount, product
from advisor.cost.carbon import energy_kwh_per_month, operating_kgco2e
from advisor.errors import MissingDataError
from advisor.optimizer.assemble import Question, money_row
from advisor.optimizer.demand import HOURS_PER_MONTH, ClassDemand
from advisor.optimizer.mix import MixSolution
from advisor.optimizer.money import (
    PoolUse,
    bill_of,
    pool_uses,
    spread_of,
    sum_of,
)
from advisor.optimizer.options import Option, kind_of, part_of
from advisor.optimizer.parts import PartTokens
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats
from advisor.optimizer.ranges import NORMAL_95_OVER_80, estimate_of, ranged
from advisor.optimizer.result import (
    ClassResult,
    Deployment,
    LatencyCheck,
    Plan,
    PlanOption,
    QualityCheck,
    Served,
)
from advisor.optimizer.tokens import character_half_width, characters
from advisor.perf.intervals import EXACT, Estimate, Spread, estimate, weakest
from advisor.schema.fact import Evidence
from advisor.schema.text import Text

LEAST_SHARE = 1e-6
TOKENS_PER_MTOK = 1e6
Metric = Literal["ttft", "tpot", "e2e"]
METRICS: tuple[Metric, ...] = ("ttft", "tpot", "e2e")


def plan_of(
    question: Question, found: MixSolution, factors: dict[str, float] | None = None
) -> Plan:
    """Describe a solution.

    Parameters
    ----------
    factors
        Share of predicted capacity each pool counts on.
    """
    problem = question.problem
    volume = found.flow_per_s @ problem.hours * SECONDS_PER_HOUR
    month = problem.requests_per_month
    share = volume / np.where(month > 0, month, 1.0)
    used = [i for i in range(len(question.options)) if (share[i] > LEAST_SHARE).any()]
    lines = bill_of(question, found)
    total = sum_of(lines, Text.of("because_bill"))
    uses = pool_uses(question, found)
    tokens = sum(
        n * (c.isl_tokens + c.osl_tokens)
        for n, c in zip(month, question.facts.demand.classes, strict=True)
    )
    return Plan(
        kind=kind_of([question.options[i] for i in used]),
        options=tuple(_option(question, i, share[i], volume[i]) for i in used),
        deployments=tuple(_deployment(u, factors or {}) for u in uses),
        lines=lines,
        usd_per_month=total,
        usd_per_mtok=_scaled(total, TOKENS_PER_MTOK / tokens),
        usd_per_1000_characters=_per_characters(question, volume, total),
        classes=tuple(
            _class(question, c, used, share[:, c], volume, uses)
            for c in range(len(problem.classes))
        ),
        quality=_overall(question, used, volume),
        power_w=_power(question, uses),
        kgco2e_per_month=_carbon(question, uses),
        chips=_chips(uses),
        gap=float(found.gap or 0.0),
    )


def _per_characters(question: Question, volume: Floats, total: Estimate) -> Estimate | None:
    """Money of 1,000 characters in and out; None for a language nobody counted tokens on.

    The workload's text is the same whoever serves it; without ``tokens_of`` its lengths are in
    the tokens of whoever does.
    """
    scenario = question.facts.scenario
    classes = scenario.workload.classes
    lengths = [c.isl_tokens + c.osl_tokens for c in question.facts.demand.classes]
    count, half = 0.0, 0.0
    for option, requests in zip(question.options, volume, strict=True):
        if requests.sum() <= 0:
            continue
        model = scenario.use.tokens_of or option.parts[0].model_id
        found = characters(model, classes, lengths)
        if found is None:
            return None
        count += float(found @ requests)
        half = max(half, *(character_half_width(model, c) for c in classes))
    if not count:
        return None
    wide = spread_of(total) + Spread(half, half * NORMAL_95_OVER_80)
    label = weakest(total.evidence, "estimated" if half else "exact")
    return estimate(total.value * 1000.0 / count, wide, label, total.because)


def _scaled(e: Estimate, factor: float) -> Estimate:
    return Estimate(
        e.value * factor,
        e.low80 * factor,
        e.high80 * factor,
        e.low95 * factor,
        e.high95 * factor,
        e.evidence,
        e.because,
    )


def _option(question: Question, index: int, share: Floats, volume: Floats) -> PlanOption:
    option = question.options[index]
    names = question.problem.classes
    return PlanOption(
        name=option.name,
        kind=option.kind,
        parts=option.parts,
        served=tuple(
            Served(names[c], float(share[c]), float(volume[c]))
            for c in range(len(names))
            if share[c] > LEAST_SHARE
        ),
        share_to_large=option.share_to_large,
        tokens=tuple(_tokens(question, option, share)),
        user=option.user,
    )


def _tokens(question: Question, option: Option, share: Floats) -> list[PartTokens]:
    classes = question.facts.demand.classes
    found = []
    for part, use in zip(option.parts, option.tokens, strict=True):
        isl, osl, hidden = use.lengths(classes)
        found += [
            PartTokens(
                model_name=part.model_name,
                class_name=one.name,
                isl_tokens=float(isl[c]),
                osl_tokens=float(osl[c]),
                reasoning_tokens=float(hidden[c]),
                vocabulary=use.vocabulary,
                answer=use.length,
            )
            for c, one in enumerate(classes)
            if share[c] > LEAST_SHARE
        ]
    return found


def _deployment(use: PoolUse, factors: dict[str, float]) -> Deployment:
    return Deployment(
        name=use.pool.name,
        part=part_of(use.pool.candidate),
        terms=use.pool.offer.terms,
        fixed=use.fixed,
        by_period=use.by_period,
        devices=use.replicas * use.pool.devices,
        utilisation=use.utilisation,
        usd_per_device_hour=use.pool.offer.usd_per_device_hour,
        capacity_factor=factors.get(use.pool.name, 1.0),
    )


def _spread(question: Question, option: Option, metric: str) -> Spread:
    """Half-widths of a latency: those of the option's weakest deployment or device."""
    found = EXACT
    setups = [question.pools[index].candidate.setup for index, _ in option.uses]
    for setup in (*setups, *option.on_devices):
        try:
            row = width(metric, setup.evidence, setup.device.device_class, setup.kind)
        except MissingDataError:
            continue
        if row.q80 > found.q80:
            found = Spread(row.q80, row.q95)
    return found


def _latency(
    question: Question, one: ClassDemand, c: int, used: list[int]
) -> tuple[LatencyCheck, ...]:
    checks = []
    for metric in METRICS:
        limit = getattr(one.slo, f"{metric}_s") if one.has_slo else None
        worst = max(used, key=lambda i: float(getattr(question.options[i], f"{metric}_s")[c]))
        option = question.options[worst]
        value = float(getattr(option, f"{metric}_s")[c])
        spread = _spread(question, option, "ttft" if metric == "ttft" else "tpot")
        stated = option.kind == "api"
        why = "because_given_percentiles" if stated else "because_latency"
        because = Text.of(why, name=option.name)
        planned = estimate(value, spread, "exact" if stated else option.evidence, because)
        checks.append(LatencyCheck(metric, one.slo.percentile, planned, limit))
    return tuple(checks)


def _quality(value: float, half80: float, evidence: Evidence, source: str) -> Estimate:
    """Put the range of a share round it, cut at 0 and 1."""
    wide = half80 * NORMAL_95_OVER_80
    return Estimate(
        value,
        max(value - half80, 0.0),
        min(value + half80, 1.0),
        max(value - wide, 0.0),
        min(value + wide, 1.0),
        evidence,
        Text.of("because_score", source=source),
    )


def _class(
    question: Question,
    c: int,
    used: list[int],
    share: Floats,
    volume: Floats,
    uses: tuple[PoolUse, ...],
) -> ClassResult:
    scenario = question.facts.scenario
    one = question.facts.demand.classes[c]
    mine = [i for i in used if share[i] > LEAST_SHARE]
    metric = scenario.metric_of(one.name) or ""
    options = [question.options[i] for i in mine]
    known = [bool(np.isfinite(o.quality[c])) for o in options]
    value = None
    if metric and all(known):
        mean = sum(float(share[i]) * float(question.options[i].quality[c]) for i in mine)
        half = max(float(o.half80[c]) for o in options)
        label = weakest("measured", *(_score_label(o) for o in options))
        value = _quality(mean, half, label, options[0].quality_source)
    source = options[0].quality_source if options else ""
    return ClassResult(
        name=one.name,
        requests_per_month=float(question.problem.requests_per_month[c]),
        latency=_latency(question, one, c, mine),
        quality=QualityCheck(metric, value, scenario.floor_of(one.name), source),
        usd_per_request=_usd_per_request(question, c, volume, uses),
    )


def _score_label(option: Option) -> Evidence:
    if option.kind in ("cascade", "routed"):
        return "extrapolated"
    return "estimated" if option.quality_source.startswith("assumed") else "measured"


def _usd_per_request(
    question: Question, c: int, volume: Floats, uses: tuple[PoolUse, ...]
) -> float:
    """Money of a mean request: its own, and its part of the replicas by the time it takes."""
    problem = question.problem
    usd = float((volume[:, c] * problem.usd_per_request[:, c]).sum())
    for use in uses:
        paid = problem.fixed_usd_per_month[use.index] * use.fixed
        scaled = problem.scaled_usd_per_hour[use.index]
        if np.isfinite(scaled):
            extra = np.array(use.by_period) - use.fixed
            paid += float(scaled * (extra @ problem.hours))
        mine = 0.0
        for option, pool, seconds in zip(
            problem.use_option, problem.use_pool, problem.use_s, strict=True
        ):
            if pool == use.index:
                mine += float(volume[option, c] * seconds[c]) / SECONDS_PER_HOUR
        usd += paid * mine / use.used_h if use.used_h else 0.0
    month = float(problem.requests_per_month[c])
    return usd / month if month else 0.0


def _overall(question: Question, used: list[int], volume: Floats) -> QualityCheck:
    scenario = question.facts.scenario
    metrics = {scenario.metric_of(c.name) for c in question.facts.demand.classes}
    floor = scenario.quality.overall.at_least if scenario.quality.overall else None
    options = [question.options[i] for i in used]
    scores = np.array([o.quality for o in options])
    if len(metrics) != 1 or None in metrics or not np.isfinite(scores).all():
        return QualityCheck("", None, floor)
    weights = volume[used]
    mean = float((scores * weights).sum() / weights.sum())
    half = max(float(o.half80.max()) for o in options)
    label = weakest("measured", *(_score_label(o) for o in options))
    value = _quality(mean, half, label, options[0].quality_source)
    metric = next(m for m in metrics if m)
    return QualityCheck(metric, value, floor, options[0].quality_source)


def _power(question: Question, uses: tuple[PoolUse, ...]) -> Estimate | None:
    """Peak power with the errors of the power curves, of host share and PUE."""
    site = question.facts.site
    if any(u.pool.power is None for u in uses) or not uses:
        return None
    powers = [(u.pool.power, u.pool.devices * u.replicas) for u in uses if u.pool.power]
    watts = sum(p.busy_w * n for p, n in powers)
    host = site.terms.host_power_share
    around = Amount(*(1.0 + x for x in (host.value, host.low, host.high)))
    whole = product(ranged(watts, _widest(uses)), around, site.terms.pue)
    because = Text.of("because_peak_power", site=site.id)
    return estimate_of(whole, _power_label(uses), because)


def _widest(uses: tuple[PoolUse, ...]) -> Spread:
    return max((u.pool.power.spread for u in uses if u.pool.power), key=lambda s: s.q80)


def _power_label(uses: tuple[PoolUse, ...]) -> Evidence:
    labels = [u.pool.power.evidence for u in uses if u.pool.power]
    return weakest(*labels, *(u.pool.candidate.setup.evidence for u in uses))


def _carbon(question: Question, uses: tuple[PoolUse, ...]) -> Estimate | None:
    """Carbon of the month's energy on the site's grid."""
    site = question.facts.site
    if site.grid is None or not uses or any(u.pool.power is None for u in uses):
        return None
    watt_hours = 0.0
    for u in uses:
        assert u.pool.power is not None
        idle, busy = u.pool.power.idle_w, u.pool.power.busy_w
        watt_hours += (idle * u.paid_h + (busy - idle) * u.used_h) * u.pool.devices
    mean = ranged(watt_hours / HOURS_PER_MONTH, _widest(uses))
    terms = site.terms
    energy = energy_kwh_per_month(mean, 1.0, terms.host_power_share, terms.pue)
    because = Text.of("because_carbon", site=site.id)
    return estimate_of(operating_kgco2e(energy, site.grid), _power_label(uses), because)


def _chips(uses: tuple[PoolUse, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for u in uses:
        device = u.pool.candidate.setup.device.id
        found[device] = found.get(device, 0) + u.replicas * u.pool.devices
    return found


def usd_of(question: Question, found: MixSolution) -> float:
    """Recompute a solution's money from its flows and replicas: what the solver must agree with."""
    problem, row = question.problem, money_row(question.problem)
    volume = found.flow_per_s @ problem.hours * SECONDS_PER_HOUR
    return float(
        (volume * row.per_request).sum()
        + found.fixed @ row.per_fixed
        + (found.scaled @ problem.hours) @ row.per_scaled
        + found.charged @ row.per_charge
    )
