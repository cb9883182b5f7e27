"""Predicted against measured quality of every pair of a per-question table.

    python benchmarks/pair_quality.py FILE.csv.gz [--benchmark NAME]

FILE has a column ``<model>|correct`` of 0 and 1 for each model. Every ordered pair whose scores
differ by 2 points or more gives a CSV line: small, large, the shares both / only_large /
only_small / neither measured and predicted, and the accuracy measured and predicted when the top
30 % by a router of AUC 0.7 go to the large model. The last line is the mean absolute difference
over these five numbers and all pairs, in points of 100.

The prediction sees the two scores of the pair and the constants of
advisor/quality/dependence.toml, nothing else; the file's name is not looked at. ``--benchmark
gsm`` (math-l5, crux) takes that benchmark's own constants instead of the pooled ones.

The measured router is simulated on the table: each question gets a standard normal draw, plus
sqrt(2) Phi^-1(0.7) if only the large model answers it (so that such a question outranks any
other with chance 0.7); the 30 % with the highest scores take the large model's answer, the
others the small one's. The accuracy is the mean over 200 such draws, the same for every pair
(seed 0). The predicted one is advisor.quality.routing.route on the predicted shares.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from advisor.quality.fit import CHECK_ESCALATED, CHECK_ROUTER, LEAST_DIFFERENCE
from advisor.quality.joint import JointShares, measured_shares
from advisor.quality.outcomes import read_correctness
from advisor.quality.pairs import predict_pair
from advisor.quality.routing import route

DRAWS = 200
SEED = 0
SHARES = ("both", "only_large", "only_small", "neither")
HEAD = ["small", "large"]
HEAD += [f"{name}_{kind}" for kind in ("measured", "predicted") for name in SHARES]
HEAD += ["routed_measured", "routed_predicted"]


def routed_accuracy(
    small: NDArray[np.bool_], large: NDArray[np.bool_], noise: NDArray[np.float64]
) -> float:
    """Mean accuracy over the draws when the top share of questions goes to the large model."""
    score = noise + math.sqrt(2) * float(ndtri(CHECK_ROUTER.auc)) * (large & ~small)
    sent = round(CHECK_ESCALATED * small.size)
    top = np.argpartition(-score, sent - 1, axis=1)[:, :sent]
    gain = large.astype(np.int64) - small
    return float(small.mean() + gain[top].sum(axis=1).mean() / small.size)


def row(
    small: NDArray[np.bool_],
    large: NDArray[np.bool_],
    noise: NDArray[np.float64],
    benchmark: str,
) -> tuple[JointShares, JointShares, float, float]:
    measured = measured_shares(small, large)
    predicted = predict_pair(float(small.mean()), float(large.mean()), benchmark).shares
    will = route(CHECK_ROUTER, predicted, CHECK_ESCALATED).accuracy
    return measured, predicted, routed_accuracy(small, large, noise), will


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--benchmark", default="")
    arguments = parser.parse_args()
    table = read_correctness(arguments.file)
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, len(table.right)))
    accuracy = table.accuracy
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(HEAD)
    errors: list[float] = []
    for i, j in np.argwhere(accuracy[None, :] - accuracy[:, None] >= LEAST_DIFFERENCE - 1e-12):
        small, large = table.right[:, i], table.right[:, j]
        measured, predicted, routed, will = row(small, large, noise, arguments.benchmark)
        left = [*measured.values, routed]
        right = [*predicted.values, will]
        errors += [abs(a - b) for a, b in zip(left, right, strict=True)]
        numbers = [*measured.values, *predicted.values, routed, will]
        out.writerow([table.models[i], table.models[j], *(f"{x:.5f}" for x in numbers)])
    if not errors:
        sys.exit("no pair of models differs by 2 points or more")
    print(f"mean_abs_points {100 * sum(errors) / len(errors):.3f}")


if __name__ == "__main__":
    main()
