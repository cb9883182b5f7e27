"""Figures of a recommendation as HTML that needs nothing from outside, for a brief."""

from __future__ import annotations

import html

from advisor.charts.chart import Chart, Money
from advisor.charts.cost_stack import cost_stack
from advisor.charts.pareto import pareto
from advisor.charts.tornado import tornado
from advisor.optimizer.result import Recommendation
from advisor.report.style import style


def charts_of(r: Recommendation, lang: str) -> list[Chart]:
    """Return the charts a brief shows; none if nothing fits."""
    if r.plan is None:
        return []
    words, money = style(lang), Money(r.currency, r.per_usd)
    found = [pareto(r, words, money), cost_stack(r, words, money)]
    if r.uncertainty is not None:
        found.append(tornado(r.uncertainty, r.plan.usd_per_month.value, words, money))
    return found


def figures_html(r: Recommendation, lang: str) -> str:
    """Return the charts with their findings; the first carries plotly's script for all."""
    parts = []
    for index, chart in enumerate(charts_of(r, lang)):
        chart.figure.update_layout(template="plotly_white")
        drawn = chart.figure.to_html(
            full_html=False, include_plotlyjs=index == 0, config={"displaylogo": False}
        )
        told = html.escape(chart.alt)
        parts.append(
            f'<figure style="margin:1rem 0" role="figure" aria-label="{told}">{drawn}'
            f"<figcaption>{told}</figcaption></figure>"
        )
    return "\n".join(parts)
