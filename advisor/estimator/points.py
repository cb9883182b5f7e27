"""One operating point: load figures become estimates, energy and money."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.catalogue.widths import width
from advisor.cost.hourly import usd_per_mtok
from advisor.estimator.money import HourlyPrices, electricity_per_hour
from advisor.estimator.result import Cost, Point
from advisor.estimator.setup import Setup
from advisor.perf.energy import JOULES_PER_WH, power_w
from advisor.perf.intervals import Estimate, Spread, estimate, weakest
from advisor.perf.layout import Layout
from advisor.perf.load import LoadPoint, Profile
from advisor.perf.step import Batch, StepModel
from advisor.schema.text import Text


@dataclass(frozen=True)
class Bench:
    """What every operating point of one answer shares."""

    setup: Setup
    layout: Layout
    model: StepModel
    profile: Profile
    money: HourlyPrices
    site: str

    def spread(self, metric: str) -> Spread:
        """Return the half-widths of a metric at this setup's label."""
        row = width(metric, self.setup.evidence, self.setup.device.device_class)
        return Spread(row.q80, row.q95)


def point(bench: Bench, load: LoadPoint, concurrency: float) -> Point:
    """Turn the load of one attention rank into figures of the whole deployment."""
    setup, profile = bench.setup, bench.profile
    ranks = bench.layout.replicas * bench.layout.dp
    if not bool(load.stable):
        return Point(concurrency=concurrency, stable=False)
    busy = min(1.0, concurrency / ranks)
    rate = float(load.requests_per_s) * ranks * busy
    label, because = setup.evidence, setup.because

    def speed(value: float, metric: str) -> Estimate:
        return estimate(value, bench.spread(metric), label, because)

    ttft, tpot = float(load.ttft_s), float(load.tpot_s)
    requests = speed(rate, "throughput")
    power = _power(bench, load)
    joules = _joules(power, requests) if power else None
    return Point(
        concurrency=concurrency,
        stable=True,
        ttft_s=speed(ttft, "ttft"),
        tpot_s=speed(tpot, "tpot"),
        e2e_s=speed(ttft + (profile.osl_tokens - 1) * tpot, "tpot"),
        output_tok_per_s=speed(rate * profile.osl_tokens, "throughput"),
        requests_per_s=requests,
        power_w=power,
        joules_per_request=joules,
        watt_hours_per_request=_scaled(joules, 1.0 / JOULES_PER_WH) if joules else None,
        rented=_cost(bench, load, rate, bench.money.rented, None),
        owned=_cost(bench, load, rate, bench.money.owned_capital, power),
    )


def _scaled(e: Estimate, factor: float) -> Estimate:
    return Estimate(
        e.value * factor,
        e.low80 * factor,
        e.high80 * factor,
        e.low95 * factor,
        e.high95 * factor,
        e.evidence,
        e.because,
    )


def _power(bench: Bench, load: LoadPoint) -> Estimate | None:
    """Power of all devices of the deployment at this load."""
    setup, profile = bench.setup, bench.profile
    tdp, curve = setup.device.power.tdp_w, setup.family.efficiency.power
    if tdp is None or curve is None:
        return None
    running = float(load.running) / bench.model.pipeline_stages
    context = profile.isl_tokens + profile.osl_tokens / 2.0
    decode = bench.model.step(Batch(sequences=running, context_tokens=context))
    seconds = float(decode.seconds)
    peak = setup.chip.peak(setup.weights.compute)
    # Prompt work runs near the compute roof whatever the batch; it takes its share of time.
    share = float(load.prefill_share)
    flops_per_s = float(decode.flops) / seconds * (1 - share)
    prompt = bench.model.step(Batch(chunks=1.0, chunk_tokens=profile.isl_tokens))
    flops_per_s += float(prompt.flops) / float(prompt.seconds) * share
    moved = float(decode.moved_bytes) / seconds * (1 - share)
    watts = power_w(tdp.value, moved / setup.chip.bytes_per_s, flops_per_s / peak, curve)
    row = width("power", setup.family.evidence, setup.device.device_class)
    total = float(watts) * bench.layout.devices
    because = Text.of("because_power", tdp=tdp.value)
    return estimate(total, Spread(row.q80, row.q95), setup.family.evidence, because)


def _joules(power: Estimate, rate: Estimate) -> Estimate:
    spread = _spread(power) + _spread(rate)
    label = weakest(power.evidence, rate.evidence)
    return estimate(power.value / rate.value, spread, label, power.because)


def _spread(e: Estimate) -> Spread:
    return Spread(math.log(e.high80 / e.value), math.log(e.high95 / e.value))


def _cost(
    bench: Bench, load: LoadPoint, rate: float, hour: Estimate | None, power: Estimate | None
) -> Cost | None:
    """Money of a point: the hour's price over the tokens of the hour."""
    if hour is None:
        return None
    devices = bench.layout.devices
    total = hour.value * devices
    if power is not None:
        total += electricity_per_hour(power.value, bench.site)
    label = weakest(bench.setup.evidence, hour.evidence)
    spread = _spread(hour) + bench.spread("throughput")
    share = float(load.prefill_share)
    profile = bench.profile
    paid = usd_per_mtok(total, share, rate, profile.isl_tokens)
    made = usd_per_mtok(total, 1.0 - share, rate, profile.osl_tokens)
    return Cost(
        usd_per_hour=estimate(total, _spread(hour), hour.evidence, hour.because),
        usd_per_mtok_input=estimate(paid, spread, label, hour.because),
        usd_per_mtok_output=estimate(made, spread, label, hour.because),
    )
