"""A plan as fleets and traffic for the simulator: its busiest hour.

Classes split over several options become sub-classes, one an option, since a router that can't
see lengths splits them at random; a routed pair is split the same way: each has the lengths its
model makes of the text. A cascade runs as such, with the small model's lengths on both tiers.
Options that share replicas are replayed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from advisor.cost.api import ApiUse, usd_per_call
from advisor.cost.hourly import TOKENS_PER_MTOK
from advisor.optimizer.assemble import Question
from advisor.optimizer.demand import lengths_of
from advisor.optimizer.kinds import Solved
from advisor.optimizer.options import Option
from advisor.optimizer.pairs import joint_of
from advisor.optimizer.plans import LEAST_SHARE
from advisor.optimizer.problem import Floats
from advisor.optimizer.remote import tariff_of
from advisor.schema.fleet import ApiTier, DeviceTier, Fleet, JointScores, ReplicaTier, Route, Tier
from advisor.schema.workload import TrafficClass, Workload
from advisor.traffic.facts import get_preset

Prices = tuple[float, float, float]
"""Dollars of a million tokens: input, cached input, output."""
LEAST_REQUESTS, MOST_REQUESTS = 2_000, 6_000
LONGEST_S = 3600.0
FILLING_S, MOST_FILLING = 300.0, 40_000
"""A fleet is full only after several answers: so long at least, however many requests come."""


@dataclass(frozen=True, eq=False)
class Part:
    """A fleet with the traffic it gets.

    Parameters
    ----------
    parents
        Class of the workload → class of the question.
    tiers
        Tier → pool of the question (replicas only).
    usd_per_hour
        What the plan pays for this part in that hour.
    """

    fleet: Fleet
    workload: Workload
    parents: dict[str, str]
    tiers: dict[str, str]
    usd_per_hour: float


def busiest(question: Question) -> int:
    """Return the period with most requests."""
    return int(np.argmax(question.problem.demand_per_s.sum(axis=0)))


def fleets_of(question: Question, one: Solved) -> list[Part]:
    """Return the fleets of a plan's busiest hour; options that share replicas stay together."""
    t = busiest(question)
    flow = one.found.flow_per_s[:, :, t]
    used = [i for i in range(len(question.options)) if flow[i].sum() > LEAST_SHARE]
    return [_part(question, one, group, t) for group in _groups(question, used)]


def _groups(question: Question, used: Sequence[int]) -> list[list[int]]:
    """Join options that share pools."""
    groups: list[tuple[set[int], list[int]]] = []
    for i in used:
        pools = {p for p, _ in question.options[i].uses}
        joined = [g for g in groups if g[0] & pools]
        for g in joined:
            groups.remove(g)
        members = [x for g in joined for x in g[1]]
        groups.append((pools.union(*(g[0] for g in joined)), [*members, i]))
    return [members for _, members in groups]


def _part(question: Question, one: Solved, group: list[int], t: int) -> Part:
    options = [question.options[i] for i in group]
    if len(group) == 1 and options[0].kind == "cascade":
        return _cascade_part(question, one, group[0], t)
    return _split_part(question, one, group, t)


class _Tiers:
    """Tiers of a fleet, each made once."""

    def __init__(self, question: Question, one: Solved, t: int) -> None:
        self._question, self._one, self._t = question, one, t
        self.tiers: list[Tier] = []
        self.pools: dict[str, str] = {}
        self.usd_per_hour = 0.0
        self._known: dict[object, str] = {}

    def of_pool(self, index: int) -> str:
        """Return the name of a pool's tier."""
        if index in self._known:
            return self._known[index]
        pool = self._question.pools[index]
        setup, layout = pool.candidate.setup, pool.candidate.layout
        found = self._one.found
        fixed, scaled = int(found.fixed[index]), int(found.scaled[index, self._t])
        name = f"tier-{len(self.tiers) + 1}"
        hour = pool.usd_per_replica_hour / pool.devices
        self.tiers.append(
            ReplicaTier(
                name=name,
                model=setup.model.id,
                hw=setup.device.id,
                replicas=fixed + scaled,
                engine=setup.engine.id,
                precision=setup.weights.id,
                tp=layout.tp,
                pp=layout.pp,
                dp=layout.dp,
                ep=layout.ep,
                usd_per_hour=hour,
            )
        )
        self.usd_per_hour += pool.usd_per_replica_hour * (fixed + scaled)
        return self._note(index, name, pool.name)

    def of_api(self, index: int, prices: Prices | None) -> str:
        """Return the name of an API's tier; prices None: as listed."""
        key = ("api", index, prices)
        if key in self._known:
            return self._known[key]
        offer = self._question.facts.scenario.use.apis[index]
        own = (offer.usd_per_mtok_input, offer.usd_per_mtok_cached, offer.usd_per_mtok_output)
        fresh, cached, output = prices or own
        name = f"tier-{len(self.tiers) + 1}"
        self.tiers.append(
            ApiTier(
                name=name,
                model=offer.model,
                ttft_s_p50=offer.ttft_s_p50,
                ttft_s_p95=offer.ttft_s_p95,
                tpot_s_p50=offer.tpot_s_p50,
                tpot_s_p95=offer.tpot_s_p95,
                latency_source=offer.latency_source,
                requests_per_minute=offer.requests_per_minute,
                tokens_per_minute=offer.tokens_per_minute,
                usd_per_mtok_input=fresh,
                usd_per_mtok_cached=cached,
                usd_per_mtok_output=output,
                cache_hit_share=offer.cache_hit_share,
            )
        )
        return self._note(key, name, None)

    def of_device(self, option: Option, rate: float) -> str:
        """Return the name of the tier of users' devices, as many as keep each rarely busy."""
        key = ("device", option.name)
        if key in self._known:
            return self._known[key]
        part = option.parts[0]
        name = f"tier-{len(self.tiers) + 1}"
        busy_s = float(option.e2e_s.max())
        self.tiers.append(
            DeviceTier(
                name=name,
                model=part.model_id,
                hw=part.hw_id,
                devices=max(int(np.ceil(rate * busy_s * 20.0)), 1),
                engine=part.engine_id,
                precision=part.precision,
            )
        )
        return self._note(key, name, None)

    def _note(self, key: object, name: str, pool: str | None) -> str:
        self._known[key] = name
        if pool is not None:
            self.pools[name] = pool
        return name


