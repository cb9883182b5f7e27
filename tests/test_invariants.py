"""Laws that hold whatever the constants: monotone times, physical bounds, conservation."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalogue.engines import get_format
from advisor.catalogue.models import get_model
from advisor.estimator.placement import memory_plan
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.perf import roofline
from advisor.perf.layout import Layout
from advisor.perf.load import Profile, closed_loop, open_loop
from advisor.perf.memory import kv_bytes_per_sequence, kv_bytes_per_token, weight_bytes
from advisor.perf.replay import ClosedLoop, Limits, benchmark_lengths
from advisor.perf.step import Batch, Chip, StepModel, attended_pairs
from advisor.perf.table import StepTable
from advisor.perf.work import build_work
from advisor.schema.efficiency import (
    Collective,
    DecodeAttention,
    Efficiency,
    Elementwise,
    Experts,
    Gemm,
    PrefillAttention,
)
from advisor.schema.engine import NO_COST, EngineCost
from advisor.schema.model import Shape

settings.register_profile(
    "laws", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("laws")

MODELS = (
    "qwen3-0.6b",
    "qwen3-4b",
    "gemma-3-27b",
    "gpt-oss-20b",
    "deepseek-v2-lite",
    "qwen3-30b-a3b",
    "qwen3-next-80b-a3b",
    "nemotron-nano-9b-v2",
)
models = st.sampled_from(MODELS)
SHARES = st.floats(0.2, 1.0)
LAUNCH_S = 3e-6
ROUNDING = 1 + 1e-9


def efficiency(share: float = 0.7, launch_s: float = LAUNCH_S) -> Efficiency:
    """Constants made up for these tests; no law may depend on fitted ones."""
    return Efficiency(
        schema=1,
        id="made-up",
        fitted=dt.date(2026, 1, 1),
        evidence="calibrated",
        because="a test",
        source=(),
        measured_devices=(),
        gemm={
            "bf16": Gemm(compute_share=share, memory_share=share, launch_s=launch_s, min_rows=16),
            "fp8": Gemm(compute_share=share, memory_share=share, launch_s=launch_s, sharpness=2),
        },
        decode_attention=DecodeAttention(
            memory_share=share, launch_s=launch_s, per_sequence_head_s=launch_s / 1e3
        ),
        prefill_attention=PrefillAttention(
            compute_share=share, launch_s=launch_s, keys_per_query=100.0
        ),
        elementwise=Elementwise(launch_s=launch_s, launches_per_layer=4, memory_share=share),
        experts={
            "bf16": Experts(
                compute_share=share, memory_share=share, launch_s=launch_s, min_rows_per_expert=8
            )
        },
        collective=Collective(
            latency_s=launch_s, latency_per_doubling_s=launch_s, bandwidth_share=share
        ),
    )


BASE_CHIP = Chip(
    name="made-up",
    peaks={"bf16": 5e14, "fp8": 1e15, "fp32": 5e13},
    bytes_per_s=3e12,
    link_bytes_per_s=4e11,
    efficiency=efficiency(),
)


def shape_of(name: str) -> Shape:
    shape = get_model(name).shape
    assert shape is not None
    return shape


def model_on(chip: Chip, name: str, tp: int = 1, precision: str = "bf16") -> StepModel:
    plain = get_format("bf16")
    work = build_work(shape_of(name), get_format(precision), plain, 16.0, Layout(tp=tp))
    return StepModel(work, chip)


def seconds(model: StepModel, batch: Batch) -> float:
    return float(model.step(batch).seconds)


def scaled(chip: Chip, peaks: float = 1.0, memory: float = 1.0, link: float = 1.0) -> Chip:
    assert chip.link_bytes_per_s is not None
    return dataclasses.replace(
        chip,
        peaks={name: value * peaks for name, value in chip.peaks.items()},
        bytes_per_s=chip.bytes_per_s * memory,
        link_bytes_per_s=chip.link_bytes_per_s * link,
    )


batches = st.builds(
    Batch,
    sequences=st.integers(0, 512).map(float),
    context_tokens=st.integers(1, 100_000).map(float),
    chunks=st.integers(0, 4).map(float),
    chunk_tokens=st.integers(1, 8192).map(float),
    offset_tokens=st.integers(0, 30_000).map(float),
)
tps = st.sampled_from([1, 2])


# --- one step ---------------------------------------------------------------------------------


@given(models, batches, tps, st.sampled_from(["peaks", "memory", "link"]), st.floats(1.0, 10.0))
def test_a_faster_device_is_never_slower(name, batch, tp, what, factor):
    slow = seconds(model_on(BASE_CHIP, name, tp), batch)
    fast = seconds(model_on(scaled(BASE_CHIP, **{what: factor}), name, tp), batch)
    assert fast <= slow * ROUNDING


@given(models, batches, tps)
def test_twice_all_rates_halves_what_the_roofs_decide(name, batch, tp):
    chip = dataclasses.replace(BASE_CHIP, efficiency=efficiency(launch_s=0.0))
    one = seconds(model_on(chip, name, tp), batch)
    two = seconds(model_on(scaled(chip, 2.0, 2.0, 2.0), name, tp), batch)
    assert two == pytest.approx(one / 2, rel=1e-9)


@given(models, batches, SHARES)
def test_no_step_beats_physics(name, batch, share):
    chip = dataclasses.replace(BASE_CHIP, efficiency=efficiency(share))
    step = model_on(chip, name).step(batch)
    assert float(step.seconds) * ROUNDING >= float(step.moved_bytes) / chip.bytes_per_s
    assert float(step.seconds) * ROUNDING >= float(step.flops) / max(chip.peaks.values())


@given(models, batches, st.integers(1, 256))
def test_a_bigger_batch_is_never_faster(name, batch, more):
    model = model_on(BASE_CHIP, name)
    bigger = dataclasses.replace(batch, sequences=batch.sequences + more)
    assert seconds(model, batch) <= seconds(model, bigger) * ROUNDING


@given(models, batches, st.sampled_from(["context_tokens", "chunk_tokens", "offset_tokens"]))
def test_longer_sequences_are_never_faster(name, batch, field):
    model = model_on(BASE_CHIP, name)
    longer = dataclasses.replace(batch, **{field: getattr(batch, field) * 1.5 + 1})
    assert seconds(model, batch) <= seconds(model, longer) * ROUNDING


@given(models, batches)
def test_parts_and_bounds_both_add_up_to_the_step(name, batch):
    step = model_on(BASE_CHIP, name, tp=2).step(batch)
    total = float(step.seconds)
    assert sum(map(float, step.parts_s.values())) == pytest.approx(total, rel=1e-9)
    assert sum(map(float, step.bounds_s.values())) == pytest.approx(total, rel=1e-9)
    assert all(float(part) >= 0 for part in step.parts_s.values())
    assert all(float(part) >= -1e-12 for part in step.bounds_s.values())


@given(models)
def test_an_empty_step_costs_nothing(name):
    assert seconds(model_on(BASE_CHIP, name), Batch()) == 0.0


@given(models, st.lists(batches, min_size=2, max_size=6))
def test_arrays_give_what_scalars_give(name, several):
    model = model_on(BASE_CHIP, name)
    fields = [f.name for f in dataclasses.fields(Batch) if f.name != "finishing"]
    together = Batch(**{f: np.array([getattr(b, f) for b in several]) for f in fields})
    each = [seconds(model, b) for b in several]
    assert model.step(together).seconds == pytest.approx(each, rel=1e-12)


@given(models, st.sampled_from(["w4a16", "fp8", "bf16"]))
def test_more_bits_are_never_smaller(name, precision):
    plain = get_format("bf16")
    thin = weight_bytes(shape_of(name), get_format(precision), plain).total
    wide = weight_bytes(shape_of(name), get_format("fp32"), plain).total
    assert thin < wide
    assert thin <= weight_bytes(shape_of(name), plain, plain).total


@given(models, st.floats(2, 32), st.floats(0, 16), st.integers(0, 100_000))
def test_a_wider_cache_is_never_smaller(name, bits, more, context):
    shape = shape_of(name)
    assert kv_bytes_per_token(shape, bits) <= kv_bytes_per_token(shape, bits + more)
    thin, wide = (kv_bytes_per_sequence(shape, b, context) for b in (bits, bits + more))
    assert thin <= wide


# --- formulas ---------------------------------------------------------------------------------


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.sampled_from([1, 2, 4]))
def test_a_rounded_corner_is_between_the_maximum_and_the_sum(a, b, sharpness):
    found = float(roofline.smooth_max(a, b, sharpness))
    assert max(a, b) <= found * ROUNDING + 1e-70
    assert found <= (a + b) * ROUNDING


@given(st.integers(1, 100_000), st.integers(1, 512), st.integers(1, 512))
def test_experts_touched_stay_between_top_k_and_all(rows, experts, top_k):
    top_k = min(top_k, experts)
    touched = float(roofline.experts_touched(rows, experts, top_k))
    assert top_k <= touched * ROUNDING
    assert touched <= min(experts, rows * top_k) * ROUNDING
    assert touched <= float(roofline.experts_touched(rows + 1, experts, top_k)) * ROUNDING


def test_experts_touched_is_the_mean_of_random_routing():
    draw = np.random.default_rng(0)
    picks = np.argsort(draw.random((4000, 12, 32)), axis=2)[:, :, :4]
    distinct = [len(set(trial.ravel())) for trial in picks]
    assert np.mean(distinct) == pytest.approx(float(roofline.experts_touched(12, 32, 4)), rel=5e-3)


@given(st.integers(1, 300), st.integers(0, 300), st.one_of(st.just(math.inf), st.integers(1, 400)))
def test_attended_pairs_are_the_counted_ones(chunk, offset, reach):
    counted = sum(min(offset + i, reach) for i in range(1, chunk + 1))
    assert float(attended_pairs(chunk, offset, float(reach))) == counted


# --- load -------------------------------------------------------------------------------------

profiles = st.builds(
    Profile,
    isl_tokens=st.integers(1, 20_000).map(float),
    osl_tokens=st.integers(1, 2000).map(float),
    max_step_tokens=st.sampled_from([512.0, 2048.0, 8192.0]),
    max_sequences=st.integers(1, 512).map(float),
    prefill_alone=st.booleans(),
    cost=st.sampled_from([NO_COST, EngineCost(per_step_s=1e-3, per_sequence_s=1e-5)]),
)
small_models = st.sampled_from(["qwen3-0.6b", "qwen3-30b-a3b"])


@given(small_models, profiles, st.integers(1, 2000))
def test_clients_wait_or_run_by_littles_law(name, profile, clients):
    load = closed_loop(model_on(BASE_CHIP, name), profile, clients)
    cycle = float(load.ttft_s) + (profile.osl_tokens - 1) * float(load.tpot_s)
    assert float(load.requests_per_s) * cycle == pytest.approx(clients, rel=1e-9)
    assert 1 <= float(load.running) <= max(min(clients, profile.max_sequences), 1)
    assert 0 <= float(load.prefill_share) <= 1


@given(small_models, profiles)
def test_those_in_flight_are_rate_times_time_when_nobody_queues(name, profile):
    load = closed_loop(model_on(BASE_CHIP, name), profile, 1)
    time = float(load.ttft_s) + (profile.osl_tokens - 1) * float(load.tpot_s)
    assert float(load.requests_per_s) * time == pytest.approx(float(load.running), rel=1e-9)


@given(small_models, profiles, st.integers(1, 256), st.floats(1.0, 3.0))
def test_a_longer_prompt_never_answers_sooner(name, profile, clients, factor):
    model = model_on(BASE_CHIP, name)
    longer = dataclasses.replace(profile, isl_tokens=math.ceil(profile.isl_tokens * factor))
    one = (
        dataclasses.replace(profile, max_sequences=1.0),
        dataclasses.replace(longer, max_sequences=1.0),
    )
    short, long = (float(closed_loop(model, p, 1).ttft_s) for p in one)
    assert short <= long * ROUNDING
    # Under load the scheduler may admit fewer, so whole-answer time is what can't fall.
    times = [closed_loop(model, p, clients) for p in (profile, longer)]
    cycle = [float(t.ttft_s) + (profile.osl_tokens - 1) * float(t.tpot_s) for t in times]
    assert cycle[0] <= cycle[1] * ROUNDING


@pytest.mark.parametrize("lengths", [(1000, 2000), (8191, 8300), (18_422, 20_016)])
@pytest.mark.parametrize("clients", [1, 16, 180])
def test_a_longer_prompt_never_answers_sooner_under_load(lengths, clients):
    model = model_on(BASE_CHIP, "qwen3-0.6b")
    base = Profile(isl_tokens=1.0, osl_tokens=39.0, max_step_tokens=512.0, max_sequences=344.0)
    points = [dataclasses.replace(base, isl_tokens=float(isl)) for isl in lengths]
    short, long = (float(closed_loop(model, p, clients).ttft_s) for p in points)
    assert short <= long * ROUNDING


def alone_s(model: StepModel, profile: Profile) -> tuple[float, float, int]:
    """Seconds of a prompt that has the device to itself, of a decode step, and its chunks."""
    cost = profile.cost
    host = cost.per_step_s + cost.per_sequence_s
    offsets = np.arange(0.0, profile.isl_tokens, profile.max_step_tokens)
    sizes = np.minimum(profile.isl_tokens - offsets, profile.max_step_tokens)
    prompt = model.step(Batch(chunks=1.0, chunk_tokens=sizes, offset_tokens=offsets)).seconds
    context = profile.isl_tokens + profile.osl_tokens / 2
    step = seconds(model, Batch(sequences=1.0, context_tokens=context)) + host
    return float(np.sum(prompt)) + len(offsets) * host, step, len(offsets)


@given(small_models, profiles)
def test_a_lone_client_waits_for_its_prompt_only(name, profile):
    """No more than the prompt's own steps, each at most carrying one decode besides."""
    model = model_on(BASE_CHIP, name)
    prompt, step, chunks = alone_s(model, profile)
    ttft = float(closed_loop(model, profile, 1).ttft_s)
    assert 0.95 * prompt <= ttft <= 1.05 * (prompt + (chunks + 1) * step)


