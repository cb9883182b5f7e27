"""Deployments worth the solver's time: model x device x engine x format x replica size.

Every combination is bounded first (:mod:`advisor.optimizer.bounds`), then the promising ones
are evaluated with the step model, cheapest bound first; a combination is skipped once another
of the same size class, at least as good in every class of requests, is known to cost less than
its bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.errors import AdvisorError
from advisor.estimator.placement import memory_plan
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.optimizer.bounds import Bounds, Variant, bounds_of, variants_of
from advisor.optimizer.capacity import (
    Asked,
    Capacity,
    LoadCurve,
    asked_of,
    curve_of,
    mean_context,
    within_limits,
)
from advisor.optimizer.demand import Demand
from advisor.optimizer.hardware import HIRED, Hardware
from advisor.optimizer.models import ModelChoice
from advisor.optimizer.problem import Floats
from advisor.perf.layout import Layout, check_layout
from advisor.perf.load import Profile
from advisor.perf.step import StepModel
from advisor.schema.engine import EngineCost
from advisor.schema.question import Use

PER_MODEL = 2
"""Deployments kept of each model on each device."""
PER_DEVICE = 12
"""Deployments of each size class evaluated on each device."""
MOST_EVALUATED = 80
"""Deployments of each size class evaluated in all."""
MOST_WEAK = 24
"""Deployments evaluated of models that meet no floor: they only serve in pairs."""
TYPICAL_LOAD = 0.6
"""Share of the design power counted when deployments are ranked; the bill counts exactly."""
LEAST_PRICE = 1e-6
"""US dollars an hour that stand for a device already paid for."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One deployment and what one replica of it does.

    Parameters
    ----------
    capacity
        What one replica serves; 0 for a class it can't serve.
    score
        ``(C,)`` expected share right, NaN where unknown.
    context
        ``(C,)`` mean tokens a running sequence holds.
    """

    model: ModelChoice
    hardware: Hardware
    setup: Setup
    layout: Layout
    capacity: Capacity
    score: Floats
    context: Floats
    step: StepModel
    profile: Profile

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.layout.devices_per_replica

    @property
    def usd_per_replica_hour(self) -> float:
        """Price of a replica-hour at its cheapest offer, electricity apart."""
        return self.hardware.offers[0].usd_per_device_hour.value * self.devices

    @property
    def name(self) -> str:
        """Model @ devices x device, format."""
        count = f"{self.devices}x " if self.devices > 1 else ""
        return f"{self.model.name} @ {count}{self.setup.device.name} ({self.setup.weights.id})"


@dataclass(frozen=True, eq=False)
class CandidateList:
    """Deployments kept, and how many were looked at."""

    kept: tuple[Candidate, ...]
    combinations: int
    possible: int
    evaluated: int
    engines: int
    formats: int


def layout_for(setup_node: int, size: int) -> Layout:
    """Split a replica over ``size`` devices: tensor parallel in a node, stages across nodes."""
    tp = min(size, max(setup_node, 1))
    return Layout(tp=tp, pp=max(size // tp, 1))


def profile_of(setup: Setup) -> Profile:
    """Return the scheduler's limits of a setup; lengths and batch are filled in by class."""
    cost: EngineCost = setup.cost
    extra = setup.family.efficiency.first_token_s or 0.0
    if extra:
        import msgspec

        cost = msgspec.structs.replace(cost, per_request_s=cost.per_request_s + extra)
    scheduler = setup.engine.scheduler
    return Profile(
        isl_tokens=1.0,
        osl_tokens=1.0,
        max_step_tokens=cost.step_tokens or scheduler.max_step_tokens.value,
        max_sequences=scheduler.max_sequences.value,
        prefill_alone=scheduler.prefill_alone,
        cost=cost,
    )


def sequences_of(setup: Setup, layout: Layout, asked: Asked, limit: int | None = None) -> Floats:
    """``(C,)`` sequences of each class that fit in one replica's memory."""
    found = []
    for context in mean_context(asked):
        plan = memory_plan(setup, layout, float(math.ceil(context)))
        count = plan.sequences if plan.fits else 0
        found.append(min(count, limit) if limit else count)
    return np.array(found, dtype=float)


@dataclass(frozen=True, eq=False)
class Deployed:
    """What of a deployment doesn't depend on limits."""

    setup: Setup
    layout: Layout
    sequences: Floats
    step: StepModel
    profile: Profile
    curve: LoadCurve


Seen = dict[tuple[str, str, str, str, int, bytes], Deployed | None]
"""Deployments worked out before; None: it doesn't fit."""


