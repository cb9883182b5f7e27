"""What the month's money buys, plan by plan; paid and unused capacity has a colour of its own."""

from __future__ import annotations

from advisor.charts.chart import (
    BLUE,
    GREEN,
    IDLE,
    ORANGE,
    PINK,
    RED,
    SKY,
    YELLOW,
    Chart,
    Money,
    Style,
    line_name,
    month_axis,
    new_figure,
    plan_name,
)
from advisor.optimizer.result import Plan, Recommendation
from advisor.schema.text import Text

LINES = {
    "rent": (BLUE, ""),
    "own": (SKY, ""),
    "idle": (IDLE, "/"),
    "energy": (YELLOW, ""),
    "api": (ORANGE, ""),
    "staff": (PINK, ""),
    "fine-tune": (RED, "x"),
    "phone": (GREEN, ""),
    "spot-risk": (RED, "."),
    "retrieval": (GREEN, "-"),
}
"""Line of the bill → colour and pattern."""


def _sums(plan: Plan) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in plan.lines:
        found[line.kind] = found.get(line.kind, 0.0) + line.usd_per_month.value
    return found


def _alt(r: Recommendation, style: Style) -> str:
    if r.plan is None:
        return style.say("alt_stack_none")
    sums = _sums(r.plan)
    total = sum(sums.values())
    largest = max(sums, key=lambda k: sums[k])
    return style.say(
        Text.of(
            "alt_stack",
            line=line_name(largest, style),
            share=f"{sums[largest] / total:.0%}",
            idle=f"{sums.get('idle', 0.0) / total:.0%}",
        )
    )


def cost_stack(r: Recommendation, style: Style, money: Money) -> Chart:
    """Draw one stacked bar a plan, cheapest on top."""
    import plotly.graph_objects as go

    found = [(a.kind, a.plan) for a in r.alternatives if a.plan is not None]
    found.sort(key=lambda item: item[1].usd_per_month.value)
    names = [plan_name(kind, style) for kind, _ in found]
    sums = [_sums(plan) for _, plan in found]
    axis = month_axis(style, money)
    figure = new_figure(axis, "", height=170 + 46 * len(found), barmode="stack")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(exponentformat="SI")
    figure.update_layout(legend={"y": -0.35, "traceorder": "normal"})
    used = [kind for kind in LINES if any(s.get(kind) for s in sums)]
    for kind in used:
        colour, pattern = LINES[kind]
        figure.add_trace(
            go.Bar(
                x=[money.of(s.get(kind, 0.0)) for s in sums],
                y=names,
                orientation="h",
                name=line_name(kind, style),
                marker={"color": colour, "pattern": {"shape": pattern}},
            )
        )
    columns = (
        style.say("col_plan"),
        *(line_name(k, style) for k in used),
        style.say("col_total"),
    )
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(money.of(s.get(k, 0.0)) for k in used), money.of(sum(s.values())))
        for name, s in zip(names, sums, strict=True)
    )
    return Chart(figure, _alt(r, style), columns, rows)
