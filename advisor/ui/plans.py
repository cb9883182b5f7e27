"""Plans as tiles and tables."""

from __future__ import annotations

import streamlit as st

from advisor.charts.chart import Money, latency_name, plan_name
from advisor.optimizer.result import (
    Alternative,
    Deployment,
    LatencyCheck,
    Plan,
    QualityCheck,
    Recommendation,
)
from advisor.perf.intervals import Estimate
from advisor.report.numbers import seconds, significant
from advisor.report.recommend_words import TERMS, limit_words, value_words
from advisor.schema.text import Text
from advisor.ui import state
from advisor.ui.show import Cell, table, tile
from advisor.ui.view import View


def money_of(r: Recommendation) -> Money:
    """Return the currency a recommendation is told in."""
    return Money(r.currency, r.per_usd)


def _amount(e: Estimate, money: Money) -> str:
    return f"{significant(money.of(e.value))} {money.code}"


def _span(e: Estimate, scale: float, view: View) -> str:
    label = view.style.say(f"name_{e.evidence}")
    if e.low80 == e.high80:
        return label
    return f"{significant(e.low80 * scale)} – {significant(e.high80 * scale)} · {label}"


def tightest(plan: Plan) -> LatencyCheck | None:
    """Return the latency check nearest to its limit, or beyond it; None without limits."""
    checks = [c for one in plan.classes for c in one.latency if c.limit_s]
    return max(checks, key=lambda c: c.value_s.value / (c.limit_s or 1.0), default=None)


def nearest_floor(plan: Plan) -> QualityCheck:
    """Return the quality check nearest to its floor, or below it; without floors the plan's."""
    checks = [c.quality for c in plan.classes if c.quality.floor and c.quality.value]
    if plan.quality.floor and plan.quality.value:
        checks.append(plan.quality)
    return min(
        checks,
        key=lambda c: (c.value.value if c.value else 0.0) - (c.floor or 0.0),
        default=plan.quality,
    )


def _time(value_s: float) -> str:
    value, unit = seconds(value_s)
    return f"{significant(value)} {unit}"


def headline(r: Recommendation, plan: Plan, view: View) -> None:
    """Draw the four numbers of the answer: month, million tokens, latency, quality."""
    money = money_of(r)
    columns = st.columns(4)
    with columns[0]:
        cost = plan.usd_per_month
        tile("tile_month", _amount(cost, money), _span(cost, money.per_usd, view), cost, view)
    with columns[1]:
        cost = plan.usd_per_mtok
        tile("tile_mtok", _amount(cost, money), _span(cost, money.per_usd, view), cost, view)
    with columns[2]:
        check = tightest(plan)
        if check is None:
            tile("tile_latency", "–", view.style.say("tile_no_limit"), None, view)
        else:
            name = Text.of(
                "tile_latency_of",
                name=latency_name(check.metric, view.style),
                percentile=f"{check.percentile:g}",
            )
            limit = Text.of("tile_against", limit=_time(check.limit_s or 0.0))
            tile(name, _time(check.value_s.value), view.style.say(limit), check.value_s, view)
    with columns[3]:
        quality = nearest_floor(plan)
        if quality.value is None:
            tile("tile_quality", "–", view.style.say("tile_no_score"), None, view)
        else:
            against = (
                Text.of("tile_floor", floor=f"{quality.floor:.1%}")
                if quality.floor is not None
                else Text("tile_no_floor")
            )
            name = Text.of("tile_quality_of", metric=quality.metric)
            shown = f"{quality.value.value:.1%}"
            tile(name, shown, view.style.say(against), quality.value, view)


def _alternative_row(
    a: Alternative, best: Plan | None, money: Money, view: View
) -> tuple[Cell, ...]:
    say = view.style.say
    if a.plan is None:
        return (plan_name(a.kind, view.style), "–", "–", "–", say(a.why))
    over = "–"
    if best is not None and a.plan is not best and best.usd_per_month.value > 0:
        over = f"{a.plan.usd_per_month.value / best.usd_per_month.value - 1:+.0%}"
    score = a.plan.quality.value
    return (
        plan_name(a.kind, view.style),
        money.of(a.plan.usd_per_month.value),
        over,
        f"{score.value:.1%}" if score else "–",
        say(a.why),
    )


def alternatives(r: Recommendation, view: View) -> None:
    """Draw the best plan of every kind, and why it lost."""
    st.subheader(view.say("title_alternatives"), anchor=False)
    money = money_of(r)
    rows = [_alternative_row(a, r.plan, money, view) for a in r.alternatives]
    if r.plan is not None:
        won = Alternative(r.plan.kind, r.plan, Text("cell_recommended"))
        others = [a for a in r.alternatives if a.kind != r.plan.kind]
        rows = [_alternative_row(a, r.plan, money, view) for a in (won, *others)]
    columns = [
        view.style.say("col_plan"),
        view.style.say(Text.of("axis_money_month", currency=money.code)),
        view.style.say("col_over_best"),
        view.style.say("col_quality"),
        view.style.say("col_why"),
    ]
    table(columns, rows, view.style.say("title_alternatives"))


def _look(d: Deployment) -> None:
    """Show one deployment on Why; callback."""
    part = d.part
    state.change(
        model=part.model_id,
        hw=part.hw_id,
        engine=part.engine_id,
        precision=part.precision,
        count=None,
        tp=None,
        concurrency=None,
        rps=None,
    )
    state.go_to("why")


def deployments(plan: Plan, view: View) -> None:
    """Draw what the plan keeps running, each with a way to its working."""
    if not plan.deployments:
        return
    st.subheader(view.say("title_deployments"), anchor=False)
    say = view.style.say
    rows: list[tuple[Cell, ...]] = [
        (
            d.part.model_name,
            f"{d.devices} × {d.part.hw_name}",
            f"{d.part.engine_name} · {d.part.precision} · {d.part.layout}",
            view.style.say(TERMS[d.terms]),
            f"{d.utilisation:.0%}",
        )
        for d in plan.deployments
    ]
    keys = ("field_model", "col_devices", "col_setup", "col_terms", "col_utilisation")
    table([say(k) for k in keys], rows, say("title_deployments"))
    for index, d in enumerate(plan.deployments):
        text = Text.of("ui_why_this", model=d.part.model_name, hw=d.part.hw_name)
        st.button(view.say(text), key=f"look_{index}", on_click=_look, args=(d,))


def flows(plan: Plan, view: View) -> None:
    """Draw which option serves how much of which class."""
    say = view.style.say
    rows: list[tuple[Cell, ...]] = [
        (s.class_name, o.name, f"{s.share_of_class:.0%}", s.requests_per_month)
        for o in plan.options
        for s in o.served
    ]
    if not rows:
        return
    st.subheader(view.say("title_flows"), anchor=False)
    keys = ("col_class_of_requests", "col_served_by", "col_share", "axis_requests_month")
    table([say(k) for k in keys], rows, say("title_flows"))


def binding(r: Recommendation, view: View) -> None:
    """Draw the limits that cost money."""
    if not r.binding:
        return
    st.subheader(view.say("title_binding"), anchor=False)
    say, money = view.style.say, money_of(r)
    rows: list[tuple[Cell, ...]] = [
        (
            limit_words(b.name, view.lang),
            value_words(b.value, b.unit, r),
            value_words(b.used, b.unit, r),
            money.of(b.saved_usd_per_month),
        )
        for b in r.binding
    ]
    saved = view.style.say(Text.of("col_saved", currency=money.code))
    keys = ("col_limit", "col_stated", "col_used")
    table([*(say(k) for k in keys), saved], rows, say("title_binding"))
