"""A replay in at most 24 lines of 80 columns."""

from __future__ import annotations

from advisor.report.locale import say, words
from advisor.report.numbers import amount, count, pad, seconds, significant, wrap
from advisor.schema.text import Text
from advisor.simulator.logs import METRICS, STATISTICS, LogReport
from advisor.simulator.result import SimulationResult, TierFigures
from advisor.simulator.statistics import Distribution, Figure
from advisor.traffic.trace import Trace

COLUMNS = 80
MOST_TIERS = 4
MOST_CLASSES = 3
LABEL = 12
CELL = 12
JOULES_PER_KWH = 3.6e6


def _time(value: float) -> str:
    number, unit = seconds(value)
    return f"{significant(number)} {unit}"


def _row(cells: list[str], first: int = LABEL, other: int = CELL) -> str:
    return (pad(cells[0], first) + "".join(pad(c, other) for c in cells[1:])).rstrip()


def _latency_rows(result: SimulationResult, lang: str) -> list[str]:
    w = words(lang)
    rows = [_row([w["simulate_head"], "p50", "p90", "p95", "p99", w["simulate_mean"]])]
    for name, seen in (
        ("TTFT", result.latency.ttft_s),
        ("TPOT", result.latency.tpot_s),
        ("E2E", result.latency.e2e_s),
    ):
        if seen is not None:
            told = [_time(f.value) for f in (seen.p50, seen.p90, seen.p95, seen.p99)]
            rows.append(_row([name, *told, _with_range(seen, lang)]))
    return rows


def _with_range(seen: Distribution, lang: str) -> str:
    mean: Figure = seen.mean
    return f"{_time(mean.value)} (±{_time(mean.high - mean.value)})"


def _verdict(result: SimulationResult, lang: str) -> str:
    if result.interrupted:
        return say("simulate_interrupted", lang)
    if result.unstable:
        return say("simulate_unstable", lang)
    tier, reason = result.binding
    if reason == "nothing":
        return say("simulate_no_wait", lang)
    return say(Text.of(f"simulate_waits_{reason}", tier=tier), lang)


def _tier_line(tier: TierFigures, lang: str) -> str:
    w = words(lang)
    share = significant(tier.busy_share * 100.0)
    batch = significant(tier.mean_batch) if tier.kind == "replicas" else "–"
    cache = f"{significant(tier.peak_cache_share * 100.0)} %" if tier.kind == "replicas" else "–"
    usd = w["simulate_unknown"] if tier.usd is None else f"${amount(tier.usd)}"
    return _row([tier.name, count(tier.requests), f"{share} %", batch, cache, usd])


def _tier_rows(result: SimulationResult, lang: str) -> list[str]:
    w = words(lang)
    heads = ("tier", "requests", "busy", "batch", "cache", "usd")
    rows = [_row([w[f"simulate_{h}"] for h in heads])]
    rows += [_tier_line(t, lang) for t in result.tiers[:MOST_TIERS]]
    if len(result.tiers) > MOST_TIERS:
        rows.append(say(Text.of("simulate_more", count=len(result.tiers) - MOST_TIERS), lang))
    return rows


def _class_rows(result: SimulationResult, lang: str) -> list[str]:
    rows = []
    for one in [c for c in result.classes if c.slo is not None][:MOST_CLASSES]:
        if one.goodput_share is None or one.slo is None:
            continue
        rows.append(
            say(
                Text.of(
                    "simulate_slo_met" if one.slo_met else "simulate_slo_broken",
                    name=one.name,
                    share=significant(one.goodput_share * 100.0),
                    asked=f"{one.slo.percentile:g}",
                ),
                lang,
            )
        )
    return rows


def _totals(result: SimulationResult, lang: str) -> list[str]:
    lines = []
    if result.usd is not None and result.idle_usd is not None:
        share = 100.0 * result.idle_usd / result.usd if result.usd else 0.0
        money = Text.of("simulate_money", usd=significant(result.usd), idle=significant(share))
        lines.append(say(money, lang))
    else:
        lines.append(say("simulate_no_money", lang))
    if result.joules is not None:
        carbon = "–" if result.kgco2e is None else significant(result.kgco2e * 1e3)
        kwh = significant(result.joules / JOULES_PER_KWH)
        lines.append(say(Text.of("simulate_energy", kwh=kwh, grams=carbon), lang))
    if result.right_share is not None:
        escalated = sum(t.escalated for t in result.tiers)
        right = significant(result.right_share * 100.0)
        lines.append(
            say(Text.of("simulate_quality", right=right, escalated=count(escalated)), lang)
        )
    return lines


def _lost(result: SimulationResult, lang: str) -> list[str]:
    lost = {k: v for k, v in result.counts.items() if v and k != "finished"}
    if not lost:
        return []
    named = ((v, k.replace("-", "_")) for k, v in lost.items())
    return [
        ", ".join(f"{count(v)} {say(f'simulate_status_{status}', lang)}" for v, status in named)
    ]


def simulation_text(result: SimulationResult, title: str, trace: Trace | None, lang: str) -> str:
    """Return verdict, latencies, tiers, money, and what was left out."""
    head = Text.of(
        "simulate_title",
        title=title,
        requests=count(result.counts["finished"]),
        duration=_time(result.duration_s),
        rate=significant(result.requests_per_s),
        tokens=significant(result.output_tok_per_s),
    )
    lines = [*wrap(say(head, lang), COLUMNS), *wrap(_verdict(result, lang), COLUMNS), ""]
    lines += _latency_rows(result, lang)
    for line in _class_rows(result, lang):
        lines += wrap(line, COLUMNS)
    lines += ["", *_tier_rows(result, lang), ""]
    label = Text.of("simulate_label", evidence=result.evidence, warm=count(result.warm_up_requests))
    for line in (*_totals(result, lang), *_lost(result, lang), say(label, lang)):
        lines += wrap(line, COLUMNS)
    if trace is not None and trace.rejected_count:
        lines += _rejections(trace, lang)
    return "\n".join(lines)


def _rejections(trace: Trace, lang: str) -> list[str]:
    first = trace.rejected[0]
    told = Text.of(
        "simulate_rejected",
        count=count(trace.rejected_count),
        line=first.line,
        reason=first.reason,
    )
    return wrap(say(told, lang), COLUMNS)


def log_text(report: LogReport, lang: str) -> str:
    """Return measured and simulated statistics side by side."""
    w = words(lang)
    head = Text.of(
        "log_title",
        folder=report.folder,
        model=report.model,
        device=report.device,
        engine=report.engine,
        requests=count(report.requests),
    )
    lines = [*wrap(say(head, lang), COLUMNS), ""]
    lines.append(_row([w["log_head"], *STATISTICS]))
    for metric in METRICS:
        name = metric.removesuffix("_s").upper()
        measured = [_time(report.measured[metric][s]) for s in STATISTICS]
        lines.append(_row([f"{name} {w['log_measured']}", *measured], 20))
        simulated = [_time(report.simulated[metric][s]) for s in STATISTICS]
        lines.append(_row([f"{name} {w['log_simulated']}", *simulated], 20))
        errors = [f"{report.error(metric, s) * 100.0:+.1f} %" for s in STATISTICS]
        lines.append(_row(["", *errors], 20))
    return "\n".join(lines)
