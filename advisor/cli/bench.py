"""``advisor bench``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

PROGRESS_AFTER_S = 0.5


class Unit(StrEnum):
    """Which part of the machine is measured."""

    CPU = "cpu"
    GPU = "gpu"


def _progress() -> Callable[[str], None]:
    start = time.monotonic()

    def tell(stage: str) -> None:
        elapsed = time.monotonic() - start
        if elapsed > PROGRESS_AFTER_S and sys.stderr.isatty():
            typer.echo(f"{elapsed:4.0f} s  {stage}", err=True)

    return tell


def bench(
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Profile to write; default: the one that --hw local reads."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer, shorter repeats.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Measure even if the machine is busy, and say so.")
    ] = False,
    unit: Annotated[
        Unit | None, typer.Option(help="Default: gpu if torch sees one, else cpu.")
    ] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Also run llama-bench on this model."),
    ] = None,
) -> None:
    """Measure this machine and write a device profile for --hw local.

    Takes less than two minutes on an idle machine and refuses on a busy one.

    advisor bench && advisor estimate --model 4B --hw local
    """
    from advisor.bench.profile import cpu_device, gpu_device, write_profile
    from advisor.bench.run import Options, measure
    from advisor.bench.table import table
    from advisor.catalogue.devices import local_profile

    options = Options(quick=quick, force=force, unit=unit.value if unit else None, gguf=gguf)
    found = measure(options, _progress())
    path = out or local_profile()
    write_profile(gpu_device(found) if found.gpu else cpu_device(found), path)
    typer.echo(table(found))
    name = "local" if out is None else path
    typer.echo(f"\n{path}\ntry: advisor estimate --model 4B --hw {name}")
