"""A trace read: requests, measured times, and what was left out and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from advisor.errors import UsageError
from advisor.schema.traffic import Floats, Requests

UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class TraceOptions:
    """What to take from a trace, and how.

    Parameters
    ----------
    limit
        Stop after so many accepted requests.
    window_s
        Keep arrivals from the first to before the second, seconds from the trace's first
        arrival; times then count from the window's start.
    rate_scale
        Arrivals come so many times as fast.
    sample
        Keep this part of the requests, whole sessions where there are any, chosen by ``seed``.
    seed
        Of the sample, of batches spread, and of formats that hold rates, not requests.
    spread_batches
        Spread requests of one timestamp over the time to the next; None: where at least half
        of the gaps are 0.
    chain_sessions
        Let a turn wait for the end of the turn before. The pause is measured where the file
        says how long answers took; else it is the time between arrivals, answers included.
    time_unit
        ``s``, ``ms``, ``us`` or ``ns`` of numeric times, against the format's usual one.
    block_tokens
        Tokens of a prefix block, against the format's usual one.
    model
        For files that hold several models (ServeGen windows): which.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    limit: int | None = None
    window_s: tuple[float, float] | None = None
    rate_scale: float = 1.0
    sample: float = 1.0
    seed: int = 0
    spread_batches: bool | None = None
    chain_sessions: bool = False
    time_unit: str | None = None
    block_tokens: int | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            _refuse(f"limit must be 1 or more, got {self.limit}")
        if self.window_s is not None and not 0 <= self.window_s[0] < self.window_s[1]:
            _refuse(f"window_s must rise from 0 or more, got {self.window_s}")
        if not (math.isfinite(self.rate_scale) and self.rate_scale > 0):
            _refuse(f"rate_scale must be above 0, got {self.rate_scale}")
        if not 0 < self.sample <= 1:
            _refuse(f"sample must be above 0, at most 1, got {self.sample}")
        if self.time_unit is not None and self.time_unit not in UNITS_S:
            _refuse(f"time_unit {self.time_unit!r}; valid: {', '.join(UNITS_S)}")
        if self.block_tokens is not None and self.block_tokens < 1:
            _refuse(f"block_tokens must be 1 or more, got {self.block_tokens}")


@dataclass(frozen=True)
class Rejection:
    """A line left out.

    Parameters
    ----------
    line
        Line of the file, from 1; of a JSON document that is no line per request: entry.
    reason
        Why.
    """

    line: int
    reason: str


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests of a file.

    Parameters
    ----------
    requests
        Sorted by time, starting at 0.
    format
        Name of the format found.
    rejected, rejected_count, rejected_by_reason
        The first lines left out, how many in all, and how many for each reason.
    spread_batches
        Whether requests of one timestamp were spread over the time to the next.
    unsorted
        How many requests stood after a later one in the file.
    ttft_s, e2e_s
        ``(n,)`` measured times where the file holds any (NaN where a request lacks one), else
        empty.
    """

    requests: Requests
    format: str
    rejected: tuple[Rejection, ...] = ()
    rejected_count: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    spread_batches: bool = False
    unsorted: int = 0
    ttft_s: Floats = field(default_factory=_none)
    e2e_s: Floats = field(default_factory=_none)

    @property
    def tpot_s(self) -> Floats:
        """``(n,)`` (E2E - TTFT) / (output tokens - 1); NaN for one token; empty: not measured."""
        if not len(self.ttft_s) or not len(self.e2e_s):
            return _none()
        after = self.requests.output_tokens - 1
        spent = self.e2e_s - self.ttft_s
        return np.where(after > 0, spent / np.maximum(after, 1), np.nan)


def _refuse(message: str) -> None:
    msg = f"trace: {message}"
    raise UsageError(msg)
