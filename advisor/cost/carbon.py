"""Carbon of running devices and, optionally, of making them."""

from __future__ import annotations

from advisor.cost.amount import Amount, product
from advisor.cost.hourly import HOURS_PER_MONTH, MONTHS_PER_YEAR, WATTS_PER_KILOWATT


def energy_kwh_per_month(
    device_w: Amount, devices: float, host_power_share: Amount, pue: Amount
) -> Amount:
    """Energy drawn from the grid: devices, hosts and building."""
    host = host_power_share
    with_host = Amount(1.0 + host.value, 1.0 + host.low, 1.0 + host.high)
    return product(device_w, with_host, pue).times(devices * HOURS_PER_MONTH / WATTS_PER_KILOWATT)


def operating_kgco2e(energy_kwh: Amount, kgco2e_per_kwh: Amount) -> Amount:
    """Carbon of that energy on the site's grid (average, not marginal, intensity)."""
    return product(energy_kwh, kgco2e_per_kwh)


def embodied_kgco2e_per_month(
    kgco2e_per_device: Amount, life_years: float, devices: float
) -> Amount:
    """Carbon of making the devices, spread evenly over their life."""
    return kgco2e_per_device.times(devices / (life_years * MONTHS_PER_YEAR))
