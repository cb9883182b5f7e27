"""What a deployment of rented or owned devices costs in a month: pure functions of numbers."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.cost.amount import Amount, exactly, product, ratio, total
from advisor.cost.bill import Bill, Line, bill, split_idle
from advisor.cost.carbon import energy_kwh_per_month
from advisor.cost.hourly import (
    HOURS_PER_MONTH,
    MONTHS_PER_YEAR,
    WATTS_PER_KILOWATT,
    annuity_per_year,
)
from advisor.schema.fact import Evidence

BYTES_PER_GB = 1e9
MOST_LOST = 0.99
"""Spot capacity lost beyond this can't be made up by more of it."""


@dataclass(frozen=True)
class Capacity:
    """Devices paid for, and how much of them requests use.

    Parameters
    ----------
    devices
        Reserved at a time (an average where capacity scales).
    busy_share
        Part of the reserved device time that serves requests, 0 to 1.
    hours_per_month
        Hours they are paid for.
    """

    devices: float
    busy_share: float = 1.0
    hours_per_month: float = HOURS_PER_MONTH

    def __post_init__(self) -> None:
        if self.devices < 0 or not 0 <= self.busy_share <= 1:
            msg = f"devices must be >= 0 and busy_share in [0, 1], got {self}"
            raise ValueError(msg)
        if not 0 <= self.hours_per_month <= HOURS_PER_MONTH * (1 + 1e-9):
            msg = f"a month has {HOURS_PER_MONTH:g} hours, got {self.hours_per_month:g}"
            raise ValueError(msg)

    @property
    def device_hours_per_month(self) -> float:
        """Device-hours paid for."""
        return self.devices * self.hours_per_month


def rented_bill(
    capacity: Capacity, usd_per_device_hour: Amount, evidence: Evidence = "measured"
) -> Bill:
    """Rent of on-demand or reserved devices, used and idle; power and hosting are in the rent."""
    paid = usd_per_device_hour.times(capacity.device_hours_per_month)
    return split_idle("rent", paid, capacity.busy_share, evidence)


@dataclass(frozen=True)
class SpotRisk:
    """How often spot capacity is taken away, and what each time costs.

    Parameters
    ----------
    interruptions_per_month
        Reclaims of one device in a month.
    lost_hours
        Hours until a replacement serves again: finding one, loading weights, warming up.
    """

    interruptions_per_month: Amount
    lost_hours: Amount

    def lost_share(self) -> Amount:
        """Share of paid time lost, at most 1: interruptions x lost hours / hours of a month."""
        share = product(self.interruptions_per_month, self.lost_hours).times(1.0 / HOURS_PER_MONTH)
        return Amount(min(share.value, 1.0), min(share.low, 1.0), min(share.high, 1.0))

    def all_lost_at_once(self, devices: int, correlated_share: float) -> float:
        """Return the expected reclaims per month that take every device together.

        ``correlated_share`` of interruptions hit all devices of a pool (same type and zone);
        the others hit one, which matters only for a fleet of one.
        """
        share = 1.0 if devices == 1 else correlated_share
        return self.interruptions_per_month.value * share


def spot_bill(
    capacity: Capacity,
    usd_per_device_hour: Amount,
    risk: SpotRisk,
    evidence: Evidence = "estimated",
) -> Bill:
    """Rent of spot devices, and the extra devices that make up for time lost to reclaims.

    To keep ``devices`` serving, ``devices / (1 - lost share)`` must be paid.
    """
    lost = risk.lost_share()
    rent = rented_bill(capacity, usd_per_device_hour, evidence)
    extra = Amount(
        *(share / (1.0 - min(share, MOST_LOST)) for share in (lost.value, lost.low, lost.high))
    )
    paid = usd_per_device_hour.times(capacity.device_hours_per_month)
    return rent + bill(Line("spot_overhead", product(paid, extra), evidence))


@dataclass(frozen=True)
class Ownership:
    """Terms of owning, as amounts; see ``pricing/ownership-*.toml`` for the facts.

    ``host_share`` of a device's price buys the machine round it, ``host_power_share`` of its
    power runs it. ``residual_share`` is the sale at the end of life over the price.
    """

    life_years: Amount
    interest_per_year: Amount
    host_share: Amount
    residual_share: Amount
    pue: Amount
    host_power_share: Amount


