"""Options that every command shares."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from advisor.errors import UsageError

PROGRESS_AFTER_S, PROGRESS_EVERY_S = 0.5, 0.2


class Lang(StrEnum):
    """Language of the text."""

    EN = "en"
    ZH = "zh"


def one_format(as_json: bool, as_csv: bool, explain: bool = False) -> None:
    """Check that at most one output form is asked for; else raise UsageError."""
    if as_json + as_csv + explain > 1:
        msg = "give one of --json, --csv and --explain"
        raise UsageError(msg)


def names(text: str, option: str) -> list[str]:
    """Split a comma-separated list of names; an empty one raises UsageError."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        msg = f"{option} needs at least one name, separated by commas"
        raise UsageError(msg)
    return list(dict.fromkeys(found))


def tell_compiling(lang: str) -> None:
    """Say on stderr that the first replay on a machine takes longer."""
    import typer

    from advisor.report.locale import say
    from advisor.simulator.jit import is_compiled

    if not is_compiled():
        typer.echo(say("simulate_compiling", lang), err=True)


def progress() -> Callable[[int, int], None]:
    """Return what tells (done, of how many) on a terminal's stderr, once a run takes long."""
    import typer

    start = shown = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        due = now - shown > PROGRESS_EVERY_S or done == total
        if sys.stderr.isatty() and now - start > PROGRESS_AFTER_S and due:
            shown = now
            typer.echo(f"\r{done:,}/{total:,}", err=True, nl=done == total)

    return tell


@contextmanager
def solver_kept_quiet() -> Iterator[None]:
    """Keep what a compiled library prints off stdout: HiGHS tells of some sub-solves unasked.

    Such a line would stand before the JSON.
    """
    if os.name != "posix":
        yield
        return
    import ctypes

    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        # The library's own buffer empties only now.
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
