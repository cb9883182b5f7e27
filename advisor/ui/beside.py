"""What the month's bill doesn't show: what users' devices bear, what fine-tuning buys."""

from __future__ import annotations

import streamlit as st

from advisor.optimizer.result import Plan, Recommendation
from advisor.report.recommend_brief import gains_section, tuned_section, users_section
from advisor.ui.show import html_table, table
from advisor.ui.view import View, plain


def users(plan: Plan, r: Recommendation, view: View) -> None:
    """Draw battery, app, support and electricity of what runs on users' devices."""
    section = users_section(plan, r, view.lang)
    if section.rows:
        st.subheader(plain(section.title), anchor=False)
        table(section.head, section.rows, section.title, view.lang)


def tuned(r: Recommendation, view: View) -> None:
    """Draw what fine-tuning costs beside the scores it buys, and what dearer ways would."""
    gains, section = gains_section(r, view.lang), tuned_section(r, view.lang)
    if gains.rows:
        st.subheader(plain(gains.title), anchor=False)
        sources = {len(gains.head) - 1}
        html_table(gains.head, gains.rows, gains.title, sources)
    if section.rows:
        with st.expander(view.say("ui_dearer_tuning")):
            table(section.head, section.rows, section.title, view.lang)
