"""Engines and weight formats."""

from __future__ import annotations

from functools import cache

import msgspec

from advisor.catalogue.names import find, folder_names, normalise
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.errors import MissingDataError, UnknownNameError
from advisor.schema.device import DeviceClass
from advisor.schema.engine import Engine, FormatFile, WeightFormat

_LISTING = "advisor catalogue engines"


def engine_ids() -> tuple[str, ...]:
    """Return all engine ids, sorted."""
    return tuple(sorted(path.stem for path in data_dir("engines").glob("*.toml")))


@cache
def read_engine(engine_id: str) -> Engine:
    """Read the engine with this exact id."""
    return read_record(data_dir("engines") / f"{engine_id}.toml", Engine)


def engine_names() -> frozenset[str]:
    """Return every id and alias of an engine, in the form names are compared in."""
    return frozenset(folder_names(data_dir("engines")))


def get_engine(name: str) -> Engine:
    """Return the engine an id or alias stands for; unknown names raise UnknownNameError."""
    return read_engine(find(name, folder_names(data_dir("engines")), "engine", _LISTING))


@cache
def default_engine(device_class: DeviceClass) -> Engine:
    """Return the engine a class of device is served with by default.

    Raises
    ------
    MissingDataError
        If no engine claims the class.
    """
    for engine_id in engine_ids():
        engine = read_engine(engine_id)
        if device_class in engine.default_for:
            return engine
    msg = f"no default engine for device class {device_class!r}; name one with --engine"
    raise MissingDataError(msg)


@cache
def format_file() -> FormatFile:
    """Read the weight and KV-cache formats."""
    return read_record(data_dir("engines").parent / "formats.toml", FormatFile)


@cache
def _formats() -> dict[str, WeightFormat]:
    found: dict[str, WeightFormat] = {}
    for f in format_file().format:
        for name in (f.id, *f.aliases):
            found[normalise(name)] = f
            found[normalise(name).replace("-", "_")] = f
    return found


def get_format(name: str) -> WeightFormat:
    """Return a weight format by id or alias; unknown names raise UnknownNameError."""
    known = _formats()
    key = normalise(name)
    if key not in known:
        ids = sorted(f.id for f in format_file().format)
        msg = f"no weight format {name!r}; known: {', '.join(ids)}"
        raise UnknownNameError(msg, suggestions=ids)
    return known[key]


def engine_on(engine: Engine, device_id: str, physical_bytes: float) -> Engine:
    """Return an engine with the limits it sets itself on a device."""
    limits = engine.scheduler.on(device_id, physical_bytes)
    if limits is engine.scheduler:
        return engine
    # Engines size the sampler's workspace by running as many sequences as they may.
    logits = engine.memory.logits_bytes_per_vocab_entry
    share = limits.max_sequences.value / engine.scheduler.max_sequences.value
    memory = msgspec.structs.replace(
        engine.memory,
        logits_bytes_per_vocab_entry=msgspec.structs.replace(logits, value=logits.value * share),
    )
    return msgspec.structs.replace(engine, scheduler=limits, memory=memory)


def weight_only(weights: WeightFormat, engine: Engine, architecture: str) -> WeightFormat | None:
    """Return a format as an engine runs it on chips without units for it, None if it doesn't."""
    rule = engine.weight_only
    if rule is None or weights.id not in rule.formats or architecture not in rule.architectures:
        return None
    return msgspec.structs.replace(
        weights, compute="bf16", gemm=weights.weight_only_gemm, peak_required=False
    )


def kv_bits(name: str) -> float:
    """Return the bits of one number of a KV-cache format; unknown names raise UnknownNameError."""
    known = {normalise(key): bits for key, bits in format_file().kv_bits.items()}
    key = normalise(name)
    if key not in known:
        msg = f"no KV-cache format {name!r}; known: {', '.join(sorted(known))}"
        raise UnknownNameError(msg, suggestions=sorted(known))
    return known[key]
