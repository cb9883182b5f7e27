"""Plans as tiles and tables."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from advisor.charts.chart import Money, latency_name, plan_name
from advisor.optimizer.parts import Part
from advisor.optimizer.result import (
    Alternative,
    LatencyCheck,
    Plan,
    QualityCheck,
    Recommendation,
)
from advisor.perf.intervals import Estimate
from advisor.report.recommend_text import share_words
from advisor.report.recommend_words import (
    TERMS,
    flip_words,
    limit_words,
    money,
    time_words,
    value_words,
)
from advisor.schema.text import Text
from advisor.ui import state
from advisor.ui.show import Cell, table, tile
from advisor.ui.view import View, plain

DOUBLE = 2.0
"""From so many times the cost on, the excess is told as a factor."""
MOST_FLIPS = 3


def money_of(r: Recommendation) -> Money:
    """Return the currency a recommendation is told in."""
    return Money(r.currency, r.per_usd)


def _span(e: Estimate, written: Callable[[float], str], view: View) -> str:
    label = view.style.say(f"name_{e.evidence}")
    if e.low80 == e.high80:
        return label
    return f"{written(e.low80)} – {written(e.high80)} · {label}"


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


def headline(r: Recommendation, plan: Plan, view: View) -> None:
    """Draw the four numbers of the answer: month, million tokens, latency, quality."""

    def amount(usd: float) -> str:
        return money(usd, r, view.lang)

    columns = st.columns(4)
    text = plan.usd_per_1000_characters
    each = ""
    if text is not None:
        each = " · " + view.style.say(Text.of("tile_per_text", money=amount(text.value)))
    costs = (("tile_month", plan.usd_per_month, ""), ("tile_mtok", plan.usd_per_mtok, each))
    for column, (name, cost, more) in zip(columns, costs, strict=False):
        with column:
            tile(name, amount(cost.value), _span(cost, amount, view) + more, cost, view)
    with columns[2]:
        _latency(plan, view)
    with columns[3]:
        _quality(plan, view)


def _latency(plan: Plan, view: View) -> None:
    check = tightest(plan)
    if check is None:
        tile("tile_latency", "–", view.style.say("tile_no_limit"), None, view)
        return
    name = Text.of(
        "tile_latency_of",
        name=latency_name(check.metric, view.style),
        percentile=f"{check.percentile:g}",
    )
    limit = view.style.say(Text.of("tile_against", limit=time_words(check.limit_s or 0.0)))
    below = f"{limit} · {_span(check.value_s, time_words, view)}"
    if check.replayed_s is not None:
        replayed = view.style.say(Text.of("tile_replayed", value=time_words(check.replayed_s)))
        below = f"{below} · {replayed}"
    tile(name, time_words(check.value_s.value), below, check.value_s, view)


def _quality(plan: Plan, view: View) -> None:
    check = nearest_floor(plan)
    if check.value is None:
        tile("tile_quality", "–", view.style.say("tile_no_score"), None, view)
        return
    against = Text("tile_no_floor")
    if check.floor is not None:
        against = Text.of("tile_floor", floor=_percent(check.floor))
    below = f"{view.style.say(against)} · {_span(check.value, _percent, view)}"
    name = Text.of("tile_quality_of", metric=check.metric)
    tile(name, _percent(check.value.value), below, check.value, view)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _over(times: float) -> str:
    """Return how much dearer, as people say it: +4 %, then × 8.3."""
    return f"{times - 1:+.0%}" if times < DOUBLE else f"× {times:,.1f}"


def _alternative_row(
    a: Alternative, best: Plan | None, paid: Money, view: View, name: str = ""
) -> tuple[Cell, ...]:
    say = view.style.say
    name = name or plan_name(a.kind, view.style)
    if a.plan is None:
        return (name, "–", "–", "–", say(a.why))
    over = "–"
    if best is not None and a.plan is not best and best.usd_per_month.value > 0:
        over = _over(a.plan.usd_per_month.value / best.usd_per_month.value)
    score = a.plan.quality.value
    return (
        name,
        paid.of(a.plan.usd_per_month.value),
        over,
        _percent(score.value) if score else "–",
        say(a.why),
    )


def _won(r: Recommendation, plan: Plan) -> Alternative:
    """Return the recommended plan, with how sure its floors are where that is a question."""
    why = Text("cell_recommended")
    if r.verdict is not None and r.verdict.as_planned is not None:
        why = Text.of("cell_recommended_sure", sure=f"{100 * r.verdict.as_planned:.0f}")
    return Alternative(plan.kind, plan, why)


def _safer_row(r: Recommendation, paid: Money, view: View) -> tuple[Cell, ...] | None:
    """Return the row of the plan with surer floors; None where there is none."""
    safer = r.safer
    if safer is None or safer.plan is None or safer.probability is None:
        return None
    name = Text.of("cell_safer", kind=plan_name(safer.plan.kind, view.style))
    why = Text.of("why_safer", sure=f"{100 * safer.probability:.0f}")
    row = Alternative(safer.plan.kind, safer.plan, why)
    return _alternative_row(row, r.plan, paid, view, view.style.say(name))


def alternatives(r: Recommendation, view: View) -> None:
    """Draw the best plan of every kind, and why it lost."""
    if not r.alternatives:
        return
    st.subheader(view.say("title_alternatives"), anchor=False)
    paid = money_of(r)
    rows = [_alternative_row(a, r.plan, paid, view) for a in r.alternatives]
    if r.plan is not None:
        others = [a for a in r.alternatives if a.kind != r.plan.kind]
        rows = [_alternative_row(a, r.plan, paid, view) for a in (_won(r, r.plan), *others)]
        safer = _safer_row(r, paid, view)
        rows[1:1] = [] if safer is None else [safer]
    columns = [
        view.style.say("col_plan"),
        view.style.say(Text.of("axis_money_month", currency=paid.code)),
        view.style.say("col_over_best"),
        view.style.say("col_quality"),
        view.style.say("col_why"),
    ]
    table(columns, rows, view.style.say("title_alternatives"), view.lang)


def _look(part: Part) -> None:
    """Show a model on its device on Why; callback."""
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
    table([say(k) for k in keys], rows, say("title_deployments"), view.lang)
    looks(plan, view)


def looks(plan: Plan, view: View) -> None:
    """Draw a button to the working of everything the plan runs."""
    row = st.container(horizontal=True)
    users = [o.parts[0] for o in plan.options if o.user is not None]
    parts = dict.fromkeys([*(d.part for d in plan.deployments), *users])
    for index, part in enumerate(parts):
        text = Text.of("ui_why_this", model=part.model_name, hw=part.hw_name)
        row.button(view.say(text), key=f"look_{index}", on_click=_look, args=(part,))


def flows(plan: Plan, view: View) -> None:
    """Draw which option serves how much of which class."""
    say = view.style.say
    served = [(s, o) for o in plan.options for s in o.served]
    classes = list(dict.fromkeys(c.name for c in plan.classes))
    served.sort(key=lambda one: (classes.index(one[0].class_name), -one[0].share_of_class))
    rows: list[tuple[Cell, ...]] = [
        (
            view.style.named(s.class_name),
            view.style.named(o.name),
            f"{share_words(100 * s.share_of_class)}%",
            view.style.count(s.requests_per_month),
        )
        for s, o in served
    ]
    if not rows:
        return
    st.subheader(view.say("title_flows"), anchor=False)
    keys = ("col_class_of_requests", "col_served_by", "col_share", "axis_requests_month")
    table([say(k) for k in keys], rows, say("title_flows"), view.lang)


def binding(r: Recommendation, view: View) -> None:
    """Draw the limits that cost money."""
    if not r.binding:
        return
    st.subheader(view.say("title_binding"), anchor=False)
    say, paid = view.style.say, money_of(r)

    def amount(value: float, unit: str) -> str:
        return f"{value:.0%}" if unit == "times" else value_words(value, unit, r, view.lang)

    rows: list[tuple[Cell, ...]] = [
        (
            limit_words(b.name, view.lang),
            amount(b.value, b.unit),
            amount(b.used, b.unit),
            paid.of(b.saved_usd_per_month),
        )
        for b in r.binding
    ]
    saved = view.style.say(Text.of("col_saved", currency=paid.code))
    keys = ("col_limit", "col_stated", "col_used")
    table([*(say(k) for k in keys), saved], rows, say("title_binding"), view.lang)


def doubts(r: Recommendation, view: View) -> None:
    """Draw how sure the answer is, what would flip it, and the way to all of it."""
    u = r.uncertainty
    if u is None or r.plan is None:
        return
    st.subheader(view.say("title_doubts"), anchor=False)
    text = Text.of(
        "ui_doubts",
        samples=u.samples,
        cheapest=f"{u.probability_cheapest.get(r.plan.kind, 0.0):.0%}",
        feasible=f"{u.probability_feasible:.0%}",
        planned=f"{u.probability_as_planned:.0%}",
    )
    flips = [plain(flip_words(f, r, view.lang)) for f in u.flips[:MOST_FLIPS]]
    st.markdown("\n".join(f"- {line}" for line in (view.say(text), *flips)))
    st.button(view.say("ui_more_doubts"), on_click=state.go_to, args=("sensitivity",))
