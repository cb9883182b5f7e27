"""Routed pairs and cascades of a cheap and a better option (``docs/quality.md``)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from advisor.errors import InfeasibleError
from advisor.optimizer.capacity import Asked
from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.options import Option, Pool
from advisor.optimizer.problem import Bools, Floats
from advisor.quality.joint import JointShares
from advisor.quality.pairs import PairQuality, find_measured, predict_pair
from advisor.quality.routing import Router, Verifier, cascade, escalation_for, route
from advisor.schema.fact import worst_evidence
from advisor.schema.question import Routing
from advisor.schema.scenario import Scenario

SHARES = (0.3, 0.6)
"""Shares sent to the large model that are offered to the solver beside the floor's own."""
LEAST_GAP = 0.02
"""Models whose scores differ by less need no router."""
EACH_SIDE = 4


def option_usd(option: Option, pools: Sequence[Pool]) -> Floats:
    """``(C,)`` money of one request when replicas are divisible and full."""
    usd = option.usd_per_request.copy()
    for index, seconds in option.uses:
        usd = usd + seconds * pools[index].usd_per_replica_hour / 3600.0
    return usd


def pair_options(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    asked: Asked,
    singles: Sequence[Option],
    pools: Sequence[Pool],
    margin: float = 0.0,
) -> list[Option]:
    """Return routed pairs and cascades worth the solver's time.

    The cheapest options of a few models on each side, where the better one scores higher in
    every class both serve.
    """
    rules = scenario.routing
    if not rules.allowed or rules.max_pairs == 0:
        return []
    metrics = [scenario.metric_of(c.name) for c in classes]
    if not all(metrics):
        return []
    usd = {o.name: float(np.where(o.allowed, option_usd(o, pools), 0.0).sum()) for o in singles}
    ranked = sorted((o for o in singles if o.allowed.all()), key=lambda o: usd[o.name])
    cheap = _distinct(ranked, EACH_SIDE)
    found: list[Option] = []
    pairs = 0
    for small in cheap:
        better = _distinct([o for o in ranked if _better(o, small)], EACH_SIDE)
        for large in better:
            if pairs >= rules.max_pairs or usd[large.name] <= usd[small.name]:
                continue
            pairs += 1
            found += _pair(scenario, classes, asked, small, large, margin)
    return found


def _distinct(options: Sequence[Option], most: int) -> list[Option]:
    """Return the first option of each model."""
    found: dict[tuple[str, ...], Option] = {}
    for option in options:
        found.setdefault(option.model_ids, option)
    return list(found.values())[:most]


def _better(large: Option, small: Option) -> bool:
    apart = not set(large.model_ids) & set(small.model_ids)
    return apart and bool(np.all(large.quality >= small.quality + LEAST_GAP))


def joint_of(small: Option, large: Option, c: int, metric: str) -> PairQuality:
    """Return joint correctness on a metric: counted if a table ships, else extrapolated."""
    counted = _counted(small.model_ids[0], large.model_ids[0], metric)
    if counted is not None:
        return counted
    return _predicted(float(small.quality[c]), float(large.quality[c]))


# Classes often share a metric: each pair is worked out once.
_counted = lru_cache(maxsize=4096)(find_measured)
_predicted = lru_cache(maxsize=4096)(predict_pair)
_route = lru_cache(maxsize=4096)(route)
_escalation = lru_cache(maxsize=4096)(escalation_for)


def router_curve(scenario: Scenario, sides: Sequence[Option], c: int, sent: Floats) -> Floats:
    """Return the score of a routed pair on a class at each share sent to the large model."""
    metric = scenario.metric_of(scenario.workload.classes[c].name) or ""
    shares = joint_of(sides[0], sides[1], c, metric).shares
    router = Router(scenario.routing.router_auc)
    return np.array([_route(router, shares, float(q)).accuracy for q in sent])


def _pair(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    asked: Asked,
    small: Option,
    large: Option,
    margin: float,
) -> list[Option]:
    metrics = [scenario.metric_of(c.name) or "" for c in classes]
    joint = [joint_of(small, large, c, m) for c, m in enumerate(metrics)]
    shares = [j.shares for j in joint]
    evidence = worst_evidence(*(j.evidence for j in joint))
    found = []
    if "router" in scenario.routing.allowed:
        router = Router(scenario.routing.router_auc)
        sent = []
        exact = (
            _sure_shares(scenario, classes, small, large, margin)
            if margin
            else _floor_shares(scenario, classes, router, shares)
        )
        if exact is not None:
            sent.append(exact)
        # A share that reads the same is the same choice: options are told apart by name.
        near = 0.5 / 100.0 if exact is not None else 0.0
        middle = 0.0 if exact is None else float(exact.mean())
        sent = [np.full(len(classes), q) for q in SHARES if abs(q - middle) >= near] + sent
        for q in sent:
            quality = np.array(
                [_route(router, s, float(x)).accuracy for s, x in zip(shares, q, strict=True)]
            )
            found.append(_routed(small, large, q, quality, evidence))
    if "cascade" in scenario.routing.allowed:
        one = _cascaded(scenario.routing, asked, small, large, shares, evidence)
        if one is not None:
            found.append(one)
    return found


