"""Resolving a request: names become facts, missing options become stated defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from advisor.catalogue.devices import (
    LOCAL,
    FamilyChoice,
    bandwidth_of,
    efficiency_for,
    get_device,
)
from advisor.catalogue.engine_costs import engine_cost_file, era_of_engine
from advisor.catalogue.engines import (
    default_engine,
    engine_on,
    get_engine,
    get_format,
    kv_bits,
    weight_only,
)
from advisor.catalogue.local_models import get_any_model, is_local
from advisor.catalogue.names import normalise
from advisor.catalogue.overlay import Applied
from advisor.errors import InfeasibleError, MissingDataError, UsageError
from advisor.estimator.labels import kind_of, label_of
from advisor.estimator.request import EstimateRequest
from advisor.perf.layout import Layout
from advisor.perf.memory import WeightBytes, weight_bytes
from advisor.perf.step import Chip, StepModel
from advisor.perf.work import build_work
from advisor.schema.device import Device
from advisor.schema.engine import NO_COST, Engine, EngineCost, WeightFormat
from advisor.schema.fact import Evidence, worst_evidence
from advisor.schema.model import Model, Shape
from advisor.schema.text import Text

PEAK_FIELDS = {
    "fp32": "fp32_flops_per_s",
    "bf16": "bf16_flops_per_s",
    "fp8": "fp8_flops_per_s",
    "fp4": "fp4_flops_per_s",
    "int8": "int8_ops_per_s",
}
SERVER_CLASSES = ("gpu", "npu")


@dataclass(frozen=True, eq=False)
class Setup:
    """Everything fixed before load and layout are known."""

    model: Model
    shape: Shape
    device: Device
    engine: Engine
    weights: WeightFormat
    plain: WeightFormat
    kv_format: str
    kv_bits: float
    bytes: WeightBytes
    family: FamilyChoice
    chip: Chip
    physical_bytes: float
    memory_share: float
    cost: EngineCost
    evidence: Evidence
    because: Text
    defaults: tuple[Text, ...]
    warnings: tuple[Text, ...]
    overlay: Applied | None = None

    @property
    def kind(self) -> str:
        """Kind of model: ``moe`` if any layer has experts, else ``dense``."""
        return kind_of(self.shape)


def peaks_of(device: Device, fallback_flops_per_s: float | None) -> dict[str, float]:
    """Return the dense peaks a device offers to language-model kernels.

    An int8 figure of another unit of the chip (an NPU beside the GPU) doesn't count. Where
    no 16-bit peak is published, the family's measured rate stands in.
    """
    found: dict[str, float] = {}
    for name, field in PEAK_FIELDS.items():
        fact = getattr(device.peak, field)
        if fact and not (name == "int8" and device.peak.int8_unit != "device"):
            found[name] = fact.value
    if "bf16" not in found and fallback_flops_per_s:
        found["bf16"] = fallback_flops_per_s
    return found


def lacks_bf16(device: Device, engine: Engine) -> bool:
    """Tell whether an engine can't run bf16 on a device: its matrix units know fp16 only."""
    own = device.peak.sixteen_bit
    return own is not None and "bf16" not in own.formats and not engine.converts_bf16


def choose_format(engine: Engine, model: Model, device: Device) -> tuple[WeightFormat, bool]:
    """Return the default weight format and whether it is the publisher's own.

    The publisher's own quantised format if the engine runs it and the device has its peak;
    else the first of the engine's formats whose peak the device publishes.
    """
    peaks = peaks_of(device, None)
    names = (*((model.native_format,) if model.native_format not in ("bf16", "fp16") else ()),)
    for name in names:
        own = get_format(name)
        if own.id in engine.formats and _runs(own, peaks, model):
            return own, True
        if own.id == "fp8_block" and "fp8" in engine.formats and "fp8" in peaks:
            return get_format("fp8"), False
    for name in engine.formats:
        candidate = get_format(name)
        if candidate.id == "bf16" and lacks_bf16(device, engine):
            continue
        if _runs(candidate, peaks, model):
            return candidate, False
    msg = f"{engine.name} has no weight format that {device.name} runs; name one with --precision"
    raise InfeasibleError(msg)


def _runs(weights: WeightFormat, peaks: dict[str, float], model: Model) -> bool:
    if weights.experts_only and not _has_experts(model):
        return False
    return not weights.peak_required or weights.compute in peaks


def _has_experts(model: Model) -> bool:
    return model.shape is not None and model.shape.has_experts


