"""Replay protocols, straight lines in costs, partial pooling, recipes."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from advisor.calibration.serving_fits import Runs, fit_pooled, labels_of, left_out, residuals
from advisor.calibration.serving_levels import Levels, Term, fit_levels
from advisor.calibration.serving_linear import count_runs, predict_counted
from advisor.calibration.serving_predict import (
    ABSENT_SHARES,
    absent_share,
    at_share,
    predict_run,
    replay_run,
    resolve_run,
)
from advisor.calibration.serving_rows import Measured, ServingRow
from advisor.catalogue.engine_costs import engine_cost_file
from advisor.catalogue.recipes import recipe_file, recipe_of_run
from advisor.perf import interconnect
from advisor.perf.replay import ClosedLoop, Limits
from advisor.schema.efficiency import Collective
from advisor.schema.engine import NO_COST, EngineCost
from advisor.schema.recipe import Recipe


class OneSecondSteps:
    """Every step takes a second."""

    def decode_s(self, sequences, context_tokens):
        return 1.0

    def mixed_s(self, sequences, context_tokens, chunks, finishing):
        return 1.0


def replay(lengths, clients, cost=NO_COST, **limits):
    told = {"step_tokens": 1000, "sequences": 64, "kv_tokens": 1e9, **limits}
    return ClosedLoop(OneSecondSteps(), Limits(**told), cost, lengths, clients).run()


def test_prompts_wait_for_company_and_no_longer_than_told():
    # Two clients of unequal answers: the second prompt of the first meets a decoding neighbour.
    lengths = [(10, 5), (10, 40), (10, 5)]
    assert replay(lengths, 2).ttfts_s == (1.0, 1.0, 1.0)
    assert replay(lengths, 2, wait_steps=7).ttfts_s == (1.0, 1.0, 8.0)


def test_a_full_step_does_not_wait():
    lengths = [(450, 5), (450, 40), (950, 5)]
    assert replay(lengths, 2, wait_steps=7, wait_share=0.9).ttfts_s[2] == 1.0


def test_nobody_waits_for_company_alone():
    assert replay([(10, 5)] * 3, 1, wait_steps=50).ttfts_s == (1.0, 1.0, 1.0)


def test_the_scheduler_looks_every_so_many_steps():
    lengths = [(10, 5), (10, 40), (10, 5)]
    # The first answer ends after four decode steps; the next look is at the tenth.
    assert replay(lengths, 2, poll_steps=10).ttfts_s == (1.0, 1.0, 7.0)
    assert replay(lengths, 2, poll_steps=1).ttfts_s == (1.0, 1.0, 1.0)


def test_wait_factor_scales_the_wait_alone():
    cost = EngineCost(per_request_s=0.5, wait_factor=2.0)
    assert replay([(10, 5)], 1, cost).ttfts_s == (2.5,)
    assert replay([(10, 5)], 1, cost).tpots_s == replay([(10, 5)], 1).tpots_s


ROW = ServingRow(
    id="x",
    device="h100-sxm",
    gpus=2,
    tp=2,
    dp=1,
    ep=1,
    kind="dense",
    model="llama-3.1-8b",
    hf_id="meta-llama/Llama-3.1-8B",
    weight_format="bf16",
    engine="vllm",
    engine_version="0.12.0",
    isl=512,
    osl=64,
    concurrency=8,
    run="nv_gap",
)


def test_means_are_straight_lines_in_the_costs():
    cost = EngineCost(
        kernel_factor=1.1,
        per_step_s=1e-3,
        per_sequence_s=2e-5,
        per_request_s=0.04,
        per_client_s=1e-3,
        wait_factor=1.3,
    )
    run = resolve_run(ROW)
    counted = count_runs([(run, Measured(1.0, 1.0))])
    lined, replayed = predict_counted(counted, [cost])[0], predict_run(run, cost)
    assert lined.tpot_s == pytest.approx(replayed.tpot_s, rel=1e-9)
    assert lined.ttft_s == pytest.approx(replayed.ttft_s, rel=1e-9)


def test_no_era_no_recipe_means_the_mean_of_the_others():
    fitted = Levels((Term("a", 2.0, (("all", 1.0), ("era", 1.0))),), {("a", "all", "all"): 0.5})
    seen = fitted.constants({"all": "all", "era": "unseen"})
    assert seen == pytest.approx([2.0 * np.exp(0.5)])


def test_pooling_follows_many_groups_and_not_one():
    x, terms = np.ones((40, 1)), [Term("a", 1.0, (("all", 1.0), ("era", 0.1)))]
    labels = [{"all": "all", "era": str(i % 10)} for i in range(40)]
    seconds = np.full(40, 3.0)
    seconds[::10] = 6.0
    fit = fit_levels(x, seconds, labels, terms, np.full(40, 0.05), 0.1)
    assert fit.constants({"all": "all"})[0] == pytest.approx(3.0, rel=0.1)
    odd = fit.constants({"all": "all", "era": "0"})[0]
    assert 3.0 < odd < 4.5
    strong = fit_levels(x, seconds, labels, terms, np.full(40, 50.0), 0.1)
    assert strong.constants({"all": "all", "era": "0"})[0] == pytest.approx(6.0, rel=0.05)


def test_a_group_left_out_has_no_part_in_its_prediction():
    era = engine_cost_file().era[0]
    runs = _runs(era)
    off = left_out(runs)
    changed = _runs(era, factor=3.0)
    held = runs.groups == runs.groups[0]
    # Tripling one group's times moves its own left-out residuals by exactly that.
    moved = left_out(changed)[held] - off[held]
    assert moved[:, 0] == pytest.approx(np.log(3.0))
    assert residuals(runs, fit_pooled(runs)).shape == (len(held), 3)


def _runs(era, factor=1.0):
    rows = [replace(ROW, device=d, concurrency=c) for d in ("h100-sxm", "h200-sxm") for c in (4, 8)]
    samples = []
    for row in rows:
        run = resolve_run(row)
        p = predict_run(run, NO_COST)
        f = factor if row.device == "h100-sxm" else 1.0
        samples.append((run, Measured(f * p.ttft_s, f * p.tpot_s)))
    return Runs(count_runs(samples), (era,) * len(rows))


def test_labels_name_engine_and_kind():
    era = engine_cost_file().era[0]
    assert labels_of(era)["engine-kind"] == f"{era.engine}-{era.kind}"


@pytest.mark.parametrize(
    ("run", "engine", "model", "chip", "fmt", "lengths", "tp", "clients", "expected"),
    [
        ("infmax_0406", "trtllm", "llama-3.1-70b", "hopper", "fp8", (1024, 1024), 4, 8, (20, 0)),
        ("infmax_0406", "trtllm", "llama-3.1-70b", "hopper", "fp8", (1024, 1024), 8, 8, (0, 0)),
        ("infmax_db", "sglang", "deepseek-r1", "blackwell", "fp8", (1024, 8192), 8, 8, (0, 10)),
        ("infmax_db", "sglang", "deepseek-r1", "blackwell", "fp8", (1024, 8192), 8, 64, (0, 30)),
        ("nv_gap2", "sglang", "deepseek-r1", "hopper", "fp8", (1024, 8192), 8, 64, (0, 0)),
    ],
)
def test_recipes(run, engine, model, chip, fmt, lengths, tp, clients, expected):
    row = recipe_of_run(run, engine, model, chip, fmt, lengths, tp, clients)
    assert (row.wait_steps, row.poll_steps) == expected


def test_sweeps_send_clusters_and_benchmarks_do_not():
    sweep = recipe_of_run("nv_gap", "vllm", "x", "hopper", "bf16", (1, 1), 1, 1)
    other = recipe_of_run("nv_gap2", "vllm", "x", "hopper", "bf16", (1, 1), 1, 1)
    assert sweep.prompts_ahead
    assert not other.prompts_ahead
    assert recipe_of_run("my-own", "vllm", "x", "hopper", "bf16", (1, 1), 1, 1) is None
    assert all(row.because for row in recipe_file().recipe)


def test_budget_of_a_recipe():
    plain = Recipe(runs=("a",), engine="trtllm", source="s", because="b", step_tokens=8192)
    assert plain.budget_tokens(10_000, 64) == 8192
    roomy = msgspec.structs.replace(plain, room_tokens=64)
    assert roomy.budget_tokens(10_000, 64) == 10_128
    assert roomy.budget_tokens(1_000, 64) == 8192


def test_switches_that_add_up_send_less():
    ring = Collective(0.0, 0.0, 0.5)
    switch = msgspec.structs.replace(ring, volume_exponent=0.5)
    two = [float(interconnect.all_reduce_s(1e9, 2, 4.5e11, c)) for c in (ring, switch)]
    eight = [float(interconnect.all_reduce_s(1e9, 8, 4.5e11, c)) for c in (ring, switch)]
    assert two[0] == pytest.approx(two[1])
    assert eight[0] / two[0] == pytest.approx(1.75)
    assert eight[1] / two[1] == pytest.approx(1.75**0.5)


def test_clients_held_up_outside_the_engine_leave_the_batch():
    run = resolve_run(replace(ROW, osl=1024, concurrency=64))
    full, thin = (replay_run(run, NO_COST, share) for share in (0.0, 0.5))
    half = replay_run(resolve_run(replace(ROW, osl=1024, concurrency=32)), NO_COST, 0.0)
    # Half of the time away: more than half as many clients, since they start in step.
    assert half.tpot_s < thin.tpot_s < 0.95 * full.tpot_s


def test_the_absent_share_is_the_delay_over_the_cycle():
    columns = np.ones((1, len(ABSENT_SHARES)))
    share = absent_share([1.0], 0.5 * columns, 0.01 * columns, [250.0])
    # TTFT holds the delay: 1 s of a cycle of 0.5 + 250 x 0.01 s.
    assert share == pytest.approx([1.0 / 3.0])
    assert absent_share([0.0], columns, columns, [10.0]) == pytest.approx([0.0])
    knots = np.array([[float(i) for i in range(len(ABSENT_SHARES))]])
    assert at_share(knots, np.array([ABSENT_SHARES[1]])) == pytest.approx([1.0])
