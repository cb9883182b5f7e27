"""When owning (or renting whole devices) beats an API: closed forms with whole-device steps.

An API costs ``a`` per request. ``n`` devices cost ``fixed + n c`` a month, serve at most
``n k`` requests and add ``m`` per request. With margin ``g = (a - m) k - c`` of a full device:

* devices never pay if ``g <= 0``;
* within the step of ``n`` devices they pay from ``v >= (fixed + n c) / (a - m)`` on;
* the first step that pays somewhere is ``n >= fixed / g``;
* from ``n >= (fixed + (a - m) k) / g`` on every volume of every step pays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUND = 1e-9
"""Ratios this close to a whole number count as whole: they are sums of rounded prices."""


@dataclass(frozen=True)
class Fleet:
    """Whole devices against a price per request.

    Parameters
    ----------
    fixed_usd_per_month
        Paid whatever the number of devices: least staff, tuning, integration.
    device_usd_per_month
        One more device, or one more replica, all lines.
    requests_per_device_month
        What it serves within the latency limit.
    usd_per_request
        What grows with use alone (egress, extra power).
    """

    fixed_usd_per_month: float
    device_usd_per_month: float
    requests_per_device_month: float
    usd_per_request: float = 0.0

    def __post_init__(self) -> None:
        if self.requests_per_device_month <= 0 or self.device_usd_per_month < 0:
            msg = f"a device must serve something and cost nothing or more, got {self}"
            raise ValueError(msg)
        if self.fixed_usd_per_month < 0 or self.usd_per_request < 0:
            msg = f"costs must be 0 or more, got {self}"
            raise ValueError(msg)

    def devices(self, requests_per_month: float) -> int:
        """Whole devices that serve a volume."""
        return math.ceil(requests_per_month / self.requests_per_device_month - _ROUND)

    def usd_per_month(self, requests_per_month: float) -> float:
        """Cost of serving a volume with as many devices as it needs."""
        steps = self.devices(requests_per_month) * self.device_usd_per_month
        return self.fixed_usd_per_month + steps + self.usd_per_request * requests_per_month


def linear_break_even(
    fixed_usd_per_month: float, api_usd_per_request: float, own_usd_per_request: float
) -> float:
    """Volume at which fixed cost is earned back: ``fixed / (a - m)``; infinity if never.

    >>> linear_break_even(1000.0, 0.002, 0.001)
    1000000.0
    """
    margin = api_usd_per_request - own_usd_per_request
    return fixed_usd_per_month / margin if margin > 0 else math.inf


def _margin(fleet: Fleet, api_usd_per_request: float) -> tuple[float, float]:
    """Return what a request saves, and what a full device earns above its own cost."""
    saved = api_usd_per_request - fleet.usd_per_request
    return saved, saved * fleet.requests_per_device_month - fleet.device_usd_per_month


def first_break_even(fleet: Fleet, api_usd_per_request: float) -> float:
    """Smallest volume per month at which the fleet costs no more than the API; infinity if none."""
    saved, margin = _margin(fleet, api_usd_per_request)
    if margin <= 0:
        full_ok = margin == 0 and fleet.fixed_usd_per_month == 0 and saved > 0
        return fleet.requests_per_device_month if full_ok else math.inf
    steps = max(math.ceil(fleet.fixed_usd_per_month / margin - _ROUND), 1)
    cost = fleet.fixed_usd_per_month + steps * fleet.device_usd_per_month
    return max(cost / saved, (steps - 1) * fleet.requests_per_device_month)


def always_break_even(fleet: Fleet, api_usd_per_request: float) -> float:
    """Volume per month above which the fleet never costs more again; infinity if none."""
    saved, margin = _margin(fleet, api_usd_per_request)
    if margin <= 0:
        return math.inf
    capacity = fleet.requests_per_device_month
    steps = max(math.ceil((fleet.fixed_usd_per_month + saved * capacity) / margin - _ROUND), 1)
    # The step before ``steps`` still loses at its start, and wins from its own break-even on.
    before = steps - 1
    if before == 0:
        return 0.0
    cost = fleet.fixed_usd_per_month + before * fleet.device_usd_per_month
    return min(max(cost / saved, (before - 1) * capacity), before * capacity)


@dataclass(frozen=True)
class CurvePoint:
    """Costs of one volume, US dollars a month."""

    requests_per_month: float
    api_usd_per_month: float
    own_usd_per_month: float
    devices: int

    @property
    def own_is_cheaper(self) -> bool:
        """Whether devices cost no more than the API here."""
        return self.own_usd_per_month <= self.api_usd_per_month


def breakeven_curve(
    fleet: Fleet, api_usd_per_request: float, requests_per_month: Sequence[float]
) -> tuple[CurvePoint, ...]:
    """Both costs at each volume, in the order given."""
    return tuple(
        CurvePoint(v, api_usd_per_request * v, fleet.usd_per_month(v), fleet.devices(v))
        for v in requests_per_month
    )


def curve_volumes(fleet: Fleet, to_requests_per_month: float, points: int = 200) -> list[float]:
    """Volumes to draw a curve at: an even grid and both sides of every device step."""
    grid = [to_requests_per_month * i / points for i in range(points + 1)]
    step = fleet.requests_per_device_month
    count = min(int(to_requests_per_month / step), points)
    edges = [x for n in range(1, count + 1) for x in (n * step, n * step * (1 + 1e-6))]
    return sorted({v for v in grid + edges if v <= to_requests_per_month})
