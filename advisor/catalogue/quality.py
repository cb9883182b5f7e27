"""Published benchmark scores by model; unknown stays unknown."""

from __future__ import annotations

from functools import cache

from advisor.catalogue.models import model_names
from advisor.catalogue.names import find, normalise
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import decode, read_record
from advisor.schema.fact import Record
from advisor.schema.price import QualityFile, Score

_LISTING = "advisor catalogue quality"


def score_ids() -> tuple[str, ...]:
    """Return the ids of all scored systems, sorted."""
    return tuple(sorted(path.stem for path in data_dir("quality").glob("*.toml")))


@cache
def scored_on(benchmark: str) -> tuple[str, ...]:
    """Return the ids of systems with a score on a benchmark, from the file texts alone."""
    wanted = f'benchmark = "{benchmark}"'
    paths = sorted(data_dir("quality").glob("*.toml"))
    return tuple(path.stem for path in paths if wanted in path.read_text(encoding="utf-8"))


@cache
def scores_on(model_id: str, benchmark: str) -> tuple[Score, ...]:
    """Return a system's scores on one benchmark; only their lines of the file are decoded."""
    path = data_dir("quality") / f"{model_id}.toml"
    wanted = f'  {{ benchmark = "{benchmark}",'
    lines = [x for x in path.read_text(encoding="utf-8").splitlines() if x.startswith(wanted)]
    return decode("\n".join(["score = [", *lines, "]"]), _Scores, str(path)).score


class _Scores(Record, frozen=True):
    score: tuple[Score, ...]


@cache
def read_scores(model_id: str) -> QualityFile:
    """Read the scores of the system with this exact id."""
    return read_record(data_dir("quality") / f"{model_id}.toml", QualityFile)


def get_scores(name: str) -> QualityFile:
    """Return the scores of a system by id or model alias; unknown names raise UnknownNameError.

    A scored system's own id goes first: some models share the shape, and so the alias, of another
    model but not its scores.
    """
    known = {entry: entry for entry in score_ids()}
    alias = model_names().get(normalise(name))
    wanted = alias if alias in known and normalise(name) not in known else name
    return read_scores(find(wanted, known, "scored system", _LISTING))
