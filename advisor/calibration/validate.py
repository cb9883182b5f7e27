"""Predicted beside measured, for every row of a file of measurements.

A row that can't be predicted says why; none is dropped. Predictions are made from the row's
description alone: measured cells meet them only in :func:`summary_rows`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

from advisor.calibration.device_load import is_burst, predict_burst
from advisor.calibration.device_other import predict_other
from advisor.calibration.device_predict import Case, choose_constants, predict, resolve_case
from advisor.calibration.device_rows import DeviceRow, read_rows
from advisor.calibration.serving_predict import predict_run, resolve_run
from advisor.calibration.serving_rows import ServingRow, is_serving_layout, read_serving
from advisor.catalogue.engine_costs import era_of_run
from advisor.catalogue.widths import width
from advisor.errors import AdvisorError, InvalidFileError
from advisor.perf.intervals import Spread
from advisor.schema.engine import NO_COST
from advisor.schema.fact import Evidence, worst_evidence

COLUMNS = (
    "id",
    "metric",
    "measured",
    "predicted",
    "low80",
    "high80",
    "low95",
    "high95",
    "evidence",
    "refused",
)
MS_PER_S = 1e3
_WIDTH_OF = {
    "decode": "tpot",
    "tpot": "tpot",
    "ttft": "ttft",
    "prefill": "prefill",
    "throughput": "throughput",
    "total": "throughput",
}
OTHER = ("power", "energy", "memory")
"""Metrics that aren't speeds."""


@dataclass(frozen=True)
class Line:
    """One metric of one row: measured, predicted with its ranges, or why not.

    ``stated``: the row says its model, lengths, batch and format.
    """

    id: str
    metric: str
    measured: float | None
    predicted: float | None = None
    q80: float = 0.0
    q95: float = 0.0
    evidence: str = ""
    refused: str = ""
    device_class: str = ""
    engine: str = ""
    kind: str = ""
    device: str = ""
    stated: bool = True

    def cells(self) -> list[object]:
        """Return the line's CSV cells."""
        if self.predicted is None:
            return [self.id, self.metric, _blank(self.measured), *[""] * 6, self.refused]
        p = self.predicted
        spans = [p * math.exp(s * q) for q in (self.q80, self.q95) for s in (-1, 1)]
        return [
            self.id,
            self.metric,
            _blank(self.measured),
            *(f"{v:.6g}" for v in (p, *spans)),
            self.evidence,
            "",
        ]


