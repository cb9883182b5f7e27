"""The cheapest plan that keeps its floors whatever the scores turn out to be, nine times in ten.

Scores are held against floors less a margin of their own ranges; an 80 % range leaves out 10 %
on the low side, so one half-width gives 90 % for one model. Several models that must all hold
need more: the margin grows until the draws say that 90 % is reached.
"""

from __future__ import annotations

from advisor.optimizer.assemble import question_of
from advisor.optimizer.doubt import draws_of, fate_of
from advisor.optimizer.kinds import Solved, solved
from advisor.optimizer.result import Safer
from advisor.optimizer.search import ROUGH, best_plan

WANTED = 0.9
MARGINS = (1.0, 1.35, 1.7)


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
    for margin in MARGINS:
        question = question_of(
            winner.question.facts,
            winner.factors,
            candidates=winner.question.candidates,
            margin=margin,
        )
        found = solved(question, best_plan(question, effort=ROUGH), winner.factors)
        if found is None:
            break
        sure = float(fate_of(found, draws_of([found])).as_planned.mean())
        if sure >= WANTED:
            return Safer(WANTED, found.plan, sure, found.usd_per_month / winner.usd_per_month)
    return Safer(WANTED, None, None, None)
