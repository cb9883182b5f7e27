"""Devices by id or alias, and the efficiency constants that speak for them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from advisor.catalogue.names import find, folder_names, normalise
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.errors import MissingDataError
from advisor.schema.device import Device
from advisor.schema.efficiency import Efficiency, FamilyFile, PowerFile, PowerFit, ServingLinkFile
from advisor.schema.fact import Evidence
from advisor.schema.text import Text

_LISTING = "advisor catalogue hardware"
LOCAL = "local"
"""Name of the machine at hand, once ``advisor bench`` has measured it."""


def device_names() -> dict[str, str]:
    """Map every device id and alias (lower case) to the id."""
    return dict(folder_names(data_dir("hwprofiles")))


def device_ids() -> tuple[str, ...]:
    """Return all device ids, sorted."""
    return tuple(sorted(path.stem for path in data_dir("hwprofiles").glob("*.toml")))


@cache
def read_device(device_id: str) -> Device:
    """Read the device with this exact id."""
    return read_record(data_dir("hwprofiles") / f"{device_id}.toml", Device)


def local_profile() -> Path:
    """Return where ``advisor bench`` writes: ``$XDG_CONFIG_HOME/advisor/local.toml``.

    ``~/.config`` where the variable isn't set to an absolute path.
    """
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "advisor" / "local.toml"


def get_device(name: str) -> Device:
    """Return the device an id, alias or TOML path stands for.

    A name that ends in ``.toml`` is a profile of the user's own; ``local`` is the one that
    ``advisor bench`` wrote.

    Raises
    ------
    UnknownNameError
        Naming the nearest devices.
    MissingDataError
        If this machine wasn't measured yet.
    InvalidFileError
        If the user's profile can't be read.
    """
    if normalise(name) == LOCAL:
        if not local_profile().is_file():
            msg = f"this machine wasn't measured yet ({local_profile()}): run advisor bench"
            raise MissingDataError(msg, suggestions=("advisor bench",))
        return read_record(local_profile(), Device)
    if name.endswith(".toml"):
        return read_record(Path(name), Device)
    return read_device(find(name, device_names(), "hardware", _LISTING))


@dataclass(frozen=True)
class FamilyChoice:
    """Constants chosen for a device and engine, with the label they earn and why."""

    efficiency: Efficiency
    evidence: Evidence
    because: Text


@cache
def _families() -> FamilyFile:
    return read_record(data_dir("hwprofiles/efficiency") / "families.toml", FamilyFile)


@cache
def read_efficiency(family: str) -> Efficiency:
    """Read the constants with this exact id."""
    return read_record(data_dir("hwprofiles/efficiency") / f"{family}.toml", Efficiency)


def efficiency_for(device: Device, engine_id: str) -> FamilyChoice:
    """Return the efficiency constants for a device under an engine.

    Raises
    ------
    MissingDataError
        If no family speaks for the device's architecture under this engine.
    """
    for row in _families().family:
        matches = device.architecture in row.architectures and engine_id in row.engines
        matches = matches and row.memory_kind in device.memory.kind
        if matches and row.unit in (None, device.unit):
            constants = _linked(device, read_efficiency(row.constants), engine_id)
            return _choice(device, constants, row.own_family)
    engines = sorted(
        {
            e
            for row in _families().family
            if device.architecture in row.architectures
            for e in row.engines
        }
    )
    msg = f"no efficiency constants for {device.name} ({device.architecture}) under {engine_id}" + (
        f"; known engines there: {', '.join(engines)}" if engines else ""
    )
    raise MissingDataError(msg, suggestions=engines)


@cache
def _serving_links() -> ServingLinkFile:
    return read_record(data_dir("hwprofiles/efficiency") / "serving-links.toml", ServingLinkFile)


_TRIAL: list[ServingLinkFile] = []


def serving_links() -> ServingLinkFile:
    """Return the collectives that serving logs showed."""
    return _TRIAL[-1] if _TRIAL else _serving_links()


def try_links(trial: ServingLinkFile | None) -> None:
    """Answer with a trial of the collectives while they are fitted; None: with the file's."""
    _TRIAL[:] = [] if trial is None else [trial]


def _linked(device: Device, constants: Efficiency, engine_id: str) -> Efficiency:
    """Return constants with the collectives of a serving engine.

    Those that a log showed come before those that kernel tables show: they hold the waiting of
    devices for each other.
    """
    own = constants.engine_collective.get(engine_id)
    if own is not None:
        constants = msgspec.structs.replace(constants, collective=own)
    if device.link.bytes_per_s_per_direction is not None:
        return constants
    for row in serving_links().link:
        if constants.id in row.families and engine_id in row.engines:
            return msgspec.structs.replace(constants, collective=row.collective)
    return constants


def linked(constants: Efficiency, engine_id: str) -> bool:
    """Tell whether servers' logs of a family were replayed under an engine."""
    return any(
        constants.id in row.families and engine_id in row.engines for row in serving_links().link
    )


def _choice(device: Device, constants: Efficiency, own_family: bool) -> FamilyChoice:
    devices = ", ".join(constants.measured_devices)
    if not own_family:
        text = Text.of("because_stand_in", family=constants.id, architecture=device.architecture)
        return FamilyChoice(constants, "estimated", text)
    if constants.evidence != "calibrated":
        return FamilyChoice(constants, "estimated", Text.of("because_class", family=constants.id))
    if device.id in constants.measured_devices:
        return FamilyChoice(constants, "calibrated", Text.of("because_calibrated", devices=devices))
    return FamilyChoice(constants, "extrapolated", Text.of("because_extrapolated", devices=devices))


@dataclass(frozen=True)
class PowerChoice:
    """Power curve chosen for a device, with the label it earns."""

    fit: PowerFit
    evidence: Evidence


@cache
def _power_file() -> PowerFile:
    return read_record(data_dir("hwprofiles/efficiency") / "power.toml", PowerFile)


def power_fits() -> tuple[PowerFit, ...]:
    """Return every power curve with what is known of its errors."""
    return _power_file().power


def power_for(device: Device, engine_id: str) -> PowerChoice | None:
    """Return the power curve that speaks for a device under an engine, None if none does."""
    for fit in _power_file().power:
        if device.architecture in fit.architectures and (
            not fit.engines or engine_id in fit.engines
        ):
            own = device.id in fit.measured_devices
            label: Evidence = fit.evidence
            if fit.evidence == "calibrated" and not own:
                label = "extrapolated"
            return PowerChoice(fit, label)
    return None


def bandwidth_of(device: Device) -> float:
    """Return a device's memory bandwidth, bytes per second.

    Raises
    ------
    MissingDataError
        If none is published.
    """
    fact = device.memory.bytes_per_s
    if fact is None:
        msg = (
            f"{device.name}: no memory bandwidth is published, so no speed can be estimated; "
            f"give a profile of your own with --hw FILE.toml"
        )
        raise MissingDataError(msg)
    return fact.value


def efficiency_ids() -> tuple[str, ...]:
    """Return the ids of all sets of constants that a family row names, sorted."""
    return tuple(sorted({row.constants for row in _families().family}))


def check_families() -> list[str]:
    """Return what is wrong with ``families.toml``: devices named that don't exist."""
    known = set(device_ids())
    problems = []
    for name in efficiency_ids():
        for device in read_efficiency(name).measured_devices:
            if device not in known:
                problems.append(f"efficiency/{name}.toml: no hardware {device!r}")
    return problems
