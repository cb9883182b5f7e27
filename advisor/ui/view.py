"""What a page is given: the reader's language, what is asked, the data it stands on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache

import streamlit as st

from advisor.charts.chart import Style
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult
from advisor.estimator.run import estimate_point
from advisor.report.locale import say
from advisor.report.style import style
from advisor.schema.text import Text
from advisor.ui.asked import Asked

_KEY = "_view"
_MARKS = str.maketrans({c: "\\" + c for c in "\\`*_[]()<>#|~$:!"})


def plain(text: str) -> str:
    r"""Return a text in which Markdown, HTML and formulas stay characters.

    >>> plain("$5 <b>*x*</b>")
    '\\$5 \\<b\\>\\*x\\*\\</b\\>'
    """
    return text.translate(_MARKS)


@dataclass(frozen=True)
class View:
    """One viewer's page run; ``overlay`` is the folder of the viewer's own measurements."""

    lang: str
    asked: Asked
    data: str
    overlay: str | None = None

    def say(self, text: Text | str) -> str:
        """Put a message into the viewer's language, safe for Markdown."""
        return plain(say(text, self.lang))

    @property
    def style(self) -> Style:
        """Return how charts speak."""
        return style(self.lang)


@lru_cache(maxsize=256)
def _estimate(request: EstimateRequest, today: dt.date) -> EstimateResult:
    return estimate_point(request, today)


def estimated(view: View) -> EstimateResult:
    """Return the estimate Why shows; the same question of the same day is answered once."""
    request = replace(view.asked.request, overlay=view.overlay)
    return _estimate(request, dt.date.today())


def keep(view: View) -> None:
    """Hand the view to the page that runs next."""
    st.session_state[_KEY] = view


def current() -> View:
    """Return the view of this run."""
    view: View = st.session_state[_KEY]
    return view
