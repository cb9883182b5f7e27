"""Writing an overlay as TOML.

`tomli-w` is in an extra (decision 13), and importing a benchmark is for every user; a record of
strings, numbers and dates, one table deep, needs no library, and is read back before it counts.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from advisor.catalogue.read import decode
from advisor.errors import UsageError
from advisor.schema.overlay import Overlay

HEAD = "# Written by `advisor import-bench`; import again rather than edit.\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's; DEL alone is left raw by one and forbidden by the other.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return value.isoformat() if isinstance(value, dt.date) else repr(value)


def _lines(table: dict[str, Any]) -> list[str]:
    return [f"{k} = {_scalar(v)}" for k, v in table.items() if v is not None]


def to_toml(overlay: Overlay) -> str:
    """Return an overlay as TOML text."""
    plain = msgspec.to_builtins(overlay, builtin_types=(dt.date,))
    flat = {k: v for k, v in plain.items() if not isinstance(v, dict | list | tuple)}
    parts = [HEAD + "\n".join(_lines(flat))]
    for key, value in plain.items():
        if isinstance(value, dict):
            parts.append("\n".join([f"[{key}]", *_lines(value)]))
        elif isinstance(value, list | tuple):
            parts += ["\n".join([f"[[{key}]]", *_lines(item)]) for item in value]
    return "\n\n".join(parts) + "\n"


def overlay_folder() -> Path:
    """Return the user's overlay folder: ``$XDG_DATA_HOME/advisor/overlays``."""
    base = os.environ.get("XDG_DATA_HOME")
    # The standard says that a relative path there is to be ignored.
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return home / "advisor" / "overlays"


def write_overlay(overlay: Overlay, path: Path) -> Path:
    """Write an overlay in place of an older one; what stands there is whole at any time.

    Raises
    ------
    UsageError
        If the path can't be written.
    """
    text = to_toml(overlay)
    if decode(text, Overlay, str(path)) != overlay:
        msg = f"{path}: the overlay doesn't read back as written"
        raise AssertionError(msg)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        msg = f"{path}: can't be written: {error.strerror or error}"
        raise UsageError(msg) from error
    return path
