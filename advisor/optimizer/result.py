"""The answer of ``advisor recommend``: plans, money, checks, doubts; every number with a range."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from advisor.optimizer.parts import Part, PartTokens, TunedCost, UserSide
from advisor.perf.intervals import Estimate
from advisor.schema.text import Text

PlanKind = Literal["mix", "small", "mid", "large", "api", "device"]
"""``mix``: best of all options; the others: only such options. ``mid``: one mid-size model."""
PLAN_KINDS: tuple[PlanKind, ...] = ("mix", "small", "mid", "large", "api", "device")
OptionKind = Literal["replicas", "api", "device", "cascade", "routed"]
Terms = Literal["rented", "reserved", "owned", "bought"]
LineKind = Literal[
    "rent",
    "spot-risk",
    "own",
    "idle",
    "energy",
    "hosting",
    "api",
    "staff",
    "fine-tune",
    "phone",
    "retrieval",
]


@dataclass(frozen=True)
class Served:
    """What an option serves of a class."""

    class_name: str
    share_of_class: float
    requests_per_month: float


@dataclass(frozen=True)
class PlanOption:
    """One option a plan uses.

    ``parts``: one, or (small, large) of a cascade or a routed pair, of whose requests
    ``share_to_large`` reach the large one. ``tokens``: of each part, for each class served.
    ``user``: what it takes of users' own devices, where it runs there.
    """

    name: str
    kind: OptionKind
    parts: tuple[Part, ...]
    served: tuple[Served, ...]
    share_to_large: float | None = None
    tokens: tuple[PartTokens, ...] = ()
    user: UserSide | None = None


@dataclass(frozen=True)
class Deployment:
    """Whole replicas of one part.

    Parameters
    ----------
    fixed
        Replicas kept all month.
    by_period
        Replicas running in each period, fixed ones included.
    utilisation
        Used over paid replica-hours.
    capacity_factor
        Share of the predicted capacity the plan counts on; below 1 after a replay broke an SLO.
    """

    name: str
    part: Part
    terms: Terms
    fixed: int
    by_period: tuple[int, ...]
    devices: int
    utilisation: float
    usd_per_device_hour: Estimate
    capacity_factor: float = 1.0


@dataclass(frozen=True)
class CostLine:
    """One line of the month's bill; ``idle`` is capacity paid and not used."""

    kind: LineKind
    what: str
    usd_per_month: Estimate


@dataclass(frozen=True)
class LatencyCheck:
    """A latency percentile of a class against its limit.

    ``value`` is planned (the worst option that serves the class); ``replayed`` what the
    simulator measured.
    """

    metric: Literal["ttft", "tpot", "e2e"]
    percentile: float
    value_s: Estimate
    limit_s: float | None
    replayed_s: float | None = None

    @property
    def met(self) -> bool:
        """Whether plan and replay keep the limit."""
        worst = max(self.value_s.value, self.replayed_s or 0.0)
        return self.limit_s is None or worst <= self.limit_s * (1 + 1e-9)


@dataclass(frozen=True)
class QualityCheck:
    """Expected score of a class's answers against its floor; shares between 0 and 1.

    ``value`` None: no floor was asked for and no score is known.
    """

    metric: str
    value: Estimate | None
    floor: float | None
    source: str = ""


@dataclass(frozen=True)
class ClassResult:
    """One class of requests under a plan."""

    name: str
    requests_per_month: float
    latency: tuple[LatencyCheck, ...]
    quality: QualityCheck
    usd_per_request: float


@dataclass(frozen=True)
class Plan:
    """One way to serve everything.

    Parameters
    ----------
    usd_per_1000_characters
        Money per 1,000 characters of text in and out; None without tokenizer facts.
    power_w
        Peak over the periods, building included; None where a device has no power figure.
    chips
        Device id → devices at the peak.
    gap
        Relative distance to the best bound proven by the solver.
    """

    kind: PlanKind
    options: tuple[PlanOption, ...]
    deployments: tuple[Deployment, ...]
    lines: tuple[CostLine, ...]
    usd_per_month: Estimate
    usd_per_mtok: Estimate
    usd_per_1000_characters: Estimate | None
    classes: tuple[ClassResult, ...]
    quality: QualityCheck
    power_w: Estimate | None
    kgco2e_per_month: Estimate | None
    chips: dict[str, int]
    gap: float


@dataclass(frozen=True)
class Alternative:
    """The best plan of one kind, or why there is none, and why it lost."""

    kind: PlanKind
    plan: Plan | None
    why: Text


@dataclass(frozen=True)
class BindingLimit:
    """A limit that costs money; prices are what one more unit of it saves."""

    name: str
    unit: str
    value: float
    used: float
    saved_usd_per_month: float
    shadow_usd_per_month: float | None


