"""A recommendation on a terminal of 80 columns, in 24 lines where the plan leaves room."""

from __future__ import annotations

import math

from advisor.optimizer.result import Alternative, Deployment, Plan, Recommendation, Replay, WayOut
from advisor.report.blocks import COLUMNS, Block, fitted, listed, whole
from advisor.report.locale import named, say
from advisor.report.numbers import count, wrap
from advisor.report.recommend_verdict import verdict_sentence
from advisor.report.recommend_words import (
    TERMS,
    bill_words,
    flip_words,
    kind_words,
    latency_words,
    limit_words,
    money,
    score_words,
    title_of,
    tuned_words,
    user_words,
    value_words,
)
from advisor.schema.text import Text

LINES = 24
"""So many lines, unless the plan itself needs more."""


def recommend_text(rec: Recommendation, lang: str = "en") -> str:
    """Render a recommendation: verdict, plan, bill, limits, others, doubt, data.

    Plan, bill, limits and doubt are never cut; of the other rows as many as find room.
    """
    lines = [title_of(rec, lang), *wrap(verdict_sentence(rec, lang), COLUMNS), ""]
    blocks = _plan_blocks(rec, lang) if rec.plan else _impossible_blocks(rec, lang)
    data = _data(rec, lang)
    shown, dropped = fitted(blocks, LINES - len(lines) - 1)
    if dropped:
        data += say(Text.of("rec_more", rows=dropped), lang)
    return "\n".join([*lines, *shown, *whole(say("rec_data", lang), [data]).lines()])


def _plan_blocks(rec: Recommendation, lang: str) -> list[Block]:
    plan = rec.plan
    assert plan is not None
    blocks = [
        whole(say("rec_plan", lang), _plan_rows(plan, rec, lang)),
        whole(say("rec_bill", lang), [bill_words(plan, rec, lang)]),
        whole(say("rec_classes", lang), _class_rows(plan, lang)),
        listed(say("rec_others", lang), _other_rows(rec, lang)),
    ]
    if rec.binding:
        blocks.append(listed(say("rec_binding", lang), _binding_rows(rec, lang)))
    if rec.uncertainty:
        blocks.append(whole(say("rec_sure", lang), [_sure(rec, lang)]))
        flips = [flip_words(f, rec, lang) for f in rec.uncertainty.flips]
        if flips:
            blocks.append(listed(say("rec_flips", lang), flips))
    if rec.replays:
        blocks.append(whole(say("rec_replay", lang), [replay_words(rec.replays[0], rec, lang)]))
    return blocks


def _binding_rows(rec: Recommendation, lang: str) -> list[str]:
    return [
        say(
            Text.of(
                "rec_bind",
                name=limit_words(b.name, lang),
                saved=money(b.saved_usd_per_month, rec, lang),
            ),
            lang,
        )
        for b in rec.binding
    ]


def deployment_words(
    d: Deployment, rec: Recommendation, lang: str, key: str = "rec_deployment"
) -> str:
    """Return one deployment in a line; ``rec_pool`` leaves its engine out."""
    count_of = f"{d.part.devices_per_replica}x " if d.part.devices_per_replica > 1 else ""
    what = f"{d.part.model_name} @ {count_of}{d.part.hw_name} ({d.part.precision})"
    low, high = min(d.by_period), max(d.by_period)
    return say(
        Text.of(
            key,
            replicas=str(high) if low == high else f"{low}–{high}",
            what=what,
            terms=say(TERMS[d.terms], lang),
            engine=d.part.engine_name,
            used=f"{100 * d.utilisation:.0f}",
            price=money(d.usd_per_device_hour.value, rec, lang),
        ),
        lang,
    )


def share_words(percent: float) -> str:
    """Return a share in whole per cent; small ones are not nothing.

    >>> share_words(0.3), share_words(41.7)
    ('<1', '42')
    """
    return "<1" if 0 < percent < 1 else f"{percent:.0f}"


def _plan_rows(plan: Plan, rec: Recommendation, lang: str) -> list[str]:
    rows = [deployment_words(d, rec, lang, "rec_pool") for d in plan.deployments]
    month = sum(c.requests_per_month for c in plan.classes)
    for option in plan.options:
        if option.kind != "replicas":
            share = 100 * sum(s.requests_per_month for s in option.served) / month
            text = Text.of("rec_option_api", share=share_words(share), what=option.name)
            rows.append(say(text, lang))
        words = user_words(option, lang)
        rows += [words] if words else []
    used = {part.model_id for option in plan.options for part in option.parts}
    rows += [tuned_words(t, rec, lang) for t in rec.tuned if t.name in used]
    return rows


