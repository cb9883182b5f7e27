"""Result files of every tool become overlays, and overlays make estimates ``measured``."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from advisor.calibration.bench_files import MAX_BENCH_BYTES, read_bench
from advisor.calibration.bench_point import BenchPoint
from advisor.calibration.overlay import Import, Options, import_bench
from advisor.calibration.overlay_fit import configurations, split
from advisor.calibration.overlay_points import case_of, predict_case, steady_cost
from advisor.calibration.overlay_write import overlay_folder, to_toml, write_overlay
from advisor.catalogue.overlay import read_overlays
from advisor.catalogue.read import decode
from advisor.catalogue.widths import width
from advisor.cli.main import main
from advisor.errors import AdvisorError, InfeasibleError, InvalidFileError, UsageError
from advisor.estimator.placement import place
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult
from advisor.estimator.run import estimate_point
from advisor.estimator.setup import resolve
from advisor.perf.load import Profile, closed_loop
from advisor.report.estimate_text import estimate_text
from advisor.report.explain import explain_text
from advisor.schema.overlay import Overlay, Reach

DAY = dt.date(2026, 11, 23)
FACTOR = 1.25
ASKED = EstimateRequest(model="qwen3-4b", hw="h100", engine="vllm", precision="bf16")


def llama(**more: Any) -> dict[str, Any]:
    return {
        "build_commit": "abc123",
        "build_number": 6000,
        "cpu_info": "AMD EPYC 7742 64-Core Processor",
        "gpu_info": "NVIDIA GeForce RTX 4090",
        "backends": "CUDA",
        "model_filename": "models/Qwen3-4B-Q4_K_M.gguf",
        "model_type": "qwen3 4B Q4_K - Medium",
        "n_gpu_layers": 99,
        "n_threads": 8,
        "n_prompt": 512,
        "n_gen": 0,
        "n_depth": 0,
        "test_time": "2026-11-20T10:00:00Z",
        "avg_ts": 9000.0,
        "stddev_ts": 90.0,
        **more,
    }


def vllm(**more: Any) -> dict[str, Any]:
    return {
        "date": "20261120-101500",
        "endpoint_type": "vllm",
        "backend": "vllm",
        "label": None,
        "model_id": "Qwen/Qwen3-4B",
        "tokenizer_id": "Qwen/Qwen3-4B",
        "num_prompts": 160,
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": 16,
        "duration": 20.0,
        "completed": 160,
        "failed": 0,
        "total_input_tokens": 160_000,
        "total_output_tokens": 48_000,
        "request_throughput": 8.0,
        "request_goodput": None,
        "output_throughput": 2000.0,
        "total_token_throughput": 8000.0,
        "mean_ttft_ms": 100.0,
        "median_ttft_ms": 90.0,
        "mean_tpot_ms": 7.5,
        "median_tpot_ms": 7.4,
        "mean_itl_ms": 7.5,
        "p99_ttft_ms": 200.0,
        **more,
    }


def sglang(**more: Any) -> dict[str, Any]:
    return {
        "tag": None,
        "backend": "sglang",
        "dataset_name": "random",
        "request_rate": "inf",
        "max_concurrency": 8,
        "random_input_len": 1000,
        "random_output_len": 300,
        "random_range_ratio": 0.8,
        "server_info": {"model_path": "Qwen/Qwen3-4B"},
        "duration": 20.0,
        "completed": 80,
        "total_input_tokens": 72_000,
        "total_output_tokens": 21_600,
        "request_throughput": 4.0,
        "input_throughput": 3600.0,
        "output_throughput": 1100.0,
        "total_throughput": 4700.0,
        "mean_e2e_latency_ms": 1900.0,
        "mean_ttft_ms": 80.0,
        "mean_tpot_ms": 6.6,
        "mean_itl_ms": 6.6,
        "concurrency": 7.9,
        **more,
    }


def metric(avg: float, unit: str) -> dict[str, Any]:
    return {"unit": unit, "avg": avg, "p50": avg, "p99": avg * 2, "std": 0.0, "count": 80}


def aiperf(**more: Any) -> dict[str, Any]:
    return {
        "schema_version": "1.4",
        "aiperf_version": "0.13.0",
        "request_throughput": metric(4.0, "requests/sec"),
        "request_latency": metric(2000.0, "ms"),
        "request_count": metric(80, "requests"),
        "time_to_first_token": metric(80.0, "ms"),
        "inter_token_latency": metric(6.5, "ms"),
        "output_token_throughput": metric(1200.0, "tokens/sec"),
        "output_sequence_length": metric(300, "tokens"),
        "input_sequence_length": metric(1000, "tokens"),
        "input_config": {"endpoint": {"model_names": ["Qwen/Qwen3-4B"]}},
        "start_time": "2026-11-20T10:00:00",
        **more,
    }


def genai() -> dict[str, Any]:
    found = aiperf(input_config={"model_names": ["Qwen/Qwen3-4B"], "stimulus": {"concurrency": 8}})
    return {k: v for k, v in found.items() if k not in ("schema_version", "aiperf_version")}


def guide(mean: float) -> dict[str, Any]:
    one = {"mean": mean, "median": mean, "percentiles": {"p001": mean}}
    return {"successful": one, "incomplete": one, "errored": {}, "total": one}


def guidellm() -> dict[str, Any]:
    run = {
        "type_": "generative_benchmark",
        "config": {"backend": {"model": "Qwen/Qwen3-4B"}},
        "scheduler_metrics": {"requests_made": {"successful": 80, "total": 81}},
        "metrics": {
            "requests_per_second": guide(4.0),
            "request_concurrency": guide(7.8),
            "request_latency": guide(2.0),
            "prompt_token_count": guide(1000),
            "output_token_count": guide(300),
            "time_to_first_token_ms": guide(80.0),
            "time_per_output_token_ms": guide(6.8),
            "inter_token_latency_ms": guide(6.5),
            "output_tokens_per_second": guide(1200.0),
        },
        "start_time": 1_795_000_000.0,
    }
    return {"metadata": {"version": 2, "guidellm_version": "0.8.1"}, "benchmarks": [run]}


def llmperf() -> dict[str, Any]:
    return {
        "model": "Qwen/Qwen3-4B",
        "mean_input_tokens": 1000,
        "stddev_input_tokens": 10,
        "mean_output_tokens": 300,
        "num_concurrent_requests": 8,
        "results_ttft_s_mean": 0.08,
        "results_inter_token_latency_s_mean": 0.0068,
        "results_end_to_end_latency_s_mean": 2.0235,
        "results_number_input_tokens_mean": 1000.0,
        "results_number_output_tokens_mean": 300.0,
        "results_mean_output_throughput_token_per_s": 1200.0,
        "num_completed_requests": 80,
    }


def request_line(number: int) -> dict[str, Any]:
    start = 1_795_000_000_000_000_000 + (number // 8) * 2_000_000_000
    return {
        "metadata": {
            "session_num": number,
            "request_start_ns": start,
            "request_end_ns": start + 2_000_000_000,
            "was_cancelled": False,
        },
        "metrics": {
            "input_sequence_length": {"value": 1000, "unit": "tokens"},
            "output_sequence_length": {"value": 300, "unit": "tokens"},
            "time_to_first_token": {"value": 80.0, "unit": "ms"},
            "inter_token_latency": {"value": 6.5, "unit": "ms"},
        },
        "error": None,
    }


CSV = """Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std
Time to First Token (ms),80.00,1,2,3,4,5,6,7,8,9,10,11,12,0
Request Latency (ms),"2,000.00",1,2,3,4,5,6,7,8,9,10,11,12,0
Inter Token Latency (ms),6.50,1,2,3,4,5,6,7,8,9,10,11,12,0
Output Sequence Length (tokens),300.00,1,2,3,4,5,6,7,8,9,10,11,12,0
Input Sequence Length (tokens),"1,000.00",1,2,3,4,5,6,7,8,9,10,11,12,0

