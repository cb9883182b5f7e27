"""What to run: one sentence, four numbers, what lost and why, what to carry away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from advisor.optimizer.result import Recommendation
from advisor.report.figures import figures_html
from advisor.report.recommend_brief import brief_html, brief_markdown
from advisor.report.recommend_json import recommend_csv, recommend_json
from advisor.report.recommend_text import replay_words
from advisor.report.recommend_verdict import verdict_sentence
from advisor.schema.text import Text
from advisor.ui import beside, plans, state
from advisor.ui.asked import recommend_command
from advisor.ui.infeasible import ways_out
from advisor.ui.sidebar import address_of
from advisor.ui.view import View, current, plain
from advisor.ui.work import recommended


def _files(r: Recommendation, view: View) -> None:
    st.subheader(view.say("title_files"), anchor=False)
    st.caption(view.say("ui_link"))
    st.code(address_of(view), language=None, wrap_lines=True)
    lang, command = view.lang, recommend_command(view.asked, view.lang)
    markdown = partial(brief_markdown, r, lang, command)
    files: tuple[tuple[str, str, str, Callable[[], str]], ...] = (
        ("ui_brief_html", "brief.html", "text/html", partial(_brief, r, lang, command)),
        ("ui_brief_markdown", "brief.md", "text/markdown", markdown),
        ("ui_json", "answer.json", "application/json", partial(recommend_json, r, lang)),
        ("ui_csv", "answer.csv", "text/csv", partial(recommend_csv, r, lang)),
    )
    for column, (label, name, mime, write) in zip(st.columns(4), files, strict=True):
        column.download_button(
            view.say(label), write, file_name=name, mime=mime, on_click="ignore", key=name
        )


def _brief(r: Recommendation, lang: str, command: str) -> str:
    return brief_html(r, lang, command, figures_html(r, lang))


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
        evaluated=view.style.count(searched.evaluated),
        oldest=str(r.oldest_price or "–"),
    )
    st.caption(view.say(text))


def _checked(r: Recommendation, view: View) -> None:
    """Say whether the plan was replayed; if not, offer it."""
    if r.replays:
        told = [plain(replay_words(one, r, view.lang)) for one in r.replays[:1]]
        st.markdown("  \n".join(told))
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption(view.say("ui_not_replayed"))
    row.button(view.say("ui_check"), key="check", on_click=_check)


def _check() -> None:
    """Ask for the plan checked by replay; callback."""
    state.change(replayed="yes")


def show(view: View) -> None:
    """Draw the page."""
    scenario = view.asked.scenario
    title = scenario.title_zh if view.lang == "zh" else scenario.title
    st.title(plain(title or scenario.title), anchor=False)
    with st.spinner(view.say("ui_working")):
        r = recommended(scenario, view.asked.replayed)
    if r.plan is None:
        ways_out(r, view)
        plans.alternatives(r, view)
        return
    st.markdown(f"#### {plain(verdict_sentence(r, view.lang))}")
    plans.headline(r, r.plan, view)
    _checked(r, view)
    plans.alternatives(r, view)
    plans.flows(r.plan, view)
    plans.deployments(r.plan, view)
    beside.users(r.plan, r, view)
    beside.tuned(r, view)
    plans.binding(r, view)
    plans.doubts(r, view)
    _notes(r, view)
    _files(r, view)


if __name__ == "__main__":
    show(current())
