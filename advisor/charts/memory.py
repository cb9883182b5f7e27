"""Memory of one device: what the model takes, and how many requests the rest holds."""

from __future__ import annotations

from advisor.charts.chart import BLUE, GREEN, IDLE, ORANGE, Chart, Style, new_figure
from advisor.estimator.result import EstimateResult
from advisor.schema.text import Text

GIB = 2.0**30


def _parts(r: EstimateResult) -> list[tuple[str, float, str]]:
    """Return key, GiB and colour of each part of one device's memory."""
    m = r.memory
    cache = m.kv_tokens.value * m.kv_bytes_per_token.value / r.layout.devices
    held = m.weights_bytes.value + m.workspace_bytes.value
    physical = m.physical_bytes.value
    cache = max(min(cache, physical - held), 0.0)
    parts = [
        ("part_weights", m.weights_bytes.value, BLUE),
        ("part_workspace", m.workspace_bytes.value, ORANGE),
        ("part_kv", cache, GREEN),
        ("part_left", max(physical - held - cache, 0.0), IDLE),
    ]
    return [(key, value / GIB, colour) for key, value, colour in parts]


def memory_bar(r: EstimateResult, style: Style) -> Chart:
    """Draw one stacked bar: weights, workspace, cache, left to the engine's margin."""
    import plotly.graph_objects as go

    parts = _parts(r)
    figure = new_figure(style.say("axis_gib"), "", height=210, barmode="stack")
    figure.update_yaxes(showticklabels=False)
    figure.update_layout(legend={"traceorder": "normal"})
    for key, size, colour in parts:
        name = style.say(key)
        figure.add_trace(
            go.Bar(
                x=[size],
                y=[""],
                orientation="h",
                name=name,
                marker={"color": colour, "line": {"color": "white", "width": 1}},
                hovertemplate=f"{name}: %{{x:.2f}} GiB<extra></extra>",
            )
        )
    physical = sum(size for _, size, _ in parts)
    alt = Text.of(
        "alt_memory",
        weights=style.number(parts[0][1]),
        physical=style.number(physical),
        share=f"{parts[0][1] / physical:.0%}",
        sequences=f"{r.memory.sequences.value:,.0f}",
    )
    rows = tuple((style.say(key), size, size / physical * 100) for key, size, _ in parts)
    columns = (style.say("col_part"), style.say("axis_gib"), style.say("col_percent"))
    return Chart(figure, style.say(alt), columns, rows)
