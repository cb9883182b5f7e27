"""What a replay answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from advisor.schema.fact import Evidence
from advisor.schema.workload import Slo
from advisor.simulator.statistics import Distribution

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Latency:
    """Times of a group of requests, seconds; None where none has ended.

    ``ttft_s`` arrival to first token, ``tpot_s`` mean gap of an answer's further tokens,
    ``e2e_s`` arrival to last token, ``queue_s`` arrival to the first step that carried it.
    """

    ttft_s: Distribution | None
    tpot_s: Distribution | None
    e2e_s: Distribution | None
    queue_s: Distribution | None


@dataclass(frozen=True)
class ClassFigures:
    """One class of requests.

    ``goodput_share``: requests that kept every limit, of all that came; None without limits.
    ``right_share``: expected share of right answers of those given; None where unknown.
    """

    name: str
    requests: int
    finished: int
    latency: Latency
    slo: Slo | None
    goodput_share: float | None
    slo_met: bool | None
    right_share: float | None


@dataclass(frozen=True)
class TierFigures:
    """One tier.

    Parameters
    ----------
    busy_share
        Busy over up time of its servers (devices: busy over all device time).
    usd, idle_usd
        Money of the run; what of it paid for capacity that stood idle. None: no price known.
    joules
        Energy of the run; None without a power figure.
    peak_cache_share
        Largest share of the cache held.
    waits_for
        What requests waited for most: ``sequences``, ``cache``, ``prompts`` or ``nothing``.
    itl_s
        Percentiles 50, 90, 95, 99 of the gaps between tokens (bins of 0.25 %).
    """

    name: str
    kind: str
    what: str
    evidence: Evidence
    requests: int
    escalated: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    wasted_tokens: int
    busy_share: float
    mean_batch: float
    preemptions: int
    refusals: int
    replicas_peak: int
    paid_hours: float
    usd: float | None
    idle_usd: float | None
    joules: float | None
    peak_cache_share: float
    waits_for: str
    itl_s: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Samples over time: ``time_s`` (n,), the rest (n, tiers)."""

    time_s: Floats
    running: Floats
    waiting: Floats
    cache_share: Floats
    replicas: Floats


@dataclass(frozen=True, eq=False)
class RequestTable:
    """One entry a request, in the order they came; times in seconds, NaN where none.

    ``status`` and ``tier`` are numbers of ``status_names`` and ``tier_names`` (-1: none).
    """

    arrival_s: Floats
    scheduled_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    class_index: NDArray[np.int64]
    tier: NDArray[np.int64]
    server: NDArray[np.int64]
    status: NDArray[np.int64]
    attempts: NDArray[np.int64]
    preemptions: NDArray[np.int64]
    escalated: NDArray[np.int64]
    status_names: tuple[str, ...] = ()
    tier_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def ttft_s(self) -> Floats:
        """Time to first token."""
        return self.first_token_s - self.arrival_s

    @property
    def e2e_s(self) -> Floats:
        """End-to-end time."""
        return self.last_token_s - self.arrival_s

    @property
    def tpot_s(self) -> Floats:
        """Mean gap after the first token; NaN for one-token answers."""
        gaps = np.where(self.output_tokens > 1, self.output_tokens - 1, np.nan)
        return np.asarray((self.last_token_s - self.first_token_s) / gaps)


@dataclass(frozen=True, eq=False)
class SimulationResult:
    """The answer of ``advisor simulate``.

    Parameters
    ----------
    counts
        Requests by status.
    duration_s
        From the start to the last event.
    warm_up_requests
        Requests at the start left out of latencies (MSER-5).
    unstable
        Whether the backlog grew over the run; None where the run is too short to tell.
    requests_per_s, output_tok_per_s
        Of finished requests over the duration.
    goodput_per_s
        Finished requests a second that kept their class's limits; None without limits.
    usd, idle_usd, joules, kgco2e
        Totals; None as soon as a part is unknown.
    binding
        Tier and what requests waited for most there; empty if nothing waited.
    interrupted
        The user stopped the run: figures are of what had ended.
    """

    seed: int
    counts: Mapping[str, int]
    duration_s: float
    warm_up_requests: int
    unstable: bool | None
    latency: Latency
    classes: tuple[ClassFigures, ...]
    tiers: tuple[TierFigures, ...]
    requests_per_s: float
    output_tok_per_s: float
    goodput_per_s: float | None
    right_share: float | None
    usd: float | None
    idle_usd: float | None
    joules: float | None
    kgco2e: float | None
    site: str
    failures: int
    binding: tuple[str, str]
    events: int
    evidence: Evidence
    interrupted: bool
    timeline: Timeline
    table: RequestTable
    data: Mapping[str, str] = field(default_factory=dict)
