"""Replaying a real server's log, and how far the replay is from it.

A log folder holds ``requests.jsonl`` (one request a line: ``input_toks``, ``output_toks``,
``queued_ts``, ``first_token_ts``, ``last_token_ts``) and ``meta.json`` (model, device, engine
settings). Only arrivals and lengths enter the replay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advisor.catalogue.devices import get_device
from advisor.catalogue.engines import engine_names
from advisor.catalogue.models import get_model
from advisor.catalogue.names import normalise
from advisor.errors import InvalidFileError, MissingDataError
from advisor.schema.fleet import Fleet, ReplicaTier, Route
from advisor.simulator.result import Floats, SimulationResult
from advisor.simulator.run import RunOptions, replay
from advisor.traffic.traces import read_trace

METRICS = ("ttft_s", "tpot_s", "e2e_s")
STATISTICS = ("mean", "p50", "p90", "p99")
PRECISIONS = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "auto": None,
    "float32": "fp32",
}


@dataclass(frozen=True)
class LogReport:
    """Measured and simulated statistics of one log: metric → statistic → seconds."""

    folder: str
    model: str
    device: str
    engine: str
    requests: int
    measured: dict[str, dict[str, float]]
    simulated: dict[str, dict[str, float]]
    result: SimulationResult

    def error(self, metric: str, statistic: str) -> float:
        """Relative error of the simulated figure."""
        return self.simulated[metric][statistic] / self.measured[metric][statistic] - 1.0


def statistics(values: Floats) -> dict[str, float]:
    """Return mean, p50, p90 and p99 of the finite values."""
    seen = values[np.isfinite(values)]
    found = {"mean": float(seen.mean())}
    return found | {f"p{p}": float(np.percentile(seen, p)) for p in (50, 90, 99)}


def validate_log(folder: Path, seed: int = 0) -> LogReport:
    """Replay a log folder and compare.

    Parameters
    ----------
    folder
        Holds ``requests.jsonl`` and ``meta.json``.
    seed
        Of the replay.

    Raises
    ------
    InvalidFileError
        If a file is missing or broken.
    MissingDataError
        If the settings lack the model or the device.
    AdvisorError
        If the catalogue doesn't know them.
    """
    meta = read_meta(folder)
    fleet = fleet_of(meta, folder)
    trace = read_trace(folder)
    if not np.isfinite(trace.ttft_s).any() or not np.isfinite(trace.e2e_s).any():
        msg = f"{folder}: the log holds no measured first and last token times"
        raise InvalidFileError(msg)
    result = replay(
        fleet, trace.requests, RunOptions(seed=seed, warm_up_requests=0, engine_side=True)
    )
    table = result.table
    gaps = np.maximum(trace.requests.output_tokens - 1, 1)
    several = trace.requests.output_tokens > 1
    measured_tpot = np.where(several, (trace.e2e_s - trace.ttft_s) / gaps, np.nan)
    tier = fleet.tier[0]
    return LogReport(
        folder=folder.name,
        model=tier.model,
        device=tier.hw if isinstance(tier, ReplicaTier) else "",
        engine=f"{meta.get('engine', 'vllm')} {_version(meta)}".strip(),
        requests=len(trace.requests),
        measured={
            "ttft_s": statistics(trace.ttft_s),
            "tpot_s": statistics(measured_tpot),
            "e2e_s": statistics(trace.e2e_s),
        },
        simulated={
            "ttft_s": statistics(table.ttft_s),
            "tpot_s": statistics(table.tpot_s),
            "e2e_s": statistics(table.e2e_s),
        },
        result=result,
    )


def read_meta(folder: Path) -> dict[str, Any]:
    """Read ``meta.json`` of a log folder."""
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path}: no such file; a log folder holds requests.jsonl and meta.json"
        raise InvalidFileError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{path}: {error}"
        raise InvalidFileError(msg) from error
    if not isinstance(meta, dict):
        msg = f"{path}: expected an object with model, device and engine_kwargs"
        raise InvalidFileError(msg)
    return meta


def _version(meta: dict[str, Any]) -> str:
    return str(meta.get("vllm_version") or meta.get("engine_version") or "")


def _engine(meta: dict[str, Any]) -> str:
    """Return the catalogue's engine of the log's version, the current one if it has none."""
    name = str(meta.get("engine") or "vllm")
    minor = ".".join(_version(meta).split(".")[:2])
    known = engine_names()
    dated = normalise(f"{name}-{minor}")
    return dated if dated in known else name


def _whole(settings: dict[str, Any], key: str, folder: Path, default: int | None) -> int | None:
    value = settings.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{folder / 'meta.json'}: {key} must be a whole number of 1 or more, got {value!r}"
        raise InvalidFileError(msg)
    return value


def fleet_of(meta: dict[str, Any], folder: Path) -> Fleet:
    """Turn a log's settings into a fleet of one tier.

    Raises
    ------
    MissingDataError
        If model or device are missing.
    InvalidFileError
        If a setting is out of range.
    """
    settings = meta.get("engine_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    model, device = meta.get("model") or settings.get("model"), meta.get("device")
    for name, value in (("model", model), ("device", device)):
        if not value:
            msg = f"{folder / 'meta.json'}: no {name!r}: the replay must know what ran on what"
            raise MissingDataError(msg)
    dtype = str(settings.get("quantization") or settings.get("dtype") or "auto")
    tp = _whole(settings, "tensor_parallel_size", folder, 1) or 1
    ranks = _whole(settings, "data_parallel_size", folder, 1) or 1
    shared = bool(settings.get("enable_expert_parallel"))
    limit = _whole(settings, "max_num_seqs", folder, None)
    routed = ranks > 1 and has_experts(str(model))
    share = meta.get("gpu_memory_utilization") or settings.get("gpu_memory_utilization")
    tier = ReplicaTier(
        name="server",
        model=str(model),
        hw=get_device(str(device)).id,
        engine=_engine(meta),
        precision=PRECISIONS.get(dtype, dtype),
        memory_share=float(share) if share else None,
        replicas=1 if routed else ranks,
        tp=tp,
        pp=_whole(settings, "pipeline_parallel_size", folder, 1),
        dp=ranks if routed else 1,
        ep=tp * (ranks if routed else 1) if shared else 1,
        balance="least-outstanding",
        max_sequences=limit * (ranks if routed else 1) if limit else None,
        step_tokens=_whole(settings, "max_num_batched_tokens", folder, None),
        prefix_caching=bool(settings.get("enable_prefix_caching", True)),
    )
    return Fleet(tier=(tier,), route=Route(first="server"))


def has_experts(model: str) -> bool:
    """Tell whether a model of the catalogue has expert layers."""
    shape = get_model(model).shape
    return shape is not None and shape.has_experts