def _sides(question: Question, option: Option) -> list[tuple[int | None, Floats]]:
    """Return (pool, share of each class's requests) of an option's parts; None: no pool."""
    pools = [p for p, _ in option.uses]
    if len(option.parts) == 1:
        return [(pools[0] if pools else None, option.reach[0])]
    return [(_pool_of(question, option, pools, k), part) for k, part in enumerate(option.reach)]


def _pool_of(question: Question, option: Option, pools: list[int], side: int) -> int | None:
    """Return the pool of one side of a pair: the one that runs its model."""
    wanted = option.parts[side]
    if wanted.provider:
        return None
    for p in pools:
        candidate = question.pools[p].candidate
        same = candidate.model.id == wanted.model_id
        if same and candidate.setup.device.id == wanted.hw_id:
            return p
    return None


def _split_part(question: Question, one: Solved, group: list[int], t: int) -> Part:
    flow = one.found.flow_per_s[:, :, t]
    tiers = _Tiers(question, one, t)
    classes: list[tuple[TrafficClass, float]] = []
    routes: dict[str, str] = {}
    parents: dict[str, str] = {}
    for i in group:
        option = question.options[i]
        for c, source in enumerate(question.facts.scenario.workload.classes):
            for side, (pool, part) in enumerate(_sides(question, option)):
                rate = float(flow[i, c] * part[c])
                if rate <= LEAST_SHARE:
                    continue
                prices = _prices(question, option, side, c, side)
                tier = _tier(tiers, option, side, pool, rate, prices)
                name = f"{source.name} ({i}.{side})"
                own = _in_tokens_of(question, source, option, side, c)
                classes.append((msgspec.structs.replace(own, name=name), rate))
                routes[name], parents[name] = tier, source.name
                tiers.usd_per_hour += rate * 3600.0 * _api_usd(question, option.apis[side], c)
    first = next(iter(routes.values()))
    route = Route(first=first, mode="by-class", classes=routes)
    fleet = Fleet(tier=tuple(tiers.tiers), route=route, site=question.facts.site.id)
    return Part(fleet, _traffic(question, classes), parents, tiers.pools, tiers.usd_per_hour)


def _own_lengths(question: Question, option: Option, side: int, c: int) -> tuple[float, float]:
    """Return prompt and answer tokens that a part of an option works on.

    What an API reasons unseen lies before its first token, and counts in its price alone.
    """
    isl, osl, hidden = (x[c] for x in option.tokens[side].lengths(question.facts.demand.classes))
    return float(isl), float(osl if option.apis[side] is not None else osl + hidden)


def _in_tokens_of(
    question: Question, source: TrafficClass, option: Option, side: int, c: int
) -> TrafficClass:
    """Return a class with its lengths in the tokens of one part; a preset's law turns lognormal."""
    isl, osl, isl_cv, osl_cv = lengths_of(source)
    own_isl, own_osl = _own_lengths(question, option, side, c)
    if (own_isl, own_osl) == (isl, osl):
        return source
    preset = get_preset(source.preset) if source.preset else None

    def stated(name: str, otherwise: float) -> float:
        value = getattr(source, name)
        return value if value is not None else getattr(preset, name, otherwise)

    return msgspec.structs.replace(
        source,
        preset=None,
        isl_tokens=max(own_isl, 1.0),
        osl_tokens=max(own_osl, 1.0),
        isl_cv=isl_cv,
        osl_cv=osl_cv,
        shared_prefix_tokens=int(stated("shared_prefix_tokens", 0) * own_isl / isl),
        turns=stated("turns", 1.0),
        gap_s=stated("gap_s", 0.0),
        gap_log_sd=stated("gap_log_sd", 0.0),
    )


