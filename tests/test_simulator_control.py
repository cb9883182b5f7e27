"""Autoscaler, failures, spot notices, maintenance, stopping: what decides over a running fleet."""

from __future__ import annotations

import numpy as np
import pytest
from machines import flat_times

from advisor.schema.fleet import Autoscale, Failures, Maintenance
from advisor.schema.traffic import make_requests
from advisor.simulator.numbers import Replicas, Server, to_first
from advisor.simulator.routes import Answers
from advisor.simulator.run import RunOptions, replay_groups

STEP_S = 0.01
ANSWER = 50


def server() -> Server:
    return Server(flat_times(8, 256, STEP_S), 8, 256, 1e9)


def steady(n: int, per_s: float):
    rng = np.random.default_rng(3)
    return make_requests(
        np.cumsum(rng.exponential(1 / per_s, n)), np.full(n, 20), np.full(n, ANSWER)
    )


def run(requests, group: Replicas, **options):
    return replay_groups(
        requests, (group,), to_first(len(requests)), Answers(), RunOptions(**options)
    )


def test_a_fleet_that_is_large_enough_never_waits():
    result = run(steady(500, 5.0), Replicas("t", server(), 4))
    assert result.counts["finished"] == 500
    assert result.binding == ("", "nothing")
    assert result.unstable is False


def test_an_autoscaler_follows_the_load_and_is_paid_only_while_on():
    busy = steady(4000, 40.0)
    rule = Autoscale(
        minimum=1,
        maximum=6,
        target_outstanding=6.0,
        interval_s=2.0,
        cold_start_s=5.0,
        cooldown_s=10.0,
    )
    scaled = run(
        busy, Replicas("t", server(), 1, most_replicas=6, autoscale=rule, usd_per_hour=3.6)
    )
    fixed = run(busy, Replicas("t", server(), 6, usd_per_hour=3.6))
    assert scaled.counts["finished"] == 4000
    assert 2 <= scaled.tiers[0].replicas_peak <= 6
    assert scaled.usd is not None
    assert fixed.usd is not None
    assert scaled.usd < fixed.usd
    assert scaled.latency.ttft_s.p95.value > fixed.latency.ttft_s.p95.value


def test_a_cold_start_delays_the_first_help():
    requests = make_requests(np.zeros(64), np.full(64, 20), np.full(64, ANSWER))
    rule = Autoscale(
        minimum=1,
        maximum=4,
        target_outstanding=1.0,
        interval_s=1.0,
        cold_start_s=1000.0,
        cooldown_s=5.0,
    )
    late = run(requests, Replicas("t", server(), 1, most_replicas=4, autoscale=rule))
    alone = run(requests, Replicas("t", server(), 1))
    assert late.duration_s == alone.duration_s


def test_a_schedule_sets_the_least_by_hour():
    hours = (0,) * 24
    busy_hour = (3, *hours[1:])
    rule = Autoscale(
        minimum=0,
        maximum=3,
        target_outstanding=100.0,
        interval_s=1.0,
        cold_start_s=1.0,
        schedule=busy_hour,
    )
    result = run(steady(300, 10.0), Replicas("t", server(), 1, most_replicas=3, autoscale=rule))
    assert result.tiers[0].replicas_peak == 3


def test_failures_are_survived_by_retries_and_counted():
    broken = Failures(mean_between_s=5.0, mean_repair_s=1.0)
    result = run(steady(1500, 20.0), Replicas("t", server(), 3, failures=broken), seed=4)
    assert result.failures > 5
    assert result.counts["finished"] + result.counts["failed"] + result.counts["refused"] == 1500
    assert result.counts["finished"] > 1400
    assert result.tiers[0].wasted_tokens > 0
    assert (result.table.attempts > 1).any()


def test_a_spot_replica_with_notice_loses_less_than_one_without():
    lost = []
    for notice_s in (0.0, 2.0):
        broken = Failures(mean_between_s=4.0, mean_repair_s=2.0, spot=True, notice_s=notice_s)
        result = run(steady(1500, 20.0), Replicas("t", server(), 4, failures=broken), seed=4)
        assert result.failures > 5
        lost.append(int((result.table.attempts > 1).sum()))
    assert lost[1] < lost[0] / 4


def test_spot_replicas_are_not_paid_while_gone():
    broken = Failures(mean_between_s=3.0, mean_repair_s=10.0, spot=True)
    owned = Failures(mean_between_s=3.0, mean_repair_s=10.0)
    paid = [
        run(steady(400, 10.0), Replicas("t", server(), 2, failures=rule, usd_per_hour=1.0), seed=1)
        .tiers[0]
        .paid_hours
        for rule in (broken, owned)
    ]
    assert paid[0] < 0.7 * paid[1]


def test_maintenance_waits_for_what_has_begun():
    rule = Maintenance(replica=0, start_s=2.0, duration_s=5.0)
    result = run(steady(200, 10.0), Replicas("t", server(), 2, maintenance=(rule,)))
    assert result.counts["finished"] == 200
    assert result.tiers[0].wasted_tokens == 0
    table = result.table
    started = table.scheduled_s[table.server == 0]
    # The server takes nothing from the start of the maintenance until well after it.
    assert not ((started > 2.1) & (started < 7.0)).any()
    assert (started > 7.0).any()


def test_stopping_keeps_what_is_done():
    told: list[int] = []

    def progress(done: int, _all: int) -> None:
        told.append(done)

    result = run(
        steady(3000, 20.0),
        Replicas("t", server(), 4),
        on_progress=progress,
        should_stop=lambda: bool(told) and told[-1] >= 500,
    )
    assert result.interrupted
    assert 500 <= result.counts["finished"] < 3000
    assert result.counts["unfinished"] == 3000 - result.counts["finished"]
    assert told == sorted(told)


def test_idle_money_is_what_busy_money_is_not():
    result = run(steady(200, 2.0), Replicas("t", server(), 2, usd_per_hour=1.0))
    tier = result.tiers[0]
    assert tier.usd == pytest.approx(tier.paid_hours * 1.0)
    busy_h = tier.busy_share * tier.paid_hours
    assert tier.idle_usd == pytest.approx(tier.usd - busy_h, rel=1e-6)
    assert 0.3 < tier.idle_usd / tier.usd < 1.0


def test_throughput_is_little_s_law():
    result = run(steady(3000, 20.0), Replicas("t", server(), 4))
    inside = result.timeline.running.sum(axis=1) + result.timeline.waiting.sum(axis=1)
    expected = result.requests_per_s * result.latency.e2e_s.mean.value
    assert inside[:-1].mean() == pytest.approx(expected, rel=0.1)