def _blank(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def validate_file(path: Path, on_progress: Callable[[int, int], None] | None = None) -> list[Line]:
    """Predict every row of a file in the serving or the device layout.

    Parameters
    ----------
    path
        CSV with the columns of either layout.
    on_progress
        Called with rows done and rows in all.

    Raises
    ------
    InvalidFileError
        If the file can't be read or has neither layout.
    """
    columns = _header(path)
    if is_serving_layout(columns):
        pairs = read_serving(path)
        lines: list[Line] = []
        for number, (row, measured) in enumerate(pairs, 1):
            told = (measured.ttft_s, measured.tpot_s) if measured else (None, None)
            lines += _serving(row, told)
            if on_progress:
                on_progress(number, len(pairs))
        return lines
    if "metric" in columns and "batch_or_concurrency" in columns:
        rows = read_rows(path)
        lines = []
        for number, device_row in enumerate(rows, 1):
            lines.append(_device(device_row))
            if on_progress:
                on_progress(number, len(rows))
        return lines
    msg = f"{path}: neither a serving nor a device layout: columns are {', '.join(columns[:8])} ..."
    raise InvalidFileError(msg)


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: can't be read as UTF-8 text: {error}"
        raise InvalidFileError(msg) from error


def _serving(row: ServingRow, told: tuple[float | None, float | None]) -> list[Line]:
    measured = [None if v is None else v * MS_PER_S for v in told]
    names = ("ttft_ms", "tpot_ms")
    try:
        run = resolve_run(row)
        era = era_of_run(row.engine, row.kind, row.run, row.engine_version)
        predicted = predict_run(run, era.cost if era else NO_COST)
        label = run.setup.evidence
        device_class = run.setup.device.device_class
        known = run.recipe is not None
        spans = [width(name[:4], label, device_class, row.kind, known) for name in names]
    except AdvisorError as error:
        return [
            Line(row.id, name, m, refused=error.message, engine=row.engine, kind=row.kind)
            for name, m in zip(names, measured, strict=True)
        ]
    values = (predicted.ttft_s * MS_PER_S, predicted.tpot_s * MS_PER_S)
    return [
        Line(row.id, name, m, v, q.q80, q.q95, label, "", device_class, row.engine, row.kind)
        for name, m, v, q in zip(names, measured, values, spans, strict=True)
    ]


def _figure(case: Case) -> tuple[float, Evidence, str]:
    if case.row.metric in OTHER:
        other = predict_other(case)
        return other.value, other.evidence, "power" if other.width == "energy" else other.width
    if is_burst(case):
        # Lengths, settings and other load of a queued burst are only partly known.
        label = worst_evidence("extrapolated", choose_constants(case).evidence)
        return predict_burst(case), label, _WIDTH_OF[case.row.metric]
    value, choice = predict(case)
    return value, choice.evidence, _WIDTH_OF[case.row.metric]


def _device(row: DeviceRow) -> Line:
    try:
        case = resolve_case(row)
        value, evidence, metric = _figure(case)
        classed = case.device.device_class
        wide = partial(
            width,
            evidence=evidence,
            device_class=classed,
            kind=_kind(case),
            engine=row.engine_family,
        )
        q = wide(metric)
        spread = Spread(q.q80, q.q95)
        if row.metric == "energy":
            # Joules are watts times seconds: independent errors.
            q = wide("tpot")
            spread += Spread(q.q80, q.q95)
    except AdvisorError as error:
        return Line(
            row.id,
            row.metric_name,
            row.value,
            refused=error.message,
            engine=row.engine_family,
            stated=row.stated,
        )
    return Line(
        row.id,
        row.metric_name,
        row.value,
        value,
        spread.q80,
        spread.q95,
        evidence,
        "",
        case.device.device_class,
        row.engine_family,
        _kind(case),
        case.device.id,
        row.stated,
    )


def _kind(case: Case) -> str:
    routed = case.shape.has_experts
    return "moe" if routed else "dense"


def write_lines(lines: Sequence[Line], path: Path) -> None:
    """Write one line per id and metric as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(line.cells() for line in lines)


@dataclass(frozen=True)
class Summary:
    """Errors of a set of lines; errors are |predicted/measured - 1|.

    ``bias`` is the median of predicted/measured - 1; coverage counts measured values inside
    the stated range.
    """

    name: str
    rows: int
    refused: int
    median_error: float
    mean_error: float
    p90_error: float
    bias: float
    coverage80: float
    coverage95: float


def summarise(name: str, lines: Iterable[Line]) -> Summary:
    """Summarise lines that have a measured value."""
    told = [line for line in lines if line.measured]
    done = [line for line in told if line.predicted]
    ratios = [line.predicted / line.measured for line in done if line.predicted and line.measured]
    if not ratios:
        nothing = math.nan
        return Summary(name, len(told), len(told), *([nothing] * 6))
    errors = sorted(abs(r - 1.0) for r in ratios)
    off = [abs(math.log(r)) for r in ratios]
    return Summary(
        name=name,
        rows=len(told),
        refused=len(told) - len(done),
        median_error=median(errors),
        mean_error=fmean(errors),
        p90_error=errors[min(int(0.9 * len(errors)), len(errors) - 1)],
        bias=median(ratios) - 1.0,
        coverage80=fmean(o <= line.q80 for o, line in zip(off, done, strict=True)),
        coverage95=fmean(o <= line.q95 for o, line in zip(off, done, strict=True)),
    )


def summary_rows(lines: Sequence[Line]) -> list[Summary]:
    """Summarise by metric, and within each by device class, engine, model kind and label."""
    found = []
    for metric in sorted({line.metric for line in lines}):
        some = [line for line in lines if line.metric == metric]
        found.append(summarise(metric, some))
        for field in ("device_class", "engine", "kind", "evidence"):
            values = sorted({getattr(line, field) for line in some} - {""})
            for value in values:
                part = [line for line in some if getattr(line, field) == value]
                found.append(summarise(f"{metric}, {field} {value}", part))
    return found


def refused_share(lines: Iterable[Line]) -> tuple[int, int]:
    """Return the refused lines, and all, of rows that state model, lengths, batch and format."""
    stated = [line for line in lines if line.stated]
    return sum(bool(line.refused) for line in stated), len(stated)


def refusals(lines: Sequence[Line]) -> list[tuple[str, int]]:
    """Return the reasons rows were refused for, most frequent first, without their ids."""
    counts: dict[str, int] = {}
    for line in lines:
        if line.refused:
            reason = line.refused.removeprefix(f"{line.id}: ")
            counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
