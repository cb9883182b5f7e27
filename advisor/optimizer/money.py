"""The month's bill of a plan, line by line; idle capacity is a line of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from advisor.catalogue.widths import width
from advisor.cost.amount import Amount, product
from advisor.cost.bill import Bill, Line, split_idle
from advisor.cost.bill import LineKind as BillKind
from advisor.cost.bill import bill as make_bill
from advisor.cost.deployment import (
    Capacity,
    mean_power_w,
    power_usd_per_month,
    rented_bill,
)
from advisor.errors import MissingDataError
from advisor.optimizer.assemble import Question
from advisor.optimizer.demand import HOURS_PER_MONTH
from advisor.optimizer.due import retrieval_parts
from advisor.optimizer.hardware import HIRED, SpotTerms, autoscale_overhead, spot_terms
from advisor.optimizer.mix import MixSolution
from advisor.optimizer.options import Option, Pool, hosting_of
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats
from advisor.optimizer.ranges import NORMAL_95_OVER_80, estimate_of, ranged
from advisor.optimizer.result import CostLine, LineKind
from advisor.optimizer.tokens import TokenUse
from advisor.perf.intervals import EXACT, Estimate, Spread, estimate, weakest
from advisor.schema.fact import Evidence
from advisor.schema.text import Text

LEAST_USD = 1e-9


@dataclass(frozen=True, eq=False)
class PoolUse:
    """How a plan uses a pool in a month.

    ``paid_h`` and ``used_h``: replica-hours; ``extra_h``: paid on top for replicas that come
    and go.
    """

    index: int
    pool: Pool
    fixed: int
    by_period: tuple[int, ...]
    paid_h: float
    used_h: float
    extra_h: float

    @property
    def utilisation(self) -> float:
        """Used over paid replica-hours."""
        paid = self.paid_h + self.extra_h
        return min(self.used_h / paid, 1.0) if paid else 0.0

    @property
    def replicas(self) -> int:
        """Replicas at the peak."""
        return max(self.by_period)


def pool_uses(question: Question, found: MixSolution) -> tuple[PoolUse, ...]:
    """Return how every pool of a plan is used."""
    problem = question.problem
    used = np.zeros(len(problem.pools))
    volume = found.flow_per_s @ problem.hours * SECONDS_PER_HOUR
    for option, pool, seconds in zip(
        problem.use_option, problem.use_pool, problem.use_s, strict=True
    ):
        used[pool] += float((volume[option] * seconds).sum()) / SECONDS_PER_HOUR
    overhead = autoscale_overhead(question.facts.scenario.use)
    rows = []
    for i, pool in enumerate(question.pools):
        replicas = found.fixed[i] + found.scaled[i]
        if not replicas.any():
            continue
        scaled_h = float(found.scaled[i] @ problem.hours)
        rows.append(
            PoolUse(
                index=i,
                pool=pool,
                fixed=int(found.fixed[i]),
                by_period=tuple(int(n) for n in replicas),
                paid_h=float(found.fixed[i]) * HOURS_PER_MONTH + scaled_h,
                used_h=float(used[i]),
                extra_h=scaled_h * overhead,
            )
        )
    return tuple(rows)


def spread_of(e: Estimate) -> Spread:
    """Half-widths of an estimate, in logs; none for zero."""
    if e.value <= 0:
        return EXACT
    return Spread(math.log(e.high80 / e.value), math.log(e.high95 / e.value))


def speed_spread(pool: Pool) -> Spread:
    """Half-widths of a deployment's throughput in requests: of its speed and of its tokens."""
    setup = pool.candidate.setup
    try:
        row = width("throughput", setup.evidence, setup.device.device_class, setup.kind)
    except MissingDataError:
        return EXACT
    return Spread(row.q80, row.q95) + token_spread(pool.candidate.model.tokens)


def token_spread(tokens: TokenUse) -> Spread:
    """Half-widths of what a model makes of the workload's lengths."""
    half = float(tokens.half80.max())
    return Spread(half, half * NORMAL_95_OVER_80)


def _line(
    kind: LineKind, what: str, usd: float, spread: Spread, evidence: Evidence, why: Text
) -> list[CostLine]:
    if usd <= LEAST_USD:
        return []
    return [CostLine(kind, what, estimate(usd, spread, evidence, why))]


LINES: dict[BillKind, LineKind] = {
    "rent": "rent",
    "spot_overhead": "spot-risk",
    "capital": "own",
    "idle": "idle",
    "power": "energy",
    "hosting": "hosting",
}
"""Lines of the cost room that pools have, and what they are called here."""


def _from_bill(bill: Bill, name: str, because: dict[BillKind, Text], why: Text) -> list[CostLine]:
    return [
        CostLine(
            LINES[line.kind],
            name,
            estimate_of(line.usd_per_month, line.evidence, because.get(line.kind, why)),
        )
        for line in bill.lines
        if line.usd_per_month.value > LEAST_USD
    ]


def _pool_lines(question: Question, use: PoolUse) -> list[CostLine]:
    """Lines of one pool, by the formulas of the cost room.

    The spread of its speed is on the device-hours: slower replicas are more replicas.
    """
    pool = use.pool
    hour = pool.offer.usd_per_device_hour
    label = weakest(hour.evidence, pool.candidate.setup.evidence)
    speed = speed_spread(pool)
    price = ranged(hour.value, spread_of(hour) + speed)
    devices = (use.paid_h + use.extra_h) * pool.devices / HOURS_PER_MONTH
    capacity = Capacity(devices, busy_share=use.utilisation)
    name, why = pool.candidate.name, hour.because
    if pool.offer.terms in HIRED:
        bill = rented_bill(capacity, price, label)
        if pool.offer.terms == "rented":
            bill = _with_spot(bill, capacity, price, spot_terms(question.facts.scenario.money))
        return _from_bill(bill, name, {"spot_overhead": Text.of("because_spot")}, why)
    paid = price.times(capacity.device_hours_per_month)
    bill = split_idle("capital", paid, capacity.busy_share, label)
    because: dict[BillKind, Text] = {
        "power": Text.of("because_energy", site=question.facts.site.id),
        "hosting": Text.of("because_hosting"),
    }
    return _from_bill(bill + _running(question, use, speed), name, because, why)


