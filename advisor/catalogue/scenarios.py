"""Reading a scenario: errors name file, line and field, and the key that was meant."""

from __future__ import annotations

import tomllib
from pathlib import Path

from advisor.catalogue.read import decode, read_text
from advisor.schema.scenario import Scenario


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
    return decode(text, Scenario, where)


def scenario_titles(folder: Path) -> dict[str, str]:
    """Map the stem of every scenario in a folder to its English title."""
    return {
        path.stem: str(tomllib.loads(read_text(path)).get("title", path.stem))
        for path in sorted(folder.glob("*.toml"))
    }