def _shape(model: Model) -> Shape:
    if model.shape:
        return model.shape
    if not model.open_weights:
        msg = (
            f"{model.name} is served by {model.developer} only: its size is not published, so no "
            f"device can be estimated; its API price: advisor catalogue prices {model.id}"
        )
        raise MissingDataError(msg)
    why = model.notes or "not published"
    msg = f"{model.name}: dimensions not in the catalogue ({why}); pass its config.json to --model"
    raise MissingDataError(msg)


def _engine(request: EstimateRequest, device: Device) -> Engine:
    engine = (
        default_engine(device.device_class)
        if request.engine is None
        else get_engine(request.engine)
    )
    if device.device_class not in engine.device_classes:
        msg = f"{engine.name} doesn't run on {device.name} ({device.device_class})"
        raise InfeasibleError(msg)
    return engine


def _format(
    request: EstimateRequest, engine: Engine, model: Model, device: Device
) -> tuple[WeightFormat, bool]:
    if request.precision is None:
        return choose_format(engine, model, device)
    weights = get_format(request.precision)
    if weights.id not in engine.formats:
        msg = f"{engine.name} doesn't run {weights.id}; it runs {', '.join(engine.formats)}"
        raise InfeasibleError(msg, suggestions=engine.formats)
    if weights.id == "bf16" and lacks_bf16(device, engine):
        raise _no_bf16(device, "--precision fp16")
    if weights.experts_only and not _has_experts(model):
        msg = f"{weights.id} is a format of expert weights; {model.name} is dense"
        raise InfeasibleError(msg)
    peaks = peaks_of(device, None)
    if not _runs(weights, peaks, model):
        unpacked = weight_only(weights, engine, device.architecture)
        if unpacked is not None:
            return unpacked, False
        known = [get_format(name) for name in engine.formats]
        valid = [
            f.id
            for f in known
            if _runs(f, peaks, model) or weight_only(f, engine, device.architecture)
        ]
        runs = ", ".join(valid)
        msg = f"{device.name} has no {weights.compute} units for {weights.id}; it runs {runs}"
        raise InfeasibleError(msg, limit="format", suggestions=valid)
    return weights, False


def _no_bf16(device: Device, mend: str) -> InfeasibleError:
    msg = f"{device.name} has no bf16 units; use fp16, which has the same size and speed there"
    return InfeasibleError(msg, limit="format", suggestions=[mend])


def _kv_format(asked: str | None, engine: Engine, device: Device) -> str:
    if lacks_bf16(device, engine):
        if asked == "bf16":
            raise _no_bf16(device, "--kv-precision fp16")
        if asked is None and engine.kv_format == "bf16":
            return "fp16"
    return engine.kv_format if asked is None else asked


def _precision_warning(
    model: Model, weights: WeightFormat, device: Device, engine: Engine
) -> Text | None:
    if weights.id == "fp16" and model.native_format == "bf16" and lacks_bf16(device, engine):
        return Text.of("warn_fp16_for_bf16", model=model.name, device=device.name)
    return None


def physical_bytes(device: Device) -> tuple[float, Text | None]:
    """Return the memory a device has, and a warning where it is nominal or assumed.

    Raises
    ------
    MissingDataError
        If no size is published.
    """
    memory = device.memory
    if memory.physical_bytes:
        return memory.physical_bytes.value, None
    if memory.nominal_bytes is None:
        msg = f"{device.name}: its memory size is not published; give a profile with --hw FILE.toml"
        raise MissingDataError(msg)
    nominal = memory.nominal_bytes
    if nominal.grade == "assumed":
        return nominal.value, Text.of("warn_memory_assumed", gib=nominal.value / 2**30)
    return nominal.value, Text.of("warn_memory_nominal", gib=nominal.value / 2**30)


def _share(request: EstimateRequest, engine: Engine, device: Device) -> float:
    if request.memory_share is not None:
        return request.memory_share
    fact = engine.memory.share.get(device.device_class)
    if fact is None:
        msg = f"{engine.name}: no memory rule for {device.device_class}; give --memory-share"
        raise MissingDataError(msg)
    return fact.value


def _link(device: Device) -> float | None:
    fact = device.link.bytes_per_s_per_direction or device.link.pcie_bytes_per_s_per_direction
    return fact.value if fact else None


def _cost(engine: Engine, shape: Shape) -> EngineCost:
    era = era_of_engine(engine.id, kind_of(shape))
    return era.cost if era else NO_COST


