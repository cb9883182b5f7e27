"""Requests as arrays: what a trace or a generator hands to the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NO_PARENT = -1


def _empty() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Requests:
    """``n`` requests in the order they come, one array a field.

    Parameters
    ----------
    arrival_s
        ``(n,)`` seconds from the start, not falling. Where ``parent`` is set the request comes
        ``think_s`` after its parent has ended instead.
    input_tokens, output_tokens
        ``(n,)`` prompt and answer lengths, at least 1 each.
    class_index, class_names
        ``(n,)`` class of each request, and the names.
    parent, think_s
        ``(n,)`` index of the request of the same session that must end first (-1: none), always
        an earlier one, and the seconds between its end and this request.
    session
        ``(n,)`` session number; -1: none.
    block_offsets, block_ids, block_tokens
        Prefix blocks: request i starts with blocks ``block_ids[block_offsets[i] :
        block_offsets[i + 1]]`` of ``block_tokens`` tokens; equal ids hold equal prompts up to
        there. Without prefixes ``block_offsets`` is empty.
    priority
        ``(n,)`` larger goes first; empty: all equal.
    deadline_s
        ``(n,)`` seconds after arrival by which the answer must have ended; empty: none.

    Raises
    ------
    UsageError
        If lengths differ, a number is out of range, or times fall.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    class_index: Ints
    class_names: tuple[str, ...] = ("all",)
    parent: Ints = field(default_factory=_empty)
    think_s: Floats = field(default_factory=lambda: np.zeros(0))
    session: Ints = field(default_factory=_empty)
    block_offsets: Ints = field(default_factory=_empty)
    block_ids: Ints = field(default_factory=_empty)
    block_tokens: int = 16
    priority: Ints = field(default_factory=_empty)
    deadline_s: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.arrival_s)
        for name in ("input_tokens", "output_tokens", "class_index"):
            if len(getattr(self, name)) != n:
                _refuse(f"{name} has {len(getattr(self, name))} entries, arrival_s {n}")
        for name in ("parent", "think_s", "session", "priority", "deadline_s"):
            if len(getattr(self, name)) not in (0, n):
                _refuse(f"{name} has {len(getattr(self, name))} entries; valid: 0 or {n}")
        if len(self.block_offsets) not in (0, n + 1):
            _refuse(f"block_offsets has {len(self.block_offsets)} entries; valid: 0 or {n + 1}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not np.isfinite(self.arrival_s).all() or (self.arrival_s < 0).any():
            _refuse("arrival_s must be finite and 0 or more")
        if (np.diff(self.arrival_s) < 0).any():
            _refuse("arrival_s must not fall: sort the requests by time")
        if len(self) and min(self.input_tokens.min(), self.output_tokens.min()) < 1:
            _refuse("input_tokens and output_tokens must be at least 1")
        if len(self) and not (
            self.class_index.min() >= 0 and self.class_index.max() < len(self.class_names)
        ):
            _refuse(f"class_index must be within the {len(self.class_names)} class names")
        if len(self.parent) and (self.parent >= np.arange(len(self))).any():
            _refuse("parent must be an earlier request")
        if len(self.think_s) and not (np.isfinite(self.think_s) & (self.think_s >= 0)).all():
            _refuse("think_s must be finite and 0 or more")

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def duration_s(self) -> float:
        """Time of the last arrival, seconds."""
        return float(self.arrival_s[-1]) if len(self) else 0.0


def make_requests(arrival_s: Any, input_tokens: Any, output_tokens: Any, **more: Any) -> Requests:
    """Build :class:`Requests` from anything array-like; classes default to one."""
    kinds: Mapping[str, Any] = {f.name: f.type for f in fields(Requests)}
    arrays: dict[str, Any] = {
        "arrival_s": np.asarray(arrival_s, dtype=np.float64),
        "input_tokens": np.asarray(input_tokens, dtype=np.int64),
        "output_tokens": np.asarray(output_tokens, dtype=np.int64),
    }
    arrays["class_index"] = np.zeros(len(arrays["arrival_s"]), dtype=np.int64)
    for name, value in more.items():
        kind = {"Floats": np.float64, "Ints": np.int64}.get(str(kinds.get(name)))
        arrays[name] = value if kind is None else np.asarray(value, dtype=kind)
    return Requests(**arrays)


def _refuse(message: str) -> None:
    msg = f"requests: {message}"
    raise UsageError(msg)
