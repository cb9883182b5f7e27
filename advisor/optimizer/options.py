"""Ways to serve requests, as the solver sees them: pools of replicas, APIs, users' devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advisor.cost.amount import Amount
from advisor.cost.deployment import hosting_usd_per_month
from advisor.estimator.setup import Setup
from advisor.optimizer.candidates import Candidate
from advisor.optimizer.demand import HOURS_PER_MONTH, ClassDemand
from advisor.optimizer.electricity import DevicePower, Site, device_power
from advisor.optimizer.hardware import HIRED, Offer, autoscale_overhead, spot_terms
from advisor.optimizer.models import Size
from advisor.optimizer.parts import Part, UserSide
from advisor.optimizer.problem import Bools, Floats, Ints
from advisor.optimizer.result import OptionKind, PlanKind
from advisor.optimizer.scores import ScoreFact
from advisor.optimizer.tokens import TokenUse
from advisor.perf.layout import Layout
from advisor.schema.fact import Evidence
from advisor.schema.scenario import Scenario

UNKNOWN_SCORE = -1.0
SAME_SCORE = 1e-9
SHORT_LIST = 6
"""Pools of a group kept for each class of requests, by cost of a request."""
TERM_MARKS = {"rented": "", "reserved": ", reserved", "owned": ", own", "bought": ", buy"}
APART = 0.8
"""Classes share replicas unless the tightest limit costs the others more than this share."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Whole replicas of one deployment on one kind of offer, for some classes of requests.

    Parameters
    ----------
    per_s
        ``(C,)`` requests per second of one replica, 0 for classes it doesn't serve.
    """

    name: str
    candidate: Candidate
    offer: Offer
    per_s: Floats
    site: Site

    @cached_property
    def power(self) -> DevicePower | None:
        """Power of one device, None where unknown; most pools are dropped before it matters."""
        return device_power(self.candidate)

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.candidate.devices

    @property
    def pays_energy(self) -> bool:
        """Whether electricity is paid apart from the device-hour."""
        return self.offer.terms not in HIRED

    @property
    def usd_per_replica_hour(self) -> float:
        """Device-hours of one replica, electricity apart."""
        return self.offer.usd_per_device_hour.value * self.devices

    @property
    def idle_usd_per_hour(self) -> float:
        """Electricity of one waiting replica."""
        if not self.pays_energy or self.power is None:
            return 0.0
        return self.site.usd_per_hour(self.power.idle_w) * self.devices

    @property
    def work_usd_per_hour(self) -> float:
        """Electricity a fully used replica adds."""
        if not self.pays_energy or self.power is None:
            return 0.0
        more = self.power.busy_w - self.power.idle_w
        return self.site.usd_per_hour(more) * self.devices

    def seconds(self) -> Floats:
        """``(C,)`` replica-seconds of one request, 0 for classes it doesn't serve."""
        return np.divide(1.0, self.per_s, out=np.zeros_like(self.per_s), where=self.per_s > 0)


@dataclass(frozen=True, eq=False)
class Option:
    """One way to serve; arrays are by class.

    Parameters
    ----------
    uses
        (pool index, replica-seconds per request).
    quality
        NaN where unknown.
    ttft_s, tpot_s, e2e_s
        Percentiles at the plan's full load.
    charges
        Keys of one-off costs it needs.
    half80
        Half-width of the 80 % range of quality.
    apis
        Index of the scenario's API behind each of ``parts``, None where there is none.
    tokens
        What each of ``parts`` makes of the workload's lengths.
    user
        What it takes of users' own devices, if it runs there.
    on_devices
        What runs on users' own devices.
    sent
        ``(C,)`` share that reaches the second of two parts; ``share_to_large`` is its mean.
    """

    name: str
    kind: OptionKind
    size: Size | None
    model_ids: tuple[str, ...]
    parts: tuple[Part, ...]
    uses: tuple[tuple[int, Floats], ...]
    allowed: Bools
    usd_per_request: Floats
    quality: Floats
    half80: Floats
    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats
    evidence: Evidence
    charges: tuple[str, ...] = ()
    most_share: float = 1.0
    share_to_large: float | None = None
    quality_source: str = ""
    apis: tuple[int | None, ...] = (None,)
    tokens: tuple[TokenUse, ...] = ()
    user: UserSide | None = None
    sent: Floats | None = None
    on_devices: tuple[Setup, ...] = ()

    @property
    def reach(self) -> tuple[Floats, ...]:
        """``(C,)`` share of each class's requests that each of ``parts`` works on."""
        whole = np.ones(len(self.quality))
        if self.sent is None:
            return (whole,)
        return (whole if self.kind == "cascade" else whole - self.sent, self.sent)


