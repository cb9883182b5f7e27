"""Options without replicas of our own: sellers' APIs and users' devices."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.catalogue.api_rates import api_tariff
from advisor.catalogue.models import get_model
from advisor.cost.api import ApiUse, usd_per_call
from advisor.errors import UnknownNameError
from advisor.optimizer.capacity import Asked, long_share
from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.options import Option, half_widths
from advisor.optimizer.parts import Part
from advisor.optimizer.problem import Bools, Floats
from advisor.optimizer.scores import ScoreBook, ScoreFact
from advisor.optimizer.tokens import TokenUse, token_use
from advisor.schema.price import ApiRate, ApiTariff
from advisor.schema.question import ApiOffer
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

NORMAL_95 = 1.6449


@dataclass(frozen=True)
class RemoteList:
    """Options, why others can't serve, and the date of the oldest price used."""

    options: tuple[Option, ...]
    excluded: dict[str, Text]
    oldest: dt.date | None


def scores_of(
    scenario: Scenario, classes: Sequence[ClassDemand], book: ScoreBook, name: str
) -> tuple[ScoreFact | None, ...]:
    """Return a model's score on each class's metric."""
    metrics = [scenario.metric_of(c.name) for c in classes]
    return tuple(book.score(name, m) if m else None for m in metrics)


def known_for(scenario: Scenario, classes: Sequence[ClassDemand], facts: Sequence[object]) -> Bools:
    """Classes whose metric is known for a model, or that ask for none."""
    metrics = [scenario.metric_of(c.name) for c in classes]
    return np.array([f is not None or not m for f, m in zip(facts, metrics, strict=True)])


def tariff_of(offer: ApiOffer, today: dt.date) -> ApiTariff:
    """Return an API's prices: the scenario's own where it gives both, else the catalogue's.

    Raises
    ------
    UnknownNameError, MissingDataError
        If no price is known.
    """
    if offer.usd_per_mtok_input is not None and offer.usd_per_mtok_output is not None:
        rate = ApiRate(
            input_usd_per_mtok=offer.usd_per_mtok_input,
            output_usd_per_mtok=offer.usd_per_mtok_output,
            cached_input_usd_per_mtok=offer.usd_per_mtok_cached,
        )
        return ApiTariff(
            provider=offer.provider or "own",
            model=offer.model,
            as_of=today,
            source="scenario",
            standard=(rate,),
        )
    at = dt.datetime(today.year, today.month, today.day, tzinfo=dt.UTC)
    return api_tariff(offer.model, at, offer.provider)


def _log_normal(p50: float, p95: float, z: Floats) -> Floats:
    sigma = math.log(p95 / p50) / NORMAL_95
    return np.asarray(p50 * np.exp(sigma * z))


def within(asked: Asked, ttft: Floats, tpot: Floats, e2e: Floats) -> Bools:
    """``(C,)`` classes whose limits some percentiles keep."""
    kept = (ttft <= asked.ttft_s[:, 0]) & (tpot <= asked.tpot_s[:, 0])
    return np.asarray(kept & (e2e <= asked.e2e_s[:, 0]))


def api_option(
    index: int,
    offer: ApiOffer,
    tariff: ApiTariff,
    classes: Sequence[ClassDemand],
    asked: Asked,
    facts: tuple[ScoreFact | None, ...],
    tokens: TokenUse,
) -> Option:
    """Return the option of one API; latency is log-normal between its stated percentiles.

    The first token stated is the first one shown: reasoning is behind it and only billed.
    """
    own = tokens.applied(asked)
    z, hidden = asked.z[:, 0], own.hidden[:, 0]
    osl = own.osl[:, 0] - hidden
    ttft = _log_normal(offer.ttft_s_p50, offer.ttft_s_p95, z)
    tpot = _log_normal(offer.tpot_s_p50, offer.tpot_s_p95, z)
    answer = osl * offer.tpot_s_p50
    long_answer = long_share(asked.osl_cv, asked.z)[:, 0]
    over = np.hypot(
        ttft - offer.ttft_s_p50,
        np.hypot(answer * (tpot / offer.tpot_s_p50 - 1.0), answer * (long_answer - 1.0)),
    )
    e2e = offer.ttft_s_p50 + answer + over
    kept = within(asked, ttft, tpot, e2e)
    public = np.array([c.privacy == "any" for c in classes])
    usd = [usd_of_call(offer, tariff, *row) for row in zip(*tokens.lengths(classes), strict=True)]
    values = np.array([np.nan if f is None else f.value for f in facts])
    name = _model_name(offer.model)
    return Option(
        name=f"{name} API ({tariff.provider})",
        kind="api",
        size=None,
        model_ids=(offer.model,),
        parts=(Part(offer.model, name, provider=tariff.provider),),
        uses=(),
        allowed=kept & public,
        usd_per_request=np.array(usd),
        quality=values,
        half80=half_widths(facts),
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=e2e,
        evidence="estimated",
        apis=(index,),
        quality_source=next((f.source for f in facts if f), ""),
        tokens=(tokens,),
    )


