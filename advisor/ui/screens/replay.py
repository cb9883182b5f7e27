"""Whether the plan holds at the peak: a replay with progress, its waits, queue and streams."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from advisor.charts.chart import latency_name
from advisor.charts.replay import latency_cdf, queue_timeline, sankey
from advisor.errors import AdvisorError
from advisor.optimizer.fleets import Part
from advisor.schema.fleet import ApiTier
from advisor.schema.text import Text
from advisor.ui import state
from advisor.ui.errors import show_error
from advisor.ui.jobs import Job
from advisor.ui.play import (
    ENDINGS,
    MAX_MB,
    Played,
    broken,
    classes_of,
    flows,
    latencies,
    limits_of,
    play,
    timeline,
)
from advisor.ui.show import Cell, chart, table
from advisor.ui.view import View, current
from advisor.ui.work import planned_fleets

_JOB, _OF = "_replay_job", "_replay_of"
_POLL_S = 0.4


def _watcher() -> Callable[[], bool]:
    """Return what tells whether this viewer's browser is still connected."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return lambda: True
    return partial(runtime.get_instance().is_active_session, context.session_id)


def _start(view: View, part: Part, seed: int) -> None:
    """Start the replay; callback."""
    before: Job[Played] | None = st.session_state.get(_JOB)
    if before is not None:
        before.stop()
    upload = st.session_state.get("trace_file")
    given = (upload.name, upload.getvalue()) if upload is not None else None
    run = partial(play, scenario=view.asked.scenario, part=part, seed=seed, upload=given)
    job: Job[Played] = Job(run, _watcher())
    st.session_state[_JOB] = job
    st.session_state[_OF] = (view.asked.scenario, view.asked.replayed)
    job.start()
    job.wait(_POLL_S)


@st.fragment(run_every=_POLL_S)
def _watch(view: View) -> None:
    """Draw the progress; once the run has ended, draw the page anew."""
    job: Job[Played] = st.session_state[_JOB]
    if not job.running:
        st.rerun()
    from advisor.simulator.jit import is_compiled

    told = "ui_replaying" if job.share_done or is_compiled() else "simulate_compiling"
    st.progress(job.share_done, view.say(told))
    st.button(view.say("ui_stop"), on_click=job.stop, key="stop")


def part_name(part: Part, view: View) -> str:
    """Return what a fleet is made of."""
    tiers = [t.model if isinstance(t, ApiTier) else f"{t.model}@{t.hw}" for t in part.fleet.tier]
    return " + ".join(view.style.named(t) for t in tiers)


def _controls(view: View, parts: list[Part]) -> None:
    left, right = st.columns(2)
    left.file_uploader(
        view.say("ui_trace"),
        type=[ending[1:] for ending in ENDINGS],
        key="trace_file",
        help=view.say("ui_trace_help"),
        max_upload_size=MAX_MB,
    )
    seed = right.number_input(view.say("ui_seed"), 0, 2**31 - 1, 1, key="replay_seed")
    part = parts[0]
    if len(parts) > 1:
        names = [part_name(p, view) for p in parts]
        chosen = right.selectbox(
            view.say("ui_part"), range(len(parts)), format_func=names.__getitem__
        )
        part = parts[chosen]
    st.button(view.say("ui_replay"), on_click=_start, args=(view, part, seed), key="run")


def _tiers(played: Played, view: View) -> None:
    say = view.style.say
    rows: list[tuple[Cell, ...]] = [
        (
            t.what or t.name,
            t.requests,
            t.escalated,
            f"{t.busy_share:.0%}",
            f"{t.peak_cache_share:.0%}" if t.kind == "replicas" else "–",
            t.usd if t.usd is not None else "–",
            t.idle_usd if t.idle_usd is not None else "–",
            say(f"name_{t.evidence}"),
        )
        for t in played.result.tiers
    ]
    keys = (
        "col_what",
        "axis_requests",
        "col_escalated",
        "col_busy",
        "col_kv_peak",
        "col_usd",
        "col_idle_usd",
        "col_label",
    )
    st.subheader(view.say("title_tiers"), anchor=False)
    table([say(k) for k in keys], rows, say("title_tiers"), view.lang)


def _limits(played: Played, view: View) -> None:
    """Say which limits the replay broke, and offer the plan that was mended by replays."""
    if not played.slos:
        return
    found = broken(played)
    if not found:
        st.success(view.say("ui_limits_kept"))
        return
    told = view.style.say("list_joint").join(
        f"{view.style.named(name)} {latency_name(key, view.style)}" for name, key in found
    )
    st.warning(view.say(Text.of("ui_limits_broken", which=told)))
    if not view.asked.replayed and not played.trace_format:
        st.button(view.say("ui_mend"), key="mend", on_click=_mend)


def _mend() -> None:
    """Ask for the plan that replays have mended; callback."""
    st.session_state.pop(_JOB, None)
    state.change(replayed="yes")


def _result(played: Played, view: View) -> None:
    r = played.result
    if r.interrupted:
        st.info(view.say("ui_interrupted"))
    if r.unstable:
        st.error(view.say("ui_unstable"))
    if played.trace_format:
        text = Text.of(
            "ui_trace_read",
            format=played.trace_format,
            requests=len(r.table.arrival_s),
            rejected=played.rejected,
        )
        st.markdown(view.say(text))
        for line, reason in played.reasons:
            st.caption(view.say(Text.of("ui_trace_line", line=line, reason=reason)))
    text = Text.of(
        "ui_replayed",
        requests=view.style.count(len(r.table.arrival_s)),
        finished=view.style.count(r.counts.get("finished", 0)),
        minutes=view.style.number(float(np.ptp(r.table.arrival_s)) / 60.0),
        rate=view.style.number(r.requests_per_s),
        seed=r.seed,
    )
    st.markdown(view.say(text))
    _limits(played, view)
    classes = classes_of(played)
    chosen = classes[0]
    if len(classes) > 1:
        chosen = st.selectbox(
            view.say("col_class_of_requests"), classes, format_func=view.style.named
        )
    waits = {name: values for name, values in latencies(played, chosen).items() if len(values)}
    if waits:
        slo = played.slos.get(chosen)
        limits = {n: v for n, v in limits_of(slo).items() if n in waits}
        percentile = slo.percentile if slo else 95.0
        chart(latency_cdf(waits, limits, percentile, view.style), view, "cdf", "title_cdf")
    chart(queue_timeline(timeline(r), view.style), view, "queue", "title_queue")
    chart(sankey(flows(played), view.style), view, "sankey", "title_sankey")
    _tiers(played, view)


def show(view: View) -> None:
    """Draw the page."""
    st.title(view.say("page_replay"), anchor=False)
    st.markdown(view.say("replay_head"))
    with st.spinner(view.say("ui_working")):
        parts = planned_fleets(view.asked.scenario, view.asked.replayed)
    if not parts:
        st.error(view.say("replay_nothing"))
        return
    _controls(view, parts)
    job: Job[Played] | None = st.session_state.get(_JOB)
    if job is None:
        st.info(view.say("replay_press"))
    elif job.running:
        _watch(view)
    elif isinstance(job.error, AdvisorError):
        show_error(job.error, view)
    elif job.error is not None:
        raise job.error
    elif job.result is not None:
        if st.session_state[_OF] != (view.asked.scenario, view.asked.replayed):
            st.info(view.say("ui_replay_before"))
        _result(job.result, view)


if __name__ == "__main__":
    show(current())
