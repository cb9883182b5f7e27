"""Predict one measured row from its description alone, with the step model.

A row becomes a sum of steps: prompt chunks, then decode steps at the mean context
``input + output/2``. Its own value is never read. Semantics of llama-bench: ``pp512`` is one
prompt of 512 tokens, ``tg128`` generates 128 tokens from an empty context.

Several devices without tensor parallelism split the layers. One sequence then visits them in
turn, so decode times add up; the micro-batches of one prompt batch follow each other through
the stages (``-ub 512`` and ``-b 2048`` of llama.cpp), so prompts overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.device_formats import formats_of
from advisor.calibration.device_rows import SHORT_CONTEXT_TOKENS, DeviceRow, Unit
from advisor.catalogue.devices import (
    FamilyChoice,
    bandwidth_of,
    efficiency_for,
    get_device,
    read_efficiency,
)
from advisor.catalogue.engine_costs import (
    engine_cost_file,
    era_names_version,
    era_of_version,
    serving_measured,
)
from advisor.catalogue.engines import engine_ids, read_engine, weight_only
from advisor.catalogue.models import get_model
from advisor.errors import AdvisorError, MissingDataError
from advisor.estimator.setup import peaks_of
from advisor.perf.layout import Layout
from advisor.perf.step import Batch, Chip, StepModel
from advisor.perf.work import Work, build_work
from advisor.schema.device import Device
from advisor.schema.efficiency import Efficiency
from advisor.schema.engine import NO_COST, EngineCost, EngineEra, WeightFormat
from advisor.schema.model import Shape
from advisor.schema.text import Text

Array = NDArray[np.float64]

ENGINES: Mapping[str, str] = {
    "ik_llama.cpp": "llama.cpp",
    "t-mac": "llama.cpp",
    "core-ai": "mlx",
    "coreai": "mlx",
}
"""Runtimes that run like another one on the same unit; others stand for themselves."""

UNIT_CONSTANTS: Mapping[tuple[str, Unit], str] = {
    ("phone", "cpu"): "phone-cpu",
    ("phone", "gpu"): "phone-gpu",
    ("phone", "npu"): "phone-npu",
    ("apple-phone", "cpu"): "phone-cpu",
    ("apple-phone", "npu"): "apple-npu",
    ("apple-gpu", "cpu"): "apple-cpu",
    ("apple-gpu", "npu"): "apple-npu",
    ("pc-igpu", "npu"): "pc-npu",
    ("pc-igpu", "cpu"): "arm-cpu-llama-cpp",
    ("rdna", "cpu"): "x86-cpu-llama-cpp",
    ("ampere", "cpu"): "arm-cpu-llama-cpp",
    ("blackwell-consumer", "cpu"): "arm-cpu-llama-cpp",
}
"""Constants of a unit other than the one a system-on-chip's architecture stands for."""

STEP_TOKENS = 8192
"""Prompt tokens of one step under engines that the catalogue doesn't have."""
BATCH_TOKENS = 2048
"""Prompt tokens whose micro-batches overlap in a layer split (llama.cpp's default ``-b``)."""


@dataclass(frozen=True)
class Case:
    """A row with its names resolved: all a prediction needs but the constants."""

    row: DeviceRow
    device: Device
    shape: Shape
    weights: WeightFormat
    plain: WeightFormat
    kv_bits: float
    layout: Layout
    engine: str
    unit: Unit
    cores: int

    @property
    def key(self) -> tuple[object, ...]:
        """What cases with one and the same step model share."""
        ids = (self.row.model, self.device.id, self.unit, self.row.engine, self.engine, self.cores)
        return (*ids, self.weights, self.plain.id, self.kv_bits, self.layout)

    @property
    def own_unit(self) -> bool:
        """Whether the unit that ran is the one the device's figures describe."""
        return self.unit in ("device", self.device.unit)


_EXPERT_PARALLEL = re.compile(r"\bEP(\d+)\b")
_STAGES = re.compile(r"-(?:pp|-pp-size|-pipeline-parallel-size)[ =](\d+)")
SERVERS = {"vllm": "vllm-0.11", "trtllm": "trtllm", "sglang": "sglang"}
"""Catalogue engine whose rules a server follows: these rows are of 2025 and before."""