def _chip(device: Device, engine: Engine, family: FamilyChoice) -> Chip:
    constants = family.efficiency
    return Chip(
        name=device.name,
        peaks=peaks_of(device, constants.fallback_flops_per_s),
        bytes_per_s=bandwidth_of(device),
        link_bytes_per_s=_link(device),
        efficiency=constants,
        cores=device.cores.count if device.cores else 0,
        host_per_step_s=engine.host_per_step_s.value if engine.host_per_step_s else 0.0,
        routing_evenness=engine_cost_file().routing_evenness,
        tdp_w=device.power.tdp_w.value if device.power.tdp_w else None,
    )


def _peak_warning(device: Device) -> Text | None:
    if device.peak.bf16_flops_per_s:
        return None
    return Text.of("warn_stand_in_peak", device=device.name)


def _defaults(
    request: EstimateRequest,
    model: Model,
    engine: Engine,
    weights: WeightFormat,
    own: bool,
    kv_format: str,
) -> tuple[Text, ...]:
    """Return what was chosen for options left out."""
    found = []
    if request.model.upper() in model.reference_sizes:
        found.append(Text.of("default_reference", size=request.model.upper(), model=model.name))
    if request.engine is None:
        found.append(Text.of("default_engine", engine=engine.name, version=engine.version))
    if request.precision is None:
        key = "default_precision_own" if own else "default_precision"
        found.append(Text.of(key, format=weights.id))
    if request.kv_precision is None:
        found.append(Text.of("default_kv", format=kv_format))
    return tuple(found)


@lru_cache(maxsize=512)
def _resolve(
    model_name: str,
    hw: str,
    engine_name: str | None,
    precision: str | None,
    kv_precision: str | None,
    memory_share: float | None,
) -> Setup:
    request = EstimateRequest(
        model=model_name,
        hw=hw,
        engine=engine_name,
        precision=precision,
        kv_precision=kv_precision,
        memory_share=memory_share,
    )
    model, own_format = get_any_model(model_name)
    shape = _shape(model)
    device = get_device(hw)
    physical, memory_warning = physical_bytes(device)
    engine = engine_on(_engine(request, device), device.id, physical)
    if own_format is not None and precision is None:
        weights, own = own_format, True
    else:
        weights, own = _format(request, engine, model, device)
    family = efficiency_for(device, engine.id)
    evidence, because = label_of(family, weights, shape, engine, device)
    kv_format = _kv_format(kv_precision, engine, device)
    fp16_warning = _precision_warning(model, weights, device, engine)
    plain = get_format("bf16")
    chip = _chip(device, engine, family)
    for name in {weights.compute, "bf16"}:
        chip.peak(name)
    return Setup(
        model=model,
        shape=shape,
        device=device,
        engine=engine,
        weights=weights,
        plain=plain,
        kv_format=kv_format,
        kv_bits=kv_bits(kv_format),
        bytes=weight_bytes(shape, weights, plain),
        family=family,
        chip=chip,
        physical_bytes=physical,
        memory_share=_share(request, engine, device),
        cost=_cost(engine, shape),
        evidence=worst_evidence(evidence),
        because=because,
        defaults=_defaults(request, model, engine, weights, own, kv_format),
        warnings=tuple(w for w in (memory_warning, _peak_warning(device), fp16_warning) if w),
    )


def resolve(request: EstimateRequest) -> Setup:
    """Turn names into facts.

    Raises
    ------
    UnknownNameError, MissingDataError, InfeasibleError, InvalidFileError
        As the catalogue or the device demands.
    """
    # A file may change between two calls; a catalogue entry may not.
    own_device = request.hw.endswith(".toml") or normalise(request.hw) == LOCAL
    local = is_local(request.model) or own_device
    return (_resolve.__wrapped__ if local else _resolve)(
        request.model,
        request.hw,
        request.engine,
        request.precision,
        request.kv_precision,
        request.memory_share,
    )


@lru_cache(maxsize=512)
def _model_for(setup: Setup, layout: Layout) -> StepModel:
    work = build_work(setup.shape, setup.weights, setup.plain, setup.kv_bits, layout)
    return StepModel(work, setup.chip, layout.pp)


def step_model(setup: Setup, layout: Layout) -> StepModel:
    """Return the step model of a setup under a layout, built once.

    Raises
    ------
    UsageError
        If the layout needs a link between devices and none is published.
    """
    if layout.devices_per_replica > 1 and setup.chip.link_bytes_per_s is None:
        msg = f"{setup.device.name} has no published link between devices: use tp 1, pp 1, dp 1"
        raise UsageError(msg)
    return _model_for(setup, replace(layout, replicas=1))


def forget() -> None:
    """Forget resolved requests: constants have changed, as they do while they are fitted."""
    _resolve.cache_clear()
    _model_for.cache_clear()
