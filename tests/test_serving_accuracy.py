"""Against measured serving runs: kernel constants alone, nothing fitted to the runs."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

import pytest

from advisor.calibration.serving_predict import predict_run, resolve_all
from advisor.calibration.serving_rows import read_serving
from advisor.perf.load import Profile, closed_loop
from advisor.schema.engine import NO_COST

FILE = (
    Path(os.environ.get("ADVISOR_GROUNDTRUTH") or Path(__file__).parents[2] / "shared/groundtruth")
    / "serving.csv"
)
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="measured runs are not at hand")
MEAN_LENGTH = 0.9
"""InferenceMAX draws lengths uniformly between 0.8 and 1.0 of the nominal ones."""


@pytest.fixture(scope="module")
def dense():
    told = {row.id: (row, measured) for row, measured in read_serving(FILE) if measured}
    runs, refused = resolve_all([row for row, _ in told.values() if row.kind == "dense"])
    assert not refused
    return [(run, told[run.row.id][1]) for run in runs]


def steady_tpot_s(run):
    scale = MEAN_LENGTH if run.row.run.startswith("infmax") else 1.0
    scheduler = run.setup.engine.scheduler
    profile = Profile(
        isl_tokens=run.row.isl * scale,
        osl_tokens=run.row.osl * scale,
        max_step_tokens=scheduler.max_step_tokens.value,
        max_sequences=run.max_sequences,
        prefill_alone=scheduler.prefill_alone,
        cost=NO_COST,
    )
    return float(closed_loop(run.model, profile, float(run.clients)).tpot_s)


def test_dense_tpot_from_kernel_constants_alone(dense):
    """A well-known predictor with kernel tables reaches 11.6 % here, a datasheet roofline 50 %."""
    errors = [abs(steady_tpot_s(run) / m.tpot_s - 1.0) for run, m in dense]
    assert len(errors) > 700
    assert median(errors) <= 0.09


def test_replay_and_steady_state_agree_on_tpot(dense):
    """Two routes to one figure: the replayed benchmark and the closed form, without costs."""
    some = dense[::25]
    apart = [abs(predict_run(run, NO_COST).tpot_s / steady_tpot_s(run) - 1.0) for run, _ in some]
    assert median(apart) <= 0.1


def test_predictions_do_not_read_the_measurement(dense):
    """The description holds no measured cell, so nothing can leak."""
    run, _ = dense[0]
    assert not {"ttft_ms", "tpot_ms", "ttft_s", "tpot_s"} & set(vars(run.row))