def _layout(row: DeviceRow) -> Layout:
    """Several devices split tensors or experts as the row says, else the layers."""
    split = _EXPERT_PARALLEL.search(row.notes)
    experts = int(split.group(1)) if split else 1
    if experts > 1 and row.device_count % experts == 0:
        # Engines that spread experts over devices split attention over the same devices.
        return Layout(tp=row.device_count, ep=experts)
    stages = _STAGES.search(row.notes)
    if stages and row.device_count == row.tp:
        # Tables that count the devices of one stage only.
        return Layout(tp=row.tp, pp=int(stages.group(1)))
    return Layout(tp=row.tp, pp=max(row.device_count // row.tp, 1))


def _runnable(weights: WeightFormat, device: Device, family: str) -> WeightFormat:
    """Return the format as the engine runs it on the device: unpacked where units lack."""
    if not weights.peak_required or weights.compute in peaks_of(device, None):
        return weights
    engine = SERVERS.get(family)
    found = engine and weight_only(weights, read_engine(engine), device.architecture)
    return found or weights


def resolve_case(row: DeviceRow) -> Case:
    """Look up everything a row names.

    Raises
    ------
    UnknownNameError
        If the device or model isn't in the catalogue.
    MissingDataError
        If the row can't be used, or the model's dimensions aren't published.
    """
    if row.problem:
        msg = f"{row.id}: {row.problem}"
        raise MissingDataError(msg)
    device, model = get_device(row.device), get_model(row.model)
    if model.shape is None:
        msg = f"{row.id}: dimensions of {model.name} are not in the catalogue"
        raise MissingDataError(msg)
    weights, plain = formats_of(row)
    weights = _runnable(weights, device, row.engine_family)
    available = device.cores.count if device.cores else 0
    return Case(
        row=row,
        device=device,
        shape=model.shape,
        weights=weights,
        plain=plain,
        kv_bits=8.0 if "fp8 kv" in row.notes.lower() else 16.0,
        layout=_layout(row),
        engine=ENGINES.get(row.engine_family, row.engine_family),
        unit=row.unit,
        cores=min(row.threads or available, available),
    )


def resolve_cases(rows: Iterable[DeviceRow]) -> tuple[list[Case], dict[str, str]]:
    """Resolve what can be resolved; return the cases and why each other row can't."""
    cases: list[Case] = []
    refused: dict[str, str] = {}
    for row in rows:
        try:
            cases.append(resolve_case(row))
        except AdvisorError as error:
            refused[row.id] = row.problem or str(error)
    return cases, refused


def choose_constants(case: Case) -> FamilyChoice:
    """Return the constants that speak for a case's device, unit and engine.

    Raises
    ------
    MissingDataError
        If none do.
    """
    if case.own_unit:
        return _deserved(case, efficiency_for(case.device, case.engine))
    name = UNIT_CONSTANTS.get((case.device.architecture, case.unit))
    if name is None:
        msg = f"{case.row.id}: no constants for the {case.unit} of {case.device.name}"
        raise MissingDataError(msg)
    constants = read_efficiency(name)
    because = Text.of("because_class", family=constants.id)
    if constants.evidence != "calibrated":
        return FamilyChoice(constants, "estimated", because)
    known = case.device.id in constants.measured_devices
    return FamilyChoice(constants, "calibrated" if known else "extrapolated", because)


def _deserved(case: Case, choice: FamilyChoice) -> FamilyChoice:
    """Lower the label of a server whose engine version or device no serving run measured."""
    era = _era(case)
    family = case.row.engine_family
    if choice.evidence != "calibrated" or (era is None and family not in SERVERS):
        return choice
    dated = era_names_version(case.row.engine)
    if dated and era and era.rows and serving_measured(family, case.device.architecture):
        return choice
    because = Text.of("because_not_served", engine=case.row.engine)
    return FamilyChoice(choice.efficiency, "extrapolated", because)


def chip_of(case: Case, constants: Efficiency) -> Chip:
    """Return the speeds of the unit that runs a case.

    Peaks of another unit of the chip don't count. CPU peaks scale with the cores in use.
    """
    fallback = constants.fallback_flops_per_s
    peaks = peaks_of(case.device, fallback) if case.own_unit else {}
    if "bf16" not in peaks and fallback:
        peaks["bf16"] = fallback
    cpu = case.unit == "cpu" or (case.unit == "device" and case.device.unit == "cpu")
    if cpu and case.device.cores:
        share = case.cores / case.device.cores.count
        peaks = {name: peak * share for name, peak in peaks.items()}
    link = case.device.link
    lane = link.bytes_per_s_per_direction or link.pcie_bytes_per_s_per_direction
    return Chip(
        name=case.device.name,
        peaks=peaks,
        bytes_per_s=bandwidth_of(case.device),
        link_bytes_per_s=lane.value if lane else None,
        efficiency=constants,
        cores=case.cores if cpu else 0,
        routing_evenness=engine_cost_file().routing_evenness,
        tdp_w=power.value if (power := case.device.power.tdp_w) and case.own_unit else None,
    )


@cache
def _work(
    shape: Shape, weights: WeightFormat, plain: WeightFormat, kv_bits: float, layout: Layout
) -> Work:
    return build_work(shape, weights, plain, kv_bits, layout)


def step_model(case: Case, constants: Efficiency) -> StepModel:
    """Build the step model of a case under some constants; see :class:`StepModel`."""
    work = _work(case.shape, case.weights, case.plain, case.kv_bits, case.layout)
    return StepModel(work, chip_of(case, constants), case.layout.pp)


@dataclass(frozen=True)
class _Steps:
    """Steps of a row as arrays, and how often each counts."""

    sequences: Array
    context: Array
    chunks: Array
    chunk: Array
    offset: Array
    finishing: Array
    times: Array


def _columns(rows: Sequence[Sequence[float]]) -> _Steps:
    return _Steps(*np.asarray(rows, dtype=float).T)


def _decode_steps(case: Case, tokens: float) -> list[list[float]]:
    row = case.row
    prompt = SHORT_CONTEXT_TOKENS if row.input_tokens is None else row.input_tokens
    answer = SHORT_CONTEXT_TOKENS if row.output_tokens is None else row.output_tokens
    return [[row.batch or 1.0, prompt + answer / 2.0, 0.0, 0.0, 0.0, 0.0, tokens]]


@cache
def _step_tokens(engine: str) -> int:
    if engine not in engine_ids():
        return STEP_TOKENS
    return int(read_engine(engine).scheduler.max_step_tokens.value)


def _prefill_steps(case: Case) -> list[list[float]]:
    row, stages = case.row, case.layout.pp
    prompt = SHORT_CONTEXT_TOKENS if row.input_tokens is None else row.input_tokens
    prompt, batch = max(prompt, 1), row.batch or 1.0
    budget = _step_tokens(case.engine)
    together = min(max(budget // prompt, 1.0), batch)
    chunks = [min(budget, prompt - at) for at in range(0, prompt, budget)]
    overlapping = max(BATCH_TOKENS // budget, 1)
    found: list[list[float]] = []
    for i, chunk in enumerate(chunks):
        first = i - i % overlapping
        depth = min(overlapping, len(chunks) - first)
        share = (depth + stages - 1) / (depth * stages)
        last = together if i == len(chunks) - 1 else 0.0
        times = share * batch / together
        found.append([0.0, 0.0, together, chunk, i * budget, last, times])
    return found


def _steps_of(case: Case) -> tuple[_Steps, float]:
    """Return a row's steps, and what divided by (or times) their seconds is its value."""
    row = case.row
    prompt, answer = row.input_tokens or 0, row.output_tokens or 0
    batch = row.batch or 1.0
    if row.metric in ("decode", "tpot") and not row.blended:
        return _columns(_decode_steps(case, 1.0)), 1.0
    if row.metric == "prefill":
        tokens = SHORT_CONTEXT_TOKENS if row.input_tokens is None else row.input_tokens
        return _columns(_prefill_steps(case)), tokens * batch
    if row.metric == "ttft":
        return _columns(_prefill_steps(case)), 1.0
    whole = [*_prefill_steps(case), *_decode_steps(case, max(answer - 1.0, 0.0))]
    counted = answer if row.metric in ("throughput", "decode") else prompt + answer
    return _columns(whole), counted * batch


def _era(case: Case) -> EngineEra | None:
    kind = "moe" if case.shape.has_experts else "dense"
    return era_of_version(case.row.engine_family, kind, case.row.engine)


def engine_cost(case: Case) -> EngineCost:
    """Return what a server engine of the row's version adds; other runtimes: nothing."""
    era = _era(case)
    return era.cost if era else NO_COST


def _values(model: StepModel, cases: Sequence[Case]) -> list[float]:
    parts = [_steps_of(case) for case in cases]
    steps = [p[0] for p in parts]
    joined = [np.concatenate([getattr(s, name) for s in steps]) for name in _FIELDS]
    cost = engine_cost(cases[0])
    sequences = joined[0] + joined[2]
    seconds = model.seconds(Batch(*joined[:6])) * cost.kernel_factor
    seconds = (seconds + cost.per_step_s + sequences * cost.per_sequence_s) * joined[6]
    ends = np.cumsum([s.times.size for s in steps])
    sums = [float(part.sum()) for part in np.split(seconds, ends[:-1])]
    first = model.chip.efficiency.first_token_s + cost.per_request_s
    return [
        1e3 * (total + first * (case.row.metric == "ttft"))
        if case.row.metric in ("tpot", "ttft")
        else scale / total
        for case, total, (_, scale) in zip(cases, sums, parts, strict=True)
    ]


_FIELDS = ("sequences", "context", "chunks", "chunk", "offset", "finishing", "times")


class Predictor:
    """Predictions of many cases under one set of constants; step models are shared.

    Parameters
    ----------
    cases
        Resolved rows.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = list(cases)
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, case in enumerate(self.cases):
            groups.setdefault(case.key, []).append(i)
        self._groups = list(groups.values())

    def values(self, constants: Efficiency) -> Array:
        """Predict every case, in the unit of its row (tokens/s or milliseconds).

        Raises
        ------
        MissingDataError
            If a peak or link is not published and the constants have no fallback.
        """
        found = np.zeros(len(self.cases))
        for members in self._groups:
            cases = [self.cases[i] for i in members]
            found[members] = _values(step_model(cases[0], constants), cases)
        return found


def predict(case: Case) -> tuple[float, FamilyChoice]:
    """Predict one case with the constants on file; return the value and their label.

    Raises
    ------
    MissingDataError
        If no constants speak for it.
    """
    choice = choose_constants(case)
    return float(Predictor([case]).values(choice.efficiency)[0]), choice
