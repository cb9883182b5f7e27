"""The chain of formulas behind an estimate, with this run's numbers and each fact's source."""

from __future__ import annotations

from advisor.estimator.overlays import as_measured, overlays_of
from advisor.estimator.placement import memory_plan
from advisor.estimator.result import EstimateResult, Phase, Point
from advisor.estimator.setup import Setup, resolve
from advisor.perf.intervals import Estimate
from advisor.report.estimate_text import time_text
from advisor.report.locale import say
from advisor.report.numbers import GIB, pad, significant
from advisor.schema.fact import Fact, Source, facts_of
from advisor.schema.model import Attention, Linear, Mla

_NAME = 26


def _sourced(path: str, fact: Fact, sources: tuple[Source, ...]) -> str:
    title = next(s.title for s in sources if s.id == fact.source)
    grade = "" if fact.grade == "published" else f" [{fact.grade}: {fact.note}]"
    return f"  {pad(path, _NAME)} {fact.value:<12.5g} {title}{grade}"


def _facts(setup: Setup, lang: str) -> list[str]:
    d, m, e = setup.device, setup.model, setup.engine
    lines = [say("explain_facts", lang), f" {d.name}"]
    lines += [_sourced(path, fact, d.source) for path, fact in facts_of(d).items()]
    lines.append(f" {m.name}")
    lines += [_sourced(path, fact, m.source) for path, fact in facts_of(m).items()]
    lines += [f"  {pad(s.id, _NAME)} {s.title}" for s in m.source]
    lines.append(f" {e.name} {e.version}")
    lines += [_sourced(path, fact, e.source) for path, fact in facts_of(e).items()]
    lines += [_sourced(f"memory.share.{k}", fact, e.source) for k, fact in e.memory.share.items()]
    c = setup.family.efficiency
    lines.append(f" hwprofiles/efficiency/{c.id}.toml ({c.fitted})")
    lines += [f"  {pad(s.id, _NAME)} {s.title}" for s in c.source]
    return lines


def _kv_terms(setup: Setup) -> str:
    terms = []
    for layer in setup.shape.layers:
        mixer = layer.mixer
        if isinstance(mixer, Mla):
            terms.append(f"{layer.count} x ({mixer.kv_lora_rank} + {mixer.qk_rope_dim})")
        elif isinstance(mixer, Attention) and not mixer.shares_kv:
            v_dim = 0 if mixer.values_are_keys else mixer.v_head_dim or mixer.head_dim
            window = f" (window {mixer.window_tokens})" if mixer.window_tokens else ""
            terms.append(f"{layer.count} x {mixer.kv_heads} x ({mixer.head_dim} + {v_dim}){window}")
        elif isinstance(mixer, Linear):
            terms.append(f"{layer.count} x 0")
    return " + ".join(terms)


def _memory(r: EstimateResult, setup: Setup, lang: str) -> list[str]:
    context = float(r.request.isl_tokens + r.request.osl_tokens)
    plan = memory_plan(setup, r.layout, context)
    rule = setup.engine.memory.kind
    share = setup.memory_share
    formula = {
        "share-of-free": f"(physical - weights - workspace) x {share:g}",
    }.get(rule, f"physical x {share:g} - weights - workspace")
    held = setup.bytes
    return [
        say("explain_memory", lang),
        f"  weights = {held.total / GIB:.3f} GiB in all = dense {held.dense / GIB:.3f}"
        f" + experts {held.experts / GIB:.3f} + head {held.head / GIB:.3f}"
        f" + embedding {held.embedding / GIB:.3f}; largest device "
        f"{plan.weights_bytes / GIB:.3f} GiB ({r.layout})",
        f"  kv_bytes_per_token = ({_kv_terms(setup)}) x {setup.kv_bits:g}/8"
        f" = {plan.kv_bytes_per_token:,.0f} B",
        f"  kv_bytes_per_sequence({context:,.0f} tokens) = {plan.kv_bytes_per_sequence:,.0f} B",
        f"  pool = {formula} = {plan.physical_bytes / GIB:.2f}, {plan.weights_bytes / GIB:.2f}, "
        f"{plan.workspace_bytes / GIB:.2f} -> {plan.pool_bytes / GIB:.2f} GiB ({rule})",
        f"  kv_tokens = pools of {r.layout.devices_per_replica} device(s) / kv_bytes_per_token "
        f"(copies counted) = {plan.kv_tokens:,.0f} a replica; sequences = {plan.sequences}",
    ]


def _step(title: str, phase: Phase, lang: str) -> list[str]:
    total = sum(phase.parts_s.values())
    lines = [
        f"  {say(title, lang)} = Σ = {time_text(phase.time_s.value)} "
        f"({say(f'name_{phase.bound}', lang)}; MFU {phase.mfu:.1%}, MBU {phase.mbu:.1%})"
    ]
    for name, value in sorted(phase.parts_s.items(), key=lambda item: -item[1]):
        lines.append(f"    {pad(name, _NAME)} {time_text(value):>12}  {value / total:6.1%}")
    return lines


