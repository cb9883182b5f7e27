"""Scores of models by task, each with source, date, setting, questions and uncertainty."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from advisor.catalogue.names import normalise
from advisor.catalogue.quality import get_scores, score_ids
from advisor.catalogue.read import read_record
from advisor.errors import UnknownNameError
from advisor.quality.own import OwnScore
from advisor.quality.tasks import get_task, questions_of, task_ids
from advisor.schema.fact import Record
from advisor.schema.price import QualityFile, Score

_HERE = Path(__file__).resolve().parent
PERCENT = "%"
Reason = Literal[
    "no-benchmark", "no-scores", "not-this-task", "not-comparable", "not-in-own", "no-share"
]
"""Why a score is unknown: nothing speaks for the task; no score of the model at all; none for
the task; none that shares a source or setting with the others; not in the user's file; the unit
counts no right answers, so no mix can be predicted."""
_TABLE = re.compile(r"(table|figure) [\w.]+")
_MODES = {"thinking", "non-thinking", "nonthinking"}
_EMPTY = {"", "-", "not stated", "accuracy", "score", "standard", "standard benchmark"}
_QUANTISED = re.compile(r"\bint[48]\b|\b[48]-bit\b|gptq|spinquant|qlora|vanilla ptq|awq")


@dataclass(frozen=True)
class TaskScore:
    """One score of one model for a task.

    Parameters
    ----------
    model, task, benchmark
        Ids and the benchmark's name; for a user's own score the metric's.
    value, unit
        As published; ``%``, ``score of 10``, Elo points.
    setting, variant
        How and what was measured.
    source, url, date
        Publication.
    questions
        Number the score was counted on, None if unknown.
    counting_sd, setting_sd
        Standard deviations in the unit of ``value``: of counting ``questions`` (binomial), and
        of the same model's published values between sources (``setting_spread.toml``). None
        where unknown.
    own
        Whether it is the user's own measurement.
    note
        What the source file remarks.
    """

    model: str
    task: str
    benchmark: str
    value: float
    unit: str
    setting: str
    variant: str
    source: str
    url: str
    date: dt.date | None
    questions: int | None
    counting_sd: float | None
    setting_sd: float | None
    own: bool = False
    note: str = ""

    @property
    def share(self) -> float | None:
        """Share of right answers, 0 to 1; None for a unit that counts none (Elo, judge, F1)."""
        return self.value / 100 if self.unit == PERCENT else None

    @property
    def thinking(self) -> bool:
        """Whether the model thought aloud before it answered."""
        return "non-thinking" not in self.setting and (
            "thinking" in self.variant.split(", ") or "; thinking" in self.setting
        )


@dataclass(frozen=True)
class Unknown:
    """A model without a score, and why; ``published`` lists what there is for the task."""

    model: str
    reason: Reason
    published: tuple[str, ...] = ()


class Spread(Record, frozen=True):
    """How far the published values of one model lie apart between sources."""

    benchmark: str
    sd: float
    models: int
    values: int


class SpreadFile(Record, frozen=True):
    """``setting_spread.toml``, written by ``benchmarks/setting_spread.py``."""

    schema: Literal[1]
    fitted: dt.date
    spread: tuple[Spread, ...]


@cache
def spread_file() -> SpreadFile:
    """Return the spread between sources, as read."""
    return read_record(_HERE / "setting_spread.toml", SpreadFile)


@cache
def spreads() -> dict[str, Spread]:
    """Return the spread between sources by benchmark."""
    return {row.benchmark: row for row in spread_file().spread}


def stage(row: Score) -> str:
    """Return ``base`` or ``chat``: base models are prompted with examples, others asked."""
    return "base" if "base" in row.variant.split(", ") else "chat"


def is_quantised(row: Score) -> bool:
    """Tell whether the score belongs to quantised weights."""
    return bool(_QUANTISED.search(f"{row.variant}; {row.setting}".lower()))


def canonical_setting(row: Score) -> str:
    """Return a setting without table numbers, mode words and the benchmark's own name.

    >>> canonical_setting(Score(benchmark="MMLU", score=1, setting="MMLU; 5-shot; Table 8",
    ...                         source="x"))
    '5-shot'
    """
    kept = []
    name = normalise(row.benchmark)
    for part in row.setting.lower().split(";"):
        word = " ".join(part.replace(",", " ").split())
        if word in _EMPTY | _MODES or _TABLE.fullmatch(word) or normalise(word) == name:
            continue
        kept.append(word)
    return "; ".join(kept)


def counting_sd(value: float, unit: str, questions: int | None) -> float | None:
    """Return the binomial standard deviation of a percentage in points; None if not countable."""
    if unit != PERCENT or not questions or not 0 <= value <= 100:
        return None
    share = value / 100
    return 100 * math.sqrt(share * (1 - share) / questions)


def task_score(file: QualityFile, row: Score, task: str) -> TaskScore:
    """Dress a published row as a score for a task."""
    source = next(s for s in file.source if s.id == row.source)
    questions = questions_of(row.benchmark)
    spread = spreads().get(row.benchmark)
    return TaskScore(
        file.model,
        task,
        row.benchmark,
        row.score,
        row.unit,
        row.setting,
        row.variant,
        source.title,
        source.url,
        row.date or source.date,
        questions,
        counting_sd(row.score, row.unit, questions),
        spread.sd if spread and row.unit == PERCENT else None,
        note=row.note,
    )


def own_score(row: OwnScore) -> TaskScore:
    """Dress a row of the user's evaluation as a score for its task."""
    value = 100 * row.share
    return TaskScore(
        row.model,
        row.task,
        row.metric,
        value,
        PERCENT,
        "own evaluation",
        "",
        row.file,
        "",
        row.date,
        row.questions,
        counting_sd(value, PERCENT, row.questions),
        None,
        own=True,
    )


def scores_file(model: str) -> QualityFile | None:
    """Return the score file of a model, None if it has none; unknown models give None too."""
    try:
        return get_scores(model)
    except UnknownNameError:
        return None


def task_scores(
    model: str, task: str, own: tuple[OwnScore, ...] = ()
) -> tuple[TaskScore, ...] | Unknown:
    """Return everything known of a model for a task; the user's own scores stand first.

    The list is for reading: compare models by :func:`advisor.quality.comparable.comparable`.

    Parameters
    ----------
    model
        Id or alias.
    task
        Slug of ``tasks.toml``, or any task of the user's file.
    own
        Rows of the user's evaluation, see :func:`advisor.quality.own.read_own`.
    """
    mine = tuple(
        own_score(row)
        for row in own
        if row.task == normalise(task) and normalise(row.model) == normalise(model)
    )
    if mine and normalise(task) not in task_ids():
        return mine
    wanted = get_task(task)
    file = scores_file(model)
    rows = file.score if file else ()
    order = {name: i for i, name in enumerate(wanted.benchmarks)}
    kept = sorted((r for r in rows if r.benchmark in order), key=lambda r: order[r.benchmark])
    found = mine + tuple(task_score(file, row, wanted.id) for row in kept if file)
    if found:
        return found
    if not wanted.benchmarks:
        return Unknown(model, "no-benchmark")
    return Unknown(model, "not-this-task" if file else "no-scores")


def all_rows(benchmarks: tuple[str, ...] = ()) -> tuple[tuple[QualityFile, Score], ...]:
    """Return every published row, or those of some benchmarks, with its file."""
    files = [get_scores(model) for model in score_ids()]
    return tuple(
        (file, row)
        for file in files
        for row in file.score
        if not benchmarks or row.benchmark in benchmarks
    )
