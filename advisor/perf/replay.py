"""Replaying a closed-loop benchmark on one replica, leaping from batch change to batch change.

``concurrency`` clients start together; each sends its next prompt when its last answer ends,
until ``requests`` prompts are sent. This is the protocol of ``vllm bench serve
--max-concurrency`` and of InferenceMAX; TTFT under load is its outcome, not a factor.

While the batch stays the same, decode steps differ only by context growth, and their time is
linear in it between table nodes: a run of k steps costs k times the step at the mean context.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from advisor.perf.table import StepTable
from advisor.schema.engine import EngineCost


@dataclass(frozen=True)
class Limits:
    """Scheduler limits of one replica.

    ``step_tokens`` bounds decodes plus prompt tokens of a step, ``sequences`` the running
    batch, ``kv_tokens`` the cache; a request holds its prompt and ``reserved_output`` of its
    output there (1: all of it from the start; one half: its mean over the request's life, for
    engines that allocate as they go and rarely preempt).
    ``prefill_alone``: waiting prompts run in steps of their own, before any decode.
    ``wait_steps``: prompts wait so many decode steps for company, unless they fill
    ``wait_share`` of a step. ``poll_steps``: the scheduler looks for new requests only every so
    many decode steps, and after each step with a prompt. ``absent_steps``: a client's next
    request reaches the engine so many decode steps after its last answer ended there.
    """

    step_tokens: int
    sequences: int
    kv_tokens: float
    prefill_alone: bool = False
    reserved_output: float = 1.0
    wait_steps: int = 0
    wait_share: float = 1.0
    poll_steps: int = 0
    absent_steps: int = 0


@dataclass(frozen=True)
class ReplayResult:
    """Times of every request in the order sent, seconds; ``tpot`` of one-token answers is 0.

    ``duration_s`` runs from the start to the last token.
    """

    ttfts_s: tuple[float, ...]
    tpots_s: tuple[float, ...]
    duration_s: float
    output_tokens: int

    @property
    def requests(self) -> int:
        """Requests that ended."""
        return len(self.ttfts_s)

    @property
    def ttft_s(self) -> float:
        """Mean time to first token."""
        return fmean(self.ttfts_s)

    @property
    def tpot_s(self) -> float:
        """Mean time per output token of the answers that have more than one."""
        told = [t for t in self.tpots_s if t]
        return fmean(told) if told else 0.0

    @property
    def output_tok_per_s(self) -> float:
        """Output tokens per second over the whole run."""
        return self.output_tokens / self.duration_s


@dataclass
class _Request:
    isl: int
    osl: int
    number: int
    sent_s: float
    done_tokens: int = 0
    first_s: float = 0.0


class ClosedLoop:
    """One replay; :meth:`run` does it all.

    Parameters
    ----------
    table
        Step times.
    limits, cost
        Scheduler limits, and what the engine adds to kernel times.
    lengths
        (prompt, output) tokens of every request in the order sent.
    concurrency
        Clients.
    """

    def __init__(
        self,
        table: StepTable,
        limits: Limits,
        cost: EngineCost,
        lengths: Sequence[tuple[int, int]],
        concurrency: int,
    ) -> None:
        self._table, self._limits, self._cost = table, limits, cost
        self._lengths = lengths
        self._clients = min(concurrency, len(lengths))
        self._now = 0.0
        self._next = 0
        self._absent: deque[tuple[int, _Request]] = deque()
        self._inbox: deque[_Request] = deque()
        self._waiting: deque[_Request] = deque()
        self._prefilling: deque[_Request] = deque()
        self._finish: list[tuple[int, int, _Request]] = []
        self._steps = self._polled = self._held_steps = 0
        self._after_prompt = True
        self._context = 0.0
        self._reserved = 0.0
        self._ttfts = [0.0] * len(lengths)
        self._tpots = [0.0] * len(lengths)
        self._ended = self._tokens = 0

    def run(self) -> ReplayResult:
        """Replay until every request has ended."""
        for _ in range(self._clients):
            self._send(0)
        while self._ended < len(self._lengths):
            self._arrive()
            self._poll()
            self._admit()
            if self._prefilling and not self._holding():
                self._prefill_step()
            else:
                self._leap()
        return ReplayResult(
            ttfts_s=tuple(self._ttfts),
            tpots_s=tuple(self._tpots),
            duration_s=self._now,
            output_tokens=self._tokens,
        )

    def _send(self, absent_steps: int) -> None:
        if self._next < len(self._lengths):
            isl, osl = self._lengths[self._next]
            request = _Request(isl, osl, self._next, self._now)
            self._absent.append((self._steps + absent_steps, request))
            self._next += 1

    def _arrive(self) -> None:
        """Let what was sent reach the engine; an idle engine doesn't wait for it."""
        idle = not (self._finish or self._prefilling or self._waiting or self._inbox)
        while self._absent and (idle or self._absent[0][0] <= self._steps):
            request = self._absent.popleft()[1]
            request.sent_s = self._now
            self._inbox.append(request)
            idle = False

    def _poll(self) -> None:
        """Let the scheduler see what was sent, if it looks."""
        due = self._steps - self._polled >= self._limits.poll_steps
        if self._inbox and (due or self._after_prompt or not self._finish):
            self._waiting.extend(self._inbox)
            self._inbox.clear()
            self._polled = self._steps

    def _holding(self) -> bool:
        """Tell whether prompts still wait for company."""
        limits = self._limits
        if not self._finish or self._held_steps >= limits.wait_steps:
            return False
        tokens = sum(r.isl - r.done_tokens for r in self._prefilling) + len(self._finish)
        return tokens < limits.wait_share * limits.step_tokens

    def _admit(self) -> None:
        limits = self._limits
        while self._waiting:
            request = self._waiting[0]
            size = self._held(request)
            running = len(self._finish) + len(self._prefilling)
            full = running >= limits.sequences or self._reserved + size > limits.kv_tokens
            if full and running:
                return
            self._reserved += size
            self._prefilling.append(self._waiting.popleft())

    def _held(self, request: _Request) -> float:
        return request.isl + self._limits.reserved_output * request.osl

    def _chunks(self, decoding: int) -> tuple[list[tuple[int, int]], list[_Request]]:
        """Fill the step's token budget with prompt chunks, first come first served."""
        budget = max(self._limits.step_tokens - decoding, 1)
        chunks: list[tuple[int, int]] = []
        done: list[_Request] = []
        for request in self._prefilling:
            take = min(request.isl - request.done_tokens, budget)
            if take <= 0:
                break
            chunks.append((take, request.done_tokens))
            request.done_tokens += take
            budget -= take
            if request.done_tokens == request.isl:
                done.append(request)
        return chunks, done

    def _prefill_step(self) -> None:
        self._held_steps, self._after_prompt = 0, True
        decoding = 0 if self._limits.prefill_alone else len(self._finish)
        chunks, done = self._chunks(decoding)
        mean = self._context / decoding if decoding else 0.0
        seconds = self._table.mixed_s(decoding, mean, chunks, len(done))
        self._advance(seconds, decoding + len(chunks), 1 if decoding else 0)
        for request in done:
            self._prefilling.popleft()
            request.first_s = self._now
            self._start_decode(request)
        self._end_finished()

    def _advance(self, seconds: float, batch: int, decode_steps: int) -> None:
        cost = self._cost
        steps = max(decode_steps, 1)
        self._now += seconds * cost.kernel_factor
        self._now += steps * (cost.per_step_s + batch * cost.per_sequence_s)
        if decode_steps:
            self._steps += decode_steps
            self._context += decode_steps * len(self._finish)

    def _start_decode(self, request: _Request) -> None:
        wait = request.first_s - request.sent_s
        cost = self._cost
        delay = cost.per_request_s + self._clients * cost.per_client_s
        self._ttfts[request.number] = wait * cost.wait_factor + delay
        # The first token came with the prefill; the rest takes a decode step each.
        end = self._steps + request.osl - 1
        heapq.heappush(self._finish, (end, self._next_key(), request))
        self._context += request.isl + 1

    def _next_key(self) -> int:
        self._tokens += 1
        return self._tokens

    def _leap(self) -> None:
        batch = len(self._finish)
        steps = max(self._finish[0][0] - self._steps, 1)
        if self._prefilling:
            steps = min(steps, self._limits.wait_steps - self._held_steps)
            self._held_steps += steps
        if self._inbox:
            steps = min(steps, self._limits.poll_steps - (self._steps - self._polled))
        if self._absent:
            steps = min(steps, self._absent[0][0] - self._steps)
        self._after_prompt = False
        mean = self._context / batch + (steps - 1) / 2.0
        self._advance(steps * self._table.decode_s(batch, mean), batch, steps)
        self._end_finished()

    def _end_finished(self) -> None:
        while self._finish and self._finish[0][0] <= self._steps:
            _, _, request = heapq.heappop(self._finish)
            self._context -= request.isl + request.osl
            self._reserved -= self._held(request)
            self._tokens += request.osl - 1
            if request.osl > 1:
                decoding = self._now - request.first_s
                self._tpots[request.number] = decoding / (request.osl - 1)
            self._ended += 1
            self._send(self._limits.absent_steps)


