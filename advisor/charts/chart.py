"""What every chart is: a figure, the finding in words, and the same numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from advisor.schema.text import Text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from advisor.optimizer.result import Plan, Recommendation

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#7f7f7f",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
"""Okabe and Ito's palette (2008); its black is a grey that shows on light and dark alike."""

IDLE = BLACK

PLAN_LOOKS = {
    "mix": (SKY, "diamond", "solid"),
    "small": (BLUE, "circle", "dash"),
    "mid": (PINK, "triangle-up", "dashdot"),
    "large": (RED, "square", "longdash"),
    "api": (ORANGE, "x", "dot"),
    "device": (GREEN, "star", "longdashdot"),
}
"""Colour, marker and dash of a kind of plan: the same on every page."""

EVIDENCE_MARKS = {
    "exact": "diamond",
    "measured": "star",
    "calibrated": "circle",
    "extrapolated": "triangle-up",
    "estimated": "x",
}


@dataclass(frozen=True)
class Style:
    """How a reader's language words and numbers look; ``advisor.report.style`` makes one.

    Parameters
    ----------
    say
        Puts a key or a message into words.
    number
        A number with three significant digits.
    count
        A whole number.
    tick
        A round number on an axis.
    named
        A name of a result: ids become names, marks of options words.
    """

    say: Callable[[Text | str], str]
    number: Callable[[float], str]
    count: Callable[[float], str]
    tick: Callable[[float], str]
    named: Callable[[str], str]


@dataclass(frozen=True)
class Money:
    """The currency money is shown in; results are in US dollars.

    Parameters
    ----------
    code
        Shown behind amounts.
    per_usd
        Units of it one dollar buys, at the dated rate of the result.
    """

    code: str = "USD"
    per_usd: float = 1.0

    def of(self, usd: float) -> float:
        """Return dollars in this currency."""
        return usd * self.per_usd


@dataclass(frozen=True)
class Chart:
    """One chart.

    Parameters
    ----------
    figure
        The plotly figure; axis titles carry units.
    alt
        The finding in one or two sentences, for who can't see the figure.
    columns, rows
        The figure's numbers as a table, numbers as numbers.
    """

    figure: Figure
    alt: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


def plan_name(plan: str, style: Style) -> str:
    """Return what a kind of plan is called."""
    return style.say(f"kind_{plan}")


def plans_of(r: Recommendation) -> list[tuple[str, Plan]]:
    """Return the recommended plan first, then the best of every other kind that has one."""
    found = [] if r.plan is None else [(str(r.plan.kind), r.plan)]
    kinds = {kind for kind, _ in found}
    others = [(str(a.kind), a.plan) for a in r.alternatives if a.plan and a.kind not in kinds]
    return [*found, *others]


def latency_name(latency: str, style: Style) -> str:
    """Return what ``ttft``, ``tpot`` or ``e2e`` is called."""
    return style.say(f"latency_{latency}")


def month_axis(style: Style, money: Money) -> str:
    """Return the title of an axis of money a month."""
    return style.say(Text.of("axis_money_month", currency=money.code))


WIDE = 2.5
"""Decades beyond which a logarithmic axis is marked at powers of ten alone."""


LEAST_STEP = 1e-9
"""Of marks: money and loads below are nothing."""

NARROW = 0.4
"""Decades below which its marks are evenly spaced."""


def log_axis(values: Iterable[float], style: Style) -> dict[str, Any]:
    """Return a logarithmic axis with marks people can read: 1, 2, 5, or powers of ten."""
    known = [v for v in values if v > 0 and math.isfinite(v)] or [1.0]
    low, high = math.log10(min(known)), math.log10(max(known))
    steps: tuple[float, ...] = (1, 1.5, 2, 3, 4, 5, 7) if high - low <= 1 else (1, 2, 5)
    steps = steps if high - low <= WIDE else (1,)
    each = max(math.ceil((high - low) / 7), 1)
    powers = range(math.floor(low) - 1, math.ceil(high) + 2)
    marks = [s * 10.0**p for p in powers if p % each == 0 for s in steps]
    if high - low < NARROW:
        marks = _even_marks(10.0**low, 10.0**high)
    return {"type": "log", **_marked([m for m in marks if m > 0], style)}


def _even_marks(low: float, high: float) -> list[float]:
    """Return some five evenly spaced round numbers from ``low`` to ``high``."""
    rough = max((high - low or abs(high)) / 5, LEAST_STEP)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(s * unit for s in (1, 2, 5, 10) if s * unit >= rough)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _marked(marks: Sequence[float], style: Style) -> dict[str, Any]:
    texts = [style.tick(float(f"{mark:.6g}")) for mark in marks]
    return {"tickmode": "array", "tickvals": list(marks), "ticktext": texts}


def money_axis(values: Iterable[float], style: Style) -> dict[str, Any]:
    """Return a linear axis from 0, or from the lowest bar, with some five round marks."""
    known = list(values) or [0.0, 1.0]
    return _marked(_even_marks(min(known), max(known)), style)


def mark_x(figure: Figure, x: float, text: str, colour: str = BLACK) -> None:
    """Draw a dotted line up from a value of a logarithmic x axis, named at its top.

    Plotly places lines there by value, but texts by the value's logarithm.
    """
    figure.add_vline(x=x, line={"dash": "dot", "width": 2, "color": colour})
    figure.add_annotation(
        x=math.log10(x), y=1.0, yref="paper", yanchor="bottom", text=text, showarrow=False
    )


def new_figure(x: str, y: str, height: int = 380, **layout: Any) -> Figure:
    """Return an empty figure with titled axes and the legend below."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 24, "b": 10},
        legend={"orientation": "h", "yanchor": "top", "y": -62 / (height - 110), "x": 0},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        **layout,
    )
    return figure
