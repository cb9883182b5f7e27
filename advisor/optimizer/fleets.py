"""A plan as fleets and traffic for the simulator: its busiest hour.

Classes split over several options become sub-classes, one an option, since a router that can't
see lengths splits them at random; a routed pair is split the same way. A cascade runs as such.
Options that share replicas are replayed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.kinds import Solved
from advisor.optimizer.options import Option
from advisor.optimizer.pairs import joint_of
from advisor.optimizer.plans import LEAST_SHARE
from advisor.optimizer.tokens import token_factors
from advisor.schema.fleet import ApiTier, DeviceTier, Fleet, JointScores, ReplicaTier, Route, Tier
from advisor.schema.workload import TrafficClass, Workload

LEAST_REQUESTS, MOST_REQUESTS = 2_000, 6_000
LONGEST_S = 3600.0


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

    def of_api(self, index: int) -> str:
        """Return the name of an API's tier."""
        key = ("api", index)
        if key in self._known:
            return self._known[key]
        offer = self._question.facts.scenario.use.apis[index]
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
                usd_per_mtok_input=offer.usd_per_mtok_input,
                usd_per_mtok_cached=offer.usd_per_mtok_cached,
                usd_per_mtok_output=offer.usd_per_mtok_output,
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


def _sides(question: Question, option: Option) -> list[tuple[int | None, float]]:
    """Return (pool, share of requests) of an option; None stands for its API."""
    if option.kind != "routed":
        return [(option.uses[0][0] if option.uses else None, 1.0)]
    sent = option.share_to_large or 0.0
    pools = [p for p, _ in option.uses]
    small = _pool_of(question, option, pools, 0)
    large = _pool_of(question, option, pools, 1)
    return [(small, 1.0 - sent), (large, sent)]


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
                rate = float(flow[i, c]) * part
                if rate <= LEAST_SHARE:
                    continue
                tier = _tier(question, tiers, option, pool, rate)
                name = f"{source.name} ({i}.{side})"
                parts = option.parts
                model = parts[min(side, len(parts) - 1)].model_id
                own = _in_tokens_of(question, source, c, model)
                classes.append((msgspec.structs.replace(own, name=name), rate))
                routes[name], parents[name] = tier, source.name
                if option.api is not None and pool is None:
                    tiers.usd_per_hour += rate * 3600.0 * _api_usd(question, option, c)
    first = next(iter(routes.values()))
    route = Route(first=first, mode="by-class", classes=routes)
    fleet = Fleet(tier=tuple(tiers.tiers), route=route, site=question.facts.site.id)
    return Part(fleet, _traffic(question, classes), parents, tiers.pools, tiers.usd_per_hour)


def _in_tokens_of(question: Question, source: TrafficClass, c: int, model: str) -> TrafficClass:
    """Return a class with its lengths in a model's own tokens; preset lengths stay."""
    scenario = question.facts.scenario
    factor = float(token_factors(model, scenario.use.tokens_of, scenario.workload.classes)[c])
    if factor == 1.0 or source.isl_tokens is None or source.osl_tokens is None:
        return source
    return msgspec.structs.replace(
        source,
        isl_tokens=max(source.isl_tokens * factor, 1.0),
        osl_tokens=max(source.osl_tokens * factor, 1.0),
        shared_prefix_tokens=int((source.shared_prefix_tokens or 0) * factor),
    )


def _api_usd(question: Question, option: Option, c: int) -> float:
    """Money of one call of the API an option uses."""
    own = next(o for o in question.options if o.kind == "api" and o.api == option.api)
    return float(own.usd_per_request[c])


def _tier(question: Question, tiers: _Tiers, option: Option, pool: int | None, rate: float) -> str:
    if pool is not None:
        return tiers.of_pool(pool)
    if option.api is not None:
        return tiers.of_api(option.api)
    return tiers.of_device(option, rate)


def _cascade_part(question: Question, one: Solved, index: int, t: int) -> Part:
    option = question.options[index]
    flow = one.found.flow_per_s[index, :, t]
    tiers = _Tiers(question, one, t)
    pools = [p for p, _ in option.uses]
    names = []
    for side in (0, 1):
        pool = _pool_of(question, option, pools, side)
        names.append(_tier(question, tiers, option, pool, float(flow.sum())))
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
        joint=_joint(question, option, int(np.argmax(flow))),
        site=question.facts.site.id,
    )
    sources = question.facts.scenario.workload.classes
    classes = [(s, float(r)) for s, r in zip(sources, flow, strict=True) if r > LEAST_SHARE]
    if option.api is not None:
        sent = option.share_to_large or 0.0
        tiers.usd_per_hour += sum(
            float(r) * sent * 3600.0 * _api_usd(question, option, c) for c, r in enumerate(flow)
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
    requests = int(np.clip(total * LONGEST_S, LEAST_REQUESTS, MOST_REQUESTS))
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
