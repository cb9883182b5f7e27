"""Generators and readers against the published traces, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from advisor.catalogue.read import decode
from advisor.schema.traffic import Requests
from advisor.schema.workload import Workload
from advisor.traffic.generate import generate
from advisor.traffic.trace import TraceOptions
from advisor.traffic.traces import read_trace

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ADVISOR_SHARED", ROOT / ".." / "shared"))
TRACES = SHARED / "traces"
LOGS = SHARED / "groundtruth" / "vllm_logs"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="traces not at hand")
needs_logs = pytest.mark.skipif(not LOGS.is_dir(), reason="logs not at hand")


def real(name: str, **options: object) -> Requests:
    return read_trace(TRACES / name, options=TraceOptions(**options)).requests  # type: ignore[arg-type]


def made(text: str, seed: int = 0) -> Requests:
    return generate(decode(text, Workload, "s.toml"), seed)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sample Kolmogorov-Smirnov distance."""
    both = np.sort(np.concatenate([first, second]))
    a, b = (np.searchsorted(np.sort(x), both, side="right") / len(x) for x in (first, second))
    return float(np.abs(a - b).max())


def dispersion(arrival_s: np.ndarray, window_s: float) -> float:
    counts, _ = np.histogram(arrival_s, np.arange(0.0, arrival_s[-1], window_s))
    return float(counts.var() / counts.mean())


@needs_traces
@pytest.mark.parametrize(
    ("file", "preset", "limit"),
    [
        ("azure2023/AzureLLMInferenceTrace_conv.csv", "chat", 0.015),
        ("azure2023/AzureLLMInferenceTrace_code.csv", "code-completion", 0.04),
        ("mooncake/synthetic_trace.jsonl", "document-qa", 0.03),
        (
            "mooncake/conversation_trace.jsonl",
            'long-chat"\nturns = 1.0\nshared_prefix_tokens = 0\n#',
            0.03,
        ),
    ],
)
def test_preset_lengths_are_those_of_the_trace(file, preset, limit):
    trace = real(file)
    text = f'requests_per_s = 5\nrequests = 60000\n[[class]]\nname = "a"\npreset = "{preset}"\n'
    requests = made(text)
    assert distance(trace.input_tokens, requests.input_tokens) < limit
    assert distance(trace.output_tokens, requests.output_tokens) < limit
    total = requests.input_tokens + requests.output_tokens
    # Independent draws of the two would be 0.2 off on the conversation trace.
    assert distance(trace.input_tokens + trace.output_tokens, total) < limit


@needs_traces
def test_code_gaps_are_those_of_the_trace():
    trace = real("azure2023/AzureLLMInferenceTrace_code.csv")
    rate = (len(trace) - 1) / trace.duration_s
    text = f'requests_per_s = {rate}\nrequests = 60000\narrivals = "code"\n'
    gaps = np.diff(made(text + '[[class]]\nname = "a"\npreset = "code"\n').arrival_s)
    assert distance(np.diff(trace.arrival_s), gaps) < 0.02
    poisson = np.random.default_rng(0).exponential(1 / rate, 60000)
    assert distance(np.diff(trace.arrival_s), poisson) > 0.5


@needs_traces
def test_conversation_arrivals_are_those_of_the_trace():
    trace = real("azure2023/AzureLLMInferenceTrace_conv.csv")
    rate = (len(trace) - 1) / trace.duration_s
    text = f'requests_per_s = {rate}\nduration_s = 35000\narrivals = "conversation"\n'
    arrival = made(text + '[[class]]\nname = "a"\npreset = "chat"\n').arrival_s
    assert distance(np.diff(trace.arrival_s), np.diff(arrival)) < 0.04
    for window in (1.0, 10.0):
        assert dispersion(arrival, window) == pytest.approx(
            dispersion(trace.arrival_s, window), rel=0.25
        )


@needs_traces
def test_azure_2023_as_published():
    trace = read_trace(TRACES / "azure2023" / "AzureLLMInferenceTrace_conv.csv")
    requests = trace.requests
    assert (trace.format, len(requests), trace.rejected_count) == ("azure", 19366, 0)
    assert requests.duration_s == pytest.approx(3501.7, abs=0.1)
    assert requests.input_tokens.mean() == pytest.approx(1154.7, abs=0.01)
    gaps = np.diff(requests.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0942, abs=1e-4)


@needs_traces
def test_mooncake_batches_are_false_bursts():
    spread = read_trace(TRACES / "mooncake" / "conversation_trace.jsonl")
    assert spread.spread_batches
    assert spread.requests.block_tokens == 512
    assert len(spread.requests.block_ids) == 288_500
    raw = real("mooncake/conversation_trace.jsonl", spread_batches=False)
    assert dispersion(raw.arrival_s, 1.0) == pytest.approx(7.9, abs=0.1)
    assert dispersion(spread.requests.arrival_s, 1.0) < 1.5
    assert dispersion(spread.requests.arrival_s, 60.0) == pytest.approx(3.0, abs=0.5)
    assert not read_trace(TRACES / "mooncake" / "synthetic_trace.jsonl").spread_batches


@needs_traces
def test_servegen_windows_give_their_rate():
    options = TraceOptions(model="deepseek-r1", window_s=(0.0, 3600.0))
    requests = read_trace(TRACES / "servegen" / "client_windows.csv.gz", options=options).requests
    # Six windows of the summed rates: 14.86 to 21.33 requests/s.
    assert len(requests) / 3600 == pytest.approx(19.31, rel=0.03)
    assert requests.duration_s < 3600
    again = read_trace(TRACES / "servegen" / "client_windows.csv.gz", options=options).requests
    assert np.array_equal(requests.arrival_s, again.arrival_s)
    assert np.array_equal(requests.output_tokens, again.output_tokens)


@needs_logs
@pytest.mark.parametrize("folder", sorted(LOGS.glob("*")) if LOGS.is_dir() else [])
def test_engine_logs(folder):
    trace = read_trace(folder)
    assert (trace.format, len(trace.requests), trace.rejected_count) == ("vllm-log", 300, 0)
    assert np.isfinite(trace.ttft_s).all()
    assert (trace.e2e_s >= trace.ttft_s).all()
    assert 0.01 < np.nanmean(trace.tpot_s) < 0.2
