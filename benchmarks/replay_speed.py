"""Speed of the simulator: chat traffic on equal replicas, one core.

Prints one JSON line: requests, seconds, requests_per_s, peak_rss_bytes, and beside them the
seconds of start-up (imports and tables, compiled code from the cache) and how many replicas.
``--full`` adds prefix cache with sessions, a cascade to a larger model, and failing replicas.
The first run after an installation compiles the loop; that time is told on stderr and not
counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advisor.schema.fleet import Fleet
    from advisor.schema.traffic import Requests

START = time.perf_counter()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=1_000_000)
    options.add_argument("--replicas", type=int, default=4)
    options.add_argument("--rps-per-replica", type=float, default=12.0)
    options.add_argument("--full", action="store_true")
    asked = options.parse_args()

    from advisor.schema.workload import TrafficClass, Workload
    from advisor.simulator.run import RunOptions, replay
    from advisor.traffic.generate import generate

    fleet = full_fleet(asked.replicas) if asked.full else plain_fleet(asked.replicas)
    kind = {"turns": 1.6, "gap_s": 20.0} if asked.full else {"turns": 1.0}
    one = TrafficClass(name="chat", preset="chat", **kind)
    rate = asked.rps_per_replica * asked.replicas

    def traffic(count: int) -> Requests:
        return generate(Workload(requests_per_s=rate, requests=count, classes=(one,)), seed=1)

    compiling = time.perf_counter()
    replay(fleet, traffic(200), RunOptions())
    warm = time.perf_counter()
    print(f"warm-up run {warm - compiling:.1f} s", file=sys.stderr)
    requests = traffic(asked.requests)
    start = time.perf_counter()
    result = replay(fleet, requests, RunOptions())
    seconds = time.perf_counter() - start
    ended = sum(result.counts.values()) - result.counts["unfinished"]
    line = {
        "requests": len(requests),
        "seconds": round(seconds, 3),
        "requests_per_s": round(len(requests) / seconds, 1),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "replicas": asked.replicas,
        "start_up_s": round(warm - START, 3),
        "generate_s": round(start - warm, 3),
        "ended": ended,
        "events": result.events,
        "unstable": result.unstable,
    }
    print(json.dumps(line))


def plain_fleet(replicas: int) -> Fleet:
    from advisor.schema.fleet import Fleet, ReplicaTier, Route

    tier = ReplicaTier(
        name="server", model="llama-3.1-8b", hw="h100", replicas=replicas, usd_per_hour=2.0
    )
    return Fleet(tier=(tier,), route=Route(first="server"))


def full_fleet(replicas: int) -> Fleet:
    from advisor.schema.fleet import Failures, Fleet, JointScores, ReplicaTier, Route

    broken = Failures(mean_between_s=20_000.0, mean_repair_s=300.0)
    tiers = (
        ReplicaTier(
            name="small",
            model="qwen3-4b",
            hw="h100",
            replicas=replicas,
            balance="prefix-aware",
            failures=broken,
            usd_per_hour=2.0,
        ),
        ReplicaTier(
            name="large",
            model="qwen3-32b",
            hw="h100",
            tp=2,
            replicas=replicas,
            failures=broken,
            usd_per_hour=2.0,
        ),
    )
    route = Route(
        first="small",
        mode="cascade",
        second="large",
        verifier_accepts_right=0.9,
        verifier_catches_wrong=0.7,
        verifier_s=0.05,
    )
    return Fleet(tier=tiers, route=route, joint=JointScores(0.6, 0.2, 0.05))


if __name__ == "__main__":
    main()
