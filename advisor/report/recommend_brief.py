"""A recommendation to carry away: the same sections as Markdown and as one HTML file."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from advisor.optimizer.result import Plan, Recommendation
from advisor.perf.intervals import Estimate
from advisor.report.locale import named, say
from advisor.report.numbers import gib, significant
from advisor.report.recommend_text import deployment_words, replay_words, way_words
from advisor.report.recommend_verdict import verdict_sentence
from advisor.report.recommend_words import (
    LINES,
    METHODS,
    bill_words,
    flip_words,
    gain_words,
    kind_words,
    money,
    score_words,
    time_words,
    title_of,
)
from advisor.schema.text import Text

MOST_EXCLUDED = 60


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, a list and a table, any of them empty."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def sections_of(rec: Recommendation, lang: str, command: str) -> list[Section]:
    """Return the sections of a brief, in reading order."""
    found = [Section(say("brief_answer", lang), paragraphs=[verdict_sentence(rec, lang)])]
    if rec.plan:
        found += _plan_sections(rec, rec.plan, lang)
    elif rec.infeasible:
        ways = [way_words(w, rec, lang) for w in rec.infeasible.ways_out]
        found.append(Section(say("rec_ways", lang), items=ways))
    found += _doubt_sections(rec, lang)
    excluded = [say(t, lang) for t in list(rec.excluded.values())[:MOST_EXCLUDED]]
    found.append(Section(say("brief_excluded", lang), items=excluded))
    stated = [say(t, lang) for t in (*rec.assumptions, *rec.warnings)]
    found.append(Section(say("brief_assumptions", lang), items=stated))
    data = [f"{k}: {v}" for k, v in sorted(rec.data.items())]
    data.append(f"{say('brief_command', lang)}: {command}")
    found.append(Section(say("brief_data", lang), items=data))
    return [s for s in found if s.paragraphs or s.items or s.rows]


def _plan_sections(rec: Recommendation, plan: Plan, lang: str) -> list[Section]:
    deployments = [deployment_words(d, rec, lang) for d in plan.deployments]
    options = [named(o.name, lang) for o in plan.options]
    replays = [replay_words(r, rec, lang) for r in rec.replays[:1]]
    return [
        Section(say("brief_plan", lang), items=[*options, *deployments, *replays]),
        _bill(rec, plan, lang),
        users_section(plan, rec, lang),
        gains_section(rec, lang),
        tuned_section(rec, lang),
        _classes(plan, lang),
        _others(rec, lang),
    ]


def _bill(rec: Recommendation, plan: Plan, lang: str) -> Section:
    names = ("col_what", "col_month", "col_range", "col_evidence", "col_because")
    rows = [
        [
            " ".join(dict.fromkeys(filter(None, (say(LINES[x.kind], lang), named(x.what, lang))))),
            money(x.usd_per_month.value, rec, lang),
            f"{money(x.usd_per_month.low80, rec, lang)}–{money(x.usd_per_month.high80, rec, lang)}",
            say(f"name_{x.usd_per_month.evidence}", lang),
            say(x.usd_per_month.because, lang),
        ]
        for x in plan.lines
    ]
    return Section(
        say("brief_bill", lang),
        paragraphs=[bill_words(plan, rec, lang)],
        head=[say(n, lang) for n in names],
        rows=rows,
    )


def users_section(plan: Plan, rec: Recommendation, lang: str) -> Section:
    """Return what the plan takes of users' devices: a bill of its own."""
    names = ("col_what", "col_per_request", "col_per_day", "col_app", "col_support")
    rows = []
    for option in plan.options:
        user = option.user
        if user is None:
            continue
        each = [
            f"{significant(user.joules_per_request.value)} J" if user.joules_per_request else "",
            money(user.usd_per_request.value, rec, lang) if user.usd_per_request else "",
        ]
        day = user.charge_share_per_day
        holds = user.phones_that_hold
        rows.append(
            [
                named(option.name, lang),
                ", ".join(x for x in each if x),
                f"{_percent(day)} {say('rec_charge', lang)}" if day else "",
                f"{gib(user.download_bytes)} GiB, {gib(user.memory_bytes)} GiB",
                f"{_percent(user.support_share)}; {_percent(holds) if holds else '–'}",
            ]
        )
    return Section(say("brief_users", lang), head=[say(n, lang) for n in names], rows=rows)


def gains_section(rec: Recommendation, lang: str) -> Section:
    """Return what fine-tuning costs, beside the scores before and after it."""
    names = ("col_what", "col_tuned_by", "col_once", "col_month", "col_gain", "col_rests_on")
    rows = [
        [
            t.name,
            say(
                Text.of(
                    "tuned_by",
                    method=say(METHODS[t.method], lang),
                    hours=significant(t.device_hours.value),
                    device=t.hw_name,
                ),
                lang,
            ),
            _range(t.usd_once, rec, lang),
            _range(t.usd_per_month, rec, lang),
            gain_words(gain, lang),
            gain.source,
        ]
        for t in rec.tuned
        for gain in t.gains
    ]
    return Section(say("brief_tuned", lang), head=[say(n, lang) for n in names], rows=rows)


def tuned_section(rec: Recommendation, lang: str) -> Section:
    """Return what tuned models cost to make, beside all weights and a model from nothing."""
    names = ("col_what", "col_once", "col_month", "col_full", "col_anew")
    rows = [
        [
            t.name,
            _range(t.usd_once, rec, lang),
            _range(t.usd_per_month, rec, lang),
            _range(t.full_usd, rec, lang),
            _range(t.pretraining_usd, rec, lang),
        ]
        for t in rec.tuned
    ]
    return Section(say("brief_tuned_other", lang), head=[say(n, lang) for n in names], rows=rows)


