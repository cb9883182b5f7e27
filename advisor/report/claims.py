"""Answers to the report's claims as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import advisor
from advisor.catalogue.claims import claim_file, get_claim
from advisor.catalogue.data_version import claims_version
from advisor.claims.result import Answer, Check, Verdict, held
from advisor.report.estimate_json import SCHEMA
from advisor.report.locale import say, words
from advisor.report.numbers import pad, significant, wrap
from advisor.schema.text import Text

COLUMNS = 80
Code = Literal["en", "zh"]
VERDICTS: dict[Verdict, str] = {
    "true": "verdict_true",
    "partly": "verdict_partly",
    "not": "verdict_not",
}


def _verdict(answer: Answer, lang: Code) -> str:
    return words(lang)[VERDICTS[answer.verdict]]


def claims_text(answers: Sequence[Answer], lang: Code) -> str:
    """Render all answers, one line of at most 80 columns each."""
    lines = [say(Text.of("claims_head", count=len(answers)), lang)]
    for answer in answers:
        head = pad(f"{answer.number:>2} {_verdict(answer, lang)}", 10)
        lines.append(head + say(answer.headline, lang))
    return "\n".join([*lines, say("claims_legend", lang), say("claims_legend_errors", lang)])


def _number(value: float) -> str:
    return f"-{significant(-value)}" if value < 0 else significant(value)


def _check_lines(check: Check, lang: Code) -> list[str]:
    mark = ("+" if check.holds else "-") + (" " if check.sure else "?")
    parts = [
        f"{say(check.text, lang)} = {_number(check.number.value)}",
        say(
            Text.of("claim_need", relation=check.relation, threshold=_number(check.threshold)),
            lang,
        ),
    ]
    if check.number.low != check.number.high:
        low, high = _number(check.number.low), _number(check.number.high)
        parts.append(say(Text.of("claim_range", low=low, high=high), lang))
    if check.parts:
        one, other = (_number(part) for part in check.parts)
        parts.append(say(Text.of("claim_parts", one=one, other=other), lang))
    return wrap(f"{mark} " + words(lang)["claim_join"].join(parts), COLUMNS, "   ")


def claim_text(answer: Answer, lang: Code) -> str:
    """Render one answer with its checks, assumptions, corrections and sources."""
    claim, file = get_claim(answer.number), claim_file()
    headline = Text.of(
        "claim_verdict",
        verdict=_verdict(answer, lang),
        held=held(answer.checks),
        count=len(answer.checks),
        headline=say(answer.headline, lang),
    )
    lines = wrap(f"{claim.number}. {claim.says.of(lang)}", COLUMNS, "   ")
    place = Text.of("claim_place", section=claim.section, page=claim.page)
    lines += wrap(say(place, lang), COLUMNS, "   ")
    lines += wrap(say(headline, lang), COLUMNS, "   ")
    lines.append(say("claim_checks", lang))
    for check in answer.checks:
        lines += _check_lines(check, lang)
    evidence = words(lang)[f"name_{answer.evidence}"]
    errors = [file.error[number - 1] for number in claim.corrects]
    for label, entries in (
        (say("claim_assumes", lang), [both.of(lang) for both in claim.assumes]),
        (
            say("claim_corrects", lang),
            [f"{e.wrong.of(lang)} -> {e.right.of(lang)}" for e in errors],
        ),
        (say("claim_evidence", lang), [evidence]),
        (say("claim_sources", lang), list(answer.sources)),
    ):
        for entry in entries:
            line = Text.of("claim_entry", label=label, entry=entry)
            lines += wrap(say(line, lang), COLUMNS, "   ")
    return "\n".join(lines)


def errors_text(lang: Code) -> str:
    """Render the errors of the report, each corrected."""
    errors = claim_file().error
    lines = [say(Text.of("errors_head", count=len(errors)), lang)]
    for error in errors:
        line = Text.of(
            "error_line",
            number=error.number,
            place=error.place.of(lang),
            wrong=error.wrong.of(lang),
            right=error.right.of(lang),
        )
        lines += wrap(say(line, lang), COLUMNS, "   ")
    return "\n".join(lines)


def _check_dict(check: Check, lang: Code) -> dict[str, Any]:
    number = check.number
    return {
        "text": say(check.text, lang),
        "value": number.value,
        "low80": number.low,
        "high80": number.high,
        "relation": check.relation,
        "threshold": check.threshold,
        "holds": check.holds,
        "sure": check.sure,
        "parts": list(check.parts) if check.parts else None,
        "evidence": check.evidence,
        "sources": list(check.sources),
    }


def _error_dict(number: int, lang: Code) -> dict[str, Any]:
    error = claim_file().error[number - 1]
    return {
        "number": error.number,
        "place": error.place.of(lang),
        "wrong": error.wrong.of(lang),
        "right": error.right.of(lang),
    }


def claims_json(answers: Sequence[Answer], lang: Code) -> str:
    """Return answers as JSON, the corrected errors of the report beside them."""
    claims = []
    for answer in answers:
        claim = get_claim(answer.number)
        claims.append(
            {
                "number": claim.number,
                "section": claim.section,
                "page": claim.page,
                "says": claim.says.of(lang),
                "verdict": answer.verdict,
                "headline": say(answer.headline, lang),
                "evidence": answer.evidence,
                "checks": [_check_dict(check, lang) for check in answer.checks],
                "assumes": [both.of(lang) for both in claim.assumes],
                "corrects": list(claim.corrects),
                "sources": list(answer.sources),
            }
        )
    errors = [_error_dict(error.number, lang) for error in claim_file().error]
    body = {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "report": claim_file().report,
        "data": claims_version(),
        "claims": claims,
        "errors": errors,
    }
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
