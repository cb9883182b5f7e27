"""Where the time of a step goes, operator by operator."""

from __future__ import annotations

from advisor.charts.chart import BLUE, RED, Chart, Style, new_figure
from advisor.estimator.result import EstimateResult
from advisor.schema.text import Text

MILLI = 1e-3
MOST = 12


OPERATORS = {
    "attention decode": "op_attention_decode",
    "attention prefill": "op_attention_prefill",
    "latent attention decode": "op_latent_decode",
    "latent attention prefill": "op_latent_prefill",
    "elementwise": "op_elementwise",
    "all-reduce": "op_all_reduce",
    "unpacking": "op_unpacking",
    "experts": "op_experts",
    "router": "op_router",
    "qkv": "op_qkv",
    "q": "op_q",
    "o": "op_o",
    "k_up": "op_k_up",
    "v_up": "op_v_up",
    "latent": "op_latent",
    "mlp_up": "op_mlp_up",
    "mlp_down": "op_mlp_down",
    "shared_up": "op_shared_up",
    "shared_down": "op_shared_down",
    "lm_head": "op_lm_head",
}
"""Operator of a step → key of its name; others are told by their own."""


def _named(operator: str, style: Style) -> str:
    return style.say(OPERATORS[operator]) if operator in OPERATORS else operator


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
                y=[_named(n, style) for n in shown],
                orientation="h",
                name=style.say(key),
                marker={"color": colour},
            )
        )
    top = max(r.decode.parts_s, key=lambda n: r.decode.parts_s[n])
    alt = Text.of(
        "alt_operators",
        operator=_named(top, style),
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
            _named(n, style),
            r.decode.parts_s.get(n, 0.0) / MILLI,
            r.prefill.parts_s.get(n, 0.0) / MILLI,
            r.decode.parts_s.get(n, 0.0) / sum(r.decode.parts_s.values()) * 100,
        )
        for n in names
    )
    return Chart(figure, style.say(alt), columns, rows)
