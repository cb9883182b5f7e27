"""``advisor ui``."""

from __future__ import annotations

from typing import Annotated

import typer


def ui(
    port: Annotated[
        int | None,
        typer.Option(help="Port (default: the first free one from 8501 on).", min=1, max=65535),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this reach the network.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser window.")
    ] = True,
) -> None:
    """Start the dashboard on this machine and say where it is.

    advisor ui

    advisor ui --port 8600 --no-browser
    """
    from advisor.ui.serve import serve

    def tell(address: str) -> None:
        typer.echo(f"{address}  (Ctrl+C ends it)")

    serve(port, host, browser, tell)
