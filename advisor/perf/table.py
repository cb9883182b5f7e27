"""Step times as tables: the same numbers as the step model, a thousand times cheaper to ask.

A mixed step is put together from its parts, which are additive in the step model: the decode
step of B sequences, what n more tokens add to the products, the prompt's own attention, and
the output head's extra rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from advisor.perf.step import Batch, StepModel

CONTEXT_NODES = 9
"""Contexts at which decode steps are tabulated; between them time is taken as linear."""


class StepTable:
    """Tabulated step times of one step model.

    Parameters
    ----------
    model
        The step model.
    max_sequences, max_tokens
        Largest batch and largest number of tokens of a step.
    max_context_tokens
        Longest context of a sequence.
    """

    def __init__(
        self, model: StepModel, max_sequences: int, max_tokens: int, max_context_tokens: float
    ) -> None:
        sequences = np.arange(1, max_sequences + 1, dtype=float)
        nodes = np.linspace(0.0, max(max_context_tokens, 1.0), CONTEXT_NODES)
        step = model.step(Batch(sequences=sequences[:, None], context_tokens=nodes[None, :]))
        full = np.broadcast_to(step.seconds, (len(sequences), CONTEXT_NODES))
        self._decode: list[list[float]] = [[0.0] * CONTEXT_NODES, *full.tolist()]
        self._node_tokens = float(nodes[1] - nodes[0])
        tokens = np.arange(1, max_tokens + 1, dtype=float)
        prompt = model.step(Batch(chunks=1.0, chunk_tokens=tokens, finishing=0.0))
        ours = [s for name, s in prompt.parts_s.items() if not name.endswith("prefill")]
        body = np.broadcast_to(sum(ours), tokens.shape)
        self._body: list[float] = [0.0, *body.tolist()]
        heads = model.step(Batch(sequences=sequences)).parts_s["lm_head"]
        self._head: list[float] = [0.0, *np.broadcast_to(heads, sequences.shape).tolist()]
        self._prefill = [
            (r.count * r.pair_s, r.count * r.launch_s, r.reach_tokens, r.keys_per_query)
            for r in model.prefill_rates()
        ]
        self._states = model.state_rates()
        self.max_sequences = max_sequences
        self.max_tokens = max_tokens

    def arrays(self) -> dict[str, Any]:
        """Return the tables as arrays, for simulators that evaluate them in compiled code.

        ``decode_s`` (sequences + 1, nodes) seconds by sequences and mean context, the nodes
        ``node_tokens`` apart; ``body_s`` and ``head_s`` seconds by tokens; ``attention``
        (groups, 4) seconds per attended pair, launch seconds, reach, keys added per query;
        ``states`` (groups, 5) as :class:`advisor.perf.mixers.StateRate`.
        """
        states = [(s.count, s.token_s, s.serial_s, s.launch_s, s.sharpness) for s in self._states]
        return {
            "decode_s": np.array(self._decode),
            "node_tokens": self._node_tokens,
            "body_s": np.array(self._body),
            "head_s": np.array(self._head),
            "attention": np.array(self._prefill, dtype=float).reshape(-1, 4),
            "states": np.array(states, dtype=float).reshape(-1, 5),
        }

    def decode_s(self, sequences: int, context_tokens: float) -> float:
        """Time of a decode step of so many sequences with this mean context."""
        row = self._decode[sequences]
        at = context_tokens / self._node_tokens
        low = min(int(at), CONTEXT_NODES - 2)
        return row[low] + (row[low + 1] - row[low]) * (at - low)

    def mixed_s(
        self,
        sequences: int,
        context_tokens: float,
        chunks: list[tuple[int, int]],
        finishing: int,
    ) -> float:
        """Time of a step that also carries prompt chunks ``(tokens, offset)``.

        ``finishing`` chunks end their prompt and emit a token.
        """
        added = sum(tokens for tokens, _ in chunks)
        body, head = self._body, self._head
        seconds = (
            self.decode_s(sequences, context_tokens) + body[sequences + added] - body[sequences]
        )
        emitting = min(sequences + finishing, self.max_sequences)
        seconds += head[emitting] - head[sequences]
        for rate, launch, reach, keys in self._prefill:
            pairs = sum(_pairs(c, o, reach) for c, o in chunks) + keys * added
            seconds += rate * pairs + launch
        for state in self._states:
            seconds += state.seconds(added, max(tokens for tokens, _ in chunks))
        return seconds


def _pairs(chunk: int, offset: int, reach: float) -> float:
    """Count attended pairs of one chunk; the scalar twin of ``step.attended_pairs``."""
    if offset + chunk <= reach:
        return chunk * offset + chunk * (chunk + 1) / 2.0
    growing = min(max(reach - offset, 0.0), chunk) if math.isfinite(reach) else chunk
    return growing * offset + growing * (growing + 1.0) / 2.0 + (chunk - growing) * reach
