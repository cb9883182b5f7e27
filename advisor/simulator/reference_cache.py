"""The cache of the reference machine: every block by itself, in plain Python."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass

WHOLE = 1e-6
"""Contexts are whole tokens to within this: sums of fractions are rounded."""


@dataclass
class Holding:
    """What a request holds: blocks of its own, and so many of its shared prefix blocks."""

    own: int = 0
    shared: int = 0


class Cache:
    """Blocks of one server; see *Cache* in ``docs/simulator.md``.

    Parameters
    ----------
    blocks, block_tokens
        How many, of how many tokens each.
    trace_tokens
        Tokens of a named prefix block, a multiple of ``block_tokens``.
    prefix
        Whether prefix blocks can be found again.
    """

    def __init__(self, blocks: int, block_tokens: int, trace_tokens: int, prefix: bool) -> None:
        self.blocks, self.block_tokens = blocks, block_tokens
        self.trace_tokens, self.prefix = trace_tokens, prefix
        self.weight = trace_tokens // block_tokens
        self.peak = self.serial = 0
        self.forget()

    def forget(self) -> None:
        """Empty the cache: its server failed or starts."""
        self.used = self.idle_blocks = 0
        self.holders: Counter[int] = Counter()
        # Blocks let go, the longest ago first; named ones can be found again.
        self.idle: OrderedDict[tuple[str, int], int] = OrderedDict()

    @property
    def free(self) -> int:
        """Blocks no request holds."""
        return self.blocks - self.used

    def count(self, tokens: float) -> int:
        """Blocks that so many tokens fill."""
        return max(math.ceil((tokens - WHOLE) / self.block_tokens), 0)

    def found(self, blocks: tuple[int, ...], target: int) -> int:
        """Leading blocks of a prompt that can be found; one token is left to compute."""
        number = 0
        for block in blocks if self.prefix else ():
            known = self.holders[block] > 0 or ("named", block) in self.idle
            if not known or (number + 1) * self.trace_tokens >= target:
                break
            number += 1
        return number

    def take(self, count: int) -> None:
        """Take blocks never used first, then those let go longest ago."""
        self.used += count
        while self.used + self.idle_blocks > self.blocks:
            _, size = self.idle.popitem(last=False)
            self.idle_blocks -= size
        self.peak = max(self.peak, self.used)

    def _let_go(self, count: int) -> None:
        self.used -= count
        for _ in range(count if self.prefix else 0):
            self.serial += 1
            self._put(("own", self.serial), 1)

    def _put(self, key: tuple[str, int], size: int) -> None:
        self.idle[key] = size
        self.idle_blocks += size

    def reserve(
        self, blocks: tuple[int, ...], held: Holding, tokens: float, target: int, found: int = 0
    ) -> bool:
        """Get room for the first ``tokens`` of a request; False, with nothing taken, if none."""
        shared = 0
        if self.prefix:
            filled = min(int(tokens), target) // self.trace_tokens
            shared = max(min(len(blocks), filled), found, held.shared)
        own = self.count(tokens - shared * self.trace_tokens)
        if shared == held.shared:
            own = max(own, held.own)
        more = blocks[held.shared : shared]
        missing = [b for b in more if self.holders[b] == 0]
        if self.weight * len(missing) + own - held.own > self.free:
            return False
        # Own blocks that filled up with what is shared become shared where nobody has it yet.
        spare = max(held.own - own, 0)
        unknown = sum(("named", b) not in self.idle for b in missing)
        over = max(spare - self.weight * unknown, 0)
        self._let_go(over)
        spare -= over
        for block in more:
            spare -= self._hold(block, spare)
        self.take(max(own - held.own, 0))
        held.own, held.shared = own, shared
        return True

    def _hold(self, block: int, spare: int) -> int:
        """Hold a shared block; return how many own blocks it was made of."""
        made_of = 0
        if self.holders[block] == 0:
            if ("named", block) in self.idle:
                self.idle_blocks -= self.idle.pop(("named", block))
                self.take(self.weight)
            else:
                made_of = min(spare, self.weight)
                self.take(self.weight - made_of)
        self.holders[block] += 1
        return made_of

    def release(self, blocks: tuple[int, ...], held: Holding) -> None:
        """Let go all a request holds: its own first, then shared ones from the last on."""
        self._let_go(held.own)
        for block in reversed(blocks[: held.shared]):
            self.holders[block] -= 1
            if self.holders[block] == 0:
                self.used -= self.weight
                self._put(("named", block), self.weight)
        held.own = held.shared = 0
