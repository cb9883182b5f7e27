"""Power, electricity and carbon of a device that serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.devices import power_fits, power_for
from advisor.cost.amount import Amount, exactly, of_fact
from advisor.cost.deployment import Ownership
from advisor.cost.hourly import electricity_usd_per_hour
from advisor.errors import MissingDataError
from advisor.estimator.owning import ownership_terms
from advisor.optimizer.candidates import Candidate
from advisor.perf.energy import power_w
from advisor.perf.intervals import Spread
from advisor.perf.step import Batch
from advisor.schema.efficiency import PowerFit
from advisor.schema.fact import Evidence
from advisor.schema.question import MoneyTerms

WATTS_PER_KILOWATT = 1e3


@dataclass(frozen=True)
class Site:
    """Where devices stand: price and carbon of electricity, building and host on top.

    ``kgco2e_per_kwh`` None: not known for the site. ``terms``, ``price``, ``grid``: the same
    with their ranges.
    """

    id: str
    usd_per_kwh: float
    kgco2e_per_kwh: float | None
    pue: float
    host_share: float
    terms: Ownership
    price: Amount
    grid: Amount | None

    def usd_per_hour(self, device_w: float) -> float:
        """Electricity of an hour at a device power."""
        return electricity_usd_per_hour(device_w, self.host_share, self.pue, self.usd_per_kwh)

    def wall_w(self, device_w: float) -> float:
        """Power at the meter, host and building included."""
        return device_w * (1.0 + self.host_share) * self.pue

    def kg_per_hour(self, device_w: float) -> float:
        """Carbon of an hour at a device power; 0 where the site's is unknown."""
        return self.wall_w(device_w) / WATTS_PER_KILOWATT * (self.kgco2e_per_kwh or 0.0)


@dataclass(frozen=True)
class DevicePower:
    """Power of one device, waiting and at the plan's full load, watts.

    ``spread``: the curve's errors on devices left out of its fit.
    """

    idle_w: float
    busy_w: float
    spread: Spread
    evidence: Evidence


def site_of(money: MoneyTerms) -> Site:
    """Return the site of a scenario.

    Raises
    ------
    UnknownNameError, MissingDataError
        If the site or its electricity price is unknown.
    """
    row = prices.get_site(money.site)
    if row.usd_per_kwh is None:
        msg = f"no electricity price for {money.site!r}: advisor catalogue prices lists those known"
        raise MissingDataError(msg)
    owning = ownership_terms()
    if money.pue is not None:
        owning = replace(owning, pue=exactly(money.pue))
    return Site(
        id=row.id,
        usd_per_kwh=row.usd_per_kwh.value,
        kgco2e_per_kwh=row.kgco2e_per_kwh.value if row.kgco2e_per_kwh else None,
        pue=owning.pue.value,
        host_share=owning.host_power_share.value,
        terms=owning,
        price=of_fact(row.usd_per_kwh),
        grid=of_fact(row.kgco2e_per_kwh) if row.kgco2e_per_kwh else None,
    )


# Pools are made anew for every question asked about the same deployments.
@lru_cache(maxsize=2048)
def device_power(candidate: Candidate) -> DevicePower | None:
    """Return the power of one device of a deployment; None without TDP or power curve.

    Busy: decode at the batch the plan runs at full load. Idle: published, else the curve's
    base.
    """
    setup = candidate.setup
    choice = power_for(setup.device, setup.engine.id)
    tdp, idle = setup.device.power.tdp_w, setup.device.power.idle_w
    if tdp is None or choice is None:
        return None
    served = candidate.capacity.per_s > 0
    batch = float(candidate.capacity.running[served].max()) / candidate.step.pipeline_stages
    context = float(np.max(candidate.context[served]))
    step = candidate.step.step(Batch(sequences=batch, context_tokens=context))
    seconds = float(step.seconds)
    mbu = float(step.moved_bytes) / seconds / setup.chip.bytes_per_s
    mfu = float(step.flops) / seconds / setup.chip.peak(setup.weights.compute)
    curve = choice.fit.curve
    waiting = idle.value if idle else tdp.value * curve.base_share
    busy = max(float(power_w(tdp.value, mbu, mfu, curve)), waiting)
    return DevicePower(waiting, busy, curve_spread(choice.fit), choice.evidence)


def curve_spread(fit: PowerFit) -> Spread:
    """Return the errors of a power curve; of the worst curve where its own are unknown."""
    rows = [fit] if fit.q80 and fit.q95 else [x for x in power_fits() if x.q80 and x.q95]
    return max((Spread(x.q80 or 0.0, x.q95 or 0.0) for x in rows), key=lambda s: s.q80)
