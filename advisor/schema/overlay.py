"""A measured overlay: what one deployment's own benchmark says about it."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Literal

import msgspec

from advisor.schema.engine import EngineCost
from advisor.schema.fact import Record, Slug

Metric = Literal["tpot", "ttft", "prefill", "throughput"]
Degree = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Factor = Annotated[float, msgspec.Meta(ge=0.01, le=100)]


class BenchSource(Record, frozen=True):
    """The result file: name, SHA-256, the tool with its version, the day of measurement."""

    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    tool: str
    date: dt.date
    version: str = ""


class Target(Record, frozen=True):
    """What was measured: the overlay speaks for this alone without a discount.

    ``architecture`` is the device's: siblings share it.
    """

    model: Slug
    device: Slug
    architecture: Slug
    engine: Slug
    precision: Slug
    kv_precision: str
    tp: Degree = 1
    pp: Degree = 1
    dp: Degree = 1
    ep: Degree = 1

    @property
    def layout(self) -> tuple[int, int, int, int]:
        """Degrees of parallelism: tp, pp, dp, ep."""
        return (self.tp, self.pp, self.dp, self.ep)


class Reach(Record, frozen=True):
    """Smallest and largest lengths and requests in flight measured, a replica."""

    isl_low: Positive
    isl_high: Positive
    osl_low: Positive
    osl_high: Positive
    concurrency_low: Positive
    concurrency_high: Positive

    def distance(self, isl: float, osl: float, concurrency: float | None = None) -> float:
        """Return by which factor a question lies outside; 1 inside.

        ``concurrency`` None: only lengths count.
        """
        spans = [(isl, self.isl_low, self.isl_high), (osl, self.osl_low, self.osl_high)]
        if concurrency is not None:
            spans.append((concurrency, self.concurrency_low, self.concurrency_high))
        return max(max(low / asked, asked / high, 1.0) for asked, low, high in spans)


class MetricError(Record, frozen=True):
    """Errors of one metric on the configurations held out, before and after the correction.

    ``before``, ``after``: medians of |predicted/measured - 1|; ``q80``, ``q95``: half-widths
    of a range in natural-log units.
    """

    metric: Metric
    held_out: Annotated[int, msgspec.Meta(ge=0)]
    q80: Positive
    q95: Positive
    before: float | None = None
    after: float | None = None

    def __post_init__(self) -> None:
        if self.q95 < self.q80:
            msg = f"q95 {self.q95} is below q80 {self.q80}"
            raise ValueError(msg)


class Overlay(Record, frozen=True):
    """One import of a result file, written by ``advisor import-bench``.

    Parameters
    ----------
    id
        ``<model>--<device>--<engine>``.
    imported
        Day of the import.
    constants
        Fingerprint of the efficiency constants the correction was fitted on top of.
    configurations, points
        Distinct configurations measured, and measurements in all.
    base, fitted
        The engine's costs before and after.
    prefill_factor, decode_factor
        Time of a prompt and of a decode step over the model's: from rates of lone requests.
    reach
        What was measured.
    error
        The metrics measured.
    """

    schema: Literal[1]
    id: Slug
    imported: dt.date
    constants: str
    configurations: Annotated[int, msgspec.Meta(ge=1)]
    points: Annotated[int, msgspec.Meta(ge=1)]
    source: BenchSource
    target: Target
    reach: Reach
    base: EngineCost
    fitted: EngineCost
    error: tuple[MetricError, ...]
    prefill_factor: Factor = 1.0
    decode_factor: Factor = 1.0

    @property
    def phases(self) -> bool:
        """Whether prompts and decode steps were measured alone."""
        return self.prefill_factor != 1.0 or self.decode_factor != 1.0

    def size(self, metric: Metric) -> float:
        """Return how far the correction moves a metric, natural log, roughly."""
        kernels = abs(math.log(self.fitted.kernel_factor / self.base.kernel_factor))
        phase = self.prefill_factor if metric in ("ttft", "prefill") else self.decode_factor
        return kernels + abs(math.log(phase))
