"""What went wrong, what would be valid, and buttons that set it."""

from __future__ import annotations

import re

import streamlit as st

from advisor.errors import AdvisorError
from advisor.report.error_text import error_text
from advisor.ui import state
from advisor.ui.fields import FIELDS, read_value
from advisor.ui.question import Value
from advisor.ui.view import View, plain

_OPTION = re.compile(r"(--[a-z-]+) (\S+)")


def changes_of(suggestion: str) -> dict[str, Value]:
    """Return the fields a suggestion of the command sets; empty if it isn't one.

    >>> changes_of("--slo-ttft-ms 120 --slo-tpot-ms 30")
    {'slo_ttft_ms': 120.0, 'slo_tpot_ms': 30.0}
    """
    found: dict[str, Value] = {}
    options = {f.option: f for f in FIELDS if f.option}
    for option, text in _OPTION.findall(suggestion):
        field = options.get(option)
        if field is None:
            return {}
        try:
            found[field.key] = read_value(field, text)
        except ValueError:
            return {}
    return found


def show_error(error: AdvisorError, view: View) -> None:
    """Show cause and way out; a suggestion that sets fields becomes a button."""
    problem = error.code
    st.error(f"**{view.say(f'error_{problem}')}** {plain(error_text(error, view.lang))}")
    ways = [(text, changes_of(text)) for text in error.suggestions]
    buttons = [(text, fields) for text, fields in ways if fields]
    if buttons:
        st.write(view.say("ui_relax"))
    for index, (text, fields) in enumerate(buttons):
        st.button(plain(text), key=f"relax_{index}", on_click=state.change, kwargs=fields)
    others = [text for text, fields in ways if not fields]
    if others:
        st.write(view.say("ui_valid") + plain(", ".join(others)))
