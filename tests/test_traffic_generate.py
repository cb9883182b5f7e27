"""Generated requests: seeds, classes, lengths, sessions, shared blocks, closed loop."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalogue.read import decode
from advisor.errors import UnknownNameError, UsageError
from advisor.schema.traffic import Requests
from advisor.schema.workload import Workload
from advisor.traffic.facts import fact_ids, get_preset
from advisor.traffic.generate import generate
from advisor.traffic.lengths import class_law, law_means
from advisor.traffic.sessions import geometric_turns

CHAT = '[[class]]\nname = "chat"\npreset = "chat"\n'
TALK = """
[[class]]
name = "talk"
isl_tokens = 800
osl_tokens = 200
isl_cv = 0.5
osl_cv = 1.0
shared_prefix_tokens = 256
turns = 2.0
gap_s = 30
gap_log_sd = 0.5
"""
MIX = """
[[class]]
name = "short"
share = 0.7
isl_tokens = 50
osl_tokens = 10
priority = 2
shared_prefix_tokens = 32
[[class]]
name = "talk"
share = 0.3
isl_tokens = 900
osl_tokens = 100
osl_cv = 0.5
turns = 3.0
gap_s = 10
shared_prefix_tokens = 64
deadline_s = 9.0
"""


def made(text: str, seed: int = 0, **more: Any) -> Requests:
    return generate(decode(text, Workload, "s.toml"), seed, **more)


def fingerprint(requests: Requests) -> list[bytes | object]:
    values = [getattr(requests, one.name) for one in dataclasses.fields(requests)]
    return [v.tobytes() if isinstance(v, np.ndarray) else v for v in values]


@pytest.mark.parametrize(
    "load",
    [
        "requests_per_s = 5\nduration_s = 600",
        'requests_per_s = 5\nrequests = 3000\narrivals = "conversation"\ndiurnal = "burstgpt"',
        'requests_per_s = 5\nrequests = 3000\nclient_mix = "servegen-m-small"',
        "clients = 7\nthink_s = 1.0\nrequests = 500",
    ],
)
def test_same_seed_same_bytes(load):
    text = load + MIX
    assert fingerprint(made(text, 3)) == fingerprint(made(text, 3))
    assert fingerprint(made(text, 3)) != fingerprint(made(text, 4))


def test_rate_changes_times_only():
    slow = made("requests_per_s = 2\nrequests = 4000\n" + CHAT)
    fast = made("requests_per_s = 8\nrequests = 4000\n" + CHAT)
    assert np.array_equal(slow.input_tokens, fast.input_tokens)
    assert np.array_equal(slow.output_tokens, fast.output_tokens)
    assert slow.arrival_s == pytest.approx(4 * fast.arrival_s)


@pytest.mark.parametrize("arrivals", ['"gamma"\ncv = 3.0', '"code"', '"conversation"'])
def test_arrivals_leave_lengths_and_classes_alone(arrivals):
    text = MIX.replace("turns = 3.0\ngap_s = 10\n", "")
    poisson = made("requests_per_s = 2\nrequests = 2000\n" + text)
    other = made(f"requests_per_s = 2\nrequests = 3000\narrivals = {arrivals}\n" + text)
    for name in ("input_tokens", "output_tokens", "class_index"):
        assert np.array_equal(getattr(poisson, name), getattr(other, name)[:2000])


def test_shares_are_of_requests():
    requests = made("requests_per_s = 10\nduration_s = 20000\n" + MIX)
    assert (requests.class_index == 0).mean() == pytest.approx(0.7, abs=0.01)
    assert len(requests) == pytest.approx(200_000, rel=0.01)


def test_means_hold_with_history_and_prefix():
    requests = made("requests_per_s = 10\nduration_s = 30000\n" + TALK)
    assert requests.input_tokens.mean() == pytest.approx(800, rel=0.02)
    assert requests.output_tokens.mean() == pytest.approx(200, rel=0.02)
    assert requests.input_tokens.min() > 256


@given(st.floats(20, 5000), st.floats(0, 3), st.floats(1, 8), st.floats(0, 0.5), st.floats(0, 0.2))
@settings(deadline=None, max_examples=40)
def test_fresh_text_closes_the_balance(isl, cv, turns, prefix_share, osl_share):
    prefix, osl = int(isl * prefix_share), max(1.0, isl * osl_share / turns)
    text = f"""requests_per_s = 1
