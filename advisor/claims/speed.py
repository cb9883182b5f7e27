"""Claims about latency, memory and energy: 2, 3, 5, 6, 11, 12, 16."""

from __future__ import annotations

from itertools import pairwise

from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.catalogue.training import phone_file, phone_source
from advisor.claims.numbers import (
    Where,
    asked,
    difference_check,
    figure_amount,
    need,
    ratio_check,
    run_of,
    score,
)
from advisor.claims.result import Check, Finding, Number, held
from advisor.cost.amount import Amount, of_fact, product, ratio, total
from advisor.estimator.bills import amount_of
from advisor.estimator.owning import ownership_terms
from advisor.estimator.request import EstimateRequest
from advisor.perf.intervals import Estimate
from advisor.schema.fact import worst_evidence
from advisor.schema.text import Text

SERVER, PHONE, DESKTOP = "h100-sxm", "sd-8-gen-3", "core-i9-13900k"
HALF, QUALITY_LOSS, SMALL_GAP = 0.5, 2.0, 5.0
EXPERT_PAIRS = (
    ("granite-3.0-1b-a400m", "llama-3.2-1b"),
    ("granite-3.0-3b-a800m", "llama-3.2-3b"),
)
BATCHES = (1, 256)
OPENELM, RIVALS = ("openelm-1.1b", "openelm-3b"), ("phi-3-mini-4k", "gemma-2b")
LOCAL, REMOTE, REMOTE_DEVICES, REMOTE_LOAD = "llama-3.2-1b", "llama-3.1-70b", 4, 16
FAMILY = ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b")
CPU_MODELS = ("qwen3-0.6b", "qwen3-4b", "qwen3-8b")
ANSWER_TOKENS = 200


def _name(model: str) -> str:
    return get_model(model).name


def _tpot(request: EstimateRequest) -> Estimate:
    return need(asked(request).tpot_s, f"TPOT of {request.model}")


def _ttft(request: EstimateRequest) -> Estimate:
    return need(asked(request).ttft_s, f"TTFT of {request.model}")


def _weights(request: EstimateRequest) -> Estimate:
    return run_of(request).memory.weights_bytes


def _server(model: str, concurrency: int) -> EstimateRequest:
    return EstimateRequest(
        model=model, hw=SERVER, count=1, precision="bf16", concurrency=concurrency,
        isl_tokens=500, osl_tokens=ANSWER_TOKENS,
    )  # fmt: skip


def experts() -> Finding:
    """Answer claim 2: expert models against dense ones of the same total size."""
    checks = []
    for sparse, dense in EXPERT_PAIRS:
        small, large = _name(sparse), _name(dense)
        for batch in BATCHES:
            one, two = _tpot(_server(sparse, batch)), _tpot(_server(dense, batch))
            text = Text.of("check_tpot_at", batch=batch, small=small, large=large)
            checks.append(ratio_check(text, one, two, "<", 1.0))
        one, two = _weights(_server(sparse, 1)), _weights(_server(dense, 1))
        text = Text.of("check_bytes", small=small, large=large)
        checks.append(ratio_check(text, one, two, "<", 1.0))
    values = [check.number.value for check in checks]
    headline = Text.of("claim_experts", alone=values[3], many=values[4], bytes=values[5])
    return Finding(headline, tuple(checks))


def _phone(model: str, isl: int = 500) -> EstimateRequest:
    return EstimateRequest(
        model=model, hw=PHONE, precision="q4_k_m", isl_tokens=isl, osl_tokens=ANSWER_TOKENS
    )


def phones() -> Finding:
    """Answer claim 3: bytes, time and energy a token of OpenELM and its rivals on a phone."""
    checks = []
    for ours in OPENELM:
        for rival in RIVALS:
            small, large = _name(ours), _name(rival)
            mine, theirs = _phone(ours), _phone(rival)
            text = Text.of("check_bytes", small=small, large=large)
            checks.append(ratio_check(text, _weights(mine), _weights(theirs), "<", 1.0))
            # The phone draws the same power whichever model it reads, so energy goes with time.
            text = Text.of("check_tpot_joules", small=small, large=large)
            checks.append(ratio_check(text, _tpot(mine), _tpot(theirs), "<", 1.0))
    own = _tpot(_phone(OPENELM[0]))
    power = of_fact(phone_file().active_w)
    headline = Text.of(
        "claim_phones",
        tpot_ms=own.value * 1e3,
        joules=power.value * own.value,
        ratio=checks[-1].number.value,
    )
    return Finding(headline, tuple(checks))


