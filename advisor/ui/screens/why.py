"""Why it is that fast: roofline, memory, operators, formulas with this run's numbers."""

from __future__ import annotations

import streamlit as st

from advisor.charts.memory import memory_bar
from advisor.charts.operators import operators
from advisor.charts.roofline import roofline
from advisor.charts.workings import workings
from advisor.report.estimate_json import estimate_csv, estimate_json
from advisor.report.estimate_text import verdict
from advisor.report.explain import explain_text
from advisor.ui.plans import looks
from advisor.ui.show import chart, metric
from advisor.ui.view import View, current, estimated, plain
from advisor.ui.work import known_recommendation


def _files(view: View) -> None:
    r = estimated(view)
    left, right = st.columns(2)
    left.download_button(
        "JSON", estimate_json(r, view.lang), "estimate.json", "application/json", on_click="ignore"
    )
    right.download_button(
        "CSV", estimate_csv(r, view.lang), "estimate.csv", "text/csv", on_click="ignore"
    )


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_why"), anchor=False)
    r = estimated(view)
    st.markdown("  \n".join(map(plain, verdict(r, view.lang))))
    known = known_recommendation(view.asked.scenario, view.asked.replayed)
    if known is not None and known.plan is not None and known.plan.deployments:
        st.caption(view.say("why_plan"))
        looks(known.plan, view)
    tiles = st.columns(4)
    price = r.asked.rented or r.asked.owned
    for column, label, estimate, unit in zip(
        tiles,
        ("row_ttft", "row_tpot", "row_output", "ui_usd_per_mtok_output"),
        (
            r.asked.ttft_s,
            r.asked.tpot_s,
            r.asked.output_tok_per_s,
            price.usd_per_mtok_output if price else None,
        ),
        ("s", "s", "", "$"),
        strict=True,
    ):
        with column:
            metric(label, estimate, view, unit)
    for warning in r.warnings:
        st.warning(view.say(warning))
    st.caption(
        view.say("label_assumed")
        + view.say("colon")
        + view.say("list_joint").join(map(view.say, r.defaults))
    )
    chart(roofline(workings(r), view.style), view, "roofline", "title_roofline")
    chart(memory_bar(r, view.style), view, "memory", "title_memory")
    chart(operators(r, view.style), view, "operators", "title_operators")
    st.subheader(view.say("title_formulas"), anchor=False)
    with st.expander(view.say("ui_show_formulas")):
        st.code(explain_text(r, view.lang), language=None, wrap_lines=True)
    _files(view)


if __name__ == "__main__":
    show(current())
