"""CSV traces, read by column name: Azure, BurstGPT, vidur, splitwise, LiteLLM, and plain ones."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from advisor.errors import InvalidFileError
from advisor.traffic.collect import LONGEST_S, MOST_TOKENS, Collector
from advisor.traffic.times import is_time, time_reader
from advisor.traffic.trace import UNITS_S, TraceOptions
from advisor.traffic.trace_file import TraceFile

NAN = float("nan")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a format, as normalised by :func:`normalised`.

    Parameters
    ----------
    time, inputs, outputs
        Arrival, prompt and answer tokens.
    session, request_id
        Session and id, if any.
    e2e, first_token, end
        Measured end-to-end seconds; times of the first token and of the end.
    status, failed
        Column that says whether the request worked, and its values that say it did not.
    failure
        What an answer of 0 tokens means.
    """

    time: str
    inputs: str
    outputs: str
    session: str = ""
    request_id: str = ""
    e2e: str = ""
    first_token: str = ""
    end: str = ""
    status: str = ""
    failed: tuple[str, ...] = ()
    failure: str = ""


FORMATS: Mapping[str, Columns] = {
    "azure-lmm-2025": Columns("timestamp", "contexttokens", "generatedtokens"),
    "azure": Columns("timestamp", "contexttokens", "generatedtokens"),
    "burstgpt": Columns(
        "timestamp",
        "request_tokens",
        "response_tokens",
        session="session_id",
        e2e="elapsed_time",
        failure="failed request: 0 response tokens",
    ),
    "vidur": Columns("arrived_at", "num_prefill_tokens", "num_decode_tokens"),
    "splitwise": Columns("arrival_timestamp", "prompt_size", "token_size", request_id="request_id"),
    "litellm-csv": Columns(
        "starttime",
        "prompt_tokens",
        "completion_tokens",
        request_id="request_id",
        first_token="completionstarttime",
        end="endtime",
        status="status",
        failed=("failure", "failed", "error"),
    ),
}
_MARKS = {"azure-lmm-2025": "numimages", "burstgpt": "log_type"}
_TIMES = (
    *("timestamp", "arrival", "arrived_at", "arrival_time", "arrival_timestamp", "time", "start"),
    *("start_time", "starttime", "request_time", "created", "created_at", "date", "datetime", "ts"),
    *("时间", "到达时间", "请求时间"),
)
_INPUTS = (
    *("input_tokens", "input_length", "input_len", "prompt_tokens", "prompt_len", "prompt_length"),
    *("num_prefill_tokens", "prefill_tokens", "request_tokens", "context_tokens", "contexttokens"),
    *("prompt_size", "input_toks", "isl", "input", "prompt", "tokens_in", "in", "输入", "输入长度"),
    *("输入token", "输入token数", "输入tokens"),
)
_OUTPUTS = (
    *("output_tokens", "output_length", "output_len", "completion_tokens", "completion_len"),
    *("num_decode_tokens", "decode_tokens", "response_tokens", "generated_tokens", "token_size"),
    *("generatedtokens", "output_toks", "osl", "output", "completion", "tokens_out", "out"),
    *("输出", "输出长度", "输出token", "输出token数", "输出tokens"),
)
_UNIT_NAMES = {"sec": "s", "seconds": "s", "milliseconds": "ms"}


def normalised(name: str) -> str:
    """Return a column name in lower case, with underscores for blanks.

    >>> normalised(' "Request tokens"')
    'request_tokens'
    """
    return re.sub(r"[\s_]+", "_", name.strip().strip('"').strip().lower())


def split_unit(name: str) -> tuple[str, str | None]:
    """Split a unit off a column name.

    >>> split_unit("arrival_time_ms")
    ('arrival_time', 'ms')
    """
    match = re.fullmatch(r"(.+?)[_ ]*(?:[_(\[](s|sec|seconds|ms|milliseconds|us|ns)[)\]]?)", name)
    if match is None:
        return name, None
    return match.group(1), _UNIT_NAMES.get(match.group(2), match.group(2))