def _whole(first: Amount, each: Estimate) -> Amount:
    return total((first, amount_of(each).times(ANSWER_TOKENS - 1)))


def edge() -> Finding:
    """Answer claim 5: a phone alone against a server behind a mobile network."""
    rtt, trips = of_fact(phone_file().mobile_rtt_s), figure_amount("round-trips")[0]
    network = product(rtt, trips)
    watts = of_fact(phone_file().active_w)
    host = ownership_terms()
    checks = []
    firsts = {}
    whole = {}
    for isl, key in ((32, "short"), (500, "long")):
        near = _phone(LOCAL, isl)
        far = EstimateRequest(
            model=REMOTE, hw=SERVER, count=REMOTE_DEVICES, tp=REMOTE_DEVICES,
            concurrency=REMOTE_LOAD, isl_tokens=isl, osl_tokens=ANSWER_TOKENS,
        )  # fmt: skip
        local, remote = _ttft(near), total((network, amount_of(_ttft(far))))
        firsts[key] = (amount_of(local), remote)
        whole[key] = (_whole(amount_of(local), _tpot(near)), _whole(remote, _tpot(far)))
        checks += [
            _against(Text.of("check_edge_first", isl=isl), *firsts[key]),
            _against(Text.of("check_edge_whole", isl=isl), *whole[key]),
        ]
    joules = need(asked(far).joules_per_request, "energy")
    served = product(amount_of(joules), _one_plus(host.host_power_share), host.pue)
    phone_j = product(whole["long"][0], watts)
    checks.append(_against(Text.of("check_edge_joules"), phone_j, served))
    same = EstimateRequest(
        model=LOCAL, hw=SERVER, count=1, concurrency=64, isl_tokens=500, osl_tokens=ANSWER_TOKENS
    )
    batched = need(asked(same).joules_per_request, "energy")
    cloud = product(amount_of(batched), _one_plus(host.host_power_share), host.pue)
    checks.append(_against(Text.of("check_edge_joules_same"), phone_j, cloud))
    headline = Text.of(
        "claim_edge",
        local_s=firsts["long"][0].value,
        remote_s=firsts["long"][1].value,
        joules=phone_j.value,
        served=served.value,
    )
    return Finding(headline, tuple(checks))


def _one_plus(share: Amount) -> Amount:
    return Amount(1.0 + share.value, 1.0 + share.low, 1.0 + share.high)


def _against(text: Text, ours: Amount, theirs: Amount) -> Check:
    number = Number.of(ratio(ours, theirs))
    sources = (phone_source(phone_file().active_w), figure_amount("round-trips")[1])
    return Check(text, number, "<", 1.0, "estimated", sources, (ours.value, theirs.value))


def sizes() -> Finding:
    """Answer claim 6: each size of a family against the next larger one."""
    checks = []
    for small, large in pairwise(FAMILY):
        one, two = _tpot(_server(small, 1)), _tpot(_server(large, 1))
        text = Text.of("check_tpot_at", batch=1, small=_name(small), large=_name(large))
        checks.append(ratio_check(text, one, two, "<", 1.0))
    ends = [_tpot(_server(m, 1)).value for m in (FAMILY[0], FAMILY[-1])]
    parameters = [_weights(_server(m, 1)).value for m in (FAMILY[0], FAMILY[-1])]
    headline = Text.of(
        "claim_sizes", parameters=parameters[1] / parameters[0], time=ends[1] / ends[0]
    )
    return Finding(headline, tuple(checks))


