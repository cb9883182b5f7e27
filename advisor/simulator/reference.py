"""The reference machine: the rules of ``docs/simulator.md`` in plain Python, one event a step.

Slow and simple: simpy keeps the clock, nothing leaps, times are added up step by step. The
compiled loop must agree with it (``tests/test_simulator_reference.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.schema.traffic import Requests
from advisor.simulator.build import request_draws
from advisor.simulator.numbers import Api, Devices, Group, Replicas, Routing
from advisor.simulator.reference_cache import Cache
from advisor.simulator.reference_server import BOTH, DECODE_ONLY, PREFILL_ONLY, Scheduler
from advisor.simulator.reference_steps import Job
from advisor.simulator.reference_tiers import Tier

PENDING, FINISHED, FAILED, REFUSED, LATE, UNSENT = range(6)
ANSWERED, HANDOVER, ARRIVAL, OUTAGE = 1, 2, 3, 9
MOST_HOPS = 16

Outage = tuple[float, int, bool]
"""At this time this server fails, or starts again (True)."""


@dataclass(frozen=True, eq=False)
class Replayed:
    """What the reference saw: one array a field of a request, and what servers and tiers did."""

    requests: dict[str, NDArray[Any]]
    servers: tuple[dict[str, float], ...]
    tiers: tuple[dict[str, float], ...]
    gaps: tuple[Counter[float], ...]


class _Fleet:
    def __init__(
        self,
        requests: Requests,
        groups: tuple[Group, ...],
        routing: Routing,
        seed: int,
        clients: int,
        think_s: float,
    ) -> None:
        import simpy

        self.env = simpy.Environment()
        self.event = simpy.Event
        self.given, self.routing = requests, routing
        self.clients, self.think_s = clients, think_s
        self.draws = request_draws(len(requests), seed)
        self.jobs = _jobs(requests, routing)
        self.children: list[list[Job]] = [[] for _ in self.jobs]
        for i, parent in enumerate(requests.parent.tolist()):
            if parent >= 0:
                self.children[parent].append(self.jobs[i])
        self.tiers = [Tier(number, group) for number, group in enumerate(groups)]
        self.servers: list[Scheduler] = []
        for tier in self.tiers:
            self._add_servers(tier, requests.block_tokens)
        self.owner: dict[int, Scheduler] = {}
        self.pool = [job for job, p in zip(self.jobs, _parents(requests), strict=True) if p < 0]
        first = len(self.pool) if not clients else min(clients, len(self.pool))
        for job in self.pool[:first]:
            self.after(job.arrival_s, ARRIVAL, job.number, partial(self.arrive, job))
        del self.pool[:first]

    def _add_servers(self, tier: Tier, trace_tokens: int) -> None:
        group = tier.group
        if not isinstance(group, Replicas):
            return
        spec = group.server
        block = spec.block_tokens
        if spec.prefix_caching and trace_tokens % block:
            block = trace_tokens
        for replica in range(group.room):
            role = BOTH
            if group.prefill_replicas:
                role = PREFILL_ONLY if replica < group.prefill_replicas else DECODE_ONLY
            for _ in range(group.servers_per_replica):
                cache = Cache(
                    int(spec.kv_tokens // block), block, trace_tokens, spec.prefix_caching
                )
                server = Scheduler(
                    len(self.servers), tier.number, role, spec, cache, self.after, self.now
                )
                server.leaves, server.late = self.leaves, self.late
                server.start()
                self.servers.append(server)
                tier.servers.append(server)

    # --- clock -------------------------------------------------------------------------------
    def now(self) -> float:
        return float(self.env.now)

    def after(self, delay_s: float, kind: int, number: int, action: Callable[[], None]) -> None:
        """Put an event on the clock; at one time, kinds come in order, then numbers."""
        event = self.event(self.env)
        event._ok, event._value = True, None
        event.callbacks.append(lambda _: action())
        rank: Any = kind * 10**9 + number
        self.env.schedule(event, priority=rank, delay=delay_s)

    # --- routing -----------------------------------------------------------------------------
    def arrive(self, job: Job) -> None:
        """Come to the router for the first time."""
        job.arrival_s = self.now()
        job.due_s += self.now()
        first = partial(self.send, job, int(self.routing.first[job.number]))
        if self.routing.router_s > 0:
            self.after(self.routing.router_s, ARRIVAL, job.number, first)
        else:
            first()

    def send(self, job: Job, wanted: int) -> None:
        """Go to a tier, or on to those that take over from it."""
        number = wanted
        for _ in range(MOST_HOPS):
            spill, limit = self.routing.spill.get(number, (-1, 0))
            if spill >= 0:
                least = self.tiers[number].least(self.tiers[number].reads)
                if least is None or least.outstanding >= limit:
                    number = spill
            tier, job.tier = self.tiers[number], number
            refusal = self.routing.refusal.get(number, -1)
            if isinstance(tier.group, Api):
                taken = self._to_api(job, tier, tier.group)
            elif isinstance(tier.group, Devices):
                taken = self._to_device(job, tier, tier.group)
            else:
                taken = self._to_servers(job, tier, refusal)
            if taken:
                return
            if refusal in (-1, number):
                break
            number = refusal
        self.finish(job, REFUSED, self.now())

    def _to_servers(self, job: Job, tier: Tier, refusal: int) -> bool:
        server = self._pick(job, tier, tier.reads)
        if server is not None:
            job.target, job.done, job.generated, job.scheduled_s = job.input, 0, 0, math.nan
            job.attempts += 1
            for block in job.blocks:
                self.owner[block] = server
            server.join(job)
            return True
        waited_s = self.now() - job.arrival_s
        some_up = any(s.accepting for s in tier.servers if s.role == tier.reads)
        if some_up or refusal >= 0 or waited_s > self.routing.hold_s + 1e-6:
            return False
        self.after(1.0, ARRIVAL, job.number, partial(self.send, job, tier.number))
        return True

    def _pick(self, job: Job, tier: Tier, role: int) -> Scheduler | None:
        assert isinstance(tier.group, Replicas)
        if tier.group.balance == "round-robin":
            return tier.in_turn(role)
        least = tier.least(role)
        if tier.group.balance != "prefix-aware" or least is None:
            return least
        known = None
        for block in job.blocks:
            if block not in self.owner:
                break
            known = self.owner[block]
        if known in tier.open(role) and known is not None:
            return known if known.outstanding <= 2 * least.outstanding + 4 else least
        return least

    def _to_api(self, job: Job, tier: Tier, api: Api) -> bool:
        tier.refill(self.now())
        busy = api.requests_per_s > 0 and tier.requests < 1
        if busy or (api.tokens_per_s > 0 and tier.tokens < job.input):
            tier.totals["refusals"] += 1
            job.tries += 1
            if job.tries > api.retries:
                return False
            wait = api.backoff_s * 2.0 ** (job.tries - 1) * (0.5 + self.draws[2][job.number])
            self.after(wait, ARRIVAL, job.number, partial(self.send, job, tier.number))
            return True
        tier.requests -= 1
        tier.tokens -= job.input
        z_ttft, z_tpot = self.draws[0][job.number], self.draws[1][job.number]
        job.scheduled_s = self.now()
        job.first_s = self.now() + math.exp(math.log(api.ttft_s) + api.ttft_sigma * z_ttft)
        tpot_s = math.exp(math.log(api.tpot_s) + api.tpot_sigma * z_tpot)
        job.last_s = job.first_s + (job.output - 1) * tpot_s
        self._called(job, tier, job.last_s - self.now())
        self.after(job.last_s - self.now(), ANSWERED, job.number, partial(self.answered, job))
        return True

    def _called(self, job: Job, tier: Tier, busy_s: float) -> None:
        job.attempts += 1
        tier.busy_s += busy_s
        tier.totals["calls"] += 1
        tier.totals["input_tokens"] += job.input
        tier.totals["output_tokens"] += job.output

    def _to_device(self, job: Job, tier: Tier, group: Devices) -> bool:
        if group.max_input_tokens and job.input > group.max_input_tokens:
            return False
        sessions = self.given.session
        user = int(sessions[job.number]) if len(sessions) and sessions[job.number] >= 0 else -1
        device = (user if user >= 0 else job.number) % group.devices
        reading, answering = group.times(np.array([job.input]), np.array([job.output]))
        work_s = float(reading[0] + answering[0])
        start_s = max(self.now(), tier.free_s[device])
        rest_s = start_s - tier.free_s[device]
        cooled_s = rest_s / group.recovery_s * group.burst_s if rest_s else 0.0
        heat_s = max(tier.heat_s[device] - cooled_s, 0.0)
        fast_s = min(max(group.burst_s - heat_s, 0.0), work_s)
        busy_s = fast_s + (work_s - fast_s) / group.sustained_share
        end_s = start_s + busy_s
        tier.free_s[device] = end_s  # type: ignore[assignment]
        tier.heat_s[device] = min(heat_s + busy_s, group.burst_s)  # type: ignore[assignment]
        job.scheduled_s = start_s
        job.first_s = end_s - busy_s * float(answering[0]) / work_s + group.delay_s
        job.last_s = end_s + group.delay_s
        self._called(job, tier, busy_s)
        self.after(end_s - self.now(), ANSWERED, job.number, partial(self.answered, job))
        return True

    # --- answers -----------------------------------------------------------------------------
    def leaves(self, server: Scheduler, job: Job) -> None:
        """Leave a server: with its answer, or with its prompt read."""
        if server.role == PREFILL_ONLY and job.output > 1:
            group = self.tiers[server.tier].group
            assert isinstance(group, Replicas)
            wait = job.input * group.transfer_s_per_token
            self.after(wait, HANDOVER, job.number, partial(self._hand_over, job))
            return
        server.totals.output_tokens += job.output
        server.totals.wasted_tokens += job.target - job.input
        self.answered(job)

    def _hand_over(self, job: Job) -> None:
        server = self._pick(job, self.tiers[job.tier], DECODE_ONLY)
        if server is None:
            self.after(1.0, HANDOVER, job.number, partial(self._hand_over, job))
        else:
            server.join(job)

    def answered(self, job: Job) -> None:
        """Take a complete answer: the client's, or to be checked first."""
        tier = self.tiers[job.tier]
        if isinstance(tier.group, Api):
            tier.refill(self.now())
            tier.tokens -= job.output
        elif isinstance(tier.group, Replicas):
            job.first_s += tier.group.delay_s
            job.last_s += tier.group.delay_s
        second = int(self.routing.second[job.number])
        if second in (-1, job.tier) or job.gone_on:
            self.finish(job, FINISHED, job.last_s)
            return
        checked_s = job.last_s + self.routing.verify_s
        if self.routing.escalates[job.number]:
            job.gone_on, job.tries, job.attempts = True, 0, 0
            again = partial(self.send, job, second)
            self.after(checked_s - self.now(), ARRIVAL, job.number, again)
            return
        job.first_s = job.last_s = checked_s
        self.finish(job, FINISHED, checked_s)

    def late(self, job: Job) -> None:
        """Give up a request whose patience ran out."""
        self.finish(job, LATE, self.now())

    def finish(self, job: Job, status: int, end_s: float) -> None:
        """End for good, and send what follows."""
        job.status, job.end_s = status, end_s
        for child in self.children[job.number]:
            if status == FINISHED:
                wait = end_s + float(self.given.think_s[child.number]) - self.now()
                self.after(wait, ARRIVAL, child.number, partial(self.arrive, child))
            else:
                self.finish(child, UNSENT, end_s)
        if status != UNSENT and self.clients and self.pool:
            job = self.pool.pop(0)
            wait = end_s + self.think_s - self.now()
            self.after(wait, ARRIVAL, job.number, partial(self.arrive, job))

    def switch(self, server: Scheduler, up: bool) -> None:
        """Fail a server, or start it."""
        if up:
            server.start()
            return
        for job in server.fail():
            if job.attempts > self.routing.retries:
                self.finish(job, FAILED, self.now())
            else:
                self.send(job, job.tier)


