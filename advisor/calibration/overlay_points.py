"""Predicting what a benchmark measured: its own protocol is replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import msgspec
import numpy as np

from advisor.calibration.bench_point import BenchPoint
from advisor.errors import AdvisorError, InfeasibleError
from advisor.estimator.placement import memory_plan
from advisor.estimator.setup import Setup, step_model
from advisor.perf.layout import Layout
from advisor.perf.load import LoadPoint, Profile, closed_loop, open_loop
from advisor.perf.replay import ClosedLoop, Limits, ReplayResult, benchmark_lengths, longer_run
from advisor.perf.step import Batch, StepModel
from advisor.perf.table import StepTable
from advisor.schema.engine import EngineCost
from advisor.schema.overlay import Metric

REPLAYED_WAVES = 4
SHORT_RUN = 100
"""Longer runs replay this many waves of prompts; further ones repeat the steady state."""
USUAL_WAVES = 10
"""Prompts a client where a file doesn't state how many were sent."""
MAX_REPLAYED_CLIENTS = 2048
Figures = dict[Metric, float]


@dataclass(frozen=True, eq=False)
class Case:
    """A measured configuration with its deployment; figures are of one attention rank."""

    point: BenchPoint
    setup: Setup
    layout: Layout
    model: StepModel
    ranks: int

    @property
    def clients(self) -> int:
        """Requests in flight on one attention rank."""
        return max(round((self.point.concurrency or 1) / self.ranks), 1)

    @property
    def measured(self) -> Figures:
        """Return what was measured, seconds and tokens per second of one rank."""
        p = self.point
        rate = p.output_tok_per_s
        found: dict[Metric, float | None] = {
            "ttft": p.ttft_s,
            "tpot": p.tpot_s,
            "throughput": rate / self.ranks if rate else None,
        }
        if p.lone:
            # Of a lone request, times of a prompt and of a step.
            found = {
                "prefill": p.isl / p.prefill_tok_per_s if p.prefill_tok_per_s else None,
                "tpot": 1.0 / p.decode_tok_per_s if p.decode_tok_per_s else None,
            }
        return {name: value for name, value in found.items() if value}

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and output tokens, whole."""
        return max(round(self.point.isl), 1), max(round(self.point.osl), 1)


def case_of(point: BenchPoint, setup: Setup, layout: Layout) -> Case:
    """Check that the deployment can run the configuration, and resolve its step model.

    Raises
    ------
    InfeasibleError
        If weights don't fit; it was measured, so model, device, format or layout is another.
    """
    plan = memory_plan(setup, layout, point.isl + point.osl)
    if plan.weights_bytes > plan.physical_bytes:
        msg = (
            f"{setup.model.name} in {setup.weights.id} doesn't fit on {layout} of "
            f"{setup.device.name}, so another format or layout was measured"
        )
        raise InfeasibleError(msg, suggestions=["--precision", "--tp"])
    model = step_model(setup, layout)
    return Case(point, setup, layout, model, layout.replicas * layout.dp)


def predict_case(case: Case, cost: EngineCost) -> Figures:
    """Predict what was measured under an engine's costs; empty where demand exceeds capacity."""
    p = case.point
    if p.lone:
        return _lone(case, cost)
    if p.rps is not None:
        return _steady(case, open_loop(case.model, _profile(case, cost), p.rps / case.ranks))
    if case.layout.pp > 1 or case.clients > MAX_REPLAYED_CLIENTS:
        clients = float(case.clients)
        return _steady(case, closed_loop(case.model, _profile(case, cost), clients))
    return _replayed(case, cost)


def _budget(case: Case, cost: EngineCost) -> int:
    return int(cost.step_tokens or case.setup.engine.scheduler.max_step_tokens.value)


def _lone(case: Case, cost: EngineCost) -> Figures:
    """Time of one prompt, or of one decode step, alone: what llama-bench measures."""
    p, model = case.point, case.model
    extra = cost.per_step_s + cost.per_sequence_s
    if p.decode_tok_per_s is not None:
        step = Batch(sequences=1.0, context_tokens=p.depth + p.osl / 2.0)
        return {"tpot": float(model.seconds(step)) * cost.kernel_factor + extra}
    chunk = min(p.isl, float(_budget(case, cost)))
    offsets = np.arange(0.0, p.isl, chunk)
    sizes = np.minimum(chunk, p.isl - offsets)
    last = (offsets + sizes >= p.isl).astype(float)
    batch = Batch(chunks=1.0, chunk_tokens=sizes, offset_tokens=p.depth + offsets, finishing=last)
    seconds = float(np.sum(model.seconds(batch)))
    return {"prefill": seconds * cost.kernel_factor + extra * len(offsets)}


