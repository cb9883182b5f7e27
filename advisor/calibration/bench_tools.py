"""What each benchmark tool writes, read into one kind of record; times become seconds.

Means are read where a tool states them, else medians. What "time per output token" means differs:
vLLM, SGLang and AIPerf leave the first token out; GuideLLM's ``inter_token_latency_ms``
does, its ``time_per_output_token_ms`` doesn't; LLMPerf divides by all output tokens, so its
TPOT is worked out from the whole latency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean

from advisor.calibration.bench_point import (
    BenchPoint,
    Entry,
    UnusableError,
    day,
    deep,
    need,
    number,
    part,
    scaled,
    text_of,
)

_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "": 1e-3}
MAX_LENGTHS = 20_000


def is_llama_bench(entry: Entry) -> bool:
    """Tell whether an entry is a test of llama-bench."""
    return {"n_prompt", "n_gen", "avg_ts"} <= entry.keys()


def llama_bench(entry: Entry) -> list[BenchPoint]:
    """Read a test of ``llama-bench -o json`` or ``jsonl``: prompts alone, or answers alone."""
    prompt, answer = number(entry, "n_prompt") or 0.0, number(entry, "n_gen") or 0.0
    if bool(prompt) == bool(answer):
        msg = "a test of prompt and answer together (-pg) doesn't tell them apart"
        raise UnusableError(msg)
    rate, scatter = need(entry, "avg_ts"), number(entry, "stddev_ts") or 0.0
    file = text_of(entry, "model_filename").replace("\\", "/").rpartition("/")[2]
    gpu = bool(number(entry, "n_gpu_layers")) and text_of(entry, "gpu_info")
    return [
        BenchPoint(
            tool="llama-bench",
            model=file.removesuffix(".gguf"),
            device=text_of(entry, "gpu_info" if gpu else "cpu_info"),
            engine="llama.cpp",
            format=_gguf_format(file) or _gguf_format(text_of(entry, "model_type")),
            isl=prompt,
            osl=answer,
            requests=1,
            prefill_tok_per_s=rate if prompt else None,
            decode_tok_per_s=rate if answer else None,
            depth=int(number(entry, "n_depth") or 0),
            repeat=min(scatter / rate, 1.0),
            threads=int(number(entry, "n_threads") or 0) or None,
            version=str(entry.get("build_number") or text_of(entry, "build_commit"))[:40],
            date=day(entry.get("test_time")),
        )
    ]


def _gguf_format(text: str) -> str:
    match = re.search(r"(?i)(?:^|[-_. ])((?:IQ|Q)\d(?:_\w+?)?|BF16|F16|F32|MXFP4)(?=[-. ]|$)", text)
    if match is None:
        return ""
    name = match.group(1).lower()
    return "q4_k_m" if name == "q4_k" else {"f16": "fp16", "f32": "fp32"}.get(name, name)


def is_sglang(entry: Entry) -> bool:
    """Tell whether an entry is a run of SGLang's ``bench_serving``."""
    return "mean_ttft_ms" in entry and ("mean_e2e_latency_ms" in entry or "server_info" in entry)


def is_vllm(entry: Entry) -> bool:
    """Tell whether an entry is a run of ``vllm bench serve``."""
    return not is_sglang(entry) and (
        {"mean_ttft_ms", "total_output_tokens"} <= entry.keys() or "median_ttft_ms" in entry
    )


_ENGINES = (("sglang", "sglang"), ("trt", "trtllm"), ("tensorrt", "trtllm"), ("lmdeploy",) * 2)


def _engine(backend: str, usual: str) -> str:
    known = (*_ENGINES, ("vllm", "vllm"))
    return next((engine for word, engine in known if backend.startswith(word)), usual)


def _lengths(entry: Entry) -> tuple[tuple[int, int], ...]:
    prompts, answers = entry.get("input_lens"), entry.get("output_lens")
    if not isinstance(prompts, list) or not isinstance(answers, list):
        return ()
    pairs = list(zip(prompts, answers, strict=False))[:MAX_LENGTHS]
    good = all(isinstance(v, int) and 0 < v < 10**8 for pair in pairs for v in pair)
    return tuple(pairs) if good and len(prompts) == len(answers) else ()


