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


class ApiRate(Record, frozen=True):
    """Prices of calls whose prompt is longer than ``above_input_tokens``, US dollars.

    A seller with a long-context surcharge has several; the whole call is charged at the step
    its prompt reaches. ``cached_input_usd_per_mtok`` None: no discount for cached input.
    """

    input_usd_per_mtok: Annotated[float, msgspec.Meta(ge=0)]
    output_usd_per_mtok: Annotated[float, msgspec.Meta(ge=0)]
    cached_input_usd_per_mtok: Annotated[float, msgspec.Meta(ge=0)] | None = None
    above_input_tokens: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class ApiTariff(Record, frozen=True):
    """All prices of one model at one seller on one day.

    ``batch`` is empty where the seller has no batch price, or none is known.
    """

    provider: str
    model: str
    as_of: dt.date
    source: str
    standard: tuple[ApiRate, ...]
    batch: tuple[ApiRate, ...] = ()

    def __post_init__(self) -> None:
        for name, rates in (("standard", self.standard), ("batch", self.batch or self.standard)):
            if min((rate.above_input_tokens for rate in rates), default=1.0) != 0:
                msg = f"{name} prices of {self.model} leave out short prompts"
                raise ValueError(msg)


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


class Wage(Record, frozen=True):
    """What one full-time person costs a year at a site, overheads included, US dollars."""

    site: Slug
    usd_per_year: Fact


class Operation(Record, frozen=True):
    """What running a deployment takes besides devices: people, room, traffic, spot risk.

    Parameters
    ----------
    residual_share
        Sale of a device at the end of its life over its price.
    staff_fte_least, staff_fte_per_device
        People for any owned deployment, and for each device of it; the larger counts.
    hosting_usd_per_kw_month
        Room, cooling and racks for a kilowatt provisioned, electricity apart.
    egress_usd_per_gb, egress_bytes_per_token
        Traffic to users on a cloud, and its size per streamed token.
    spot_price_share, spot_spare_share
        Spot price over the same seller's on-demand price; more capacity kept against reclaims.
    autoscale_overhead_share
        Hours paid beyond those that serve where replicas come and go.
    spot_interruptions_per_month, spot_lost_hours, spot_correlated_share
        Reclaims of one device, hours until its replacement serves, and the part of reclaims
        that take all devices of one type and zone together.
    few_quotes_factor
        Least factor either way that a handful of quotes on reserved or spot terms spans.
    device_embodied_kgco2e
        Carbon of making one data-centre accelerator.
    """

    residual_share: Fact
    staff_fte_least: Fact
    staff_fte_per_device: Fact
    hosting_usd_per_kw_month: Fact
    egress_usd_per_gb: Fact
    egress_bytes_per_token: Fact
    spot_price_share: Fact
    spot_spare_share: Fact
    autoscale_overhead_share: Fact
    spot_interruptions_per_month: Fact
    spot_lost_hours: Fact
    spot_correlated_share: Fact
    few_quotes_factor: Fact
    device_embodied_kgco2e: Fact
    wage: tuple[Wage, ...]


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
    operation: Operation | None = None

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
