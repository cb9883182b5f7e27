"""The same requests through this simulator and through others, side by side.

Reads a folder of ``arrived_at,num_prefill_tokens,num_decode_tokens`` files and a table of other
tools' results on them (milliseconds), and prints ours beneath theirs as CSV. The device is an
A100 80 GB with an 8B model and vLLM; files whose name says 16 requests a second ran on four
replicas, the others on one.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

COLUMNS = ("ttft_mean", "ttft_p50", "ttft_p99", "tpot_mean", "e2e_mean", "e2e_p50", "e2e_p99")
MS = 1e3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("table", type=Path, help="CSV of other tools' results")
    options.add_argument("requests", type=Path, help="folder of request files")
    options.add_argument("--model", default="llama-3.1-8b")
    options.add_argument("--hw", default="a100-sxm-80")
    options.add_argument("--precision", default="bf16")
    asked = options.parse_args()
    with asked.table.open(newline="", encoding="utf-8") as file:
        theirs = list(csv.DictReader(file))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("requests", "tool", *COLUMNS))
    for name in dict.fromkeys(row["requests"] for row in theirs):
        path = asked.requests / f"{name}.csv"
        if not path.is_file():
            continue
        for row in theirs:
            if row["requests"] == name:
                out.writerow((name, row["tool"], *(f"{float(row[c]):.1f}" for c in COLUMNS)))
        out.writerow((name, "advisor", *ours(path, asked)))


def ours(path: Path, asked: argparse.Namespace) -> list[str]:
    from advisor.schema.fleet import Fleet, ReplicaTier, Route
    from advisor.simulator.run import RunOptions, replay
    from advisor.traffic.traces import read_trace

    tier = ReplicaTier(
        name="server",
        model=asked.model,
        hw=asked.hw,
        precision=asked.precision,
        engine="vllm",
        tp=1,
        replicas=4 if "_q16_" in path.name else 1,
    )
    fleet = Fleet(tier=(tier,), route=Route(first="server"))
    result = replay(
        fleet, read_trace(path).requests, RunOptions(warm_up_requests=0, engine_side=True)
    )
    seen = result.latency
    if seen.ttft_s is None or seen.tpot_s is None or seen.e2e_s is None:
        return []
    figures = (
        *(getattr(seen.ttft_s, name).value for name in ("mean", "p50", "p99")),
        seen.tpot_s.mean.value,
        *(getattr(seen.e2e_s, name).value for name in ("mean", "p50", "p99")),
    )
    return [f"{value * MS:.1f}" for value in figures]


if __name__ == "__main__":
    main()
