"""The batch of a server: contexts, ends and cache blocks of its decoding sequences.

Nothing is counted step by step. A slot states its context as a straight line of the server's
step clock; sums over the batch are kept as slots come and go. Sequences that grow by one token
a step need a new block when their context passes a multiple of the block size: they are counted
by that phase, so that the blocks of any number of steps follow from a few additions.
"""

from __future__ import annotations

from typing import Any

from advisor.simulator.cache import blocks_of, free_blocks, release, take
from advisor.simulator.draw import answer_steps
from advisor.simulator.jit import inner
from advisor.simulator.queues import put_first
from advisor.simulator.world import READING, World


@inner
def rows_of(server: Any, sequences: int) -> int:
    """Count the rows of the products that so many decoding sequences fill."""
    return int(sequences * (1 + server.draft_tokens))


@inner
def context_of(w: World, s: int, at: int) -> float:
    """Tokens a slot attends to in the next step."""
    slot = w.slots[s, at]
    return float(slot.base + slot.growth * w.servers[s].made)


@inner
def _phase(w: World, s: int, at: int) -> int:
    """When a slot needs a block: its context less the clock, modulo the block size."""
    return int(int(w.slots[s, at].base) % w.servers[s].block_tokens)


@inner
def begin_answer(w: World, s: int, at: int) -> None:
    """Set a slot up for decoding: the first token is there."""
    server, slot = w.servers[s], w.slots[s, at]
    i = slot.request
    request = w.requests[i]
    tokens = request.output - request.generated
    steps = tokens
    if server.draft_tokens > 0:
        steps = answer_steps(tokens, server.acceptance, server.draft_tokens, i, request.generated)
    slot.ends = server.made + steps
    slot.growth = tokens / steps if steps > 0 else 1.0
    context = float(request.input + request.generated)
    slot.base = context - slot.growth * server.made
    server.context += context
    server.growth += slot.growth
    server.next_end = min(server.next_end, slot.ends)
    if server.draft_tokens == 0:
        w.phases[s, _phase(w, s, at)] += 1


@inner
def end_answer(w: World, s: int, at: int) -> None:
    """Take a decoding slot out of the sums, and note the blocks its request holds."""
    server, slot = w.servers[s], w.slots[s, at]
    request = w.requests[slot.request]
    context = context_of(w, s, at)
    server.context -= context
    server.growth -= slot.growth
    if server.draft_tokens > 0:
        return
    w.phases[s, _phase(w, s, at)] -= 1
    if server.reserve_output > 0:
        return
    # Blocks were taken for the whole batch: of these, so many are this request's.
    shared = request.tracked * w.block_tokens[0]
    if server.running == 1:
        request.private = server.used_blocks - shared // server.block_tokens
        return
    written = context - shared - (0.0 if server.grown else 1.0)
    request.private = max(blocks_of(written, server.block_tokens), request.private)


@inner
def preempt_last(w: World, s: int) -> None:
    """Send the request that joined last back to the head of the queue."""
    server = w.servers[s]
    at = server.running - 1
    slot = w.slots[s, at]
    i = slot.request
    request = w.requests[i]
    if slot.ends == READING:
        server.prefilling -= 1
        server.prefill_tokens -= request.target - request.done
    else:
        request.last_s = slot.last_s if slot.fresh else server.emitted_s
        left = (slot.ends - server.made) * slot.growth
        request.generated = request.output - round(left)
        last = slot.ends == server.next_end
        end_answer(w, s, at)
        slot.ends = READING
        if last:
            find_next_end(w, s)
    release(w, s, i)
    server.wasted_tokens += request.done
    request.target = request.input + request.generated
    request.done = 0
    request.preemptions += 1
    server.preemptions += 1
    server.running -= 1
    server.prefill_tokens += request.target
    put_first(w, s, i)


@inner
def find_next_end(w: World, s: int) -> None:
    """Look through all slots for the answer that ends first."""
    server = w.servers[s]
    server.next_end = READING
    for at in range(server.running):
        server.next_end = min(server.next_end, w.slots[s, at].ends)


@inner
def new_blocks(w: World, s: int, steps: int) -> int:
    """Count the blocks that so many steps need beyond those the decoding sequences hold."""
    server, needed = w.servers[s], 0
    if server.draft_tokens > 0:
        for at in range(server.running):
            slot = w.slots[s, at]
            if slot.ends != READING:
                request = w.requests[slot.request]
                own = context_of(w, s, at) + (steps - 1) * slot.growth
                own -= request.tracked * w.block_tokens[0]
                needed += max(blocks_of(own, server.block_tokens) - request.private, 0)
        return needed
    size = server.block_tokens
    whole, rest = steps // size, steps % size
    if whole > 0:
        needed = whole * (server.running - server.prefilling)
    # A context of one more than whole blocks is the first that needs the next block.
    for step in range(rest):
        needed += w.phases[s, (1 - server.made - step) % size]
    return needed


@inner
def _at_most_free(server: Any, needed: int) -> int:
    """Return how many blocks there are for a need; only a request alone outgrows the cache."""
    free = free_blocks(server)
    if needed <= free:
        return needed
    server.alone = 1
    return free


@inner
def take_new(w: World, s: int, steps: int) -> None:
    """Take the blocks of so many steps, as far as there are any."""
    server = w.servers[s]
    needed = _at_most_free(server, new_blocks(w, s, steps))
    if needed > 0:
        take(w, s, needed)
    if server.draft_tokens > 0:
        for at in range(server.running):
            slot = w.slots[s, at]
            if slot.ends != READING and needed > 0:
                request = w.requests[slot.request]
                own = context_of(w, s, at) + (steps - 1) * slot.growth
                own -= request.tracked * w.block_tokens[0]
                more = min(max(blocks_of(own, server.block_tokens) - request.private, 0), needed)
                request.private += more
                needed -= more


@inner
def steps_with_room(w: World, s: int, steps: int) -> int:
    """Return so many of the steps as the free blocks allow; the first has its blocks already."""
    server = w.servers[s]
    free = free_blocks(server)
    pages = (steps - 1) // server.block_tokens + 1
    if server.running * (pages * (1 + server.draft_tokens) + 1) <= free:
        return steps
    low, high = 1, steps
    while low < high:
        middle = (low + high + 1) >> 1
        if _after_first(w, s, middle) <= free:
            low = middle
        else:
            high = middle - 1
    return low


@inner
def _after_first(w: World, s: int, steps: int) -> int:
    """Count the blocks that steps after the next one need."""
    server = w.servers[s]
    if server.draft_tokens > 0:
        return new_blocks(w, s, steps)
    return new_blocks(w, s, steps) - int(w.phases[s, (1 - server.made) % server.block_tokens])


@inner
def take_rest(w: World, s: int, i: int) -> None:
    """Give a request that is alone all that is left of the cache."""
    rest = free_blocks(w.servers[s])
    take(w, s, rest)
    w.requests[i].private += rest
    w.servers[s].alone = 1


@inner
def move_on(w: World, s: int, steps: int) -> None:
    """Let the decoding sequences make so many steps."""
    server = w.servers[s]
    if steps > 1 and server.reserve_output == 0:
        if server.draft_tokens > 0:
            take_new(w, s, steps)
        else:
            more = _at_most_free(server, _after_first(w, s, steps))
            if more > 0:
                take(w, s, more)
    server.made += steps
    server.context += steps * server.growth
    server.grown = 0
