"""Scenario files: the examples read, errors name the line and the key that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.catalogue.scenarios import parse_scenario, read_scenario, scenario_titles
from advisor.errors import InvalidFileError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))
BASE = """schema = 1
title = "A question"
[workload]
requests_per_s = 1
[[workload.class]]
name = "chat"
isl_tokens = 100
osl_tokens = 10
"""


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_examples_read_and_are_titled_in_both_languages(path):
    scenario = read_scenario(path)
    assert scenario.title != scenario.title_zh
    assert any("\u4e00" <= c <= "\u9fff" for c in scenario.title_zh)


def test_there_are_enough_examples():
    assert len(FILES) >= 7
    assert scenario_titles(EXAMPLES)["customer-service"] == "Chinese customer service"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[quality]\nvarient = "base"', "line 10: quality.varient.*did you mean variant"),
        ('[use]\nrents = "any"', "did you mean rent"),
        ('[[quality.floor]]\nclas = "chat"', r"quality.floor\[0\].clas.*did you mean class"),
        ('[[use.api]]\nmodle = "x"', r"use.api\[0\].modle.*did you mean model"),
        ('[money]\ncurrency = "JPY"', "money.currency.*'JPY'; valid: USD, CNY, EUR"),
        (
            '[[quality.floor]]\nclass = "talk"\nmetric = "MMLU"\nat_least = 0.5',
            "names 'talk'; the workload has: chat",
        ),
        ("[limits]\nper_month = -5", "limits.per_month"),
        ("[limits]\npower_w = inf", "power_w"),
        ('[quality]\noverall = { metric = "MMLU", at_least = 1.5 }', "at_least"),
    ],
)
def test_errors_name_the_place_and_what_would_be_valid(text, message):
    with pytest.raises(InvalidFileError, match=message):
        parse_scenario(BASE + text, "x.toml")


def test_a_metric_of_a_class_is_its_floor_s_else_the_section_s():
    text = BASE + '[quality]\nmetric = "MMLU"\n'
    assert parse_scenario(text, "x").metric_of("chat") == "MMLU"
    floor = '[[quality.floor]]\nclass = "chat"\nmetric = "C-Eval"\nat_least = 0.5\n'
    scenario = parse_scenario(text + floor, "x")
    assert scenario.metric_of("chat") == "C-Eval"
    assert scenario.floor_of("chat") == 0.5
