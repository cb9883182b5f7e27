"""Parameter counts: published totals by hand-written shapes, then every catalogue file."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import msgspec
import pytest

from advisor.perf import parameters
from advisor.schema.model import Attention, Layer, Linear, Mla, Mlp, Model, Moe, Shape

CATALOGUE = Path(__file__).parents[1] / "advisor" / "catalogue" / "models"
FILES = sorted(CATALOGUE.glob("*.toml"))


@cache
def load(path: Path) -> Model:
    return msgspec.toml.decode(path.read_bytes(), type=Model)


def llama_8b() -> Shape:
    layer = Layer(
        count=32,
        mixer=Attention(heads=32, kv_heads=8, head_dim=128),
        ffn=Mlp(hidden=14336),
        other_parameters=2 * 4096,
    )
    return Shape(
        hidden=4096,
        vocab=128256,
        tied_embeddings=False,
        layers=(layer,),
        source="shape",
        other_parameters=4096,
    )


def test_llama_3_1_8b_by_hand() -> None:
    shape = llama_8b()
    attention = 2 * 4096 * 4096 + 2 * 4096 * 1024
    assert parameters.mixer_parameters(shape.layers[0].mixer, 4096) == attention
    assert parameters.ffn_parameters(shape.layers[0].ffn, 4096) == 3 * 4096 * 14336
    assert parameters.total_parameters(shape) == 8_030_261_248
    assert parameters.active_parameters(shape) == 8_030_261_248


def test_mixtral_8x7b_by_hand() -> None:
    moe = Moe(experts=8, top_k=2, expert_hidden=14336)
    layer = Layer(
        count=32,
        mixer=Attention(heads=32, kv_heads=8, head_dim=128),
        ffn=moe,
        other_parameters=2 * 4096,
    )
    shape = Shape(
        hidden=4096,
        vocab=32000,
        tied_embeddings=False,
        layers=(layer,),
        source="shape",
        other_parameters=4096,
    )
    assert parameters.total_parameters(shape) == 46_702_792_704
    assert parameters.active_parameters(shape) == pytest.approx(12.9e9, rel=0.005)
    experts = parameters.ffn_parameters(moe, 4096) - parameters.ffn_active_parameters(moe, 4096)
    assert experts == 6 * 3 * 4096 * 14336


def test_attention_variants_drop_or_add_matrices() -> None:
    hidden, width = 1024, 8 * 128

    def count(**options: bool | int) -> int:
        mixer = msgspec.convert(
            {"kind": "attention", "heads": 8, "kv_heads": 2, "head_dim": 128, **options},
            Attention,
        )
        return parameters.mixer_parameters(mixer, hidden)

    plain = hidden * (2 * width + 2 * 256)
    assert count() == plain
    assert count(window_tokens=512) == plain
    assert count(shares_kv=True) == hidden * 2 * width
    assert count(values_are_keys=True) == plain - hidden * 256
    assert count(gated_output=True) == plain + hidden * width
    assert count(v_head_dim=64) == plain - hidden * (128 + 512)


def test_latent_attention_by_hand() -> None:
    mla = Mla(
        heads=16, kv_lora_rank=512, qk_rope_dim=64, qk_nope_dim=128, v_head_dim=128
    )  # DeepSeek-V2-Lite
    expected = 2048 * 16 * 192 + 2048 * 576 + 512 * 16 * 256 + 16 * 128 * 2048
    assert parameters.mixer_parameters(mla, 2048) == expected
    low_rank = msgspec.structs.replace(mla, q_lora_rank=1536)
    difference = 1536 * (2048 + 16 * 192) - 2048 * 16 * 192
    assert parameters.mixer_parameters(low_rank, 2048) == expected + difference


def test_linear_mixers_by_hand() -> None:
    def count(variant: str, conv_width: int = 4) -> int:
        mixer = msgspec.convert(
            {
                "kind": "linear",
                "variant": variant,
                "key_heads": 2,
                "key_dim": 8,
                "value_heads": 4,
                "value_dim": 8,
                "conv_width": conv_width,
            },
            Linear,
        )
        return parameters.mixer_parameters(mixer, 10)

    # keys 16 wide, values 32 wide, 64 channels through the short convolution
    assert count("gated-deltanet") == 10 * (64 + 32 + 8 + 32) + 64 * 4 + 8 + 8
    assert count("mamba2") == 10 * (64 + 32 + 4 + 32) + 64 * 4 + 64 + 12 + 32
    assert count("kda") == 10 * (64 + 4 + 32) + 2 * 10 * 8 + 8 * 48 + 64 * 4 + 4 + 16 + 8
    assert count("lightning", 0) == 10 * (64 + 64) + 32


def test_moe_parts_add_up() -> None:
    moe = Moe(
        experts=8,
        top_k=2,
        expert_hidden=64,
        shared_experts=2,
        shared_hidden=32,
        dense_hidden=16,
        latent=50,
        gated=False,
    )
    beside = 100 * 8 + 2 * 2 * 100 * 32 + 2 * 100 * 16 + 2 * 100 * 50
    assert parameters.ffn_parameters(moe, 100) == beside + 8 * 2 * 50 * 64
    assert parameters.ffn_active_parameters(moe, 100) == beside + 2 * 2 * 50 * 64


def test_missing_blocks_count_nothing() -> None:
    assert parameters.mixer_parameters(None, 64) == 0
    assert parameters.ffn_parameters(None, 64) == 0
    assert parameters.layer_parameters(Layer(count=3, other_parameters=7), 64) == 7


def test_tied_head_and_tables_off_the_device() -> None:
    shape = llama_8b()
    tied = msgspec.structs.replace(shape, tied_embeddings=True, off_device_parameters=1000)
    table = 128256 * 4096
    assert parameters.total_parameters(tied) == 8_030_261_248 - table + 1000
    assert parameters.active_parameters(tied) == 8_030_261_248 - table
    narrow = msgspec.structs.replace(shape, embedding_hidden=512)
    assert parameters.total_parameters(narrow) == 8_030_261_248 - 2 * 128256 * 3584


PUBLISHED = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-4b": 4_022_468_096,
    "qwen3-30b-a3b": 30_532_122_624,
    "mixtral-8x7b": 46_702_792_704,
    "gemma-3-270m": 268_098_176,
    "gemma-2-9b": 9_241_705_984,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
    "kimi-linear-48b-a3b": 49_122_681_728,
    "minimax-text-01": 456_089_655_296,
    "nemotron-nano-9b-v2": 8_888_227_328,
    "granite-4.0-h-small": 32_207_337_984,
}


@pytest.mark.parametrize(("model", "total"), PUBLISHED.items())
def test_published_counts_are_met_exactly(model: str, total: int) -> None:
    shape = load(CATALOGUE / f"{model}.toml").shape
    assert shape is not None
    assert parameters.total_parameters(shape) == total


@pytest.mark.parametrize(
    ("model", "total", "active"),
    [("deepseek-v3", 671e9, 37e9), ("qwen3-235b-a22b", 235e9, 22e9), ("kimi-k2", 1.026e12, 32e9)],
)
def test_large_mixtures_meet_their_names(model: str, total: float, active: float) -> None:
    shape = load(CATALOGUE / f"{model}.toml").shape
    assert shape is not None
    assert parameters.total_parameters(shape) == pytest.approx(total, rel=0.002)
    assert parameters.active_parameters(shape) == pytest.approx(active, rel=0.03)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_catalogue_file(path: Path) -> None:
    model = load(path)
    assert model.id == path.stem
    if not model.open_weights:
        assert model.shape is None or model.parameters is not None
    if model.shape is None or model.parameters is None:
        return
    published = model.parameters
    absent = published.not_in_text_model.value if published.not_in_text_model else 0
    expected = published.total.value - absent
    derived = parameters.total_parameters(model.shape)
    assert abs(derived - expected) <= 0.005 * published.total.value or published.mismatch_reason
    assert 0 < parameters.active_parameters(model.shape) <= derived


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_names_stand_in_the_first_four_lines(path: Path) -> None:
    model = load(path)
    head = "\n".join(path.read_text(encoding="utf-8").splitlines()[:4])
    names = msgspec.toml.decode(head)
    assert list(names) == ["schema", "id", "aliases", "reference_sizes"]
    assert tuple(names["aliases"]) == model.aliases
    assert tuple(names["reference_sizes"]) == model.reference_sizes
    assert all(alias == alias.lower() for alias in model.aliases)


def test_every_name_and_size_has_one_owner() -> None:
    models = [load(path) for path in FILES]
    names = Counter(name for model in models for name in (model.id, *model.aliases))
    sizes = Counter(size for model in models for size in model.reference_sizes)
    assert [name for name, count in names.items() if count > 1] == []
    assert [size for size, count in sizes.items() if count > 1] == []
    assert {"0.5B", "0.6B", "1B", "4B", "7B", "8B", "32B", "70B", "72B", "671B"} <= set(sizes)
