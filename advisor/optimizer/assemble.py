"""From a scenario to the solver's numbers: options, pools, charges and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.catalogue import prices
from advisor.optimizer.candidates import CandidateList, Pruning, candidates_of
from advisor.optimizer.demand import HOURS_PER_MONTH
from advisor.optimizer.facts import Facts, excluded_of, facts_of
from advisor.optimizer.hardware import device_id_of, spot_terms
from advisor.optimizer.limits import (
    chip_limits,
    money_limit,
    money_row,
    power_limits,
    quality_limits,
    quality_row,
    rate_limits,
)
from advisor.optimizer.models import ModelChoice
from advisor.optimizer.options import (
    Option,
    Pool,
    fixed_usd_per_month,
    pool_option,
    pools_of,
    scaled_usd_per_hour,
    worth_keeping,
)
from advisor.optimizer.pairs import pair_options
from advisor.optimizer.problem import Bools, MixProblem
from advisor.schema.scenario import Scenario

TOKENS_PER_MTOK = 1e6
MINUTE_S = 60.0
SAME_SCORE = 1e-9
FAR_BELOW = 0.15
"""So far below a floor a small model helps no pair: most of its answers would be escalated."""


__all__ = [
    "Facts",
    "Question",
    "excluded_of",
    "facts_of",
    "money_row",
    "quality_row",
    "question_of",
]


@dataclass(frozen=True, eq=False)
class Question:
    """The solver's numbers, and what each index stands for."""

    facts: Facts
    candidates: CandidateList
    pools: tuple[Pool, ...]
    options: tuple[Option, ...]
    charge_names: tuple[str, ...]
    problem: MixProblem


def question_of(
    facts: Facts,
    factors: dict[str, float] | None = None,
    candidates: CandidateList | None = None,
    weak_too: bool = False,
    with_pairs: bool = True,
    margin: float = 0.0,
) -> Question:
    """Build options and the solver's numbers.

    Parameters
    ----------
    facts
        Looked up.
    factors
        Pool → share of its predicted capacity to count on (1 where left out).
    candidates
        Deployments found before; None: search.
    weak_too
        Search also models far below every floor.
    with_pairs
        Offer routed pairs and cascades.
    margin
        Half-widths of 80 % ranges by which scores must lie above floors.
    """
    s = facts.scenario
    if candidates is None:
        candidates = searched(facts, facts.models.models if weak_too else _hopeful(facts))
    classes = facts.demand.classes
    pools = pools_of(candidates.kept, classes, facts.site, factors or {})
    floors = np.array([s.floor_of(c.name) or 0.0 for c in classes])
    rate = np.asarray(facts.demand.per_s @ facts.demand.hours / facts.demand.hours.sum())
    keep = worth_keeping(pools, _scarce(s), floors, rate, margin)
    pools = [p for p, kept in zip(pools, keep, strict=True) if kept]
    singles = [pool_option(i, p) for i, p in enumerate(pools)]
    singles += [*facts.remote.options, *facts.local.options]
    options = list(singles)
    if with_pairs:
        options += pair_options(s, classes, facts.asked, singles, pools, margin)
    names = tuple(sorted({c for o in options for c in o.charges if _due(facts, c)}))
    problem = _problem(facts, pools, options, names, margin)
    return Question(facts, candidates, tuple(pools), tuple(options), names, problem)


def _due(facts: Facts, key: str) -> bool:
    charge = facts.charges.get(key)
    return charge is not None and charge.usd_per_month.value > 0


def searched(
    facts: Facts, models: Sequence[ModelChoice], most_usd_per_month: float = np.inf
) -> CandidateList:
    """Search deployments of some models.

    Those of which one replica costs more than ``most_usd_per_month`` are left out: no plan of
    that cost has one.
    """
    s = facts.scenario
    most_usd_per_hour = most_usd_per_month / (
        HOURS_PER_MONTH * min(spot_terms(s.money).factor, 1.0)
    )
    return candidates_of(
        models,
        facts.hardware.devices,
        facts.demand,
        s.use,
        s.quality.four_bit_loss_points / 100.0,
        facts.seen,
        Pruning(_scarce(s), facts.site.usd_per_hour(1.0), most_usd_per_hour),
    )


def _hopeful(facts: Facts) -> list[ModelChoice]:
    """Models that meet some class's floor, or come near enough to serve in a pair."""
    floors = np.array([facts.scenario.floor_of(c.name) or 0.0 for c in facts.demand.classes])
    return [m for m in facts.models.models if not (m.values < floors - FAR_BELOW).all()]


def _scarce(scenario: Scenario) -> frozenset[str]:
    """Devices that count one by one: limited ones, or all under a power or carbon limit."""
    limits = scenario.limits
    named = {device_id_of(name) for name in limits.chips}
    on_site = any(c.privacy == "on-premises" for c in scenario.workload.classes)
    if on_site or limits.power_w is not None or limits.kgco2e_per_month is not None:
        for file in prices.price_files():
            named |= {r.device for r in file.rental} | {p.device for p in file.purchase}
    return frozenset(named)


def _problem(
    facts: Facts,
    pools: Sequence[Pool],
    options: Sequence[Option],
    charges: Sequence[str],
    margin: float,
) -> MixProblem:
    s, demand = facts.scenario, facts.demand
    c = len(demand.classes)
    uses = [(o, p, sec) for o, option in enumerate(options) for p, sec in option.uses]
    pairs = [
        (o, charges.index(key))
        for o, option in enumerate(options)
        for key in option.charges
        if key in charges
    ]
    usd = np.array([o.usd_per_request + facts.retrieval_usd for o in options]).reshape(-1, c)
    allowed = np.array([o.allowed for o in options], dtype=bool).reshape(-1, c)
    allowed &= _good_enough(facts, options, margin)
    problem = MixProblem(
        classes=tuple(one.name for one in demand.classes),
        options=tuple(o.name for o in options),
        pools=tuple(p.name for p in pools),
        demand_per_s=demand.per_s,
        hours=demand.hours,
        allowed=allowed,
        usd_per_request=usd,
        fixed_usd_per_month=np.array(
            [fixed_usd_per_month(p, s, facts.hosting_usd_per_kw) for p in pools]
        ),
        scaled_usd_per_hour=np.array([scaled_usd_per_hour(p, s) for p in pools]),
        use_option=np.array([o for o, _, _ in uses], dtype=np.int64),
        use_pool=np.array([p for _, p, _ in uses], dtype=np.int64),
        use_s=np.array([sec for _, _, sec in uses]).reshape(-1, c),
        charge_usd_per_month=np.array([facts.charges[key].usd_per_month.value for key in charges]),
        charge_option=np.array([o for o, _ in pairs], dtype=np.int64),
        charge_index=np.array([g for _, g in pairs], dtype=np.int64),
        scales_from_zero=False,
        most_share=np.array([np.full(c, o.most_share) for o in options]).reshape(-1, c),
    )
    limits = [
        *quality_limits(facts, options, problem, margin),
        *money_limit(facts, problem),
        *power_limits(facts, pools, options, problem),
        *chip_limits(facts, pools),
        *rate_limits(facts, options),
    ]
    return problem.with_limits(*limits)


def _good_enough(facts: Facts, options: Sequence[Option], margin: float) -> Bools:
    """``(O, C)`` options whose score meets the class's floor; a random split may not dodge it."""
    quality = np.nan_to_num(np.array([o.quality - margin * o.half80 for o in options]))
    floors = [facts.scenario.floor_of(c.name) or 0.0 for c in facts.demand.classes]
    return np.asarray(quality.reshape(-1, len(floors)) >= np.array(floors) - SAME_SCORE)
