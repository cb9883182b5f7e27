"""Two assumptions at once: what the cheapest plan costs, and which it is."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.charts.chart import Chart, Money, Style, money_axis, month_axis, new_figure, plan_name
from advisor.optimizer.result import PlanKind
from advisor.schema.text import Text


@dataclass(frozen=True)
class Grid:
    """Answers over two inputs.

    Parameters
    ----------
    x_title, y_title
        What moves, with its unit.
    x, y
        Values of both.
    usd_per_month, winner
        ``[y][x]``; None: nothing meets the limits there.
    """

    x_title: str
    y_title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    usd_per_month: tuple[tuple[float | None, ...], ...]
    winner: tuple[tuple[PlanKind | None, ...], ...]


def heat_map(grid: Grid, style: Style, money: Money) -> Chart:
    """Draw cost as colour and the winning kind of plan as text in each cell."""
    import plotly.graph_objects as go

    names = [
        [plan_name(w, style) if w else style.say("cell_impossible") for w in row]
        for row in grid.winner
    ]
    costs = [[None if v is None else money.of(v) for v in row] for row in grid.usd_per_month]
    cells = [
        [
            name if cost is None else f"{name}<br>{style.number(cost)}"
            for name, cost in zip(*row, strict=True)
        ]
        for row in zip(names, costs, strict=True)
    ]
    known = [cost for row in costs for cost in row if cost is not None]
    figure = new_figure(grid.x_title, grid.y_title, height=420)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    figure.add_trace(
        go.Heatmap(
            x=[style.number(v) for v in grid.x],
            y=[style.number(v) for v in grid.y],
            z=costs,
            text=cells,
            texttemplate="%{text}",
            hovertemplate="%{text}<extra></extra>",
            colorscale="Cividis",
            colorbar={
                "title": {
                    "text": month_axis(style, money),
                    "side": "right",
                },
                **money_axis(known, style),
            },
            hoverongaps=False,
        )
    )
    kinds = {w for row in grid.winner for w in row if w}
    none = sum(w is None for row in grid.winner for w in row)
    alt = Text.of(
        "alt_heat",
        kinds=style.say("list_joint").join(sorted(plan_name(k, style) for k in kinds)) or "–",
        none=none,
        cells=len(grid.x) * len(grid.y),
    )
    columns = (grid.y_title, *(f"{grid.x_title} {style.number(v)}" for v in grid.x))
    rows = tuple(
        (
            style.number(y),
            *(
                f"{name} {style.number(cost)}" if cost is not None else name
                for name, cost in zip(names[i], costs[i], strict=True)
            ),
        )
        for i, y in enumerate(grid.y)
    )
    return Chart(figure, style.say(alt), columns, rows)
