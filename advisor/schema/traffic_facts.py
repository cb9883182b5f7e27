"""Facts about traffic: lengths, turns, arrivals, hours of the day, unlike clients."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import FactGrade, Record, Slug, Source, require_sources
from advisor.schema.workload import NotNegative, Positive

Tokens = Annotated[int, msgspec.Meta(ge=1)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Hours = Annotated[tuple[NotNegative, ...], msgspec.Meta(min_length=24, max_length=24)]


class Pairs(Record, frozen=True, tag="pairs", tag_field="kind"):
    """Measured (input, output) pairs, equally likely: keeps how the two depend on each other."""

    input_tokens: tuple[Tokens, ...]
    output_tokens: tuple[Tokens, ...]

    def __post_init__(self) -> None:
        if len(self.input_tokens) != len(self.output_tokens) or not self.input_tokens:
            _refuse("input_tokens and output_tokens must be equally long and not empty")


class Quantiles(Record, frozen=True, tag="quantiles", tag_field="kind"):
    """Inverse distribution functions, linear between; input and output independent."""

    probabilities: tuple[Probability, ...]
    input_tokens: tuple[Tokens, ...]
    output_tokens: tuple[Tokens, ...]

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens"):
            _check_table(self.probabilities, getattr(self, name), name)


class Lognormal(Record, frozen=True, tag="lognormal", tag_field="kind"):
    """Means over all requests, and standard deviation over mean; see ``TrafficClass``."""

    isl_tokens: Positive
    isl_cv: NotNegative
    osl_tokens: Positive
    osl_cv: NotNegative


class Preset(Record, frozen=True):
    """Lengths and sessions of one kind of traffic.

    Parameters
    ----------
    id, aliases, title, title_zh
        Names.
    grade, source, note
        How the figures were won: ``published`` with the trace, ``derived`` or ``assumed``; where
        from; what to know.
    lengths
        Law of prompt and answer tokens.
    arrivals
        Arrivals measured on the same trace, for those who ask what goes with the preset.
    shared_prefix_tokens, turns, gap_s, gap_log_sd
        See ``TrafficClass``.
    """

    schema: Literal[1]
    id: Slug
    title: str
    title_zh: str
    grade: FactGrade
    lengths: Pairs | Quantiles | Lognormal
    note: str
    source: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    arrivals: Literal["poisson", "conversation", "code", "all-at-once"] = "poisson"
    shared_prefix_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    turns: Annotated[float, msgspec.Meta(ge=1)] = 1.0
    gap_s: NotNegative = 0.0
    gap_log_sd: NotNegative = 0.0

    def __post_init__(self) -> None:
        require_sources({}, self.source)
        if not self.source:
            _refuse("a preset needs a [[source]]")


class DiurnalProfile(Record, frozen=True):
    """Rate by hour of the day over the week's mean rate.

    Parameters
    ----------
    zone
        Time zone of hour 0.
    weekday, weekend
        24 factors from midnight; Saturday and Sunday take ``weekend``.
    """

    schema: Literal[1]
    id: Slug
    zone: str
    weekday: Hours
    weekend: Hours
    grade: FactGrade
    note: str
    source: tuple[Source, ...]
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_sources({}, self.source)


class CoxGamma(Record, frozen=True, tag="cox-gamma", tag_field="kind"):
    """Gamma renewals under a rate that wanders.

    rate(t) = mean · exp(z1 + z2 − (v1 + v2)/2) with z_i Ornstein-Uhlenbeck of variance
    v_i = ln(1 + s_i) and time constant T_i; gaps in operational time are gamma of this shape.
    """

    s: tuple[Positive, Positive]
    time_constants_s: tuple[Positive, Positive]
    gamma_shape: Positive


class GapTable(Record, frozen=True, tag="gap-table", tag_field="kind"):
    """Independent gaps from a quantile table, linear in ln(gap) between."""

    probabilities: tuple[Probability, ...]
    gap_s: tuple[Positive, ...]

    def __post_init__(self) -> None:
        _check_table(self.probabilities, self.gap_s, "gap_s")


class ArrivalFit(Record, frozen=True):
    """A fitted law of arrivals."""

    schema: Literal[1]
    id: Slug
    law: CoxGamma | GapTable
    note: str
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        require_sources({}, self.source)


class ClientMix(Record, frozen=True):
    """How unlike the clients of a service are.

    Parameters
    ----------
    clients
        Number of clients.
    zipf_exponent
        Share of the k-th client ∝ k ** -zipf_exponent.
    cv_probabilities, cv
        Quantiles of the gap CV over clients, weighted by rate.
    gamma_share
        Part of the load whose gaps follow a gamma law; the rest follows a Weibull law.
    input_log_sd, output_log_sd
        Standard deviation over clients of ln(mean length).
    """

    schema: Literal[1]
    id: Slug
    clients: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    zipf_exponent: NotNegative
    cv_probabilities: tuple[Probability, ...]
    cv: tuple[Positive, ...]
    gamma_share: Probability
    input_log_sd: NotNegative
    output_log_sd: NotNegative
    note: str
    source: tuple[Source, ...]
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_sources({}, self.source)
        _check_table(self.cv_probabilities, self.cv, "cv")


def _check_table(probabilities: tuple[float, ...], values: tuple[float, ...], name: str) -> None:
    if len(values) != len(probabilities) or len(values) < 2:
        _refuse(f"{name} must have as many numbers as its probabilities, 2 at least")
    if any(b <= a for a, b in itertools.pairwise(probabilities)):
        _refuse("probabilities must rise")
    if any(b < a for a, b in itertools.pairwise(values)):
        _refuse(f"{name} must not fall")


def _refuse(message: str) -> None:
    raise ValueError(message)
