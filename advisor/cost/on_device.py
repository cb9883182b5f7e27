"""Models on the users' own phones: battery, who can run it, what the maker pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.cost.amount import Amount, exactly, product, ratio
from advisor.cost.bill import Bill, Line, bill
from advisor.cost.deployment import BYTES_PER_GB
from advisor.cost.hourly import MONTHS_PER_YEAR
from advisor.schema.fact import Evidence

JOULES_PER_KWH = 3.6e6


def battery_share(joules: Amount, battery_j: Amount) -> Amount:
    """Part of a full battery that so much energy takes; above 1: more than a charge."""
    return ratio(joules, battery_j)


def battery_usd(joules: Amount, usd_per_kwh: Amount, charging_share: Amount) -> Amount:
    """Return what the user pays; ``charging_share`` of wall energy reaches the cells."""
    return ratio(product(joules, usd_per_kwh), charging_share).times(1.0 / JOULES_PER_KWH)


@dataclass(frozen=True)
class RamTier:
    """Part of the phones in use that have at least so much memory."""

    at_least_bytes: float
    share: Amount


def supported_share(tiers: Sequence[RamTier], needed_bytes: float, usable_share: float) -> Amount:
    """Part of the phones that can hold a model.

    Parameters
    ----------
    tiers
        Shares of phones by memory, any order.
    needed_bytes
        Weights, cache and workspace of the model.
    usable_share
        Part of a phone's memory that one app may hold.

    Returns
    -------
    Amount
        The share of the smallest tier that fits; zero if none does.
    """
    fitting = [t for t in tiers if t.at_least_bytes * usable_share >= needed_bytes]
    if not fitting:
        return exactly(0.0)
    return min(fitting, key=lambda t: t.at_least_bytes).share


@dataclass(frozen=True)
class AppTerms:
    """What the maker of an app with a model inside pays.

    ``person_months`` build and port it, ``upkeep_share_per_year`` of that keeps it running.
    Each of ``downloads_per_month`` moves the model once over a network at ``usd_per_gb``.
    """

    person_months: Amount
    usd_per_person_month: Amount
    upkeep_share_per_year: Amount
    usd_per_gb: Amount


def app_bill(
    terms: AppTerms,
    model_bytes: float,
    downloads_per_month: float,
    horizon_months: float,
    evidence: Evidence = "estimated",
) -> Bill:
    """Lines of a month: development spread over the horizon with its upkeep, and downloads.

    The phone, its power and its network are the user's; see :func:`battery_usd`.
    """
    building = product(terms.person_months, terms.usd_per_person_month)
    monthly = building.times(1.0 / horizon_months)
    upkeep = product(building, terms.upkeep_share_per_year).times(1.0 / MONTHS_PER_YEAR)
    moved = terms.usd_per_gb.times(model_bytes / BYTES_PER_GB * downloads_per_month)
    return bill(
        Line("development", monthly, evidence),
        Line("development", upkeep, evidence),
        Line("download", moved, evidence),
    )