def _serving(entry: Entry, tool: str, usual: str) -> list[BenchPoint]:
    done = need(entry, "completed")
    sent = int(number(entry, "num_prompts") or done)
    rate, clients = number(entry, "request_rate"), number(entry, "max_concurrency")
    if rate is None and clients is None:
        # Everything is sent at once.
        clients = float(sent)
    return [
        BenchPoint(
            tool=tool,
            model=text_of(entry, "model_id", "model", "model_path")
            or text_of(part(entry, "server_info"), "model_path"),
            engine=_engine(text_of(entry, "backend", "endpoint_type"), usual),
            isl=need(entry, "total_input_tokens") / done,
            osl=need(entry, "total_output_tokens") / done,
            concurrency=None if clients is None else max(round(clients), 1),
            rps=rate if clients is None else None,
            requests=sent,
            low_share=min(number(entry, "random_range_ratio") or 1.0, 1.0)
            if tool == "sglang bench_serving"
            else 1.0,
            lengths=_lengths(entry),
            ttft_s=scaled(number(entry, "mean_ttft_ms", "median_ttft_ms"), 1e-3),
            tpot_s=scaled(number(entry, "mean_tpot_ms", "median_tpot_ms"), 1e-3),
            output_tok_per_s=number(entry, "output_throughput"),
            date=day(entry.get("date")),
        )
    ]


def vllm(entry: Entry) -> list[BenchPoint]:
    """Read a run of ``vllm bench serve --save-result``."""
    return _serving(entry, "vllm bench serve", "vllm")


def sglang(entry: Entry) -> list[BenchPoint]:
    """Read a run of SGLang's ``bench_serving --output-file``."""
    return _serving(entry, "sglang bench_serving", "sglang")


def is_aiperf(entry: Entry) -> bool:
    """Tell whether an entry is an export of AIPerf or genai-perf."""
    return isinstance(entry.get("request_throughput"), dict) and bool(
        part(entry, "time_to_first_token") or part(entry, "request_latency")
    )


def _metric(entry: Entry, key: str) -> float | None:
    return number(part(entry, key), "avg", "p50")


def _metric_s(entry: Entry, key: str) -> float | None:
    unit = str(part(entry, key).get("unit") or "")
    return scaled(_metric(entry, key), _SECONDS.get(unit, 1e-3))


def aiperf(entry: Entry) -> list[BenchPoint]:
    """Read an AIPerf or genai-perf export; without a stated load, Little's law gives it."""
    asked = entry.get("input_config")
    rate = _metric(entry, "request_throughput")
    latency = _metric_s(entry, "request_latency")
    clients = number({"n": deep(asked, "concurrency")}, "n")
    arrivals = number({"n": deep(asked, "request_rate")}, "n")
    if clients is None and arrivals is None:
        if rate is None or latency is None:
            msg = "neither a concurrency nor request_throughput and request_latency"
            raise UnusableError(msg)
        clients = rate * latency
    names = deep(asked, "model_names") or deep(asked, "model")
    name = names[0] if isinstance(names, list) and names else names
    isl, osl = (_metric(entry, f"{k}_sequence_length") for k in ("input", "output"))
    if isl is None or osl is None:
        msg = "no input_sequence_length or output_sequence_length"
        raise UnusableError(msg)
    return [
        BenchPoint(
            tool="aiperf" if "aiperf_version" in entry else "genai-perf",
            version=text_of(entry, "aiperf_version"),
            model=name if isinstance(name, str) else "",
            isl=isl,
            osl=osl,
            concurrency=None if clients is None else max(round(clients), 1),
            rps=arrivals if clients is None else None,
            requests=int(_metric(entry, "request_count") or 0),
            ttft_s=_metric_s(entry, "time_to_first_token"),
            tpot_s=_metric_s(entry, "inter_token_latency"),
            output_tok_per_s=_metric(entry, "output_token_throughput"),
            date=day(entry.get("start_time")),
        )
    ]


def is_guidellm(entry: Entry) -> bool:
    """Tell whether an entry is a GuideLLM report."""
    return isinstance(entry.get("benchmarks"), list)


def guidellm(entry: Entry) -> list[BenchPoint]:
    """Read a GuideLLM report: a point for each of its benchmarks that measured something."""
    found = []
    version = text_of(part(entry, "metadata"), "guidellm_version")
    for run in entry["benchmarks"]:
        metrics = part(run, "metrics") if isinstance(run, dict) else {}

        def mean(name: str, metrics: Entry = metrics) -> float | None:
            return number(part(part(metrics, name), "successful"), "mean", "median")

        isl, osl = mean("prompt_token_count"), mean("output_token_count")
        clients = mean("request_concurrency")
        if isl is None or osl is None or clients is None:
            continue
        model = deep(run.get("config"), "model") or deep(entry.get("config"), "model")
        counts = part(part(run, "scheduler_metrics"), "requests_made")
        found.append(
            BenchPoint(
                tool="guidellm",
                version=version,
                model=model if isinstance(model, str) else "",
                isl=isl,
                osl=osl,
                concurrency=max(round(clients), 1),
                requests=int(number(counts, "successful") or 0),
                ttft_s=scaled(mean("time_to_first_token_ms"), 1e-3),
                tpot_s=scaled(mean("inter_token_latency_ms"), 1e-3),
                output_tok_per_s=mean("output_tokens_per_second"),
                date=day(run.get("start_time")),
            )
        )
    if not found:
        msg = "no benchmark states token counts and request_concurrency"
        raise UnusableError(msg)
    return found


