"""Routers and cascades: published figures, closed forms, limits, and simulated requests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InfeasibleError, InvalidFileError, MissingDataError, UsageError
from advisor.quality import draws
from advisor.quality.joint import JointShares
from advisor.quality.measured import measured_router, route_measured
from advisor.quality.outcomes import PairOutcomes, read_pair
from advisor.quality.routing import (
    Router,
    Verifier,
    apgr,
    beta_for_large_quality,
    cascade,
    escalation_for,
    gap_share,
    route,
    route_curve,
    router_apgr,
    router_shifts,
    router_threshold,
)

MMLU = JointShares(0.6280, 0.1778, 0.0528, 0.1414)
GSM8K = JointShares(0.5664, 0.2904, 0.0720, 0.0712)
QWEN35 = JointShares(0.6475, 0.0800, 0.0350, 0.2375)
TABLE = {
    0.5: ("50 / 80 / 95 / 100", "50 / 80 / 95 / 100", "50 / 80 / 95 / 100"),
    0.6: ("33 / 64 / 87 / 99.9", "36 / 67 / 89 / 100", "28 / 57 / 81 / 96"),
    0.7: ("20 / 44 / 66 / 81", "24 / 50 / 73 / 89", "14 / 32 / 47 / 56"),
    0.8: ("12 / 26 / 40 / 47", "17 / 34 / 50 / 59", "6 / 15 / 22 / 25"),
    0.9: ("8 / 15 / 20 / 23", "12 / 23 / 31 / 34", "3 / 6 / 9 / 10"),
}
"""Share of calls to the large model for 50, 80, 95 and 100 % of the gap, in percent."""

share = st.floats(0, 1)
skill = st.floats(0.05, 0.95)


@st.composite
def pairs(draw):
    parts = np.array([draw(st.floats(0.01, 1)) for _ in range(4)])
    both, only_large, only_small, neither = parts / parts.sum()
    return JointShares(both, only_large, only_small, neither)


@pytest.mark.parametrize("auc", list(TABLE))
@pytest.mark.parametrize("column", [0, 1, 2])
def test_calls_for_a_part_of_the_gap_are_the_published_ones(auc, column):
    shares = (MMLU, GSM8K, QWEN35)[column]
    stated = [float(x) for x in TABLE[auc][column].split(" / ")]
    found = [100 * gap_share(Router(auc), shares, part) for part in (0.5, 0.8, 0.95, 1.0)]
    assert found == pytest.approx(stated, abs=0.53)


def test_the_average_gap_recovered_on_mmlu():
    assert router_apgr(Router(0.58), MMLU) == pytest.approx(0.600, abs=5e-4)


@given(pairs(), skill)
def test_the_average_gap_recovered_has_a_closed_form(shares, auc):
    b, c = shares.only_large, shares.only_small
    if abs(b - c) < 1e-3:
        return
    expected = 0.5 + (auc - 0.5) * b * (1 - b + c) / (b - c)
    assert router_apgr(Router(auc), shares) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("router", [Router(0.7), Router(0.678, 0.6), Router(0.6, 0.4)])
def test_the_average_gap_recovered_is_the_area_under_the_curve(router):
    _, accuracy = route_curve(router, MMLU, 2001)
    area = np.trapezoid((accuracy - MMLU.small) / (MMLU.large - MMLU.small), dx=1 / 2000)
    assert router_apgr(router, MMLU) == pytest.approx(area, abs=1e-5)


def test_questions_that_only_look_hard_cost_the_router():
    plain, fooled = Router(0.678), Router(0.678, 0.6)
    assert router_apgr(fooled, MMLU) < router_apgr(plain, MMLU) - 0.03
    assert route(fooled, MMLU, 0.3).accuracy < route(plain, MMLU, 0.3).accuracy


@given(pairs(), skill, skill, share)
def test_a_router_stays_between_the_worst_and_the_oracle(shares, auc, lost, sent):
    mix = route(Router(auc, lost), shares, sent)
    assert shares.both - 1e-9 <= mix.accuracy <= shares.oracle + 1e-9
    assert mix.escalated == sent


@given(pairs(), skill, skill)
def test_sending_none_or_all_gives_the_two_models(shares, auc, lost):
    router = Router(auc, lost)
    assert route(router, shares, 0.0).accuracy == pytest.approx(shares.small)
    assert route(router, shares, 1.0).accuracy == pytest.approx(shares.large)


@given(pairs(), share)
def test_a_guessing_router_is_a_straight_line(shares, sent):
    expected = shares.small + sent * (shares.large - shares.small)
    assert route(Router(0.5), shares, sent).accuracy == pytest.approx(expected, abs=1e-9)


@given(pairs(), st.floats(0.05, 0.9), st.floats(0.01, 0.05), st.floats(0.01, 0.99))
def test_more_skill_never_hurts(shares, auc, more, sent):
    better = route(Router(auc + more), shares, sent).accuracy
    assert better >= route(Router(auc), shares, sent).accuracy - 1e-9


def test_the_binormal_curve_by_hand():
    """At AUC 0.7 the shift is sqrt(2) Phi^-1(0.7) = 0.7416."""
    large, small = router_shifts(Router(0.7), MMLU)
    assert (large, small) == pytest.approx((0.741614, 0.0), abs=1e-6)
    assert router_threshold(Router(0.7), MMLU, 0.3) == pytest.approx(0.672, abs=2e-3)
    assert route(Router(0.7), MMLU, 0.3).accuracy == pytest.approx(0.76139, abs=1e-5)


@given(pairs(), skill, skill)
def test_auc_is_the_chance_to_outrank_any_other_question(shares, auc, lost):
    from scipy.special import ndtr

    large, small = router_shifts(Router(auc, lost), shares)
    weight = shares.only_small / (1 - shares.only_large)
    outrank = weight * ndtr((large - small) / 2**0.5) + (1 - weight) * ndtr(large / 2**0.5)
    assert outrank == pytest.approx(auc, abs=1e-9)


def test_the_share_for_an_accuracy():
    assert escalation_for(Router(0.7), MMLU, MMLU.small) == 0
    sent = escalation_for(Router(0.7), MMLU, 0.75)
    assert route(Router(0.7), MMLU, sent).accuracy == pytest.approx(0.75, abs=1e-7)
    with pytest.raises(InfeasibleError, match=r"the best is 0\.8"):
        escalation_for(Router(0.7), MMLU, 0.85)


def test_no_gap_no_average():
    with pytest.raises(UsageError, match="different accuracy"):
        apgr(JointShares(0.5, 0.1, 0.1, 0.3), 0.7)


@pytest.mark.parametrize("bad", [0.0, 1.0, -1, float("nan")])
def test_skills_are_checked(bad):
    with pytest.raises(UsageError, match="auc"):
        Router(bad)
    if not 0 <= bad <= 1:
        with pytest.raises(UsageError, match="accepts_right"):
            Verifier(bad, 0.5)


@pytest.mark.parametrize(
    ("alpha", "beta", "shares", "accuracy", "escalated"),
    [
        (0.9, 0.7, MMLU, 0.800, 0.292),
        (0.8, 0.8, MMLU, 0.8125, 0.392),
        (0.9, 0.5, MMLU, 0.764, 0.228),
        (0.8, 0.8, GSM8K, 0.856, 0.417),
    ],
)
def test_cascades_are_the_published_ones(alpha, beta, shares, accuracy, escalated):
    mix = cascade(Verifier(alpha, beta), shares)
    assert mix.accuracy == pytest.approx(accuracy, abs=6e-4)
    assert mix.escalated == pytest.approx(escalated, abs=6e-4)


@pytest.mark.parametrize(("shares", "beta"), [(MMLU, 0.762), (GSM8K, 0.802), (QWEN35, 0.65)])
def test_the_beta_that_matches_the_large_model(shares, beta):
    found = beta_for_large_quality(0.8, shares)
    assert found == pytest.approx(beta, abs=6e-4)
    assert cascade(Verifier(0.8, found), shares).accuracy == pytest.approx(shares.large)


@given(pairs())
def test_perfect_and_useless_verifiers(shares):
    assert cascade(Verifier(1, 1), shares).accuracy == pytest.approx(shares.oracle)
    assert cascade(Verifier(1, 0), shares).accuracy == pytest.approx(shares.small)
    assert cascade(Verifier(0, 1), shares).accuracy == pytest.approx(shares.large)
    assert cascade(Verifier(0, 1), shares).escalated == pytest.approx(1)


@pytest.fixture(scope="module")
def requests():
    return np.random.default_rng(7).random((3, 400_000))


def test_drawn_outcomes_have_the_shares(requests):
    outcomes = draws.draw_outcomes(MMLU, requests[0])
    found = np.bincount(outcomes, minlength=4) / outcomes.size
    assert found == pytest.approx(np.array(MMLU.values), abs=3e-3)
    assert draws.small_right(outcomes).mean() == pytest.approx(MMLU.small, abs=3e-3)
    assert draws.large_right(outcomes).mean() == pytest.approx(MMLU.large, abs=3e-3)


def test_drawn_outcomes_depend_on_the_draw_alone():
    uniform = np.array([0.0, 0.6279, 0.6281, 0.81, 0.999])
    assert draws.draw_outcomes(MMLU, uniform).tolist() == [0, 0, 1, 2, 3]
    assert draws.draw_outcomes(MMLU, uniform[::-1]).tolist() == [3, 2, 1, 0, 0]


@pytest.mark.parametrize("router", [Router(0.7), Router(0.65, 0.6)])
def test_a_drawn_router_reaches_the_formula(requests, router):
    outcomes = draws.draw_outcomes(MMLU, requests[0])
    scores = draws.router_scores(router, MMLU, outcomes, requests[1])
    sent = scores > router_threshold(router, MMLU, 0.3)
    assert sent.mean() == pytest.approx(0.3, abs=4e-3)
    right = draws.answered_right(outcomes, sent)
    assert right.mean() == pytest.approx(route(router, MMLU, 0.3).accuracy, abs=3e-3)


def test_a_drawn_verifier_reaches_the_formula(requests):
    verifier = Verifier(0.8, 0.75)
    outcomes = draws.draw_outcomes(MMLU, requests[0])
    sent = draws.escalations(verifier, outcomes, requests[2])
    mix = cascade(verifier, MMLU)
    assert sent.mean() == pytest.approx(mix.escalated, abs=3e-3)
    assert draws.answered_right(outcomes, sent).mean() == pytest.approx(mix.accuracy, abs=3e-3)


def own(requests, router):
    outcomes = draws.draw_outcomes(MMLU, requests[0])
    scores = draws.router_scores(router, MMLU, outcomes, requests[1])
    return PairOutcomes(draws.small_right(outcomes), draws.large_right(outcomes), scores)


def test_the_skill_of_ones_own_router_is_found(requests):
    mine = own(requests, Router(0.65, 0.6))
    found = measured_router(mine)
    assert found.auc == pytest.approx(0.65, abs=4e-3)
    assert found.auc_only_small == pytest.approx(0.6, abs=8e-3)
    for sent in (0.1, 0.3, 0.8):
        expected = route(found, mine.shares, sent).accuracy
        assert route_measured(mine, sent).accuracy == pytest.approx(expected, abs=3e-3)


def test_equal_scores_share_their_chance():
    small, large = np.array([1, 0, 0, 1], bool), np.array([1, 1, 0, 0], bool)
    mine = PairOutcomes(small, large, np.zeros(4))
    assert route_measured(mine, 0.5).accuracy == pytest.approx(0.5)
    ranked = PairOutcomes(small, large, np.array([0.0, 1.0, 0.5, 0.2]))
    assert [route_measured(ranked, q).accuracy for q in (0, 0.25, 0.5, 1)] == [0.5, 0.75, 0.75, 0.5]


def test_a_users_file(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "query,small_ok,large_ok,score\na,1,1,0.1\nb,0,1,0.9\nc,no,yes,0.4\nd,1,0,0.3\n",
        encoding="utf-8",
    )
    mine = read_pair(path)
    assert len(mine) == 4
    assert mine.shares.values == (0.25, 0.5, 0.25, 0.0)
    assert route_measured(mine, 0.5).accuracy == 1.0
    path.write_text("query,small_ok,large_ok\na,1,1\nb,0,1\n", encoding="utf-8")
    assert read_pair(path).score is None
    with pytest.raises(MissingDataError, match="no column score"):
        measured_router(read_pair(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,small_ok\na,1\n", "column 'large_ok' is missing"),
        ("query,small_ok,large_ok\na,2,1\n", "line 2, small_ok: '2' is not right or wrong"),
        ("query,small_ok,large_ok\n", "no questions"),
        ("query,small_ok,large_ok,score\na,1,1,\n", "score is empty in 1 of 1"),
        ("query,small_ok,large_ok,score\na,1,1,x\n", "line 2, score: 'x' is not a number"),
    ],
)
def test_broken_user_files(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=message):
        read_pair(path)
