"""Numbers that several claims need: scores, speeds, prices."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

from advisor.catalogue.claims import claim_file, figure
from advisor.catalogue.devices import get_device
from advisor.catalogue.quality import read_scores
from advisor.catalogue.training import training_file, training_run
from advisor.claims.result import Check, Number, Relation
from advisor.cost.amount import Amount, of_fact, ratio
from advisor.errors import MissingDataError
from advisor.estimator.bills import amount_of, quotes_on
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult, Point
from advisor.estimator.run import estimate_point
from advisor.perf.intervals import Estimate
from advisor.schema.fact import worst_evidence
from advisor.schema.price import Score
from advisor.schema.text import Text
from advisor.schema.training import Run


@dataclass(frozen=True)
class Where:
    """Which published score is meant: benchmark, source, words of setting and variant.

    ``ends``: how the setting ends, where one setting's words are part of another's.
    """

    benchmark: str
    source: str
    setting: str = ""
    variant: str = ""
    ends: str = ""


@dataclass(frozen=True)
class Points:
    """A score and the title of its source."""

    value: float
    title: str


def score(model: str, where: Where) -> Points:
    """Return the one published score that fits.

    Raises
    ------
    MissingDataError
        If none or several differing ones fit.
    """
    file = read_scores(model)
    fitting: list[Score] = [
        s
        for s in file.score
        if s.benchmark == where.benchmark
        and where.source in s.source
        and where.setting in s.setting
        and s.setting.endswith(where.ends)
        and where.variant in s.variant
    ]
    if len({s.score for s in fitting}) != 1:
        msg = f"{model}: {len(fitting)} scores fit {where}, one is needed"
        raise MissingDataError(msg)
    titles = {source.id: source.title for source in file.source}
    return Points(fitting[0].score, titles[fitting[0].source])


def difference_check(
    text: Text, one: Points, other: Points, relation: Relation, threshold: float
) -> Check:
    """Compare ``one - other`` in points with a threshold; differences of scores carry no range."""
    return Check(
        text,
        Number.of(round(one.value - other.value, 6)),
        relation,
        threshold,
        "measured",
        tuple(dict.fromkeys((one.title, other.title))),
        (one.value, other.value),
    )


@lru_cache(maxsize=256)
def run_of(request: EstimateRequest) -> EstimateResult:
    """Estimate once for all claims."""
    return estimate_point(request)


def asked(request: EstimateRequest) -> Point:
    """Return the asked operating point.

    Raises
    ------
    MissingDataError
        If the load is unstable, so that there are no figures.
    """
    point = run_of(request).asked
    if not point.stable:
        msg = f"{request.model} on {request.hw}: the load is unstable"
        raise MissingDataError(msg)
    return point


def need(estimate: Estimate | None, what: str) -> Estimate:
    """Return an estimate that must be there.

    Raises
    ------
    MissingDataError
        If a fact it needs is not published.
    """
    if estimate is None:
        msg = f"{what} can't be estimated: a fact it needs is not published"
        raise MissingDataError(msg)
    return estimate


def ratio_check(
    text: Text, one: Estimate, other: Estimate, relation: Relation, threshold: float
) -> Check:
    """Compare the ratio of two estimates with a threshold; their errors count as independent."""
    return Check(
        text,
        Number.of(ratio(amount_of(one), amount_of(other))),
        relation,
        threshold,
        worst_evidence(one.evidence, other.evidence),
        parts=(one.value, other.value),
    )


def figure_amount(name: str) -> tuple[Amount, str]:
    """Return a figure of the claim file with the title of its source."""
    row = figure(name)
    titles = {source.id: source.title for source in claim_file().source}
    return of_fact(row.fact), titles[row.fact.source]


def published_run(name: str) -> tuple[Run, str]:
    """Return a published training run with the title of its source."""
    run = training_run(name)
    titles = {source.id: source.title for source in training_file().source}
    return run, titles[run.tokens.source]


def rent_usd_per_hour(device_id: str) -> tuple[Amount, dt.date]:
    """Return the on-demand rent of a device-hour and its date.

    Raises
    ------
    MissingDataError
        If no quote is known.
    """
    quotes = quotes_on(device_id, "on-demand")
    if quotes is None:
        msg = f"no on-demand price of {get_device(device_id).name} is known"
        raise MissingDataError(msg)
    return quotes.usd_per_hour, quotes.date