def _range(e: Estimate, rec: Recommendation, lang: str) -> str:
    return f"{money(e.value, rec, lang)} ({money(e.low80, rec, lang)}–{money(e.high80, rec, lang)})"


def _percent(e: Estimate) -> str:
    low, high = (significant(100 * x) for x in (e.low80, e.high80))
    value = significant(100 * e.value)
    return f"{value} %" if low == high else f"{value} % ({low}–{high})"


def _classes(plan: Plan, lang: str) -> Section:
    names = ("col_class", "col_what", "col_planned", "col_replayed", "col_limit", "col_evidence")
    rows = []
    for row in plan.classes:
        quality = row.quality
        label = say(f"name_{quality.value.evidence}", lang) if quality.value else ""
        floor = "" if quality.floor is None else f"≥ {quality.floor:g}"
        rows.append(
            [named(row.name, lang), quality.metric, score_words(quality, lang), "", floor, label]
        )
        for check in row.latency:
            e = check.value_s
            rows.append(
                [
                    named(row.name, lang),
                    f"{check.metric.upper()} p{check.percentile:g}",
                    f"{time_words(e.value)} ({time_words(e.low80)}–{time_words(e.high80)})",
                    "" if check.replayed_s is None else time_words(check.replayed_s),
                    "" if check.limit_s is None else f"≤ {time_words(check.limit_s)}",
                    say(f"name_{e.evidence}", lang),
                ]
            )
    return Section(say("brief_classes", lang), head=[say(n, lang) for n in names], rows=rows)


def _others(rec: Recommendation, lang: str) -> Section:
    names = ("col_kind", "col_month", "col_what", "col_reason")
    rows = [
        [
            kind_words(a.kind, lang),
            money(a.plan.usd_per_month.value, rec, lang) if a.plan else "",
            " + ".join(named(o.name, lang) for o in a.plan.options) if a.plan else "",
            say(a.why, lang),
        ]
        for a in rec.alternatives
    ]
    return Section(say("brief_others", lang), head=[say(n, lang) for n in names], rows=rows)


def _doubt_sections(rec: Recommendation, lang: str) -> list[Section]:
    u = rec.uncertainty
    if u is None:
        return []
    sure = [
        f"{kind_words(k, lang)}: {100 * p:.0f} %"
        for k, p in sorted(u.probability_cheapest.items(), key=lambda x: -x[1])
    ]
    kept = f"{100 * u.probability_feasible:.0f}"
    planned = f"{100 * u.probability_as_planned:.0f}"
    sure.append(say(Text.of("brief_planned", feasible=kept, planned=planned), lang))
    v = rec.verdict
    if v is not None and v.safer_usd_per_month is not None:
        more = money(v.safer_usd_per_month, rec, lang)
        sure.append(say(Text.of("brief_safer", safer=v.safer, more=more), lang))
    names = [say(n, lang) for n in ("col_what", "col_low", "col_high")]
    bars = [
        [
            say(b.what, lang),
            money(b.low_usd_per_month, rec, lang),
            money(b.high_usd_per_month, rec, lang),
        ]
        for b in u.tornado
    ]
    found = [
        Section(say("brief_sure", lang), items=sure),
        Section(say("brief_tornado", lang), head=names, rows=bars),
        Section(say("brief_flips", lang), items=[flip_words(f, rec, lang) for f in u.flips]),
    ]
    for front in rec.fronts:
        quality = front.measure == "quality"
        title = say("brief_front_quality" if quality else "brief_front_latency", lang)
        column = say("col_score" if quality else "col_seconds", lang)
        rows = [
            [f"{s.measure:.3f}", money(s.usd_per_month, rec, lang), named(s.plan, lang)]
            for s in front.steps
        ]
        head = [column, say("col_month", lang), say("col_what", lang)]
        found.append(Section(title, head=head, rows=rows))
    return found


def brief_markdown(rec: Recommendation, lang: str, command: str) -> str:
    """Return a brief as Markdown."""
    lines = [f"# {title_of(rec, lang)}", ""]
    for s in sections_of(rec, lang, command):
        lines += [f"## {s.title}", ""]
        for text in s.paragraphs:
            lines += [text, ""]
        if s.items:
            lines += [*(f"- {x}" for x in s.items), ""]
        if s.rows:
            lines += [_row(s.head), _row(["---"] * len(s.head)), *map(_row, s.rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


STYLE = (
    "body{font:16px/1.5 system-ui,'Noto Sans SC',sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;width:100%;font-size:14px;display:block;overflow-x:auto}"
    "td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2rem;break-after:avoid}"
    "@media print{body{margin:0;max-width:none}figure,tr{break-inside:avoid}}"
)


def brief_html(rec: Recommendation, lang: str, command: str, figures: str = "") -> str:
    """Return a brief as one HTML file without anything from outside.

    Parameters
    ----------
    figures
        Ready HTML put below the answer.
    """
    title = html.escape(title_of(rec, lang))
    code = "zh-CN" if lang == "zh" else "en"
    body = [f"<h1>{title}</h1>"]
    for index, s in enumerate(sections_of(rec, lang, command)):
        body.append(f"<h2>{html.escape(s.title)}</h2>")
        body += [f"<p>{html.escape(x)}</p>" for x in s.paragraphs]
        if s.items:
            body.append("<ul>" + "".join(f"<li>{html.escape(x)}</li>" for x in s.items) + "</ul>")
        if s.rows:
            body.append(_html_table(s))
        if index == 0 and figures:
            body.append(figures)
    return (
        f'<!doctype html>\n<html lang="{code}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _html_table(s: Section) -> str:
    head = "".join(f"<th>{html.escape(x)}</th>" for x in s.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(x)}</td>" for x in row) + "</tr>" for row in s.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
