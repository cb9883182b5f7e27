"""Tables of who answered which question rightly: many models, or a user's own pair."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from advisor.errors import InvalidFileError
from advisor.quality.joint import JointShares, measured_shares

RIGHT, LENGTH = "|correct", "|out_chars"
"""Endings of the columns of one model."""
_MAX_BYTES = 200_000_000
_TRUE, _FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}


@dataclass(frozen=True, eq=False)
class Correctness:
    """Answers of ``m`` models to the same ``n`` questions.

    Parameters
    ----------
    models
        Names as the file has them.
    right
        ``(n, m)`` whether the answer is right.
    answer_chars
        ``(n, m)`` characters of the answer; NaN where the file has none.
    """

    models: tuple[str, ...]
    right: NDArray[np.bool_]
    answer_chars: NDArray[np.float64]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """``(m,)`` share of right answers."""
        return np.asarray(self.right.mean(axis=0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class PairOutcomes:
    """A user's own answers of one pair.

    Parameters
    ----------
    small_right, large_right
        ``(n,)`` who was right.
    score
        ``(n,)`` score of the user's router, None if the file has none.
    """

    small_right: NDArray[np.bool_]
    large_right: NDArray[np.bool_]
    score: NDArray[np.float64] | None = None

    @property
    def shares(self) -> JointShares:
        """The four shares, counted."""
        return measured_shares(self.small_right, self.large_right)

    def __len__(self) -> int:
        return len(self.small_right)


def _open(path: Path) -> io.StringIO:
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            msg = f"{path}: larger than {_MAX_BYTES:,} bytes"
            raise InvalidFileError(msg)
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f"{path}: can't be read: {error}"
        raise InvalidFileError(msg) from error
    return io.StringIO(text)


def _flag(text: str, where: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    msg = f"{where}: {text!r} is not right or wrong; valid: 1 or 0"
    raise InvalidFileError(msg)


def read_correctness(path: Path) -> Correctness:
    """Read a table with columns ``<model>|correct`` and ``<model>|out_chars``, gzipped or not.

    Raises
    ------
    InvalidFileError
        Naming file, line and column.
    """
    rows = csv.DictReader(_open(path))
    names = rows.fieldnames or []
    models = tuple(c.removesuffix(RIGHT) for c in names if c.endswith(RIGHT))
    if not models:
        msg = f"{path}, line 1: no column ends in {RIGHT!r}"
        raise InvalidFileError(msg)
    right, chars = [], []
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        right.append([_flag(row[m + RIGHT] or "", f"{where}, {m}{RIGHT}") for m in models])
        chars.append([_number(row.get(m + LENGTH), f"{where}, {m}{LENGTH}") for m in models])
    if not right:
        msg = f"{path}: no questions"
        raise InvalidFileError(msg)
    return Correctness(models, np.array(right, dtype=bool), np.array(chars, dtype=np.float64))


def _number(text: str | None, where: str) -> float:
    if text is None or not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError as error:
        msg = f"{where}: {text!r} is not a number"
        raise InvalidFileError(msg) from error


def read_pair(path: Path) -> PairOutcomes:
    """Read a user's CSV of ``query, small_ok, large_ok[, score]``.

    The score, if there is one, is the user's router: the higher, the sooner it is escalated.

    Raises
    ------
    InvalidFileError
        Naming file, line and column.
    """
    rows = csv.DictReader(_open(path))
    names = [name.strip() for name in rows.fieldnames or []]
    missing = [c for c in ("query", "small_ok", "large_ok") if c not in names]
    if missing:
        msg = (
            f"{path}, line 1: column {missing[0]!r} is missing; "
            "valid: query, small_ok, large_ok and, if you like, score"
        )
        raise InvalidFileError(msg)
    rows.fieldnames = names
    small, large, score = [], [], []
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        small.append(_flag(row["small_ok"] or "", f"{where}, small_ok"))
        large.append(_flag(row["large_ok"] or "", f"{where}, large_ok"))
        score.append(_number(row.get("score"), f"{where}, score"))
    if not small:
        msg = f"{path}: no questions"
        raise InvalidFileError(msg)
    scores = np.array(score)
    if "score" in names and np.isnan(scores).any():
        msg = f"{path}: score is empty in {np.isnan(scores).sum()} of {len(scores)} lines"
        raise InvalidFileError(msg)
    return PairOutcomes(
        np.array(small, dtype=bool),
        np.array(large, dtype=bool),
        scores if "score" in names else None,
    )
