"""What a seller's API costs in a month: cache, batch and long-context prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.cost.amount import exactly
from advisor.cost.bill import Bill, Line, bill
from advisor.cost.hourly import TOKENS_PER_MTOK
from advisor.schema.fact import Evidence
from advisor.schema.price import ApiRate, ApiTariff

CHARACTERS = 1000.0
"""Money per text is quoted per 1,000 characters."""


@dataclass(frozen=True)
class ApiUse:
    """What is asked of an API in a month.

    Parameters
    ----------
    requests_per_month
        Calls.
    input_tokens, output_tokens
        Of one call; visible output.
    hidden_output_tokens
        Reasoning that is billed as output and not shown.
    cached_share
        Part of the input found in the seller's cache, 0 to 1.
    batch_share
        Part of the calls that can wait for the batch price, 0 to 1.
    """

    requests_per_month: float
    input_tokens: float
    output_tokens: float
    hidden_output_tokens: float = 0.0
    cached_share: float = 0.0
    batch_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cached_share", "batch_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f"{name} must be between 0 and 1, got {getattr(self, name)}"
                raise ValueError(msg)
        counts = (self.requests_per_month, self.input_tokens, self.output_tokens)
        if min(*counts, self.hidden_output_tokens) < 0:
            msg = f"requests and tokens must be 0 or more, got {self}"
            raise ValueError(msg)


def rate_for(rates: Sequence[ApiRate], input_tokens: float) -> ApiRate:
    """Return the price step a prompt reaches."""
    reached = [r for r in rates if r.above_input_tokens == 0 or input_tokens > r.above_input_tokens]
    return max(reached, key=lambda rate: rate.above_input_tokens)


def _parts(rate: ApiRate, use: ApiUse) -> tuple[float, float, float]:
    cached = use.input_tokens * use.cached_share
    cached_price = rate.cached_input_usd_per_mtok
    if cached_price is None:
        cached_price = rate.input_usd_per_mtok
    output = use.output_tokens + use.hidden_output_tokens
    return (
        (use.input_tokens - cached) * rate.input_usd_per_mtok / TOKENS_PER_MTOK,
        cached * cached_price / TOKENS_PER_MTOK,
        output * rate.output_usd_per_mtok / TOKENS_PER_MTOK,
    )


def usd_per_call(tariff: ApiTariff, use: ApiUse) -> tuple[float, float, float]:
    """Return input, cached input and output of a mean call, US dollars.

    The whole call is charged at the step its prompt reaches. Cached tokens cost the cached
    price where the seller has one, else the full price; calls that can wait cost the batch
    price where there is one.
    """
    now = _parts(rate_for(tariff.standard, use.input_tokens), use)
    if not tariff.batch:
        return now
    later = _parts(rate_for(tariff.batch, use.input_tokens), use)
    share = use.batch_share
    fresh, cached, output = (a * (1.0 - share) + b * share for a, b in zip(now, later, strict=True))
    return fresh, cached, output


def api_bill(tariff: ApiTariff, use: ApiUse, evidence: Evidence = "measured") -> Bill:
    """Lines of a month: input, cached input, output. Listed prices have no range."""
    fresh, cached, output = (part * use.requests_per_month for part in usd_per_call(tariff, use))
    return bill(
        Line("api_input", exactly(fresh), evidence),
        Line("api_cached", exactly(cached), evidence),
        Line("api_output", exactly(output), evidence),
    )


def usd_per_kchar(usd_per_mtok: float, tokens_per_character: float) -> float:
    """Price of 1,000 characters of text: models with different tokenizers compare by it.

    >>> round(usd_per_kchar(10.0, 0.6), 6)
    0.006
    """
    return usd_per_mtok * tokens_per_character * CHARACTERS / TOKENS_PER_MTOK
