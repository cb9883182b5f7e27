"""Words and numbers for charts, in a language."""

from __future__ import annotations

from functools import partial

from advisor.charts.chart import Style
from advisor.report.locale import named, say
from advisor.report.numbers import count, significant, tick


def style(lang: str) -> Style:
    """Return how charts speak in a language."""
    return Style(
        say=partial(say, lang=lang),
        number=partial(significant, lang=lang),
        count=partial(count, lang=lang),
        tick=partial(tick, lang=lang),
        named=partial(named, lang=lang),
    )
