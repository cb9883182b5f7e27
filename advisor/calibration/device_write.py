"""Fit all device classes and write their constants, with what was fitted and how well it holds."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from advisor.calibration.device_classes import CLASSES, training
from advisor.calibration.device_fits import (
    DeviceClass,
    Left,
    build,
    fit,
    leave_out,
    log_residuals,
    median_error,
)
from advisor.calibration.device_predict import Case, Predictor, resolve_cases
from advisor.calibration.device_rows import read_rows
from advisor.calibration.efficiency_toml import write_family
from advisor.schema.efficiency import Efficiency
from advisor.schema.fact import Evidence, Source

_FEWEST_DEVICES = 2
_HOSTED = ("arc-llama-cpp", "phone-gpu")
"""Classes whose rows all carry a handicap of their host, or one runtime a device."""
_REPOSITORY = re.compile(r"(?:https?://)?((?:github\.com/)?[\w.-]+/[\w.-]+)")


@dataclass(frozen=True)
class ClassFit:
    """A fitted class and its errors.

    Parameters
    ----------
    values
        Fitted values in the order of the class's constants.
    inside
        Residuals of the rows fitted.
    devices, groups
        Residuals of whole devices left out, and of (device, model, engine) groups.
    """

    spec: DeviceClass
    values: tuple[float, ...]
    constants: Efficiency
    inside: tuple[Left, ...]
    devices: tuple[Left, ...]
    groups: tuple[Left, ...]


def publications(cases: Iterable[Case], accessed: dt.date) -> tuple[Source, ...]:
    """Return the publications of some rows, one a repository or site."""
    found: dict[str, Source] = {}
    for case in cases:
        match = _REPOSITORY.match(case.row.source)
        place = match.group(1) if match else case.row.source
        id_ = re.sub(r"[^a-z0-9]+", "-", place.removeprefix("github.com/").lower()).strip("-")
        title = place.removeprefix("github.com/") + ": published measurements"
        found.setdefault(
            id_, Source(id=id_, title=title, url=f"https://{place}", accessed=accessed)
        )
    return tuple(found[key] for key in sorted(found))


def fit_class(spec: DeviceClass, cases: Sequence[Case], fitted: dt.date) -> ClassFit:
    """Fit one class and leave out its devices and groups in turn.

    Raises
    ------
    MissingDataError
        If the class has no rows.
    """
    own = training(spec, list(cases))
    values = fit(spec, own)
    constants = build(spec, values)
    constants = with_first_token(spec, constants, cases)
    off = log_residuals(Predictor(own).values(constants), own)
    inside = tuple(Left(case, float(x)) for case, x in zip(own, off, strict=True))
    devices = tuple(leave_out(spec, own, lambda case: case.device.id, values))
    groups = tuple(leave_out(spec, own, lambda case: case.row.group, values))
    measured = tuple(sorted({case.device.id for case in own}))
    many = len(measured) >= _FEWEST_DEVICES and spec.id not in _HOSTED
    evidence: Evidence = "calibrated" if many else "estimated"
    final = msgspec.structs.replace(
        constants,
        fitted=fitted,
        evidence=evidence,
        because=_because(spec, own, len(measured), many),
        source=publications(own, fitted),
        measured_devices=measured,
        notes=_notes(spec, inside, devices, groups),
    )
    return ClassFit(spec, tuple(values), final, inside, devices, groups)


def with_first_token(spec: DeviceClass, constants: Efficiency, cases: Iterable[Case]) -> Efficiency:
    """Add the median delay of first tokens that a class's speeds don't explain.

    Only where those rows weren't fitted, since there the speeds explain them.
    """
    as_speed = [replace(c, row=replace(c.row, metric="prefill")) for c in cases if _first(c)]
    late = [replace(c, row=replace(c.row, metric="ttft")) for c in as_speed if spec.takes(c)]
    if not late or any(spec.takes(c) for c in late):
        return constants
    extra = [c.row.value for c in late] - Predictor(late).values(constants)
    return msgspec.structs.replace(constants, first_token_s=max(float(np.median(extra)), 0) / 1e3)


def _first(case: Case) -> bool:
    return case.row.metric == "ttft" and case.row.alone


def _because(spec: DeviceClass, own: Sequence[Case], devices: int, many: bool) -> str:
    text = f"fitted to {len(own)} published measurements of {devices} device(s)"
    if many:
        return text
    if devices < _FEWEST_DEVICES:
        return f"{text}; one device can't show how the constants travel"
    return f"{text}, all with a handicap of host or runtime"


def _notes(
    spec: DeviceClass, inside: Sequence[Left], devices: Sequence[Left], groups: Sequence[Left]
) -> str:
    lines = [spec.meaning] if spec.meaning else []
    for metric in dict.fromkeys(left.case.row.metric for left in inside):
        part = [x for x in inside if x.case.row.metric == metric]
        errors = [f"{median_error([x.off for x in part]):.1%} in sample"]
        for name, lefts in (("devices", devices), ("groups", groups)):
            held = [x.off for x in lefts if x.case.row.metric == metric]
            if held:
                errors.append(f"{median_error(held):.1%} on left-out {name}")
        count = len({x.case.device.id for x in part})
        lines.append(
            f"{metric}: {len(part)} rows, {count} devices, median error {', '.join(errors)}"
        )
    return "\n".join(lines)


def fit_all(
    rows: Path,
    folder: Path,
    fitted: dt.date,
    wanted: Callable[[DeviceClass], bool] = lambda spec: True,
) -> list[ClassFit]:
    """Fit every wanted class that has rows, write its file, and return the fits."""
    cases, _ = resolve_cases(read_rows(rows))
    found: list[ClassFit] = []
    for listed in CLASSES:
        if not wanted(listed) or not training(listed, cases):
            continue
        before = next((f for f in found if f.spec.id == listed.follows), None)
        spec = listed.starting_at(before.values) if before else listed
        found.append(fit_class(spec, cases, fitted))
        write_family(found[-1].constants, folder)
    return found


def quantiles(off: Sequence[float]) -> tuple[float, float]:
    """Return the 80 % and 95 % quantiles of absolute log residuals."""
    size = np.abs(np.asarray(off))
    return float(np.quantile(size, 0.8)), float(np.quantile(size, 0.95))
