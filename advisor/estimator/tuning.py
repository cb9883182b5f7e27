"""What training or tuning a catalogue model on catalogue devices costs."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.catalogue.training import Job, training_file, training_mfu
from advisor.cost.amount import Amount, exactly, of_fact
from advisor.cost.training import (
    Method,
    Stack,
    TrainingMemory,
    activation_bytes,
    device_hours,
    devices_to_hold,
    lora_parameters,
    training_flops,
    training_memory,
    training_usd,
)
from advisor.errors import InfeasibleError, MissingDataError
from advisor.estimator.setup import physical_bytes
from advisor.perf.parameters import active_parameters, total_parameters
from advisor.schema.device import Device
from advisor.schema.model import Attention, Mla, Mlp, Model, Shape

LORA_RANK = 16
SEQUENCE_TOKENS = 2048


@dataclass(frozen=True)
class TuningJob:
    """What is trained.

    Parameters
    ----------
    tokens
        Tokens seen in all, epochs counted.
    method
        ``full``, ``lora`` or ``qlora``.
    rank
        Rank of the adapters.
    sequences, sequence_tokens
        One device's batch.
    """

    tokens: float
    method: Method = "lora"
    rank: int = LORA_RANK
    sequences: int = 1
    sequence_tokens: int = SEQUENCE_TOKENS


@dataclass(frozen=True)
class TuningCost:
    """What the job takes; money is None where no price was given."""

    flops: float
    trained_parameters: float
    device_hours: Amount
    memory: TrainingMemory
    devices_least: int
    usd: Amount | None


def adapter_matrices(shape: Shape) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of every matrix that gets an adapter: attention and dense blocks.

    Experts and routers are left alone, as tuners do by default; latent attention gets adapters
    on its query and output products only.
    """
    found: list[tuple[int, int]] = []
    for layer in shape.layers:
        mixer, ffn = layer.mixer, layer.ffn
        one: list[tuple[int, int]] = []
        if isinstance(mixer, Attention):
            q, v = mixer.heads * mixer.head_dim, mixer.v_head_dim or mixer.head_dim
            one += [(shape.hidden, q), (mixer.heads * v, shape.hidden)]
            if not mixer.shares_kv:
                one += [(shape.hidden, mixer.kv_heads * x) for x in (mixer.head_dim, v)]
        elif isinstance(mixer, Mla):
            width = mixer.qk_nope_dim + mixer.qk_rope_dim
            one += [(mixer.q_lora_rank or shape.hidden, mixer.heads * width)]
            one += [(mixer.heads * mixer.v_head_dim, shape.hidden)]
        if isinstance(ffn, Mlp):
            one += [(shape.hidden, ffn.hidden)] * (2 if ffn.gated else 1)
            one += [(ffn.hidden, shape.hidden)]
        found += one * layer.count
    return tuple(found)


def _shape_of(model: Model) -> Shape:
    if model.shape is None:
        msg = f"{model.name}: dimensions not in the catalogue, so training can't be counted"
        raise MissingDataError(msg)
    return model.shape


def peak_flops_per_s(device: Device) -> float:
    """Return the dense 16-bit peak of a device.

    Raises
    ------
    MissingDataError
        If it is not published.
    """
    if device.peak.bf16_flops_per_s is None:
        msg = f"{device.name}: its 16-bit peak is not published, so training can't be timed"
        raise MissingDataError(msg)
    return device.peak.bf16_flops_per_s.value


def job_hours(parameters: float, tokens: float, device: Device, job: Job = "pretrain") -> Amount:
    """Return the device-hours of training all parameters, from their number alone."""
    flops = training_flops(parameters, tokens)
    mfu = of_fact(training_mfu(device.architecture, job))
    return device_hours(exactly(flops), peak_flops_per_s(device), mfu)


def tuning_cost(
    model: Model, device: Device, job: TuningJob, usd_per_device_hour: Amount | None = None
) -> TuningCost:
    """Return what fine-tuning a model takes on devices of one kind.

    Parameters
    ----------
    model, device, job
        What is trained, on what, how.
    usd_per_device_hour
        Price of a device-hour; None: no money.

    Raises
    ------
    MissingDataError
        If dimensions, peak or memory are not published.
    InfeasibleError
        If one sequence's activations alone fill the device.
    """
    shape = _shape_of(model)
    every, active = total_parameters(shape), active_parameters(shape)
    matrices = adapter_matrices(shape)
    adapters = 0 if job.method == "full" else lora_parameters(matrices, job.rank)
    flops = training_flops(active, job.tokens, job.method, adapters)
    mfu = of_fact(training_mfu(device.architecture, "finetune"))
    hours = device_hours(exactly(flops), peak_flops_per_s(device), mfu)
    stack = Stack(sum(layer.count for layer in shape.layers), shape.hidden, shape.vocab)
    kept = activation_bytes(stack, job.sequences, job.sequence_tokens, checkpointing=True)
    tables = float(shape.vocab * (shape.embedding_hidden or shape.hidden))
    tables *= 1 if shape.tied_embeddings else 2
    one = training_memory(every, job.method, kept, adapters, tables)
    usable = physical_bytes(device)[0] * training_file().usable_memory_share.value
    least = devices_to_hold(one.total_bytes - kept, kept, usable)
    if least is None:
        msg = (
            f"{model.name}: activations of {job.sequences} x {job.sequence_tokens} tokens take "
            f"{kept / 2**30:.1f} GiB, {device.name} has {usable / 2**30:.1f} GiB for training"
        )
        raise InfeasibleError(msg, limit="memory", suggestions=("--sequence-tokens 512",))
    return TuningCost(
        flops=flops,
        trained_parameters=every if job.method == "full" else adapters,
        device_hours=hours,
        memory=training_memory(every, job.method, kept, adapters, tables, shards=least),
        devices_least=least,
        usd=None if usd_per_device_hour is None else training_usd(hours, usd_per_device_hour),
    )
