"""Requests from a workload: arrivals, classes, lengths, sessions, each from its own seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from advisor.errors import UsageError
from advisor.schema.traffic import Floats, Ints, Requests, make_requests
from advisor.schema.traffic_facts import GapTable
from advisor.schema.workload import DEFAULT_DURATION_S, TrafficClass, Workload
from advisor.traffic.clients import client_arrivals
from advisor.traffic.facts import get_arrival_fit
from advisor.traffic.gaps import (
    GammaGaps,
    Gaps,
    TableGaps,
    arrivals_until,
    first_arrivals,
    gaps_of_cv,
)
from advisor.traffic.lengths import ClassLaw, class_law, draw_lengths, whole_tokens
from advisor.traffic.rate import Rate
from advisor.traffic.sessions import (
    Turns,
    block_size,
    blocks,
    geometric_turns,
    parents,
    prompts,
    within,
    wrap,
)
from advisor.traffic.trace import TraceOptions
from advisor.traffic.traces import read_trace

MOST_REQUESTS = 50_000_000
_STREAMS = ("gaps", "first", "slow", "fast", "classes", "turns", "pauses", "lengths", "clients")


@dataclass(frozen=True, eq=False)
class Starts:
    """When sessions start.

    Parameters
    ----------
    time_s
        ``(sessions,)`` not falling.
    horizon_s
        End of the run; infinite where it has none.
    input_scale, output_scale
        ``(sessions,)`` factors on lengths, of the client; empty: 1.
    """

    time_s: Floats
    horizon_s: float
    input_scale: Floats
    output_scale: Floats


def generate(
    workload: Workload, seed: int = 0, *, folder: Path = Path(), block_tokens: int | None = None
) -> Requests:
    """Generate the requests of a workload.

    Arrivals, classes, turns, pauses and lengths come from separate child seeds: changing the
    rate leaves the k-th request's class and lengths as they are.

    Parameters
    ----------
    workload
        The workload; a trace is read, its requests get classes by share.
    seed
        Same seed and workload, same bytes.
    folder
        Folder that ``workload.trace`` is relative to.
    block_tokens
        Tokens of a prefix block; None: 16, doubled until the list holds at most 16 million.

    Raises
    ------
    UsageError
        If the workload can't be generated: a closed loop or all-at-once without ``requests``,
        more than 50 million requests, prompts too short for their history.
    UnknownNameError
        If a preset, profile or client mix is unknown.
    InvalidFileError
        If the trace can't be read.
    """
    streams = dict(zip(_STREAMS, np.random.SeedSequence(seed).spawn(len(_STREAMS)), strict=True))
    if workload.trace is not None:
        return _from_trace(workload, seed, folder, streams["classes"])
    laws = tuple(class_law(one) for one in workload.classes)
    shares = class_shares(workload.classes)
    per_session = shares / np.array([law.turns for law in laws])
    sessions_per_request = float(per_session.sum())
    session_shares = per_session / sessions_per_request
    if workload.requests is not None:
        _check_size(workload.requests)
        kind, count = _kinds(laws, session_shares, workload.requests, streams)
        needed = int(np.searchsorted(np.cumsum(count), workload.requests)) + 1
        starts = _starts(workload, sessions_per_request, needed, streams)
        kind, count = kind[:needed], count[:needed]
        count[-1] -= int(count.sum()) - workload.requests
    else:
        starts = _starts(workload, sessions_per_request, None, streams)
        kind, count = _kinds(laws, session_shares, len(starts.time_s), streams)
        _check_size(float(count.sum()))
    turns = _turns(laws, kind, count, starts, streams)
    if workload.clients is not None:
        return _closed_loop(workload, turns, laws, streams["gaps"], block_tokens)
    if np.isfinite(starts.horizon_s) and any(law.turns > 1 for law in laws):
        turns = wrap(turns, starts.horizon_s)
    return _pack(workload.classes, turns, laws, parents(turns.first), block_tokens)


def class_shares(classes: tuple[TrafficClass, ...]) -> Floats:
    """Return the shares of the classes, scaled to add up to exactly 1."""
    shares = np.array([one.share for one in classes])
    return np.asarray(shares / shares.sum())


def _starts(
    workload: Workload,
    sessions_per_request: float,
    sessions: int | None,
    streams: dict[str, np.random.SeedSequence],
) -> Starts:
    empty = np.zeros(0)
    if workload.arrivals == "all-at-once" or workload.clients is not None:
        if sessions is None:
            load = "clients" if workload.clients is not None else 'arrivals = "all-at-once"'
            msg = f"workload: {load} needs requests = N to generate, not duration_s"
            raise UsageError(msg)
        return Starts(np.zeros(sessions), np.inf, empty, empty)
    mean = workload.mean_per_s
    assert mean is not None
    mean *= sessions_per_request
    gaps: Gaps = GammaGaps(1.0)
    wander = None
    if workload.arrivals in ("gamma", "weibull"):
        gaps = gaps_of_cv("gamma" if workload.arrivals == "gamma" else "weibull", workload.cv or 1)
    elif workload.arrivals in ("conversation", "code"):
        law = get_arrival_fit(workload.arrivals).law
        if isinstance(law, GapTable):
            gaps = TableGaps(law)
        else:
            gaps, wander = GammaGaps(law.gamma_shape), law
    rate = Rate(mean, workload, wander, (streams["fast"], streams["slow"]))
    if workload.client_mix is not None:
        times, horizon, scales = client_arrivals(workload, rate, sessions, streams["clients"])
        return Starts(times, horizon, *scales)
    first, rest = (np.random.default_rng(streams[name]) for name in ("first", "gaps"))
    if sessions is not None:
        mass = first_arrivals(gaps, sessions + 1, rest, first)
        if workload.arrivals == "ramp":
            mass *= sessions / mass[-1]
        clock = rate.holding(float(mass[-1]))
        times = clock.time_s(mass)
        return Starts(times[:-1], float(times[-1]), empty, empty)
    horizon = workload.duration_s or DEFAULT_DURATION_S
    clock = rate.until(horizon)
    end = float(np.interp(horizon, clock.times_s, clock.mass))
    _check_size(end)
    return Starts(clock.time_s(arrivals_until(gaps, end, rest, first)), horizon, empty, empty)


def _check_size(count: float) -> None:
    if count > MOST_REQUESTS:
        msg = (
            f"workload: {count:,.0f} requests; at most {MOST_REQUESTS:,} can be generated: "
            "lower duration_s or requests"
        )
        raise UsageError(msg)


def _kinds(
    laws: tuple[ClassLaw, ...],
    session_shares: Floats,
    sessions: int,
    streams: dict[str, np.random.SeedSequence],
) -> tuple[Ints, Ints]:
    """Draw class and turns of each session."""
    uniform = np.random.default_rng(streams["classes"]).random(sessions)
    edges = np.cumsum(session_shares)
    kind = np.minimum(np.searchsorted(edges, uniform, side="right"), len(laws) - 1)
    mean_turns = np.array([law.turns for law in laws])
    if (mean_turns == 1).all():
        return kind, np.ones(sessions, dtype=np.int64)
    uniform = np.random.default_rng(streams["turns"]).random(sessions)
    return kind, geometric_turns(uniform, mean_turns[kind])


def _turns(
    laws: tuple[ClassLaw, ...],
    kind: Ints,
    count: Ints,
    starts: Starts,
    streams: dict[str, np.random.SeedSequence],
) -> Turns:
    session = np.repeat(np.arange(len(count)), count)
    first = np.zeros(len(session), dtype=bool)
    first[np.cumsum(count) - count] = True
    class_index = kind[session]
    think, fresh, output = _draw(laws, class_index, streams)
    if len(starts.input_scale):
        fresh *= starts.input_scale[session]
        output *= starts.output_scale[session]
    think[first] = 0.0
    whole_fresh, whole_output = whole_tokens(fresh), whole_tokens(output)
    prefix = np.array([law.shared_prefix_tokens for law in laws])[class_index]
    return Turns(
        session=session,
        first=first,
        class_index=class_index,
        time_s=starts.time_s[session] + within(first, think),
        think_s=think,
        fresh_tokens=whole_fresh,
        output_tokens=whole_output,
        input_tokens=prompts(first, prefix, whole_fresh, whole_output),
    )


def _draw(
    laws: tuple[ClassLaw, ...], class_index: Ints, streams: dict[str, np.random.SeedSequence]
) -> tuple[Floats, Floats, Floats]:
    n = len(class_index)
    think, fresh, output = np.zeros(n), np.zeros(n), np.zeros(n)
    for number, (law, lengths, pauses) in enumerate(
        zip(
            laws,
            streams["lengths"].spawn(len(laws)),
            streams["pauses"].spawn(len(laws)),
            strict=True,
        )
    ):
        mine = np.flatnonzero(class_index == number)
        of_input, of_output = lengths.spawn(2)
        fresh[mine], output[mine] = draw_lengths(law, len(mine), (of_input, of_output))
        if law.turns > 1:
            normal = np.random.default_rng(pauses).standard_normal(len(mine))
            think[mine] = law.gap_s * np.exp(law.gap_log_sd * normal)
    return think, fresh, output


def _pack(
    classes: tuple[TrafficClass, ...],
    turns: Turns,
    laws: tuple[ClassLaw, ...],
    parent: Ints,
    block_tokens: int | None,
) -> Requests:
    n = len(turns.time_s)
    order = np.argsort(turns.time_s, kind="stable")
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    more: dict[str, object] = {}
    chained = bool((parent >= 0).any())
    if chained:
        more["parent"] = np.where(parent >= 0, place[parent], -1)[order]
        more["think_s"] = np.where(parent >= 0, turns.think_s, 0.0)[order]
    in_session = np.bincount(turns.session, minlength=1)[turns.session] > 1
    prefix = np.array([law.shared_prefix_tokens for law in laws], dtype=np.int64)
    if in_session.any():
        more["session"] = np.where(in_session, turns.session, -1)[order]
    if n and (in_session.any() or prefix.any()):
        prefixed = np.where(in_session, turns.input_tokens, prefix[turns.class_index])
        size = block_tokens or block_size(prefixed)
        offsets, ids = blocks(turns, prefix, prefixed, size, order)
        more |= {"block_offsets": offsets, "block_ids": ids, "block_tokens": size}
    more |= class_fields(classes, turns.class_index[order])
    return make_requests(
        turns.time_s[order], turns.input_tokens[order], turns.output_tokens[order], **more
    )


def class_fields(classes: tuple[TrafficClass, ...], class_index: Ints) -> dict[str, object]:
    """Return what the class decides: names, index, priority and deadline where any is stated."""
    found: dict[str, object] = {
        "class_index": class_index,
        "class_names": tuple(one.name for one in classes),
    }
    if any(one.priority for one in classes):
        found["priority"] = np.array([one.priority for one in classes])[class_index]
    if any(one.deadline_s is not None for one in classes):
        deadline = [np.inf if one.deadline_s is None else one.deadline_s for one in classes]
        found["deadline_s"] = np.array(deadline)[class_index]
    return found


def _closed_loop(
    workload: Workload,
    turns: Turns,
    laws: tuple[ClassLaw, ...],
    seed: np.random.SeedSequence,
    block_tokens: int | None,
) -> Requests:
    """Deal the sessions out to the clients; a client's requests follow one another."""
    assert workload.clients is not None
    sessions = int(turns.session[-1]) + 1
    pause = np.random.default_rng(seed).standard_exponential(sessions) * workload.think_s
    pause[: workload.clients] = 0.0
    client = turns.session % workload.clients
    order = np.argsort(client, kind="stable")
    opens = np.zeros(len(order), dtype=bool)
    opens[0] = True
    opens[1:] = client[order][1:] != client[order][:-1]
    think = np.where(turns.first, pause[turns.session], turns.think_s)
    parent = np.empty(len(order), dtype=np.int64)
    parent[order] = np.where(opens, -1, np.concatenate([[-1], order[:-1]]))
    time_s = np.empty(len(order))
    time_s[order] = within(opens, think[order])
    chained = Turns(
        session=turns.session,
        first=turns.first,
        class_index=turns.class_index,
        time_s=time_s,
        think_s=think,
        fresh_tokens=turns.fresh_tokens,
        output_tokens=turns.output_tokens,
        input_tokens=turns.input_tokens,
    )
    return _pack(workload.classes, chained, laws, parent, block_tokens)


def _from_trace(
    workload: Workload, seed: int, folder: Path, classes_seed: np.random.SeedSequence
) -> Requests:
    assert workload.trace is not None
    options = TraceOptions(
        limit=workload.requests,
        window_s=None if workload.duration_s is None else (0.0, workload.duration_s),
        rate_scale=workload.rate_scale,
        seed=seed,
    )
    read = read_trace(folder / workload.trace, options=options).requests
    if not workload.classes:
        return read
    edges = np.cumsum(class_shares(workload.classes))
    uniform = np.random.default_rng(classes_seed).random(len(read))
    kind = np.minimum(np.searchsorted(edges, uniform, side="right"), len(edges) - 1)
    if len(read.session):
        # A session stays in one class.
        leader = np.where(read.session >= 0, read.session, np.arange(len(read)))
        kind = np.where(read.session >= 0, kind[leader % len(read)], kind)
    fields = {
        name: getattr(read, name)
        for name in ("parent", "think_s", "session", "block_offsets", "block_ids", "block_tokens")
    }
    return make_requests(
        read.arrival_s,
        read.input_tokens,
        read.output_tokens,
        **fields,
        **class_fields(workload.classes, kind),
    )
