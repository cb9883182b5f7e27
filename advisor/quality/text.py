"""Tokens per character by tokenizer, and lengths of answers by model: what text costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from advisor.catalogue.models import model_names, read_model
from advisor.catalogue.names import find, normalise
from advisor.catalogue.read import read_record
from advisor.errors import MissingDataError
from advisor.schema.fact import Evidence, Record, Slug, Source, require_sources

_HERE = Path(__file__).resolve().parent
Language = Literal["chinese", "english"]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Density(Record, frozen=True):
    """Tokens per character: value and range over the texts counted."""

    tokens_per_char: Positive
    low: Positive
    high: Positive


class Tokenizer(Record, frozen=True):
    """A vocabulary, the model families and single models that use it, and its densities."""

    id: Slug
    families: tuple[str, ...]
    models: tuple[str, ...]
    chinese: Density
    english: Density
    tokens_per_english_word: Positive
    source: str


class TokenizerFile(Record, frozen=True):
    """``tokenizers.toml``."""

    schema: Literal[1]
    tokenizer: tuple[Tokenizer, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        require_sources({t.id: t.source for t in self.tokenizer}, self.source)


class AnswerLength(Record, frozen=True):
    """Visible characters of one model's answers to one benchmark."""

    model: str
    benchmark: str
    questions: int
    mean_chars: Positive
    median_chars: Positive
    p90_chars: Positive
    source: str
    hidden_reasoning: bool = False


class Reasoning(Record, frozen=True):
    """Mean tokens a question, most of them reasoning before the answer."""

    model: str
    benchmark: str
    mean_tokens: Positive
    source: str


class Reasoners(Record, frozen=True):
    """Models that reason before they answer, and where that is said.

    ``switchable``: they can answer at once as well.
    """

    models: tuple[str, ...]
    source: str
    switchable: bool = False


