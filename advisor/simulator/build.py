"""Laying out the arrays of a replay from requests, tiers and routing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UsageError
from advisor.schema.traffic import Requests
from advisor.simulator import world as w
from advisor.simulator.numbers import Api, Devices, Group, Replicas, Routing
from advisor.simulator.steps import stack

BALANCES = {
    "round-robin": w.ROUND_ROBIN,
    "least-outstanding": w.LEAST,
    "shortest-finish": w.SHORTEST,
    "prefix-aware": w.PREFIX,
}
NO_STEPS = {
    "decode_s": np.zeros((1, 9)),
    "node_tokens": 1.0,
    "body_s": np.zeros(1),
    "head_s": np.zeros(1),
    "attention": np.zeros((0, 4)),
    "states": np.zeros((0, 5)),
}


def make_world(
    requests: Requests,
    groups: tuple[Group, ...],
    routing: Routing,
    seed: int = 0,
    clients: int = 0,
    think_s: float = 0.0,
) -> w.World:
    """Lay out a replay.

    Parameters
    ----------
    requests
        What comes.
    groups, routing
        Tiers in order, and which of them each request goes to.
    seed
        Of API times and retries.
    clients, think_s
        Closed loop: the first ``clients`` requests come at their times, every further one
        ``think_s`` after an answer. 0: open loop.

    Raises
    ------
    UsageError
        If sessions and a closed loop are mixed, or more than one tier is users' devices.
    """
    if clients and len(requests.parent) and (requests.parent >= 0).any():
        msg = "a closed loop of clients can't replay sessions: drop one of the two"
        raise UsageError(msg)
    blocks, shared = _shared_blocks(requests)
    servers, most = _servers(groups, requests.block_tokens)
    table = _requests(requests, routing, shared, seed)
    _device_times(table, groups)
    prefix = bool(servers["prefix"].any()) and len(blocks) > 0
    known = int(blocks.max()) + 1 if prefix else 0
    nodes = known + (int(servers["blocks"].max()) + 2 if prefix else 0)
    if not prefix:
        servers["prefix"] = 0
        table["block_high"] = table["block_low"]
    return w.World(
        requests=table.view(np.recarray),
        order=_order(requests),
        servers=servers.view(np.recarray),
        tiers=_tiers(groups, routing).view(np.recarray),
        slots=np.zeros((len(servers), most + 1), dtype=w.SLOT).view(np.recarray),
        phases=np.zeros((len(servers), _largest_block(servers)), dtype=np.int64),
        ended=np.zeros(most + 1, dtype=np.int64),
        heap=np.zeros(_heap_size(len(requests), len(servers)), dtype=w.EVENT).view(np.recarray),
        counters=_counters(len(requests), clients),
        clock=np.array([0.0, think_s, -1.0, routing.router_s]),
        gaps=np.zeros((len(groups), w.GAP_BINS), dtype=np.int64),
        devices=np.zeros(_device_count(groups), dtype=w.DEVICE_STATE).view(np.recarray),
        blocks=blocks,
        block_tokens=np.array([requests.block_tokens], dtype=np.int64),
        owner=np.full(known, w.NONE, dtype=np.int32),
        references=np.zeros((len(servers), known), dtype=np.int32),
        links=np.zeros((len(servers), nodes, 4), dtype=np.int32),
        steps=stack(_step_tables(groups)),
    )


def _counters(requests: int, clients: int) -> NDArray[np.int64]:
    counters = np.zeros(w.COUNTERS, dtype=np.int64)
    counters[w.LEFT], counters[w.CLIENTS] = requests, clients
    counters[w.NEXT_POOL] = min(clients, requests)
    return counters


def _step_tables(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    return [g.server.steps.as_dict() for g in groups if isinstance(g, Replicas)] or [NO_STEPS]


def _largest_block(servers: Any) -> int:
    return int(servers["block_tokens"].max()) if len(servers) else 1


def _heap_size(requests: int, servers: int) -> int:
    # Of each request one event is pending at most; outdated plans add to those of servers.
    return 4 * requests + 64 * servers + 1024


def _order(requests: Requests) -> NDArray[np.int64]:
    every = np.arange(len(requests), dtype=np.int64)
    return every[requests.parent < 0] if len(requests.parent) else every


def _shared_blocks(requests: Requests) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber the blocks that come more than once; count those each request starts with."""
    if not len(requests.block_offsets):
        return np.zeros(0, dtype=np.int64), np.zeros((len(requests), 2), dtype=np.int64)
    _, inverse, counts = np.unique(requests.block_ids, return_inverse=True, return_counts=True)
    number = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)
    blocks = number[inverse].astype(np.int64)
    low = requests.block_offsets[:-1]
    whole = np.minimum(
        requests.block_offsets[1:] - low, requests.input_tokens // requests.block_tokens
    )
    alone = np.concatenate([np.flatnonzero(blocks < 0), [len(blocks)]])
    first_alone = alone[np.searchsorted(alone, low)]
    high = np.minimum(low + whole, first_alone)
    return np.maximum(blocks, 0), np.stack([low, high], axis=1)


