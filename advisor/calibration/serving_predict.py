"""Predicting a serving run from its description: the benchmark's own protocol is replayed.

All clients start together and send about ten prompts each, lengths drawn between 0.8 and 1.0
of the nominal ones: the protocol of InferenceMAX, and the one that in-house sweeps of the same
engines agree with best (the mean TTFT there is a tenth of the start-up burst's plus nine tenths
of the steady state's).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.calibration.serving_rows import ServingRow
from advisor.catalogue.devices import FamilyChoice
from advisor.catalogue.models import get_model
from advisor.catalogue.recipes import recipe_of_run
from advisor.errors import AdvisorError, InfeasibleError, MissingDataError
from advisor.estimator.placement import memory_plan
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.perf.layout import Layout
from advisor.perf.replay import ClosedLoop, Limits, benchmark_lengths, longer_run
from advisor.perf.step import Batch, StepModel
from advisor.perf.table import StepTable
from advisor.schema.engine import EngineCost
from advisor.schema.recipe import Recipe

Array = NDArray[np.float64]

PROMPTS_PER_CLIENT = 10
SHORTEST_SHARE = 0.8
EIGHT_BIT_CACHE_RUNS = ("infmax",)
REPLAYED_WAVES = 4
SHORT_RUN = 100
"""Longer runs replay this many waves of prompts; further ones repeat the steady state."""
ABSENT_SHARES = (0.0, 0.2, 0.45)
"""Shares of a client's cycle outside the engine that are replayed; between them, straight lines."""
ABSENT_ROUNDS = 12


@dataclass(frozen=True)
class Run:
    """A row resolved to facts: one attention rank's step model and limits."""

    row: ServingRow
    setup: Setup
    model: StepModel
    clients: int
    max_sequences: int
    kv_tokens: float
    recipe: Recipe | None = None

    @property
    def family(self) -> FamilyChoice:
        """Constants that speak for the device."""
        return self.setup.family


@dataclass(frozen=True)
class Predicted:
    """Predicted means of one run, seconds."""

    ttft_s: float
    tpot_s: float


@lru_cache(maxsize=4096)
def _setup(model: str, device: str, engine: str, precision: str, kv: str) -> Setup:
    request = EstimateRequest(
        model=model, hw=device, engine=engine, precision=precision, kv_precision=kv
    )
    return resolve(request)


def _known(row: ServingRow) -> str:
    """Return the row's model by its full name, or by its short one if that is unknown."""
    try:
        return get_model(row.hf_id).id
    except AdvisorError:
        return row.model


def _stored(row: ServingRow) -> str:
    """Return the format of the weights: "fp8" of a model published in blocks means those."""
    published = get_model(_known(row)).native_format
    blocks = row.weight_format == "fp8" and published == "fp8_block"
    return published if blocks else row.weight_format


def resolve_run(row: ServingRow, recipes: bool = True) -> Run:
    """Turn a row's names into facts; without ``recipes`` its series' launch settings stay unknown.

    Raises
    ------
    AdvisorError
        If a name is unknown, a fact is missing, or the layout doesn't exist: the reason a
        row is refused.
    """
    # The benchmark recipes quantise the cache beside 8- and 4-bit weights.
    eight_bit = row.engine == "trtllm" or row.run.startswith(EIGHT_BIT_CACHE_RUNS)
    kv = "fp8" if eight_bit and row.weight_format not in ("bf16", "mxfp4") else "bf16"
    setup = _setup(_known(row), row.device, row.engine, _stored(row), kv)
    replicas, rest = divmod(row.gpus, row.tp * row.dp)
    if rest:
        msg = f"{row.gpus} devices are not a multiple of tp x dp = {row.tp * row.dp}"
        raise InfeasibleError(msg)
    layout = Layout(tp=row.tp, dp=row.dp, ep=row.ep)
    plan = memory_plan(setup, layout, float(row.isl + row.osl))
    clients = max(1, round(row.concurrency / (replicas * row.dp)))
    if plan.weights_bytes > plan.physical_bytes:
        msg = f"{setup.model.name} in {row.weight_format} doesn't fit on {layout}"
        raise InfeasibleError(msg)
    # The run was made, so at least one request fitted.
    sequences = int(setup.engine.scheduler.max_sequences.value)
    tokens = max(plan.kv_tokens / row.dp, float(row.isl + row.osl))
    recipe = _recipe(row, setup) if recipes else None
    model = _with_experts(setup, layout, recipe.experts_as if recipe else None)
    return Run(row, setup, model, clients, sequences, tokens, recipe)


def _recipe(row: ServingRow, setup: Setup) -> Recipe | None:
    return recipe_of_run(
        run=row.run,
        engine=row.engine,
        model=row.model,
        architecture=setup.device.architecture,
        weight_format=row.weight_format,
        lengths=(row.isl, row.osl),
        tp=row.tp,
        clients=row.concurrency,
    )


_CHOSEN: dict[tuple[int, Layout, str], StepModel] = {}


def _with_experts(setup: Setup, layout: Layout, key: str | None) -> StepModel:
    """Return the step model, with the expert kernels of another format if a recipe chose them."""
    model = step_model(setup, layout)
    experts = model.chip.efficiency.experts
    if key is None or key not in experts:
        return model
    name = (id(model), layout, key)
    if name not in _CHOSEN:
        swapped = {**experts, setup.weights.gemm: experts[key]}
        efficiency = msgspec.structs.replace(model.chip.efficiency, experts=swapped)
        chip = replace(model.chip, efficiency=efficiency)
        _CHOSEN[name] = StepModel(model.work, chip, model.pipeline_stages)
    return _CHOSEN[name]


