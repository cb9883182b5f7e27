"""A user's own pair and router, taken from their answers question by question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from advisor.errors import MissingDataError, UsageError
from advisor.quality.outcomes import PairOutcomes
from advisor.quality.routing import MixQuality, Router


def _score(outcomes: PairOutcomes) -> NDArray[np.float64]:
    if outcomes.score is None:
        msg = "the file has no column score: the skill of the router is not known"
        raise MissingDataError(msg)
    return outcomes.score


def _auc(above: NDArray[np.float64], below: NDArray[np.float64], empty: str) -> float:
    if not above.size or not below.size:
        raise MissingDataError(empty)
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, side="left")
    ties = np.searchsorted(ordered, above, side="right") - wins
    return float((wins + ties / 2).sum() / (above.size * below.size))


def measured_router(outcomes: PairOutcomes) -> Router:
    """Return the skill of the user's router: chances that its scores order questions rightly.

    Raises
    ------
    MissingDataError
        If the file has no scores, or no question that only the large model answers.
    UsageError
        If the scores separate a class without any error: the binormal curve has no such end.
    """
    score = _score(outcomes)
    only_large = outcomes.large_right & ~outcomes.small_right
    only_small = outcomes.small_right & ~outcomes.large_right
    rest = ~(only_large | only_small)
    none = "no question is answered by the large model alone (or by it alone are all)"
    auc = _auc(score[only_large], score[~only_large], none)
    lost = 0.5
    if only_small.any() and rest.any():
        lost = _auc(score[only_small], score[rest], none)
    return Router(auc, lost)


def route_measured(outcomes: PairOutcomes, escalated: float) -> MixQuality:
    """Return the accuracy when the top share of the user's scores goes to the large model.

    Questions of equal score share their chance.

    Parameters
    ----------
    outcomes
        With scores.
    escalated
        Share to send, 0 to 1.
    """
    if not 0 <= escalated <= 1:
        msg = f"share sent to the large model must be from 0 to 1, got {escalated:g}"
        raise UsageError(msg)
    score = _score(outcomes)
    gain = outcomes.large_right.astype(np.float64) - outcomes.small_right
    levels, index = np.unique(-score, return_inverse=True)
    count = np.bincount(index, minlength=len(levels))
    mean_gain = np.bincount(index, weights=gain, minlength=len(levels)) / count
    before = np.cumsum(count) - count
    taken = np.clip(escalated * len(score) - before, 0, count)
    accuracy = outcomes.small_right.mean() + (taken * mean_gain).sum() / len(score)
    return MixQuality(float(accuracy), escalated)
