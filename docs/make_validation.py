"""Write docs/validation.md and its figure from files of measurements.

Usage: python docs/make_validation.py SERVING.csv DEVICE.csv

The measurements themselves stay outside the repository; only errors are written.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from advisor.calibration.device_write import fit_all
from advisor.calibration.serving_fits import left_out, median_error
from advisor.calibration.serving_run import runs_of
from advisor.calibration.validate import (
    Line,
    Summary,
    refusals,
    refused_share,
    summary_rows,
    validate_file,
)
from advisor.catalogue.devices import efficiency_ids, read_efficiency
from advisor.catalogue.engine_costs import engine_cost_file
from advisor.catalogue.widths import width_file

HERE = Path(__file__).resolve().parent
SIZE, MARGIN = 640, 70
SHAPES = {"calibrated": "#0072B2", "extrapolated": "#E69F00", "estimated": "#CC79A7"}


def percent(value: float) -> str:
    """Return a share as a percentage."""
    return "–" if math.isnan(value) else f"{value * 100:.1f} %"


def summary_table(rows: Sequence[Summary]) -> list[str]:
    """Return a Markdown table of summaries."""
    lines = [
        "| what | rows | refused | median | mean | p90 | bias | in 80 % | in 95 % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in rows:
        numbers = (s.median_error, s.mean_error, s.p90_error, s.bias, s.coverage80, s.coverage95)
        cells = " | ".join(percent(v) for v in numbers)
        lines.append(f"| {s.name} | {s.rows} | {s.refused} | {cells} |")
    return lines


def era_table() -> list[str]:
    """Return the left-out errors of the engine eras."""
    lines = [
        "| era | runs | groups | TPOT | TTFT | throughput | TPOT in 80 % | TPOT in 95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for e in engine_cost_file().era:
        if not e.rows:
            continue
        errors = (e.left_out_tpot_error, e.left_out_ttft_error, e.left_out_throughput_error)
        cells = " | ".join(percent(v) for v in (*errors, e.left_out_in80, e.left_out_in95))
        lines.append(f"| {e.id} | {e.rows} | {e.groups} | {cells} |")
    return [*lines, *kind_rows()]


def kind_rows() -> list[str]:
    """Return the eras' figures averaged over runs, by kind of model."""
    lines = []
    for kind in ("dense", "moe"):
        eras = [e for e in engine_cost_file().era if e.kind == kind and e.rows]
        runs = sum(e.rows for e in eras)
        fields = ("tpot_error", "ttft_error", "throughput_error", "in80", "in95")
        means = [sum(e.rows * getattr(e, f"left_out_{f}") for e in eras) / runs for f in fields]
        cells = " | ".join(percent(v) for v in means)
        groups = sum(e.groups for e in eras)
        lines.append(f"| **{kind}**, mean of the medians by runs | {runs} | {groups} | {cells} |")
    return lines


def scheme_rows(path: Path) -> list[str]:
    """Return pooled errors of serving runs by what was left out of the fit together."""
    runs = runs_of(path)
    rows = [run.row for run in runs.counted.runs]
    kinds = np.array([row.kind for row in rows])
    schemes = {
        "device and model": None,
        "device, model and engine": [f"{r.device}/{r.model}/{r.engine}" for r in rows],
        "device": [r.device for r in rows],
        "model": [r.model for r in rows],
        "engine era": [era.id for era in runs.eras],
    }
    lines = [
        "| left out together | kind | runs | TPOT | TTFT | throughput |",
        "|---|---|---|---|---|---|",
    ]
    for name, groups in schemes.items():
        off = left_out(runs, None if groups is None else np.array(groups))
        for kind in ("dense", "moe"):
            here = kinds == kind
            cells = " | ".join(percent(median_error(off[here, c])) for c in range(3))
            lines.append(f"| {name} | {kind} | {here.sum()} | {cells} |")
    return lines


WHO = {
    "decode, one sequence": ("decode", ("",)),
    "decode, one sequence: GPUs and Apple": ("decode", ("nvidia", "rdna", "arc", "apple")),
    "decode, one sequence: phones and processors": ("decode", ("phone", "cpu")),
    "prefill: GPUs and Apple": ("prefill", ("nvidia", "rdna", "arc", "apple")),
    "prefill: phones and processors": ("prefill", ("phone", "cpu")),
}
"""Line of the table → metric and words in the names of the classes."""


def pooled_rows(device: Path) -> list[str]:
    """Return pooled errors of device benchmarks by what was left out, all classes fitted anew."""
    with TemporaryDirectory() as folder:
        fits = fit_all(device, Path(folder), width_file().fitted, lambda _: True)
    lines = [
        "| what | rows | in sample | left-out (device, model, engine) | left-out device |",
        "|---|---|---|---|---|",
    ]
    for name, (metric, words) in WHO.items():
        cells = []
        for side in ("inside", "groups", "devices"):
            found = [
                abs(math.expm1(left.off))
                for fit in fits
                for left in getattr(fit, side)
                if left.case.row.metric == metric and any(word in fit.spec.id for word in words)
            ]
            middle = percent(float(np.median(found))) if found else "–"
            cells.append(f"{middle} ({len(found)})")
        rows = cells[0].split("(")[1].rstrip(")")
        lines.append(f"| {name} | {rows} | {' | '.join(cells)} |")
    return lines


def class_notes() -> list[str]:
    """Return, for each set of constants, what its notes say of left-out errors."""
    lines = []
    for name in efficiency_ids():
        notes = read_efficiency(name).notes.splitlines()
        told = [t for t in notes if "left-out devices" in t or "left-out groups" in t]
        if told:
            lines += [f"- **{name}**", *(f"  - {t.strip()}" for t in told)]
    return lines


