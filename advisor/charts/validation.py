"""How wrong predictions are: predicted over measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from advisor.charts.chart import (
    BLACK,
    BLUE,
    EVIDENCE_MARKS,
    ORANGE,
    PINK,
    Chart,
    Style,
    log_axis,
    new_figure,
)
from advisor.schema.text import Text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLOURS = {"calibrated": BLUE, "extrapolated": ORANGE, "estimated": PINK}
NEAR = 0.2


@dataclass(frozen=True)
class Pair:
    """One group of measurements: its name, medians, and whether constants saw it."""

    group: str
    measured: float
    predicted: float
    evidence: str
    held_out: bool


def _alt(pairs: Sequence[Pair], style: Style) -> str:
    errors = np.abs(np.array([p.predicted / p.measured - 1.0 for p in pairs]))
    worst = max(pairs, key=lambda p: abs(np.log(p.predicted / p.measured)))
    text = Text.of(
        "alt_validation",
        count=len(pairs),
        median=f"{float(np.median(errors)):.0%}",
        near=f"{float(np.mean(errors <= NEAR)):.0%}",
        worst=worst.group,
    )
    return style.say(text)


def _draw_lines(figure: Figure, low: float, high: float) -> None:
    import plotly.graph_objects as go

    for factor, dash in ((1.0, "solid"), (1 + NEAR, "dash"), (1 / (1 + NEAR), "dash")):
        figure.add_trace(
            go.Scatter(
                x=[low, high],
                y=[low * factor, high * factor],
                mode="lines",
                line={"color": BLACK, "dash": dash, "width": 1},
                name="1:1" if factor == 1.0 else "±20 %",
                showlegend=factor >= 1.0,
                hoverinfo="skip",
            )
        )


def validation(pairs: Sequence[Pair], quantity: str, style: Style) -> Chart:
    """Draw predicted over measured, log-log, with the 1:1 and ±20 % lines.

    Groups left out of the fit are filled, fitted ones hollow; the symbol is the evidence.

    Parameters
    ----------
    quantity
        What was measured, with its unit.
    """
    import plotly.graph_objects as go

    both = [v for p in pairs for v in (p.measured, p.predicted)]
    low, high = min(both) / 1.5, max(both) * 1.5
    figure = new_figure(
        style.say(Text.of("axis_measured", what=quantity)),
        style.say(Text.of("axis_predicted", what=quantity)),
        height=480,
    )
    figure.update_xaxes(log_axis(both, style))
    figure.update_yaxes(log_axis(both, style))
    _draw_lines(figure, low, high)
    for evidence, held_out in sorted({(p.evidence, p.held_out) for p in pairs}):
        picked = [p for p in pairs if (p.evidence, p.held_out) == (evidence, held_out)]
        symbol = EVIDENCE_MARKS[evidence]
        key = "chart_held_out" if held_out else "chart_fitted"
        figure.add_trace(
            go.Scatter(
                x=[p.measured for p in picked],
                y=[p.predicted for p in picked],
                mode="markers",
                name=style.say(Text.of(key, evidence=style.say(f"name_{evidence}"))),
                text=[p.group for p in picked],
                marker={
                    "symbol": symbol if held_out else f"{symbol}-open",
                    "color": _COLOURS.get(evidence, BLACK),
                    "size": 9,
                },
            )
        )
    columns = tuple(
        style.say(k)
        for k in ("col_group", "col_measured", "col_predicted", "col_error", "col_label")
    )
    rows = tuple(
        (
            p.group,
            p.measured,
            p.predicted,
            (p.predicted / p.measured - 1) * 100,
            style.say(f"name_{p.evidence}"),
        )
        for p in pairs
    )
    return Chart(figure, _alt(pairs, style), columns, rows)
