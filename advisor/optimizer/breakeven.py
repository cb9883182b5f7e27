"""Cost of each kind of plan over the volume, with the steps whole devices make."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path

import numpy as np

from advisor.optimizer.assemble import Question, facts_of, question_of
from advisor.optimizer.patterns import Curve, patterns_at
from advisor.optimizer.result import PLAN_KINDS, Flip, PlanKind
from advisor.optimizer.result_curves import Breakeven, BreakevenPoint
from advisor.schema.scenario import Scenario

POINTS = 121
SPAN = 1000.0
"""The curve reaches from a thousandth to a thousand times the stated volume."""
BISECTIONS = 30
SOLVED = (1.0, 0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)
"""Times the stated volume at which mixes are solved."""
KINDS: tuple[PlanKind, ...] = tuple(k for k in PLAN_KINDS if k != "mix")


def breakeven(
    scenario: Scenario, folder: Path | None = None, today: dt.date | None = None
) -> Breakeven:
    """Trace the cheapest plan of each kind over the volume.

    A plan is one option that serves everything, or the pattern of a mix: the question is solved
    at a few volumes, and what those plans look like is costed at every other, with whole
    devices kept or added by the hour. ``mix`` is the cheapest of all.

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
    month = float(question.problem.requests_per_month.sum())
    factors = [float(f) for f in np.geomspace(1.0 / SPAN, SPAN, POINTS)]
    curve = Curve(question, patterns_at(question, SOLVED))
    points = [p for f in factors if (p := _point(curve, f, month)) is not None]
    flips = []
    for before, after in pairwise(points):
        if before.cheapest != after.cheapest:
            flips.append(_flip(curve, before, after, month))
    return Breakeven(question.facts.scenario.title, tuple(points), tuple(flips))


def _point(curve: Curve, factor: float, month: float) -> BreakevenPoint | None:
    """Return all kinds at a volume; None if nothing serves it."""
    found = {kind: curve.best(kind, factor) for kind in (*KINDS, "mix")}
    usd = {k: (float(x[0]) if np.isfinite(x[0]) else None) for k, x in found.items()}
    known = [k for k in KINDS if usd[k] is not None]
    if usd["mix"] is None:
        return None
    best: PlanKind = min(known, key=lambda k: usd[k] or 0.0, default="mix")
    if not known or usd["mix"] < (usd[best] or 0.0):
        best = "mix"
    devices = {k: x[2] for k, x in found.items()}
    return BreakevenPoint(month * factor, usd, devices, best)


def _flip(curve: Curve, before: BreakevenPoint, after: BreakevenPoint, month: float) -> Flip:
    """Narrow the volume at which the cheapest kind changes."""
    low, high = before.requests_per_month, after.requests_per_month
    winner = after.cheapest
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        point = _point(curve, middle / month, month)
        if point is not None and point.cheapest == winner:
            high = middle
        else:
            low = middle
    name = curve.best(winner, high / month)[1]
    return Flip("volume", high, "requests/month", month, "above", name, winner)