@given(small_models, profiles)
def test_almost_no_arrivals_find_an_idle_device(name, profile):
    """TTFT tends to the prompt's own steps and waiting for a step to end, TPOT to a step."""
    model = model_on(BASE_CHIP, name)
    load, rarer = open_loop(model, profile, 1e-9), open_loop(model, profile, 1e-12)
    assert bool(load.stable)
    assert float(load.ttft_s) == pytest.approx(float(rarer.ttft_s), rel=1e-6)
    prompt, step, chunks = alone_s(model, profile)
    assert 0.95 * prompt <= float(load.ttft_s) <= 1.05 * (prompt + (chunks + 2) * step)
    assert 0 < float(load.tpot_s) <= step * ROUNDING


@given(small_models, profiles)
def test_arrivals_beyond_capacity_are_unstable(name, profile):
    model = model_on(BASE_CHIP, name)
    capacity = profile.max_sequences / seconds(model, Batch(sequences=1.0, context_tokens=1.0))
    load = open_loop(model, profile, 10 * capacity)
    assert not bool(load.stable)
    assert math.isinf(float(load.ttft_s))


@given(small_models, profiles, st.floats(0.05, 0.9))
def test_more_arrivals_never_answer_sooner(name, profile, share):
    model = model_on(BASE_CHIP, name)
    top = float(closed_loop(model, profile, profile.max_sequences).requests_per_s)
    few, many = open_loop(model, profile, share * top / 2), open_loop(model, profile, share * top)
    assert float(few.ttft_s) <= float(many.ttft_s) * (1 + 1e-6)
    assert float(few.tpot_s) <= float(many.tpot_s) * (1 + 1e-6)


