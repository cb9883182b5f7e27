"""Measured single-device speeds from a CSV file, one frozen record a row.

The layout is that of public benchmark tables put together: one measured value a row, with the
device, model, engine and lengths it was measured at as their source wrote them. What a row
leaves open is said by :meth:`DeviceRow.problem`, never guessed, with one exception: decode
speed at batch 1 hardly moves with a short context, so an unknown one counts as short.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from advisor.errors import InvalidFileError

Metric = Literal[
    "decode", "prefill", "ttft", "tpot", "throughput", "total", "power", "energy", "memory", "other"
]
Unit = Literal["cpu", "gpu", "npu", "device"]

COLUMNS = (
    "id",
    "device",
    "device_count",
    "model",
    "weight_format",
    "weight_bits",
    "engine",
    "engine_family",
    "threads",
    "tp",
    "batch_or_concurrency",
    "input_len",
    "output_len",
    "metric",
    "value",
    "unit",
    "source",
    "notes",
)
METRICS: Mapping[str, Metric] = {
    "decode_tok_s": "decode",
    "prefill_tok_s": "prefill",
    "ttft_ms": "ttft",
    "tpot_ms": "tpot",
    "output_tok_s": "throughput",
    "total_tok_s": "total",
    "power_w": "power",
    "energy_j_per_tok": "energy",
    "peak_mem_gb": "memory",
}
SHORT_CONTEXT_TOKENS = 128
"""Prompt and answer length that stand for "short" and "unknown" in batch-1 decode rows."""

_ENGINE_UNITS: Mapping[str, Unit] = {
    "qnn-genie": "npu",
    "coreml": "npu",
    "mlx": "gpu",
    "coreai": "gpu",
}
_SUFFIX = re.compile(r"-(cpu|gpu|npu|ane)$")
_HYBRID = re.compile(r"hybrid|offload|cluster")
_LOWER_BOUND_BITS = 16.0


@dataclass(frozen=True)
class DeviceRow:
    """One measured value.

    Parameters
    ----------
    id, source, notes
        Where it comes from.
    device, device_count, unit
        Device name as written, how many, and which unit of a system-on-chip ran the model
        (``device``: the one the profile names).
    model, weight_format, weight_bits
        As written; bits per weight None if the source doesn't say.
    engine_family, engine
        Runtime, and its name with version.
    threads
        CPU threads, None if not stated.
    tp
        Tensor-parallel devices; several devices at ``tp`` 1 split the layers.
    batch
        Sequences at once, None if unknown.
    input_tokens, output_tokens
        None if unknown.
    metric, metric_name, value
        Kind of figure, its name as written, and its value in tokens/s, milliseconds or watts
        of the whole system.
    """

    id: str
    device: str
    device_count: int
    unit: Unit
    model: str
    weight_format: str
    weight_bits: float | None
    engine_family: str
    engine: str
    threads: int | None
    tp: int
    batch: float | None
    input_tokens: int | None
    output_tokens: int | None
    metric: Metric
    metric_name: str
    value: float
    source: str
    notes: str

    @property
    def group(self) -> tuple[str, str, str]:
        """What is left out together in validation: device, model and engine."""
        return self.device, self.model, self.engine_family

    @property
    def alone(self) -> bool:
        """Whether one sequence ran."""
        return self.batch == 1.0

    @property
    def stated(self) -> bool:
        """Whether the row says its model, lengths, batch and format."""
        lengths = self.input_tokens is not None and self.output_tokens is not None
        known = "unknown" not in self.weight_format and self.weight_format != ""
        return bool(self.model) and lengths and known and self.batch is not None

    @property
    def blended(self) -> bool:
        """Whether a decode speed counts the prompt's time too: answer over the whole time."""
        return self.metric == "decode" and "generated tokens/total time" in self.notes

    @property
    def problem(self) -> str:
        """Why the row can't be compared with a prediction; empty if it can."""
        if self.metric == "other":
            return "not a figure this tool predicts"
        if _HYBRID.search(self.device):
            return "several kinds of device at once"
        if self.batch is None:
            return "unknown concurrency"
        if "unknown" in self.weight_format or (self.weight_bits is None and not _named(self)):
            return "unknown weight format"
        return _length_problem(self) or _trap(self)


def _named(row: DeviceRow) -> bool:
    return bool(re.search(r"\d", row.weight_format))


def _length_problem(row: DeviceRow) -> str:
    if row.metric in ("power", "energy", "memory", "tpot", "decode"):
        # The mean context of short prompts and answers is small against the weights.
        short = row.alone or row.output_tokens is not None
        return "" if short else "unknown lengths"
    if row.metric == "prefill":
        return ""
    if row.input_tokens is None:
        return "unknown prompt length"
    if row.metric in ("throughput", "total") and row.output_tokens is None:
        return "unknown output length"
    return ""


