"""Prompt and answer lengths of a class, and how its sessions grow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from advisor.errors import UsageError
from advisor.schema.traffic import Floats, Ints
from advisor.schema.traffic_facts import Lognormal, Pairs, Preset, Quantiles
from advisor.schema.workload import TrafficClass
from advisor.traffic.facts import get_preset

Law = Pairs | Quantiles | Lognormal


@dataclass(frozen=True)
class ClassLaw:
    """Lengths and sessions of a class, preset and own statements put together.

    Parameters
    ----------
    name
        Name of the class.
    law
        Prompt and answer lengths.
    isl_tokens, osl_tokens
        Means over all its requests.
    shared_prefix_tokens
        Tokens that open every prompt.
    fresh_tokens
        Mean new text of a turn: with m mean turns, prompts average
        prefix + m · fresh + (m - 1) · osl = isl, since a request of a geometric session has
        m - 1 earlier turns on average.
    turns, gap_s, gap_log_sd
        Mean turns; median gap and standard deviation of its logarithm.
    """

    name: str
    law: Law
    isl_tokens: float
    osl_tokens: float
    shared_prefix_tokens: int
    fresh_tokens: float
    turns: float
    gap_s: float
    gap_log_sd: float


def class_law(one: TrafficClass) -> ClassLaw:
    """Put a class and its preset together.

    Parameters
    ----------
    one
        A class that states its lengths.

    Raises
    ------
    UnknownNameError
        If the preset is unknown.
    UsageError
        If the class states no lengths, or the prompt is too short for prefix and history.
    """
    preset = get_preset(one.preset) if one.preset is not None else None
    law = preset.lengths if preset is not None else _own_law(one)
    isl, osl = law_means(law)
    turns = _first(one.turns, preset.turns if preset else 1.0)
    prefix = int(_first(one.shared_prefix_tokens, preset.shared_prefix_tokens if preset else 0))
    fresh = (isl - prefix - (turns - 1) * osl) / turns
    if fresh < 1:
        need = math.ceil(prefix + (turns - 1) * osl + turns)
        msg = (
            f"class {one.name!r}: shared_prefix_tokens = {prefix} and turns = {turns:g} of "
            f"{osl:.0f} answer tokens need prompts of {need} tokens on average, not {isl:.0f}; "
            "raise isl_tokens, or lower turns or shared_prefix_tokens"
        )
        raise UsageError(msg)
    gap, log_sd = _gap(one, preset)
    if turns > 1 and one.gap_s is None and gap == 0:
        msg = f"class {one.name!r}: turns above 1 needs gap_s: preset {one.preset!r} states none"
        raise UsageError(msg)
    return ClassLaw(one.name, law, isl, osl, prefix, fresh, turns, gap, log_sd)


def _gap(one: TrafficClass, preset: Preset | None) -> tuple[float, float]:
    gap = _first(one.gap_s, preset.gap_s if preset else 0.0)
    return gap, _first(one.gap_log_sd, preset.gap_log_sd if preset else 0.0)


def _first(own: float | None, other: float) -> float:
    return other if own is None else own


def _own_law(one: TrafficClass) -> Lognormal:
    if one.isl_tokens is None or one.osl_tokens is None:
        msg = f"class {one.name!r} needs preset, or isl_tokens and osl_tokens"
        raise UsageError(msg)
    return Lognormal(
        isl_tokens=one.isl_tokens,
        isl_cv=one.isl_cv,
        osl_tokens=one.osl_tokens,
        osl_cv=one.osl_cv,
    )


def law_means(law: Law) -> tuple[float, float]:
    """Return the mean prompt and answer tokens of a law."""
    if isinstance(law, Lognormal):
        return law.isl_tokens, law.osl_tokens
    if isinstance(law, Pairs):
        return float(np.mean(law.input_tokens)), float(np.mean(law.output_tokens))
    share = np.diff(law.probabilities)
    tables = (np.asarray(law.input_tokens), np.asarray(law.output_tokens))
    first, second = (float(share @ (t[1:] + t[:-1]) / 2) for t in tables)
    return first, second


def draw_lengths(
    law: ClassLaw, count: int, seeds: tuple[np.random.SeedSequence, np.random.SeedSequence]
) -> tuple[Floats, Floats]:
    """Draw the new text and the answer of ``count`` requests.

    Parameters
    ----------
    law
        The class.
    count
        How many; the first k draws don't depend on it.
    seeds
        Of the inputs and of the outputs.

    Returns
    -------
    ``(count,)`` tokens new in the turn, and ``(count,)`` answer tokens, not yet rounded.
    """
    first, second = (np.random.default_rng(seed) for seed in seeds)
    lengths = law.law
    scale = law.fresh_tokens / law.isl_tokens
    if isinstance(lengths, Pairs):
        chosen = first.integers(0, len(lengths.input_tokens), count)
        fresh = np.asarray(lengths.input_tokens, dtype=np.float64)[chosen]
        return fresh * scale, np.asarray(lengths.output_tokens, dtype=np.float64)[chosen]
    if isinstance(lengths, Quantiles):
        fresh = np.interp(first.random(count), lengths.probabilities, lengths.input_tokens)
        return fresh * scale, np.interp(
            second.random(count), lengths.probabilities, lengths.output_tokens
        )
    return (
        _lognormal(first, law.fresh_tokens, lengths.isl_cv, count),
        _lognormal(second, lengths.osl_tokens, lengths.osl_cv, count),
    )


def whole_tokens(lengths: Floats) -> Ints:
    """Round to whole tokens, at least 1."""
    return np.maximum(np.rint(lengths), 1.0).astype(np.int64)


def _lognormal(rng: np.random.Generator, mean: float, cv: float, count: int) -> Floats:
    if cv == 0:
        return np.full(count, mean)
    variance = math.log1p(cv * cv)
    return np.asarray(
        mean * np.exp(math.sqrt(variance) * rng.standard_normal(count) - variance / 2)
    )