def _class_rows(plan: Plan, lang: str) -> list[str]:
    rows = []
    for row in plan.classes:
        checks = [latency_words(c, lang) for c in row.latency if c.limit_s is not None]
        parts = [score_words(row.quality, lang), *checks]
        rows.append(
            f"{named(row.name, lang)}{say('colon', lang)}{say('list_joint', lang).join(parts)}"
        )
    return rows


def _rank(a: Alternative) -> tuple[bool, float]:
    """One mid-size model first: a mix must be seen beside it. The others by cost."""
    return a.kind != "mid", math.inf if a.plan is None else a.plan.usd_per_month.value


def _other_rows(rec: Recommendation, lang: str) -> list[str]:
    assert rec.plan is not None
    rows = []
    for a in sorted(rec.alternatives, key=_rank):
        kind = kind_words(a.kind, lang)
        if a.plan is None:
            why = say(a.why, lang)
            rows.append(say(Text.of("rec_no_alternative", kind=kind, why=why), lang))
            continue
        usd = a.plan.usd_per_month.value
        rows.append(
            say(
                Text.of(
                    "rec_alternative",
                    kind=kind,
                    money=money(usd, rec, lang),
                    times=f"{usd / rec.plan.usd_per_month.value:.2f}",
                    what=" + ".join(named(o.name, lang) for o in a.plan.options),
                ),
                lang,
            )
        )
    return rows


def _sure(rec: Recommendation, lang: str) -> str:
    u = rec.uncertainty
    assert u is not None
    assert rec.plan is not None
    cheapest = u.probability_cheapest.get(rec.plan.kind, 0.0)
    return say(
        Text.of(
            "rec_sureness",
            cheapest=f"{100 * cheapest:.0f}",
            samples=u.samples,
            feasible=f"{100 * u.probability_feasible:.0f}",
            planned=f"{100 * u.probability_as_planned:.0f}",
            regret=money(u.regret_usd_per_month, rec, lang),
        ),
        lang,
    )


def replay_words(replay: Replay, rec: Recommendation, lang: str) -> str:
    """Return whether replay and plan agree."""
    last = replay.rounds[-1]
    if replay.agreed:
        return say(Text.of("rec_replay_ok", requests=count(last.requests, lang)), lang)
    if last.worst_over_limit > 1.0:
        return say(
            Text.of(
                "rec_replay_bad",
                rounds=len(replay.rounds),
                name=last.worst_class,
                over=f"{last.worst_over_limit:.2f}",
                metric=last.worst_metric.upper(),
            ),
            lang,
        )
    paid, planned = (
        money(last.usd_per_month, rec, lang),
        money(last.planned_usd_per_month, rec, lang),
    )
    return say(Text.of("rec_replay_cost", paid=paid, planned=planned), lang)


def way_words(way: WayOut, rec: Recommendation, lang: str) -> str:
    """Return the least change of a limit."""
    name = limit_words(way.name, lang)
    if way.value is None or way.usd_per_month is None:
        return say(Text.of("rec_no_way", name=name), lang)
    return say(
        Text.of(
            "rec_way",
            name=name,
            stated=value_words(way.stated, way.unit, rec, lang),
            value=value_words(way.value, way.unit, rec, lang),
            money=money(way.usd_per_month, rec, lang),
        ),
        lang,
    )


def _impossible_blocks(rec: Recommendation, lang: str) -> list[Block]:
    found = rec.infeasible
    ways = [way_words(w, rec, lang) for w in found.ways_out] if found else []
    reasons = [say(t, lang) for t in rec.excluded.values()]
    return [whole(say("rec_ways", lang), ways), listed(say("col_reason", lang), reasons)]


def _data(rec: Recommendation, lang: str) -> str:
    s = rec.searched
    found = Text.of(
        "rec_searched", models=s.models, devices=s.devices, layouts=count(s.layouts, lang)
    )
    dated = Text.of("rec_priced", date=str(rec.oldest_price))
    parts = [
        ", ".join(_engines(rec)),
        say(dated, lang) if rec.oldest_price else "",
        say(found, lang),
    ]
    return say("list_joint", lang).join(filter(None, parts))


def _engines(rec: Recommendation) -> list[str]:
    used = rec.plan.deployments if rec.plan else ()
    return sorted({d.part.engine_name for d in used})