@lru_cache(maxsize=1024)
def benchmark_lengths(
    isl: int, osl: int, requests: int, low_share: float, seed: int
) -> tuple[tuple[int, int], ...]:
    """Draw lengths uniformly between ``low_share`` and 1 of the nominal ones.

    ``low_share`` 1 gives the nominal lengths. Same seed, same lengths.
    """
    import random

    draw = random.Random(seed)

    def one(nominal: int) -> int:
        return draw.randint(max(1, round(low_share * nominal)), nominal)

    return tuple((one(isl), one(osl)) for _ in range(requests))


def longer_run(result: ReplayResult, clients: int, requests: int) -> tuple[float, float]:
    """Return the mean TTFT and TPOT a run of more requests would have, seconds.

    The start-up burst and the last wave happen once, whatever the length; what lies between
    repeats. Of ``clients`` requests each, the last wave but one stands for all further ones.

    Raises
    ------
    ValueError
        If the run holds fewer than four waves.
    """
    if result.requests < 4 * clients:
        msg = f"{result.requests} requests are fewer than four waves of {clients}"
        raise ValueError(msg)
    extra = max(requests - result.requests, 0)
    means = []
    for times in (result.ttfts_s, result.tpots_s):
        steady = fmean(times[-2 * clients : -clients])
        means.append((sum(times) + extra * steady) / (len(times) + extra))
    return means[0], means[1]