Metric,Value
Output Token Throughput (tokens/sec),"1,200.00"
Request Throughput (requests/sec),4.00
Request Count (requests),80.00
"""


def write(folder: Path, content: object, name: str = "result") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def lines(*entries: object) -> str:
    return "\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries) + "\n"


SERVING = {
    "vllm": (vllm(max_concurrency=8, num_prompts=80, completed=160, mean_tpot_ms=6.5,
                  mean_ttft_ms=80.0), "vllm bench serve"),
    "sglang": (sglang(total_input_tokens=80_000, total_output_tokens=24_000, mean_tpot_ms=6.5),
               "sglang bench_serving"),
    "aiperf": (aiperf(), "aiperf"),
    "genai-perf": (genai(), "genai-perf"),
    "aiperf csv": (CSV, "genai-perf"),
    "aiperf requests": (lines(*(request_line(n) for n in range(80))), "aiperf"),
    "guidellm": (guidellm(), "guidellm"),
    "llmperf": (llmperf(), "llmperf"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVING)
def test_every_serving_tool_is_read(name, tmp_path):
    content, tool = SERVING[name]
    file = read_bench(write(tmp_path, content))
    (point,) = file.points
    assert (file.bad, point.tool) == ((), tool)
    assert (point.isl, point.osl, point.concurrency) == (1000, 300, 8)
    assert point.ttft_s == pytest.approx(0.08)
    assert point.tpot_s == pytest.approx(0.0065)
    assert point.requests == 80
    assert not point.lone


@pytest.mark.parametrize(
    "form", [json.dumps, lambda e: json.dumps(e, indent=1), lambda e: lines(*e)]
)
def test_llama_bench_is_read(form, tmp_path):
    both = [llama(), llama(n_prompt=0, n_gen=128, avg_ts=180.0, n_depth=64)]
    prompt, answer = read_bench(write(tmp_path, form(both))).points
    assert prompt.prefill_tok_per_s == 9000
    assert prompt.repeat == pytest.approx(0.01)
    assert (answer.decode_tok_per_s, answer.depth, answer.osl) == (180, 64, 128)
    assert (prompt.device, prompt.format) == ("NVIDIA GeForce RTX 4090", "q4_k_m")
    assert (prompt.engine, prompt.threads, prompt.version) == ("llama.cpp", 8, "6000")
    assert prompt.date == dt.date(2026, 11, 20)


def test_without_a_gpu_layer_the_processor_is_the_device(tmp_path):
    (point,) = read_bench(write(tmp_path, [llama(n_gpu_layers=0)])).points
    assert point.device.startswith("AMD EPYC")


def test_a_rate_without_concurrency_is_an_open_loop(tmp_path):
    entry = vllm(request_rate=4.0, max_concurrency=None)
    (point,) = read_bench(write(tmp_path, entry)).points
    assert (point.rps, point.concurrency) == (4.0, None)


def test_an_infinite_rate_without_concurrency_is_a_burst(tmp_path):
    (point,) = read_bench(write(tmp_path, vllm(max_concurrency=None))).points
    assert (point.rps, point.concurrency) == (None, 160)


def test_detailed_lengths_are_kept(tmp_path):
    entry = vllm(input_lens=[900, 1100], output_lens=[300, 300], completed=2)
    (point,) = read_bench(write(tmp_path, entry)).points
    assert point.lengths == ((900, 300), (1100, 300))


def test_bad_lines_are_told_with_number_and_reason(tmp_path):
    text = lines(vllm(), "{broken", [1], {"other": 1}, vllm(completed=0), vllm(max_concurrency=4))
    file = read_bench(write(tmp_path, text))
    assert [p.line for p in file.points] == [1, 6]
    assert [b.line for b in file.bad] == [2, 3, 4, 5]
    assert "JSON" in file.bad[0].reason
    assert "other" in file.bad[2].reason
    assert "completed" in file.bad[3].reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("hello", "line 1"),
        ('{"a": 1,\n "b": }', "line 2"),
        ('[{"a": 1}\n{"b": 2}]', "line 2"),
        ("[", "line 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ("{}", "not a result"),
        ("[]", "empty"),
        ('{"benchmarks": [1, {}]}', "token counts"),
        ('{"n_prompt": 512, "n_gen": 0, "avg_ts": NaN}', "avg_ts"),
        ('{"n_prompt": 512, "n_gen": 128, "avg_ts": 5}', "-pg"),
        ("[" + "9" * 5000 + "]", "not valid JSON"),
        (json.dumps(vllm(total_input_tokens=1e400)), "total_input_tokens"),
        (json.dumps(aiperf(request_throughput={}, input_config=None)), "concurrency"),
    ],
)
def test_wrong_files_are_refused_with_the_place(text, told, tmp_path):
    with pytest.raises(InvalidFileError, match=told):
        read_bench(write(tmp_path, text))


def test_missing_binary_and_large_files_are_refused(tmp_path):
    with pytest.raises(InvalidFileError, match="can't be read"):
        read_bench(tmp_path / "none.json")
    (tmp_path / "b").write_bytes(b"\x80\x04\x95pickle")
    with pytest.raises(InvalidFileError, match="not UTF-8"):
        read_bench(tmp_path / "b")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BENCH_BYTES + 1)
    with pytest.raises(InvalidFileError, match="larger than"):
        read_bench(tmp_path / "large")


def synthetic(loads=(1, 4, 16, 32, 64, 128), factor=FACTOR, isl=1000, osl=300, asked=ASKED) -> str:
    """A vLLM file as it would be if kernels took ``factor`` times their time."""
    setup = resolve(asked)
    layout = place(setup, asked)[0]
    base = steady_cost(setup)
    cost = msgspec.structs.replace(base, kernel_factor=base.kernel_factor * factor)
    found = []
    for load in loads:
        sent = 10 * load
        point = BenchPoint("x", isl=isl, osl=osl, concurrency=load, requests=sent)
        told = predict_case(case_of(point, setup, layout), cost)
        entry = vllm(
            num_prompts=sent,
            completed=sent,
            max_concurrency=load,
            total_input_tokens=sent * isl,
            total_output_tokens=sent * osl,
            mean_ttft_ms=told["ttft"] * 1e3,
            mean_tpot_ms=told["tpot"] * 1e3,
            output_throughput=told["throughput"],
        )
        found.append(entry)
    return lines(*found)


def run(folder: Path, text: str, **options: Any) -> tuple[Import, Path]:
    found = import_bench(
        write(folder, text), Options(**{"hw": "h100", "precision": "bf16", **options}), DAY
    )
    path = write_overlay(found.overlays[0].overlay, folder / "overlay.toml")
    return found, path


def ask(path: Path | None, **more: Any) -> EstimateResult:
    request = replace(ASKED, concurrency=16, overlay=str(path) if path else None)
    return estimate_point(replace(request, **more), DAY)


def truth(concurrency: int) -> tuple[float, float]:
    """TTFT and TPOT of the steady state if kernels took FACTOR times their time."""
    setup = resolve(ASKED)
    layout = place(setup, ASKED)[0]
    cost = msgspec.structs.replace(setup.cost, kernel_factor=setup.cost.kernel_factor * FACTOR)
    case = case_of(BenchPoint("x", isl=1000, osl=300), setup, layout)
    budget = cost.step_tokens or setup.engine.scheduler.max_step_tokens.value
    profile = Profile(1000.0, 300.0, float(budget), 1000.0, cost=cost)
    load = closed_loop(case.model, profile, float(concurrency))
    return float(load.ttft_s), float(load.tpot_s)


@pytest.mark.parametrize("loads", [(16,), (4, 32), (1, 4, 16, 32, 64, 128)])
def test_a_known_kernel_factor_is_recovered(loads, tmp_path):
    found, path = run(tmp_path, synthetic(loads))
    (one,) = found.overlays
    ratio = one.overlay.fitted.kernel_factor / one.overlay.base.kernel_factor
    assert ratio == pytest.approx(FACTOR, rel=0.02)
    answer = ask(path, concurrency=loads[0]).asked
    ttft, tpot = truth(loads[0])
    assert answer.tpot_s is not None
    assert answer.ttft_s is not None
    assert answer.tpot_s.value == pytest.approx(tpot, rel=0.02)
    assert answer.ttft_s.value == pytest.approx(ttft, rel=0.02)
    assert {answer.tpot_s.evidence, answer.ttft_s.evidence} == {"measured"}
    assert answer.requests_per_s.evidence == "measured"
    assert answer.tpot_s.because.key == "because_measured"


def test_held_out_errors_fall(tmp_path):
    found, _ = run(tmp_path, synthetic())
    (one,) = found.overlays
    assert (one.outcome.held_out, one.outcome.fitted_on) == (2, 4)
    for error in one.overlay.error:
        assert error.held_out == 2
        assert error.after < 0.02 < error.before
        usual = width(error.metric, "calibrated", "gpu", "dense")
        assert 0.05 <= error.q80 < usual.q80


def test_every_third_configuration_is_held_out(tmp_path):
    setup = resolve(ASKED)
    layout = place(setup, ASKED)[0]
    points = [BenchPoint("x", isl=9, osl=9, concurrency=c, line=c) for c in (8, 1, 2, 4, 2)]
    groups = configurations([case_of(p, setup, layout) for p in points])
    rest, held = split(groups)
    assert [c.point.concurrency for c in held] == [2, 2]
    assert [c.point.concurrency for c in rest] == [1, 4, 8]
    assert split(groups[:2])[1] == []


def test_few_configurations_hold_nothing_out_and_narrow_nothing(tmp_path):
    found, _ = run(tmp_path, synthetic((4, 32)))
    (one,) = found.overlays
    assert one.outcome.held_out == 0
    tpot = next(e for e in one.overlay.error if e.metric == "tpot")
    assert tpot.before is None
    assert tpot.q80 == pytest.approx(width("tpot", "calibrated", "gpu", "dense").q80, abs=1e-4)


def test_repeats_that_scatter_widen_the_range(tmp_path):
    text = synthetic((1, 4, 16, 32, 64, 128))
    noisy = json.loads(text.splitlines()[2])
    noisy["mean_tpot_ms"] *= 1.5
    found, _ = run(tmp_path, text + json.dumps(noisy))
    tpot = next(e for e in found.overlays[0].overlay.error if e.metric == "tpot")
    assert tpot.q80 > 0.2


@pytest.mark.parametrize(
    ("more", "label"),
    [
        ({"concurrency": 128}, "measured"),
        ({"concurrency": 190}, "measured"),
        ({"concurrency": 250}, "calibrated"),
        ({"isl_tokens": 1400}, "measured"),
        ({"isl_tokens": 8000}, "calibrated"),
        ({"osl_tokens": 2000}, "calibrated"),
        ({"precision": "fp8"}, "calibrated"),
        ({"kv_precision": "fp8"}, "calibrated"),
        ({"tp": 2}, "calibrated"),
        ({"model": "8B"}, "calibrated"),
        ({"hw": "h20"}, "extrapolated"),
        ({"hw": "h200"}, "calibrated"),
    ],
)
def test_only_what_was_measured_is_called_so(more, label, tmp_path):
    _, path = run(tmp_path, synthetic())
    tpot = ask(path, **more).asked.tpot_s
    assert tpot.evidence == label
    if label != "measured":
        usual = width("tpot", label, "gpu", "dense").q80
        assert tpot.high80 / tpot.value >= 2.718281828**usual * (1 - 1e-9)


def test_siblings_get_half_of_the_correction(tmp_path):
    _, path = run(tmp_path, synthetic())
    plain, ours = ask(None, model="8B").asked, ask(path, model="8B").asked
    ratio = ours.tpot_s.value / plain.tpot_s.value
    assert 1.0 < ratio < FACTOR**0.5 + 0.01
    assert ours.tpot_s.because.key == "because_sibling_model"


@pytest.mark.parametrize(
    "more", [{"engine": "sglang"}, {"hw": "a100"}, {"model": "8B", "hw": "h20"}]
)
def test_strangers_are_left_alone_and_told(more, tmp_path):
    _, path = run(tmp_path, synthetic())
    plain, ours = ask(None, **more), ask(path, **more)
    assert ours.asked == plain.asked
    assert "warn_no_overlay" in [w.key for w in ours.warnings]
    assert "overlay" not in ours.data


def test_options_left_open_are_those_measured(tmp_path):
    _, path = run(tmp_path, synthetic())
    answer = ask(path, engine=None, precision=None)
    assert (answer.engine_id, answer.precision) == ("vllm", "bf16")
    assert answer.asked.tpot_s.evidence == "measured"
    assert "default_measured" in [d.key for d in answer.defaults]
    assert answer.data["overlay"].startswith("qwen3-4b--h100-sxm--vllm--bf16-tp1 ")
    assert "measured with vllm bench serve on 2026-11-20" in estimate_text(answer)
    assert "bf16" in explain_text(answer)


def test_the_same_file_gives_the_same_overlay(tmp_path):
    text = synthetic()
    first, path = run(tmp_path, text)
    before = path.read_bytes()
    again, path = run(tmp_path, text)
    assert path.read_bytes() == before
    assert first.overlays[0].overlay == again.overlays[0].overlay
    assert ask(path) == ask(path)


def test_no_overlay_no_change(tmp_path):
    assert ask(None).asked.tpot_s.evidence == "calibrated"
    assert "overlay" not in ask(None).data


def test_constants_that_changed_since_make_an_overlay_stale(tmp_path):
    found, path = run(tmp_path, synthetic())
    old = msgspec.structs.replace(found.overlays[0].overlay, constants="0" * 12)
    write_overlay(old, path)
    answer = ask(path)
    assert answer.asked.tpot_s.evidence == "calibrated"
    assert "warn_stale_overlay" in [w.key for w in answer.warnings]


def test_of_several_overlays_the_nearest_counts(tmp_path):
    run(tmp_path, synthetic())
    other = replace(ASKED, model="8B")
    text = synthetic(factor=0.8, asked=other).replace("Qwen/Qwen3-4B", "Qwen/Qwen3-8B")
    found = import_bench(
        write(tmp_path, text), Options(hw="h100", precision="bf16", model="8B"), DAY
    )
    write_overlay(found.overlays[0].overlay, tmp_path / "a.toml")
    assert len(read_overlays(tmp_path)) == 2
    assert ask(tmp_path).data["overlay"].startswith("qwen3-4b--")
    assert not ask(tmp_path, model="8B").data["overlay"].startswith("qwen3-4b--")
    assert ask(tmp_path, model="8B").asked.tpot_s.evidence == "measured"


def test_llama_bench_measures_prompts_and_steps(tmp_path):
    entries = [llama(n_prompt=n, avg_ts=r) for n, r in ((512, 9000.0), (1024, 8800.0))]
    entries += [llama(n_prompt=0, n_gen=128, avg_ts=170.0)]
    found = import_bench(write(tmp_path, entries), Options(), DAY)
    (one,) = found.overlays
    target = one.overlay.target
    assert (target.model, target.device) == ("qwen3-4b", "rtx-4090")
    assert (target.engine, target.precision) == ("llama.cpp", "q4_k_m")
    path = write_overlay(one.overlay, tmp_path / "o.toml")
    answer = estimate_point(
        EstimateRequest(model="4B", hw="rtx-4090", isl_tokens=512, osl_tokens=128, concurrency=1,
                        overlay=str(path)), DAY,
    )  # fmt: skip
    assert answer.engine_id == "llama.cpp"
    assert 1.0 / answer.asked.tpot_s.value == pytest.approx(170.0, rel=0.05)
    assert 512 / answer.prefill.time_s.value == pytest.approx(9000.0, rel=0.1)
    assert answer.asked.tpot_s.evidence == "measured"
    assert answer.prefill.time_s.evidence == "measured"
    assert sum(answer.decode.parts_s.values()) == pytest.approx(answer.decode.time_s.value)


def test_several_deployments_in_one_file(tmp_path):
    entries = [llama(), llama(model_filename="Qwen3-4B-Q8_0.gguf")]
    found = import_bench(write(tmp_path, entries), Options(), DAY)
    assert [o.overlay.target.precision for o in found.overlays] == ["q4_k_m", "q8_0"]


@pytest.mark.parametrize(
    ("entry", "options", "error", "told"),
    [
        (vllm(), {}, UsageError, "give --hw"),
        (vllm(model_id=""), {"hw": "h100"}, UsageError, "give --model"),
        (vllm(model_id="who/knows-9"), {"hw": "h100"}, UsageError, "who/knows-9"),
        (vllm(model_id="../../etc"), {"hw": "h100"}, UsageError, "give --model"),
        (llama(gpu_info="Voodoo 2"), {}, UsageError, "Voodoo 2"),
        (vllm(), {"hw": "h100", "engine": "llama.cpp", "precision": "fp8"}, InfeasibleError, "fp8"),
        (vllm(model_id="Qwen/Qwen3-235B-A22B"), {"hw": "l4", "tp": 1}, InfeasibleError, "fit"),
        (vllm(mean_ttft_ms=0, median_ttft_ms=0, mean_tpot_ms=0, median_tpot_ms=0,
              output_throughput=0), {"hw": "h100"}, InvalidFileError, "nothing of the file"),
    ],
)  # fmt: skip
def test_what_is_missing_is_asked_for(entry, options, error, told, tmp_path):
    with pytest.raises(error, match=told):
        import_bench(write(tmp_path, entry), Options(**options), DAY)


def test_an_eight_bit_name_says_the_format(tmp_path):
    text = json.dumps(vllm(model_id="Qwen/Qwen3-4B-FP8"))
    (one,) = import_bench(write(tmp_path, text), Options(hw="h100"), DAY).overlays
    assert one.overlay.target.precision == "fp8"
    assert [t.key for t in one.assumed] == ["default_layout"]


def test_absurd_measurements_are_bounded_and_told(tmp_path):
    text = json.dumps(vllm(mean_tpot_ms=7500.0, mean_ttft_ms=100_000.0, output_throughput=2.0))
    (one,) = import_bench(write(tmp_path, text), Options(hw="h100"), DAY).overlays
    assert one.outcome.fit.at_bound


def test_an_overlay_reads_back_whatever_its_file_is_called(tmp_path):
    found, _ = run(tmp_path, synthetic((4,)))
    overlay = found.overlays[0].overlay
    source = msgspec.structs.replace(overlay.source, file='a"b\\c\n\x7f\x1b[0m名')
    odd = msgspec.structs.replace(overlay, source=source)
    assert decode(to_toml(odd), Overlay, "x") == odd


def test_broken_overlays_are_refused(tmp_path):
    _, path = run(tmp_path, synthetic((4,)))
    path.write_text(path.read_text().replace("isl_low = 1000.0", "isl_low = -1.0"))
    with pytest.raises(InvalidFileError, match="isl_low"):
        ask(path)
    with pytest.raises(InvalidFileError, match="can't be read"):
        ask(tmp_path / "none.toml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidFileError, match="no overlay"):
        ask(tmp_path / "empty")


def test_distance_counts_the_worst_side():
    reach = Reach(isl_low=100, isl_high=200, osl_low=10, osl_high=20, concurrency_low=1,
                  concurrency_high=8)  # fmt: skip
    assert reach.distance(150, 15, 4) == 1.0
    assert reach.distance(50, 15, 4) == 2.0
    assert reach.distance(150, 60, 16) == 3.0
    assert reach.distance(150, 15) == 1.0


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["advisor", *words])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_and_the_default_folder(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("ADVISOR_OVERLAYS", raising=False)
    file = write(tmp_path, synthetic())
    words = ("import-bench", str(file), "--hw", "h100", "--precision", "bf16")
    assert call(monkeypatch, *words, "--date", "2026-11-23") == 0
    told = capsys.readouterr().out
    assert "2 configurations held out" in told
    assert "tpot:" in told
    (path,) = overlay_folder().glob("*.toml")
    assert call(monkeypatch, *words, "--lang", "zh") == 0
    assert "留出" in capsys.readouterr().out
    assert list(overlay_folder().glob("*")) == [path]
    asked = ("estimate", "--model", "4B", "--hw", "h100", "--concurrency", "16", "--json")
    assert call(monkeypatch, *asked, "--overlay", str(path.parent)) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["result"]["tpot_s"]["evidence"] == "measured"
    assert body["data"]["overlay"]
    monkeypatch.setenv("ADVISOR_OVERLAYS", str(path))
    assert call(monkeypatch, *asked) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["result"] == body["result"]


def test_the_command_as_json_and_its_refusals(monkeypatch, capsys, tmp_path):
    file = write(tmp_path, json.dumps([llama(), llama(model_filename="Qwen3-4B-Q8_0.gguf")]))
    out = tmp_path / "o.toml"
    assert call(monkeypatch, "import-bench", str(file), "-o", str(out)) == 2
    assert "2 deployments" in capsys.readouterr().err
    assert call(monkeypatch, "import-bench", str(file), "-o", str(tmp_path), "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert len(body["overlays"]) == 2
    assert all(Path(o["path"]).is_file() for o in body["overlays"])
    one = write(tmp_path, json.dumps([llama()]), "one")
    assert call(monkeypatch, "import-bench", str(one), "-o", str(tmp_path / "x.json")) == 2
    assert call(monkeypatch, "import-bench", str(tmp_path / "none")) == 4
    assert call(monkeypatch, "import-bench", str(one), "-o", str(one / "x.toml")) == 2
    assert issubclass(UsageError, AdvisorError)
