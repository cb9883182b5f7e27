"""What a plan would cost at another volume: its shares kept, its replicas whole.

A pattern is what part of each class an option serves in each hour. Cost at a volume is a closed
form (:func:`advisor.optimizer.tighten.on_replicas`), so that curves with many points are quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.mix import MixSolution
from advisor.optimizer.options import kind_of
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats, Limit, MixProblem
from advisor.optimizer.result import PlanKind
from advisor.optimizer.search import ROUGH, best_plan
from advisor.optimizer.singles import Singles
from advisor.optimizer.tighten import on_replicas

LEAST_SHARE = 1e-6
SAME = 1.0 + 1e-9


@dataclass(frozen=True, eq=False)
class Pattern:
    """``(O, C, T)`` shares of a plan, its kind, and the names of its main options."""

    shares: Floats
    kind: PlanKind
    name: str


def pattern_of(question: Question, found: MixSolution) -> Pattern:
    """Return the pattern of a solution."""
    problem = question.problem
    demand = np.where(problem.demand_per_s > 0, problem.demand_per_s, 1.0)
    shares = found.flow_per_s / demand
    volume = (found.flow_per_s @ problem.hours).sum(axis=1)
    used = [int(i) for i in np.argsort(-volume) if volume[i] > LEAST_SHARE * volume.sum()]
    rest = f" + {len(used) - 2}" if len(used) > 2 else ""
    name = " + ".join(question.options[i].name for i in used[:2]) + rest
    return Pattern(shares, kind_of([question.options[i] for i in used]), name)


def at_volume(question: Question, factor: float) -> Question:
    """Return the question at so many times the volume."""
    problem = question.problem
    limits = tuple(
        replace(x, scale=x.scale * factor) if x.name == "quality" else x for x in problem.limits
    )
    scaled = replace(problem, demand_per_s=problem.demand_per_s * factor, limits=limits)
    return replace(question, problem=scaled)


def patterns_at(question: Question, factors: Sequence[float]) -> list[Pattern]:
    """Solve the mix at a few volumes, and return what the plans look like."""
    found = []
    for factor in factors:
        asked = at_volume(question, factor)
        plan = best_plan(asked, effort=ROUGH)
        if plan.feasible:
            found.append(pattern_of(asked, plan))
    return found


class Curve:
    """Least cost of each kind of plan at any volume: options alone, and patterns."""

    def __init__(self, question: Question, patterns: Sequence[Pattern]) -> None:
        self.question = question
        self._singles = Singles(question)
        self._patterns = tuple(patterns)
        self._cost = lru_cache(maxsize=4096)(self._cost_of)

    def best(self, kind: PlanKind, factor: float) -> tuple[float, str, int]:
        """Return dollars a month, name and devices of the cheapest plan of a kind.

        ``mix`` is the cheapest of all. Infinite and empty where there is none.
        """
        usd, option, devices = self._singles.best(kind, factor)
        name = self.question.options[option].name if option is not None else ""
        for i, pattern in enumerate(self._patterns):
            if kind not in ("mix", pattern.kind):
                continue
            paid, count = self._cost(i, factor)
            if paid * SAME < usd:
                usd, name, devices = paid, pattern.name, count
        return usd, name, devices

    def of_set(self, index: int, factor: float) -> float:
        """Return the least cost of a pattern, or of everything on one of its options."""
        shares = self._patterns[index].shares
        alone = self._singles.every_at(factor)
        inside = [alone.get(int(i), np.inf) for i in np.nonzero(shares.sum(axis=(1, 2)))[0]]
        return min(self._cost(index, factor)[0], *inside)

    def _cost_of(self, index: int, factor: float) -> tuple[float, int]:
        problem = self.question.problem
        flow = self._patterns[index].shares * problem.demand_per_s * factor
        load = np.zeros((len(problem.pools), len(problem.hours)))
        for option, pool, seconds in zip(
            problem.use_option, problem.use_pool, problem.use_s, strict=True
        ):
            load[pool] += seconds @ flow[option]
        fixed, scaled, usd = on_replicas(load, problem)
        month = flow @ problem.hours * SECONDS_PER_HOUR
        serving = np.nonzero(flow.sum(axis=(1, 2)) > 0)[0]
        charged = np.zeros(len(problem.charge_usd_per_month))
        charged[problem.charge_index[np.isin(problem.charge_option, serving)]] = 1.0
        total = float(usd.sum() + (month * problem.usd_per_request).sum())
        total += float(charged @ problem.charge_usd_per_month)
        for limit in problem.limits:
            if not _kept(problem, limit, flow, fixed, scaled, charged, factor):
                return np.inf, 0
        devices = np.array([p.devices for p in self.question.pools])
        return total, int(((fixed + scaled.max(axis=1, initial=0.0)) * devices).sum())


def _kept(
    problem: MixProblem,
    limit: Limit,
    flow: Floats,
    fixed: Floats,
    scaled: Floats,
    charged: Floats,
    factor: float,
) -> bool:
    """Tell whether a plan at a volume keeps a limit."""
    used: Floats = np.zeros(len(problem.hours) if limit.each_period else 1)
    if limit.per_request.size:
        per = (limit.per_request[:, :, None] * flow).sum(axis=(0, 1))
        used = used + (per if limit.each_period else per @ problem.hours * SECONDS_PER_HOUR)
    if limit.per_fixed.size:
        used = used + limit.per_fixed @ fixed
        if limit.each_period:
            used = used + limit.per_fixed @ scaled
    if limit.per_scaled.size and not limit.each_period:
        used = used + limit.per_scaled @ (scaled @ problem.hours)
    if limit.per_charge.size and not limit.each_period:
        used = used + limit.per_charge @ charged
    scale = limit.scale * (factor if limit.name == "quality" else 1.0)
    if limit.sense == "at-least":
        return bool(used.min() * SAME >= limit.value * scale)
    return bool(used.max() <= limit.value * scale * SAME)
