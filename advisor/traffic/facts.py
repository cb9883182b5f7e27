"""Presets, daily profiles, laws of arrivals and client mixes, found by id or alias."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

from advisor.catalogue.names import find, folder_names
from advisor.catalogue.read import read_record
from advisor.schema.fact import Record
from advisor.schema.traffic_facts import ArrivalFit, ClientMix, DiurnalProfile, Preset

_ROOM = Path(__file__).resolve().parent
R = TypeVar("R", bound=Record)


def fact_ids(kind: str) -> tuple[str, ...]:
    """Return the ids of ``presets``, ``diurnal``, ``arrivals`` or ``client_mixes``, sorted."""
    return tuple(sorted(path.stem for path in (_ROOM / kind).glob("*.toml")))


def get_preset(name: str) -> Preset:
    """Return the preset an id or alias stands for; unknown names raise UnknownNameError."""
    return _get(name, "presets", "preset", Preset)


def get_diurnal(name: str) -> DiurnalProfile:
    """Return the daily profile an id or alias stands for; else UnknownNameError."""
    return _get(name, "diurnal", "diurnal profile", DiurnalProfile)


def get_client_mix(name: str) -> ClientMix:
    """Return the client mix an id or alias stands for; else UnknownNameError."""
    return _get(name, "client_mixes", "client mix", ClientMix)


def get_arrival_fit(name: str) -> ArrivalFit:
    """Return the fitted law of arrivals of this id; else UnknownNameError."""
    return _get(name, "arrivals", "law of arrivals", ArrivalFit)


def _get(name: str, folder: str, noun: str, record: type[R]) -> R:
    ids = fact_ids(folder)
    fact_id = find(name, folder_names(_ROOM / folder), noun, ", ".join(ids))
    found = _read(_ROOM / folder / f"{fact_id}.toml", record)
    assert isinstance(found, record)
    return found


@cache
def _read(path: Path, record: type[Record]) -> Record:
    return read_record(path, record)