def is_llmperf(entry: Entry) -> bool:
    """Tell whether an entry is an LLMPerf summary."""
    return "num_concurrent_requests" in entry and "results_ttft_s_mean" in entry


def llmperf(entry: Entry) -> list[BenchPoint]:
    """Read an LLMPerf summary; TPOT from the whole latency without the first token."""
    isl = need(entry, "results_number_input_tokens_mean", "mean_input_tokens")
    osl = need(entry, "results_number_output_tokens_mean", "mean_output_tokens")
    ttft, whole = (
        number(entry, "results_ttft_s_mean"),
        need(entry, "results_end_to_end_latency_s_mean"),
    )
    decoding = whole - ttft if ttft else None
    return [
        BenchPoint(
            tool="llmperf",
            model=text_of(entry, "model"),
            isl=isl,
            osl=osl,
            concurrency=round(need(entry, "num_concurrent_requests")),
            requests=int(number(entry, "num_completed_requests", "num_requests_started") or 0),
            ttft_s=ttft,
            tpot_s=decoding / (osl - 1.0) if decoding and decoding > 0 and osl > 1 else None,
            output_tok_per_s=number(entry, "results_mean_output_throughput_token_per_s")
            or number(entry, "mean_output_throughput_token_per_s"),
            date=day(entry.get("timestamp")),
        )
    ]


READERS: tuple[tuple[Callable[[Entry], bool], Callable[[Entry], list[BenchPoint]]], ...] = (
    (is_llama_bench, llama_bench),
    (is_guidellm, guidellm),
    (is_llmperf, llmperf),
    (is_aiperf, aiperf),
    (is_sglang, sglang),
    (is_vllm, vllm),
)
"""The first whose keys an entry has reads it."""


_REQUEST_METRICS = (
    "input_sequence_length",
    "output_sequence_length",
    "time_to_first_token",
    "inter_token_latency",
)


def is_request(entry: Entry) -> bool:
    """Tell whether an entry is one request of AIPerf's ``profile_export.jsonl``."""
    return "request_start_ns" in part(entry, "metadata") and "metrics" in entry


def requests_together(entries: Sequence[tuple[int, Entry]]) -> list[BenchPoint]:
    """Add up the requests of one AIPerf run; failed and cancelled ones don't count."""
    rows = [e for _, e in entries if not e.get("error") and not e["metadata"].get("was_cancelled")]
    good: list[tuple[int, int, float, float]] = []
    firsts: list[float] = []
    gaps: list[float] = []
    for row in rows:
        metrics, meta = part(row, "metrics"), row["metadata"]
        start, end = meta.get("request_start_ns"), meta.get("request_end_ns")
        isl, osl, first, gap = (number(part(metrics, name), "value") for name in _REQUEST_METRICS)
        if isinstance(start, int) and isinstance(end, int) and end > start and isl and osl:
            good.append((start, end, isl, osl))
            firsts += [first] if first else []
            gaps += [gap] if gap else []
    if not good:
        msg = "no finished request states its times and token counts"
        raise UnusableError(msg)
    good.sort()
    whole_s = (max(g[1] for g in good) - good[0][0]) / 1e9
    busy_s = sum(end - start for start, end, *_ in good) / 1e9
    return [
        BenchPoint(
            tool="aiperf",
            isl=fmean(g[2] for g in good),
            osl=fmean(g[3] for g in good),
            concurrency=max(round(busy_s / whole_s), 1),
            requests=len(good),
            lengths=tuple((round(g[2]), round(g[3])) for g in good[:MAX_LENGTHS]),
            ttft_s=fmean(firsts) * 1e-3 if firsts else None,
            tpot_s=fmean(gaps) * 1e-3 if gaps else None,
            output_tok_per_s=sum(g[3] for g in good) / whole_s,
            date=day(good[0][0] / 1e9),
        )
    ]