def _parents(requests: Requests) -> list[int]:
    return requests.parent.tolist() if len(requests.parent) else [-1] * len(requests)


def _jobs(requests: Requests, routing: Routing) -> list[Job]:
    n = len(requests)
    times = Counter(requests.block_ids.tolist())
    priority = requests.priority.tolist() if len(requests.priority) else [0] * n
    patience = routing.patience_s.tolist() if len(routing.patience_s) else [math.inf] * n
    jobs = []
    for i in range(n):
        tokens = int(requests.input_tokens[i])
        blocks: list[int] = []
        if len(requests.block_offsets):
            low, high = requests.block_offsets[i : i + 2].tolist()
            for block in requests.block_ids[low:high][: tokens // requests.block_tokens].tolist():
                if times[block] < 2:
                    break
                blocks.append(block)
        arrival_s, output = float(requests.arrival_s[i]), int(requests.output_tokens[i])
        job = Job(i, tokens, output, priority[i], tuple(blocks), arrival_s, patience[i])
        job.target = tokens
        jobs.append(job)
    return jobs


def replay(
    requests: Requests,
    groups: tuple[Group, ...],
    routing: Routing,
    seed: int = 0,
    clients: int = 0,
    think_s: float = 0.0,
    outages: tuple[Outage, ...] = (),
) -> Replayed:
    """Replay requests on a fleet, one event a step.

    Parameters are those of :func:`advisor.simulator.build.make_world`; all servers start at 0.
    ``outages`` at one time come after all else of that time, in the order given.
    """
    fleet = _Fleet(requests, groups, routing, seed, clients, think_s)
    for order, (time_s, number, up) in enumerate(outages):
        fleet.after(time_s, OUTAGE, order, partial(fleet.switch, fleet.servers[number], up))
    fleet.env.run()
    names = "arrival_s scheduled_s first_s last_s end_s status tier server preemptions cached"
    columns = {name: np.array([getattr(j, name) for j in fleet.jobs]) for name in names.split()}
    servers, gaps = [], [Counter[float]() for _ in groups]
    for server in fleet.servers:
        cache = {"peak_blocks": server.cache.peak, "used_blocks": server.cache.used}
        servers.append(vars(server.totals) | cache)
        gaps[server.tier].update(server.gaps)
    tiers = tuple(t.totals | {"busy_s": t.busy_s} for t in fleet.tiers)
    return Replayed(columns, tuple(servers), tiers, tuple(gaps))
