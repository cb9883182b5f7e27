"""Errors that viewers meet are told in Chinese, with the numbers of the English message."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import messages
import pytest

from advisor.cli.main import main
from advisor.errors import AdvisorError, UsageError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.report import locale
from advisor.report.error_text import error_text, phrases, translated
from advisor.ui.question import read_own

ZH = phrases("zh")
CJK = re.compile("[\u4e00-\u9fff]")

ASKED = {
    "both limits": {"slo_ttft_s": 0.001, "slo_tpot_s": 0.0001},
    "context": {"isl_tokens": 500_000},
    "tp": {"tp": 3},
    "count": {"tp": 2, "count": 3},
    "engine": {"engine": "mlx"},
    "format": {"precision": "q4_k_m"},
    "units": {"hw": "a100-sxm-80", "precision": "nvfp4"},
    "fit": {"model": "deepseek-v3", "hw": "a10"},
    "both loads": {"rps": 1.0, "concurrency": 2},
}


@pytest.mark.parametrize("name", ASKED)
def test_known_errors_are_told_in_chinese(name):
    with pytest.raises(AdvisorError) as raised:
        estimate_point(EstimateRequest(**{"model": "4B", "hw": "h20", **ASKED[name]}))
    error = raised.value
    told = error_text(error, "zh")
    assert re.search("[\u4e00-\u9fff]", told), told
    assert "{" not in told
    told_numbers = set(re.findall(r"\d[\d.,]*\d", told))
    assert told_numbers <= set(re.findall(r"\d[\d.,]*\d", error.message)), "an invented number"
    assert error_text(error, "en") == error.message


def test_both_limits_are_told():
    with pytest.raises(AdvisorError) as raised:
        estimate_point(EstimateRequest(model="4B", hw="h20", **ASKED["both limits"]))
    told = error_text(raised.value, "zh")
    assert "TTFT" in told
    assert "TPOT" in told


def test_an_unknown_error_is_told_in_the_original():
    assert "something new" in error_text(UsageError("something new"), "zh")
    assert "原文" in error_text(UsageError("something new"), "zh")


def test_every_sentence_of_the_source_is_translated():
    missing = {text: where for text, where in messages.raised().items() if text not in ZH}
    assert not missing, "add these to advisor/report/locales/zh/told/errors.toml"
    assert len(messages.raised()) > 250


def test_no_translation_is_of_a_sentence_gone():
    path = Path(locale.FOLDER) / "zh" / "told" / "errors.toml"
    assert not set(tomllib.loads(path.read_text(encoding="utf-8"))) - messages.spelled()


@pytest.mark.parametrize("english", sorted(ZH))
def test_a_sentence_is_recognised_with_its_values(english):
    slots = re.findall(r"\{\d+\}", english)
    assert sorted(set(slots)) == sorted(set(re.findall(r"\{\d+\}", ZH[english])))
    assert CJK.search(ZH[english]) or not re.search("[A-Za-z]{2}", re.sub(r"\{\d+\}", "", english))
    told = translated(english.format(*(f"v{i}" for i in range(len(slots)))), "zh")
    if told is not None:  # bare templates need a translated part
        assert all(f"v{i}" in told for i in range(len(slots)))
    else:
        assert not re.search("[A-Za-z]{2}", re.sub(r"\{\d+\}", "", english))


SCENARIO = """schema = 1
title = "mine"
[workload]
requests_per_s = 1
[[workload.class]]
name = "chat"
preset = "chat"
"""


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "a = ",
        "schema = 9",
        SCENARIO.replace("preset", "presett"),
        SCENARIO.replace('"chat"', "3"),
        SCENARIO.replace("requests_per_s = 1", "requests_per_s = -1"),
        SCENARIO.replace("requests_per_s = 1", "requests_per_s = 1\nclients = 3"),
        SCENARIO.replace('preset = "chat"', "isl_tokens = 5"),
        SCENARIO + "share = 0.4",
        SCENARIO + "privacy = 'mars'",
        SCENARIO + "[[owned]]\nhw = 'h20'\ncount = 0",
        SCENARIO + "[quality]\nevaluation_csv = 'x.csv'",
    ],
)
def test_a_broken_scenario_is_told_in_chinese(text):
    with pytest.raises(AdvisorError) as raised:
        read_own(text, "s.toml")
    told = error_text(raised.value, "zh")
    assert CJK.search(told), told
    assert "原文" not in told
    assert "s.toml" in told


@pytest.mark.parametrize(
    "call",
    [
        ["estimate", "--model", "4B", "--hw", "h2o"],
        ["estimate", "--model", "nope", "--hw", "h20"],
        ["estimate", "--model", "missing.gguf", "--hw", "h20"],
        ["estimate", "--model", "4B", "--hw", "h20", "--precision", "x"],
        ["compare", "--models", ",", "--hw", "h20"],
        ["recommend", "missing.toml"],
        ["simulate", "--model", "4B"],
        ["estimate", "--model", "4B", "--hw", "h20", "--rps", "1", "--concurrency", "1"],
    ],
    ids=lambda call: " ".join(call[:5]),
)
def test_the_command_tells_its_errors_in_chinese(call, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["advisor", *call, "--lang", "zh"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (2, 4)
    told = capsys.readouterr().err
    assert told.startswith("错误："), told
    assert "原文" not in told
