"""What would change the answer: the cost's tornado, the decision's flips, two inputs at once."""

from __future__ import annotations

import streamlit as st

from advisor.charts.chart import plan_name
from advisor.charts.heat import heat_map
from advisor.charts.tornado import decision, tornado
from advisor.optimizer.result import Uncertainty
from advisor.report.recommend_verdict import safer_text
from advisor.schema.text import Text
from advisor.ui import grid
from advisor.ui.infeasible import ways_out
from advisor.ui.plans import money_of
from advisor.ui.show import chart, table
from advisor.ui.view import View, current, plain
from advisor.ui.work import recommended

LEAST_SHARE = 1e-9


def _sure(u: Uncertainty, view: View) -> None:
    st.subheader(view.say("title_sure"), anchor=False)
    say = view.style.say
    ordered = sorted(u.probability_cheapest.items(), key=lambda item: -item[1])
    rows = [(plan_name(kind, view.style), f"{share:.0%}") for kind, share in ordered]
    none = 1.0 - sum(u.probability_cheapest.values())
    if none > LEAST_SHARE:
        rows.append((say("cell_no_plan"), f"{none:.0%}"))
    table([say("col_plan"), say("col_probability")], rows, say("title_sure"), view.lang)
    text = Text.of(
        "ui_sure",
        samples=u.samples,
        feasible=f"{u.probability_feasible:.0%}",
        planned=f"{u.probability_as_planned:.0%}",
        seed=u.seed,
    )
    st.caption(view.say(text))


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_sensitivity"), anchor=False)
    with st.spinner(view.say("ui_working")):
        r = recommended(view.asked.scenario, view.asked.replayed)
    if r.plan is None:
        ways_out(r, view)
        return
    money = money_of(r)
    if r.uncertainty is not None:
        u = r.uncertainty
        found = tornado(u, r.plan.usd_per_month.value, view.style, money)
        if found.rows:
            chart(found, view, "tornado", "title_tornado")
        else:
            st.subheader(view.say("title_tornado"), anchor=False)
            st.caption(plain(found.alt))
        chart(decision(u, view.style, money), view, "decision", "title_decision")
        _sure(u, view)
        surer = safer_text(r, view.lang)
        if surer is not None:
            st.caption(view.say(surer))
    st.subheader(view.say("title_heat"), anchor=False)
    cells = grid.ask(view)
    if cells is not None:
        chart(heat_map(cells, view.style, money), view, "heat")


if __name__ == "__main__":
    show(current())
