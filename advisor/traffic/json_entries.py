"""The entries of a JSON trace: one a line, or those of one document."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from advisor.errors import InvalidFileError
from advisor.traffic.trace_file import TraceFile


def entries(file: TraceFile) -> Iterator[tuple[int, bytes]]:
    """Yield line and text of each entry of JSON lines, or number and text of a document's.

    A document is one object, which is one entry, or a list of entries.

    Raises
    ------
    InvalidFileError
        If a document is malformed or too large.
    """
    if not _is_lines(file.head):
        yield from _document_entries(file)
        return
    for number, line in enumerate(file.raw_lines(), 1):
        if line and not line.isspace():
            yield number, line


def _is_lines(head: bytes) -> bool:
    """Whether the first line is an object of its own, or too long to tell."""
    line, end, _ = head.lstrip().partition(b"\n")
    if line.startswith(b"["):
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except RecursionError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A first line cut off by the head's end may be an entry; a short one is a document
        # spread over lines, unless only this line is damaged.
        if not end:
            return False
        second = head.lstrip().split(b"\n", 2)[1]
        return second.startswith(b"{") and len(line.strip()) > 1
    return True


def _document_entries(file: TraceFile) -> Iterator[tuple[int, bytes]]:
    text = file.document()
    try:
        if text.lstrip().startswith(b"["):
            found = msgspec.json.decode(text, type=list[msgspec.Raw])
        else:
            found = [msgspec.Raw(text)]
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{file.path}: malformed JSON: {error}"
        raise InvalidFileError(msg) from error
    for number, entry in enumerate(found, 1):
        yield number, bytes(entry)
