"""Every page in both languages over every example, and what its widgets do."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from typer.main import get_command

from advisor.cli.main import app
from advisor.report.locale import LANGUAGES, words
from advisor.report.numbers import amount, seconds, significant
from advisor.report.recommend_words import SIGNS, time_words
from advisor.ui import jobs
from advisor.ui.asked import as_query, asked_of, defaults
from advisor.ui.question import as_toml, examples
from advisor.ui.show import signed
from advisor.ui.view import plain
from advisor.ui.work import planned_volume, recommended

SCRIPT = Path(__file__).resolve().parent.parent / "advisor" / "ui" / "app.py"
SCREENS = ("answer", "compare", "why", "replay", "sensitivity", "claims", "data")
CJK = re.compile(r"[\u4e00-\u9fff]")
IMPOSSIBLE = {"base": "customer-service", "budget": "20"}
"""A budget that pays for nothing."""


def opened(screen: str = "answer", lang: str = "en", **query: str) -> AppTest:
    test = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for key, value in {"lang": lang, **query}.items():
        test.query_params[key] = value
    test.run()
    if screen != "answer":
        test.switch_page(f"screens/{screen}.py").run()
    return test


def healthy(test: AppTest, lang: str) -> None:
    assert not test.exception
    told = [e.value for e in test.error]
    assert not any(words(lang)["ui_bug"] in text for text in told), [c.value for c in test.code]
    assert test.title


@cache
def cli_json(*call: str) -> Any:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        get_command(app)(list(call), standalone_mode=False)
    return json.loads(out.getvalue())


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("base", sorted(examples()))
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_opens(screen, base, lang):
    test = opened(screen, lang, base=base)
    healthy(test, lang)
    assert bool(CJK.search(test.title[0].value)) == (lang == "zh")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_bears_a_question_without_answer(screen, lang):
    healthy(opened(screen, lang, **IMPOSSIBLE), lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_question_without_answer_offers_a_way_out_that_works(lang):
    test = opened("answer", lang, **IMPOSSIBLE)
    assert any(words(lang)["error_infeasible"] in e.value for e in test.error)
    ways = [b for b in test.button if b.key.startswith("way_")]
    assert ways
    ways[0].click().run()
    healthy(test, lang)
    assert not test.error
    assert test.metric


def test_why_shows_the_numbers_of_the_command():
    test = opened("why", "en", model="32B", hw="a100-sxm-80", concurrency="8")
    asked = cli_json(
        *("estimate", "--model", "32B", "--hw", "a100-sxm-80", "--concurrency", "8"),
        *("--isl", str(test.number_input(key="isl").value)),
        *("--osl", str(test.number_input(key="osl").value)),
        *("--site", test.selectbox(key="site").value, "--json"),
    )["result"]
    shown = {m.label: m.value for m in test.metric}
    value, unit = seconds(asked["ttft_s"]["value"])
    assert shown["TTFT"] == f"{significant(value)} {unit}"
    value, unit = seconds(asked["tpot_s"]["value"])
    assert shown["TPOT"] == f"{significant(value)} {unit}"
    assert shown["Output tok/s"] == significant(asked["output_tok_per_s"]["value"])
    assert f"${significant(asked['usd_per_mtok_output']['value'])}" in shown.values()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("base", sorted(examples()))
def test_the_answer_shows_the_numbers_of_the_command(base, lang):
    path = SCRIPT.parents[2] / "examples" / f"{base}.toml"
    found = cli_json("recommend", str(path), "--no-replay", "--json", "--lang", lang)
    test = opened("answer", lang, base=base)

    def paid(usd: float) -> str:
        return SIGNS[found["currency"]] + amount(usd * found["per_usd"], lang)

    if found["plan"] is None:
        assert any(plain(found["sentence"]) in e.value for e in test.error)
        ways = [b.label for b in test.button if b.key.startswith("way_")]
        wanted = [w for w in found["infeasible"]["ways_out"] if w["value"] is not None]
        assert len(ways) == len(wanted) > 0, "every way out is a button"
        for label, way in zip(ways, wanted, strict=True):
            assert plain(paid(way["usd_per_month"])) in label
        return
    assert plain(found["sentence"]) in test.markdown[0].value
    cost, mtok = found["plan"]["usd_per_month"], found["plan"]["usd_per_mtok"]
    for shown, e in zip(test.metric, (cost, mtok), strict=False):
        assert shown.value == paid(e["value"])
        assert plain(paid(e["low80"])) in shown.delta
        assert plain(paid(e["high80"])) in shown.delta
    latency = [c for row in found["plan"]["classes"] for c in row["latency"] if c["limit_s"]]
    if latency:
        worst = max(latency, key=lambda c: c["value_s"]["value"] / c["limit_s"])
        assert test.metric[2].value == time_words(worst["value_s"]["value"])
        assert plain(time_words(worst["limit_s"])) in test.metric[2].delta


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("base", [*sorted(examples().keys() - {"infeasible"})])
def test_the_answer_shows_what_stands_beside_the_bill(base, lang):
    path = SCRIPT.parents[2] / "examples" / f"{base}.toml"
    found = cli_json("recommend", str(path), "--no-replay", "--json", "--lang", lang)
    test = opened("answer", lang, base=base)
    per_usd, w = found["per_usd"], words(lang)
    text = "\n".join(cell for t in test.table for cell in t.value.astype(str).values.flat)

    each = found["plan"]["usd_per_1000_characters"]
    told = amount(each["value"] * per_usd, lang)
    assert told in test.metric[1].delta.replace("\\", "")
    safer = found["safer"]
    if safer is not None and safer["plan"] is not None:
        assert f"{100 * safer['probability']:.0f}" in text
        assert plain(signed(safer["plan"]["usd_per_month"]["value"] * per_usd, lang)) in text
    if found["verdict"]["as_planned"] is not None:
        sure = f"{100 * found['verdict']['as_planned']:.0f}"
        assert plain(w["cell_recommended_sure"].format(sure=sure)) in text
    users = [o["user"] for o in found["plan"]["options"] if o["user"]]
    titles = [s.value for s in test.subheader]
    assert (plain(w["brief_users"]) in titles) == bool(users)
    for user in users:
        charge = significant(100 * user["charge_share_per_day"]["value"])
        for shown in (charge, significant(user["download_bytes"] / 2**30)):
            assert plain(shown) in text
    html = "\n".join(str(h.proto.body) for h in test.get("html"))
    for tuned in found["tuned"]:
        assert amount(tuned["usd_once"]["value"] * per_usd, lang) in html
        assert all(f"{g['after']:.3f}" in html for g in tuned["gains"])


@pytest.mark.parametrize("base", [*sorted(examples().keys() - {"infeasible"})])
def test_break_even_marks_the_volume_of_the_plan(base):
    scenario = examples()[base]
    plan = recommended(scenario).plan
    planned = sum(c.requests_per_month for c in plan.classes)
    assert planned_volume(scenario) == pytest.approx(planned, rel=1e-9)


def test_a_limit_out_of_reach_is_mended_by_its_button():
    test = opened("why", "en", slo_ttft_ms="0.5")
    assert "no operating point" in test.error[0].value
    test.button(key="relax_0").click().run()
    healthy(test, "en")
    assert test.metric
    assert test.number_input(key="slo_ttft_ms").value > 0.5


def test_a_field_reaches_the_link():
    test = opened("why", "en")
    test.number_input(key="isl").set_value(2048).run()
    assert test.query_params["isl"] == "2048"
    assert set(test.query_params) >= {"lang", "base", "data", "floor", "model"}


def test_an_old_link_says_that_data_changed():
    assert any("changed" in i.value for i in opened("why", "en", data="old").info)
    query = as_query(asked_of(defaults(sorted(examples())[0], ""), ""), "en", "")
    query["data"] = opened("why").query_params["data"]
    assert not opened("why", **query).info


def test_a_bad_link_is_told_and_the_default_stands():
    test = opened("why", "en", hw="nonsense", isl="-1")
    assert sum("isn't valid" in i.value for i in test.info) == 2
    assert test.selectbox(key="hw").value == "h20-96"


def test_a_base_fills_the_fields():
    bases = sorted(examples())
    test = opened("data", "en", base=bases[0])
    test.selectbox(key="base").set_value(bases[-1]).run()
    wanted = defaults(bases[-1], "")
    assert test.number_input(key="isl").value == wanted["isl"]
    assert test.number_input(key="per_day").value == wanted["per_day"]


def test_the_language_switch_changes_every_word_at_once():
    test = opened("data", "en")
    test.session_state["lang"] = "zh"
    test.run()
    healthy(test, "zh")
    assert test.title[0].value == words("zh")["page_data"]
    assert test.query_params["lang"] == "zh"


def test_the_sidebar_hands_out_the_scenario_it_shows():
    test = opened("data", "en", per_day="5000")
    base = test.selectbox(key="base").value
    text = as_toml(asked_of({**defaults(base, ""), "per_day": 5000.0}, "").scenario)
    assert "requests_per_month = 152187.5" in text
    assert any("advisor estimate" in c.value for c in test.code)


def test_a_replay_runs_and_shows_its_figures():
    test = opened("replay", "en")
    assert test.info
    test.button(key="run").click().run()
    for _ in range(100):
        if not [b for b in test.button if b.key == "stop"]:
            break
        test.session_state["_replay_job"].wait(1.0)
        test.run()
    healthy(test, "en")
    assert any("finished" in m.value for m in test.markdown)


def test_data_lists_entries_with_their_facts():
    test = opened("data", "en")
    assert len(test.dataframe[0].value) > 200
    test.selectbox(key="entry_hardware").set_value("h20-96").run()
    healthy(test, "en")
    facts = next(h.proto.body for h in test.get("html") if "memory.bytes_per_s" in h.proto.body)
    assert '<td lang="en">' in facts, "notes and sources are marked as English"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_plan_checked_by_replay_is_the_commands(lang):
    path = SCRIPT.parents[2] / "examples" / "rag-documents.toml"
    found = cli_json("recommend", str(path), "--json", "--lang", lang)
    test = opened("answer", lang, base="rag-documents")
    assert any("--no-replay" in c.value for c in test.code), "the command of what is shown"
    test.button(key="check").click().run(timeout=300)
    healthy(test, lang)
    cost = found["plan"]["usd_per_month"]["value"] * found["per_usd"]
    assert test.metric[0].value == SIGNS[found["currency"]] + significant(cost, lang=lang)
    assert words(lang)["tile_replayed"].split("{")[0].strip() in test.metric[2].delta
    assert test.query_params["replayed"] == "yes"
    assert not any("--no-replay" in c.value for c in test.code)
    assert not [b for b in test.button if b.key == "check"]


def test_a_replay_of_another_question_says_so():
    test = opened("replay", "en", base="rag-documents")
    test.button(key="run").click().run()
    for _ in range(100):
        if not [b for b in test.button if b.key == "stop"]:
            break
        test.session_state["_replay_job"].wait(1.0)
        test.run()
    healthy(test, "en")
    before = plain(words("en")["ui_replay_before"])
    assert not any(before in i.value for i in test.info)
    assert test.warning, "the unchecked plan breaks a limit, and the page says which"
    test.number_input(key="osl").set_value(200).run()
    assert any(before in i.value for i in test.info)
    test.button(key="mend").click().run(timeout=300)
    healthy(test, "en")
    assert test.query_params["replayed"] == "yes"


def test_a_run_nobody_watches_stops(monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_S", 0.05)
    here = [True]

    def run(job):
        while not job.stopping():
            time.sleep(0.01)
        return "ended"

    job = jobs.Job(run, lambda: here[0])
    job.start()
    job.wait(0.3)
    assert job.running
    here[0] = False
    job.wait(5.0)
    assert job.result == "ended"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_field_of_a_scenario_can_be_set_as_text(lang):
    test = opened("data", lang, base="rag-documents")
    area = test.text_area[0]
    assert "[[workload.class]]" in area.value
    area.set_value(area.value.replace("ttft_s = 3.0", "ttft_s = 4.5")).run()
    test.button(key="apply_text").click().run()
    healthy(test, lang)
    assert test.selectbox(key="base").value == "own"
    assert test.number_input(key="ttft_s").value == pytest.approx(4.5)
    assert test.query_params["own"]
    test.text_area[0].set_value("schema = 1\ntitel = 3").run()
    test.button(key="apply_text").click().run()
    assert test.error
    assert bool(CJK.search(test.error[0].value)) == (lang == "zh")
    assert test.number_input(key="ttft_s").value == pytest.approx(4.5), "nothing is lost"


def test_a_link_made_with_own_measurements_says_that_they_are_missing():
    query = as_query(asked_of(defaults("rag-documents", ""), ""), "en", "", mine=True)
    query["data"] = opened("data").query_params["data"]
    test = opened("data", **query)
    assert [i.value for i in test.info] == [plain(words("en")["ui_mine_absent"])]
    assert "mine" not in test.query_params, "the next link is of what is shown here"


def test_why_leads_to_what_the_plan_runs():
    test = opened("answer", "en", base="customer-service")
    test.switch_page("screens/why.py").run()
    shown = test.selectbox(key="model").value
    test.button(key="look_0").click().run()
    healthy(test, "en")
    assert test.title[0].value == words("en")["page_why"]
    assert test.selectbox(key="model").value != shown
    assert "Qwen3 30B" in test.markdown[0].value


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_error_stands_below_its_pages_title_in_the_readers_language(lang):
    test = opened("why", lang, model="deepseek-v3", hw="a10", precision="bf16")
    healthy(test, lang)
    assert test.title[0].value == words(lang)["page_why"]
    assert bool(CJK.search(test.error[0].value)) == (lang == "zh")
    assert not CJK.search(test.error[0].value) or "原文" not in test.error[0].value
