"""``advisor validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from advisor.cli.output import Lang, progress


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

    lines = validate_file(file, progress())
    if out is not None:
        write_lines(lines, out)
    typer.echo(summary_json(lines) if as_json else summary_text(lines, lang))
