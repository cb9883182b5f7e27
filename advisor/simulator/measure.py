"""From a finished world to figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from advisor.schema.fact import Evidence
from advisor.schema.workload import Slo
from advisor.simulator import world as w
from advisor.simulator.control import CACHE, NOTHING, PROMPTS, SEQUENCES, Control, Replica
from advisor.simulator.numbers import Api, Devices, Group, Replicas
from advisor.simulator.result import (
    ClassFigures,
    Floats,
    Latency,
    RequestTable,
    TierFigures,
    Timeline,
)
from advisor.simulator.routes import Answers
from advisor.simulator.statistics import PERCENTILES, distribution, histogram_percentiles

SECONDS_PER_HOUR = 3600.0
TOKENS_PER_MTOK = 1e6
WAITS = {SEQUENCES: "sequences", CACHE: "cache", PROMPTS: "prompts", NOTHING: "nothing"}
KINDS = {Replicas: "replicas", Api: "api", Devices: "device"}


def gap_edges() -> Floats:
    """Return the edges of the gap histogram, seconds."""
    at = np.arange(w.GAP_BINS) / w.GAPS_PER_E
    return np.concatenate([[0.0], w.GAP_SHORTEST_S * np.exp(at)])


def request_table(
    requests: Any, groups: Sequence[Group], class_names: tuple[str, ...]
) -> RequestTable:
    """Copy what each request saw out of the world."""
    ended = requests["status"] == w.FINISHED

    def seen(name: str) -> Floats:
        return np.where(ended, requests[name], np.nan)

    def whole(name: str) -> Any:
        return requests[name].astype(np.int64)

    return RequestTable(
        arrival_s=np.where(requests["sent"] == 1, requests["arrival_s"], np.nan),
        scheduled_s=requests["scheduled_s"].copy(),
        first_token_s=seen("first_s"),
        last_token_s=seen("last_s"),
        input_tokens=whole("input"),
        output_tokens=whole("output"),
        cached_tokens=whole("cached"),
        class_index=whole("number_class"),
        tier=whole("tier"),
        server=whole("server"),
        status=whole("status"),
        attempts=whole("attempts"),
        preemptions=whole("preemptions"),
        escalated=(requests["escalates"] == w.GONE_ON).astype(np.int64),
        status_names=w.STATUS_NAMES,
        tier_names=tuple(g.name for g in groups),
        class_names=class_names,
    )


def latency_of(table: RequestTable, chosen: Any) -> Latency:
    """Summarise the chosen requests (mask)."""
    return Latency(
        ttft_s=distribution(table.ttft_s[chosen]),
        tpot_s=distribution(table.tpot_s[chosen]),
        e2e_s=distribution(table.e2e_s[chosen]),
        queue_s=distribution((table.scheduled_s - table.arrival_s)[chosen]),
    )


def within_slo(table: RequestTable, slo: Slo) -> Any:
    """Tell which requests kept every limit; one-token answers have no TPOT to break."""
    good = table.status == w.FINISHED
    for limit, seen in (
        (slo.ttft_s, table.ttft_s),
        (slo.tpot_s, np.nan_to_num(table.tpot_s)),
        (slo.e2e_s, table.e2e_s),
    ):
        if limit is not None:
            good &= np.where(np.isfinite(seen), seen, np.inf) <= limit
    return good


def rightness(table: RequestTable, answers: Answers) -> Floats:
    """Return 1 and 0 for right and wrong answers, NaN where nobody knows."""
    right = np.full(len(table.status), np.nan)
    for tier, flags in answers.right.items():
        here = (table.tier == tier) & (table.status == w.FINISHED)
        right[here] = flags[here]
    return right


def share_right(right: Floats, chosen: Any) -> float | None:
    """Return the mean of the chosen, None if one of them isn't known."""
    some = right[chosen]
    return float(some.mean()) if len(some) and np.isfinite(some).all() else None


def class_figures(
    table: RequestTable, slos: Mapping[str, Slo], kept: Any, right: Floats
) -> tuple[ClassFigures, ...]:
    """Return figures by class; ``kept`` masks out the warm-up."""
    found = []
    for number, name in enumerate(table.class_names):
        mine = table.class_index == number
        came = mine & (table.status != w.UNSENT)
        ended = mine & (table.status == w.FINISHED)
        slo = slos.get(name)
        good = within_slo(table, slo) & kept if slo else None
        total = int((came & kept).sum())
        share = float((good & mine).sum()) / max(total, 1) if good is not None else None
        found.append(
            ClassFigures(
                name=name,
                requests=int(came.sum()),
                finished=int(ended.sum()),
                latency=latency_of(table, ended & kept),
                slo=slo,
                goodput_share=share,
                slo_met=None if slo is None or share is None else share >= slo.percentile / 100.0,
                right_share=share_right(right, ended),
            )
        )
    return tuple(found)


def _span(spans: Sequence[Sequence[float]]) -> float:
    return sum(stop - start for start, stop in spans)


def _waits_for(control: Control, tier: int) -> str:
    reasons = [s.full[tier] for s in control.samples if s.full[tier] != NOTHING]
    if len(reasons) <= 0.05 * len(control.samples):
        return WAITS[NOTHING]
    return WAITS[max(set(reasons), key=lambda r: (reasons.count(r), -r))]


