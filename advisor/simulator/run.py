"""Replaying traffic on a fleet, from records to a result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from advisor.catalogue.data_version import shared_version
from advisor.catalogue.prices import get_site
from advisor.errors import UsageError
from advisor.schema.fact import Evidence, worst_evidence
from advisor.schema.fleet import Fleet
from advisor.schema.traffic import Requests
from advisor.schema.workload import Slo
from advisor.simulator import world as w
from advisor.simulator.build import make_world
from advisor.simulator.control import Control
from advisor.simulator.fleet import groups_of
from advisor.simulator.invariants import check
from advisor.simulator.measure import (
    class_figures,
    latency_of,
    request_table,
    rightness,
    share_right,
    tier_figures,
    timeline_of,
    within_slo,
)
from advisor.simulator.numbers import Api, Group, Routing
from advisor.simulator.result import RequestTable, SimulationResult, TierFigures
from advisor.simulator.routes import Answers, Flags, route
from advisor.simulator.statistics import warm_up

DEFAULT_SITE = "world"
SAMPLES = 200
JOULES_PER_KWH = 3.6e6
LARGEST_RUN = 20_000_000


@dataclass(frozen=True)
class RunOptions:
    """How to replay.

    Parameters
    ----------
    seed
        Of every draw.
    slos
        Limits by class name.
    clients, think_s
        Closed loop: so many clients share the list of requests; 0: times as they are.
    warm_up_requests
        Requests left out of latencies at the start; None: found by MSER-5 where requests come
        by themselves and there are 1,000 or more, else 0.
    engine_side
        Times as the engine logs them: without what lies between client and engine.
    on_progress
        Called with (requests ended, requests in all).
    should_stop
        Asked several times a second; True ends the run and keeps what is done.
    """

    seed: int = 0
    slos: Mapping[str, Slo] = field(default_factory=dict)
    clients: int = 0
    think_s: float = 0.0
    warm_up_requests: int | None = None
    engine_side: bool = False
    on_progress: Callable[[int, int], None] | None = None
    should_stop: Callable[[], bool] | None = None


def replay(
    fleet: Fleet, requests: Requests, options: RunOptions, today: dt.date | None = None
) -> SimulationResult:
    """Replay requests on a fleet.

    Parameters
    ----------
    fleet
        What serves.
    requests
        What comes.
    options
        Seed, limits, loop, progress.
    today
        Day prices are looked up for; None: the clock's.

    Raises
    ------
    AdvisorError
        Unknown names, missing facts, models that don't fit, empty or too much traffic.
    SimulationBugError
        If the run broke an invariant.
    """
    if not len(requests):
        msg = "no requests to replay"
        raise UsageError(msg)
    if len(requests) > LARGEST_RUN:
        msg = f"{len(requests):,} requests; at most {LARGEST_RUN:,} are replayed in one run"
        raise UsageError(msg)
    groups = groups_of(fleet, requests, today or dt.date.today())
    if options.engine_side:
        groups = tuple(g if isinstance(g, Api) else replace(g, delay_s=0.0) for g in groups)
    routing, answers = route(fleet, requests, options.seed)
    site = DEFAULT_SITE if fleet.site is None else get_site(fleet.site).id
    return replay_groups(requests, groups, routing, answers, options, site)


def replay_groups(
    requests: Requests,
    groups: tuple[Group, ...],
    routing: Routing,
    answers: Answers,
    options: RunOptions,
    site: str = DEFAULT_SITE,
) -> SimulationResult:
    """Replay requests on tiers given as numbers; see :func:`replay`."""
    world = make_world(requests, groups, routing, options.seed, options.clients, options.think_s)
    control = Control(
        world, groups, routing, options.seed, options.on_progress, options.should_stop
    )
    control.run(max(requests.duration_s, 1.0) / SAMPLES)
    if not control.interrupted:
        check(world, requests, groups)
    table = request_table(world.requests, groups, requests.class_names)
    return _figures(requests, groups, answers, options, site, world, control, table)


def _figures(
    requests: Requests,
    groups: tuple[Group, ...],
    answers: Answers,
    options: RunOptions,
    site: str,
    world: w.World,
    control: Control,
    table: RequestTable,
) -> SimulationResult:
    kept = _kept(table, options)
    ended = table.status == w.FINISHED
    right = rightness(table, answers)
    tiers = tier_figures(world, control, table)
    duration = max(float(world.clock[0]), float(np.nanmax(table.last_token_s, initial=0.0)), 1e-12)
    good = _good(table, options.slos)
    joules = _total([t.joules for t in tiers])
    return SimulationResult(
        seed=options.seed,
        counts={name: int((table.status == i).sum()) for i, name in enumerate(w.STATUS_NAMES)},
        duration_s=duration,
        warm_up_requests=int((~kept).sum()),
        unstable=None if options.clients else _unstable(table),
        latency=latency_of(table, ended & kept),
        classes=class_figures(table, options.slos, kept, right),
        tiers=tiers,
        requests_per_s=float(ended.sum()) / duration,
        output_tok_per_s=float(table.output_tokens[ended].sum()) / duration,
        goodput_per_s=None if good is None else float(good.sum()) / duration,
        right_share=share_right(right, ended),
        usd=_total([t.usd for t in tiers]),
        idle_usd=_total([t.idle_usd for t in tiers]),
        joules=joules,
        kgco2e=_carbon(joules, site),
        site=site,
        failures=control.failures,
        binding=_binding(tiers),
        events=int(world.counters[w.EVENTS]),
        evidence=_evidence(groups),
        interrupted=control.interrupted,
        timeline=timeline_of(control),
        table=table,
        data=shared_version(),
    )


def _evidence(groups: tuple[Group, ...]) -> Evidence:
    labels: list[Evidence] = ["measured" if isinstance(g, Api) else g.evidence for g in groups]
    return worst_evidence(*labels)


def _total(parts: list[float | None]) -> float | None:
    known = [p for p in parts if p is not None]
    return sum(known) if len(known) == len(parts) else None


def _carbon(joules: float | None, site: str) -> float | None:
    fact = get_site(site).kgco2e_per_kwh
    if joules is None or fact is None:
        return None
    return joules / JOULES_PER_KWH * fact.value


def _binding(tiers: tuple[TierFigures, ...]) -> tuple[str, str]:
    held = [t for t in tiers if t.waits_for != "nothing"]
    busiest = max(held, key=lambda t: t.busy_share, default=None)
    return (busiest.name, busiest.waits_for) if busiest else ("", "nothing")


def _good(table: RequestTable, slos: Mapping[str, Slo]) -> Flags | None:
    if not slos:
        return None
    good: Flags = np.asarray(table.status == w.FINISHED)
    for number, name in enumerate(table.class_names):
        if name in slos:
            mine = table.class_index == number
            good &= ~mine | within_slo(table, slos[name])
    return good


def _kept(table: RequestTable, options: RunOptions) -> Flags:
    """Mask of the requests that count, the warm-up left out."""
    order = np.argsort(np.nan_to_num(table.arrival_s, nan=np.inf), kind="stable")
    cut = options.warm_up_requests
    if cut is None:
        cut = 0
        if not options.clients and len(order) >= 1000:
            seen = table.e2e_s[order]
            cut = warm_up(seen[np.isfinite(seen)])
    kept = np.ones(len(order), dtype=bool)
    kept[order[:cut]] = False
    return kept


def _unstable(table: RequestTable) -> bool | None:
    """Tell whether the backlog kept growing while requests came; None: too short to tell.

    Requests in the system at the middle and at the end of the arrivals are, in a stable system,
    two draws of one distribution: growth beyond 2 % of what came between and four standard
    deviations of a Poisson count means that more comes than is served. A run too short for that
    (less than four times an answer's time) is unstable if half its requests waited longer than
    their answer took and working off the backlog took longer than it took to come.
    """
    arrival = np.sort(table.arrival_s[np.isfinite(table.arrival_s)])
    ends = np.sort(np.where(np.isfinite(table.last_token_s), table.last_token_s, np.inf))
    ended = np.isfinite(table.last_token_s)
    if len(arrival) < 200 or not ended.any():
        return None
    end, span = arrival[-1], arrival[-1] - arrival[0]
    served = float(np.median((table.last_token_s - table.scheduled_s)[ended]))
    if span < 4.0 * served:
        waited = float(np.median((table.scheduled_s - table.arrival_s)[ended]))
        return True if waited > served and np.nanmax(table.last_token_s) - end > span else None
    middle = arrival[0] + span / 2.0

    def inside(at: float) -> int:
        came, left = np.searchsorted(arrival, at, "right"), np.searchsorted(ends, at, "right")
        return int(came - left)

    came = len(arrival) - int(np.searchsorted(arrival, middle, "right"))
    return inside(end) - inside(middle) > 0.02 * came + 4.0 * float(np.sqrt(came))
