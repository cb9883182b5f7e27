"""What to take from a trace: batches spread, windows, samples, units."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from advisor.errors import UsageError
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.traces import read_trace


def lines(*entries: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in entries)


def read(folder: Path, text: str, **options: object) -> Trace:
    path = folder / "trace"
    path.write_text(text)
    return read_trace(path, options=TraceOptions(**options))  # type: ignore[arg-type]


def test_batched_times_are_spread_within_their_interval(tmp_path):
    text = lines(
        *(
            {"timestamp": t, "input_length": 1 + i, "output_length": 1}
            for t in (0, 3000, 6000)
            for i in range(40)
        )
    )
    trace = read(tmp_path, text)
    times = trace.requests.arrival_s
    assert trace.spread_batches
    assert [((times >= a) & (times < a + 3)).sum() for a in (0, 3, 6)] == [40, 40, 40]
    assert len(set(times.tolist())) == 120
    # Order within a batch stays that of the file.
    assert trace.requests.input_tokens.tolist() == list(range(1, 41)) * 3
    assert np.array_equal(times, read(tmp_path, text).requests.arrival_s)
    raw = read(tmp_path, text, spread_batches=False)
    assert not raw.spread_batches
    assert set(raw.requests.arrival_s.tolist()) == {0.0, 3.0, 6.0}


def test_options(tmp_path):
    text = "arrival_ms,prompt_tokens,completion_tokens\n" + "".join(
        f"{1000 * i},{i + 1},1\n" for i in range(1000)
    )
    assert read(tmp_path, text).requests.duration_s == pytest.approx(999)
    assert len(read(tmp_path, text, limit=10).requests) == 10
    window = read(tmp_path, text, window_s=(100.0, 200.0), rate_scale=4.0).requests
    assert window.input_tokens.tolist() == list(range(101, 201))
    assert window.duration_s == pytest.approx(99 / 4)
    sample = read(tmp_path, text, sample=0.25, seed=2).requests
    assert len(sample) == pytest.approx(250, abs=60)
    assert np.array_equal(
        sample.arrival_s, read(tmp_path, text, sample=0.25, seed=2).requests.arrival_s
    )
    assert read(tmp_path, text, time_unit="s").requests.duration_s == pytest.approx(999_000)
    with pytest.raises(UsageError, match="leave no request"):
        read(tmp_path, text, window_s=(5000.0, 6000.0))


def test_epochs_tell_their_unit(tmp_path):
    for factor in (1, 1000, 1_000_000, 1_000_000_000):
        text = (
            f"timestamp,input,output\n{1_700_000_000 * factor},1,1\n{1_700_000_001 * factor},1,1\n"
        )
        assert read(tmp_path, text).requests.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"window_s": (3, 2)},
        {"rate_scale": 0},
        {"rate_scale": float("nan")},
        {"sample": 1.5},
        {"time_unit": "h"},
        {"block_tokens": 0},
    ],
)
def test_options_are_checked(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        TraceOptions(**options)


def test_samples_keep_sessions_whole(tmp_path):
    text = "timestamp,session_id,input,output\n" + "".join(
        f"{i},s{i % 100},5,5\n" for i in range(1000)
    )
    requests = read(tmp_path, text, sample=0.3, chain_sessions=True).requests
    assert 0 < len(requests) < 600
    assert set(np.bincount(requests.session)) <= {0, 10}
    assert (requests.parent < 0).sum() == len(set(requests.session.tolist()))
    cut = read(tmp_path, text, window_s=(500.0, 1000.0), chain_sessions=True).requests
    assert (cut.parent < 0).sum() == 100
    assert set(cut.think_s[cut.parent >= 0]) == {100.0}


def test_windows_keep_each_request_its_blocks(tmp_path):
    text = lines(
        *(
            {"timestamp": 1000 * i, "input_length": 600, "output_length": 1, "hash_ids": [0, i]}
            for i in range(10)
        )
    )
    requests = read(tmp_path, text, window_s=(3.0, 6.0)).requests
    assert requests.block_ids.tolist() == [0, 3, 0, 4, 0, 5]
    assert requests.block_offsets.tolist() == [0, 2, 4, 6]
