"""Cost against quality, and cost against latency, for a scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from advisor.optimizer.assemble import Question, quality_row
from advisor.optimizer.front import FrontPoint, pareto_front
from advisor.optimizer.problem import Limit, MixProblem
from advisor.optimizer.result import Front, FrontStep
from advisor.optimizer.search import COARSE_GAP, compact, in_levels

STEPS = 5


def fronts_of(question: Question) -> tuple[Front, ...]:
    """Trace both fronts; quality only where one metric speaks for all classes.

    Class floors are left out of the quality front, so that it shows what they cost; latency is
    the mean over requests of the end-to-end percentile at full load.
    """
    found = []
    names = {
        question.facts.scenario.metric_of(c.name) for c in question.facts.demand.classes
    }
    if len(names) == 1 and None not in names:
        every = np.array([o.allowed for o in question.options])
        freer = replace(question.problem, allowed=every)
        row = quality_row(question.options, freer, 0.0)
        found.append(Front("quality", _trace(freer, row)))
    e2e = np.array([o.e2e_s for o in question.options])
    total = float(question.problem.requests_per_month.sum())
    latency = Limit("latency", 0.0, scale=total, per_request=np.nan_to_num(e2e))
    found.append(Front("latency", _trace(question.problem, latency)))
    return tuple(f for f in found if f.steps)


def _trace(problem: MixProblem, measure: Limit) -> tuple[FrontStep, ...]:
    rows = [x for x in problem.limits if x.name != measure.name]
    both = compact(in_levels(problem.with_limits(*rows, measure)))
    row = both.limit(measure.name)
    held = both.without(measure.name)
    # Joined hours hold a little more demand than the month does.
    row = replace(row, scale=float(held.requests_per_month.sum()))
    points = pareto_front(held, row, STEPS, COARSE_GAP)
    return tuple(FrontStep(p.measure, p.usd_per_month, _name(held, p)) for p in points)


def _name(problem: MixProblem, point: FrontPoint) -> str:
    volume = (point.solution.flow_per_s @ problem.hours).sum(axis=1)
    return problem.options[int(np.argmax(volume))]
