"""A tier of the reference machine: its servers, the buckets of its API, its devices."""

from __future__ import annotations

from collections import Counter

from advisor.simulator.numbers import Api, Group, Replicas
from advisor.simulator.reference_server import BOTH, DECODE_ONLY, PREFILL_ONLY, Scheduler

MINUTE_S = 60.0


class Tier:
    """A tier: its servers, or the state of its API or devices."""

    def __init__(self, number: int, group: Group) -> None:
        self.number, self.group = number, group
        self.servers: list[Scheduler] = []
        self.cursors = {BOTH: 0, PREFILL_ONLY: 0, DECODE_ONLY: 0}
        self.totals = dict.fromkeys(("input_tokens", "output_tokens", "calls", "refusals"), 0)
        self.busy_s = self.refilled_s = 0.0
        if isinstance(group, Api):
            self.requests = MINUTE_S * group.requests_per_s
            self.tokens = MINUTE_S * group.tokens_per_s
        self.free_s: Counter[int] = Counter()
        self.heat_s: Counter[int] = Counter()

    @property
    def reads(self) -> int:
        """Role of the servers that take requests from the router."""
        group = self.group
        return PREFILL_ONLY if isinstance(group, Replicas) and group.prefill_replicas else BOTH

    def refill(self, now: float) -> None:
        """Let the buckets of an API run full."""
        group = self.group
        assert isinstance(group, Api)
        passed, self.refilled_s = now - self.refilled_s, now
        full = MINUTE_S * group.requests_per_s
        self.requests = min(full, self.requests + passed * group.requests_per_s)
        full = MINUTE_S * group.tokens_per_s
        self.tokens = min(full, self.tokens + passed * group.tokens_per_s)

    def open(self, role: int) -> list[Scheduler]:
        """Servers of a role that take requests now."""
        most = self.group.max_outstanding if isinstance(self.group, Replicas) else 0
        return [
            s
            for s in self.servers
            if s.accepting and s.role == role and (not most or s.outstanding < most)
        ]

    def load(self, server: Scheduler) -> float:
        """Return what a server still has to do: requests, or seconds."""
        group = self.group
        assert isinstance(group, Replicas)
        if group.balance != "shortest-finish":
            return server.outstanding
        queue_s = server.unread * group.prefill_s_per_token
        return queue_s + (server.outstanding + 1) * group.decode_s_per_request

    def least(self, role: int) -> Scheduler | None:
        """Return the least loaded open server, the lowest number first."""
        return min(self.open(role), key=self.load, default=None)

    def in_turn(self, role: int) -> Scheduler | None:
        """Return the next open server in turn."""
        cursor, size = self.cursors[role], len(self.servers)
        ready = self.open(role)
        turns = [self.servers[(cursor + k) % size] for k in range(size)]
        chosen = next((s for s in turns if s in ready), None)
        if chosen is not None:
            self.cursors[role] = self.servers.index(chosen) + 1
        return chosen
