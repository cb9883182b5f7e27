"""What owning takes: terms, purchase price, room and people; facts of the catalogue as amounts."""

from __future__ import annotations

import math

from advisor.catalogue import prices
from advisor.cost import deployment as cost
from advisor.cost.amount import Amount, of_fact
from advisor.errors import MissingDataError
from advisor.schema.device import Device
from advisor.schema.price import Purchase


def ownership_terms() -> cost.Ownership:
    """Return the assumptions of owning as amounts."""
    terms, running = prices.ownership(), prices.operation()
    return cost.Ownership(
        life_years=of_fact(terms.life_years),
        interest_per_year=of_fact(terms.interest_per_year),
        host_share=of_fact(terms.host_share),
        residual_share=of_fact(running.residual_share),
        pue=of_fact(terms.pue),
        host_power_share=of_fact(terms.host_power_share),
    )


def purchase_usd(device: Device) -> Amount:
    """Return the newest purchase price of one device, US dollars.

    Raises
    ------
    MissingDataError
        If no price is known.
    """
    rows = prices.purchases(device.id)
    if not rows:
        msg = f"no purchase price of {device.name} is known; give your own"
        raise MissingDataError(msg)
    return price_of(rows[0])


def price_of(row: Purchase) -> Amount:
    """Return a purchase price of one device, US dollars, with its range."""
    low = prices.to_usd(row.price / row.devices, row.currency)
    high = prices.to_usd((row.price_high or row.price) / row.devices, row.currency)
    return Amount((low + high) / 2.0, low, high)


def staff_fte(devices: float) -> Amount:
    """Return the people that run so many owned devices: the least, or the devices' share."""
    terms = prices.operation()
    least, each = of_fact(terms.staff_fte_least), of_fact(terms.staff_fte_per_device)
    pairs = zip(
        (least.value, least.low, least.high), (each.value, each.low, each.high), strict=True
    )
    return Amount(*(max(a, b * devices) for a, b in pairs))


def wage_usd_per_year(site: str) -> Amount:
    """Return the yearly cost of one person at a site, or the stand-in site's, widened.

    Where the wage is not known, the range spans every wage that is.
    """
    known = {row.site: row.usd_per_year for row in prices.operation().wage}
    site_id = prices.get_site(site).id
    if site_id in known:
        return of_fact(known[site_id])
    amounts = [of_fact(fact) for fact in known.values()]
    low, high = min(a.low for a in amounts), max(a.high for a in amounts)
    return Amount(math.sqrt(low * high), low, high)


def upkeep_usd_per_month(device: Device, site: str) -> tuple[Amount, Amount]:
    """Return room and people of one device in a fleet: hosting of its power, its share of staff.

    No room is counted where the device's power is not published.
    """
    terms, operation = prices.ownership(), prices.operation()
    tdp = device.power.tdp_w
    watts = tdp.value * (1.0 + terms.host_power_share.value) if tdp else 0.0
    room = cost.hosting_usd_per_month(watts, 1.0, of_fact(operation.hosting_usd_per_kw_month))
    people = cost.staff_usd_per_month(
        of_fact(operation.staff_fte_per_device), wage_usd_per_year(site)
    )
    return room, people