def _deployed(variant: Variant, hardware: Hardware, size: int, asked: Asked) -> Deployed | None:
    """Return what a replica does under any load, None if it doesn't fit."""
    request = EstimateRequest(
        model=variant.model.model.id,
        hw=hardware.device.id,
        engine=variant.engine.id,
        precision=variant.weights.id,
    )
    try:
        setup = resolve(request)
        layout = layout_for(hardware.device.link.devices_per_node, size)
        check_layout(setup.shape, layout, setup.model.name)
        sequences = sequences_of(setup, layout, asked)
        if not (sequences >= 1).any():
            return None
        model = step_model(setup, layout)
        profile = profile_of(setup)
        curve = curve_of(model, profile, asked, sequences)
    except AdvisorError:
        return None
    return Deployed(setup, layout, sequences, model, profile, curve)


def evaluate(
    variant: Variant,
    hardware: Hardware,
    size: int,
    asked: Asked,
    four_bit_loss: float,
    seen: Seen,
) -> Candidate | None:
    """Return what a replica does, None if it doesn't fit or keeps no class's limits.

    ``seen`` holds what was worked out before, and is added to.
    """
    asked = variant.model.tokens.applied(asked)
    names = (variant.model.id, hardware.device.id, variant.engine.id, variant.weights.id)
    key = (*names, size, asked.key())
    if key not in seen:
        seen[key] = _deployed(variant, hardware, size, asked)
    found = seen[key]
    if found is None:
        return None
    setup = found.setup
    capacity = within_limits(found.curve, asked, found.sequences)
    score = variant.model.values
    if setup.weights.bits_per_weight < 8.0 and setup.weights.id != setup.model.native_format:
        score = np.clip(score - four_bit_loss, 0.0, 1.0)
    context = setup.model.max_context_tokens
    longest = asked.isl[:, 0] + asked.osl[:, 0]
    fits = np.ones(len(longest), dtype=bool) if context is None else longest <= context
    known = np.isfinite(score) | np.array([s is None for s in variant.model.scores])
    known &= variant.model.tokens.known
    served = np.where(fits & known, capacity.per_s, 0.0)
    if not (served > 0).any():
        return None
    capacity = replace(capacity, per_s=served)
    return Candidate(
        variant.model,
        hardware,
        setup,
        found.layout,
        capacity,
        score,
        mean_context(asked),
        found.step,
        found.profile,
    )


@dataclass(frozen=True)
class Pruning:
    """What ranks deployments before they are worked out.

    Parameters
    ----------
    scarce
        Devices of which only so many may be used.
    usd_per_watt_hour
        Electricity of a device's own power, host and building included.
    most_usd_per_hour
        Replicas whose device-hours alone cost more are left out.
    """

    scarce: frozenset[str] = frozenset()
    usd_per_watt_hour: float = 0.0
    most_usd_per_hour: float = math.inf


def candidates_of(
    models: Sequence[ModelChoice],
    hardware: Sequence[Hardware],
    demand: Demand,
    use: Use,
    four_bit_loss: float,
    seen: Seen,
    pruning: Pruning | None = None,
) -> CandidateList:
    """Enumerate, bound, evaluate, prune.

    Parameters
    ----------
    models, hardware, demand, use
        The question's.
    four_bit_loss
        Share of 1 that weights below 8 bits cost.
    seen
        Deployments worked out before, and those that come now.
    pruning
        What ranks and leaves out; None: prices alone.
    """
    pruning = pruning or Pruning()
    asked = asked_of(demand.classes)
    variants = variants_of(models, use.engines, use.precisions)
    if not variants or not hardware:
        return CandidateList((), 0, 0, 0, 0, 0)
    bounds = bounds_of(variants, hardware, asked, use.max_devices_per_replica)
    hours = np.array([_hour(h, pruning.usd_per_watt_hour) for h in hardware])
    rate = np.asarray(demand.per_s @ demand.hours / demand.hours.sum())
    least = _least_usd(bounds, hours, rate)
    device = np.array([h.offers[0].usd_per_device_hour.value for h in hardware])[:, None]
    least[:, device * np.array(bounds.sizes, dtype=float) > pruning.most_usd_per_hour] = np.inf
    search = _Search(bounds, hardware, least, rate, pruning.scarce)
    kept = search.run(asked, four_bit_loss, seen)
    return CandidateList(
        kept=tuple(kept),
        combinations=int(least.size),
        possible=int(np.isfinite(least).sum()),
        evaluated=search.evaluated,
        engines=len({v.engine.id for v in variants}),
        formats=len({v.weights.id for v in variants}),
    )


