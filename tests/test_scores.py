"""Scores by task: sources, comparability, the user's own evaluation, and the report's errors."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalogue.quality import get_scores, read_scores, score_ids
from advisor.errors import InvalidFileError, MissingDataError, UnknownNameError, UsageError
from advisor.quality.comparable import comparable
from advisor.quality.known import known
from advisor.quality.mix import pair_for_task
from advisor.quality.own import read_own
from advisor.quality.pairs import PairQuality
from advisor.quality.scores import (
    Unknown,
    all_rows,
    canonical_setting,
    counting_sd,
    spreads,
    task_scores,
)
from advisor.quality.tasks import get_task, questions_of, task_file, task_ids
from advisor.quality.text import (
    answer_lengths,
    answer_tokens,
    reasoning_tokens,
    text_per_token,
    tokenizer_file,
)
from advisor.schema.price import Score

ROOT = Path(__file__).resolve().parent.parent


def own_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.csv"
    path.write_text("model,task,score,n,metric,date\n" + text, encoding="utf-8")
    return path


def test_every_benchmark_of_a_task_has_scores_and_none_is_a_composite():
    used = {name for task in task_file().task for name in task.benchmarks}
    known = {row.benchmark for _, row in all_rows()}
    assert used <= known
    assert used == {b.name for b in task_file().benchmark} - {"LiveBench"}
    left_out = known - used
    assert left_out == {
        "LiveBench",
        "OpenELM average accuracy",
        "mean of MMLU, CMMLU, MATH, HumanEval+ and BFCL",
    }


def test_a_score_says_where_it_comes_from():
    first = task_scores("xuanyuan-6b", "finance")[0]
    assert first.value == 68.87
    assert first.share == pytest.approx(0.6887)
    assert "table 13" in first.source
    assert str(first.date) == "2024-12-18"
    assert first.questions == 7173
    assert first.counting_sd == pytest.approx(100 * (0.6887 * 0.3113 / 7173) ** 0.5)


@pytest.mark.parametrize(
    ("task", "models", "values", "source"),
    [
        ("finance", ["xuanyuan-6b", "gpt-4"], [68.87, 60.05], "table 13"),
        ("finance-actuary", ["xuanyuan-6b", "gpt-4"], [26.14, 27.27], "table 13"),
        ("computing-education", ["wisdombot-7b", "qwen-7b"], [68.42, 42.1], "table 10"),
        ("law", ["fuzi-mingcha-6b", "gpt-4"], [7.8, 55.2], "LawBench"),
        ("law-reading", ["fuzi-mingcha-6b", "gpt-4"], [97.59, 56.5], "LawBench"),
        ("tool-use", ["xlam-7b-fc-r", "gpt-4o"], [88.76, 85.59], "BFCL-Result"),
    ],
)
def test_vertical_models_stand_beside_large_ones(task, models, values, source):
    table = comparable(models, task)
    assert table.basis == "source"
    assert [s.value for s in table.scores] == pytest.approx(values)
    assert source in table.source


def test_errors_of_the_report_are_not_copied():
    lite = {s.value for s in task_scores("deepseek-coder-v2-lite", "code")}
    assert 81.1 in lite
    assert not lite & {90.2, 43.4}, "those are the 236B model's"
    rows = [row for _, row in all_rows() if row.source.startswith("thu-report-table-4")]
    assert {r.setting for r in rows if r.benchmark == "MMLU"} == {"5-shot", "0-shot CoT"}
    bases = {
        s.setting for s in comparable(["gpt-4o-mini", "llama-3.2-3b"], "general-knowledge").scores
    }
    assert len(bases) <= 1


def test_a_table_holds_one_benchmark_and_one_source_or_setting():
    models = list(score_ids())[::3]
    for task in task_ids():
        table = comparable(models, task)
        assert len(table.scores) + len(table.unknown) == len(models)
        assert len({s.benchmark for s in table.scores}) <= 1
        if table.basis == "source":
            assert {s.source for s in table.scores} == {table.source}
        assert len({_canonical(s) for s in table.scores}) <= 1
        assert len({"base" in s.variant.split(", ") for s in table.scores}) <= 1


def _canonical(s):
    return canonical_setting(Score(benchmark=s.benchmark, score=1, setting=s.setting, source="x"))


MODELS = ["gpt-4o", "gpt-4o-mini", "qwen2.5-7b", "qwen2.5-72b", "deepseek-v3", "llama-3.1-8b"]


@given(st.permutations(MODELS))
def test_the_order_of_models_does_not_matter(models):
    table, again = comparable(models, "math"), comparable(MODELS, "math")
    assert (table.benchmark, table.source, table.setting) == (
        again.benchmark,
        again.source,
        again.setting,
    )
    assert sorted(table.scores, key=lambda s: s.model) == sorted(
        again.scores, key=lambda s: s.model
    )


def test_the_best_covered_group_is_chosen():
    table = comparable(MODELS, "chinese-knowledge")
    for subset in itertools.combinations(MODELS, 2):
        assert len(comparable(subset, "chinese-knowledge").scores) >= len(
            [s for s in table.scores if s.model in subset]
        )
    forced = comparable(MODELS, "chinese-knowledge", benchmark="CMMLU")
    assert forced.benchmark == "CMMLU"
    assert len(forced.scores) <= len(table.scores)
    with pytest.raises(UsageError, match="does not speak for chinese-knowledge"):
        comparable(MODELS, "chinese-knowledge", benchmark="MMLU")


def test_reasoning_is_a_choice_of_the_reader():
    plain = comparable(["qwen3-8b", "qwen3-32b"], "code")
    thinking = comparable(["qwen3-8b", "qwen3-32b"], "code", thinking=True)
    assert not any(s.thinking for s in plain.scores)
    assert all(s.thinking for s in thinking.scores)
    assert thinking.score("qwen3-8b").value > plain.score("qwen3-8b").value + 20


def test_unknown_stays_unknown_with_its_reason():
    table = comparable(["xuanyuan-6b", "gpt-4", "gpt-4o", "nobody-7b"], "finance")
    reasons = {u.model: u.reason for u in table.unknown}
    assert reasons == {"gpt-4o": "not-this-task", "nobody-7b": "no-scores"}
    assert table.score("gpt-4o") is None
    apart = comparable(["xlam-7b-fc-r", "qwen3-8b", "qwen3-32b"], "tool-use")
    assert apart.unknown == (Unknown("xlam-7b-fc-r", "not-comparable", ("BFCL",)),)
    empty = comparable(["gpt-4o"], "rag")
    assert empty.basis == "none"
    assert empty.unknown[0].reason == "no-benchmark"
    assert task_scores("gpt-4o", "rag") == Unknown("gpt-4o", "no-benchmark")
    with pytest.raises(UnknownNameError, match="finance"):
        comparable(["gpt-4o"], "financ")


def test_scores_of_a_model_are_not_those_of_its_sibling():
    """Some score files share an alias with a model of the same shape."""
    assert get_scores("qwen2-7b").model == "qwen2-7b"
    assert get_scores("llama-3-70b").model == "llama-3-70b"
    assert get_scores("gpt-4o-2024-08-06").model == "gpt-4o"
    assert get_scores("claude-3.5-sonnet").model == "claude-3.5-sonnet"
    assert get_scores("claude-3-5-sonnet").model == "claude-3.5-sonnet"
    for entry in score_ids():
        assert read_scores(entry).model == entry


def test_ones_own_evaluation_wins(tmp_path):
    rows = read_own(
        own_file(
            tmp_path,
            "XuanYuan-6B,finance,71%,400,graded by two analysts,2026-11-01\n"
            "qwen3-8b,finance,0.64,400,,\nqwen3-8b,claims handling,0.8,,,\n",
        )
    )
    table = comparable(["xuanyuan-6b", "qwen3-8b", "gpt-4"], "finance", own=rows)
    assert table.basis == "own"
    assert [s.share for s in table.scores] == pytest.approx([0.71, 0.64])
    assert table.scores[0].counting_sd == pytest.approx(100 * (0.71 * 0.29 / 400) ** 0.5)
    assert table.unknown == (Unknown("gpt-4", "not-in-own", ("FinanceIQ",)),)
    assert comparable(["qwen3-8b"], "Claims_Handling", own=rows).scores[0].questions is None
    listed = task_scores("xuanyuan-6b", "finance", own=rows)
    assert [s.own for s in listed][:2] == [True, False]
    assert task_scores("qwen3-8b", "claims-handling", own=rows)[0].value == pytest.approx(80)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,b,83,,,\n", "line 2, score: '83' must be a share from 0 to 1 or a percentage"),
        ("a,b,120%,,,\n", "line 2, score"),
        ("a,b,nan,,,\n", "line 2, score"),
        ("a,b,0.5,0,,\n", "line 2, n: '0' must be a whole number above 0"),
        ("a,b,0.5,,,1.2.26\n", "line 2, date"),
        ("a,,0.5,,,\n", "line 2, task: is empty"),
        ("a,b,0.5,,,\nA,B,0.6,,,\n", "line 3: A already has a score for b"),
        ("", "no scores"),
    ],
)
def test_broken_evaluations_are_refused(tmp_path, line, message):
    with pytest.raises(InvalidFileError, match=message):
        read_own(own_file(tmp_path, line))


def test_an_evaluation_needs_its_columns(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("model,score\na,1\n", encoding="utf-8")
    with pytest.raises(InvalidFileError, match="column 'task' is missing; valid: model, task"):
        read_own(path)


def test_counting_error():
    assert counting_sd(50, "%", 10_000) == pytest.approx(0.5)
    assert counting_sd(8.8, "score of 10", 80) is None
    assert counting_sd(50, "%", None) is None
    assert questions_of("LiveCodeBench") is None
    assert questions_of("GPQA-Diamond") == 198


def test_the_spread_between_sources_is_that_of_the_files(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("s", ROOT / "benchmarks" / "setting_spread.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / "spread.toml"
    monkeypatch.setattr(module, "OUT", out)
    stored = ROOT / "advisor" / "quality" / "setting_spread.toml"
    date = stored.read_text(encoding="utf-8").split("fitted = ")[1].split("\n")[0]
    module.main(date)
    assert out.read_text(encoding="utf-8") == stored.read_text(encoding="utf-8"), (
        "run: python benchmarks/setting_spread.py DATE"
    )
    assert module.spread([np.array([1.0, 1.9539])]) == pytest.approx(1.0)
    assert 0.5 < spreads()["MMLU"].sd < 3


def test_tokens_per_character():
    qwen, gpt4 = text_per_token("qwen3-8b", "chinese"), text_per_token("gpt-4", "chinese")
    assert qwen.tokens_per_char < 0.7
    assert gpt4.tokens_per_char > 1
    assert qwen.tokens_per_word is None
    english = text_per_token("Qwen/Qwen2.5-7B-Instruct", "english")
    assert english.tokens_per_word == pytest.approx(1.21, abs=0.02)
    assert english.evidence == "measured"
    with pytest.raises(MissingDataError, match=r"claude-3\.5-sonnet are not known; counted"):
        text_per_token("claude-3.5-sonnet", "chinese")
    with pytest.raises(UnknownNameError):
        text_per_token("claud", "chinese")


def test_counted_vocabularies_agree_with_the_makers_rule_of_thumb():
    """DeepSeek's documentation: 0.6 tokens a Chinese character, 0.3 an English one, at most."""
    v3 = text_per_token("deepseek-v3", "chinese")
    assert v3.low <= 0.6 <= v3.high
    assert text_per_token("deepseek-v3", "english").high < 0.3
    for row in tokenizer_file().tokenizer:
        for density in (row.chinese, row.english):
            assert density.low <= density.tokens_per_char <= density.high


