"""GGUF reader: tiny files written here, with counts and bits worked out by hand."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalogue.gguf_file import read_gguf
from advisor.catalogue.local_models import get_any_model
from advisor.errors import InvalidFileError
from advisor.perf.parameters import total_parameters
from advisor.schema.model import Attention, Linear, Mla, Mlp, Moe

Q4, Q6, Q8 = (gguf.GGMLQuantizationType[n] for n in ("Q4_K", "Q6_K", "Q8_0"))
HIDDEN, VOCAB, FFN = 256, 512, 512
KEYS: dict[str, Any] = {
    "block_count": 2,
    "context_length": 4096,
    "embedding_length": HIDDEN,
    "feed_forward_length": FFN,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
}
ATTENTION: dict[str, tuple[int, ...]] = {
    "attn_q": (256, 256),
    "attn_k": (128, 256),
    "attn_v": (128, 256),
}
LAYER: dict[str, tuple[int, ...]] = ATTENTION | {
    "attn_output": (256, 256),
    "ffn_gate": (FFN, HIDDEN),
    "ffn_up": (FFN, HIDDEN),
    "ffn_down": (HIDDEN, FFN),
}
EXPERTS: dict[str, tuple[int, ...]] = {
    "ffn_gate_inp": (4, HIDDEN),
    "ffn_gate_exps": (4, 256, HIDDEN),
    "ffn_up_exps": (4, 256, HIDDEN),
    "ffn_down_exps": (4, HIDDEN, 256),
}


def _quantised(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> np.ndarray[Any, Any]:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return np.zeros((*shape[:-1], shape[-1] // block * size), dtype=np.uint8)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif value is not None:
        (writer.add_int32 if value < 0 else writer.add_uint32)(key, value)


def write(
    path: Path,
    arch: str = "llama",
    keys: dict[str, Any] | None = None,
    layers: list[dict[str, tuple[int, ...]]] | None = None,
    kind: gguf.GGMLQuantizationType = Q4,
    head: gguf.GGMLQuantizationType | None = Q6,
    file_type: int | None = 15,
    table: bool = True,
) -> Path:
    writer = gguf.GGUFWriter(path, arch)
    for key, value in (KEYS | (keys or {})).items():
        _add(writer, f"{arch}.{key}", value)
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_token_list(["a", "b"])
    if table:
        writer.add_tensor("token_embd.weight", _quantised((VOCAB, HIDDEN), kind), raw_dtype=kind)
    if head is not None:
        writer.add_tensor("output.weight", _quantised((VOCAB, HIDDEN), head), raw_dtype=head)
    writer.add_tensor("output_norm.weight", np.zeros(HIDDEN, dtype=np.float32))
    for index, layer in enumerate(layers if layers is not None else [LAYER, LAYER]):
        for norm in ("attn_norm.weight", "ffn_norm.weight"):
            writer.add_tensor(f"blk.{index}.{norm}", np.zeros(HIDDEN, dtype=np.float32))
        for name, shape in layer.items():
            full = f"blk.{index}.{name}" + ("" if "." in name or name == "ssm_a" else ".weight")
            if len(shape) == 1 or "ssm" in name or shape[-1] % 256:
                writer.add_tensor(full, np.zeros(shape, dtype=np.float32))
            else:
                writer.add_tensor(full, _quantised(shape, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_llama_shape_bits_and_total_by_hand(tmp_path: Path) -> None:
    model, weights = read_gguf(write(tmp_path / "Tiny.Q4.gguf"))
    matrices = 2 * 256 * 256 + 2 * 128 * 256 + 3 * FFN * HIDDEN
    assert model.id == "tiny.q4"
    assert model.max_context_tokens == 4096
    assert model.shape is not None
    (layer,) = model.shape.layers
    assert (layer.count, layer.other_parameters) == (2, 2 * HIDDEN)
    assert layer.mixer == Attention(heads=4, kv_heads=2, head_dim=64)
    assert layer.ffn == Mlp(hidden=FFN)
    assert (model.shape.vocab, model.shape.tied_embeddings) == (VOCAB, False)
    total = 2 * (matrices + 2 * HIDDEN) + 2 * VOCAB * HIDDEN + HIDDEN
    assert model.parameters is not None
    assert model.parameters.total.value == total == total_parameters(model.shape)
    in_blocks = 2 * (matrices * 144 / 256 + 4 * 2 * HIDDEN)
    assert weights.bits_per_weight == 8 * in_blocks / (2 * (matrices + 2 * HIDDEN))
    assert (weights.head_bits, weights.embedding_bits) == (6.5625, 4.5)
    assert (weights.id, weights.gemm, weights.compute) == ("gguf-q4_k_m", "q4_k", "bf16")
    assert weights.gguf
    stored = in_blocks + VOCAB * HIDDEN * (144 + 210) / 256 + 4 * HIDDEN
    assert f"take {int(stored)} bytes" in weights.note


def test_tied_table_counts_once(tmp_path: Path) -> None:
    model, weights = read_gguf(write(tmp_path / "m.gguf", kind=Q8, head=None, file_type=None))
    assert model.shape is not None
    assert model.parameters is not None
    assert model.shape.tied_embeddings
    assert model.parameters.total.value == total_parameters(model.shape)
    assert (weights.head_bits, weights.embedding_bits) == (8.5, 8.5)
    assert (weights.id, weights.gemm) == ("gguf-q8_0", "q8_0")


def test_caller_finds_the_file(tmp_path: Path) -> None:
    model, weights = get_any_model(str(write(tmp_path / "m.gguf")))
    assert model.shape is not None
    assert weights is not None


@pytest.mark.parametrize(
    ("arch", "keys", "windows"),
    [
        ("gemma3", {}, [512, 512, 512, 512, 512, None, 512]),
        ("gemma2", {}, [512, None, 512, None, 512, None, 512]),
        ("gpt-oss", {}, [512, None, 512, None, 512, None, 512]),
        ("llama", {}, [None] * 7),
        ("gemma2", {"attention.sliding_window_pattern": 3}, [512, 512, None, 512, 512, None, 512]),
        ("llama", {"attention.sliding_window_pattern": [True] + [False] * 6}, [512] + [None] * 6),
    ],
)
def test_windows(
    tmp_path: Path, arch: str, keys: dict[str, Any], windows: list[int | None]
) -> None:
    stated = {"block_count": 7, "attention.sliding_window": 512} | keys
    model, _ = read_gguf(write(tmp_path / "m.gguf", arch, stated, [LAYER] * 7))
    assert model.shape is not None
    counted = sorted(
        (layer.count, layer.mixer.window_tokens)
        for layer in model.shape.layers
        if isinstance(layer.mixer, Attention)
    )
    expected = sorted((windows.count(w), w) for w in set(windows))
    assert counted == expected


def test_heads_per_layer(tmp_path: Path) -> None:
    narrow = LAYER | {"attn_k": (64, 256), "attn_v": (64, 256)}
    path = write(tmp_path / "m.gguf", "qwen3", {"attention.head_count_kv": [2, 1]}, [LAYER, narrow])
    model, _ = read_gguf(path)
    assert model.shape is not None
    assert model.parameters is not None
    assert [m.mixer.kv_heads for m in model.shape.layers if isinstance(m.mixer, Attention)] == [
        2,
        1,
    ]
    assert model.parameters.total.value == total_parameters(model.shape)


def test_experts_with_shared_one_and_biases(tmp_path: Path) -> None:
    extra: dict[str, tuple[int, ...]] = {
        "ffn_up_shexp": (512, 256), "ffn_gate_shexp": (512, 256), "ffn_down_shexp": (256, 512),
        "exp_probs_b.bias": (4,), "attn_q.bias": (256,),
    }  # fmt: skip
    attention = {k: v for k, v in LAYER.items() if k.startswith("attn")}
    keys = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 256}
    layers = [LAYER, attention | EXPERTS | extra]
    model, weights = read_gguf(write(tmp_path / "m.gguf", "qwen2moe", keys, layers))
    assert model.shape is not None
    assert model.parameters is not None
    dense, sparse = model.shape.layers
    assert dense.ffn == Mlp(hidden=FFN)
    assert sparse.ffn == Moe(
        experts=4, top_k=2, expert_hidden=256, shared_experts=1, shared_hidden=512
    )
    assert sparse.other_parameters == 2 * HIDDEN + 4 + 256
    assert model.parameters.total.value == total_parameters(model.shape)
    assert weights.gemm == "q4_k"


@pytest.mark.parametrize("split", [False, True])
def test_latent_attention(tmp_path: Path, split: bool) -> None:
    layer: dict[str, tuple[int, ...]] = {
        "attn_q_a": (128, 256), "attn_q_b": (4 * 96, 128), "attn_kv_a_mqa": (64 + 32, 256),
        "attn_output": (256, 4 * 64), "attn_q_a_norm": (128,), "attn_kv_a_norm": (64,),
        "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN), "ffn_down": (HIDDEN, FFN),
    }  # fmt: skip
    layer |= (
        {"attn_k_b": (4, 64, 64), "attn_v_b": (4, 64, 64)} if split else {"attn_kv_b": (512, 64)}
    )
    keys = {
        "attention.kv_lora_rank": 64, "attention.q_lora_rank": 128, "rope.dimension_count": 32,
        "attention.key_length": 96, "attention.value_length": 64,
    }  # fmt: skip
    if split:
        keys |= {"attention.key_length_mla": 96, "attention.value_length_mla": 64}
        keys |= {"attention.key_length": 96 + 64, "attention.value_length": 64}
    model, _ = read_gguf(write(tmp_path / "m.gguf", "deepseek2", keys, [layer, layer]))
    assert model.shape is not None
    assert model.parameters is not None
    assert model.shape.layers[0].mixer == Mla(
        heads=4, kv_lora_rank=64, qk_rope_dim=32, qk_nope_dim=64, v_head_dim=64, q_lora_rank=128
    )
    assert model.shape.layers[0].other_parameters == 2 * HIDDEN + 128 + 64
    assert model.parameters.total.value == total_parameters(model.shape)


def test_linear_layers_and_output_gate(tmp_path: Path) -> None:
    block = {k: v for k, v in LAYER.items() if k.startswith("ffn")}
    linear = block | {
        "attn_qkv": (2 * 64 + 128, 256), "attn_gate": (128, 256), "ssm_ba": (8, 256),
        "ssm_conv1d": (256, 4), "ssm_a": (4,), "ssm_dt.bias": (4,), "ssm_norm": (32,),
        "ssm_out": (256, 128),
    }  # fmt: skip
    gated = LAYER | {"attn_q": (512, 256), "attn_q_norm": (64,), "attn_k_norm": (64,)}
    keys = {
        "ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 32,
        "ssm.time_step_rank": 4, "ssm.group_count": 2,
    }  # fmt: skip
    model, _ = read_gguf(write(tmp_path / "m.gguf", "qwen3next", keys, [linear, gated]))
    assert model.shape is not None
    assert model.parameters is not None
    first, second = model.shape.layers
    assert first.mixer == Linear(
        variant="gated-deltanet", key_heads=2, key_dim=32, value_heads=4, value_dim=32
    )
    assert second.mixer == Attention(heads=4, kv_heads=2, head_dim=64, gated_output=True)
    assert model.parameters.total.value == total_parameters(model.shape)


def test_prediction_layers_are_not_part_of_the_text_model(tmp_path: Path) -> None:
    keys = {"nextn_predict_layers": 1}
    model, _ = read_gguf(write(tmp_path / "m.gguf", "glm4moe", keys))
    assert model.shape is not None
    assert model.parameters is not None
    assert model.parameters.not_in_text_model is not None
    text = total_parameters(model.shape)
    extra = model.parameters.not_in_text_model.value
    assert sum(layer.count for layer in model.shape.layers) == 1
    assert model.parameters.total.value == text + extra


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"block_count": None}, "llama.block_count: missing"),
        ({"block_count": 10_001}, "llama.block_count: must be an integer from 1 to 10000"),
        ({"block_count": 3}, "blk.2: no tensors"),
        ({"embedding_length": -256}, "llama.embedding_length: must be"),
        ({"embedding_length": "wide"}, "llama.embedding_length: must be"),
        ({"embedding_length": 1000}, "token_embd.weight: 131072 elements"),
        ({"attention.head_count": 0}, "llama.attention.head_count: must be"),
        ({"attention.head_count_kv": 3}, "llama.attention.head_count_kv: 3 must divide"),
        ({"attention.head_count": [4]}, "llama.attention.head_count: has 1 entries"),
        ({"feed_forward_length": None}, "llama.feed_forward_length: missing"),
        ({"context_length": -1}, "llama.context_length: must be"),
    ],
)
def test_bad_keys_are_named(tmp_path: Path, keys: dict[str, Any], named: str) -> None:
    path = write(tmp_path / "m.gguf", keys=keys)
    with pytest.raises(InvalidFileError) as caught:
        read_gguf(path)
    assert str(caught.value).startswith(f"{path}: {named}")


def test_missing_table_and_unknown_architecture(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"token_embd\.weight: missing"):
        read_gguf(write(tmp_path / "a.gguf", table=False))
    with pytest.raises(InvalidFileError, match=r"'bert' is not supported; supported: chatglm"):
        read_gguf(write(tmp_path / "b.gguf", "bert"))


@pytest.mark.parametrize(
    "content",
    [b"", b"GG", b"GGUF", b"\x00" * 64, b"{}", b"GGUF" + b"\xff" * 200,
     b"GGUF" + struct.pack("<IQQ", 3, 2**40, 2**40), b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
     b"GGUF" + struct.pack("<IQQ", 3, 0, 0)],
)  # fmt: skip
def test_junk_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match=r"m\.gguf: "):
        read_gguf(path)


def test_huge_array_is_refused_at_once(tmp_path: Path) -> None:
    key = b"general.list"
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 4, 2**62)
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    with pytest.raises(InvalidFileError, match="file ends at byte"):
        read_gguf(path)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(share=st.floats(0, 0.999))
def test_every_truncation_is_refused(tmp_path: Path, share: float) -> None:
    whole = tmp_path / "whole.gguf"
    data = whole.read_bytes() if whole.exists() else write(whole).read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidFileError):
        read_gguf(path)


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=4))
def test_flipped_header_bytes_never_crash(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    whole = tmp_path / "whole.gguf"
    data = bytearray(whole.read_bytes() if whole.exists() else write(whole).read_bytes())
    for position, value in changes:
        data[position] = value
    path = tmp_path / "flipped.gguf"
    path.write_bytes(data)
    try:
        model, weights = read_gguf(path)
    except InvalidFileError:
        return
    assert model.shape is not None
    assert weights.bits_per_weight > 0


def test_split_file_is_read_in_whole(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=8)
    for key, value in KEYS.items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_tensor("token_embd.weight", np.zeros((VOCAB, HIDDEN), dtype=np.float16))
    for index in range(2):
        for name, shape in LAYER.items():
            writer.add_tensor(f"blk.{index}.{name}.weight", np.zeros(shape, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    first = tmp_path / "m-00001-of-00002.gguf"
    model, weights = read_gguf(first)
    assert model.shape is not None
    assert model.parameters is not None
    assert model.parameters.total.value == total_parameters(model.shape)
    assert (weights.bits_per_weight, weights.gemm) == (16, "bf16")
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(InvalidFileError, match="m-00002-of-00002"):
        read_gguf(first)
