"""config.json reader: published configs against the catalogue, and every way to be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalogue.hf_config import read_hf_config
from advisor.catalogue.local_models import get_any_model
from advisor.catalogue.models import read_model
from advisor.errors import InvalidFileError
from advisor.perf.parameters import total_parameters
from advisor.schema.model import Attention, Layer, Linear, Mla, Moe, Shape


def sizes(kind: str, hidden: int, layers: int, heads: int, kv: int, ffn: int, vocab: int,
          **more: Any) -> dict[str, Any]:  # fmt: skip
    return {
        "model_type": kind, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv, "intermediate_size": ffn,
        "vocab_size": vocab, "max_position_embeddings": 32768, **more,
    }  # fmt: skip


LLAMA = sizes("llama", 4096, 32, 32, 8, 14336, 128256)
DEEPSEEK = sizes(
    "deepseek_v3", 7168, 61, 128, 128, 18432, 129280, q_lora_rank=1536, kv_lora_rank=512,
    qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128, first_k_dense_replace=3,
    n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, moe_intermediate_size=2048,
)  # fmt: skip
KIMI = {"num_attention_heads": 64, "vocab_size": 163840, "first_k_dense_replace": 1,
        "n_routed_experts": 384, "model_type": "kimi_k2"}  # fmt: skip
DELTANET = {"linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4, "head_dim": 256}  # fmt: skip
AIR = {"head_dim": 128, "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 8,
       "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "attention_bias": True,
       }  # fmt: skip
PUBLISHED = {
    "llama-3.1-8b": LLAMA,
    "yi-6b": sizes("Yi", 4096, 32, 32, 4, 11008, 64000) | {"architectures": ["YiForCausalLM"]},
    "mistral-small-24b": sizes("mistral", 5120, 40, 32, 8, 32768, 131072, head_dim=128),
    "mixtral-8x7b": sizes(
        "mixtral", 4096, 32, 32, 8, 14336, 32000, num_local_experts=8, num_experts_per_tok=2
    ),
    "qwen2.5-7b": sizes(
        "qwen2", 3584, 28, 28, 4, 18944, 152064, use_sliding_window=False, sliding_window=131072
    ),
    "qwen3-4b": sizes("qwen3", 2560, 36, 32, 8, 9728, 151936, head_dim=128,
                      tie_word_embeddings=True),
    "qwen3-30b-a3b": sizes("qwen3_moe", 2048, 48, 32, 4, 6144, 151936, head_dim=128,
                           num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768),
    "qwen3-next-80b-a3b": sizes(
        "qwen3_next", 2048, 48, 16, 2, 5120, 151936, num_experts=512, num_experts_per_tok=10,
        moe_intermediate_size=512, shared_expert_intermediate_size=512,
        linear_num_value_heads=32, **DELTANET),
    "qwen3.5-27b": {
        "model_type": "qwen3_5", "tie_word_embeddings": False,
        "vision_config": {"hidden_size": 1152},
        "text_config": sizes("qwen3_5_text", 5120, 64, 24, 4, 17408, 248320,
                             linear_num_value_heads=48, **DELTANET)},
    "gemma-2b": sizes("gemma", 2048, 18, 8, 1, 16384, 256000, head_dim=256),
    "gemma-2-2b": sizes("gemma2", 2304, 26, 8, 4, 9216, 256000, head_dim=256, sliding_window=4096),
    "gemma-3-270m": sizes("gemma3_text", 640, 18, 4, 1, 2048, 262144, head_dim=256,
                          sliding_window=512, _sliding_window_pattern=6),
    "phi-3-mini-4k": sizes("phi3", 3072, 32, 32, 32, 8192, 32064, sliding_window=2047),
    "deepseek-v3": DEEPSEEK,
    "deepseek-v3.2": DEEPSEEK | {"model_type": "deepseek_v32", "index_topk": 2048,
                                 "index_n_heads": 64, "index_head_dim": 128},
    "deepseek-v2-lite": DEEPSEEK | sizes("deepseek_v2", 2048, 27, 16, 16, 10944, 102400) | {
        "q_lora_rank": None, "first_k_dense_replace": 1, "n_routed_experts": 64,
        "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 1408},
    "kimi-k2": DEEPSEEK | KIMI,
    "gpt-oss-20b": sizes("gpt_oss", 2880, 24, 64, 8, 2880, 201088, head_dim=64,
                         sliding_window=128, num_local_experts=32, experts_per_token=4,
                         attention_bias=True),
    "glm-4-9b": sizes("glm4", 4096, 40, 32, 2, 13696, 151552, head_dim=128, attention_bias=False),
    "glm-4.5-air": sizes("glm4_moe", 4096, 46, 96, 8, 10944, 151552, **AIR),
    "granite-3.0-8b": sizes("granite", 4096, 40, 32, 8, 12800, 49152, tie_word_embeddings=True),
    "granite-3.0-1b-a400m": sizes("granitemoe", 1024, 24, 16, 8, 512, 49152, num_local_experts=32,
                                  num_experts_per_tok=8, tie_word_embeddings=True),
    "olmo-2-7b": sizes("olmo2", 4096, 32, 32, 32, 11008, 100352),
    "olmo-3-7b": sizes("olmo3", 4096, 32, 32, 32, 11008, 100278, sliding_window=4096),
    "internlm2.5-7b": sizes("internlm2", 4096, 32, 32, 8, 14336, 92544, bias=False),
    "minimax-m2": sizes("minimax_m2", 3072, 62, 48, 8, 1536, 200064, head_dim=128,
                        num_local_experts=256, num_experts_per_tok=8, use_qk_norm=True),
}  # fmt: skip


def write(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
    return path


def shape_of(folder: Path, config: dict[str, Any]) -> Shape:
    shape = read_hf_config(write(folder, config))[0].shape
    assert shape is not None
    return shape


def ordered(shape: Shape) -> list[Layer]:
    return sorted(shape.layers, key=repr)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_dimensions_give_the_catalogue_shape(tmp_path: Path, name: str) -> None:
    shape, known = shape_of(tmp_path, PUBLISHED[name]), read_model(name).shape
    assert known is not None
    assert ordered(shape) == ordered(known)
    assert (shape.hidden, shape.vocab) == (known.hidden, known.vocab)
    assert shape.tied_embeddings == known.tied_embeddings
    assert total_parameters(shape) == total_parameters(known)


def test_model_record(tmp_path: Path) -> None:
    folder = tmp_path / "My Model_8B"
    folder.mkdir()
    write(folder, LLAMA | {"torch_dtype": "float16"})
    model, weights = get_any_model(str(folder))
    assert (model.id, model.name, model.native_format) == ("my-model_8b", "My Model_8B", "fp16")
    assert model.open_weights
    assert model.parameters is None
    assert model.max_context_tokens == 32768
    assert [s.id for s in model.source] == ["file"]
    assert weights is None
    snapshot = tmp_path / "models--org--Name-1B" / "snapshots" / "0a1b"
    snapshot.mkdir(parents=True)
    assert read_hf_config(write(snapshot, LLAMA))[0].id == "name-1b"


def test_gemma_3_omits_what_transformers_knows(tmp_path: Path) -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
            "num_hidden_layers": 34, "sliding_window": 1024}  # fmt: skip
    shape = shape_of(tmp_path, {"model_type": "gemma3", "text_config": text})
    assert shape.vocab == 262208
    assert [layer.count for layer in shape.layers] == [29, 5]
    assert shape.layers[0].mixer == Attention(heads=8, kv_heads=4, head_dim=256, window_tokens=1024)


def test_stablelm_norms_have_biases(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, sizes("stablelm", 64, 2, 4, 4, 128, 100, use_qkv_bias=True))
    assert shape.layers[0].other_parameters == 4 * 64 + 3 * 64
    assert shape.other_parameters == 2 * 64


def test_windows_from_a_layer_on(tmp_path: Path) -> None:
    more = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 3}
    shape = shape_of(tmp_path, sizes("qwen2", 64, 5, 4, 4, 128, 100, **more))
    windows = [x.mixer.window_tokens for x in shape.layers if isinstance(x.mixer, Attention)]
    assert ([x.count for x in shape.layers], windows) == ([3, 2], [None, 8])


def test_kinds_are_as_stated(tmp_path: Path) -> None:
    kinds = ["full_attention", "linear_attention", "linear_attention"]
    text = sizes("qwen3_5", 64, 3, 4, 2, 128, 100, linear_num_value_heads=32, **DELTANET)
    shape = shape_of(tmp_path, text | {"layer_types": kinds})
    assert [x.count for x in shape.layers] == [1, 2]
    assert isinstance(shape.layers[1].mixer, Linear)


def test_shared_indexers_are_counted_once(tmp_path: Path) -> None:
    more = {"index_topk": 64, "index_n_heads": 2, "index_head_dim": 8, "num_hidden_layers": 4,
            "model_type": "glm_moe_dsa", "indexer_types": ["full"] * 3 + ["shared"]}  # fmt: skip
    shape = shape_of(tmp_path, DEEPSEEK | more)
    assert isinstance(shape.layers[1].mixer, Mla)
    assert isinstance(shape.layers[1].ffn, Moe)
    indexer = 1536 * 16 + 7168 * 8 + 16 + 7168 * 2
    dense, sparse = (layer.other_parameters for layer in shape.layers)
    assert dense - sparse == indexer - 256


def group(kind: str, bits: int, runs: object, **more: str) -> dict[str, Any]:
    weights = {"type": kind, "num_bits": bits, **more}
    groups = {"group_0": {"weights": weights, "input_activations": runs}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


@pytest.mark.parametrize(
    ("quantisation", "expected"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block"),
        ({"quant_method": "awq", "bits": 4}, "w4a16"),
        ({"quant_method": "gptq", "bits": 4}, "w4a16"),
        ({"quant_method": "gptq", "bits": 8}, "w8a16"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_algo": "FP8"}, "fp8"),
        (group("float", 8, {"num_bits": 8}), "fp8"),
        (group("float", 8, {"num_bits": 8}, strategy="block"), "fp8_block"),
        (group("float", 8, None), "w8a16"),
        (group("int", 8, {"num_bits": 8}), "int8"),
        (group("int", 4, None), "w4a16"),
        (group("float", 4, None) | {"format": "nvfp4-pack-quantized"}, "nvfp4"),
        (group("int", 4, {"num_bits": 8}), None),
        ({"quant_method": "gptq", "bits": 3}, None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, None),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, None),
    ],
)
def test_quantisation(tmp_path: Path, quantisation: dict[str, Any], expected: str | None) -> None:
    model, weights = read_hf_config(write(tmp_path, LLAMA | {"quantization_config": quantisation}))
    assert (weights.id if weights else None) == expected
    assert model.native_format == (expected or "bf16")
    assert bool(model.notes) == (expected is None)


def test_quantisation_beside_the_config(tmp_path: Path) -> None:
    beside = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    _, weights = read_hf_config(write(tmp_path, LLAMA))
    assert weights is not None
    assert weights.id == "nvfp4"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hidden_size": None}, "hidden_size: missing"),
        ({"hidden_size": "wide"}, 'hidden_size: must be an integer from 1 to 1000000000, got "wide"'),  # noqa: E501
        ({"hidden_size": 4096.0}, "hidden_size: must be an integer"),
        ({"hidden_size": True}, "hidden_size: must be an integer"),
        ({"hidden_size": -4096}, "hidden_size: must be an integer"),
        ({"hidden_size": {"a": [1]}}, "hidden_size: must be an integer"),
        ({"hidden_size": 4097}, "head_dim: missing, and hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers: must be an integer from 1 to 10000"),
        ({"num_hidden_layers": 10_001}, "num_hidden_layers: must be an integer from 1 to 10000"),
        ({"num_key_value_heads": 7}, "num_key_value_heads: must divide"),
        ({"vocab_size": 10**30}, "vocab_size: must be an integer"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: must be true or false"),
        ({"layer_types": ["full_attention"]}, "layer_types: must list one string per layer (32)"),
        ({"layer_types": [1] * 32}, "layer_types: must list one string per layer (32)"),
        ({"layer_types": ["mamba"] * 32}, "layer_types: 'mamba': must be full_attention or"),
        ({"layer_types": ["sliding_attention"] * 32}, "sliding_window: missing"),
        ({"model_type": 7}, "model_type: must be a string"),
        ({"model_type": "bert"}, "model_type: 'bert' is not supported; supported: chatglm"),
        ({"model_type": None}, "model_type: None is not supported"),
        ({"text_config": [1]}, "text_config: must be an object"),
        ({"text_config": {"model_type": "bert"}}, "text_config.model_type: 'bert' is not"),
        ({"quantization_config": "fp8"}, "quantization_config: must be an object"),
        ({"quantization_config": {"quant_method": 8}}, "quantization_config.quant_method: must"),
        ({"quantization_config": group("int", 4, None) | {"config_groups": {}}}, "weights.num_bits"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_fields_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    path = write(tmp_path, LLAMA | changes)
    with pytest.raises(InvalidFileError) as caught:
        read_hf_config(path)
    assert str(caught.value).startswith(str(path))
    assert named in str(caught.value)


def test_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA | {"hidden_size": -1})
    with pytest.raises(InvalidFileError, match=r"config\.json, line 3: hidden_size: "):
        read_hf_config(path)
    text = {"vision_config": {"hidden_size": -2}, "text_config": LLAMA | {"hidden_size": -1}}
    with pytest.raises(InvalidFileError, match=r"line 7: text_config\.hidden_size: .*got -1"):
        read_hf_config(write(tmp_path, text))


def test_missing_experts_and_too_many_chosen(tmp_path: Path) -> None:
    mixtral = PUBLISHED["mixtral-8x7b"]
    with pytest.raises(InvalidFileError, match="num_experts: missing"):
        read_hf_config(write(tmp_path, mixtral | {"num_local_experts": None}))
    with pytest.raises(
        InvalidFileError, match="num_experts_per_tok: must be an integer from 1 to 8"
    ):
        read_hf_config(write(tmp_path, mixtral | {"num_experts_per_tok": 9}))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "line 1, column 1: not valid JSON"),
        ('{"a": 1,\n "b": }', "line 2, column 7: not valid JSON"),
        ("[1]", "line 1: must hold a JSON object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "not valid JSON"),
        ("{}", "model_type: None is not supported"),
        (" " * 4_000_001, "larger than 4,000,000 bytes"),
    ],
)
def test_no_json_object(tmp_path: Path, content: str, named: str) -> None:
    with pytest.raises(InvalidFileError, match=named):
        read_hf_config(write(tmp_path, content))


def test_binary_junk(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InvalidFileError, match="not UTF-8"):
        read_hf_config(path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JUNK = (
    SCALARS
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_any_value_in_any_field_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    config = dict(PUBLISHED[data.draw(st.sampled_from(sorted(PUBLISHED)))])
    for name in data.draw(st.lists(st.sampled_from([*config, "quantization_config"]), max_size=2)):
        config[name] = data.draw(JUNK)
    try:
        model, _ = read_hf_config(write(tmp_path, config))
    except InvalidFileError:
        return
    assert model.shape is not None
    assert total_parameters(model.shape) > 0
