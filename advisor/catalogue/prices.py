"""Prices, exchange rates, electricity and ownership assumptions; read only where needed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from advisor.catalogue.api_prices import ApiSellers
from advisor.catalogue.names import find
from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import decode, read_record, read_text
from advisor.errors import MissingDataError
from advisor.schema.fact import Fact
from advisor.schema.price import (
    ApiPrice,
    Currency,
    ExchangeRate,
    Operation,
    Ownership,
    PriceFile,
    Purchase,
    Rental,
    Site,
)

_NOT_PRICES = {"api-sellers"}
_LISTING = "advisor catalogue prices"
_DEVICE = re.compile(r'^device = "([^"]*)"$', re.MULTILINE)


@cache
def _texts() -> tuple[tuple[Path, str], ...]:
    paths = sorted(data_dir("pricing").glob("*.toml"))
    return tuple((path, read_text(path)) for path in paths if path.stem not in _NOT_PRICES)


@cache
def _file(path: Path) -> PriceFile:
    return decode(dict(_texts())[path], PriceFile, str(path))


def price_files() -> tuple[PriceFile, ...]:
    """Read every price file."""
    return tuple(_file(path) for path, _ in _texts())


def _files_with(pattern: str) -> tuple[PriceFile, ...]:
    found = re.compile(pattern, re.MULTILINE)
    return tuple(_file(path) for path, text in _texts() if found.search(text))


@cache
def _paths_by_device() -> dict[str, tuple[Path, ...]]:
    """Device -> files that name it, by their text alone."""
    found: dict[str, tuple[Path, ...]] = {}
    for path, text in _texts():
        for device in dict.fromkeys(_DEVICE.findall(text)):
            found[device] = (*found.get(device, ()), path)
    return found


def _files_about(device_id: str) -> tuple[PriceFile, ...]:
    return tuple(_file(path) for path in _paths_by_device().get(device_id, ()))


def rentals(device_id: str) -> tuple[Rental, ...]:
    """Return every rental quote of a device, newest first."""
    files = _files_about(device_id)
    rows = [row for file in files for row in file.rental if row.device == device_id]
    return tuple(sorted(rows, key=lambda row: row.date, reverse=True))


def purchases(device_id: str) -> tuple[Purchase, ...]:
    """Return every purchase price of a device, newest first."""
    files = _files_about(device_id)
    rows = [row for file in files for row in file.purchase if row.device == device_id]
    return tuple(sorted(rows, key=lambda row: row.date, reverse=True))


def api_overrides() -> tuple[ApiPrice, ...]:
    """Return the API prices of sellers the price package lacks."""
    return tuple(row for file in _files_with(r"^\[\[api\]\]") for row in file.api)


@cache
def api_sellers() -> ApiSellers:
    """Return which seller's price stands for a model when none is named."""
    return read_record(data_dir("pricing") / "api-sellers.toml", ApiSellers)


@cache
def exchange_rate(currency: Currency) -> ExchangeRate | None:
    """Return the newest rate of a currency, None for US dollars.

    Raises
    ------
    MissingDataError
        If no rate is known.
    """
    if currency == "USD":
        return None
    rows = [r for file in _files_with(r"^\[\[exchange_rate\]\]") for r in file.exchange_rate]
    rows = [row for row in rows if row.currency == currency]
    if not rows:
        msg = f"no exchange rate for {currency}"
        raise MissingDataError(msg)
    return max(rows, key=lambda row: row.date)


def to_usd(amount: float, currency: Currency) -> float:
    """Convert an amount to US dollars at the newest known rate."""
    rate = exchange_rate(currency)
    return amount if rate is None else amount / rate.per_usd


@cache
def ownership() -> Ownership:
    """Return the ownership assumptions.

    Raises
    ------
    MissingDataError
        If no price file holds them.
    """
    for file in _files_with(r"^\[ownership\]"):
        if file.ownership:
            return file.ownership
    msg = "no ownership assumptions in pricing/"
    raise MissingDataError(msg)


@cache
def operation() -> Operation:
    """Return what running a deployment takes: people, room, traffic, spot risk.

    Raises
    ------
    MissingDataError
        If no price file holds it.
    """
    for file in _files_with(r"^\[operation\]"):
        if file.operation:
            return file.operation
    msg = "no running costs in pricing/"
    raise MissingDataError(msg)


def wage(site_id: str) -> Fact:
    """Return what a full-time person costs a year at a site, in US dollars.

    Raises
    ------
    MissingDataError
        Naming the sites whose wage is known.
    """
    known = {row.site: row.usd_per_year for row in operation().wage}
    if site_id not in known:
        msg = f"no wage is known for site {site_id!r}; known: {', '.join(sorted(known))}"
        raise MissingDataError(msg, suggestions=sorted(known))
    return known[site_id]


@cache
def _sites() -> dict[str, Site]:
    rows = [row for file in _files_with(r"^\[\[site\]\]") for row in file.site]
    return {name: row for row in rows for name in (row.id, *row.aliases)}


def get_site(name: str) -> Site:
    """Return the electricity facts of a country or region; unknown names raise UnknownNameError."""
    sites = _sites()
    return sites[find(name, {key: key for key in sites}, "site", _LISTING)]
