"""OpenTelemetry spans of generative AI calls, with the old and the new attribute names."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from advisor.traffic.collect import Collector
from advisor.traffic.json_records import OtelDocument, OtelSpan, OtelValue

NAN = float("nan")
INPUT_KEYS = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
OUTPUT_KEYS = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
TTFT_KEYS = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.latency.time_to_first_token",
)
MODEL_CALLS = ("chat", "text_completion", "generate_content", "completion", "llm_request")
_document = msgspec.json.Decoder(OtelDocument)
_span = msgspec.json.Decoder(OtelSpan)


def add_spans(line: int, text: bytes, sink: Collector, since_ns: Callable[[int], float]) -> None:
    """Add the model calls of an export; other spans are counted as left out.

    Parameters
    ----------
    line
        Line of the export.
    text
        The export.
    sink
        Where to.
    since_ns
        Turns an epoch in ns into seconds after the first one.
    """
    for resource in _document.decode(text).resource_spans:
        for scope in (*resource.scope_spans, *resource.instrumentation_library_spans):
            for raw in scope.spans:
                if sink.full:
                    return
                try:
                    _add(line, _span.decode(raw), sink, since_ns)
                except msgspec.DecodeError as error:
                    sink.reject(line, "malformed span", str(error))


def _add(line: int, span: OtelSpan, sink: Collector, since_ns: Callable[[int], float]) -> None:
    known = {one.key: one.value for one in span.attributes}
    operation = known.get("gen_ai.operation.name", OtelValue()).string_value
    if operation is not None and operation not in MODEL_CALLS:
        sink.reject(line, "span of another operation", operation)
        return
    inputs, outputs = _number(known, INPUT_KEYS), _number(known, OUTPUT_KEYS)
    if inputs is None or outputs is None:
        sink.reject(line, "span without token counts")
        return
    start, end = int(span.start_time_unix_nano), int(span.end_time_unix_nano)
    if not sink.add(line, since_ns(start), int(inputs), int(outputs)):
        return
    ttft = _number(known, TTFT_KEYS)
    e2e = _number(known, ("gen_ai.latency.e2e",))
    if e2e is None:
        e2e = (end - start) * 1e-9 if end >= start else NAN
    sink.measure(NAN if ttft is None else float(ttft), float(e2e))
    sink.identify(line, span.span_id or f"{line} {start} {len(sink.ids)}")
    talk = known.get("gen_ai.conversation.id", OtelValue()).string_value
    sink.sessions.append(sink.number_of(talk) if talk else -1)


def _number(known: dict[str, OtelValue], keys: tuple[str, ...]) -> float | int | None:
    for key in keys:
        if key in known and (value := known[key].number) is not None:
            return value
    return None
