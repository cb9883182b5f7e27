"""Which open models may serve, what they score on each class, and why others may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from advisor.catalogue.models import get_model, model_ids, read_model
from advisor.catalogue.names import normalise
from advisor.errors import UnknownNameError
from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.problem import Floats
from advisor.optimizer.scores import ScoreBook, ScoreFact
from advisor.optimizer.tokens import TokenUse, token_use
from advisor.perf.parameters import active_parameters, total_parameters
from advisor.schema.model import Model
from advisor.schema.question import Tuned
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

Size = Literal["small", "mid", "large"]
SMALL_BELOW, LARGE_FROM = 10e9, 40e9
"""Parameters in all: models up to 10 B run on one consumer device, from 40 B they need several
of the data centre's; the report draws the line of a small model at 10 B too."""


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """A model that may serve.

    Parameters
    ----------
    scores
        One a class, None where its metric is unknown for the model.
    tokens
        What it makes of the workload's lengths.
    strong
        Meets the floor of some class, or there is none.
    tuned
        The scenario's fine-tuning this is, if any; the shape is the base's.
    """

    id: str
    name: str
    model: Model
    size: Size
    parameters: float
    active: float
    scores: tuple[ScoreFact | None, ...]
    tokens: TokenUse
    strong: bool = True
    tuned: Tuned | None = None

    @property
    def values(self) -> Floats:
        """``(C,)`` scores, NaN where unknown."""
        return np.array([np.nan if s is None else s.value for s in self.scores])


@dataclass(frozen=True)
class ModelList:
    """Models that may serve, and why others may not."""

    models: tuple[ModelChoice, ...]
    excluded: dict[str, Text]


def size_of(parameters: float) -> Size:
    """Return the size class of a model by its parameters in all.

    >>> size_of(4e9), size_of(32e9), size_of(671e9)
    ('small', 'mid', 'large')
    """
    if parameters < SMALL_BELOW:
        return "small"
    return "mid" if parameters < LARGE_FROM else "large"


def score_book(scenario: Scenario, book: ScoreBook) -> ScoreBook:
    """Check the metrics of all classes and add the scores of tuned models.

    Raises
    ------
    UnknownNameError
        For a metric no model has a score on.
    """
    for tuned in scenario.tuned:
        for metric, score in tuned.scores.items():
            half = scenario.quality.spread_points / 100.0
            book.add(tuned.name, metric, ScoreFact(score, half, tuned.source, "estimated"))
    for one in scenario.workload.classes:
        wanted = scenario.metric_of(one.name)
        if wanted:
            book.check_metric(wanted)
    return book


def models_of(scenario: Scenario, classes: Sequence[ClassDemand], book: ScoreBook) -> ModelList:
    """Collect open models by licence, context and score.

    A model stays if it has a score for at least one class (or no metric is asked for).

    Raises
    ------
    UnknownNameError
        For a model no catalogue holds.
    """
    metrics = [scenario.metric_of(c.name) for c in classes]
    found, excluded = [], {}
    for model, tuned in _named(scenario, metrics, book):
        name = tuned.name if tuned else model.id
        facts = tuple(book.score(name, m) if m else None for m in metrics)
        tokens = token_use(scenario, model.id, facts, name)
        reason = _refused(scenario, classes, model, metrics, facts, tokens)
        if reason:
            excluded[name] = reason
            continue
        assert model.shape is not None
        total = float(total_parameters(model.shape))
        found.append(
            ModelChoice(
                id=name,
                name=tuned.name if tuned else model.name,
                model=model,
                size=size_of(total),
                parameters=total,
                active=float(active_parameters(model.shape)),
                scores=facts,
                tokens=tokens,
                strong=_strong(scenario, classes, facts),
                tuned=tuned,
            )
        )
    return ModelList(tuple(found), excluded)


def _strong(
    scenario: Scenario, classes: Sequence[ClassDemand], facts: Sequence[ScoreFact | None]
) -> bool:
    floors = [scenario.floor_of(c.name) or 0.0 for c in classes]
    return any(
        (f is None and not floor) or (f is not None and f.value >= floor)
        for f, floor in zip(facts, floors, strict=True)
    )


def _named(
    scenario: Scenario, metrics: Sequence[str | None], book: ScoreBook
) -> list[tuple[Model, Tuned | None]]:
    use = scenario.use
    out = {get_model(name).id for name in use.exclude_models}
    if use.models == "any":
        wanted = [m for m in metrics if m]
        scored = {normalise(i) for m in wanted for i in book.models_on(m)}
        ids = [i for i in model_ids() if not wanted or i in scored]
    else:
        ids = [get_model(name).id for name in use.models]
    rows: list[tuple[Model, Tuned | None]] = [
        (read_model(i), None) for i in dict.fromkeys(ids) if i not in out
    ]
    return rows + [(get_model(t.base), t) for t in scenario.tuned]


def _refused(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    model: Model,
    metrics: Sequence[str | None],
    facts: Sequence[ScoreFact | None],
    tokens: TokenUse,
) -> Text | None:
    """Return why a model can't serve any class, None if it may."""
    if model.shape is None:
        key = "out_no_shape" if model.open_weights else "out_closed"
        return Text.of(key, name=model.name)
    allowed = scenario.use.licences
    if allowed != "any" and model.licence not in allowed:
        return Text.of("out_licence", name=model.name, licence=model.licence or "?")
    if not tokens.known.any():
        return Text.of("out_reasoning", name=model.name)
    limit = model.max_context_tokens
    if limit is not None and not tokens.within(classes, limit).any():
        return Text.of("out_context", name=model.name, tokens=limit)
    if any(metrics) and all(f is None for f in facts):
        metric = next(m for m in metrics if m)
        return Text.of("out_no_score", name=model.name, metric=metric)
    return None


def check_names(scenario: Scenario) -> None:
    """Refuse scores assumed for models nobody knows; unknown names raise UnknownNameError."""
    own = {t.name for t in scenario.tuned} | {a.model for a in scenario.use.apis}
    for row in scenario.quality.assumed:
        if row.model in own:
            continue
        try:
            get_model(row.model)
        except UnknownNameError as error:
            msg = f"quality.assume_score: {error.message}"
            raise UnknownNameError(msg, suggestions=error.suggestions) from error