class LengthFile(Record, frozen=True):
    """``lengths.toml``."""

    schema: Literal[1]
    length: tuple[AnswerLength, ...]
    reasoning: tuple[Reasoning, ...]
    reasoners: tuple[Reasoners, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        named_reasoners = {f"reasoners[{i}]": r.source for i, r in enumerate(self.reasoners)}
        require_sources(named_reasoners, self.source)
        named = {f"length[{i}]": row.source for i, row in enumerate(self.length)}
        named |= {f"reasoning[{i}]": row.source for i, row in enumerate(self.reasoning)}
        require_sources(named, self.source)


@dataclass(frozen=True)
class TextDensity:
    """Tokens a model needs for a character of text.

    Parameters
    ----------
    tokens_per_char
        Chinese: blanks don't count, punctuation does. English: blanks count.
    low, high
        Range over the texts counted.
    tokens_per_word
        Tokens per English word; None for Chinese.
    tokenizer, evidence, source
        Which vocabulary, how known, and where it was read.
    """

    tokens_per_char: float
    low: float
    high: float
    tokens_per_word: float | None
    tokenizer: str
    evidence: Evidence
    source: str


@cache
def tokenizer_file() -> TokenizerFile:
    """Return the counted vocabularies."""
    return read_record(_HERE / "tokenizers.toml", TokenizerFile)


@cache
def length_file() -> LengthFile:
    """Return the counted answer lengths."""
    return read_record(_HERE / "lengths.toml", LengthFile)


def text_per_token(model: str, language: Language) -> TextDensity:
    """Return how many tokens a model needs for a character of text.

    Parameters
    ----------
    model
        Catalogue id or alias.
    language
        ``chinese`` or ``english``.

    Raises
    ------
    UnknownNameError
        If the model is unknown.
    MissingDataError
        If its vocabulary was not counted; the message names those that were.

    Examples
    --------
    >>> text_per_token("qwen3-8b", "chinese").tokenizer
    'qwen2'
    """
    model_id = find(model, model_names(), "model", "advisor catalogue models")
    family = read_model(model_id).family
    file = tokenizer_file()
    for row in file.tokenizer:
        if model_id in row.models or family in row.families:
            source = next(s for s in file.source if s.id == row.source)
            density = row.chinese if language == "chinese" else row.english
            words = None if language == "chinese" else row.tokens_per_english_word
            return TextDensity(
                density.tokens_per_char,
                density.low,
                density.high,
                words,
                row.id,
                "measured",
                source.title,
            )
    known = ", ".join(row.id for row in file.tokenizer)
    msg = f"tokens per character of {model_id} are not known; counted vocabularies: {known}"
    raise MissingDataError(msg)


STAND_IN = "unpublished"
"""Name of the stand-in for a vocabulary that was not counted."""


@cache
def any_density(language: Language) -> TextDensity:
    """Return the stand-in for an unpublished vocabulary: geometric mean and ends of the counted.

    >>> any_density("english").evidence
    'estimated'
    """
    rows = [getattr(row, language).tokens_per_char for row in tokenizer_file().tokenizer]
    mean = math.exp(math.fsum(math.log(x) for x in rows) / len(rows))
    source = f"range of {len(rows)} counted vocabularies"
    return TextDensity(mean, min(rows), max(rows), None, STAND_IN, "estimated", source)


@cache
def always_reasons(model: str) -> bool:
    """Tell whether a model reasons before every answer.

    >>> always_reasons("deepseek-r1"), always_reasons("qwen2.5-7b")
    (True, False)
    """
    wanted = model_names().get(normalise(model), normalise(model))
    return any(wanted in row.models for row in length_file().reasoners if not row.switchable)


@cache
def may_reason(model: str) -> bool:
    """Tell whether a model can reason before it answers, always or by a switch.

    >>> may_reason("qwen3-8b"), may_reason("qwen2.5-7b")
    (True, False)
    """
    wanted = model_names().get(normalise(model), normalise(model))
    return any(wanted in row.models for row in length_file().reasoners)


@dataclass(frozen=True)
class AnswerRatio:
    """Visible characters of one model's answers over another's, to the same questions.

    ``evidence``: ``measured`` on the benchmark asked for; ``extrapolated`` from others, whose
    least and largest ratio are the range.
    """

    value: float
    low: float
    high: float
    benchmarks: tuple[str, ...]
    evidence: Evidence


def answer_ratio(model: str, reference: str, benchmark: str | None) -> AnswerRatio | None:
    """Return how long a model answers against a reference; None where no benchmark has both.

    >>> answer_ratio("gpt-4o-mini", "gpt-4o", "GSM8K").benchmarks
    ('GSM8K',)
    """
    ours = {row.benchmark: row.mean_chars for row in answer_lengths(model)}
    theirs = {row.benchmark: row.mean_chars for row in answer_lengths(reference)}
    both = {name: ours[name] / theirs[name] for name in ours if name in theirs}
    if not both:
        return None
    for name, ratio in both.items():
        if benchmark is not None and normalise(name) == normalise(benchmark):
            return AnswerRatio(ratio, ratio, ratio, (name,), "measured")
    mean = math.exp(math.fsum(math.log(x) for x in both.values()) / len(both))
    ends = min(both.values()), max(both.values())
    return AnswerRatio(mean, *ends, tuple(both), "extrapolated")


def answer_lengths(model: str) -> tuple[AnswerLength, ...]:
    """Return the counted answer lengths of a model; empty if none were counted."""
    wanted = model_names().get(normalise(model), model)
    return tuple(row for row in length_file().length if row.model == wanted)


def reasoning_tokens(model: str) -> tuple[Reasoning, ...]:
    """Return published tokens a question of a reasoning model; empty where none are known."""
    rows = length_file().reasoning
    exact = tuple(row for row in rows if row.model == normalise(model))
    wanted = model_names().get(normalise(model), model)
    return exact or tuple(row for row in rows if row.model == wanted)


def answer_tokens(model: str, benchmark: str) -> float:
    """Return the mean tokens of a model's visible answer to a benchmark.

    Counted characters times the tokens its vocabulary needs per English character.

    Raises
    ------
    MissingDataError
        If the length or the vocabulary is not known, or the model reasons unseen.
    """
    for row in answer_lengths(model):
        if normalise(row.benchmark) == normalise(benchmark):
            if row.hidden_reasoning:
                msg = (
                    f"{model} reasons unseen: its answers to {benchmark} show only the visible part"
                )
                raise MissingDataError(msg)
            return row.mean_chars * text_per_token(model, "english").tokens_per_char
    known = ", ".join(row.benchmark for row in answer_lengths(model)) or "none"
    msg = f"answer length of {model} on {benchmark} is not known; counted: {known}"
    raise MissingDataError(msg)
