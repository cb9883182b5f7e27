"""Fits recover the constants of tables made with the fitted functions themselves."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from advisor.calibration import efficiency_toml, expert_models, kernel_fits, kernel_models, write
from advisor.calibration.kernel_tables import (
    AttentionRows,
    CollectiveRows,
    ExpertRows,
    GemmRows,
    KernelTables,
    tables_root,
)
from advisor.catalogue.devices import efficiency_for, get_device, read_efficiency
from advisor.errors import MissingDataError
from advisor.perf import interconnect, roofline
from advisor.schema.efficiency import (
    Collective,
    DecodeAttention,
    Efficiency,
    Experts,
    Gemm,
    PrefillAttention,
)

pytest.importorskip("scipy")

SHEET = kernel_models.Datasheet({"bf16": 1e15, "fp8": 2e15}, 3e12, 4.5e11)
NOISE = 0.05


def grid(*axes: list[float]) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*map(np.asarray, axes), indexing="ij")]


def noisy(seconds: np.ndarray) -> np.ndarray:
    """Scatter by 5 %, and slow every fiftieth kernel fourfold: an untuned shape."""
    rng = np.random.default_rng(1)
    result = seconds * np.exp(NOISE * rng.standard_normal(seconds.size))
    result[::50] *= 4.0
    return result


def assert_close(found: msgspec.Struct, truth: msgspec.Struct, tolerance: float = 0.1) -> None:
    for name in truth.__struct_fields__:
        got, want = getattr(found, name), getattr(truth, name)
        if want:
            assert got == pytest.approx(want, rel=tolerance), name


def gemm_rows(truth: Gemm) -> GemmRows:
    m, n, k = grid([2.0**i for i in range(14)], [1024, 4096, 8192, 28672], [1024, 4096, 5120, 8192])
    memory = roofline.gemm_memory_s(n * k + 2.0 * m * (n + k), 3e12, truth)
    compute = roofline.gemm_compute_s(m, n, k, 2e15, truth)
    passes = roofline.input_pass_s(m, k, 3e12, truth)
    return GemmRows(m, n, k, noisy(roofline.gemm_s(memory, compute, truth) + passes))


@pytest.mark.parametrize("sharpness", [2, 4])
def test_gemm(sharpness: Literal[2, 4]) -> None:
    truth = Gemm(
        compute_share=0.55,
        memory_share=0.8,
        launch_s=6e-6,
        min_rows=16,
        sharpness=sharpness,
        input_bytes=8.0,
    )
    sample = kernel_models.gemm_sample(gemm_rows(truth), "fp8", SHEET)
    fit = kernel_fits.fit_kernel(kernel_models.gemm_kernels("fp8"), sample)
    assert_close(fit.constants, truth)
    assert fit.held_out == pytest.approx(0.67 * NOISE, rel=0.25)


def test_gemm_leaves_out_shapes_no_model_has() -> None:
    ones = np.ones(2)
    rows = GemmRows(ones, np.array([65536.0, 4096.0]), np.array([51200.0, 4096.0]), ones)
    assert kernel_models.gemm_sample(rows, "bf16", SHEET).seconds.size == 1


def test_decode_attention() -> None:
    truth = DecodeAttention(
        memory_share=0.85, launch_s=1e-5, per_sequence_head_s=2.7e-8, sharpness=2
    )
    batch, context, kv_heads = grid(
        [1, 4, 16, 64, 256, 512], [2.0**i for i in range(7, 17)], [1, 2, 4, 8]
    )
    read = 2.0 * batch * kv_heads * context * 128 * 2.0
    seconds = noisy(roofline.decode_attention_s(batch, kv_heads, read, 3e12, truth))
    full = np.full_like
    rows = AttentionRows(
        batch, context, kv_heads * 4, kv_heads, full(batch, 128), full(batch, 2), 0 * batch, seconds
    )
    fit = kernel_fits.fit_kernel(
        kernel_models.decode_kernels(), kernel_models.decode_sample(rows, SHEET)
    )
    assert_close(fit.constants, truth)


def test_prefill_attention() -> None:
    truth = PrefillAttention(compute_share=0.55, launch_s=1.2e-5, keys_per_query=400.0)
    batch, prompt, heads = grid([1, 2, 4], [2.0**i for i in range(7, 14)], [8, 16, 32, 64])
    pairs = batch * prompt * (prompt + 1) / 2
    seconds = noisy(roofline.prefill_attention_s(pairs, heads, 256.0, 1e15, truth, batch * prompt))
    full = np.full_like
    rows = AttentionRows(
        batch, prompt, heads, heads / 8, full(batch, 128), full(batch, 2), 0 * batch, seconds
    )
    fit = kernel_fits.fit_kernel(
        kernel_models.prefill_kernels(), kernel_models.prefill_sample(rows, SHEET)
    )
    assert_close(fit.constants, truth)


@pytest.mark.parametrize("floor", [1, 32])
def test_experts(floor: int) -> None:
    truth = Experts(
        compute_share=0.4,
        memory_share=0.8,
        launch_s=3e-5,
        min_rows_per_expert=floor,
        sharpness=2,
        row_bytes=6.0,
    )
    tokens, experts, ep = grid([2.0**i for i in range(14)], [128, 256, 384], [1, 2, 4, 8])
    hidden, inner, top_k = 4096.0, 1536.0, 8.0
    routed, touched = expert_models.busiest_device(
        tokens, np.full_like(tokens, top_k), experts, ep, 0.0
    )
    moved = touched * 3 * hidden * inner * kernel_models.WEIGHT_BYTES["w4a16"]
    memory = roofline.gemm_memory_s(moved, 3e12, truth)
    compute = roofline.experts_compute_s(routed, touched, 6 * hidden * inner, 1e15, truth)
    passes = roofline.row_pass_s(tokens, top_k, hidden, 3e12, truth)
    full = np.full_like
    rows = ExpertRows(
        tokens=tokens,
        hidden=full(tokens, hidden),
        inner=full(tokens, inner),
        top_k=full(tokens, top_k),
        experts=experts,
        tp=np.ones_like(ep),
        ep=ep,
        imbalance=np.zeros_like(ep),
        seconds=noisy(roofline.gemm_s(memory, compute, truth) + passes),
    )
    fit = kernel_fits.fit_kernel(
        expert_models.experts_kernels(), expert_models.experts_sample(rows, "w4a16", SHEET)
    )
    assert_close(fit.constants, truth)


def test_skewed_routing_loads_one_device_more_and_touches_fewer() -> None:
    tokens, top_k, experts, ep = (np.array([value]) for value in (64.0, 8.0, 128.0, 8.0))
    even_rows, even_touched = expert_models.busiest_device(tokens, top_k, experts, ep, 0.0)
    rows, touched = expert_models.busiest_device(tokens, top_k, experts, ep, 1.2)
    assert even_rows == pytest.approx(64.0)
    assert even_touched == pytest.approx(16.0)
    assert rows > even_rows
    assert touched < even_touched


def test_collective() -> None:
    truth = Collective(latency_s=4e-6, latency_per_doubling_s=5e-7, bandwidth_share=0.65)
    devices, size = grid([2, 4, 8], [2.0**i for i in range(8, 29)])
    seconds = np.array(
        [
            float(interconnect.all_reduce_s(s, int(d), 4.5e11, truth))
            for d, s in zip(devices, size, strict=True)
        ]
    )
    rows = CollectiveRows(devices, size, seconds)
    fit = kernel_fits.fit_kernel(
        kernel_models.collective_kernels(), kernel_models.collective_sample(rows, SHEET)
    )
    assert_close(fit.constants, truth, tolerance=0.01)


def test_two_devices_share_constants() -> None:
    truth = Gemm(compute_share=0.7, memory_share=0.8, launch_s=5e-6, min_rows=16, sharpness=4)
    parts = []
    for bandwidth in (2e12, 5e12):
        m, n, k = grid([2.0**i for i in range(14)], [2048, 8192], [2048, 4096, 8192])
        memory = roofline.gemm_memory_s(2.0 * n * k + 2.0 * m * (n + k), bandwidth, truth)
        compute = roofline.gemm_compute_s(m, n, k, 1e15, truth)
        rows = GemmRows(m, n, k, roofline.gemm_s(memory, compute, truth))
        sheet = kernel_models.Datasheet({"bf16": 1e15}, bandwidth)
        parts.append(kernel_models.gemm_sample(rows, "bf16", sheet))
    fit = kernel_fits.fit_kernel(kernel_models.gemm_kernels("bf16"), kernel_fits.join(parts))
    assert_close(fit.constants, truth, tolerance=0.01)


def test_absent_tables_name_the_extra(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"advisor\[kernels\]"):
        KernelTables(tmp_path / "nowhere")


def test_written_constants_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tomli_w")
    made = Efficiency(
        schema=1,
        id="test",
        fitted=dt.date(2026, 11, 23),
        evidence="calibrated",
        because="test",
        source=(write.SOURCE,),
        measured_devices=("h100-sxm",),
        gemm={"bf16": Gemm(compute_share=0.81234, memory_share=0.8, launch_s=1.23456e-6)},
        decode_attention=DecodeAttention(memory_share=0.8, launch_s=0.0, per_sequence_head_s=0.0),
        prefill_attention=PrefillAttention(compute_share=0.5, launch_s=1e-5),
        elementwise=kernel_models.ELEMENTWISE,
    )
    path = efficiency_toml.write_family(made, tmp_path)
    read = msgspec.toml.decode(path.read_bytes(), type=Efficiency)
    assert read.gemm["bf16"].compute_share == pytest.approx(0.812)
    assert read.gemm["bf16"].launch_s == pytest.approx(1.23e-6)
    assert read.collective is None


@pytest.fixture(scope="module")
def tables() -> KernelTables:
    pytest.importorskip("pyarrow")
    try:
        return KernelTables(tables_root())
    except MissingDataError as error:
        pytest.skip(error.message)


def test_real_tables_give_sane_constants(tables: KernelTables) -> None:
    sheet = kernel_models.Datasheet({"bf16": 989.4e12, "fp8": 1979e12}, 3.35e12, 4.5e11)
    rows = tables.gemm("h100-sxm", "vllm")["bf16"]
    fit = kernel_fits.fit_kernel(
        kernel_models.gemm_kernels("bf16"), kernel_models.gemm_sample(rows, "bf16", sheet)
    )
    assert 0.6 < fit.constants.compute_share < 0.95
    assert 0.6 < fit.constants.memory_share < 1.0
    assert 1e-6 < fit.constants.launch_s < 1e-5
    assert fit.held_out < 0.1


def test_all_reduces_of_an_engine_come_before_the_family_ones():
    device = get_device("h100-sxm")
    family = read_efficiency("hopper")
    own = efficiency_for(device, "trtllm").efficiency.collective
    assert own == family.engine_collective["trtllm"] != family.collective
    assert efficiency_for(device, "vllm").efficiency.collective == family.collective
