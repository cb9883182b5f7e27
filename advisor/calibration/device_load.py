"""Queued bursts of benchmark rows, replayed: so many requests at once, or so many clients.

Rows of ``vllm bench serve`` state how many requests were sent, at which rate, and sometimes the
largest concurrency. The engine's own limits then decide how many run; the rest wait.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache

from advisor.calibration.device_predict import (
    SERVERS,
    Case,
    choose_constants,
    engine_cost,
    step_model,
)
from advisor.catalogue.engines import engine_on, read_engine
from advisor.errors import InfeasibleError
from advisor.estimator.setup import physical_bytes
from advisor.perf.memory import MemoryPlan, plan_memory, weight_bytes
from advisor.perf.replay import ClosedLoop, Limits, ReplayResult, longer_run
from advisor.perf.step import StepModel
from advisor.perf.table import StepTable
from advisor.schema.engine import Engine

SENT = re.compile(r"(\d+) requests, rate inf(?:, max concurrency (\d+))?")
REPLAYED_WAVES = 4
MS_PER_S = 1e3
REPLAYED = ("throughput", "total", "tpot", "ttft")


def is_burst(case: Case) -> bool:
    """Tell whether a row states a burst or a closed loop that can be replayed."""
    row = case.row
    known = row.engine_family in SERVERS and row.input_tokens and row.output_tokens
    return bool(known and row.metric in REPLAYED and SENT.search(row.notes))


_FLAGS = {
    "step_tokens": re.compile(r"--max-num-batched-tokens[ =](\d+)"),
    "sequences": re.compile(r"--max-num-seqs[ =](\d+)"),
    "share": re.compile(r"--gpu-memory-utilization[ =]([\d.]+)"),
}
"""Launch settings that a row's notes quote."""


def _flag(case: Case, name: str, usual: float) -> float:
    found = _FLAGS[name].search(case.row.notes)
    return float(found.group(1)) if found else usual


def _engine(case: Case) -> Engine:
    engine = read_engine(SERVERS[case.row.engine_family])
    return engine_on(engine, case.device.id, physical_bytes(case.device)[0])


def _plan(case: Case) -> MemoryPlan:
    engine = _engine(case)
    context = float((case.row.input_tokens or 0) + (case.row.output_tokens or 0))
    plan = plan_memory(
        case.shape,
        weight_bytes(case.shape, case.weights, case.plain),
        case.kv_bits,
        case.layout,
        engine,
        physical_bytes(case.device)[0],
        _flag(case, "share", engine.memory.share["gpu"].value),
        context,
    )
    if plan.weights_bytes > plan.physical_bytes:
        msg = f"{case.row.id}: does not fit on {case.layout} of {case.device.name}"
        raise InfeasibleError(msg)
    return plan


def _room_tokens(case: Case, plan: MemoryPlan) -> float:
    """Return the tokens that fit beside the weights where the plan leaves no room.

    The run was made: its engine profiled less workspace than the rule.
    """
    if plan.fits:
        return 0.0
    share = _flag(case, "share", _engine(case).memory.share["gpu"].value)
    room = share * plan.physical_bytes - plan.weights_bytes
    context = float((case.row.input_tokens or 0) + (case.row.output_tokens or 0))
    return max(room, 0.0) * case.layout.tp / plan.kv_bytes_per_sequence * context


def _lengths(case: Case, count: int) -> list[tuple[int, int]]:
    """Draw lengths: fixed for random data, exponential round the mean for conversations."""
    prompt, answer = case.row.input_tokens or 1, case.row.output_tokens or 1
    if "sharegpt" not in case.row.notes.lower():
        return [(prompt, answer)] * count
    draw = random.Random(0)
    return [
        (1 + int(draw.expovariate(1.0 / prompt)), 1 + int(draw.expovariate(1.0 / answer)))
        for _ in range(count)
    ]


@lru_cache(maxsize=256)
def _table(model: StepModel, sequences: int, tokens: int, context: int) -> StepTable:
    return StepTable(model, sequences, tokens, context)


_MODELS: dict[tuple[object, ...], StepModel] = {}


def _model(case: Case) -> StepModel:
    if case.key not in _MODELS:
        _MODELS[case.key] = step_model(case, choose_constants(case).efficiency)
    return _MODELS[case.key]


def replay(case: Case) -> tuple[ReplayResult, int, int]:
    """Replay a row's run; return the result, the clients and the requests of the whole run."""
    found = SENT.search(case.row.notes)
    assert found is not None
    sent = int(found.group(1))
    clients = min(int(found.group(2) or sent), sent)
    engine = _engine(case)
    plan, cost = _plan(case), engine_cost(case)
    count = min(sent, max(REPLAYED_WAVES * clients, 100))
    lengths = _lengths(case, count)
    longest = max(p + a for p, a in lengths)
    usual = cost.step_tokens or engine.scheduler.max_step_tokens.value
    budget = int(_flag(case, "step_tokens", usual))
    most = int(_flag(case, "sequences", engine.scheduler.max_sequences.value))
    running = min(clients, most)
    model = _model(case)
    table = _table(model, running, budget + running, longest)
    tokens = max(plan.kv_tokens, _room_tokens(case, plan), float(longest))
    limits = Limits(budget, running, tokens, engine.scheduler.prefill_alone, 0.5)
    return ClosedLoop(table, limits, cost, lengths, clients).run(), clients, sent


def predict_burst(case: Case) -> float:
    """Predict a burst row in its unit: tokens per second, or mean milliseconds.

    Raises
    ------
    MissingDataError, InfeasibleError
        If constants or memory facts are missing, or the model doesn't fit.
    """
    result, clients, sent = replay(case)
    metric = case.row.metric
    if metric in ("ttft", "tpot"):
        whole = result.requests >= sent
        ttft, tpot = (result.ttft_s, result.tpot_s) if whole else longer_run(result, clients, sent)
        return MS_PER_S * (ttft if metric == "ttft" else tpot)
    prompts = result.requests * (case.row.input_tokens or 0)
    tokens = result.output_tokens + (prompts if metric == "total" else 0)
    return tokens / result.duration_s
