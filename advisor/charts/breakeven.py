"""Break-even: the month's cost over the load, with a step for every whole device."""

from __future__ import annotations

from itertools import pairwise

from advisor.charts.chart import (
    PLAN_LOOKS,
    Chart,
    Money,
    Style,
    log_axis,
    mark_x,
    month_axis,
    new_figure,
    plan_name,
)
from advisor.optimizer.result import PLAN_KINDS, PlanKind
from advisor.optimizer.result_curves import Breakeven, BreakevenPoint
from advisor.schema.text import Text

MOST_CHANGES = 3
SLACK = 1.01
"""A load so far beyond the last point is one that no plan serves."""
PER_REQUEST = ("api", "device")
"""Plans paid by the request: their cost has no steps."""


def _series(b: Breakeven, kind: PlanKind) -> list[tuple[float, float | None]]:
    return [(p.requests_per_month, p.usd_per_month.get(kind)) for p in b.points]


def _alt(b: Breakeven, style: Style, here: float) -> str:
    nearest = min(b.points, key=lambda p: abs(p.requests_per_month - here))
    volume, most = style.number(here), b.points[-1].requests_per_month
    text = Text.of("alt_breakeven", volume=volume, cheapest=plan_name(nearest.cheapest, style))
    if here > most * SLACK:
        text = Text.of("alt_breakeven_beyond", volume=volume, most=style.number(most))
    first = style.say(text)
    joint = style.say("sentence_joint")
    changes = _changes(b)
    told = [
        style.say(
            Text.of(
                "alt_breakeven_change", volume=style.number(at), cheapest=plan_name(kind, style)
            )
        )
        for at, kind in changes
    ]
    if len(told) > MOST_CHANGES:
        more = Text.of("alt_breakeven_more", count=len(told) - MOST_CHANGES)
        told = [*told[:MOST_CHANGES], style.say(more)]
    if not told:
        return (
            first if here > most * SLACK else joint.join([first, style.say("alt_breakeven_never")])
        )
    start = Text.of("alt_breakeven_first", cheapest=plan_name(b.points[0].cheapest, style))
    return joint.join([first, style.say(start), *told])


def _changes(b: Breakeven) -> list[tuple[float, PlanKind]]:
    """Return where which kind becomes the cheapest: at the curve's flips, between its points."""
    changes = []
    for left, right in pairwise(b.points):
        if left.cheapest != right.cheapest:
            low, high = left.requests_per_month, right.requests_per_month
            flips = [f.at for f in b.flips if low < f.at <= high]
            changes.append((flips[0] if flips else high, right.cheapest))
    return changes


def _row(
    p: BreakevenPoint, kinds: list[PlanKind], style: Style, money: Money
) -> tuple[str | float, ...]:
    costs: list[str | float] = []
    for kind in kinds:
        usd = p.usd_per_month.get(kind)
        costs.append(style.say("cell_impossible") if usd is None else money.of(usd))
    return (p.requests_per_month, *costs, plan_name(p.cheapest, style))


def breakeven(b: Breakeven, style: Style, money: Money, here: float) -> Chart:
    """Draw the cost of each kind of plan over requests a month, log x, steps kept.

    Parameters
    ----------
    here
        The scenario's own requests a month, marked.
    """
    import plotly.graph_objects as go

    kinds = [k for k in PLAN_KINDS if any(y is not None for _, y in _series(b, k))]
    figure = new_figure(
        style.say("axis_requests_month"),
        month_axis(style, money),
        height=440,
    )
    figure.update_xaxes(log_axis((p.requests_per_month for p in b.points), style))
    costs = (money.of(usd) for p in b.points for usd in p.usd_per_month.values() if usd is not None)
    figure.update_yaxes(log_axis(costs, style))
    for kind in kinds:
        points = _series(b, kind)
        colour, _, dash = PLAN_LOOKS[kind]
        figure.add_trace(
            go.Scatter(
                x=[x for x, _ in points],
                y=[None if y is None else money.of(y) for _, y in points],
                customdata=[p.devices.get(kind, 0) for p in b.points],
                mode="lines",
                line_shape="linear" if kind in PER_REQUEST else "vh",
                name=plan_name(kind, style),
                line={"color": colour, "dash": dash, "width": 4 if kind == "mix" else 2},
                hovertemplate=style.say("hover_breakeven"),
            )
        )
    here_text = style.say("chart_here")
    mark_x(figure, here, here_text)
    columns = (
        style.say("axis_requests_month"),
        *(plan_name(k, style) for k in kinds),
        style.say("col_cheapest"),
    )
    rows = tuple(_row(p, kinds, style, money) for p in b.points)
    return Chart(figure, _alt(b, style, here), columns, rows)
