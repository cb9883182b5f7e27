"""`advisor validate`: every row predicted or refused with a reason, measured cells never read."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from advisor.calibration.serving_fits import quantiles
from advisor.calibration.serving_rows import REQUIRED, read_serving
from advisor.calibration.validate import (
    COLUMNS,
    Line,
    refused_share,
    summarise,
    validate_file,
    write_lines,
)
from advisor.catalogue.engine_costs import era_of_run, era_of_version
from advisor.catalogue.widths import width, width_file
from advisor.cli.main import main
from advisor.errors import InvalidFileError
from advisor.perf.replay import ReplayResult, longer_run
from advisor.perf.roofline import busiest_group, experts_touched
from advisor.schema.engine import NO_COST

RUN = {
    "id": "a",
    "device": "h100-sxm-80gb",
    "gpus": "1",
    "tp": "1",
    "attention_dp": "1",
    "moe_ep": "",
    "kind": "dense",
    "model": "llama-3.1-8b",
    "hf_id": "meta-llama/Llama-3.1-8B-Instruct",
    "weight_format": "fp8",
    "gemm_format": "fp8",
    "moe_format": "",
    "engine": "vllm",
    "engine_version": "0.12.0",
    "input_len": "1024",
    "output_len": "128",
    "concurrency": "8",
    "source_run": "infmax_x",
    "ttft_ms": "50",
    "tpot_ms": "5",
}
SPEED = {
    "id": "d",
    "device": "rtx-4090",
    "device_count": "1",
    "model": "llama-3-8b",
    "params_b": "8",
    "weight_format": "q4_k_m",
    "weight_bits": "4.85",
    "engine": "llama.cpp",
    "engine_family": "llama.cpp",
    "threads": "",
    "tp": "1",
    "batch_or_concurrency": "1",
    "input_len": "0",
    "output_len": "128",
    "metric": "decode_tok_s",
    "value": "120",
    "unit": "tok/s",
    "source": "x",
    "source_date": "2024",
    "notes": "",
}


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_every_serving_row_gives_two_lines(tmp_path):
    rows = [RUN, RUN | {"id": "b", "model": "nope", "hf_id": "no/pe"}, RUN | {"id": "c", "tp": "3"}]
    lines = validate_file(write(tmp_path / "s.csv", rows))
    assert [(x.id, x.metric) for x in lines] == [
        (i, m) for i in "abc" for m in ("ttft_ms", "tpot_ms")
    ]
    assert all(bool(x.predicted) != bool(x.refused) for x in lines)
    assert [bool(x.refused) for x in lines] == [False, False, True, True, True, True]
    assert "nope" in lines[2].refused


def test_predictions_do_not_move_with_the_measurement(tmp_path):
    other = RUN | {"ttft_ms": "5000", "tpot_ms": "0.5"}
    one = validate_file(write(tmp_path / "a.csv", [RUN]))
    two = validate_file(write(tmp_path / "b.csv", [other]))
    assert [x.predicted for x in one] == [x.predicted for x in two]


def test_a_row_without_a_measurement_is_predicted(tmp_path):
    lines = validate_file(write(tmp_path / "s.csv", [RUN | {"ttft_ms": "", "tpot_ms": ""}]))
    assert all(x.measured is None and x.predicted for x in lines)


def test_device_rows_keep_their_metric_and_unit(tmp_path):
    rows = [SPEED, SPEED | {"id": "e", "metric": "prefill_tok_s", "input_len": "512"}]
    rows.append(SPEED | {"id": "f", "device": "abacus"})
    lines = validate_file(write(tmp_path / "d.csv", rows))
    assert [x.metric for x in lines] == ["decode_tok_s", "prefill_tok_s", "decode_tok_s"]
    assert lines[0].predicted
    assert 60 < lines[0].predicted < 240
    assert "abacus" in lines[2].refused


def test_output_file_and_summary(tmp_path, capsys, monkeypatch):
    path, out = write(tmp_path / "s.csv", [RUN]), tmp_path / "o.csv"
    monkeypatch.setattr("sys.argv", ["advisor", "validate", str(path), "-o", str(out), "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    body = json.loads(capsys.readouterr().out)
    assert {s["name"] for s in body["summary"]} >= {"ttft_ms", "tpot_ms", "tpot_ms, kind dense"}
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == list(COLUMNS)
    spans = [float(rows[1][c]) for c in ("low95", "low80", "predicted", "high80", "high95")]
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"tp": "x"}, "line 2: tp"), ({"concurrency": "0"}, "concurrency"), ({"gpus": ""}, "gpus")],
)
def test_broken_cells_name_line_and_column(tmp_path, change, says):
    with pytest.raises(InvalidFileError, match=says):
        read_serving(write(tmp_path / "s.csv", [RUN | change]))


def test_a_file_of_another_layout_is_refused(tmp_path):
    with pytest.raises(InvalidFileError, match="neither a serving nor a device layout"):
        validate_file(write(tmp_path / "x.csv", [{"a": "1", "b": "2"}]))
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidFileError, match="UTF-8"):
        validate_file(tmp_path / "y.csv")
    assert "tp" in REQUIRED


def test_summary_of_known_errors(tmp_path):
    lines = validate_file(write(tmp_path / "s.csv", [RUN] * 3))
    s = summarise("x", [x for x in lines if x.metric == "tpot_ms"])
    error = abs(lines[1].predicted / 5.0 - 1.0)
    assert s.rows == 3
    assert s.median_error == pytest.approx(error)
    assert s.coverage95 in (0.0, 1.0)
    write_lines(lines, tmp_path / "o.csv")
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 7


def test_conformal_quantiles_take_the_corrected_rank():
    assert quantiles(np.arange(1.0, 10.0)) == (8.0, 9.0)
    assert quantiles(np.array([-3.0, 1.0])) == (3.0, 3.0)


def test_eras_by_run_and_version():
    assert era_of_run("vllm", "dense", "infmax_0406", "").id == "vllm-2026-dense"
    assert era_of_run("vllm", "dense", "nv_gap", "0.12.0").id == "vllm-0.12-dense"
    assert era_of_run("trtllm", "moe", "infmax_0406", "1.2.0rc6.post3").id == "trtllm-2026-mtp-moe"
    assert era_of_run("trtllm", "moe", "infmax_0406", "").id == "trtllm-2026-moe"
    assert era_of_run("abacus", "moe", "infmax", "") is None
    assert era_of_version("vllm", "dense", "vllm 0.11.0").id == "vllm-0.12-dense"
    assert era_of_version("llama.cpp", "dense", "llama.cpp b1") is None


def test_uneven_routing_touches_fewer_experts_and_the_same_for_one_token():
    rows = np.array([1.0, 8.0, 64.0, 4096.0])
    even, uneven = experts_touched(rows, 256, 8), experts_touched(rows, 256, 8, 0.7)
    assert uneven[0] == pytest.approx(8.0)
    assert np.all(uneven <= even + 1e-9)
    assert np.all(np.diff(uneven) > 0)
    # Even popularity, but picks by chance: e^-x in place of (1 - k/E)^rows.
    assert experts_touched(64.0, 256, 8, 1e6) == pytest.approx(float(even[2]), rel=1e-2)


def test_the_busiest_group_bears_at_least_its_share():
    touched, rows = busiest_group(40.0, 64.0, 256, 4, 0.7)
    assert 10.0 < float(touched) <= 64.0
    assert float(rows) > 16.0
    assert busiest_group(40.0, 64.0, 256, 1, 0.7) == (40.0, 64.0)
    many = busiest_group(256.0, 1e9, 256, 4, math.inf)
    assert float(many[0]) == pytest.approx(64.0)
    assert float(many[1]) == pytest.approx(2.5e8, rel=1e-3)


def test_a_longer_run_repeats_the_steady_state():
    ttfts = (9.0, 9.0, 5.0, 5.0, 1.0, 1.0, 2.0, 2.0)
    result = ReplayResult(ttfts, (1.0,) * 8, 10.0, 8)
    ttft, tpot = longer_run(result, 2, 20)
    assert ttft == pytest.approx((sum(ttfts) + 12 * 1.0) / 20)
    assert tpot == 1.0
    assert NO_COST.kernel_factor == 1.0
    with pytest.raises(ValueError, match="four waves"):
        longer_run(result, 3, 20)


def test_refused_share_counts_rows_that_say_everything():
    lines = [
        Line("a", "tpot_ms", 1.0, 1.0),
        Line("b", "tpot_ms", 1.0, refused="no"),
        Line("c", "tpot_ms", 1.0, refused="unknown lengths", stated=False),
    ]
    assert refused_share(lines) == (1, 2)


def test_ranges_of_servers_hold_what_they_were_made_of():
    rows = [row for row in width_file().width if row.engines]
    assert {row.metric for row in rows} == {"tpot", "ttft", "throughput"}
    for row in rows:
        found = width(row.metric, "extrapolated", "gpu", "dense", engine="sglang")
        assert found == row
        general = width(row.metric, "extrapolated", "gpu", "dense")
        assert not general.engines
