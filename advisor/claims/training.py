"""Claims about training: 4, 15."""

from __future__ import annotations

from advisor.catalogue.devices import get_device
from advisor.claims.numbers import (
    Where,
    difference_check,
    published_run,
    rent_usd_per_hour,
    score,
)
from advisor.claims.result import Check, Finding, Number
from advisor.cost.amount import product
from advisor.cost.training import training_flops
from advisor.estimator.tuning import job_hours
from advisor.schema.text import Text

DEVICE = "a100-sxm-80"
CLAIMED_GAIN, CLAIMED_SHARE = 2.36, 0.5
FAMILIES = (
    ("llama-2-7b", "llama-2-70b"),
    ("llama-3-8b", "llama-3-70b"),
    ("qwen3-0.6b", "qwen3-235b-a22b"),
)


def openelm() -> Finding:
    """Answer claim 4: score, tokens and operations of OpenELM and OLMo."""
    where = Where("OpenELM average accuracy", "table-9")
    gain = difference_check(
        Text.of("check_openelm_gain"),
        score("openelm-1.1b", where),
        score("olmo-1b", where),
        ">=",
        CLAIMED_GAIN,
    )
    (ours, title), (theirs, _) = published_run("openelm-1.1b"), published_run("olmo-1b")
    tokens = Check(
        Text.of("check_openelm_tokens"),
        Number.of(ours.tokens.value / theirs.tokens.value),
        "<=",
        CLAIMED_SHARE,
        "measured",
        (title,),
        (ours.tokens.value, theirs.tokens.value),
    )
    flops = [training_flops(r.parameters.value, r.tokens.value) for r in (ours, theirs)]
    operations = Check(
        Text.of("check_openelm_flops"),
        Number.of(flops[0] / flops[1]),
        "<=",
        CLAIMED_SHARE,
        "measured",
        (title,),
        (flops[0], flops[1]),
    )
    hours = job_hours(ours.parameters.value, ours.tokens.value, get_device(DEVICE))
    usd = product(hours, rent_usd_per_hour(DEVICE)[0])
    headline = Text.of(
        "claim_openelm",
        gain=gain.number.value,
        share=operations.number.value,
        hours=hours.value,
        usd=usd.value,
    )
    return Finding(headline, (gain, tokens, operations))


def tokens_needed() -> Finding:
    """Answer claim 15: training tokens of small and large models of one family."""
    checks = []
    for small, large in FAMILIES:
        (one, title), (two, other) = published_run(small), published_run(large)
        sources = tuple(dict.fromkeys((title, other)))
        tokens = (one.tokens.value, two.tokens.value)
        each = (tokens[0] / one.parameters.value, tokens[1] / two.parameters.value)
        checks += [
            Check(
                Text.of("check_tokens", small=one.name, large=two.name),
                Number.of(tokens[0] / tokens[1]),
                "<",
                1.0,
                "measured",
                sources,
                tokens,
            ),
            Check(
                Text.of("check_tokens_each", small=one.name, large=two.name),
                Number.of(each[0] / each[1]),
                "<",
                1.0,
                "measured",
                sources,
                each,
            ),
        ]
    small_run, large_run = published_run(FAMILIES[0][0])[0], published_run(FAMILIES[0][1])[0]
    headline = Text.of(
        "claim_tokens",
        tokens=small_run.tokens.value / large_run.tokens.value,
        each=checks[1].number.value,
        family="Llama 2",
    )
    return Finding(headline, tuple(checks))
