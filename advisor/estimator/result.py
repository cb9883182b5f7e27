"""The answer: numbers with ranges, labels and reasons."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.estimator.request import EstimateRequest
from advisor.perf.intervals import Estimate
from advisor.perf.layout import Layout
from advisor.schema.text import Text


@dataclass(frozen=True)
class Memory:
    """Memory of one device and what the deployment holds.

    ``kv_tokens`` and ``sequences`` count the whole deployment.
    """

    physical_bytes: Estimate
    weights_bytes: Estimate
    workspace_bytes: Estimate
    kv_bytes_per_token: Estimate
    kv_bytes_per_sequence: Estimate
    kv_tokens: Estimate
    sequences: Estimate


@dataclass(frozen=True)
class Phase:
    """One step: its time, the bound that decided, and how much of the peaks it uses."""

    time_s: Estimate
    bound: str
    mfu: float
    mbu: float
    parts_s: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """Money of one operating point under one way of paying."""

    usd_per_hour: Estimate
    usd_per_mtok_input: Estimate
    usd_per_mtok_output: Estimate


@dataclass(frozen=True)
class Point:
    """One operating point of the whole deployment.

    ``stable`` False: demand exceeds capacity; no figure is then given (None).
    """

    concurrency: float
    stable: bool
    ttft_s: Estimate | None = None
    tpot_s: Estimate | None = None
    e2e_s: Estimate | None = None
    output_tok_per_s: Estimate | None = None
    requests_per_s: Estimate | None = None
    power_w: Estimate | None = None
    joules_per_request: Estimate | None = None
    watt_hours_per_request: Estimate | None = None
    rented: Cost | None = None
    owned: Cost | None = None


@dataclass(frozen=True)
class EstimateResult:
    """All of one answer."""

    request: EstimateRequest
    model_id: str
    model_name: str
    device_id: str
    device_name: str
    engine_id: str
    engine_name: str
    engine_version: str
    precision: str
    kv_precision: str
    layout: Layout
    memory: Memory
    prefill: Phase
    decode: Phase
    asked: Point
    best: Point
    under_slo: bool
    defaults: tuple[Text, ...]
    warnings: tuple[Text, ...]
    data: dict[str, str]