def _with_spot(bill: Bill, capacity: Capacity, price: Amount, terms: SpotTerms) -> Bill:
    """Take a share of rented hours as spot: cheaper, with spare capacity on a line of its own."""
    if not terms.share:
        return bill
    spot = terms.price_share.times(terms.share)
    kept = Amount(*(1.0 - terms.share + x for x in (spot.value, spot.low, spot.high)))
    lines = tuple(Line(x.kind, product(x.usd_per_month, kept), "estimated") for x in bill.lines)
    hours = price.times(capacity.device_hours_per_month)
    spare = Line("spot_overhead", product(hours, spot, terms.spare), "estimated")
    return Bill((*lines, spare))


def _running(question: Question, use: PoolUse, speed: Spread) -> Bill:
    """Electricity and room of owned devices."""
    pool, site = use.pool, question.facts.site
    devices = use.fixed * pool.devices
    room = hosting_of(pool, question.facts.hosting_usd_per_kw).times(use.fixed)
    lines = [Line("hosting", room, "estimated")]
    if pool.power is not None:
        watts = mean_power_w(pool.power.busy_w, pool.power.idle_w, use.utilisation)
        drawn = ranged(watts, pool.power.spread + speed)
        energy = power_usd_per_month(drawn, devices, site.terms, site.price)
        lines.append(Line("power", energy, "estimated"))
    return make_bill(*lines)


def _api_lines(question: Question, volume: Floats) -> list[CostLine]:
    """Money per request that isn't electricity of pools: tokens of APIs."""
    lines = []
    for index, option in enumerate(question.options):
        energy = np.zeros_like(option.usd_per_request)
        for p, seconds in option.uses:
            energy = energy + seconds * question.pools[p].work_usd_per_hour / SECONDS_PER_HOUR
        usd = float(volume[index] @ np.maximum(option.usd_per_request - energy, 0.0))
        name = _api_name(option)
        why = Text.of("because_api", name=name)
        sides = [t for t, api in zip(option.tokens, option.apis, strict=True) if api is not None]
        labels = [label for t in sides for label in (t.vocabulary, t.length)]
        spread = max((token_spread(t) for t in sides), key=lambda s: s.q80, default=EXACT)
        lines += _line("api", name, usd, spread, weakest("measured", *labels), why)
    return lines


def _api_name(option: Option) -> str:
    part = next((p for p in option.parts if p.provider), option.parts[-1])
    return f"{part.model_name} API ({part.provider})" if part.provider else part.model_name


def _retrieval_lines(question: Question, volume: Floats) -> list[CostLine]:
    """Embedding and reranking of each class: calls times tokens times the scenario's price."""
    scenario = question.facts.scenario
    names = [c.name for c in scenario.workload.classes]
    lines = []
    for row in scenario.retrieval:
        requests = float(volume[:, names.index(row.traffic_class)].sum())
        because = Text.of(
            "because_retrieval", embed=row.embed_tokens, rerank=row.rerank_tokens, source=row.source
        )
        usd = requests * sum(retrieval_parts(row))
        lines += _line("retrieval", row.traffic_class, usd, EXACT, "exact", because)
    return lines


def bill_of(question: Question, found: MixSolution) -> tuple[CostLine, ...]:
    """Return every line of a plan's month, in the order of :data:`LineKind`."""
    problem = question.problem
    volume = found.flow_per_s @ problem.hours * SECONDS_PER_HOUR
    lines: list[CostLine] = []
    for use in pool_uses(question, found):
        lines += _pool_lines(question, use)
    lines += _api_lines(question, volume)
    for index, key in enumerate(question.charge_names):
        if found.charged[index]:
            head, _, rest = key.partition(":")
            due = question.facts.charges[key]
            month = estimate_of(due.usd_per_month, due.evidence, due.because)
            lines.append(CostLine(due.kind, rest or head, month))
    lines += _retrieval_lines(question, volume)
    order = list(LineKind.__args__)  # type: ignore[attr-defined]
    return tuple(sorted(merged(lines), key=lambda x: order.index(x.kind)))


def merged(lines: list[CostLine]) -> list[CostLine]:
    """Add up lines of one kind for one thing."""
    found: dict[tuple[str, str], CostLine] = {}
    for line in lines:
        key = (line.kind, line.what)
        if key in found:
            old = found[key].usd_per_month
            whole = old.value + line.usd_per_month.value
            found[key] = CostLine(
                line.kind,
                line.what,
                estimate(whole, spread_of(old), old.evidence, old.because),
            )
        else:
            found[key] = line
    return list(found.values())


def sum_of(lines: tuple[CostLine, ...], why: Text) -> Estimate:
    """Add lines up; lines err independently: distances add in quadrature."""
    value = sum(x.usd_per_month.value for x in lines)
    ends = {}
    for name, sign in (("low80", -1), ("high80", 1), ("low95", -1), ("high95", 1)):
        off = math.hypot(*(getattr(x.usd_per_month, name) - x.usd_per_month.value for x in lines))
        ends[name] = max(value + sign * off, 0.0)
    label = weakest("exact", *(x.usd_per_month.evidence for x in lines))
    return Estimate(value=value, evidence=label, because=why, **ends)
