"""The summary of a validation as text and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import advisor
from advisor.calibration.validate import Line, Summary, refusals, summary_rows
from advisor.report.locale import say
from advisor.report.numbers import pad, wrap
from advisor.schema.text import Text

SCHEMA = 1
_NAME = 34
MAX_REASONS = 8


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value * 100:.1f}"


def _row(s: Summary) -> str:
    numbers = (s.median_error, s.mean_error, s.p90_error, s.bias, s.coverage80, s.coverage95)
    cells = [str(s.rows), str(s.refused), *(_percent(v) for v in numbers)]
    widths = (6, 6, 7, 7, 7, 7, 6, 6)
    texts = [c.rjust(w) for c, w in zip(cells, widths, strict=True)]
    return pad(s.name[: _NAME - 1], _NAME) + "".join(texts)


def summary_text(lines: Sequence[Line], lang: str = "en") -> str:
    """Render the errors by metric and group, then why rows were refused."""
    found = [*wrap(say("validate_head", lang), 88), say("validate_columns", lang)]
    found += [_row(s) for s in summary_rows(lines)]
    reasons = refusals(lines)
    for reason, count in reasons[:MAX_REASONS]:
        text = Text.of("validate_refused", count=count, reason=reason)
        found += wrap(say(text, lang), 88, "    ")
    return "\n".join(found)


def summary_json(lines: Sequence[Line]) -> str:
    """Return the summary as JSON; figures without rows are null."""
    rows = [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(s).items()}
        for s in summary_rows(lines)
    ]
    body = {
        "schema": SCHEMA,
        "version": advisor.__version__,
        "summary": rows,
        "refused": [{"reason": reason, "rows": count} for reason, count in refusals(lines)],
    }
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
