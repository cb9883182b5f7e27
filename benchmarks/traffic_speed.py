"""How fast traffic is made and read: one JSON line a figure, seconds and peak memory.

``python benchmarks/traffic_speed.py [--requests N]`` generates N chat requests by several laws, and
reads traces of N lines, each in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from advisor.schema.workload import TrafficClass, Workload
from advisor.traffic.generate import generate
from advisor.traffic.traces import read_trace

LOADS = {
    "chat_poisson": {"preset": "chat"},
    "chat_conversation": {"preset": "chat", "arrivals": "conversation"},
    "chat_client_mix": {"preset": "chat", "client_mix": "servegen-m-large"},
    "long_chat_sessions": {"preset": "long-chat"},
}
FILES = ("azure", "azure-2024", "vidur", "burstgpt-3", "mooncake")
START = dt.datetime(2024, 5, 12, tzinfo=dt.UTC)


def rows(name: str, count: int) -> Iterator[str]:
    """Yield the lines of a made-up trace."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.exponential(0.02, count)).tolist()
    inputs, outputs = rng.integers(1, 4000, count).tolist(), rng.integers(1, 900, count).tolist()
    if name in ("azure", "azure-2024"):
        yield "TIMESTAMP,ContextTokens,GeneratedTokens"
    if name == "vidur":
        yield "arrived_at,num_prefill_tokens,num_decode_tokens"
    if name == "burstgpt-3":
        yield "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Log Type"
    for i, (t, a, b) in enumerate(zip(times, inputs, outputs, strict=True)):
        if name.startswith("azure"):
            zone = "+00:00" if name == "azure-2024" else "0"
            yield f"{START + dt.timedelta(seconds=t):%Y-%m-%d %H:%M:%S.%f}{zone},{a},{b}"
        elif name == "vidur":
            yield f"{t:.6f},{a},{b}"
        elif name == "burstgpt-3":
            yield f"{t:.0f},{i // 3},1.5,GPT-4,{a},{b},API log"
        else:
            ids = list(range(a // 512 + 1))
            yield json.dumps(
                {"timestamp": int(t * 1e3), "input_length": a, "output_length": b, "hash_ids": ids}
            )


def measure(figure: str, count: int, path: Path | None) -> None:
    """Time one figure and print it."""
    start, worked = time.perf_counter(), time.process_time()
    if path is None:
        load = dict(LOADS[figure])
        one = TrafficClass(name="a", preset=load.pop("preset"))
        made = generate(Workload(requests_per_s=50.0, requests=count, classes=(one,), **load))
    else:
        made = read_trace(path).requests
    found = {
        "figure": figure,
        "requests": len(made),
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(time.process_time() - worked, 3),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--only", help="one figure, in this process")
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.only:
        measure(options.only, options.requests, options.file)
        return
    command = [sys.executable, __file__, "--requests", str(options.requests)]
    for figure in LOADS:
        subprocess.run([*command, "--only", figure], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            path = Path(folder) / name
            with path.open("w") as file:
                file.writelines(f"{row}\n" for row in rows(name, options.requests))
            subprocess.run([*command, "--only", name, "--file", str(path)], check=True)
            path.unlink()


if __name__ == "__main__":
    main()
