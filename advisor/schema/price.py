"""Prices: what a device, a kilowatt-hour or a token costs, where, when, on which terms."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Fact, Record, Slug, Source, require_sources

Currency = Literal["USD", "CNY", "EUR"]
Money = Annotated[float, msgspec.Meta(gt=0)]


class Rental(Record, frozen=True):
    """Price of one device for one hour.

    ``devices_in_quote`` is the size of the smallest instance sold at this price.
    """

    device: Slug
    provider: str
    region: str
    terms: Literal["on-demand", "reserved", "spot"]
    currency: Currency
    price_per_device_hour: Money
    date: dt.date
    source: str
    reserved_term: str = ""
    devices_in_quote: int = 1
    note: str = ""


class Purchase(Record, frozen=True):
    """Price of buying ``devices`` devices once; ``includes`` says what comes with them."""

    device: Slug
    currency: Currency
    price: Money
    kind: str
    date: dt.date
    source: str
    devices: Annotated[int, msgspec.Meta(ge=1)] = 1
    price_high: Money | None = None
    region: str = ""
    includes: str = "device"
    note: str = ""


class ApiPrice(Record, frozen=True):
    """Price of a seller's API per million tokens, valid from ``valid_from`` on."""

    provider: str
    model: Slug
    currency: Currency
    input_per_mtok: Money
    output_per_mtok: Money
    valid_from: dt.date
    source: str
    cached_input_per_mtok: Money | None = None
    valid_to: dt.date | None = None
    region: str = ""
    note: str = ""


class ExchangeRate(Record, frozen=True):
    """One US dollar buys ``per_usd`` units of ``currency`` on ``date``."""

    currency: Currency
    per_usd: Money
    date: dt.date
    source: str


class Site(Record, frozen=True):
    """Electricity of a country or region: price and carbon per kilowatt-hour."""

    id: Slug
    name: str
    aliases: tuple[str, ...] = ()
    usd_per_kwh: Fact | None = None
    kgco2e_per_kwh: Fact | None = None


class Ownership(Record, frozen=True):
    """Assumptions that turn a purchase price into a price per hour.

    ``host_share`` is the price of everything around the devices (host, network, rack)
    over the price of the devices.
    """

    life_years: Fact
    interest_per_year: Fact
    host_share: Fact
    pue: Fact
    host_power_share: Fact
    staff_and_hosting_share_per_year: Fact


class PriceFile(Record, frozen=True):
    """One file of ``pricing/``."""

    schema: Literal[1]
    source: tuple[Source, ...]
    rental: tuple[Rental, ...] = ()
    purchase: tuple[Purchase, ...] = ()
    api: tuple[ApiPrice, ...] = ()
    exchange_rate: tuple[ExchangeRate, ...] = ()
    site: tuple[Site, ...] = ()
    ownership: Ownership | None = None

    def __post_init__(self) -> None:
        named: dict[str, str] = {}
        for group in ("rental", "purchase", "api", "exchange_rate"):
            for index, row in enumerate(getattr(self, group)):
                named[f"{group}[{index}]"] = row.source
        require_sources(named, self.source)


class Score(Record, frozen=True):
    """One published benchmark result; compare only rows that share a setting or source."""

    benchmark: str
    score: float
    setting: str
    source: str
    date: dt.date | None = None
    variant: str = ""
    unit: str = "%"
    note: str = ""


class QualityFile(Record, frozen=True):
    """Scores of one model, ``advisor/catalogue/quality/<model id>.toml``.

    It may be a system that the model catalogue does not hold.
    """

    schema: Literal[1]
    model: Slug
    name: str
    source: tuple[Source, ...]
    score: tuple[Score, ...]

    def __post_init__(self) -> None:
        named = {f"score[{i}]": row.source for i, row in enumerate(self.score)}
        require_sources(named, self.source)
