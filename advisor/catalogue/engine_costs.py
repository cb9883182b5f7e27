"""What engines add to kernel times, by era and kind of model."""

from __future__ import annotations

import re
from functools import cache

from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.schema.engine import EngineCostFile, EngineEra


@cache
def engine_cost_file() -> EngineCostFile:
    """Read the fitted engine costs."""
    return read_record(data_dir("hwprofiles/efficiency") / "engine-costs.toml", EngineCostFile)


def era_of_engine(engine_id: str, kind: str) -> EngineEra | None:
    """Return the era that speaks for a catalogue engine and a kind of model, None if none does.

    An era of the other kind stands in where the engine has none of this kind.
    """
    found = [era for era in engine_cost_file().era if engine_id in era.engines]
    return next((e for e in found if e.kind == kind), found[0] if found else None)


def serving_measured(engine: str, architecture: str) -> bool:
    """Tell whether an engine was measured serving on devices of an architecture.

    ``engine`` is a family of versions, such as ``vllm``. True for engines no era speaks of: what
    is fitted to them is their own measurements.
    """
    eras = [era for era in engine_cost_file().era if era.engine == engine]
    return not eras or any(architecture in era.architectures for era in eras)


WELL_MEASURED_ROWS = 50
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


def era_names_version(name: str) -> bool:
    """Tell whether an engine's name, as benchmarks write it, says its version."""
    return _VERSION.search(name) is not None


def era_of_version(engine: str, kind: str, name: str) -> EngineEra | None:
    """Return the era of an engine name with its version, as benchmarks write it.

    A name without a version gets the oldest well-measured era: undated results are old.
    None for an engine or a version no era knows.
    """
    eras = [era for era in engine_cost_file().era if era.engine == engine]
    same = [era for era in eras if era.kind == kind] or eras
    found = _VERSION.search(name)
    if found is None:
        well = [era for era in same if era.rows >= WELL_MEASURED_ROWS] or same
        return well[-1] if well else None
    return next((era for era in same if found.group().startswith(era.versions)), None)


def era_of_run(engine: str, kind: str, run: str, version: str) -> EngineEra | None:
    """Return the era a benchmark run was measured with, None for an unknown engine.

    Among the eras of the run's series one that names the version comes first, then one that
    names none. A series no era names gets the engine's current era (the first listed).
    """
    eras = [era for era in engine_cost_file().era if era.engine == engine]
    same = [era for era in eras if era.kind == kind] or eras
    named = [era for era in same if run.startswith(era.runs)]
    exact = [era for era in named if era.only_versions and version.startswith(era.only_versions)]
    open_ = [era for era in named if not era.only_versions]
    return next(iter([*exact, *open_, *same]), None)
