"""Models outside the catalogue: a Hugging Face ``config.json`` or a ``.gguf`` file."""

from __future__ import annotations

from pathlib import Path

from advisor.catalogue.models import get_model
from advisor.errors import InvalidFileError
from advisor.schema.engine import WeightFormat
from advisor.schema.model import Model


def is_local(name: str) -> bool:
    """Tell whether a model name is a path: it ends in .json or .gguf, or is a folder."""
    return name.endswith((".json", ".gguf")) or (
        ("/" in name or name == ".") and Path(name).is_dir()
    )


def local_file(name: str) -> Path:
    """Return the file a path stands for: of a folder, its ``config.json``."""
    path = Path(name)
    return path / "config.json" if path.is_dir() else path


def get_any_model(name: str) -> tuple[Model, WeightFormat | None]:
    """Return a model of the catalogue or a file, and the file's own weight format.

    Raises
    ------
    UnknownNameError
        If it is neither.
    InvalidFileError
        If the file can't be read or describes no supported architecture.
    """
    if not is_local(name):
        return get_model(name), None
    path = local_file(name)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InvalidFileError(msg)
    if path.suffix == ".gguf":
        from advisor.catalogue.gguf_file import read_gguf

        return read_gguf(path)
    from advisor.catalogue.hf_config import read_hf_config

    return read_hf_config(path)
