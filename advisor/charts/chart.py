"""What every chart is: a figure, the finding in words, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from advisor.schema.text import Text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

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

SMALL, MEDIUM, LARGE, API, DEVICE, IDLE = BLUE, PINK, RED, ORANGE, GREEN, BLACK
"""One colour a kind of option, on every page."""

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
    """

    say: Callable[[Text | str], str]
    number: Callable[[float], str]


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


def new_figure(x: str, y: str, height: int = 380, **layout: Any) -> Figure:
    """Return an empty figure with titled axes and the legend below."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "yanchor": "top", "y": -0.22, "x": 0},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        **layout,
    )
    return figure
