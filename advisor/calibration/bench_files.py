"""Result files of benchmark tools, as frozen records: one a measured configuration.

The format is told from the content, not the name: JSON, JSON lines or CSV. Nothing in a file
is run. A line that can't be used is kept with its number and the reason; the rest counts.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from advisor.calibration import bench_tools as tools
from advisor.calibration.bench_point import BenchPoint, UnusableError
from advisor.catalogue.read import read_text
from advisor.errors import InvalidFileError

MAX_BENCH_BYTES = 64 * 2**20
Entry = dict[str, Any]


@dataclass(frozen=True)
class BadLine:
    """A line or entry that can't be used, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class BenchFile:
    """What a result file holds."""

    points: tuple[BenchPoint, ...]
    bad: tuple[BadLine, ...]


def read_bench(path: Path) -> BenchFile:
    """Read a result file of any known tool.

    Parameters
    ----------
    path
        The file, at most 64 MiB.

    Raises
    ------
    InvalidFileError
        If it can't be read, isn't JSON, JSON lines or CSV, or no line of it can be used.
    """
    text = read_text(path, MAX_BENCH_BYTES).removeprefix("\ufeff")
    bad: list[BadLine] = []
    entries = list(_entries(text, str(path), bad))
    if entries and all(tools.is_request(entry) for _, entry in entries):
        points = _one(entries[0][0], partial(tools.requests_together, entries), bad)
    else:
        points = [p for line, e in entries for p in _one(line, partial(_points, e), bad)]
    bad.sort(key=lambda b: b.line)
    if not points:
        where = f"{path}, line {bad[0].line}: {bad[0].reason}" if bad else f"{path}: empty"
        msg = f"{where}; known: llama-bench, vllm, sglang, aiperf, genai-perf, guidellm, llmperf"
        raise InvalidFileError(msg)
    return BenchFile(tuple(points), tuple(bad))


def _one(line: int, read: Callable[[], list[BenchPoint]], bad: list[BadLine]) -> list[BenchPoint]:
    """Read one entry, noting what it lacks."""
    try:
        return [replace(point, line=line) for point in read()]
    except UnusableError as error:
        bad.append(BadLine(line, str(error)))
        return []


def _points(entry: Entry) -> list[BenchPoint]:
    for known, read in tools.READERS:
        if known(entry):
            return read(entry)
    keys = ", ".join(list(entry)[:6]) or "none"
    msg = f"not a result of a known tool; keys: {keys}"
    raise UnusableError(msg)


def _entries(text: str, where: str, bad: list[BadLine]) -> Iterator[tuple[int, Entry]]:
    """Yield the line and content of every entry of a file."""
    start = text.lstrip()[:1]
    if start == "[":
        yield from _array(text, where, bad)
    elif start == "{":
        yield from _objects(text, where, bad)
    elif text.lstrip().startswith("Metric,"):
        yield 1, _table(text)
    elif start:
        line = text[: text.index(start)].count("\n") + 1
        msg = f"{where}, line {line}: not JSON, JSON lines or a CSV that starts with Metric"
        raise InvalidFileError(msg)


def _decode(text: str, at: int, where: str) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError as error:
        msg = f"{where}, line {error.lineno}: not valid JSON: {error.msg}"
        raise InvalidFileError(msg) from error
    except RecursionError as error:
        msg = f"{where}: not valid JSON: nested too deeply"
        raise InvalidFileError(msg) from error
    except ValueError as error:
        # Python refuses to read whole numbers of thousands of digits.
        msg = f"{where}: not valid JSON: {error}"
        raise InvalidFileError(msg) from error


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _array(text: str, where: str, bad: list[BadLine]) -> Iterator[tuple[int, Entry]]:
    """Yield the members of a JSON array with the line each starts at."""
    at = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        value, at = _decode(text, at, where)
        if isinstance(value, dict):
            yield line, value
        else:
            bad.append(BadLine(line, "not a JSON object"))
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            end = text.count("\n", 0, at) + 1
            msg = f"{where}, line {end}: not valid JSON: expected ',' or ']'"
            raise InvalidFileError(msg)


def _objects(text: str, where: str, bad: list[BadLine]) -> Iterator[tuple[int, Entry]]:
    """Yield one JSON object, or those of JSON lines; broken lines of several are noted."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    broken = []
    found = []
    for number, told in lines:
        try:
            value = json.loads(told)
        except (ValueError, RecursionError) as error:
            broken.append(BadLine(number, f"not valid JSON: {getattr(error, 'msg', error)}"))
            continue
        if isinstance(value, dict):
            found.append((number, value))
        else:
            broken.append(BadLine(number, "not a JSON object"))
    if found and not (broken and lines[0][1].strip() == "{"):
        bad += broken
        yield from found
        return
    at = text.index("{")
    value, end = _decode(text, at, where)
    if text[_skip(text, end) :]:
        line = text.count("\n", 0, end) + 1
        msg = f"{where}, line {line}: not valid JSON: more text after the end"
        raise InvalidFileError(msg)
    yield text.count("\n", 0, at) + 1, value


def _table(text: str) -> Entry:
    """Return the two sections of an aiperf or genai-perf CSV as their JSON's metrics."""
    found: Entry = {}
    header: list[str] = []
    for row in csv.reader(text.splitlines()):
        if not row:
            continue
        if row[0] == "Metric":
            header = row
            continue
        name, _, unit = row[0].partition("(")
        tag = "_".join(name.lower().split())
        cells: Entry = {"unit": unit.rstrip(")")}
        for key, cell in zip(header[1:], row[1:], strict=False):
            try:
                cells["avg" if key == "Value" else key] = float(cell.replace(",", ""))
            except ValueError:
                continue
        found[tag] = cells
    return found


def newest(points: tuple[BenchPoint, ...]) -> dt.date | None:
    """Return the latest day of measurement that the points state, None if none does."""
    days = [point.date for point in points if point.date]
    return max(days) if days else None
