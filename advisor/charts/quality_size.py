"""Quality against size, as the report's figure 1 drew it, with the catalogue's models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.catalogue import models, quality
from advisor.charts.chart import BLACK, BLUE, ORANGE, Chart, Style, log_axis, new_figure
from advisor.schema.text import Text

RECENT = 2025
"""Models released from this year on are drawn as new; the report is of December 2024."""


@dataclass(frozen=True)
class SizedModel:
    """One open model: active parameters and its published scores on one benchmark, points."""

    model_id: str
    name: str
    active: float
    score: float
    low: float
    high: float
    year: int


def sized_models(benchmark: str) -> tuple[SizedModel, ...]:
    """Return the models with known size and a published score, smallest first.

    The score is the median over published settings, with the lowest and the highest; variants
    that quantise or stop training early don't count.
    """
    found = []
    known = set(models.model_ids())
    for model_id in quality.score_ids():
        if model_id not in known:
            continue
        model = models.read_model(model_id)
        parameters = model.parameters
        rows = [
            row.score
            for row in quality.read_scores(model_id).score
            if row.benchmark == benchmark
            and row.variant in ("base", "instruct", "thinking", "unspecified")
        ]
        size = (parameters.active or parameters.total) if parameters else None
        if not rows or size is None or not model.release:
            continue
        found.append(
            SizedModel(
                model_id,
                model.name,
                size.value,
                statistics.median(rows),
                min(rows),
                max(rows),
                int(model.release[:4]),
            )
        )
    return tuple(sorted(found, key=lambda m: (m.active, -m.score)))


def best_so_far(found: Sequence[SizedModel]) -> list[SizedModel]:
    """Return the models that no smaller one equals: their scores rise with size."""
    kept: list[SizedModel] = []
    for model in found:
        if not kept or model.score > kept[-1].score:
            kept.append(model)
    return kept


def _size_to_reach(found: Sequence[SizedModel], score: float) -> float:
    return min((m.active for m in found if m.score >= score), default=math.inf)


def _alt(found: Sequence[SizedModel], benchmark: str, style: Style) -> str:
    old = [m for m in found if m.year < RECENT]
    best = max(old, key=lambda m: m.score, default=None) if old else None
    if best is None:
        return style.say(Text.of("alt_size_few", benchmark=benchmark, count=len(found)))
    smallest = _size_to_reach(found, best.score)
    by = next(m for m in found if m.active == smallest and m.score >= best.score)
    return style.say(
        Text.of(
            "alt_size",
            benchmark=benchmark,
            old=best.name,
            old_size=style.number(best.active / 1e9),
            score=f"{best.score:.1f}",
            new=by.name,
            new_size=style.number(by.active / 1e9),
        )
    )


def quality_size(found: Sequence[SizedModel], benchmark: str, style: Style) -> Chart:
    """Draw score over active parameters, log x, with the line of the best at each size."""
    import plotly.graph_objects as go

    figure = new_figure(
        style.say("axis_active"), style.say(Text.of("axis_score", benchmark=benchmark)), height=480
    )
    figure.update_xaxes(log_axis((m.active / 1e9 for m in found), style))
    line = best_so_far(found)
    figure.add_trace(
        go.Scatter(
            x=[m.active / 1e9 for m in line],
            y=[m.score for m in line],
            mode="lines",
            line_shape="hv",
            line={"color": BLACK, "width": 2},
            name=style.say("chart_best_at_size"),
        )
    )
    for key, symbol, colour, picked in (
        ("chart_before", "circle-open", ORANGE, [m for m in found if m.year < RECENT]),
        ("chart_since", "diamond", BLUE, [m for m in found if m.year >= RECENT]),
    ):
        figure.add_trace(
            go.Scatter(
                x=[m.active / 1e9 for m in picked],
                y=[m.score for m in picked],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [m.high - m.score for m in picked],
                    "arrayminus": [m.score - m.low for m in picked],
                    "thickness": 1,
                    "width": 0,
                },
                mode="markers",
                name=style.say(Text.of(key, year=RECENT)),
                text=[m.name for m in picked],
                marker={"symbol": symbol, "color": colour, "size": 9},
                hovertemplate="%{text}: %{x:.3g} → %{y:.1f}<extra></extra>",
            )
        )
    columns = tuple(style.say(k) for k in ("col_name", "axis_active", "col_score", "col_release"))
    rows = tuple((m.name, m.active / 1e9, m.score, str(m.year)) for m in found)
    return Chart(figure, _alt(found, benchmark, style), columns, rows)
