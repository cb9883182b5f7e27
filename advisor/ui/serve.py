"""Starting the dashboard: a free port, this machine only, no telemetry."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from advisor.errors import UsageError

SCRIPT = Path(__file__).with_name("app.py")
HOST, PORT, TRIES = "127.0.0.1", 8501, 50


def is_free(host: str, port: int) -> bool:
    """Tell whether nothing listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = HOST, first: int = PORT) -> int:
    """Return the first free port from ``first`` on.

    Raises
    ------
    UsageError
        If none of the next ports is free.
    """
    for port in range(first, first + TRIES):
        if is_free(host, port):
            return port
    msg = f"ports {first} to {first + TRIES - 1} of {host} are taken; give another with --port"
    raise UsageError(msg, suggestions=["--port 9000"])


def serve(port: int | None, host: str, open_browser: bool, tell: Callable[[str], None]) -> None:
    """Run the dashboard until interrupted.

    Parameters
    ----------
    port
        Port to listen on; None: the first free one from 8501 on.
    host
        Address to listen on; loopback unless the user says otherwise.
    open_browser
        Open a browser window, where the machine has one.
    tell
        Is given the address before the server starts.

    Raises
    ------
    UsageError
        If the port asked for is taken.
    """
    if port is not None and not is_free(host, port):
        msg = f"port {port} of {host} is taken"
        raise UsageError(msg, suggestions=[f"--port {free_port(host, port + 1)}"])
    chosen = free_port(host) if port is None else port
    from streamlit.web import cli

    tell(f"http://{host}:{chosen}")
    sys.argv = [
        "streamlit",
        "run",
        str(SCRIPT),
        f"--server.address={host}",
        f"--server.port={chosen}",
        f"--server.headless={'false' if open_browser else 'true'}",
        "--browser.gatherUsageStats=false",
        # Streamlit's own greeting goes, and with it its offers to developers on the pages.
        "--logger.hideWelcomeMessage=true",
    ]
    cli.main(prog_name="streamlit")
