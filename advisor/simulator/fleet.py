"""From names to numbers: what the tiers of a fleet are to the simulator."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.catalogue.devices import power_for
from advisor.errors import InfeasibleError, MissingDataError
from advisor.estimator.money import hourly_prices
from advisor.estimator.placement import place
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.perf.energy import power_w
from advisor.perf.layout import Layout
from advisor.perf.memory import MemoryPlan
from advisor.perf.step import Batch, StepModel
from advisor.perf.table import StepTable
from advisor.schema.fleet import ApiTier, DeviceTier, Fleet, ReplicaTier, Tier
from advisor.schema.traffic import Requests
from advisor.simulator.numbers import (
    Api,
    Devices,
    Group,
    Replicas,
    Server,
    StepTimes,
    Watts,
    with_speculation,
)

NORMAL_95 = 1.6448536269514722
LENGTH_NODES = 65
"""Prompt and context lengths at which a device's times are computed; linear between."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of the requests to come: means and the longest."""

    isl: float
    osl: float
    longest_output: int
    longest_context: int


def lengths_of(requests: Requests) -> Lengths:
    """Return means and maxima of the requests' lengths."""
    both = requests.input_tokens + requests.output_tokens
    return Lengths(
        isl=float(requests.input_tokens.mean()),
        osl=float(requests.output_tokens.mean()),
        longest_output=int(requests.output_tokens.max()),
        longest_context=int(both.max()),
    )


def groups_of(fleet: Fleet, requests: Requests, today: dt.date) -> tuple[Group, ...]:
    """Turn every tier into numbers.

    Raises
    ------
    AdvisorError
        If a name is unknown, a fact is missing, or a model doesn't fit its device.
    """
    lengths = lengths_of(requests)
    return tuple(_group(tier, lengths, today) for tier in fleet.tier)


def _group(tier: Tier, lengths: Lengths, today: dt.date) -> Group:
    if isinstance(tier, ReplicaTier):
        return replica_group(tier, lengths, today)
    if isinstance(tier, ApiTier):
        return _api_group(tier, today)
    return _device_group(tier, lengths)


def _placed(tier: ReplicaTier, lengths: Lengths) -> tuple[Setup, Layout, MemoryPlan]:
    request = EstimateRequest(
        model=tier.model,
        hw=tier.hw,
        tp=tier.tp,
        pp=tier.pp,
        dp=tier.dp,
        ep=tier.ep,
        precision=tier.precision,
        kv_precision=tier.kv_precision,
        engine=tier.engine,
        memory_share=tier.memory_share,
        isl_tokens=max(round(lengths.isl), 1),
        osl_tokens=max(round(lengths.osl), 1),
    )
    setup = resolve(request)
    layout, plan, _ = place(setup, request)
    return setup, layout, plan


def step_times(model: StepModel, sequences: int, tokens: int, context: int) -> StepTimes:
    """Tabulate a step model for a server of these limits."""
    return StepTimes(**StepTable(model, sequences, tokens, float(context)).arrays())


