"""What a fleet is to the simulator: numbers only, no names of models or devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UsageError
from advisor.schema.fact import Evidence
from advisor.schema.fleet import Autoscale, Failures, Maintenance


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Step times of a server as tables; see :mod:`advisor.simulator.steps`.

    Parameters
    ----------
    decode_s
        ``(sequences + 1, nodes)`` seconds of a decode step by sequences and mean context.
    node_tokens
        Tokens of context between two nodes.
    body_s, head_s
        Seconds of the products by tokens of a step, and of the output head by tokens emitted.
    attention
        ``(groups, 4)``: seconds per attended pair, launch, reach, keys added per query.
    states
        ``(groups, 5)``: recurrent layers; see :class:`advisor.perf.mixers.StateRate`.
    """

    decode_s: NDArray[np.float64]
    node_tokens: float
    body_s: NDArray[np.float64]
    head_s: NDArray[np.float64]
    attention: NDArray[np.float64]
    states: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 5)))

    def as_dict(self) -> dict[str, Any]:
        """Return the tables by name."""
        return {k: getattr(self, k) for k in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class Server:
    """One scheduler: its step times and limits.

    ``reserve_output_tokens`` 0: the cache is paged and grows with the answer; else so many
    tokens are reserved for each answer when it joins. ``static_batch`` 0: continuous batching.
    """

    steps: StepTimes
    max_sequences: int
    step_tokens: int
    kv_tokens: float
    block_tokens: int = 16
    factor: float = 1.0
    per_step_s: float = 0.0
    per_sequence_s: float = 0.0
    prefill_alone: bool = False
    prefix_caching: bool = False
    reserve_output_tokens: int = 0
    static_batch: int = 0
    static_wait_s: float = 0.0
    draft_tokens: int = 0
    acceptance: float = 0.0

    def __post_init__(self) -> None:
        if self.max_sequences < 1 or self.step_tokens < 1 or self.block_tokens < 1:
            msg = "a server needs at least one sequence, one token a step and one token a block"
            raise UsageError(msg)
        if self.step_tokens < self.max_sequences * (1 + self.draft_tokens):
            msg = (
                f"a step of {self.step_tokens} tokens can't carry {self.max_sequences} sequences "
                f"of {1 + self.draft_tokens}: lower max_sequences or raise step_tokens"
            )
            raise UsageError(msg)
        rows = self.max_sequences * (1 + self.draft_tokens)
        if len(self.steps.decode_s) <= self.max_sequences or len(self.steps.head_s) <= rows:
            msg = f"step times end before {self.max_sequences} sequences"
            raise UsageError(msg)
        if len(self.steps.body_s) <= self.step_tokens:
            msg = f"step times end before {self.step_tokens} tokens"
            raise UsageError(msg)


@dataclass(frozen=True, eq=False)
class Watts:
    """Power of a replica: at rest, reading prompts, and decoding (mean batch, mean context)."""

    idle: float
    reading: float
    decoding: Callable[[float, float], float]


@dataclass(frozen=True, eq=False)
class Replicas:
    """A tier of equal replicas, each of ``servers_per_replica`` schedulers.

    ``prefill_s_per_token`` and ``decode_s_per_request`` weigh queues where the router compares
    finish times; watts and dollars are those of one replica of ``devices``.
    """

    name: str
    server: Server
    replicas: int
    servers_per_replica: int = 1
    most_replicas: int = 0
    balance: str = "least-outstanding"
    delay_s: float = 0.0
    prefill_replicas: int = 0
    transfer_s_per_token: float = 0.0
    max_outstanding: int = 0
    prefill_s_per_token: float = 0.0
    decode_s_per_request: float = 0.0
    usd_per_hour: float | None = None
    devices: int = 1
    watts: Watts | None = None
    autoscale: Autoscale | None = None
    failures: Failures | None = None
    maintenance: tuple[Maintenance, ...] = ()
    evidence: Evidence = "estimated"
    what: str = ""

    @property
    def room(self) -> int:
        """Replicas the tier may have at most."""
        return max(self.replicas, self.most_replicas)


@dataclass(frozen=True, eq=False)
class Api:
    """An endpoint paid by the token; times log-normal, ``sigma`` of the natural logarithm."""

    name: str
    ttft_s: float
    ttft_sigma: float
    tpot_s: float
    tpot_sigma: float
    requests_per_s: float = 0.0
    tokens_per_s: float = 0.0
    retries: int = 0
    backoff_s: float = 1.0
    usd_per_mtok_input: float = 0.0
    usd_per_mtok_output: float = 0.0
    what: str = ""


@dataclass(frozen=True, eq=False)
class Devices:
    """Users' own devices: one request at a time each.

    ``times`` gives (prompt, answer) seconds of requests from their (prompt, answer) tokens.
    """

    name: str
    devices: int
    times: Any
    max_input_tokens: int = 0
    burst_s: float = np.inf
    recovery_s: float = 1.0
    sustained_share: float = 1.0
    delay_s: float = 0.0
    busy_w: float | None = None
    evidence: Evidence = "estimated"
    what: str = ""


Group = Replicas | Api | Devices


@dataclass(frozen=True, eq=False)
class Routing:
    """Where each request goes, by number of the tier; -1: nowhere.

    Parameters
    ----------
    first, second
        ``(n,)`` tiers; where ``second`` is set a verifier checks the first's answer.
    escalates
        ``(n,)`` whether the verifier will reject it.
    spill, spill_outstanding, refusal
        By tier: who takes over when it is busy, and when it refuses.
    patience_s
        ``(n,)`` seconds a request waits at most to be begun; empty: for ever.
    hold_s
        Seconds a request waits at the router while no replica is up.
    router_s
        Seconds the router itself takes before it sends a request on.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    escalates: NDArray[np.int64]
    spill: dict[int, tuple[int, int]] = field(default_factory=dict)
    refusal: dict[int, int] = field(default_factory=dict)
    retries: int = 1
    verify_s: float = 0.0
    patience_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    hold_s: float = 60.0
    router_s: float = 0.0


def to_first(requests: int) -> Routing:
    """Send everything to the first tier."""
    none = np.full(requests, -1, dtype=np.int64)
    zero = np.zeros(requests, dtype=np.int64)
    return Routing(first=zero, second=none, escalates=zero)


def with_speculation(steps: StepTimes, draft_tokens: int, draft_step_share: float) -> StepTimes:
    """Return decode steps that check ``draft_tokens`` proposals a sequence.

    A step carries ``1 + draft_tokens`` tokens a sequence through the products and the output
    head; attention reads the cache once. The draft adds its own steps.
    """
    n = len(steps.decode_s)
    rows = np.minimum(np.arange(n) * (1 + draft_tokens), len(steps.body_s) - 1)
    one = np.arange(n)
    heads = np.minimum(rows, len(steps.head_s) - 1)
    more = steps.body_s[rows] - steps.body_s[one] + steps.head_s[heads] - steps.head_s[one]
    decode = steps.decode_s * (1.0 + draft_tokens * draft_step_share) + more[:, None]
    decode[0] = 0.0
    return replace(steps, decode_s=decode)
