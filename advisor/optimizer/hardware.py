"""Devices that may serve, on which terms, and what an hour of one costs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from advisor.catalogue import prices
from advisor.catalogue.devices import device_names, get_device
from advisor.catalogue.names import find
from advisor.errors import MissingDataError
from advisor.estimator.money import given_rent, hourly_prices, rented_per_hour
from advisor.optimizer.result import Terms
from advisor.perf.intervals import Estimate
from advisor.schema.device import Device
from advisor.schema.price import Rental
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

LISTING = "advisor catalogue hardware"


@dataclass(frozen=True)
class Offer:
    """One way to have a device.

    Parameters
    ----------
    terms
        Rented (may come and go), owned already, or bought.
    usd_per_device_hour
        Without electricity, which rent includes and the others add.
    count
        Devices at hand; None: as many as wanted.
    date
        Of the price; None for the user's own figures.
    """

    terms: Terms
    usd_per_device_hour: Estimate
    count: int | None = None
    date: dt.date | None = None


@dataclass(frozen=True)
class Hardware:
    """A device and its offers, cheapest first."""

    device: Device
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class HardwareList:
    """Devices that may serve, and why others may not."""

    devices: tuple[Hardware, ...]
    excluded: dict[str, Text]


def device_id_of(name: str) -> str:
    """Return the id a device name stands for; unknown names raise UnknownNameError."""
    return find(name, device_names(), "hardware", LISTING)


def hardware_of(scenario: Scenario, today: dt.date) -> HardwareList:
    """Collect the devices of a scenario with their offers.

    Raises
    ------
    UnknownNameError
        For a device no catalogue holds.
    MissingDataError
        If a device named for rent or purchase has no price.
    """
    use = scenario.use
    rents = {device_id_of(k): v for k, v in scenario.money.rent_usd_per_hour.items()}
    offers: dict[str, list[Offer]] = {}
    for device_id in _rentable(scenario, rents):
        offer = _rent(device_id, rents.get(device_id), scenario.use.regions)
        if offer is None and use.rent != "any":
            msg = (
                f"{device_id}: no on-demand rent is known in these regions; "
                "give money.rent_usd_per_hour"
            )
            raise MissingDataError(msg)
        if offer:
            offers.setdefault(device_id, []).append(offer)
    for device_id in _buyable(scenario):
        offers.setdefault(device_id, []).append(_purchase(device_id, today))
    for row in scenario.owned:
        hour = given_hour(row.usd_per_device_hour)
        offers.setdefault(device_id_of(row.hw), []).append(Offer("owned", hour, row.count))
    found, excluded = [], {}
    for device_id, terms in sorted(offers.items()):
        device = get_device(device_id)
        if device.memory.bytes_per_s is None:
            excluded[device_id] = Text.of("out_no_bandwidth", name=device.name)
            continue
        ordered = sorted(terms, key=lambda o: o.usd_per_device_hour.value)
        found.append(Hardware(device, tuple(ordered)))
    return HardwareList(tuple(found), excluded)


def given_hour(usd: float) -> Estimate:
    """Return the user's own figure for an owned device-hour, 0 allowed."""
    if usd > 0:
        return replace(given_rent(usd), because=Text.of("because_owned_given"))
    because = Text.of("because_owned_given")
    return Estimate(0.0, 0.0, 0.0, 0.0, 0.0, "exact", because)


def _rentable(scenario: Scenario, rents: dict[str, float]) -> list[str]:
    wanted = scenario.use.rent
    if wanted == "any":
        quoted = {r.device for f in prices.price_files() for r in f.rental}
        return sorted(quoted | set(rents))
    return sorted({device_id_of(name) for name in wanted})


def _buyable(scenario: Scenario) -> list[str]:
    wanted = scenario.use.buy
    if wanted == "any":
        return sorted({p.device for f in prices.price_files() for p in f.purchase})
    return sorted({device_id_of(name) for name in wanted})


def _rent(device_id: str, given: float | None, regions: str | tuple[str, ...]) -> Offer | None:
    if given is not None:
        return Offer("rented", given_rent(given))
    found = rented_per_hour(quotes_in(prices.rentals(device_id), regions))
    return Offer("rented", found[0], date=found[1]) if found else None


def quotes_in(quotes: tuple[Rental, ...], regions: str | tuple[str, ...]) -> tuple[Rental, ...]:
    """Return the quotes of these regions; a quote for ``any`` region counts everywhere."""
    if regions == "any":
        return quotes
    return tuple(q for q in quotes if q.region == "any" or q.region in regions)


def _purchase(device_id: str, today: dt.date) -> Offer:
    device = get_device(device_id)
    own = hourly_prices(device, None, None, today).owned_capital
    if own is None:
        msg = f"{device.name}: no purchase price is known; leave it out of use.buy or own it"
        raise MissingDataError(msg)
    return Offer("bought", own, date=prices.purchases(device_id)[0].date)
