"""Small, large or API: break-even, cost against quality, what the money buys, quality by size."""

from __future__ import annotations

import streamlit as st

from advisor.charts.breakeven import breakeven
from advisor.charts.cost_stack import cost_stack
from advisor.charts.money_flow import money_flow
from advisor.charts.pareto import pareto
from advisor.charts.quality_size import quality_size, sized_models
from advisor.ui.infeasible import ways_out
from advisor.ui.plans import money_of
from advisor.ui.show import chart
from advisor.ui.view import View, current
from advisor.ui.work import broken_even, planned_volume, recommended

_BENCHMARKS = ("MMLU", "MMLU-Pro", "GSM8K", "HumanEval", "C-Eval")


def _plans(view: View) -> None:
    with st.spinner(view.say("ui_working")):
        r = recommended(view.asked.scenario, view.asked.replayed)
    money = money_of(r)
    if r.plan is None:
        ways_out(r, view)
    else:
        chart(pareto(r, view.style, money), view, "pareto", "title_pareto")
        chart(cost_stack(r, view.style, money), view, "cost_stack", "title_cost_stack")
        if r.plan.usd_per_month.value > 0:
            found = money_flow(r.plan, view.style, money)
            chart(found, view, "money_flow", "title_money_flow")
    with st.spinner(view.say("ui_working")):
        volumes = broken_even(view.asked.scenario)
    if any(v is not None for p in volumes.points for v in p.usd_per_month.values()):
        found = breakeven(volumes, view.style, money, planned_volume(view.asked.scenario))
        chart(found, view, "breakeven", "title_breakeven")
        st.caption(view.say("ui_breakeven_note"))


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_compare"), anchor=False)
    _plans(view)
    st.subheader(view.say("title_quality_size"), anchor=False)
    benchmark = st.selectbox(view.say("data_benchmark"), _BENCHMARKS, key="benchmark")
    chart(quality_size(sized_models(benchmark), benchmark, view.style), view, "quality_size")


if __name__ == "__main__":
    show(current())
