"""The requests of a replay as CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from advisor.errors import MissingDataError
from advisor.report.estimate_json import guard
from advisor.simulator.result import RequestTable

COLUMNS = (
    "request",
    "class",
    "status",
    "tier",
    "server",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "arrival_s",
    "scheduled_s",
    "first_token_s",
    "last_token_s",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "attempts",
    "preemptions",
    "escalated",
)


def columns(table: RequestTable) -> dict[str, Any]:
    """Return the columns by name, text ones as lists."""
    found: dict[str, Any] = {"request": np.arange(len(table.status))}
    found["class"] = [table.class_names[i] for i in table.class_index.tolist()]
    found["status"] = [table.status_names[i] for i in table.status.tolist()]
    found["tier"] = [table.tier_names[i] if i >= 0 else "" for i in table.tier.tolist()]
    for name in COLUMNS[4:]:
        found[name] = getattr(table, name)
    return found


def _cells(values: Any) -> Iterator[str]:
    for value in values if isinstance(values, list) else values.tolist():
        if isinstance(value, str):
            yield str(guard(value))
        elif isinstance(value, float):
            yield "" if np.isnan(value) else f"{value:.9g}"
        else:
            yield str(value)


def requests_csv(table: RequestTable) -> str:
    """Return one line a request; empty cells where a time doesn't exist."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*(_cells(v) for v in columns(table).values()), strict=True))
    return out.getvalue()


def write_parquet(table: RequestTable, path: Path) -> None:
    """Write one row a request as Parquet.

    Raises
    ------
    MissingDataError
        If pyarrow isn't installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        msg = "writing Parquet needs an extra: pip install 'advisor[parquet]'"
        raise MissingDataError(msg) from error
    pq.write_table(pa.table(columns(table)), path)
