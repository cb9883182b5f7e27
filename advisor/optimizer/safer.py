"""The cheapest plan that keeps its floors whatever the scores turn out to be, nine times in ten.

Scores are held against floors less a margin of their own ranges; an 80 % range leaves out 10 %
on the low side, so one half-width gives 90 % for one model. Several models that must all hold
need more: the margin grows until the draws say that 90 % is reached, and is then narrowed down,
as a wider one may leave no model at all.
"""

from __future__ import annotations

from advisor.optimizer.assemble import question_of
from advisor.optimizer.doubt import draws_of, fate_of
from advisor.optimizer.kinds import Solved, solved
from advisor.optimizer.result import Safer
from advisor.optimizer.search import ROUGH, best_plan

WANTED = 0.9
LEAST_MARGIN, MOST_MARGIN, STEPS = 1.0, 1.7, 3


def safer_of(winner: Solved, as_planned: float) -> Safer | None:
    """Return the safer plan; None if the recommended one is as safe, or no floor is asked for.

    Parameters
    ----------
    as_planned
        Share of draws in which the recommended plan keeps floors and budget as it is.
    """
    scenario = winner.question.facts.scenario
    floors = [scenario.floor_of(c.name) for c in winner.question.facts.demand.classes]
    overall = scenario.quality.overall
    if as_planned >= WANTED or (overall is None and not any(floors)):
        return None
    low, high = LEAST_MARGIN, MOST_MARGIN
    found = _with_margin(winner, low)
    best = found if found and found[1] >= WANTED else None
    for _ in range(STEPS if found and not best else 0):
        middle = (low + high) / 2.0
        found = _with_margin(winner, middle)
        if found and found[1] < WANTED:
            low = middle
            continue
        high, best = middle, found or best
    if best is None:
        return Safer(WANTED, None, None, None)
    one, sure = best
    return Safer(WANTED, one.plan, sure, one.usd_per_month / winner.usd_per_month)


def _with_margin(winner: Solved, margin: float) -> tuple[Solved, float] | None:
    """Return the best plan whose scores lie so far above the floors, and how sure it is."""
    question = question_of(
        winner.question.facts,
        winner.factors,
        candidates=winner.question.candidates,
        margin=margin,
    )
    found = solved(question, best_plan(question, effort=ROUGH), winner.factors)
    if found is None:
        return None
    return found, float(fate_of(found, draws_of([found])).as_planned.mean())