def _limits(tier: ReplicaTier, setup: Setup, ranks: int) -> tuple[int, int]:
    scheduler, draft = setup.engine.scheduler, tier.speculation
    per_sequence = 1 + (draft.draft_tokens if draft else 0)
    budget = tier.step_tokens or setup.cost.step_tokens or int(scheduler.max_step_tokens.value)
    most = int(scheduler.max_sequences.value)
    if tier.scheduling == "static":
        most = min(most, tier.static_batch)
    sequences = tier.max_sequences or min(most, budget // per_sequence)
    return max(math.ceil(sequences / ranks), 1), budget


def _reserved(tier: ReplicaTier, setup: Setup, lengths: Lengths) -> int:
    """Tokens reserved for an answer: the cap clients send, else the longest that comes."""
    up_front = setup.engine.memory.kind == "context-up-front" or tier.scheduling == "static"
    if not (setup.engine.scheduler.reserves_output or up_front):
        return 0
    cap = tier.max_output_tokens or lengths.longest_output
    if cap < lengths.longest_output:
        msg = (
            f"tier {tier.name!r}: max_output_tokens {cap:,} is below the longest answer of the "
            f"traffic, {lengths.longest_output:,} tokens"
        )
        raise InfeasibleError(msg, limit="max_output_tokens")
    return cap


def replica_group(tier: ReplicaTier, lengths: Lengths, today: dt.date) -> Replicas:
    """Turn a tier of replicas into numbers; see :func:`groups_of`."""
    setup, layout, plan = _placed(tier, lengths)
    model = step_model(setup, layout)
    # Ranks and pipeline stages schedule batches of their own and share the replica's cache.
    ranks = layout.dp * layout.pp
    sequences, budget = _limits(tier, setup, ranks)
    draft = tier.speculation
    rows = sequences * (1 + (draft.draft_tokens if draft else 0))
    steps = step_times(model, rows, budget + rows, lengths.longest_context)
    if draft:
        steps = with_speculation(steps, draft.draft_tokens, draft.draft_step_share)
    server = Server(
        steps=steps,
        max_sequences=sequences,
        step_tokens=max(budget, rows),
        kv_tokens=(tier.kv_tokens or plan.kv_tokens) / ranks,
        block_tokens=setup.engine.kv_block_tokens,
        factor=setup.cost.kernel_factor,
        per_step_s=setup.cost.per_step_s,
        per_sequence_s=setup.cost.per_sequence_s,
        prefill_alone=setup.engine.scheduler.prefill_alone,
        prefix_caching=tier.prefix_caching and tier.scheduling == "continuous",
        reserve_output_tokens=_reserved(tier, setup, lengths),
        static_batch=tier.static_batch if tier.scheduling == "static" else 0,
        static_wait_s=tier.static_wait_s,
        draft_tokens=draft.draft_tokens if draft else 0,
        acceptance=draft.acceptance if draft else 0.0,
    )
    rent = hourly_prices(setup.device, tier.usd_per_hour, None, today).rented
    return Replicas(
        name=tier.name,
        server=server,
        replicas=tier.replicas,
        servers_per_replica=ranks,
        most_replicas=tier.autoscale.maximum if tier.autoscale else 0,
        balance=tier.balance,
        delay_s=setup.cost.per_request_s + setup.family.efficiency.first_token_s,
        prefill_replicas=tier.prefill_replicas,
        transfer_s_per_token=_transfer_s(tier, setup, plan),
        max_outstanding=tier.max_outstanding or 0,
        prefill_s_per_token=_prefill_rate(model, setup, budget),
        decode_s_per_request=_decode_rate(model, setup, lengths, sequences),
        usd_per_hour=None if rent is None else rent.value * layout.devices_per_replica,
        devices=layout.devices_per_replica,
        watts=_watts(setup, model, layout.devices_per_replica, budget),
        autoscale=tier.autoscale,
        failures=tier.failures,
        maintenance=tier.maintenance,
        evidence=setup.evidence,
        what=f"{setup.model.name} {setup.weights.id}, {layout.devices_per_replica} x "
        f"{setup.device.name}, {setup.engine.name} {setup.engine.version}",
    )


def _transfer_s(tier: ReplicaTier, setup: Setup, plan: MemoryPlan) -> float:
    """Seconds to hand over the cache of one token."""
    if not tier.prefill_replicas:
        return 0.0
    link = tier.transfer_bytes_per_s or setup.chip.link_bytes_per_s
    if link is None:
        msg = f"{setup.device.name} publishes no link; give tier {tier.name!r} transfer_bytes_per_s"
        raise MissingDataError(msg)
    return plan.kv_bytes_per_token / link


def _prefill_rate(model: StepModel, setup: Setup, budget: int) -> float:
    step = float(model.seconds(Batch(chunks=1.0, chunk_tokens=float(budget))))
    return step * setup.cost.kernel_factor / budget


def _decode_rate(model: StepModel, setup: Setup, lengths: Lengths, sequences: int) -> float:
    """Seconds of a server that an answer of mean length takes in a batch half full."""
    batch = max(sequences / 2.0, 1.0)
    context = lengths.isl + lengths.osl / 2.0
    step = float(model.seconds(Batch(batch, context))) * setup.cost.kernel_factor
    return step * lengths.osl / batch


def _watts(setup: Setup, model: StepModel, devices: int, budget: int) -> Watts | None:
    """Return power of a replica at rest, reading prompts, and decoding a mean batch."""
    choice, tdp = power_for(setup.device, setup.engine.id), setup.device.power.tdp_w
    if choice is None or tdp is None:
        return None
    peak, bytes_per_s = setup.chip.peak(setup.weights.compute), setup.chip.bytes_per_s

    def at(batch: Batch) -> float:
        step = model.step(batch)
        seconds = float(step.seconds)
        mbu = float(step.moved_bytes) / seconds / bytes_per_s
        mfu = float(step.flops) / seconds / peak
        return float(power_w(tdp.value, mbu, mfu, choice.fit.curve)) * devices

    idle = float(power_w(tdp.value, 0.0, 0.0, choice.fit.curve)) * devices
    reading = at(Batch(chunks=1.0, chunk_tokens=float(budget)))
    return Watts(idle, reading, lambda size, context: at(Batch(max(size, 1.0), context)))


def _sigma(p50: float, p95: float) -> float:
    return math.log(p95 / p50) / NORMAL_95


def _api_group(tier: ApiTier, today: dt.date) -> Api:
    given = (tier.usd_per_mtok_input, tier.usd_per_mtok_output)
    if given[0] is not None and given[1] is not None:
        paid, made = float(given[0]), float(given[1])
        cached = paid if tier.usd_per_mtok_cached is None else tier.usd_per_mtok_cached
    else:
        from advisor.catalogue.api_rates import api_tariff

        at = dt.datetime(today.year, today.month, today.day, tzinfo=dt.UTC)
        rate = api_tariff(tier.model, at).standard[0]
        paid, made = rate.input_usd_per_mtok, rate.output_usd_per_mtok
        cached = rate.cached_input_usd_per_mtok or paid
    mean_input = (1.0 - tier.cache_hit_share) * paid + tier.cache_hit_share * cached
    return Api(
        name=tier.name,
        ttft_s=tier.ttft_s_p50,
        ttft_sigma=_sigma(tier.ttft_s_p50, tier.ttft_s_p95),
        tpot_s=tier.tpot_s_p50,
        tpot_sigma=_sigma(tier.tpot_s_p50, tier.tpot_s_p95),
        requests_per_s=(tier.requests_per_minute or 0.0) / 60.0,
        tokens_per_s=(tier.tokens_per_minute or 0.0) / 60.0,
        retries=tier.retries,
        backoff_s=tier.backoff_s,
        usd_per_mtok_input=mean_input,
        usd_per_mtok_output=made,
        what=f"{tier.model} API; latency: {tier.latency_source}",
    )


Times = Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]