# --- whole answers ----------------------------------------------------------------------------

PLACES = [
    ("qwen3-4b", "h20", 1),
    ("llama-3.1-8b", "a100", 1),
    ("qwen3-32b", "h100", 2),
    ("deepseek-v3", "h200", 8),
    ("gpt-oss-120b", "h100", 1),
    ("qwen3.5-27b", "h20", 1),
    ("gemma-3-27b", "l40s", 2),
]


def _setup(model: str, hw: str) -> Setup:
    return resolve(EstimateRequest(model=model, hw=hw))


@pytest.mark.parametrize(("model", "hw", "tp"), PLACES)
def test_catalogue_constants_never_beat_the_datasheet(model, hw, tp):
    setup = _setup(model, hw)
    steps = step_model(setup, Layout(tp=tp))
    grid = Batch(
        sequences=np.array([0.0, 1.0, 8.0, 64.0, 512.0])[:, None, None],
        context_tokens=np.array([1.0, 1000.0, 30_000.0])[None, :, None],
        chunks=1.0,
        chunk_tokens=np.array([0.0, 16.0, 1000.0, 8000.0])[None, None, :],
    )
    step = steps.step(grid)
    assert (step.seconds * ROUNDING >= step.moved_bytes / setup.chip.bytes_per_s).all()
    assert (step.seconds * ROUNDING >= step.flops / max(setup.chip.peaks.values())).all()
    rows = np.diff(step.seconds, axis=0)
    assert (rows >= -1e-12).all()


