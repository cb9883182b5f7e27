"""Nothing fits a scenario: which of its limits clash, and the least step back from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from advisor.optimizer.assemble import Facts, Question, facts_of, question_of
from advisor.optimizer.conflict import relaxed
from advisor.optimizer.demand import NO_LIMIT
from advisor.optimizer.facts import with_classes
from advisor.optimizer.problem import MixProblem
from advisor.optimizer.relax import outwards, relaxed_scenario, slower
from advisor.optimizer.result import Infeasible, WayOut
from advisor.optimizer.search import best_plan, in_levels, quick, slim, solve_exactly

SLOWEST = 1024.0
"""Latency limits are relaxed at most so many times."""
STEPS = 10
PEAK_WITHIN = 5e-3
MORE = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Shares by which a change is widened until the changed scenario has a plan."""
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
        rows = self._built(frozenset(c.name for c in classes), "", 1.0).problem.limits
        return Kept(
            rows=frozenset(x.name for x in rows),
            floors=frozenset(c.name for c in classes if s.floor_of(c.name) is not None),
            slos=frozenset(c.name for c in classes if c.has_slo),
        )

    def _build(self, slos: frozenset[str], slow: str, factor: float) -> Question:
        f = self._facts
        classes = tuple(c if c.name in slos else replace(c, slo=NO_LIMIT) for c in f.demand.classes)
        slowed = tuple(
            replace(c, slo=slower(c.slo, factor)) if c.name == slow and c.has_slo else c
            for c in classes
        )
        return question_of(with_classes(f, slowed), weak_too=True)

    def question(
        self, kept: Kept, slow: str = "", factor: float = 1.0
    ) -> tuple[Question, MixProblem]:
        """Return the problem under some limits, one class's latency limits longer by a factor."""
        question = self._built(kept.slos, slow, factor)
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

    def cost(self, kept: Kept, slow: str = "", factor: float = 1.0) -> float | None:
        """Return the cost of a plan under some limits, None if there is none."""
        return cost_of(self.question(kept, slow, factor)[1])


def cost_of(problem: MixProblem) -> float | None:
    """Return the cost of a plan, None if there is none."""
    found = quick(problem)
    if found.usd_per_month is None and problem.limits:
        found = solve_exactly(problem)
    return found.usd_per_month


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
    """Return the least change of one limit that gives the scenario a plan, all others as stated.

    Where the change found is too small for that by a hair (the search for plans is not the same
    under other limits), a little more is tried.
    """
    head, _, rest = name.partition(":")
    if head == "slo":
        stated, least = 1.0, _slo_way(world, everything, rest)
    elif head == "floor":
        stated, least = _floor_way(world, facts, everything, rest)
    else:
        _, problem = world.question(everything)
        limit = problem.limit(name)
        stated = limit.value
        small = slim(in_levels(problem)).problem
        least = relaxed(small, small.limit(name), PEAK_WITHIN).value
    if least is None:
        return WayOut(name, unit_of(name), stated, None, None)
    for more in MORE:
        value = outwards(name, least * (1.0 - more if least < stated else 1.0 + more))
        usd = _asked_again(facts, name, value)
        if usd is not None:
            return WayOut(name, unit_of(name), stated, value, usd)
    return WayOut(name, unit_of(name), stated, None, None)


def _asked_again(facts: Facts, name: str, value: float) -> float | None:
    """Return the cost of the plan of the scenario with one limit at a value, None if none."""
    changed = relaxed_scenario(facts.scenario, name, value)
    question = question_of(facts_of(changed, facts.folder, facts.today))
    return best_plan(question).usd_per_month


def _slo_way(world: Relaxable, everything: Kept, name: str) -> float | None:
    """Bisect the factor on a class's latency limits at which a plan first exists."""
    if world.cost(everything, name, SLOWEST) is None:
        return None
    low, high = 1.0, SLOWEST
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        if world.cost(everything, name, middle) is None:
            low = middle
        else:
            high = middle
    return high


def _floor_way(
    world: Relaxable, facts: Facts, everything: Kept, name: str
) -> tuple[float, float | None]:
    """Try the scores below the floor, best first: the floor, and the first score with a plan."""
    stated = facts.scenario.floor_of(name)
    assert stated is not None
    question, problem = world.question(everything.without(f"floor:{name}"))
    c = question.problem.classes.index(name)
    scores = _below([float(o.quality[c]) for o in question.options if o.allowed[c]], stated)
    low, high = 0, len(scores) - 1
    best: float | None = None
    while low <= high:
        middle = (low + high) // 2
        if cost_of(_floored(question, problem, c, scores[middle])) is None:
            low = middle + 1
        else:
            best, high = scores[middle], middle - 1
    return stated, best


def _below(scores: Sequence[float], stated: float) -> list[float]:
    """Scores under a floor, best first."""
    return sorted({s for s in scores if np.isfinite(s) and s < stated}, reverse=True)


def _floored(question: Question, problem: MixProblem, c: int, floor: float) -> MixProblem:
    allowed = problem.allowed.copy()
    quality = np.nan_to_num(np.array([o.quality[c] for o in question.options]))
    allowed[:, c] &= quality >= floor - 1e-9
    return replace(problem, allowed=allowed)
