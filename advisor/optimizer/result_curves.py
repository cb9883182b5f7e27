"""The answer of ``advisor breakeven``."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.optimizer.result import Flip, PlanKind


@dataclass(frozen=True)
class BreakevenPoint:
    """Monthly cost of each plan kind at one volume; None: infeasible there."""

    requests_per_month: float
    usd_per_month: dict[PlanKind, float | None]
    devices: dict[PlanKind, int]
    cheapest: PlanKind


@dataclass(frozen=True)
class Breakeven:
    """Cost over volume with whole-device steps, and the volumes where the cheapest changes."""

    title: str
    points: tuple[BreakevenPoint, ...]
    flips: tuple[Flip, ...]
