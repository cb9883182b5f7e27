"""Nothing fits a scenario: which of its limits clash, and the least step back from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec
import numpy as np

from advisor.optimizer.assemble import Facts, Question, question_of
from advisor.optimizer.capacity import asked_of
from advisor.optimizer.conflict import relaxed
from advisor.optimizer.demand import NO_LIMIT, ClassDemand
from advisor.optimizer.local import on_devices_of
from advisor.optimizer.problem import Limit, MixProblem
from advisor.optimizer.remote import apis_of
from advisor.optimizer.result import Infeasible, WayOut
from advisor.optimizer.search import compact, in_levels, quick, solve_exactly

SLOWEST = 64.0
"""Latency limits are relaxed at most so many times."""
STEPS = 9
UNITS = {
    "money": "money/month",
    "power": "W",
    "carbon": "kgCO2e/month",
    "chips": "devices",
    "owned": "devices",
    "api-requests": "requests/min",
    "api-tokens": "tokens/min",
    "quality": "score",
    "floor": "score",
    "slo": "times",
}


def unit_of(name: str) -> str:
    """Return the unit of a limit by its name."""
    return UNITS[name.partition(":")[0]]


@dataclass(frozen=True)
class Kept:
    """Which limits hold: rows by name, floors and latency limits by class."""

    rows: frozenset[str]
    floors: frozenset[str]
    slos: frozenset[str]

    def without(self, name: str) -> Kept:
        """Drop one limit."""
        head, _, rest = name.partition(":")
        if head == "floor":
            return replace(self, floors=self.floors - {rest})
        if head == "slo":
            return replace(self, slos=self.slos - {rest})
        return replace(self, rows=self.rows - {name})

    @property
    def names(self) -> list[str]:
        """All limits, the user's hardest choices first."""
        return [
            *sorted(self.rows),
            *(f"floor:{n}" for n in sorted(self.floors)),
            *(f"slo:{n}" for n in sorted(self.slos)),
        ]


