"""From a scenario to the solver's numbers: options, pools, charges and limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.cost.amount import Amount
from advisor.errors import MissingDataError
from advisor.estimator.tuning import TuningJob, tuning_cost
from advisor.optimizer.candidates import CandidateList, candidates_of
from advisor.optimizer.capacity import Asked, asked_of
from advisor.optimizer.demand import HOURS_PER_MONTH, Demand, demand_of
from advisor.optimizer.electricity import Site, site_of
from advisor.optimizer.hardware import HardwareList, device_id_of, hardware_of
from advisor.optimizer.models import ModelChoice, ModelList, check_names, models_of, score_book
from advisor.optimizer.options import (
    Option,
    Pool,
    fixed_usd_per_month,
    pool_option,
    pools_of,
    scaled_usd_per_hour,
    worth_keeping,
)
from advisor.optimizer.pairs import pair_options
from advisor.optimizer.problem import SECONDS_PER_HOUR, Bools, Floats, Limit, MixProblem
from advisor.optimizer.remote import RemoteList, apis_of, on_devices_of
from advisor.optimizer.scores import ScoreBook
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

TOKENS_PER_MTOK = 1e6
MINUTE_S = 60.0
SAME_SCORE = 1e-9
FAR_BELOW = 0.15
"""So far below a floor a small model helps no pair: most of its answers would be escalated."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What a scenario stands on, looked up once."""

    scenario: Scenario
    today: dt.date
    demand: Demand
    asked: Asked
    book: ScoreBook
    models: ModelList
    hardware: HardwareList
    site: Site
    hosting_usd_per_kw: float
    remote: RemoteList
    local: RemoteList
    charges: dict[str, float]
    retrieval_usd: Floats
    per_usd: float


@dataclass(frozen=True, eq=False)
class Question:
    """The solver's numbers, and what each index stands for."""

    facts: Facts
    candidates: CandidateList
    pools: tuple[Pool, ...]
    options: tuple[Option, ...]
    charge_names: tuple[str, ...]
    problem: MixProblem


def facts_of(scenario: Scenario, folder: Path, today: dt.date) -> Facts:
    """Look up everything a scenario names.

    Raises
    ------
    AdvisorError
        Unknown names, missing prices, metrics nobody has a score on.
    """
    check_names(scenario)
    demand = demand_of(scenario.workload, float(scenario.money.horizon_months))
    asked = asked_of(demand.classes)
    book = score_book(scenario, ScoreBook(scenario.quality, folder))
    site = site_of(scenario.money)
    rate = prices.exchange_rate(scenario.money.currency)
    remote = apis_of(scenario, demand.classes, asked, book, today)
    local = on_devices_of(scenario, demand.classes, asked, book)
    return Facts(
        scenario=scenario,
        today=today,
        demand=demand,
        asked=asked,
        book=book,
        models=models_of(scenario, demand.classes, book),
        hardware=hardware_of(scenario, today),
        site=site,
        hosting_usd_per_kw=prices.operation().hosting_usd_per_kw_month.value,
        remote=remote,
        local=local,
        charges=_charges(scenario, site, today),
        retrieval_usd=_retrieval(scenario, demand),
        per_usd=1.0 if rate is None else rate.per_usd,
    )


def _retrieval(scenario: Scenario, demand: Demand) -> Floats:
    """``(C,)`` embedding and reranking of one request."""
    usd = np.zeros(len(demand.classes))
    for row in scenario.retrieval:
        c = next(i for i, one in enumerate(demand.classes) if one.name == row.traffic_class)
        usd[c] += row.embed_tokens * row.usd_per_mtok_embed / TOKENS_PER_MTOK
        usd[c] += row.rerank_tokens * row.usd_per_mtok_rerank / TOKENS_PER_MTOK
    return usd


def _charges(scenario: Scenario, site: Site, today: dt.date) -> dict[str, float]:
    """One-off and standing costs by key, US dollars a month."""
    found: dict[str, float] = {}
    months = scenario.money.horizon_months
    for tuned in scenario.tuned:
        found[f"tuning:{tuned.name}"] = (tuning_usd(scenario, tuned.name, today)) / months
    for row in scenario.use.on_device:
        found[f"app:{row.model}@{row.hw}"] = row.usd_per_month
    staff = scenario.money.staff_usd_per_month
    if staff is None:
        try:
            wage = prices.wage(site.id).value
        except MissingDataError:
            wage = 0.0
        staff = wage / 12.0 * prices.operation().staff_fte_least.value
    found["staff"] = staff
    return found


def tuning_usd(scenario: Scenario, name: str, today: dt.date) -> float:
    """Money of fine-tuning one of the scenario's models: device-hours at the rent, and data.

    Raises
    ------
    MissingDataError
        If the device has no rent.
    """
    from advisor.catalogue.models import get_model
    from advisor.estimator.money import hourly_prices

    tuned = next(t for t in scenario.tuned if t.name == name)
    device = get_device(tuned.hw)
    given = scenario.money.rent_usd_per_hour.get(device.id)
    hour = hourly_prices(device, given, None, today).rented
    if hour is None:
        msg = f"tuned {name!r}: {device.name} has no rent; give money.rent_usd_per_hour"
        raise MissingDataError(msg)
    job = TuningJob(tokens=tuned.training_tokens, method=tuned.method)
    price = Amount(hour.value, hour.low80, hour.high80)
    cost = tuning_cost(get_model(tuned.base), device, job, price)
    assert cost.usd is not None
    return cost.usd.value + tuned.usd_data


