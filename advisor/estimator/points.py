"""One operating point: load figures become estimates, energy and money."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from advisor.catalogue.devices import PowerChoice
from advisor.catalogue.widths import width
from advisor.cost.hourly import usd_per_mtok
from advisor.estimator.money import HourlyPrices, electricity_per_hour
from advisor.estimator.overlays import verdict
from advisor.estimator.result import Cost, Point
from advisor.estimator.setup import Setup
from advisor.perf.energy import JOULES_PER_WH, power_w
from advisor.perf.intervals import Estimate, Spread, estimate, weakest
from advisor.perf.layout import Layout
from advisor.perf.load import LoadPoint, Profile
from advisor.perf.step import StepTime
from advisor.schema.overlay import Metric
from advisor.schema.text import Text


@dataclass(frozen=True)
class Use:
    """How much of a device a load uses, mean over time: bandwidth and operations, 0 to 1."""

    mbu: float
    mfu: float


@dataclass(frozen=True)
class Bench:
    """What every operating point of one answer shares."""

    setup: Setup
    layout: Layout
    profile: Profile
    money: HourlyPrices
    power: PowerChoice | None
    site: str

    def number(self, value: float, metric: Metric, concurrency: float) -> Estimate:
        """Put the range and label of a metric at this load round a number."""
        return estimate(value, *verdict(self.setup, metric, concurrency / self.layout.replicas))


def use_of(setup: Setup, load: LoadPoint, decode: StepTime, prefill: StepTime) -> Use:
    """Mix the use of decode steps and of prompts by the share of time each takes."""
    share = float(load.prefill_share)
    peak, bytes_per_s = setup.chip.peak(setup.weights.compute), setup.chip.bytes_per_s

    def mean(decoding: float, prompting: float) -> float:
        return (1.0 - share) * decoding + share * prompting

    d_s, p_s = float(decode.seconds), float(prefill.seconds)
    return Use(
        mbu=mean(float(decode.moved_bytes) / d_s, float(prefill.moved_bytes) / p_s) / bytes_per_s,
        mfu=mean(float(decode.flops) / d_s, float(prefill.flops) / p_s) / peak,
    )


def point(bench: Bench, load: LoadPoint, concurrency: float, use: Use) -> Point:
    """Turn the load of one attention rank into figures of the whole deployment."""
    profile = bench.profile
    ranks = bench.layout.replicas * bench.layout.dp
    if not bool(load.stable):
        return Point(concurrency=concurrency, stable=False)
    busy = min(1.0, concurrency / ranks)
    rate = float(load.requests_per_s) * ranks * busy

    def speed(value: float, metric: Metric) -> Estimate:
        return bench.number(value, metric, concurrency)

    ttft, tpot = float(load.ttft_s), float(load.tpot_s)
    requests = speed(rate, "throughput")
    power = _power(bench, use)
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
        rented=_cost(bench, load, requests, bench.money.rented, None),
        owned=_cost(bench, load, requests, bench.money.owned_capital, power),
    )


def _scaled(e: Estimate, factor: float) -> Estimate:
    numbers = {n: getattr(e, n) * factor for n in ("value", "low80", "high80", "low95", "high95")}
    return replace(e, **numbers)


def _power(bench: Bench, use: Use) -> Estimate | None:
    """Power of all devices of the deployment; None without a TDP or a curve."""
    setup, choice = bench.setup, bench.power
    tdp = setup.device.power.tdp_w
    if tdp is None or choice is None:
        return None
    watts = float(power_w(tdp.value, use.mbu, use.mfu, choice.fit.curve))
    row = width("power", choice.evidence, setup.device.device_class, setup.kind)
    q80, q95 = row.q80, row.q95
    if choice.evidence == "calibrated" and choice.fit.q80 and choice.fit.q95:
        q80, q95 = choice.fit.q80, choice.fit.q95
    because = Text.of("because_power", tdp=tdp.value)
    return estimate(watts * bench.layout.devices, Spread(q80, q95), choice.evidence, because)


def _joules(power: Estimate, rate: Estimate) -> Estimate:
    spread = _spread(power) + _spread(rate)
    label = weakest(power.evidence, rate.evidence)
    return estimate(power.value / rate.value, spread, label, power.because)


def _spread(e: Estimate) -> Spread:
    return Spread(math.log(e.high80 / e.value), math.log(e.high95 / e.value))


def _hour(bench: Bench, hour: Estimate, power: Estimate | None) -> Estimate:
    """Price of an hour of all devices: rent or capital, and electricity if power is known.

    The two parts err independently: their absolute half-widths add in quadrature.
    """
    capital = hour.value * bench.layout.devices
    if power is None:
        return _scaled(hour, float(bench.layout.devices))
    current = electricity_per_hour(power.value, bench.site)
    total = capital + current
    ours, theirs = _spread(hour), _spread(power)
    spread = Spread(
        math.hypot(capital * ours.q80, current * theirs.q80) / total,
        math.hypot(capital * ours.q95, current * theirs.q95) / total,
    )
    return estimate(total, spread, weakest(hour.evidence, power.evidence), hour.because)


def _cost(
    bench: Bench, load: LoadPoint, requests: Estimate, hour: Estimate | None, power: Estimate | None
) -> Cost | None:
    """Money of a point: the hour's price over the tokens of the hour."""
    if hour is None:
        return None
    total = _hour(bench, hour, power)
    label = weakest(requests.evidence, total.evidence)
    spread = _spread(total) + _spread(requests)
    share = float(load.prefill_share)
    profile, rate = bench.profile, requests.value
    paid = usd_per_mtok(total.value, share, rate, profile.isl_tokens)
    made = usd_per_mtok(total.value, 1.0 - share, rate, profile.osl_tokens)
    return Cost(
        usd_per_hour=total,
        usd_per_mtok_input=estimate(paid, spread, label, hour.because),
        usd_per_mtok_output=estimate(made, spread, label, hour.because),
    )
