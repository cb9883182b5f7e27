"""Where the fact files are, in a checkout and in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from advisor.errors import MissingDataError

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def data_dir(name: str) -> Path:
    """Return the folder of fact files called ``name``.

    Parameters
    ----------
    name
        ``hwprofiles``, ``hwprofiles/efficiency``, ``pricing``, ``examples`` or, of the catalogue
        package, ``models``, ``engines``, ``quality``.

    Raises
    ------
    MissingDataError
        If the installation lacks it.
    """
    for base in (_PACKAGE / "_data", _PACKAGE.parent, _PACKAGE / "catalogue"):
        if (base / name).is_dir():
            return base / name
    msg = f"the installation lacks its data folder {name!r}: reinstall the package"
    raise MissingDataError(msg)
