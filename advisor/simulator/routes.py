"""Which tiers each request may see, and whether its answer is right: drawn before the replay.

A router knows class, prompt length and its own score; a verifier sees the first tier's answer.
Both draw from the pair's joint correctness (:mod:`advisor.quality.draws`), from streams of
their own, so that a change of speed or fleet leaves every draw as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UsageError
from advisor.quality import draws
from advisor.quality.joint import JointShares
from advisor.quality.routing import Router, Verifier, router_threshold
from advisor.schema.fleet import DeviceTier, Fleet
from advisor.schema.traffic import Requests
from advisor.simulator.numbers import Routing

_STREAM = 7
Flags = NDArray[np.bool_]
Indexes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """Whether a tier's answer to each request is right, by tier; tiers without a score lack."""

    right: dict[int, Flags] = field(default_factory=dict)


def route(fleet: Fleet, requests: Requests, seed: int) -> tuple[Routing, Answers]:
    """Draw every request's route and the rightness of its answers.

    Raises
    ------
    UsageError
        If the route names a class the traffic doesn't have.
    """
    n = len(requests)
    number = {tier.name: i for i, tier in enumerate(fleet.tier)}
    plan = fleet.route
    kinds = np.random.SeedSequence([seed, _STREAM]).spawn(4)
    streams = [np.random.default_rng(kind) for kind in kinds]
    first = np.full(n, number[plan.first], dtype=np.int64)
    second = np.full(n, -1, dtype=np.int64)
    escalates = np.zeros(n, dtype=np.int64)
    answers = _scored(fleet, n, streams[0])
    to = number[plan.second] if plan.second else -1
    if plan.mode == "by-class":
        first = _by_class(fleet, requests, number)
    elif plan.mode == "by-length":
        first = np.where(requests.input_tokens > (plan.long_input_tokens or 0), to, first)
    elif plan.mode == "device-first":
        first = np.where(_device_can(fleet, requests, number[plan.first], streams[3]), first, to)
    elif plan.mode in ("one-shot", "cascade"):
        shares = _shares(fleet)
        outcomes = draws.draw_outcomes(shares, streams[0].random(n))
        answers.right[number[plan.first]] = draws.small_right(outcomes)
        answers.right[to] = draws.large_right(outcomes)
        if plan.mode == "one-shot":
            first = np.where(_sent_on(fleet, shares, outcomes, streams[1]), to, first)
        else:
            second[:] = to
            verifier = _verifier(fleet)
            escalates = draws.escalations(verifier, outcomes, streams[2].random(n)).astype(np.int64)
    routing = Routing(
        first=first,
        second=second,
        escalates=escalates,
        spill=_spill(fleet, number),
        refusal=_refusal(fleet, number),
        retries=plan.retries,
        verify_s=plan.verifier_s,
        patience_s=requests.deadline_s,
        router_s=plan.router_s if plan.mode == "one-shot" else 0.0,
    )
    return routing, answers


def _scored(fleet: Fleet, n: int, rng: np.random.Generator) -> Answers:
    uniform = rng.random(n)
    known = [(i, tier.score) for i, tier in enumerate(fleet.tier)]
    return Answers({i: uniform < score for i, score in known if score is not None})


def _by_class(fleet: Fleet, requests: Requests, number: dict[str, int]) -> Indexes:
    unknown = sorted(set(fleet.route.classes) - set(requests.class_names))
    if unknown:
        msg = (
            f"fleet.route.classes names {unknown[0]!r}; the traffic has: "
            f"{', '.join(requests.class_names)}"
        )
        raise UsageError(msg)
    tiers = [fleet.route.classes.get(name, fleet.route.first) for name in requests.class_names]
    return np.array([number[t] for t in tiers], dtype=np.int64)[requests.class_index]


def _device_can(fleet: Fleet, requests: Requests, first: int, rng: np.random.Generator) -> Flags:
    tier = fleet.tier[first]
    if not isinstance(tier, DeviceTier):
        msg = f"route mode 'device-first' needs a tier of kind device first, not {tier.name!r}"
        raise UsageError(msg)
    sessions = requests.session if len(requests.session) else np.arange(len(requests))
    people = np.where(sessions >= 0, sessions, np.arange(len(requests)) + sessions.max() + 1)
    supported = rng.random(int(people.max()) + 1) < tier.support_share
    short = requests.input_tokens <= (tier.max_input_tokens or np.inf)
    return np.asarray(supported[people] & short)


def _shares(fleet: Fleet) -> JointShares:
    joint = fleet.joint
    if joint is None:
        msg = "this route needs [fleet.joint]: how often the two tiers are right together"
        raise UsageError(msg)
    rest = max(1.0 - joint.both - joint.only_second - joint.only_first, 0.0)
    return JointShares(joint.both, joint.only_second, joint.only_first, rest)


def _sent_on(
    fleet: Fleet, shares: JointShares, outcomes: draws.Outcomes, rng: np.random.Generator
) -> Flags:
    router = Router(fleet.route.router_auc or 0.5)
    uniform = np.clip(rng.random(len(outcomes)), 1e-12, 1.0 - 1e-12)
    score = draws.router_scores(router, shares, outcomes, uniform)
    return np.asarray(score > router_threshold(router, shares, fleet.route.share_to_second or 0.0))


def _verifier(fleet: Fleet) -> Verifier:
    plan = fleet.route
    return Verifier(plan.verifier_accepts_right or 0.0, plan.verifier_catches_wrong or 0.0)


def _spill(fleet: Fleet, number: dict[str, int]) -> dict[int, tuple[int, int]]:
    plan = fleet.route
    if plan.spill is None or plan.spill_outstanding is None:
        return {}
    return {number[plan.first]: (number[plan.spill], plan.spill_outstanding)}


def _refusal(fleet: Fleet, number: dict[str, int]) -> dict[int, int]:
    if fleet.route.on_refusal is None:
        return {}
    to = number[fleet.route.on_refusal]
    return {i: to for i in number.values() if i != to}