def question_of(
    facts: Facts,
    factors: dict[str, float] | None = None,
    slo_factor: float = 1.0,
    candidates: CandidateList | None = None,
    weak_too: bool = False,
) -> Question:
    """Build options and the solver's numbers.

    Parameters
    ----------
    facts
        Looked up.
    factors
        Pool → share of its predicted capacity to count on (1 where left out).
    slo_factor
        Multiplies every latency limit.
    candidates
        Deployments found before; None: search.
    weak_too
        Search also models far below every floor.
    """
    s = facts.scenario
    if candidates is None:
        candidates = candidates_of(
            facts.models.models if weak_too else _hopeful(facts),
            facts.hardware.devices,
            facts.demand,
            s.use,
            s.quality.four_bit_loss_points / 100.0,
            slo_factor,
            _scarce(s),
            facts.site.usd_per_hour(1.0),
        )
    classes = facts.demand.classes
    pools = pools_of(candidates.kept, classes, facts.site, factors or {})
    floors = np.array([s.floor_of(c.name) or 0.0 for c in classes])
    rate = np.asarray(facts.demand.per_s @ facts.demand.hours / facts.demand.hours.sum())
    keep = worth_keeping(pools, _scarce(s), floors, rate)
    pools = [p for p, kept in zip(pools, keep, strict=True) if kept]
    singles = [pool_option(i, p) for i, p in enumerate(pools)]
    singles += [*facts.remote.options, *facts.local.options]
    options = singles + pair_options(s, classes, facts.asked, singles, pools)
    names = tuple(sorted({c for o in options for c in o.charges if facts.charges.get(c)}))
    problem = _problem(facts, pools, options, names)
    return Question(facts, candidates, tuple(pools), tuple(options), names, problem)


def _hopeful(facts: Facts) -> list[ModelChoice]:
    """Models that meet some class's floor, or come near enough to serve in a pair."""
    floors = np.array([facts.scenario.floor_of(c.name) or 0.0 for c in facts.demand.classes])
    return [m for m in facts.models.models if not (m.values < floors - FAR_BELOW).all()]


def _scarce(scenario: Scenario) -> frozenset[str]:
    """Devices that count one by one: limited ones, or all under a power or carbon limit."""
    limits = scenario.limits
    named = {device_id_of(name) for name in limits.chips}
    on_site = any(c.privacy == "on-premises" for c in scenario.workload.classes)
    if on_site or limits.power_w is not None or limits.kgco2e_per_month is not None:
        for file in prices.price_files():
            named |= {r.device for r in file.rental} | {p.device for p in file.purchase}
    return frozenset(named)


def _problem(
    facts: Facts, pools: Sequence[Pool], options: Sequence[Option], charges: Sequence[str]
) -> MixProblem:
    s, demand = facts.scenario, facts.demand
    c = len(demand.classes)
    uses = [(o, p, sec) for o, option in enumerate(options) for p, sec in option.uses]
    pairs = [
        (o, charges.index(key))
        for o, option in enumerate(options)
        for key in option.charges
        if key in charges
    ]
    usd = np.array([o.usd_per_request + facts.retrieval_usd for o in options]).reshape(-1, c)
    allowed = np.array([o.allowed for o in options], dtype=bool).reshape(-1, c)
    allowed &= _good_enough(facts, options)
    problem = MixProblem(
        classes=tuple(one.name for one in demand.classes),
        options=tuple(o.name for o in options),
        pools=tuple(p.name for p in pools),
        demand_per_s=demand.per_s,
        hours=demand.hours,
        allowed=allowed,
        usd_per_request=usd,
        fixed_usd_per_month=np.array(
            [fixed_usd_per_month(p, s, facts.hosting_usd_per_kw) for p in pools]
        ),
        scaled_usd_per_hour=np.array([scaled_usd_per_hour(p, s) for p in pools]),
        use_option=np.array([o for o, _, _ in uses], dtype=np.int64),
        use_pool=np.array([p for _, p, _ in uses], dtype=np.int64),
        use_s=np.array([sec for _, _, sec in uses]).reshape(-1, c),
        charge_usd_per_month=np.array([facts.charges[key] for key in charges]),
        charge_option=np.array([o for o, _ in pairs], dtype=np.int64),
        charge_index=np.array([g for _, g in pairs], dtype=np.int64),
        scales_from_zero=False,
        most_share=np.array([np.full(c, o.most_share) for o in options]).reshape(-1, c),
    )
    limits = [
        *_quality_limits(facts, options, problem),
        *_money_limit(facts, problem),
        *_power_limits(facts, pools, options, problem),
        *_chip_limits(facts, pools),
        *_rate_limits(facts, options),
    ]
    return problem.with_limits(*limits)


