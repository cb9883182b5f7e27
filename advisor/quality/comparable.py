"""Comparing models on a task: only rows that share a source, or a setting, stand side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.catalogue.names import normalise
from advisor.errors import UsageError
from advisor.quality.own import OwnScore
from advisor.quality.scores import (
    Reason,
    TaskScore,
    Unknown,
    canonical_setting,
    is_quantised,
    own_score,
    scores_file,
    stage,
    task_score,
)
from advisor.quality.tasks import Task, get_task, task_ids
from advisor.schema.price import QualityFile, Score

Basis = Literal["own", "source", "setting", "none"]
Key = tuple[str, str, str, str]
"""Benchmark, base or chat, source title or empty, setting."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores of several models that may be compared.

    Parameters
    ----------
    task
        Task slug.
    basis
        ``own``: the user's evaluation. ``source``: one publication, one setting; their common
        error cancels, so only ``counting_sd`` counts between two models. ``setting``: the same
        setting named by different publications; ``setting_sd`` counts too. ``none``: nothing.
    benchmark, setting, source
        What was chosen; source is empty for ``setting``.
    scores
        One a model, in the order asked.
    unknown
        Models without a comparable score, and why.
    others
        Number of further benchmark-and-setting groups that hold at least one of the models.
    """

    task: str
    basis: Basis
    benchmark: str
    setting: str
    source: str
    scores: tuple[TaskScore, ...]
    unknown: tuple[Unknown, ...]
    others: int = 0

    def score(self, model: str) -> TaskScore | None:
        """Return the score of a model, None if it is unknown."""
        return next((s for s in self.scores if normalise(s.model) == normalise(model)), None)


def comparable(
    models: Sequence[str],
    task: str,
    own: tuple[OwnScore, ...] = (),
    benchmark: str = "",
    thinking: bool = False,
) -> ScoreTable:
    """Return the table that covers most of the models, and say which it is.

    The user's own evaluation of the task wins over everything published, also where it covers
    fewer models. Among published groups the most models decide, then one source before one
    setting, then the order of benchmarks in ``tasks.toml``, then the newer group.

    Parameters
    ----------
    models
        Ids or aliases.
    task
        Task slug, or a task of the user's file.
    own
        Rows of the user's file.
    benchmark
        Take only this one.
    thinking
        Prefer a model's scores with long reasoning where a group has both.

    Raises
    ------
    UnknownNameError
        If the task is unknown and not in the user's file.
    UsageError
        If the benchmark does not speak for the task.
    """
    mine = [row for row in own if row.task == normalise(task)]
    if mine and not benchmark:
        return _own_table(models, task, mine)
    wanted = get_task(task)
    names = _chosen(wanted, benchmark)
    files = {model: scores_file(model) for model in models}
    groups = _groups(files, names)
    if not groups:
        return _empty(wanted, models, files)
    order = {name: -i for i, name in enumerate(names)}
    best = max(groups, key=lambda key: _rank(key, groups[key], order))
    return _table(wanted, models, files, groups, best, thinking)


def _own_table(models: Sequence[str], task: str, rows: list[OwnScore]) -> ScoreTable:
    by_name = {normalise(row.model): row for row in rows}
    found = [(m, by_name.get(normalise(m))) for m in models]
    scores = tuple(own_score(row) for _, row in found if row)
    unknown = tuple(Unknown(m, "not-in-own", _published(m, task)) for m, row in found if not row)
    metric = rows[0].metric
    return ScoreTable(
        normalise(task), "own", metric, "own evaluation", rows[0].file, scores, unknown
    )


def _published(model: str, task: str) -> tuple[str, ...]:
    if normalise(task) not in task_ids():
        return ()
    names = get_task(task).benchmarks
    file = scores_file(model)
    rows = file.score if file else ()
    return tuple(dict.fromkeys(row.benchmark for row in rows if row.benchmark in names))


def _chosen(task: Task, benchmark: str) -> tuple[str, ...]:
    if not benchmark:
        return task.benchmarks
    if benchmark not in task.benchmarks:
        valid = ", ".join(task.benchmarks) or "none"
        msg = f"benchmark {benchmark!r} does not speak for {task.id}; valid: {valid}"
        raise UsageError(msg)
    return (benchmark,)


Rows = dict[str, list[tuple[QualityFile, Score]]]


def _groups(files: dict[str, QualityFile | None], names: tuple[str, ...]) -> dict[Key, Rows]:
    groups: dict[Key, Rows] = defaultdict(lambda: defaultdict(list))
    for model, file in files.items():
        for row in file.score if file else ():
            if row.benchmark not in names or file is None:
                continue
            setting = canonical_setting(row)
            title = next(s.title for s in file.source if s.id == row.source)
            groups[row.benchmark, stage(row), title, setting][model].append((file, row))
            if "shot" in setting and not is_quantised(row):
                groups[row.benchmark, stage(row), "", setting][model].append((file, row))
    return groups


def _rank(key: Key, rows: Rows, order: dict[str, int]) -> tuple[int, bool, int, bool, str, Key]:
    benchmark, kind, source, _ = key
    newest = max(str(row.date) for pairs in rows.values() for _, row in pairs)
    return len(rows), bool(source), order[benchmark], kind == "chat", newest, key


def _pick(rows: list[tuple[QualityFile, Score]], thinking: bool) -> tuple[QualityFile, Score]:
    def preference(pair: tuple[QualityFile, Score]) -> tuple[bool, bool, bool, str]:
        row = pair[1]
        thinks = task_score(*pair, task="").thinking
        return not is_quantised(row), thinks == thinking, "effort" not in row.variant, row.variant

    return max(rows, key=preference)


def _table(
    task: Task,
    models: Sequence[str],
    files: dict[str, QualityFile | None],
    groups: dict[Key, Rows],
    best: Key,
    thinking: bool,
) -> ScoreTable:
    rows = groups[best]
    scores = tuple(
        task_score(*_pick(rows[model], thinking), task=task.id) for model in models if model in rows
    )
    unknown = tuple(_missing(m, files[m], task) for m in models if m not in rows)
    benchmark, _, source, setting = best
    basis: Basis = "source" if source else "setting"
    return ScoreTable(
        task.id, basis, benchmark, setting or "not stated", source, scores, unknown, len(groups) - 1
    )


def _missing(model: str, file: QualityFile | None, task: Task) -> Unknown:
    published = _published(model, task.id)
    reason: Reason = "no-scores" if file is None else "not-this-task"
    return Unknown(model, "not-comparable" if published else reason, published)


def _empty(task: Task, models: Sequence[str], files: dict[str, QualityFile | None]) -> ScoreTable:
    unknown = tuple(
        _missing(m, files[m], task) if task.benchmarks else Unknown(m, "no-benchmark")
        for m in models
    )
    return ScoreTable(task.id, "none", "", "", "", (), unknown)
