"""Fit the power curve of GPUs: ``P/TDP = min(ceiling, base + memory x MBU + compute x MFU)``.

Rows give GPU power at steady state and a known mean batch. What a step moves and computes
comes from the step model, how long it takes from the measured time per token of the same run:
the curve then doesn't inherit the model's timing error.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from advisor.calibration.device_predict import Case, choose_constants, step_model
from advisor.calibration.device_rows import DeviceRow
from advisor.calibration.device_write import publications, quantiles
from advisor.calibration.kernel_tables import optional_module
from advisor.catalogue.devices import bandwidth_of
from advisor.errors import AdvisorError, MissingDataError
from advisor.perf.step import Batch
from advisor.schema.efficiency import PowerCurve, PowerFile, PowerFit

Array = NDArray[np.float64]

SERVER_ENGINES = ("vllm", "vllm-0.11", "trtllm", "sglang", "lmdeploy")
PROMPT_TOKENS = 150
"""Prompts of these runs are chat questions of unstated, short length."""
_START = (0.4, 0.4, 1.0)
_PULL = 0.3
"""Weight of the pull towards all devices' curve, in rows' log residuals per unit of share."""
SERVER_ARCHITECTURES = (
    "ampere",
    "ada",
    "turing",
    "blackwell-consumer",
    "blackwell-ultra",
    "cdna",
    "rdna",
    "arc",
    "ascend",
    "cn-accelerator",
    "gaudi",
    "tpu",
    "trainium",
    "tenstorrent",
)
"""Accelerators without measured power: they take the curve of those with, as a stand-in."""
OTHER_ARCHITECTURES = ("apple-gpu", "apple-phone", "phone", "pc-igpu", "x86-cpu", "arm-cpu")
"""Architectures of which nothing but TDP is known."""
UPPER_BOUND = PowerCurve(base_share=1.0, memory_share=0.0, compute_share=0.0)


@dataclass(frozen=True)
class PowerPoint:
    """One measured run of one device: shares of bandwidth, of peak operations, and of TDP."""

    device: str
    architecture: str
    group: tuple[str, str, str]
    mbu: float
    mfu: float
    share: float


def _run(row: DeviceRow) -> tuple[object, ...]:
    place = re.sub(r"\s*;[^;]*$", "", row.notes)
    return (*row.group, row.batch, row.output_tokens, row.device_count, row.weight_format, place)


def power_points(cases: Sequence[Case]) -> list[PowerPoint]:
    """Pair power rows with the time per token of their run; unpaired rows are left out."""
    times = {_run(c.row): c.row.value / 1e3 for c in cases if c.row.metric == "tpot"}
    found: list[PowerPoint] = []
    for case in cases:
        if case.row.metric == "power" and _run(case.row) in times:
            try:
                found.append(_point(case, times[_run(case.row)]))
            except AdvisorError:
                continue
    return found


def _point(case: Case, seconds: float) -> PowerPoint:
    row, device = case.row, case.device
    if device.power.tdp_w is None:
        msg = f"{device.name}: no TDP is published"
        raise MissingDataError(msg)
    model = step_model(case, choose_constants(case).efficiency)
    context = PROMPT_TOKENS + (row.output_tokens or 0) / 2.0
    step = model.step(Batch(row.batch or 1.0, context))
    peak = model.chip.peak(case.weights.compute)
    watts = row.value / row.device_count
    return PowerPoint(
        device=device.id,
        architecture=device.architecture,
        group=row.group,
        mbu=float(step.moved_bytes) / seconds / bandwidth_of(device),
        mfu=float(step.flops) / seconds / peak,
        share=watts / device.power.tdp_w.value,
    )


def power_residuals(curve: Sequence[float], points: Sequence[PowerPoint]) -> Array:
    """Logarithm of predicted over measured power."""
    share = [min(1.0, curve[0] + curve[1] * p.mbu + curve[2] * p.mfu) for p in points]
    return np.asarray(np.log(np.asarray(share) / np.asarray([p.share for p in points])))


def fit_power(points: Sequence[PowerPoint], towards: Sequence[float] = ()) -> list[float]:
    """Return base, memory and compute share fitted to points.

    Parameters
    ----------
    towards
        Curve of all devices, which few or one-sided points are pulled to.
    """
    from scipy.optimize import least_squares

    def residuals(curve: Array) -> Array:
        off = power_residuals(curve.tolist(), points)
        pull = _PULL * (curve - np.asarray(towards)) if len(towards) else np.zeros(0)
        return np.concatenate([off, pull])

    bounds = ([0.02, 0.0, 0.0], [1.0, 3.0, 3.0])
    found = least_squares(residuals, _START, bounds=bounds, loss="soft_l1", f_scale=0.1)
    return [float(x) for x in found.x]


def left_out(points: Sequence[PowerPoint], towards: Sequence[float]) -> list[float]:
    """Residuals of each (device, model, engine) group under a curve fitted to the others."""
    off: list[float] = []
    for group in dict.fromkeys(p.group for p in points):
        held = [p for p in points if p.group == group]
        rest = [p for p in points if p.group != group]
        if rest:
            off += power_residuals(fit_power(rest, towards), held).tolist()
    return off


def _fit_row(points: Sequence[PowerPoint], architecture: str, towards: list[float]) -> PowerFit:
    own = [p for p in points if p.architecture == architecture]
    curve, off = fit_power(own, towards), left_out(own, towards)
    q80, q95 = quantiles(off)
    error = float(np.median(np.abs(np.expm1(off))))
    return PowerFit(
        architectures=(architecture,),
        curve=PowerCurve(base_share=curve[0], memory_share=curve[1], compute_share=curve[2]),
        evidence="calibrated",
        because=f"GPU power of {len(own)} vLLM runs; {error:.1%} off on left-out models",
        engines=SERVER_ENGINES,
        measured_devices=tuple(sorted({p.device for p in own})),
        rows=len(own),
        q80=q80,
        q95=q95,
    )


def power_file(cases: Iterable[Case], fitted: dt.date) -> PowerFile:
    """Fit all architectures measured; bound the rest, and other engines, by TDP."""
    used = [c for c in cases if c.row.metric in ("power", "tpot") and "ml-energy" in c.row.source]
    points = power_points(used)
    pooled = fit_power(points)
    names = sorted({p.architecture for p in points})
    rows = [_fit_row(points, name, pooled) for name in names]
    cross: list[float] = []
    for name in names:
        others = [p for p in points if p.architecture != name]
        held = [p for p in points if p.architecture == name]
        cross += power_residuals(fit_power(others), held).tolist()
    q80, q95 = quantiles(cross)
    curve = PowerCurve(base_share=pooled[0], memory_share=pooled[1], compute_share=pooled[2])
    rows.append(
        PowerFit(
            architectures=SERVER_ARCHITECTURES,
            curve=curve,
            evidence="estimated",
            because=f"stand-in: curve of {' and '.join(names)}; spread as between those two",
            engines=SERVER_ENGINES,
            rows=len(points),
            q80=q80,
            q95=q95,
        )
    )
    bound = "upper bound: no device power is published for this class; TDP at full load"
    rows.append(
        PowerFit(
            architectures=(*names, *SERVER_ARCHITECTURES, *OTHER_ARCHITECTURES),
            curve=UPPER_BOUND,
            evidence="estimated",
            because=bound,
        )
    )
    sources = publications(used, fitted)
    return PowerFile(schema=1, fitted=fitted, source=sources, power=tuple(rows))


def _rounded(value: Any) -> Any:
    """Keep three digits, and leave out what TOML can't say or a default says already."""
    if isinstance(value, dict):
        kept = {key: _rounded(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], "")}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def write_power(record: PowerFile, path: Path) -> None:
    """Write the file, checking that it reads back."""
    plain = _rounded(msgspec.to_builtins(record, builtin_types=(dt.date,)))
    text = str(optional_module("tomli_w").dumps(plain))
    msgspec.toml.decode(text.encode(), type=PowerFile)
    path.write_text(text, encoding="utf-8")
