"""Models by id, alias or size."""

from __future__ import annotations

import re
from functools import cache

from advisor.catalogue.names import find, folder_names, normalise
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.errors import UnknownNameError
from advisor.schema.model import Model

_LISTING = "advisor catalogue models"
_SIZE = re.compile(r"^\d+(\.\d+)?[bm]$")


def model_names() -> dict[str, str]:
    """Map every model id, alias and reference size (lower case) to the id."""
    return dict(folder_names(data_dir("models"), ("aliases", "reference_sizes")))


def model_ids() -> tuple[str, ...]:
    """Return all model ids, sorted."""
    return tuple(sorted(path.stem for path in data_dir("models").glob("*.toml")))


@cache
def read_model(model_id: str) -> Model:
    """Read the model with this exact id."""
    return read_record(data_dir("models") / f"{model_id}.toml", Model)


def get_model(name: str) -> Model:
    """Return the model an id, alias or size stands for.

    Raises
    ------
    UnknownNameError
        Naming the nearest models, or the declared sizes.
    """
    names = model_names()
    wanted = normalise(name)
    if wanted not in names and _SIZE.match(wanted):
        sizes = sorted((n for n in names if _SIZE.match(n)), key=_size_key)
        near = sorted(sizes, key=lambda s: abs(_size_key(s) - _size_key(wanted)))[:3]
        msg = f"no reference model of size {name!r}; nearest: {', '.join(n.upper() for n in near)}"
        raise UnknownNameError(msg, suggestions=near)
    return read_model(find(name, names, "model", _LISTING))


def _size_key(size: str) -> float:
    scale = 1e9 if size.endswith("b") else 1e6
    return float(size[:-1]) * scale