def _profile(case: Case, cost: EngineCost) -> Profile:
    isl, osl = case.tokens
    scheduler = case.setup.engine.scheduler
    plan = memory_plan(case.setup, case.layout, float(isl + osl))
    return Profile(
        isl_tokens=float(isl),
        osl_tokens=float(osl),
        max_step_tokens=_budget(case, cost),
        max_sequences=max(plan.sequences // case.layout.dp, 1),
        prefill_alone=scheduler.prefill_alone,
        cost=cost,
    )


def _steady(case: Case, load: LoadPoint) -> Figures:
    if not bool(load.stable):
        return {}
    return {
        "ttft": float(load.ttft_s),
        "tpot": float(load.tpot_s),
        "throughput": float(load.requests_per_s) * case.tokens[1],
    }


_TABLES: dict[tuple[int, int, int, int], StepTable] = {}


def _ceil_power(value: float) -> int:
    return 1 << max(int(value) - 1, 1).bit_length()


def _table(case: Case, step_tokens: int, longest: int) -> StepTable:
    size, context = _ceil_power(case.clients), _ceil_power(longest)
    key = (id(case.model), size, step_tokens, context)
    if key not in _TABLES:
        _TABLES[key] = StepTable(case.model, size, step_tokens + size, context)
    return _TABLES[key]


def _sent(case: Case) -> int:
    told = case.point.requests or USUAL_WAVES * (case.point.concurrency or 1)
    return max(round(told / case.ranks), case.clients)


def _lengths(case: Case) -> tuple[tuple[int, int], ...]:
    """Return the lengths to replay: those of the file, or drawn as its tool draws them."""
    prompts = min(_sent(case), max(REPLAYED_WAVES * case.clients, SHORT_RUN))
    if case.ranks == 1 and len(case.point.lengths) >= prompts:
        return case.point.lengths[:prompts]
    share, (isl, osl) = case.point.low_share, case.tokens
    # The stated lengths are means; the longest lies above.
    longest = 2.0 / (1.0 + share)
    return benchmark_lengths(round(isl * longest), round(osl * longest), prompts, share, seed=0)


def _replayed(case: Case, cost: EngineCost) -> Figures:
    scheduler, layout = case.setup.engine.scheduler, case.layout
    lengths = _lengths(case)
    longest = max(isl + osl for isl, osl in lengths)
    budget = _budget(case, cost)
    plan = memory_plan(case.setup, layout, float(longest))
    # The run was made, so at least one request fitted.
    tokens = max(plan.kv_tokens / layout.dp, float(longest))
    sequences = int(scheduler.max_sequences.value)
    reserved = 1.0 if case.setup.engine.scheduler.reserves_output else 0.5
    limits = Limits(budget, sequences, tokens, scheduler.prefill_alone, reserved)
    run = ClosedLoop(_table(case, budget, longest), limits, cost, lengths, case.clients).run()
    sent = _sent(case)
    if run.requests < REPLAYED_WAVES * case.clients or sent <= run.requests:
        found: Figures = {"ttft": run.ttft_s, "throughput": run.output_tok_per_s}
        return {**found, "tpot": run.tpot_s} if run.tpot_s else found
    ttft, tpot = longer_run(run, case.clients, sent)
    return {"ttft": ttft, "tpot": tpot, "throughput": _longer_rate(run, case.clients, sent)}


def _longer_rate(run: ReplayResult, clients: int, sent: int) -> float:
    """Tokens per second if further waves like the last but one came before the end."""
    wave = slice(-2 * clients, -clients)
    mean = run.output_tokens / run.requests
    cycle = fmean(run.ttfts_s[wave]) + (mean - 1.0) * fmean(run.tpots_s[wave])
    extra = sent - run.requests
    return (run.output_tokens + extra * mean) / (run.duration_s + extra * cycle / clients)


def residuals(cases: Sequence[Case], cost: EngineCost) -> dict[Metric, list[float]]:
    """Return ln(measured / predicted) of every metric of every case.

    A case whose demand exceeds the predicted capacity has none.
    """
    found: dict[Metric, list[float]] = {}
    for case in cases:
        predicted = predict_case(case, cost)
        for metric, value in case.measured.items():
            if predicted.get(metric, 0.0) > 0:
                found.setdefault(metric, []).append(math.log(value / predicted[metric]))
    return found


def usable(cases: Sequence[Case], cost: EngineCost) -> tuple[list[Case], list[tuple[Case, str]]]:
    """Split cases into those that can be predicted and compared, and those with a reason not."""
    good, bad = [], []
    for case in cases:
        try:
            shared = case.measured.keys() & predict_case(case, cost).keys()
        except AdvisorError as error:
            bad.append((case, error.message))
            continue
        if shared:
            good.append(case)
        else:
            why = "no time or rate measured" if not case.measured else "more than the device can do"
            bad.append((case, why))
    return good, bad


def steady_cost(setup: Setup) -> EngineCost:
    """Return the costs a fit starts from, with what the runtime adds to a first token."""
    extra = setup.family.efficiency.first_token_s
    return msgspec.structs.replace(setup.cost, per_request_s=setup.cost.per_request_s + extra)
