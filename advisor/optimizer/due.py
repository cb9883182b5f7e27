"""What is due once or every month whatever the volume: fine-tuning, an app, people, retrieval."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.catalogue.training import phone_file
from advisor.cost.amount import Amount, exactly, of_fact, total
from advisor.cost.deployment import staff_usd_per_month
from advisor.cost.hourly import MONTHS_PER_YEAR, TOKENS_PER_MTOK
from advisor.cost.on_device import AppTerms, app_bill
from advisor.cost.training import amortised_usd_per_month
from advisor.errors import MissingDataError
from advisor.estimator.bills import amount_of
from advisor.estimator.money import hourly_prices
from advisor.estimator.owning import staff_fte, wage_usd_per_year
from advisor.estimator.tuning import TuningCost, TuningJob, tuning_cost
from advisor.optimizer.electricity import Site
from advisor.optimizer.local import charge_key
from advisor.optimizer.options import Option
from advisor.optimizer.problem import Floats
from advisor.optimizer.result import LineKind
from advisor.schema.fact import Evidence
from advisor.schema.question import OnDevice, Retrieval, Tuned
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text


@dataclass(frozen=True)
class Charge:
    """Money a month that any request served by an option makes due."""

    kind: LineKind
    usd_per_month: Amount
    evidence: Evidence
    because: Text


def charges_of(
    scenario: Scenario, site: Site, today: dt.date, local: tuple[Option, ...]
) -> dict[str, Charge]:
    """Return one-off and standing costs by key."""
    found = {f"tuning:{t.name}": _tuning(scenario, t, today) for t in scenario.tuned}
    for row in scenario.use.on_device:
        option = next((o for o in local if charge_key(row) in o.charges), None)
        if option is not None and option.user is not None:
            found[charge_key(row)] = _app(scenario, site, row, option.user.download_bytes)
    return {**found, "staff": _staff(scenario, site)}


def _staff(scenario: Scenario, site: Site) -> Charge:
    """People on call for owned devices: as stated, or the least at the site's wage."""
    stated = scenario.money.staff_usd_per_month
    if stated is not None:
        return Charge("staff", exactly(stated), "exact", Text.of("because_stated"))
    fte = staff_fte(1.0)
    usd = staff_usd_per_month(fte, wage_usd_per_year(site.id))
    return Charge("staff", usd, "estimated", Text.of("because_staff", fte=fte.value, site=site.id))


def _app(scenario: Scenario, site: Site, row: OnDevice, model_bytes: float) -> Charge:
    """Return what an app costs its maker: as stated, or people and downloads."""
    if row.usd_per_month is not None:
        return Charge("phone", exactly(row.usd_per_month), "exact", Text.of("because_stated"))
    facts = phone_file()
    terms = AppTerms(
        person_months=of_fact(facts.app_person_months),
        usd_per_person_month=wage_usd_per_year(site.id).times(1.0 / MONTHS_PER_YEAR),
        upkeep_share_per_year=of_fact(facts.app_upkeep_share_per_year),
        usd_per_gb=of_fact(facts.download_usd_per_gb),
    )
    months = scenario.money.horizon_months
    bill = app_bill(terms, model_bytes, row.downloads_per_month, months)
    people = facts.app_person_months.value
    because = Text.of(
        "because_app", people=people, months=months, downloads=row.downloads_per_month
    )
    return Charge("phone", bill.total_usd_per_month, bill.evidence, because)


def tuning_once(tuned: Tuned, cost: TuningCost) -> Amount:
    """Return compute and data of a fine-tuning, US dollars once."""
    assert cost.usd is not None
    return total((cost.usd, exactly(tuned.usd_data)))


def monthly(scenario: Scenario, once: Amount) -> Amount:
    """Spread a one-off cost over the horizon, with interest."""
    interest = prices.ownership().interest_per_year.value
    return amortised_usd_per_month(once, scenario.money.horizon_months, interest)


def _tuning(scenario: Scenario, tuned: Tuned, today: dt.date) -> Charge:
    """Fine-tuning and its data, spread over the horizon with interest."""
    cost = tuning_of(scenario, tuned, today)
    months = scenario.money.horizon_months
    once = tuning_once(tuned, cost)
    because = Text.of(
        "because_tuning", hours=cost.device_hours.value, device=get_device(tuned.hw).name,
        usd=once.value, months=months,
    )  # fmt: skip
    return Charge("fine-tune", monthly(scenario, once), "estimated", because)


def tuning_of(scenario: Scenario, tuned: Tuned, today: dt.date) -> TuningCost:
    """Return what fine-tuning takes: device-hours, and their rent.

    Raises
    ------
    MissingDataError
        If the device has no rent.
    """
    job = TuningJob(tokens=tuned.training_tokens, method=tuned.method)
    hour = training_hour(scenario, tuned, today)
    return tuning_cost(get_model(tuned.base), get_device(tuned.hw), job, hour)


def training_hour(scenario: Scenario, tuned: Tuned, today: dt.date) -> Amount:
    """Return the rent of an hour of the device a model is tuned on.

    Raises
    ------
    MissingDataError
        If it has none.
    """
    device = get_device(tuned.hw)
    given = scenario.money.rent_usd_per_hour.get(device.id)
    hour = hourly_prices(device, given, None, today).rented
    if hour is None:
        msg = f"tuned {tuned.name!r}: {device.name} has no rent; give money.rent_usd_per_hour"
        raise MissingDataError(msg)
    return amount_of(hour)


def retrieval_usd(scenario: Scenario) -> Floats:
    """``(C,)`` dollars of one request's embedding and reranking calls."""
    names = [c.name for c in scenario.workload.classes]
    usd = np.zeros(len(names))
    for row in scenario.retrieval:
        usd[names.index(row.traffic_class)] += sum(retrieval_parts(row))
    return usd


def retrieval_parts(row: Retrieval) -> tuple[float, float]:
    """Dollars of one request: embedding, reranking.

    >>> from advisor.schema.question import Retrieval
    >>> retrieval_parts(Retrieval("a", "list", 50, 1000, 0.02, 0.1))
    (1e-06, 0.0001)
    """
    embed = row.embed_tokens * row.usd_per_mtok_embed / TOKENS_PER_MTOK
    return embed, row.rerank_tokens * row.usd_per_mtok_rerank / TOKENS_PER_MTOK
