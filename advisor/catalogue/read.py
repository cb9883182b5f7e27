"""Reading one fact file into its record, with errors that name file, line and field."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from advisor.catalogue.hints import keys_at, values_at
from advisor.catalogue.names import nearest
from advisor.errors import InvalidFileError

T = TypeVar("T")
MAX_FILE_BYTES = 4_000_000
_MSGSPEC_PATH = re.compile(r" - at `\$\.?([^`]*)`")


def read_text(path: Path, limit_bytes: int = MAX_FILE_BYTES) -> str:
    """Return the UTF-8 text of a file.

    Raises
    ------
    InvalidFileError
        If it is missing, unreadable, larger than ``limit_bytes`` or not UTF-8.
    """
    try:
        if path.stat().st_size > limit_bytes:
            msg = f"{path}: larger than {limit_bytes:,} bytes"
            raise InvalidFileError(msg)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror or error}"
        raise InvalidFileError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 at byte {error.start}"
        raise InvalidFileError(msg) from error


def line_of_field(text: str, field: str) -> int | None:
    r"""Return the 1-based line that sets the last key of a dotted field path, if found.

    >>> line_of_field("a = 1\n[memory]\nkind = 2\n", "memory.kind")
    3
    """
    parts = [part for part in re.split(r"[.\[\]]", field) if part and not part.isdigit()]
    if "..." in field:
        parts = [part for part in parts if part != "..."]
    start = 0
    for part in parts:
        found = re.compile(rf"(?m)^\s*\[?\[?[\w.\"-]*\b{re.escape(part)}\b|\b{re.escape(part)}\s*=")
        match = found.search(text, start)
        if match is None:
            break
        start = match.start()
    else:
        return text.count("\n", 0, start) + 1 + (text[start : start + 1] == "\n") if parts else None
    return None


def decode(text: str, record: type[T], where: str) -> T:
    """Decode TOML text into a frozen record.

    Parameters
    ----------
    text, record
        TOML and the record type it must hold.
    where
        File name for error messages.

    Raises
    ------
    InvalidFileError
        Naming file, line and field, and what would be valid where the record says so.
    """
    try:
        return msgspec.convert(tomllib.loads(text), type=record)
    except RecursionError as error:
        msg = f"{where}: not valid TOML: nested too deeply"
        raise InvalidFileError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{where}: not valid TOML: {error}"
        raise InvalidFileError(msg) from error
    except msgspec.ValidationError as error:
        raise _explain(str(error), text, record, where) from error


def _explain(message: str, text: str, record: type[T], where: str) -> InvalidFileError:
    match = _MSGSPEC_PATH.search(message)
    field = match.group(1) if match else ""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    hint, close = "", tuple[str, ...]()
    if unknown:
        keys = keys_at(record, field)
        close = nearest(unknown.group(1), keys) or keys
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        field = f"{field}.{unknown.group(1)}".strip(".")
    elif message.startswith("Invalid enum value"):
        close = values_at(record, field)
        hint = f"; valid: {', '.join(close)}" if close else ""
    line = line_of_field(text, field) if field else None
    place = where if line is None else f"{where}, line {line}"
    what = _MSGSPEC_PATH.sub("", message)
    msg = f"{place}: {field + ': ' if field else ''}{what}{hint}"
    return InvalidFileError(msg, suggestions=close)


def read_record(path: Path, record: type[T]) -> T:
    """Read a TOML file into a record; see :func:`decode` for the errors."""
    return decode(read_text(path), record, str(path))
