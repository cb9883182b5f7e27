"""The joint correctness of two models on a task: counted if it can be, else from their scores."""

from __future__ import annotations

from advisor.catalogue.models import model_names
from advisor.catalogue.names import normalise
from advisor.quality.comparable import comparable
from advisor.quality.own import OwnScore
from advisor.quality.pairs import PairQuality, dependence, find_measured, predict_pair
from advisor.quality.scores import Unknown
from advisor.quality.tasks import get_task


def fitted_name(benchmark: str) -> str:
    """Return the name under which a benchmark has constants of its own; empty if it has none.

    >>> fitted_name("GSM8K"), fitted_name("MMLU")
    ('gsm', '')
    """
    wanted = normalise(benchmark)
    for row in dependence().benchmark:
        if wanted in (row.benchmark, *row.aliases):
            return row.benchmark
    return ""


def _counted(small: str, large: str, task: str) -> PairQuality | None:
    ids = [model_names().get(normalise(name), name) for name in (small, large)]
    for benchmark in get_task(task).benchmarks:
        found = find_measured(ids[0], ids[1], benchmark)
        if found is not None:
            return found
    return None


def pair_for_task(
    small: str, large: str, task: str, own: tuple[OwnScore, ...] = (), thinking: bool = False
) -> PairQuality | tuple[Unknown, ...]:
    """Return the joint shares of two models for a task, or who is unknown and why.

    Parameters
    ----------
    small, large
        Model ids or aliases.
    task, own, thinking
        As for :func:`advisor.quality.comparable.comparable`. Where the user has answers to the
        same questions, count them instead (``outcomes.read_pair``, ``pairs.counted_pair``).

    Raises
    ------
    UnknownNameError
        If the task is unknown.
    """
    table = comparable((small, large), task, own, thinking=thinking)
    if table.basis != "own":
        counted = _counted(small, large, task)
        if counted is not None:
            return counted
    if table.unknown:
        return table.unknown
    first, second = table.scores
    if first.share is None or second.share is None:
        return tuple(Unknown(s.model, "no-share", (s.benchmark,)) for s in (first, second))
    return predict_pair(first.share, second.share, fitted_name(table.benchmark))
