"""Power, energy per token and peak memory of a measured row, from its description."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.calibration.device_predict import (
    Case,
    choose_constants,
    engine_cost,
    step_model,
)
from advisor.calibration.device_rows import SHORT_CONTEXT_TOKENS
from advisor.catalogue.devices import power_for
from advisor.catalogue.engines import engine_ids, read_engine
from advisor.errors import MissingDataError
from advisor.perf.energy import power_w
from advisor.perf.memory import kv_bytes_per_sequence, weight_bytes, workspace_bytes
from advisor.perf.step import Batch
from advisor.schema.fact import Evidence, worst_evidence

GB = 1e9


@dataclass(frozen=True)
class Other:
    """A predicted figure in its row's unit, its label, and the width that applies."""

    value: float
    evidence: Evidence
    width: str


def _context(case: Case) -> float:
    prompt = case.row.input_tokens or SHORT_CONTEXT_TOKENS
    return prompt + (case.row.output_tokens or SHORT_CONTEXT_TOKENS) / 2.0


def _power(case: Case) -> tuple[float, float, Evidence]:
    """Return watts of all devices, seconds of a decode step, and the label."""
    device, choice = case.device, power_for(case.device, case.engine)
    if choice is None or device.power.tdp_w is None:
        msg = f"{case.row.id}: no power curve or TDP of {device.name}"
        raise MissingDataError(msg)
    constants = choose_constants(case)
    model = step_model(case, constants.efficiency)
    batch = case.row.batch or 1.0
    step = model.step(Batch(sequences=batch, context_tokens=_context(case)))
    cost = engine_cost(case)
    seconds = float(step.seconds) * cost.kernel_factor
    seconds += cost.per_step_s + batch * cost.per_sequence_s
    mbu = float(step.moved_bytes) / seconds / model.chip.bytes_per_s
    mfu = float(step.flops) / seconds / model.chip.peak(case.weights.compute)
    watts = float(power_w(device.power.tdp_w.value, mbu, mfu, choice.fit.curve))
    label = worst_evidence(choice.evidence, constants.evidence)
    return watts * case.row.device_count, seconds, label


def _memory(case: Case) -> float:
    """Return bytes of weights, cache and workspace on all devices together."""
    if case.engine not in engine_ids():
        msg = f"{case.row.id}: no memory rule of {case.engine}"
        raise MissingDataError(msg)
    row, rule = case.row, read_engine(case.engine).memory
    tokens = (row.input_tokens or SHORT_CONTEXT_TOKENS) + (
        row.output_tokens or SHORT_CONTEXT_TOKENS
    )
    held = weight_bytes(case.shape, case.weights, case.plain).total
    cache = kv_bytes_per_sequence(case.shape, case.kv_bits, float(tokens)) * (row.batch or 1.0)
    return held + cache + workspace_bytes(case.shape, rule, case.layout, float(tokens))


def predict_other(case: Case) -> Other:
    """Predict a row's power (W), energy per output token (J) or peak memory (GB).

    Raises
    ------
    MissingDataError
        If a fact it needs is not published.
    """
    if case.row.metric == "memory":
        return Other(_memory(case) / GB, "estimated", "memory")
    watts, seconds, label = _power(case)
    if case.row.metric == "power":
        return Other(watts, label, "power")
    return Other(watts * seconds / (case.row.batch or 1.0), label, "energy")
