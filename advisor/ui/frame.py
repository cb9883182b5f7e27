"""The frame round every page: navigation, sidebar, notices, errors."""

from __future__ import annotations

import platform
import traceback
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

import advisor
from advisor.catalogue.data_version import catalogue_version
from advisor.errors import AdvisorError
from advisor.report.locale import say
from advisor.ui import mine, sidebar, state
from advisor.ui.errors import show_error
from advisor.ui.view import View, keep

PAGES = Path(__file__).with_name("screens")
ICON = Path(__file__).with_name("icon.svg")
_TITLES = {
    "answer": "page_answer",
    "compare": "page_compare",
    "why": "page_why",
    "replay": "page_replay",
    "sensitivity": "page_sensitivity",
    "claims": "page_claims",
    "data": "page_data",
}
"""File of ``screens`` → key of its title; the first is where a bare address leads."""

_LANGUAGE_TAG = {
    "en": "<script>document.documentElement.lang = 'en'</script>",
    "zh": "<script>document.documentElement.lang = 'zh-CN'</script>",
}
_LOOKS = Path(__file__).with_name("looks")
"""Style sheets: contrast and less empty space; in Chinese, Streamlit's own words translated."""


def _navigation(lang: str) -> StreamlitPage:
    pages = [
        st.Page(PAGES / f"{name}.py", title=say(title, lang), url_path=name, default=index == 0)
        for index, (name, title) in enumerate(_TITLES.items())
    ]
    return st.navigation(pages, position="top")


def _bug(error: Exception, lang: str) -> None:
    """Say that it is ours, and give the reader a report to send."""
    st.error(say("ui_bug", lang))
    lines = traceback.format_exception(error)
    report = f"advisor {advisor.__version__} · Python {platform.python_version()}\n" + "".join(
        lines
    )
    with st.expander(say("ui_bug_report", lang)):
        st.code(report, language=None)


def main() -> None:
    """Draw one run of the dashboard."""
    data = catalogue_version()
    state.seed(data)
    lang: str = st.session_state["lang"]
    st.set_page_config(page_title=say("ui_title", lang), page_icon=str(ICON), layout="wide")
    st.html(_LANGUAGE_TAG[lang], unsafe_allow_javascript=True)
    st.html(_LOOKS / "all.css")
    if lang == "zh":
        st.html(_LOOKS / "zh.css")
    sidebar.language()
    page = _navigation(lang)
    go_to = state.going()
    if go_to:
        st.switch_page(PAGES / f"{go_to}.py")
    view = View(lang, sidebar.fields(lang), data, mine.overlay_folder())
    keep(view)
    try:
        state.follow(view.asked, lang, data, view.overlay is not None)
        sidebar.carry(view)
        for notice in state.notices():
            st.info(view.say(notice))
        page.run()
    except AdvisorError as error:
        show_error(error, view)
    except Exception as error:
        _bug(error, lang)
