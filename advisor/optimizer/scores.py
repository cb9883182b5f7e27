"""The score a model brings to a class: the user's own, an assumption, or a published one."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import StringIO
from math import sqrt
from pathlib import Path

from advisor.catalogue.names import nearest, normalise
from advisor.catalogue.quality import read_scores, scored_on, scores_on
from advisor.catalogue.read import read_text
from advisor.errors import InvalidFileError, UnknownNameError
from advisor.schema.fact import Evidence
from advisor.schema.price import Score
from advisor.schema.question import Quality

NORMAL_80 = 1.2816
COLUMNS = ("model", "metric", "score")


@dataclass(frozen=True)
class ScoreFact:
    """Share of right answers, with the half-width of its 80 % range.

    ``source`` names publication or file; ``evidence``: ``measured`` for published and own
    evaluations, ``estimated`` for assumptions.
    """

    value: float
    half80: float
    source: str
    evidence: Evidence


class ScoreBook:
    """Scores of models by metric; unknown stays unknown.

    Parameters
    ----------
    quality
        The scenario's section.
    folder
        Folder that relative file names count from.

    Raises
    ------
    InvalidFileError
        If the evaluation file lacks a column or holds a score outside 0 to 1.
    """

    def __init__(self, quality: Quality, folder: Path) -> None:
        self._quality = quality
        self._own: dict[tuple[str, str], ScoreFact] = {}
        if quality.evaluation_csv:
            self._own = _evaluation(folder / quality.evaluation_csv)
        for row in quality.assumed:
            fact = ScoreFact(row.score, self._spread, f"assumed: {row.because}", "estimated")
            self._own.setdefault((normalise(row.model), row.metric), fact)

    @property
    def _spread(self) -> float:
        return self._quality.spread_points / 100.0

    def add(self, model_id: str, metric: str, fact: ScoreFact) -> None:
        """Add the score of a model of the scenario's own (a tuned one)."""
        self._own[normalise(model_id), metric] = fact

    def score(self, model_id: str, metric: str) -> ScoreFact | None:
        """Return a model's score on a metric, None if none is known."""
        own = self._own.get((normalise(model_id), metric))
        if own is not None:
            return own
        if model_id not in scored_on(metric):
            return None
        rows = [row for row in scores_on(model_id, metric) if self._counts(row, metric)]
        if not rows:
            return None
        best = max(rows, key=_preferred)
        return ScoreFact(best.score / 100.0, self._spread, best.source, "measured")

    def _counts(self, row: Score, metric: str) -> bool:
        wanted = self._quality.variant
        return (
            row.benchmark == metric
            and row.unit == "%"
            and row.variant in (wanted, "")
            and 0 < row.score < 100
        )

    def models_on(self, metric: str) -> set[str]:
        """Return the ids of models that may have a score on a metric."""
        own = {model for model, known in self._own if known == metric}
        return own | set(scored_on(metric))

    def check_metric(self, metric: str) -> None:
        """Refuse a metric that no model has a score on, naming the nearest that exist.

        Raises
        ------
        UnknownNameError
            Naming the nearest metrics.
        """
        if self.models_on(metric):
            return
        close = nearest(metric, _benchmarks() | {known for _, known in self._own})
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        msg = f"no model has a score on {metric!r}.{hint} List: advisor catalogue quality"
        raise UnknownNameError(msg, suggestions=close)


def _preferred(row: Score) -> tuple[bool, str]:
    """Full weights before quantised ones, then the newest."""
    return ("bit" not in row.setting, str(row.date or ""))


@cache
def _benchmarks() -> set[str]:
    from advisor.catalogue.quality import score_ids

    return {row.benchmark for i in score_ids() for row in read_scores(i).score}


def _evaluation(path: Path) -> dict[tuple[str, str], ScoreFact]:
    """Read ``model,metric,score[,n]``; the range is binomial where n is given."""
    rows = csv.DictReader(StringIO(read_text(path)))
    missing = [c for c in COLUMNS if c not in (rows.fieldnames or ())]
    if missing:
        msg = f"{path}, line 1: no column {missing[0]!r}; needed: {', '.join(COLUMNS)} (and n)"
        raise InvalidFileError(msg)
    return dict(_own_rows(path, rows))


def _own_rows(
    path: Path, rows: Iterable[dict[str, str]]
) -> Iterable[tuple[tuple[str, str], ScoreFact]]:
    for line, row in enumerate(rows, 2):
        try:
            score, n = float(row["score"]), float(row.get("n") or 0)
        except (TypeError, ValueError) as error:
            msg = f"{path}, line {line}: score and n must be numbers"
            raise InvalidFileError(msg) from error
        if not 0 < score < 1 or n < 0:
            msg = f"{path}, line {line}: score must be a share between 0 and 1, got {score:g}"
            raise InvalidFileError(msg)
        half = NORMAL_80 * sqrt(score * (1.0 - score) / n) if n else 0.0
        yield (
            (normalise(row["model"]), row["metric"]),
            ScoreFact(score, half, str(path), "measured"),
        )
