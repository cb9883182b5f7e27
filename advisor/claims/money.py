"""Claims about price, significance and tuning: 1, 9, 17."""

from __future__ import annotations

import datetime as dt
import math

from advisor.catalogue.api_rates import api_tariff
from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.claims.numbers import (
    Where,
    difference_check,
    figure_amount,
    rent_usd_per_hour,
    score,
)
from advisor.claims.result import Check, Finding, Number, Relation, held
from advisor.cost.amount import Amount, exactly, product, ratio
from advisor.cost.api import ApiUse, usd_per_call
from advisor.cost.hourly import MONTHS_PER_YEAR, TOKENS_PER_MTOK
from advisor.estimator.owning import wage_usd_per_year
from advisor.estimator.tuning import TuningJob, tuning_cost
from advisor.schema.text import Text

SMALL, LARGE = "gpt-4o-mini", "gpt-4o"
SMALL_NAME, LARGE_NAME = "GPT-4o mini", "GPT-4o"
FAR_CHEAPER, SMALL_GAP = 5.0, 5.0
CALL = ApiUse(1.0, 1000.0, 300.0)
SIMPLE_EVALS = "simple-evals"
TASKS: tuple[tuple[str, str], ...] = (
    ("MMLU", "questions-mmlu"),
    ("GPQA-Diamond", "questions-gpqa-diamond"),
    ("HumanEval", "questions-humaneval"),
    ("MGSM", "questions-mgsm"),
    ("SimpleQA", "questions-simpleqa"),
)
"""Tasks that one source measured on both models, and the figure of their size."""
SIGNIFICANT_Z = 1.96
LARGE_VERSION = "2024-08-06"

TUNED, TUNING_DEVICE, ONE_CARD, DESKTOP_CARD = "llama-3.1-8b", "a100-sxm-80", "h100-sxm", "rtx-4090"
TUNING_TOKENS, EXAMPLE_TOKENS = 1e7, 1000.0
PAID_BACK_REQUESTS = 1e6
BETTER_POINTS = 10.0


def _where(task: str, version: str = "") -> Where:
    return Where(task, SIMPLE_EVALS, variant=version)


def price_and_quality(now: dt.datetime) -> Finding:
    """Answer claim 1: price of a call and of a right answer, and the gap by task."""
    prices = {m: api_tariff(m, now) for m in (SMALL, LARGE)}
    small, large = (sum(usd_per_call(prices[m], CALL)) for m in (SMALL, LARGE))
    sources = (prices[SMALL].source,)
    checks = [
        Check(
            Text.of("check_call_price", small=SMALL_NAME, large=LARGE_NAME),
            Number.of(large / small),
            ">=",
            FAR_CHEAPER,
            "measured",
            sources,
            (large, small),
        )
    ]
    gaps = []
    for task, _ in TASKS:
        one, two = score(SMALL, _where(task)), score(LARGE, _where(task, LARGE_VERSION))
        right = (large / two.value) / (small / one.value)
        checks.append(
            Check(
                Text.of("check_right_price", task=task, small=SMALL_NAME, large=LARGE_NAME),
                Number.of(right),
                ">=",
                FAR_CHEAPER,
                "measured",
                (*sources, one.title),
            )
        )
        text = Text.of("check_gap", task=task, small=SMALL_NAME, large=LARGE_NAME)
        gaps.append(difference_check(text, two, one, "<=", SMALL_GAP))
    headline = Text.of(
        "claim_price",
        ratio=large / small,
        small_gaps=held(gaps),
        tasks=len(gaps),
        least=min(c.number.value for c in gaps),
        most=max(c.number.value for c in gaps),
    )
    return Finding(headline, (*checks, *gaps))


def z_of(share: float, other: float, questions: float) -> float:
    """Two-proportion z statistic of two independent samples of the same size.

    ``(p - q) / sqrt((p (1 - p) + q (1 - q)) / n)`` (Wald, unpooled).
    """
    variance = (share * (1 - share) + other * (1 - other)) / questions
    return (share - other) / math.sqrt(variance)


def significance() -> Finding:
    """Answer claim 17: is the gap within what chance could make."""
    checks = []
    errors = 1.0
    for task, size in TASKS:
        one, two = score(SMALL, _where(task)), score(LARGE, _where(task, LARGE_VERSION))
        questions, title = figure_amount(size)
        z = abs(z_of(two.value / 100, one.value / 100, questions.value))
        text = Text.of("check_z", task=task, questions=int(questions.value))
        parts = (two.value, one.value)
        checks.append(
            Check(text, Number.of(z), "<=", SIGNIFICANT_Z, "measured", (one.title, title), parts)
        )
        if task == TASKS[0][0]:
            errors = (100 - one.value) / (100 - two.value)
    headline = Text.of("claim_significant", tasks=len(checks), hidden=held(checks), errors=errors)
    return Finding(headline, tuple(checks))


def _estimated(
    text: Text, number: Amount | float, relation: Relation, limit: float, *sources: str
) -> Check:
    return Check(text, Number.of(number), relation, limit, "estimated", sources)


def _cards(text: Text, device: str, job: TuningJob) -> Check:
    least = tuning_cost(get_model(TUNED), get_device(device), job).devices_least
    return _estimated(text, float(least), "<=", 1.0)


def tuning(now: dt.datetime) -> Finding:
    """Answer claim 9: what tuning buys, costs and needs."""
    before, after = (
        score("phi-3-mini-4k", Where("JSON structured output", "table-5", variant=month))
        for month in ("April", "June")
    )
    rent, dated = rent_usd_per_hour(TUNING_DEVICE)
    lora = TuningJob(tokens=TUNING_TOKENS)
    full = TuningJob(tokens=TUNING_TOKENS, method="full")
    cost = tuning_cost(get_model(TUNED), get_device(TUNING_DEVICE), lora, rent)
    usd = product(cost.device_hours, rent)
    month = wage_usd_per_year("usa").times(1.0 / MONTHS_PER_YEAR)
    tariff = api_tariff(SMALL, now)
    saved = tariff.standard[0].input_usd_per_mtok * EXAMPLE_TOKENS / TOKENS_PER_MTOK
    back = ratio(usd, exactly(saved))
    published, title = figure_amount("qizhengpt-hours")
    rents = f"pricing/rental-*.toml, on-demand, newest {dated}"
    desktop, server = get_device(DESKTOP_CARD).name, get_device(ONE_CARD).name
    run = Text.of("check_published_run")
    checks = (
        difference_check(Text.of("check_tuned_json"), after, before, ">=", BETTER_POINTS),
        _estimated(Text.of("check_tuning_month"), ratio(usd, month), "<", 1.0, rents),
        _estimated(run, ratio(product(published, rent), month), "<", 1.0, rents, title),
        _estimated(
            Text.of("check_tuning_back"), back, "<=", PAID_BACK_REQUESTS, rents, tariff.source
        ),
        _cards(Text.of("check_lora_cards", device=desktop), DESKTOP_CARD, lora),
        _cards(Text.of("check_full_cards", device=server), ONE_CARD, full),
    )
    headline = Text.of(
        "claim_tuning",
        usd=usd.value,
        hours=cost.device_hours.value,
        requests=back.value,
        cards=int(checks[-1].number.value),
    )
    return Finding(headline, checks)
