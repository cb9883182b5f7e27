"""Fit the dependence of two models' answers and write advisor/quality/dependence.toml.

    python benchmarks/fit_pairs.py DATE FILE.csv.gz...

FILE is in the layout of ``<name>_per_question.csv.gz``. The pairs of ``measured_pairs.toml`` that
come from other benchmarks are never fitted: they test the fit ("outside").
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import numpy as np

from advisor.quality.fit import (
    Fitter,
    PairTable,
    left_out_errors,
    left_out_predictions,
    mean_points,
    pair_table,
    predicted_both,
    weighted_quantile,
    z_residuals,
)
from advisor.quality.outcomes import read_correctness
from advisor.quality.pairs import Constants, measured_pairs

OUT = Path(__file__).resolve().parent.parent / "advisor" / "quality" / "dependence.toml"
ALIASES = {"gsm": ("gsm8k",), "math-l5": ("math-level-5",), "crux": ("cruxeval",)}
SEEN = "zeroeval"


def outside_pairs() -> PairTable:
    rows = [row for row in measured_pairs().pair if row.source != SEEN]
    return PairTable(
        np.array([f"{row.benchmark} {row.source}" for row in rows]),
        np.array([row.small for row in rows]),
        np.array([row.large for row in rows]),
        np.array([row.small_accuracy for row in rows]),
        np.array([row.large_accuracy for row in rows]),
        np.array([row.shares.both for row in rows]),
    )


def constants_line(c: Constants) -> str:
    return f"{{ intercept = {c.intercept:.4f}, gap_slope = {c.gap_slope:.4f} }}"


def error_line(benchmark: str, kind: str, points: float) -> str:
    return f'  {{ benchmark = "{benchmark}", kind = "{kind}", points = {points} }},'


def rounded(c: Constants) -> Constants:
    return Constants(intercept=round(c.intercept, 4), gap_slope=round(c.gap_slope, 4))


def main(arguments: list[str]) -> None:
    date, *files = arguments
    dt.date.fromisoformat(date)
    tables = {
        Path(f).name.removesuffix("_per_question.csv.gz"): read_correctness(Path(f)) for f in files
    }
    pairs, outside = pair_table(tables), outside_pairs()
    fitter = Fitter(pairs)
    pooled = rounded(fitter.fit(np.ones(len(pairs), dtype=bool)))
    unseen = predicted_both(pooled, outside.small, outside.large)
    points = mean_points(outside.small, outside.large, outside.both, unseen)
    residuals = np.concatenate(
        [
            z_residuals(pairs, left_out_predictions(fitter, "benchmark")),
            z_residuals(outside, unseen),
        ]
    )
    names, index, counts = np.unique(
        np.concatenate([pairs.benchmark, outside.benchmark]),
        return_inverse=True,
        return_counts=True,
    )
    weights = 1 / counts[index]
    lines = [
        "# Dependence of two models' answers. Written by benchmarks/fit_pairs.py; method, limits:",
        "# docs/quality.md. Errors in points of 100, mean over four shares and router accuracy.",
        "schema = 1",
        f"fitted = {date}",
        f"pooled = {constants_line(pooled)}",
        f"z_low = {weighted_quantile(residuals, weights, 0.1):.4f}",
        f"z_high = {weighted_quantile(residuals, weights, 0.9):.4f}",
        "error = [",
    ]
    for error in left_out_errors(fitter):
        lines.append(error_line(error.benchmark, error.kind, error.points))
    by_name = np.unique(outside.benchmark)
    for name in by_name:
        mean = points[outside.benchmark == name].mean()
        slug = str(name).lower().replace(" ", "-")
        lines.append(error_line(slug, "outside", round(float(mean), 3)))
    lines.append("]")
    for name, table in tables.items():
        own = fitter.fit(pairs.benchmark == name)
        aliases = ", ".join(f'"{alias}"' for alias in ALIASES.get(name, ()))
        lines += [
            "",
            "[[benchmark]]",
            f'benchmark = "{name}"',
            f"aliases = [{aliases}]",
            f"constants = {constants_line(own)}",
            f"pairs = {(pairs.benchmark == name).sum()}",
            f"models = {len(table.models)}",
            f"questions = {len(table.right)}",
            f'source = "{SEEN}"',
        ]
    source = next(s for s in measured_pairs().source if s.id == SEEN)
    lines += ["", "[[source]]", f'id = "{SEEN}"', f'title = "{source.title}"']
    lines += [f'url = "{source.url}"', f"accessed = {source.accessed}"]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(pairs)} pairs, {len(names)} benchmarks; outside {points.mean():.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
