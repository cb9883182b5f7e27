"""A limit moved in the scenario itself: what a way out means for the question asked."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from advisor.optimizer.hardware import device_id_of
from advisor.schema.scenario import Scenario
from advisor.schema.workload import Slo

DIGITS = 3
SCORE_STEPS, TIMES_STEPS = 1000.0, 100.0
SLACK = 1e-9


def _limits(s: Scenario, **changes: object) -> Scenario:
    return replace(s, limits=replace(s.limits, **changes))


def _chips(s: Scenario, device: str, value: float) -> Scenario:
    others = {k: v for k, v in s.limits.chips.items() if device_id_of(k) != device}
    return _limits(s, chips={**others, device: round(value)})


def _owned(s: Scenario, device: str, value: float) -> Scenario:
    """Own more of a device: the first row that names it grows."""
    rows = list(s.owned)
    mine = [i for i, row in enumerate(rows) if device_id_of(row.hw) == device]
    more = round(value) - sum(rows[i].count for i in mine)
    rows[mine[0]] = replace(rows[mine[0]], count=rows[mine[0]].count + more)
    return replace(s, owned=tuple(rows))


def _overall(s: Scenario, _: str, value: float) -> Scenario:
    q = s.quality
    overall = replace(q.overall, at_least=value) if q.overall else None
    return replace(s, quality=replace(q, overall=overall))


def _floor(s: Scenario, name: str, value: float) -> Scenario:
    floors = tuple(replace(f, at_least=value) if f.traffic_class == name else f for f in s.floors)
    return replace(s, quality=replace(s.quality, floors=floors))


def slower(slo: Slo, factor: float) -> Slo:
    """Return latency limits so many times as long."""
    limits = {n: getattr(slo, n) for n in ("ttft_s", "tpot_s", "e2e_s")}
    return replace(slo, **{n: v * factor for n, v in limits.items() if v is not None})


def _slo(s: Scenario, name: str, factor: float) -> Scenario:
    classes = tuple(
        replace(c, slo=slower(c.slo, factor)) if c.name == name and c.slo else c
        for c in s.workload.classes
    )
    return replace(s, workload=replace(s.workload, classes=classes))


def _rate(s: Scenario, model: str, value: float, field: str) -> Scenario:
    apis = tuple(
        replace(a, **{field: value}) if a.model == model and getattr(a, field) is not None else a
        for a in s.use.apis
    )
    return replace(s, use=replace(s.use, apis=apis))


_APPLY: dict[str, Callable[[Scenario, str, float], Scenario]] = {
    "money": lambda s, _, v: _limits(s, per_month=v),
    "power": lambda s, _, v: _limits(s, power_w=v),
    "carbon": lambda s, _, v: _limits(s, kgco2e_per_month=v),
    "chips": _chips,
    "owned": _owned,
    "quality": _overall,
    "floor": _floor,
    "slo": _slo,
    "api-requests": lambda s, m, v: _rate(s, m, v, "requests_per_minute"),
    "api-tokens": lambda s, m, v: _rate(s, m, v, "tokens_per_minute"),
}
"""First part of a limit's name -> the scenario with that limit at a value.

``slo`` takes a factor on the latency limits of the class.
"""


def relaxed_scenario(scenario: Scenario, name: str, value: float) -> Scenario:
    """Return the scenario with one limit at a value."""
    head, _, rest = name.partition(":")
    return _APPLY[head](scenario, rest, value)


def outwards(name: str, value: float) -> float:
    """Round a relaxed value away from the limit, to what a person would write down.

    >>> outwards("money", 1234.2), outwards("floor:chat", 0.7229), outwards("chips:h20", 7.00001)
    (1240.0, 0.722, 7.0)
    """
    head = name.partition(":")[0]
    if head in ("floor", "quality"):
        return math.floor(value * SCORE_STEPS + SLACK) / SCORE_STEPS
    if head in ("chips", "owned"):
        return float(math.ceil(value - 1e-4))
    if head == "slo":
        return math.ceil(value * TIMES_STEPS - SLACK) / TIMES_STEPS
    unit = 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1) if value > 0 else 1.0
    return float(f"{math.ceil(value / unit - SLACK) * unit:.12g}")
