"""Facts with source, age and evidence, and how wrong predictions are."""

from __future__ import annotations

from functools import cache

import streamlit as st

from advisor.calibration.points import validation_points
from advisor.catalogue import devices, engines, models, quality
from advisor.charts.validation import Pair, validation
from advisor.report import catalogue
from advisor.report.catalogue import FREE_TEXT, Table, in_words
from advisor.report.locale import say
from advisor.schema.text import Text
from advisor.ui import mine
from advisor.ui.show import chart, csv_button, html_table
from advisor.ui.view import View, current

_KINDS = {
    "hardware": "data_hardware",
    "models": "data_models",
    "prices": "data_prices",
    "quality": "data_quality",
    "engines": "data_engines",
    "formats": "data_formats",
}
_IDS = {
    "hardware": devices.device_ids,
    "models": models.model_ids,
    "quality": quality.score_ids,
    "prices": devices.device_ids,
    "engines": engines.engine_ids,
}


@cache
def _listing(kind: str) -> Table:
    return catalogue.listing(kind)


_METRICS = {
    "tpot_ms": "metric_tpot_ms",
    "decode_tok_s": "metric_decode_tok_s",
    "prefill_tok_s": "metric_prefill_tok_s",
}
# Labels of groups whose measurements the constants were fitted to.
SEEN = ("exact", "measured", "calibrated")


def _draw(found: Table, key: str, view: View) -> None:
    """Draw a long table; text stays text."""
    told = in_words(found, view.lang)
    columns = {head: [row[i] for row in told.rows] for i, head in enumerate(told.columns)}
    alt = view.style.say("alt_data_table")
    st.dataframe(
        columns, hide_index=True, key=key, alt=alt, height=min(420, 40 + 35 * len(found.rows))
    )
    csv_button(told.columns, told.rows, key, view)


def _entry(found: Table, key: str, view: View) -> None:
    """Draw all facts of one entry; what stays in its source's language is marked as such."""
    told = in_words(found, view.lang)
    foreign = {i for i, column in enumerate(found.columns) if column in FREE_TEXT}
    html_table(told.columns, told.rows, view.style.say("alt_data_table"), foreign)
    st.caption(view.say("data_original"))
    csv_button(told.columns, told.rows, key, view)


def _wrong(view: View) -> None:
    """Draw how wrong the shipped constants are, group by group."""
    st.subheader(view.say("title_validation"), anchor=False)
    file = validation_points()
    metrics = sorted({p.metric for p in file.point})
    metric = st.segmented_control(
        view.say("data_metric"),
        metrics,
        default="decode_tok_s",
        required=True,
        format_func=lambda m: say(_METRICS[m], view.lang),
    )
    pairs = [
        Pair(p.group, p.measured, p.predicted, p.evidence, p.evidence not in SEEN)
        for p in file.point
        if p.metric == metric
    ]
    chart(
        validation(pairs, view.style.say(_METRICS[metric or metrics[0]]), view.style),
        view,
        "validation",
    )
    st.caption(view.say(Text.of("data_made", date=str(file.made))))


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_data"), anchor=False)
    st.markdown(view.say("data_head"))
    _facts(view)
    _wrong(view)
    st.subheader(view.say("title_mine"), anchor=False)
    st.markdown(view.say("mine_head"))
    mine.uploads(view)


def _facts(view: View) -> None:
    """Draw the catalogue: a list, and one entry fact by fact."""
    kind = st.segmented_control(
        view.say("data_kind"),
        list(_KINDS),
        default="hardware",
        required=True,
        format_func=lambda k: view.say(_KINDS[k]),
    )
    found = _listing(kind)
    st.caption(view.say(Text.of("data_rows", count=len(found.rows))))
    _draw(found, f"list_{kind}", view)
    if kind in _IDS:
        st.subheader(view.say("data_entry"), anchor=False)
        name = st.selectbox(
            view.say("data_entry_name"),
            _IDS[kind](),
            index=None,
            key=f"entry_{kind}",
            placeholder=view.say("ui_choose"),
        )
        if name:
            _entry(catalogue.entry(kind, name), f"entry_table_{kind}", view)


if __name__ == "__main__":
    show(current())
