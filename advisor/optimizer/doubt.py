"""How sure: draws over speed, price, demand and scores, the same for every plan compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.demand import HOURS_PER_MONTH
from advisor.optimizer.kinds import Solved
from advisor.optimizer.money import pool_uses, speed_spread, spread_of
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats
from advisor.optimizer.result import PlanKind, TornadoBar
from advisor.schema.text import Text

NORMAL_80 = 1.2816
WHOLE = 1e-6
BARS = 6


@dataclass(frozen=True, eq=False)
class Draws:
    """Multipliers by input, ``(N,)`` each; scores are shifts."""

    demand: Floats
    speed: dict[str, Floats]
    price: dict[str, Floats]
    score: dict[str, Floats]

    @property
    def count(self) -> int:
        """Number of draws."""
        return len(self.demand)


def keys_of(question: Question, pool: int) -> tuple[str, str]:
    """Return the names under which a pool's speed and price are drawn.

    Deployments of one model on one device err together, whatever their size or class.
    """
    p = question.pools[pool]
    setup = p.candidate.setup
    return f"{setup.model.id}@{setup.device.id}", f"{p.offer.terms}:{setup.device.id}"


def inputs_of(
    question: Question, plans: Sequence[Solved]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return 80 % half-widths of all speeds, prices (logs) and scores the plans rest on."""
    speed: dict[str, float] = {}
    price: dict[str, float] = {}
    score: dict[str, float] = {}
    for one in plans:
        for use in pool_uses(question, one.found):
            a, b = keys_of(question, use.index)
            speed[a] = speed_spread(use.pool).q80
            price[b] = spread_of(use.pool.offer.usd_per_device_hour).q80
        used = one.found.flow_per_s.sum(axis=(1, 2)) > 0
        for i in np.nonzero(used)[0]:
            option = question.options[i]
            for model in option.model_ids:
                score[model] = max(score.get(model, 0.0), float(option.half80.max()))
    return speed, price, score


def draws_of(question: Question, plans: Sequence[Solved]) -> Draws:
    """Draw all inputs; every input has its own stream, so that plans share their draws."""
    doubt = question.facts.scenario.doubt
    speed, price, score = inputs_of(question, plans)

    def normal(kind: str, name: str) -> Floats:
        words = [doubt.seed, *f"{kind}:{name}".encode()]
        return np.random.default_rng(words).standard_normal(doubt.samples) / NORMAL_80

    def log_normal(kind: str, name: str, half: float) -> Floats:
        return np.asarray(np.exp(half * normal(kind, name)))

    return Draws(
        demand=log_normal("demand", "", float(np.log1p(doubt.demand_half80))),
        speed={k: log_normal("speed", k, v) for k, v in speed.items()},
        price={k: log_normal("price", k, v) for k, v in price.items()},
        score={k: v * normal("score", k) for k, v in score.items()},
    )


def load_of(question: Question, one: Solved, pool: int) -> Floats:
    """``(T,)`` replicas' worth of work a plan gives a pool in each period."""
    problem = question.problem
    load = np.zeros(len(problem.hours))
    for option, p, seconds in zip(problem.use_option, problem.use_pool, problem.use_s, strict=True):
        if p == pool:
            load += seconds @ one.found.flow_per_s[option]
    return load


def recost(question: Question, one: Solved, draws: Draws) -> Floats:
    """``(N,)`` dollars a month of a plan, its replicas resized to what each draw needs.

    Flows keep their shares. Replicas that stay and replicas that come and go keep their roles.
    """
    problem = question.problem
    flow = one.found.flow_per_s
    month = (flow @ problem.hours * SECONDS_PER_HOUR * problem.usd_per_request).sum()
    total = draws.demand * float(month)
    total = total + float(problem.charge_usd_per_month @ one.found.charged)
    for use in pool_uses(question, one.found):
        speed_key, price_key = keys_of(question, use.index)
        stretch = draws.demand / draws.speed[speed_key]
        load = load_of(question, one, use.index)
        need = np.maximum(np.ceil(load[None, :] * stretch[:, None] - WHOLE), 1.0)
        scaled = np.array(use.by_period) - use.fixed
        steady = need[:, scaled == 0]
        base = steady.max(axis=1) if steady.size else np.full(draws.count, float(use.fixed))
        more = np.maximum(need - base[:, None], 0.0) @ problem.hours
        hour = draws.price[price_key] * use.pool.usd_per_replica_hour
        fixed = problem.fixed_usd_per_month[use.index]
        other = fixed - use.pool.usd_per_replica_hour * HOURS_PER_MONTH
        rate = problem.scaled_usd_per_hour[use.index]
        total = total + base * (hour * HOURS_PER_MONTH + max(other, 0.0))
        if np.isfinite(rate):
            total = total + more * rate * draws.price[price_key]
        else:
            total = total + np.maximum(need.max(axis=1) - base, 0.0) * hour * HOURS_PER_MONTH
    return np.asarray(total)


