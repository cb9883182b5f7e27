"""A replay as figures: who waits, when the queue grows, where traffic and money go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.charts.chart import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    RED,
    SKY,
    Chart,
    Style,
    latency_name,
    log_axis,
    mark_x,
    new_figure,
)
from advisor.perf.roofline import Array
from advisor.schema.text import Text

PERCENTILES = (50.0, 95.0, 99.0)
MOST_POINTS = 400
_LOOKS = {"ttft": (BLUE, "solid"), "e2e": (RED, "dash"), "tpot": (ORANGE, "dot")}


def _thinned(values: Array) -> tuple[Array, Array]:
    """Return at most MOST_POINTS points of the distribution function; its ends are kept."""
    ordered = np.sort(np.asarray(values, dtype=float))
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    if len(ordered) <= MOST_POINTS:
        return ordered, share
    pick = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).round().astype(int))
    return ordered[pick], share[pick]


def latency_cdf(
    seconds: Mapping[str, Array], limits_s: Mapping[str, float], percentile: float, style: Style
) -> Chart:
    """Draw the distribution function of each latency, its limit, and the percentile that counts.

    Parameters
    ----------
    seconds
        ``ttft``, ``tpot`` or ``e2e`` → one time a request.
    limits_s
        Limits of those that have one.
    percentile
        Per cent of requests that must keep the limit.
    """
    import plotly.graph_objects as go

    figure = new_figure(style.say("axis_seconds"), style.say("axis_requests_percent"), height=420)
    known = [float(np.percentile(v, q)) for v in seconds.values() for q in (0.5, 100.0)]
    figure.update_xaxes(log_axis([*known, *limits_s.values()], style))
    rows = []
    for name, values in seconds.items():
        x, share = _thinned(values)
        colour, dash = _LOOKS[name]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=share * 100,
                mode="lines",
                line_shape="hv",
                name=latency_name(name, style),
                line={"color": colour, "dash": dash, "width": 2},
            )
        )
        marks = [float(np.percentile(values, q)) for q in PERCENTILES]
        limit = limits_s.get(name)
        if limit is not None:
            text = style.say(Text.of("chart_limit", name=latency_name(name, style)))
            mark_x(figure, limit, text, colour)
        rows.append((latency_name(name, style), *marks, "–" if limit is None else limit))
    figure.add_hline(
        y=percentile,
        line={"dash": "dot", "width": 1, "color": BLACK},
        annotation_text=f"p{percentile:g}",
        annotation_position="bottom left",
    )
    columns = (
        style.say("col_latency"),
        *(f"p{q:g}, s" for q in PERCENTILES),
        style.say("col_limit_s"),
    )
    return Chart(figure, _cdf_alt(seconds, limits_s, percentile, style), columns, tuple(rows))


def _cdf_alt(
    seconds: Mapping[str, Array], limits_s: Mapping[str, float], percentile: float, style: Style
) -> str:
    parts = []
    for name, values in seconds.items():
        at = float(np.percentile(values, percentile))
        limit = limits_s.get(name)
        key = "alt_cdf" if limit is None else ("alt_cdf_kept" if at <= limit else "alt_cdf_broken")
        given: dict[str, str | float] = {
            "name": latency_name(name, style),
            "percentile": f"{percentile:g}",
            "at": style.number(at),
        }
        if limit is not None:
            given["limit"] = style.number(limit)
        parts.append(style.say(Text.of(key, **given)))
    return style.say("sentence_joint").join(parts)


@dataclass(frozen=True)
class Timeline:
    """State of the fleet over time, ``(n,)`` each.

    ``kv_share``: of the KV blocks of the fullest tier, 0 to 1; ``kv_peak`` its highest, which
    may lie between two samples.
    """

    time_s: Array
    running: Array
    waiting: Array
    kv_share: Array
    kv_peak: float = 0.0


def queue_timeline(t: Timeline, style: Style) -> Chart:
    """Draw running and waiting requests stacked, and the cache's fill on a second axis."""
    import plotly.graph_objects as go

    minutes = np.asarray(t.time_s) / 60.0
    figure = new_figure(style.say("axis_minutes"), style.say("axis_requests"), height=420)
    figure.update_yaxes(rangemode="tozero")
    for key, values, colour in (
        ("series_running", t.running, BLUE),
        ("series_waiting", t.waiting, ORANGE),
    ):
        figure.add_trace(
            go.Scatter(
                x=minutes,
                y=values,
                mode="lines",
                stackgroup="requests",
                line={"color": colour, "width": 1},
                name=style.say(key),
            )
        )
    figure.add_trace(
        go.Scatter(
            x=minutes,
            y=np.asarray(t.kv_share) * 100,
            mode="lines",
            yaxis="y2",
            line={"color": GREEN, "dash": "dot", "width": 2},
            name=style.say("series_kv"),
        )
    )
    figure.update_layout(
        yaxis2={
            "title": {"text": style.say("axis_kv_percent")},
            "overlaying": "y",
            "side": "right",
            "range": [0, 105],
            "tickvals": [0, 25, 50, 75, 100],
            "showgrid": False,
            "automargin": True,
        }
    )
    peak = int(np.argmax(t.waiting)) if len(t.waiting) else 0
    alt = Text.of(
        "alt_timeline",
        waiting=style.count(float(t.waiting[peak])),
        minute=f"{float(minutes[peak]):.1f}",
        running=style.count(float(np.max(t.running))),
        kv=f"{max(float(np.max(t.kv_share)), t.kv_peak):.0%}",
    )
    pick = np.unique(np.linspace(0, len(minutes) - 1, min(len(minutes), 24)).round().astype(int))
    rows = tuple(
        (float(minutes[i]), float(t.running[i]), float(t.waiting[i]), float(t.kv_share[i]) * 100)
        for i in pick
    )
    keys = ("axis_minutes", "series_running", "series_waiting", "axis_kv_percent")
    return Chart(figure, style.say(alt), tuple(style.say(k) for k in keys), rows)


@dataclass(frozen=True)
class Flow:
    """Requests that went from one place to another."""

    source: str
    target: str
    requests: float


def sankey(flows: Sequence[Flow], style: Style) -> Chart:
    """Draw where requests go: classes, tiers, escalations; always read with its table."""
    import plotly.graph_objects as go

    flows = [Flow(style.named(f.source), style.named(f.target), f.requests) for f in flows]
    names = list(dict.fromkeys(n for f in flows for n in (f.source, f.target)))
    colours = (BLUE, ORANGE, GREEN, RED, SKY)
    figure = go.Figure(
        go.Sankey(
            node={
                "label": names,
                "color": [colours[i % len(colours)] for i in range(len(names))],
                "pad": 18,
            },
            link={
                "source": [names.index(f.source) for f in flows],
                "target": [names.index(f.target) for f in flows],
                "value": [f.requests for f in flows],
                "color": "rgba(127,127,127,0.2)",
            },
        )
    )
    figure.update_layout(height=320, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    first = {f.source for f in flows} - {f.target for f in flows}
    total = sum(f.requests for f in flows if f.source in first)
    largest = max(flows, key=lambda f: f.requests)
    alt = Text.of(
        "alt_sankey",
        source=largest.source,
        target=largest.target,
        share=f"{largest.requests / total:.0%}" if total else "–",
        total=style.count(total),
    )
    rows = tuple((f.source, f.target, f.requests, f.requests / total * 100) for f in flows)
    columns = tuple(style.say(k) for k in ("col_from", "col_to", "axis_requests", "col_percent"))
    return Chart(figure, style.say(alt), columns, rows)
