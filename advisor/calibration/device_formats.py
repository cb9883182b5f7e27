"""Weight formats of measured rows: the catalogue's where it has them, else their bits."""

from __future__ import annotations

import re

import msgspec

from advisor.calibration.device_rows import DeviceRow
from advisor.catalogue.engines import get_format
from advisor.errors import MissingDataError, UnknownNameError
from advisor.schema.engine import WeightFormat

_GGUF_KERNELS = (
    ("iq", "iq"),
    ("q2", "q2_k"),
    ("q3", "q3_k"),
    ("q4_0", "q4_0"),
    ("q4", "q4_k"),
    ("q5", "q5_k"),
    ("q6", "q6_k"),
    ("q8", "q8_0"),
)
_GGUF_BITS = {"w2": 2.63, "iq2_m": 2.93}
"""Formats whose rows leave the bits out: Q2_K and IQ2_M of llama.cpp's quantisation table."""
_MLX_BITS = 4.5
"""4-bit weights with a 16-bit scale and bias per 64 of them, mlx's default."""
_TABLE_BITS = {"w2a16": 2.0, "w1.58": 2.0, "w2": 2.0}
"""T-MAC stores 2-bit indices for both."""
_SERVER_ENGINES = ("vllm", "sglang", "trtllm", "transformers", "lmdeploy", "llama2-webui")
_GGUF_ENGINES = ("llama.cpp", "ik_llama.cpp")
_SERVER_KERNELS = (
    (("awq", "gptq", "int4", "w4a16"), "w4a16"),
    (("fp8",), "fp8"),
    (("int8",), "int8"),
    (("bf16",), "bf16"),
)


def formats_of(row: DeviceRow) -> tuple[WeightFormat, WeightFormat]:
    """Return the format of a row's weights, and of what that format leaves alone.

    Raises
    ------
    MissingDataError
        If neither name nor bits tell.
    """
    plain = get_format("bf16")
    name = re.sub(r"\s*\(.*\)", "", row.weight_format).strip()
    if row.engine_family in _GGUF_ENGINES:
        return _gguf(row, name, plain)
    if row.engine_family in _SERVER_ENGINES:
        known = _server(row, name)
        if row.engine_family == "transformers" and name.startswith("awq"):
            # Its eager AWQ kernels launch otherwise than GPTQ's of the same size.
            known = msgspec.structs.replace(known, gemm="awq")
        return known, plain
    return _on_device(row, name), plain


def _gguf(row: DeviceRow, name: str, plain: WeightFormat) -> tuple[WeightFormat, WeightFormat]:
    if name == "mxfp4":
        # Files converted for Ollama keep the rest in bf16, llama.cpp's own in Q8_0.
        rest = plain if "ollama" in row.engine.lower() else get_format("q8_0")
        head = rest.bits_per_weight
        return msgspec.structs.replace(get_format("mxfp4"), head_bits=head), rest
    try:
        return get_format(name), plain
    except UnknownNameError:
        pass
    bits = row.weight_bits or _GGUF_BITS.get(name)
    kernel = next((kernel for start, kernel in _GGUF_KERNELS if name.startswith(start)), "q2_k")
    if bits is None:
        msg = f"{row.id}: bits of {row.weight_format!r} are not known"
        raise MissingDataError(msg)
    base = get_format("q6_k")
    head = base.bits_per_weight if bits < base.bits_per_weight else bits
    return (
        msgspec.structs.replace(
            base, id=name, name=name, bits_per_weight=bits, head_bits=head, gemm=kernel
        ),
        plain,
    )


def _server(row: DeviceRow, name: str) -> WeightFormat:
    if "int8" in name and "gptq" in row.weight_format:
        return get_format("w8a16")
    try:
        return get_format(name)
    except UnknownNameError:
        pass
    for words, known in _SERVER_KERNELS:
        if any(word in row.weight_format for word in words):
            return get_format(known)
    msg = f"{row.id}: weight format {row.weight_format!r} is not known"
    raise MissingDataError(msg)


def _on_device(row: DeviceRow, name: str) -> WeightFormat:
    bits = row.weight_bits
    table = row.engine_family == "t-mac"
    if bits is None and row.engine_family == "mlx":
        bits = _MLX_BITS
    if table:
        bits = bits or _TABLE_BITS.get(name)
    if bits is None:
        msg = f"{row.id}: bits of {row.weight_format!r} are not known"
        raise MissingDataError(msg)
    kernel = "w2a16" if bits < 3 else "w4a16" if bits < 6 else "w8a16" if bits < 10 else "bf16"
    if name == "mxfp4":
        return msgspec.structs.replace(get_format("mxfp4"), gemm=kernel)
    # Runtimes of phones and Macs quantise the tables like the layers.
    return msgspec.structs.replace(
        get_format("bf16"),
        id=kernel,
        name=name,
        bits_per_weight=bits,
        head_bits=bits,
        embedding_bits=bits,
        gemm=f"{kernel}_table" if table else kernel,
    )
