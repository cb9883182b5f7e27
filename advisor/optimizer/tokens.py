"""What a model makes of the workload's lengths: its vocabulary, answers, unseen reasoning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from advisor.catalogue.models import get_model
from advisor.catalogue.names import normalise
from advisor.errors import MissingDataError, UnknownNameError
from advisor.optimizer.capacity import Asked
from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.problem import Floats
from advisor.optimizer.scores import ScoreFact
from advisor.quality.text import (
    TextDensity,
    always_reasons,
    answer_ratio,
    any_density,
    reasoning_tokens,
    text_per_token,
)
from advisor.schema.fact import Evidence, worst_evidence
from advisor.schema.question import OutputNote
from advisor.schema.scenario import Scenario
from advisor.schema.workload import TrafficClass

LANGUAGES: dict[str, Literal["chinese", "english"]] = {"zh": "chinese", "en": "english"}


@dataclass(frozen=True, eq=False)
class TokenUse:
    """What one model makes of the workload's lengths; arrays by class.

    Parameters
    ----------
    text
        Its tokens over those the workload counts in, for the same text.
    answer
        Text of its visible answer over the workload's.
    hidden
        Tokens of reasoning before an answer; NaN where it reasons and nobody knows how long.
    half80
        Half-width of the 80 % range of its tokens, in logs.
    vocabulary
        How ``text`` is known: ``exact`` where it is 1 by statement, ``measured``, ``estimated``.
    length
        How ``answer`` is known; ``estimated``: taken as equal.
    """

    text: Floats
    answer: Floats
    hidden: Floats
    half80: Floats
    vocabulary: Evidence
    length: Evidence

    @property
    def known(self) -> np.ndarray:
        """``(C,)`` classes whose output length can be told."""
        return np.isfinite(self.hidden)

    def within(self, classes: Sequence[ClassDemand], context: float) -> np.ndarray:
        """``(C,)`` classes whose mean prompt and answer fit into a context."""
        isl, osl, hidden = self.lengths(classes)
        return np.asarray(isl + osl + hidden <= context)

    def lengths(self, classes: Sequence[ClassDemand]) -> tuple[Floats, Floats, Floats]:
        """``(C,)`` mean tokens of prompt, visible answer and reasoning, the unknown left out."""
        isl = np.array([c.isl_tokens for c in classes])
        osl = np.array([c.osl_tokens for c in classes])
        return self.text * isl, self.text * self.answer * osl, np.nan_to_num(self.hidden)

    def applied(self, asked: Asked) -> Asked:
        """Return the same requests in the model's own tokens; limits per token stay.

        Where the reasoning isn't known it is left out: such classes may not be served.
        """
        text, hidden = self.text[:, None], np.nan_to_num(self.hidden)[:, None]
        visible = text * self.answer[:, None]
        if (text == 1.0).all() and (visible == 1.0).all() and not hidden.any():
            return asked
        return replace(asked, isl=asked.isl * text, osl=asked.osl * visible + hidden, hidden=hidden)


@lru_cache(maxsize=4096)
def density_of(model: str, language: str) -> TextDensity | None:
    """Return a model's tokens per character; the range of all where its vocabulary is unknown.

    None for a language no vocabulary was counted on.
    """
    if language not in LANGUAGES:
        return None
    try:
        return text_per_token(model, LANGUAGES[language])
    except (MissingDataError, UnknownNameError):
        return any_density(LANGUAGES[language])


def token_ratio(model: str, reference: str, language: str) -> tuple[float, float, Evidence]:
    """Return tokens of a model over a reference's for the same text, its log half-width, label.

    Counted vocabularies were counted on the same parts of text, so that their ends go together.
    An unpublished one lies anywhere among the counted. A language nobody counted on is given the
    widest of those ranges.
    """
    if _id_of(model) == _id_of(reference):
        return 1.0, 0.0, "exact"
    ours, theirs = density_of(model, language), density_of(reference, language)
    if ours is None or theirs is None:
        return 1.0, max(_half_range(any_density(x)) for x in LANGUAGES.values()), "estimated"
    value = ours.tokens_per_char / theirs.tokens_per_char
    if "estimated" not in (ours.evidence, theirs.evidence):
        if ours.tokenizer == theirs.tokenizer:
            return 1.0, 0.0, "measured"
        ends = (
            math.log(a / b / value) for a, b in ((ours.low, theirs.low), (ours.high, theirs.high))
        )
        return value, max(abs(x) for x in ends), "measured"
    unknown = [_half_range(x) for x in (ours, theirs) if x.evidence == "estimated"]
    return value, math.hypot(*unknown), "estimated"


def _half_range(density: TextDensity) -> float:
    return math.log(density.high / density.low) / 2.0


@lru_cache(maxsize=4096)
def _id_of(name: str) -> str:
    try:
        return get_model(name).id
    except UnknownNameError:
        return normalise(name)


def token_use(
    scenario: Scenario, model: str, scores: Sequence[ScoreFact | None] = (), name: str | None = None
) -> TokenUse:
    """Return what a model makes of a scenario's lengths.

    Parameters
    ----------
    model
        Catalogue id (of the base, if it is a tuned one).
    scores
        By class; a score that was reached by thinking asks for the tokens thought.
    name
        Name under which the scenario speaks of it, if another.
    """
    classes, use = scenario.workload.classes, scenario.use
    texts: list[tuple[float, float, Evidence]] = [
        (1.0, 0.0, "exact")
        if use.tokens_of is None
        else token_ratio(model, use.tokens_of, c.language)
        for c in classes
    ]
    answers = [_answer(scenario, model, name, c) for c in classes]
    thought = scores or (None,) * len(classes)
    hidden = [_hidden(scenario, model, name, c, s) for c, s in zip(classes, thought, strict=True)]
    halves = [math.hypot(t[1], a[1]) for t, a in zip(texts, answers, strict=True)]
    return TokenUse(
        text=np.array([t[0] for t in texts]),
        answer=np.array([a[0] for a in answers]),
        hidden=np.array(hidden),
        half80=np.array(halves),
        vocabulary=worst_evidence(*(t[2] for t in texts)),
        length=worst_evidence(*(a[2] for a in answers)),
    )


def stated(scenario: Scenario, model: str, name: str | None, one: TrafficClass) -> list[OutputNote]:
    """Return what the scenario says of a model's output, rows of the class itself first."""
    ids = {_id_of(model)} | ({normalise(name)} if name else set())
    rows = [
        row
        for row in scenario.use.outputs
        if ids & {_id_of(row.model), normalise(row.model)} and row.traffic_class in (None, one.name)
    ]
    return sorted(rows, key=lambda row: row.traffic_class is None)


