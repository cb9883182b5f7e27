"""What to run: one sentence, four numbers, what lost and why, what to carry away."""

from __future__ import annotations

import streamlit as st

from advisor.optimizer.result import Recommendation
from advisor.report.brief import brief_html, brief_markdown
from advisor.report.recommend import recommend_csv, recommend_json, verdict_text
from advisor.schema.text import Text
from advisor.ui import plans
from advisor.ui.infeasible import ways_out
from advisor.ui.view import View, current, plain
from advisor.ui.work import recommended


def _files(r: Recommendation, view: View) -> None:
    st.subheader(view.say("title_files"), anchor=False)
    lang = view.lang
    files = (
        ("ui_brief_html", "brief.html", "text/html", brief_html),
        ("ui_brief_markdown", "brief.md", "text/markdown", brief_markdown),
        ("ui_json", "answer.json", "application/json", recommend_json),
        ("ui_csv", "answer.csv", "text/csv", recommend_csv),
    )
    for column, (label, name, mime, write) in zip(st.columns(4), files, strict=True):
        column.download_button(
            view.say(label), write(r, lang), file_name=name, mime=mime, on_click="ignore", key=name
        )


def _notes(r: Recommendation, view: View) -> None:
    for warning in r.warnings:
        st.warning(view.say(warning))
    assumed = view.say("list_joint").join(map(view.say, r.assumptions))
    st.caption(view.say("label_assumed") + view.say("colon") + assumed)
    searched = r.searched
    text = Text.of(
        "ui_searched",
        models=searched.models,
        devices=searched.devices,
        evaluated=f"{searched.evaluated:,}",
        oldest=str(r.oldest_price or "–"),
    )
    st.caption(view.say(text))


def show(view: View) -> None:
    """Draw the page."""
    with st.spinner(view.say("ui_working")):
        r = recommended(view.asked.scenario)
    st.title(plain(r.title_zh if view.lang == "zh" else r.title), anchor=False)
    if r.plan is None:
        ways_out(r, view)
        plans.alternatives(r, view)
        return
    st.markdown(f"#### {plain(verdict_text(r, view.lang))}")
    plans.headline(r, r.plan, view)
    plans.alternatives(r, view)
    plans.flows(r.plan, view)
    plans.deployments(r.plan, view)
    plans.binding(r, view)
    _notes(r, view)
    _files(r, view)


if __name__ == "__main__":
    show(current())