def request_draws(
    requests: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw what an API does with each request: normal for TTFT and TPOT, uniform for retries."""
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, 20261123]).spawn(3)]
    z_ttft, z_tpot = (s.standard_normal(requests) for s in streams[:2])
    return z_ttft, z_tpot, streams[2].random(requests)


def _requests(requests: Requests, routing: Routing, shared: Any, seed: int) -> Any:
    n = len(requests)
    table = np.zeros(n, dtype=w.REQUEST)
    table["arrival_s"], table["input"] = requests.arrival_s, requests.input_tokens
    table["output"], table["number_class"] = requests.output_tokens, requests.class_index
    table["think_s"] = requests.think_s if len(requests.think_s) else 0.0
    table["priority"] = requests.priority if len(requests.priority) else 0
    table["due_s"] = np.inf
    if len(routing.patience_s):
        table["due_s"] = routing.patience_s
    table["z_ttft"], table["z_tpot"], table["uniform"] = request_draws(n, seed)
    table["target"] = requests.input_tokens
    table["block_low"], table["block_high"] = shared[:, 0], shared[:, 1]
    table["first_tier"], table["second_tier"] = routing.first, routing.second
    table["escalates"] = routing.escalates
    for name in ("next", "child", "sibling", "server", "tier"):
        table[name] = w.NONE
    for name in ("scheduled_s", "first_s", "last_s", "end_s"):
        table[name] = np.nan
    sessions = requests.session if len(requests.session) else np.full(n, -1)
    table["device"] = np.where(sessions >= 0, sessions, np.arange(n))
    _children(table, requests)
    return table


def _children(table: Any, requests: Requests) -> None:
    """Link each request to those that follow it."""
    if not len(requests.parent):
        return
    for i in np.flatnonzero(requests.parent >= 0)[::-1].tolist():
        parent = int(requests.parent[i])
        table["sibling"][i] = table["child"][parent]
        table["child"][parent] = i


def _device_count(groups: tuple[Group, ...]) -> int:
    return sum(g.devices for g in groups if isinstance(g, Devices))


def _device_times(table: Any, groups: tuple[Group, ...]) -> None:
    tiers = [g for g in groups if isinstance(g, Devices)]
    if len(tiers) > 1:
        msg = f"a fleet may hold one tier of users' devices, got {len(tiers)}"
        raise UsageError(msg)
    for tier in tiers:
        prefill_s, decode_s = tier.times(table["input"], table["output"])
        table["busy_s"] = prefill_s + decode_s
        table["decode_share"] = decode_s / (prefill_s + decode_s)


def _servers(groups: tuple[Group, ...], trace_block: int) -> tuple[Any, int]:
    rows, most, kind = [], 1, 0
    for number, group in enumerate(groups):
        if not isinstance(group, Replicas):
            continue
        for replica in range(group.room):
            for _ in range(group.servers_per_replica):
                rows.append(_server(group, number, replica, kind, trace_block))
        most = max(most, group.server.max_sequences)
        kind += 1
    if not rows:
        return np.zeros(0, dtype=w.SERVER), most
    return np.concatenate(rows), most


def _server(group: Replicas, tier: int, replica: int, table: int, trace_block: int) -> Any:
    row, server = np.zeros(1, dtype=w.SERVER), group.server
    block = server.block_tokens if trace_block % server.block_tokens == 0 else trace_block
    for name in ("factor", "per_step_s", "per_sequence_s", "static_wait_s", "acceptance"):
        row[name] = getattr(server, name)
    for name in ("max_sequences", "step_tokens", "static_batch", "draft_tokens", "prefill_alone"):
        row[name] = getattr(server, name)
    row["tier"], row["replica"], row["table"] = tier, replica, table
    row["block_tokens"] = block if server.prefix_caching else server.block_tokens
    row["blocks"] = min(server.kv_tokens // row["block_tokens"][0], 2**40)
    row["next_end"] = w.READING
    row["reserve_output"] = server.reserve_output_tokens
    row["prefix"] = server.prefix_caching
    row["transfer_s_per_token"] = group.transfer_s_per_token
    if group.prefill_replicas:
        row["prefill_alone"] = False
        reads = replica < group.prefill_replicas
        row["role"] = w.PREFILL_ONLY if reads else w.DECODE_ONLY
    for name in ("head", "tail", "blocked", "list_head", "list_tail", "spare"):
        row[name] = w.NONE
    return row


def _tiers(groups: tuple[Group, ...], routing: Routing) -> Any:
    table = np.zeros(len(groups), dtype=w.TIER)
    first_server = first_device = 0
    for number, group in enumerate(groups):
        row = table[number : number + 1]
        spill = routing.spill.get(number, (w.NONE, 0))
        row["spill_tier"], row["spill_outstanding"] = spill
        row["refusal_tier"] = routing.refusal.get(number, w.NONE)
        row["verify_s"], row["hold_s"] = routing.verify_s, routing.hold_s
        if isinstance(group, Replicas):
            row["kind"], row["balance"] = w.REPLICAS, BALANCES[group.balance]
            row["first_server"] = first_server
            row["servers"] = group.room * group.servers_per_replica
            first_server += int(row["servers"][0])
            row["has_roles"] = group.prefill_replicas > 0
            for name in (
                "delay_s",
                "max_outstanding",
                "prefill_s_per_token",
                "decode_s_per_request",
            ):
                row[name] = getattr(group, name)
        elif isinstance(group, Api):
            _api(row, group)
        else:
            _devices(row, group, first_device)
            first_device += group.devices
    return table


def _api(row: Any, group: Api) -> None:
    row["kind"] = w.API
    row["ttft_mu"], row["ttft_sigma"] = np.log(group.ttft_s), group.ttft_sigma
    row["tpot_mu"], row["tpot_sigma"] = np.log(group.tpot_s), group.tpot_sigma
    for name in ("requests_per_s", "tokens_per_s", "retries", "backoff_s"):
        row[name] = getattr(group, name)
    row["request_room"] = 60.0 * group.requests_per_s
    row["token_room"] = 60.0 * group.tokens_per_s


def _devices(row: Any, group: Devices, first: int) -> None:
    row["kind"], row["first_device"], row["devices"] = w.DEVICE, first, group.devices
    row["max_input"], row["delay_s"] = group.max_input_tokens, group.delay_s
    row["burst_s"], row["recovery_s"] = group.burst_s, group.recovery_s
    row["slowdown"] = 1.0 / group.sustained_share
