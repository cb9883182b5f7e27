"""Plans on users' own devices: battery, who can run it, what the maker pays; and retrieval."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import numpy as np
import pytest

from advisor.catalogue.scenarios import read_scenario
from advisor.catalogue.training import phone_file
from advisor.errors import MissingDataError, UsageError
from advisor.estimator.bills import phones_that_hold
from advisor.estimator.owning import wage_usd_per_year
from advisor.optimizer.assemble import facts_of
from advisor.optimizer.local import on_device_option
from advisor.optimizer.recommend import recommend
from advisor.report.recommend_brief import brief_markdown
from advisor.report.recommend_text import recommend_text
from advisor.schema.question import Retrieval

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TODAY = dt.date(2026, 11, 23)


def writing(**row):
    base = read_scenario(EXAMPLES / "on-device-writing.toml")
    phone = msgspec.structs.replace(base.use.on_device[0], **row)
    return msgspec.structs.replace(base, use=msgspec.structs.replace(base.use, on_device=(phone,)))


def option_of(scenario):
    found = facts_of(scenario, EXAMPLES, TODAY)
    row = scenario.use.on_device[0]
    option = on_device_option(scenario, row, found.demand.classes, found.asked, found.book)
    return option, found


def test_energy_is_power_times_seconds_and_the_share_of_a_charge_follows():
    (low, _), (high, _) = (option_of(writing(active_w=w)) for w in (2.0, 6.0))
    assert high.user.joules_per_request.value == pytest.approx(
        3 * low.user.joules_per_request.value
    )
    user = low.user
    assert user.joules_per_request.value == pytest.approx(2.0 * 3.3, rel=0.3)
    battery = 5.0 * 3.87 * 3600
    assert user.charge_share_per_request.value == pytest.approx(
        user.joules_per_request.value / battery
    )
    assert user.charge_share_per_day.value == pytest.approx(
        10 * user.charge_share_per_request.value
    )
    price = 0.079 / 3.6e6 / phone_file().charging_share.value
    assert user.usd_per_request.value == pytest.approx(user.joules_per_request.value * price)


def test_power_not_stated_is_assumed_and_says_its_range():
    user = option_of(writing())[0].user
    watts = phone_file().active_w
    assert user.joules_per_request.evidence == "estimated"
    value = user.joules_per_request
    assert value.high80 / value.value == pytest.approx(watts.high / watts.value)


@pytest.mark.parametrize("market", ["world", "chn"])
def test_support_follows_from_memory_where_it_is_not_stated(market):
    option, _ = option_of(writing(market=market))
    user = option.user
    assert user.memory_bytes > user.download_bytes
    wanted = phones_that_hold(user.memory_bytes, market)
    assert option.most_share == user.support_share.value == wanted.value
    assert (user.support_share.low80, user.support_share.high80) == (wanted.low, wanted.high)
    stated, _ = option_of(writing(market=market, support_share=0.3))
    assert stated.most_share == 0.3
    assert stated.user.phones_that_hold.value == wanted.value


def test_bigger_models_fit_fewer_phones_and_the_largest_none():
    shares = []
    for model in ("gemma-3-1b", "gemma-3-4b", "gemma-3-12b"):
        try:
            shares.append(option_of(writing(model=model))[0].most_share)
        except MissingDataError:
            shares.append(0.0)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_a_computer_needs_its_share_stated():
    with pytest.raises(MissingDataError, match="state support_share"):
        option_of(writing(hw="core-i9-13900k"))


def test_the_share_limits_the_flow_and_users_costs_stay_off_the_bill():
    rec = recommend(writing(), EXAMPLES, TODAY)
    option = next(o for o in rec.plan.options if o.kind == "device")
    assert option.served[0].share_of_class <= option.user.support_share.value + 1e-9
    dear = recommend(writing(active_w=500.0), EXAMPLES, TODAY)
    assert dear.plan.usd_per_month == rec.plan.usd_per_month
    for lang in ("en", "zh"):
        assert "16.7 J" in recommend_text(rec, lang)
        assert "1.33 GiB" in brief_markdown(rec, lang, "x")


def test_an_app_nobody_priced_costs_people_and_downloads():
    _, found = option_of(writing(usd_per_month=None, downloads_per_month=1000.0))
    charge = next(c for k, c in found.charges.items() if k.startswith("app:"))
    facts, months = phone_file(), 12.0
    people = facts.app_person_months.value * wage_usd_per_year("chn").value / 12
    size = found.local.options[0].user.download_bytes
    moved = size / 1e9 * 1000 * facts.download_usd_per_gb.value
    upkeep = people * facts.app_upkeep_share_per_year.value / 12
    assert charge.usd_per_month.value == pytest.approx(people / months + upkeep + moved)
    assert charge.usd_per_month.low < charge.usd_per_month.value < charge.usd_per_month.high


def documents(**row):
    base = read_scenario(EXAMPLES / "rag-documents.toml")
    one = msgspec.structs.replace(base.retrieval[0], **row)
    return msgspec.structs.replace(base, retrieval=(one,))


def test_retrieval_is_calls_times_tokens_times_price():
    rec = recommend(documents(seconds=0.0), EXAMPLES, TODAY)
    line = next(x for x in rec.plan.lines if x.kind == "retrieval")
    assert line.usd_per_month.value == pytest.approx(900_000 * (40 + 12_000) * 0.02 / 1e6)
    assert line.what == "answer"
    assert any(t.key == "assume_no_retrieval_time" for t in rec.assumptions)


def test_retrieval_time_is_taken_from_the_limits():
    found = facts_of(documents(seconds=0.4), EXAMPLES, TODAY)
    assert found.demand.classes[0].slo.ttft_s == pytest.approx(2.6)
    assert found.demand.classes[0].slo.tpot_s == 0.06
    assert np.allclose(found.asked.ttft_s, 2.6)
    with pytest.raises(UsageError, match="retrieval takes"):
        facts_of(documents(seconds=3.0), EXAMPLES, TODAY)


def test_retrieval_names_a_class_of_the_scenario():
    base = documents()
    row = Retrieval(traffic_class="nobody", source="list")
    with pytest.raises(ValueError, match="nobody"):
        msgspec.structs.replace(base, retrieval=(row,)).__post_init__()
