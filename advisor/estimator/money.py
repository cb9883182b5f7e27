"""What an hour of one device costs, rented and owned, as estimates with ranges."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.cost import hourly
from advisor.cost.amount import Amount, total
from advisor.cost.deployment import capital_usd_per_month
from advisor.errors import StalePriceError
from advisor.estimator.owning import ownership_terms, price_of, upkeep_usd_per_month
from advisor.perf.intervals import Estimate, Spread, estimate
from advisor.schema.device import Device
from advisor.schema.price import Purchase, Rental
from advisor.schema.text import Text

WORLD = "world"
"""Site that stands for any."""
PURCHASE_DAYS = 365
"""Older purchase prices are answered with a warning."""
RECENT_DAYS = 120
"""Quotes within this many days of the newest one count as the same market."""
NORMAL_80 = 1.2816
NORMAL_95 = 1.96
"""Two-sided quantiles of the normal distribution, for spreads made of quoted prices."""


@dataclass(frozen=True)
class HourlyPrices:
    """Price of one device-hour; None where no price is known.

    ``owned_capital`` is without electricity, whose price depends on the load.
    """

    rented: Estimate | None
    owned_capital: Estimate | None
    oldest: dt.date | None
    warnings: tuple[Text, ...]


def _spread_of(low: float, high: float) -> Spread:
    """Read a range of quotes as an 80 % range, and widen it to 95 % as a normal would."""
    q80 = math.log(max(high / low, 1.0)) / 2.0
    return Spread(q80, q80 * NORMAL_95 / NORMAL_80)


def rented_per_hour(quotes: tuple[Rental, ...]) -> tuple[Estimate, dt.date] | None:
    """Return the median current on-demand quote in US dollars, with the quotes' range.

    Reserved and spot terms are left out: they buy something else.
    """
    demand = [q for q in quotes if q.terms == "on-demand"]
    if not demand:
        return None
    newest = max(q.date for q in demand)
    recent = [q for q in demand if (newest - q.date).days <= RECENT_DAYS]
    usd = sorted(prices.to_usd(q.price_per_device_hour, q.currency) for q in recent)
    middle = median(usd)
    spread = Spread(*_log_half_widths(usd, middle))
    because = Text.of("because_rent", quotes=len(usd), date=str(newest))
    return estimate(middle, spread, "measured", because), newest


def _log_half_widths(values: list[float], middle: float) -> tuple[float, float]:
    """Half-widths that cover 80 and 95 % of the quotes on both sides of the median."""
    distances = sorted(abs(math.log(v / middle)) for v in values)

    def at(share: float) -> float:
        return distances[min(math.ceil(share * len(distances)) - 1, len(distances) - 1)]

    return at(0.8), at(0.95)


def given_rent(usd_per_hour: float) -> Estimate:
    """Return the user's own rent: no range, the user answers for it."""
    return estimate(usd_per_hour, Spread(), "exact", Text.of("because_rent_given"))


def capital_per_hour(rows: tuple[Purchase, ...]) -> tuple[Estimate, dt.date] | None:
    """Return price with host and interest, less the resale, of one owned device-hour.

    The newest purchase price counts (``deployment.capital_usd_per_month``).
    """
    if not rows:
        return None
    price = price_of(rows[0])
    hour = capital_usd_per_month(price, ownership_terms()).times(1.0 / hourly.HOURS_PER_MONTH)
    because = Text.of("because_capital", price=price.value, date=str(rows[0].date))
    return _estimated(hour, because), rows[0].date


def owned_per_hour(device: Device, rows: tuple[Purchase, ...]) -> tuple[Estimate, dt.date] | None:
    """Return capital, room and people of one owned device-hour in US dollars.

    The device counts as one of a fleet: its share of the staff, at any site's wage.
    """
    if not rows:
        return None
    price = price_of(rows[0])
    parts = (capital_usd_per_month(price, ownership_terms()), *upkeep_usd_per_month(device, WORLD))
    because = Text.of("because_owned", price=price.value, date=str(rows[0].date))
    return _estimated(total(parts).times(1.0 / hourly.HOURS_PER_MONTH), because), rows[0].date


def _estimated(amount: Amount, because: Text) -> Estimate:
    """Read an amount as an estimate with symmetric log half-widths."""
    return estimate(amount.value, _spread_of(amount.low, amount.high), "estimated", because)


Dated = tuple[Estimate, dt.date]


@lru_cache(maxsize=512)
def _catalogue_prices(device_id: str) -> tuple[Dated | None, Dated | None]:
    rent, bought = rented_per_hour(prices.rentals(device_id)), prices.purchases(device_id)
    # A device of the user's own file has no purchase row, and no entry to look up.
    return rent, owned_per_hour(get_device(device_id), bought) if bought else None


def hourly_prices(
    device: Device, usd_per_hour: float | None, max_age_days: int | None, today: dt.date
) -> HourlyPrices:
    """Return what an hour of a device costs.

    Parameters
    ----------
    usd_per_hour
        The user's own rent, instead of quotes.
    max_age_days
        Oldest price accepted for the answer's first figure: the rent, or the purchase price
        where no rent is known. None: warn past the usual limits only.
    today
        Day the age counts from.

    Raises
    ------
    StalePriceError
        If that price is older than ``max_age_days``.
    """
    quoted, bought = _catalogue_prices(device.id)
    own = bought[0] if bought else None
    warnings = []
    if bought and (today - bought[1]).days > PURCHASE_DAYS:
        days = (today - bought[1]).days
        warnings.append(Text.of("warn_old_purchase", device=device.name, days=days))
    if usd_per_hour is not None:
        return HourlyPrices(given_rent(usd_per_hour), own, None, tuple(warnings))
    first = quoted or bought
    if first is not None and max_age_days is not None:
        _check_age(device, first[1], "rental" if quoted else "purchase", max_age_days, today)
    if quoted is None:
        return HourlyPrices(None, own, None, tuple(warnings))
    rent, date = quoted
    if (today - date).days > RECENT_DAYS:
        old = Text.of("warn_old_price", device=device.name, days=(today - date).days)
        warnings.append(old)
    return HourlyPrices(rent, own, date, tuple(warnings))


def _check_age(device: Device, date: dt.date, kind: str, limit_days: int, today: dt.date) -> None:
    age = (today - date).days
    if age > limit_days:
        msg = (
            f"the newest {kind} price of {device.name} is {age} days old ({date}), above "
            f"--max-price-age {limit_days}; give --usd-per-hour or a higher limit"
        )
        raise StalePriceError(msg)


def electricity_per_hour(device_w: float, site: str) -> float:
    """Return the electricity of one device-hour in US dollars, host and building included."""
    terms = prices.ownership()
    fact = prices.get_site(site).usd_per_kwh
    if fact is None:
        from advisor.errors import MissingDataError

        msg = f"no electricity price for {site!r}: advisor catalogue prices lists those known"
        raise MissingDataError(msg)
    return hourly.electricity_usd_per_hour(
        device_w, terms.host_power_share.value, terms.pue.value, fact.value
    )
