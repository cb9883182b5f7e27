"""ServeGen: windows of rate and burstiness per client, turned into requests by a seed.

Sources: the ``chunk-i-trace.csv`` and ``chunk-i-dataset.json`` pairs of alibaba/ServeGen
(arXiv 2505.09999), or tables derived from them: ``client_windows.csv`` with
``length_quantiles.csv`` beside it, plain or gzip. Input and output lengths are drawn
independently, where ServeGen's own code draws both from one number.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from advisor.errors import InvalidFileError, UsageError
from advisor.schema.traffic import Floats, Ints
from advisor.traffic.collect import MOST_TOKENS, Collector
from advisor.traffic.finish import Rows
from advisor.traffic.gaps import GammaGaps, Gaps, WeibullGaps, arrivals_until
from advisor.traffic.trace import TraceOptions
from advisor.traffic.trace_file import TraceFile

WINDOW_S = 600.0
MOST_REQUESTS = 50_000_000
WINDOWS_HEADER = ["model", "client", "t_s", "rate_rps", "cv", "pattern", "shape", "scale"]
_CHUNK = re.compile(r"chunk-(\d+)-trace\.csv")
_MOST_TABLE_CHARACTERS = 8 << 20
_INPUTS = ("input_tokens", "text_tokens")
Table = tuple[Floats, Floats]


@dataclass
class Client:
    """Windows of one client, and its length tables (cumulative probabilities, tokens) by time."""

    windows: list[tuple[float, float, Gaps]] = field(default_factory=list)
    inputs: dict[float, Table] = field(default_factory=dict)
    outputs: dict[float, Table] = field(default_factory=dict)


def is_servegen(path: Path) -> bool:
    """Whether the path is a ServeGen trace, a folder of them, or a table derived from them."""
    if path.is_dir():
        return any(_CHUNK.fullmatch(file.name) for file in path.iterdir())
    if _CHUNK.fullmatch(path.name):
        return True
    if not path.is_file():
        return False
    head = TraceFile(path).head.split(b"\n", 1)[0].strip()
    return head == ",".join(WINDOWS_HEADER).encode()


def read_servegen(path: Path, options: TraceOptions) -> tuple[Rows, Collector]:
    """Draw requests from ServeGen's windows.

    Parameters
    ----------
    path
        See :func:`is_servegen`.
    options
        ``window_s`` in the data's own time, ``sample`` (a smaller rate), ``seed`` and, for
        tables of several models, ``model`` decide what is drawn.

    Raises
    ------
    InvalidFileError
        If a file is malformed or its length tables are missing.
    UsageError
        If a model must be named, or more than 50 million requests would come.
    """
    sink = Collector()
    clients = _chunks(path, sink) if _is_chunks(path) else _tables(path, options, sink)
    if not clients:
        return _rows([], [], []), sink
    low, high = options.window_s or (0.0, math.inf)
    expected = sum(
        rate * WINDOW_S for one in clients for start, rate, _ in one.windows if low <= start < high
    )
    if expected > MOST_REQUESTS:
        msg = (
            f"{path}: {expected:,.0f} requests; at most {MOST_REQUESTS:,} can be drawn: "
            "narrow window_s (seconds)"
        )
        raise UsageError(msg)
    seeds = np.random.SeedSequence(options.seed).spawn(len(clients))
    times, inputs, outputs = [], [], []
    for client, seed in zip(clients, seeds, strict=True):
        for start, rate, law in client.windows:
            if not low - WINDOW_S < start < high:
                continue
            rng = np.random.default_rng([*seed.generate_state(2).tolist(), int(start)])
            mine = start + arrivals_until(law, rate * WINDOW_S, rng, rng) / rate
            mine = mine[(mine >= low) & (mine < high)]
            times.append(mine)
            inputs.append(_draw(client.inputs, start, len(mine), rng))
            outputs.append(_draw(client.outputs, start, len(mine), rng))
    return _rows(times, inputs, outputs), sink


def _rows(times: list[Floats], inputs: list[Ints], outputs: list[Ints]) -> Rows:
    none, empty = np.zeros(0), np.zeros(0, dtype=np.int64)
    return Rows(
        time_s=np.concatenate([none, *times]),
        inputs=np.concatenate([empty, *inputs]),
        outputs=np.concatenate([empty, *outputs]),
        ttft_s=none,
        e2e_s=none,
        session=empty,
        parent=empty,
        block_counts=empty,
        block_starts=empty,
        block_ids=empty,
    )


def _draw(tables: dict[float, Table], at_s: float, count: int, rng: np.random.Generator) -> Ints:
    """Draw lengths from the table in force: the last that began, else the first."""
    begun = [start for start in tables if start <= at_s]
    probabilities, tokens = tables[max(begun) if begun else min(tables)]
    drawn = np.interp(rng.random(count), probabilities, tokens)
    return np.maximum(np.rint(drawn), 1).astype(np.int64)


def _is_chunks(path: Path) -> bool:
    return path.is_dir() or _CHUNK.fullmatch(path.name) is not None


def _law(pattern: str, shape: float) -> Gaps:
    if pattern == "Weibull":
        return WeibullGaps(shape)
    return GammaGaps(shape if pattern == "Gamma" else 1.0)


def _window(cells: list[str]) -> tuple[float, float, Gaps] | None:
    """Return start, rate and law of a row ``t, rate, cv, pattern, shape, scale``; None: idle."""
    start, rate = float(cells[0]), float(cells[1])
    if not (math.isfinite(start) and 0 <= rate < 1e9 and start >= 0):
        msg = "rate or time out of range"
        raise ValueError(msg)
    if rate == 0:
        return None
    shape = float(cells[4]) if cells[3] else 1.0
    if not 1e-6 < shape < 1e6:
        msg = f"shape out of range: {shape:g}"
        raise ValueError(msg)
    return start, rate, _law(cells[3], shape)


def _chunks(path: Path, sink: Collector) -> list[Client]:
    traces = [path]
    if path.is_dir():
        traces = [file for file in path.iterdir() if _CHUNK.fullmatch(file.name)]
        traces.sort(key=lambda file: int(file.name.split("-")[1]))
    clients = []
    for trace in traces:
        client = Client()
        for line, cells in _csv_rows(trace, sink):
            try:
                window = _window(cells)
            except (ValueError, IndexError) as error:
                sink.reject(line, "malformed window", f"{trace.name}: {error}")
                continue
            if window:
                client.windows.append(window)
        dataset = trace.with_name(trace.name.replace("-trace.csv", "-dataset.json"))
        if not dataset.is_file():
            msg = f"{trace}: its lengths are missing: {dataset.name} must stand beside it"
            raise InvalidFileError(msg)
        _read_dataset(dataset, client)
        clients.append(client)
    return clients


def _read_dataset(path: Path, client: Client) -> None:
    try:
        windows = json.loads(TraceFile(path).document())
        for start, entry in windows.items():
            names = [name for name in _INPUTS if name in entry]
            if not names or "output_tokens" not in entry:
                continue
            # The values are Python dicts in text: {tokens: probability, ...}.
            client.inputs[float(start)] = _table(entry[names[0]])
            client.outputs[float(start)] = _table(entry["output_tokens"])
    except (
        ValueError,
        SyntaxError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        msg = f"{path}: malformed ServeGen lengths: {str(error)[:200]}"
        raise InvalidFileError(msg) from error
    if not client.inputs:
        msg = f"{path}: no input_tokens and output_tokens"
        raise InvalidFileError(msg)


def _table(text: str) -> Table:
    if len(text) > _MOST_TABLE_CHARACTERS:
        msg = "table too long"
        raise ValueError(msg)
    found = sorted((int(token), float(p)) for token, p in ast.literal_eval(text).items())
    tokens = np.array([token for token, _ in found], dtype=np.float64)
    probability = np.array([p for _, p in found])
    if not found or not (probability >= 0).all() or not 0 < probability.sum() < math.inf:
        msg = "probabilities must be 0 or more and add up"
        raise ValueError(msg)
    if tokens[0] < 0 or tokens[-1] > MOST_TOKENS:
        msg = "tokens out of range"
        raise ValueError(msg)
    # A step at each token count: linear interpolation between doubled points is exact.
    top = np.cumsum(probability / probability.sum())
    return np.repeat(np.append(0.0, top), 2)[1:-1], np.repeat(tokens, 2)


def _tables(path: Path, options: TraceOptions, sink: Collector) -> list[Client]:
    clients: dict[str, Client] = {}
    models: dict[str, None] = {}
    for line, cells in _csv_rows(path, sink, skip=1):
        models.setdefault(cells[0])
        if options.model is not None and cells[0] != options.model:
            continue
        try:
            window = _window(cells[2:])
        except (ValueError, IndexError) as error:
            sink.reject(line, "malformed window", str(error))
            continue
        if window:
            clients.setdefault(cells[1], Client()).windows.append(window)
    if (options.model is None and len(models) > 1) or (
        options.model is not None and options.model not in models
    ):
        msg = f"{path}: holds several models; model = one of {', '.join(models)}"
        raise UsageError(msg)
    model = options.model or next(iter(models), "")
    _quantiles(path, model, clients, sink)
    return [one for one in clients.values() if one.windows]


def _quantiles(path: Path, model: str, clients: dict[str, Client], sink: Collector) -> None:
    """Read the quantile tables; clients without one get the tables of all others mixed."""
    beside = path.with_name(path.name.replace("client_windows", "length_quantiles"))
    if beside == path or not beside.is_file():
        msg = f"{path}: its lengths are missing: {beside.name} must stand beside it"
        raise InvalidFileError(msg)
    rows = _csv_rows(beside, sink)
    _, header = next(rows)
    places = [i for i, name in enumerate(header) if re.fullmatch(r"q0\.\d+", name)]
    probabilities = np.array([0.0, *(float(header[i][1:]) for i in places), 1.0])
    end = header.index("max")
    for line, cells in rows:
        if cells[0] != model or cells[1] not in clients:
            continue
        try:
            values = [float(cells[i]) for i in places]
            table = probabilities, np.array([values[0], *values, float(cells[end])])
        except (ValueError, IndexError) as error:
            sink.reject(line, "malformed quantiles", str(error))
            continue
        client = clients[cells[1]]
        kind = client.outputs if cells[3] == "output_tokens" else client.inputs
        if cells[3] in (*_INPUTS, "output_tokens"):
            kind[float(cells[2])] = table
    for name in [n for n, one in clients.items() if not one.inputs or not one.outputs]:
        sink.reject(0, "client without published lengths", name)
        del clients[name]


def _csv_rows(path: Path, sink: Collector, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(TraceFile(path).text_lines(sink.reject))
    try:
        for cells in rows:
            if cells and rows.line_num > skip:
                yield rows.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        msg = f"{path}, line {rows.line_num}: {error}"
        raise InvalidFileError(msg) from error
