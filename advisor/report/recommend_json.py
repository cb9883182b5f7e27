"""A recommendation, a front and a break-even curve as JSON and CSV: SI units, US dollars."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import Any

import advisor
from advisor.optimizer.result import Front, Recommendation
from advisor.optimizer.result_curves import Breakeven
from advisor.perf.intervals import Estimate
from advisor.report.estimate_json import guard, number
from advisor.report.locale import say
from advisor.report.recommend_verdict import verdict_sentence
from advisor.report.recommend_words import title_of
from advisor.schema.text import Text

SCHEMA = 1


def plain(value: Any, lang: str) -> Any:
    """Turn records, estimates and messages into what JSON holds; infinite numbers become null."""
    if isinstance(value, Estimate | Text):
        return number(value, lang) if isinstance(value, Estimate) else say(value, lang)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), lang) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v, lang) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, lang) for v in value]
    return _atom(value)


def _atom(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str) or value is None else str(value)


def recommend_json(rec: Recommendation, lang: str = "en") -> str:
    """Return all of an answer as JSON."""
    body = {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "sentence": verdict_sentence(rec, lang),
        **plain(rec, lang),
    }
    body["title"] = title_of(rec, lang)
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def front_json(front: Front, lang: str = "en") -> str:
    """Return a front as JSON."""
    body = {"schema": SCHEMA, "version": advisor.__version__, **plain(front, lang)}
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def breakeven_json(curve: Breakeven, lang: str = "en") -> str:
    """Return a break-even curve as JSON."""
    body = {"schema": SCHEMA, "version": advisor.__version__, **plain(curve, lang)}
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[guard(x) for x in row] for row in rows])
    return out.getvalue().rstrip("\n")


def recommend_csv(rec: Recommendation, lang: str = "en") -> str:
    """Return the plans as CSV, the recommended one first: money, range, evidence, what."""
    head = [
        "kind",
        "recommended",
        "usd_per_month",
        "low80",
        "high80",
        "evidence",
        "usd_per_mtok",
        "options",
        "why",
    ]
    rows: list[list[Any]] = []
    plans = [(rec.plan, True, "")] if rec.plan else []
    plans += [(a.plan, False, say(a.why, lang)) for a in rec.alternatives if a.plan]
    if rec.safer and rec.safer.plan and rec.safer.probability is not None:
        sure = Text.of("why_safer", sure=f"{100 * rec.safer.probability:.0f}")
        plans.append((rec.safer.plan, False, say(sure, lang)))
    for plan, best, why in plans:
        assert plan is not None
        total = plan.usd_per_month
        names = " + ".join(o.name for o in plan.options)
        rows.append(
            [
                plan.kind,
                best,
                total.value,
                total.low80,
                total.high80,
                total.evidence,
                plan.usd_per_mtok.value,
                names,
                why,
            ]
        )
    rows += [
        [a.kind, False, "", "", "", "", "", "", say(a.why, lang)]
        for a in rec.alternatives
        if a.plan is None
    ]
    return _table(head, rows)


def front_csv(front: Front) -> str:
    """Return a front as CSV."""
    rows: list[list[Any]] = [[s.measure, s.usd_per_month, s.plan] for s in front.steps]
    return _table([front.measure, "usd_per_month", "plan"], rows)


def breakeven_csv(curve: Breakeven) -> str:
    """Return a break-even curve as CSV, one volume a line."""
    kinds = list(curve.points[0].usd_per_month) if curve.points else []
    head = ["requests_per_month", *(f"usd_{k}" for k in kinds), *(f"devices_{k}" for k in kinds)]
    rows: list[list[Any]] = [
        [
            p.requests_per_month,
            *("" if p.usd_per_month[k] is None else p.usd_per_month[k] for k in kinds),
            *(p.devices[k] for k in kinds),
            p.cheapest,
        ]
        for p in curve.points
    ]
    return _table([*head, "cheapest"], rows)
