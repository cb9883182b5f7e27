"""A grid of estimates as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import advisor
from advisor.estimator.compare import Cell, Grid
from advisor.estimator.result import EstimateResult
from advisor.report.error_text import error_text
from advisor.report.estimate_json import SCHEMA, estimate_dict, guard
from advisor.report.estimate_text import time_text
from advisor.report.locale import say
from advisor.report.numbers import pad, significant, wrap
from advisor.schema.text import Text

COLUMNS = 80
CSV_FIELDS = (
    "ttft_s",
    "tpot_s",
    "output_tok_per_s",
    "requests_per_s",
    "joules_per_request",
    "usd_per_mtok_input",
    "usd_per_mtok_output",
)


def _cell_lines(cell: Cell, notes: list[str], lang: str) -> list[str]:
    if cell.result is None:
        assert cell.error is not None
        text = f"{cell.model} @ {cell.hw}{say('colon', lang)}{error_text(cell.error, lang)}"
        if text not in notes:
            notes.append(text)
        return [f"✗ ({notes.index(text) + 1})", "", ""]
    return _figures(cell.result, lang)


def _figures(r: EstimateResult, lang: str) -> list[str]:
    p = r.asked
    assert p.output_tok_per_s is not None
    assert p.tpot_s is not None
    cost = p.rented or p.owned
    money = (
        f"${significant(cost.usd_per_mtok_output.value, 2)}/M"
        if cost
        else say("cell_no_price", lang)
    )
    mark = {"calibrated": "", "extrapolated": "^", "estimated": "~"}.get(p.tpot_s.evidence, "")
    devices = f"{r.layout.devices}x " if r.layout.devices > 1 else ""
    return [
        f"{significant(p.output_tok_per_s.value)} tok/s{mark}",
        time_text(p.tpot_s.value),
        f"{devices}{r.precision} {money}",
    ]


def compare_text(grid: Grid, lang: str = "en") -> str:
    """Render a grid: a block of three lines a model, reasons as numbered notes below.

    Wide grids break into several tables of at most 80 columns.
    """
    head = 16
    per_table = max(1, (COLUMNS - head) // 21)
    notes: list[str] = []
    lines = wrap(say("compare_head", lang), COLUMNS)
    for start in range(0, len(grid.devices), per_table):
        columns = grid.devices[start : start + per_table]
        lines.append(pad("", head) + "".join(pad(name[:20], 21) for name, _ in columns).rstrip())
        for model, _ in grid.models:
            blocks = [_cell_lines(grid.cell(model, hw), notes, lang) for hw, _ in columns]
            for row in range(3):
                name = model[: head - 1] if row == 0 else ""
                text = pad(name, head) + "".join(pad(block[row], 21) for block in blocks)
                if text.strip():
                    lines.append(text.rstrip())
        lines.append("")
    for number, note in enumerate(notes, 1):
        lines += wrap(f"({number}) {note}", COLUMNS, "    ")
    return "\n".join([*lines, say(Text("compare_marks"), lang)])


def compare_json(grid: Grid, lang: str = "en") -> str:
    """Return a grid as JSON: one entry a cell, an estimate or an error."""
    cells: list[dict[str, Any]] = []
    for cell in grid.cells:
        entry: dict[str, Any] = {"model": cell.model, "hw": cell.hw}
        if cell.result is not None:
            full = estimate_dict(cell.result, lang)
            entry |= {"result": full["result"], "warnings": full["warnings"]}
        elif cell.error is not None:
            e = cell.error
            entry["error"] = {"code": e.code, "message": e.message, "limit": e.limit}
        cells.append(entry)
    body = {"schema": SCHEMA, "version": advisor.__version__, "cells": cells}
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def compare_csv(grid: Grid, lang: str = "en") -> str:
    """Return a grid as CSV, one cell a line: value, 80 % range and label of each figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    spans = [f"{field}{suffix}" for field in CSV_FIELDS for suffix in ("", "_low80", "_high80")]
    writer.writerow(["model", "hw", "devices", "precision", "evidence", *spans, "error"])
    for cell in grid.cells:
        if cell.result is None:
            reason = cell.error.message if cell.error else ""
            blanks = [""] * (3 + len(spans))
            writer.writerow([guard(cell.model), guard(cell.hw), *blanks, guard(reason)])
            continue
        result = estimate_dict(cell.result, lang)["result"]
        numbers: list[object] = []
        for field in CSV_FIELDS:
            e = result[field]
            numbers += [e["value"], e["low80"], e["high80"]] if e else ["", "", ""]
        label = result["tpot_s"]["evidence"] if result["tpot_s"] else ""
        writer.writerow(
            [
                guard(cell.model),
                guard(cell.hw),
                result["layout"]["devices"],
                result["precision"],
                label,
                *numbers,
                "",
            ]
        )
    return out.getvalue().rstrip("\n")
