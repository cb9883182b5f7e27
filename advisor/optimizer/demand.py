"""What is asked: classes with mean lengths and limits, and their rates over the week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from advisor.errors import UsageError
from advisor.optimizer.problem import Floats
from advisor.schema.question import Retrieval
from advisor.schema.traffic_facts import Lognormal, Pairs, Quantiles
from advisor.schema.workload import Slo, TrafficClass, Workload
from advisor.traffic.facts import get_preset
from advisor.traffic.rate import week_shape

HOURS_PER_MONTH = 8766.0 / 12.0
"""A twelfth of 365.25 days."""
DAYS_PER_MONTH = HOURS_PER_MONTH / 24.0
WEEKEND_SHARE = 2.0 / 7.0
NO_LIMIT = Slo(e2e_s=1e9)
"""Stands for a class without limits."""


@dataclass(frozen=True)
class ClassDemand:
    """One class of requests: mean lengths, spread, limits.

    ``isl_cv`` and ``osl_cv`` are standard deviation over mean.
    """

    name: str
    share: float
    isl_tokens: float
    osl_tokens: float
    isl_cv: float
    osl_cv: float
    slo: Slo
    has_slo: bool
    privacy: str


@dataclass(frozen=True, eq=False)
class Demand:
    """Classes and periods.

    Parameters
    ----------
    per_s
        ``(C, T)`` requests per second; T = 48: 24 hours of a weekday, 24 of a weekend day.
    hours
        ``(T,)`` hours of each period in a month.
    """

    classes: tuple[ClassDemand, ...]
    per_s: Floats
    hours: Floats

    @property
    def requests_per_month(self) -> Floats:
        """``(C,)`` requests of each class in a month."""
        return np.asarray(self.per_s @ self.hours * 3600.0)

    def scaled(self, factor: float) -> Demand:
        """Return the same demand, so many times as large."""
        return Demand(self.classes, self.per_s * factor, self.hours)


def lengths_of(one: TrafficClass) -> tuple[float, float, float, float]:
    """Return mean prompt and answer tokens of a class and their spreads.

    Raises
    ------
    UsageError
        If the class states neither lengths nor a preset.
    """
    if one.isl_tokens is not None and one.osl_tokens is not None:
        return one.isl_tokens, one.osl_tokens, one.isl_cv, one.osl_cv
    if one.preset is None:
        msg = f"class {one.name!r} needs preset, or isl_tokens and osl_tokens"
        raise UsageError(msg)
    law = get_preset(one.preset).lengths
    if isinstance(law, Lognormal):
        return law.isl_tokens, law.osl_tokens, law.isl_cv, law.osl_cv
    isl, osl = _table(law)
    return (
        float(isl.mean()),
        float(osl.mean()),
        float(isl.std() / isl.mean()),
        float(osl.std() / osl.mean()),
    )


def _table(law: Pairs | Quantiles) -> tuple[Floats, Floats]:
    if isinstance(law, Pairs):
        return np.asarray(law.input_tokens, dtype=float), np.asarray(law.output_tokens, dtype=float)
    at = (np.arange(1000) + 0.5) / 1000.0
    return (
        np.interp(at, law.probabilities, law.input_tokens),
        np.interp(at, law.probabilities, law.output_tokens),
    )


def demand_of(workload: Workload, horizon_months: float = 0.0) -> Demand:
    """Return classes and rates of a workload.

    Growth counts at the end of the horizon: a plan must hold until then.

    Raises
    ------
    UsageError
        If the load isn't stated as a rate, or a class has no lengths.
    """
    mean = workload.mean_per_s
    if mean is None:
        msg = (
            "a recommendation needs the load as requests_per_s or requests_per_month; "
            "a trace or clients can be replayed, not planned"
        )
        raise UsageError(msg)
    grown = mean * (1.0 + workload.growth_per_year) ** (horizon_months / 12.0)
    week = np.asarray(week_shape(workload), dtype=float)
    shape = np.concatenate([week[:24], week[120:144]])
    hours = np.concatenate(
        [
            np.full(24, DAYS_PER_MONTH * (1.0 - WEEKEND_SHARE)),
            np.full(24, DAYS_PER_MONTH * WEEKEND_SHARE),
        ]
    )
    classes = tuple(_class(one) for one in workload.classes)
    shares = np.array([one.share for one in classes])
    return Demand(classes, shares[:, None] / shares.sum() * grown * shape[None, :], hours)


def after_retrieval(demand: Demand, rows: Sequence[Retrieval]) -> Demand:
    """Return the demand with limits shorter by what its requests wait for retrieval.

    Raises
    ------
    UsageError
        If retrieval alone takes longer than a limit allows.
    """
    classes = []
    for one in demand.classes:
        waited = sum(r.seconds for r in rows if r.traffic_class == one.name)
        classes.append(replace(one, slo=_shorter(one, waited)) if waited else one)
    return replace(demand, classes=tuple(classes))


def _shorter(one: ClassDemand, waited_s: float) -> Slo:
    left = {}
    for name in ("ttft_s", "e2e_s"):
        limit = getattr(one.slo, name)
        if limit is not None and limit <= waited_s:
            msg = f"class {one.name!r}: retrieval takes {waited_s:g} s of a {name} of {limit:g} s"
            raise UsageError(msg)
        left[name] = None if limit is None else limit - waited_s
    return msgspec.structs.replace(one.slo, **left)


def _class(one: TrafficClass) -> ClassDemand:
    isl, osl, isl_cv, osl_cv = lengths_of(one)
    return ClassDemand(
        name=one.name,
        share=one.share,
        isl_tokens=isl,
        osl_tokens=osl,
        isl_cv=isl_cv,
        osl_cv=osl_cv,
        slo=one.slo or NO_LIMIT,
        has_slo=one.slo is not None,
        privacy=one.privacy,
    )
