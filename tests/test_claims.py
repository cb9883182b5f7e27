"""Claims of the report: computed numbers, verdicts that follow from them, both languages."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import subprocess
import sys
from functools import cache
from itertools import cycle

import pytest

from advisor.catalogue.claims import claim_file, figure, get_claim
from advisor.claims import money, quality
from advisor.claims.answers import answer_all, answer_claim
from advisor.claims.numbers import Points, Where, score
from advisor.claims.result import Answer, Check, Number, verdict_of
from advisor.errors import MissingDataError, UnknownNameError, UsageError
from advisor.report.claims import claim_text, claims_json, claims_text, errors_text
from advisor.report.numbers import width
from advisor.schema.price import ApiRate, ApiTariff
from advisor.schema.text import Text

NOW = dt.datetime(2026, 11, 23)
NUMBERS = range(1, 18)
TITLE = Text.of("claims_legend")


@cache
def answers() -> tuple[Answer, ...]:
    return answer_all(NOW)


def answer(number: int) -> Answer:
    return answers()[number - 1]


def moved(check: Check, holds: bool) -> Check:
    """Shift a check's number to one side of its threshold."""
    upwards = check.relation in (">", ">=")
    value = check.threshold + (1.0 if upwards == holds else -1.0)
    return dataclasses.replace(check, number=Number.of(value))


def test_every_claim_is_answered_from_checks():
    assert [a.number for a in answers()] == list(NUMBERS)
    assert all(a.checks for a in answers())


@pytest.mark.parametrize("number", NUMBERS)
def test_the_verdict_flips_with_the_numbers(number):
    checks = answer(number).checks
    assert verdict_of([moved(c, holds=True) for c in checks]) == "true"
    assert verdict_of([moved(c, holds=False) for c in checks]) == "not"
    mixed = [moved(c, holds) for c, holds in zip(checks, cycle((True, False)), strict=False)]
    assert verdict_of(mixed) == ("partly" if len(checks) > 1 else "true")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_verdict_is_the_share_of_checks_that_hold(number):
    given = answer(number)
    holding = [c.holds for c in given.checks]
    expected = "true" if all(holding) else "partly" if any(holding) else "not"
    assert given.verdict == expected


def test_no_checks_no_verdict():
    with pytest.raises(ValueError, match="at least one"):
        verdict_of([])


@pytest.mark.parametrize(("relation", "value", "holds"), [
    ("<", 1.0, False), ("<=", 1.0, True), (">", 1.0, False), (">=", 1.0, True),
    ("<", 0.9, True), (">", 1.1, True), ("<=", 1.1, False), (">=", 0.9, False)])  # fmt: skip
def test_relations(relation, value, holds):
    assert Check(TITLE, Number.of(value), relation, 1.0, "exact").holds is holds


def test_a_range_across_the_threshold_is_not_sure():
    assert not Check(TITLE, Number(1.2, 0.9, 1.5), ">", 1.0, "estimated").sure
    assert Check(TITLE, Number(1.2, 1.1, 1.5), ">", 1.0, "estimated").sure
    assert Check(TITLE, Number(0.8, 0.5, 0.9), ">", 1.0, "estimated").sure


def test_gpt_4o_mini_is_16_7_times_cheaper():
    assert answer(1).checks[0].number.value == pytest.approx(16.667, abs=1e-3)


def test_equal_prices_take_the_price_check_away(monkeypatch):
    rate = ApiRate(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)

    def same(model: str, at: dt.datetime) -> ApiTariff:
        return ApiTariff(provider="x", model=model, as_of=at.date(), source="s", standard=(rate,))

    monkeypatch.setattr(money, "api_tariff", same)
    checks = answer_claim(1, NOW).checks
    assert not checks[0].holds
    assert checks[0].number.value == 1.0


def test_worse_scores_turn_the_finance_claim(monkeypatch):
    real = quality.score

    def swapped(model: str, where: Where) -> Points:
        return Points(0.0, "t") if model == "xuanyuan-6b" else real(model, where)

    monkeypatch.setattr(quality, "score", swapped)
    flipped = answer_claim(7, NOW)
    assert not any(check.holds for check in flipped.checks[:10])
    assert flipped.headline.values["won"] == 0


