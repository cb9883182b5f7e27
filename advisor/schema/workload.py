"""The ``[workload]`` section of a scenario: how much traffic, of which kinds, when."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Record, Slug

Arrivals = Literal[
    "poisson", "gamma", "weibull", "conversation", "code", "all-at-once", "ramp", "trace"
]
Privacy = Literal["any", "on-premises", "on-device"]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

SECONDS_PER_MONTH = 365.25 * 86400 / 12
DEFAULT_DURATION_S = 3600.0
HOURS_PER_WEEK = 168
_SHARE_SLACK = 0.005


class Slo(Record, frozen=True):
    """Limits that ``percentile`` per cent of the requests of a class must keep.

    Parameters
    ----------
    ttft_s, tpot_s, e2e_s
        Limits on time to first token, time per output token and end-to-end time, seconds.
    percentile
        Per cent of requests that must keep every limit stated, above 0 and below 100.
    """

    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    e2e_s: Positive | None = None
    percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 95.0

    def __post_init__(self) -> None:
        _require_finite(self)
        if self.ttft_s is None and self.tpot_s is None and self.e2e_s is None:
            msg = "slo states no limit; valid: ttft_s, tpot_s, e2e_s"
            raise ValueError(msg)


class TrafficClass(Record, frozen=True):
    """One kind of request.

    Lengths come from a ``preset`` or from ``isl_tokens`` and ``osl_tokens``; what is left out
    otherwise (prefix, turns, gap) is the preset's, and without one: no prefix, one turn.

    Parameters
    ----------
    name
        Name in results.
    task, language
        Kind of task for the answer's quality, and language code.
    share
        Part of all requests; the shares of a workload add up to 1.
    preset
        Named length law.
    isl_tokens, osl_tokens
        Mean prompt and answer tokens over all requests of the class, history included.
    isl_cv, osl_cv
        Standard deviation over mean of a lognormal law: of the text that a turn adds behind
        prefix and history, and of the answer; 0: fixed lengths.
    shared_prefix_tokens
        Tokens that open every prompt of the class.
    turns
        Mean turns of a session (geometric). Turn k's prompt is turn k-1's prompt and answer
        and new text.
    gap_s, gap_log_sd
        Median seconds between an answer's end and the next turn, and standard deviation of its
        logarithm (lognormal; 0: fixed).
    privacy
        Where the class may be served.
    priority
        Larger goes first.
    deadline_s
        Seconds after arrival by which the answer must have ended.
    slo
        Service-level limits.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    task: Slug = "general"
    language: Slug = "en"
    share: Share = 1.0
    preset: str | None = None
    isl_tokens: Annotated[float, msgspec.Meta(ge=1, le=1e8)] | None = None
    osl_tokens: Annotated[float, msgspec.Meta(ge=1, le=1e8)] | None = None
    isl_cv: Annotated[float, msgspec.Meta(ge=0, le=20)] = 0.0
    osl_cv: Annotated[float, msgspec.Meta(ge=0, le=20)] = 0.0
    shared_prefix_tokens: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] | None = None
    turns: Annotated[float, msgspec.Meta(ge=1, le=1000)] | None = None
    gap_s: NotNegative | None = None
    gap_log_sd: Annotated[float, msgspec.Meta(ge=0, le=5)] | None = None
    privacy: Privacy = "any"
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0
    deadline_s: Positive | None = None
    slo: Slo | None = None

    def __post_init__(self) -> None:
        _require_finite(self)
        stated = (self.isl_tokens is not None) + (self.osl_tokens is not None)
        if stated == 1:
            missing = "isl_tokens" if self.isl_tokens is None else "osl_tokens"
            _refuse(f"class {self.name!r}: isl_tokens and osl_tokens go together; add {missing}")
        if self.preset is not None and stated:
            _refuse(
                f"class {self.name!r}: preset and isl_tokens/osl_tokens exclude each other; "
                "keep one"
            )
        if not stated and (self.isl_cv or self.osl_cv):
            _refuse(f"class {self.name!r}: isl_cv and osl_cv need isl_tokens and osl_tokens")
        if self.preset is None and (self.turns or 1) > 1 and self.gap_s is None:
            _refuse(f"class {self.name!r}: turns above 1 needs gap_s, the median between turns")

    @property
    def has_lengths(self) -> bool:
        """Whether the class states its lengths, itself or by a preset."""
        return self.preset is not None or self.isl_tokens is not None


