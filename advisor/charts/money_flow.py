"""Where the recommended plan's money goes: from what runs to what is paid for, idle apart."""

from __future__ import annotations

from collections import defaultdict

from advisor.charts.chart import BLACK, Chart, Money, Style, month_axis
from advisor.charts.cost_stack import LINES
from advisor.optimizer.result import LineKind, Plan
from advisor.schema.text import Text

LEFT = "rgba(127,127,127,0.25)"


def money_flow(plan: Plan, style: Style, money: Money) -> Chart:
    """Draw the month's bill as streams: what runs on the left, lines of the bill on the right."""
    import plotly.graph_objects as go

    sums: dict[tuple[str, LineKind], float] = defaultdict(float)
    for line in plan.lines:
        what = style.named(line.what) or style.say(LINES[line.kind][0])
        sums[what, line.kind] += money.of(line.usd_per_month.value)
    flows = sorted(((what, kind, cost) for (what, kind), cost in sums.items() if cost), key=_order)
    whats = list(dict.fromkeys(what for what, _, _ in flows))
    kinds = list(dict.fromkeys(kind for _, kind, _ in flows))
    names = [*whats, *(style.say(LINES[kind][0]) for kind in kinds)]
    colours = [*(BLACK for _ in whats), *(LINES[kind][1] for kind in kinds)]
    figure = go.Figure(
        go.Sankey(
            node={"label": names, "color": colours, "pad": 18},
            link={
                "source": [whats.index(what) for what, _, _ in flows],
                "target": [len(whats) + kinds.index(kind) for _, kind, _ in flows],
                "value": [cost for _, _, cost in flows],
                "color": LEFT,
            },
        )
    )
    figure.update_layout(height=240 + 24 * len(whats), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    total = sum(cost for _, _, cost in flows)
    idle = sum(cost for _, kind, cost in flows if kind == "idle")
    largest = max(whats, key=lambda w: sum(cost for what, _, cost in flows if what == w))
    alt = Text.of(
        "alt_money_flow",
        total=style.number(total),
        currency=money.code,
        largest=largest,
        share=f"{sum(cost for what, _, cost in flows if what == largest) / total:.0%}",
        idle=f"{idle / total:.0%}",
    )
    columns = (style.say("col_from"), style.say("col_to"), month_axis(style, money))
    rows = tuple((what, style.say(LINES[kind][0]), cost) for what, kind, cost in flows)
    return Chart(
        figure,
        style.say(alt),
        (*columns, style.say("col_percent")),
        tuple((*row, row[2] / total * 100) for row in rows),
    )


def _order(flow: tuple[str, LineKind, float]) -> tuple[str, float]:
    return flow[0], -flow[2]