@pytest.mark.parametrize(("model", "hw", "tp"), PLACES)
@pytest.mark.parametrize("tokens", [(1, 1), (1000, 300), (30_000, 2000)])
def test_what_is_said_to_fit_fits(model, hw, tp, tokens):
    isl, osl = tokens
    request = EstimateRequest(model=model, hw=hw, tp=tp, isl_tokens=isl, osl_tokens=osl)
    memory = estimate_point(request).memory
    plan = memory_plan(_setup(model, hw), Layout(tp=tp), float(isl + osl))
    whole = memory.sequences.value * memory.kv_bytes_per_sequence.value
    # A latent cache and heads fewer than devices are copied: each device holds at least 1/tp.
    held = memory.weights_bytes.value + memory.workspace_bytes.value + whole / tp
    assert held <= plan.usable_bytes * ROUNDING <= memory.physical_bytes.value * ROUNDING


@pytest.mark.parametrize(("model", "hw", "tp"), PLACES)
def test_prompts_and_contexts_only_ever_slow_an_answer(model, hw, tp):
    ttft, e2e = [], []
    for isl in (1, 10, 100, 1000, 4000, 8000, 16_000, 32_000):
        request = EstimateRequest(model=model, hw=hw, tp=tp, isl_tokens=isl, concurrency=1)
        asked = estimate_point(request).asked
        assert asked.ttft_s is not None
        assert asked.e2e_s is not None
        ttft.append(asked.ttft_s.value)
        e2e.append(asked.e2e_s.value)
    assert ttft == sorted(ttft)
    assert e2e == sorted(e2e)


