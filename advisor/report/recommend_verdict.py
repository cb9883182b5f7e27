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


def _impossible(rec: Recommendation, lang: str) -> Text:
    limits = rec.infeasible.limits if rec.infeasible else ()
    if not limits:
        return Text.of("verdict_nothing")
    mark = "、" if lang == "zh" else ", "
    return Text.of("verdict_none", limits=mark.join(limit_words(n, lang) for n in limits))


def verdict_sentence(rec: Recommendation, lang: str) -> str:
    """Return the one-sentence answer."""
    return say(verdict_text(rec, lang), lang)


SHAPES = {
    "money": r"[$¥€]\d[\d.,]*(?:[kMBT]|\xa0万|\xa0亿|\xa0万亿)?(?:e-?\d+)?",
    "times": r"[\d.]+",
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
        pattern = re.escape(words(lang)[key])
        pattern = re.sub(r"\\\{(\w+)\\\}", _group, pattern)
        # Between Chinese characters no blank stands (advisor/report/locale.py).
        pattern = pattern.replace("\\ ", " ?")
        match = re.fullmatch(pattern, sentence)
        if match:
            return {"key": key, **match.groupdict()}
    return {}
