"""Latent attention, recurrent layers, 8-bit caches and small heads: fits and step times."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from advisor.calibration import kernel_fits, kernel_models, mixer_models, write
from advisor.calibration.kernel_tables import AttentionRows
from advisor.calibration.mixer_tables import LatentRows, RecurrentRows
from advisor.catalogue.devices import get_device, read_efficiency
from advisor.catalogue.engines import get_format
from advisor.catalogue.models import get_model
from advisor.cli.main import app
from advisor.errors import MissingDataError, UnknownNameError
from advisor.estimator.setup import peaks_of
from advisor.perf import roofline
from advisor.perf.layout import Layout
from advisor.perf.step import Batch, Chip, StepModel
from advisor.perf.table import StepTable
from advisor.perf.work import build_work
from advisor.schema.efficiency import (
    DecodeAttention,
    Efficiency,
    LatentAttention,
    PrefillAttention,
    Recurrent,
)

pytest.importorskip("scipy")

SHEET = kernel_models.Datasheet({"bf16": 1e15}, 3e12)
LATENT = LatentAttention(memory_share=0.85, compute_share=0.6, launch_s=1.5e-5, sharpness=2)
RECURRENT = Recurrent(
    memory_share=0.8,
    launch_s=5e-6,
    compute_share=0.1,
    serial_s_per_token=5e-8,
    prefill_launch_s=1.3e-5,
)
DECODE = DecodeAttention(memory_share=0.88, launch_s=1e-5, per_sequence_head_s=2.5e-8)
PREFILL = PrefillAttention(compute_share=0.6, launch_s=1e-5, keys_per_query=400.0)


def grid(*axes: list[float]) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*map(np.asarray, axes), indexing="ij")]


def noisy(seconds: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return seconds * np.exp(0.05 * rng.standard_normal(seconds.size))


def latent_rows(truth: LatentAttention, cache_bytes: float) -> LatentRows:
    batch, context, heads = grid(
        [1, 4, 16, 64, 256, 512], [2.0**i for i in range(7, 17)], [8, 16, 32, 64, 128]
    )
    pairs = batch * context
    memory = roofline.cache_memory_s(pairs * 576 * cache_bytes, 3e12, truth, 8 * cache_bytes)
    compute = roofline.latent_compute_s(pairs, heads, 1088.0, 1e15, truth)
    seconds = noisy(roofline.latent_attention_s(memory, compute, truth))
    return LatentRows(batch, context, heads, np.full_like(batch, cache_bytes), seconds)


def test_latent_decode_fit() -> None:
    sample = mixer_models.latent_sample(latent_rows(LATENT, 2.0), SHEET)
    found = kernel_fits.fit_kernel(mixer_models.latent_kernels(), sample).constants
    assert found.sharpness == LATENT.sharpness
    assert found.memory_share == pytest.approx(LATENT.memory_share, rel=0.05)
    assert found.compute_share == pytest.approx(LATENT.compute_share, rel=0.05)
    assert found.launch_s == pytest.approx(LATENT.launch_s, rel=0.05)


def test_latent_8_bit_cache_fit() -> None:
    truth = msgspec.structs.replace(LATENT, fp8_memory_share=0.7)
    sample = mixer_models.latent_sample(latent_rows(truth, 1.0), SHEET, cache_bytes=1.0)
    fit = kernel_fits.fit_kernel(mixer_models.fp8_latent_kernels(LATENT), sample)
    assert fit.constants.fp8_memory_share == pytest.approx(0.7, rel=0.05)


def test_latent_prefill_fit() -> None:
    batch, prompt, heads = grid([1, 2, 4], [2.0**i for i in range(7, 14)], [8, 16, 32, 64])
    pairs = batch * prompt * (prompt + 1) / 2
    seconds = roofline.prefill_attention_s(pairs, heads, 320.0, 1e15, PREFILL, batch * prompt)
    rows = LatentRows(batch, prompt, heads, np.full_like(batch, 2.0), noisy(seconds))
    sample = mixer_models.latent_prefill_sample(rows, SHEET)
    found = kernel_fits.fit_kernel(kernel_models.prefill_kernels(), sample).constants
    assert found.compute_share == pytest.approx(PREFILL.compute_share, rel=0.1)
    assert found.keys_per_query == pytest.approx(PREFILL.keys_per_query, rel=0.1)


def test_recurrent_fits() -> None:
    heads, batch = grid([4, 8, 16, 32, 64], [2.0**i for i in range(11)])
    state = heads * 128 * 128.0
    moved = 2 * batch * state * 4
    full = np.full_like
    rows = RecurrentRows(
        batch,
        np.ones_like(batch),
        heads,
        full(heads, 128),
        full(heads, 128),
        noisy(roofline.recurrent_decode_s(moved, 3e12, RECURRENT)),
    )
    decode = kernel_fits.fit_kernel(
        mixer_models.recurrent_decode_kernels(), mixer_models.recurrent_decode_sample(rows, SHEET)
    ).constants
    heads, batch, tokens = grid([4, 8, 16, 32, 64], [1, 2, 4, 8], [2.0**i for i in range(6, 14)])
    flops = 6.0 * batch * tokens * heads * 128 * 128
    seconds = noisy(roofline.recurrent_prefill_s(flops, tokens, 1e15, RECURRENT))
    rows = RecurrentRows(batch, tokens, heads, full(heads, 128), full(heads, 128), seconds)
    found = kernel_fits.fit_kernel(
        mixer_models.recurrent_prefill_kernels(decode),
        mixer_models.recurrent_prefill_sample(rows, SHEET),
    ).constants
    for name in RECURRENT.__struct_fields__:
        assert getattr(found, name) == pytest.approx(getattr(RECURRENT, name), rel=0.1), name


def test_states_a_cache_keeps_are_left_out() -> None:
    sizes = np.array([1.0, 32.0, 1024.0])  # 1 MiB, 32 MiB and 1 GiB of states
    wide = np.full(3, 128.0)
    rows = RecurrentRows(sizes, np.ones(3), np.full(3, 16.0), wide, wide, np.ones(3))
    assert mixer_models.recurrent_decode_sample(rows, SHEET).seconds.size == 2


def test_8_bit_cache_and_small_heads_fits() -> None:
    truth = msgspec.structs.replace(DECODE, fp8_memory_share=0.6)
    batch, context, kv_heads = grid([1, 16, 256], [2.0**i for i in range(7, 17)], [1, 2, 4, 8])
    read = 2.0 * batch * kv_heads * context * 128
    seconds = roofline.decode_attention_s(batch, kv_heads, read, 3e12, truth, kv_bits=8.0)
    full = np.full_like
    rows = AttentionRows(
        batch, context, kv_heads * 4, kv_heads, full(batch, 128), full(batch, 1), 0 * batch, seconds
    )
    sample = kernel_models.decode_sample(rows, SHEET, cache_bytes=1.0)
    fit = kernel_fits.fit_kernel(mixer_models.fp8_cache_kernels(DECODE), sample)
    assert fit.constants.fp8_memory_share == pytest.approx(0.6, rel=0.02)

    small = msgspec.structs.replace(PREFILL, small_head_share=0.75)
    batch, prompt, heads = grid([1, 2, 4], [2.0**i for i in range(7, 14)], [8, 16, 32, 64])
    pairs = batch * prompt * (prompt + 1) / 2
    times = roofline.prefill_attention_s(pairs, heads, 128.0, 1e15, small, batch * prompt)
    rows = AttentionRows(
        batch, prompt, heads, heads / 8, full(batch, 64), full(batch, 2), 0 * batch, times
    )
    sample = kernel_models.prefill_sample(rows, SHEET, head_dim=64.0)
    found = kernel_fits.fit_kernel(mixer_models.small_head_kernels(PREFILL), sample)
    assert found.constants.small_head_share == pytest.approx(0.75, rel=0.02)


def test_small_heads_are_slower_and_others_are_not() -> None:
    small = msgspec.structs.replace(PREFILL, small_head_share=0.5, launch_s=0.0)
    usual = msgspec.structs.replace(PREFILL, launch_s=0.0)
    for width, ratio in ((128.0, 2.0), (256.0, 1.0)):
        times = [roofline.prefill_attention_s(1e6, 8, width, 1e15, c) for c in (small, usual)]
        assert float(times[0] / times[1]) == pytest.approx(ratio)


def step_model(model: str, efficiency: Efficiency, kv_bits: float = 16.0) -> StepModel:
    device, shape = get_device("h200-sxm"), get_model(model).shape
    assert shape is not None
    bf16 = get_format("bf16")
    work = build_work(shape, bf16, bf16, kv_bits, Layout(tp=8))
    chip = Chip("H200", peaks_of(device, None), device.memory.bytes_per_s.value, 4.5e11, efficiency)
    return StepModel(work, chip)


@pytest.mark.parametrize("kv_bits", [8.0, 16.0])
def test_latent_decode_is_never_faster_than_its_bytes(kv_bits: float) -> None:
    model = step_model("deepseek-v3", read_efficiency("hopper"), kv_bits)
    sequences, context = grid([1, 8, 64, 512], [64.0, 1024.0, 16384.0])
    step = model.step(Batch(sequences=sequences, context_tokens=context))
    read = sequences * context * 576 * kv_bits / 8 * 61
    assert (step.parts_s["latent attention decode"] > read / model.chip.bytes_per_s).all()


def test_without_own_constants_latent_layers_take_those_of_other_attention() -> None:
    hopper = read_efficiency("hopper")
    plain = msgspec.structs.replace(hopper, latent_attention=None, latent_prefill=None)
    model = step_model("deepseek-v3", plain)
    (read, *_), peak = model.work.attention, model.chip.peak("bf16")
    step = model.step(Batch(sequences=64.0, context_tokens=4096.0, chunks=1.0, chunk_tokens=512.0))
    pairs = 64.0 * 4096.0
    c, d = plain.prefill_attention, plain.decode_attention
    compute = roofline.prefill_attention_s(pairs, read.heads, read.decode_dim, peak, c) - c.launch_s
    memory = roofline.decode_attention_s(
        64.0, 1.0, pairs * read.kv_bytes_per_token, model.chip.bytes_per_s, d
    )
    want = 61 * max(float(memory), float(compute) + d.launch_s)
    assert float(step.parts_s["latent attention decode"]) == pytest.approx(want)


def test_an_8_bit_cache_saves_less_than_half_where_it_reads_slower() -> None:
    hopper = read_efficiency("hopper")
    batch = Batch(sequences=256.0, context_tokens=16384.0)
    eight, sixteen = (
        float(step_model("llama-3.1-70b", hopper, bits).step(batch).parts_s["attention decode"])
        for bits in (8.0, 16.0)
    )
    assert sixteen / 2 < eight < sixteen


def test_recurrent_layers_take_their_own_constants() -> None:
    hopper = read_efficiency("hopper")
    assert hopper.recurrent is not None
    own = step_model("qwen3.5-397b-a17b", hopper)
    plain = step_model("qwen3.5-397b-a17b", msgspec.structs.replace(hopper, recurrent=None))
    prompt = Batch(chunks=1.0, chunk_tokens=8192.0)
    layers = own.work.states[0].count
    state_s = float(own.step(prompt).parts_s["state prefill"])
    assert state_s > 8192 * hopper.recurrent.serial_s_per_token * layers
    assert state_s > 2 * float(plain.step(prompt).parts_s["state"])
    decode = own.step(Batch(sequences=512.0, context_tokens=100.0)).parts_s["state decode"]
    moved = 2 * 512 * sum(s.count * s.state_bytes for s in own.work.states)
    assert float(decode) > moved / own.chip.bytes_per_s


def test_table_and_step_model_agree_on_recurrent_prompts() -> None:
    model = step_model("qwen3.5-397b-a17b", read_efficiency("hopper"))
    table = StepTable(model, 64, 4096, 4096.0)
    batch = Batch(
        sequences=16.0, context_tokens=1024.0, chunks=1.0, chunk_tokens=1000.0, finishing=1.0
    )
    want = float(model.step(batch).seconds)
    assert table.mixed_s(16, 1024.0, [(1000, 0)], 1) == pytest.approx(want, rel=0.02)


def test_b300_has_constants_of_its_own() -> None:
    assert get_device("b300").architecture == get_device("gb300").architecture == "blackwell-ultra"
    fp4 = [read_efficiency(name).gemm["fp4"] for name in ("blackwell", "blackwell-ultra")]
    assert fp4[1].compute_share < fp4[0].compute_share


def test_unknown_family() -> None:
    with pytest.raises(UnknownNameError, match="hopper"):
        write.chosen_families("nope")


def test_interrupted_calibration_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refit(*_: object) -> object:
        yield tmp_path / "hopper.toml", ["gemm bf16: good"]
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "refit", refit)
    arguments = ["calibrate", "kernels", "--tables", str(tmp_path), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130
    assert "finished families kept: hopper.toml" in result.stderr
    assert not result.stdout


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        message = f"refitting needs {name}: pip install 'advisor[kernels]'"
        raise MissingDataError(message)

    monkeypatch.setattr(write, "optional_module", absent)
    tables = write.KernelTables(tmp_path)
    with pytest.raises(MissingDataError, match=r"advisor\[kernels\]") as caught:
        next(iter(write.refit(tables, tmp_path, dt.date(2026, 11, 23))))
    assert caught.value.exit_code == 4
