"""Small, large, or which mix, on what: the answer to a scenario."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.catalogue.data_version import shared_versions
from advisor.optimizer.assemble import Facts, Question, excluded_of, facts_of, question_of
from advisor.optimizer.assumed import assumptions
from advisor.optimizer.binding import binding_of
from advisor.optimizer.doubt import draws_of, sureness, tornado
from advisor.optimizer.flips import floor_flips, price_flips, volume_flips
from advisor.optimizer.fronts import fronts_of
from advisor.optimizer.impossible import explain_scenario
from advisor.optimizer.kinds import Row, Solved, alternatives_of, solved
from advisor.optimizer.result import (
    Flip,
    Infeasible,
    Plan,
    Recommendation,
    Replay,
    Safer,
    Searched,
    Uncertainty,
    Verdict,
)
from advisor.optimizer.safer import safer_of
from advisor.optimizer.search import best_plan
from advisor.optimizer.singles import Singles
from advisor.optimizer.vertical import vertical_of
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

if TYPE_CHECKING:
    from advisor.optimizer.verify import Simulate

SHOWN, SHOWN_BESIDE = 2, 1
"""Options named of the recommended plan, and of the others."""
"""Options named in the verdict; the others are counted."""


def recommend(
    scenario: Scenario,
    folder: Path | None = None,
    today: dt.date | None = None,
    simulate: Simulate | None = None,
) -> Recommendation:
    """Answer a scenario.

    Parameters
    ----------
    scenario
        The question.
    folder
        Folder that file names in the scenario count from; None: the current one.
    today
        Day prices are asked for; None: the clock's.
    simulate
        Replays a fleet (:mod:`advisor.optimizer.verify`); None: no replay.

    Raises
    ------
    AdvisorError
        Unknown names, missing prices or scores: see ``advisor/errors.py``. That nothing fits
        is an answer (``infeasible``), not an error.
    """
    facts = facts_of(scenario, folder or Path(), today or dt.date.today())
    question = question_of(facts)
    first = solved(question, best_plan(question), {})
    if first is None:
        return _assembled(facts, question, None, (), infeasible=explain_scenario(facts))
    if simulate is None:
        return _assembled(facts, question, first, alternatives_of(question, first, {}))
    from advisor.optimizer.verify import verified

    held = verified(facts, question, first, simulate)
    missing = explain_scenario(facts) if held.winner is None else None
    return _assembled(facts, held.question, held.winner, held.rows, missing, held.replays)


def _assembled(
    facts: Facts,
    question: Question,
    winner: Solved | None,
    rows: Sequence[Row],
    infeasible: Infeasible | None = None,
    replays: tuple[Replay, ...] = (),
) -> Recommendation:
    s = facts.scenario
    others = [r for _, r in rows if r is not None]
    shown = [winner, *others] if winner else []
    doubt = _uncertainty(question, winner, others) if winner else None
    safer = safer_of(winner, doubt.probability_as_planned) if winner and doubt else None
    return Recommendation(
        title=s.title,
        title_zh=s.title_zh,
        currency=s.money.currency,
        per_usd=facts.per_usd,
        plan=winner.plan if winner else None,
        verdict=_verdict(winner, others, doubt, safer) if winner else None,
        alternatives=tuple(a for a, _ in rows),
        binding=binding_of(question, winner) if winner else (),
        fronts=fronts_of(question, [winner, *others]) if winner else (),
        uncertainty=doubt,
        safer=safer,
        infeasible=infeasible,
        replays=replays,
        excluded=excluded_of(facts),
        searched=_searched(facts, question),
        assumptions=assumptions(facts, question, [p.plan for p in shown]),
        warnings=_warnings(facts),
        oldest_price=_oldest(facts, winner),
        data={**shared_versions(), "asked": str(facts.today)},
        tuned=vertical_of(facts),
    )


def _uncertainty(question: Question, winner: Solved, others: Sequence[Solved]) -> Uncertainty:
    plans = [winner, *others]
    draws = draws_of(plans)
    sure = sureness(plans, draws)
    singles = Singles(question)
    flips: list[Flip] = [
        *volume_flips(winner, others),
        *price_flips(question, winner, singles),
        *floor_flips(question, winner, others),
    ]
    return Uncertainty(
        samples=draws.count,
        seed=question.facts.scenario.doubt.seed,
        probability_cheapest=sure.cheapest,
        probability_feasible=sure.feasible,
        probability_as_planned=sure.as_planned,
        regret_usd_per_month=sure.regret_usd_per_month,
        tornado=tornado(winner),
        flips=tuple(flips),
    )


def _verdict(
    winner: Solved, others: Sequence[Solved], doubt: Uncertainty | None, safer: Safer | None
) -> Verdict:
    sure = safer.plan if safer else None
    runner = min(others, key=lambda o: o.usd_per_month, default=None)
    return Verdict(
        winner_kind=winner.kind,
        winner=_names(winner.plan),
        usd_per_month=winner.usd_per_month,
        runner_kind=runner.kind if runner else None,
        runner=_names(runner.plan, SHOWN_BESIDE) if runner else "",
        runner_over_winner=runner.usd_per_month / winner.usd_per_month if runner else None,
        probability_cheapest=doubt.probability_cheapest.get(winner.kind) if doubt else None,
        flip=doubt.flips[0] if doubt and doubt.flips else None,
        safer=_names(sure, SHOWN_BESIDE) if sure else "",
        safer_usd_per_month=sure.usd_per_month.value if sure else None,
        safer_probability=safer.probability if safer else None,
        as_planned=doubt.probability_as_planned if doubt else None,
    )


def _names(one: Plan, most: int = SHOWN) -> str:
    """Return the options of a plan that serve most, and how many there are beside."""
    options = sorted(one.options, key=lambda o: -sum(s.requests_per_month for s in o.served))
    rest = f" + {len(options) - most}" if len(options) > most else ""
    return " + ".join(o.name for o in options[:most]) + rest


def _searched(facts: Facts, question: Question) -> Searched:
    found = question.candidates
    return Searched(
        models=len(facts.models.models),
        devices=len(facts.hardware.devices),
        engines=found.engines,
        formats=found.formats,
        layouts=found.combinations,
        evaluated=found.evaluated,
        kept=len(found.kept),
    )


def _warnings(facts: Facts) -> tuple[Text, ...]:
    if facts.site.kgco2e_per_kwh is None:
        return (Text.of("warn_no_carbon", site=facts.site.id),)
    return ()


def _oldest(facts: Facts, winner: Solved | None) -> dt.date | None:
    """Date of the oldest price the recommended plan rests on."""
    if winner is None:
        return None
    used = {(d.part.hw_id, d.terms) for d in winner.plan.deployments}
    dates = [
        offer.date
        for h in facts.hardware.devices
        for offer in h.offers
        if offer.date and (h.device.id, offer.terms) in used
    ]
    if facts.remote.oldest and any(p.provider for o in winner.plan.options for p in o.parts):
        dates.append(facts.remote.oldest)
    return min(dates, default=None)
