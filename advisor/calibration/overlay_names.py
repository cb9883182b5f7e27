"""Names in result files: model, device, engine and weight format as the catalogue has them."""

from __future__ import annotations

import re

from advisor.calibration.bench_point import BenchPoint
from advisor.catalogue.devices import get_device
from advisor.catalogue.engines import default_engine, get_engine, get_format
from advisor.catalogue.local_models import get_any_model
from advisor.errors import AdvisorError, UnknownNameError, UsageError
from advisor.estimator.setup import choose_format, peaks_of
from advisor.schema.device import Device

_SUFFIX = re.compile(
    r"(?i)[-_. ](?P<format>fp8|awq|gptq(?:-int[48])?|int[48]|w4a16|w8a16|w8a8|nvfp4|mxfp4|fp4|bf16"
    r"|i?q\d[\w.]*|f16|f32)(?:[-_](?:dynamic|block|marlin|gguf))*$"
)
_FORMATS = {
    "awq": "w4a16",
    "gptq": "w4a16",
    "gptq-int4": "w4a16",
    "int4": "w4a16",
    "gptq-int8": "w8a16",
    "w8a8": "int8",
    "fp4": "nvfp4",
    "f16": "fp16",
    "f32": "fp32",
}
_MAKERS = re.compile(r"(?i)\b(nvidia|amd|intel|apple|geforce|corporation|\(r\)|\(tm\))\s*")
_SAFE_LENGTH = 120


def _shown(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:_SAFE_LENGTH]


def model_name(point: BenchPoint, asked: str | None) -> str:
    """Return the model asked for, or the file's by full name, last part, or without its format.

    Raises
    ------
    UsageError
        If the file names none, or none that the catalogue knows.
    """
    if asked:
        return asked
    if not point.model:
        msg = f"the file (line {point.line}) doesn't name the model: give --model"
        raise UsageError(msg)
    last = point.model.rstrip("/").rpartition("/")[2]
    for name in (point.model, last, _SUFFIX.sub("", last)):
        if name.endswith((".json", ".gguf", ".toml")):
            continue
        try:
            return get_any_model(name)[0].id if "/" not in name else _catalogued(name)
        except UnknownNameError:
            continue
    msg = f"line {point.line}: no model {_shown(point.model)!r} in the catalogue: give --model"
    raise UsageError(msg)


def _catalogued(name: str) -> str:
    """Return the catalogue's id of a name; a folder of that name is not looked into."""
    from advisor.catalogue.models import get_model

    return get_model(name).id


def the_device(point: BenchPoint, asked: str | None) -> Device:
    """Return the device asked for, or the one the file names.

    Raises
    ------
    UsageError
        If the file names none that the catalogue knows.
    """
    if asked:
        return get_device(asked)
    names = [n.strip() for n in point.device.split(",") if n.strip()]
    if len(set(names)) == 1 and not names[0].endswith(".toml"):
        for name in (names[0], _MAKERS.sub("", names[0])):
            try:
                return get_device(name)
            except UnknownNameError:
                continue
    told = f"names {_shown(point.device)!r}" if point.device else "doesn't name the device"
    msg = f"the file (line {point.line}) {told}: give --hw"
    raise UsageError(msg)


def engine_name(point: BenchPoint, asked: str | None, device: Device) -> str:
    """Return the engine asked for, the file's, or the device's default."""
    name = asked or point.engine
    return get_engine(name).id if name else default_engine(device.device_class).id


def precision_name(
    point: BenchPoint, asked: str | None, model: str, engine: str, device: Device
) -> tuple[str, bool]:
    """Return the weight format, and whether option or file states it.

    Else the format the model is published in, which is what servers load; else estimate's
    own choice.
    """
    if asked:
        return get_format(asked).id, True
    match = _SUFFIX.search(point.model)
    named = match["format"].lower() if match else ""
    for name in (point.format, _FORMATS.get(named, named)):
        if name:
            return get_format(name).id, True
    record, own = get_any_model(model)
    if own is not None:
        return own.id, True
    runner = get_engine(engine)
    try:
        native = get_format(record.native_format)
    except AdvisorError:
        return choose_format(runner, record, device)[0].id, False
    fits = not native.peak_required or native.compute in peaks_of(device, None)
    if native.id in runner.formats and fits:
        return native.id, False
    return choose_format(runner, record, device)[0].id, False
