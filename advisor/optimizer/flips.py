"""Where another plan takes over: volume, the rent of the winner's device, the quality floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.optimizer.assemble import Question, question_of
from advisor.optimizer.candidates import candidates_of
from advisor.optimizer.kinds import Solved
from advisor.optimizer.money import pool_uses
from advisor.optimizer.options import kind_of
from advisor.optimizer.patterns import Curve, pattern_of
from advisor.optimizer.result import PLAN_KINDS, Flip, PlanKind
from advisor.optimizer.singles import Singles

FACTORS = tuple(2.0**k for k in range(-10, 11))
BISECTIONS = 20


def volume_flips(winner: Solved, others: Sequence[Solved]) -> list[Flip]:
    """Find the volumes, down and up, at which another kind first beats the recommended plan.

    The plan keeps its shares, or puts everything on one of its options; its rivals are options
    alone and the plans shown, their shares kept.
    """
    question = winner.question
    plans = [winner, *(o for o in others if o.question is question)]
    curve = Curve(question, [pattern_of(question, p.found) for p in plans])
    month = float(question.problem.requests_per_month.sum())
    kinds = tuple(k for k in PLAN_KINDS if k not in ("mix", winner.kind))
    found = []
    for side, factors in (
        ("below", [f for f in reversed(FACTORS) if f < 1.0]),
        ("above", [f for f in FACTORS if f > 1.0]),
    ):
        nearest = _first_flip(curve, winner.kind, kinds, factors)
        if nearest is None:
            continue
        factor, kind = nearest
        found.append(
            Flip(
                name="volume",
                at=month * factor,
                unit="requests/month",
                stated=month,
                side=side,  # type: ignore[arg-type]
                winner=curve.best(kind, factor)[1],
                winner_kind=kind,
            )
        )
    return found


def _mine(curve: Curve, kind: PlanKind, factor: float) -> float:
    """Return the cost of the recommended plan: its own options; of one kind: the kind's best."""
    own = curve.of_set(0, factor)
    return own if kind == "mix" else min(own, curve.best(kind, factor)[0])


def _first_flip(
    curve: Curve, mine: PlanKind, kinds: Sequence[PlanKind], factors: Sequence[float]
) -> tuple[float, PlanKind] | None:
    before = 1.0
    for factor in factors:
        rivals = sorted(kinds, key=lambda k: curve.best(k, factor)[0])
        if rivals and curve.best(rivals[0], factor)[0] < _mine(curve, mine, factor):
            return _bisect(curve, mine, rivals[0], before, factor), rivals[0]
        before = factor
    return None


def _bisect(curve: Curve, mine: PlanKind, rival: PlanKind, near: float, far: float) -> float:
    """Narrow the factor at which the rival takes over; whole devices may make it jump."""
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(near * far))
        if curve.best(rival, middle)[0] < _mine(curve, mine, middle):
            far = middle
        else:
            near = middle
    return far


def _main_option(one: Solved) -> str:
    options = one.plan.options
    return max(options, key=lambda o: sum(s.requests_per_month for s in o.served)).name


def price_flips(question: Question, winner: Solved, singles: Singles) -> list[Flip]:
    """Find the hourly price of the winner's main device above which another plan wins.

    Plans of one option without that device are compared: their cost doesn't move with it.
    """
    paid = _device_hours(question, winner)
    if not paid:
        return []
    device = max(paid, key=lambda d: paid[d][0] * paid[d][1])
    hours, usd = paid[device]
    rivals = [(c, question.options[i]) for i, c in _without(question, singles, device)]
    other = elsewhere(question, winner, device)
    rivals += [(c, other.options[i]) for i, c in _without(other, Singles(other), device)]
    if usd <= 0 or not rivals:
        return []
    least, option = min(rivals, key=lambda r: r[0])
    at = usd + (least - winner.usd_per_month) / hours
    if at <= usd:
        return []
    name = f"price:{device}"
    return [Flip(name, at, "usd/device-hour", usd, "above", option.name, kind_of([option]))]


def _without(question: Question, singles: Singles, device: str) -> list[tuple[int, float]]:
    """Return (option, cost) of plans of one option that don't stand on a device."""
    return [
        (i, usd)
        for i, usd in singles.every().items()
        if np.isfinite(usd) and device not in devices_of(question, i)
    ]


def elsewhere(question: Question, winner: Solved, device: str) -> Question:
    """Return the question of the winner's models on all other devices.

    The search drops what its best device beats; these are what comes next if that gets dear.
    """
    facts = question.facts
    ids = {p.model_id for o in winner.plan.options for p in o.parts}
    s = facts.scenario
    found = candidates_of(
        [m for m in facts.models.models if m.id in ids],
        [h for h in facts.hardware.devices if h.device.id != device],
        facts.demand,
        s.use,
        s.quality.four_bit_loss_points / 100.0,
        facts.seen,
    )
    return question_of(facts, candidates=found, with_pairs=False)


def devices_of(question: Question, option: int) -> set[str]:
    """Return the ids of the devices an option's pools stand on."""
    pools = question.options[option].uses
    return {question.pools[p].candidate.setup.device.id for p, _ in pools}


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
