"""``advisor validate``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from advisor.cli.output import Lang

PROGRESS_AFTER_S = 0.5


def _progress() -> Callable[[int, int], None]:
    start = time.monotonic()

    def tell(done: int, total: int) -> None:
        late = time.monotonic() - start > PROGRESS_AFTER_S
        if late and sys.stderr.isatty() and (done % 50 == 0 or done == total):
            typer.echo(f"\r{done}/{total}", err=True, nl=done == total)

    return tell


def validate(
    file: Annotated[Path, typer.Argument(help="CSV in the serving or the device layout.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write one line an id and metric as CSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Summary as JSON.")] = False,
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
) -> None:
    """Predict every row of a file of measurements and say how far off the predictions are.

    advisor validate runs.csv -o predicted.csv
    """
    from advisor.calibration.validate import validate_file, write_lines
    from advisor.report.validation import summary_json, summary_text

    lines = validate_file(file, _progress())
    if out is not None:
        write_lines(lines, out)
    typer.echo(summary_json(lines) if as_json else summary_text(lines, lang))
