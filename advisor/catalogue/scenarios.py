"""Reading a scenario: errors name file, line and field, and the key that was meant."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from advisor.catalogue.names import nearest
from advisor.catalogue.read import decode, read_text
from advisor.errors import InvalidFileError
from advisor.schema.scenario import Scenario

_UNKNOWN = re.compile(r": (?P<path>[\w.\[\]]*?)(?P<key>[\w-]+): Object contains unknown field")


def read_scenario(path: str | Path) -> Scenario:
    """Read and check one scenario TOML.

    Raises
    ------
    InvalidFileError
        Naming file, line and field; for an unknown key also the nearest known ones.
    """
    where = Path(path)
    return parse_scenario(read_text(where), str(where))


def parse_scenario(text: str, where: str) -> Scenario:
    """Decode the text of a scenario; see :func:`read_scenario`."""
    try:
        return decode(text, Scenario, where)
    except InvalidFileError as error:
        raise _with_hint(error) from error


def _with_hint(error: InvalidFileError) -> InvalidFileError:
    found = _UNKNOWN.search(error.message)
    if not found:
        return error
    known = _keys_at(found["path"])
    close = nearest(found["key"], known) or tuple(sorted(known))
    msg = f"{error.message}; did you mean {', '.join(close)}?"
    return InvalidFileError(msg, suggestions=close)


def _keys_at(path: str) -> list[str]:
    """Return the keys valid at a dotted path of a scenario, in the TOML's own names."""
    record: Any = Scenario
    for part in re.findall(r"[A-Za-z_]\w*", path):
        fields = {f.encode_name: f.name for f in msgspec.structs.fields(record)}
        kind = get_type_hints(record).get(fields.get(part, part))
        records = _records(kind)
        if not records:
            return []
        record = records[0]
    return [f.encode_name for f in msgspec.structs.fields(record)]


def _records(kind: Any) -> list[type]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [r for part in get_args(kind) for r in _records(part)]


def scenario_titles(folder: Path) -> dict[str, str]:
    """Map the stem of every scenario in a folder to its English title."""
    return {
        path.stem: str(tomllib.loads(read_text(path)).get("title", path.stem))
        for path in sorted(folder.glob("*.toml"))
    }
