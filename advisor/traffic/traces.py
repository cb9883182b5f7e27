"""Reading a trace: find the format by content, read, sort, spread batches, cut, chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from advisor.catalogue.names import nearest
from advisor.errors import InvalidFileError, UnknownNameError, UsageError
from advisor.schema.traffic import make_requests
from advisor.traffic import trace_csv, trace_json
from advisor.traffic.collect import Collector
from advisor.traffic.finish import Rows, chain, cut, gather_blocks, rows_of, spread
from advisor.traffic.servegen import is_servegen, read_servegen
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.trace_file import TraceFile

ENGINE_LOG = "requests.jsonl"
_CSV_FORMATS = (*trace_csv.FORMATS, "burstgpt-3", "csv")
_JSON_FORMATS = (*trace_json.FORMATS, "jsonl")
FORMATS = (*_CSV_FORMATS, *_JSON_FORMATS, "servegen")
"""Names that ``format`` takes and :class:`Trace` gives."""


def read_trace(
    path: Path | str, format: str | None = None, *, options: TraceOptions | None = None
) -> Trace:
    """Read the requests of a trace file or log folder.

    The file is streamed; memory grows with accepted requests only (24 bytes each, more with
    measured times or prefix blocks), not with the file.

    Parameters
    ----------
    path
        A file, plain, gzip or zip; a folder with ``requests.jsonl``, or of ServeGen.
    format
        One of ``FORMATS``; None: told by the content.
    options
        What to take.

    Raises
    ------
    InvalidFileError
        If the file can't be read, is of no known or another format, or holds no request.
    UnknownNameError
        If ``format`` is unknown.
    UsageError
        If the options leave no request.
    """
    path, options = Path(path), options or TraceOptions()
    if format is not None and format not in FORMATS:
        close = nearest(format, FORMATS)
        msg = f"no trace format {format!r}; valid: {', '.join(FORMATS)}"
        raise UnknownNameError(msg, suggestions=close)
    if format == "servegen" or (format is None and is_servegen(path)):
        rows, sink = read_servegen(path, options)
        return _trace(path, "servegen", rows, sink, replace(options, window_s=None))
    file = TraceFile(path / ENGINE_LOG if path.is_dir() else path)
    name, sink = _read(file, format, options)
    if format is not None and name != format:
        msg = f"{path}: format {name} found, not {format}"
        raise InvalidFileError(msg)
    return _trace(path, name, rows_of(sink), sink, options)


def _read(file: TraceFile, format: str | None, options: TraceOptions) -> tuple[str, Collector]:
    looks_json = file.head.lstrip()[:1] in (b"{", b"[")
    if format in _JSON_FORMATS or (format is None and looks_json):
        return trace_json.read_json(file, options, format)
    if looks_json:
        msg = f"{file.path}: JSON, but format {format} is CSV"
        raise InvalidFileError(msg)
    return trace_csv.read_csv(file, options)


def _trace(path: Path, name: str, rows: Rows, sink: Collector, options: TraceOptions) -> Trace:
    if not len(rows.time_s):
        _nothing(path, sink)
    unsorted = int((np.diff(rows.time_s) < 0).sum())
    rows = rows.taken(np.argsort(rows.time_s, kind="stable"))
    rows.time_s -= rows.time_s[0]
    batched = options.spread_batches
    if batched is None:
        batched = name == "mooncake" and _batched(rows)
    if batched:
        spread(rows.time_s, np.random.default_rng(options.seed))
    rows = cut(rows, options)
    if not len(rows.time_s):
        msg = f"{path}: window_s and sample leave no request"
        raise UsageError(msg)
    rows.time_s /= options.rate_scale
    more: dict[str, object] = {}
    if len(rows.session) and (rows.session >= 0).any():
        more["session"] = rows.session
        if options.chain_sessions:
            more |= chain(rows)
    if len(rows.block_counts) and rows.block_counts.any():
        more |= gather_blocks(rows)
        known = trace_json.FORMATS.get(name)
        more["block_tokens"] = options.block_tokens or (known.block_tokens if known else 16)
    return Trace(
        requests=make_requests(rows.time_s, rows.inputs, rows.outputs, **more),
        format=name,
        rejected=tuple(sorted(sink.rejected, key=lambda one: one.line)),
        rejected_count=sum(sink.counts.values()),
        rejected_by_reason=dict(sorted(sink.counts.items(), key=lambda item: -item[1])),
        spread_batches=batched,
        unsorted=unsorted,
        ttft_s=rows.ttft_s if np.isfinite(rows.ttft_s).any() else np.zeros(0),
        e2e_s=rows.e2e_s if np.isfinite(rows.e2e_s).any() else np.zeros(0),
    )


def _batched(rows: Rows) -> bool:
    """Whether at least half of the gaps are 0, between at least two moments."""
    gaps = np.diff(rows.time_s)
    return bool(len(gaps) and (gaps == 0).mean() >= 0.5 and gaps.any())


def _nothing(path: Path, sink: Collector) -> None:
    if not sink.counts:
        msg = f"{path}: no requests"
        raise InvalidFileError(msg)
    first = min(sink.rejected, key=lambda one: one.line)
    total = sum(sink.counts.values())
    msg = f"{path}: no usable request; {total:,} rejected, first: line {first.line}: {first.reason}"
    raise InvalidFileError(msg)