def tier_figures(world: w.World, control: Control, table: RequestTable) -> tuple[TierFigures, ...]:
    """Return figures by tier."""
    return tuple(
        _replica_figures(world, control, table, number, group)
        if isinstance(group, Replicas)
        else _remote_figures(world, control, table, number, group)
        for number, group in enumerate(control.groups)
    )


def _replica_figures(
    world: w.World, control: Control, table: RequestTable, number: int, group: Replicas
) -> TierFigures:
    mine = world.servers[world.servers.tier == number]
    replicas = [r for r in control.replicas if r.tier == number]
    paid_s, up_s = sum(_span(r.paid) for r in replicas), sum(_span(r.up) for r in replicas)
    busy_s = float(mine.prefill_s.sum() + mine.decode_s.sum())
    busy = min(busy_s / max(up_s * group.servers_per_replica, 1e-12), 1.0)
    usd = None if group.usd_per_hour is None else group.usd_per_hour * paid_s / SECONDS_PER_HOUR
    used_s = busy_s / group.servers_per_replica
    idle = None if usd is None else usd * max(1.0 - used_s / max(paid_s, 1e-12), 0.0)
    steps, sequences = int(mine.step_count.sum()), int(mine.sequence_steps.sum())
    gaps = histogram_percentiles(world.gaps[number], gap_edges(), PERCENTILES)
    blocks = np.maximum(mine.blocks, 1)
    return TierFigures(
        name=group.name,
        kind="replicas",
        what=group.what,
        evidence=group.evidence,
        requests=int((table.tier == number).sum()),
        escalated=_escalated(world, number),
        input_tokens=int(mine.computed_tokens.sum() + mine.cached_tokens.sum()),
        cached_tokens=int(mine.cached_tokens.sum()),
        output_tokens=int(mine.output_tokens.sum()),
        wasted_tokens=int(mine.wasted_tokens.sum()),
        busy_share=busy,
        mean_batch=sequences / steps if steps else 0.0,
        preemptions=int(mine.preemptions.sum()),
        refusals=0,
        replicas_peak=max((s.replicas[number] for s in control.samples), default=0),
        paid_hours=paid_s / SECONDS_PER_HOUR,
        usd=usd,
        idle_usd=idle,
        joules=_joules(group, mine, replicas, sequences / steps if steps else 0.0, table, number),
        peak_cache_share=float((mine.peak_blocks / blocks).max()) if len(mine) else 0.0,
        waits_for=_waits_for(control, number),
        itl_s=gaps,
    )


def _joules(
    group: Replicas,
    mine: Any,
    replicas: Sequence[Replica],
    batch: float,
    table: RequestTable,
    number: int,
) -> float | None:
    if group.watts is None:
        return None
    here = table.tier == number
    context = (
        float((table.input_tokens + table.output_tokens / 2.0)[here].mean()) if here.any() else 1.0
    )
    reading_s = float(mine.prefill_s.sum()) / group.servers_per_replica
    decoding_s = float(mine.decode_s.sum()) / group.servers_per_replica
    idle_s = max(sum(_span(r.paid) for r in replicas) - reading_s - decoding_s, 0.0)
    watts = group.watts
    used = watts.reading * reading_s + watts.decoding(batch, context) * decoding_s
    return used + watts.idle * idle_s


def _escalated(world: w.World, number: int) -> int:
    gone = world.requests["escalates"] == w.GONE_ON
    return int((gone & (world.requests["first_tier"] == number)).sum())


def _remote_figures(
    world: w.World, control: Control, table: RequestTable, number: int, group: Api | Devices
) -> TierFigures:
    row = world.tiers[number]
    usd: float | None = 0.0
    joules: float | None = 0.0
    evidence: Evidence = "measured"
    busy = 0.0
    if isinstance(group, Api):
        paid = row.input_tokens * group.usd_per_mtok_input
        usd = float(paid + row.output_tokens * group.usd_per_mtok_output) / TOKENS_PER_MTOK
    else:
        joules = None if group.busy_w is None else float(row.busy_s) * group.busy_w
        busy = float(row.busy_s) / max(float(world.clock[0]) * group.devices, 1e-12)
        evidence = group.evidence
    return TierFigures(
        name=group.name,
        kind=KINDS[type(group)],
        what=group.what,
        evidence=evidence,
        requests=int((table.tier == number).sum()),
        escalated=_escalated(world, number),
        input_tokens=int(row.input_tokens),
        cached_tokens=0,
        output_tokens=int(row.output_tokens),
        wasted_tokens=0,
        busy_share=busy,
        mean_batch=math.nan,
        preemptions=0,
        refusals=int(row.refusals),
        replicas_peak=0,
        paid_hours=0.0,
        usd=usd,
        idle_usd=0.0,
        joules=joules,
        peak_cache_share=0.0,
        waits_for=WAITS[NOTHING],
        itl_s=tuple(math.nan for _ in PERCENTILES),
    )


def timeline_of(control: Control) -> Timeline:
    """Return the samples as arrays."""
    samples = control.samples

    def rows(name: str) -> Floats:
        return np.array([getattr(s, name) for s in samples], dtype=float)

    return Timeline(
        time_s=np.array([s.time_s for s in samples]),
        running=rows("running"),
        waiting=rows("waiting"),
        cache_share=rows("used_blocks"),
        replicas=rows("replicas"),
    )