def worth_keeping(
    pools: Sequence[Pool],
    scarce: frozenset[str],
    floors: Floats,
    rate: Floats,
    margin: float = 0.0,
) -> Bools:
    """``(P,)`` pools worth the solver's time.

    No other pool of the same size class and terms beats them in everything, and they are among
    the cheapest of their group for some class or for all.

    Parameters
    ----------
    scarce
        Devices that form groups of their own.
    floors, rate
        ``(C,)`` least scores, and mean requests per second.
    margin
        Half-widths of 80 % ranges by which a score must lie above a floor.
    """
    keep = np.ones(len(pools), dtype=bool)
    if not pools:
        return keep
    price = np.array([p.usd_per_replica_hour for p in pools])
    unit = np.array([p.seconds() * p.usd_per_replica_hour for p in pools])
    serves = np.array([p.per_s > 0 for p in pools])
    unit = np.where(serves, unit, np.inf)
    sure = [p.candidate.score - margin * half_widths(p.candidate.model.scores) for p in pools]
    score = np.nan_to_num(np.array(sure), nan=UNKNOWN_SCORE)
    group = [
        (
            p.candidate.model.size,
            p.offer.terms,
            bool(p.candidate.model.tuned),
            p.candidate.setup.device.id if p.candidate.setup.device.id in scarce else "",
        )
        for p in pools
    ]
    # What is rented by the hour can do all that a term can.
    rivals = [(g[0], "rented" if g[1] == "reserved" else g[1], *g[2:]) for g in group]
    kinds = list(dict.fromkeys(rivals))
    bound = np.array([g[1] == "reserved" for g in group])
    keep &= ~_beaten(np.array([kinds.index(g) for g in rivals]), bound, price, unit, score)
    good = np.where(score >= floors - SAME_SCORE, unit, np.inf)
    together = np.maximum(good @ rate, price)
    weak = np.where((score < floors - SAME_SCORE).all(axis=1), unit.min(axis=1), np.inf)
    columns = np.stack([*good.T, together, weak], axis=1)
    return keep & _short_list(group, columns, keep)


def _beaten(group: Ints, bound: Bools, price: Floats, unit: Floats, score: Floats) -> Bools:
    """``(P,)`` pools that another of their group beats in everything; of equals the first stays.

    ``bound``: kept for a term, so no match for what comes and goes.
    """
    rows = np.arange(len(price))
    cheaper = unit[:, None] < unit[None, :]
    no_worse = (group[:, None] == group) & ~(bound[:, None] & ~bound) & (price[:, None] <= price)
    no_worse &= (unit[:, None] <= unit[None, :]).all(axis=-1)
    no_worse &= (score[:, None] >= score[None, :]).all(axis=-1)
    better = (rows[:, None] < rows) | (price[:, None] < price) | cheaper.any(axis=-1)
    return np.asarray((no_worse & better & (rows[:, None] != rows)).any(axis=0))


def _short_list(group: Sequence[object], costs: Floats, keep: Bools) -> Bools:
    """``(P,)`` the few cheapest of each group by any column of costs."""
    listed = np.zeros(len(group), dtype=bool)
    for name in dict.fromkeys(group):
        mine = np.array([i for i, g in enumerate(group) if g == name and keep[i]], dtype=int)
        for cost in costs.T:
            ranked = mine[np.argsort(cost[mine], kind="stable")]
            listed[[i for i in ranked if np.isfinite(cost[i])][:SHORT_LIST]] = True
    return listed


def kind_of(options: Sequence[Option]) -> PlanKind:
    """Return what a plan is made of: one kind if all its options are of it, else a mix."""
    kinds = {_kind(o) for o in options}
    return kinds.pop() if len(kinds) == 1 else "mix"


def _kind(option: Option) -> PlanKind:
    if option.kind == "api":
        return "api"
    if option.kind == "device":
        return "device"
    return option.size or "mix"


def part_of(candidate: Candidate) -> Part:
    """Describe a deployment; a tuned model goes by its own name."""
    model = candidate.model
    return part_on(candidate.setup, candidate.layout, model.id, model.name)


def part_on(setup: Setup, layout: Layout, model_id: str, model_name: str) -> Part:
    """Describe a model on devices of one kind."""
    return Part(
        model_id=model_id,
        model_name=model_name,
        hw_id=setup.device.id,
        hw_name=setup.device.name,
        engine_id=setup.engine.id,
        engine_name=setup.engine.name,
        precision=setup.weights.id,
        layout=str(layout),
        devices_per_replica=layout.devices_per_replica,
    )


