"""Every sentence the package can raise, read from its source: f-strings as templates."""

from __future__ import annotations

import ast
import itertools
from functools import cache
from pathlib import Path

import advisor.errors

PACKAGE = Path(advisor.errors.__file__).resolve().parent
ERRORS = {name for name in vars(advisor.errors) if name.endswith("Error")} | {"ValueError"}
REFUSERS = {"_refuse", "_fail", "refuse"}
"""Helpers that raise with the sentence they are given."""
HIDDEN = {"cost", "perf/intervals.py", "perf/replay.py", "perf/roofline.py", "claims/result.py"}
"""Where a ValueError is a bug of ours, not of what a user gave."""


def skeletons(node: ast.expr) -> list[str]:
    """All templates an expression can give, its variables as ``{}``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
        return ["".join(parts)]
    if isinstance(node, ast.IfExp):
        return [*skeletons(node.body), *skeletons(node.orelse)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = (skeletons(node.left) or ["{}"], skeletons(node.right) or ["{}"])
        return ["".join(pair) for pair in itertools.product(*both)]
    return []


def numbered(skeleton: str) -> str:
    """Number the variables: ``{} of {}`` → ``{0} of {1}``."""
    head, *rest = skeleton.split("{}")
    return head + "".join(f"{{{i}}}{part}" for i, part in enumerate(rest))


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _of_function(function: ast.FunctionDef, names: set[str]) -> set[str]:
    set_to: dict[str, list[ast.Assign]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            set_to.setdefault(node.targets[0].id, []).append(node)
    found: set[str] = set()
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and _called(node) in names and node.args):
            continue
        given = node.args[0]
        values = [given]
        if isinstance(given, ast.Name):
            before = [a for a in set_to.get(given.id, []) if a.lineno <= node.lineno]
            values = [a.value for a in sorted(before, key=lambda a: a.lineno)[-1:]]
        found |= {numbered(s) for value in values for s in skeletons(value)}
    return found


@cache
def raised() -> dict[str, str]:
    """Template → the file that raises it."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        hidden = where in HIDDEN or where.split("/")[0] in HIDDEN
        names = (ERRORS - {"ValueError"} if hidden else ERRORS) | REFUSERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found |= dict.fromkeys(_of_function(node, names), where)
    return found


@cache
def spelled() -> set[str]:
    """Every text and template of the package, wherever it stands."""
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.expr):
                found |= {numbered(s) for s in skeletons(node)}
    return found