# --- step tables ------------------------------------------------------------------------------

MAX_SEQUENCES, MAX_TOKENS, MAX_CONTEXT = 64, 2048, 8192.0


@pytest.fixture(scope="module")
def tables():
    built = {}
    for name in MODELS:
        model = model_on(BASE_CHIP, name)
        built[name] = (model, StepTable(model, MAX_SEQUENCES, MAX_TOKENS, MAX_CONTEXT))
    return built


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("node", range(9))
def test_table_nodes_are_the_step_model(tables, name, node):
    model, table = tables[name]
    context = node * MAX_CONTEXT / 8
    for sequences in (1, 2, 17, MAX_SEQUENCES):
        direct = seconds(model, Batch(sequences=sequences, context_tokens=context))
        assert table.decode_s(sequences, context) == pytest.approx(direct, rel=1e-12)


@given(models, st.integers(1, MAX_SEQUENCES), st.floats(0, MAX_CONTEXT))
def test_table_is_near_the_step_model_between_nodes(name, sequences, context):
    model = model_on(BASE_CHIP, name)
    table = _TABLES.setdefault(name, StepTable(model, MAX_SEQUENCES, MAX_TOKENS, MAX_CONTEXT))
    direct = seconds(model, Batch(sequences=sequences, context_tokens=context))
    # The rounded corner of short contexts bends most; measured 1.8 % at worst.
    assert table.decode_s(sequences, context) == pytest.approx(direct, rel=2.5e-2)


