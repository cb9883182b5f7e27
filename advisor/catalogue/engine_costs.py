"""What engines add to kernel times, by era and kind of model."""

from __future__ import annotations

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


def era_of_run(engine: str, kind: str, run: str) -> EngineEra | None:
    """Return the era a benchmark series was measured with, None for an unknown engine.

    A series no era names gets the engine's current era (the first listed).
    """
    eras = [era for era in engine_cost_file().era if era.engine == engine]
    same = [era for era in eras if era.kind == kind] or eras
    named = [era for era in same if run.startswith(era.runs)]
    return next(iter([*named, *same]), None)
