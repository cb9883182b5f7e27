"""Devices that may serve, on which terms, and what an hour of one costs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from advisor.catalogue import prices
from advisor.catalogue.devices import device_names, get_device
from advisor.catalogue.names import find
from advisor.cost.amount import Amount, exactly, of_fact
from advisor.errors import MissingDataError
from advisor.estimator.bills import quotes_on
from advisor.estimator.money import capital_per_hour, given_rent, rented_per_hour
from advisor.optimizer.ranges import estimate_of
from advisor.optimizer.result import Terms
from advisor.perf.intervals import Estimate
from advisor.schema.device import Device
from advisor.schema.price import Rental
from advisor.schema.question import MoneyTerms, Use
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

LISTING = "advisor catalogue hardware"
HIRED = ("rented", "reserved")
"""Terms whose price includes electricity, room and people."""


@dataclass(frozen=True)
class Offer:
    """One way to have a device.

    Parameters
    ----------
    terms
        Rented (may come and go), owned already, or bought.
    usd_per_device_hour
        Without electricity, which rent includes and the others add.
    term_months
        Months a reserved device is paid for, whatever it does; 0: by the hour.
    count
        Devices at hand; None: as many as wanted.
    date
        Of the price; None for the user's own figures.
    """

    terms: Terms
    usd_per_device_hour: Estimate
    count: int | None = None
    date: dt.date | None = None
    term_months: int = 0


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
        given = rents.get(device_id)
        longer = None if given else _reserved(device_id, scenario)
        if longer:
            offers.setdefault(device_id, []).append(longer)
    for device_id in _buyable(scenario):
        offers.setdefault(device_id, []).append(_purchase(device_id))
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


def _reserved(device_id: str, scenario: Scenario) -> Offer | None:
    """Return the cheapest reserved rent whose term the horizon covers; None if none is quoted."""
    regions, months = scenario.use.regions, scenario.money.horizon_months
    rows = [
        q
        for q in quotes_in(prices.rentals(device_id), regions)
        if q.terms == "reserved" and 0 < term_months(q) <= months
    ]
    quoted = quotes_on(device_id, "reserved", tuple(rows))
    if quoted is None:
        return None
    longest = max(term_months(q) for q in rows)
    why = Text.of("because_reserved", quotes=quoted.count, date=str(quoted.date), months=longest)
    hour = estimate_of(quoted.usd_per_hour, "measured", why)
    return Offer("reserved", hour, date=quoted.date, term_months=longest)


def term_months(quote: Rental) -> int:
    """Return the months of a reserved quote, 0 where it states none.

    >>> from advisor.catalogue.prices import rentals
    >>> {term_months(q) for q in rentals("h100-sxm") if q.terms == "reserved"}
    {12}
    """
    years = quote.reserved_term.removesuffix("y")
    return 12 * int(years) if years.isdigit() else 0


@dataclass(frozen=True)
class SpotTerms:
    """Share of rented hours taken as spot, their price over on-demand, spare capacity."""

    share: float
    price_share: Amount
    spare: Amount

    @property
    def factor(self) -> float:
        """Rent with spot hours over rent without."""
        spot = self.price_share.value * (1.0 + self.spare.value)
        return 1.0 - self.share + self.share * spot


def spot_terms(money: MoneyTerms) -> SpotTerms:
    """Return a scenario's spot terms, the catalogue's where it states none."""
    facts = prices.operation()
    price, spare = money.spot_price_share, money.spot_spare
    return SpotTerms(
        money.spot_share,
        of_fact(facts.spot_price_share) if price is None else exactly(price),
        of_fact(facts.spot_spare_share) if spare is None else exactly(spare),
    )


def autoscale_overhead(use: Use) -> float:
    """Return hours paid beyond those that serve, where replicas come and go."""
    stated = use.autoscale_overhead
    return prices.operation().autoscale_overhead_share.value if stated is None else stated


def quotes_in(quotes: tuple[Rental, ...], regions: str | tuple[str, ...]) -> tuple[Rental, ...]:
    """Return the quotes of these regions; a quote for ``any`` region counts everywhere."""
    if regions == "any":
        return quotes
    return tuple(q for q in quotes if q.region == "any" or q.region in regions)


def _purchase(device_id: str) -> Offer:
    own = capital_per_hour(prices.purchases(device_id))
    if own is None:
        name = get_device(device_id).name
        msg = f"{name}: no purchase price is known; leave it out of use.buy or own it"
        raise MissingDataError(msg)
    return Offer("bought", own[0], date=own[1])
