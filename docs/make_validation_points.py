"""Write the points of the dashboard's validation figure from files of measurements.

Usage: python docs/make_validation_points.py SERVING.csv DEVICE.csv

One point a group (device, model): medians of predicted and measured. The measurements
themselves stay outside the repository.
"""

from __future__ import annotations

import csv
import datetime as dt
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import tomli_w

from advisor.calibration.points import POINTS
from advisor.calibration.validate import Line, validate_file

METRICS = {"tpot_ms": "tpot_ms", "decode_tok_s": "decode_tok_s", "prefill_tok_s": "prefill_tok_s"}


def groups(path: Path) -> dict[str, str]:
    """Return row id → "device · model"."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: f"{row['device']} · {row['model']}" for row in csv.DictReader(file)}


def points(path: Path, lines: list[Line]) -> list[dict[str, object]]:
    """Return the medians of each group and metric, sorted."""
    named = groups(path)
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line.metric in METRICS and line.measured and line.predicted:
            found[(line.metric, named[line.id])].append(line)
    return [
        {
            "metric": metric,
            "group": group,
            "rows": len(rows),
            "measured": float(f"{median(x.measured or 0 for x in rows):.4g}"),
            "predicted": float(f"{median(x.predicted or 0 for x in rows):.4g}"),
            "evidence": max((x.evidence for x in rows), key=[x.evidence for x in rows].count),
        }
        for (metric, group), rows in sorted(found.items())
    ]


def main(serving: Path, device: Path) -> None:
    """Validate both files and write their groups."""
    found = [p for path in (serving, device) for p in points(path, validate_file(path))]
    text = {"schema": 1, "made": dt.date.today(), "point": found}
    POINTS.write_text(tomli_w.dumps(text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
