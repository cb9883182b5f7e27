"""ServeGen's own files: windows of rate and burstiness, lengths in Python dicts as text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from advisor.errors import InvalidFileError, UsageError
from advisor.traffic.trace import TraceOptions
from advisor.traffic.traces import read_trace

WINDOWS = "0,10.0,2.0,Gamma,0.25,0.4\n600,0,,,,\n1200,5.0,1.5,Weibull,0.7,0.2\n1800,2,1.0,,,\n"
LENGTHS = {
    "0": {"input_tokens": "{10: 0.5, 30: 0.5}", "output_tokens": "{7: 1.0}"},
    "1200": {"input_tokens": "{100: 1.0}", "output_tokens": "{8: 0.25, 9: 0.75}"},
}
HEADER = "model,client,t_s,rate_rps,cv,pattern,shape,scale\n"
QUANTILES = "model,client,t_s,field,mean,q0.1,q0.5,q0.9,max,support_points\n"


def client(folder, windows=WINDOWS, lengths=LENGTHS, number=0):
    (folder / f"chunk-{number}-trace.csv").write_text(windows)
    (folder / f"chunk-{number}-dataset.json").write_text(json.dumps(lengths))
    return folder / f"chunk-{number}-trace.csv"


def test_windows_become_requests(tmp_path):
    trace = read_trace(client(tmp_path), options=TraceOptions(seed=1))
    requests = trace.requests
    assert trace.format == "servegen"
    counts, _ = np.histogram(requests.arrival_s, [0, 600, 1200, 1800, 2400])
    assert counts[0] == pytest.approx(6000, rel=0.15)
    # Times count from the first arrival, which may fall after the third window's.
    assert counts[1] <= 3
    assert counts[2] == pytest.approx(3000, rel=0.15)
    assert counts[3] == pytest.approx(1200, rel=0.15)
    early = requests.arrival_s < 900
    assert set(requests.input_tokens[early]) == {10, 30}
    assert (requests.input_tokens[early] == 10).mean() == pytest.approx(0.5, abs=0.03)
    assert set(requests.input_tokens[~early]) == {100}
    assert (requests.output_tokens[~early] == 9).mean() == pytest.approx(0.75, abs=0.03)


def test_folders_add_up_their_clients(tmp_path):
    one = read_trace(client(tmp_path)).requests
    client(tmp_path, number=1)
    both = read_trace(tmp_path)
    assert both.format == "servegen"
    assert len(both.requests) == pytest.approx(2 * len(one), rel=0.1)
    assert len(both.requests) > 1.5 * len(one)


def test_tables_of_several_models(tmp_path):
    path = tmp_path / "client_windows.csv"
    path.write_text(HEADER + "m,0,0,5,1,Gamma,1,1\nn,0,0,9,1,Gamma,1,1\nm,1,0,5,1,Gamma,1,1\n")
    beside = tmp_path / "length_quantiles.csv"
    rows = "m,0,0,input_tokens,5,1,5,9,9,3\nm,0,0,output_tokens,50,50,50,50,50,3\n"
    beside.write_text(QUANTILES + rows)
    with pytest.raises(UsageError, match="model = one of m, n"):
        read_trace(path)
    trace = read_trace(path, options=TraceOptions(model="m"))
    assert trace.rejected_by_reason == {"client without published lengths": 1}
    assert len(trace.requests) == pytest.approx(3000, rel=0.1)
    assert trace.requests.input_tokens.mean() == pytest.approx(5, abs=0.2)
    assert set(trace.requests.output_tokens) == {50}
    beside.unlink()
    with pytest.raises(InvalidFileError, match=r"length_quantiles\.csv must stand beside"):
        read_trace(path, options=TraceOptions(model="m"))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"0": {"input_tokens": "__import__('os')", "output_tokens": "{1: 1}"}}, "malformed"),
        ({"0": {"input_tokens": "{1: -1.0}", "output_tokens": "{1: 1}"}}, "0 or more"),
        ({"0": {"input_tokens": "{}", "output_tokens": "{1: 1}"}}, "add up"),
        ({"0": {"reason_ratio": "{}"}}, "no input_tokens"),
        ([1], "malformed"),
        ({"x": {"input_tokens": "{1: 1}", "output_tokens": "{1: 1}"}}, "malformed"),
    ],
)
def test_bad_lengths_are_refused(lengths, message, tmp_path):
    with pytest.raises(InvalidFileError, match=message):
        read_trace(client(tmp_path, lengths=lengths))


def test_bad_windows_are_counted(tmp_path):
    windows = WINDOWS + "nan,1,1,,,\n5,1\n0,1,1,Gamma,0,1\n0,-1,1,,,\n"
    trace = read_trace(client(tmp_path, windows))
    assert trace.rejected_by_reason == {"malformed window": 4}
    assert [one.line for one in trace.rejected] == [5, 6, 7, 8]


def test_missing_lengths_and_too_many_requests(tmp_path):
    (tmp_path / "chunk-3-trace.csv").write_text(WINDOWS)
    with pytest.raises(InvalidFileError, match=r"chunk-3-dataset\.json must stand beside"):
        read_trace(tmp_path / "chunk-3-trace.csv")
    with pytest.raises(UsageError, match="narrow window_s"):
        read_trace(client(tmp_path, "0,1e8,1,Gamma,1,1\n"))
