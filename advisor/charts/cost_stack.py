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
    money_axis,
    month_axis,
    new_figure,
    plan_name,
    plans_of,
)
from advisor.optimizer.result import LineKind, Plan, Recommendation
from advisor.schema.text import Text

LINES: dict[LineKind, tuple[str, str, str]] = {
    "rent": ("line_rent", BLUE, ""),
    "spot-risk": ("line_spot", BLUE, "."),
    "own": ("line_own", SKY, ""),
    "idle": ("line_idle", IDLE, "/"),
    "energy": ("line_energy", YELLOW, ""),
    "hosting": ("line_hosting", PINK, "."),
    "api": ("line_api", ORANGE, ""),
    "staff": ("line_staff", PINK, ""),
    "fine-tune": ("line_tune", RED, "x"),
    "phone": ("line_phone", GREEN, ""),
    "retrieval": ("line_retrieval", GREEN, "-"),
}
"""Line of the bill → key of its name, colour, pattern."""


def _sums(plan: Plan) -> dict[LineKind, float]:
    found: dict[LineKind, float] = {}
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
            line=style.say(LINES[largest][0]),
            share=f"{sums[largest] / total:.0%}",
            idle=f"{sums.get('idle', 0.0) / total:.0%}",
        )
    )


def cost_stack(r: Recommendation, style: Style, money: Money) -> Chart:
    """Draw one stacked bar a plan, cheapest on top."""
    import plotly.graph_objects as go

    found = plans_of(r)
    found.sort(key=lambda item: item[1].usd_per_month.value)
    names = [plan_name(kind, style) for kind, _ in found]
    sums = [_sums(plan) for _, plan in found]
    axis = month_axis(style, money)
    figure = new_figure(axis, "", height=170 + 46 * len(found), barmode="stack")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(money_axis((0.0, *(money.of(sum(s.values())) for s in sums)), style))
    figure.update_layout(legend={"traceorder": "normal"})
    used = [kind for kind in LINES if any(s.get(kind) for s in sums)]
    for kind in used:
        key, colour, pattern = LINES[kind]
        figure.add_trace(
            go.Bar(
                x=[money.of(s.get(kind, 0.0)) for s in sums],
                y=names,
                orientation="h",
                name=style.say(key),
                marker={"color": colour, "pattern": {"shape": pattern}},
            )
        )
    columns = (
        style.say("col_plan"),
        *(style.say(LINES[k][0]) for k in used),
        style.say("col_total"),
    )
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(money.of(s.get(k, 0.0)) for k in used), money.of(sum(s.values())))
        for name, s in zip(names, sums, strict=True)
    )
    return Chart(figure, _alt(r, style), columns, rows)