def capital_usd_per_month(price_usd: Amount, terms: Ownership) -> Amount:
    """Annuity of one device with its share of the host; see ``hourly.annuity_per_year``.

    Each assumption is moved to its ends alone; the distances add in quadrature.
    """

    def month(price: float, life: float, interest: float, host: float, residual: float) -> float:
        yearly = annuity_per_year(price * (1.0 + host), life, interest, residual)
        return yearly / MONTHS_PER_YEAR

    inputs = (
        price_usd,
        terms.life_years,
        terms.interest_per_year,
        terms.host_share,
        terms.residual_share,
    )
    base = [x.value for x in inputs]
    value = month(*base)
    parts = []
    for index, x in enumerate(inputs):
        ends = [
            month(*(end if i == index else b for i, b in enumerate(base)))
            for end in (x.low, x.high)
        ]
        parts.append(Amount(value, min(*ends, value), max(*ends, value)))
    spread = total(parts)
    middle = spread.value
    low = max(value - (middle - spread.low), 0.0)
    return Amount(value, low, value + (spread.high - middle))


def power_usd_per_month(
    device_w: Amount, devices: float, terms: Ownership, usd_per_kwh: Amount
) -> Amount:
    """Electricity of devices running all month, hosts and building included.

    ``device_w`` is the mean over the month, idle hours included.
    """
    energy = energy_kwh_per_month(device_w, devices, terms.host_power_share, terms.pue)
    return product(energy, usd_per_kwh)


def mean_power_w(busy_w: float, idle_w: float, busy_share: float) -> float:
    """Mean power of a device that is busy part of the time."""
    return busy_share * busy_w + (1.0 - busy_share) * idle_w


def hosting_usd_per_month(provisioned_w: float, devices: float, usd_per_kw_month: Amount) -> Amount:
    """Colocation: priced by the power provisioned (nameplate of device and host), used or not."""
    return usd_per_kw_month.times(provisioned_w * devices / WATTS_PER_KILOWATT)


def staff_usd_per_month(fte: Amount, usd_per_fte_year: Amount) -> Amount:
    """Wages with overheads of the people who run the machines."""
    return product(fte, usd_per_fte_year).times(1.0 / MONTHS_PER_YEAR)


def egress_usd_per_month(
    output_tokens_per_month: float, bytes_per_token: Amount, usd_per_gb: Amount
) -> Amount:
    """Traffic to the users: answers streamed token by token; incoming traffic is free."""
    return product(bytes_per_token, usd_per_gb).times(output_tokens_per_month / BYTES_PER_GB)


@dataclass(frozen=True)
class Running:
    """What running owned devices takes besides the devices.

    ``device_w`` is the mean power over the month, ``provisioned_w`` what the site must supply
    to one device with its host; ``fte`` people work for the whole deployment.
    """

    device_w: Amount
    provisioned_w: float
    usd_per_kwh: Amount
    usd_per_kw_month: Amount
    fte: Amount
    usd_per_fte_year: Amount


def owned_bill(
    capacity: Capacity,
    price_usd: Amount,
    terms: Ownership,
    running: Running,
    evidence: Evidence = "estimated",
) -> Bill:
    """Lines of owned devices: capital (used and idle), power, hosting, staff.

    Owned devices are paid for all month, whatever ``capacity.hours_per_month`` says.
    """
    capital = capital_usd_per_month(price_usd, terms).times(capacity.devices)
    power = power_usd_per_month(running.device_w, capacity.devices, terms, running.usd_per_kwh)
    hosting = hosting_usd_per_month(
        running.provisioned_w, capacity.devices, running.usd_per_kw_month
    )
    staff = staff_usd_per_month(running.fte, running.usd_per_fte_year)
    return split_idle("capital", capital, capacity.busy_share, evidence) + bill(
        Line("power", power, evidence),
        Line("hosting", hosting, evidence),
        Line("staff", staff, evidence),
    )


def usd_per_request(monthly: Amount, requests_per_month: float) -> Amount:
    """Spread a month's cost over its requests."""
    return ratio(monthly, exactly(requests_per_month))
