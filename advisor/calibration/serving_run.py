"""Fitting every engine era from a file of serving runs, and writing what was learnt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from advisor.calibration.kernel_tables import optional_module
from advisor.calibration.serving_fits import (
    Pooled,
    Runs,
    fit_pooled,
    labels_of,
    left_out,
    median_error,
    nested_inside,
    quantiles,
)
from advisor.calibration.serving_linear import Array, Sample, count_runs
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
    """Fitted eras, and the half-widths their left-out residuals give."""

    file: EngineCostFile
    widths: tuple[Width, ...]


def runs_of(path: Path, recipes: bool = True) -> Runs:
    """Read, resolve and replay the runs of a file, each with the era that measured it.

    Without ``recipes`` runs are replayed as if their series' launch settings were unknown.

    Rows without a measurement, that can't be resolved or that no era names are left out.

    Raises
    ------
    MissingDataError
        If no row belongs to a known era.
    """
    samples: list[Sample] = []
    eras: list[EngineEra] = []
    for row, measured in read_serving(path):
        era = era_of_run(row.engine, row.kind, row.run, row.engine_version)
        if era is None or measured is None or era.kind != row.kind:
            continue
        try:
            samples.append((resolve_run(row, recipes), measured))
        except AdvisorError:
            continue
        eras.append(era)
    if not samples:
        msg = f"{path}: no run of an engine era that hwprofiles/efficiency/engine-costs.toml names"
        raise MissingDataError(msg)
    return Runs(count_runs(samples), tuple(eras))


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
    tell("replaying runs")
    runs = runs_of(path)
    pooled, off = fit_pooled(runs), left_out(runs)
    tell("ranges, each without the runs of the group they are tested on")
    inside = nested_inside(runs, tell)
    current = engine_cost_file()
    eras = tuple(_fitted(era, runs, pooled, off, inside) for era in current.era)
    for era in eras:
        tell(
            f"{era.id}: {era.rows} runs, left out TPOT {era.left_out_tpot_error:.1%}, "
            f"TTFT {era.left_out_ttft_error:.1%}"
        )
    file = EngineCostFile(
        schema=1,
        fitted=date,
        routing_evenness=current.routing_evenness,
        prior=pooled.cost({"all": "all"}),
        source=current.source,
        era=eras,
    )
    tell("ranges of runs whose launch settings and engine era are unknown")
    bare = runs_of(path, recipes=False)
    unknown = left_out(bare, np.array([era.id for era in bare.eras]))
    shares = "ranges from other groups alone held {:.1%} and {:.1%}"
    known = _widths(runs, off, lambda here, column: shares.format(*inside[here, column].mean(0)))
    general = _widths(bare, unknown, None)
    return ServingCalibration(file, (*known, *general))


def _fitted(
    era: EngineEra, runs: Runs, pooled: Pooled, off: Array, inside: NDArray[np.bool_]
) -> EngineEra:
    """Return the era with fitted costs, and errors and coverage on its left-out groups.

    An era without runs gets what its engine's others say, unless its costs are fixed.
    """
    if era.fixed:
        return era
    here = np.array([one.id == era.id for one in runs.eras])
    tpot, ttft, throughput = (median_error(off[here, column]) for column in range(3))
    shares = inside[here, 0].mean(0) if here.any() else np.zeros(2)
    return msgspec.structs.replace(
        era,
        cost=pooled.cost(labels_of(era)),
        rows=int(here.sum()),
        groups=len(set(runs.groups[here])),
        architectures=tuple(sorted({str(name) for name in runs.architectures[here]})),
        left_out_tpot_error=round(tpot, 4),
        left_out_ttft_error=round(ttft, 4),
        left_out_throughput_error=round(throughput, 4),
        left_out_in80=round(float(shares[0]), 3),
        left_out_in95=round(float(shares[1]), 3),
    )


def _widths(
    runs: Runs, off: Array, held: Callable[[NDArray[np.bool_], int], str] | None
) -> tuple[Width, ...]:
    """Return half-widths by metric and kind of model: expert models err more.

    ``held`` tells how well ranges of runs with known launch settings did; None: unknown ones.
    """
    rows = []
    kinds = np.array([era.kind for era in runs.eras])
    for kind in sorted(set(kinds)):
        here = kinds == kind
        for column, metric in enumerate(METRICS):
            q80, q95 = quantiles(off[here, column])
            because = "serving runs of left-out engine eras, launch settings taken as unknown"
            if held:
                groups = "serving runs of left-out (device, model) groups"
                because = f"{groups}; {held(here, column)}"
            rows.append(
                Width(
                    metric=metric,
                    evidence="calibrated",
                    q80=round(q80, 4),
                    q95=round(q95, 4),
                    rows=int(here.sum()),
                    groups=len(set(runs.groups[here])),
                    because=because,
                    device_classes=("gpu", "npu"),
                    kinds=(str(kind),),
                    launch_known=held is not None,
                )
            )
    return tuple(rows)


def merged_widths(new: tuple[Width, ...], old: WidthFile, date: dt.date) -> WidthFile:
    """Return the width file with rows of the same metric, label and classes replaced."""

    def key(row: Width) -> tuple[str, str, tuple[str, ...], bool, tuple[str, ...]]:
        # Rows by kind of model take the place of rows for both kinds.
        return (row.metric, row.evidence, row.device_classes, row.launch_known, row.engines)

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
    widths = merged_widths(found.widths, width_file(), found.file.fitted)
    paths = (folder / "engine-costs.toml", folder / "widths.toml")
    _write(paths[0], found.file)
    _write(paths[1], widths)
    return paths


def write_widths(new: tuple[Width, ...], folder: Path, date: dt.date) -> Path:
    """Write ``widths.toml`` with some rows replaced; return its path.

    Raises
    ------
    MissingDataError
        If the TOML writer of the ``kernels`` extra isn't installed.
    """
    path = folder / "widths.toml"
    _write(path, merged_widths(new, width_file(), date))
    return path


def _write(path: Path, record: EngineCostFile | WidthFile) -> None:
    tomli_w = optional_module("tomli_w")
    plain = msgspec.to_builtins(record, builtin_types=(dt.date,))
    path.write_text(tomli_w.dumps(_without_none(plain)), encoding="utf-8")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
