"""``advisor catalogue``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from advisor.errors import InvalidFileError

app = typer.Typer(
    help="List the facts behind the answers, each with source and date.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """Kinds of facts."""

    MODELS = "models"
    HARDWARE = "hardware"
    PRICES = "prices"
    QUALITY = "quality"
    ENGINES = "engines"
    FORMATS = "formats"


def _show(kind: Kind, name: str | None, as_json: bool) -> None:
    from advisor.report import catalogue as render

    table = render.listing(kind) if name is None else render.entry(kind, name)
    typer.echo(render.table_json(table) if as_json else render.table_text(table))


_NAME = Annotated[str | None, typer.Argument(help="One entry; without it: the list.")]
_JSON = Annotated[bool, typer.Option("--json", help="JSON.")]


@app.command("models")
def models(name: _NAME = None, as_json: _JSON = False) -> None:
    """List models, or show every fact of one."""
    _show(Kind.MODELS, name, as_json)


@app.command("hardware")
def hardware(name: _NAME = None, as_json: _JSON = False) -> None:
    """List devices, or show every fact of one."""
    _show(Kind.HARDWARE, name, as_json)


@app.command("prices")
def prices(name: _NAME = None, as_json: _JSON = False) -> None:
    """List prices, or those of one device or API model."""
    _show(Kind.PRICES, name, as_json)


@app.command("quality")
def quality(name: _NAME = None, as_json: _JSON = False) -> None:
    """List scored systems, or every published score of one."""
    _show(Kind.QUALITY, name, as_json)


@app.command("engines")
def engines(name: _NAME = None, as_json: _JSON = False) -> None:
    """List engines, or show every fact of one."""
    _show(Kind.ENGINES, name, as_json)


@app.command("formats")
def formats(name: _NAME = None, as_json: _JSON = False) -> None:
    """List weight formats, or show one."""
    _show(Kind.FORMATS, name, as_json)


@app.command("check")
def check() -> None:
    """Validate every fact file; exit code 4 if one is broken."""
    from advisor.estimator.check import check_all

    report = check_all()
    for problem in report.problems:
        typer.echo(problem, err=True)
    if report.problems:
        msg = f"{len(report.problems)} problem(s) in {report.files} fact files"
        raise InvalidFileError(msg)
    typer.echo(f"{report.files} fact files, {report.facts:,} sourced facts: all valid")
