"""JSON traces: block-hashed lines, benchmark results, proxy logs, telemetry, engine logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from advisor.errors import InvalidFileError
from advisor.traffic.collect import LONGEST_S, MOST_BLOCK_ID, Collector
from advisor.traffic.json_entries import entries
from advisor.traffic.json_records import (
    AiperfLine,
    BlockLine,
    EngineLine,
    LitellmEntry,
    VllmRun,
)
from advisor.traffic.otel import add_spans
from advisor.traffic.times import Dates, epoch_unit_s, is_date
from advisor.traffic.trace import UNITS_S, TraceOptions
from advisor.traffic.trace_csv import columns_of, normalised, whole
from advisor.traffic.trace_file import TraceFile

NAN = float("nan")


@dataclass
class State:
    """What readers of entries share: the sink, and the origin of epoch times."""

    sink: Collector
    unit_s: float
    origin: float | None = None
    origin_ns: int | None = None
    dates: Dates | None = None

    def since(self, moment: float) -> float:
        """Return seconds after the first moment; what is no moment comes back as it is."""
        if not abs(moment) <= LONGEST_S:
            return moment
        if self.origin is None:
            self.origin = moment
        return (moment - self.origin) * self.unit_s

    def since_ns(self, moment: int) -> float:
        """Return seconds after the first moment, exact for long whole numbers.

        Raises
        ------
        ValueError
            If it is no epoch.
        """
        if not 0 <= moment <= MOST_BLOCK_ID:
            msg = f"no epoch in ns: {str(moment)[:40]}"
            raise ValueError(msg)
        if self.origin_ns is None:
            self.origin_ns = moment
        return (moment - self.origin_ns) * 1e-9

    def moment_s(self, value: float | str | None) -> float:
        """Return an epoch or a date in seconds after the first one; NaN: neither."""
        if value is None or value == "":
            return NAN
        if isinstance(value, str) and is_date(value):
            self.dates = self.dates or Dates()
            return self.dates.seconds(value)
        try:
            number = float(value)
        except ValueError:
            return NAN
        return self.since(number * (epoch_unit_s(number) or 1.0))


Read = Callable[[int, bytes, State], None]


def _blocks(block_name: str) -> Read:
    decoder = msgspec.json.Decoder(BlockLine)

    def read(line: int, text: bytes, state: State) -> None:
        entry = decoder.decode(text)
        sink = state.sink
        ids = entry.hash_ids if isinstance(entry.hash_ids, list) else []
        if block_name == "bailian" and entry.chat_id is None:
            sink.reject(line, "no chat_id")
            return
        if ids and not (min(ids) >= 0 and max(ids) <= MOST_BLOCK_ID):
            sink.reject(line, "hash_ids out of range")
            return
        if not sink.add(
            line, float(entry.timestamp) * state.unit_s, entry.input_length, entry.output_length
        ):
            return
        sink.add_blocks(ids)
        if block_name == "bailian":
            sink.identify(line, entry.chat_id)
            root = entry.parent_chat_id in (None, -1, "-1")
            # Parents are named by id; the session is the parent's, found while reading in order.
            own = sink.number_of(entry.chat_id)
            parent = -1 if root else sink.number_of(entry.parent_chat_id)
            sink.parents.append(parent)
            sink.sessions.append(own)
        else:
            sink.sessions.append(sink_number(sink, entry.session_id))

    return read


def _aiperf() -> Read:
    decoder = msgspec.json.Decoder(AiperfLine)

    def read(line: int, text: bytes, state: State) -> None:
        entry = decoder.decode(text)
        about, sink = entry.metadata, state.sink
        if entry.error is not None:
            sink.reject(line, "failed request", str(entry.error))
        elif about.was_cancelled:
            sink.reject(line, "cancelled request")
        elif about.benchmark_phase == "warmup":
            sink.reject(line, "warm-up request")
        elif "input_sequence_length" not in entry.metrics:
            sink.reject(line, "no input_sequence_length")
        elif "output_sequence_length" not in entry.metrics:
            sink.reject(line, "no output_sequence_length")
        else:
            inputs, outputs = (
                whole(str(entry.metrics[f"{side}_sequence_length"].value))
                for side in ("input", "output")
            )
            if sink.add(line, state.since_ns(about.request_start_ns), inputs, outputs):
                sink.measure(
                    *(
                        entry.metrics[name].seconds if name in entry.metrics else NAN
                        for name in ("time_to_first_token", "request_latency")
                    )
                )
                sink.identify(line, about.x_request_id or f"line {line}")
                name = about.conversation_id or about.x_correlation_id
                sink.sessions.append(sink.number_of(name) if name else -1)

    return read


def _engine() -> Read:
    decoder = msgspec.json.Decoder(EngineLine)

    def read(line: int, text: bytes, state: State) -> None:
        entry = decoder.decode(text)
        time_s = state.since(entry.queued_ts)
        if state.sink.add(line, time_s, entry.input_toks, entry.output_toks):
            ttft, e2e = (at - entry.queued_ts for at in (entry.first_token_ts, entry.last_token_ts))
            state.sink.measure(ttft if ttft >= 0 else NAN, e2e if e2e >= 0 else NAN)
            state.sink.identify(line, entry.request_id or f"line {line}")

    return read


def _litellm() -> Read:
    decoder = msgspec.json.Decoder(LitellmEntry)

    def read(line: int, text: bytes, state: State) -> None:
        entry = decoder.decode(text)
        sink = state.sink
        if entry.status is not None and entry.status not in ("success", ""):
            sink.reject(line, "failed request", entry.status)
            return
        if entry.cache_hit in (True, "True", "true"):
            sink.reject(line, "answered from the proxy's cache")
            return
        start, end, first = (
            state.moment_s(at) for at in (entry.start, entry.end, entry.first_token)
        )
        if sink.add(line, start, entry.prompt_tokens, entry.completion_tokens):
            streamed = start <= first < end
            sink.measure(first - start if streamed else NAN, end - start if end >= start else NAN)
            sink.identify(line, entry.request_id or entry.id or f"line {line}")
            sink.sessions.append(sink.number_of(entry.session_id) if entry.session_id else -1)

    return read


def _vllm() -> Read:
    decoder = msgspec.json.Decoder(VllmRun)

    def read(line: int, text: bytes, state: State) -> None:
        run = decoder.decode(text)
        if not run.start_times:
            msg = "no start_times: write the file with a current vLLM and --save-detailed"
            raise InvalidFileError(msg)
        count = len(run.start_times)
        if not len(run.input_lens) == len(run.output_lens) == count:
            msg = "start_times, input_lens and output_lens differ in length"
            raise InvalidFileError(msg)
        for i, start in enumerate(run.start_times):
            if state.sink.full:
                return
            if i < len(run.errors) and run.errors[i]:
                state.sink.reject(i + 1, "failed request", run.errors[i] or "")
            elif state.sink.add(i + 1, state.since(start), run.input_lens[i], run.output_lens[i]):
                state.sink.measure(*run.measured_s(i))

    return read


def _otel() -> Read:
    def read(line: int, text: bytes, state: State) -> None:
        add_spans(line, text, state.sink, state.since_ns)

    return read


def _plain() -> Read:
    decoder = msgspec.json.Decoder(dict[str, object])

    def read(line: int, text: bytes, state: State) -> None:
        entry = {normalised(key): value for key, value in decoder.decode(text).items()}
        found = columns_of(list(entry))
        if found is None:
            state.sink.reject(line, "no arrival, input or output tokens")
            return
        _, columns, unit = found
        moment = entry[columns.time]
        if isinstance(moment, bool) or not isinstance(moment, int | float | str):
            state.sink.reject(line, "time is neither number nor date", repr(moment))
            return
        if isinstance(moment, int | float) and not epoch_unit_s(moment) and moment < 1e8:
            time_s = moment * (UNITS_S[unit] if unit else state.unit_s)
        else:
            state.sink.earliest_s = -LONGEST_S
            time_s = state.moment_s(moment)
        tokens = [whole(str(entry[name])) for name in (columns.inputs, columns.outputs)]
        if state.sink.add(line, time_s, *tokens):
            name = entry[columns.session] if columns.session else None
            state.sink.sessions.append(sink_number(state.sink, name))

    return read


def sink_number(sink: Collector, name: object) -> int:
    """Return the running number of a session of any JSON type; -1 for none."""
    return -1 if name is None else sink.number_of(str(name))


@dataclass(frozen=True)
class JsonFormat:
    """How a JSON format is told and read.

    Parameters
    ----------
    keys
        Keys its entries have.
    reader
        Makes the reader of an entry.
    unit
        Unit of its numeric times.
    wall_clock
        Whether times are epochs or some clock's.
    block_tokens
        Tokens of its prefix blocks.
    """

    keys: frozenset[str]
    reader: Callable[[], Read]
    unit: str = "s"
    wall_clock: bool = True
    block_tokens: int = 16


def _of(keys: str) -> frozenset[str]:
    return frozenset(keys.split())


FORMATS: dict[str, JsonFormat] = {
    "bailian": JsonFormat(
        _of("chat_id timestamp input_length output_length"), lambda: _blocks("bailian"), "s", False
    ),
    "ragpulse": JsonFormat(
        _of("timestamp input_length output_length session_id"),
        lambda: _blocks("ragpulse"),
        "s",
        False,
    ),
    "mooncake": JsonFormat(
        _of("timestamp input_length output_length"), lambda: _blocks("mooncake"), "ms", False, 512
    ),
    "aiperf": JsonFormat(_of("metadata metrics"), _aiperf),
    "vllm-log": JsonFormat(_of("input_toks output_toks queued_ts"), _engine),
    "vllm-bench": JsonFormat(_of("input_lens output_lens"), _vllm),
    "otel": JsonFormat(_of("resourceSpans"), _otel),
    "litellm": JsonFormat(_of("startTime prompt_tokens completion_tokens"), _litellm),
}
PLAIN = JsonFormat(frozenset(), _plain, "s", wall_clock=False)


def json_format(entry: dict[str, object]) -> str | None:
    """Return the format of a decoded entry by its keys; None: none known."""
    for name, known in FORMATS.items():
        if known.keys <= entry.keys() and (
            name != "ragpulse" or isinstance(entry.get("hash_ids"), dict)
        ):
            return name
    return "jsonl" if columns_of([normalised(key) for key in entry]) else None


def read_json(file: TraceFile, options: TraceOptions, name: str | None) -> tuple[str, Collector]:
    """Read a JSON trace: one entry a line, or one document.

    Parameters
    ----------
    file, options
        Where from, and what to take.
    name
        Format; None: by the first entry's keys.

    Raises
    ------
    InvalidFileError
        If the document is malformed or no trace.
    """
    sink = Collector(options.limit)
    state: State | None = None
    read: Read | None = None
    for line, text in entries(file):
        if sink.full:
            break
        try:
            if read is None:
                name = name or _detect(file, line, text)
                known = FORMATS.get(name, PLAIN)
                unit = options.time_unit or known.unit
                state = State(sink, UNITS_S[unit])
                sink.earliest_s = -LONGEST_S if known.wall_clock else 0.0
                read = known.reader()
            assert state is not None
            read(line, text, state)
        except msgspec.DecodeError as error:
            sink.reject(line, "malformed entry", str(error))
        except UnicodeDecodeError as error:
            sink.reject(line, "not UTF-8", f"byte {error.start}")
        except (ValueError, OverflowError) as error:
            sink.reject(line, "malformed number", str(error))
        except RecursionError:
            sink.reject(line, "nested too deeply")
        except InvalidFileError as error:
            msg = str(error) if str(file.path) in str(error) else f"{file.path}: {error}"
            raise InvalidFileError(msg) from error
    return name or "jsonl", sink


def _detect(file: TraceFile, line: int, text: bytes) -> str:
    entry = msgspec.json.decode(text)
    name = json_format(entry) if isinstance(entry, dict) else None
    if name is None:
        keys = ", ".join(list(entry)[:12]) if isinstance(entry, dict) else type(entry).__name__
        msg = (
            f"{file.path}, line {line}: no trace format known by these keys: {keys}; valid: "
            f"{', '.join(FORMATS)}, or a time with input_tokens and output_tokens"
        )
        raise InvalidFileError(msg)
    return name
