"""Kernel microbenchmark tables of the ``aiconfigurator-core`` wheel, as NumPy arrays.

Layout: ``<root>/<device>/<op>/<engine>/<version>/<table>.parquet``, latency in ms; here
everything is in seconds, bytes and elements. Only ``*_perf.parquet`` tables are opened: the
serving sample shipped beside them holds the rows releases are scored on and is never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from advisor.errors import MissingDataError

Array = NDArray[np.float64]
T = TypeVar("T")

DEVICE_FOLDERS = {
    "a100-sxm-80": "a100_sxm",
    "a100-pcie-80": "a100_pcie",
    "a30": "a30",
    "h100-sxm": "h100_sxm",
    "h100-pcie": "h100_pcie",
    "h200-sxm": "h200_sxm",
    "l4": "l4",
    "l40s": "l40s",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "rtx-pro-6000-server": "rtx_pro_6000_server",
}
"""Device id of the catalogue → folder of the wheel. Some folders are empty."""

FORMATS = {
    "bf16": ("bfloat16", "float16"),
    "fp8": ("fp8",),
    "fp8_block": ("fp8_block",),
    "fp4": ("nvfp4",),
    "w4a16": ("int4_wo",),
    "w8a16": ("int8_wo",),
    "int8": ("int8", "sq"),
    "mxfp4": ("w4a16_mxfp4",),
    "mxfp4_fp8": ("w4a8_mxfp4_mxfp8",),
}
"""Compute format → names the tables use for it."""

CACHE_BYTES = {"bfloat16": 2.0, "float16": 2.0, "fp8": 1.0}
MS = 1e-3
_FULL_SHARE = 0.3


@dataclass(frozen=True)
class GemmRows:
    """Products of ``rows x k`` by ``k x n`` in one format."""

    rows: Array
    n: Array
    k: Array
    seconds: Array


@dataclass(frozen=True)
class AttentionRows:
    """Attention of ``batch`` sequences; decode has one query on ``context`` cached tokens.

    In prefill tables ``context`` is the prompt, attended causally from an empty cache.
    """

    batch: Array
    context: Array
    heads: Array
    kv_heads: Array
    head_dim: Array
    cache_bytes: Array
    window: Array
    seconds: Array


@dataclass(frozen=True)
class ExpertRows:
    """Mixture-of-experts layers in one format: ``tokens`` of the whole expert group.

    ``imbalance`` is the exponent of the routing's power law, 0 for perfectly even routing;
    uneven rows time the most loaded device.
    """

    tokens: Array
    hidden: Array
    inner: Array
    top_k: Array
    experts: Array
    tp: Array
    ep: Array
    imbalance: Array
    seconds: Array


@dataclass(frozen=True)
class CollectiveRows:
    """All-reduces of ``message_bytes`` over ``devices``."""

    devices: Array
    message_bytes: Array
    seconds: Array


@dataclass(frozen=True)
class ElementwiseRows:
    """Kernels that read ``elements`` of 16 bits and write as many of 8 bits."""

    elements: Array
    seconds: Array


def optional_module(name: str) -> Any:
    """Import a module of the ``[kernels]`` extra.

    Raises
    ------
    MissingDataError
        If it isn't installed, naming the extra.
    """
    try:
        return import_module(name)
    except ImportError as error:
        message = f"refitting needs {name.partition('.')[0]}"
        raise _missing(message) from error


def tables_root() -> Path:
    """Find the tables in the installed ``aiconfigurator-core`` wheel.

    Raises
    ------
    MissingDataError
        If the wheel isn't installed.
    """
    spec = find_spec("aiconfigurator_core")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        root = Path(folder) / "systems" / "data"
        if root.is_dir():
            return root
    message = "the kernel tables of aiconfigurator-core are not installed"
    raise _missing(message)


def _missing(what: str) -> MissingDataError:
    hint = "pip install 'advisor[kernels]'"
    return MissingDataError(f"{what}: {hint}", suggestions=[hint])


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


class KernelTables:
    """The tables below one directory.

    Parameters
    ----------
    root
        Directory with one folder per device; the installed wheel's if not given.

    Raises
    ------
    MissingDataError
        If the directory, or the wheel, doesn't exist.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = tables_root() if root is None else root
        if not self.root.is_dir():
            message = f"no kernel tables in {self.root}"
            raise _missing(message)

    def versions(self, device: str, op: str, engine: str, table: str) -> list[Path]:
        """Return the paths of an engine's tables, newest version first."""
        folder = self.root / DEVICE_FOLDERS[device] / op / engine
        found = folder.glob(f"*/{table}_perf.parquet")
        return sorted(found, key=lambda path: _version_key(path.parent.name), reverse=True)

    def newest(self, device: str, op: str, engine: str, table: str) -> Path | None:
        """Return the path of an engine's newest table, or None if there is none."""
        return next(iter(self.versions(device, op, engine, table)), None)

    def gemm(self, device: str, engine: str) -> dict[str, GemmRows]:
        """Matrix products by compute format; empty if the engine has none."""
        found = [_gemm(path) for path in self.versions(device, "gemm", engine, "gemm")]
        return _newest_full(found, lambda rows: rows.seconds.size)

    def decode_attention(self, device: str, engine: str) -> AttentionRows | None:
        """Decode attention, or None if the engine has no table."""
        path = self.newest(device, "attention", engine, "generation_attention")
        return None if path is None else _attention(path, decode=True)

    def prefill_attention(self, device: str, engine: str) -> AttentionRows | None:
        """Prefill attention, or None if the engine has no table."""
        path = self.newest(device, "attention", engine, "context_attention")
        return None if path is None else _attention(path, decode=False)

    def experts(self, device: str, engine: str) -> dict[str, ExpertRows]:
        """Mixture-of-experts layers by compute format; empty if the engine has none."""
        found = [_experts(path) for path in self.versions(device, "moe", engine, "moe")]
        for older in found[1:]:
            # Older collections timed int4 experts with unsliced weights, whatever the layout.
            older.pop("w4a16", None)
        return _newest_full(found, lambda rows: rows.seconds.size)

    def all_reduce(self, device: str, engine: str) -> CollectiveRows | None:
        """Bf16 all-reduces inside a CUDA graph, or None if the engine has no table."""
        path = self.newest(device, "comm", engine, "custom_allreduce")
        if path is None:
            return None
        table = read_columns(path, "num_gpus", "message_size", "kernel_source", "latency")
        eager = np.array(["eager" in str(name) for name in table["kernel_source"]])
        return _collective(table, ~eager)

    def quantise(self, device: str, engine: str) -> ElementwiseRows | None:
        """Fp8 quantisation by a given scale, or None if the engine has no table."""
        path = self.newest(device, "quantize", engine, "scale_matrix")
        if path is None:
            return None
        table = read_columns(path, "m", "k", "quant_dtype", "latency")
        chosen = table["quant_dtype"] == "fp8"
        elements = numbers(table["m"], chosen) * numbers(table["k"], chosen)
        return ElementwiseRows(elements, numbers(table["latency"], chosen) * MS)