def api_tokens(
    scenario: Scenario, offer: ApiOffer, facts: tuple[ScoreFact | None, ...]
) -> TokenUse:
    """Return what an API's model makes of the lengths; a stated factor goes before all else."""
    found = token_use(scenario, _model_id(offer.model), facts)
    if offer.output_factor is None:
        return found
    plain = np.zeros_like(found.text)
    return replace(found, answer=offer.output_factor / found.text, hidden=plain, length="exact")


def usd_of_call(offer: ApiOffer, tariff: ApiTariff, isl: float, osl: float, hidden: float) -> float:
    """Money of a mean call: prompt, visible answer, reasoning that is billed and not shown."""
    use = ApiUse(
        1.0,
        float(isl),
        float(osl),
        hidden_output_tokens=float(hidden),
        cached_share=offer.cache_hit_share,
        batch_share=offer.batch_share,
    )
    return sum(usd_per_call(tariff, use))


def _model_name(name: str) -> str:
    try:
        return get_model(name).name
    except UnknownNameError:
        return name


def apis_of(
    scenario: Scenario,
    classes: Sequence[ClassDemand],
    asked: Asked,
    book: ScoreBook,
    today: dt.date,
) -> RemoteList:
    """Return the options of all APIs a scenario allows.

    Raises
    ------
    UnknownNameError, MissingDataError
        If an API has no price.
    """
    found, excluded, dates = [], {}, []
    for index, offer in enumerate(scenario.use.apis):
        tariff = tariff_of(offer, today)
        facts = scores_of(scenario, classes, book, _model_id(offer.model))
        known = known_for(scenario, classes, facts)
        if not known.any():
            metric = next(m for c in classes if (m := scenario.metric_of(c.name)))
            excluded[offer.model] = Text.of(
                "out_no_score", name=_model_name(offer.model), metric=metric
            )
            continue
        dates.append(tariff.as_of)
        tokens = api_tokens(scenario, offer, facts)
        reason = _unserved(offer.model, tokens, classes)
        if reason:
            excluded[offer.model] = reason
            continue
        option = api_option(index, offer, tariff, classes, asked, facts, tokens)
        allowed = option.allowed & known & tokens.known & fits(offer.model, tokens, classes)
        if not allowed.any():
            excluded[offer.model] = Text.of("out_api_limits", name=option.name)
            continue
        found.append(_with_allowed(option, allowed))
    return RemoteList(tuple(found), excluded, min(dates, default=None))


def _context(name: str) -> float:
    """Longest prompt and answer of a model in tokens; infinite where nobody says."""
    try:
        return get_model(name).max_context_tokens or math.inf
    except UnknownNameError:
        return math.inf


def fits(name: str, tokens: TokenUse, classes: Sequence[ClassDemand]) -> Bools:
    """``(C,)`` classes whose mean request fits a model's context."""
    return tokens.within(classes, _context(name))


def _unserved(name: str, tokens: TokenUse, classes: Sequence[ClassDemand]) -> Text | None:
    """Return why a model's reasoning or context keeps it out, None if it doesn't."""
    if not tokens.known.any():
        return Text.of("out_reasoning", name=_model_name(name))
    if not fits(name, tokens, classes).any():
        return Text.of("out_context", name=_model_name(name), tokens=int(_context(name)))
    return None


def _with_allowed(option: Option, allowed: Bools) -> Option:
    return replace(option, allowed=allowed)


def _model_id(name: str) -> str:
    try:
        return get_model(name).id
    except UnknownNameError:
        return name
