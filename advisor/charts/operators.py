"""Where the time of a step goes, operator by operator."""

from __future__ import annotations

from advisor.charts.chart import BLUE, RED, Chart, Style, new_figure
from advisor.estimator.result import EstimateResult
from advisor.schema.text import Text

MILLI = 1e-3
MOST = 12


def operators(r: EstimateResult, style: Style) -> Chart:
    """Draw the seconds of a decode step and of one prompt by operator, longest first."""
    import plotly.graph_objects as go

    steps = (("name_decode", r.decode.parts_s, BLUE), ("name_prefill", r.prefill.parts_s, RED))
    names = sorted(
        {n for _, parts, _ in steps for n in parts},
        key=lambda n: -max(p.get(n, 0.0) / sum(p.values()) for _, p, _ in steps),
    )
    shown = names[:MOST]
    figure = new_figure(
        style.say("axis_share_of_step"), "", height=120 + 34 * len(shown), barmode="group"
    )
    figure.update_yaxes(autorange="reversed")
    for key, parts, colour in steps:
        total = sum(parts.values())
        figure.add_trace(
            go.Bar(
                x=[parts.get(n, 0.0) / total * 100 for n in shown],
                y=shown,
                orientation="h",
                name=style.say(key),
                marker={"color": colour},
            )
        )
    top = max(r.decode.parts_s, key=lambda n: r.decode.parts_s[n])
    alt = Text.of(
        "alt_operators",
        operator=top,
        share=f"{r.decode.parts_s[top] / sum(r.decode.parts_s.values()):.0%}",
        decode=style.number(sum(r.decode.parts_s.values()) / MILLI),
        prefill=style.number(sum(r.prefill.parts_s.values()) / MILLI),
    )
    columns = tuple(
        style.say(k)
        for k in ("col_operator", "col_decode_ms", "col_prefill_ms", "col_decode_share")
    )
    rows = tuple(
        (
            n,
            r.decode.parts_s.get(n, 0.0) / MILLI,
            r.prefill.parts_s.get(n, 0.0) / MILLI,
            r.decode.parts_s.get(n, 0.0) / sum(r.decode.parts_s.values()) * 100,
        )
        for n in names
    )
    return Chart(figure, style.say(alt), columns, rows)
