"""What a scenario stands on: everything it names, looked up once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.cost.amount import Amount
from advisor.errors import MissingDataError
from advisor.estimator.money import hourly_prices
from advisor.estimator.tuning import TuningJob, tuning_cost
from advisor.optimizer.capacity import Asked, asked_of
from advisor.optimizer.demand import Demand, demand_of
from advisor.optimizer.electricity import Site, site_of
from advisor.optimizer.hardware import HardwareList, hardware_of
from advisor.optimizer.models import ModelList, check_names, models_of, score_book
from advisor.optimizer.problem import Floats
from advisor.optimizer.remote import RemoteList, apis_of, on_devices_of
from advisor.optimizer.scores import ScoreBook
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text

TOKENS_PER_MTOK = 1e6


@dataclass(frozen=True, eq=False)
class Facts:
    """What a scenario stands on, looked up once."""

    scenario: Scenario
    today: dt.date
    demand: Demand
    asked: Asked
    book: ScoreBook
    models: ModelList
    hardware: HardwareList
    site: Site
    hosting_usd_per_kw: float
    remote: RemoteList
    local: RemoteList
    charges: dict[str, float]
    retrieval_usd: Floats
    per_usd: float


def facts_of(scenario: Scenario, folder: Path, today: dt.date) -> Facts:
    """Look up everything a scenario names.

    Raises
    ------
    AdvisorError
        Unknown names, missing prices, metrics nobody has a score on.
    """
    check_names(scenario)
    demand = demand_of(scenario.workload, float(scenario.money.horizon_months))
    asked = asked_of(demand.classes)
    book = score_book(scenario, ScoreBook(scenario.quality, folder))
    site = site_of(scenario.money)
    rate = prices.exchange_rate(scenario.money.currency)
    remote = apis_of(scenario, demand.classes, asked, book, today)
    local = on_devices_of(scenario, demand.classes, asked, book)
    return Facts(
        scenario=scenario,
        today=today,
        demand=demand,
        asked=asked,
        book=book,
        models=models_of(scenario, demand.classes, book),
        hardware=hardware_of(scenario, today),
        site=site,
        hosting_usd_per_kw=prices.operation().hosting_usd_per_kw_month.value,
        remote=remote,
        local=local,
        charges=_charges(scenario, site, today),
        retrieval_usd=_retrieval(scenario, demand),
        per_usd=1.0 if rate is None else rate.per_usd,
    )


def _retrieval(scenario: Scenario, demand: Demand) -> Floats:
    """``(C,)`` embedding and reranking of one request."""
    usd = np.zeros(len(demand.classes))
    for row in scenario.retrieval:
        c = next(i for i, one in enumerate(demand.classes) if one.name == row.traffic_class)
        usd[c] += row.embed_tokens * row.usd_per_mtok_embed / TOKENS_PER_MTOK
        usd[c] += row.rerank_tokens * row.usd_per_mtok_rerank / TOKENS_PER_MTOK
    return usd


def _charges(scenario: Scenario, site: Site, today: dt.date) -> dict[str, float]:
    """One-off and standing costs by key, US dollars a month."""
    found: dict[str, float] = {}
    months = scenario.money.horizon_months
    for tuned in scenario.tuned:
        found[f"tuning:{tuned.name}"] = (tuning_usd(scenario, tuned.name, today)) / months
    for row in scenario.use.on_device:
        found[f"app:{row.model}@{row.hw}"] = row.usd_per_month
    staff = scenario.money.staff_usd_per_month
    if staff is None:
        try:
            wage = prices.wage(site.id).value
        except MissingDataError:
            wage = 0.0
        staff = wage / 12.0 * prices.operation().staff_fte_least.value
    found["staff"] = staff
    return found


def tuning_usd(scenario: Scenario, name: str, today: dt.date) -> float:
    """Money of fine-tuning one of the scenario's models: device-hours at the rent, and data.

    Raises
    ------
    MissingDataError
        If the device has no rent.
    """
    tuned = next(t for t in scenario.tuned if t.name == name)
    device = get_device(tuned.hw)
    given = scenario.money.rent_usd_per_hour.get(device.id)
    hour = hourly_prices(device, given, None, today).rented
    if hour is None:
        msg = f"tuned {name!r}: {device.name} has no rent; give money.rent_usd_per_hour"
        raise MissingDataError(msg)
    job = TuningJob(tokens=tuned.training_tokens, method=tuned.method)
    price = Amount(hour.value, hour.low80, hour.high80)
    cost = tuning_cost(get_model(tuned.base), device, job, price)
    assert cost.usd is not None
    return cost.usd.value + tuned.usd_data


def excluded_of(facts: Facts) -> dict[str, Text]:
    """Return all that may not serve, with the reason."""
    found = {**facts.hardware.excluded, **facts.models.excluded}
    return {**found, **facts.remote.excluded, **facts.local.excluded}
