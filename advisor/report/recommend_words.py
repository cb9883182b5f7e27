"""Words and money of a recommendation, shared by its text, brief and tables."""

from __future__ import annotations

import math

from advisor.optimizer.parts import Gain, TunedCost
from advisor.optimizer.result import (
    Flip,
    LatencyCheck,
    LineKind,
    Plan,
    PlanKind,
    PlanOption,
    QualityCheck,
    Recommendation,
    Terms,
)
from advisor.report.locale import say
from advisor.report.numbers import amount, count, gib, seconds, significant
from advisor.schema.text import Text

SIGNS = {"USD": "$", "CNY": "¥", "EUR": "€"}
KINDS: dict[PlanKind, str] = {
    "mix": "kind_mix",
    "small": "kind_small",
    "mid": "kind_mid",
    "large": "kind_large",
    "api": "kind_api",
    "device": "kind_device",
}
TERMS: dict[Terms, str] = {
    "rented": "terms_rented",
    "reserved": "terms_reserved",
    "owned": "terms_owned",
    "bought": "terms_bought",
}
METHODS = {"full": "tune_full", "lora": "tune_lora", "qlora": "tune_qlora"}
"""Method of fine-tuning → key of its words."""
LINES: dict[LineKind, str] = {
    "rent": "line_rent",
    "spot-risk": "line_spot",
    "own": "line_own",
    "idle": "line_idle",
    "energy": "line_energy",
    "hosting": "line_hosting",
    "api": "line_api",
    "staff": "line_staff",
    "fine-tune": "line_tune",
    "phone": "line_phone",
    "retrieval": "line_retrieval",
}


def money(usd: float, rec: Recommendation, lang: str) -> str:
    """Return dollars in the scenario's currency.

    >>> SIGNS["CNY"]
    '¥'
    """
    return SIGNS[rec.currency] + amount(usd * rec.per_usd, lang)


def kind_words(kind: PlanKind, lang: str) -> str:
    """Return what a kind of plan is called."""
    return say(KINDS[kind], lang)


def title_of(rec: Recommendation, lang: str) -> str:
    """Return the scenario's title in a language."""
    return rec.title_zh if lang == "zh" else rec.title


def limit_words(name: str, lang: str) -> str:
    """Return what a limit is called.

    Names are those of :mod:`advisor.optimizer.assemble`: ``money``, ``chips:h20-96`` ...
    """
    head, _, rest = name.partition(":")
    plain = {
        "money": "limit_money",
        "power": "limit_power",
        "carbon": "limit_carbon",
        "quality": "limit_quality",
    }
    if head in plain:
        return say(plain[head], lang)
    texts = {
        "chips": Text.of("limit_chips", name=rest),
        "owned": Text.of("limit_owned", name=rest),
        "api-requests": Text.of("limit_api", name=rest),
        "api-tokens": Text.of("limit_api", name=rest),
        "floor": Text.of("limit_floor", name=rest),
        "slo": Text.of("limit_slo", name=rest),
    }
    return say(texts[head], lang)


def time_words(value_s: float) -> str:
    """Return a time with its unit."""
    if not math.isfinite(value_s):
        return "∞"
    value, unit = seconds(value_s)
    return f"{significant(value)} {unit}"


def latency_words(check: LatencyCheck, lang: str) -> str:
    """Return one latency against its limit."""
    metric, percentile = check.metric.upper(), f"{check.percentile:g}"
    value = time_words(check.value_s.value)
    if check.limit_s is None:
        text = say(
            Text.of("rec_latency_free", metric=metric, percentile=percentile, value=value), lang
        )
    else:
        limit = time_words(check.limit_s)
        text = say(
            Text.of("rec_latency", metric=metric, percentile=percentile, value=value, limit=limit),
            lang,
        )
    if check.replayed_s is not None:
        text += say(Text.of("rec_replayed", value=time_words(check.replayed_s)), lang)
    if check.limit_s is None:
        return text
    return f"{text} {say('rec_yes' if check.met else 'rec_no', lang)}"


