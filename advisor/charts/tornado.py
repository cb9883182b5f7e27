"""Which assumption matters: on the month's cost, and on the decision itself."""

from __future__ import annotations

import math

from advisor.charts.chart import (
    BLACK,
    BLUE,
    ORANGE,
    PLAN_LOOKS,
    Chart,
    Money,
    Style,
    money_axis,
    month_axis,
    new_figure,
    plan_name,
)
from advisor.optimizer.result import Flip, TornadoBar, Uncertainty
from advisor.schema.text import Text

MOST = 10
FLIPS = {"volume": "flip_volume", "price": "flip_price", "floor": "flip_floor"}
"""First part of a flip's name → key of its words."""
UNITS = {
    "requests/month": "axis_requests_month",
    "score": "unit_score",
}


PRICE = "usd/device-hour"
STILL = 1e-6
"""Moves of the cost below this share of it don't count: the input has no range, or no effect."""


def _span(b: TornadoBar) -> float:
    return abs(b.high_usd_per_month - b.low_usd_per_month)


def tornado(u: Uncertainty, base_usd: float, style: Style, money: Money) -> Chart:
    """Draw the cost at both ends of each input's 80 % range, widest on top.

    Parameters
    ----------
    base_usd
        The recommended plan's month with every input as stated.
    """
    import plotly.graph_objects as go

    moved = [b for b in u.tornado if _span(b) > STILL * base_usd]
    widest = sorted(moved, key=lambda b: -_span(b))
    bars = widest[:MOST]
    names = [style.say(b.what) for b in bars]
    base = money.of(base_usd)
    axis = month_axis(style, money)
    figure = new_figure(axis, "", height=150 + 36 * len(bars), barmode="overlay")
    figure.update_yaxes(autorange="reversed")
    ends_usd = [v for b in bars for v in (b.low_usd_per_month, b.high_usd_per_month)]
    figure.update_xaxes(money_axis([base, *map(money.of, ends_usd)], style))
    for key, colour, ends in (
        ("chart_low_end", BLUE, [money.of(b.low_usd_per_month) for b in bars]),
        ("chart_high_end", ORANGE, [money.of(b.high_usd_per_month) for b in bars]),
    ):
        figure.add_trace(
            go.Bar(
                x=[end - base for end in ends],
                base=base,
                y=names,
                orientation="h",
                name=style.say(key),
                marker={"color": colour},
                text=[style.number(end) for end in ends],
                textangle=0,
            )
        )
    figure.add_vline(x=base, line={"width": 1, "color": BLACK})
    alt = style.say("alt_tornado_none")
    if bars:
        top = bars[0]
        alt = style.say(
            Text.of(
                "alt_tornado",
                what=names[0],
                low=style.number(money.of(min(top.low_usd_per_month, top.high_usd_per_month))),
                high=style.number(money.of(max(top.low_usd_per_month, top.high_usd_per_month))),
                currency=money.code,
            )
        )
    columns = (style.say("col_assumption"), style.say("chart_low_end"), style.say("chart_high_end"))
    rows = tuple(
        (name, money.of(b.low_usd_per_month), money.of(b.high_usd_per_month))
        for name, b in zip((style.say(b.what) for b in widest), widest, strict=True)
    )
    return Chart(figure, alt, columns, rows)


def _moves(flip: Flip) -> float:
    """Return how far the input moves to flip the decision, as a share of what is stated."""
    return flip.at / flip.stated - 1.0 if flip.stated else math.inf


def decision(u: Uncertainty, style: Style, money: Money) -> Chart:
    """Draw how far each input may move until another plan wins, nearest on top."""
    import plotly.graph_objects as go

    flips = sorted(u.flips, key=lambda f: abs(_moves(f)))
    shown = [f for f in flips if math.isfinite(_moves(f))][:MOST]
    names = [_named(f, style) for f in shown]
    figure = new_figure(style.say("axis_move"), "", height=150 + 36 * len(shown))
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(ticksuffix=" %", zeroline=True)
    for kind in dict.fromkeys(f.winner_kind for f in shown):
        picked = [(n, f) for n, f in zip(names, shown, strict=True) if f.winner_kind == kind]
        figure.add_trace(
            go.Bar(
                x=[_moves(f) * 100 for _, f in picked],
                y=[n for n, _ in picked],
                orientation="h",
                name=style.say(Text.of("chart_takes_over", plan=plan_name(kind, style))),
                marker={"color": PLAN_LOOKS[kind][0]},
            )
        )
    return Chart(figure, _decision_alt(flips, style, money), *_flip_table(flips, style, money))


def _named(flip: Flip, style: Style) -> str:
    head, _, rest = flip.name.partition(":")
    return style.say(Text.of(FLIPS[head], name=rest)) if head in FLIPS else flip.name


def _unit(flip: Flip, style: Style, money: Money) -> str:
    if flip.unit == PRICE:
        return style.say(Text.of("unit_device_hour", currency=money.code))
    return style.say(UNITS[flip.unit]) if flip.unit in UNITS else flip.unit


def _in(value: float, flip: Flip, money: Money) -> float:
    """Return a value of a flip's input in the reader's currency if it is money."""
    return money.of(value) if flip.unit == PRICE else value


def _winner(flip: Flip, style: Style) -> str:
    return f"{plan_name(flip.winner_kind, style)}{style.say('colon')}{style.named(flip.winner)}"


def _side(flip: Flip, style: Style) -> str:
    return style.say("side_below" if flip.side == "below" else "side_above")


def _decision_alt(flips: list[Flip], style: Style, money: Money) -> str:
    if not flips:
        return style.say("alt_decision_none")
    nearest = flips[0]
    return style.say(
        Text.of(
            "alt_decision",
            what=_named(nearest, style),
            side=_side(nearest, style),
            at=style.number(_in(nearest.at, nearest, money)),
            unit=_unit(nearest, style, money),
            stated=style.number(_in(nearest.stated, nearest, money)),
            plan=_winner(nearest, style),
        )
    )


def _flip_table(
    flips: list[Flip], style: Style, money: Money
) -> tuple[tuple[str, ...], tuple[tuple[str | float, ...], ...]]:
    keys = ("col_assumption", "col_stated", "col_flips_at", "col_unit", "col_side", "col_winner")
    rows = tuple(
        (
            _named(f, style),
            _in(f.stated, f, money),
            _in(f.at, f, money),
            _unit(f, style, money),
            _side(f, style),
            _winner(f, style),
        )
        for f in flips
    )
    return tuple(style.say(k) for k in keys), rows
