"""Compiled functions are called from Python only where they have a way in."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "advisor"
ROOM = PACKAGE / "simulator"


def compiled(kind: str) -> set[tuple[str, str]]:
    """(module, function) of every function marked ``inner`` or ``entry``."""
    return {
        (path.stem, node.name)
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == kind for d in node.decorator_list)
    }


def imported(path: Path) -> set[tuple[str, str]]:
    return {
        (node.module.rsplit(".", 1)[1], name.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.startswith("advisor.simulator.")
        for name in node.names
    }


def test_python_calls_entries_only():
    # Calling an inner function from Python is a segmentation fault, not an exception.
    inner, modules = compiled("inner"), {module for module, _ in compiled("inner")}
    assert len(inner) > 40
    assert len(compiled("entry")) >= 4
    python = [p for p in PACKAGE.rglob("*.py") if p.parent != ROOM or p.stem not in modules]
    python += list(Path(__file__).parent.glob("*.py"))
    wrong = {f"{path.name}: {name}" for path in python for name in imported(path) & inner}
    assert not wrong
