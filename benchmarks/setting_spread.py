"""Estimate how far a model's published scores lie apart between sources.

    python benchmarks/setting_spread.py DATE

For each benchmark: every two values of one model from different rows (same stage and mode, not
quantised, same version; equal values are taken for copies of one measurement and counted once)
differ by d; the standard deviation is the median of |d| over 0.954, its value for normal errors,
each model with the same weight. The median, because a few rows differ in more than the setting.
Left out: majorities of many tries, and rows that don't name the mode of a model that can reason.
Written to advisor/quality/setting_spread.toml.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from advisor.quality.fit import weighted_quantile
from advisor.quality.scores import PERCENT, all_rows, is_quantised, stage, task_score

OUT = Path(__file__).resolve().parent.parent / "advisor" / "quality" / "setting_spread.toml"
LEAST_MODELS = 3
VOTING = re.compile(r"cons@|maj@|best@|avg@|attempts", re.IGNORECASE)
MEDIAN_OF_DIFFERENCE = 0.9539
"""Median of |x - y| of two standard normals."""


def spread(groups: list[np.ndarray]) -> float:
    apart, weights = [], []
    for g in groups:
        first, second = np.triu_indices(len(g), 1)
        apart += list(np.abs(g[first] - g[second]))
        weights += [1 / len(first)] * len(first)
    return weighted_quantile(np.array(apart), np.array(weights), 0.5) / MEDIAN_OF_DIFFERENCE


def main(date: str) -> None:
    dt.date.fromisoformat(date)
    values: dict[tuple[str, str, str, bool, str], set[float]] = defaultdict(set)
    rows = [(file, row, task_score(file, row, "").thinking) for file, row in all_rows()]
    reasoning = {(file.model, row.benchmark) for file, row, thinks in rows if thinks}
    for file, row, thinks in rows:
        unnamed = row.variant.startswith("unspecified") and (file.model, row.benchmark) in reasoning
        if row.unit != PERCENT or is_quantised(row) or unnamed or VOTING.search(row.setting):
            continue
        version = "".join(re.findall(r"version [\w .-]+", row.variant))
        values[row.benchmark, file.model, stage(row), thinks, version].add(row.score)
    by_benchmark: dict[str, list[np.ndarray]] = defaultdict(list)
    for key, scores in sorted(values.items()):
        if len(scores) > 1:
            by_benchmark[key[0]].append(np.array(sorted(scores)))
    lines = [
        "# Spread of a model's published scores between sources, in points. Written by",
        "# benchmarks/setting_spread.py, which says how; models with one value don't count.",
        "schema = 1",
        f"fitted = {date}",
        "spread = [",
    ]
    for name, groups in sorted(by_benchmark.items()):
        if len(groups) < LEAST_MODELS:
            continue
        sd = spread(groups)
        count = sum(len(g) for g in groups)
        numbers = f"sd = {sd:.2f}, models = {len(groups)}, values = {count}"
        lines.append(f'  {{ benchmark = "{name}", {numbers} }},')
    lines.append("]")
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
