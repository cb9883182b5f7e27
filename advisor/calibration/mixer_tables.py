"""Tables of latent attention and of recurrent mixers, as NumPy arrays.

Same layout and units as :mod:`advisor.calibration.kernel_tables`. Only tables of the kernels
alone are read, not those of whole attention modules with their projections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.calibration.kernel_tables import (
    CACHE_BYTES,
    MS,
    Array,
    KernelTables,
    numbers,
    read_columns,
)


@dataclass(frozen=True)
class LatentRows:
    """Latent attention of ``batch`` sequences; decode has one query on ``context`` tokens.

    In prefill tables ``context`` is the prompt, attended causally from an empty cache.
    """

    batch: Array
    context: Array
    heads: Array
    cache_bytes: Array
    seconds: Array


@dataclass(frozen=True)
class RecurrentRows:
    """Convolution plus gated delta rule of ``batch`` sequences with ``tokens`` new ones each."""

    batch: Array
    tokens: Array
    value_heads: Array
    key_dim: Array
    value_dim: Array
    seconds: Array


def latent_decode(tables: KernelTables, device: str, engine: str) -> LatentRows | None:
    """Latent decode attention, or None if the engine has no table."""
    return _latent(tables, device, engine, "generation_mla")


def latent_prefill(tables: KernelTables, device: str, engine: str) -> LatentRows | None:
    """Latent prefill attention, or None if the engine has no table."""
    return _latent(tables, device, engine, "context_mla")


def _latent(tables: KernelTables, device: str, engine: str, table: str) -> LatentRows | None:
    path = tables.newest(device, "mla", engine, table)
    if path is None:
        return None
    columns = ("batch_size", "isl", "step", "num_heads")
    found = read_columns(path, *columns, "mla_dtype", "kv_cache_dtype", "latency")
    cache = np.array([CACHE_BYTES.get(str(name), 0.0) for name in found["kv_cache_dtype"]])
    chosen = (cache > 0) & np.isin(found["mla_dtype"].astype(str), ("bfloat16", "float16"))
    batch, prompt, step, heads = (numbers(found[column], chosen) for column in columns)
    return LatentRows(
        batch=batch,
        context=prompt + step,
        heads=heads,
        cache_bytes=cache[chosen],
        seconds=numbers(found["latency"], chosen) * MS,
    )


def recurrent_decode(tables: KernelTables, device: str, engine: str) -> RecurrentRows | None:
    """Recurrent mixers on one token per sequence, or None if the engine has no table."""
    return _recurrent(tables, device, engine, "generation")


def recurrent_prefill(tables: KernelTables, device: str, engine: str) -> RecurrentRows | None:
    """Recurrent mixers on prompts, or None if the engine has no table."""
    return _recurrent(tables, device, engine, "context")


def _recurrent(tables: KernelTables, device: str, engine: str, phase: str) -> RecurrentRows | None:
    path = tables.newest(device, "linear_attention", engine, "gdn")
    if path is None:
        return None
    columns = ("batch_size", "seq_len", "num_v_heads", "head_k_dim", "head_v_dim", "num_k_heads")
    found = read_columns(path, *columns, "phase", "kernel_source", "model_name", "latency")
    chosen = found["phase"].astype(str) == phase
    convolution = np.array(["conv" in str(name) for name in found["kernel_source"]])
    _, model = np.unique(found["model_name"].astype(str), return_inverse=True)
    sizes = np.stack([*(numbers(found[column], chosen) for column in columns), model[chosen]])
    seconds = numbers(found["latency"], chosen) * MS
    shapes, of_row = np.unique(sizes, axis=1, return_inverse=True)
    parts = [
        np.bincount(of_row.ravel()[mask], weights=seconds[mask], minlength=shapes.shape[1])
        for mask in (convolution[chosen], ~convolution[chosen])
    ]
    both = (parts[0] > 0) & (parts[1] > 0)
    summed = np.asarray((parts[0] + parts[1])[both], dtype=float)
    batch, tokens, value_heads, key_dim, value_dim = shapes[:5, both]
    return RecurrentRows(batch, tokens, value_heads, key_dim, value_dim, summed)