class Workload(Record, frozen=True):
    """Traffic of a scenario.

    Exactly one of these states the load: ``requests_per_s``, ``requests_per_month``, ``trace``,
    ``clients``, or ``arrivals = "all-at-once"``.

    Parameters
    ----------
    requests_per_s, requests_per_month
        Mean rate over the week, now; a month is a twelfth of 365.25 days.
    trace
        Trace file or folder, relative to the scenario file.
    clients, think_s
        Closed loop: so many clients; mean (exponential) seconds from an answer's end to the
        client's next request or session.
    arrivals
        Law of the arrivals: ``poisson``; ``gamma``, ``weibull`` renewals with ``cv``;
        ``conversation`` (rate that wanders, fitted to chat traffic); ``code`` (measured gaps
        of code completion, scaled to the rate); ``all-at-once``; ``ramp``; ``trace`` (implied
        by ``trace``).
    cv
        Standard deviation over mean of the gaps, for ``gamma`` and ``weibull``.
    ramp_from
        For ``ramp``: rate at the start over the mean; it changes in a line, to
        ``2 - ramp_from`` at the end.
    diurnal, diurnal_weekend
        Named profile, ``flat``, or 24 hourly weights from midnight, and those of Saturday and
        Sunday if they differ. Scaled so that the week's mean is 1.
    start_hour
        Hour of the week at which the run starts; 0 is Monday midnight in the profile's zone.
    growth_per_year
        Relative growth of the rate in a year.
    client_mix
        Named mix of unlike clients (shares, burstiness, lengths) to superpose, instead of
        ``arrivals``.
    duration_s, requests
        How long, or how many requests, to generate; one of them. Default 3600 s.
    rate_scale
        For ``trace``: arrivals come so many times as fast.
    classes
        ``[[workload.class]]``.
    """

    requests_per_s: Positive | None = None
    requests_per_month: Positive | None = None
    trace: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    clients: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    think_s: NotNegative = 0.0
    arrivals: Arrivals | None = None
    cv: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = None
    ramp_from: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    diurnal: str | tuple[NotNegative, ...] = "flat"
    diurnal_weekend: tuple[NotNegative, ...] | None = None
    start_hour: Annotated[float, msgspec.Meta(ge=0, lt=HOURS_PER_WEEK)] = 0.0
    growth_per_year: Annotated[float, msgspec.Meta(gt=-1, le=1000)] = 0.0
    client_mix: str | None = None
    duration_s: Positive | None = None
    requests: Count | None = None
    rate_scale: Positive = 1.0
    classes: tuple[TrafficClass, ...] = msgspec.field(default=(), name="class")

    def __post_init__(self) -> None:
        _require_finite(self)
        self._check_load()
        self._check_arrivals()
        self._check_diurnal()
        self._check_classes()

    def _check_load(self) -> None:
        stated = [
            name
            for name in ("requests_per_s", "requests_per_month", "trace", "clients")
            if getattr(self, name) is not None
        ]
        if self.arrivals == "all-at-once":
            stated.append('arrivals = "all-at-once"')
        if len(stated) != 1:
            found = " and ".join(stated) if stated else "none"
            _refuse(
                "workload needs exactly one of requests_per_s, requests_per_month, trace, "
                f'clients, arrivals = "all-at-once"; found {found}'
            )
        if self.duration_s is not None and self.requests is not None:
            _refuse("duration_s and requests exclude each other; keep one")
        if self.think_s and self.clients is None:
            _refuse("think_s needs clients")
        if self.rate_scale != 1.0 and self.trace is None:
            _refuse("rate_scale needs trace; change requests_per_s instead")

    def _check_arrivals(self) -> None:
        if (self.arrivals == "trace") and self.trace is None:
            _refuse('arrivals = "trace" needs trace = "FILE"')
        if self.trace is not None and self.arrivals not in (None, "trace"):
            _refuse(f"arrivals = {self.arrivals!r} doesn't go with trace: its times are used")
        if self.clients is not None and self.arrivals is not None:
            _refuse("arrivals doesn't go with clients: a closed loop makes its own")
        if self.cv not in (None, 1.0) and self.arrivals not in ("gamma", "weibull"):
            _refuse('cv needs arrivals = "gamma" or "weibull"')
        if self.arrivals in ("gamma", "weibull") and self.cv is None:
            _refuse(f"arrivals = {self.arrivals!r} needs cv")
        if self.ramp_from and self.arrivals != "ramp":
            _refuse('ramp_from needs arrivals = "ramp"')
        if self.client_mix is not None and (self.arrivals is not None or not self.has_rate):
            _refuse("client_mix needs requests_per_s or requests_per_month, without arrivals")

    def _check_diurnal(self) -> None:
        for name in ("diurnal", "diurnal_weekend"):
            weights = getattr(self, name)
            if isinstance(weights, tuple):
                if len(weights) != 24:
                    _refuse(f"{name} has {len(weights)} numbers; valid: 24, one an hour")
                if not all(math.isfinite(weight) for weight in weights):
                    _refuse(f"{name} must be finite")
        if self.diurnal_weekend is not None and isinstance(self.diurnal, str):
            _refuse("diurnal_weekend needs diurnal as a list of 24 numbers")
        if isinstance(self.diurnal, tuple) and not any(self.diurnal + (self.diurnal_weekend or ())):
            _refuse("diurnal needs an hour above 0")
        if not self.has_rate and (
            self.diurnal != "flat" or self.start_hour or self.growth_per_year
        ):
            _refuse(
                "diurnal, start_hour and growth_per_year need requests_per_s or requests_per_month"
            )

    def _check_classes(self) -> None:
        if not self.classes:
            if self.trace is None:
                _refuse("workload needs at least one [[workload.class]]")
            return
        names = [one.name for one in self.classes]
        for name in names:
            if names.count(name) > 1:
                _refuse(f"class name {name!r} is used twice")
        total = math.fsum(one.share for one in self.classes)
        if abs(total - 1) > _SHARE_SLACK:
            _refuse(f"the shares of the classes add up to {total:g}; valid: 1")
        for one in self.classes:
            if self.trace is None and not one.has_lengths:
                _refuse(f"class {one.name!r} needs preset, or isl_tokens and osl_tokens")

    @property
    def has_rate(self) -> bool:
        """Whether the load is stated as a rate."""
        return self.requests_per_s is not None or self.requests_per_month is not None

    @property
    def mean_per_s(self) -> float | None:
        """Mean requests per second over the week; None where the load isn't a rate."""
        if self.requests_per_month is not None:
            return self.requests_per_month / SECONDS_PER_MONTH
        return self.requests_per_s


def _require_finite(record: Record) -> None:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, float) and not math.isfinite(value):
            _refuse(f"{name} must be finite, got {value:g}")


def _refuse(message: str) -> None:
    raise ValueError(message)