def width_table() -> list[str]:
    """Return the half-widths of ranges."""
    lines = ["| metric | label | classes | 80 % | 95 % | rows | groups | from |", "|---" * 8 + "|"]
    for w in width_file().width:
        spans = " | ".join(f"x/÷ {math.exp(q):.2f}" for q in (w.q80, w.q95))
        classes = ", ".join((*(w.device_classes or ("all",)), *w.kinds))
        cells = (w.metric, w.evidence, classes, spans, w.rows, w.groups, w.because)
        lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    return lines


def stated_note(what: str, lines: Sequence[Line]) -> str:
    """Return how many of the fully described rows were refused."""
    refused, stated = refused_share(lines)
    return (
        f"Of {stated} figures ({what}) of rows that state model, lengths, batch and format, "
        f"{refused} ({percent(refused / stated)}) are refused.\n"
    )


def _axis(low: float, high: float, value: float) -> float:
    return (math.log10(value) - low) / (high - low) * (SIZE - 2 * MARGIN)


def figure(lines: Sequence[Line], title: str) -> str:
    """Return a log-log scatter of predicted over measured as SVG, with 1:1 and ±20 % lines."""
    points = [(x.measured, x.predicted, x.evidence) for x in lines if x.measured and x.predicted]
    low = math.floor(min(math.log10(min(m, p)) for m, p, _ in points))
    high = math.ceil(max(math.log10(max(m, p)) for m, p, _ in points))

    def at(x: float, y: float) -> tuple[float, float]:
        return MARGIN + _axis(low, high, x), SIZE - MARGIN - _axis(low, high, y)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>',
        f'<rect width="{SIZE}" height="{SIZE}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        x, y = at(10.0**power, 10.0**power)
        text = f"{10.0**power:g}"
        parts.append(f'<line x1="{x}" y1="{MARGIN}" x2="{x}" y2="{SIZE - MARGIN}" stroke="#ddd"/>')
        parts.append(f'<line x1="{MARGIN}" y1="{y}" x2="{SIZE - MARGIN}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{SIZE - MARGIN + 18}" text-anchor="middle">{text}</text>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4}" text-anchor="end">{text}</text>')
    for factor, dash in ((1.0, ""), (1.2, "4 4"), (1 / 1.2, "4 4")):
        (x1, y1), (x2, y2) = at(10.0**low, factor * 10.0**low), at(10.0**high, factor * 10.0**high)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="#444" stroke-dasharray="{dash}"/>'
        )
    for measured, predicted, label in points:
        x, y = at(measured, predicted)
        colour = SHAPES.get(label, "#000")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}" opacity="0.5"/>')
    for row, (label, colour) in enumerate(SHAPES.items()):
        y = MARGIN + 16 * row
        parts.append(f'<circle cx="{MARGIN + 14}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{MARGIN + 24}" y="{y + 4}">{label}</text>')
    middle = SIZE / 2
    parts.append(f'<text x="{middle}" y="{SIZE - 20}" text-anchor="middle">measured</text>')
    parts.append(f'<text x="{middle}" y="40" text-anchor="middle">{title}</text>')
    turn = f'transform="rotate(-90 20 {middle})"'
    parts.append(f'<text x="20" y="{middle}" text-anchor="middle" {turn}>predicted</text></svg>')
    return "\n".join(parts)


def main(serving: Path, device: Path) -> None:
    """Validate both files and write the page and its figures."""
    runs, speeds = validate_file(serving), validate_file(device)
    tpot = [x for x in runs if x.metric == "tpot_ms"]
    decode = [x for x in speeds if x.metric == "decode_tok_s"]
    (HERE / "validation-tpot.svg").write_text(figure(tpot, "TPOT of serving runs, ms"))
    (HERE / "validation-decode.svg").write_text(figure(decode, "Decode tokens/s of devices"))
    left = sum(e.rows for e in engine_cost_file().era)
    page = [
        (HERE / "validation-head.md").read_text(encoding="utf-8").rstrip(),
        "\n## Held out: engine eras\n",
        f"{left} serving runs; each (device, model) group predicted with the rest fitted. A lone",
        "group of an era is predicted with what other eras and engines share. Coverage is that of",
        "ranges made from other groups alone.\n",
        *era_table(),
        "\n## Held out: other ways to leave out\n",
        "Medians over all runs of a kind.\n",
        *scheme_rows(serving),
        "\n## Held out: devices\n",
        "Medians over all rows of all classes, with the number of rows. A class with one device",
        "has no left-out device; the errors of single classes follow.\n",
        *pooled_rows(device),
        "\n## Held out: device classes\n",
        *class_notes(),
        "\n## In sample: serving runs with the constants as shipped\n",
        *summary_table(summary_rows(runs)),
        "\n![TPOT predicted over measured](validation-tpot.svg)",
        "\n## In sample: device benchmarks with the constants as shipped\n",
        *summary_table(summary_rows(speeds)),
        "\n![Decode speed predicted over measured](validation-decode.svg)",
        "\n## Refused rows\n",
        stated_note("both files", [*runs, *speeds]),
        stated_note("device benchmarks alone", speeds),
        *(f"- {n} x {why}" for why, n in refusals([x for x in (*runs, *speeds) if x.stated])),
        "\nAll refusals:\n",
        *(f"- {count} x {reason}" for reason, count in refusals([*runs, *speeds])),
        "\n## Half-widths of ranges\n",
        *width_table(),
    ]
    (HERE / "validation.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
