"""The limits of a scenario as rows of the solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from advisor.optimizer.demand import HOURS_PER_MONTH, ClassDemand
from advisor.optimizer.electricity import Site
from advisor.optimizer.facts import Facts
from advisor.optimizer.hardware import device_id_of
from advisor.optimizer.options import Option, Pool
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats, Limit, MixProblem

MINUTE_S = 60.0


def quality_limits(
    facts: Facts, options: Sequence[Option], problem: MixProblem, margin: float = 0.0
) -> list[Limit]:
    """Return the floor over all requests, if there is one."""
    overall = facts.scenario.quality.overall
    return [quality_row(options, problem, overall.at_least, margin)] if overall else []


def quality_row(
    options: Sequence[Option], problem: MixProblem, at_least: float, margin: float = 0.0
) -> Limit:
    """Return the mean score over all requests as a floor, scores less a margin of their ranges."""
    quality = np.nan_to_num(np.array([o.quality - margin * o.half80 for o in options]))
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


def money_limit(facts: Facts, problem: MixProblem) -> list[Limit]:
    """Return the budget, if there is one."""
    budget = facts.scenario.limits.per_month
    if budget is None:
        return []
    return [replace(money_row(problem), value=budget, scale=1.0 / facts.per_usd)]


def power_limits(
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


def chip_limits(facts: Facts, pools: Sequence[Pool]) -> list[Limit]:
    """Return how many devices of a kind may be used, and how many are owned."""
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


def rate_limits(facts: Facts, options: Sequence[Option]) -> list[Limit]:
    """Return the requests and tokens a minute that sellers allow."""
    found = []
    classes = facts.demand.classes
    for index, offer in enumerate(facts.scenario.use.apis):
        for name, most in (
            ("requests", offer.requests_per_minute),
            ("tokens", offer.tokens_per_minute),
        ):
            if most is not None:
                each = [_through(o, index, classes, name) for o in options]
                per = np.array(each) * MINUTE_S
                found.append(
                    Limit(f"api-{name}:{offer.model}", most, per_request=per, each_period=True)
                )
    return found


def _through(option: Option, index: int, classes: Sequence[ClassDemand], what: str) -> Floats:
    """``(C,)`` calls or tokens of one API that a request of an option takes."""
    found = np.zeros(len(classes))
    for api, share, tokens in zip(option.apis, option.reach, option.tokens, strict=False):
        if api == index:
            each = sum(tokens.lengths(classes)) if what == "tokens" else np.ones(len(classes))
            found = found + share * each
    return found
