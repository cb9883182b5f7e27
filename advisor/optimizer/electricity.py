"""Power, electricity and carbon of a device that serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.devices import power_for
from advisor.cost.hourly import electricity_usd_per_hour
from advisor.errors import MissingDataError
from advisor.optimizer.candidates import Candidate
from advisor.perf.energy import power_w
from advisor.perf.step import Batch
from advisor.schema.question import MoneyTerms

WATTS_PER_KILOWATT = 1e3


@dataclass(frozen=True)
class Site:
    """Where devices stand: price and carbon of electricity, building and host on top.

    ``kgco2e_per_kwh`` None: not known for the site.
    """

    id: str
    usd_per_kwh: float
    kgco2e_per_kwh: float | None
    pue: float
    host_share: float

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
    """Power of one device, waiting and at the plan's full load, watts."""

    idle_w: float
    busy_w: float


def site_of(money: MoneyTerms) -> Site:
    """Return the site of a scenario.

    Raises
    ------
    UnknownNameError, MissingDataError
        If the site or its electricity price is unknown.
    """
    row, terms = prices.get_site(money.site), prices.ownership()
    if row.usd_per_kwh is None:
        msg = f"no electricity price for {money.site!r}: advisor catalogue prices lists those known"
        raise MissingDataError(msg)
    return Site(
        id=row.id,
        usd_per_kwh=row.usd_per_kwh.value,
        kgco2e_per_kwh=row.kgco2e_per_kwh.value if row.kgco2e_per_kwh else None,
        pue=terms.pue.value if money.pue is None else money.pue,
        host_share=terms.host_power_share.value,
    )


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
    return DevicePower(waiting, max(float(power_w(tdp.value, mbu, mfu, curve)), waiting))
