"""Fit the constants of a class of devices to measured rows, and say how well they travel.

A class is a template of constants and a handful of numbers to fit in it. Residuals are
logarithms of predicted over measured value, so a factor of two counts alike either way; every
(device, model, engine, format) group weighs the same however many rows it has, and a row far
off pulls little (soft L1). The error that counts is that of devices the fit never saw.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from advisor.calibration.device_predict import Case, Predictor
from advisor.errors import AdvisorError, MissingDataError
from advisor.schema.efficiency import Efficiency

Array = NDArray[np.float64]

SOFT = 0.15
"""Log residual above which a row pulls less than quadratically."""


@dataclass(frozen=True)
class Constant:
    """One number to fit.

    Parameters
    ----------
    paths
        Where it goes in the template, dotted; several places share it.
    start, low, high
        First guess and bounds, in the unit of the field.
    """

    paths: tuple[str, ...]
    start: float
    low: float
    high: float


@dataclass(frozen=True)
class DeviceClass:
    """A class of devices under one kind of runtime.

    Parameters
    ----------
    id
        File name of the constants.
    template
        The record without what is fitted.
    constants
        What is fitted.
    takes
        Whether a case belongs to the class.
    meaning
        What the constants describe, for the notes of the file.
    prior
        Pull of each constant towards its start, in units of one row off by one log unit: it
        decides what no row does, and more in classes with few rows.
    follows
        Class whose fitted values are the starts: a newer generation with few rows of its own.
    """

    id: str
    template: Mapping[str, Any]
    constants: tuple[Constant, ...]
    takes: Callable[[Case], bool]
    meaning: str = ""
    prior: float = 0.05
    follows: str = ""

    def starting_at(self, values: Sequence[float]) -> DeviceClass:
        """Return the class with other starts, in the order of its constants."""
        pairs = zip(self.constants, values, strict=True)
        return replace(self, constants=tuple(replace(c, start=v) for c, v in pairs))


def build(spec: DeviceClass, values: Sequence[float]) -> Efficiency:
    """Return the constants with fitted values in their places."""
    record = _copy(spec.template)
    for constant, value in zip(spec.constants, values, strict=True):
        for path in constant.paths:
            *parents, leaf = path.split(".")
            place = record
            for key in parents:
                place = place.setdefault(key, {})
            place[leaf] = float(value)
    header = {
        "schema": 1,
        "id": spec.id,
        "fitted": dt.date(2026, 11, 23),
        "evidence": "estimated",
        "because": "being fitted",
        "source": (),
        "measured_devices": (),
    }
    return msgspec.convert(header | record, type=Efficiency)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return value


def log_residuals(predicted: Array, cases: Sequence[Case]) -> Array:
    """Logarithm of predicted over measured speed; times count upside down."""
    measured = np.asarray([case.row.value for case in cases])
    sign = np.asarray([-1.0 if case.row.metric in ("ttft", "tpot") else 1.0 for case in cases])
    return np.asarray(sign * np.log(predicted / measured))


def _weights(cases: Sequence[Case]) -> Array:
    groups = [(*case.row.group, case.row.metric, case.weights.id) for case in cases]
    sizes = {group: groups.count(group) for group in set(groups)}
    return np.asarray([sizes[group] ** -0.5 for group in groups])


def fit(spec: DeviceClass, cases: Sequence[Case], start: Sequence[float] = ()) -> list[float]:
    """Fit a class to cases; return the values in the order of its constants.

    Raises
    ------
    MissingDataError
        If there is no case.
    """
    from scipy.optimize import least_squares

    if not cases:
        msg = f"{spec.id}: no rows to fit"
        raise MissingDataError(msg)
    predictor, weights = Predictor(cases), _weights(cases)
    low = np.log([c.low for c in spec.constants])
    high = np.log([c.high for c in spec.constants])
    guess = np.log([c.start for c in spec.constants])

    def residuals(logs: Array) -> Array:
        predicted = predictor.values(build(spec, np.exp(logs).tolist()))
        off = weights * _soft(log_residuals(predicted, cases))
        return np.concatenate([off, spec.prior * (logs - guess)])

    first = np.clip(np.log(start) if len(start) else guess, low + 1e-6, high - 1e-6)
    found = least_squares(
        residuals, first, bounds=(low, high), max_nfev=60 if not len(start) else 8
    )
    return [float(v) for v in np.exp(found.x)]


def _soft(off: Array) -> Array:
    """Square root of the soft-L1 loss, with the sign of the residual."""
    scaled = off / SOFT
    loss = 2.0 * (np.sqrt(1.0 + scaled * scaled) - 1.0)
    return np.asarray(np.sign(off) * SOFT * np.sqrt(loss))


@dataclass(frozen=True)
class Left:
    """What a left-out case was off by: log of predicted over measured speed."""

    case: Case
    off: float


def leave_out(
    spec: DeviceClass,
    cases: Sequence[Case],
    key: Callable[[Case], object],
    start: Sequence[float],
) -> list[Left]:
    """Predict each part of the cases from constants fitted to the others.

    Parameters
    ----------
    key
        Cases with the same key are left out together.
    start
        Values of the full fit, from where each part's fit sets out.
    """
    found: list[Left] = []
    for part in dict.fromkeys(key(case) for case in cases):
        held = [case for case in cases if key(case) == part]
        rest = [case for case in cases if key(case) != part]
        if not rest:
            continue
        try:
            constants = build(spec, fit(spec, rest, start))
            off = log_residuals(Predictor(held).values(constants), held)
        except AdvisorError:
            continue
        found += [Left(case, float(x)) for case, x in zip(held, off, strict=True)]
    return found


def median_error(off: Sequence[float]) -> float:
    """Median of ``|predicted/measured - 1|`` from log residuals; NaN without any."""
    return float(np.median(np.abs(np.expm1(off)))) if len(off) else float("nan")
