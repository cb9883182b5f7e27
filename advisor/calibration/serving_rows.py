"""Measured serving runs from a CSV file, one frozen record a row.

A row is one closed-loop run: device, layout, model, formats, engine, lengths, concurrency, and
the measured mean TTFT and TPOT. The measured cells are kept apart from the description, so
that a prediction can't read them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import InvalidFileError

REQUIRED = (
    "id",
    "device",
    "gpus",
    "tp",
    "attention_dp",
    "moe_ep",
    "kind",
    "model",
    "hf_id",
    "weight_format",
    "gemm_format",
    "moe_format",
    "engine",
    "engine_version",
    "input_len",
    "output_len",
    "concurrency",
    "source_run",
)
_FORMATS = {"fp4": "nvfp4", "int4": "w4a16"}


@dataclass(frozen=True)
class ServingRow:
    """Description of one run; ``concurrency`` counts the whole deployment."""

    id: str
    device: str
    gpus: int
    tp: int
    dp: int
    ep: int
    kind: str
    model: str
    hf_id: str
    weight_format: str
    engine: str
    engine_version: str
    isl: int
    osl: int
    concurrency: int
    run: str

    @property
    def group(self) -> tuple[str, str]:
        """Device and model: what is left out together."""
        return (self.device, self.model)


@dataclass(frozen=True)
class Measured:
    """Measured means of one run, seconds."""

    ttft_s: float
    tpot_s: float


def is_serving_layout(columns: list[str]) -> bool:
    """Tell whether a CSV header is that of serving runs."""
    return set(REQUIRED) <= set(columns)


def _whole(cells: Mapping[str, str], name: str, line: int, where: str, blank: int = 0) -> int:
    text = cells[name].strip()
    if not text and blank:
        return blank
    try:
        value = int(float(text))
    except ValueError:
        value = 0
    if value < 1:
        msg = f"{where}, line {line}: {name} must be a whole number from 1, got {text!r}"
        raise InvalidFileError(msg)
    return value


def _format(cells: Mapping[str, str]) -> str:
    """Return the format that decides: the experts', else the products', else the weights'."""
    if cells["model"].startswith("gpt-oss"):
        return "mxfp4"
    name = cells["moe_format"] or cells["gemm_format"] or cells["weight_format"]
    return _FORMATS.get(name, name)


def parse_serving(cells: Mapping[str, str], line: int, where: str) -> ServingRow:
    """Turn the cells of one line into a record.

    Raises
    ------
    InvalidFileError
        Naming file, line and field.
    """
    return ServingRow(
        id=cells["id"],
        device=cells["device"],
        gpus=_whole(cells, "gpus", line, where),
        tp=_whole(cells, "tp", line, where),
        dp=_whole(cells, "attention_dp", line, where, 1),
        ep=_whole(cells, "moe_ep", line, where, 1),
        kind=cells["kind"],
        model=cells["model"],
        hf_id=cells["hf_id"],
        weight_format=_format(cells),
        engine=cells["engine"],
        engine_version=cells["engine_version"],
        isl=_whole(cells, "input_len", line, where),
        osl=_whole(cells, "output_len", line, where),
        concurrency=_whole(cells, "concurrency", line, where),
        run=cells["source_run"],
    )


def parse_measured(cells: Mapping[str, str]) -> Measured | None:
    """Return the measured means, None if the row has none."""
    try:
        return Measured(float(cells["ttft_ms"]) / 1e3, float(cells["tpot_ms"]) / 1e3)
    except (KeyError, ValueError):
        return None


def read_serving(path: Path) -> list[tuple[ServingRow, Measured | None]]:
    """Read a file of serving runs, descriptions and measurements side by side.

    Raises
    ------
    InvalidFileError
        If it can't be read or a column is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [c for c in REQUIRED if c not in (reader.fieldnames or [])]
            if missing:
                msg = f"{path}: not a file of serving runs: no column {missing[0]!r}"
                raise InvalidFileError(msg)
            return [
                (parse_serving(cells, line, str(path)), parse_measured(cells))
                for line, cells in enumerate(reader, 2)
            ]
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror}"
        raise InvalidFileError(msg) from error
