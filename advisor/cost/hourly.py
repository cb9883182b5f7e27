"""Price of one device for one hour, rented or owned: pure functions of numbers."""

from __future__ import annotations

import math

HOURS_PER_YEAR = 8766.0
"""Of a mean Julian year, 365.25 days."""
MONTHS_PER_YEAR = 12.0
NO_INTEREST = 1e-12
"""Below it the straight line is exact in doubles, and the annuity would divide 0 by 0."""
HOURS_PER_MONTH = HOURS_PER_YEAR / MONTHS_PER_YEAR
TOKENS_PER_MTOK = 1e6
SECONDS_PER_HOUR = 3600.0
WATTS_PER_KILOWATT = 1e3


def capital_recovery_factor(life_years: float, interest_per_year: float) -> float:
    """Yearly payment per unit borrowed: ``i / (1 - (1 + i)^-n)``; ``1 / n`` without interest.

    >>> round(capital_recovery_factor(1.0, 0.10), 6)
    1.1
    """
    if interest_per_year < NO_INTEREST:
        return 1.0 / life_years
    # expm1 keeps tiny rates exact: (1 + i)^-n would round to 1.
    return interest_per_year / -math.expm1(-life_years * math.log1p(interest_per_year))


def annuity_per_year(
    price: float, life_years: float, interest_per_year: float, residual_share: float = 0.0
) -> float:
    """Equal yearly payments that buy ``price`` over ``life_years``.

    ``(price - residual x (1 + i)^-n) x i / (1 - (1 + i)^-n)``: what the device sells for at the
    end, discounted, need not be paid (Brealey, Myers, Allen, Principles of Corporate Finance,
    chapter 2). ``residual_share`` is that sale over the price.

    >>> round(annuity_per_year(1000.0, 1.0, 0.10), 6)
    1100.0
    >>> round(annuity_per_year(1000.0, 1.0, 0.10, residual_share=0.5), 6)
    600.0
    """
    discount = math.exp(-life_years * math.log1p(interest_per_year))
    net = price * (1.0 - residual_share * discount)
    return net * capital_recovery_factor(life_years, interest_per_year)


def electricity_usd_per_hour(
    device_w: float, host_power_share: float, pue: float, usd_per_kwh: float
) -> float:
    """Electricity of one device, its share of the host and the building, per hour."""
    return device_w * (1.0 + host_power_share) * pue / WATTS_PER_KILOWATT * usd_per_kwh


def usd_per_mtok(
    usd_per_hour: float, time_share: float, requests_per_s: float, tokens_per_request: float
) -> float:
    """Price of a million tokens that take ``time_share`` of the hours paid.

    Money is split between prompt and output by the device time each takes.
    """
    tokens_per_hour = requests_per_s * tokens_per_request * SECONDS_PER_HOUR
    return usd_per_hour * time_share / tokens_per_hour * TOKENS_PER_MTOK
