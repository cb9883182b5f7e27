"""One measured configuration of a benchmark's result file, and how its fields are read."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]
_DEEPEST = 6


class UnusableError(Exception):
    """An entry of a file that can't be used; the message says why."""


@dataclass(frozen=True)
class BenchPoint:
    """One measured configuration.

    Parameters
    ----------
    tool, version, date
        What measured, and when.
    model, device, engine, format
        Names as the file spells them; empty where it doesn't say.
    isl, osl
        Mean tokens of prompt and output; 0: not part of the test.
    concurrency, rps
        Requests in flight, or arrivals per second; both None: a lone request.
    requests
        Prompts sent.
    low_share
        Lengths were drawn between this share of the longest and the longest.
    lengths
        Prompt and output of each request, where the file has them.
    ttft_s, tpot_s, output_tok_per_s
        Means of a serving run; throughput over the whole deployment.
    prefill_tok_per_s, decode_tok_per_s, depth
        Rates of a lone prompt or answer, and tokens cached before it.
    repeat
        Spread of repeated measurements over their mean.
    threads
        CPU threads.
    line
        Where in the file.
    """

    tool: str
    model: str = ""
    device: str = ""
    engine: str = ""
    format: str = ""
    isl: float = 0.0
    osl: float = 0.0
    concurrency: int | None = None
    rps: float | None = None
    requests: int = 0
    low_share: float = 1.0
    lengths: tuple[tuple[int, int], ...] = ()
    ttft_s: float | None = None
    tpot_s: float | None = None
    output_tok_per_s: float | None = None
    prefill_tok_per_s: float | None = None
    decode_tok_per_s: float | None = None
    depth: int = 0
    repeat: float = 0.0
    threads: int | None = None
    version: str = ""
    date: dt.date | None = None
    line: int = 0

    @property
    def lone(self) -> bool:
        """Whether this is a rate of one prompt or one answer alone."""
        return self.prefill_tok_per_s is not None or self.decode_tok_per_s is not None

    @property
    def configuration(self) -> tuple[float, ...]:
        """What distinguishes it from others of the file, in the order they are sorted in."""
        kind = 0.0 if self.prefill_tok_per_s else 1.0
        load = (float(self.concurrency or 0), self.rps or 0.0)
        return (kind, round(self.isl), round(self.osl), float(self.depth), *load)


def number(entry: Entry, *keys: str) -> float | None:
    """Return the first positive finite number among keys, None if there is none."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                found = float(value)
            except OverflowError:
                continue
            if math.isfinite(found) and 0 < found < 1e15:
                return found
    return None


def need(entry: Entry, *keys: str) -> float:
    """Return such a number, or raise UnusableError."""
    found = number(entry, *keys)
    if found is None:
        msg = f"no positive number {' or '.join(keys)}"
        raise UnusableError(msg)
    return found


def text_of(entry: Entry, *keys: str) -> str:
    """Return the first text among keys that isn't empty."""
    return next((v for k in keys if isinstance(v := entry.get(k), str) and v), "")


def scaled(value: float | None, factor: float) -> float | None:
    """Multiply, unless there is nothing."""
    return None if value is None else value * factor


def part(entry: Entry, key: str) -> Entry:
    """Return the object under a key; an empty one if there is none."""
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def day(text: object) -> dt.date | None:
    """Return the day a time starts with: ISO, ``20261123-101500``, or seconds since 1970."""
    if isinstance(text, int | float) and not isinstance(text, bool) and 1e9 < text < 1e10:
        return dt.datetime.fromtimestamp(text, dt.UTC).date()
    match = re.match(r"(\d{4})-?(\d\d)-?(\d\d)", text) if isinstance(text, str) else None
    try:
        return dt.date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def deep(tree: object, key: str, depth: int = 0) -> object:
    """Return the first value of a key anywhere in a settings tree."""
    if not isinstance(tree, dict) or depth > _DEEPEST:
        return None
    if tree.get(key) is not None:
        return tree[key]
    inner = (deep(value, key, depth + 1) for value in tree.values())
    return next((value for value in inner if value is not None), None)
