"""Cost against quality: the line below which nothing is worth buying."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from advisor.charts.chart import (
    BLACK,
    PLAN_LOOKS,
    Chart,
    Money,
    Style,
    log_axis,
    month_axis,
    new_figure,
    plan_name,
    plans_of,
)
from advisor.optimizer.result import Plan, Recommendation
from advisor.perf.intervals import Estimate
from advisor.schema.text import Text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PERCENT = 100.0
CLEARLY = 0.98
"""A plan that lost fades if another costs less than this share of it at no lower a score."""


def _bars(e: Estimate, scale: float) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [(e.high80 - e.value) * scale],
        "arrayminus": [(e.value - e.low80) * scale],
        "thickness": 1.5,
    }


def _found(r: Recommendation) -> list[tuple[str, Plan, Estimate]]:
    known = [(kind, plan, plan.quality.value) for kind, plan in plans_of(r)]
    return [(kind, plan, score) for kind, plan, score in known if score is not None]


def frontier(steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the undominated (quality, cost) points, quality rising: cost rises with it.

    >>> frontier([(0.5, 3.0), (0.6, 2.0), (0.8, 5.0), (0.7, 9.0)])
    [(0.6, 2.0), (0.8, 5.0)]
    """
    kept: list[tuple[float, float]] = []
    for quality, cost in sorted(steps, key=lambda p: (-p[0], p[1])):
        if not kept or cost < kept[-1][1]:
            kept.append((quality, cost))
    return kept[::-1]


def _alt(r: Recommendation, steps: list[tuple[float, float]], style: Style, money: Money) -> str:
    if not steps:
        return style.say("alt_pareto_none")
    (low_q, low_cost), (high_q, high_cost) = steps[0], steps[-1]
    return style.say(
        Text.of(
            "alt_pareto",
            count=len(steps),
            low_cost=style.number(money.of(low_cost)),
            high_cost=style.number(money.of(high_cost)),
            low=f"{low_q:.1%}",
            high=f"{high_q:.1%}",
            currency=money.code,
        )
    )


def _draw_plans(
    figure: Figure,
    plans: list[tuple[str, Plan, Estimate]],
    steps: list[tuple[float, float]],
    style: Style,
    money: Money,
) -> None:
    import plotly.graph_objects as go

    for kind, plan, quality in plans:
        colour, symbol, _ = PLAN_LOOKS[kind]
        cost = plan.usd_per_month
        beaten = kind != plans[0][0] and any(
            q >= quality.value and c < CLEARLY * cost.value for q, c in steps
        )
        figure.add_trace(
            go.Scatter(
                x=[money.of(cost.value)],
                y=[quality.value * PERCENT],
                error_x=_bars(cost, money.per_usd),
                error_y=_bars(quality, PERCENT),
                mode="markers",
                name=plan_name(kind, style),
                opacity=0.55 if beaten else 1.0,
                marker={"color": colour, "symbol": symbol, "size": 13},
                text=[f"{plan.quality.metric} · {plan.quality.source}"],
            )
        )


def pareto(r: Recommendation, style: Style, money: Money) -> Chart:
    """Draw plans with their error bars, and the undominated line as steps; others fade."""
    import plotly.graph_objects as go

    plans = _found(r)
    front = next((f.steps for f in r.fronts if f.measure == "quality"), ())
    named = {(s.measure, s.usd_per_month): s.plan for s in front}
    steps = frontier([*named, *((q.value, p.usd_per_month.value) for _, p, q in plans)])
    axes = (month_axis(style, money), style.say("axis_quality"))
    figure = new_figure(*axes, height=440)
    costs = [cost for _, cost in steps] + [p.usd_per_month.value for _, p, _ in plans]
    figure.update_xaxes(log_axis((money.of(cost) for cost in costs), style))
    figure.add_trace(
        go.Scatter(
            x=[money.of(cost) for _, cost in steps],
            y=[q * PERCENT for q, _ in steps],
            mode="lines+markers",
            line_shape="hv",
            name=style.say("chart_frontier"),
            line={"color": BLACK, "width": 2},
            marker={"size": 6},
            text=[style.named(named.get(step, "")) for step in steps],
            hovertemplate="%{text}<br>%{x:.4s} · %{y:.1f} %<extra></extra>",
        )
    )
    _draw_plans(figure, plans, steps, style, money)
    floor = r.plan.quality.floor if r.plan else None
    if floor is not None:
        line = {"dash": "dot", "width": 1, "color": BLACK}
        figure.add_hline(y=floor * PERCENT, line=line, annotation_text=style.say("chart_floor"))
    rows = [
        (plan_name(kind, style), money.of(p.usd_per_month.value), q.value * PERCENT)
        for kind, p, q in plans
    ]
    rows += [(style.named(s.plan), money.of(s.usd_per_month), s.measure * PERCENT) for s in front]
    alt = _alt(r, steps, style, money)
    return Chart(figure, alt, (style.say("col_plan"), *axes), tuple(rows))
