"""What an answer takes for granted, in words: site, growth, routers, lengths of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.optimizer.assemble import Facts, Question
from advisor.optimizer.hardware import autoscale_overhead
from advisor.optimizer.parts import PartTokens
from advisor.optimizer.result import Plan
from advisor.optimizer.tokens import LANGUAGES
from advisor.schema.text import Text


def assumptions(facts: Facts, question: Question, plans: Sequence[Plan]) -> tuple[Text, ...]:
    """Return what the answer takes for granted; ``plans``: all that are shown."""
    s = facts.scenario
    found = [Text.of("assume_site", site=facts.site.id, usd=facts.site.usd_per_kwh)]
    if s.workload.growth_per_year:
        months = s.money.horizon_months
        found.append(Text.of("assume_growth", months=months))
    if any(o.kind in ("routed", "cascade") for o in question.options):
        found.append(Text.of("assume_router", auc=s.routing.router_auc))
    if any(o.size and o.parts[0].precision.startswith(("q4", "w4")) for o in question.options):
        found.append(Text.of("assume_four_bit", points=s.quality.four_bit_loss_points))
    if facts.remote.options:
        found.append(Text.of("assume_api_latency"))
    if s.use.autoscale and np.isfinite(question.problem.scaled_usd_per_hour).any():
        found.append(Text.of("assume_autoscale", share=autoscale_overhead(s.use)))
    found += _reserved(facts)
    rows = [row for plan in plans for option in plan.options for row in option.tokens]
    found += [
        Text.of("assume_retrieval", name=r.traffic_class, seconds=r.seconds)
        if r.seconds
        else Text.of("assume_no_retrieval_time", name=r.traffic_class)
        for r in s.retrieval
    ]
    found += _users(plans)
    return (*found, *_vocabularies(facts, rows), *_answers(facts, rows), *_reasoning(rows))


def _reserved(facts: Facts) -> list[Text]:
    """Which rents are known for a term; the others are by the hour."""
    offers = [(h.device.name, {o.terms for o in h.offers}) for h in facts.hardware.devices]
    if not any("rented" in terms for _, terms in offers):
        return []
    names = ", ".join(name for name, terms in offers if "reserved" in terms)
    if not names:
        return [Text.of("assume_no_reserved")]
    return [Text.of("assume_reserved", names=names)]


def _users(plans: Sequence[Plan]) -> list[Text]:
    """Say what options on users' devices take of them, and who can run those."""
    options = {o.name: o.user for plan in plans for o in plan.options if o.user}
    found = []
    for name, user in options.items():
        if user.joules_per_request is not None:
            found.append(Text.of("assume_user_side", name=name))
        if user.phones_that_hold is not None:
            found.append(
                Text.of(
                    "assume_support",
                    name=name,
                    share=round(100 * user.support_share.value),
                    holds=round(100 * user.phones_that_hold.value),
                    low=round(100 * user.phones_that_hold.low80),
                    high=round(100 * user.phones_that_hold.high80),
                )
            )
    return found


def _names(rows: Sequence[PartTokens]) -> str:
    return ", ".join(dict.fromkeys(row.model_name for row in rows))


def _vocabularies(facts: Facts, rows: Sequence[PartTokens]) -> list[Text]:
    """Whose tokens the lengths count, and whose vocabulary nobody counted."""
    reference = facts.scenario.use.tokens_of
    if reference is None:
        return [Text.of("assume_own_tokens")]
    found = [Text.of("assume_tokens_of", name=reference)]
    languages = {c.language for c in facts.scenario.workload.classes} - set(LANGUAGES)
    found += [Text.of("assume_language", language=name) for name in sorted(languages)]
    unknown = [row for row in rows if row.vocabulary == "estimated"]
    if unknown and not languages:
        found.append(Text.of("assume_vocabulary", names=_names(unknown)))
    return found


def _answers(facts: Facts, rows: Sequence[PartTokens]) -> list[Text]:
    """Whose answers the lengths are, and whose nobody counted."""
    reference = facts.scenario.use.answers_of
    if reference is None:
        return [Text.of("assume_equal_answers")]
    found = [Text.of("assume_answers_of", name=reference)]
    for label, key in (("extrapolated", "assume_answers_moved"), ("estimated", "assume_answers")):
        named = [row for row in rows if row.answer == label]
        if named:
            found.append(Text.of(key, names=_names(named)))
    return found


def _reasoning(rows: Sequence[PartTokens]) -> list[Text]:
    unseen = {row.model_name: row.reasoning_tokens for row in rows if row.reasoning_tokens > 0}
    return [Text.of("assume_reasoning", name=k, tokens=round(v)) for k, v in unseen.items()]
