"""Errors that viewers meet are told in Chinese, with the numbers of the English message."""

from __future__ import annotations

import re

import pytest

from advisor.errors import AdvisorError, UsageError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.report.error_text import error_text

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


def test_an_unknown_error_stays_as_it_is():
    assert error_text(UsageError("something new"), "zh") == "something new"
