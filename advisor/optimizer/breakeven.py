"""Cost of each kind of plan over the volume, with the steps whole devices make."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path

import numpy as np

from advisor.optimizer.assemble import Question, facts_of, question_of
from advisor.optimizer.result import (
    PLAN_KINDS,
    Breakeven,
    BreakevenPoint,
    Flip,
    PlanKind,
)
from advisor.optimizer.singles import Singles
from advisor.schema.scenario import Scenario

POINTS = 121
SPAN = 1000.0
"""The curve reaches from a thousandth to a thousand times the stated volume."""
BISECTIONS = 30
KINDS: tuple[PlanKind, ...] = tuple(k for k in PLAN_KINDS if k != "mix")


def breakeven(
    scenario: Scenario, folder: Path | None = None, today: dt.date | None = None
) -> Breakeven:
    """Trace the cheapest plan of each kind over the volume.

    Each plan is one option that serves everything, with whole devices, kept or added by the
    hour; ``mix`` stands for routed pairs and cascades.

    Parameters
    ----------
    scenario, folder, today
        As for :func:`advisor.optimizer.recommend.recommend`.

    Raises
    ------
    AdvisorError
        As for :func:`advisor.optimizer.recommend.recommend`.
    """
    facts = facts_of(scenario, folder or Path(), today or dt.date.today())
    return curve_of(question_of(facts))


def curve_of(question: Question) -> Breakeven:
    """Trace the curve of a question; see :func:`breakeven`."""
    singles = _Curve(question)
    month = float(question.problem.requests_per_month.sum())
    factors = [float(f) for f in np.geomspace(1.0 / SPAN, SPAN, POINTS)]
    points = [p for f in factors if (p := singles.point(f, month)) is not None]
    flips = []
    for before, after in pairwise(points):
        if before.cheapest != after.cheapest:
            flips.append(_flip(singles, before, after, month))
    return Breakeven(question.facts.scenario.title, tuple(points), tuple(flips))


class _Curve:
    """Costs of every kind at any volume."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._singles = Singles(question)

    def cost(self, kind: PlanKind, factor: float) -> tuple[float, int | None, int]:
        """Return (dollars, option, devices) of a kind."""
        return self._singles.best(kind, factor)

    def point(self, factor: float, month: float) -> BreakevenPoint | None:
        """Return all kinds at a volume; None if nothing serves it."""
        found = {kind: self.cost(kind, factor) for kind in (*KINDS, "mix")}
        usd = {k: (float(x[0]) if np.isfinite(x[0]) else None) for k, x in found.items()}
        known = [k for k in KINDS if usd[k] is not None]
        if usd["mix"] is None:
            return None
        best: PlanKind = min(known, key=lambda k: usd[k] or 0.0, default="mix")
        if not known or usd["mix"] < (usd[best] or 0.0):
            best = "mix"
        devices = {k: x[2] for k, x in found.items()}
        return BreakevenPoint(month * factor, usd, devices, best)


def _flip(curve: _Curve, before: BreakevenPoint, after: BreakevenPoint, month: float) -> Flip:
    """Narrow the volume at which the cheapest kind changes."""
    low, high = before.requests_per_month, after.requests_per_month
    winner = after.cheapest
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        point = curve.point(middle / month, month)
        if point is not None and point.cheapest == winner:
            high = middle
        else:
            low = middle
    option = curve.cost(winner, high / month)[1]
    name = curve.question.options[option].name if option is not None else ""
    return Flip("volume", high, "requests/month", month, "above", name, winner)
