"""The report's claims, each with our verdict, the checks behind it, and what it corrects."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Literal

import streamlit as st

from advisor.catalogue.claims import claim_file, get_claim
from advisor.claims.answers import answer_all
from advisor.claims.result import Answer, Check
from advisor.report.claims import VERDICTS, claims_json
from advisor.report.numbers import significant
from advisor.ui.show import Cell, signed, table
from advisor.ui.view import View, current, plain

Code = Literal["en", "zh"]
_MARKS = {"true": ":green[●]", "partly": ":orange[◐]", "not": ":red[○]"}


@cache
def _answers(day: dt.date) -> tuple[Answer, ...]:
    return answer_all(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC))


def _row(check: Check, view: View) -> tuple[Cell, ...]:
    number = check.number
    known = number.low != number.high
    return (
        view.style.say(check.text),
        signed(number.value),
        f"{signed(number.low)} – {signed(number.high)}" if known else "–",
        f"{check.relation} {significant(check.threshold)}",
        view.style.say("check_holds" if check.holds else "check_fails"),
        view.style.say(f"name_{check.evidence}"),
    )


def _one(answer: Answer, view: View) -> None:
    """Draw one claim, closed: verdict and finding; open: what it rests on."""
    claim = get_claim(answer.number)
    lang: Code = "zh" if view.lang == "zh" else "en"
    verdict = view.say(VERDICTS[answer.verdict])
    head = f"{_MARKS[answer.verdict]} **{answer.number}. {verdict}** · {plain(claim.says.of(lang))}"
    with st.expander(head):
        st.markdown(view.say(answer.headline))
        keys = ("col_check", "col_value", "col_range", "col_needed", "col_outcome", "col_label")
        table(
            [view.style.say(k) for k in keys],
            [_row(check, view) for check in answer.checks],
            view.style.say(answer.headline),
            view.lang,
        )
        errors = [claim_file().error[number - 1] for number in claim.corrects]
        told = [("claim_assumes", both.of(lang)) for both in claim.assumes]
        told += [("claim_corrects", f"{e.wrong.of(lang)} → {e.right.of(lang)}") for e in errors]
        told += [("claim_sources", title) for title in answer.sources]
        colon = view.say("colon")
        st.markdown("\n".join(f"- {view.say(key)}{colon}{plain(text)}" for key, text in told))


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_claims"), anchor=False)
    lang: Code = "zh" if view.lang == "zh" else "en"
    file = claim_file()
    with st.spinner(view.say("ui_working")):
        answers = _answers(dt.date.today())
    st.markdown(view.say("claims_intro"))
    for column, (verdict, key) in zip(st.columns(3), VERDICTS.items(), strict=True):
        count = sum(a.verdict == verdict for a in answers)
        column.metric(view.say(key), f"{count} / {len(answers)}", border=True)
    for answer in answers:
        _one(answer, view)
    st.subheader(view.say("title_errors"), anchor=False)
    rows = [
        (str(e.number), e.place.of(lang), e.wrong.of(lang), e.right.of(lang)) for e in file.error
    ]
    keys = ("col_number", "col_place", "col_wrong", "col_right")
    table([view.style.say(k) for k in keys], rows, view.style.say("title_errors"), view.lang)
    st.download_button(
        view.say("ui_json"),
        claims_json(answers, lang),
        file_name="claims.json",
        mime="application/json",
        on_click="ignore",
    )


if __name__ == "__main__":
    show(current())
