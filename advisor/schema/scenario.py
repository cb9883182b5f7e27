"""One question: the root of a scenario TOML."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Record
from advisor.schema.fleet import Fleet
from advisor.schema.question import (
    ClassFloor,
    Doubt,
    Limits,
    MoneyTerms,
    Owned,
    Quality,
    Retrieval,
    Routing,
    Tuned,
    Use,
    check_finite,
)
from advisor.schema.workload import Workload

Title = Annotated[str, msgspec.Meta(min_length=3, max_length=120)]


class Scenario(Record, frozen=True):
    """A workload, what may serve it, what must hold; ``fleet`` only to simulate a given fleet.

    Raises
    ------
    ValueError
        If a floor, a retrieval line or a tuned model names what the scenario doesn't hold.
    """

    schema: Literal[1]
    title: Title
    workload: Workload
    title_zh: Title = "未命名"
    quality: Quality = Quality()
    use: Use = Use()
    owned: tuple[Owned, ...] = ()
    limits: Limits = Limits()
    money: MoneyTerms = MoneyTerms()
    routing: Routing = Routing()
    doubt: Doubt = Doubt()
    tuned: tuple[Tuned, ...] = ()
    retrieval: tuple[Retrieval, ...] = ()
    fleet: Fleet | None = None

    def __post_init__(self) -> None:
        known = [one.name for one in self.workload.classes]
        named = [(f"quality.floor[{i}].class", f.traffic_class) for i, f in enumerate(self.floors)]
        named += [(f"retrieval[{i}].class", r.traffic_class) for i, r in enumerate(self.retrieval)]
        named += [
            (f"use.output[{i}].class", o.traffic_class)
            for i, o in enumerate(self.use.outputs)
            if o.traffic_class is not None
        ]
        for where, name in named:
            if name not in known:
                msg = f"{where} names {name!r}; the workload has: {', '.join(known) or 'no class'}"
                raise ValueError(msg)
        twice = [n for n in known if sum(f.traffic_class == n for f in self.floors) > 1]
        if twice:
            msg = f"quality.floor: class {twice[0]!r} has two floors; keep one"
            raise ValueError(msg)
        for part in (self.quality, self.use, self.limits, self.money, self.routing):
            check_finite(part)
        names = [t.name for t in self.tuned]
        if len(set(names)) != len(names):
            msg = f"tuned: two models are called {max(names, key=names.count)!r}"
            raise ValueError(msg)

    @property
    def floors(self) -> tuple[ClassFloor, ...]:
        """Floors by class."""
        return self.quality.floors

    def metric_of(self, class_name: str) -> str | None:
        """Return the metric that compares models for a class, None if none is named."""
        for floor in self.quality.floors:
            if floor.traffic_class == class_name:
                return floor.metric
        if self.quality.overall:
            return self.quality.overall.metric
        return self.quality.metric

    def floor_of(self, class_name: str) -> float | None:
        """Return the floor of a class, None if it has none of its own."""
        for floor in self.quality.floors:
            if floor.traffic_class == class_name:
                return floor.at_least
        return None
