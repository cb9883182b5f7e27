"""Joint correctness: bounds, closed forms, the fit, and the errors it leaves on data not seen."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from advisor.errors import InvalidFileError, UnknownNameError, UsageError
from advisor.quality.fit import Fitter, mean_points, pair_table, predicted_both
from advisor.quality.joint import (
    JointShares,
    bivariate_normal_cdf,
    copula_both,
    fisher_z_of,
    frechet_bounds,
    measured_shares,
    shares_from_both,
)
from advisor.quality.outcomes import Correctness, read_correctness
from advisor.quality.pairs import (
    constants_for,
    dependence,
    find_measured,
    fisher_z,
    measured_pairs,
    predict_pair,
)

ROOT = Path(__file__).resolve().parent.parent
ROUTING = ROOT / ".." / "shared" / "routing"
TABLES = {name: ROUTING / f"{name}_per_question.csv.gz" for name in ("gsm", "math-l5", "crux")}
data = pytest.mark.skipif(not TABLES["gsm"].exists(), reason="needs the per-question data")

accuracy = st.floats(0, 1)
inner = st.floats(0.01, 0.99)


@given(accuracy, accuracy, st.floats(-6, 6))
def test_the_copula_stays_within_the_frechet_bounds(small, large, z):
    low, high = frechet_bounds(small, large)
    assert low <= float(copula_both(small, large, z)) <= high


@given(inner, inner, st.floats(-2, 2), st.floats(0.01, 1))
def test_more_dependence_means_more_common_answers(small, large, z, more):
    assert copula_both(small, large, z + more) >= copula_both(small, large, z) - 1e-12


@given(inner, inner, st.floats(-2, 2))
def test_the_copula_is_symmetric(small, large, z):
    assert copula_both(small, large, z) == pytest.approx(float(copula_both(large, small, z)))


@given(inner, inner)
def test_without_dependence_answers_multiply(small, large):
    assert float(copula_both(small, large, 0.0)) == pytest.approx(small * large, abs=1e-12)


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.0, 0.5, 0.99])
def test_two_medians_have_a_closed_form(rho):
    expected = 0.25 + math.asin(rho) / (2 * math.pi)
    assert float(bivariate_normal_cdf(0.0, 0.0, rho)) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize(
    ("h", "k", "rho"), [(1, -0.5, 0.9), (2, 2, 0.99), (-1, 0.3, -0.7), (0.1, 2.4, 0.4)]
)
def test_the_integral_agrees_with_another_method(h, k, rho):
    expected = multivariate_normal.cdf([h, k], cov=[[1, rho], [rho, 1]])
    assert float(bivariate_normal_cdf(h, k, rho)) == pytest.approx(expected, abs=1e-9)


@given(inner, inner, st.floats(-2, 2))
def test_the_correlation_of_a_share_is_found_again(small, large, z):
    both = float(copula_both(small, large, z))
    found = fisher_z_of(small, large, both)
    assert float(copula_both(small, large, found)) == pytest.approx(both, abs=1e-9)


def test_a_share_on_its_bound_gives_the_end_of_the_scale():
    assert fisher_z_of(0.5, 0.5, 0.5) == 4.0
    assert fisher_z_of(0.5, 0.5, 0.0) == -4.0


@given(accuracy, accuracy)
def test_predicted_shares_keep_the_two_accuracies(small, large):
    pair = predict_pair(small, large)
    assert pair.evidence == "extrapolated"
    assert pair.shares.small == pytest.approx(small, abs=1e-9)
    assert pair.shares.large == pytest.approx(large, abs=1e-9)
    assert sum(pair.shares.values) == pytest.approx(1)
    assert pair.both_low - 1e-12 <= pair.shares.both <= pair.both_high + 1e-12


@given(accuracy)
def test_a_model_that_knows_all_or_nothing_leaves_no_choice(large):
    assert predict_pair(0.0, large).shares.both == 0
    assert predict_pair(1.0, large).shares.both == pytest.approx(large)


@pytest.mark.parametrize("bad", [(-0.1, 0.5), (0.5, 1.2), (float("nan"), 0.5)])
def test_accuracies_are_shares(bad):
    with pytest.raises(UsageError, match="share from 0 to 1"):
        predict_pair(*bad)


def test_impossible_shares_are_refused():
    with pytest.raises(UsageError, match=r"valid: 0\.5 to 0\.7"):
        shares_from_both(0.7, 0.8, 0.71)
    with pytest.raises(UsageError, match="add up to 1"):
        JointShares(0.5, 0.5, 0.5, 0.0)


def test_counting():
    shares = measured_shares([1, 1, 0, 0, 0], [1, 0, 1, 0, 0])
    assert shares.values == (0.2, 0.2, 0.2, 0.4)
    with pytest.raises(UsageError, match="one length"):
        measured_shares([1], [1, 0])


def test_a_benchmark_has_its_own_constants_and_unknown_ones_are_named():
    assert constants_for("GSM8K") == constants_for("gsm") != constants_for()
    with pytest.raises(UnknownNameError, match="crux"):
        constants_for("cruxx")


def test_golden():
    both = predict_pair(0.6808, 0.8058).shares.both
    assert both == pytest.approx(0.627147, abs=2e-6)


def test_the_stated_errors_are_within_two_points():
    errors = {(e.benchmark, e.kind): e.points for e in dependence().error}
    for name in TABLES:
        assert [kind for b, kind in errors if b == name] == ["fit", "pair", "model", "benchmark"]
        assert max(points for (b, _), points in errors.items() if b == name) < 2
    outside = [points for (_, kind), points in errors.items() if kind == "outside"]
    assert sum(outside) / len(outside) < 2
    assert max(outside) > 4, "two strongly related models are a stated weakness"


def test_tables_shipped_say_what_their_source_says():
    pair = find_measured("mixtral-8x7b", "gpt-4-1106-preview", "MMLU")
    assert pair is not None
    assert pair.evidence == "measured"
    assert pair.questions == 14042
    assert pair.shares.values == pytest.approx((0.6280, 0.1778, 0.0528, 0.1414))
    assert pair.shares.oracle == pytest.approx(0.8586)
    assert find_measured("mixtral-8x7b", "gpt-4o", "MMLU") is None
    for row in measured_pairs().pair:
        assert row.small_accuracy + row.only_large - row.only_small == pytest.approx(
            row.large_accuracy, abs=3e-4
        )


def synthetic(intercept: float, slope: float, questions: int = 60_000) -> Correctness:
    """Answers of four models with two latent factors; pairs follow the copula exactly."""
    rng = np.random.default_rng(1)
    scores = np.array([0.3, 0.45, 0.65, 0.85])
    gap = np.abs(ndtri(scores)[:, None] - ndtri(scores)[None, :])
    rho = np.tanh(intercept + slope * gap)
    np.fill_diagonal(rho, 1.0)
    latent = rng.multivariate_normal(np.zeros(4), rho, size=questions, method="cholesky")
    right = latent < ndtri(scores)
    return Correctness(tuple("abcd"), right, np.full(right.shape, np.nan))


def test_known_constants_are_found_again():
    pairs = pair_table({"made": synthetic(0.9, -0.25)})
    assert len(pairs) == 6
    found = Fitter(pairs).fit(np.ones(6, dtype=bool))
    assert found.intercept == pytest.approx(0.9, abs=0.03)
    assert found.gap_slope == pytest.approx(-0.25, abs=0.04)


def test_pairs_closer_than_two_points_are_not_listed():
    right = np.zeros((100, 3), dtype=bool)
    right[:50, 0] = right[:51, 1] = right[:52, 2] = True
    pairs = pair_table({"x": Correctness(("a", "b", "c"), right, np.full((100, 3), np.nan))})
    assert list(zip(pairs.small_model, pairs.large_model, strict=True)) == [("a", "c")]


@data
@pytest.mark.parametrize("name", list(TABLES))
def test_constants_are_those_of_the_data(name):
    row = next(r for r in dependence().benchmark if r.benchmark == name)
    table = read_correctness(TABLES[name])
    pairs = pair_table({name: table})
    assert (row.pairs, row.models) == (len(pairs), len(table.models))
    assert row.questions == len(table.right)
    found = Fitter(pairs).fit(np.ones(len(pairs), dtype=bool))
    assert found.intercept == pytest.approx(row.constants.intercept, abs=2e-4)
    assert found.gap_slope == pytest.approx(row.constants.gap_slope, abs=2e-4)


@data
def test_a_fit_without_half_of_the_models_predicts_the_other_half():
    tables = {name: read_correctness(path) for name, path in TABLES.items()}
    pairs = pair_table(tables)
    fitter = Fitter(pairs)
    models = np.unique(np.concatenate([pairs.small_model, pairs.large_model]))
    seen = np.isin(pairs.small_model, models[::2]) & np.isin(pairs.large_model, models[::2])
    hidden = np.isin(pairs.small_model, models[1::2]) & np.isin(pairs.large_model, models[1::2])
    constants = fitter.fit(seen)
    both = predicted_both(constants, pairs.small[hidden], pairs.large[hidden])
    points = mean_points(pairs.small[hidden], pairs.large[hidden], pairs.both[hidden], both)
    assert points.mean() < 1.2


def script():
    spec = importlib.util.spec_from_file_location(
        "pair_quality", ROOT / "benchmarks/pair_quality.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_table(path: Path, table: Correctness, count: int) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", *(f"{m}|correct" for m in table.models)])
        for i, row in enumerate(table.right[:count].astype(int)):
            out.writerow([i, *row])


def test_the_script_prints_every_pair_and_one_last_line(tmp_path, monkeypatch, capsys):
    path = tmp_path / "whatever.csv.gz"
    constants = dependence().pooled
    write_table(path, synthetic(constants.intercept, constants.gap_slope, 4000), 4000)
    monkeypatch.setattr(sys, "argv", ["pair_quality.py", str(path)])
    script().main()
    first = capsys.readouterr().out
    *lines, last = first.splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == 6
    errors = []
    for row in rows:
        for kind in ("measured", "predicted"):
            names = [f"{n}_{kind}" for n in ("both", "only_large", "only_small", "neither")]
            assert sum(float(row[n]) for n in names) == pytest.approx(1, abs=3e-5)
        names = ["both_{}", "only_large_{}", "only_small_{}", "neither_{}", "routed_{}"]
        errors += [
            abs(float(row[n.format("measured")]) - float(row[n.format("predicted")])) for n in names
        ]
    assert last.startswith("mean_abs_points ")
    assert float(last.split()[1]) == pytest.approx(100 * np.mean(errors), abs=2e-3)
    assert float(last.split()[1]) < 0.6
    script().main()
    assert capsys.readouterr().out == first


@data
@pytest.mark.parametrize("name", list(TABLES))
def test_the_script_is_within_two_points_on_data(name, tmp_path, monkeypatch, capsys):
    hidden_name = tmp_path / "table.csv.gz"
    hidden_name.write_bytes(TABLES[name].read_bytes())
    monkeypatch.setattr(sys, "argv", ["pair_quality.py", str(hidden_name)])
    script().main()
    assert float(capsys.readouterr().out.splitlines()[-1].split()[1]) < 1.0


def test_broken_tables_are_refused_with_line_and_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,a|correct\n1,1\n2,maybe\n", encoding="utf-8")
    with pytest.raises(InvalidFileError, match=r"line 3, a\|correct: 'maybe'"):
        read_correctness(path)
    path.write_text("id,a\n1,1\n", encoding="utf-8")
    with pytest.raises(InvalidFileError, match="no column ends in"):
        read_correctness(path)


def test_z_is_linear_in_the_gap():
    c = constants_for()
    assert float(fisher_z(c, 0.5, 0.5)) == c.intercept
    one = float(fisher_z(c, 0.5, 0.8413447460685429))
    assert one == pytest.approx(c.intercept + c.gap_slope, abs=1e-9)
