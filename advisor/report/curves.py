"""Fronts and break-even curves on a terminal."""

from __future__ import annotations

from advisor.optimizer.result import Front, PlanKind
from advisor.optimizer.result_curves import Breakeven, BreakevenPoint
from advisor.report.blocks import COLUMNS, cut
from advisor.report.locale import named, say
from advisor.report.numbers import amount, count, pad, wrap
from advisor.report.recommend_words import kind_words
from advisor.schema.text import Text

ROWS = 15
SHORT: dict[PlanKind, str] = {
    "mix": "short_mix",
    "small": "short_small",
    "mid": "short_mid",
    "large": "short_large",
    "api": "short_api",
    "device": "short_device",
}


def front_text(front: Front, title: str, lang: str = "en") -> str:
    """Render a front, cheapest plan first."""
    measure = say("front_quality" if front.measure == "quality" else "front_latency", lang)
    lines = wrap(say(Text.of("front_head", title=title, measure=measure), lang), COLUMNS)
    for step in front.steps:
        value = f"{step.measure:.3f}"
        row = pad(value, 10) + pad(f"${amount(step.usd_per_month)}", 12) + step.plan
        lines.append(cut(row, COLUMNS))
    return "\n".join(lines)


def breakeven_text(curve: Breakeven, title: str, lang: str = "en") -> str:
    """Render a break-even curve: a line a volume, a mark at the cheapest, flips below."""
    kinds = [k for k in _kinds(curve) if any(p.usd_per_month[k] is not None for p in curve.points)]
    lines = wrap(say(Text.of("even_head", title=title), lang), COLUMNS)
    names = "".join(pad(say(SHORT[k], lang), 12) for k in kinds)
    lines.append(cut(pad(say("even_requests", lang), 16) + names, COLUMNS))
    step = max(len(curve.points) // ROWS, 1)
    for point in curve.points[::step]:
        lines.append(
            cut(pad(count(point.requests_per_month, lang), 16) + _row(point, kinds, lang), COLUMNS)
        )
    for flip in curve.flips:
        kind = kind_words(flip.winner_kind, lang)
        text = Text.of(
            "even_flip", at=count(flip.at, lang), kind=kind, winner=named(flip.winner, lang)
        )
        lines.append(cut(say(text, lang), COLUMNS))
    if not curve.flips:
        lines.append(say("even_none", lang))
    return "\n".join(line.rstrip() for line in lines)


def _kinds(curve: Breakeven) -> list[PlanKind]:
    return list(curve.points[0].usd_per_month) if curve.points else []


def _row(point: BreakevenPoint, kinds: list[PlanKind], lang: str) -> str:
    cells = []
    for kind in kinds:
        usd = point.usd_per_month[kind]
        mark = "*" if kind == point.cheapest else ""
        cells.append(pad("–" if usd is None else amount(usd, lang) + mark, 12))
    return "".join(cells)
