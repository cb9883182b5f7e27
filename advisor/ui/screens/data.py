"""Facts with source, age and evidence, and how wrong predictions are."""

from __future__ import annotations

from functools import cache

import streamlit as st

from advisor.calibration.points import validation_points
from advisor.catalogue import devices, engines, models, quality
from advisor.charts.validation import Pair, validation
from advisor.report import catalogue
from advisor.report.catalogue import Table
from advisor.report.locale import say
from advisor.schema.text import Text
from advisor.ui import mine
from advisor.ui.show import as_csv, chart
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
# Column of the catalogue's tables → key of its heading. (A text standing alone in a page would
# be drawn.)
_HEADS = {
    "id": "col_id",
    "params 1e9": "col_params",
    "active 1e9": "col_active",
    "context": "col_context",
    "licence": "col_licence",
    "release": "col_release",
    "reference of": "col_reference",
    "class": "col_class",
    "TDP W": "col_tdp",
    "price": "col_price",
    "terms": "col_terms",
    "seller": "col_seller",
    "region": "col_region",
    "date": "col_date",
    "source": "col_source",
    "name": "col_name",
    "scores": "col_scores",
    "benchmark": "col_benchmark",
    "score": "col_score",
    "setting": "col_setting",
    "variant": "col_variant",
    "version": "col_version",
    "runs on": "col_runs_on",
    "default for": "col_default_for",
    "bits": "col_bits",
    "head bits": "col_head_bits",
    "computes in": "col_computes_in",
    "fact (SI units)": "col_fact",
    "value": "col_value",
    "grade": "col_grade",
    "source [accessed]": "col_source_accessed",
    "note": "col_note",
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
    heads = [view.style.say(_HEADS[c]) if c in _HEADS else c for c in found.columns]
    columns = {head: [row[i] for row in found.rows] for i, head in enumerate(heads)}
    alt = view.style.say("alt_data_table")
    st.dataframe(
        columns, hide_index=True, key=key, alt=alt, height=min(420, 40 + 35 * len(found.rows))
    )
    st.download_button(
        view.say("ui_csv"),
        as_csv(heads, found.rows),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"{key}_csv",
        on_click="ignore",
    )


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
            _draw(catalogue.entry(kind, name), f"entry_table_{kind}", view)


if __name__ == "__main__":
    show(current())
