"""An estimate as 24 lines of 80 columns, verdict first."""

from __future__ import annotations

from advisor.estimator.result import Cost, EstimateResult, Phase
from advisor.perf.intervals import Estimate
from advisor.report.locale import say, words
from advisor.report.numbers import count, gib, pad, seconds, significant, wrap
from advisor.schema.text import Text

COLUMNS = 80
MAX_LINES = 24
_NAME, _VALUE, _RANGE = 21, 11, 19


def time_text(seconds_value: float) -> str:
    """Return a time with its unit."""
    value, unit = seconds(seconds_value)
    return f"{significant(value)} {unit}"


def _time_cells(e: Estimate | None) -> str:
    if e is None:
        return pad("–", _VALUE + _RANGE)
    value, unit = seconds(e.value)
    scale = value / e.value
    span = f"{significant(e.low80 * scale)} – {significant(e.high80 * scale)}"
    return pad(f"{significant(value)} {unit}", _VALUE) + pad(span, _RANGE)


def _cells(e: Estimate | None) -> str:
    if e is None:
        return pad("–", _VALUE + _RANGE)
    span = f"{significant(e.low80)} – {significant(e.high80)}"
    return pad(significant(e.value), _VALUE) + pad(span, _RANGE)


def _row(name: str, *cells: str) -> str:
    return (pad(name, _NAME) + "".join(cells)).rstrip()


def verdict(r: EstimateResult, lang: str) -> list[str]:
    """Return the answer in two sentences: what runs where, and how fast."""
    fits = Text.of(
        "verdict_fits",
        model=r.model_name,
        precision=r.precision,
        devices=r.layout.devices,
        device=r.device_name,
        engine=r.engine_name,
        version=r.engine_version,
    )
    a = r.asked
    if a.ttft_s is None or a.tpot_s is None or a.output_tok_per_s is None:
        text = Text.of("verdict_unstable", rps=significant(r.request.rps or 0.0))
        return [say(fits, lang), say(text, lang)]
    text = Text.of(
        "verdict_point",
        concurrency=count(a.concurrency),
        output=significant(a.output_tok_per_s.value, 4),
        ttft=time_text(a.ttft_s.value),
        tpot=time_text(a.tpot_s.value),
        bound=r.decode.bound,
    )
    return [say(fits, lang), say(text, lang)]


def _verdict(r: EstimateResult, lang: str) -> list[str]:
    return [line for text in verdict(r, lang) for line in wrap(text, COLUMNS)]


def _head(r: EstimateResult, lang: str) -> str:
    asked = Text.of("head_asked", concurrency=count(r.asked.concurrency))
    best = Text.of(
        "head_best_slo" if r.under_slo else "head_best", concurrency=count(r.best.concurrency)
    )
    return _row(say("head_range", lang), pad(say(asked, lang), _VALUE + _RANGE), say(best, lang))


def _load_rows(r: EstimateResult, lang: str) -> list[str]:
    points = (r.asked, r.best)
    rows = [
        _row(say("row_ttft", lang), *(_time_cells(p.ttft_s) for p in points)),
        _row(say("row_tpot", lang), *(_time_cells(p.tpot_s) for p in points)),
        _row(say("row_output", lang), *(_cells(p.output_tok_per_s) for p in points)),
        _row(say("row_requests", lang), *(_cells(p.requests_per_s) for p in points)),
    ]
    if r.best.joules_per_request is None:
        return [*rows, _row(say("row_energy", lang), say("text_unknown_power", lang))]
    return [
        *rows,
        _row(say("row_energy", lang), *(_cells(p.joules_per_request) for p in points)),
        _row(say("row_wh", lang), *(_cells(p.watt_hours_per_request) for p in points)),
    ]


def _phase_row(key: str, phase: Phase, lang: str) -> str:
    tail = Text.of(
        "text_bound",
        bound=phase.bound,
        mfu=significant(phase.mfu * 100, 2),
        mbu=significant(phase.mbu * 100, 2),
    )
    return _row(say(key, lang), _time_cells(phase.time_s), say(tail, lang))


def _memory_rows(r: EstimateResult, lang: str) -> list[str]:
    m = r.memory
    held = Text.of(
        "text_memory",
        weights=gib(m.weights_bytes.value),
        workspace=gib(m.workspace_bytes.value),
        physical=gib(m.physical_bytes.value),
    )
    room = Text.of(
        "text_kv",
        per_token=f"{m.kv_bytes_per_token.value:,.0f}",
        tokens=count(m.kv_tokens.value) if m.kv_bytes_per_token.value else "∞",
        sequences=count(m.sequences.value),
    )
    return [
        _row(say("row_memory", lang), say(held, lang)),
        _row(say("row_kv", lang), say(room, lang)),
    ]


def _cost_rows(r: EstimateResult, lang: str) -> list[str]:
    rows = []
    for way in ("rented", "owned"):
        costs: list[Cost | None] = [getattr(point, way) for point in (r.asked, r.best)]
        if costs[1] is None:
            rows.append(_row(say(f"row_{way}", lang), say(f"text_no_{way}", lang)))
            continue
        for field in ("input", "output"):
            cells = [_cells(getattr(c, f"usd_per_mtok_{field}") if c else None) for c in costs]
            rows.append(_row(say(f"row_{way}_{field}", lang), *cells))
    return rows


def _reasons(r: EstimateResult, lang: str) -> list[str]:
    speed = r.asked.requests_per_s or r.best.requests_per_s
    assert speed is not None
    label = say(f"name_{speed.evidence}", lang)
    line = say("colon", lang).join((say("label_speed", lang), label, say(speed.because, lang)))
    paid = []
    for way in ("rented", "owned"):
        cost: Cost | None = getattr(r.best, way)
        if cost:
            hour = cost.usd_per_hour
            price = Text.of("text_hour", hour=significant(hour.value / r.layout.devices))
            grade = say(f"name_{cost.usd_per_mtok_output.evidence}", lang)
            why = say(price, lang) + say(hour.because, lang)
            paid.append(say("colon", lang).join((say(f"row_{way}", lang), grade, why)))
    return [line, *paid]


def _notes(r: EstimateResult, lang: str, room: int) -> list[str]:
    lines = []
    for reason in _reasons(r, lang):
        lines += wrap(reason, COLUMNS, "  ")[:2]
    colon = say("colon", lang)
    notes = [say("label_warning", lang) + colon + say(text, lang) for text in r.warnings]
    assumed = say("list_joint", lang).join(say(text, lang) for text in r.defaults)
    assumed_lines = (
        wrap(say("label_assumed", lang) + colon + assumed, COLUMNS, "  ") if assumed else []
    )
    left = room - len(lines) - len(assumed_lines) - 1
    shown = notes if len(notes) <= left else notes[: max(left - 1, 0)]
    for note in shown:
        lines += wrap(note, COLUMNS, "  ")[:1]
    if len(shown) < len(notes) and left > 0:
        lines.append(say(Text.of("text_more_warnings", count=len(notes) - len(shown)), lang))
    return [*[*lines, *assumed_lines][: room - 1], words(lang)["label_more"]]


def estimate_text(r: EstimateResult, lang: str = "en") -> str:
    """Render an estimate for a terminal: at most 24 lines of 80 columns."""
    lines = [
        *_verdict(r, lang),
        _head(r, lang),
        *_load_rows(r, lang),
        *_cost_rows(r, lang),
        _phase_row("row_prefill", r.prefill, lang),
        _phase_row("row_decode", r.decode, lang),
        *_memory_rows(r, lang),
    ]
    return "\n".join([*lines, *_notes(r, lang, MAX_LINES - len(lines))])