def columns_of(header: list[str]) -> tuple[str, Columns, str | None] | None:
    """Return format, columns and unit of the times by the header; None: not a trace.

    Parameters
    ----------
    header
        Normalised names.
    """
    names = set(header)
    for name, columns in FORMATS.items():
        mark = _MARKS.get(name)
        if {columns.time, columns.inputs, columns.outputs} <= names and (not mark or mark in names):
            return name, columns, None
    bare = {split_unit(name)[0]: name for name in reversed(header)} | {n: n for n in header}
    time = next((bare[name] for name in _TIMES if name in bare), None)
    inputs = next((name for name in _INPUTS if name in names), None)
    outputs = next((name for name in _OUTPUTS if name in names), None)
    if time is None or inputs is None or outputs is None:
        return None
    session = next((n for n in ("session_id", "conversation_id") if n in names), "")
    request_id = next((n for n in ("request_id", "id") if n in names), "")
    unit = None if time in _TIMES else split_unit(time)[1]
    return "csv", Columns(time, inputs, outputs, session, request_id), unit


def read_csv(file: TraceFile, options: TraceOptions) -> tuple[str, Collector]:
    """Read a CSV trace whose first line names its columns.

    Raises
    ------
    InvalidFileError
        If the columns aren't those of a trace, or the header isn't UTF-8.
    """
    sink = Collector(options.limit)
    delimiter = _delimiter(file.head)
    rows = csv.reader(file.text_lines(sink.reject), delimiter=delimiter)
    header = [normalised(name) for name in _next(rows, sink) or ()]
    found = columns_of(header)
    if found is None:
        msg = (
            f"{file.path}, line 1: no trace: needs a column for the arrival (such as timestamp), "
            f"one for prompt tokens (input_tokens) and one for answer tokens (output_tokens); "
            f"found {', '.join(header)[:200]}"
        )
        raise InvalidFileError(msg)
    name, columns, unit = found
    if options.time_unit is not None:
        unit = options.time_unit
    try:
        first = next(row for row in _safe(rows, sink) if row)
    except StopIteration:
        return name, sink
    cell = _time_sample(file.head, delimiter, header.index(columns.time))
    seconds, wall_clock = time_reader(cell, UNITS_S[unit] if unit else None)
    if wall_clock:
        sink.earliest_s = -LONGEST_S
    if name == "burstgpt" and "session_id" in header:
        name = "burstgpt-3"
    _fill(rows, first, _Row(header, columns, seconds), sink)
    return name, sink


def _time_sample(head: bytes, delimiter: str, place: int) -> str:
    """Return the first cell of the column that is a time, to tell its kind by; else "0"."""
    lines = head.decode("utf-8", "replace").split("\n")[1:]
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        return next((row[place] for row in rows if len(row) > place and is_time(row[place])), "0")
    except csv.Error:
        return "0"


class _Row:
    """Places of the cells in a row, and what to make of them."""

    def __init__(
        self,
        header: list[str],
        columns: Columns,
        seconds: Callable[[str], float],
    ) -> None:
        def place(name: str) -> int:
            return header.index(name) if name in header else -1

        self.seconds, self.columns = seconds, columns
        self.time, self.inputs, self.outputs = (
            place(columns.time),
            place(columns.inputs),
            place(columns.outputs),
        )
        self.session, self.request_id = place(columns.session), place(columns.request_id)
        self.e2e, self.end = place(columns.e2e), place(columns.end)
        self.first_token, self.status = place(columns.first_token), place(columns.status)
        self.plain = max(self.session, self.request_id, self.e2e, self.end, self.status) < 0

    def worked(self, cells: list[str]) -> bool:
        """Whether the row's status, if any, isn't one of a failure."""
        return self.status < 0 or _cell(cells, self.status).lower() not in self.columns.failed


