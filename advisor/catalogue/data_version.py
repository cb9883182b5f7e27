"""Which data an answer stands on: a fingerprint of all fact files."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from advisor.catalogue.paths import data_dir

FOLDERS = ("hwprofiles", "hwprofiles/efficiency", "pricing", "models", "engines")


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.toml")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def data_version() -> dict[str, str]:
    """Return folder → first 12 hex digits of the SHA-256 of its fact files."""
    return {folder.replace("/", "_"): _fingerprint(data_dir(folder)) for folder in FOLDERS}