_TABLES: dict[str, StepTable] = {}


@given(
    models,
    st.integers(0, MAX_SEQUENCES - 1),
    st.integers(0, 8),
    st.integers(1, 1024),
    st.integers(0, 4096),
    st.booleans(),
)
def test_table_mixes_prompts_and_decodes_as_the_step_model(
    name, sequences, node, chunk, offset, last
):
    model = model_on(BASE_CHIP, name)
    table = _TABLES.setdefault(name, StepTable(model, MAX_SEQUENCES, MAX_TOKENS, MAX_CONTEXT))
    context = node * MAX_CONTEXT / 8
    direct = seconds(
        model,
        Batch(
            sequences=sequences,
            context_tokens=context,
            chunks=1.0,
            chunk_tokens=chunk,
            offset_tokens=offset,
            finishing=float(last),
        ),
    )
    mixed = table.mixed_s(sequences, context, [(chunk, offset)], int(last))
    # A recurrent layer launches its kernels once for decodes and chunks; the table adds both.
    recurrent = bool(model.work.states) and sequences > 0
    assert mixed == pytest.approx(direct, rel=2e-2 if recurrent else 1e-9)


# --- replay -----------------------------------------------------------------------------------


class StraightTable:
    """Step times linear in the context, so that leaping over steps is exact."""

    def decode_s(self, sequences: int, context_tokens: float) -> float:
        return 1e-3 + 2e-5 * sequences**0.8 + 1e-8 * sequences * context_tokens

    def mixed_s(
        self,
        sequences: int,
        context_tokens: float,
        chunks: list[tuple[int, int]],
        finishing: int,
    ) -> float:
        own = sum(
            2e-6 * tokens + 1e-9 * tokens * (offset + tokens / 2) for tokens, offset in chunks
        )
        base = self.decode_s(sequences, context_tokens) if sequences else 5e-4
        return base + own + 3e-5 * finishing


@dataclass
class Answer:
    """One request of the reference simulation."""

    isl: int
    osl: int
    sent_s: float
    read: int = 0
    made: int = 0
    first_s: float = 0.0


@dataclass
class Outcome:
    """Figures the reference and the replay must share."""

    ttft_s: float
    tpot_s: float
    duration_s: float
    requests: int
    output_tokens: int


def simulate(  # noqa: PLR0915 - one plain loop is what makes it a reference
    table, limits: Limits, cost: EngineCost, lengths, concurrency: int
) -> Outcome:
    """One engine step at a time; slow and plain."""
    left, now = deque(lengths), 0.0
    waiting: deque[Answer] = deque()
    reading: list[Answer] = []
    writing: list[Answer] = []
    ended: list[tuple[Answer, float]] = []
    clients = min(concurrency, len(lengths))

    def send() -> None:
        if left:
            waiting.append(Answer(*left.popleft(), sent_s=now))

    for _ in range(clients):
        send()
    while len(ended) < len(lengths):
        while waiting:
            inside = [*reading, *writing]
            held = sum(a.isl + limits.reserved_output * a.osl for a in [*inside, waiting[0]])
            crowded = len(inside) >= limits.sequences or held > limits.kv_tokens
            if crowded and inside:
                break
            reading.append(waiting.popleft())
        decoding = [] if reading and limits.prefill_alone else list(writing)
        context = sum(a.isl + a.made for a in decoding) / max(len(decoding), 1)
        chunks, finished = [], []
        budget = max(limits.step_tokens - len(decoding), 1)
        for a in reading:
            tokens = min(a.isl - a.read, budget)
            if tokens == 0:
                break
            chunks.append((tokens, a.read))
            a.read += tokens
            budget -= tokens
            if a.read == a.isl:
                finished.append(a)
        if chunks:
            step = table.mixed_s(len(decoding), context, chunks, len(finished))
        else:
            step = table.decode_s(len(decoding), context)
        batch = len(decoding) + len(chunks)
        now += step * cost.kernel_factor + cost.per_step_s + batch * cost.per_sequence_s
        for a in decoding:
            a.made += 1
        for a in finished:
            reading.remove(a)
            a.first_s, a.made = now, 1
            writing.append(a)
        for a in [a for a in writing if a.made >= a.osl]:
            writing.remove(a)
            ended.append((a, now))
            send()
    delays = cost.per_request_s + clients * cost.per_client_s
    rates = [(end - a.first_s) / (a.osl - 1) for a, end in ended if a.osl > 1]
    return Outcome(
        ttft_s=sum(a.first_s - a.sent_s + delays for a, _ in ended) / len(ended),
        tpot_s=sum(rates) / max(len(rates), 1),
        duration_s=now,
        requests=len(ended),
        output_tokens=sum(a.made for a, _ in ended),
    )


