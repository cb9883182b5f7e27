"""Finding a catalogue entry by id or alias: forgiving about form, never guessing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from advisor.errors import InvalidFileError, UnknownNameError

_HEAD_BYTES = 4096
FEW = 20
"""So many choices are listed in full where none is near."""
_LIST = re.compile(r'"([^"]+)"')


def normalise(name: str) -> str:
    """Return the form names are compared in: lower case, dashes for blanks and underscores.

    >>> normalise(" RTX_4090 D")
    'rtx-4090-d'
    """
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def _head_list(head: str, key: str) -> list[str]:
    match = re.search(rf"(?m)^{key}\s*=\s*\[([^\]]*)\]", head)
    return _LIST.findall(match.group(1)) if match else []


@cache
def folder_names(folder: Path, list_keys: tuple[str, ...] = ("aliases",)) -> Mapping[str, str]:
    """Map every id and alias of a folder's fact files to the id, from the file heads alone.

    Parameters
    ----------
    folder
        Folder of ``<id>.toml`` files.
    list_keys
        Top-level string lists that count as names.

    Raises
    ------
    InvalidFileError
        If two files claim one name.
    """
    names: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
        claimed = {normalise(path.stem)}
        for key in list_keys:
            claimed.update(normalise(alias) for alias in _head_list(head, key))
        for name in claimed:
            if names.setdefault(name, path.stem) != path.stem:
                msg = f"{path}: name {name!r} is already used by {names[name]}.toml"
                raise InvalidFileError(msg)
    return names


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return the known names closest to ``name``, best first."""
    import difflib

    choices = sorted(set(known))
    wanted = normalise(name)
    close = difflib.get_close_matches(wanted, choices, n=count, cutoff=0.5)
    containing = [choice for choice in choices if wanted and wanted in choice]
    return tuple(dict.fromkeys([*close, *containing]))[:count]


def find(name: str, names: Mapping[str, str], kind: str, listing: str) -> str:
    """Return the id that ``name`` stands for.

    Parameters
    ----------
    name
        What the user typed.
    names
        Accepted name → id.
    kind, listing
        Noun and command for the error message.

    Raises
    ------
    UnknownNameError
        Naming the nearest known names.
    """
    wanted = normalise(name)
    if wanted in names:
        return names[wanted]
    close = nearest(wanted, names)
    ids = sorted(set(names.values()))
    if not close and len(ids) <= FEW:
        close = tuple(ids)
    hint = f" Did you mean {', '.join(close)}?" if close else ""
    msg = f"no {kind} {name!r}.{hint} List: {listing}"
    raise UnknownNameError(msg, suggestions=close)
