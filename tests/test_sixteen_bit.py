"""Chips whose matrix units know fp16 only: Turing, Volta, RDNA 2, Ascend 310P."""

from __future__ import annotations

import pytest

from advisor.catalogue.devices import device_ids, read_device
from advisor.errors import InfeasibleError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.estimator.setup import resolve

WITHOUT = [d for d in device_ids() if read_device(d).peak.sixteen_bit]
MODEL = "qwen2.5-1.5b"


def setup(hw: str, **more: str):
    return resolve(EstimateRequest(model=MODEL, hw=hw, **more))


def test_the_known_ones_are_stated_with_a_source():
    assert {"t4", "v100-sxm2-32", "v100-pcie-16", "rtx-2080-ti", "quadro-rtx-8000", "titan-rtx",
            "rtx-2060", "ascend-310p-duo"} <= set(WITHOUT)  # fmt: skip
    assert not {"a100-sxm-80", "rtx-3090", "mi300x", "ascend-910b2", "rx-7900-xtx"} & set(WITHOUT)


@pytest.mark.parametrize("hw", WITHOUT)
def test_the_default_is_fp16_and_says_so(hw):
    chosen = setup(hw, engine="vllm")
    assert (chosen.weights.id, chosen.kv_format) == ("fp16", "fp16")
    assert any(w.key == "warn_fp16_for_bf16" for w in chosen.warnings)
    assert any(d.values.get("format") == "fp16" for d in chosen.defaults)


@pytest.mark.parametrize("hw", WITHOUT)
@pytest.mark.parametrize("option", ["precision", "kv_precision"])
def test_bf16_by_name_is_refused_naming_fp16(hw, option):
    with pytest.raises(InfeasibleError, match="fp16") as caught:
        setup(hw, engine="vllm", **{option: "bf16"})
    assert caught.value.exit_code == 3
    assert caught.value.suggestions == (f"--{option.replace('_', '-')} fp16",)


def test_a_runtime_that_converts_takes_bf16():
    assert setup("t4", engine="llama.cpp", precision="bf16").weights.id == "bf16"


def test_chips_with_both_keep_bf16():
    chosen = setup("a10")
    assert (chosen.weights.id, chosen.kv_format) == ("bf16", "bf16")
    assert not any(w.key == "warn_fp16_for_bf16" for w in chosen.warnings)


def test_both_formats_take_the_same_time_and_memory():
    one = estimate_point(EstimateRequest(model=MODEL, hw="a10", precision="fp16"))
    two = estimate_point(EstimateRequest(model=MODEL, hw="a10", precision="bf16"))
    assert one.decode.time_s.value == two.decode.time_s.value
    assert one.memory.weights_bytes.value == two.memory.weights_bytes.value
