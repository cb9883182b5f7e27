"""Choosing and checking the layout of a deployment."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.errors import InfeasibleError, UsageError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup
from advisor.perf.layout import Layout, check_layout
from advisor.perf.memory import MemoryPlan, plan_memory
from advisor.schema.text import Text

GIB = 2.0**30
MAX_REPLICA_DEVICES = 64
"""Largest replica the automatic choice tries; larger ones are given by hand."""


def memory_plan(setup: Setup, layout: Layout, context_tokens: float) -> MemoryPlan:
    """Divide memory for a layout; see :func:`advisor.perf.memory.plan_memory`."""
    return plan_memory(
        setup.shape,
        setup.bytes,
        setup.kv_bits,
        layout,
        setup.engine,
        setup.physical_bytes,
        setup.memory_share,
        context_tokens,
    )


def check_context(setup: Setup, request: EstimateRequest) -> None:
    """Check that prompt and output fit the model's maximum context.

    Raises
    ------
    InfeasibleError
        Naming the limit.
    """
    limit = setup.model.max_context_tokens
    wanted = request.isl_tokens + request.osl_tokens
    if limit is not None and wanted > limit:
        msg = (
            f"{wanted:,} tokens (isl {request.isl_tokens:,} + osl {request.osl_tokens:,}) exceed "
            f"the {limit:,}-token context of {setup.model.name}"
        )
        room = limit - request.osl_tokens
        mend = f"--isl {room}" if room > 0 else f"--osl {max(limit - request.isl_tokens, 1)}"
        raise InfeasibleError(msg, limit="context", suggestions=[mend])


def _candidates(setup: Setup, request: EstimateRequest) -> Iterator[Layout]:
    """Yield layouts from the smallest up that respect what the request fixes."""
    linked = setup.chip.link_bytes_per_s is not None
    node = setup.device.link.devices_per_node
    size = 1
    while size <= MAX_REPLICA_DEVICES and (size == 1 or linked):
        tp = request.tp or min(size, max(node, 1))
        dp = request.dp or 1
        pp = request.pp or max(size // (tp * dp), 1)
        ep = request.ep or (tp * dp if dp > 1 else 1)
        layout = Layout(tp, pp, dp, ep)
        if layout.devices_per_replica == size or _fixed(request):
            yield layout
        if _fixed(request):
            return
        size *= 2


def _fixed(request: EstimateRequest) -> bool:
    return any(v is not None for v in (request.tp, request.pp, request.dp, request.ep))


def _valid(setup: Setup, layout: Layout) -> bool:
    try:
        check_layout(setup.shape, layout, setup.model.name)
    except UsageError:
        return False
    return True


def _with_count(layout: Layout, request: EstimateRequest) -> Layout | None:
    if request.count is None:
        return layout
    replicas, rest = divmod(request.count, layout.devices_per_replica)
    if rest or not replicas:
        return None
    return Layout(layout.tp, layout.pp, layout.dp, layout.ep, replicas)


def place(setup: Setup, request: EstimateRequest) -> tuple[Layout, MemoryPlan, tuple[Text, ...]]:
    """Return the layout, its memory plan and the defaults used.

    Raises
    ------
    UsageError
        If the options don't divide: tp and heads, replica and count.
    InfeasibleError
        If it doesn't fit; says what is needed and what would fit.
    """
    context = float(request.isl_tokens + request.osl_tokens)
    check_context(setup, request)
    if _fixed(request):
        layout = next(_candidates(setup, request))
        check_layout(setup.shape, layout, setup.model.name)
        placed = _with_count(layout, request)
        if placed is None:
            msg = (
                f"--count {request.count} isn't a multiple of the {layout.devices_per_replica} "
                f"devices of one replica (tp x pp x dp)"
            )
            raise UsageError(msg)
        plan = memory_plan(setup, placed, context)
        if not plan.fits:
            raise _does_not_fit(setup, placed, plan, context)
        return placed, plan, ()
    return _smallest(setup, request, context)


def _smallest(
    setup: Setup, request: EstimateRequest, context: float
) -> tuple[Layout, MemoryPlan, tuple[Text, ...]]:
    tried: tuple[Layout, MemoryPlan] | None = None
    for candidate in _candidates(setup, request):
        placed = _with_count(candidate, request)
        if placed is None or not _valid(setup, candidate):
            continue
        plan = memory_plan(setup, placed, context)
        if plan.fits:
            default = Text.of("default_layout", layout=str(placed), devices=placed.devices)
            return placed, plan, (default,)
        tried = (placed, plan)
    if tried is None:
        msg = f"no layout of {request.count} devices splits {setup.model.name}; give --tp and --pp"
        raise UsageError(msg)
    raise _does_not_fit(setup, *tried, context)


def _does_not_fit(
    setup: Setup, layout: Layout, plan: MemoryPlan, context: float
) -> InfeasibleError:
    need = plan.weights_bytes + plan.workspace_bytes
    one = plan.kv_bytes_per_sequence / GIB / layout.devices_per_replica
    where = f"{layout.devices_per_replica} x {setup.device.name}"
    msg = (
        f"{setup.model.name} in {setup.weights.id} doesn't fit on {where}: each device needs "
        f"{need / GIB:.1f} GiB for weights and workspace plus "
        f"{one:.2f} GiB for one request of "
        f"{context:,.0f} tokens, and {setup.engine.name} may use {plan.usable_bytes / GIB:.1f} GiB"
    )
    return InfeasibleError(msg, limit="memory", suggestions=_what_fits(setup, layout, context))


def _what_fits(setup: Setup, layout: Layout, context: float) -> list[str]:
    found = []
    if setup.chip.link_bytes_per_s is not None:
        node = setup.device.link.devices_per_node
        size = layout.devices_per_replica
        while size < MAX_REPLICA_DEVICES:
            size *= 2
            tp = min(size, node)
            bigger = Layout(tp=tp, pp=size // tp)
            if _valid(setup, bigger) and memory_plan(setup, bigger, context).fits:
                found.append(
                    f"--count {size} --tp {bigger.tp} --pp {bigger.pp} --dp 1 --ep 1"
                    if layout.dp > 1
                    else f"--count {size} --tp {bigger.tp} --pp {bigger.pp}"
                )
                break
    return found
