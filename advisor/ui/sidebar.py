"""The sidebar: language, the fields, and how to carry the question away."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Literal

import streamlit as st

from advisor.catalogue import devices, models
from advisor.report.error_text import error_text
from advisor.report.locale import say, words
from advisor.ui import state
from advisor.ui.asked import Asked, estimate_command, link, recommend_command
from advisor.ui.fields import FIELDS, LANGUAGES, REQUIRED, Field, Group
from advisor.ui.question import OWN, as_toml, examples, pack
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


@cache
def _thing(key: str, name: str) -> str:
    """Return what a device or model is called."""
    if key in ("hw", "rent", "owned_hw"):
        return devices.read_device(name).name
    return models.read_model(name).name if key == "model" and name in models.model_ids() else name


def _shown(field: Field, lang: str) -> Callable[[str], str]:
    def name(choice: str) -> str:
        if field.key == "base":
            if choice == OWN:
                return say("ui_own", lang)
            example = examples()[choice]
            return example.title_zh if lang == "zh" else example.title
        if field.key == "site":
            return words(lang).get(f"site_{choice}", choice)
        return words(lang).get(f"choice_{choice}") or _thing(field.key, choice)

    return name


def _number(field: Field, lang: str) -> None:
    whole = field.kind == "whole"
    start: Literal["min"] | None = "min" if field.key in REQUIRED else None
    help_text = plain(say(field.help, lang)) if field.help else None
    unset = say("ui_open" if field.group == "look" else "ui_no_limit", lang)
    name, key = say(field.label, lang), field.key
    low, high, step = float(field.low), float(field.high), float(field.step)
    if whole:
        st.number_input(
            name, int(low), int(high), start, int(step), "%d", key, help_text, placeholder=unset
        )
    else:
        st.number_input(name, low, high, start, step, "%g", key, help_text, placeholder=unset)


def _choice(field: Field, lang: str) -> None:
    assert field.choices is not None
    help_text = plain(say(field.help, lang)) if field.help else None
    if field.kind == "many":
        st.multiselect(
            say(field.label, lang),
            field.choices(),
            key=field.key,
            format_func=_shown(field, lang),
            help=help_text,
            placeholder=say("ui_any", lang),
        )
        return
    st.selectbox(
        say(field.label, lang),
        field.choices(),
        index=0 if field.key in REQUIRED else None,
        key=field.key,
        format_func=_shown(field, lang),
        help=help_text,
        placeholder=say("ui_open" if field.group == "look" else "ui_none", lang),
        on_change=state.take_base if field.key == "base" else None,
    )


def _group(group: Group, lang: str) -> None:
    for field in FIELDS:
        if field.group == group:
            (_number if field.kind in ("whole", "number") else _choice)(field, lang)


def fields(lang: str) -> Asked:
    """Draw every field and return what they hold."""
    with st.sidebar:
        _group("ask", lang)
        with st.expander(say("ui_assumptions", lang)):
            _group("more", lang)
        with st.expander(say("ui_look", lang)):
            _group("look", lang)
    return state.held()


def address_of(view: View) -> str:
    """Return the link to this page and question, every field in it."""
    address = (st.context.url or "").split("?")[0]
    return link(address, view.asked, view.lang, view.data, view.overlay is not None)


def _ways_out(view: View) -> None:
    lang, asked = view.lang, view.asked
    st.caption(say("ui_link", lang))
    st.code(address_of(view), language=None, wrap_lines=True)
    if asked.by_key["base"] == OWN and not pack(asked.own):
        st.warning(say("ui_link_too_long", lang))
    st.download_button(
        say("ui_save_scenario", lang),
        as_toml(asked.scenario),
        file_name="scenario.toml",
        mime="application/toml",
        on_click="ignore",
    )
    st.caption(say("ui_command", lang))
    commands = f"{recommend_command(asked, lang)}\n{estimate_command(asked, lang)}"
    st.code(commands, language="bash", wrap_lines=True)


def _every_field(view: View) -> None:
    """Draw the scenario as text: what has no field of its own is set there."""
    text = as_toml(view.asked.scenario)
    # A key of its own for each scenario: fields changed elsewhere show in the text.
    key = f"scenario_text_{zlib.crc32(text.encode()):x}"
    st.caption(view.say("ui_every_field_help"))
    st.text_area(
        view.say("ui_every_field"), text, height=320, key=key, label_visibility="collapsed"
    )
    st.button(view.say("ui_apply"), key="apply_text", on_click=state.take_text, args=(key,))


def carry(view: View) -> None:
    """Draw what a viewer takes along: link, scenario file, command; and the way back in."""
    with st.sidebar.expander(say("ui_every_field", view.lang)):
        _every_field(view)
    with st.sidebar.expander(say("ui_carry", view.lang)):
        _ways_out(view)
        st.file_uploader(
            say("ui_load_scenario", view.lang),
            type="toml",
            key="scenario_file",
            max_upload_size=1,
            on_change=state.take_upload,
        )
    wrong = st.session_state.get(state.UPLOAD_ERROR)
    if wrong:
        st.sidebar.error(plain(error_text(wrong, view.lang)))
