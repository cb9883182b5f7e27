"""The paged KV cache of a server: blocks, shared prefixes, and which leave first.

Free blocks stand in a queue as in vLLM: blocks never used go first, then those let go longest
ago; a request lets go its last block first, so the start of a prompt stays longest. Blocks with
contents known to be shared (``World.blocks``) can be found again until they are taken. Runs of
other blocks are one node of the queue.
"""

from __future__ import annotations

from typing import Any

from advisor.simulator.jit import inner
from advisor.simulator.world import NONE, World

NEXT, PREVIOUS, SIZE, STATE = 0, 1, 2, 3
UNKNOWN, HELD, FREE = 0, 1, 2
WHOLE = 1e-6


@inner
def blocks_of(tokens: float, block_tokens: int) -> int:
    """Blocks that so many tokens fill; contexts are whole tokens to within rounding."""
    whole = int(tokens // block_tokens)
    return whole if whole * block_tokens >= tokens - WHOLE else whole + 1


@inner
def free_blocks(server: Any) -> int:
    """Blocks no request holds."""
    return int(server.blocks - server.used_blocks)


@inner
def _unlink(w: World, s: int, node: int) -> None:
    server, links = w.servers[s], w.links[s]
    before, after = links[node, PREVIOUS], links[node, NEXT]
    if before == NONE:
        server.list_head = after
    else:
        links[before, NEXT] = after
    if after == NONE:
        server.list_tail = before
    else:
        links[after, PREVIOUS] = before


@inner
def _append(w: World, s: int, node: int) -> None:
    server, links = w.servers[s], w.links[s]
    links[node, NEXT] = NONE
    links[node, PREVIOUS] = server.list_tail
    if server.list_tail == NONE:
        server.list_head = node
    else:
        links[server.list_tail, NEXT] = node
    server.list_tail = node


@inner
def take(w: World, s: int, count: int) -> None:
    """Take blocks for a request, forgetting what they held."""
    server = w.servers[s]
    unused = server.blocks - server.used_blocks - server.idle_blocks
    server.used_blocks += count
    server.peak_blocks = max(server.peak_blocks, server.used_blocks)
    if not server.prefix:
        return
    links, known = w.links[s], w.references.shape[1]
    missing = count - unused
    while missing > 0:
        node = server.list_head
        size = links[node, SIZE]
        if node < known or size <= missing:
            _unlink(w, s, node)
            if node < known:
                links[node, STATE] = UNKNOWN
            else:
                links[node, NEXT] = server.spare
                server.spare = node
        else:
            size = missing
            links[node, SIZE] -= size
        server.idle_blocks -= size
        missing -= size


@inner
def _give_back(w: World, s: int, count: int) -> None:
    server = w.servers[s]
    server.used_blocks -= count
    if count == 0 or not server.prefix:
        return
    links, tail = w.links[s], server.list_tail
    server.idle_blocks += count
    if tail >= w.references.shape[1]:
        links[tail, SIZE] += count
        return
    node = server.spare
    server.spare = links[node, NEXT]
    links[node, SIZE] = count
    _append(w, s, node)


@inner
def release(w: World, s: int, i: int) -> None:
    """Let go all blocks of a request, its own first, then shared ones from the last on."""
    request, server = w.requests[i], w.servers[s]
    server.blocked = NONE
    _give_back(w, s, request.private)
    request.private = 0
    links, weight = w.links[s], w.block_tokens[0] // server.block_tokens
    for at in range(request.block_low + request.tracked - 1, request.block_low - 1, -1):
        block = w.blocks[at]
        w.references[s, block] -= 1
        if w.references[s, block] == 0:
            links[block, STATE] = FREE
            server.used_blocks -= weight
            server.idle_blocks += weight
            _append(w, s, block)
    request.tracked = 0


@inner
def hits(w: World, s: int, i: int) -> int:
    """Leading blocks of a prompt that the cache still holds; one token is always computed."""
    request = w.requests[i]
    if not w.servers[s].prefix:
        return 0
    found = 0
    for at in range(request.block_low, request.block_high):
        if w.links[s, w.blocks[at], STATE] == UNKNOWN:
            break
        if (found + 1) * w.block_tokens[0] >= request.target:
            break
        found += 1
    return found


@inner
def _covered(w: World, s: int, i: int, tokens: int) -> int:
    request = w.requests[i]
    if not w.servers[s].prefix:
        return 0
    return int(min(request.block_high - request.block_low, tokens // w.block_tokens[0]))


@inner
def reserve(w: World, s: int, i: int, tokens: float, held: int) -> bool:
    """Get room for the first ``tokens`` of a request; False, and nothing taken, if there is none.

    ``held`` tells how many shared blocks must be had even where the tokens don't fill them
    (hits of the cache).
    """
    request, server = w.requests[i], w.servers[s]
    shared = max(_covered(w, s, i, min(int(tokens), request.target)), held, request.tracked)
    weight = w.block_tokens[0] // server.block_tokens
    needed = unknown = 0
    for at in range(request.block_low + request.tracked, request.block_low + shared):
        state = w.links[s, w.blocks[at], STATE]
        if state != HELD:
            needed += weight
        if state == UNKNOWN:
            unknown += weight
    rest = max(tokens - shared * w.block_tokens[0], 0.0)
    private = max(blocks_of(rest, server.block_tokens), request.private)
    if shared > request.tracked:
        private = blocks_of(rest, server.block_tokens)
    if needed + private - request.private > free_blocks(server):
        return False
    # Own blocks that filled up with what is shared become shared where nobody has it yet.
    spare = max(request.private - private, 0)
    if spare > unknown:
        _give_back(w, s, spare - unknown)
        spare = unknown
    for at in range(request.block_low + request.tracked, request.block_low + shared):
        spare -= _hold(w, s, w.blocks[at], weight, spare)
    if private > request.private:
        take(w, s, private - request.private)
    request.tracked = shared
    request.private = private
    return True


@inner
def _hold(w: World, s: int, block: int, weight: int, spare: int) -> int:
    """Hold a shared block; return how many own blocks it was made of, of ``spare``."""
    server, links, made_of = w.servers[s], w.links[s], 0
    if links[block, STATE] == UNKNOWN:
        made_of = min(spare, weight)
        take(w, s, weight - made_of)
        links[block, SIZE] = weight
    elif links[block, STATE] == FREE:
        _unlink(w, s, block)
        server.idle_blocks -= weight
        server.used_blocks += weight
        server.peak_blocks = max(server.peak_blocks, server.used_blocks)
    links[block, STATE] = HELD
    w.references[s, block] += 1
    return made_of
