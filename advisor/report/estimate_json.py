"""An estimate as JSON and as CSV: SI units, every number with its range, label and reason."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import advisor
from advisor.estimator.result import Cost, EstimateResult, Memory, Phase, Point
from advisor.perf.intervals import Estimate
from advisor.report.locale import say

SCHEMA = 1
CSV_COLUMNS = (
    "quantity",
    "value",
    "low80",
    "high80",
    "low95",
    "high95",
    "evidence",
    "because",
)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def number(e: Estimate, lang: str) -> dict[str, Any]:
    """Return one number with its range; infinite values become null."""
    return {
        "value": _finite(e.value),
        "low80": _finite(e.low80),
        "high80": _finite(e.high80),
        "low95": _finite(e.low95),
        "high95": _finite(e.high95),
        "evidence": e.evidence,
        "because": say(e.because, lang),
    }


def _numbers(record: Memory | Cost, lang: str) -> dict[str, Any]:
    return {name: number(getattr(record, name), lang) for name in record.__dataclass_fields__}


def _phase(phase: Phase, lang: str) -> dict[str, Any]:
    return {
        "time_s": number(phase.time_s, lang),
        "bound": phase.bound,
        "mfu": phase.mfu,
        "mbu": phase.mbu,
        "parts_s": phase.parts_s,
    }


def _point(p: Point, lang: str) -> dict[str, Any]:
    found: dict[str, Any] = {"concurrency": p.concurrency, "stable": p.stable}
    for name in p.__dataclass_fields__:
        value = getattr(p, name)
        if isinstance(value, Estimate):
            found[name] = number(value, lang)
        elif isinstance(value, Cost):
            found[name] = _numbers(value, lang)
        elif value is None:
            found[name] = None
    return found


def _headline_cost(p: Point, lang: str) -> dict[str, Any]:
    """Return the point's dollars per million tokens: rented if a rent is known, else owned."""
    cost = p.rented or p.owned
    if cost is None:
        return {"usd_per_mtok_input": None, "usd_per_mtok_output": None}
    return {
        "usd_per_mtok_input": number(cost.usd_per_mtok_input, lang),
        "usd_per_mtok_output": number(cost.usd_per_mtok_output, lang),
    }


def estimate_dict(r: EstimateResult, lang: str = "en") -> dict[str, Any]:
    """Return an estimate as plain data; its form is ``docs/estimate.schema.json``."""
    layout = r.layout
    return {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "data": r.data,
        "request": r.request.as_dict(),
        "result": {
            "fits": True,
            "model": r.model_id,
            "model_name": r.model_name,
            "hardware": r.device_id,
            "hardware_name": r.device_name,
            "engine": r.engine_id,
            "engine_version": r.engine_version,
            "precision": r.precision,
            "kv_precision": r.kv_precision,
            "layout": {
                "devices": layout.devices,
                "replicas": layout.replicas,
                "tp": layout.tp,
                "pp": layout.pp,
                "dp": layout.dp,
                "ep": layout.ep,
            },
            **_numbers(r.memory, lang),
            **_point(r.asked, lang),
            **_headline_cost(r.asked, lang),
            "prefill": _phase(r.prefill, lang),
            "decode": _phase(r.decode, lang),
            "best": {**_point(r.best, lang), **_headline_cost(r.best, lang)},
            "best_is_under_slo": r.under_slo,
            "defaults": [say(text, lang) for text in r.defaults],
        },
        "warnings": [say(text, lang) for text in r.warnings],
    }


def estimate_json(r: EstimateResult, lang: str = "en") -> str:
    """Return an estimate as JSON text."""
    return json.dumps(estimate_dict(r, lang), ensure_ascii=False, indent=2, allow_nan=False)


def _flat(prefix: str, value: object) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "low80" in value:
            return [(prefix, value)]
        rows = []
        for key, inner in value.items():
            rows += _flat(f"{prefix}.{key}" if prefix else key, inner)
        return rows
    return []


def guard(cell: object) -> object:
    """Keep a spreadsheet from running a text cell as a formula; numbers pass unchanged.

    >>> guard("=1+1"), guard(-1.5)
    ("'=1+1", -1.5)
    """
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell


def estimate_csv(r: EstimateResult, lang: str = "en") -> str:
    """Return every number of an estimate as CSV, one a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for name, cell in _flat("", estimate_dict(r, lang)["result"]):
        writer.writerow([guard(name), *(guard(cell[c]) for c in CSV_COLUMNS[1:])])
    return out.getvalue().rstrip("\n")
