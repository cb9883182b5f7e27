"""Drawing results: charts with their table, tables, numbers with range and label."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Collection, Sequence

import streamlit as st

from advisor.charts.chart import Chart
from advisor.perf.intervals import Estimate
from advisor.report.estimate_json import guard
from advisor.report.numbers import amount, seconds, significant
from advisor.schema.text import Text
from advisor.ui.view import View, plain

_CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}
Cell = str | float


def signed(value: float, lang: str = "en") -> str:
    """Return a number of either sign with three significant digits; whole ones as they are."""
    if value == round(value) and abs(value) < 1e5:
        return f"{value:,.0f}"
    return f"-{significant(-value, lang=lang)}" if value < 0 else significant(value, lang=lang)


def _cell(value: Cell, lang: str) -> str:
    return plain(value) if isinstance(value, str) else signed(float(value), lang)


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table as CSV; text cells that a spreadsheet would run are disarmed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([guard(c) for c in columns])
    writer.writerows([guard(c) for c in row] for row in rows)
    return out.getvalue()


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], alt: str, lang: str) -> None:
    """Draw a small table as HTML, which screen readers can walk."""
    heads = [plain(c) for c in columns]
    shown = [dict(zip(heads, (_cell(c, lang) for c in row), strict=True)) for row in rows]
    st.table(shown, hide_index=True, alt=alt)


def csv_button(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], key: str, view: View
) -> None:
    """Draw the button that hands a table out as a file."""
    st.download_button(
        view.say("ui_csv"),
        as_csv(columns, rows),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"{key}_csv",
        on_click="ignore",
    )


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], alt: str, foreign: Collection[int]
) -> None:
    """Draw a table of texts; the columns ``foreign`` are marked as English for screen readers."""

    def cells(row: Sequence[str]) -> str:
        mark = [' lang="en"' if i in foreign else "" for i in range(len(row))]
        told = (f"<td{m}>{html.escape(c)}</td>" for m, c in zip(mark, row, strict=True))
        return f"<tr>{''.join(told)}</tr>"

    head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in columns)
    st.html(
        f'<div class="facts" tabindex="0" role="region" aria-label="{html.escape(alt)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(cells, rows))}</tbody></table></div>"
    )


def chart(found: Chart, view: View, key: str, title: str = "") -> None:
    """Draw a chart, its finding below it, and its numbers as a table and a file."""
    if title:
        st.subheader(view.say(title), anchor=False)
    st.plotly_chart(found.figure, key=key, alt=found.alt, config=_CONFIG)
    st.caption(plain(found.alt))
    with st.expander(view.say("ui_as_table")):
        table(found.columns, found.rows, found.alt, view.lang)
        csv_button(found.columns, found.rows, key, view)


def tile(name: Text | str, value: str, below: str, e: Estimate | None, view: View) -> None:
    """Draw one number in a frame; what it rests on is the help."""
    st.metric(
        view.say(name),
        value,
        delta=plain(below),
        delta_color="off",
        delta_arrow="off",
        help=view.say(e.because) if e else None,
        border=True,
        height="stretch",
    )


def _range(e: Estimate, scale: float, view: View) -> str:
    label = view.say(f"name_{e.evidence}")
    if e.low80 == e.high80:
        return label
    return f"{significant(e.low80 * scale)} – {significant(e.high80 * scale)} · {label}"


def metric(label: str, e: Estimate | None, view: View, unit: str = "") -> None:
    """Draw one number with unit, 80 % range and evidence; what decided it is the help."""
    if e is None:
        st.metric(view.say(label), "–", border=True)
        return
    value, shown, scale = e.value, unit, 1.0
    if unit == "s":
        value, shown = seconds(e.value)
        scale = value / e.value if e.value else 1.0
    prefix, suffix = ("$", "") if shown == "$" else ("", f" {shown}" if shown else "")
    written = amount(value) if shown == "$" else significant(value)
    st.metric(
        view.say(label),
        f"{prefix}{written}{suffix}",
        delta=_range(e, scale, view),
        delta_color="off",
        delta_arrow="off",
        help=view.say(e.because),
        border=True,
        height="stretch",
    )
