"""Write ``docs/cli.md`` from the command itself: ``python docs/make_cli.py``."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from advisor.cli.main import app

PAGE = Path(__file__).resolve().parent / "cli.md"
SHELL_OPTIONS = {"--install-completion", "--show-completion"}
"""Typer's own, whose help depends on the shell; the head of the page names them."""

HEAD = """\
# Commands

Help texts of `advisor`, written by `docs/make_cli.py`; don't edit this page. Every command takes
`--help` (`-h`). The root command also takes `--install-completion` and `--show-completion` for the
shell in use. Exit codes: [README](../README.md#exit-codes).
"""


def commands(command: Any, path: tuple[str, ...] = ("advisor",)) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) of a command and all below it, in the order of the help."""
    yield " ".join(path), command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def own_parameters(command: Any) -> list[Any]:
    """Return a command's parameters without those that typer adds."""
    return [p for p in command.params if not SHELL_OPTIONS & set(p.opts)]


def _default(parameter: Any) -> str:
    value = parameter.default
    value = value.value if isinstance(value, Enum) else value
    if parameter.required:
        return "required"
    known = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"`{value}`" if known else ""


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len))
    text = (parameter.help or "").replace("|", "\\|")
    return f"| {names} | {_default(parameter)} | {text} |"


def _help(text: str) -> list[str]:
    """Return the paragraphs of a help text, example lines as code."""
    parts = [part.replace("\n", " ").replace("``", "`").strip() for part in text.split("\n\n")]
    return [f"    {part}" if part.startswith("advisor ") else part for part in parts]


def section(name: str, command: Any) -> str:
    """Return one command as Markdown."""
    parts = [f"## {name}", *_help(command.help or "")]
    rows = [_row(p) for p in own_parameters(command)]
    if rows:
        table = ["| option or argument | default | meaning |", "|---|---|---|", *rows]
        parts.append("\n".join(table))
    return "\n\n".join(parts)


def page() -> str:
    """Return the whole page."""
    found = [section(name, command) for name, command in commands(get_command(app))]
    return "\n\n".join([HEAD.rstrip(), *found]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
