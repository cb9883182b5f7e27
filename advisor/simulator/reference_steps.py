"""What the reference machine schedules, and what its steps cost, in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from advisor.simulator.numbers import Server as Spec
from advisor.simulator.numbers import StepTimes
from advisor.simulator.reference_cache import Holding

NAN = math.nan


@dataclass(eq=False)
class Job:
    """A request on its way."""

    number: int
    input: int
    output: int
    priority: int
    blocks: tuple[int, ...]
    arrival_s: float
    due_s: float
    queued_s: float = NAN
    scheduled_s: float = NAN
    first_s: float = NAN
    last_s: float = NAN
    end_s: float = NAN
    status: int = 0
    tier: int = -1
    server: int = -1
    preemptions: int = 0
    attempts: int = 0
    tries: int = 0
    cached: int = 0
    gone_on: bool = False
    target: int = 0  # tokens to compute before the next one can be given out
    done: int = 0
    generated: int = 0
    held: Holding = field(default_factory=Holding)
    context: float = 0.0
    steps_left: int = 0
    growth: float = 0.0

    @property
    def reading(self) -> bool:
        """Whether its prompt isn't finished."""
        return self.steps_left < 0

    @property
    def unread(self) -> int:
        """Tokens of its prompt still to compute."""
        return self.target - self.done


@dataclass
class Totals:
    """What a server did."""

    prefill_s: float = 0.0
    decode_s: float = 0.0
    computed_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    wasted_tokens: int = 0
    step_count: int = 0
    sequence_steps: int = 0
    preemptions: int = 0


def between(row: list[float], at: float) -> float:
    """Read a table linearly between its entries, and on beyond the last."""
    low = min(int(at), len(row) - 2)
    return row[low] + (row[low + 1] - row[low]) * (at - low)


class Times:
    """Seconds of steps from the tables of a server."""

    def __init__(self, spec: Spec) -> None:
        t: StepTimes = spec.steps
        self.spec, self.node = spec, float(t.node_tokens)
        self.decode, self.body, self.head = (
            t.decode_s.tolist(),
            t.body_s.tolist(),
            t.head_s.tolist(),
        )
        self.attention, self.states = t.attention.tolist(), t.states.tolist()

    def step(self, size: int, context: float, chunks: list[tuple[int, int]], last: int) -> float:
        """Time of a step.

        ``size`` sequences decode at this mean context; ``chunks`` are (tokens, tokens before
        them) of prompts, of which ``last`` are finished.
        """
        spec, added = self.spec, sum(c for c, _ in chunks)
        seconds = between(self.decode[size], context / self.node)
        if chunks:
            rows = size * (1 + spec.draft_tokens)
            seconds += self.body[rows + added] - self.body[rows]
            seconds += self.head[min(rows + last, len(self.head) - 1)] - self.head[rows]
            seconds += sum(self._attention(c, before) for c, before in chunks)
            seconds += sum(launch for _, launch, _, _ in self.attention)
            seconds += self._states(added, max(c for c, _ in chunks))
        extra = spec.per_step_s + (size + len(chunks)) * spec.per_sequence_s
        return seconds * spec.factor + extra

    def _attention(self, chunk: int, before: int) -> float:
        """Each token attends to those before it and itself, as far as the layer reaches."""
        seconds = 0.0
        for pair_s, _, reach, keys in self.attention:
            pairs = sum(min(k, reach) for k in range(before + 1, before + chunk + 1))
            seconds += pair_s * (pairs + keys * chunk)
        return seconds

    def _states(self, added: int, longest: int) -> float:
        seconds = 0.0
        for count, token_s, serial_s, launch_s, power in self.states:
            if count > 0:
                both = (added * token_s) ** power + (longest * serial_s) ** power
                seconds += count * (both ** (1.0 / power) + launch_s)
        return seconds
