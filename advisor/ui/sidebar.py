"""The sidebar: language, the scenario's fields, and how to carry the scenario away."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from advisor.report.locale import say
from advisor.ui import state
from advisor.ui.fields import FIELDS, LANGUAGES, Field, Group
from advisor.ui.scenario import (
    MAX_SCENARIO_BYTES,
    Scenario,
    as_toml,
    command,
    from_toml,
    link,
)
from advisor.ui.view import View, plain

_NAMES = {"en": "English", "zh": "中文"}


def language() -> str:
    """Draw the language switch and return the choice."""
    chosen = st.sidebar.segmented_control(
        "Language / 语言",
        LANGUAGES,
        key="lang",
        format_func=_NAMES.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    return chosen or LANGUAGES[0]


def _number(field: Field, lang: str) -> None:
    whole = field.kind == "whole"
    kind = int if whole else float
    st.number_input(
        say(field.label, lang),
        min_value=kind(field.low),
        max_value=kind(field.high),
        step=kind(field.step),
        format=None if whole else "%g",
        key=field.key,
        help=plain(say(field.help, lang)) if field.help else None,
        placeholder=say("ui_open", lang),
        required=field.default is not None,
    )


def _choice(field: Field, lang: str) -> None:
    assert field.choices is not None
    st.selectbox(
        say(field.label, lang),
        field.choices(),
        index=None,
        key=field.key,
        help=plain(say(field.help, lang)) if field.help else None,
        placeholder=say("ui_open", lang),
        required=field.default is not None,
    )


def _group(group: Group, lang: str) -> None:
    for field in FIELDS:
        if field.group == group:
            (_choice if field.kind == "choice" else _number)(field, lang)


def fields(lang: str) -> Scenario:
    """Draw every field and return what they hold."""
    with st.sidebar:
        _group("look", lang)
        _group("load", lang)
        _group("limits", lang)
        with st.expander(say("ui_assumptions", lang)):
            _group("assume", lang)
    return state.held()


def _take_upload() -> None:
    """Read the uploaded scenario into the widgets; say what is wrong with one that isn't."""
    upload = st.session_state["scenario_file"]
    if upload is None:
        return
    st.session_state["_upload_error"] = None
    try:
        state.put(from_toml(upload.getvalue().decode("utf-8", "replace"), upload.name))
    except AdvisorError as error:
        st.session_state["_upload_error"] = error.message


def carry(view: View) -> None:
    """Draw what a viewer takes along: link, scenario file, command; and the way back in."""
    lang = view.lang
    with st.sidebar.expander(say("ui_carry", lang)):
        st.caption(say("ui_link", lang))
        base = (st.context.url or "").split("?")[0]
        st.code(link(base, view.scenario, lang, view.data), language=None, wrap_lines=True)
        st.caption(say("ui_command", lang))
        st.code(command(view.scenario, lang), language="bash", wrap_lines=True)
        st.download_button(
            say("ui_save_scenario", lang),
            as_toml(view.scenario, view.data),
            file_name="scenario.toml",
            mime="application/toml",
            on_click="ignore",
        )
        st.file_uploader(
            say("ui_load_scenario", lang),
            type="toml",
            key="scenario_file",
            max_upload_size=max(MAX_SCENARIO_BYTES // 1_000_000, 1),
            on_change=_take_upload,
        )
        wrong = st.session_state.get("_upload_error")
        if wrong:
            st.error(plain(wrong))
