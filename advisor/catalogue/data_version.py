"""Which data an answer stands on: fingerprints of the fact files it used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from advisor.catalogue.devices import LOCAL, local_profile
from advisor.catalogue.local_models import is_local, local_file
from advisor.catalogue.paths import data_dir

SHARED_FOLDERS = ("hwprofiles/efficiency", "pricing", "engines")
"""Folders whose files enter every answer together."""


def _fingerprint(paths: Iterable[Path]) -> str:
    """Return the first 12 hex digits of the SHA-256 of files and their names."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape"))
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _of_folder(folder: str) -> str:
    return _fingerprint(sorted(data_dir(folder).glob("*.toml")))


@cache
def _of_file(folder: str, name: str) -> str:
    """Return the fingerprint of one catalogue file, which is read once, like the record in it."""
    return _of_path(data_dir(folder) / f"{name}.toml")


def _of_path(path: Path) -> str:
    return _fingerprint([path] if path.is_file() else [])


def constants_version() -> str:
    """Return the fingerprint of all fitted constants."""
    return _of_folder("hwprofiles/efficiency")


def shared_version() -> dict[str, str]:
    """Return the fingerprints of the folders that enter every answer."""
    return {folder.replace("/", "_"): _of_folder(folder) for folder in SHARED_FOLDERS}


def claims_version() -> dict[str, str]:
    """Return the fingerprints of all folders that the answers to claims read."""
    catalogue = data_dir("models").parent
    return {
        **shared_version(),
        **{folder: _of_folder(folder) for folder in ("models", "hwprofiles", "quality")},
        "claims": _fingerprint(sorted(catalogue.glob("*.toml"))),
    }


def data_version(model: str, model_id: str, hw: str, device_id: str) -> dict[str, str]:
    """Return the fingerprints behind one answer.

    Parameters
    ----------
    model, hw
        Names as asked: a file of the user's own is fingerprinted itself.
    model_id, device_id
        Catalogue ids they stand for.
    """
    own_model = local_file(model) if is_local(model) else None
    own_device = Path(hw) if hw.endswith(".toml") else None
    if device_id == LOCAL:
        own_device = local_profile()
    return {
        "hwprofiles": _of_path(own_device) if own_device else _of_file("hwprofiles", device_id),
        "models": _of_path(own_model) if own_model else _of_file("models", model_id),
        **shared_version(),
    }


def shared_versions() -> dict[str, str]:
    """Return the fingerprints of the folders that enter every answer."""
    return {folder.replace("/", "_"): _of_folder(folder) for folder in SHARED_FOLDERS}
