"""Opening a trace: plain, gzip or zip, streamed line by line within bounds."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, cast

from advisor.errors import InvalidFileError

HEAD_BYTES = 65536
CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 64 << 20
MAX_DOCUMENT_BYTES = 256 << 20
MAX_UNPACKED_BYTES = 4 << 30
MAX_UNPACKED_RATIO = 200
FREE_UNPACKED_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"PAR1": "Parquet: export it as CSV or JSON lines",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it first",
    b"BZh": "bzip2: unpack it first",
    b"\xfd7zXZ": "xz: unpack it first",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"SQLite format 3": "an SQLite database: export it as CSV",
}
Reject = Callable[[int, str, str], None]


class TraceFile:
    """One readable file.

    Parameters
    ----------
    path
        A plain, gzip or zip file; a zip must hold exactly one file.

    Raises
    ------
    InvalidFileError
        If it is missing, empty, binary, of a foreign format or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            _fail(path, "no such file" if not path.exists() else "not a regular file")
        try:
            with path.open("rb") as file:
                magic = file.read(8)
            self._packed_bytes = path.stat().st_size
        except OSError as error:
            _fail(path, f"can't be read: {error.strerror or error}", error)
        self._kind = "plain"
        if magic.startswith(b"\x1f\x8b"):
            self._kind = "gzip"
        elif magic.startswith(b"PK\x03\x04"):
            self._kind = "zip"
        with self.opened() as stream:
            head = stream.read(HEAD_BYTES)
        if not head.strip():
            _fail(path, "empty: no requests")
        for start, what in _FOREIGN.items():
            if head.startswith(start):
                _fail(path, what)
        if b"\0" in head:
            _fail(path, "binary: neither CSV nor JSON")
        self.head = head.removeprefix(_BOM)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the unpacked bytes; damage found while reading becomes InvalidFileError."""
        try:
            with self._open() as stream:
                yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            _fail(self.path, f"damaged {self._kind} file: {error}", error)
        except RuntimeError as error:
            if self._kind != "zip":
                raise
            _fail(self.path, f"can't be unpacked: {error}", error)
        except OSError as error:
            _fail(self.path, f"can't be read: {error.strerror or error}", error)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self._kind == "gzip":
            with gzip.open(self.path, "rb") as packed, _buffered(packed) as stream:
                yield stream
        elif self._kind == "zip":
            with zipfile.ZipFile(self.path) as archive:
                names = [info for info in archive.infolist() if not info.is_dir()]
                if any(info.filename == "[Content_Types].xml" for info in names):
                    _fail(self.path, "an Office file: export it as CSV")
                if len(names) != 1:
                    _fail(self.path, f"a zip of {len(names)} files; valid: exactly one")
                with archive.open(names[0]) as member, _buffered(member) as stream:
                    yield stream
        else:
            with self.path.open("rb", buffering=1 << 20) as stream:
                yield stream

    @property
    def _limit_bytes(self) -> float:
        if self._kind == "plain":
            return float("inf")
        by_ratio = FREE_UNPACKED_BYTES + MAX_UNPACKED_RATIO * self._packed_bytes
        return min(MAX_UNPACKED_BYTES, by_ratio)

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of the first line, and a megabyte or so of whole lines."""
        limit = self._limit_bytes
        total, number = 0, 1
        kept: list[bytes] = []
        kept_bytes = 0
        with self.opened() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                if not total:
                    chunk = chunk.removeprefix(_BOM)
                total += len(chunk)
                if total > limit:
                    _fail(self.path, f"unpacks to more than {limit:,.0f} bytes", line=number)
                end = chunk.rfind(b"\n") + 1
                if end:
                    block = b"".join([*kept, chunk[:end]])
                    yield number, block
                    number += block.count(b"\n")
                    kept, kept_bytes = [], 0
                kept.append(chunk[end:])
                kept_bytes += len(chunk) - end
                if kept_bytes > MAX_LINE_BYTES:
                    _fail(self.path, f"longer than {MAX_LINE_BYTES:,} bytes", line=number)
        if kept_bytes:
            yield number, b"".join(kept)

    def raw_lines(self) -> Iterator[bytes]:
        """Yield the lines without their ends.

        Raises
        ------
        InvalidFileError
            At a line longer than 64 MiB, and where a packed file unpacks to more than 4 GiB or
            200 times its size.
        """
        for _, block in self._blocks():
            yield from block.removesuffix(b"\n").split(b"\n")

    def text_lines(self, reject: Reject) -> Iterator[str]:
        """Yield the lines as text; one that isn't UTF-8 is rejected and comes out empty."""
        return chain.from_iterable(self._text_blocks(reject))

    def _text_blocks(self, reject: Reject) -> Iterator[list[str]]:
        for start, block in self._blocks():
            try:
                yield block.decode().removesuffix("\n").split("\n")
            except UnicodeDecodeError:
                lines = block.removesuffix(b"\n").split(b"\n")
                yield [self._text(start + i, line, reject) for i, line in enumerate(lines)]

    def _text(self, number: int, line: bytes, reject: Reject) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            if number == 1:
                _fail(self.path, f"not UTF-8 at byte {error.start}", error, line=1)
            reject(number, "not UTF-8", f"byte {error.start}")
            return ""

    def document(self) -> bytes:
        """Return the whole file.

        Raises
        ------
        InvalidFileError
            If it is larger than 256 MiB.
        """
        limit = int(min(MAX_DOCUMENT_BYTES, self._limit_bytes))
        with self.opened() as stream:
            text = stream.read(limit + 1)
        if len(text) > limit:
            _fail(self.path, f"one JSON document of more than {limit:,} bytes; use JSON lines")
        return text.removeprefix(_BOM)


def _buffered(stream: IO[bytes] | gzip.GzipFile) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream))


def _fail(path: Path, what: str, cause: Exception | None = None, *, line: int = 0) -> None:
    place = f"{path}, line {line}" if line else str(path)
    msg = f"{place}: {what}"
    raise InvalidFileError(msg) from cause
