"""Compiling the loop once a machine, and again whenever any of its sources has changed.

numba keeps compiled code by the file a function stands in and doesn't see that a function it
calls, in another file, is a different one by now. Compiled code is therefore kept in a folder
named after the contents of all sources with compiled functions.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import njit, uint64

__all__ = ["entry", "inner", "is_compiled", "uint64"]

KEPT = 4
"""Versions of the compiled loop that are kept on the machine."""


def _digest() -> str:
    found = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_bytes()
        if b"simulator.jit" in text or path.stem == "world":
            found.update(text)
    return found.hexdigest()[:16]


def _home() -> Path:
    """Return the user's cache folder, or a temporary one where that can't be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "advisor" / "numba"
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=base):
            return base
    except OSError:
        # Whoever may write here may run code as us: the folder is the user's own.
        return Path(tempfile.mkdtemp(prefix="advisor-numba-"))


def _folder() -> Path:
    home = _home()
    folder = home / _digest()
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        versions = sorted(home.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in versions[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def is_compiled() -> bool:
    """Tell whether this version of the loop has been compiled on this machine."""
    return any(Path(_CACHE).rglob("*.nbi"))


_CACHE = os.environ.get("NUMBA_CACHE_DIR") or str(_folder())
numba.config.CACHE_DIR = _CACHE  # type: ignore[attr-defined]


Function = TypeVar("Function", bound=Callable[..., Any])


def inner(function: Function) -> Function:
    """Compile a function that only compiled code calls: without the way in from Python."""
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("Function", njit(cache=True, error_model="numpy", **options)(function))


def entry(function: Function) -> Function:
    """Compile a function that Python calls; other threads run meanwhile."""
    return cast("Function", njit(cache=True, error_model="numpy", nogil=True)(function))