def _span(e: Estimate | None) -> str:
    if e is None:
        return "–"
    return (
        f"{significant(e.value, 4)}  [80 %: {significant(e.low80)} – {significant(e.high80)}; "
        f"95 %: {significant(e.low95)} – {significant(e.high95)}]  {e.evidence}"
    )


def _point(p: Point, title: str, lang: str) -> list[str]:
    lines = [say(title, lang) + f" ({significant(p.concurrency, 4)})"]
    for name in (
        "ttft_s",
        "tpot_s",
        "e2e_s",
        "output_tok_per_s",
        "requests_per_s",
        "power_w",
        "joules_per_request",
    ):
        lines.append(f"  {pad(name, _NAME)} {_span(getattr(p, name))}")
    for way in ("rented", "owned"):
        cost = getattr(p, way)
        if cost:
            for name in ("usd_per_hour", "usd_per_mtok_input", "usd_per_mtok_output"):
                lines.append(f"  {pad(f'{way}.{name}', _NAME)} {_span(getattr(cost, name))}")
    return lines


def _product_lines(setup: Setup) -> list[str]:
    c = setup.chip
    g = c.gemm(setup.weights.gemm)
    peak = c.peak_of(g, setup.weights.compute)
    bits, rate = setup.weights.bits_per_weight, c.read_bytes_per_s
    passed = f" + rows k {g.input_bytes:g} B / {rate:.4g} B/s" if g.input_bytes else ""
    lines = [
        "  product rows x k @ k x n:",
        f"    memory  = (n k {bits:g}/8 + rows (n + k) 2) / ({g.memory_share:g} x {rate:.4g} B/s)",
        f"    compute = 2 max(rows, {g.min_rows}) n k / ({g.compute_share:g} x {peak:.4g} /s)",
        f"    time    = (memory^{g.sharpness} + compute^{g.sharpness})^(1/{g.sharpness})"
        f" + {g.launch_s:.3g} s{passed}",
    ]
    unpack = c.unpack_s_per_weight(setup.weights.gemm)
    if unpack:
        lines.append(f"    unpacking = n k x {unpack:.3g} s on {c.cores} cores, not overlapped")
    return lines


def _attention_lines(setup: Setup) -> list[str]:
    e = setup.family.efficiency
    a, f = e.decode_attention, e.prefill_attention
    latent = any(isinstance(layer.mixer, Mla) for layer in setup.shape.layers)
    lines = []
    if latent and e.latent_attention:
        m = e.latent_attention
        lines.append(
            f"  latent decode attention: memory share {m.memory_share:g}, compute share "
            f"{m.compute_share:g} of bf16, launch {m.launch_s:.3g} s"
        )
        f = e.latent_prefill or f
    else:
        p = a.sharpness
        lines.append(
            f"  decode attention = ((KV bytes / ({a.memory_share:g} x B/s))^{p} + (sequences x "
            f"kv_heads x {a.per_sequence_head_s:.3g} s)^{p})^(1/{p}) + {a.launch_s:.3g} s"
        )
    extra = f" + {f.keys_per_query:g} queries" if f.keys_per_query else ""
    lines.append(
        f"  prefill attention = 2 (pairs{extra}) heads (qk + v) / ({f.compute_share:g} x bf16 "
        f"peak) + {f.launch_s:.3g} s"
    )
    return lines


def _load_lines(setup: Setup) -> list[str]:
    cost, experts = setup.cost, []
    if setup.shape.has_experts:
        x = setup.chip.experts(setup.weights.gemm)
        experts = [
            f"  experts: touched E (1 - (1 + rows k/(E r))^-r), r = "
            f"{setup.chip.routing_evenness:g}; memory share {x.memory_share:g}, compute share "
            f"{x.compute_share:g}, launch {x.launch_s:.3g} s",
        ]
    return [
        *experts,
        f"  step = {cost.kernel_factor:g} x sum of kernels + {cost.per_step_s:.3g} s + "
        f"sequences x {cost.per_sequence_s:.3g} s;  first token + {cost.per_request_s:.3g} s",
        "  TPOT = decode step + (in flight - 1)/OSL x what one prompt adds",
        "  TTFT = step that carries the prompt + others' prompts + wait for a place",
        "  requests/s = in flight / (TTFT + (OSL - 1) TPOT)",
        "  J/request = power / requests per s;  $/Mtok = $/h x share of time / tokens per h x 1e6",
        "  range = [value / e^q, value x e^q], q from residuals on left-out groups",
    ]


def _formulas(setup: Setup, lang: str) -> list[str]:
    head = say("explain_formulas", lang)
    return [head, *_product_lines(setup), *_attention_lines(setup), *_load_lines(setup)]


def explain_text(r: EstimateResult, lang: str = "en") -> str:
    """Render the working of an estimate: facts, memory, steps, load, money."""
    setup = resolve(as_measured(r.request, overlays_of(r.request))[0])
    lines = [
        *_memory(r, setup, lang),
        *_formulas(setup, lang),
        say("explain_steps", lang),
        *_step("row_decode", r.decode, lang),
        *_step("row_prefill", r.prefill, lang),
        *_point(r.asked, "explain_asked", lang),
        *_point(r.best, "explain_best", lang),
        *_facts(setup, lang),
    ]
    return "\n".join(lines)
