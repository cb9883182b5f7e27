"""Half-widths of ranges from device benchmarks: left-out devices and groups, and servers' rows.

Rows of the label ``estimated``, of memory and of power are not made here: stand-ins and rules have
no residuals of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from advisor.calibration.device_fits import Left
from advisor.calibration.device_write import ClassFit
from advisor.calibration.serving_fits import quantiles
from advisor.calibration.validate import Line, validate_file
from advisor.catalogue.widths import width_file
from advisor.schema.efficiency import Width
from advisor.schema.fact import Evidence

Metric = Literal["tpot", "prefill", "ttft", "throughput"]

CLASSES = (("gpu", "npu"), ("pc", "cpu-server"), ("phone",))
SERVERS = ("vllm", "trtllm", "sglang")
_METRIC_OF: dict[str, Metric] = {
    "decode": "tpot",
    "tpot": "tpot",
    "prefill": "prefill",
    "ttft": "ttft",
}
_SERVED: dict[str, Metric] = {
    "decode_tok_s": "tpot",
    "tpot_ms": "tpot",
    "ttft_ms": "ttft",
    "output_tok_s": "throughput",
    "total_tok_s": "throughput",
}
_FEWEST_80, _FEWEST_95 = 5, 20
"""Rows a quantile needs; with fewer all classes of device are taken together."""
_LIFTED = "; no narrower than extrapolated"
_DEVICES = "device benchmark rows of left-out devices"
_GROUPS = "device benchmark rows of left-out (device, model, engine) groups"


@dataclass(frozen=True)
class _Residual:
    off: float
    device_class: str
    group: tuple[str, ...]


def device_widths(fits: Iterable[ClassFit], rows: Path) -> tuple[Width, ...]:
    """Return the half-widths that fitted classes and servers' rows show.

    Parameters
    ----------
    fits
        All classes, fitted.
    rows
        File of the same rows, to predict servers' ones with the constants on file.

    Raises
    ------
    InvalidFileError
        If the file can't be read.
    """
    good = [fit for fit in fits if fit.constants.evidence == "calibrated"]
    found: list[Width] = []
    for metric in ("tpot", "prefill", "ttft"):
        inside = [_residual(x) for f in good for x in f.groups if _is(x, metric)]
        across = [_residual(x) for f in good for x in f.devices if _is(x, metric)]
        for classes in CLASSES:
            own = _row(metric, "calibrated", classes, inside, _GROUPS, None)
            if classes[0] == "gpu" and metric != "prefill":
                own = _of_serving(metric)
            else:
                found.append(own)
            found.append(_row(metric, "extrapolated", classes, across, _DEVICES, own))
    speeds = [row for row in found if row.metric == "tpot"]
    found += [_as_throughput(row) for row in speeds]
    return (*found, *_served(validate_file(rows)), *_lifted(found))


def _lifted(found: Sequence[Width]) -> list[Width]:
    """Return rows of ``estimated`` that would be narrower than those of ``extrapolated``."""
    lifted = []
    for row in width_file().width:
        same = [
            better
            for better in found
            if better.metric == row.metric
            and better.evidence == "extrapolated"
            and set(row.device_classes) & set(better.device_classes)
        ]
        if row.evidence != "estimated" or all(b.q80 <= row.q80 and b.q95 <= row.q95 for b in same):
            continue
        because = row.because.removesuffix(_LIFTED) + _LIFTED
        q80 = max(row.q80, *(b.q80 for b in same))
        q95 = max(row.q95, *(b.q95 for b in same))
        lifted.append(msgspec.structs.replace(row, q80=q80, q95=q95, because=because))
    return lifted


def _is(left: Left, metric: str) -> bool:
    return _METRIC_OF.get(left.case.row.metric) == metric


def _residual(left: Left) -> _Residual:
    return _Residual(left.off, left.case.device.device_class, left.case.row.group)


def _row(
    metric: Metric,
    evidence: Evidence,
    classes: tuple[str, ...],
    found: Sequence[_Residual],
    because: str,
    least: Width | None,
) -> Width:
    """Return a row, no narrower than that of the better label."""
    here = [x for x in found if x.device_class in classes]
    use80, use95 = (here if len(here) >= few else list(found) for few in (_FEWEST_80, _FEWEST_95))
    q80, q95 = quantiles([x.off for x in use80])[0], quantiles([x.off for x in use95])[1]
    if len(here) < _FEWEST_95:
        because += "; " + ("all classes" if len(here) < _FEWEST_80 else "95 %: all classes")
    if least is not None and (least.q80 > q80 or least.q95 > q95):
        because += "; no narrower than calibrated"
        q80, q95 = max(q80, least.q80), max(q95, least.q95)
    return Width(
        metric=metric,
        evidence=evidence,
        q80=round(q80, 3),
        q95=round(max(q80, q95), 3),
        rows=len(use80),
        groups=len({x.group for x in use80}),
        because=because,
        device_classes=classes,
    )


def _of_serving(metric: str) -> Width:
    """Return the widest row of serving runs whose launch settings are unknown."""
    rows = [
        row
        for row in width_file().width
        if row.metric == metric and row.evidence == "calibrated" and row.kinds
    ]
    return max((row for row in rows if not row.launch_known), key=lambda row: row.q80)


def _as_throughput(row: Width) -> Width:
    return Width(
        metric="throughput",
        evidence=row.evidence,
        q80=row.q80,
        q95=row.q95,
        rows=row.rows,
        groups=row.groups,
        because="as decode",
        device_classes=row.device_classes,
    )


def _served(lines: Sequence[Line]) -> list[Width]:
    """Return rows of servers whose version, device or load no serving run measured."""
    rows: list[Width] = []
    for metric in ("tpot", "ttft", "throughput"):
        used = [
            line
            for line in lines
            if line.engine in SERVERS
            and line.evidence == "extrapolated"
            and _SERVED.get(line.metric) == metric
        ]
        off = [float(np.log(x.predicted / x.measured)) for x in used if x.predicted and x.measured]
        if len(off) < _FEWEST_95:
            continue
        q80, q95 = quantiles(off)
        rows.append(
            Width(
                metric=metric,
                evidence="extrapolated",
                q80=round(q80, 3),
                q95=round(q95, 3),
                rows=len(off),
                groups=len({(x.engine, x.device) for x in used}),
                because="benchmark rows of servers, none of them fitted: version, device or load "
                "without serving runs",
                device_classes=("gpu",),
                engines=SERVERS,
            )
        )
    return rows
