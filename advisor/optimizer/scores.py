"""The score a model brings to a class: the user's own, an assumption, or a published one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import hypot
from pathlib import Path

from advisor.catalogue.names import nearest, normalise
from advisor.catalogue.quality import read_scores, scored_on, scores_on
from advisor.errors import UnknownNameError
from advisor.quality.own import read_own
from advisor.quality.scores import counting_sd, is_quantised, spreads
from advisor.quality.tasks import questions_of
from advisor.quality.text import always_reasons, may_reason
from advisor.schema.fact import Evidence
from advisor.schema.price import Score
from advisor.schema.question import Quality

NORMAL_80 = 1.2816


@dataclass(frozen=True)
class ScoreFact:
    """Share of right answers, with the half-width of its 80 % range.

    ``source`` names publication or file; ``evidence``: ``measured`` for published and own
    evaluations, ``estimated`` for assumptions; ``thinking``: reached by reasoning first, or
    possibly so.
    """

    value: float
    half80: float
    source: str
    evidence: Evidence
    thinking: bool = False


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
        If the evaluation file is malformed (:func:`advisor.quality.own.read_own`).
    """

    def __init__(self, quality: Quality, folder: Path) -> None:
        self._quality = quality
        self._own: dict[tuple[str, str], ScoreFact] = {}
        if quality.evaluation_csv:
            self._own = _own(folder / quality.evaluation_csv)
        for row in quality.assumed:
            fact = ScoreFact(row.score, self._spread, f"assumed: {row.because}", "estimated")
            self._own.setdefault((normalise(row.model), normalise(row.metric)), fact)

    @property
    def _spread(self) -> float:
        return self._quality.spread_points / 100.0

    def add(self, model_id: str, metric: str, fact: ScoreFact) -> None:
        """Add the score of a model of the scenario's own (a tuned one)."""
        self._own[normalise(model_id), normalise(metric)] = fact

    def score(self, model_id: str, metric: str) -> ScoreFact | None:
        """Return a model's score on a metric, None if none is known."""
        own = self._own.get((normalise(model_id), normalise(metric)))
        if own is not None:
            return own
        if model_id not in scored_on(metric):
            return None
        variants = {self._quality.variant, "", "unspecified"}
        if self._quality.variant == "instruct" and always_reasons(model_id):
            variants.add("thinking")
        rows = [row for row in scores_on(model_id, metric) if _counts(row, metric, variants)]
        if not rows:
            return None
        able = may_reason(model_id)
        best = max(rows, key=lambda row: (not _thought(row, able), *_preferred(row)))
        half = _half80(best, self._spread)
        thinking = _thought(best, able)
        return ScoreFact(best.score / 100.0, half, best.source, "measured", thinking)

    def models_on(self, metric: str) -> set[str]:
        """Return the ids of models that may have a score on a metric."""
        own = {model for model, known in self._own if known == normalise(metric)}
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


def _counts(row: Score, metric: str, variants: set[str]) -> bool:
    return (
        row.benchmark == metric
        and row.unit == "%"
        and row.variant.split(", ")[0] in variants
        and 0 < row.score < 100
    )


def _thought(row: Score, able: bool) -> bool:
    """Tell whether a score may have been reasoned for: it says so, or leaves it open."""
    variant = row.variant.split(", ")[0]
    return variant == "thinking" or (able and variant in ("", "unspecified"))


def _preferred(row: Score) -> tuple[bool, str]:
    """Full weights before quantised ones, then the newest."""
    return (not is_quantised(row), str(row.date or ""))


@cache
def _benchmarks() -> set[str]:
    from advisor.catalogue.quality import score_ids

    return {row.benchmark for i in score_ids() for row in read_scores(i).score}


def _own(path: Path) -> dict[tuple[str, str], ScoreFact]:
    """Read the user's evaluation; the range is binomial where the file has a count."""
    found = {}
    for row in read_own(path):
        sd = counting_sd(100.0 * row.share, "%", row.questions) or 0.0
        fact = ScoreFact(row.share, NORMAL_80 * sd / 100.0, row.file, "measured")
        found[normalise(row.model), row.task] = fact
    return found


def _half80(row: Score, fallback: float) -> float:
    """Half-width of a published score: counting and setting, as it is held against a floor."""
    spread = spreads().get(row.benchmark)
    parts = (counting_sd(row.score, row.unit, questions_of(row.benchmark)), spread and spread.sd)
    known = [p for p in parts if p]
    return NORMAL_80 * hypot(*known) / 100.0 if known else fallback
