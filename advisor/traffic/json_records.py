"""The fields we read of other tools' JSON; what else an entry holds is skipped."""

from __future__ import annotations

import math

import msgspec

from advisor.traffic.trace import UNITS_S

NAN = float("nan")


class BlockLine(msgspec.Struct):
    """A line of Mooncake, Bailian, RAGPulse, or a benchmark's trace of their kind."""

    timestamp: float | str
    input_length: int
    output_length: int
    hash_ids: list[int] | dict[str, list[int]] | None = None
    chat_id: int | str | None = None
    parent_chat_id: int | str | None = None
    session_id: int | str | None = None


class EngineLine(msgspec.Struct):
    """A line of a vLLM log folder's ``requests.jsonl``; one monotonic clock."""

    input_toks: int
    output_toks: int
    queued_ts: float
    first_token_ts: float = NAN
    last_token_ts: float = NAN
    request_id: str | None = None


class LitellmEntry(msgspec.Struct, rename={"start": "startTime", "end": "endTime"}):
    """An entry of LiteLLM's standard logging payload or spend logs."""

    prompt_tokens: int
    completion_tokens: int
    start: float | str
    end: float | str | None = None
    first_token: float | str | None = msgspec.field(default=None, name="completionStartTime")
    status: str | None = None
    cache_hit: bool | str | None = None
    request_id: str | None = None
    id: str | None = None
    session_id: str | None = None


class VllmRun(msgspec.Struct):
    """A result of ``vllm bench serve --save-result --save-detailed``; times in s."""

    input_lens: list[int]
    output_lens: list[int]
    start_times: list[float] = []
    ttfts: list[float] = []
    itls: list[list[float]] = []
    latencies: list[float] = []
    errors: list[str | None] = []

    def measured_s(self, i: int) -> tuple[float, float]:
        """Return TTFT and end-to-end time of the i-th request, seconds; NaN: not in the file."""
        ttft = self.ttfts[i] if i < len(self.ttfts) else NAN
        if i < len(self.latencies):
            return ttft, self.latencies[i]
        return ttft, ttft + math.fsum(self.itls[i]) if i < len(self.itls) else NAN


class AiperfMetadata(msgspec.Struct):
    """Who and when of an AIPerf record; epoch in ns."""

    request_start_ns: int
    x_request_id: str | None = None
    x_correlation_id: str | None = None
    conversation_id: str | None = None
    benchmark_phase: str | None = None
    was_cancelled: bool = False


class AiperfMetric(msgspec.Struct):
    """A metric of an AIPerf record."""

    value: float | int | list[float] | None = None
    unit: str = ""

    @property
    def seconds(self) -> float:
        """The value in seconds; NaN if it isn't a time."""
        if isinstance(self.value, int | float):
            return self.value * UNITS_S.get(self.unit, NAN)
        return NAN


class AiperfLine(msgspec.Struct):
    """A line of AIPerf's ``profile_export.jsonl``."""

    metadata: AiperfMetadata
    metrics: dict[str, AiperfMetric] = {}
    error: object = None


class OtelValue(msgspec.Struct, rename="camel"):
    """A value of OTLP/JSON; whole numbers come as strings."""

    int_value: int | str | None = None
    double_value: float | None = None
    string_value: str | None = None

    @property
    def number(self) -> float | int | None:
        """The value as a number; None: it isn't one."""
        for value in (self.int_value, self.double_value, self.string_value):
            if isinstance(value, int | float):
                return value
            if isinstance(value, str):
                try:
                    return int(value)
                except ValueError:
                    return None
        return None


class OtelAttribute(msgspec.Struct):
    """An attribute of a span."""

    key: str
    value: OtelValue


class OtelSpan(msgspec.Struct, rename="camel"):
    """A span of OTLP/JSON; epoch in ns, as text."""

    start_time_unix_nano: str | int
    end_time_unix_nano: str | int
    span_id: str = ""
    attributes: list[OtelAttribute] = []


class OtelScope(msgspec.Struct):
    """Spans of one instrumentation."""

    spans: list[msgspec.Raw] = []


class OtelResource(msgspec.Struct, rename="camel"):
    """Spans of one process."""

    scope_spans: list[OtelScope] = []
    instrumentation_library_spans: list[OtelScope] = []


class OtelDocument(msgspec.Struct, rename="camel"):
    """An OTLP/JSON export."""

    resource_spans: list[OtelResource]
