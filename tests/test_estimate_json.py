"""Every form of an answer: JSON against its schema, text within 24 x 80, CSV that parses."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from advisor.cli.main import main
from advisor.errors import AdvisorError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult
from advisor.estimator.run import estimate_point
from advisor.report.estimate_json import CSV_COLUMNS, estimate_csv, estimate_dict, estimate_json
from advisor.report.estimate_text import COLUMNS, MAX_LINES, estimate_text
from advisor.report.explain import explain_text
from advisor.report.locale import LANGUAGES
from advisor.report.numbers import width
from advisor.schema.fact import EVIDENCE_ORDER

DAY = dt.date(2026, 11, 23)
SCHEMA = json.loads(
    (Path(__file__).resolve().parent.parent / "docs" / "estimate.schema.json").read_text("utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# Around forty requests that reach every branch of the reports.
REQUESTS: tuple[dict[str, Any], ...] = (
    {"model": "4B", "hw": "h20"},
    {"model": "4B", "hw": "h20", "concurrency": 1},
    {"model": "4B", "hw": "h20", "concurrency": 100_000},
    {"model": "4B", "hw": "h20", "rps": 0.01},
    {"model": "4B", "hw": "h20", "rps": 4.0},
    {"model": "4B", "hw": "h20", "rps": 1e6},
    {"model": "4B", "hw": "h20", "slo_ttft_s": 0.5},
    {"model": "4B", "hw": "h20", "slo_tpot_s": 0.02},
    {"model": "4B", "hw": "h20", "slo_ttft_s": 1.0, "slo_tpot_s": 0.05, "rps": 2.0},
    {"model": "4B", "hw": "h20", "usd_per_hour": 1.5, "site": "chn"},
    {"model": "4B", "hw": "h20", "usd_per_hour": 1e9},
    {"model": "4B", "hw": "h20", "isl_tokens": 1, "osl_tokens": 1},
    {"model": "4B", "hw": "h20", "isl_tokens": 120_000, "osl_tokens": 8000},
    {"model": "4B", "hw": "h20", "precision": "bf16", "kv_precision": "fp8"},
    {"model": "4B", "hw": "h20", "precision": "w4a16", "memory_share": 0.3},
    {"model": "4B", "hw": "h20", "count": 8},
    {"model": "4B", "hw": "h20", "count": 1000, "concurrency": 3},
    {"model": "4B", "hw": "h20", "tp": 4, "pp": 2},
    {"model": "4B", "hw": "h20", "engine": "vllm-0.11"},
    {"model": "4B", "hw": "h20", "engine": "sglang"},
    {"model": "4B", "hw": "h20", "engine": "trtllm"},
    {"model": "0.5B", "hw": "a100"},
    {"model": "8B", "hw": "a100", "site": "usa"},
    {"model": "8B", "hw": "h100"},
    {"model": "32B", "hw": "l40s"},
    {"model": "70B", "hw": "h100", "concurrency": 64},
    {"model": "405B", "hw": "h200"},
    {"model": "deepseek-v3", "hw": "h200", "tp": 8, "concurrency": 64},
    {"model": "deepseek-v3", "hw": "h20", "tp": 1, "dp": 8, "ep": 8},
    {"model": "deepseek-v3", "hw": "b200"},
    {"model": "gpt-oss-120b", "hw": "h100"},
    {"model": "gpt-oss-20b", "hw": "rtx-4090"},
    {"model": "mixtral-8x7b", "hw": "a100"},
    {"model": "gemma-3-27b", "hw": "h100"},
    {"model": "qwen3-next-80b-a3b", "hw": "h200"},
    {"model": "qwen3.5-27b", "hw": "h100"},
    {"model": "nemotron-nano-9b-v2", "hw": "l4"},
    {"model": "mistral-7b-v0.1", "hw": "t4"},
    {"model": "7B", "hw": "v100"},
    {"model": "8B", "hw": "mi300x"},
    {"model": "8B", "hw": "ascend-910b4"},
    {"model": "8B", "hw": "gaudi3"},
    {"model": "4B", "hw": "iphone-15-pro"},
    {"model": "8B", "hw": "xeon-8480"},
    {"model": "8B", "hw": "apple-m3-max"},
)
MIN_ANSWERED = 38
"""Requests that must be answered; a catalogue may lack constants for a few devices."""


def label(request: dict[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in request.items())


@cache
def _answers() -> dict[str, EstimateResult | AdvisorError]:
    found: dict[str, EstimateResult | AdvisorError] = {}
    for request in REQUESTS:
        try:
            found[label(request)] = estimate_point(EstimateRequest(**request), DAY)
        except AdvisorError as error:
            found[label(request)] = error
    return found


def answer(request: dict[str, Any]) -> EstimateResult:
    found = _answers()[label(request)]
    if isinstance(found, AdvisorError):
        pytest.skip(found.message)
    return found


every_request = pytest.mark.parametrize("request_", REQUESTS, ids=label)
every_language = pytest.mark.parametrize("lang", LANGUAGES)


def test_most_requests_are_answered():
    refused = {k: str(v) for k, v in _answers().items() if isinstance(v, AdvisorError)}
    assert len(REQUESTS) - len(refused) >= MIN_ANSWERED, refused


def test_the_schema_is_valid_and_strict():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    good = estimate_dict(answer(REQUESTS[0]))
    VALIDATOR.validate(good)
    for bad in (
        {**good, "surplus": 1},
        {k: v for k, v in good.items() if k != "warnings"},
        {**good, "result": {**good["result"], "ttft_s": None}},
        {**good, "result": {**good["result"], "kv_tokens": 3}},
        {"error": {"code": "nonesuch", "message": "x", "limit": "", "suggestions": []}},
    ):
        assert not VALIDATOR.is_valid(bad)


@every_language
@every_request
def test_json_is_valid(request_, lang):
    body = json.loads(estimate_json(answer(request_), lang))
    VALIDATOR.validate(body)
    assert body["request"]["model"] == request_["model"]


def _numbers(tree: object) -> list[dict[str, Any]]:
    if isinstance(tree, dict):
        if "low80" in tree:
            return [tree]
        return [n for value in tree.values() for n in _numbers(value)]
    return []


@every_request
def test_every_number_has_an_ordered_range_and_a_label(request_):
    numbers = _numbers(estimate_dict(answer(request_)))
    assert len(numbers) > 10
    for n in numbers:
        assert n["evidence"] in EVIDENCE_ORDER
        assert n["because"]
        ends = [n[k] for k in ("low95", "low80", "value", "high80", "high95")]
        if None not in ends:
            assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(ends))


@every_request
def test_both_languages_give_the_same_numbers(request_):
    en, zh = (estimate_dict(answer(request_), lang) for lang in LANGUAGES)
    for tree in (en, zh):
        tree.pop("warnings")
        tree["result"].pop("defaults")
        for n in _numbers(tree):
            n.pop("because")
    assert en == zh


def test_an_unstable_load_has_no_figures():
    body = estimate_dict(answer({"model": "4B", "hw": "h20", "rps": 1e6}))
    result = body["result"]
    assert result["stable"] is False
    assert result["ttft_s"] is result["usd_per_mtok_output"] is result["rented"] is None
    assert result["best"]["stable"] is True
    text = estimate_text(answer({"model": "4B", "hw": "h20", "rps": 1e6}))
    assert "unstable" in text.splitlines()[1]


def test_a_device_without_price_gives_no_money():
    from advisor.catalogue import prices
    from advisor.catalogue.devices import device_ids

    unpriced = [d for d in device_ids() if not prices.rentals(d) and not prices.purchases(d)]
    assert unpriced
    for device in unpriced:
        try:
            result = estimate_point(EstimateRequest(model="0.5B", hw=device), DAY)
        except AdvisorError:
            continue
        body = estimate_dict(result)
        VALIDATOR.validate(body)
        for point in (body["result"], body["result"]["best"]):
            assert point["rented"] is point["owned"] is point["usd_per_mtok_output"] is None
        return
    pytest.fail("no device without a price could be estimated")


@every_language
@every_request
def test_text_fits_a_terminal_with_the_verdict_first(request_, lang):
    result = answer(request_)
    lines = estimate_text(result, lang).splitlines()
    assert len(lines) <= MAX_LINES == 24
    assert [line for line in lines if width(line) > COLUMNS] == []
    assert result.model_name in lines[0]
    assert result.precision in lines[0]
    assert not any(line != line.rstrip() for line in lines)
    assert "{" not in "".join(lines)


@every_request
def test_csv_parses_and_repeats_the_json(request_):
    result = answer(request_)
    rows = list(csv.DictReader(io.StringIO(estimate_csv(result))))
    assert tuple(rows[0]) == CSV_COLUMNS
    by_name = {row["quantity"]: row for row in rows}
    assert len(by_name) == len(rows)
    body = estimate_dict(result)["result"]
    assert len(rows) == len(_numbers(body))
    assert float(by_name["weights_bytes"]["value"]) == body["weights_bytes"]["value"]
    best = body["best"]["output_tok_per_s"]["value"]
    assert float(by_name["best.output_tok_per_s"]["value"]) == best


@every_language
@pytest.mark.parametrize("request_", [*REQUESTS[:10], *REQUESTS[27:31]], ids=label)
def test_explanation_shows_the_numbers_of_the_answer(request_, lang):
    result = answer(request_)
    text = explain_text(result, lang)
    assert f"{result.memory.kv_bytes_per_token.value:,.0f} B" in text
    assert "nan" not in text


def test_the_same_request_gives_the_same_bytes():
    for request in REQUESTS[:12]:
        first, again = (estimate_point(EstimateRequest(**request), DAY) for _ in range(2))
        for render in (estimate_json, estimate_csv, estimate_text):
            assert render(first, "zh") == render(again, "zh")


@pytest.mark.parametrize(
    "options",
    [
        ("--hw", "h21"),
        ("--hw", "missing.toml"),
        ("--tp", "3"),
        ("--isl", "200000"),
        ("--slo-ttft-ms", "0.001"),
        ("--model", "gpt-4o"),
        ("--model", "deepseek-v3", "--tp", "1"),
        ("--hw", "a100", "--max-price-age", "0"),
    ],
    ids=" ".join,
)
def test_errors_as_json_are_valid(monkeypatch, capsys, options):
    command = ["advisor", "estimate", "--model", "4B", "--hw", "h20", *options, "--json"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (2, 3, 4, 5)
    body = json.loads(capsys.readouterr().out)
    VALIDATOR.validate(body)
    assert "error" in body