class Relaxable:
    """A scenario whose limits can be switched off and moved; searches are remembered."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._built = lru_cache(maxsize=64)(self._build)

    def all_limits(self) -> Kept:
        """Return every limit of the scenario."""
        s = self._facts.scenario
        classes = self._facts.demand.classes
        rows = self._built(frozenset(c.name for c in classes), 1.0).problem.limits
        return Kept(
            rows=frozenset(x.name for x in rows),
            floors=frozenset(c.name for c in classes if s.floor_of(c.name) is not None),
            slos=frozenset(c.name for c in classes if c.has_slo),
        )

    def _build(self, slos: frozenset[str], factor: float) -> Question:
        f, s = self._facts, self._facts.scenario
        classes = tuple(c if c.name in slos else replace(c, slo=NO_LIMIT) for c in f.demand.classes)
        slowed = tuple(_slowed(c, factor) for c in classes)
        demand = replace(f.demand, classes=slowed)
        asked = asked_of(slowed)
        moved = replace(
            f,
            demand=demand,
            asked=asked,
            remote=apis_of(s, slowed, asked, f.book, f.today),
            local=on_devices_of(s, slowed, asked, f.book),
        )
        return question_of(moved, weak_too=True)

    def question(self, kept: Kept, factor: float = 1.0) -> tuple[Question, MixProblem]:
        """Return the problem under some limits, latency limits ``factor`` times as long."""
        question = self._built(kept.slos, factor)
        names = question.problem.classes
        shape = question.problem.allowed.shape
        allowed = np.array([o.allowed for o in question.options], dtype=bool).reshape(shape)
        quality = np.nan_to_num(np.array([o.quality for o in question.options])).reshape(shape)
        for c, name in enumerate(names):
            floor = self._facts.scenario.floor_of(name)
            if name in kept.floors and floor is not None:
                allowed[:, c] &= quality[:, c] >= floor - 1e-9
        rows = [x for x in question.problem.limits if x.name in kept.rows]
        return question, replace(question.problem, allowed=allowed).with_limits(*rows)

    def cost(self, kept: Kept, factor: float = 1.0) -> float | None:
        """Return the cost of a plan under some limits, None if there is none."""
        return cost_of(self.question(kept, factor)[1])


def cost_of(problem: MixProblem) -> float | None:
    """Return the cost of a plan, None if there is none."""
    found = quick(problem)
    if found.usd_per_month is None and problem.limits:
        found = solve_exactly(problem)
    return found.usd_per_month


def _slowed(one: ClassDemand, factor: float) -> ClassDemand:
    if factor == 1.0 or not one.has_slo:
        return one
    limits = {
        name: value * factor
        for name in ("ttft_s", "tpot_s", "e2e_s")
        if (value := getattr(one.slo, name)) is not None
    }
    return replace(one, slo=msgspec.structs.replace(one.slo, **limits))


def explain_scenario(facts: Facts) -> Infeasible:
    """Return an irreducible set of clashing limits and the ways out, each checked by solving.

    A deletion filter: a limit stays in the set only if a plan exists once it is dropped (with
    those dropped before). Empty: even without any limit nothing can serve the classes.
    """
    world = Relaxable(facts)
    everything = world.all_limits()
    kept = everything
    if world.cost(Kept(frozenset(), frozenset(), frozenset())) is None:
        return Infeasible((), ())
    for name in everything.names:
        tried = kept.without(name)
        if world.cost(tried) is None:
            kept = tried
    ways = tuple(_way_out(world, facts, everything, name) for name in kept.names)
    return Infeasible(tuple(kept.names), ways)


def _way_out(world: Relaxable, facts: Facts, everything: Kept, name: str) -> WayOut:
    """Return the least change of one limit, all others as stated."""
    head, _, rest = name.partition(":")
    if head == "slo":
        return _slo_way(world, everything, name)
    if head == "floor":
        return _floor_way(world, facts, everything, rest)
    _, problem = world.question(everything)
    limit = problem.limit(name)
    found = relaxed(compact(in_levels(problem)), _compacted(problem, limit))
    value = found.value
    usd = None if value is None else cost_of(problem.with_value(name, value))
    return WayOut(name, unit_of(name), limit.value, value if usd is not None else None, usd)


def _compacted(problem: MixProblem, limit: Limit) -> Limit:
    return compact(in_levels(problem)).limit(limit.name)


def _slo_way(world: Relaxable, everything: Kept, name: str) -> WayOut:
    """Bisect the factor on all latency limits at which a plan first exists."""
    usd = world.cost(everything, SLOWEST)
    if usd is None:
        return WayOut(name, unit_of(name), 1.0, None, None)
    low, high = 1.0, SLOWEST
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        tried = world.cost(everything, middle)
        if tried is None:
            low = middle
        else:
            high, usd = middle, tried
    return WayOut(name, unit_of(name), 1.0, high, usd)


def _floor_way(world: Relaxable, facts: Facts, everything: Kept, name: str) -> WayOut:
    """Try the scores below the floor, best first: the first with a plan is the answer."""
    stated = facts.scenario.floor_of(name)
    assert stated is not None
    question, problem = world.question(everything.without(f"floor:{name}"))
    c = question.problem.classes.index(name)
    scores = _below([float(o.quality[c]) for o in question.options if o.allowed[c]], stated)
    low, high = 0, len(scores) - 1
    best: tuple[float, float] | None = None
    while low <= high:
        middle = (low + high) // 2
        usd = cost_of(_floored(question, problem, c, scores[middle]))
        if usd is None:
            low = middle + 1
        else:
            best, high = (scores[middle], usd), middle - 1
    value, usd = best if best else (None, None)
    return WayOut(f"floor:{name}", unit_of("floor"), stated, value, usd)


def _below(scores: Sequence[float], stated: float) -> list[float]:
    """Scores under a floor, best first."""
    return sorted({s for s in scores if np.isfinite(s) and s < stated}, reverse=True)


def _floored(question: Question, problem: MixProblem, c: int, floor: float) -> MixProblem:
    allowed = problem.allowed.copy()
    quality = np.nan_to_num(np.array([o.quality[c] for o in question.options]))
    allowed[:, c] &= quality >= floor - 1e-9
    return replace(problem, allowed=allowed)
