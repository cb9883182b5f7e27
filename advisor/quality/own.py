"""The user's own evaluation: a CSV of model, task and score that wins over published scores."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from advisor.catalogue.names import normalise
from advisor.catalogue.read import read_text
from advisor.errors import InvalidFileError

COLUMNS = ("model", "task", "score", "n", "metric", "date")
NEEDED = COLUMNS[:3]


@dataclass(frozen=True)
class OwnScore:
    """One row of the file.

    Parameters
    ----------
    model, task
        As written; compared without case, blanks and underscores.
    share
        Share of right (or accepted) answers, 0 to 1.
    questions
        Number evaluated, None if the file has none.
    metric
        What was counted.
    date
        Day of the evaluation, None if the file has none.
    file
        Where it was read.
    """

    model: str
    task: str
    share: float
    questions: int | None
    metric: str
    date: dt.date | None
    file: str


def read_own(path: Path) -> tuple[OwnScore, ...]:
    """Read ``model, task, score[, n, metric, date]``.

    A score is a share (``0.83``) or a percentage with its sign (``83%``).

    Raises
    ------
    InvalidFileError
        Naming file, line, column and what would be valid; also if a model and task repeat.
    """
    rows = csv.DictReader(read_text(path).removeprefix("\ufeff").splitlines())
    names = [name.strip() for name in rows.fieldnames or []]
    for column in NEEDED:
        if column not in names:
            msg = f"{path}, line 1: column {column!r} is missing; valid: {', '.join(COLUMNS)}"
            raise InvalidFileError(msg)
    rows.fieldnames = names
    found: list[OwnScore] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        score = _row(row, where, path.name)
        key = (normalise(score.model), score.task)
        if key in seen:
            msg = f"{where}: {score.model} already has a score for {score.task}"
            raise InvalidFileError(msg)
        seen.add(key)
        found.append(score)
    if not found:
        msg = f"{path}: no scores"
        raise InvalidFileError(msg)
    return tuple(found)


def _row(row: dict[str, str | None], where: str, file: str) -> OwnScore:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    for column in NEEDED:
        if not cells[column]:
            msg = f"{where}, {column}: is empty"
            raise InvalidFileError(msg)
    return OwnScore(
        cells["model"],
        normalise(cells["task"]),
        _share(cells["score"], where),
        _count(cells["n"], where),
        cells["metric"] or "accuracy",
        _date(cells["date"], where),
        file,
    )


def _share(text: str, where: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        msg = f"{where}, score: {text!r} must be a share from 0 to 1 or a percentage like 83%"
        raise InvalidFileError(msg)
    return value


def _count(text: str, where: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        msg = f"{where}, n: {text!r} must be a whole number above 0"
        raise InvalidFileError(msg)
    return int(text)


def _date(text: str, where: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        msg = f"{where}, date: {text!r} must be like 2026-11-23"
        raise InvalidFileError(msg) from error
