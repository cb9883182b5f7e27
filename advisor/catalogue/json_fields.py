"""Typed access to a JSON object, with errors that name file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from advisor.catalogue.read import read_text
from advisor.errors import InvalidFileError

T = TypeVar("T")
MAX_SIZE = 1_000_000_000


class JsonFields:
    """One JSON object with typed access; every error names file, line, field and valid values."""

    def __init__(
        self, path: Path, text: str, values: Mapping[str, object], within: str = ""
    ) -> None:
        self.path, self.text, self.values, self.within = path, text, values, within

    def fail(self, name: str, what: str) -> NoReturn:
        """Raise the error of a field, with its line if the field is in the file."""
        start = max(self.text.find(f'"{self.within}"'), 0) if self.within else 0
        key = re.compile(rf'"{re.escape(name)}"\s*:').search(self.text, start)
        line = f", line {self.text.count(chr(10), 0, key.start()) + 1}" if key else ""
        dotted = f"{self.within}.{name}" if self.within else name
        msg = f"{self.path}{line}: {dotted}: {what}"
        raise InvalidFileError(msg)

    def get(self, name: str, kind: type[T], default: T) -> T:
        """Return a field of a JSON type, or the default where it is missing or null."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            known = {bool: "true or false", str: "a string", list: "a list", dict: "an object"}
            self.fail(name, f"must be {known[kind]}, got {json.dumps(value)[:40]}")
        return value

    def optional(self, *names: str, low: int = 1, high: int = MAX_SIZE) -> int | None:
        """Return the integer of the first name that is set, or None."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                shown = json.dumps(value)[:40]
                self.fail(name, f"must be an integer from {low} to {high}, got {shown}")
            return value
        return None

    def size(self, *names: str, high: int = MAX_SIZE) -> int:
        """Return the positive integer of the first name that is set; one must be."""
        value = self.optional(*names, high=high)
        if value is None:
            what = "missing; must be an integer of at least 1"
            self.fail(names[0], what + "".join(f" (or {name})" for name in names[1:]))
        return value

    def per_layer(self, name: str, layers: int) -> list[str]:
        """Return one string per layer, or nothing where the field is not set."""
        value = self.get(name, list, [])
        if value and (len(value) != layers or not all(isinstance(v, str) for v in value)):
            self.fail(name, f"must list one string per layer ({layers})")
        return value

    def inner(self, name: str) -> JsonFields:
        """Return a nested object, empty where it is not set."""
        within = f"{self.within}.{name}".strip(".")
        return JsonFields(self.path, self.text, self.get(name, dict, {}), within.rpartition(".")[2])


def load_json(path: Path) -> JsonFields:
    """Read the JSON object of a file; InvalidFileError names line and column."""
    text = read_text(path)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        raise InvalidFileError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path}: not valid JSON: {error}"
        raise InvalidFileError(msg) from error
    if not isinstance(values, dict):
        msg = f"{path}, line 1: must hold a JSON object"
        raise InvalidFileError(msg)
    return JsonFields(path, text, values)
