"""What was found, as people read it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from advisor.bench.found import Found

PREFIXES = {-6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}


def scaled(value: float, unit: str) -> str:
    """Return a value with three digits and an SI prefix.

    >>> scaled(29.31e9, "B/s"), scaled(4.2e-5, "s"), scaled(57.1, "tokens/s")
    ('29.3 GB/s', '42.0 µs', '57.1 tokens/s')
    """
    exponent = max(min(3 * math.floor(math.log10(value) / 3), 15), -6)
    if unit == "tokens/s":
        exponent = 0
    number = value / 10.0**exponent
    places = max(2 - max(math.floor(math.log10(number)), 0), 0)
    return f"{number:.{places}f} {PREFIXES[exponent]}{unit}"


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    yield ("quantity", "median", "lowest", "highest", "spread")
    for name, (s, unit) in found.samples().items():
        spread = f"{100 * s.spread:.0f}%"
        yield (name, *(scaled(v, unit) for v in (s.median, s.low, s.high)), spread)


def noise(found: Found) -> str:
    """Return in one line how quiet the machine was."""
    repeats = {len(s.values) for s, _ in found.samples().values()}
    others = "unknown here" if found.others is None else f"{found.others:.2f} cores used by others"
    worst = max(s.spread for s in found.deciding().values())
    line = f"{max(repeats)} repeats; load: {others}; widest spread that counts: {100 * worst:.0f}%"
    if found.problems:
        line += f"; FORCED although {'; '.join(found.problems)}"
    return line


def table(found: Found) -> str:
    """Return the table that ``advisor bench`` prints."""
    m = found.machine
    name = found.gpu.name if found.gpu else m.name
    rows = list(_rows(found))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        f"{name}, {found.date}: {m.cores} cores, {m.threads} threads, "
        f"{m.memory_bytes / 2**30:.1f} GiB; {found.blas}"
    ]
    for row in rows:
        numbers = [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return "\n".join([*lines, "", noise(found)])
