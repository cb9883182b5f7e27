"""Two fields moved at once: the grid of answers behind the heat map, worked out on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from advisor.charts.heat import Grid
from advisor.optimizer.result import PlanKind
from advisor.schema.scenario import Scenario
from advisor.ui import question
from advisor.ui.asked import Asked
from advisor.ui.fields import BY_KEY
from advisor.ui.view import View
from advisor.ui.work import recommended

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)
_INPUTS = ("per_day", "isl", "osl", "ttft_s", "floor")


def values_of(key: str, stated: float) -> tuple[float, ...]:
    """Return five values round the stated one: factors, and for a floor even steps below 1."""
    if key == "floor":
        return tuple(
            round(stated + step, 4)
            for step in (-0.1, -0.05, 0.0, 0.05, 0.1)
            if 0 < stated + step < 1
        )
    if key in ("isl", "osl"):
        return tuple(float(max(round(stated * f), 1)) for f in FACTORS)
    return tuple(stated * f for f in FACTORS)


def ask(view: View) -> Grid | None:
    """Draw the choice of two inputs and, once asked, work out the grid with progress."""
    known = [k for k in _INPUTS if view.asked.by_key[k] is not None]
    left, right = st.columns(2)
    names = {k: view.style.say(BY_KEY[k].label) for k in known}
    x_key = left.selectbox(view.say("ui_first_input"), known, format_func=names.__getitem__)
    others = [k for k in known if k != x_key]
    y_key = right.selectbox(view.say("ui_second_input"), others, format_func=names.__getitem__)
    if not st.toggle(view.say("ui_work_out"), key="grid"):
        return None
    bar = st.progress(0.0, view.say("ui_working"))
    found = work_out(view.asked, x_key, y_key, names, bar.progress)
    bar.empty()
    return found


def _cell(scenario: Scenario) -> tuple[float, PlanKind] | tuple[None, None]:
    plan = recommended(scenario).plan
    return (plan.usd_per_month.value, plan.kind) if plan else (None, None)


def work_out(
    asked: Asked,
    x_key: str,
    y_key: str,
    names: Mapping[str, str],
    on_progress: Callable[[float], object] = lambda _: None,
) -> Grid:
    """Answer every combination of two fields round their stated values."""
    base = asked.by_key
    xs = values_of(x_key, float(str(base[x_key])))
    ys = values_of(y_key, float(str(base[y_key])))
    costs: list[tuple[float | None, ...]] = []
    winners: list[tuple[PlanKind | None, ...]] = []
    for row, y in enumerate(ys):
        found = []
        for column, x in enumerate(xs):
            found.append(_cell(question.asked(asked.base, {**base, x_key: x, y_key: y})))
            on_progress((row * len(xs) + column + 1) / (len(xs) * len(ys)))
        costs.append(tuple(cost for cost, _ in found))
        winners.append(tuple(kind for _, kind in found))
    return Grid(names[x_key], names[y_key], xs, ys, tuple(costs), tuple(winners))
