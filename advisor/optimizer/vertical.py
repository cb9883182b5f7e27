"""Vertical models: what tuning costs beside what it buys, and the same model from nothing."""

from __future__ import annotations

import msgspec

from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.catalogue.training import training_file, training_mfu
from advisor.cost.amount import Amount, of_fact
from advisor.cost.training import device_hours, training_flops, training_usd
from advisor.estimator.tuning import peak_flops_per_s
from advisor.optimizer.due import monthly, training_hour, tuning_of, tuning_once
from advisor.optimizer.facts import Facts
from advisor.optimizer.parts import Gain, TunedCost
from advisor.optimizer.ranges import estimate_of
from advisor.perf.intervals import Estimate
from advisor.perf.parameters import active_parameters, total_parameters
from advisor.schema.question import Tuned
from advisor.schema.text import Text


def vertical_of(facts: Facts) -> tuple[TunedCost, ...]:
    """Return every tuned model of the scenario, used or not."""
    return tuple(_one(facts, tuned) for tuned in facts.scenario.tuned)


def _one(facts: Facts, tuned: Tuned) -> TunedCost:
    scenario, model, device = facts.scenario, get_model(tuned.base), get_device(tuned.hw)
    cost = tuning_of(scenario, tuned, facts.today)
    full = tuning_of(scenario, msgspec.structs.replace(tuned, method="full"), facts.today)
    once = tuning_once(tuned, cost)
    tokens, anew = pretraining(facts, tuned)
    because = Text.of("because_training", device=device.name)

    def known(amount: Amount) -> Estimate:
        return estimate_of(amount, "estimated", because)

    return TunedCost(
        name=tuned.name,
        base_name=model.name,
        method=tuned.method,
        hw_name=device.name,
        training_tokens=tuned.training_tokens,
        device_hours=known(cost.device_hours),
        usd_once=known(once),
        usd_per_month=known(monthly(scenario, once)),
        full_usd=known(tuning_once(tuned, full)),
        pretraining_tokens=tokens.value,
        pretraining_usd=known(anew),
        gains=tuple(_gain(facts, tuned, m, s) for m, s in tuned.scores.items()),
    )


def _gain(facts: Facts, tuned: Tuned, metric: str, after: float) -> Gain:
    before = facts.book.score(get_model(tuned.base).id, metric)
    return Gain(metric, before.value if before else None, after, tuned.source)


def pretraining(facts: Facts, tuned: Tuned) -> tuple[Amount, Amount]:
    """Return tokens and money of training the base from nothing on the tuning's device.

    6 N D with D a number of tokens for each parameter in all, N those one token uses.
    """
    model, device = get_model(tuned.base), get_device(tuned.hw)
    assert model.shape is not None
    each = of_fact(training_file().tokens_per_parameter)
    tokens = each.times(float(total_parameters(model.shape)))
    per_token = training_flops(float(active_parameters(model.shape)), 1.0)
    mfu = of_fact(training_mfu(device.architecture, "pretrain"))
    hours = device_hours(tokens.times(per_token), peak_flops_per_s(device), mfu)
    return tokens, training_usd(hours, training_hour(facts.scenario, tuned, facts.today))
