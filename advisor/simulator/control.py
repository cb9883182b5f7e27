"""What decides over a fleet while it runs: autoscaler, failures, maintenance, samples.

Each is a simpy process. Before it looks at the fleet or changes it, the compiled loop brings
requests and servers up to its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from advisor.schema.fleet import Autoscale, Failures, Maintenance
from advisor.simulator.loop import advance, drain_server, start_server, stop_server
from advisor.simulator.numbers import Group, Replicas, Routing
from advisor.simulator.world import HEAP_SIZE, LEFT, NEXT_ARRIVAL, World

Process = Generator[Any, Any, None]
SLICE_EVENTS = 400_000
"""Events between two looks at the keyboard: some tenths of a second."""
MOST_SAMPLES = 480
SECONDS_PER_HOUR = 3600.0
OFF, STARTING, UP, DRAINING, DOWN = "off", "starting", "up", "draining", "down"
_STREAM = 11


@dataclass
class Replica:
    """One replica: its servers, its state, and the times it was paid for and up."""

    tier: int
    number: int
    servers: range
    state: str = OFF
    paid: list[list[float]] = field(default_factory=list)
    up: list[list[float]] = field(default_factory=list)


@dataclass
class Sample:
    """The fleet at one moment, by tier."""

    time_s: float
    running: list[int]
    waiting: list[int]
    used_blocks: list[float]
    full: list[int]
    replicas: list[int]


class Interrupted(Exception):  # noqa: N818 - not an error: the user has seen enough
    """The user stopped the run; what is done is kept."""


class Control:
    """Runs one replay.

    Parameters
    ----------
    world
        The arrays.
    groups, routing
        What they were laid out from.
    seed
        Of failures.
    on_progress
        Called with (requests ended, requests in all).
    should_stop
        Asked between slices; True ends the run and keeps what is done.
    """

    def __init__(
        self,
        world: World,
        groups: tuple[Group, ...],
        routing: Routing,
        seed: int = 0,
        on_progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.world, self.groups, self.routing, self.seed = world, groups, routing, seed
        self.env = simpy.Environment()
        self.replicas: list[Replica] = []
        self.samples: list[Sample] = []
        self.failures = 0
        self.interrupted = False
        self._tell = on_progress or (lambda _done, _all: None)
        self._should_stop = should_stop or (lambda: False)
        self._requests = len(world.requests)
        first = 0
        for tier, group in enumerate(groups):
            if isinstance(group, Replicas):
                for number in range(group.room):
                    servers = range(first, first + group.servers_per_replica)
                    self.replicas.append(Replica(tier, number, servers))
                    first = servers.stop

    def run(self, sample_s: float) -> None:
        """Run until every request has ended, nothing more can happen, or the user stops."""
        for tier, group in enumerate(self.groups):
            if isinstance(group, Replicas):
                self._begin(tier, group)
        self.env.process(self._sampler(sample_s))
        try:
            while not self._over():
                self.env.step()
        except (KeyboardInterrupt, Interrupted):
            self.interrupted = True
        end = float(self.world.clock[0])
        for replica in self.replicas:
            for spans in (replica.paid, replica.up):
                if spans and spans[-1][1] == math.inf:
                    spans[-1][1] = max(end, spans[-1][0])
        self._tell(self.ended, self._requests)

    @property
    def ended(self) -> int:
        """Requests that have ended."""
        return self._requests - int(self.world.counters[LEFT])

    def _over(self) -> bool:
        return bool(self.world.counters[LEFT] == 0)

    def _begin(self, tier: int, group: Replicas) -> None:
        mine = self._of(tier)
        for replica in mine[: group.replicas]:
            self._pay(replica)
            self._up(replica)
        if group.autoscale:
            self.env.process(self._autoscaler(tier, group.autoscale))
        if group.failures:
            seeds = np.random.SeedSequence([self.seed, _STREAM, tier]).spawn(len(mine))
            for replica, seed in zip(mine, seeds, strict=True):
                rng = np.random.default_rng(seed)
                self.env.process(self._failing(replica, group.failures, rng))
        for each in group.maintenance:
            self.env.process(self._maintained(mine[each.replica % len(mine)], each))

    def _of(self, tier: int) -> list[Replica]:
        return [r for r in self.replicas if r.tier == tier]

    def _sync(self) -> None:
        """Bring the data plane up to now, in slices that leave the keyboard alive."""
        while advance(self.world, self.env.now, SLICE_EVENTS) == SLICE_EVENTS:
            self._tell(self.ended, self._requests)
            if self._should_stop():
                raise Interrupted
        self._tell(self.ended, self._requests)
        if self._should_stop():
            raise Interrupted

    def _pay(self, replica: Replica) -> None:
        replica.paid.append([self.env.now, math.inf])

    def _unpaid(self, replica: Replica) -> None:
        if replica.paid and replica.paid[-1][1] == math.inf:
            replica.paid[-1][1] = self.env.now

    def _up(self, replica: Replica) -> None:
        replica.state = UP
        replica.up.append([self.env.now, math.inf])
        for s in replica.servers:
            start_server(self.world, s, self.env.now)

    def _stopped(self, replica: Replica, state: str) -> None:
        replica.state = state
        if replica.up and replica.up[-1][1] == math.inf:
            replica.up[-1][1] = self.env.now

    def _drain(self, replica: Replica) -> None:
        replica.state = DRAINING
        for s in replica.servers:
            drain_server(self.world, s, self.env.now)

    def _empty(self, replica: Replica) -> bool:
        return all(self.world.servers[s].outstanding == 0 for s in replica.servers)

    def _outstanding(self, tier: int) -> int:
        mine = [s for r in self._of(tier) for s in r.servers]
        return int(self.world.servers.outstanding[mine].sum())

    def _autoscaler(self, tier: int, rule: Autoscale) -> Process:
        lower_since = math.inf
        while True:
            yield self.env.timeout(rule.interval_s)
            self._sync()
            mine = self._of(tier)
            for replica in mine:
                if replica.state == DRAINING and self._empty(replica):
                    self._stopped(replica, OFF)
                    self._unpaid(replica)
            hour = int(self.env.now // SECONDS_PER_HOUR) % 24
            least = rule.schedule[hour] if rule.schedule else rule.minimum
            asked = math.ceil(self._asked(tier) / rule.target_outstanding)
            wanted = min(max(asked, least), rule.maximum)
            active = [r for r in mine if r.state in (STARTING, UP)]
            lower_since = min(lower_since, self.env.now) if wanted < len(active) else math.inf
            if wanted > len(active):
                self._add(mine, wanted - len(active), rule)
            elif self.env.now - lower_since >= rule.cooldown_s:
                for replica in [r for r in active if r.state == UP][wanted - len(active) :]:
                    self._drain(replica)
                lower_since = math.inf

    def _asked(self, tier: int) -> int:
        """Count requests at the tier, or those held at the router because nothing is up."""
        requests = self.world.requests
        if any(r.state in (UP, DRAINING) for r in self._of(tier)):
            return self._outstanding(tier)
        held = (requests.sent == 1) & (requests.status == 0) & (requests.tier == tier)
        return int(np.count_nonzero(held))

    def _add(self, mine: list[Replica], count: int, rule: Autoscale) -> None:
        draining = [r for r in mine if r.state == DRAINING]
        for replica in draining[:count]:
            replica.state = UP
            for s in replica.servers:
                self.world.servers[s].accepting = 1
                if not self.world.servers[s].up:
                    start_server(self.world, s, self.env.now)
        off = [r for r in mine if r.state == OFF]
        for replica in off[: max(count - len(draining), 0)]:
            replica.state = STARTING
            self._pay(replica)
            self.env.process(self._cold(replica, rule.cold_start_s))

    def _cold(self, replica: Replica, seconds: float) -> Process:
        yield self.env.timeout(seconds)
        self._sync()
        if replica.state == STARTING:
            self._up(replica)

    def _failing(self, replica: Replica, rule: Failures, rng: np.random.Generator) -> Process:
        while True:
            yield self.env.timeout(float(rng.exponential(rule.mean_between_s)))
            repair_s = float(rng.exponential(rule.mean_repair_s))
            if replica.state != UP:
                continue
            self._sync()
            if rule.spot and rule.notice_s:
                self._drain(replica)
                yield self.env.timeout(rule.notice_s)
                self._sync()
            self.failures += 1
            self._kill(replica)
            if rule.spot:
                self._unpaid(replica)
            yield self.env.timeout(repair_s)
            self._sync()
            if rule.spot:
                self._pay(replica)
            self._up(replica)

    def _kill(self, replica: Replica) -> None:
        self._stopped(replica, DOWN)
        for s in replica.servers:
            self.world.servers[s].accepting = 0
        for s in replica.servers:
            stop_server(self.world, s, self.routing.retries, self.env.now)

    def _maintained(self, replica: Replica, rule: Maintenance) -> Process:
        yield self.env.timeout(rule.start_s)
        self._sync()
        if replica.state != UP:
            return
        self._drain(replica)
        while not self._empty(replica):
            yield self.env.timeout(1.0)
            self._sync()
        self._stopped(replica, DOWN)
        yield self.env.timeout(rule.duration_s)
        self._sync()
        self._up(replica)

    def _sampler(self, every_s: float) -> Process:
        while True:
            self._sync()
            self._sample()
            if self._stuck():
                return
            if len(self.samples) >= MOST_SAMPLES:
                self.samples = self.samples[::2]
                every_s *= 2.0
            yield self.env.timeout(every_s)

    def _stuck(self) -> bool:
        """Tell whether the data plane has nothing left that could happen by itself."""
        w = self.world
        if w.counters[HEAP_SIZE] or w.counters[NEXT_ARRIVAL] < len(w.order):
            return False
        if self._over() or any(isinstance(g, Replicas) and g.failures for g in self.groups):
            return False
        msg = f"the replay stopped with {w.counters[LEFT]} requests left and nothing to wait for"
        raise RuntimeError(msg)

    def _sample(self) -> None:
        servers, tiers = self.world.servers, range(len(self.groups))
        mine = [servers[servers.tier == t] for t in tiers]
        waiting = [m.waiting > 0 for m in mine]
        blocks = [np.maximum(m.blocks, 1) for m in mine]
        self.samples.append(
            Sample(
                time_s=float(self.env.now),
                running=[int(m.running.sum()) for m in mine],
                waiting=[int(m.waiting.sum()) for m in mine],
                used_blocks=[
                    float((m.used_blocks / b).mean()) if len(m) else 0.0
                    for m, b in zip(mine, blocks, strict=True)
                ],
                full=[_reason(m, w) for m, w in zip(mine, waiting, strict=True)],
                replicas=[sum(r.state in (UP, DRAINING) for r in self._of(t)) for t in tiers],
            )
        )


NOTHING, SEQUENCES, CACHE, PROMPTS = 0, 1, 2, 3


def _reason(servers: Any, waiting: Any) -> int:
    """Why requests wait at most of the servers where some do."""
    if not waiting.any():
        return NOTHING
    held = servers[waiting]
    crowded = held.running >= held.max_sequences
    full = held.used_blocks >= 0.95 * held.blocks
    counts = (int(crowded.sum()), int((full & ~crowded).sum()), int((~full & ~crowded).sum()))
    return 1 + counts.index(max(counts))
