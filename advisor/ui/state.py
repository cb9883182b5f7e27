"""The session: seeded once from the link, then held by the widgets; the link follows."""

from __future__ import annotations

import streamlit as st

from advisor.schema.text import Text
from advisor.ui.fields import FIELDS, LANGUAGES, Value
from advisor.ui.scenario import Scenario, as_texts, read_values, scenario_of

_SEEDED, _NOTICES = "_seeded", "_notices"


def _default_language() -> str:
    locale = st.context.locale or ""
    return "zh" if locale.lower().startswith("zh") else "en"


def seed(data: str) -> None:
    """Fill the widgets from the link, once a session; note what the link had wrong."""
    if _SEEDED in st.session_state:
        return
    st.session_state[_SEEDED] = True
    given = st.query_params.to_dict()
    lang = given.get("lang", "")
    st.session_state["lang"] = lang if lang in LANGUAGES else _default_language()
    values, wrong = read_values(given)
    put(scenario_of(values))
    notices = list(wrong)
    if given.get("data", data) != data:
        notices.append(Text.of("ui_data_changed", old=given["data"][:12], new=data))
    st.session_state[_NOTICES] = tuple(notices)


def notices() -> tuple[Text, ...]:
    """Return what the viewer should know about the link they came by."""
    found: tuple[Text, ...] = st.session_state.get(_NOTICES, ())
    return found


def put(scenario: Scenario) -> None:
    """Set every widget to the scenario's values; only before they are drawn or in a callback."""
    for key, value in scenario.values:
        st.session_state[key] = value


def change(**values: Value) -> None:
    """Set some widgets; for callbacks of buttons."""
    for key, value in values.items():
        st.session_state[key] = value


def held() -> Scenario:
    """Return the scenario the widgets hold."""
    return scenario_of({f.key: st.session_state[f.key] for f in FIELDS})


def follow(scenario: Scenario, lang: str, data: str) -> None:
    """Keep the address bar's link complete: every field, also those at their defaults."""
    wanted = {"lang": lang, **as_texts(scenario), "data": data}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
