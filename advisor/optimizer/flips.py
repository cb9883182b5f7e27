"""Where another plan takes over: volume, the rent of the winner's device, the quality floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.kinds import Solved, options_of
from advisor.optimizer.money import pool_uses
from advisor.optimizer.problem import MixProblem, restrict
from advisor.optimizer.result import Flip, PlanKind
from advisor.optimizer.search import quick

FACTORS = tuple(4.0**k for k in (-3, -2, -1, 0, 1, 2, 3))
BISECTIONS = 7


def at_volume(problem: MixProblem, factor: float) -> MixProblem:
    """Return a problem with so many times the demand."""
    limits = tuple(
        replace(x, scale=x.scale * factor) if x.sense == "at-least" else x for x in problem.limits
    )
    return replace(problem, demand_per_s=problem.demand_per_s * factor, limits=limits)


class Costs:
    """Cost of the best plan of a kind at a volume, each solved once."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._known: dict[tuple[PlanKind, float], float] = {}

    def usd(self, kind: PlanKind, factor: float) -> float:
        """Dollars a month; infinite if no plan of the kind fits."""
        key = (kind, round(factor, 9))
        if key not in self._known:
            keep = options_of(self._question, kind)
            problem = at_volume(restrict(self._question.problem, keep), factor)
            found = quick(problem).usd_per_month
            self._known[key] = np.inf if found is None else found
        return self._known[key]


def volume_flips(
    question: Question, winner: Solved, others: Sequence[Solved], costs: Costs
) -> list[Flip]:
    """Find the volumes, down and up, at which another kind first beats the winner's."""
    month = float(question.problem.requests_per_month.sum())
    found = []
    for side, factors in (
        ("below", [f for f in reversed(FACTORS) if f < 1.0]),
        ("above", [f for f in FACTORS if f > 1.0]),
    ):
        nearest = _first_flip(winner.kind, others, costs, factors)
        if nearest is None:
            continue
        factor, other = nearest
        found.append(
            Flip(
                name="volume",
                at=month * factor,
                unit="requests/month",
                stated=month,
                side=side,  # type: ignore[arg-type]
                winner=_main_option(other),
                winner_kind=other.kind,
            )
        )
    return found


def _first_flip(
    kind: PlanKind, others: Sequence[Solved], costs: Costs, factors: Sequence[float]
) -> tuple[float, Solved] | None:
    before = 1.0
    for factor in factors:
        mine = costs.usd(kind, factor)
        rivals = sorted(others, key=lambda o: costs.usd(o.kind, factor))
        if rivals and costs.usd(rivals[0].kind, factor) < mine:
            return _bisect(kind, rivals[0], costs, before, factor), rivals[0]
        before = factor
    return None


def _bisect(kind: PlanKind, rival: Solved, costs: Costs, near: float, far: float) -> float:
    """Narrow the factor at which the rival takes over; whole devices may make it jump."""
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(near * far))
        if costs.usd(rival.kind, middle) < costs.usd(kind, middle):
            far = middle
        else:
            near = middle
    return float(np.sqrt(near * far))


def _main_option(one: Solved) -> str:
    options = one.plan.options
    return max(options, key=lambda o: sum(s.requests_per_month for s in o.served)).name


def price_flips(question: Question, winner: Solved, others: Sequence[Solved]) -> list[Flip]:
    """Find the hourly price of the winner's main device above which another plan shown wins."""
    paid = _device_hours(question, winner)
    if not paid:
        return []
    device = max(paid, key=lambda d: paid[d][0] * paid[d][1])
    hours, usd = paid[device]
    if usd <= 0:
        return []
    flips = []
    for other in others:
        theirs = _device_hours(question, other).get(device, (0.0, usd))[0]
        if theirs >= hours:
            continue
        # Both costs are straight lines of the price.
        at = usd + (other.usd_per_month - winner.usd_per_month) / (hours - theirs)
        flips.append((at, other))
    if not flips:
        return []
    at, other = min(flips, key=lambda f: f[0])
    return [
        Flip(f"price:{device}", at, "usd/device-hour", usd, "above", _main_option(other), other.kind)
    ]


def _device_hours(question: Question, one: Solved) -> dict[str, tuple[float, float]]:
    """Device → paid device-hours of a month and price of one."""
    found: dict[str, tuple[float, float]] = {}
    for use in pool_uses(question, one.found):
        device = use.pool.candidate.setup.device.id
        hours = (use.paid_h + use.extra_h) * use.pool.devices
        before = found.get(device, (0.0, 0.0))[0]
        found[device] = (before + hours, use.pool.offer.usd_per_device_hour.value)
    return found


def floor_flips(question: Question, winner: Solved, others: Sequence[Solved]) -> list[Flip]:
    """Find the floor, class by class, above which the recommended plan no longer suffices."""
    found = []
    for c, row in enumerate(winner.plan.classes):
        value, floor = row.quality.value, row.quality.floor
        if value is None or floor is None:
            continue
        better = [o for o in others if _score(o, c) > value.value]
        if better:
            other = min(better, key=lambda o: o.usd_per_month)
            found.append(
                Flip(
                    name=f"floor:{row.name}",
                    at=value.value,
                    unit=row.quality.metric,
                    stated=floor,
                    side="above",
                    winner=_main_option(other),
                    winner_kind=other.kind,
                )
            )
    return found[:1]


def _score(one: Solved, c: int) -> float:
    value = one.plan.classes[c].quality.value
    return value.value if value else 0.0
