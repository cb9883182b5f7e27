"""Replaying plans: where the replay breaks a limit, count on less capacity and solve again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from advisor.optimizer.assemble import Facts, Question, question_of
from advisor.optimizer.fleets import Part, fleets_of
from advisor.optimizer.kinds import (
    Row,
    Solved,
    alternatives_of,
    best_of_kind,
    lost,
    solved,
)
from advisor.optimizer.result import Alternative, Plan, PlanKind, Replay, ReplayRound
from advisor.optimizer.search import best_plan
from advisor.schema.fleet import Fleet
from advisor.schema.text import Text
from advisor.schema.workload import Workload

ROUNDS = 5
CUTS = 6
"""Cuts of capacity in a row that change nothing in the plan, before it is replayed again."""
RUNNERS = 3
"""Plans of other kinds replayed at most, until the cheapest of them is one that was."""
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


@dataclass(frozen=True, eq=False)
class Verified:
    """Plans whose replays agree, or the nearest that was reached.

    Parameters
    ----------
    question
        With the winner's capacity factors.
    winner
        None: with less capacity nothing keeps the limits.
    rows
        Plans of the other kinds; the cheapest of them was replayed too.
    """

    question: Question
    winner: Solved | None
    rows: tuple[Row, ...]
    replays: tuple[Replay, ...]


@dataclass(frozen=True, eq=False)
class Settled:
    """A plan after its rounds of replay; None: with less capacity there is none."""

    one: Solved | None
    question: Question
    factors: dict[str, float]
    replay: Replay


Resolve = Callable[[Question, dict[str, float]], Solved | None]


def verified(facts: Facts, question: Question, first: Solved, simulate: Simulate) -> Verified:
    """Replay winner and runner-up, each until replay and plan agree.

    The runner-up is the cheapest plan of another kind. Where its replay takes it above the next
    one, that one is replayed as well. A runner-up's factors concern its own plan only.
    """
    won = settled(facts, first, simulate)
    if won.one is None:
        return Verified(won.question, None, (), (won.replay,))
    rows = list(alternatives_of(won.question, won.one, won.factors))
    replays = [won.replay]
    done: set[PlanKind] = set()
    while len(done) < RUNNERS:
        others = [i for i, (_, r) in enumerate(rows) if r is not None]
        if not others:
            break
        at = min(others, key=lambda i: _usd(rows[i]))
        runner = rows[at][1]
        assert runner is not None
        kind = runner.kind
        if kind in done:
            break
        done.add(kind)

        def of_kind(
            question: Question, factors: dict[str, float], kind: PlanKind = kind
        ) -> Solved | None:
            return best_of_kind(question, kind, factors)

        held = _settled(facts, runner, won.factors, of_kind, simulate)
        replays.append(replace(held.replay, kind=kind))
        rows[at] = (
            lost(kind, held.one, won.one)
            if held.one is not None
            else (Alternative(kind, None, Text.of("why_replay")), None)
        )
    return Verified(won.question, won.one, tuple(rows), tuple(replays))


def settled(facts: Facts, first: Solved, simulate: Simulate) -> Settled:
    """Replay the best plan until replay and plan agree."""

    def again(question: Question, factors: dict[str, float]) -> Solved | None:
        return solved(question, best_plan(question), factors)

    return _settled(facts, first, {}, again, simulate)


def _usd(row: Row) -> float:
    return row[1].usd_per_month if row[1] is not None else float("inf")


def _settled(
    facts: Facts, first: Solved, factors: dict[str, float], resolve: Resolve, simulate: Simulate
) -> Settled:
    """Replay a plan; where a limit breaks, count on less of its pools and solve again."""
    seed = facts.scenario.doubt.seed
    question, one = first.question, first
    rounds: list[ReplayRound] = []
    for left in reversed(range(ROUNDS)):
        outcome = replayed(question, one, factors, simulate, seed)
        rounds.append(outcome.round)
        one = replace(one, plan=with_measured(one.plan, outcome.measured))
        if outcome.agrees or not outcome.broken or not left:
            return Settled(one, question, factors, _replay(one.kind, rounds, outcome.agrees))
        before = one
        for _ in range(CUTS):
            factors = tightened(factors, outcome.broken)
            question = question_of(facts, factors, candidates=question.candidates)
            found = resolve(question, factors)
            # Whole replicas may leave a cut without effect: the replay would say the same again.
            if found is None or _asked_of(found) != _asked_of(before):
                break
        if found is None:
            break
        one = found
    return Settled(None, question, factors, _replay(first.kind, rounds, agreed=False))


def _asked_of(one: Solved) -> object:
    """Return what a replay would see of a plan: replicas, and who serves what."""
    shares = [
        (o.name, [(s.class_name, round(s.share_of_class, 3)) for s in o.served])
        for o in one.plan.options
    ]
    return [(d.name, d.by_period) for d in one.plan.deployments], shares


def _replay(kind: PlanKind, rounds: Sequence[ReplayRound], agreed: bool) -> Replay:
    return Replay(kind, tuple(rounds), agreed)


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
