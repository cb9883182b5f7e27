"""Prices of sellers' APIs: our own dated rows first, then the package ``genai-prices``.

Nothing here reads a file: the caller hands over the parsed override rows and the parsed
``pricing/api-sellers.toml``. The package is imported when a price is asked for, because its
price table takes a quarter of a second to load; it never goes to the network by itself.
"""

from __future__ import annotations

import datetime as dt
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from advisor.errors import MissingDataError, UnknownNameError
from advisor.schema.fact import Record, Slug
from advisor.schema.price import Currency

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from genai_prices.types import ModelInfo, Provider, TieredPrices

    from advisor.schema.price import ApiPrice

_PACKAGE = "genai-prices"


class Seller(Record, frozen=True):
    """Providers whose price stands for every model id that starts with a prefix."""

    prefixes: tuple[str, ...]
    providers: tuple[str, ...]


class Reference(Record, frozen=True):
    """A provider's own name for a model of the catalogue."""

    provider: str
    model: Slug
    name: str


class ApiSellers(Record, frozen=True):
    """Who sells which model, ``pricing/api-sellers.toml``.

    ``standard_hour_utc`` is the hour of day whose price stands for the whole day.
    """

    schema: Literal[1]
    standard_hour_utc: Annotated[int, msgspec.Meta(ge=0, le=23)]
    seller: tuple[Seller, ...]
    reference: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiQuote:
    """Price of one model at one seller on one day.

    Parameters
    ----------
    provider
        Id of the seller.
    model_ref
        The seller's model the price belongs to; a provider may match several ids to one.
    currency
        Currency of the three prices.
    input_per_mtok, output_per_mtok
        Price of a million tokens.
    cached_input_per_mtok
        Price of a million input tokens found in the seller's cache, if it has one.
    as_of
        Day the price is for, or the first day it is known for.
    source
        Package and version with the seller's price page, or the source id of an override.
    note
        Conditions: length of input, hour of day.
    """

    provider: str
    model_ref: str
    currency: Currency
    input_per_mtok: float
    output_per_mtok: float
    cached_input_per_mtok: float | None
    as_of: dt.date
    source: str
    note: str = ""


def first_party_providers(model_id: str, sellers: ApiSellers) -> tuple[str, ...]:
    """Return the providers whose price stands for a model, best first.

    Parameters
    ----------
    model_id
        Id of a model, any case.
    sellers
        The parsed ``api-sellers.toml``.

    Returns
    -------
    tuple of str
        Empty if the model's maker sells no API.
    """
    name = model_id.lower()
    matches = [(p, s) for s in sellers.seller for p in s.prefixes if name.startswith(p)]
    if not matches:
        return ()
    return max(matches, key=lambda match: len(match[0]))[1].providers


def api_price(
    model_id: str,
    at: dt.datetime,
    provider: str | None = None,
    *,
    sellers: ApiSellers,
    overrides: Sequence[ApiPrice] = (),
) -> ApiQuote:
    """Price of a model's API on a day.

    Parameters
    ----------
    model_id
        Id of the model in the catalogue, or the seller's own name for it.
    at
        When the tokens are bought; without a time zone it is taken as UTC. Only the day
        counts: see Notes.
    provider
        Seller; without it the model's maker.
    sellers
        The parsed ``api-sellers.toml``.
    overrides
        Dated price rows that go before the package's.

    Returns
    -------
    ApiQuote
        Prices per million tokens in the seller's currency.

    Raises
    ------
    UnknownNameError
        No price is known; ``suggestions`` holds the nearest names that have one.
    MissingDataError
        The package is needed and not installed.

    Notes
    -----
    The package keeps prices by date and prices by hour apart: its hourly rules hold on any
    date, also before the seller had them. The time is therefore moved to
    ``sellers.standard_hour_utc``, an hour outside every such rule. A model for which the
    package keeps no history has one price for all dates.
    """
    candidates = (provider,) if provider else first_party_providers(model_id, sellers)
    moment = standard_moment(at, sellers)
    for candidate in candidates:
        name = _reference(model_id, candidate, sellers)
        quote = _from_overrides(name, candidate, moment, overrides)
        quote = quote or _from_package(name, candidate, moment)
        if quote:
            return quote
    raise _unknown(model_id, candidates, at, overrides)


def list_api_prices(
    provider: str,
    at: dt.datetime,
    *,
    sellers: ApiSellers,
    overrides: Sequence[ApiPrice] = (),
) -> tuple[ApiQuote, ...]:
    """List every token price known for a provider on a day, by model name.

    Parameters
    ----------
    provider
        Id of the seller.
    at, sellers, overrides
        As for :func:`api_price`.

    Returns
    -------
    tuple of ApiQuote
        An override takes the place of the package's row of the same name.

    Raises
    ------
    UnknownNameError
        Neither the package nor the overrides know the provider.
    MissingDataError
        The package is needed and not installed.
    """
    moment = standard_moment(at, sellers)
    found: dict[str, ApiQuote] = {}
    package_provider = _package_provider(provider)
    for model in package_provider.models if package_provider else ():
        quote = _package_quote(package_provider, model, moment)
        if quote:
            found[model.id.lower()] = quote
    for name in {row.model for row in overrides if row.provider == provider}:
        quote = _from_overrides(name, provider, moment, overrides)
        if quote:
            found[name] = quote
    if not found and not package_provider:
        known = _known_providers(overrides)
        if provider not in known:
            message = f"no API prices are known for provider {provider!r}"
            raise UnknownNameError(message, suggestions=_nearest(provider, known))
    return tuple(found[name] for name in sorted(found))


