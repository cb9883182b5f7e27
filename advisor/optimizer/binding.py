"""Which limits cost money: each is dropped and the question solved again."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from advisor.optimizer.assemble import Question, question_of, searched
from advisor.optimizer.demand import NO_LIMIT
from advisor.optimizer.facts import with_classes
from advisor.optimizer.impossible import unit_of
from advisor.optimizer.kinds import Solved
from advisor.optimizer.options import SAME_SCORE
from advisor.optimizer.prices import shadow_prices
from advisor.optimizer.problem import MixProblem
from advisor.optimizer.result import BindingLimit
from advisor.optimizer.search import COARSE_GAP, best_plan, compact, in_levels

NEAR = 0.5
"""A cap of which the plan leaves more than half can't be what holds it back."""


def binding_of(question: Question, winner: Solved) -> tuple[BindingLimit, ...]:
    """Return the limits without which a cheaper plan exists, dearest first."""
    found = [*_rows(question, winner), *_floors(question, winner), *_latency(question, winner)]
    return tuple(sorted(found, key=lambda b: -b.saved_usd_per_month))


def _rows(question: Question, winner: Solved) -> list[BindingLimit]:
    problem = question.problem
    near = [x for x in problem.limits if _near(x.sense, x.value, winner.found.limit_use[x.name])]
    if not near:
        return []
    shadows = shadow_prices(compact(in_levels(problem))) or {}
    found = []
    for limit in near:
        saved = _saved(question, winner, problem.without(limit.name))
        if saved is not None:
            found.append(
                BindingLimit(
                    name=limit.name,
                    unit=unit_of(limit.name),
                    value=limit.value,
                    used=winner.found.limit_use[limit.name],
                    saved_usd_per_month=saved,
                    shadow_usd_per_month=shadows.get(limit.name),
                )
            )
    return found


def _near(sense: str, value: float, used: float) -> bool:
    return sense == "at-least" or used >= NEAR * value


def _floors(question: Question, winner: Solved) -> list[BindingLimit]:
    """Floors by class, each lifted alone."""
    found = []
    scenario = question.facts.scenario
    every = np.array([o.allowed for o in question.options])
    for c, name in enumerate(question.problem.classes):
        floor = scenario.floor_of(name)
        value = winner.plan.classes[c].quality.value
        if floor is None or value is None:
            continue
        allowed = question.problem.allowed.copy()
        allowed[:, c] = every[:, c]
        saved = _saved(question, winner, replace(question.problem, allowed=allowed))
        if saved is not None:
            label = f"floor:{name}"
            used = value.value
            found.append(BindingLimit(label, unit_of(label), floor, used, saved, None))
    return found


def _latency(question: Question, winner: Solved) -> list[BindingLimit]:
    """Latency limits by class, each lifted alone: what is too slow with it may serve without.

    ``used``: the longest of the class's percentiles over its limit.
    """
    found = []
    for c, one in enumerate(question.facts.demand.classes):
        if not one.has_slo:
            continue
        freer = _unhurried(question, winner, c)
        saved = _saved(freer, winner, freer.problem)
        if saved is not None:
            label = f"slo:{one.name}"
            checks = winner.plan.classes[c].latency
            used = max(x.value_s.value / x.limit_s for x in checks if x.limit_s)
            found.append(BindingLimit(label, unit_of(label), 1.0, used, saved, None))
    return found


def _unhurried(question: Question, winner: Solved, c: int) -> Question:
    """Return the question without a class's latency limits.

    Models good enough for the class are searched anew, up to what the winner costs; of the
    others nothing changes.
    """
    facts = question.facts
    classes = list(facts.demand.classes)
    floor = facts.scenario.floor_of(classes[c].name) or 0.0
    free = msgspec.structs.replace(NO_LIMIT, percentile=classes[c].slo.percentile)
    classes[c] = replace(classes[c], slo=free)
    models = facts.models.models
    good = [m for m in models if not np.nan_to_num(m.values[c]) < floor - SAME_SCORE]
    moved = with_classes(facts, tuple(classes))
    new = searched(moved, good, winner.usd_per_month)
    ids = {m.id for m in good}
    old = tuple(k for k in question.candidates.kept if k.model.id not in ids)
    both = replace(new, kept=(*new.kept, *old))
    return question_of(moved, winner.factors, candidates=both)


def _saved(question: Question, winner: Solved, freer: MixProblem) -> float | None:
    """Money a freer problem saves over the recommended plan, None if none."""
    free = best_plan(replace(question, problem=freer)).usd_per_month
    if free is None:
        return None
    saved = winner.usd_per_month - free
    return saved if saved > 2.0 * COARSE_GAP * winner.usd_per_month else None
