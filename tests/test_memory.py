"""Cache bytes against hand-computed values, and vLLM's memory split against measured runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from msgspec.structs import replace as replace_format

from advisor.catalogue.engines import engine_on, get_engine, get_format, kv_bits
from advisor.catalogue.models import get_model, model_ids, read_model
from advisor.perf.layout import Layout
from advisor.perf.memory import (
    MemoryPlan,
    WeightBytes,
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    plan_memory,
    weight_bytes,
)
from advisor.perf.work import build_work
from advisor.schema.model import Attention, Layer, Mlp, Shape

GIB = 2.0**30
BF16_BITS = 16.0

# 2 is keys and values, the last 2 is bytes of a 16-bit number; dimensions from each model's
# published config.json.
PER_TOKEN = {
    "llama-2-7b": 2 * 32 * 32 * 128 * 2,  # MHA: 524,288
    "llama-3.1-8b": 2 * 32 * 8 * 128 * 2,  # GQA: 131,072
    "llama-3.3-70b": 2 * 80 * 8 * 128 * 2,  # GQA: 327,680
    "qwen2.5-7b": 2 * 28 * 4 * 128 * 2,  # GQA: 57,344
    "qwen3-4b": 2 * 36 * 8 * 128 * 2,  # GQA, heads x head_dim above hidden: 147,456
    "gemma-2b": 2 * 18 * 1 * 256 * 2,  # MQA: 18,432
    "deepseek-v2-lite": 27 * (512 + 64) * 2,  # MLA: 31,104
    "deepseek-v3": 61 * (512 + 64) * 2,  # MLA: 70,272
    "mistral-7b-v0.1": 2 * 32 * 8 * 128 * 2,  # sliding window in every layer: 131,072
    "gemma-3-27b": 2 * 62 * 16 * 128 * 2,  # 52 sliding + 10 global: 507,904
    "gpt-oss-20b": 2 * 24 * 8 * 64 * 2,  # 12 sliding + 12 full: 49,152
    "gpt-oss-120b": 2 * 36 * 8 * 64 * 2,  # 18 sliding + 18 full: 73,728
    "mimo-v2-flash": (192 + 128) * (1 * 4 + 39 * 8 + 8 * 4) * 2,  # K wider than V: 222,720
    "gemma-3n-e4b": 2 * (16 + 4) * 2 * 256 * 2,  # 15 of 35 layers share a cache: 40,960
    "qwen3-next-80b-a3b": 2 * 12 * 2 * 256 * 2,  # 12 of 48 layers attend: 24,576
    "qwen3.5-27b": 2 * 16 * 4 * 256 * 2,  # 16 of 64 layers attend: 65,536
    "kimi-linear-48b-a3b": 7 * (512 + 64) * 2,  # 7 of 27 layers are MLA: 8,064
    "nemotron-nano-9b-v2": 2 * 4 * 8 * 128 * 2,  # 4 of 56 layers attend: 16,384
}

CONTEXT = 32768
# What one sequence of 32,768 tokens holds: windows capped, recurrent states (32-bit) included.
PER_SEQUENCE = {
    "llama-3.1-8b": 131072 * CONTEXT,  # 4 GiB
    "deepseek-v3": 70272 * CONTEXT,
    "mistral-7b-v0.1": 131072 * 4096,  # window 4,096 in all 32 layers
    "gemma-3-27b": 2 * 16 * 128 * 2 * (52 * 1024 + 10 * CONTEXT),
    "gpt-oss-20b": 2 * 8 * 64 * 2 * (12 * 128 + 12 * CONTEXT),
    "mimo-v2-flash": (192 + 128) * 2 * ((1 + 8) * 4 * CONTEXT + 39 * 8 * 128),
    "gemma-3n-e4b": 2 * 2 * 256 * 2 * (16 * 512 + 4 * CONTEXT),
    "qwen3-next-80b-a3b": 24576 * CONTEXT + 36 * 32 * 128 * 128 * 4,
    "qwen3.5-27b": 65536 * CONTEXT + 48 * 48 * 128 * 128 * 4,
    "kimi-linear-48b-a3b": 8064 * CONTEXT + 20 * 32 * 128 * 128 * 4,
    "nemotron-nano-9b-v2": 16384 * CONTEXT + 27 * 128 * 80 * 128 * 4,
}


def shape_of(model: str) -> Shape:
    shape = get_model(model).shape
    assert shape is not None
    return shape


@pytest.mark.parametrize(("model", "expected"), PER_TOKEN.items())
def test_kv_bytes_per_token_are_exact(model, expected):
    assert kv_bytes_per_token(shape_of(model), BF16_BITS) == expected


@pytest.mark.parametrize(("model", "expected"), PER_SEQUENCE.items())
def test_kv_bytes_per_sequence_are_exact(model, expected):
    assert kv_bytes_per_sequence(shape_of(model), BF16_BITS, CONTEXT) == expected


@pytest.mark.parametrize(
    ("model", "total"),
    [("llama-3.1-8b", 131072), ("qwen3-4b", 147456), ("gemma-2b", 18432), ("deepseek-v3", 70272)],
)
def test_arithmetic_in_this_file_gives_the_published_totals(model, total):
    assert PER_TOKEN[model] == total


def test_values_that_are_keys_are_stored_once():
    mixer = Attention(heads=8, kv_heads=2, head_dim=512, values_are_keys=True)
    layer = Layer(count=5, mixer=mixer, ffn=Mlp(hidden=1024))
    shape = Shape(hidden=512, vocab=1000, tied_embeddings=True, layers=(layer,), source="test")
    assert kv_bytes_per_token(shape, BF16_BITS) == 5 * 2 * 512 * 2


@pytest.mark.parametrize(("name", "bits"), [("bf16", 16), ("fp8", 8), ("q8_0", 8.5), ("q4_0", 4.5)])
def test_cache_formats_scale_the_cache(name, bits):
    assert kv_bytes_per_token(shape_of("qwen3-4b"), kv_bits(name)) == 147456 * bits / 16


@pytest.mark.parametrize("model", [m for m in model_ids() if read_model(m).shape])
def test_a_sequence_never_holds_more_than_its_tokens_and_states(model):
    shape = shape_of(model)
    states = kv_bytes_per_sequence(shape, BF16_BITS, 0)
    per_token = kv_bytes_per_token(shape, BF16_BITS)
    held = [kv_bytes_per_sequence(shape, BF16_BITS, c) for c in (0, 1, 64, 5000, 50000)]
    assert held == sorted(held)
    assert held[1] == states + per_token
    assert held[-1] <= states + 50000 * per_token


@dataclass(frozen=True)
class Run:
    """One measured start-up of vLLM on an H100, GiB per device.

    ``pool`` as logged, or utilisation x physical - weights - activation - non-torch where only
    those are reported (the identity holds to 0.02 GiB where both are).
    """

    engine: str
    share: float
    physical: float
    model: str
    weights: float
    pool: float
    precision: str = "bf16"
    kv: str = "bf16"
    tp: int = 1
    pp: int = 1
    tokens: int | None = None


def _v19(model: str, weights: float, rest: float, **options) -> Run:
    physical, share = 79.19, 0.95
    return Run(
        "vllm", share, physical, model, weights, share * physical - weights - rest, **options
    )


def _v11(model: str, weights: float, pool: float, share: float = 0.9, **options) -> Run:
    return Run("vllm-0.11", share, 79.18, model, weights, pool, **options)


# llm-d-incubation/llm-d-planner (Apache-2.0), docs/accuracy/vllm-v0.19.0-accuracy-report.md
# @2d557dc and docs/empirical-vllm-memory-results.md. `rest` is activation peak + non-torch.
LLAMA, QWEN25, QWEN3 = "llama-3.1-8b", "qwen2.5-7b", "qwen3-8b"
RUNS = (
    Run("vllm", 0.95, 79.19, LLAMA, 14.99, 58.11, tokens=476_000),
    Run("vllm", 0.95, 79.19, LLAMA, 14.99, 58.11, kv="fp8", tokens=952_032),
    Run("vllm", 0.95, 79.19, LLAMA, 29.98, 42.80, precision="fp32"),
    Run("vllm", 0.95, 79.19, LLAMA, 8.49, 64.61, precision="fp8"),
    _v19(LLAMA, 7.51, 1.89 + 2.07, tp=2),
    _v19(LLAMA, 3.77, 1.89 + 2.13, tp=4),
    _v19(LLAMA, 7.51, 1.10 + 0.07, pp=2),
    _v19(LLAMA, 4.26, 1.05 + 0.07, pp=4),
    Run("vllm", 0.95, 79.19, QWEN25, 14.25, 58.53, tokens=1_096_000),
    Run("vllm", 0.95, 79.19, QWEN25, 14.25, 58.53, kv="fp8", tokens=2_192_000),
    _v19(QWEN25, 7.12, 2.21 + 2.06, tp=2),
    _v19(QWEN25, 3.55, 2.21 + 2.13, tp=4),
    _v19(QWEN3, 15.27, 2.21 + 0.25),
    _v19(QWEN3, 5.48, 0.96 + 0.07, pp=3),
    _v11("gpt-oss-20b", 13.47, 50.28, precision="mxfp4"),
    _v11("gpt-oss-120b", 64.38, 3.33, share=0.95, precision="mxfp4"),
    _v11("llama-3.3-70b", 33.88, 32.00, precision="fp8", tp=2),
    _v11(LLAMA, 14.99, 51.38),
    _v11("qwen3-0.6b", 1.12, 64.45),
    _v11("qwen3-32b", 61.03, 4.45),
    _v11("qwen3-32b", 30.59, 34.49, tp=2),
    _v11("mistral-small-3.2-24b", 44.76, 28.20, share=0.95, tokens=184_832),
)
MEAN_LIMIT = 0.03
WEIGHT_LIMIT = 0.02
TOKEN_LIMIT = 0.10


def _name(run: Run) -> str:
    return f"{run.engine}-{run.model}-{run.precision}-kv{run.kv}-tp{run.tp}-pp{run.pp}"


def planned(run: Run, context_tokens: float = 8192.0) -> MemoryPlan:
    shape = shape_of(run.model)
    weights = weight_bytes(shape, get_format(run.precision), get_format("bf16"))
    return plan_memory(
        shape,
        weights,
        kv_bits(run.kv),
        Layout(tp=run.tp, pp=run.pp),
        get_engine(run.engine),
        run.physical * GIB,
        run.share,
        context_tokens,
    )


def kv_token_error(run: Run) -> float:
    """Relative error of the tokens the cache holds; per-token bytes are exact, so of the pool."""
    plan = planned(run)
    if run.tokens is not None:
        return plan.kv_tokens / run.tokens - 1.0
    return plan.pool_bytes / (run.pool * GIB) - 1.0


def test_vllm_token_capacity_is_within_three_percent_on_average():
    errors = {_name(run): kv_token_error(run) for run in RUNS}
    mean = sum(map(abs, errors.values())) / len(errors)
    assert mean <= MEAN_LIMIT, errors


@pytest.mark.parametrize("run", [r for r in RUNS if r.tokens], ids=_name)
def test_measured_token_counts_follow_from_the_measured_pool(run):
    """Published pool over hand-computed bytes gives the published count: the rows are sound."""
    per_token = kv_bytes_per_token(shape_of(run.model), kv_bits(run.kv))
    assert run.pool * GIB / per_token == pytest.approx(run.tokens, rel=1e-3)


@pytest.mark.parametrize("run", [r for r in RUNS if r.tokens], ids=_name)
def test_token_capacity_of_each_counted_run(run):
    assert abs(kv_token_error(run)) <= TOKEN_LIMIT


@pytest.mark.parametrize("run", RUNS, ids=_name)
def test_weights_match_what_vllm_loads(run):
    assert planned(run).weights_bytes / GIB == pytest.approx(run.weights, rel=WEIGHT_LIMIT)


def test_tensor_parallel_splits_the_cache_down_to_one_head():
    def tokens_per_pool_byte(model: str, tp: int) -> float:
        plan = planned(Run("vllm", 0.95, 640.0, model, 0, 0, tp=tp))
        return plan.kv_tokens / plan.pool_bytes * plan.kv_bytes_per_token

    assert tokens_per_pool_byte("llama-3.1-8b", 4) == pytest.approx(4)
    assert tokens_per_pool_byte("llama-3.1-8b", 16) == pytest.approx(8)  # 8 KV heads, then copies
    assert tokens_per_pool_byte("gemma-2b", 4) == pytest.approx(1)  # one KV head: copied
    assert tokens_per_pool_byte("deepseek-v3", 8) == pytest.approx(1)  # latent: copied


def test_attention_ranks_hold_different_sequences():
    shape = shape_of("deepseek-v3")
    weights = weight_bytes(shape, get_format("fp8_block"), get_format("bf16"))
    engine = get_engine("vllm")
    one, many = (
        plan_memory(shape, weights, 16, Layout(tp=tp, dp=dp, ep=8), engine, 141 * GIB, 0.9, 4096.0)
        for tp, dp in ((8, 1), (1, 8))
    )
    per_byte = [p.kv_tokens / p.pool_bytes for p in (one, many)]
    assert per_byte[1] == pytest.approx(8 * per_byte[0])


@pytest.mark.parametrize("engine", ["vllm", "vllm-0.11", "sglang", "trtllm", "llama.cpp"])
@pytest.mark.parametrize("context", [1, 17, 1300, 20000])
def test_sequences_times_their_bytes_fit_the_pool(engine, context):
    run = Run(engine, 0.9, 79.19, "qwen3-4b", 0, 0)
    plan = planned(run, float(context))
    block = get_engine(engine).kv_block_tokens
    stored = -(-context // block) * block * 147456
    assert plan.fits
    assert plan.sequences * stored <= plan.pool_bytes
    limit = get_engine(engine).scheduler.max_sequences.value
    assert plan.sequences == limit or (plan.sequences + 1) * stored > plan.pool_bytes
    used = plan.weights_bytes + plan.workspace_bytes + plan.sequences * stored
    assert used <= plan.usable_bytes


def test_weights_above_the_share_hold_nothing():
    plan = planned(Run("vllm", 0.9, 16.0, "qwen3-32b", 0, 0))
    assert plan.pool_bytes < 0
    assert not plan.fits
    assert plan.sequences == 0
    assert plan.kv_tokens == 0


def test_share_of_free_memory_keeps_a_rest():
    run = Run("trtllm", 0.9, 79.19, "qwen3-4b", 0, 0)
    plan = planned(run)
    free = run.physical * GIB - plan.weights_bytes - plan.workspace_bytes
    assert plan.pool_bytes == pytest.approx(0.9 * free)


def test_a_pipeline_puts_embedding_and_head_on_different_stages():
    whole = WeightBytes(dense=80.0, experts=0.0, head=6.0, embedding=4.0)
    assert whole.on_largest_device(Layout()) == 90.0
    assert whole.on_largest_device(Layout(tp=2)) == 45.0
    assert whole.on_largest_device(Layout(pp=2)) == 40.0 + 6.0


def test_tables_kept_in_host_memory_are_not_counted():
    shape = shape_of("gemma-3n-e4b")
    bf16 = get_format("bf16")
    assert shape.off_device_parameters > 0
    here = weight_bytes(shape, bf16, bf16).total
    assert here == weight_bytes(replace_off_device(shape), bf16, bf16).total


def replace_off_device(shape: Shape) -> Shape:
    import msgspec

    return msgspec.structs.replace(shape, off_device_parameters=0)


def test_runs_differ_only_where_stated():
    """The first two runs are one machine with another cache format: twice the tokens."""
    first, second = RUNS[:2]
    assert replace(second, kv="bf16", tokens=first.tokens) == first
    assert planned(second).kv_tokens == pytest.approx(2 * planned(first).kv_tokens)


def test_four_bit_models_with_experts_keep_attention_in_sixteen():
    nvfp4, plain = get_format("nvfp4"), get_format("bf16")
    routed, dense = (get_model(name).shape for name in ("minimax-m2.5", "qwen3-32b"))
    all_four = replace_format(nvfp4, plain_mixers_beside_experts=False)
    # 62 layers of q, k, v, o: 3072 x (48 + 8 + 8 + 48) x 128 numbers, 16 instead of 4.5 bits.
    numbers = 62 * 3072 * (48 + 8 + 8 + 48) * 128
    more = weight_bytes(routed, nvfp4, plain).total - weight_bytes(routed, all_four, plain).total
    assert more == pytest.approx(numbers * (16 - 4.5) / 8)
    same = [weight_bytes(dense, f, plain).total for f in (nvfp4, all_four)]
    assert same[0] == same[1]


def test_vllm_limits_itself_on_a100_and_below_seventy_gib():
    vllm = get_engine("vllm")
    for device, gib, sequences, tokens in (
        ("a100-sxm-80", 79, 256, 2048),
        ("l40s", 44, 256, 2048),
        ("h100-sxm", 79, 1024, 8192),
    ):
        limits = engine_on(vllm, device, gib * GIB).scheduler
        assert (limits.max_sequences.value, limits.max_step_tokens.value) == (sequences, tokens)
    small = engine_on(vllm, "l40s", 44 * GIB).memory.logits_bytes_per_vocab_entry.value
    assert small == pytest.approx(vllm.memory.logits_bytes_per_vocab_entry.value / 4)


def test_norms_over_all_heads_add_an_all_reduce():
    shape = get_model("minimax-m2.5").shape
    plain = get_format("bf16")
    for tp, names in ((1, []), (4, ["all-reduce", "norm sums"])):
        work = build_work(shape, plain, plain, 16.0, Layout(tp=tp))
        assert [x.name for x in work.exchanges] == names
