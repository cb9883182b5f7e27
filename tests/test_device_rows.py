"""Reading measured rows, predicting them, and recovering known constants from synthetic ones."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from advisor.calibration import device_power
from advisor.calibration.device_classes import CLASSES, training
from advisor.calibration.device_fits import build, fit, leave_out, log_residuals, median_error
from advisor.calibration.device_formats import formats_of
from advisor.calibration.device_predict import (
    Predictor,
    choose_constants,
    engine_cost,
    predict,
    resolve_case,
    resolve_cases,
)
from advisor.calibration.device_rows import COLUMNS, DeviceRow, lower_bound, parse_rows, read_rows
from advisor.catalogue.devices import device_ids, efficiency_for, read_device
from advisor.catalogue.engines import default_engine
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.errors import InvalidFileError, MissingDataError
from advisor.schema.efficiency import PowerFile

ROOT = Path(__file__).resolve().parent.parent
FILE = (
    Path(os.environ.get("ADVISOR_GROUNDTRUTH", ROOT / ".." / "shared" / "groundtruth"))
    / "device.csv"
)
DEFAULTS = {
    "id": "r1",
    "device": "rtx-4090",
    "device_count": "1",
    "model": "llama-3-8b",
    "weight_format": "q4_k_m",
    "weight_bits": "4.85",
    "engine": "llama.cpp (May 2024)",
    "engine_family": "llama.cpp",
    "threads": "",
    "tp": "1",
    "batch_or_concurrency": "1",
    "input_len": "0",
    "output_len": "128",
    "metric": "decode_tok_s",
    "value": "100",
    "unit": "tok/s",
    "source": "github.com/example/benchmarks:README.md",
    "notes": "",
}


def row(**cells: str) -> DeviceRow:
    values = DEFAULTS | cells
    line = ",".join(f'"{values[name]}"' for name in COLUMNS)
    return parse_rows([",".join(COLUMNS), line])[0]


def test_reads_llama_bench_row():
    r = row()
    assert (r.metric, r.value, r.alone, r.problem) == ("decode", 100.0, True, "")
    assert (r.input_tokens, r.output_tokens, r.threads, r.unit) == (0, 128, None, "device")
    assert r.group == ("rtx-4090", "llama-3-8b", "llama.cpp")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"metric": "req_s"}, "not a figure this tool predicts"),
        ({"batch_or_concurrency": "inflight (max load)"}, "unknown concurrency"),
        ({"weight_format": "unknown", "weight_bits": ""}, "unknown weight format"),
        ({"metric": "ttft_ms", "input_len": "short"}, "unknown prompt length"),
        ({"metric": "output_tok_s", "output_len": "unknown"}, "unknown output length"),
        ({"batch_or_concurrency": "8", "output_len": "unknown"}, "unknown lengths"),
        ({"device": "hybrid-rtx4090+2x-epyc-9135"}, "several kinds of device at once"),
        ({"metric": "ttft_ms", "input_len": "4096", "notes": "TTFT upper bound"}, "scaled up"),
        ({"metric": "power_w", "notes": "PEAK WALL power"}, "wall"),
        (
            {"metric": "output_tok_s", "tp": "4", "notes": "value here = x TP (ambiguous)"},
            "multiplied by the devices once more",
        ),
    ],
)
def test_says_why_a_row_cannot_be_used(cells, reason):
    r = row(**cells)
    assert reason in r.problem
    with pytest.raises(MissingDataError, match="r1"):
        resolve_case(r)


def test_short_prompts_are_good_enough_for_decode():
    r = row(input_len="short", output_len="unknown")
    assert r.input_tokens is None
    assert r.problem == ""


@pytest.mark.parametrize(
    ("device", "family", "unit"),
    [
        ("snapdragon-8-gen-3-npu", "qnn-genie", "npu"),
        ("apple-m4-max-ane", "coreml", "npu"),
        ("snapdragon-8-gen-3-gpu", "litert-lm", "gpu"),
        ("jetson-agx-orin-cpu", "llama.cpp", "cpu"),
        ("apple-m4-max-40c", "mlx", "gpu"),
        ("snapdragon-8-gen-3-cpu", "executorch", "cpu"),
    ],
)
def test_unit_follows_suffix_and_engine(device, family, unit):
    assert row(device=device, engine_family=family).unit == unit


def test_external_gpus_and_throttled_runs_are_lower_bounds():
    assert lower_bound(row(notes="system: Pi 5 - 8GB (AMD RX 7600); backend GPU"))
    assert lower_bound(row(notes="sustained run, thermal throttling"))
    assert not lower_bound(row(notes="system: Ryzen 9 7900X; backend GPU"))


@pytest.mark.parametrize(
    ("cells", "bits", "kernel"),
    [
        ({"weight_format": "q4_k_m (ollama default, not restated)"}, 4.81, "q4_k"),
        ({"weight_format": "iq3_s", "weight_bits": "3.44"}, 3.44, "iq"),
        ({"weight_format": "q5_0", "weight_bits": "5.5"}, 5.5, "q5_k"),
        ({"weight_format": "Q4", "weight_bits": "", "engine_family": "mlx"}, 4.5, "w4a16"),
        ({"weight_format": "gptq-int8", "engine_family": "vllm"}, 8.125, "w8a16"),
        ({"weight_format": "awq-int4", "engine_family": "transformers"}, 4.25, "awq"),
        ({"weight_format": "int8", "weight_bits": "8.2", "engine_family": "mnn"}, 8.2, "w8a16"),
        (
            {"weight_format": "w2a16", "weight_bits": "", "engine_family": "t-mac"},
            2.0,
            "w2a16_table",
        ),
    ],
)
def test_weight_formats(cells, bits, kernel):
    weights, _ = formats_of(row(**cells))
    assert (weights.bits_per_weight, weights.gemm) == (bits, kernel)


def test_bad_files_name_line_and_column():
    with pytest.raises(InvalidFileError, match="missing columns device"):
        parse_rows(["id,model", "1,x"], "f.csv")
    bad = ",".join((DEFAULTS | {"value": "-3"})[name] for name in COLUMNS)
    with pytest.raises(InvalidFileError, match=r"f\.csv, line 2: value '-3'"):
        parse_rows([",".join(COLUMNS), bad], "f.csv")
    with pytest.raises(InvalidFileError, match="can't be read"):
        read_rows(Path("no-such-file.csv"))


def test_prediction_ignores_the_measured_value():
    case = resolve_case(row())
    other = dataclasses.replace(case, row=dataclasses.replace(case.row, value=7.0))
    assert predict(case)[0] == predict(other)[0]


def value(**cells: str) -> float:
    return predict(resolve_case(row(**cells)))[0]


def test_layer_split_adds_up_decode_and_overlaps_long_prompts():
    assert value(device_count="4") < value()
    prompt = {"metric": "prefill_tok_s", "input_len": "512", "output_len": "0"}
    assert value(**prompt, device_count="4") == pytest.approx(value(**prompt), rel=0.1)
    long = prompt | {"input_len": "4096"}
    assert value(**long, device_count="4") > 1.5 * value(**long)


def test_more_threads_help_until_memory_is_the_limit():
    cpu = {"device": "ryzen-9-7950x", "model": "llama-3.1-8b", "weight_format": "q8_0"}
    one, two, many, all_ = (value(**cpu, threads=t) for t in ("1", "2", "8", "16"))
    assert one < two <= many <= all_
    assert all_ < 16 * one


def test_longer_context_is_slower():
    assert value(output_len="8192") < value(output_len="512")


def test_every_profile_has_constants_under_its_default_engine():
    missing = []
    for name in device_ids():
        device = read_device(name)
        try:
            efficiency_for(device, default_engine(device.device_class).id)
        except MissingDataError:
            missing.append((name, device.architecture))
    assert not missing


def synthetic(spec_id: str, devices: tuple[str, ...], truth_scale: float):
    spec = next(spec for spec in CLASSES if spec.id == spec_id)
    truth = [c.start * truth_scale for c in spec.constants]
    cells = [
        {"device": device, "model": model, "weight_format": fmt, **kind}
        for device in devices
        for model in ("llama-2-7b", "qwen3-0.6b")
        for fmt in ("f16", "q4_0")
        for kind in (
            {"input_len": "0", "output_len": "128"},
            {"input_len": "0", "output_len": "8192"},
            {"metric": "prefill_tok_s", "input_len": "512", "output_len": "0"},
            {"metric": "prefill_tok_s", "input_len": "8192", "output_len": "0"},
        )
    ]
    cases = [resolve_case(row(id=f"s{i}", **c)) for i, c in enumerate(cells)]
    values = Predictor(cases).values(build(spec, truth))
    exact = [
        dataclasses.replace(case, row=dataclasses.replace(case.row, value=float(v)))
        for case, v in zip(cases, values, strict=True)
    ]
    return spec, truth, exact


def test_fit_recovers_the_constants_that_made_the_rows():
    devices = ("apple-m1-pro-16c", "apple-m2-ultra-76c", "apple-m4-max-40c")
    spec, truth, cases = synthetic("apple-gpu-llama-cpp", devices, 0.9)
    found = fit(dataclasses.replace(spec, prior=1e-3), cases)
    paths = [c.paths[0] for c in spec.constants]
    for path in ("gemm.bf16.memory_share", "gemm.q4_0.memory_share", "gemm.bf16.compute_share"):
        i = paths.index(path)
        assert found[i] == pytest.approx(truth[i], rel=0.02)
    left = leave_out(spec, cases, lambda case: case.device.id, found)
    assert len(left) == len(cases)
    assert median_error([x.off for x in left]) < 0.05


def test_residuals_have_one_sign_for_faster():
    case = resolve_case(row(metric="tpot_ms", value="10"))
    faster, slower = 5.0, 20.0
    off = log_residuals(np.array([faster, slower]), [case, case])
    assert off[0] > 0 > off[1]


def test_power_curve_recovers_and_file_reads():
    points = [
        device_power.PowerPoint("d", "a", ("d", f"m{i}", "vllm"), m, c, 0.4 + 0.3 * m + 1.5 * c)
        for i, (m, c) in enumerate([(0.1, 0.01), (0.8, 0.02), (0.5, 0.1), (0.3, 0.2), (0.6, 0.05)])
    ]
    assert device_power.fit_power(points) == pytest.approx([0.4, 0.3, 1.5], rel=0.02)
    record = read_record(data_dir("hwprofiles/efficiency") / "power.toml", PowerFile)
    assert {"hopper", "blackwell"} <= {a for p in record.power for a in p.architectures}


@pytest.mark.skipif(not FILE.is_file(), reason="measurements are not beside this checkout")
def test_measurements_on_file_resolve_and_meet_the_medians():
    rows = read_rows(FILE)
    cases, refused = resolve_cases(rows)
    assert len(cases) + len(refused) == len(rows)
    assert len(cases) > len(rows) // 2
    assert all(refused.values())
    limits = {"nvidia-ada-llama-cpp": 0.12, "apple-gpu-llama-cpp": 0.12, "phone-cpu": 0.2}
    for spec in CLASSES:
        own = [c for c in training(spec, cases) if c.row.metric == "decode"]
        if spec.id in limits:
            constants = choose_constants(own[0]).efficiency
            assert constants.id == spec.id
            off = log_residuals(Predictor(own).values(constants), own)
            assert median_error(off.tolist()) < limits[spec.id]


def test_a_speed_over_the_whole_time_counts_the_prompt():
    server = {"engine": "vllm 0.6.3", "engine_family": "vllm", "device": "a100-sxm-80gb"}
    cells = server | {"weight_format": "bf16", "weight_bits": "16", "input_len": "30720"}
    plain = resolve_case(row(**cells, output_len="2048"))
    note = "so it is generated tokens/total time (not blended)"
    whole = resolve_case(row(**cells, output_len="2048", notes=note))
    first = resolve_case(row(**cells, output_len="2048", metric="ttft_ms"))
    decode, blended, ttft_ms = (predict(c)[0] for c in (plain, whole, first))
    seconds = 2047 / decode + ttft_ms / 1e3 - engine_cost(first).per_request_s
    assert blended == pytest.approx(2048 / seconds, rel=1e-6)


def test_only_rows_that_say_everything_count_as_stated():
    assert row().stated
    for name in ("batch_or_concurrency", "output_len"):
        assert not row(**{name: "unknown"}).stated
    assert not row(weight_format="unknown").stated


def test_eight_bit_weights_run_unpacked_on_ampere_under_vllm_only():
    cells = {"device": "a100-sxm-80gb", "weight_format": "fp8", "weight_bits": "8"}
    case = resolve_case(row(**cells, engine="vllm 0.11.0", engine_family="vllm"))
    assert (case.weights.gemm, case.weights.compute) == ("w8a16", "bf16")
    assert case.weights.bits_per_weight == 8
    hopper = resolve_case(row(**cells | {"device": "h100-sxm-80gb"}, engine_family="vllm"))
    assert hopper.weights.compute == "fp8"
    with pytest.raises(MissingDataError, match="no fp8 peak"):
        predict(resolve_case(row(**cells, engine="tensorrt-llm 1.0.0", engine_family="trtllm")))


@pytest.mark.parametrize(
    ("engine", "device", "label"),
    [
        ("vllm 0.11.0", "h100-sxm-80gb", "calibrated"),
        ("vllm 0.11.0", "a100-sxm-80gb", "extrapolated"),
        ("vllm (undated)", "h100-sxm-80gb", "extrapolated"),
        ("vllm 0.4.2", "h100-sxm-80gb", "extrapolated"),
    ],
)
def test_calibrated_means_serving_was_measured(engine, device, label):
    cells = {"engine_family": "vllm", "weight_format": "bf16", "weight_bits": "16"}
    case = resolve_case(row(engine=engine, device=device, **cells))
    assert choose_constants(case).evidence == label


def test_pipelines_named_in_the_command_count():
    case = resolve_case(row(notes="python3 -m sglang.launch_server --pp-size 4"))
    assert case.layout.pp == 4
