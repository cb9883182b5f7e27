"""Tokens of one text under another model's vocabulary, and characters behind tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from advisor.errors import MissingDataError, UnknownNameError
from advisor.optimizer.capacity import Asked
from advisor.optimizer.problem import Floats
from advisor.quality.text import text_per_token
from advisor.schema.workload import TrafficClass

LANGUAGES: dict[str, Literal["chinese", "english"]] = {"zh": "chinese", "en": "english"}


@lru_cache(maxsize=4096)
def tokens_per_character(model: str, language: str) -> float | None:
    """Return a model's tokens per character, None where its vocabulary wasn't counted."""
    if language not in LANGUAGES:
        return None
    try:
        return text_per_token(model, LANGUAGES[language]).tokens_per_char
    except (MissingDataError, UnknownNameError):
        return None


def token_factors(model: str, reference: str | None, classes: Sequence[TrafficClass]) -> Floats:
    """``(C,)`` tokens of a model over those of the reference for the same text; 1 if unknown."""
    if reference is None:
        return np.ones(len(classes))
    found = []
    for one in classes:
        ours = tokens_per_character(model, one.language)
        theirs = tokens_per_character(reference, one.language)
        found.append(ours / theirs if ours and theirs else 1.0)
    return np.array(found)


def in_tokens_of(asked: Asked, factors: Floats) -> Asked:
    """Return the same requests in another vocabulary's tokens; limits per token stay."""
    f = factors[:, None]
    if (f == 1.0).all():
        return asked
    return replace(asked, isl=asked.isl * f, osl=asked.osl * f)


def characters(
    model: str, classes: Sequence[TrafficClass], tokens: Sequence[float]
) -> Floats | None:
    """``(C,)`` characters of so many tokens of a model, None if a class's can't be told."""
    found = []
    for one, count in zip(classes, tokens, strict=True):
        density = tokens_per_character(model, one.language)
        if density is None:
            return None
        found.append(count / density)
    return np.array(found)