def _floor_shares(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    router: Router,
    shares: Sequence[JointShares],
) -> Floats | None:
    """Return the least share to send that meets each class's floor; None if none does.

    A class whose floor no share meets isn't served by the pair: it gets the mean of the others.
    """
    overall = scenario.quality.overall
    wanted = [scenario.floor_of(c.name) or (overall.at_least if overall else 0) for c in classes]
    if not any(wanted):
        return None
    found = np.full(len(classes), np.nan)
    for c, (s, w) in enumerate(zip(shares, wanted, strict=True)):
        try:
            found[c] = _escalation(router, s, w) if w > s.small else 0.0
        except InfeasibleError:
            continue
    if not np.isfinite(found).any():
        return None
    found = np.where(np.isfinite(found), found, np.nanmean(found))
    return found if ((found > 0) & (found < 1)).any() else None


THRESHOLDS = np.linspace(0.0, 1.0, 41)


def _sure_shares(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    small: Option,
    large: Option,
    margin: float,
) -> Floats | None:
    """Return the least share that meets each floor with a margin of the pair's own range."""
    overall = scenario.quality.overall
    sent = np.zeros(len(classes))
    for c, one in enumerate(classes):
        wanted = scenario.floor_of(one.name) or (overall.at_least if overall else 0.0)
        half = np.hypot((1.0 - THRESHOLDS) * small.half80[c], THRESHOLDS * large.half80[c])
        score = router_curve(scenario, (small, large), c, THRESHOLDS) - margin * half
        good = score >= wanted
        if not good.any():
            return None
        sent[c] = THRESHOLDS[good.argmax()]
    return sent if ((sent > 0) & (sent < 1)).any() else None


def _mixed(small: Option, large: Option, of_small: Floats, of_large: Floats) -> dict[str, object]:
    """Return what a pair takes when shares of the requests run on each side."""
    uses: dict[int, Floats] = {}
    for option, share in ((small, of_small), (large, of_large)):
        for index, seconds in option.uses:
            uses[index] = uses.get(index, np.zeros_like(seconds)) + share * seconds
    return {
        "uses": tuple(uses.items()),
        "usd_per_request": of_small * small.usd_per_request + of_large * large.usd_per_request,
        "model_ids": (*small.model_ids, *large.model_ids),
        "parts": (*small.parts, *large.parts),
        "charges": tuple(dict.fromkeys((*small.charges, *large.charges))),
        "most_share": min(small.most_share, large.most_share),
        "half80": np.hypot((1.0 - of_large) * small.half80, of_large * large.half80),
        "user": small.user or large.user,
        "on_devices": (*small.on_devices, *large.on_devices),
        "apis": (*small.apis, *large.apis),
        "tokens": (*small.tokens, *large.tokens),
    }


def _routed(small: Option, large: Option, sent: Floats, quality: Floats, evidence: str) -> Option:
    share = float(sent.mean())
    return Option(
        name=f"{small.name} → {large.name} (router, {share:.0%})",
        kind="routed",
        size=None,
        allowed=small.allowed & large.allowed,
        quality=quality,
        ttft_s=np.maximum(small.ttft_s, large.ttft_s),
        tpot_s=np.maximum(small.tpot_s, large.tpot_s),
        e2e_s=np.maximum(small.e2e_s, large.e2e_s),
        evidence=worst_evidence(small.evidence, large.evidence, evidence),  # type: ignore[arg-type]
        share_to_large=share,
        sent=sent,
        quality_source=f"{small.quality_source}; {large.quality_source}",
        **_mixed(small, large, 1.0 - sent, sent),  # type: ignore[arg-type]
    )


def _cascaded(
    rules: Routing,
    asked: Asked,
    small: Option,
    large: Option,
    shares: Sequence[JointShares],
    evidence: str,
) -> Option | None:
    """Small always answers; a verifier passes doubtful answers on: those requests wait for both."""
    verifier = Verifier(rules.verifier_accepts_right, rules.verifier_catches_wrong)
    mixes = [cascade(verifier, s) for s in shares]
    escalated = np.array([m.escalated for m in mixes])
    # The first word goes out when the small answer is checked; escalated ones start then.
    seen = escalated > asked.tail[:, 0]
    ttft = small.e2e_s + np.where(seen, large.ttft_s, 0.0)
    e2e = small.e2e_s + np.where(seen, large.e2e_s, 0.0)
    tpot = np.where(seen, large.tpot_s, small.tpot_s)
    within: Bools = (ttft <= asked.ttft_s[:, 0]) & (e2e <= asked.e2e_s[:, 0])
    allowed = small.allowed & large.allowed & within
    if not allowed.any():
        return None
    more = rules.verifier_tokens / np.maximum(asked.osl[:, 0], 1.0)
    return Option(
        name=f"{small.name} → {large.name} (cascade, {float(escalated.mean()):.0%})",
        kind="cascade",
        size=None,
        allowed=allowed,
        quality=np.array([m.accuracy for m in mixes]),
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=e2e,
        evidence=worst_evidence(small.evidence, large.evidence, evidence),  # type: ignore[arg-type]
        share_to_large=float(escalated.mean()),
        sent=escalated,
        quality_source=f"{small.quality_source}; {large.quality_source}",
        **_mixed(small, large, 1.0 + more, escalated),  # type: ignore[arg-type]
    )