def _api_usd(question: Question, api: int | None, c: int) -> float:
    """Money of one call of an API of the scenario; 0 for what is none."""
    if api is None:
        return 0.0
    own = next(o for o in question.options if o.kind == "api" and o.apis == (api,))
    return float(own.usd_per_request[c])


def _prices(question: Question, option: Option, side: int, c: int, seen: int) -> Prices | None:
    """Return prices of a million tokens as the tier of ``seen`` counts them; None: as listed.

    A tier counts the tokens of its traffic. What is billed may be more (reasoning, another
    vocabulary beside it in a cascade) or cheaper (batch): the prices carry the difference.
    """
    api = option.apis[side]
    if api is None:
        return None
    facts = question.facts
    offer = facts.scenario.use.apis[api]
    isl, osl, hidden = (float(x[c]) for x in option.tokens[side].lengths(facts.demand.classes))
    counted = _own_lengths(question, option, seen, c)
    if counted == (isl, osl + hidden) and not offer.batch_share:
        return None
    share = offer.cache_hit_share
    use = ApiUse(1.0, isl, osl, hidden, cached_share=share, batch_share=offer.batch_share)
    fresh, cached, output = usd_per_call(tariff_of(offer, facts.today), use)
    scale = TOKENS_PER_MTOK / counted[0]
    return (
        fresh * scale / (1.0 - share) if share < 1.0 else 0.0,
        cached * scale / share if share > 0.0 else 0.0,
        output * TOKENS_PER_MTOK / counted[1],
    )


def _tier(
    tiers: _Tiers, option: Option, side: int, pool: int | None, rate: float, prices: Prices | None
) -> str:
    """Return the tier of one part."""
    api = option.apis[side]
    if pool is not None:
        return tiers.of_pool(pool)
    if api is not None:
        return tiers.of_api(api, prices)
    return tiers.of_device(option, rate)


def _cascade_part(question: Question, one: Solved, index: int, t: int) -> Part:
    option = question.options[index]
    flow = one.found.flow_per_s[index, :, t]
    tiers = _Tiers(question, one, t)
    pools = [p for p, _ in option.uses]
    names = []
    main = int(np.argmax(flow))
    for side in (0, 1):
        pool = _pool_of(question, option, pools, side)
        prices = _prices(question, option, side, main, 0)
        names.append(_tier(tiers, option, side, pool, float(flow.sum()), prices))
    rules = question.facts.scenario.routing
    route = Route(
        first=names[0],
        mode="cascade",
        second=names[1],
        verifier_accepts_right=rules.verifier_accepts_right,
        verifier_catches_wrong=rules.verifier_catches_wrong,
    )
    fleet = Fleet(
        tier=tuple(tiers.tiers),
        route=route,
        joint=_joint(question, option, main),
        site=question.facts.site.id,
    )
    sources = question.facts.scenario.workload.classes
    classes = [
        (_in_tokens_of(question, s, option, 0, c), float(r))
        for c, (s, r) in enumerate(zip(sources, flow, strict=True))
        if r > LEAST_SHARE
    ]
    for api, share in zip(option.apis, option.reach, strict=True):
        tiers.usd_per_hour += sum(
            float(r * share[c]) * 3600.0 * _api_usd(question, api, c) for c, r in enumerate(flow)
        )
    parents = {s.name: s.name for s, _ in classes}
    return Part(fleet, _traffic(question, classes), parents, tiers.pools, tiers.usd_per_hour)


def _joint(question: Question, option: Option, c: int) -> JointScores:
    """Return joint correctness of a cascade's two sides for its largest class."""
    singles = {o.parts[0]: o for o in question.options if len(o.parts) == 1}
    small, large = (singles[p] for p in option.parts)
    metric = question.facts.scenario.metric_of(question.problem.classes[c]) or ""
    shares = joint_of(small, large, c, metric).shares
    return JointScores(
        both=shares.both, only_second=shares.only_large, only_first=shares.only_small
    )


def _traffic(question: Question, classes: list[tuple[TrafficClass, float]]) -> Workload:
    """Return the busiest hour's traffic of some classes, long enough for their percentiles."""
    total = sum(rate for _, rate in classes)
    whole = question.facts.scenario.workload
    most = max(MOST_REQUESTS, min(total * FILLING_S, MOST_FILLING))
    requests = int(np.clip(total * LONGEST_S, LEAST_REQUESTS, most))
    shared = tuple(
        msgspec.structs.replace(one, share=min(rate / total, 1.0)) for one, rate in classes
    )
    return Workload(
        requests_per_s=total,
        arrivals=whole.arrivals,
        cv=whole.cv,
        classes=shared,
        requests=requests,
    )
