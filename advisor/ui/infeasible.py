"""When nothing fits: which limits clash, and buttons that relax one just enough."""

from __future__ import annotations

import math

import streamlit as st

from advisor.optimizer.result import Recommendation, WayOut
from advisor.report.numbers import significant
from advisor.schema.text import Text
from advisor.ui import state
from advisor.ui.plans import money_of
from advisor.ui.question import Value
from advisor.ui.view import View, plain

_FIELDS = {"quality": "floor", "money": "budget", "budget": "budget"}
"""First part of a limit's name → the field that states it; latencies name themselves."""


def change_of(way: WayOut) -> dict[str, Value]:
    """Return the field a way out sets, rounded to the safe side; empty: none does."""
    if way.value is None:
        return {}
    first, *rest = way.name.split(":")
    key = _FIELDS.get(first)
    if key is None and rest and rest[-1] in ("ttft", "e2e"):
        key = f"{rest[-1]}_s"
    if key is None:
        return {}
    down = key == "floor"
    digits = 4 if down else 3 - math.floor(math.log10(abs(way.value) or 1.0))
    scale = 10.0**digits
    rounded = (math.floor if down else math.ceil)(way.value * scale) / scale
    return {key: rounded}


def ways_out(r: Recommendation, view: View) -> None:
    """Draw the clash, and a button for every relaxation a field can state."""
    clash = r.infeasible
    if clash is None:
        return
    names = view.say("list_joint").join(map(plain, clash.limits))
    st.error(f"**{view.say('error_infeasible')}** {view.say('ui_clash')}{view.say('colon')}{names}")
    st.markdown(view.say("ui_relax"))
    money = money_of(r)
    for index, way in enumerate(clash.ways_out):
        changes = change_of(way)
        if way.value is None:
            st.markdown("- " + view.say(Text.of("ui_no_way", name=way.name)))
            continue
        cost = "–" if way.usd_per_month is None else significant(money.of(way.usd_per_month))
        text = view.say(
            Text.of(
                "ui_way",
                name=way.name,
                stated=significant(way.stated),
                value=significant(way.value, 4),
                unit=way.unit,
                cost=f"{cost} {money.code}",
            )
        )
        if changes:
            st.button(text, key=f"way_{index}", on_click=state.change, kwargs=changes)
        else:
            st.markdown(f"- {text}")