@dataclass(frozen=True)
class FrontStep:
    """One undominated plan, named by what it uses most."""

    measure: float
    usd_per_month: float
    plan: str


@dataclass(frozen=True)
class Front:
    """Cost against quality (share right) or against latency (seconds end to end)."""

    measure: Literal["quality", "latency"]
    steps: tuple[FrontStep, ...]


@dataclass(frozen=True)
class TornadoBar:
    """Cost of the recommended plan when one input goes to both ends of its 80 % range."""

    name: str
    what: Text
    low_usd_per_month: float
    high_usd_per_month: float


@dataclass(frozen=True)
class Flip:
    """Where another plan takes over.

    Parameters
    ----------
    name
        Key of the input that moves.
    at, unit
        Value at which the plans cost the same, in the unit stated.
    stated
        Value in the scenario.
    side
        Other plan wins below or above.
    winner
        Name of the plan that takes over, and its kind.
    """

    name: str
    at: float
    unit: str
    stated: float
    side: Literal["below", "above"]
    winner: str
    winner_kind: PlanKind


@dataclass(frozen=True)
class Uncertainty:
    """How sure the recommendation is, over ``samples`` draws with common random numbers.

    Parameters
    ----------
    probability_cheapest
        Plan kind → share of draws in which it is the cheapest that keeps every limit.
    probability_feasible, probability_as_planned
        Share of draws in which the recommended plan keeps every limit: with routers set anew
        and classes moved among its options as the scores drawn ask for; with flows as they are.
    regret_usd_per_month
        Mean extra cost of the recommended plan over the cheapest feasible one of each draw.
    """

    samples: int
    seed: int
    probability_cheapest: dict[PlanKind, float]
    probability_feasible: float
    probability_as_planned: float
    regret_usd_per_month: float
    tornado: tuple[TornadoBar, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Safer:
    """The cheapest plan that keeps floors and budget in a wanted share of draws, if any does."""

    wanted: float
    plan: Plan | None
    probability: float | None
    over_winner: float | None


@dataclass(frozen=True)
class WayOut:
    """Least change of one limit that makes the question answerable, checked by solving.

    ``value`` None: no change of this limit alone helps.
    """

    name: str
    unit: str
    stated: float
    value: float | None
    usd_per_month: float | None


@dataclass(frozen=True)
class Infeasible:
    """Limits that clash: each is needed for the clash."""

    limits: tuple[str, ...]
    ways_out: tuple[WayOut, ...]


@dataclass(frozen=True)
class ReplayRound:
    """One replay: requests simulated, cost, and the worst class against its limit."""

    requests: int
    usd_per_month: float
    planned_usd_per_month: float
    worst_class: str
    worst_metric: str
    worst_over_limit: float
    factors: dict[str, float]


@dataclass(frozen=True)
class Replay:
    """Rounds of plan and replay; ``agreed``: SLOs hold and cost is within 2 % in the last."""

    kind: PlanKind
    rounds: tuple[ReplayRound, ...]
    agreed: bool


@dataclass(frozen=True)
class Searched:
    """How much was looked at."""

    models: int
    devices: int
    engines: int
    formats: int
    layouts: int
    evaluated: int
    kept: int


@dataclass(frozen=True)
class Verdict:
    """Facts of the one-sentence answer, each taken from the plans."""

    winner_kind: PlanKind
    winner: str
    usd_per_month: float
    runner_kind: PlanKind | None
    runner: str
    runner_over_winner: float | None
    probability_cheapest: float | None
    flip: Flip | None
    safer: str = ""
    safer_usd_per_month: float | None = None
    safer_probability: float | None = None
    as_planned: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """All of one answer; ``plan`` None: nothing fits, see ``infeasible``.

    ``currency`` and ``per_usd`` are for rendering: all money here is in US dollars.
    ``data``: versions and dates of what the answer rests on. ``tuned``: every tuned model of
    the scenario, whether it serves or not.
    """

    title: str
    title_zh: str
    currency: str
    per_usd: float
    plan: Plan | None
    verdict: Verdict | None
    alternatives: tuple[Alternative, ...]
    binding: tuple[BindingLimit, ...]
    fronts: tuple[Front, ...]
    uncertainty: Uncertainty | None
    safer: Safer | None
    infeasible: Infeasible | None
    replays: tuple[Replay, ...]
    excluded: dict[str, Text]
    searched: Searched
    assumptions: tuple[Text, ...]
    warnings: tuple[Text, ...]
    oldest_price: dt.date | None
    data: dict[str, str]
    tuned: tuple[TunedCost, ...] = ()