def device_times(model: StepModel, factor: float, extra_s: float, longest: int) -> Times:
    """Return (prompt, answer) seconds of lone requests as a function of their lengths.

    Both are computed at ``LENGTH_NODES`` lengths and linear between: an answer's time is the
    integral of the step time over its contexts.
    """
    nodes = np.linspace(0.0, float(longest), LENGTH_NODES)
    reading = np.concatenate([[0.0], model.seconds(Batch(chunks=1.0, chunk_tokens=nodes[1:]))])
    step = np.asarray(model.seconds(Batch(1.0, nodes))) * factor + extra_s
    summed = np.concatenate([[0.0], np.cumsum((step[1:] + step[:-1]) / 2.0 * np.diff(nodes))])

    def times(isl: NDArray[Any], osl: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        prompt = np.interp(isl, nodes, reading) * factor + extra_s
        answer = np.interp(isl + osl, nodes, summed) - np.interp(isl + 1, nodes, summed)
        return prompt, answer

    return times


def _device_group(tier: DeviceTier, lengths: Lengths) -> Devices:
    request = EstimateRequest(
        model=tier.model,
        hw=tier.hw,
        engine=tier.engine,
        precision=tier.precision,
        isl_tokens=max(round(lengths.isl), 1),
        osl_tokens=max(round(lengths.osl), 1),
    )
    setup = resolve(request)
    layout, _, _ = place(setup, request)
    model = step_model(setup, layout)
    watts = _watts(setup, model, 1, max(round(lengths.isl), 1))
    busy = watts.decoding(1.0, lengths.isl + lengths.osl / 2.0) if watts else None
    return Devices(
        name=tier.name,
        devices=tier.devices,
        times=device_times(
            model,
            setup.cost.kernel_factor,
            setup.cost.per_step_s + setup.cost.per_sequence_s,
            lengths.longest_context,
        ),
        max_input_tokens=tier.max_input_tokens or 0,
        burst_s=tier.burst_s,
        recovery_s=tier.recovery_s,
        sustained_share=tier.sustained_share,
        delay_s=setup.family.efficiency.first_token_s,
        busy_w=busy,
        evidence=setup.evidence,
        what=f"{setup.model.name} {setup.weights.id}, {setup.device.name}, {setup.engine.name}",
    )
