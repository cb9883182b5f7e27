"""An allocation problem as numbers: classes, options, pools of replicas, limits.

Symbols follow ``docs/optimizer.md``: classes ``c``, periods ``t``, options ``o``, pools ``p``,
charges ``g``. A pool holds whole replicas of one deployment; an option serves requests with
replica-seconds of one pool, of two (a cascade), or of none (an API, a phone).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
SECONDS_PER_HOUR = 3600.0
Sense = Literal["at-most", "at-least"]


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Limit:
    """One limit of the user, a linear row over the plan.

    ``sum(per_request x requests of the month) + sum(per_fixed x fixed replicas) +
    sum(per_scaled x autoscaled replica-hours) <= value x scale`` (or ``>=``). With
    ``each_period`` the same row holds in every period for requests per second and replicas.

    Parameters
    ----------
    name
        Shown to the user and used as key; unique in a problem.
    value
        In the user's own unit.
    scale
        What one unit of ``value`` is worth in the row.
    per_request
        ``(O, C)``, or empty: zero.
    per_fixed, per_scaled
        ``(P,)``, or empty: zero. With ``each_period`` only ``per_fixed`` counts, for both
        kinds of replicas.
    per_charge
        ``(G,)``, or empty: zero.

    Raises
    ------
    UsageError
        If a floor counts replicas or holds in each period.
    """

    name: str
    value: float
    sense: Sense = "at-most"
    scale: float = 1.0
    per_request: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    per_fixed: Floats = field(default_factory=lambda: np.zeros(0))
    per_scaled: Floats = field(default_factory=lambda: np.zeros(0))
    per_charge: Floats = field(default_factory=lambda: np.zeros(0))
    each_period: bool = False

    def __post_init__(self) -> None:
        replicas = self.per_fixed.size or self.per_scaled.size or self.per_charge.size
        if self.sense == "at-least" and (self.each_period or replicas):
            _refuse(f"floor {self.name!r} may count requests of the month only")

    def at(self, value: float) -> Limit:
        """Return the same limit at another value."""
        return replace(self, value=float(value))


@dataclass(frozen=True, eq=False)
class MixProblem:
    """Everything the solver needs, and nothing it doesn't.

    Parameters
    ----------
    demand_per_s
        ``(C, T)`` requests per second.
    hours
        ``(T,)`` hours of each period in a month.
    allowed
        ``(O, C)`` option may serve class.
    usd_per_request
        ``(O, C)`` money that grows with requests: API tokens, energy above idle.
    fixed_usd_per_month
        ``(P,)`` one replica kept for the whole month; infinite: can't be reserved.
    scaled_usd_per_hour
        ``(P,)`` one replica for one hour, when needed; infinite: can't be autoscaled.
    use_option, use_pool, use_s
        ``(U,)``, ``(U,)``, ``(U, C)``: replica-seconds of a pool that one request takes.
    charge_usd_per_month, charge_option, charge_index
        ``(G,)`` money due once if any of the options that name the charge serves anything
        (fine-tuning, an app release); ``(H,)`` pairs of option and charge.
    most_share
        ``(O, C)`` largest share of a class an option can serve (phones that can run the
        model); None: all of it.
    scales_from_zero
        Autoscaled replicas need no fixed one beside them.
    limits
        Limits of the user.

    Raises
    ------
    UsageError
        If shapes differ or a number is negative or not a number.
    """

    classes: tuple[str, ...]
    options: tuple[str, ...]
    pools: tuple[str, ...]
    demand_per_s: Floats
    hours: Floats
    allowed: Bools
    usd_per_request: Floats
    fixed_usd_per_month: Floats
    scaled_usd_per_hour: Floats
    use_option: Ints
    use_pool: Ints
    use_s: Floats
    charge_usd_per_month: Floats = field(default_factory=lambda: np.zeros(0))
    charge_option: Ints = field(default_factory=_none)
    charge_index: Ints = field(default_factory=_none)
    most_share: Floats | None = None
    scales_from_zero: bool = True
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        c, o, p = len(self.classes), len(self.options), len(self.pools)
        shapes = {
            "demand_per_s": (c, len(self.hours)),
            "allowed": (o, c),
            "usd_per_request": (o, c),
            "fixed_usd_per_month": (p,),
            "scaled_usd_per_hour": (p,),
            "use_pool": (len(self.use_option),),
            "use_s": (len(self.use_option), c),
            "charge_index": (len(self.charge_option),),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                _refuse(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name in ("demand_per_s", "hours", "fixed_usd_per_month", "scaled_usd_per_hour"):
            if not (getattr(self, name) >= 0).all():
                _refuse(f"{name} must be 0 or more")
        names = [limit.name for limit in self.limits]
        if len(set(names)) != len(names):
            _refuse(f"two limits share a name: {sorted(names)}")

    def with_limits(self, *limits: Limit) -> MixProblem:
        """Return the problem with other limits."""
        return replace(self, limits=limits)

    def without(self, name: str) -> MixProblem:
        """Return the problem without one limit."""
        return replace(self, limits=tuple(x for x in self.limits if x.name != name))

    def with_value(self, name: str, value: float) -> MixProblem:
        """Return the problem with one limit moved."""
        moved = tuple(x.at(value) if x.name == name else x for x in self.limits)
        return replace(self, limits=moved)

    def limit(self, name: str) -> Limit:
        """Return a limit by name."""
        return next(x for x in self.limits if x.name == name)

    @property
    def requests_per_month(self) -> Floats:
        """``(C,)`` requests of each class in a month."""
        return np.asarray(self.demand_per_s @ self.hours * SECONDS_PER_HOUR)


def merge_periods(problem: MixProblem) -> tuple[MixProblem, Ints]:
    """Join periods of equal demand; returns the smaller problem and each period's new index.

    Replicas and shares are then the same in all periods joined.
    """
    columns, index = np.unique(problem.demand_per_s, axis=1, return_inverse=True)
    index = np.asarray(index, dtype=np.int64).reshape(-1)
    hours = np.zeros(columns.shape[1])
    np.add.at(hours, index, problem.hours)
    return replace(problem, demand_per_s=np.asarray(columns, dtype=float), hours=hours), index


def restrict(problem: MixProblem, keep: Bools) -> MixProblem:
    """Return the problem in which only the options of ``keep`` ``(O,)`` may serve."""
    return replace(problem, allowed=problem.allowed & keep[:, None])


def _refuse(message: str) -> None:
    msg = f"mix: {message}"
    raise UsageError(msg)