_TRAPS: tuple[tuple[Metric, str, bool, str], ...] = (
    ("decode", "averaged over encoded", False, "mean over prompt and answer"),
    ("decode", "aggregate", True, "sum over the batch, shared prompt"),
    ("ttft", "upper bound", False, "scaled up by the source, not measured"),
    ("energy", "wall", False, "energy of the whole system at the wall"),
    ("memory", "mmap", False, "mapped weights may not be counted"),
    ("power", "wall", False, "power of the whole system at the wall"),
)
"""Metric, pattern of the notes, whether only batches are concerned, and the reason."""


def _trap(row: DeviceRow) -> str:
    notes = row.notes.lower()
    for metric, words, batches, reason in _TRAPS:
        if row.metric == metric and re.search(words, notes) and not (batches and row.alone):
            return reason
    if "x tp (ambiguous)" in notes and row.tp > 1:
        # Such rows exceed what memory can deliver: their table gave totals.
        return "a total, multiplied by the devices once more"
    if "speculative decoding" in notes:
        return "speculative decoding, acceptance not stated"
    return "the source doubts it" if "warning" in notes else ""


def lower_bound(row: DeviceRow) -> bool:
    """Tell rows slower than their hardware allows for a reason outside the model.

    Sustained runs on a throttling phone, external GPUs behind one PCIe lane, and 16-bit
    SGLang rows of one table that reach a third of the bandwidth.
    """
    notes = row.notes.lower()
    throttled = "sustained" in notes or "continuous" in notes
    external = bool(re.search(r"\bpi (5|500|cm)|hifive|radxa", notes))
    slow_table = (
        row.engine_family == "sglang"
        and row.device.startswith("h20-")
        and row.weight_bits == _LOWER_BOUND_BITS
    )
    return throttled or (external and "backend gpu" in notes) or slow_table


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _tokens(text: str) -> int | None:
    match = re.fullmatch(r"(?:~|<=)?(\d+)", text.strip())
    return int(match.group(1)) if match else None


def _unit(device: str, family: str, notes: str) -> Unit:
    suffix = _SUFFIX.search(device)
    if suffix:
        return "npu" if suffix.group(1) in ("npu", "ane") else _literal(suffix.group(1))
    if "backend cpu" in notes.lower():
        return "cpu"
    return _ENGINE_UNITS.get(family, "device")


def _literal(text: str) -> Unit:
    return "cpu" if text == "cpu" else "gpu"


def _record(cells: Mapping[str, str]) -> DeviceRow:
    value = _number(cells["value"])
    if value is None or value <= 0:
        msg = f"value {cells['value']!r} is not a positive number"
        raise ValueError(msg)
    threads = _number(cells["threads"])
    return DeviceRow(
        id=cells["id"],
        device=cells["device"],
        device_count=int(_number(cells["device_count"]) or 1),
        unit=_unit(cells["device"], cells["engine_family"], cells["notes"]),
        model=cells["model"],
        weight_format=cells["weight_format"].strip().lower(),
        weight_bits=_number(cells["weight_bits"]),
        engine_family=cells["engine_family"],
        engine=cells["engine"],
        threads=int(threads) if threads else None,
        tp=int(_number(cells["tp"]) or 1),
        batch=_number(cells["batch_or_concurrency"]),
        input_tokens=_tokens(cells["input_len"]),
        output_tokens=_tokens(cells["output_len"]),
        metric=METRICS.get(cells["metric"], "other"),
        metric_name=cells["metric"],
        value=value,
        source=cells["source"],
        notes=cells["notes"],
    )


def parse_rows(lines: Iterable[str], where: str = "rows") -> list[DeviceRow]:
    """Parse CSV lines, header first.

    Raises
    ------
    InvalidFileError
        Naming file and line, if a column is missing or a value isn't a positive number.
    """
    reader = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        msg = f"{where}, line 1: missing columns {', '.join(missing)}"
        raise InvalidFileError(msg)
    rows: list[DeviceRow] = []
    for cells in reader:
        try:
            rows.append(_record(cells))
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"{where}, line {reader.line_num}: {error}"
            raise InvalidFileError(msg) from error
    return rows


def read_rows(path: Path) -> list[DeviceRow]:
    """Read all rows of a file; see :func:`parse_rows` for the errors.

    Raises
    ------
    InvalidFileError
        If the file can't be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return parse_rows(file, str(path))
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror or error}"
        raise InvalidFileError(msg) from error
