"""The one-sentence answer, made from the result alone, and the way back from it."""

from __future__ import annotations

import re

from advisor.optimizer.result import Recommendation
from advisor.report.locale import say, words
from advisor.report.recommend_words import kind_words, limit_words, money
from advisor.schema.text import Text


def verdict_text(rec: Recommendation, lang: str) -> Text:
    """Return the sentence as a message: every parameter comes from the result."""
    v = rec.verdict
    if v is None:
        return _impossible(rec, lang)
    kind = kind_words(v.winner_kind, lang)
    cost = money(v.usd_per_month, rec, lang)
    if v.runner_kind is None or v.runner_over_winner is None:
        return Text.of("verdict_alone", kind=kind, winner=v.winner, money=cost)
    return Text.of(
        "verdict_runner",
        kind=kind,
        winner=v.winner,
        money=cost,
        other=kind_words(v.runner_kind, lang),
        times=f"{v.runner_over_winner:.2f}",
        runner=v.runner,
    )


def safer_text(rec: Recommendation, lang: str) -> Text | None:
    """Return how sure the floors are and what surer ones cost; None where that is no question."""
    v, safer = rec.verdict, rec.safer
    if v is None or safer is None or v.as_planned is None:
        return None
    now = f"{100 * v.as_planned:.0f}"
    if v.safer_usd_per_month is None or v.safer_probability is None:
        return Text.of("verdict_no_safer", now=now, wanted=f"{100 * safer.wanted:.0f}")
    return Text.of(
        "verdict_safer",
        now=now,
        safer=v.safer,
        sure=f"{100 * v.safer_probability:.0f}",
        more=money(v.safer_usd_per_month, rec, lang),
    )


def _impossible(rec: Recommendation, lang: str) -> Text:
    limits = rec.infeasible.limits if rec.infeasible else ()
    if not limits:
        return Text.of("verdict_nothing")
    mark = "、" if lang == "zh" else ", "
    return Text.of("verdict_none", limits=mark.join(limit_words(n, lang) for n in limits))


def verdict_sentence(rec: Recommendation, lang: str) -> str:
    """Return the one-sentence answer, and where floors are unsure how sure they are."""
    safer = safer_text(rec, lang)
    answer = say(verdict_text(rec, lang), lang)
    return answer if safer is None else answer + _space(lang) + say(safer, lang)


def _space(lang: str) -> str:
    return "" if lang == "zh" else " "


_MONEY = r"[$¥€]\d[\d.,]*(?:[kMBT]|\xa0万|\xa0亿|\xa0万亿)?"
SHAPES = {
    "money": _MONEY,
    "more": _MONEY,
    "times": r"[\d.]+",
    "now": r"\d+",
    "sure": r"\d+",
    "wanted": r"\d+",
}
"""What a part of the sentence may look like; any text where left out."""


def _group(match: re.Match[str]) -> str:
    name = match.group(1)
    return f"(?P<{name}>{SHAPES.get(name, '.+?')})"


def parse_verdict(sentence: str, lang: str) -> dict[str, str]:
    """Read a verdict sentence back into its parts; empty if it is none.

    The proof that a sentence says nothing the result doesn't: its parts must match.
    """
    for key in ("verdict_runner", "verdict_alone", "verdict_none", "verdict_nothing"):
        for second in ("verdict_safer", "verdict_no_safer", ""):
            keys = [k for k in (key, second) if k]
            pattern = _space(lang).join(re.escape(words(lang)[k]) for k in keys)
            pattern = re.sub(r"\\\{(\w+)\\\}", _group, pattern)
            # Between Chinese characters no blank stands (advisor/report/locale.py).
            pattern = pattern.replace("\\ ", " ?")
            match = re.fullmatch(pattern, sentence)
            if match:
                return {"key": key, "second": second, **match.groupdict()}
    return {}
