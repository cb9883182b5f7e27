"""What must hold at the end of every replay; the numbers are those of ``docs/simulator.md``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.schema.traffic import Requests
from advisor.simulator import world as w
from advisor.simulator.numbers import Group, Replicas

RELATIVE, SECONDS = 1e-9, 1e-6
"""Rounding of times: a share of the time, and sums of many steps."""


class SimulationBugError(RuntimeError):
    """A replay broke one of its own invariants: its numbers are worthless.

    Parameters
    ----------
    number, name
        Which invariant.
    where
        The first request, server or tier that breaks it, and how.
    """

    def __init__(self, number: int, name: str, where: str) -> None:
        super().__init__(f"simulation bug: invariant {number} ({name}) is broken: {where}")
        self.number, self.name, self.where = number, name, where


def check(world: w.World, requests: Requests, groups: tuple[Group, ...]) -> tuple[str, ...]:
    """Check invariants 1 to 6 on a replay that has come to its end or was cut short.

    Parameters
    ----------
    world
        State after the last call of the loop.
    requests, groups
        What was replayed, and on what.

    Returns
    -------
    Names of the invariants that hold: all of them.

    Raises
    ------
    SimulationBugError
        If one doesn't, naming it and the first offender.
    """
    pending = world.heap[: world.counters[w.HEAP_SIZE]]
    _check_requests(world, pending)
    _check_tokens(world, groups, pending)
    _check_causality(world, requests)
    _check_clock(world, pending)
    _check_work(world, pending)
    _check_cache(world)
    return ("requests", "tokens", "causality", "clock", "work", "cache")


def _none(broken: Any, number: int, name: str, what: str, kind: str = "request") -> None:
    """Raise if any entry is true."""
    if broken.any():
        raise SimulationBugError(number, name, f"{kind} {int(np.argmax(broken))}: {what}")


def _equal(found: float, wanted: float, number: int, name: str, what: str) -> None:
    if found != wanted:
        raise SimulationBugError(number, name, f"{what}: {found:g}, should be {wanted:g}")


def _check_requests(world: w.World, pending: Any) -> None:
    asked, name = world.requests, "requests"
    status, sent = np.asarray(asked["status"]), np.asarray(asked["sent"]) > 0
    _none((status < w.PENDING) | (status > w.UNSENT), 1, name, "has no known status")
    _none((status == w.UNSENT) & sent, 1, name, "was sent, and counts as never sent")
    over = status != w.PENDING
    _none(over & ~sent & (status != w.UNSENT), 1, name, "ended without having been sent")
    _none(over != np.isfinite(asked["end_s"]), 1, name, "has an end and no outcome, or no end")
    left = int((~over).sum())
    _equal(int(world.counters[w.LEFT]), left, 1, name, "requests counted as unfinished")
    kind, again = pending["kind"], pending["version"] != w.FRESH
    away = (kind == w.ANSWERED) | (kind == w.HANDOVER) | ((kind == w.ARRIVAL) & again)
    held = int(world.servers["outstanding"].sum()) + int(away.sum())
    _equal(held, int((~over & sent).sum()), 1, name, "unfinished requests that are somewhere")
    servers = world.servers
    parts = servers["running"] + servers["waiting"]
    _none(servers["outstanding"] != parts, 1, name, "running and waiting don't add up", "server")


def _answers(world: w.World, pending: Any) -> NDArray[np.int64]:
    """Count the answers given to each request: one more if a verifier passed it on."""
    asked = world.requests
    times = (asked["status"] == w.FINISHED).astype(np.int64) + (asked["escalates"] == w.GONE_ON)
    np.add.at(times, pending["id"][pending["kind"] == w.ANSWERED], 1)
    return np.asarray(times)


def _check_tokens(world: w.World, groups: tuple[Group, ...], pending: Any) -> None:
    name, asked, servers, tiers = "tokens", world.requests, world.servers, world.tiers
    times = _answers(world, pending)
    made = int(servers["output_tokens"].sum()) + int(tiers["output_tokens"].sum())
    _equal(made, int((times * asked["output"]).sum()), 2, name, "tokens given out")
    read = servers["computed_tokens"] + servers["cached_tokens"] - servers["wasted_tokens"]
    begun = int(asked["done"][asked["status"] == w.PENDING].sum())
    wanted = int((times * asked["input"]).sum()) + begun
    _equal(int(read.sum()) + int(tiers["input_tokens"].sum()), wanted, 2, name, "tokens read")
    if (asked["escalates"] == w.GONE_ON).any():
        return  # the tier of a rejected answer isn't kept
    given = np.bincount(asked["tier"][times > 0], asked["output"][times > 0], len(groups))
    for number, group in enumerate(groups):
        out = int(tiers["output_tokens"][number])
        if isinstance(group, Replicas):
            out = int(servers["output_tokens"][servers["tier"] == number].sum())
        _equal(out, int(given[number]), 2, name, f"tokens given out by tier {number}")


def _check_causality(world: w.World, requests: Requests) -> None:
    asked = world.requests
    done = asked["status"] == w.FINISHED
    order = ("arrival_s", "scheduled_s", "first_s", "last_s", "end_s")
    for before, after in pairwise(order):
        rounding = RELATIVE * np.abs(asked[after])
        right = asked[before] <= asked[after] + rounding
        _none(done & ~right, 3, "causality", f"{before} comes after {after}")
    if len(requests.parent):
        follows = (requests.parent >= 0) & (asked["sent"] > 0)
        ended_s = asked["end_s"][np.maximum(requests.parent, 0)]
        right = asked["arrival_s"] >= ended_s * (1 - RELATIVE)
        _none(follows & ~right, 3, "causality", "came before the one it follows had ended")


def _check_clock(world: w.World, pending: Any) -> None:
    _equal(int(world.counters[w.BACKWARDS]), 0, 4, "clock", "steps of the clock that went back")
    now = world.clock[w.NOW_S]
    late = ~(pending["time_s"] >= now * (1 - RELATIVE))
    _none(late, 4, "clock", "was due before now", "event")
    servers = world.servers
    busy = (servers["doing"] == w.LEAP) | (servers["doing"] == w.STEP)
    right = servers["end_s"] >= servers["start_s"]
    _none(busy & ~right, 4, "clock", "its plan ends before it starts", "server")


def _check_work(world: w.World, pending: Any) -> None:
    servers, now = world.servers, world.clock[w.NOW_S]
    planned = np.zeros(len(servers), dtype=bool)
    planned[pending["id"][pending["kind"] == w.PLAN]] = True
    idle = (servers["up"] > 0) & (servers["doing"] == w.IDLE) & ~planned
    _none(idle & (servers["outstanding"] > 0), 5, "work", "idles while requests wait", "server")
    busy_s = servers["prefill_s"] + servers["decode_s"]
    up_s = servers["up_s"] + (servers["up"] > 0) * np.maximum(now - servers["started_s"], 0.0)
    most_s = up_s * (1 + RELATIVE) + SECONDS
    _none(~(busy_s <= most_s), 5, "work", "was busy for longer than up", "server")


def _check_cache(world: w.World) -> None:
    servers, name = world.servers, "cache"
    used, most = servers["used_blocks"], servers["blocks"]
    _none((used < 0) | (used > most), 6, name, "holds less than nothing or too much", "server")
    idle = servers["idle_blocks"]
    _none((idle < 0) | (used + idle > most), 6, name, "found blocks it doesn't have", "server")
    _none(servers["peak_blocks"] > most, 6, name, "once held more than it has", "server")
    broken = (world.references < 0).any(axis=1)
    _none(broken, 6, name, "let go a block it didn't hold", "server")
    if world.counters[w.LEFT] > 0:
        return
    _none(used != 0, 6, name, "holds blocks at the end", "server")
    _none(world.references.any(axis=1), 6, name, "refers to blocks at the end", "server")
    kept = (world.requests["private"] != 0) | (world.requests["tracked"] != 0)
    _none(kept, 6, name, "holds blocks at the end")
