"""Random draws inside the compiled loop: a function of what is drawn for, not of the order."""

from __future__ import annotations

from advisor.simulator.jit import entry, uint64

_STEP, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@entry
def uniform(key: int, number: int) -> float:
    """Draw number ``number`` of stream ``key``, in [0, 1).

    SplitMix64 as a hash (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195).
    """
    z = uint64(key) * uint64(_MIX2) + uint64(number + 1) * uint64(_STEP)
    z = (z ^ (z >> uint64(30))) * uint64(_MIX1)
    z = (z ^ (z >> uint64(27))) * uint64(_MIX2)
    z = z ^ (z >> uint64(31))
    return float(z >> uint64(11)) * 2.0**-53


@entry
def answer_steps(tokens: int, acceptance: float, draft_tokens: int, key: int, begun: int) -> int:
    """Count the steps that speculative decoding needs for so many tokens.

    Each step gives one token and one more for each proposal accepted in a row.
    """
    left, steps, number = tokens, 0, begun << 20
    while left > 0:
        left -= 1
        for _ in range(draft_tokens):
            number += 1
            if uniform(key, number) >= acceptance:
                break
            left -= 1
        steps += 1
    return steps
