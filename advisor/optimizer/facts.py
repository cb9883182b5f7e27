"""What a scenario stands on: everything it names, looked up once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

from advisor.catalogue import prices
from advisor.cost.amount import Amount, of_fact
from advisor.optimizer.candidates import Seen
from advisor.optimizer.capacity import Asked, asked_of
from advisor.optimizer.demand import ClassDemand, Demand, after_retrieval, demand_of
from advisor.optimizer.due import Charge, charges_of, retrieval_usd
from advisor.optimizer.electricity import Site, site_of
from advisor.optimizer.hardware import HardwareList, hardware_of
from advisor.optimizer.local import on_devices_of
from advisor.optimizer.models import ModelList, check_names, models_of, score_book
from advisor.optimizer.problem import Floats
from advisor.optimizer.remote import RemoteList, apis_of
from advisor.optimizer.scores import ScoreBook
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text


@dataclass(frozen=True, eq=False)
class Facts:
    """What a scenario stands on, looked up once.

    ``seen``: deployments worked out so far, whatever limits were asked of them.
    """

    scenario: Scenario
    folder: Path
    today: dt.date
    demand: Demand
    asked: Asked
    book: ScoreBook
    models: ModelList
    hardware: HardwareList
    site: Site
    hosting_usd_per_kw: Amount
    remote: RemoteList
    local: RemoteList
    charges: dict[str, Charge]
    retrieval_usd: Floats
    per_usd: float
    seen: Seen = field(default_factory=dict)


def facts_of(scenario: Scenario, folder: Path, today: dt.date) -> Facts:
    """Look up everything a scenario names.

    Raises
    ------
    AdvisorError
        Unknown names, missing prices, metrics nobody has a score on.
    """
    check_names(scenario)
    demand = demand_of(scenario.workload, float(scenario.money.horizon_months))
    demand = after_retrieval(demand, scenario.retrieval)
    asked = asked_of(demand.classes)
    book = score_book(scenario, ScoreBook(scenario.quality, folder))
    site = site_of(scenario.money)
    rate = prices.exchange_rate(scenario.money.currency)
    remote = apis_of(scenario, demand.classes, asked, book, today)
    local = on_devices_of(scenario, demand.classes, asked, book)
    return Facts(
        scenario=scenario,
        folder=folder,
        today=today,
        demand=demand,
        asked=asked,
        book=book,
        models=models_of(scenario, demand.classes, book),
        hardware=hardware_of(scenario, today),
        site=site,
        hosting_usd_per_kw=of_fact(prices.operation().hosting_usd_per_kw_month),
        remote=remote,
        local=local,
        charges=charges_of(scenario, site, today, local.options),
        retrieval_usd=retrieval_usd(scenario),
        per_usd=1.0 if rate is None else rate.per_usd,
    )


def with_classes(facts: Facts, classes: tuple[ClassDemand, ...]) -> Facts:
    """Return the facts with other limits on the same classes: what may serve them anew."""
    s = facts.scenario
    asked = asked_of(classes)
    return replace(
        facts,
        demand=replace(facts.demand, classes=classes),
        asked=asked,
        remote=apis_of(s, classes, asked, facts.book, facts.today),
        local=on_devices_of(s, classes, asked, facts.book),
    )


def excluded_of(facts: Facts) -> dict[str, Text]:
    """Return all that may not serve, with the reason."""
    found = {**facts.hardware.excluded, **facts.models.excluded}
    return {**found, **facts.remote.excluded, **facts.local.excluded}
