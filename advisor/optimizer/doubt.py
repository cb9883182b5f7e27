"""How sure: draws over speed, price, demand and scores, the same for every plan compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.demand import HOURS_PER_MONTH
from advisor.optimizer.kinds import Solved
from advisor.optimizer.money import pool_uses, speed_spread, spread_of
from advisor.optimizer.problem import Bools, Floats
from advisor.optimizer.recourse import Response, as_planned, overall_kept, responses, sides_of
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

    def only(self, mask: Bools) -> Draws:
        """Return some of the draws."""
        return Draws(
            self.demand[mask],
            {k: v[mask] for k, v in self.speed.items()},
            {k: v[mask] for k, v in self.price.items()},
            {k: v[mask] for k, v in self.score.items()},
        )


def keys_of(question: Question, pool: int) -> tuple[str, str]:
    """Return the names under which a pool's speed and price are drawn.

    Deployments of one model on one device err together, whatever their size or class.
    """
    p = question.pools[pool]
    setup = p.candidate.setup
    return f"{setup.model.id}@{setup.device.id}", f"{p.offer.terms}:{setup.device.id}"


def inputs_of(
    plans: Sequence[Solved],
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return 80 % half-widths of all speeds, prices (logs) and scores the plans rest on."""
    speed: dict[str, float] = {}
    price: dict[str, float] = {}
    score: dict[str, float] = {}
    for one in plans:
        question = one.question
        for use in pool_uses(question, one.found):
            a, b = keys_of(question, use.index)
            speed[a] = speed_spread(use.pool).q80
            price[b] = spread_of(use.pool.offer.usd_per_device_hour).q80
        used = one.found.flow_per_s.sum(axis=(1, 2)) > 0
        for i in np.nonzero(used)[0]:
            for side in sides_of(question, int(i)):
                model = side.model_ids[0]
                score[model] = max(score.get(model, 0.0), float(side.half80.max()))
    return speed, price, score


def draws_of(plans: Sequence[Solved]) -> Draws:
    """Draw all inputs; every input has its own stream, so that plans share their draws."""
    doubt = plans[0].question.facts.scenario.doubt
    speed, price, score = inputs_of(plans)

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


def recost(one: Solved, draws: Draws, response: Response | None = None) -> Floats:
    """``(N,)`` dollars a month of a plan, its replicas resized to what each draw needs.

    Flows are those of the response (None: as planned). How many replicas stay and how many come
    and go is set anew.
    """
    question, problem = one.question, one.question.problem
    response = response or as_planned(one)
    month = float(response.usd_per_month)
    total = draws.demand * month + float(problem.charge_usd_per_month @ one.found.charged)
    for use in pool_uses(question, one.found):
        speed_key, price_key = keys_of(question, use.index)
        stretch = draws.demand / draws.speed[speed_key]
        need = np.ceil(response.load[use.index][None, :] * stretch[:, None] - WHOLE)
        if response.load[use.index].max() <= 0.0:
            continue
        need = np.maximum(need, 1.0)
        price = draws.price[price_key]
        fixed = float(problem.fixed_usd_per_month[use.index])
        rate = float(problem.scaled_usd_per_hour[use.index])
        if not np.isfinite(rate):
            priced = min(use.pool.usd_per_replica_hour * HOURS_PER_MONTH, fixed)
            total = total + need.max(axis=1) * (priced * price + fixed - priced)
            continue
        base = need[:, _marginal(response.load[use.index], problem.hours, fixed / rate)]
        more = np.maximum(need - base[:, None], 0.0) @ problem.hours
        total = total + price * (base * fixed + more * rate)
    return np.asarray(total)


def _marginal(load: Floats, hours: Floats, worth_h: float) -> int:
    """Return the period whose need is the number of replicas to keep all month.

    One more is worth keeping while it is needed for at least ``worth_h`` hours; periods need
    replicas in the order of their load, however much the load is stretched.
    """
    order = np.argsort(-load, kind="stable")
    at = int(np.searchsorted(np.cumsum(hours[order]), worth_h))
    return int(order[min(at, len(order) - 1)])


@dataclass(frozen=True, eq=False)
class Fate:
    """What becomes of a plan, draw by draw.

    Parameters
    ----------
    usd_per_month
        ``(N,)``, flows answering to the scores drawn; infinite where a floor or the budget
        can't be kept.
    as_planned
        ``(N,)`` whether it keeps floors and budget with its flows as they are.
    """

    usd_per_month: Floats
    as_planned: Bools


def fate_of(one: Solved, draws: Draws) -> Fate:
    """Follow a plan through all draws."""
    usd = np.full(draws.count, np.inf)
    planned = np.zeros(draws.count, dtype=bool)
    limits = one.question.facts.scenario.limits
    most = np.inf if limits.per_month is None else limits.per_month / one.question.facts.per_usd
    for mask, answers in responses(one, draws.score, draws.count):
        mine = draws.only(mask)
        for response in answers:
            paid = recost(one, mine, response)
            kept = (paid <= most) & overall_kept(one, response, mine.score)
            usd[mask] = np.minimum(usd[mask], np.where(kept, paid, np.inf))
            planned[mask] |= kept & response.planned
    return Fate(usd, planned)


@dataclass(frozen=True)
class Sureness:
    """Shares of draws, and the mean regret."""

    cheapest: dict[PlanKind, float]
    feasible: float
    as_planned: float
    regret_usd_per_month: float


def sureness(plans: Sequence[Solved], draws: Draws) -> Sureness:
    """Compare plans draw by draw; the first is the recommended one.

    Draws in which no plan keeps the limits count for none.
    """
    fates = [fate_of(p, draws) for p in plans]
    cost = np.array([f.usd_per_month for f in fates])
    some = np.isfinite(cost.min(axis=0))
    best = cost.argmin(axis=0)
    share: dict[PlanKind, float] = {}
    for k, p in enumerate(plans):
        share[p.kind] = share.get(p.kind, 0.0) + float(((best == k) & some).mean())
    good = np.isfinite(cost[0])
    regret = np.where(good, cost[0], 0.0) - np.where(good, cost.min(axis=0), 0.0)
    planned = float(fates[0].as_planned.mean())
    return Sureness(share, float(good.mean()), planned, float(regret.mean()))


def tornado(winner: Solved) -> tuple[TornadoBar, ...]:
    """Move each input of the recommended plan to both ends of its 80 % range, widest first."""
    question = winner.question
    speed, price, _ = inputs_of([winner])
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
        usd = recost(winner, moved)
        bars.append(TornadoBar(name, what, float(usd.min()), float(usd.max())))
    bars.sort(key=lambda b: (b.low_usd_per_month - b.high_usd_per_month, b.name))
    return tuple(bars[:BARS])
