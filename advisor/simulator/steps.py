"""Step times as arrays the compiled loop can read: the step model's numbers, tabulated.

A step of a server is put together as in :mod:`advisor.perf.table`: a decode step of so many
sequences at a mean context (linear between nodes), what prompt tokens add to the products, the
prompts' own attention and recurrent layers, and the output head's extra rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from advisor.simulator.jit import inner
from advisor.simulator.world import Steps

PAIR_S, LAUNCH_S, REACH, KEYS = 0, 1, 2, 3
COUNT, TOKEN_S, SERIAL_S, STATE_LAUNCH_S, SHARPNESS = 0, 1, 2, 3, 4


@inner
def decode_s(steps: Steps, table: int, sequences: int, context: float) -> float:
    """Time of a decode step of so many sequences with this mean context."""
    row = steps.decode_s[table, sequences]
    at = context / steps.node_tokens[table]
    low = min(int(at), row.shape[0] - 2)
    return float(row[low] + (row[low + 1] - row[low]) * (at - low))


@inner
def decode_slope(steps: Steps, table: int, sequences: int, context: float) -> tuple[float, float]:
    """Return what a token of mean context more costs here, and up to which context."""
    row = steps.decode_s[table, sequences]
    node = steps.node_tokens[table]
    low = min(int(context / node), row.shape[0] - 2)
    edge = np.inf if low == row.shape[0] - 2 else (low + 1) * node
    return (row[low + 1] - row[low]) / node, edge


@inner
def attended_pairs(chunk: int, offset: int, reach: float) -> float:
    """Count attended pairs of one prompt chunk; see :func:`advisor.perf.step.attended_pairs`."""
    if offset + chunk <= reach:
        return chunk * offset + chunk * (chunk + 1) / 2.0
    growing = min(max(reach - offset, 0.0), float(chunk))
    return growing * offset + growing * (growing + 1.0) / 2.0 + (chunk - growing) * reach


@inner
def chunk_attention_s(steps: Steps, table: int, chunk: int, offset: int) -> float:
    """Attention time of one prompt chunk, without launches."""
    seconds = 0.0
    for g in range(steps.attention.shape[1]):
        rate = steps.attention[table, g]
        if rate[PAIR_S] > 0.0:
            pairs = attended_pairs(chunk, offset, rate[REACH]) + rate[KEYS] * chunk
            seconds += rate[PAIR_S] * pairs
    return seconds


@inner
def prompt_extra_s(steps: Steps, table: int, added: int, longest: int) -> float:
    """Return launches of prompt attention, and time of recurrent layers on prompt chunks."""
    seconds = 0.0
    for g in range(steps.attention.shape[1]):
        seconds += steps.attention[table, g, LAUNCH_S]
    for h in range(steps.states.shape[1]):
        state = steps.states[table, h]
        if state[COUNT] > 0.0:
            power = state[SHARPNESS]
            both = (added * state[TOKEN_S]) ** power + (longest * state[SERIAL_S]) ** power
            seconds += state[COUNT] * (both ** (1.0 / power) + state[STATE_LAUNCH_S])
    return seconds


@inner
def mixed_s(
    steps: Steps, table: int, sequences: int, rows: int, context: float, added: int, finishing: int
) -> float:
    """Time of a step with prompt chunks, but for what the chunks' attention costs.

    ``rows`` tokens belong to the decoding ``sequences``; ``added`` to prompts, of which
    ``finishing`` emit a token.
    """
    body, head = steps.body_s[table], steps.head_s[table]
    emitting = min(rows + finishing, head.shape[0] - 1)
    seconds = decode_s(steps, table, sequences, context) + body[rows + added] - body[rows]
    return float(seconds + head[emitting] - head[rows])


def stack(tables: list[dict[str, Any]]) -> Steps:
    """Put the tables of several kinds of server into common arrays.

    Each table holds ``decode_s`` (sequences, nodes), ``node_tokens``, ``body_s``, ``head_s``,
    ``attention`` (groups, 4) and ``states`` (groups, 5).
    """

    def padded(name: str) -> Any:
        shapes = [np.shape(t[name]) for t in tables]
        size = tuple(max(s[d] for s in shapes) for d in range(len(shapes[0])))
        out = np.zeros((len(tables), *size))
        for i, t in enumerate(tables):
            place: Any = (i, *(slice(n) for n in shapes[i]))
            out[place] = t[name]
        return out

    nodes = max(np.shape(t["decode_s"])[1] for t in tables)
    tables = [{**t, "decode_s": _longer(t["decode_s"], nodes)} for t in tables]
    return Steps(
        decode_s=padded("decode_s"),
        node_tokens=np.array([t["node_tokens"] for t in tables], dtype=float),
        body_s=padded("body_s"),
        head_s=padded("head_s"),
        attention=padded("attention"),
        states=padded("states"),
    )


def _longer(decode_s: Any, nodes: int) -> Any:
    """Continue a table of contexts along its last straight line, to so many nodes."""
    beyond = np.arange(1, nodes - decode_s.shape[1] + 1)
    slope = decode_s[:, -1:] - decode_s[:, -2:-1]
    return np.concatenate([decode_s, decode_s[:, -1:] + slope * beyond], axis=1)