def _fill(rows: Iterator[list[str]], first: list[str], row: _Row, sink: Collector) -> None:
    time, inputs, outputs, seconds = row.time, row.inputs, row.outputs, row.seconds
    accept = (sink.time_s.append, sink.inputs.append, sink.outputs.append)
    earliest, plain = sink.earliest_s, row.plain
    line = 2
    cells: list[str] | None = first
    while cells is not None and not sink.full:
        if cells:
            try:
                t, a, b = seconds(cells[time]), int(cells[inputs]), int(cells[outputs])
            except (ValueError, IndexError, OverflowError):
                _careful(cells, row, sink, line)
            else:
                good = earliest <= t <= LONGEST_S and 0 < a <= MOST_TOKENS and 0 < b <= MOST_TOKENS
                if good and (plain or row.worked(cells)):
                    accept[0](t)
                    accept[1](a)
                    accept[2](b)
                    if not plain:
                        _extras(cells, row, sink, line, t)
                else:
                    _careful(cells, row, sink, line)
        cells = _next(rows, sink)
        line = rows.line_num  # type: ignore[attr-defined]


def _next(rows: Iterator[list[str]], sink: Collector) -> list[str] | None:
    try:
        return next(rows)
    except StopIteration:
        return None
    except csv.Error as error:
        sink.reject(rows.line_num, "malformed CSV", str(error))  # type: ignore[attr-defined]
        return []


def _safe(rows: Iterator[list[str]], sink: Collector) -> Iterator[list[str]]:
    while (cells := _next(rows, sink)) is not None:
        yield cells


def _careful(cells: list[str], row: _Row, sink: Collector, line: int) -> None:
    """Accept or reject a row that isn't three plain numbers."""
    columns = row.columns
    if len(cells) <= max(row.time, row.inputs, row.outputs):
        sink.reject(line, "too few columns", str(len(cells)))
        return
    if not row.worked(cells):
        sink.reject(line, "failed request", _cell(cells, row.status))
        return
    try:
        time_s = row.seconds(cells[row.time])
    except (ValueError, OverflowError):
        sink.reject(line, "time is neither number nor date", repr(cells[row.time]))
        return
    tokens = []
    for place in (row.inputs, row.outputs):
        try:
            tokens.append(whole(cells[place]))
        except (ValueError, OverflowError):
            sink.reject(line, "tokens are not a whole number", repr(cells[place])[:80])
            return
    if columns.failure and tokens[1] == 0 < tokens[0]:
        sink.reject(line, columns.failure)
        return
    if sink.add(line, time_s, tokens[0], tokens[1]):
        _extras(cells, row, sink, line, time_s)


def _extras(cells: list[str], row: _Row, sink: Collector, line: int, time_s: float) -> None:
    if row.session >= 0:
        session = _cell(cells, row.session)
        sink.sessions.append(sink.number_of(session) if session else -1)
    if row.request_id >= 0:
        sink.lines.append(line)
        sink.ids.append(hash(_cell(cells, row.request_id)))
    if row.e2e >= 0:
        sink.ttft_s.append(NAN)
        sink.e2e_s.append(_measured(_cell(cells, row.e2e)))
    elif row.end >= 0:
        end, first = (_moment(_cell(cells, p), row) for p in (row.end, row.first_token))
        ttft = first - time_s if first < end else NAN
        sink.measure(ttft if ttft >= 0 else NAN, end - time_s if end >= time_s else NAN)


def _moment(text: str, row: _Row) -> float:
    try:
        return row.seconds(text)
    except (ValueError, OverflowError):
        return NAN


def _measured(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return NAN
    return value if 0 <= value < 1e9 else NAN


def _cell(cells: list[str], place: int) -> str:
    return cells[place].strip() if 0 <= place < len(cells) else ""


def whole(text: str) -> int:
    """Return a whole number, also of text such as ``12.0``; else ValueError."""
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)


def _delimiter(head: bytes) -> str:
    line = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    return max(",;\t", key=line.count)
