"""Headed blocks of rows on a terminal: what must be read stays whole, other rows give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.report.numbers import pad, width, wrap

COLUMNS = 80
HEAD = 10


@dataclass(frozen=True)
class Block:
    """A head and its rows, each of one or more lines; the first ``keep`` rows always stay."""

    head: str
    rows: tuple[tuple[str, ...], ...]
    keep: int

    def lines(self) -> list[str]:
        """Return the lines, the head beside the first."""
        lines = [line for row in self.rows for line in row]
        return [pad(self.head if i == 0 else "", HEAD) + line for i, line in enumerate(lines)]


def cut(text: str, columns: int = COLUMNS - HEAD) -> str:
    """Shorten a text to so many columns.

    >>> cut("abcdef", 4)
    'abc…'
    """
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def whole(head: str, rows: Sequence[str]) -> Block:
    """Return a block whose rows are read in full."""
    return Block(head, tuple(tuple(wrap(row, COLUMNS - HEAD, "  ")) for row in rows), len(rows))


def listed(head: str, rows: Sequence[str], keep: int = 1) -> Block:
    """Return a block of one line a row; rows after the first ``keep`` may be left out."""
    return Block(head, tuple((cut(row),) for row in rows), keep)


def fitted(blocks: Sequence[Block], room: int) -> tuple[list[str], int]:
    """Return the lines of all blocks in so much room if they can, and how many rows were left out.

    The last row of the longest block that may lose one goes first.
    """
    left = list(blocks)
    dropped = 0
    while sum(len(b.lines()) for b in left) > room:
        spare = [i for i, b in enumerate(left) if len(b.rows) > b.keep]
        if not spare:
            break
        most = max(spare, key=lambda i: len(left[i].rows) - left[i].keep)
        block = left[most]
        left[most] = Block(block.head, block.rows[:-1], block.keep)
        dropped += 1
    return [line for block in left for line in block.lines()], dropped