def test_xuanyuan_wins_nine_of_ten_exams():
    exams = answer(7).checks[:10]
    lost = [c for c in exams if not c.holds]
    assert [round(c.number.value, 2) for c in lost] == [-1.13]


def test_arithmetic_that_anyone_can_repeat():
    assert min(c.number.value for c in answer(14).checks) == pytest.approx(26.3)
    assert answer(14).verdict == "true"
    assert answer(4).verdict == "true"
    assert answer(4).checks[2].parts == pytest.approx((9.72e21, 2.124e22))
    assert answer(15).verdict == "not"


def test_z_of_two_shares():
    # Half against half plus a standard error of each: z is the difference over their root sum.
    assert money.z_of(0.6, 0.5, 100) == pytest.approx(0.1 / (0.24 / 100 + 0.25 / 100) ** 0.5)
    assert money.z_of(0.5, 0.5, 10) == 0.0


def test_claims_on_speed_carry_ranges():
    for number in (2, 3, 5, 6, 16):
        assert any(c.number.low < c.number.high for c in answer(number).checks)
        assert answer(number).evidence != "measured"


def test_the_coder_has_its_own_scores_not_those_of_the_large_one():
    own = {c.parts[0] for c in answer(8).checks[5:9] if c.parts}
    assert own == {81.1, 24.3, 61.8, 86.4}
    assert not any(c.holds for c in answer(8).checks[5:9])


def test_corrections_agree_with_the_catalogue():
    lite = claim_file().error[1].right.en
    for task, value in (("HumanEval", 81.1), ("LiveCodeBench", 24.3), ("GSM8K", 86.4)):
        assert score("deepseek-coder-v2-lite", Where(task, "coder-v2-readme")).value == value
        assert f"{task} {value}" in lite
    five = [69.2, 54.5, 41.8, 66.5, 75.4]
    assert sum(five) / 5 == pytest.approx(61.48)
    assert "61.48" in claim_file().error[3].right.en


def test_a_score_that_is_not_unique_is_refused():
    with pytest.raises(MissingDataError, match="one is needed"):
        score("gpt-4o", Where("MMLU", ""))
    with pytest.raises(UnknownNameError):
        figure("no-such-figure")


@pytest.mark.parametrize("number", [0, 18, -1])
def test_claims_end_at_seventeen(number):
    with pytest.raises(UsageError, match="1 to 17"):
        get_claim(number)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_overview_fits_a_terminal(lang):
    lines = claims_text(answers(), lang).splitlines()
    assert len(lines) <= 24
    assert max(width(line) for line in lines) <= 80
    assert sum(bool(re.match(r" ?\d+ ", line)) for line in lines) >= 17


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("number", NUMBERS)
def test_details_fit_a_terminal_and_show_every_check(lang, number):
    text = claim_text(answer(number), lang)
    assert max(width(line) for line in text.splitlines()) <= 84
    marks = re.findall(r"(?m)^[+-][ ?] ", text)
    assert len(marks) == len(answer(number).checks)
    assert sum(m.startswith("+") for m in marks) == sum(c.holds for c in answer(number).checks)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_json_holds_what_was_computed(lang):
    body = json.loads(claims_json(answers(), lang))
    assert [c["number"] for c in body["claims"]] == list(NUMBERS)
    for entry, given in zip(body["claims"], answers(), strict=True):
        assert entry["verdict"] == given.verdict
        assert [c["value"] for c in entry["checks"]] == [c.number.value for c in given.checks]
        assert all(
            c["holds"] == d.holds for c, d in zip(entry["checks"], given.checks, strict=True)
        )
    assert len(body["errors"]) == 15
    assert {"pricing", "quality", "claims"} <= body["data"].keys()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_all_errors_are_shown_corrected(lang):
    text = errors_text(lang)
    assert len(re.findall(r"(?m)^\d+\. ", text)) == 15


def test_the_same_day_gives_the_same_bytes():
    assert claims_json(answer_all(NOW), "en") == claims_json(answers(), "en")


def test_the_command():
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "advisor.cli.main", "claims", *options]
        return subprocess.run(call, capture_output=True, text=True, check=False)

    assert run("14", "--lang", "zh").returncode == 0
    assert run("18").returncode == 2
    assert run("3", "--errors").returncode == 2
    assert "38 亿" in run("--errors", "--lang", "zh").stdout
