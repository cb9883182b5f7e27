"""Check ``advisor bench`` and ``advisor estimate --hw local`` against llama.cpp on this machine.

``python benchmarks/bench_against_llama_cpp.py MODEL.gguf [threads] [python]`` measures the machine,
runs the model with llama-cpp-python, measures the machine again, and prints one JSON line a
metric: measured and estimated tokens/s, the error and the limit it is held to. All within about a
minute, so that both see the same machine. ``python`` is an interpreter that can import llama_cpp,
if this one can't. A missing module or file ends it with one line and exit code 0 (skipped); an
error above its limit with exit code 1; a machine too busy to measure with exit code 3.

llama.cpp reads a prompt of 256 tokens in one batch, and generates 64 tokens from an empty context,
each the median of five runs: what llama-bench calls pp256 and tg64.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPT_TOKENS, OUTPUT_TOKENS, RUNS = 256, 64, 5
LIMITS = {"decode": 0.20, "prefill": 0.30}
"""Largest errors that pass, relative to what was measured."""
WORKER = """
import ctypes, json, statistics, sys, time
import llama_cpp as l
path, threads, prompt, output, runs = sys.argv[1], *map(int, sys.argv[2:])
quiet = l.llama_log_callback(lambda level, text, data: None)
l.llama_log_set(quiet, ctypes.c_void_p(0))
l.llama_backend_init()
asked = l.llama_model_default_params()
asked.n_gpu_layers = 0
model = l.llama_model_load_from_file(path.encode(), asked)
params = l.llama_context_default_params()
params.n_ctx = prompt + output
params.n_batch = params.n_ubatch = prompt
params.n_threads = params.n_threads_batch = threads
context = l.llama_init_from_model(model, params)
memory = l.llama_get_memory(context)

def feed(count):
    tokens = (l.llama_token * count)(*range(1000, 1000 + count))
    if l.llama_decode(context, l.llama_batch_get_one(tokens, count)):
        sys.exit("llama_decode failed")
    l.llama_synchronize(context)

def rate(steps, count):
    l.llama_memory_clear(memory, True)
    start = time.perf_counter()
    for _ in range(steps):
        feed(count)
    return steps * count / (time.perf_counter() - start)

rate(1, prompt), rate(8, 1)
found = {"prefill": [rate(1, prompt) for _ in range(runs)],
         "decode": [rate(output, 1) for _ in range(runs)]}
print(json.dumps(found))
"""


def skip(why: str) -> None:
    print(f"skipped: {why}")
    sys.exit(0)


def llama_speed(python: str, model: Path, threads: int) -> dict[str, list[float]]:
    """Return tokens/s of every run, by metric."""
    sizes = [str(n) for n in (threads, PROMPT_TOKENS, OUTPUT_TOKENS, RUNS)]
    command = [python, "-c", WORKER, str(model), *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def advisor(*options: str) -> str:
    """Run the command and return what it prints; its refusals end this script."""
    command = (sys.executable, "-c", "from advisor.cli.main import main; main()", *options)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip() or done.stdout.strip())
        sys.exit(done.returncode)
    return done.stdout


def estimated(model: Path) -> dict[str, float]:
    """Return the tokens/s that the measured profile predicts."""
    common = ("--hw", "local", "--model", str(model), "--engine", "llama.cpp", "--json")
    load = ("--isl", str(PROMPT_TOKENS), "--osl", "1", "--concurrency", "1")
    prompt: dict[str, Any] = json.loads(advisor("estimate", *common, *load))
    load = ("--isl", "1", "--osl", str(OUTPUT_TOKENS), "--concurrency", "1")
    answer: dict[str, Any] = json.loads(advisor("estimate", *common, *load))
    return {
        "prefill": PROMPT_TOKENS / prompt["result"]["prefill"]["time_s"]["value"],
        "decode": 1.0 / answer["result"]["decode"]["time_s"]["value"],
    }


def compare(estimates: list[dict[str, float]], found: dict[str, list[float]]) -> bool:
    """Print one line a metric and return whether all pass."""
    middle: Callable[[list[float]], float] = lambda v: sorted(v)[len(v) // 2]  # noqa: E731
    passed = True
    for metric, limit in LIMITS.items():
        measured = middle(found[metric])
        predicted = sum(e[metric] for e in estimates) / len(estimates)
        error = predicted / measured - 1.0
        passed = passed and abs(error) <= limit
        line = {
            "name": metric,
            "measured_tokens_per_s": round(measured, 2),
            "lowest": round(min(found[metric]), 2),
            "highest": round(max(found[metric]), 2),
            "estimated_tokens_per_s": [round(e[metric], 2) for e in estimates],
            "error": round(error, 4),
            "limit": limit,
        }
        print(json.dumps(line), flush=True)
    return passed


def main() -> None:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        skip("give a GGUF file")
    model = Path(sys.argv[1]).resolve()
    available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(8)
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else len(available)
    python = sys.argv[3] if len(sys.argv) > 3 else sys.executable
    if subprocess.run(
        [python, "-c", "import llama_cpp"], check=False, capture_output=True
    ).returncode:
        skip(f"{python} can't import llama_cpp: pip install llama-cpp-python")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        print(advisor("bench", "--quick", "--unit", "cpu"), file=sys.stderr)
        estimates = [estimated(model)]
        found = llama_speed(python, model, threads)
        advisor("bench", "--quick", "--unit", "cpu")
        estimates.append(estimated(model))
    sys.exit(0 if compare(estimates, found) else 1)


if __name__ == "__main__":
    main()
