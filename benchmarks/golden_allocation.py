"""Least cost of allocation problems: ``golden_allocation.py CASES.json``.

Prints ``name cost seconds`` a line. A case gives GPUs with a price per hour and requests per
second on each bucket of lengths, and the share of each bucket in the total rate; a bucket
without a throughput on a GPU isn't served there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from advisor.optimizer.mix import solve
from advisor.optimizer.problem import MixProblem

GAP = 1e-9


def throughput(gpu: dict[str, Any], row: int, column: int) -> float:
    """Return the requests per second of one GPU on one bucket; 0 where the case gives none."""
    rows = gpu.get("tputs") or []
    if row >= len(rows) or not rows[row] or column >= len(rows[row]):
        return 0.0
    return float(rows[row][column] or 0.0)


def problem_of(case: dict[str, Any]) -> MixProblem:
    """Turn a case into numbers: one class a bucket, one pool and one option a GPU."""
    given = case.get("input", case)
    gpus, shares = given["gpu_info"], given["workload_distribution"]
    buckets = [(i, j) for i, row in enumerate(shares) for j in range(len(row)) if shares[i][j] > 0]
    demand = np.array([shares[i][j] for i, j in buckets]) * float(given["total_request_rate"])
    rates = np.array([[throughput(g, i, j) for i, j in buckets] for g in gpus.values()])
    count = len(gpus)
    return MixProblem(
        classes=tuple(f"{i},{j}" for i, j in buckets),
        options=tuple(gpus),
        pools=tuple(gpus),
        demand_per_s=demand[:, None],
        hours=np.ones(1),
        allowed=rates > 0,
        usd_per_request=np.zeros((count, len(buckets))),
        fixed_usd_per_month=np.array([float(g["cost"]) for g in gpus.values()]),
        scaled_usd_per_hour=np.full(count, np.inf),
        use_option=np.arange(count),
        use_pool=np.arange(count),
        use_s=np.divide(1.0, rates, out=np.zeros_like(rates), where=rates > 0),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    cases = json.loads(parser.parse_args().cases.read_text(encoding="utf-8"))
    solve(problem_of(cases[0]), gap=GAP)
    for case in cases:
        start = time.perf_counter()
        found = solve(problem_of(case), gap=GAP)
        seconds = time.perf_counter() - start
        cost = "infeasible" if found.usd_per_month is None else f"{found.usd_per_month:.9g}"
        print(case["name"], cost, f"{seconds:.3f}")


if __name__ == "__main__":
    main()