def keeps_limits(question: Question, one: Solved, draws: Draws, usd: Floats) -> np.ndarray:
    """``(N,)`` whether a plan meets its floors and the budget in each draw."""
    s = question.facts.scenario
    good = np.ones(draws.count, dtype=bool)
    volume = one.found.flow_per_s @ question.problem.hours
    for c, demand in enumerate(question.facts.demand.classes):
        floor = s.floor_of(demand.name)
        if floor is not None:
            good &= _mean_score(question, volume[:, [c]], draws, [c]) >= floor
    if s.quality.overall:
        every = list(range(volume.shape[1]))
        good &= _mean_score(question, volume, draws, every) >= s.quality.overall.at_least
    if s.limits.per_month is not None:
        good &= usd <= s.limits.per_month / question.facts.per_usd
    return good


def _mean_score(question: Question, volume: Floats, draws: Draws, classes: list[int]) -> Floats:
    total = np.zeros(draws.count)
    for i in np.nonzero(volume.sum(axis=1) > 0)[0]:
        option = question.options[i]
        last = option.share_to_large or 0.0
        weights = (1.0 - last, last) if len(option.model_ids) > 1 else (1.0,)
        shift = sum(w * draws.score[m] for w, m in zip(weights, option.model_ids, strict=True))
        for k, c in enumerate(classes):
            total = total + volume[i, k] * np.clip(option.quality[c] + shift, 0.0, 1.0)
    return np.asarray(total / volume.sum())


@dataclass(frozen=True)
class Sureness:
    """Shares of draws, and the mean regret."""

    cheapest: dict[PlanKind, float]
    feasible: float
    regret_usd_per_month: float


def sureness(question: Question, plans: Sequence[Solved], draws: Draws) -> Sureness:
    """Compare plans draw by draw; the first is the recommended one.

    Draws in which no plan keeps the limits count for none.
    """
    cost = np.array([recost(question, p, draws) for p in plans])
    good = np.array([keeps_limits(question, p, draws, c) for p, c in zip(plans, cost, strict=True)])
    feasible = np.where(good, cost, np.inf)
    some = np.isfinite(feasible.min(axis=0))
    best = feasible.argmin(axis=0)
    share: dict[PlanKind, float] = {}
    for k, p in enumerate(plans):
        share[p.kind] = share.get(p.kind, 0.0) + float(((best == k) & some).mean())
    regret = np.where(good[0] & some, cost[0] - feasible.min(axis=0), 0.0)
    return Sureness(share, float(good[0].mean()), float(regret.mean()))


def tornado(question: Question, winner: Solved) -> tuple[TornadoBar, ...]:
    """Move each input of the recommended plan to both ends of its 80 % range, widest first."""
    speed, price, _ = inputs_of(question, [winner])
    rows: list[tuple[str, Text, str, str, float]] = []
    half = float(np.log1p(question.facts.scenario.doubt.demand_half80))
    rows.append(("demand", Text.of("input_demand"), "demand", "", half))
    rows += [
        (f"speed:{k}", Text.of("input_speed", name=k), "speed", k, v) for k, v in speed.items()
    ]
    rows += [
        (f"price:{k}", Text.of("input_price", name=k.split(":")[1]), "price", k, v)
        for k, v in price.items()
    ]
    bars = []
    for name, what, kind, key, q80 in rows:
        ends = np.exp(np.array([-q80, q80]))
        flat = np.ones(2)
        moved = Draws(
            demand=ends if kind == "demand" else flat,
            speed={k: ends if (kind, k) == ("speed", key) else flat for k in speed},
            price={k: ends if (kind, k) == ("price", key) else flat for k in price},
            score={},
        )
        usd = recost(question, winner, moved)
        bars.append(TornadoBar(name, what, float(usd.min()), float(usd.max())))
    bars.sort(key=lambda b: (b.low_usd_per_month - b.high_usd_per_month, b.name))
    return tuple(bars[:BARS])
