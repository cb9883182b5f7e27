"""Roofline: whether memory or arithmetic decides the scenario's steps."""

from __future__ import annotations

from advisor.charts.chart import BLACK, BLUE, RED, Chart, Style, log_axis, new_figure
from advisor.charts.workings import StepPoint, Workings, roof
from advisor.schema.text import Text

_SHAPES = {"decode": ("circle", BLUE), "prefill": ("square", RED)}
TERA, MILLI = 1e12, 1e-3


def _roofs(style: Style, w: Workings) -> list[tuple[str, str, float, float]]:
    return [
        (style.say("chart_roof_datasheet"), "solid", w.peak_flops_per_s, w.bytes_per_s),
        (style.say("chart_roof_reached"), "dash", w.reached_flops_per_s, w.reached_bytes_per_s),
    ]


def _alt(style: Style, w: Workings) -> str:
    ridge = w.reached_flops_per_s / w.reached_bytes_per_s
    decode = [p for p in w.points if p.phase == "decode"]
    bound = [p.batch for p in decode if p.flops_per_byte < ridge]
    prefill = next(p for p in w.points if p.phase == "prefill")
    side = "memory" if prefill.flops_per_byte < ridge else "compute"
    key = "alt_roofline" if bound else "alt_roofline_none"
    values: dict[str, str | int] = {"ridge": style.number(ridge), "prefill": side}
    if bound:
        values["batch"] = max(bound)
    return style.say(Text.of(key, **values))


def roofline(w: Workings, style: Style) -> Chart:
    """Draw both roofs and every step point, log-log; axes per device."""
    import plotly.graph_objects as go

    low = min(p.flops_per_byte for p in w.points) / 3
    high = max(*(p.flops_per_byte for p in w.points), w.peak_flops_per_s / w.bytes_per_s) * 3
    figure = new_figure(style.say("axis_intensity"), style.say("axis_tflops"), height=420)
    figure.update_xaxes(log_axis((low, high), style))
    rates = [p.flops_per_s / TERA for p in w.points]
    figure.update_yaxes(log_axis((min(rates), w.peak_flops_per_s / TERA), style))
    for name, dash, peak, rate in _roofs(style, w):
        x, y = roof(peak, rate, low, high)
        line = {"color": BLACK, "dash": dash, "width": 2}
        scaled = [v / TERA for v in y]
        figure.add_trace(go.Scatter(x=x, y=scaled, mode="lines", name=name, line=line))
    for phase, (shape, colour) in _SHAPES.items():
        points = [p for p in w.points if p.phase == phase]
        figure.add_trace(
            go.Scatter(
                x=[p.flops_per_byte for p in points],
                y=[p.flops_per_s / TERA for p in points],
                mode="markers+text",
                name=style.say(f"name_{phase}"),
                text=[_label(p, style) for p in points],
                textposition=_sides(points),
                marker={"symbol": shape, "color": colour, "size": 11},
            )
        )
    columns = tuple(
        style.say(key)
        for key in ("col_phase", "col_batch", "axis_intensity", "axis_tflops", "col_step_ms")
    )
    return Chart(figure, _alt(style, w), columns, tuple(_row(p, style) for p in w.points))


CROWDED = 1.5
"""Points closer than this factor would write their names over each other."""


def _sides(points: list[StepPoint]) -> list[str]:
    """Return where each point's name stands: below, or beside if the point before is near."""
    x = [p.flops_per_byte for p in points]
    near = [i > 0 and x[i] < CROWDED * x[i - 1] for i in range(len(x))]
    return ["middle right" if crowded else "bottom right" for crowded in near]


def _label(p: StepPoint, style: Style) -> str:
    return style.say(Text.of("chart_batch", batch=p.batch)) if p.phase == "decode" else ""


def _row(p: StepPoint, style: Style) -> tuple[str | float, ...]:
    name = style.say("name_decode" if p.phase == "decode" else "name_prefill")
    return (name, p.batch, p.flops_per_byte, p.flops_per_s / TERA, p.seconds / MILLI)