lengths_strategy = st.lists(
    st.tuples(st.integers(1, 300), st.integers(1, 60)), min_size=1, max_size=25
)
limits_strategy = st.builds(
    Limits,
    step_tokens=st.integers(1, 400),
    sequences=st.integers(1, 12),
    kv_tokens=st.sampled_from([50.0, 400.0, 1000.0, 1e9]),
    prefill_alone=st.booleans(),
    reserved_output=st.sampled_from([0.0, 0.5, 1.0]),
)
costs_strategy = st.builds(
    EngineCost,
    kernel_factor=st.floats(0.5, 2.0),
    per_step_s=st.floats(0, 1e-3),
    per_sequence_s=st.floats(0, 1e-4),
    per_request_s=st.floats(0, 0.01),
    per_client_s=st.floats(0, 1e-3),
)


@settings(max_examples=120)
@given(limits_strategy, costs_strategy, lengths_strategy, st.integers(1, 16))
def test_replay_equals_a_simulation_of_every_step(limits, cost, lengths, concurrency):
    table = StraightTable()
    found = ClosedLoop(table, limits, cost, lengths, concurrency).run()
    expected = simulate(table, limits, cost, lengths, concurrency)
    assert found.requests == expected.requests == len(lengths)
    assert found.output_tokens == expected.output_tokens == sum(osl for _, osl in lengths)
    for name in ("ttft_s", "tpot_s", "duration_s"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)


@settings(max_examples=15)
@given(limits_strategy, lengths_strategy, st.integers(1, 16))
def test_replay_on_a_real_table_is_near_the_simulation(limits, lengths, concurrency):
    """Between table nodes times are straight; a leap across a node is the only difference."""
    name = "qwen3-0.6b"
    model = model_on(BASE_CHIP, name)
    table = _TABLES.setdefault(name, StepTable(model, MAX_SEQUENCES, MAX_TOKENS, MAX_CONTEXT))
    found = ClosedLoop(table, limits, NO_COST, lengths, concurrency).run()
    expected = simulate(table, limits, NO_COST, lengths, concurrency)
    assert found.duration_s == pytest.approx(expected.duration_s, rel=1e-6)
    assert found.output_tok_per_s == pytest.approx(expected.output_tokens / expected.duration_s)


@given(lengths_strategy, st.integers(1, 16), st.floats(1.0, 3.0))
def test_replay_time_is_linear_in_the_kernel_factor(lengths, concurrency, factor):
    limits = Limits(step_tokens=128, sequences=8, kv_tokens=1e9)
    one, more = (
        ClosedLoop(StraightTable(), limits, EngineCost(kernel_factor=f), lengths, concurrency).run()
        for f in (1.0, factor)
    )
    assert more.duration_s == pytest.approx(factor * one.duration_s)
    assert more.ttft_s == pytest.approx(factor * one.ttft_s)


@given(st.integers(1, 5000), st.integers(1, 2000), st.floats(0.01, 1.0), st.integers(0, 99))
def test_benchmark_lengths_stay_in_range_and_repeat(isl, osl, low, seed):
    drawn = benchmark_lengths(isl, osl, 50, low, seed)
    assert drawn == benchmark_lengths(isl, osl, 50, low, seed)
    assert len(drawn) == 50
    for prompt, output in drawn:
        assert max(1, round(low * isl)) <= prompt <= isl
        assert max(1, round(low * osl)) <= output <= osl
    assert list(benchmark_lengths(isl, osl, 3, 1.0, seed)) == [(isl, osl)] * 3
