"""Constants written as TOML."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec

from advisor.calibration.kernel_tables import optional_module
from advisor.schema.efficiency import Efficiency
from advisor.schema.fact import Record

_DIGITS = 3


def to_toml(record: Record) -> str:
    """Return the record as TOML, numbers rounded to three digits.

    Raises
    ------
    MissingDataError
        If ``tomli_w`` isn't installed.
    """
    tomli_w = optional_module("tomli_w")
    plain = msgspec.to_builtins(record, builtin_types=(dt.date,))
    return str(tomli_w.dumps(_tidy(plain), multiline_strings=True))


def _tidy(value: Any) -> Any:
    """Drop what TOML can't say or defaults say already, and digits no fit supports."""
    if isinstance(value, dict):
        kept = {key: _tidy(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def write_family(efficiency: Efficiency, folder: Path) -> Path:
    """Write ``<id>.toml`` into a folder, checking that it reads back; return its path."""
    text = to_toml(efficiency)
    msgspec.toml.decode(text.encode(), type=Efficiency)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{efficiency.id}.toml"
    path.write_text(text, encoding="utf-8")
    return path