def _answer(
    scenario: Scenario, model: str, name: str | None, one: TrafficClass
) -> tuple[float, float, Evidence]:
    """Text of the visible answer over the workload's, its log half-width, label."""
    for row in stated(scenario, model, name, one):
        if row.answer_factor is not None:
            return row.answer_factor, 0.0, "exact"
    reference = scenario.use.answers_of
    if reference is None or _id_of(model) == _id_of(reference):
        return 1.0, 0.0, "exact"
    found = answer_ratio(model, reference, scenario.metric_of(one.name))
    if found is None:
        return 1.0, 0.0, "estimated"
    return found.value, math.log(found.high / found.low) / 2.0, found.evidence


def _hidden(
    scenario: Scenario, model: str, name: str | None, one: TrafficClass, score: ScoreFact | None
) -> float:
    """Mean tokens reasoned unseen; NaN where the model reasons and nobody knows how long."""
    for row in stated(scenario, model, name, one):
        if row.reasoning_tokens is not None:
            return row.reasoning_tokens
    if not (always_reasons(model) or (score is not None and score.thinking)):
        return 0.0
    metric = scenario.metric_of(one.name)
    for fact in reasoning_tokens(model):
        if metric is not None and normalise(fact.benchmark) == normalise(metric):
            return max(fact.mean_tokens - (one.osl_tokens or 0.0), 0.0)
    return math.nan


def character_half_width(model: str, one: TrafficClass) -> float:
    """Return the log half-width of characters behind a model's tokens; 0 where counted."""
    density = density_of(model, one.language)
    return _half_range(density) if density and density.evidence == "estimated" else 0.0


def characters(
    model: str, classes: Sequence[TrafficClass], tokens: Sequence[float]
) -> Floats | None:
    """``(C,)`` characters of so many tokens of a model, None if a class's can't be told."""
    found = []
    for one, count in zip(classes, tokens, strict=True):
        density = density_of(model, one.language)
        if density is None:
            return None
        found.append(count / density.tokens_per_char)
    return np.array(found)
