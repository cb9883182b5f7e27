"""A way out applied: the scenario with one limit relaxed just enough."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from advisor.optimizer.result import WayOut
from advisor.schema.scenario import Scenario
from advisor.schema.workload import Slo


def _limits(s: Scenario, **changes: object) -> Scenario:
    return replace(s, limits=replace(s.limits, **changes))


def _chips(s: Scenario, device: str, value: float) -> Scenario:
    return _limits(s, chips={**s.limits.chips, device: round(value)})


def _owned(s: Scenario, device: str, value: float) -> Scenario:
    counted = tuple(replace(o, count=round(value)) if o.hw == device else o for o in s.owned)
    return replace(s, owned=counted)


def _api_rate(field: str) -> Callable[[Scenario, str, float], Scenario]:
    def change(s: Scenario, model: str, value: float) -> Scenario:
        offers = tuple(
            replace(offer, **{field: value}) if offer.model == model else offer
            for offer in s.use.apis
        )
        return replace(s, use=replace(s.use, apis=offers))

    return change


def _overall(s: Scenario, _: str, value: float) -> Scenario:
    q = s.quality
    overall = replace(q.overall, at_least=value) if q.overall else None
    return replace(s, quality=replace(q, overall=overall))


def _floor(s: Scenario, name: str, value: float) -> Scenario:
    floors = tuple(replace(f, at_least=value) if f.traffic_class == name else f for f in s.floors)
    return replace(s, quality=replace(s.quality, floors=floors))


def _scaled(slo: Slo | None, factor: float) -> Slo | None:
    if slo is None:
        return None
    limits = {n: getattr(slo, n) for n in ("ttft_s", "tpot_s", "e2e_s")}
    known = {n: None if v is None else v * factor for n, v in limits.items()}
    return replace(slo, **known)


def _slo(s: Scenario, name: str, factor: float) -> Scenario:
    classes = tuple(
        replace(c, slo=_scaled(c.slo, factor)) if c.name == name else c for c in s.workload.classes
    )
    return replace(s, workload=replace(s.workload, classes=classes))


_APPLY: dict[str, Callable[[Scenario, str, float], Scenario]] = {
    "money": lambda s, _, v: _limits(s, per_month=v),
    "power": lambda s, _, v: _limits(s, power_w=v),
    "carbon": lambda s, _, v: _limits(s, kgco2e_per_month=v),
    "chips": _chips,
    "owned": _owned,
    "api-requests": _api_rate("requests_per_minute"),
    "api-tokens": _api_rate("tokens_per_minute"),
    "quality": _overall,
    "floor": _floor,
    "slo": _slo,
}
"""First part of a limit's name, as the optimizer names it → the scenario with it at a value.

``slo`` takes a factor on the class's latency limits.
"""


def relaxed(scenario: Scenario, way: WayOut) -> Scenario | None:
    """Return the scenario with the limit at the way's value; None if no change of it helps."""
    head, _, name = way.name.partition(":")
    if way.value is None or head not in _APPLY:
        return None
    return _APPLY[head](scenario, name, way.value)
