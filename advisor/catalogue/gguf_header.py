"""Metadata and tensor directory of a GGUF file, and which architectures are supported.

Source: the GGUF specification (ggml repository, ``docs/gguf.md``).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from advisor.errors import InvalidFileError

MAX_SIZE = 1_000_000_000
_READ_ERRORS = (ValueError, IndexError, KeyError, TypeError, ArithmeticError, OSError, struct.error)

_PLAIN = (
    "chatglm command-r deepseek2 gemma glm4 glm4moe granite granitemoe internlm2 llama minicpm "
    "minimax-m2 mistral3 olmoe phi3 qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe "
    "qwen3next qwen3vl qwen3vlmoe smollm3 stablelm"
)
_WINDOWED = {"gemma2": 2, "gpt-oss": 2, "cohere2": 4, "olmo2": 4, "gemma3": 6}
ARCHITECTURES = dict.fromkeys(_PLAIN.split(), 0) | _WINDOWED
"""Supported architectures; all layers but every n-th have the window the file states."""


@dataclass(frozen=True)
class Tensor:
    """Name, type and exact size of one tensor."""

    name: str
    kind: str
    elements: int
    bytes: int


class GgufHeader:
    """Metadata and tensors of a file; every error names the file and the key."""

    def __init__(self, path: Path, fields: dict[str, Any], tensors: tuple[Tensor, ...]) -> None:
        self.path, self.fields, self.tensors = path, fields, tensors
        self.architecture = self.text("general.architecture")
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(sorted(ARCHITECTURES))
            what = f"{self.architecture!r} is not supported; supported: {known}"
            self.fail("general.architecture", what)

    def fail(self, key: str, what: str) -> NoReturn:
        """Raise the error of a key."""
        msg = f"{self.path}: {key}: {what}"
        raise InvalidFileError(msg)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; it must be there unless there is a default."""
        value = self.fields.get(key, default)
        if not isinstance(value, str):
            self.fail(key, "missing" if value is None else f"must be text, got {value!r}")
        return value

    def optional(self, key: str, layer: int = 0, low: int = 0, high: int = MAX_SIZE) -> int | None:
        """Return an integer of the architecture (of one layer if it is a list), or None."""
        full = f"{self.architecture}.{key}"
        value = self.fields.get(full)
        if isinstance(value, list):
            if layer >= len(value):
                self.fail(full, f"has {len(value)} entries, but layer {layer} needs one")
            value = value[layer]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(full, f"must be an integer from {low} to {high}, got {value!r:.40}")
        return value

    def size(self, key: str, layer: int = 0, high: int = MAX_SIZE) -> int:
        """Return a positive integer that must be there."""
        value = self.optional(key, layer, 1, high)
        if value is None:
            self.fail(f"{self.architecture}.{key}", "missing; must be a positive integer")
        return value

    def tensor(self, name: str) -> Tensor | None:
        """Return a tensor by name."""
        return next((t for t in self.tensors if t.name == name), None)


def _open(path: Path) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
    """Read header and tensor directory of one file with the ``gguf`` package.

    Raises
    ------
    InvalidFileError
        If the package is missing, or the file is no GGUF, truncated or inconsistent.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        msg = f"{path}: reading GGUF files needs the gguf package: pip install gguf"
        raise InvalidFileError(msg) from error

    class Reader(GGUFReader):
        """Refuses to read past the end, where the base class would loop over empty slices."""

        def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
            found = super()._get(offset, dtype, count, override_order)
            if len(found) != int(count):
                msg = f"file ends at byte {len(self.data)}, inside data at byte {offset}"
                raise ValueError(msg)
            return found

    try:
        reader = Reader(path)
        fields = {name: f.contents() for name, f in reader.fields.items() if "token" not in name}
        tensors = tuple(
            Tensor(t.name, t.tensor_type.name, int(t.n_elements), int(t.n_bytes))
            for t in reader.tensors
        )
    except _READ_ERRORS as error:
        msg = f"{path}: not a readable GGUF file: {str(error) or type(error).__name__}"
        raise InvalidFileError(msg) from error
    return fields, tensors


def read_header(path: Path) -> GgufHeader:
    """Read a file, and the other parts of it if it was split."""
    fields, tensors = _open(path)
    parts = fields.get("split.count", 1)
    named = re.search(r"-\d{5}-of-(\d{5})\.gguf$", path.name)
    if isinstance(parts, int) and parts > 1 and named:
        names = [
            f"{path.name[: named.start()]}-{i:05}-of-{parts:05}.gguf" for i in range(1, parts + 1)
        ]
        opened = [_open(path.with_name(name)) for name in names]
        fields, tensors = opened[0][0], tuple(t for _, part in opened for t in part)
    elif parts not in {0, 1}:
        msg = f"{path}: split.count: {parts!r} parts, so the name must end in -00001-of-0000N.gguf"
        raise InvalidFileError(msg)
    return GgufHeader(path, fields, tensors)
