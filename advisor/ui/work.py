"""Long work behind the pages: each question is answered once, whoever asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from advisor.optimizer.fleets import Part
from advisor.optimizer.result import Recommendation
from advisor.optimizer.result_curves import Breakeven
from advisor.schema.scenario import Scenario

T = TypeVar("T")
AT_ONCE = 2
"""Optimisations that run side by side: more would only slow each other."""


class Once(Generic[T]):
    """Answers by key: a question being answered is waited for, not asked again.

    Parameters
    ----------
    most
        Answers kept, the latest used last.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._found: OrderedDict[object, T] = OrderedDict()
        self._running: dict[object, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: object, answer: Callable[[], T]) -> T:
        """Return the answer of a key, from ``answer`` the first time."""
        with self._guard:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
            mine = self._running.setdefault(key, threading.Lock())
        with mine:
            with self._guard:
                if key in self._found:
                    return self._found[key]
            value = answer()
            with self._guard:
                self._found[key] = value
                self._running.pop(key, None)
                while len(self._found) > self._most:
                    self._found.popitem(last=False)
            return value

    def known(self, key: object) -> T | None:
        """Return the answer of a key if it has been given already."""
        with self._guard:
            return self._found.get(key)


_slots = threading.BoundedSemaphore(AT_ONCE)
_replays = threading.BoundedSemaphore(1)
"""The first replay on a machine compiles for minutes: plans without one don't wait for it."""
_recommendations: Once[Recommendation] = Once()
_breakevens: Once[Breakeven] = Once()
_fleets: Once[list[Part]] = Once()


def _key(scenario: Scenario) -> bytes:
    return msgspec.json.encode(scenario)


def recommended(scenario: Scenario, replayed: bool = False) -> Recommendation:
    """Return the recommendation; ``replayed``: checked by replay and mended until it holds."""
    from advisor.optimizer.play import simulate_with
    from advisor.optimizer.recommend import recommend

    def run() -> Recommendation:
        with _replays if replayed else _slots:
            return recommend(scenario, simulate=simulate_with(Path()) if replayed else None)

    return _recommendations.get((replayed, _key(scenario)), run)


def known_recommendation(scenario: Scenario, replayed: bool) -> Recommendation | None:
    """Return the recommendation if somebody has asked for it already; takes no time."""
    return _recommendations.known((replayed, _key(scenario)))


def planned_fleets(scenario: Scenario, replayed: bool = False) -> list[Part]:
    """Return the fleets of the recommended plan's busiest hour; none if nothing fits."""
    from advisor.ui.play import planned

    def run() -> list[Part]:
        with _replays if replayed else _slots:
            return planned(scenario, replayed)

    return _fleets.get((replayed, _key(scenario)), run)


def planned_volume(scenario: Scenario) -> float:
    """Return the requests a month that plans are made for: after growth."""
    from advisor.optimizer.demand import demand_of

    demand = demand_of(scenario.workload, float(scenario.money.horizon_months))
    return float(demand.requests_per_month.sum())


def broken_even(scenario: Scenario) -> Breakeven:
    """Return the cost of each kind of plan over the load."""
    from advisor.optimizer.breakeven import breakeven

    def run() -> Breakeven:
        with _slots:
            return breakeven(scenario)

    return _breakevens.get(_key(scenario), run)
