"""From sessions to requests: turns, growing prompts, shared blocks, order in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from advisor.schema.traffic import NO_PARENT, Floats, Ints

FINEST_BLOCK_TOKENS = 16
COARSEST_BLOCK_TOKENS = 4096
MOST_BLOCKS = 16_000_000
Bools = NDArray[np.bool_]
Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True, eq=False)
class Turns:
    """Requests in session order: all turns of one session, then the next session's.

    Parameters
    ----------
    session
        ``(n,)`` session of each request, rising from 0.
    first
        ``(n,)`` whether it opens its session.
    class_index
        ``(n,)`` class of each request.
    time_s
        ``(n,)`` time of the request if answers took no time.
    think_s
        ``(n,)`` seconds after the end of the turn before.
    fresh_tokens, output_tokens
        ``(n,)`` new text and answer.
    input_tokens
        ``(n,)`` whole prompt.
    """

    session: Ints
    first: Bools
    class_index: Ints
    time_s: Floats
    think_s: Floats
    fresh_tokens: Ints
    output_tokens: Ints
    input_tokens: Ints


def geometric_turns(uniform: Floats, mean: Floats) -> Ints:
    """Return turns 1, 2, ... of geometric laws with these means.

    Parameters
    ----------
    uniform
        ``(n,)`` numbers in [0, 1).
    mean
        ``(n,)`` means, 1 or more.
    """
    stay = 1 - 1 / mean
    with np.errstate(divide="ignore"):
        rate = np.log(stay)
    return 1 + np.floor(np.log1p(-uniform) / rate).astype(np.int64)


def within(first: Bools, steps: NDArray[Number]) -> NDArray[Number]:
    """Return the running sum of ``steps`` inside each session, its own step included."""
    total = np.cumsum(steps)
    starts = np.flatnonzero(first)
    before = total[starts] - steps[starts]
    lengths = np.diff(np.append(starts, len(steps)))
    return np.asarray(total - np.repeat(before, lengths), dtype=steps.dtype)


def prompts(first: Bools, prefix: Ints, fresh: Ints, output: Ints) -> Ints:
    """Return whole prompts: prefix, all new text so far, and all earlier answers."""
    return np.asarray(prefix + within(first, fresh + output) - output)


def wrap(turns: Turns, horizon_s: float) -> Turns:
    """Move turns past the horizon to the start, as if their sessions had begun before the run.

    Keeps the rate level from the first second on. What wraps becomes a session of its own, so
    that no prompt is known before it was written.
    """
    period = np.floor(turns.time_s / horizon_s)
    moved = np.zeros(len(period), dtype=bool)
    moved[1:] = period[1:] != period[:-1]
    first = np.asarray(turns.first | moved)
    return replace(
        turns,
        first=first,
        session=np.cumsum(first) - 1,
        time_s=np.minimum(turns.time_s - period * horizon_s, horizon_s),
    )


def parents(first: Bools) -> Ints:
    """Return the index of the turn before, or -1."""
    found = np.arange(-1, len(first) - 1)
    found[first] = NO_PARENT
    return found


def block_size(prefixed: Ints) -> int:
    """Return the finest block (16, 32, ... tokens) that keeps the list within bounds.

    Parameters
    ----------
    prefixed
        ``(n,)`` tokens of each request to be told in blocks.
    """
    size = FINEST_BLOCK_TOKENS
    while size < COARSEST_BLOCK_TOKENS and int((prefixed // size).sum()) > MOST_BLOCKS:
        size *= 2
    return size


def blocks(
    turns: Turns, prefix_of_class: Ints, prefixed: Ints, size: int, order: Ints
) -> tuple[Ints, Ints]:
    """Give numbers to the blocks that open each prompt.

    Parameters
    ----------
    turns
        Requests in session order.
    prefix_of_class
        ``(classes,)`` tokens shared by the whole class.
    prefixed
        ``(n,)`` tokens of each prompt to be told in blocks.
    size
        Tokens of a block.
    order
        ``(n,)`` requests in the order wanted.

    Returns
    -------
    ``(n + 1,)`` offsets and the block numbers: first those of the classes, then those of the
    sessions; turn k starts with all whole blocks of turn k - 1.
    """
    class_blocks = prefix_of_class // size
    class_start = np.cumsum(class_blocks) - class_blocks
    count = prefixed // size
    shared = class_blocks[turns.class_index]
    own = np.maximum(count - shared, 0)
    longest = np.zeros(int(turns.session[-1]) + 1, dtype=np.int64)
    np.maximum.at(longest, turns.session, own)
    session_start = int(class_blocks.sum()) + np.cumsum(longest) - longest
    count, shared = count[order], shared[order]
    offsets = np.concatenate([[0], np.cumsum(count)])
    place = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], count)
    common = np.repeat(class_start[turns.class_index[order]], count) + place
    private = np.repeat(session_start[turns.session[order]] - shared, count) + place
    return offsets, np.where(place < np.repeat(shared, count), common, private)