def _hour(hardware: Hardware, usd_per_watt_hour: float) -> float:
    """Return the least hourly price of a device, with electricity where that is apart."""
    tdp = hardware.device.power.tdp_w
    current = TYPICAL_LOAD * tdp.value * usd_per_watt_hour if tdp else 0.0
    return min(
        o.usd_per_device_hour.value + (0.0 if o.terms in HIRED else current)
        for o in hardware.offers
    )


def _least_usd(bounds: Bounds, hours: Floats, rate: Floats) -> Floats:
    """Hourly cost of serving all classes alone at least, ``(V, D, S)``; infinite: impossible."""
    # A class that can't be served there costs nothing there.
    seconds = np.where(np.isfinite(bounds.request_s), bounds.request_s, 0.0)
    replicas = np.maximum((seconds * rate).sum(axis=-1), 1.0)
    # An owned device at no price still ranks by the devices it takes.
    price = np.maximum(hours, LEAST_PRICE)[None, :, None] * np.array(bounds.sizes, dtype=float)
    return np.where(bounds.possible, replicas * price, np.inf)


def _group(hardware: Hardware, scarce: frozenset[str]) -> str:
    """Return the name of the devices a device competes with."""
    terms = {o.terms for o in hardware.offers}
    if hardware.device.id in scarce or "owned" in terms:
        return hardware.device.id
    return "rented" if "rented" in terms else "bought"


def _allot(spent: dict[str, int], model: ModelChoice, hardware: Hardware) -> bool:
    """Count one evaluation against its quotas; False if one is used up."""
    quotas = {model.size: MOST_EVALUATED, f"{model.size}@{hardware.device.id}": PER_DEVICE}
    if not model.strong:
        quotas = {"weak": MOST_WEAK}
    if any(spent.get(key, 0) >= most for key, most in quotas.items()):
        return False
    for key in quotas:
        spent[key] = spent.get(key, 0) + 1
    return True


class _Search:
    """Evaluates combinations by rising bound and strikes out those that can't win any more."""

    def __init__(
        self,
        bounds: Bounds,
        hardware: Sequence[Hardware],
        least: Floats,
        rate: Floats,
        scarce: frozenset[str],
    ) -> None:
        self.bounds, self.hardware, self.least, self.rate = bounds, hardware, least, rate
        self.evaluated = 0
        self._alive = np.isfinite(least)
        values = [np.nan_to_num(v.model.values, nan=-1.0) for v in bounds.variants]
        self._score = np.array(values).reshape(len(values), -1 if values else 1)
        self._size = np.array([v.model.size for v in bounds.variants])
        self._model = np.array([v.model.id for v in bounds.variants])
        # A device that is limited or owned is a choice of its own; what is only for sale
        # competes with what is for sale.
        self._group = np.array([_group(h, scarce) for h in hardware])

    def run(self, asked: Asked, four_bit_loss: float, seen: Seen) -> list[Candidate]:
        """Return the deployments worth keeping."""
        kept: list[Candidate] = []
        per: dict[tuple[str, str], int] = {}
        spent: dict[str, int] = {}
        order = np.argsort(self.least, axis=None, kind="stable")[: np.isfinite(self.least).sum()]
        places = np.stack(np.unravel_index(order, self.least.shape), axis=1).tolist()
        for v, d, s in places:
            if not self._alive[v, d, s]:
                continue
            variant, device = self.bounds.variants[v], self.hardware[d]
            if not _allot(spent, variant.model, device):
                continue
            self.evaluated += 1
            found = evaluate(variant, device, self.bounds.sizes[s], asked, four_bit_loss, seen)
            if found is None:
                continue
            kept.append(found)
            key = (variant.model.id, device.device.id)
            per[key] = per.get(key, 0) + 1
            if per[key] >= PER_MODEL:
                self._alive[self._model == variant.model.id, d] = False
            self._strike(found, v, d)
        return kept

    def _strike(self, found: Candidate, v: int, d: int) -> None:
        """Strike out what this deployment beats: no better in any class, bound no lower."""
        per_s = found.capacity.per_s
        if not (per_s > 0).all():
            return
        replicas = math.ceil(float((self.rate / per_s).sum()))
        price = max(found.usd_per_replica_hour, LEAST_PRICE * found.devices)
        score = np.nan_to_num(found.score, nan=-1.0)
        worse = (self._score <= score).all(axis=1) & (self._size == self._size[v])
        places = self._group == self._group[d]
        beaten = worse[:, None, None] & places[None, :, None] & (self.least >= replicas * price)
        self._alive &= ~beaten
