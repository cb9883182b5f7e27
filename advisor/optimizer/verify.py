"""Replaying plans: where the replay breaks a limit, count on less capacity and solve again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from advisor.optimizer.assemble import Facts, Question, question_of
from advisor.optimizer.fleets import Part, fleets_of
from advisor.optimizer.kinds import Solved, alternatives_of, solved
from advisor.optimizer.result import Plan, Replay, ReplayRound
from advisor.optimizer.search import best_plan
from advisor.schema.fleet import Fleet
from advisor.schema.workload import Workload

ROUNDS = 5
COST_TOLERANCE = 0.02
LEAST_STEP, MOST_STEP = 0.95, 0.6
"""A pool whose replay breaks a limit counts on at most, and at least, this share of before."""


@dataclass(frozen=True)
class Played:
    """What a replay measured.

    ``percentiles``: class → (``ttft``, ``tpot``, ``e2e``) → seconds at the class's own
    percentile. ``usd_per_hour``: what the fleet cost.
    """

    requests: int
    percentiles: dict[str, dict[str, float]]
    usd_per_hour: float


Simulate = Callable[[Fleet, Workload, int], Played]


@dataclass(frozen=True)
class Broken:
    """A class that misses a limit in the replay, by which factor, and the pools that serve it."""

    class_name: str
    metric: str
    over: float
    pools: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    round: ReplayRound
    broken: tuple[Broken, ...]
    measured: dict[str, dict[str, float]]

    @property
    def agrees(self) -> bool:
        """Whether limits hold and cost is as planned."""
        paid, planned = self.round.usd_per_month, self.round.planned_usd_per_month
        off = abs(paid - planned) / planned if planned else 0.0
        return not self.broken and off <= COST_TOLERANCE


def verified(
    facts: Facts, question: Question, first: Solved, simulate: Simulate
) -> tuple[Question, Solved | None, dict[str, float], tuple[Replay, ...]]:
    """Replay the winner until replay and plan agree, then replay the runner-up once.

    Returns
    -------
    question, winner, factors, replays
        The question with the capacity factors found, the plan that holds (None: none is left),
        pool → factor, and the rounds.
    """
    seed = facts.scenario.doubt.seed
    factors: dict[str, float] = {}
    rounds: list[ReplayRound] = []
    winner: Solved | None = first
    agreed = False
    for _ in range(ROUNDS):
        assert winner is not None
        outcome = replayed(question, winner, factors, simulate, seed)
        rounds.append(outcome.round)
        winner = replace(winner, plan=with_measured(winner.plan, outcome.measured))
        agreed = outcome.agrees
        if agreed or not outcome.broken:
            break
        factors = tightened(factors, outcome.broken)
        question = question_of(facts, factors, candidates=question.candidates)
        winner = solved(question, best_plan(question), factors)
        if winner is None:
            break
    kind = winner.kind if winner else first.kind
    replays = [Replay(kind, tuple(rounds), agreed)]
    if winner is not None:
        replays += _runner_up(question, winner, factors, simulate, seed)
    return question, winner, factors, tuple(replays)


def _runner_up(
    question: Question,
    winner: Solved,
    factors: dict[str, float],
    simulate: Simulate,
    seed: int,
) -> list[Replay]:
    others = [r for _, r in alternatives_of(question, winner, factors) if r is not None]
    if not others:
        return []
    runner = min(others, key=lambda o: o.usd_per_month)
    outcome = replayed(question, runner, factors, simulate, seed)
    return [Replay(runner.kind, (outcome.round,), outcome.agrees)]


def replayed(
    question: Question,
    one: Solved,
    factors: dict[str, float],
    simulate: Simulate,
    seed: int,
) -> _Outcome:
    """Replay a plan's busiest hour and compare it with the limits."""
    parts = fleets_of(question, one)
    played = [simulate(p.fleet, p.workload, seed) for p in parts]
    checks = [c for p, x in zip(parts, played, strict=True) for c in _checks(question, p, x)]
    worst = max(checks, key=lambda c: c.over, default=Broken("", "", 0.0, ()))
    paid, planned = sum(x.usd_per_hour for x in played), sum(p.usd_per_hour for p in parts)
    month = one.usd_per_month
    return _Outcome(
        round=ReplayRound(
            requests=sum(x.requests for x in played),
            usd_per_month=month * paid / planned if planned else month,
            planned_usd_per_month=month,
            worst_class=worst.class_name,
            worst_metric=worst.metric,
            worst_over_limit=worst.over,
            factors=dict(factors),
        ),
        broken=tuple(c for c in checks if c.over > 1.0),
        measured=_measured(parts, played),
    )


def _checks(question: Question, part: Part, played: Played) -> list[Broken]:
    limits = {c.name: c for c in question.facts.demand.classes}
    found = []
    for name, parent in part.parents.items():
        one = limits[parent]
        for metric, seconds in played.percentiles.get(name, {}).items():
            limit = getattr(one.slo, f"{metric}_s") if one.has_slo else None
            if limit is not None:
                tier = part.fleet.route.classes.get(name)
                pools = _pools(part, tier)
                found.append(Broken(parent, metric, seconds / limit, pools))
    return found


def _pools(part: Part, tier: str | None) -> tuple[str, ...]:
    """Return the pools behind a tier, or all of the part's where a cascade uses both."""
    if tier is None:
        return tuple(part.tiers.values())
    return (part.tiers[tier],) if tier in part.tiers else ()


def tightened(factors: dict[str, float], broken: Sequence[Broken]) -> dict[str, float]:
    """Count on less of each pool that broke a limit: the more it did, the less."""
    found = dict(factors)
    worst: dict[str, float] = {}
    for row in broken:
        for pool in row.pools:
            worst[pool] = max(worst.get(pool, 0.0), row.over)
    for pool, over in worst.items():
        step = min(max(over**-0.5, MOST_STEP), LEAST_STEP)
        found[pool] = found.get(pool, 1.0) * step
    return found


def _measured(parts: Sequence[Part], played: Sequence[Played]) -> dict[str, dict[str, float]]:
    """Class → metric → worst percentile over the class's parts."""
    found: dict[str, dict[str, float]] = {}
    for part, result in zip(parts, played, strict=True):
        for name, parent in part.parents.items():
            for metric, seconds in result.percentiles.get(name, {}).items():
                known = found.setdefault(parent, {})
                known[metric] = max(known.get(metric, 0.0), seconds)
    return found


def with_measured(plan: Plan, measured: dict[str, dict[str, float]]) -> Plan:
    """Put the replay's percentiles beside the planned ones."""
    classes = tuple(
        replace(
            row,
            latency=tuple(
                replace(check, replayed_s=measured.get(row.name, {}).get(check.metric))
                for check in row.latency
            ),
        )
        for row in plan.classes
    )
    return replace(plan, classes=classes)