def standard_moment(at: dt.datetime, sellers: ApiSellers) -> dt.datetime:
    """Move a time to the hour whose price stands for its day, in UTC."""
    utc = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    return utc.replace(hour=sellers.standard_hour_utc, minute=0, second=0, microsecond=0)


def _reference(model_id: str, provider: str, sellers: ApiSellers) -> str:
    name = model_id.lower()
    for row in sellers.reference:
        if row.provider == provider and row.model == name:
            return row.name
    return name


def _from_overrides(
    name: str, provider: str, moment: dt.datetime, overrides: Iterable[ApiPrice]
) -> ApiQuote | None:
    day = moment.date()
    rows = [
        row
        for row in overrides
        if (row.provider, row.model) == (provider, name)
        and row.valid_from <= day
        and (row.valid_to is None or day <= row.valid_to)
    ]
    if not rows:
        return None
    row = max(rows, key=lambda each: each.valid_from)
    return ApiQuote(
        provider=provider,
        model_ref=row.model,
        currency=row.currency,
        input_per_mtok=row.input_per_mtok,
        output_per_mtok=row.output_per_mtok,
        cached_input_per_mtok=row.cached_input_per_mtok,
        as_of=row.valid_from,
        source=row.source,
        note=row.note,
    )


def _package_providers() -> list[Provider]:
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        message = f"API prices of this seller need the package {_PACKAGE}"
        raise MissingDataError(message, suggestions=(f"pip install {_PACKAGE}",)) from error
    return get_snapshot().providers


def _package_provider(provider: str) -> Provider | None:
    # The package's own search also takes names that merely contain an id; a price must not
    # come from a seller the caller did not name.
    return next((each for each in _package_providers() if each.id == provider), None)


def _from_package(name: str, provider: str, moment: dt.datetime) -> ApiQuote | None:
    seller = _package_provider(provider)
    model = seller.find_model(name, all_providers=_package_providers()) if seller else None
    return _package_quote(seller, model, moment) if seller and model else None


def package_model(quote: ApiQuote) -> ModelInfo | None:
    """Return the package's entry behind a quote; None if the quote is an override's."""
    if not quote.source.startswith(_PACKAGE):
        return None
    seller = _package_provider(quote.provider)
    return next((m for m in seller.models if m.id == quote.model_ref), None) if seller else None


def _package_quote(
    provider: Provider | None, model: ModelInfo, moment: dt.datetime
) -> ApiQuote | None:
    from genai_prices import __version__

    prices = model.get_prices(moment)
    input_price, output_price = _base(prices.input_mtok), _base(prices.output_mtok)
    if provider is None or input_price is None or output_price is None:
        return None  # sold by the image, minute or character
    page = provider.pricing_urls[0] if provider.pricing_urls else provider.name
    return ApiQuote(
        provider=provider.id,
        model_ref=model.id,
        currency="USD",
        input_per_mtok=input_price,
        output_per_mtok=output_price,
        cached_input_per_mtok=_base(prices.cache_read_mtok),
        as_of=moment.date(),
        source=f"{_PACKAGE} {__version__}: {page}",
        note="; ".join(_conditions(model, moment, prices.input_mtok)),
    )


def _base(price: Decimal | TieredPrices | None) -> float | None:
    from genai_prices.types import TieredPrices

    if price is None:
        return None
    return float(price.base if isinstance(price, TieredPrices) else price)


def _conditions(
    model: ModelInfo, moment: dt.datetime, input_price: Decimal | TieredPrices | None
) -> list[str]:
    from genai_prices.types import TieredPrices, TimeOfDateConstraint

    notes = []
    if isinstance(input_price, TieredPrices) and input_price.tiers:
        notes.append(f"other prices above {input_price.tiers[0].start} input tokens")
    rules = model.prices if isinstance(model.prices, list) else []
    if any(isinstance(rule.constraint, TimeOfDateConstraint) for rule in rules):
        notes.append(f"price of {moment:%H:%M} UTC; other hours may differ")
    return notes


def _known_providers(overrides: Iterable[ApiPrice]) -> list[str]:
    own = {row.provider for row in overrides}
    return sorted(own | {each.id for each in _package_providers()})


def _known_models(provider: str, overrides: Iterable[ApiPrice]) -> list[str]:
    package_provider = _package_provider(provider)
    own = {row.model for row in overrides if row.provider == provider}
    packaged = {model.id for model in package_provider.models} if package_provider else set()
    return sorted(own | packaged)


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=5, cutoff=0.4)
    return [by_lower[each] for each in close]


def _unknown(
    model_id: str, candidates: Sequence[str], at: dt.datetime, overrides: Sequence[ApiPrice]
) -> UnknownNameError:
    day = at.date().isoformat()
    if not candidates:
        makers = f"no maker's API is known for {model_id!r}; name a provider"
        return UnknownNameError(makers, suggestions=_known_providers(overrides))
    unknown = [each for each in candidates if each not in _known_providers(overrides)]
    if unknown:
        message = f"no API prices are known for provider {unknown[0]!r}"
        return UnknownNameError(
            message, suggestions=_nearest(unknown[0], _known_providers(overrides))
        )
    models = [each for name in candidates for each in _known_models(name, overrides)]
    dates = [row.valid_from for row in overrides if row.model == model_id.lower()]
    since = f"; first known price is of {min(dates)}" if dates else ""
    close = _nearest(model_id, models)
    hint = f". Did you mean {', '.join(close)}?" if close else ""
    sellers = " or ".join(candidates)
    message = f"no price of {model_id!r} from {sellers} on {day} is known{since}{hint}"
    return UnknownNameError(message, suggestions=close)
