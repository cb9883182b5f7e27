"""The device classes fitted to measured rows: what each takes, and which constants it has.

Every class is the same step model with other numbers. The forms differ where the physics does:

* GPUs under llama.cpp: board power, not the datasheet peak, limits prompts on NVIDIA cards
  (tokens per joule agree within a generation to about 10 %, tokens per peak operation by a
  factor of two); Apple GPUs keep to their peak.
* CPUs: weights are unpacked by the cores and not hidden behind the read, at so many float32
  operations a weight.
* NPUs and phones: no peak is published, so one measured rate stands for all.
* Eager execution (transformers): launching a layer takes the host longer than running it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from advisor.calibration.device_fits import Constant, DeviceClass
from advisor.calibration.device_predict import Case
from advisor.calibration.device_rows import lower_bound

SPEEDS = ("decode", "prefill")
SERVED = (*SPEEDS, "ttft", "tpot")
GGUF = ("q4_0", "q4_k", "q8_0")
NVIDIA = ("turing", "ampere", "ada", "hopper", "blackwell", "blackwell-consumer")
HBM = "HBM"


def _gemm(memory: float, compute: float = 1.0, **more: Any) -> dict[str, Any]:
    base = {"compute_share": compute, "memory_share": memory, "launch_s": 0.0, "sharpness": 2}
    return base | more


def _template(gemm: Mapping[str, Any], attention: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "gemm": gemm,
        "decode_attention": {"memory_share": 0.4, "launch_s": 0.0, "per_sequence_head_s": 0.0},
        "prefill_attention": {"compute_share": 0.1, "launch_s": 0.0} | attention,
        "elementwise": {"launch_s": 5e-6, "launches_per_layer": 10.0, "memory_share": 0.7},
        **more,
    }


def _paths(kind: str, formats: tuple[str, ...], field: str = "") -> tuple[str, ...]:
    return tuple(f"{kind}.{name}.{field}".rstrip(".") for name in formats)


def _runs(case: Case, engines: tuple[str, ...], metrics: tuple[str, ...] = SPEEDS) -> bool:
    row = case.row
    return row.engine_family in engines and row.metric in metrics and row.alone


def _llama_cpp(architectures: tuple[str, ...], memory: str = "") -> Callable[[Case], bool]:
    def takes(case: Case) -> bool:
        hbm = HBM in case.device.memory.kind
        return (
            case.device.architecture in architectures
            and case.own_unit
            and (not memory or hbm == (memory == HBM))
            and _runs(case, ("llama.cpp",))
        )

    return takes


def _nvidia(
    id_: str,
    architectures: tuple[str, ...],
    memory: str,
    start: Mapping[str, float],
    prior: float = 0.05,
    follows: str = "",
) -> DeviceClass:
    formats = ("bf16", *GGUF)
    gemm = {name: _gemm(0.85, peak="power") for name in formats}
    experts = {name: _gemm(0.6, peak="power") for name in (*GGUF, "mxfp4")}
    template = _template(
        gemm | {"mxfp4": _gemm(0.85, peak="power")},
        {"peak": "power"},
        experts=experts,
        collective={"latency_s": 4e-4, "latency_per_doubling_s": 0.0, "bandwidth_share": 0.5},
    )
    return DeviceClass(
        id_,
        template,
        (
            Constant(("gemm.bf16.memory_share",), start.get("bf16", 0.85), 0.3, 1.0),
            Constant(("gemm.q4_k.memory_share", "gemm.mxfp4.memory_share"), 0.83, 0.3, 1.0),
            Constant(_paths("gemm", ("q4_0", "q8_0"), "memory_share"), 0.93, 0.3, 1.0),
            Constant(("gemm.q4_k.compute_share",), 0.75, 0.3, 1.19),
            Constant(_paths("gemm", ("q4_0", "q8_0"), "compute_share"), 0.75, 0.3, 1.19),
            Constant(("operations_per_joule",), start.get("joule", 3.5e11), 5e10, 2e12),
            Constant(("decode_attention.memory_share",), 0.35, 0.05, 1.0),
            Constant(("prefill_attention.compute_share",), 0.11, 0.01, 1.1),
            Constant(("elementwise.launch_s",), 5.5e-6, 1e-7, 1e-4),
            Constant(("collective.latency_s",), 3.5e-4, 1e-6, 2e-3),
            Constant(_paths("experts", (*GGUF, "mxfp4"), "memory_share"), 0.6, 0.2, 1.0),
            Constant(_paths("experts", (*GGUF, "mxfp4"), "compute_share"), 0.5, 0.05, 1.19),
        ),
        _llama_cpp(architectures, memory),
        "operations_per_joule is of f16 products; GGUF products are a share of it.",
        prior=prior,
        follows=follows,
    )


def _gpu(
    id_: str,
    takes: Callable[[Case], bool],
    formats: tuple[str, ...],
    meaning: str,
    prior: float = 0.05,
    fallback: float | None = None,
    **start: float,
) -> DeviceClass:
    """Describe a unit bound by shares of its datasheet figures, or by one rate without them."""
    routed = tuple(name for name in formats[1:] if name.startswith(("q", "mx")))
    more: dict[str, Any] = {"experts": {name: _gemm(0.6, 0.4) for name in routed}}
    compute = Constant(
        (*_paths("gemm", formats, "compute_share"),), start.get("compute", 0.6), 0.01, 1.19
    )
    if fallback:
        compute = Constant(("fallback_flops_per_s",), fallback, fallback / 100, fallback * 100)
    return DeviceClass(
        id_,
        _template({name: _gemm(0.8, 0.6) for name in ("bf16", *formats)}, {}, **more),
        (
            Constant(_paths("gemm", formats[:1], "memory_share"), start.get("m0", 0.8), 0.05, 1.0),
            *(
                Constant(_paths("gemm", (name,), "memory_share"), start.get("m1", 0.8), 0.05, 1.0)
                for name in formats[1:]
            ),
            compute,
            Constant(("decode_attention.memory_share",), 0.35, 0.05, 1.0),
            Constant(("prefill_attention.compute_share",), 0.15, 0.01, 1.1),
            Constant(("elementwise.launch_s",), start.get("launch", 6e-6), 1e-7, 2e-3),
            *(
                (
                    Constant(_paths("experts", routed, "memory_share"), 0.6, 0.1, 1.0),
                    Constant(_paths("experts", routed, "compute_share"), 0.4, 0.02, 1.19),
                )
                if routed
                else ()
            ),
        ),
        takes,
        meaning,
        prior=prior,
    )


CPU_GROUPS: Mapping[str, tuple[str, ...]] = {
    "whole": ("bf16",),
    "plain": ("q8_0", "q4_0"),
    "k": ("q4_k", "q5_k", "q6_k"),
    "low": ("q3_k", "q2_k"),
    "iq": ("iq",),
    "table": ("w4a16_table", "w2a16_table"),
}
"""Formats whose products share a kernel design on CPUs."""


def _cpu(id_: str, operations: float, takes: Callable[[Case], bool]) -> DeviceClass:
    formats = tuple(name for group in CPU_GROUPS.values() for name in group)
    quantised = tuple(name for name in formats if name != "bf16")
    template = _template(
        {name: _gemm(0.8, peak="fp32") for name in formats},
        {"peak": "fp32"},
        experts={name: _gemm(0.4, 0.2, peak="fp32") for name in formats},
        dequantise={"weights_per_s_per_core": {}, "operations_per_weight": {}},
        fallback_flops_per_s_per_core=3e10,
    )
    per, rate = "dequantise.operations_per_weight", "dequantise.weights_per_s_per_core"
    shares = {"whole": 0.45, "plain": 0.7, "k": 0.4, "low": 0.4, "iq": 0.2, "table": 0.2}
    work = {"plain": 1.0, "k": 1.0, "low": 1.2, "iq": 1.5, "table": 0.15}
    return DeviceClass(
        id_,
        template,
        (
            Constant(_paths("gemm", formats, "memory_share"), 0.75, 0.3, 1.0),
            Constant(("bytes_per_s_per_core",), 2.5e10, 2e9, 1e11),
            *(
                Constant(_paths("gemm", names, "compute_share"), shares[group], 0.02, 1.19)
                for group, names in CPU_GROUPS.items()
            ),
            *(
                Constant(
                    tuple(f"{per}.{n}" for n in names if n in quantised),
                    operations * work[group],
                    0.1,
                    60.0,
                )
                for group, names in CPU_GROUPS.items()
                if group in work
            ),
            Constant(_paths(rate, tuple(n for n in quantised if "table" not in n)), 7e9, 1e9, 1e11),
            Constant(_paths(rate, CPU_GROUPS["table"]), 3e10, 1e9, 1e12),
            Constant(_paths("experts", formats, "memory_share"), 0.4, 0.1, 1.0),
            Constant(_paths("experts", formats, "compute_share"), 0.2, 0.01, 1.0),
        ),
        takes,
        "Compute shares are of the float32 peak of the cores in use, for every format.",
        prior=0.2,
    )


def _small_cpu(id_: str, takes: Callable[[Case], bool]) -> DeviceClass:
    formats = ("w4a16", "w8a16", "q4_k", "q4_0", "q8_0", "bf16")
    template = _template(
        {name: _gemm(0.7) for name in formats}, {}, dequantise={"weights_per_s_per_core": {}}
    )
    rate = "dequantise.weights_per_s_per_core"
    return DeviceClass(
        id_,
        template,
        (
            Constant(_paths("gemm", formats, "memory_share"), 0.75, 0.2, 1.0),
            Constant(("fallback_flops_per_s_per_core",), 1.2e11, 1e10, 1e13),
            Constant(
                tuple(f"{rate}.{name}" for name in formats if name != "bf16"), 2.5e10, 1e9, 1e12
            ),
            Constant(("elementwise.launch_s",), 1e-5, 1e-7, 1e-3),
        ),
        takes,
        "One matrix rate per core for every device.",
        prior=0.1,
    )


def _apple_npu(takes: Callable[[Case], bool]) -> DeviceClass:
    formats = ("w4a16", "w8a16")
    template = _template({name: _gemm(1.0) for name in ("bf16", *formats)}, {})
    return DeviceClass(
        "apple-npu",
        template,
        (
            Constant(("max_bytes_per_s",), 6e10, 1e10, 5e11),
            Constant(("gemm.w4a16.memory_share",), 0.9, 0.2, 1.0),
            Constant(("fallback_flops_per_s",), 1e13, 1e11, 1e15),
            Constant(("elementwise.launch_s",), 3e-5, 1e-7, 1e-3),
        ),
        takes,
        "Neural Engine: reads at most max_bytes_per_s; prompts run token by token (Core ML).",
        prior=0.1,
    )


def _eager(id_: str, architectures: tuple[str, ...]) -> DeviceClass:
    formats = ("bf16", "w8a16", "w4a16", "awq", "fp8")
    link = {"latency_s": 1e-5, "latency_per_doubling_s": 0.0, "bandwidth_share": 0.5}
    template = _template({name: _gemm(0.7, 0.6) for name in formats}, {}, collective=link)
    host = {"bf16": 8e-4, "w8a16": 1.1e-3, "w4a16": 8e-4, "awq": 9e-4, "fp8": 1.5e-3}

    def takes(case: Case) -> bool:
        right = case.device.architecture in architectures
        return right and _runs(case, ("transformers",), ("decode", "total"))

    return DeviceClass(
        id_,
        template,
        (
            *(
                Constant((f"gemm.{name}.memory_share",), 0.6, 0.02, 1.0)
                for name in ("bf16", "w8a16", "w4a16", "fp8")
            ),
            Constant(_paths("gemm", formats, "compute_share"), 0.5, 0.05, 1.1),
            Constant(("decode_attention.memory_share",), 0.3, 0.02, 1.0),
            Constant(("prefill_attention.compute_share",), 0.4, 0.02, 1.0),
            *(
                Constant((f"host_per_layer_s.{name}",), start, 1e-5, 5e-3)
                for name, start in host.items()
            ),
            Constant(("host_per_expert_s.bf16",), 8e-5, 1e-6, 1e-3),
            Constant(("host_per_expert_s.fp8",), 3.5e-4, 1e-6, 1e-3),
        ),
        takes,
        "host_per_layer_s: one sequence waits for the host to launch each layer's kernels.",
        prior=0.1,
    )


def _unit(
    unit: str, engines: tuple[str, ...], architectures: tuple[str, ...]
) -> Callable[[Case], bool]:
    metrics = SERVED if unit in ("npu", "device") else SPEEDS

    def takes(case: Case) -> bool:
        own = case.device.unit if case.unit == "device" else case.unit
        here = own == unit and case.device.architecture in architectures
        return here and _runs(case, engines, metrics)

    return takes


APPLE = ("apple-gpu",)
CPU_RUNTIMES = ("llama.cpp", "ik_llama.cpp", "t-mac")
PHONE_RUNTIMES = ("executorch", "litert-lm", "mnn", "llama.cpp")
PHONES = ("phone", "apple-phone")
CLASSES: tuple[DeviceClass, ...] = (
    _nvidia("nvidia-ampere-llama-cpp", ("ampere", "turing"), "GDDR", {"joule": 2.5e11}),
    _nvidia("nvidia-ada-llama-cpp", ("ada",), "GDDR", {"joule": 3.9e11}),
    _nvidia(
        "nvidia-blackwell-llama-cpp",
        ("blackwell-consumer",),
        "GDDR",
        {},
        prior=0.5,
        follows="nvidia-ada-llama-cpp",
    ),
    _nvidia("nvidia-hbm-llama-cpp", NVIDIA, HBM, {"bf16": 0.6, "joule": 3.5e11}, prior=0.2),
    _gpu(
        "apple-gpu-llama-cpp",
        _llama_cpp(APPLE),
        ("bf16", "q4_0", "q4_k", "q8_0", "mxfp4"),
        "Shares of the GPU's shader peak and of the memory's datasheet bandwidth.",
    ),
    _gpu(
        "apple-gpu-mlx",
        _unit("gpu", ("mlx", "core-ai", "coreai"), APPLE),
        ("w4a16",),
        "mlx, and Core AI on the GPU, which runs alike.",
    ),
    _gpu("apple-gpu-litert-lm", _unit("gpu", ("litert-lm",), APPLE), ("w4a16", "w8a16"), "", 0.2),
    _gpu("apple-gpu-executorch", _unit("gpu", ("executorch",), APPLE), ("w4a16",), "WebGPU.", 0.2),
    _gpu("apple-gpu-mnn", _unit("gpu", ("mnn",), APPLE), ("w4a16",), "Metal.", 0.2),
    _gpu(
        "rdna-llama-cpp",
        _llama_cpp(("rdna",)),
        ("bf16", "q4_0", "q4_k", "q8_0", "mxfp4"),
        "Vulkan and HIP rows together.",
        0.2,
        compute=0.3,
    ),
    _gpu("arc-llama-cpp", _llama_cpp(("arc",)), ("bf16", "q4_k"), "Vulkan.", 0.2, m0=0.4, m1=0.4),
    _gpu(
        "phone-gpu",
        _unit("gpu", ("litert-lm", "executorch", "llama.cpp", "mnn"), PHONES),
        ("w4a16", "q4_k"),
        "One matrix rate for every phone's GPU.",
        0.2,
        fallback=1e12,
    ),
    _gpu(
        "phone-npu",
        _unit("npu", ("qnn-genie",), PHONES),
        ("w4a16",),
        "One matrix rate for every phone's NPU.",
        0.2,
        fallback=1e13,
    ),
    _gpu("pc-npu", _unit("npu", ("qnn-genie",), ("pc-igpu",)), ("w4a16",), "", 0.2, fallback=1e13),
    _apple_npu(_unit("npu", ("coreml", "core-ai"), ("apple-gpu", "apple-phone"))),
    _small_cpu("phone-cpu", _unit("cpu", PHONE_RUNTIMES, PHONES)),
    _small_cpu("apple-cpu", _unit("cpu", PHONE_RUNTIMES, APPLE)),
    _cpu("x86-cpu-llama-cpp", 1.7, _unit("cpu", CPU_RUNTIMES, ("x86-cpu", "rdna"))),
    _cpu("arm-cpu-llama-cpp", 4.0, _unit("cpu", CPU_RUNTIMES, ("arm-cpu", "pc-igpu", "ampere"))),
    _gpu(
        "tenstorrent-vllm",
        _unit("device", ("vllm",), ("tenstorrent",)),
        ("bf16",),
        "Formats of the rows are not stated and taken as bf16.",
        0.1,
    ),
    _eager("nvidia-ampere-transformers", ("ampere", "turing", "ada")),
    _eager("nvidia-hopper-transformers", ("hopper",)),
)


def training(spec: DeviceClass, cases: list[Case]) -> list[Case]:
    """Return a class's own cases, without known lower bounds where it has others."""
    own = [case for case in cases if spec.takes(case)]
    return [case for case in own if not lower_bound(case.row)] or own
