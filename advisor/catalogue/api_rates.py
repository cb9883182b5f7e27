"""A seller's whole tariff for a model: long-context steps and batch prices, in US dollars."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from advisor.catalogue import prices
from advisor.catalogue.api_prices import ApiQuote, api_price, package_model, standard_moment
from advisor.schema.price import ApiRate, ApiTariff

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelPrice, TieredPrices

_BATCH = {"processing": "batch"}


def api_tariff(model_id: str, at: dt.datetime, provider: str | None = None) -> ApiTariff:
    """Return all prices of a model's API on a day, in US dollars at the newest known rate.

    Parameters
    ----------
    model_id, at, provider
        As for :func:`advisor.catalogue.api_prices.api_price`.

    Raises
    ------
    UnknownNameError
        No price is known.
    MissingDataError
        The price package or an exchange rate is missing.
    """
    sellers = prices.api_sellers()
    quote = api_price(model_id, at, provider, sellers=sellers, overrides=prices.api_overrides())
    model = package_model(quote)
    if model is None:
        return _tariff(quote, (_flat(quote),), ())
    moment = standard_moment(at, sellers)
    standard = model.get_prices(moment)
    batch = model.get_prices(moment, _BATCH)
    return _tariff(quote, _steps(standard), _steps(batch) if batch != standard else ())


def _tariff(
    quote: ApiQuote, standard: tuple[ApiRate, ...], batch: tuple[ApiRate, ...]
) -> ApiTariff:
    return ApiTariff(
        provider=quote.provider,
        model=quote.model_ref,
        as_of=quote.as_of,
        source=quote.source,
        standard=standard,
        batch=batch,
    )


def _flat(quote: ApiQuote) -> ApiRate:
    def usd(amount: float) -> float:
        return prices.to_usd(amount, quote.currency)

    cached = quote.cached_input_per_mtok
    return ApiRate(
        input_usd_per_mtok=usd(quote.input_per_mtok),
        output_usd_per_mtok=usd(quote.output_per_mtok),
        cached_input_usd_per_mtok=None if cached is None else usd(cached),
    )


def _steps(price: ModelPrice) -> tuple[ApiRate, ...]:
    """Return one rate per threshold that any of the prices has."""
    starts = {0.0}
    for part in (price.input_mtok, price.output_mtok, price.cache_read_mtok):
        starts |= {float(tier.start) for tier in getattr(part, "tiers", ())}
    return tuple(
        ApiRate(
            input_usd_per_mtok=_at(price.input_mtok, start) or 0.0,
            output_usd_per_mtok=_at(price.output_mtok, start) or 0.0,
            cached_input_usd_per_mtok=_at(price.cache_read_mtok, start),
            above_input_tokens=start,
        )
        for start in sorted(starts)
    )


def _at(price: Decimal | TieredPrices | None, start: float) -> float | None:
    """Return the price that holds just above a threshold."""
    from genai_prices.types import TieredPrices

    if not isinstance(price, TieredPrices):
        return None if price is None else float(price)
    reached = [tier.price for tier in price.tiers if float(tier.start) <= start]
    return float(reached[-1] if reached else price.base)
