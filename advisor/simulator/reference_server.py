"""A server of the reference machine: one step at a time, as ``docs/simulator.md`` tells it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from advisor.simulator.draw import answer_steps
from advisor.simulator.numbers import Server as Spec
from advisor.simulator.reference_cache import Cache, Holding
from advisor.simulator.reference_steps import Job, Times, Totals

STEPS_END, PLAN = 0, 4
BOTH, PREFILL_ONLY, DECODE_ONLY = 0, 1, 2


class Scheduler:
    """One server: its queue, its batch, its cache.

    Parameters
    ----------
    number, tier, role, spec, cache
        What it is.
    after
        ``after(delay_s, kind, number, action)`` puts an event on the clock; ``now()`` reads it.
    leaves, late
        Told of a request whose answer (or prompt) is done here, or whose patience ran out.
    """

    def __init__(
        self,
        number: int,
        tier: int,
        role: int,
        spec: Spec,
        cache: Cache,
        after: Callable[[float, int, int, Callable[[], None]], None],
        now: Callable[[], float],
    ) -> None:
        self.number, self.tier, self.role, self.spec, self.cache = number, tier, role, spec, cache
        self.after, self.now = after, now
        self.leaves: Callable[[Scheduler, Job], None]
        self.late: Callable[[Job], None]
        self.times, self.totals = Times(spec), Totals()
        self.gaps: Counter[float] = Counter()
        self.running: list[Job] = []
        self.queue: list[Job] = []
        self.up = self.accepting = self.busy = self.alone = False
        self.blocked: Job | None = None
        self.version = self.batch = 0
        self.chunks: list[tuple[int, int]] = []
        self.step_start_s = 0.0
        self.apart = bool(spec.prefill_alone or spec.static_batch)
        if role != BOTH:
            self.apart = spec.static_batch > 0

    @property
    def outstanding(self) -> int:
        """Requests running and waiting."""
        return len(self.running) + len(self.queue)

    @property
    def unread(self) -> int:
        """Prompt tokens still to compute."""
        return sum(job.unread for job in self.running + self.queue)

    def _decoding(self) -> list[Job]:
        return [job for job in self.running if not job.reading]

    # --- joining -----------------------------------------------------------------------------
    def join(self, job: Job) -> None:
        """Stand behind the last request of its own or a higher priority."""
        job.server, job.queued_s = self.number, self.now()
        at = len(self.queue)
        while at > 0 and self.queue[at - 1].priority < job.priority:
            at -= 1
        self.queue.insert(at, job)
        self.plan_soon()

    def plan_soon(self, delay_s: float = 0.0) -> None:
        """Plan when all else of that time has happened, unless a step is under way."""
        if self.up and not self.busy:
            self.version += 1
            self.after(delay_s, PLAN, self.number, self._if_current(self.plan))

    def _if_current(self, action: Callable[[], None]) -> Callable[[], None]:
        version = self.version
        return lambda: action() if version == self.version and self.up else None

    # --- planning ----------------------------------------------------------------------------
    def plan(self) -> None:
        """Plan the next step."""
        spec = self.spec
        if spec.static_batch:
            if not self.running and not self._start_batch():
                return
        elif self.apart:
            self._admit(self._left_of(spec.step_tokens))
        elif self._grow():
            self._admit(self._left_of(spec.step_tokens - self._rows()))
        if not self.running:
            self._stop_if_drained()
            return
        self.chunks, last = self._read() if any(j.reading for j in self.running) else ([], 0)
        if self.apart and not self.chunks:
            self._grow()
        decoding = [] if self.apart and self.chunks else self._decoding()
        size = len(decoding)
        mean = sum(j.context for j in decoding) / size if size else 0.0
        if spec.static_batch and not self.chunks:
            size = max(size, self.batch)
        seconds = self.times.step(size, mean, self.chunks, last)
        self.busy, self.step_start_s = True, self.now()
        self.version += 1
        end = self._if_current(lambda: self._end(decoding))
        self.after(seconds, STEPS_END, self.number, end)

    def _rows(self) -> int:
        return len(self._decoding()) * (1 + self.spec.draft_tokens)

    def _left_of(self, budget: int) -> int:
        """Return what begun prompts leave of a budget."""
        return max(budget, 0) - min(sum(j.unread for j in self.running), max(budget, 0))

    def _start_batch(self) -> bool:
        if not self.queue:
            return False
        ready_s = self.queue[0].queued_s + self.spec.static_wait_s
        if len(self.queue) < self.spec.static_batch and self.now() < ready_s:
            self.plan_soon(ready_s - self.now())
            return False
        self._admit(1 << 40)
        self.batch = len(self.running)
        return True

    def _grow(self) -> bool:
        """Room for the token each decoding sequence writes; False if some were preempted."""
        whole = True
        if self.spec.reserve_output_tokens:
            return whole
        while len(self.running) > 1 and sum(map(self._missing, self._decoding())) > self.cache.free:
            self._preempt()
            whole = False
        for job in self._decoding():
            count = self._missing(job)
            self.alone = self.alone or count > self.cache.free
            count = min(count, self.cache.free)
            self.cache.take(count)
            job.held.own += count
        return whole

    def _missing(self, job: Job) -> int:
        own = self.cache.count(job.context - job.held.shared * self.cache.trace_tokens)
        return max(own - job.held.own, 0)

    def _preempt(self) -> None:
        job = self.running.pop()
        if not job.reading:
            job.generated = job.output - round(job.steps_left * job.growth)
        self.cache.release(job.blocks, job.held)
        self.blocked = None
        self.totals.wasted_tokens += job.done
        self.totals.preemptions += 1
        job.preemptions += 1
        job.target, job.done = job.input + job.generated, 0
        self.queue.insert(0, job)

    def _most(self) -> int:
        spec = self.spec
        return min(spec.max_sequences, spec.static_batch or spec.max_sequences)

    def _admit(self, budget: int) -> None:
        while self.queue and len(self.running) < self._most() and budget > 0:
            job = self.queue[0]
            if job.due_s < self.now() and job.generated == 0:
                self.queue.pop(0)
                self.late(job)
                continue
            if self.alone or job is self.blocked:
                return
            found = self.cache.found(job.blocks, job.target) if job.done == 0 else 0
            tokens = self._wanted(job, found, budget)
            if not self.cache.reserve(job.blocks, job.held, tokens, job.target, found):
                if self.running:
                    self.blocked = job
                    return
                self._take_all(job)
                found = 0
            self.queue.pop(0)
            self._start(job, found * self.cache.trace_tokens)
            budget -= min(max(job.unread, 1), budget)

    def _wanted(self, job: Job, found: int, budget: int) -> float:
        if self.spec.reserve_output_tokens:
            return job.input + self.spec.reserve_output_tokens
        if job.unread == 0:
            return job.target + (0 if self.spec.static_batch else 1)
        have = max(found * self.cache.trace_tokens, job.done)
        return have + min(job.target - have, budget)

    def _take_all(self, job: Job) -> None:
        """Let a request longer than the cache hold all of it: it runs alone."""
        rest = self.cache.free
        self.cache.take(rest)
        job.held.own += rest
        self.alone = True

    def _start(self, job: Job, saved: int) -> None:
        self.running.append(job)
        if math.isnan(job.scheduled_s):
            job.scheduled_s = self.now()
        job.done += saved
        self.totals.cached_tokens += saved
        if job.generated == 0:
            job.cached = saved
        job.steps_left = -1
        if job.unread == 0:
            self._begin_answer(job)

    def _read(self) -> tuple[list[tuple[int, int]], int]:
        """Prompt chunks of this step, and how many of them finish their prompt."""
        chunks, finished = [], 0
        budget = self.spec.step_tokens
        if not self.apart:
            budget = max(budget - self._rows(), 1)
        at = 0
        while at < len(self.running) and budget > 0:
            job, at = self.running[at], at + 1
            if not job.reading:
                continue
            chunk = min(job.unread, budget)
            if not self._room_for(job, job.done + chunk):
                break
            chunks.append((chunk, job.done))
            job.done += chunk
            budget -= chunk
            finished += job.unread == 0
        self.totals.computed_tokens += sum(c for c, _ in chunks)
        return chunks, finished

    def _room_for(self, job: Job, tokens: int) -> bool:
        if self.spec.reserve_output_tokens or self.alone:
            return True
        while not self.cache.reserve(job.blocks, job.held, tokens, job.target):
            if self.running[-1] is not job:
                self._preempt()
            elif len(self.running) > 1:
                return False
            else:
                self._take_all(job)
                return True
        return True

    # --- ending a step -----------------------------------------------------------------------
    def _end(self, decoding: list[Job]) -> None:
        now, totals = self.now(), self.totals
        self.busy = False
        totals.step_count += 1
        totals.sequence_steps += len(decoding)
        if self.chunks:
            totals.prefill_s += now - self.step_start_s
        else:
            totals.decode_s += now - self.step_start_s
        for job in decoding:
            job.context += job.growth
            job.steps_left -= 1
            self._emit(job)
        for job in self.running:
            if job.reading and job.unread == 0:
                job.generated += 1
                if job.generated == 1:
                    job.first_s = job.last_s = now
                else:
                    self._emit(job)
                self._begin_answer(job)
        gone = [j for j in self.running if j.steps_left == 0]
        if self.role == PREFILL_ONLY:
            gone = self._decoding()
        self.running = [j for j in self.running if j not in gone]
        for job in gone:
            self.cache.release(job.blocks, job.held)
            self.blocked = None
        self.alone = self.alone and bool(self.running)
        for job in gone:
            self.leaves(self, job)
        self._stop_if_drained()
        self.plan_soon()

    def _emit(self, job: Job) -> None:
        self.gaps[self.now() - job.last_s] += 1
        job.last_s = self.now()

    def _begin_answer(self, job: Job) -> None:
        tokens, spec = job.output - job.generated, self.spec
        job.steps_left = tokens
        if spec.draft_tokens:
            job.steps_left = answer_steps(
                tokens, spec.acceptance, spec.draft_tokens, job.number, job.generated
            )
        job.growth = tokens / job.steps_left if tokens else 1.0
        job.context = float(job.input + job.generated)

    # --- failing -----------------------------------------------------------------------------
    def _stop_if_drained(self) -> None:
        if not self.accepting and not self.outstanding:
            self.up = False

    def fail(self) -> list[Job]:
        """Lose cache and batch; return the requests held, running ones first."""
        if self.busy and self.chunks:
            self.totals.prefill_s += self.now() - self.step_start_s
        elif self.busy:
            self.totals.decode_s += self.now() - self.step_start_s
        held = self.running + self.queue
        self.totals.wasted_tokens += sum(job.done for job in held)
        for job in held:
            job.held = Holding()
        self.running, self.queue = [], []
        self.up = self.accepting = self.busy = self.alone = False
        self.blocked = None
        self.version += 1
        self.cache.forget()
        return held

    def start(self) -> None:
        """Take requests, with an empty cache."""
        self.up = self.accepting = True
        self.version += 1
        self.cache.forget()