def score_words(check: QualityCheck, lang: str) -> str:
    """Return a score against its floor."""
    if check.value is None:
        return say("rec_no_score", lang)
    value = f"{check.value.value:.3f}"
    if check.floor is None:
        return say(Text.of("rec_score_free", metric=check.metric, value=value), lang)
    floor = f"{check.floor:g}"
    text = say(Text.of("rec_score", metric=check.metric, value=value, floor=floor), lang)
    met = check.value.value >= check.floor - 1e-9
    return f"{text} {say('rec_yes' if met else 'rec_no', lang)}"


def flip_words(flip: Flip, rec: Recommendation, lang: str) -> str:
    """Return where another plan takes over."""
    head, _, rest = flip.name.partition(":")
    if head == "volume" and flip.side == "below":
        return say(
            Text.of("rec_flip_volume_below", at=count(flip.at, lang), winner=flip.winner), lang
        )
    if head == "volume":
        return say(
            Text.of("rec_flip_volume_above", at=count(flip.at, lang), winner=flip.winner), lang
        )
    if head == "price":
        at = money(flip.at, rec, lang)
        return say(Text.of("rec_flip_price", device=rest, at=at, winner=flip.winner), lang)
    at = f"{flip.at:.3f}"
    return say(Text.of("rec_flip_floor", name=rest, at=at, winner=flip.winner), lang)


def bill_words(plan: Plan, rec: Recommendation, lang: str) -> str:
    """Return the month's total and its lines by kind."""
    kinds = dict.fromkeys(x.kind for x in plan.lines)
    parts = [
        f"{say(LINES[k], lang)} "
        f"{money(sum(x.usd_per_month.value for x in plan.lines if x.kind == k), rec, lang)}"
        for k in kinds
    ]
    total = plan.usd_per_month
    return say(
        Text.of(
            "rec_total",
            total=money(total.value, rec, lang),
            low=money(total.low80, rec, lang),
            high=money(total.high80, rec, lang),
            mtok=money(plan.usd_per_mtok.value, rec, lang),
            text=_per_text(plan, rec, lang),
            lines=("，" if lang == "zh" else ", ").join(parts),
        ),
        lang,
    )


def user_words(option: PlanOption, lang: str) -> str:
    """Return what an option on users' devices takes of them; empty for any other."""
    user = option.user
    if user is None or user.joules_per_request is None:
        return ""
    charge, key = user.charge_share_per_day, "rec_user_day"
    if charge is None:
        charge, key = user.charge_share_per_request, "rec_user_request"
    part = say(Text.of(key, charge=significant(100 * charge.value)), lang) if charge else ""
    return say(
        Text.of(
            "rec_user",
            what=option.parts[0].model_name,
            joules=significant(user.joules_per_request.value),
            day=part,
            size=f"{gib(user.download_bytes)} GiB",
            support=f"{100 * user.support_share.value:.0f}",
        ),
        lang,
    )


def gain_words(gain: Gain, lang: str) -> str:
    """Return a score before and after tuning."""
    before = say("score_unmeasured", lang) if gain.before is None else f"{gain.before:.3f}"
    return f"{gain.metric}{say('colon', lang)}{before} → {gain.after:.3f}"


def tuned_words(tuned: TunedCost, rec: Recommendation, lang: str) -> str:
    """Return what a tuned model costs to make and what that buys, in a line."""
    gains = [gain_words(g, lang) for g in tuned.gains]
    return say(
        Text.of(
            "rec_tuned",
            name=tuned.name,
            method=say(METHODS[tuned.method], lang),
            hours=significant(tuned.device_hours.value),
            device=tuned.hw_name,
            once=money(tuned.usd_once.value, rec, lang),
            gains=", ".join(gains),
        ),
        lang,
    )


def _per_text(plan: Plan, rec: Recommendation, lang: str) -> str:
    """Return the price of 1,000 characters, nothing where characters can't be counted."""
    each = plan.usd_per_1000_characters
    if each is None:
        return ""
    return say(Text.of("rec_per_text", money=money(each.value, rec, lang)), lang)


def value_words(value: float, unit: str, rec: Recommendation, lang: str) -> str:
    """Return the value of a limit in its unit."""
    if unit == "money/month":
        return SIGNS[rec.currency] + amount(value, lang)
    if unit == "score":
        return f"{value:.3f}"
    if unit == "times":
        return f"{value:.2f} ×"
    if unit == "devices":
        return say(Text.of("text_devices", count=count(round(value), lang)), lang)
    return f"{significant(value, lang=lang)} {unit}"
