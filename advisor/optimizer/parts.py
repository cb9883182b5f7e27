"""What an option of an answer is made of: a model somewhere, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.perf.intervals import Estimate
from advisor.schema.fact import Evidence


@dataclass(frozen=True)
class Part:
    """One model somewhere: what an option is made of.

    ``hw_id`` and what follows are empty for an API; ``provider`` is empty for hardware.
    """

    model_id: str
    model_name: str
    hw_id: str = ""
    hw_name: str = ""
    engine_id: str = ""
    engine_name: str = ""
    precision: str = ""
    layout: str = ""
    devices_per_replica: int = 0
    provider: str = ""


@dataclass(frozen=True)
class PartTokens:
    """Mean tokens of a request of a class in one model's own vocabulary.

    Parameters
    ----------
    osl_tokens
        Of the visible answer.
    reasoning_tokens
        Reasoned unseen before it.
    vocabulary, answer
        How the tokens of a text, and the length of the answers, are known; ``exact``: stated.
    """

    model_name: str
    class_name: str
    isl_tokens: float
    osl_tokens: float
    reasoning_tokens: float
    vocabulary: Evidence
    answer: Evidence


@dataclass(frozen=True)
class UserSide:
    """What an option on users' own devices takes of them; none of it is on the plan's bill.

    Parameters
    ----------
    joules_per_request
        From the battery, mean over the classes it serves; None: power unknown.
    charge_share_per_request, charge_share_per_day
        Of a full battery; a day needs ``requests_per_user_day``.
    usd_per_request
        The user's electricity, charging losses included.
    download_bytes
        Weights the app brings along.
    memory_bytes
        Weights, cache and workspace while it runs.
    support_share
        Share of requests it can serve: stated, or that of the phones that hold it.
    phones_that_hold
        Share of the market's phones in use with memory enough; None for what is no phone.
    """

    joules_per_request: Estimate | None
    charge_share_per_request: Estimate | None
    charge_share_per_day: Estimate | None
    usd_per_request: Estimate | None
    download_bytes: float
    memory_bytes: float
    support_share: Estimate
    phones_that_hold: Estimate | None


@dataclass(frozen=True)
class Gain:
    """What fine-tuning buys: the score before, None where nobody measured it, and after."""

    metric: str
    before: float | None
    after: float
    source: str


@dataclass(frozen=True)
class TunedCost:
    """What a vertical model costs to make, beside what it buys.

    Parameters
    ----------
    device_hours
        Of the job stated.
    usd_once, usd_per_month
        Compute and data; spread over the horizon with interest.
    full_usd
        The same tokens with all weights trained.
    pretraining_tokens, pretraining_usd
        The same model from nothing on the least tokens that make sense; the range reaches to
        what small models are trained on.
    """

    name: str
    base_name: str
    method: str
    hw_name: str
    training_tokens: float
    device_hours: Estimate
    usd_once: Estimate
    usd_per_month: Estimate
    full_usd: Estimate
    pretraining_tokens: float
    pretraining_usd: Estimate
    gains: tuple[Gain, ...]