def _good_enough(facts: Facts, options: Sequence[Option]) -> Bools:
    """``(O, C)`` options whose score meets the class's floor; a random split may not dodge it."""
    quality = np.nan_to_num(np.array([o.quality for o in options]))
    floors = [facts.scenario.floor_of(c.name) or 0.0 for c in facts.demand.classes]
    return np.asarray(quality.reshape(-1, len(floors)) >= np.array(floors) - SAME_SCORE)


def _quality_limits(facts: Facts, options: Sequence[Option], problem: MixProblem) -> list[Limit]:
    overall = facts.scenario.quality.overall
    return [quality_row(options, problem, overall.at_least)] if overall else []


def quality_row(options: Sequence[Option], problem: MixProblem, at_least: float) -> Limit:
    """Return the mean score over all requests as a floor."""
    quality = np.nan_to_num(np.array([o.quality for o in options]))
    total = float(problem.requests_per_month.sum())
    per = quality.reshape(-1, len(problem.classes))
    return Limit("quality", at_least, "at-least", total, per_request=per)


def money_row(problem: MixProblem) -> Limit:
    """Return the cost of a plan as a limit without a value."""
    return Limit(
        "money",
        np.inf,
        per_request=problem.usd_per_request,
        per_fixed=_finite(problem.fixed_usd_per_month),
        per_scaled=_finite(problem.scaled_usd_per_hour),
        per_charge=problem.charge_usd_per_month,
    )


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


def _money_limit(facts: Facts, problem: MixProblem) -> list[Limit]:
    budget = facts.scenario.limits.per_month
    if budget is None:
        return []
    return [replace(money_row(problem), value=budget, scale=1.0 / facts.per_usd)]


def _power_limits(
    facts: Facts, pools: Sequence[Pool], options: Sequence[Option], problem: MixProblem
) -> list[Limit]:
    """Peak power of what runs on site or is rented, and the month's carbon."""
    limits = facts.scenario.limits
    found = []
    busy = np.array(
        [facts.site.wall_w(p.power.busy_w) * p.devices if p.power else 0.0 for p in pools]
    )
    if limits.power_w is not None:
        found.append(Limit("power", limits.power_w, per_fixed=busy, each_period=True))
    if limits.kgco2e_per_month is not None:
        idle = np.array([_kg(facts.site, p, busy=False) for p in pools])
        work = np.array([_kg(facts.site, p, busy=True) for p in pools]) - idle
        per = np.zeros(problem.allowed.shape)
        for o, option in enumerate(options):
            for p, seconds in option.uses:
                per[o] += seconds / SECONDS_PER_HOUR * work[p]
        found.append(
            Limit(
                "carbon",
                limits.kgco2e_per_month,
                per_request=per,
                per_fixed=idle * HOURS_PER_MONTH,
                per_scaled=idle,
            )
        )
    return found


def _kg(site: Site, pool: Pool, *, busy: bool) -> float:
    if pool.power is None:
        return 0.0
    return site.kg_per_hour(pool.power.busy_w if busy else pool.power.idle_w) * pool.devices


def _chip_limits(facts: Facts, pools: Sequence[Pool]) -> list[Limit]:
    found = []
    ids = np.array([p.candidate.setup.device.id for p in pools])
    terms = np.array([p.offer.terms for p in pools])
    devices = np.array([float(p.devices) for p in pools])
    for name, most in sorted(facts.scenario.limits.chips.items()):
        mine = devices * (ids == device_id_of(name))
        found.append(Limit(f"chips:{device_id_of(name)}", most, per_fixed=mine, each_period=True))
    owned: dict[str, int] = {}
    for row in facts.scenario.owned:
        owned[device_id_of(row.hw)] = owned.get(device_id_of(row.hw), 0) + row.count
    for device, count in sorted(owned.items()):
        mine = devices * ((ids == device) & (terms == "owned"))
        found.append(Limit(f"owned:{device}", count, per_fixed=mine, each_period=True))
    return found


def _rate_limits(facts: Facts, options: Sequence[Option]) -> list[Limit]:
    """Return the requests and tokens a minute that sellers allow."""
    found = []
    classes = facts.demand.classes
    tokens = np.array([c.isl_tokens + c.osl_tokens for c in classes])
    for index, offer in enumerate(facts.scenario.use.apis):
        through = np.array([_api_share(o, index) for o in options])[:, None]
        for name, most, each in (
            ("requests", offer.requests_per_minute, np.ones(len(classes))),
            ("tokens", offer.tokens_per_minute, tokens),
        ):
            if most is not None:
                per = through * each[None, :] * MINUTE_S
                found.append(
                    Limit(f"api-{name}:{offer.model}", most, per_request=per, each_period=True)
                )
    return found


def _api_share(option: Option, index: int) -> float:
    if option.api != index:
        return 0.0
    return 1.0 if option.share_to_large is None else option.share_to_large


def excluded_of(facts: Facts) -> dict[str, Text]:
    """Return all that may not serve, with the reason."""
    found = {**facts.hardware.excluded, **facts.models.excluded}
    return {**found, **facts.remote.excluded, **facts.local.excluded}
