"""The shape of the code: short modules, short functions, documented, finished, portable."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "advisor"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/~])/(home|root|work|tmp|Users|mnt|opt|srv|workspace)/\w")
TEXT_ENDINGS = {".py", ".toml", ".md", ".json", ".cfg", ".yml", ".yaml", ""}
SKIPPED = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
SKIPPED |= {".hypothesis", ".import_linter_cache", "dist", "build"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def project_files() -> list[Path]:
    found = []
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        if path.is_file() and path.suffix in TEXT_ENDINGS and not SKIPPED & set(inside):
            found.append(path)
    return found


def test_the_package_is_found():
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_functions_are_short(path):
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree(path))
        if isinstance(node, Function)
        and not _is_command(node)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert not long


def _is_command(node: Function) -> bool:
    """A typer command lists its options as parameters: only its body counts, below."""
    return any(isinstance(a.annotation, ast.Subscript) for a in node.args.args) and (
        len(node.args.args) > 8
    )


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")), ids=name)
def test_command_bodies_are_short(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, Function) and node.end_lineno is not None:
            assert node.end_lineno - node.body[0].lineno + 1 <= MAX_FUNCTION_LINES


def _public(body: list[ast.stmt]) -> list[Function | ast.ClassDef]:
    found: list[Function | ast.ClassDef] = []
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += _public(node.body)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_everything_public_is_documented(path):
    module = tree(path)
    assert ast.get_docstring(module), "the module has no docstring"
    assert not [n.name for n in _public(module.body) if not ast.get_docstring(n)]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_is_left_unfinished(path):
    assert not UNFINISHED.findall(path.read_text(encoding="utf-8"))


def test_no_file_names_a_path_of_some_machine():
    found = {
        f"{name(path)}:{number}": line.strip()
        for path in project_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line) and path != Path(__file__).resolve()
    }
    assert not found


@pytest.mark.parametrize("text", ["x = '/home/me/x'", "see /tmp/x", "(/root/y)"])
def test_machine_paths_are_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["https://x.org/home/me", "../shared/groundtruth", "a/tmp/b"])
def test_other_paths_are_not_machine_paths(text):
    assert not MACHINE_PATH.search(text)