def quantisation() -> Finding:
    """Answer claim 11: bytes, time and quality at four bits."""
    plain = EstimateRequest(model="qwen3-4b", hw="rtx-4090", precision="bf16", concurrency=1)
    four = EstimateRequest(model="qwen3-4b", hw="rtx-4090", precision="w4a16", concurrency=1)
    four_name, plain_name = "Qwen3 4B w4a16", "Qwen3 4B bf16"
    card, handset = get_device("rtx-4090").name, get_device(PHONE).name
    phone = [EstimateRequest(model=LOCAL, hw=PHONE, precision=p) for p in ("q4_k_m", "bf16")]
    losses = [
        _loss("qwen3-4b", "MMLU-Pro", "mlx", "bf16", "weights 4-bit", "Qwen3 4B, MLX"),
        _loss("minicpm4-8b", "MMLU", "minicpm", "FP16", "GPTQ 4-bit", "MiniCPM4 8B, GPTQ"),
        _loss("llama-3.2-1b", "MMLU", "llama3_2", "bf16", "vanilla PTQ", "Llama 3.2 1B, PTQ"),
        _loss("llama-3.2-1b", "MMLU", "llama3_2", "bf16", "SpinQuant", "Llama 3.2 1B, SpinQuant"),
    ]
    checks = (
        ratio_check(
            Text.of("check_bytes", small=four_name, large=plain_name),
            _weights(four),
            _weights(plain),
            "<=",
            HALF,
        ),
        ratio_check(
            Text.of("check_tpot", device=card, small=four_name, large=plain_name),
            _tpot(four),
            _tpot(plain),
            "<",
            1.0,
        ),
        ratio_check(
            Text.of(
                "check_tpot",
                device=handset,
                small="Llama 3.2 1B Q4_K_M",
                large="Llama 3.2 1B bf16",
            ),
            _tpot(phone[0]),
            _tpot(phone[1]),
            "<",
            1.0,
        ),
        *losses,
    )
    headline = Text.of(
        "claim_quantised",
        bytes=checks[0].number.value,
        least=min(c.number.value for c in losses),
        most=max(c.number.value for c in losses),
    )
    return Finding(headline, checks)


def _loss(model: str, task: str, source: str, plain: str, quantised: str, name: str) -> Check:
    before = score(model, Where(task, source, ends=plain))
    after = score(model, Where(task, source, ends=quantised))
    return difference_check(
        Text.of("check_loss", task=task, model=name), before, after, "<=", QUALITY_LOSS
    )


def limited_chips() -> Finding:
    """Answer claim 12: throughput kept under export limits, and money of small against large."""
    small, large, legal, best = "qwen3-4b", "qwen3-32b", "h20-96", SERVER

    def output(model: str, hw: str) -> Estimate:
        request = EstimateRequest(model=model, hw=hw, precision="bf16", concurrency=16, count=1)
        return need(asked(request).output_tok_per_s, "throughput")

    def owned(model: str, hw: str) -> Estimate:
        request = EstimateRequest(model=model, hw=hw, precision="bf16", concurrency=16, count=1)
        cost = asked(request).owned
        return need(cost.usd_per_mtok_output if cost else None, f"price of owning {hw}")

    kept = [ratio(amount_of(output(m, legal)), amount_of(output(m, best))) for m in (small, large)]
    labels = [output(m, hw).evidence for m in (small, large) for hw in (legal, best)]
    suffers = Check(
        Text.of("check_kept", small=_name(small), large=_name(large)),
        Number.of(ratio(kept[0], kept[1])),
        ">",
        1.0,
        worst_evidence(*labels),
        parts=(kept[0].value, kept[1].value),
    )
    text = Text.of("check_limited_price", small=_name(small), large=_name(large))
    cheaper = ratio_check(text, owned(small, legal), owned(large, best), "<", 1.0)
    where = Where("MMLU-Redux", "qwen3_technical", "non-thinking")
    text = Text.of("check_gap", task="MMLU-Redux", small=_name(small), large=_name(large))
    quality = difference_check(text, score(large, where), score(small, where), "<=", SMALL_GAP)
    headline = Text.of(
        "claim_limited",
        kept=100 * kept[0].value,
        large=100 * kept[1].value,
        price=cheaper.number.value,
        gap=quality.number.value,
    )
    return Finding(headline, (suffers, cheaper, quality))


def processors() -> Finding:
    """Answer claim 16: a desktop processor against reading speed and patience."""
    reading, reading_title = figure_amount("reading-tpot")
    patience, patience_title = figure_amount("patience")
    checks = []
    for model in CPU_MODELS:
        request = EstimateRequest(model=model, hw=DESKTOP, precision="q4_k_m")
        tpot, ttft = _tpot(request), _ttft(request)
        for text, number, limit, title in (
            (Text.of("check_reading", model=_name(model)), tpot, reading, reading_title),
            (Text.of("check_patience", model=_name(model)), ttft, patience, patience_title),
        ):
            value = Number.of(amount_of(number))
            checks.append(Check(text, value, "<=", limit.value, number.evidence, (title,)))
    headline = Text.of(
        "claim_processor",
        rate=1.0 / checks[2].number.value,
        first=checks[3].number.value,
        holds=held(checks),
        checks=len(checks),
    )
    return Finding(headline, tuple(checks))
