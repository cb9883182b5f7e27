"""What a viewer asks: links that reproduce it, files that are read safely, the command."""

from __future__ import annotations

import base64
import shlex
import zlib
from urllib.parse import parse_qs, urlparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import AdvisorError, InvalidFileError
from advisor.ui import question
from advisor.ui.asked import (
    as_query,
    asked_of,
    base_of,
    defaults,
    estimate_command,
    from_link,
    link,
)
from advisor.ui.errors import changes_of
from advisor.ui.fields import BY_KEY, FIELDS, as_text, read_value
from advisor.ui.question import OWN, WRITE, asked, examples, summary
from advisor.ui.serve import free_port, is_free
from advisor.ui.show import as_csv
from advisor.ui.view import plain

NAMES = sorted(examples())
WORKLOAD = """[workload]
requests_per_s = 1
[[workload.class]]
name = "chat"
preset = "chat"
"""


def of(name: str = "", **changes):
    base = name or NAMES[0]
    return asked_of({**defaults(base, ""), **changes}, "")


def parsed(address: str) -> dict[str, str]:
    query = parse_qs(urlparse(address).query, keep_blank_values=True)
    return {key: values[0] for key, values in query.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_link_reproduces_the_question(name):
    first = of(name, per_day=12345.0, isl=777, floor=0.61, e2e_s=9.5, apis="no")
    again, wrong = from_link(parsed(link("http://x/", first, "zh", "abc")))
    assert not wrong
    assert again == first
    assert again.scenario == first.scenario


@pytest.mark.parametrize("name", NAMES)
def test_a_link_carries_every_field(name):
    query = as_query(of(name), "en", "abc")
    assert {f.key for f in FIELDS} <= set(query)
    assert (query["lang"], query["data"]) == ("en", "abc")


@pytest.mark.parametrize("name", NAMES)
def test_untouched_fields_leave_the_scenario_alone(name):
    assert of(name).scenario == examples()[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_scenario_reads_back(name):
    changed = of(name, per_day=4321.0, budget=5000.0).scenario
    assert question.read_own(question.as_toml(changed), "x") == changed


@pytest.mark.parametrize("key", sorted(WRITE))
@pytest.mark.parametrize("name", NAMES)
def test_each_field_says_what_it_wrote(name, key):
    base = examples()[name]
    stated = summary(base)[key]
    values = {
        "privacy": "on-device" if stated != "on-device" else "any",
        "currency": "EUR" if stated != "EUR" else "USD",
        "site": "usa" if stated != "usa" else "world",
        "rent": ("h20-96",),
        "owned_hw": "a100-sxm-80",
        "owned_count": 3,
        "apis": "no",
        "isl": 640,
        "osl": 64,
        "floor": 0.42,
        "router_auc": 0.7,
        "growth": 0.25,
    }
    wanted = values.get(key, 3.0)
    if key == "owned_count" and not base.owned:
        return  # a count of nothing
    if key == "floor" and not any(base.metric_of(c.name) for c in base.workload.classes):
        return  # a floor needs a metric
    found = summary(asked(base, {**summary(base), key: wanted}))
    assert (
        found[key] == pytest.approx(wanted) if isinstance(wanted, float) else found[key] == wanted
    )


def test_a_broken_link_says_what_it_left_out():
    query = {"base": NAMES[0], "isl": "-5", "hw": "/etc/passwd.toml", "model": "x", "tp": "a"}
    found, wrong = from_link(query)
    assert {dict(t.params)["field"] for t in wrong} == {"isl", "hw", "model", "tp"}
    assert found == of()


@given(st.dictionaries(st.sampled_from([*BY_KEY, "own", "data", "zz"]), st.text(max_size=30)))
@settings(max_examples=60, deadline=None)
def test_no_link_breaks_the_page(query):
    found, _ = from_link(query)
    assert found.base is not None


@pytest.mark.parametrize(
    "line",
    [
        '[workload]\ntrace = "/etc/passwd"',
        f'{WORKLOAD}\n[quality]\nevaluation_csv = "x.csv"',
        f'{WORKLOAD}\n[[owned]]\nhw = "../secret.toml"\ncount = 1',
        f'{WORKLOAD}\n[use]\nmodels = ["./model/config.json"]',
    ],
)
def test_an_uploaded_scenario_names_no_file_of_the_server(line):
    with pytest.raises(InvalidFileError, match="catalogue"):
        question.read_own(f'schema = 1\ntitle = "mine"\n{line}', "s.toml")


@pytest.mark.parametrize("text", ["", "x", "[", 'schema = 9\ntitle = "abc"', "a = 1\n" * 60_000])
def test_a_bad_scenario_file_is_refused_in_words(text):
    with pytest.raises(AdvisorError) as error:
        question.read_own(text, "s.toml")
    assert "s.toml" in error.value.message


def test_a_link_that_grows_when_opened_is_refused():
    bomb = base64.urlsafe_b64encode(zlib.compress(b"a" * 10_000_000)).decode()
    with pytest.raises(InvalidFileError, match="too long"):
        question.unpack(bomb[: question.MAX_LINK_CHARACTERS])


@pytest.mark.parametrize("packed", ["", "%%%", "AAAA", base64.urlsafe_b64encode(b"hello").decode()])
def test_a_garbled_link_is_refused(packed):
    with pytest.raises(InvalidFileError):
        question.unpack(packed)


def test_an_own_scenario_travels_in_the_link():
    text = question.as_toml(examples()[NAMES[0]])
    first = asked_of(defaults(OWN, text), text)
    again, wrong = from_link(parsed(link("http://x/", first, "en", "d")))
    assert not wrong
    assert again.base == base_of(OWN, text)


def test_the_command_asks_the_same_estimate():
    chosen = of(model="32B", hw="a100-sxm-80", tp=2, slo_ttft_ms=500.0, usd_per_hour=1.5)
    words = shlex.split(estimate_command(chosen, "zh"))
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options["--model"] == "32B"
    assert options["--slo-ttft-ms"] == "500"
    assert options["--usd-per-hour"] == "1.5"
    assert options["--lang"] == "zh"
    request = chosen.request
    assert (request.isl_tokens, request.slo_ttft_s) == (int(options["--isl"]), 0.5)


def test_suggestions_of_the_command_become_fields():
    assert changes_of("--slo-ttft-ms 120.5 --slo-tpot-ms 30") == {
        "slo_ttft_ms": 120.5,
        "slo_tpot_ms": 30.0,
    }
    assert changes_of("vllm") == {}
    assert changes_of("--overlay /etc/passwd") == {}


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.key)
def test_values_survive_the_link_text(field):
    for value in (defaults(NAMES[0], "")[field.key], None if field.kind != "many" else ()):
        if value is not None:
            assert read_value(field, as_text(value)) == value


def test_markdown_html_and_formulas_stay_characters():
    text = plain("<script>alert(1)</script> $x$ [a](http://b) ![](c)")
    for mark in "<>$[]()!":
        assert text.count(mark) == text.count("\\" + mark)


def test_csv_disarms_text_and_leaves_numbers():
    text = as_csv(["a", "=b"], [["=1+1", -1.5], ["@x", 2.0], ["ok", 3.0]])
    assert text.splitlines() == ["a,'=b", "'=1+1,-1.5", "'@x,2.0", "ok,3.0"]


def test_a_taken_port_is_passed_over():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        assert free_port("127.0.0.1", port) > port