def ahead_s(run: Run) -> float:
    """Kernel time of the further prompts that share a prompt's step by its series' protocol."""
    further = run.recipe.prompts_ahead if run.recipe else 0
    if not further:
        return 0.0
    prompt = run.row.isl * (1.0 + SHORTEST_SHARE) / 2.0
    both = run.model.seconds(Batch(chunks=[1.0, 1.0 + further], chunk_tokens=prompt))
    return float(both[1] - both[0])


_TABLES: dict[tuple[int, int, int, int], StepTable] = {}


def _ceil_power(value: float) -> int:
    return 1 << max(int(value) - 1, 1).bit_length()


def _table(run: Run, step_tokens: int) -> StepTable:
    size = _ceil_power(run.clients)
    context = _ceil_power(run.row.isl + run.row.osl)
    key = (id(run.model), size, step_tokens, context)
    if key not in _TABLES:
        _TABLES[key] = StepTable(run.model, size, step_tokens + size, context)
    return _TABLES[key]


def delay_s(run: Run, cost: EngineCost) -> float:
    """Time of a request outside the engine: tokenising, transport, the frontend's queue."""
    return cost.per_request_s + run.clients * cost.per_client_s


def decoded_tokens(row: ServingRow) -> float:
    """Mean decode steps of a request."""
    return max(row.osl * (1.0 + SHORTEST_SHARE) / 2.0 - 1.0, 1.0)


def replay_run(run: Run, cost: EngineCost, absent_share: float) -> Predicted:
    """Replay a run whose clients are so long outside the engine, as a share of their cycle."""
    row, scheduler = run.row, run.setup.engine.scheduler
    recipe = run.recipe
    told = recipe.budget_tokens(row.isl, round(row.concurrency / row.dp)) if recipe else None
    budget = told or cost.step_tokens or int(scheduler.max_step_tokens.value)
    sent = PROMPTS_PER_CLIENT * run.clients
    prompts = min(sent, max(REPLAYED_WAVES * run.clients, SHORT_RUN))
    lengths = benchmark_lengths(row.isl, row.osl, prompts, SHORTEST_SHARE, seed=0)
    reserved = 1.0 if scheduler.reserves_output else 0.5
    limits = Limits(
        step_tokens=budget,
        sequences=run.max_sequences,
        kv_tokens=run.kv_tokens,
        prefill_alone=scheduler.prefill_alone,
        reserved_output=reserved,
        wait_steps=recipe.wait_steps if recipe else 0,
        wait_share=recipe.wait_share if recipe else 1.0,
        poll_steps=recipe.poll_steps if recipe else 0,
        absent_steps=round(absent_share / (1.0 - absent_share) * decoded_tokens(row)),
    )
    result = ClosedLoop(_table(run, budget), limits, cost, lengths, run.clients).run()
    ttft_s, tpot_s = longer_run(result, run.clients, sent)
    return Predicted(ttft_s + cost.kernel_factor * ahead_s(run), tpot_s)


def absent_share(
    delays_s: ArrayLike, ttfts_s: ArrayLike, tpots_s: ArrayLike, tokens: ArrayLike
) -> Array:
    """Return the share of their cycle that clients are outside the engine, a row a run.

    What is delayed is not in the batch: fewer sequences decode, each the faster. ``ttfts_s`` and
    ``tpots_s`` hold a column for each of :data:`ABSENT_SHARES`.
    """
    delays, ttfts, tpots = (np.asarray(v, dtype=float) for v in (delays_s, ttfts_s, tpots_s))
    share = np.zeros_like(delays)
    for _ in range(ABSENT_ROUNDS):
        cycle = at_share(ttfts, share) + np.asarray(tokens) * at_share(tpots, share)
        share = np.clip(delays / np.maximum(cycle, delays), 0.0, ABSENT_SHARES[-1])
    return share


def at_share(columns: Array, share: Array) -> Array:
    """Return the value at each row's share, straight lines between :data:`ABSENT_SHARES`."""
    knots = np.array(ABSENT_SHARES)
    below = np.clip(np.searchsorted(knots, share, side="right") - 1, 0, len(knots) - 2)
    rows = np.arange(len(share))
    part = (share - knots[below]) / (knots[below + 1] - knots[below])
    part = part.reshape(-1, *[1] * (columns.ndim - 2))
    return np.asarray(columns[rows, below] * (1.0 - part) + columns[rows, below + 1] * part)


def predict_run(run: Run, cost: EngineCost) -> Predicted:
    """Predict mean TTFT and TPOT of a run under an engine's costs."""
    delay = delay_s(run, cost)
    if not delay:
        return replay_run(run, cost, 0.0)
    found = [replay_run(run, cost, share) for share in ABSENT_SHARES]
    ttfts, tpots = np.array([[(p.ttft_s, p.tpot_s) for p in found]]).transpose(2, 0, 1)
    share = absent_share([delay], ttfts, tpots, [decoded_tokens(run.row)])
    return Predicted(float(at_share(ttfts, share)[0]), float(at_share(tpots, share)[0]))


def resolve_all(rows: list[ServingRow]) -> tuple[list[Run], dict[str, str]]:
    """Resolve every row; the rest by id with the reason it can't be predicted."""
    runs, refused = [], {}
    for row in rows:
        try:
            runs.append(resolve_run(row))
        except (AdvisorError, MissingDataError) as error:
            refused[row.id] = error.message
    return runs, refused
