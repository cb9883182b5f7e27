"""Cost against quality, and cost against latency, for a scenario.

Plans of one option each, at every option's own cost, and the plans already found: instant.
:func:`exact_front` traces the whole front with mixes, by the epsilon-constraint method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from advisor.errors import UsageError
from advisor.optimizer.assemble import Question, quality_row
from advisor.optimizer.front import SAME, pareto_front
from advisor.optimizer.kinds import Solved
from advisor.optimizer.problem import Floats, Limit, MixProblem
from advisor.optimizer.result import Front, FrontStep
from advisor.optimizer.search import COARSE_GAP, compact, in_levels
from advisor.optimizer.singles import Singles

Measure = Literal["quality", "latency"]
EXACT_STEPS = 8


def one_metric(question: Question) -> bool:
    """Tell whether one metric speaks for all classes, so that their mean means something."""
    names = {question.facts.scenario.metric_of(c.name) for c in question.facts.demand.classes}
    return len(names) == 1 and None not in names


def measures_of(question: Question) -> list[Measure]:
    """Return the measures a front can be drawn for."""
    return ["quality", "latency"] if one_metric(question) else ["latency"]


def measure_named(question: Question, name: str) -> Measure:
    """Return a measure by name.

    Raises
    ------
    UsageError
        If it is unknown, or the classes have no metric in common.
    """
    possible = measures_of(question)
    for measure in possible:
        if measure == name:
            return measure
    if name == "quality":
        msg = "no front of quality: the classes have no metric in common"
        raise UsageError(msg, suggestions=["--measure latency"])
    msg = f"no measure {name!r}; valid: {', '.join(possible)}"
    raise UsageError(msg, suggestions=[f"--measure {m}" for m in possible])


def _values(question: Question, measure: Measure) -> Floats:
    """``(O,)`` mean over requests of an option's score or end-to-end percentile."""
    weights = question.problem.requests_per_month
    field = "quality" if measure == "quality" else "e2e_s"
    table = np.array([getattr(o, field) for o in question.options])
    return np.asarray(table @ weights / weights.sum())


def fronts_of(question: Question, plans: Sequence[Solved]) -> tuple[Front, ...]:
    """Return the fronts of single options and of the plans found.

    Class floors are left out of the quality front, so that it shows what they cost.
    """
    found = []
    for measure in measures_of(question):
        every = np.array([o.allowed for o in question.options])
        allowed = every if measure == "quality" else question.problem.allowed
        freer = replace(question, problem=replace(question.problem, allowed=allowed))
        costs = Singles(freer).every()
        values = _values(question, measure)
        steps = [
            FrontStep(float(values[i]), usd, question.options[i].name)
            for i, usd in costs.items()
            if np.isfinite(usd) and np.isfinite(values[i])
        ]
        steps += [s for p in plans if (s := _of_plan(p, measure)) is not None]
        found.append(Front(measure, _undominated(steps, measure)))
    return tuple(f for f in found if f.steps)


def _of_plan(one: Solved, measure: Measure) -> FrontStep | None:
    question = one.question
    values = _values(question, measure)
    volume = (one.found.flow_per_s @ question.problem.hours).sum(axis=1)
    used = volume > 0
    if not np.isfinite(values[used]).all():
        return None
    mean = float(values[used] @ volume[used] / volume.sum())
    name = question.options[int(np.argmax(volume))].name
    return FrontStep(mean, one.usd_per_month, name)


def _undominated(steps: list[FrontStep], measure: Measure) -> tuple[FrontStep, ...]:
    sign = -1.0 if measure == "quality" else 1.0
    kept: list[FrontStep] = []
    for step in sorted(steps, key=lambda s: (s.usd_per_month, sign * s.measure)):
        if not kept or sign * step.measure < sign * kept[-1].measure - SAME * step.measure:
            kept.append(step)
    return tuple(kept)


def exact_front(question: Question, measure: Measure, steps: int = EXACT_STEPS) -> Front:
    """Trace a front with every mix allowed, hours joined into levels."""
    if measure == "quality":
        every = np.array([o.allowed for o in question.options])
        problem = replace(question.problem, allowed=every)
        row = quality_row(question.options, problem, 0.0)
    else:
        problem = question.problem
        e2e = np.nan_to_num(np.array([o.e2e_s for o in question.options]))
        row = Limit("latency", 0.0, per_request=e2e)
    rows = [x for x in problem.limits if x.name != row.name]
    both = compact(in_levels(problem.with_limits(*rows, row)))
    held = both.without(row.name)
    scaled = replace(both.limit(row.name), scale=float(held.requests_per_month.sum()))
    points = pareto_front(held, scaled, steps, COARSE_GAP)
    return Front(
        measure,
        tuple(
            FrontStep(p.measure, p.usd_per_month, _name(held, p.solution.flow_per_s))
            for p in points
        ),
    )


def _name(problem: MixProblem, flow: Floats) -> str:
    volume = (flow @ problem.hours).sum(axis=1)
    used = np.argsort(-volume)[: int((volume > SAME * volume.sum()).sum())]
    return " + ".join(problem.options[int(i)] for i in used[:3])
