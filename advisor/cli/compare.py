"""``advisor compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from advisor.cli.output import Lang, names, one_format


def compare(  # noqa: PLR0913 - one parameter an option is how typer reads a command
    models: Annotated[str, typer.Option(help="Models, separated by commas.")],
    hw: Annotated[str, typer.Option(help="Devices, separated by commas.")],
    isl: Annotated[int, typer.Option(help="Prompt tokens.")] = 1000,
    osl: Annotated[int, typer.Option(help="Output tokens.")] = 300,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests in flight (default: 16 on servers, else 1).")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Weight format for all.")] = None,
    count: Annotated[int | None, typer.Option(help="Devices in all, for each cell.")] = None,
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, SI units.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, SI units.")] = False,
) -> None:
    """Compare models on devices as one table; cells that don't fit say why.

    advisor compare --models 0.5B,4B,32B --hw iphone-15-pro,xeon-8480,a100,h20
    """
    one_format(as_json, as_csv)
    from advisor.estimator.compare import compare_grid
    from advisor.estimator.request import EstimateRequest
    from advisor.report import compare as render

    rows, columns = names(models, "--models"), names(hw, "--hw")
    base = EstimateRequest(
        model=rows[0],
        hw=columns[0],
        isl_tokens=isl,
        osl_tokens=osl,
        concurrency=concurrency,
        precision=precision,
        count=count,
    )
    grid = compare_grid(rows, columns, base)
    if as_json:
        typer.echo(render.compare_json(grid, lang))
    elif as_csv:
        typer.echo(render.compare_csv(grid, lang))
    else:
        typer.echo(render.compare_text(grid, lang))