[[class]]
name = "a"
isl_tokens = {isl}
osl_tokens = {osl}
isl_cv = {cv}
turns = {turns}
gap_s = 1
shared_prefix_tokens = {prefix}
"""
    one = decode(text, Workload, "s.toml").classes[0]
    if isl - prefix - (turns - 1) * osl < turns:
        with pytest.raises(UsageError, match="raise isl_tokens"):
            class_law(one)
        return
    law = class_law(one)
    assert prefix + turns * law.fresh_tokens + (turns - 1) * osl == pytest.approx(isl)


def test_lognormal_spread():
    text = "isl_tokens = 1000\nosl_tokens = 300\nisl_cv = 0.8\nosl_cv = 1.5\n"
    requests = made('requests_per_s = 1\nrequests = 300000\n[[class]]\nname = "a"\n' + text)
    for lengths, mean, cv in (
        (requests.input_tokens, 1000, 0.8),
        (requests.output_tokens, 300, 1.5),
    ):
        assert lengths.mean() == pytest.approx(mean, rel=0.02)
        assert lengths.std() / lengths.mean() == pytest.approx(cv, rel=0.03)


def test_fixed_lengths_by_default():
    text = '[[class]]\nname = "a"\nisl_tokens = 100\nosl_tokens = 7\n'
    requests = made("requests_per_s = 1\nrequests = 50\n" + text)
    assert set(requests.input_tokens) == {100}
    assert set(requests.output_tokens) == {7}


@pytest.mark.parametrize("preset", fact_ids("presets"))
def test_presets_give_their_own_means(preset):
    requests = made(
        f'requests_per_s = 5\nrequests = 200000\n[[class]]\nname = "a"\npreset = "{preset}"'
    )
    isl, osl = law_means(get_preset(preset).lengths)
    assert requests.input_tokens.mean() == pytest.approx(isl, rel=0.03)
    assert requests.output_tokens.mean() == pytest.approx(osl, rel=0.03)
    assert len(requests) == 200_000


@given(st.floats(1, 50), st.integers(0, 99))
def test_turns_are_geometric(mean, seed):
    turns = geometric_turns(np.random.default_rng(seed).random(20_000), np.full(20_000, mean))
    assert turns.min() == 1
    deviation = np.sqrt(mean * (mean - 1)) / np.sqrt(20_000)
    assert abs(turns.mean() - mean) <= 6 * deviation + 1e-9


def test_a_turn_grows_from_the_one_before():
    requests = made("requests_per_s = 10\nduration_s = 3000\n" + TALK)
    child = np.flatnonzero(requests.parent >= 0)
    parent = requests.parent[child]
    assert len(child) > 5000
    assert (parent < child).all()
    assert (requests.session[child] == requests.session[parent]).all()
    grown = requests.input_tokens[child] - requests.input_tokens[parent]
    assert (grown > requests.output_tokens[parent]).all()
    assert np.median(requests.think_s[child]) == pytest.approx(30, rel=0.05)
    assert not requests.think_s[requests.parent < 0].any()


def test_a_turn_starts_with_all_blocks_of_the_one_before():
    requests = made("requests_per_s = 10\nduration_s = 500\n" + MIX)
    size, offsets, ids = requests.block_tokens, requests.block_offsets, requests.block_ids
    assert size == 16
    own = [ids[offsets[i] : offsets[i + 1]] for i in range(len(requests))]
    children = np.flatnonzero(requests.parent >= 0)
    assert len(children) > 500
    for i in children:
        before = own[requests.parent[i]]
        assert np.array_equal(own[i][: len(before)], before)
        assert len(own[i]) == requests.input_tokens[i] // size
    for i, blocks in enumerate(own):
        prefix = [0, 1] if requests.class_index[i] == 0 else [2, 3, 4, 5]
        assert list(blocks[: len(prefix)]) == prefix
        assert len(set(blocks)) == len(blocks)


def test_sessions_share_nothing_but_the_prefix():
    requests = made("requests_per_s = 10\nduration_s = 300\n" + TALK)
    offsets = requests.block_offsets
    seen: dict[int, int] = {}
    for i in range(len(requests)):
        for block in requests.block_ids[offsets[i] : offsets[i + 1]][256 // 16 :]:
            assert seen.setdefault(int(block), int(requests.session[i])) == requests.session[i]


def test_rate_is_level_from_the_first_second():
    requests = made("requests_per_s = 20\nduration_s = 4000\n" + TALK.replace("30\n", "400\n"))
    counts, _ = np.histogram(requests.arrival_s, 4, (0, 4000))
    assert (np.abs(counts - 20_000) < 5 * np.sqrt(20_000 * 3)).all()
    assert requests.duration_s < 4000


def test_blocks_grow_coarser_to_stay_within_bounds():
    text = '[[class]]\nname = "a"\npreset = "chat"\nshared_prefix_tokens = 1024\n'
    requests = made("requests_per_s = 100\nrequests = 300000\n" + text)
    assert requests.block_tokens == 32
    assert len(requests.block_ids) == 300_000 * 32
    assert made("requests_per_s = 1\nrequests = 10\n" + text, block_tokens=128).block_tokens == 128


def test_closed_loop_has_one_request_a_client_in_flight():
    requests = made("clients = 8\nthink_s = 2.0\nrequests = 20000\n" + CHAT)
    assert len(requests) == 20_000
    assert (requests.parent < 0).sum() == 8
    assert np.bincount(requests.parent[requests.parent >= 0]).max() == 1
    later = requests.think_s[requests.parent >= 0]
    assert later.mean() == pytest.approx(2.0, rel=0.03)
    assert not requests.think_s[requests.parent < 0].any()


def test_closed_loop_without_thinking_and_with_sessions():
    requests = made("clients = 3\nrequests = 300\n" + MIX)
    assert (requests.parent < 0).sum() == 3
    assert (requests.parent < np.arange(300)).all()


def test_priority_and_deadline_follow_the_class():
    requests = made("requests_per_s = 10\nduration_s = 100\n" + MIX)
    assert set(requests.priority[requests.class_index == 0]) == {2}
    assert set(requests.deadline_s[requests.class_index == 1]) == {9.0}
    assert np.isinf(requests.deadline_s[requests.class_index == 0]).all()
    assert not len(made("requests_per_s = 1\nrequests = 5\n" + CHAT).priority)


def test_client_mix_spreads_lengths():
    plain = made("requests_per_s = 20\nrequests = 50000\n" + TALK)
    mixed = made('requests_per_s = 20\nrequests = 50000\nclient_mix = "servegen-m-large"\n' + TALK)
    assert mixed.output_tokens.std() > 1.3 * plain.output_tokens.std()


def test_a_rate_too_low_for_any_request_gives_none():
    assert len(made("requests_per_s = 1e-9\nduration_s = 1\n" + TALK)) == 0


def test_a_trace_takes_classes_by_share(tmp_path):
    (tmp_path / "t.csv").write_text(
        "timestamp,input_tokens,output_tokens\n" + "".join(f"{i},10,{i + 1}\n" for i in range(4000))
    )
    requests = made('trace = "t.csv"\nrate_scale = 2.0\n' + MIX, folder=tmp_path)
    assert (requests.class_index == 0).mean() == pytest.approx(0.7, abs=0.03)
    assert requests.duration_s == pytest.approx(3999 / 2)
    assert requests.output_tokens[-1] == 4000
    assert requests.class_names == ("short", "talk")
    assert made('trace = "t.csv"\n', folder=tmp_path).class_names == ("all",)
    assert len(made('trace = "t.csv"\nduration_s = 10', folder=tmp_path)) == 10


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("clients = 3\n" + CHAT, UsageError, "clients needs requests"),
        ('arrivals = "all-at-once"\nduration_s = 9\n' + CHAT, UsageError, "needs requests"),
        ("requests_per_s = 1\n" + CHAT.replace('"chat"\n', '"chta"\n'), UnknownNameError, "chat"),
        ('requests_per_s = 1\ndiurnal = "azur-2024-conv"\n' + CHAT, UnknownNameError, "azure"),
        ('requests_per_s = 1\nclient_mix = "m-large"\n' + CHAT, UnknownNameError, "servegen"),
        ("requests_per_s = 1\n" + CHAT + "turns = 2.0\n", UsageError, "needs gap_s"),
        ("requests_per_s = 1\n" + CHAT + "shared_prefix_tokens = 9999\n", UsageError, "not 1156"),
    ],
)
def test_refuses(text, error, message):
    with pytest.raises(error, match=message):
        made(text)


def test_the_table_of_presets_is_current():
    page = (Path(__file__).resolve().parent.parent / "docs" / "traffic.md").read_text("utf-8")
    rows = re.findall(
        r"(?m)^\| `([\w-]+)` \| ([\d,]+) \|[^|]+\| ([\d,]+) \|[^|]+\| ([\d.]+) \|", page
    )
    assert {row[0] for row in rows} == set(fact_ids("presets"))
    for name, isl, osl, turns in rows:
        preset = get_preset(name)
        means = law_means(preset.lengths)
        assert (isl, osl) == tuple(f"{mean:,.0f}" for mean in means)
        assert turns == f"{preset.turns:.3g}"
