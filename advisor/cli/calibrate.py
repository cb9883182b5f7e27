"""``advisor calibrate``."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Refit the efficiency constants to measurements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


_OUT = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Folder to write; default: hwprofiles/efficiency."),
]
_DATE = Annotated[
    dt.datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Date the files carry; default: today."),
]


def _target(out: Path | None, date: dt.datetime | None) -> tuple[Path, dt.date]:
    """Return the folder to write and the date the files carry."""
    from advisor.catalogue.paths import data_dir

    return out or data_dir("hwprofiles/efficiency"), date.date() if date else dt.date.today()


@app.command("kernels")
def kernels(
    tables: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of tables; default: the installed wheel's."
        ),
    ] = None,
    out: _OUT = None,
    family: Annotated[str | None, typer.Option(help="One family; default: all.")] = None,
    date: _DATE = None,
) -> None:
    """Fit GPU families to kernel microbenchmarks (needs the extra ``kernels``)."""
    from advisor.calibration.kernel_tables import KernelTables
    from advisor.calibration.write import refit

    folder, fitted = _target(out, date)
    written: list[str] = []
    try:
        for path, report in refit(KernelTables(tables), folder, fitted, family):
            written.append(path.name)
            typer.echo("\n  ".join([str(path), *report]), err=True)
    except KeyboardInterrupt:
        kept = ", ".join(written) or "none"
        typer.echo(f"stopped; finished families kept: {kept}", err=True)
        raise typer.Exit(130) from None


@app.command("serving")
def serving(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of serving runs.")],
    out: _OUT = None,
    date: _DATE = None,
) -> None:
    """Fit engine costs to serving runs, and the ranges to what left-out groups show."""
    from advisor.calibration.serving_run import calibrate_serving, write_serving

    folder, fitted = _target(out, date)
    found = calibrate_serving(file, fitted, lambda line: typer.echo(line, err=True))
    for path in write_serving(found, folder):
        typer.echo(str(path))


@app.command("devices")
def devices(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV of device benchmarks.")
    ],
    out: _OUT = None,
    only: Annotated[str | None, typer.Option(help="One class; default: all.")] = None,
    date: _DATE = None,
) -> None:
    """Fit CPUs, phones, PCs and other runtimes to published benchmarks, power curves and ranges."""
    from advisor.calibration.device_power import power_file, write_power
    from advisor.calibration.device_predict import resolve_cases
    from advisor.calibration.device_rows import read_rows
    from advisor.calibration.device_widths import device_widths
    from advisor.calibration.device_write import fit_all
    from advisor.calibration.serving_run import write_widths

    folder, fitted = _target(out, date)
    fits = fit_all(file, folder, fitted, lambda spec: only in (None, spec.id))
    for fit in fits:
        typer.echo(str(folder / f"{fit.spec.id}.toml"))
    if only is None:
        write_power(power_file(resolve_cases(read_rows(file))[0], fitted), folder / "power.toml")
        typer.echo(str(folder / "power.toml"))
        typer.echo(str(write_widths(device_widths(fits, file), folder, fitted)))


@app.command("logs")
def logs(
    folders: Annotated[
        list[Path], typer.Argument(exists=True, file_okay=False, help="Log folders of one family.")
    ],
    out: _OUT = None,
    date: _DATE = None,
) -> None:
    """Fit collectives over PCIe to real servers' logs, one of them of several devices."""
    from advisor.simulator.fit_links import fit_links, write_links

    folder, fitted = _target(out, date)
    typer.echo(str(write_links(fit_links(folders, fitted), folder)))
