"""All claims answered, in the report's order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from advisor.catalogue.claims import claim_file, get_claim
from advisor.claims import money, quality, speed, training
from advisor.claims.result import Answer, Finding


def _computations(now: dt.datetime) -> dict[int, Callable[[], Finding]]:
    return {
        1: lambda: money.price_and_quality(now),
        2: speed.experts,
        3: speed.phones,
        4: training.openelm,
        5: speed.edge,
        6: speed.sizes,
        7: quality.vertical,
        8: quality.far_larger,
        9: lambda: money.tuning(now),
        10: quality.distillation,
        11: speed.quantisation,
        12: speed.limited_chips,
        13: quality.ensembles,
        14: quality.multilingual,
        15: training.tokens_needed,
        16: speed.processors,
        17: money.significance,
    }


def answer_claim(number: int, now: dt.datetime) -> Answer:
    """Answer one claim.

    Parameters
    ----------
    number
        As in ``advisor/catalogue/claims.toml``.
    now
        Day of the API prices.

    Raises
    ------
    UsageError
        If there is no such claim.
    DataError
        If a fact the answer needs is missing.
    """
    claim = get_claim(number)
    finding = _computations(now)[claim.number]()
    return Answer(claim.number, finding.headline, finding.checks)


def answer_all(now: dt.datetime) -> tuple[Answer, ...]:
    """Answer every claim."""
    return tuple(answer_claim(claim.number, now) for claim in claim_file().claim)
