"""A viewer's own prices and measurements: read safely, used for this viewer alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from advisor.catalogue.read import decode
from advisor.errors import InvalidFileError, UnknownNameError
from advisor.schema.price import PriceFile
from advisor.ui.jobs import Job
from advisor.ui.mine import with_prices
from advisor.ui.play import planned, play
from advisor.ui.question import examples
from advisor.ui.work import Once, recommended

SCRIPT = Path(__file__).resolve().parent.parent / "advisor" / "ui" / "app.py"
PRICES = """
schema = 1
[[source]]
id = "mine"
title = "our contract"
url = "https://example.org/contract"
accessed = 2026-11-23

[[rental]]
device = "h20-96"
provider = "ours"
region = "cn"
terms = "on-demand"
currency = "USD"
price_per_device_hour = 1.25
date = 2026-11-20
source = "mine"

[[rental]]
device = "h20"
provider = "theirs"
region = "cn"
terms = "on-demand"
currency = "USD"
price_per_device_hour = 2.25
date = 2026-11-20
source = "mine"
"""
BENCH = [
    {
        "build_commit": "abc",
        "model_filename": "/etc/passwd",
        "model_type": "qwen3 4B Q4_K - Medium",
        "n_prompt": 512,
        "n_gen": 0,
        "avg_ts": 900.0,
        "stddev_ts": 5.0,
        "avg_ns": 568888888,
        "n_threads": 8,
        "type_k": "f16",
        "type_v": "f16",
        "backends": "CUDA",
        "gpu_info": "NVIDIA GeForce RTX 4090",
        "test_time": "2026-11-20T10:00:00Z",
    },
    {
        "build_commit": "abc",
        "model_filename": "/etc/passwd",
        "model_type": "qwen3 4B Q4_K - Medium",
        "n_prompt": 0,
        "n_gen": 128,
        "avg_ts": 150.0,
        "stddev_ts": 1.0,
        "avg_ns": 853333333,
        "n_threads": 8,
        "type_k": "f16",
        "type_v": "f16",
        "backends": "CUDA",
        "gpu_info": "NVIDIA GeForce RTX 4090",
        "test_time": "2026-11-20T10:00:00Z",
    },
]


def opened(screen: str, **query: str) -> AppTest:
    test = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for key, value in {"lang": "en", **query}.items():
        test.query_params[key] = value
    test.run()
    return test.switch_page(f"screens/{screen}.py").run()


def test_the_median_of_own_quotes_counts():
    scenario = examples()["customer-service"]
    found = with_prices(scenario, decode(PRICES, PriceFile, "p.toml"))
    assert found.money.rent_usd_per_hour["h20-96"] == pytest.approx(1.75)
    assert found.use == scenario.use


def test_own_rents_reach_the_recommendation():
    scenario = examples()["customer-service"]
    cheap = PRICES.replace("1.25", "0.001").replace("2.25", "0.001")
    before, after = (
        recommended(s) for s in (scenario, with_prices(scenario, decode(cheap, PriceFile, "p")))
    )
    assert before.plan is not None
    assert after.plan is not None
    assert after.plan.usd_per_month.value < before.plan.usd_per_month.value


def test_a_price_file_without_rows_or_with_unknown_devices_is_refused():
    scenario = examples()["customer-service"]
    head = PRICES.split("[[rental]]", maxsplit=1)[0]
    with pytest.raises(InvalidFileError, match="1 to"):
        with_prices(scenario, decode(head, PriceFile, "p"))
    with pytest.raises(UnknownNameError):
        with_prices(scenario, decode(PRICES.replace('"h20"', '"h2o"'), PriceFile, "p"))


def test_own_prices_become_the_viewers_scenario():
    test = opened("data")
    test.file_uploader(key="price_file").upload("p.toml", PRICES.encode(), "application/toml").run()
    assert test.selectbox(key="base").value == "own"
    assert test.number_input(key="usd_per_hour").value == pytest.approx(1.75)
    assert test.query_params["own"]


def test_own_measurements_make_why_say_measured():
    asked = {"model": "4B", "hw": "rtx-4090", "engine": "llama.cpp", "precision": "q4_k_m"}
    asked |= {"isl": "512", "osl": "128", "concurrency": "1"}
    test = opened("data", **asked)
    upload = test.file_uploader(key="bench_file")
    upload.upload("r.json", json.dumps(BENCH).encode(), "application/json").run()
    assert not test.error, [e.value for e in test.error]
    assert test.success
    test.switch_page("screens/why.py").run()
    assert any("measured" in (m.delta or "") for m in test.metric)
    other = opened("why", **asked)
    assert not any("· measured" in (m.delta or "") for m in other.metric)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a,b\n1,2\n"])
def test_a_bad_benchmark_is_told_and_changes_nothing(content):
    test = opened("data")
    test.file_uploader(key="bench_file").upload("r.json", content, "application/json").run()
    assert not test.exception
    assert test.error
    assert "Something broke" not in test.error[0].value


def test_a_question_is_answered_once():
    calls = []
    once: Once[int] = Once(most=2)
    for key in (1, 1, 2, 3, 1):
        once.get(key, lambda key=key: calls.append(key) or key)
    assert calls == [1, 2, 3, 1], "the oldest answer makes room"


def test_a_failed_answer_is_asked_again():
    once: Once[int] = Once()
    with pytest.raises(ZeroDivisionError):
        once.get(1, lambda: 1 // 0)
    assert once.get(1, lambda: 7) == 7


NAMES = [
    "../../x.csv",
    "a\x00.csv",
    "x" * 300 + ".csv",
    "<img src=x onerror=alert(1)>.csv",
    "=1+1.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_name_is_only_text(name):
    part = planned(examples()["rag-documents"])[0]
    trace = "time,input_tokens,output_tokens\n" + "".join(f"{i},100,10\n" for i in range(50))
    run = partial(
        play, scenario=examples()["rag-documents"], part=part, seed=1, upload=(name, trace.encode())
    )
    job = Job(run)
    job.start()
    job.wait(300.0)
    assert job.error is None
    assert job.result is not None
    assert len(job.result.result.table.arrival_s) == 50


@pytest.mark.parametrize("name", [n for n in NAMES if "\x00" not in n])
def test_a_hostile_name_of_a_scenario_is_told_as_text(name):
    test = opened("data")
    upload = test.file_uploader(key="scenario_file")
    upload.upload(name.replace(".csv", ".toml"), b"a = [", "application/toml").run()
    assert not test.exception
    assert "<img" not in test.error[0].value.replace("\\<img", "")


def test_a_trace_too_large_is_refused_in_words():
    part = planned(examples()["rag-documents"])[0]
    big = ("t.csv", b"a" * 20_000_001)
    job = Job(partial(play, scenario=examples()["rag-documents"], part=part, seed=1, upload=big))
    job.start()
    job.wait(60.0)
    assert isinstance(job.error, InvalidFileError)
    assert "20 MB" in job.error.message
