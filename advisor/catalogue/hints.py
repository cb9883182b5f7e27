"""What would have been valid at a place of a fact file, read from the record's own types."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_PART = re.compile(r"[A-Za-z_]\w*")


def keys_at(record: Any, path: str) -> tuple[str, ...]:
    """Return the keys a table may hold, in the file's own names, sorted.

    Parameters
    ----------
    record
        Record of the whole file.
    path
        Dotted path of the table, as in ``quality.floor[0]``; empty for the file itself.
    """
    for part in _PART.findall(path):
        records = _records(_kind(record, part))
        if not records:
            return ()
        record = records[0]
    return tuple(sorted(f.encode_name for f in msgspec.structs.fields(record)))


def values_at(record: Any, path: str) -> tuple[str, ...]:
    """Return the words a key may have as its value; empty where any value will do.

    >>> from advisor.schema.scenario import Scenario
    >>> values_at(Scenario, "money.currency")
    ('USD', 'CNY', 'EUR')
    """
    *tables, key = _PART.findall(path) or [""]
    for part in tables:
        records = _records(_kind(record, part))
        if not records:
            return ()
        record = records[0]
    return tuple(dict.fromkeys(str(word) for word in _words(_kind(record, key))))


def _kind(record: Any, key: str) -> Any:
    names = {f.encode_name: f.name for f in msgspec.structs.fields(record)}
    return get_type_hints(record).get(names.get(key, key))


def _records(kind: Any) -> list[type]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [r for part in get_args(kind) for r in _records(part)]


def _words(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word for part in get_args(kind) for word in _words(part)]