def test_no_model_has_two_vocabularies():
    claimed = [m for row in tokenizer_file().tokenizer for m in (*row.models, *row.families)]
    assert len(claimed) == len(set(claimed))


def test_answer_lengths():
    rows = {row.benchmark: row for row in answer_lengths("llama-3.1-8b")}
    assert rows["GSM8K"].mean_chars == 744
    assert answer_tokens("llama-3.1-8b", "gsm8k") == pytest.approx(
        744 * text_per_token("llama-3.1-8b", "english").tokens_per_char
    )
    with pytest.raises(MissingDataError, match="reasons unseen"):
        answer_tokens("o1-mini", "GSM8K")
    with pytest.raises(MissingDataError, match="counted: GSM8K"):
        answer_tokens("gpt-4o", "MMLU")
    assert reasoning_tokens("deepseek-r1")[0].mean_tokens == 12_000
    assert reasoning_tokens("deepseek-r1-0528")[0].mean_tokens == 23_000
    assert reasoning_tokens("o1") == ()


def test_a_pair_on_a_task():
    counted = pair_for_task("Llama-3.1-8B-Instruct", "llama-3.1-70b", "school-math")
    assert isinstance(counted, PairQuality)
    assert counted.evidence == "measured"
    assert counted.shares.small == pytest.approx(0.84, abs=1e-3)
    predicted = pair_for_task("gpt-4o-mini", "gpt-4o", "general-knowledge")
    assert isinstance(predicted, PairQuality)
    assert predicted.evidence == "extrapolated"
    assert predicted.shares.small == pytest.approx(0.82)
    assert pair_for_task("xuanyuan-6b", "gpt-4o", "finance") == (
        Unknown("gpt-4o", "not-this-task"),
    )
    elo = pair_for_task("fuzi-mingcha-6b", "gpt-4", "law-reading")
    assert [u.reason for u in elo] == ["no-share", "no-share"]


def test_measured_routers_are_weak():
    skills = [row.auc for row in known().router]
    assert 0.5 < min(skills) <= max(skills) < 0.7


def test_tasks_are_found_by_name():
    assert get_task("Tool Use").benchmarks == ("BFCL",)
