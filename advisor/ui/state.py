"""The session: seeded once from the link, then held by the widgets; the link follows."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from advisor.schema.text import Text
from advisor.ui.asked import Asked, as_query, asked_of, defaults, from_link
from advisor.ui.fields import BY_KEY, FIELDS, LANGUAGES, REQUIRED
from advisor.ui.question import OWN, Value, read_own

_SEEDED, _NOTICES, _OWN, _HELD, _GO = "_seeded", "_notices", "_own", "_held", "_go"
UPLOAD_ERROR = "_upload_error"


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
    asked, wrong = from_link(given)
    st.session_state[_OWN] = asked.own
    change(**asked.by_key)
    notices = list(wrong)
    if given.get("data", data) != data:
        notices.append(Text.of("ui_data_changed", old=given["data"][:12], new=data))
    if given.get("mine"):
        notices.append(Text.of("ui_mine_absent"))
    st.session_state[_NOTICES] = tuple(notices)


def go_to(page: str) -> None:
    """Leave for another page after this callback."""
    st.session_state[_GO] = page


def going() -> str | None:
    """Return the page a callback asked for, once."""
    page: str | None = st.session_state.pop(_GO, None)
    return page


def notices() -> tuple[Text, ...]:
    """Return what the viewer should know about the link they came by."""
    found: tuple[Text, ...] = st.session_state.get(_NOTICES, ())
    return found


def change(**values: Value) -> None:
    """Set some widgets; only before they are drawn, or in a callback."""
    for key, value in values.items():
        shown: object = list(value) if isinstance(value, tuple) else value
        if BY_KEY[key].kind == "number" and isinstance(value, int):
            shown = float(value)
        st.session_state[key] = shown


def take_base() -> None:
    """Fill the widgets from the base just chosen; callback."""
    base = st.session_state["base"]
    if base == OWN and not st.session_state[_OWN]:
        st.session_state["base"] = st.session_state[_HELD]
        return
    kept = {f.key: st.session_state[f.key] for f in FIELDS if f.group == "look"}
    change(**{**defaults(base, st.session_state[_OWN]), **kept})


def take_upload() -> None:
    """Make the uploaded scenario the base, or keep what is wrong with it; callback."""
    upload = st.session_state["scenario_file"]
    st.session_state[UPLOAD_ERROR] = None
    if upload is None:
        return
    try:
        text = upload.getvalue().decode("utf-8", "replace")
        read_own(text, upload.name)
    except AdvisorError as error:
        st.session_state[UPLOAD_ERROR] = error
        return
    take_own(text)


def take_text(key: str) -> None:
    """Make the scenario typed into a text area the base, or keep what is wrong; callback."""
    st.session_state[UPLOAD_ERROR] = None
    text = str(st.session_state[key])
    try:
        read_own(text, "scenario.toml")
    except AdvisorError as error:
        st.session_state[UPLOAD_ERROR] = error
        return
    take_own(text)


def take_own(text: str) -> None:
    """Make a scenario's text the base; callback."""
    st.session_state[_OWN] = text
    st.session_state["base"] = OWN
    take_base()


def held() -> Asked:
    """Return what the widgets hold; a required one that was emptied takes the base's value."""
    state = st.session_state
    own = str(state[_OWN])
    base = str(state["base"] or state[_HELD])
    values: dict[str, Value] = {}
    for field in FIELDS:
        value = state[field.key]
        if field.kind == "many":
            values[field.key] = tuple(map(str, value)) if isinstance(value, list | tuple) else ()
        else:
            values[field.key] = value
    if any(values[key] is None for key in REQUIRED):
        stated = defaults(base, own)
        values |= {key: stated[key] for key in REQUIRED if values[key] is None}
    st.session_state[_HELD] = base
    return asked_of(values, own)


def follow(asked: Asked, lang: str, data: str, mine: bool) -> None:
    """Keep the address bar's link complete: every field, also those at their defaults."""
    wanted = as_query(asked, lang, data, mine)
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