def read_columns(
    path: Path, *columns: str, absent: Mapping[str, float] | None = None
) -> dict[str, NDArray[Any]]:
    """Read columns; those older tables lack take the value ``absent`` gives."""
    parquet = optional_module("pyarrow.parquet")
    optional = absent or {}
    present = set(parquet.read_schema(path).names)
    wanted = [*columns, *(name for name in optional if name in present)]
    table = parquet.read_table(path, columns=wanted)
    result = {name: table.column(name).to_numpy() for name in wanted}
    for name in set(optional) - present:
        result[name] = np.full(table.num_rows, optional[name])
    return result


def numbers(column: NDArray[Any], chosen: NDArray[np.bool_]) -> Array:
    """Return the chosen values of a column."""
    return np.asarray(column[chosen], dtype=float)


def _by_format(names: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    masks = {ours: np.isin(names.astype(str), theirs) for ours, theirs in FORMATS.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _newest_full(versions: list[dict[str, T]], size: Callable[[T], int]) -> dict[str, T]:
    """Take each format from the newest version that isn't a small supplement."""
    result: dict[str, T] = {}
    for name in {name for version in versions for name in version}:
        found = [version[name] for version in versions if name in version]
        largest = max(size(rows) for rows in found)
        result[name] = next(rows for rows in found if size(rows) >= _FULL_SHARE * largest)
    return result


def _gemm(path: Path) -> dict[str, GemmRows]:
    table = read_columns(path, "gemm_dtype", "m", "n", "k", "latency")
    result = {}
    for name, chosen in _by_format(table["gemm_dtype"]).items():
        m, n, k = (numbers(table[c], chosen) for c in ("m", "n", "k"))
        result[name] = GemmRows(m, n, k, numbers(table["latency"], chosen) * MS)
    return result


def _experts(path: Path) -> dict[str, ExpertRows]:
    sizes = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts")
    columns = (*sizes, "moe_tp_size", "moe_ep_size")
    table = read_columns(path, "moe_dtype", "distribution", "latency", *columns)
    exponent = np.array([_exponent(str(name)) for name in table["distribution"]])
    result = {}
    for name, chosen in _by_format(table["moe_dtype"]).items():
        tokens, hidden, inner, top_k, count, tp, ep = (
            numbers(table[column], chosen) for column in columns
        )
        result[name] = ExpertRows(
            tokens=tokens,
            hidden=hidden,
            inner=inner,
            top_k=top_k,
            experts=count,
            tp=tp,
            ep=ep,
            imbalance=exponent[chosen],
            seconds=numbers(table["latency"], chosen) * MS,
        )
    return result


def _exponent(distribution: str) -> float:
    """Read the exponent off a name such as ``power_law_1.01``; 0 for ``balanced``."""
    match = re.search(r"power_law_([\d.]+)", distribution)
    return float(match.group(1)) if match else 0.0


def _attention(path: Path, *, decode: bool) -> AttentionRows:
    columns = ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim")
    kinds = ("attn_dtype", "kv_cache_dtype")
    table = read_columns(path, *columns, *kinds, "latency", absent={"window_size": 0})
    cache = np.array([CACHE_BYTES.get(str(name), 0.0) for name in table["kv_cache_dtype"]])
    computed_in_16_bits = np.isin(table["attn_dtype"].astype(str), ("bfloat16", "float16"))
    chosen = (cache > 0) & computed_in_16_bits
    batch, prompt, step, heads, kv_heads, head_dim = (numbers(table[c], chosen) for c in columns)
    return AttentionRows(
        batch=batch,
        context=prompt + step if decode else prompt,
        heads=heads,
        kv_heads=np.minimum(np.where(kv_heads > 0, kv_heads, heads), heads),
        head_dim=head_dim,
        cache_bytes=cache[chosen],
        window=numbers(table["window_size"], chosen),
        seconds=numbers(table["latency"], chosen) * MS,
    )


def _collective(table: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]) -> CollectiveRows:
    devices, size = numbers(table["num_gpus"], chosen), numbers(table["message_size"], chosen)
    return CollectiveRows(devices, size * 2.0, numbers(table["latency"], chosen) * MS)
