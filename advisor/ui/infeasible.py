"""When nothing fits: which limits clash, and buttons that relax one just enough."""

from __future__ import annotations

import streamlit as st

from advisor.optimizer.relax import relaxed_scenario
from advisor.optimizer.result import Recommendation, WayOut
from advisor.report.recommend_text import way_words
from advisor.report.recommend_verdict import verdict_sentence
from advisor.ui import state
from advisor.ui.question import as_toml
from advisor.ui.view import View, plain


def _apply(view: View, way: WayOut) -> None:
    """Ask the relaxed scenario from now on; callback."""
    if way.value is not None:
        state.take_own(as_toml(relaxed_scenario(view.asked.scenario, way.name, way.value)))


def ways_out(r: Recommendation, view: View) -> None:
    """Draw the clash, a button for every relaxation, and what was left out and why."""
    st.error(f"**{view.say('error_infeasible')}** {plain(verdict_sentence(r, view.lang))}")
    ways = r.infeasible.ways_out if r.infeasible else ()
    if ways:
        st.markdown(view.say("ui_relax"))
    for index, way in enumerate(ways):
        text = plain(way_words(way, r, view.lang))
        if way.value is None:
            st.markdown(f"- {text}")
        else:
            st.button(text, key=f"way_{index}", on_click=_apply, args=(view, way))
    reasons = [view.say(text) for text in r.excluded.values()]
    if reasons:
        with st.expander(view.say("brief_excluded")):
            st.markdown("\n".join(f"- {reason}" for reason in reasons))
