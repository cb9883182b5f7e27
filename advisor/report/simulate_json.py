"""A replay as JSON: SI units, field names with units."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import msgspec
import numpy as np

import advisor
from advisor.report.locale import say
from advisor.simulator.logs import LogReport
from advisor.simulator.result import SimulationResult
from advisor.traffic.trace import Trace

SCHEMA = 1
LEFT_OUT = ("table", "data")


def plain(value: Any) -> Any:
    """Return records, arrays and numbers as JSON values; infinite and missing ones as null."""
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value))
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def trace_notes(trace: Trace | None) -> dict[str, Any] | None:
    """Return what was read and rejected of a trace; None without one."""
    if trace is None:
        return None
    return {
        "format": trace.format,
        "requests": len(trace.requests),
        "rejected_count": trace.rejected_count,
        "rejected_by_reason": dict(trace.rejected_by_reason),
        "rejected": [{"line": r.line, "reason": r.reason} for r in trace.rejected],
        "spread_batches": trace.spread_batches,
        "unsorted": trace.unsorted,
    }


def simulation_json(result: SimulationResult, title: str, trace: Trace | None, lang: str) -> str:
    """Return the whole result but the single requests."""
    fields = {
        f.name: plain(getattr(result, f.name))
        for f in dataclasses.fields(result)
        if f.name not in LEFT_OUT
    }
    fields["evidence_text"] = say(f"name_{result.evidence}", lang)
    body = {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "data": dict(result.data),
        "title": title,
        "trace": trace_notes(trace),
        "result": fields,
    }
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def log_json(report: LogReport) -> str:
    """Return measured and simulated statistics of a log."""
    body = {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "folder": report.folder,
        "model": report.model,
        "device": report.device,
        "engine": report.engine,
        "requests": report.requests,
        "measured": report.measured,
        "simulated": report.simulated,
    }
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