def half_widths(scores: Sequence[ScoreFact | None]) -> Floats:
    """Half-widths of scores, 0 where unknown."""
    return np.array([0.0 if s is None else s.half80 for s in scores])


def pools_of(
    candidates: Sequence[Candidate],
    classes: Sequence[ClassDemand],
    site: Site,
    factors: dict[str, float],
) -> list[Pool]:
    """Return the pools of all deployments: by offer, shared by classes or for one class.

    Parameters
    ----------
    factors
        Deployment name → share of the predicted capacity to count on.
    """
    found = []
    rented = np.array([c.privacy == "any" for c in classes])
    housed = np.array([c.privacy != "on-device" for c in classes])
    for candidate in candidates:
        for offer in candidate.hardware.offers:
            may = rented if offer.terms in HIRED else housed
            own = np.where(may, candidate.capacity.per_s, 0.0)
            if not (own > 0).any():
                continue
            for suffix, full in _splits(candidate, own, classes):
                name = f"{candidate.name}{suffix}{TERM_MARKS[offer.terms]}"
                rate = full * factors.get(name, 1.0)
                found.append(Pool(name, candidate, offer, rate, site))
    return found


def _splits(
    candidate: Candidate, own: Floats, classes: Sequence[ClassDemand]
) -> list[tuple[str, Floats]]:
    """Share replicas among classes at the tightest load; or keep classes apart as well."""
    capacity = candidate.capacity
    served = own > 0
    tightest = float(capacity.load[served].min())
    shared = np.where(served, capacity.held_to(tightest), 0.0)
    found = [("", shared)]
    if served.sum() > 1 and (shared[served] < APART * own[served]).any():
        for c in (int(i) for i in np.nonzero(served)[0]):
            alone = np.zeros_like(own)
            alone[c] = own[c]
            found.append((f" [{classes[c].name}]", alone))
    return found


def pool_option(index: int, pool: Pool) -> Option:
    """Return the option of one pool alone."""
    candidate = pool.candidate
    seconds = pool.seconds()
    capacity = candidate.capacity
    tuned = candidate.model.tuned
    charges = [f"tuning:{tuned.name}"] if tuned else []
    if pool.pays_energy:
        charges.append("staff")
    sources = [s.source for s in candidate.model.scores if s]
    return Option(
        name=pool.name,
        kind="replicas",
        size=candidate.model.size,
        model_ids=(candidate.model.id,),
        parts=(part_of(candidate),),
        uses=((index, seconds),),
        allowed=pool.per_s > 0,
        usd_per_request=seconds * pool.work_usd_per_hour / 3600.0,
        quality=candidate.score,
        half80=half_widths(candidate.model.scores),
        ttft_s=capacity.ttft_s,
        tpot_s=capacity.tpot_s,
        e2e_s=capacity.e2e_s,
        evidence=candidate.setup.evidence,
        charges=tuple(charges),
        quality_source=sources[0] if sources else "",
        tokens=(candidate.model.tokens,),
    )


def fixed_usd_per_month(pool: Pool, scenario: Scenario, hosting_usd_per_kw: Amount) -> float:
    """Money of one replica kept all month: device-hours, waiting electricity, hosting."""
    hour = pool.usd_per_replica_hour
    if pool.offer.terms == "rented":
        return hour * spot_terms(scenario.money).factor * HOURS_PER_MONTH
    hosting = 0.0 if pool.offer.terms == "reserved" else hosting_of(pool, hosting_usd_per_kw).value
    return (hour + pool.idle_usd_per_hour) * HOURS_PER_MONTH + hosting


def hosting_of(pool: Pool, usd_per_kw_month: Amount) -> Amount:
    """Room of one replica a month, by the power of its devices and hosts."""
    tdp = pool.candidate.setup.device.power.tdp_w
    watts = tdp.value * (1.0 + pool.site.host_share) if tdp else 0.0
    return hosting_usd_per_month(watts, pool.devices, usd_per_kw_month)


def scaled_usd_per_hour(pool: Pool, scenario: Scenario) -> float:
    """Money of one replica-hour that comes and goes; infinite where that can't be."""
    use = scenario.use
    if pool.offer.terms != "rented" or not use.autoscale:
        return float("inf")
    factor = spot_terms(scenario.money).factor * (1.0 + autoscale_overhead(use))
    return pool.usd_per_replica_hour * factor
