"""Monthly bills of catalogue devices and APIs: facts of the catalogue into ``advisor.cost``."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from advisor.catalogue import prices
from advisor.catalogue.api_rates import api_tariff
from advisor.catalogue.training import phone_file
from advisor.cost import deployment as cost
from advisor.cost.amount import Amount, of_fact
from advisor.cost.api import ApiUse, api_bill
from advisor.cost.bill import Bill, Line, bill
from advisor.cost.carbon import energy_kwh_per_month, operating_kgco2e
from advisor.cost.deployment import Capacity, SpotRisk
from advisor.cost.on_device import RamTier, supported_share
from advisor.errors import MissingDataError
from advisor.estimator.money import rented_per_hour
from advisor.estimator.owning import ownership_terms, purchase_usd, staff_fte, wage_usd_per_year
from advisor.perf.intervals import Estimate
from advisor.schema.device import Device
from advisor.schema.fact import Fact
from advisor.schema.price import Rental


def amount_of(estimate: Estimate) -> Amount:
    """Read an estimate with its 80 % range."""
    return Amount(estimate.value, estimate.low80, estimate.high80)


def _usd_per_kwh(site: str) -> Fact:
    fact = prices.get_site(site).usd_per_kwh
    if fact is None:
        msg = f"no electricity price for {site!r}: advisor catalogue prices lists those known"
        raise MissingDataError(msg)
    return fact


def owned_deployment(
    device: Device,
    capacity: Capacity,
    site: str,
    mean_device_w: Amount,
    price_usd: Amount | None = None,
) -> Bill:
    """Return a month's bill of owned devices at a site.

    Parameters
    ----------
    device, capacity
        What is bought, how many, how busy.
    site
        Country or region: electricity price and wage.
    mean_device_w
        Power of one device, mean over the month (``deployment.mean_power_w``).
    price_usd
        The buyer's own price of a device; None: the catalogue's newest.

    Raises
    ------
    MissingDataError
        If no price, no electricity price or no rated power is known.
    """
    terms, operation = ownership_terms(), prices.operation()
    if device.power.tdp_w is None:
        msg = f"{device.name}: its rated power is not published, so hosting can't be priced"
        raise MissingDataError(msg)
    running = cost.Running(
        device_w=mean_device_w,
        provisioned_w=device.power.tdp_w.value * (1.0 + terms.host_power_share.value),
        usd_per_kwh=of_fact(_usd_per_kwh(site)),
        usd_per_kw_month=of_fact(operation.hosting_usd_per_kw_month),
        fte=staff_fte(capacity.devices),
        usd_per_fte_year=wage_usd_per_year(site),
    )
    return cost.owned_bill(capacity, price_usd or purchase_usd(device), terms, running)


@dataclass(frozen=True)
class Quotes:
    """Price of a device-hour on one kind of terms."""

    usd_per_hour: Amount
    date: dt.date
    count: int


def quotes_on(
    device_id: str, terms: str, quotes: tuple[Rental, ...] | None = None
) -> Quotes | None:
    """Return the current quotes of a device on-demand, reserved or spot; None if there are none.

    Reserved and spot quotes are few: their range spans a least factor either way. ``quotes``:
    of these only; None: of all.
    """
    known = prices.rentals(device_id) if quotes is None else quotes
    rows: list[Rental] = [r for r in known if r.terms == terms]
    if not rows:
        return None
    if terms == "on-demand":
        found = rented_per_hour(tuple(rows))
        return None if found is None else Quotes(amount_of(found[0]), found[1], len(rows))
    newest = rows[0].date
    usd = sorted(prices.to_usd(r.price_per_device_hour, r.currency) for r in rows)
    middle = usd[len(usd) // 2]
    least = prices.operation().few_quotes_factor.value
    amount = Amount(middle, min(usd[0], middle / least), max(usd[-1], middle * least))
    return Quotes(amount, newest, len(rows))


def spot_risk() -> SpotRisk:
    """Return how often spot capacity is taken away, and what each time costs."""
    terms = prices.operation()
    return SpotRisk(of_fact(terms.spot_interruptions_per_month), of_fact(terms.spot_lost_hours))


def rented_deployment(
    device: Device,
    capacity: Capacity,
    terms: str = "on-demand",
    usd_per_hour: Amount | None = None,
) -> Bill:
    """Return a month's bill of rented devices.

    Parameters
    ----------
    device, capacity
        What is rented, how many, how busy, how many hours.
    terms
        ``on-demand``, ``reserved`` or ``spot``.
    usd_per_hour
        The tenant's own price; None: the catalogue's quotes.

    Raises
    ------
    MissingDataError
        If no quote on these terms is known.
    """
    quotes = None if usd_per_hour else quotes_on(device.id, terms)
    price = usd_per_hour or (quotes.usd_per_hour if quotes else None)
    if price is None:
        msg = f"no {terms} price of {device.name} is known; give your own"
        raise MissingDataError(msg)
    if terms == "spot":
        return cost.spot_bill(capacity, price, spot_risk())
    return cost.rented_bill(capacity, price, "exact" if usd_per_hour else "measured")


def egress(output_tokens_per_month: float) -> Bill:
    """Return the line of traffic from a cloud to its users."""
    terms = prices.operation()
    usd = cost.egress_usd_per_month(
        output_tokens_per_month,
        of_fact(terms.egress_bytes_per_token),
        of_fact(terms.egress_usd_per_gb),
    )
    return bill(Line("egress", usd, "estimated"))


def api_month(
    model_id: str, use: ApiUse, at: dt.datetime, provider: str | None = None
) -> tuple[Bill, dt.date]:
    """Return a month's bill of an API and the day its prices are of."""
    tariff = api_tariff(model_id, at, provider)
    return api_bill(tariff, use), tariff.as_of


def carbon_kg_per_month(mean_device_w: Amount, devices: float, site: str) -> Amount:
    """Return the carbon of running devices for a month on a site's grid, kgCO2e.

    Raises
    ------
    MissingDataError
        If the site's carbon intensity is not known.
    """
    fact = prices.get_site(site).kgco2e_per_kwh
    if fact is None:
        msg = f"no carbon intensity for {site!r}: advisor catalogue prices lists those known"
        raise MissingDataError(msg)
    terms = ownership_terms()
    energy = energy_kwh_per_month(mean_device_w, devices, terms.host_power_share, terms.pue)
    return operating_kgco2e(energy, of_fact(fact))


def phones_that_hold(needed_bytes: float, market: str = "world") -> Amount:
    """Return the share of a market's phones in use that can hold a model.

    Raises
    ------
    MissingDataError
        Naming the markets known.
    """
    file = phone_file()
    tiers = [RamTier(t.at_least_bytes, of_fact(t.share)) for t in file.tier if t.market == market]
    if not tiers:
        known = sorted({t.market for t in file.tier})
        msg = f"no shares of phones are known for {market!r}; known: {', '.join(known)}"
        raise MissingDataError(msg, suggestions=known)
    return supported_share(tiers, needed_bytes, file.usable_share.value)
