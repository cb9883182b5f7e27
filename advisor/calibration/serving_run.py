"""Fitting every engine era from a file of serving runs, and writing what was learnt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from advisor.calibration.serving_fits import (
    EraFit,
    Sample,
    fit_era,
    fitted_era,
    median_error,
    quantiles,
)
from advisor.calibration.serving_predict import resolve_run
from advisor.calibration.serving_rows import read_serving
from advisor.catalogue.engine_costs import engine_cost_file, era_of_run
from advisor.catalogue.widths import width_file
from advisor.errors import AdvisorError, MissingDataError
from advisor.schema.efficiency import Width, WidthFile
from advisor.schema.engine import EngineCostFile, EngineEra

METRICS: tuple[Literal["tpot", "ttft", "throughput"], ...] = ("tpot", "ttft", "throughput")


@dataclass(frozen=True)
class ServingCalibration:
    """Fitted eras, their fits, and the half-widths their left-out residuals give."""

    file: EngineCostFile
    fits: dict[str, EraFit]
    widths: tuple[Width, ...]


def samples_by_era(path: Path) -> dict[str, list[Sample]]:
    """Read and resolve the runs of a file, by the id of the era that measured them.

    Rows without a measurement, that can't be resolved or that no era names are left out.
    """
    eras = engine_cost_file().era
    found: dict[str, list[Sample]] = {era.id: [] for era in eras}
    for row, measured in read_serving(path):
        era = era_of_run(row.engine, row.kind, row.run, row.engine_version)
        if era is None or measured is None or era.kind != row.kind:
            continue
        try:
            found[era.id].append((resolve_run(row), measured))
        except AdvisorError:
            continue
    return found


def calibrate_serving(
    path: Path, date: dt.date, on_progress: Callable[[str], None] | None = None
) -> ServingCalibration:
    """Fit all eras from a file of serving runs.

    Parameters
    ----------
    path
        CSV in the serving layout.
    date
        Stamped into the result.
    on_progress
        Called with one line at each stage.

    Raises
    ------
    InvalidFileError
        If the file can't be read.
    MissingDataError
        If no row belongs to a known era.
    """
    tell = on_progress or (lambda _: None)
    current = engine_cost_file()
    samples = samples_by_era(path)
    fitted = {era.id: era for era in current.era}
    fits: dict[str, EraFit] = {}
    for era in current.era:
        if not samples[era.id]:
            continue
        tell(f"{era.id}: {len(samples[era.id])} runs")
        fit = fit_era(samples[era.id], current.prior, tell)
        fits[era.id], fitted[era.id] = fit, fitted_era(era, fit)
        off = fit.residuals
        tell(f"  left out: TPOT {median_error(off[:, 0]):.1%}, TTFT {median_error(off[:, 1]):.1%}")
    if not fits:
        msg = f"{path}: no run of an engine era that hwprofiles/efficiency/engine-costs.toml names"
        raise MissingDataError(msg)
    widths = _widths(fits, {era.id: era.kind for era in current.era if era.id in fits})
    tpot = {row.kinds[0]: row for row in widths if row.metric == "tpot"}
    file = EngineCostFile(
        schema=1,
        fitted=date,
        routing_evenness=current.routing_evenness,
        prior=current.prior,
        source=current.source,
        era=tuple(
            _covered(fitted[era.id], fits.get(era.id), tpot.get(era.kind)) for era in current.era
        ),
    )
    return ServingCalibration(file, fits, widths)


def _covered(era: EngineEra, fit: EraFit | None, width: Width | None) -> EngineEra:
    """Return the era with the share of left-out TPOT inside the stated ranges."""
    if fit is None or width is None:
        return era
    off = np.abs(fit.residuals[:, 0])
    return msgspec.structs.replace(
        era,
        left_out_in80=round(float(np.mean(off <= width.q80)), 3),
        left_out_in95=round(float(np.mean(off <= width.q95)), 3),
    )


def _widths(fits: dict[str, EraFit], kinds: dict[str, str]) -> tuple[Width, ...]:
    """Return half-widths by metric and kind of model: expert models err more."""
    rows = []
    for kind in sorted(set(kinds.values())):
        some = [fit for name, fit in fits.items() if kinds[name] == kind]
        off = np.concatenate([fit.residuals for fit in some])
        for column, metric in enumerate(METRICS):
            q80, q95 = quantiles(off[:, column])
            rows.append(
                Width(
                    metric=metric,
                    evidence="calibrated",
                    q80=round(q80, 4),
                    q95=round(q95, 4),
                    rows=len(off),
                    groups=sum(fit.groups for fit in some),
                    because="serving runs of left-out (device, model) groups",
                    device_classes=("gpu", "npu"),
                    kinds=(kind,),
                )
            )
    return tuple(rows)


def merged_widths(new: tuple[Width, ...], old: WidthFile, date: dt.date) -> WidthFile:
    """Return the width file with rows of the same metric, label and classes replaced."""

    def key(row: Width) -> tuple[str, str, tuple[str, ...]]:
        # Rows by kind of model take the place of rows for both kinds.
        return (row.metric, row.evidence, row.device_classes)

    fresh = {key(row): row for row in new}
    kept = tuple(row for row in old.width if key(row) not in fresh)
    return WidthFile(schema=1, fitted=date, source=old.source, width=(*new, *kept))


def write_serving(found: ServingCalibration, folder: Path) -> tuple[Path, Path]:
    """Write engine costs and widths as TOML; return the two paths.

    Raises
    ------
    MissingDataError
        If the TOML writer of the ``kernels`` extra isn't installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        msg = "writing constants needs an extra: pip install 'advisor[kernels]'"
        raise MissingDataError(msg) from error
    widths = merged_widths(found.widths, width_file(), found.file.fitted)
    paths = (folder / "engine-costs.toml", folder / "widths.toml")
    for path, record in zip(paths, (found.file, widths), strict=True):
        plain = msgspec.to_builtins(record, builtin_types=(dt.date,))
        path.write_text(tomli_w.dumps(_without_none(plain)), encoding="utf-8")
    return paths


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
