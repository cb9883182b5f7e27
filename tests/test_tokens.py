"""What a model makes of the workload's lengths, and that it reaches capacity, money and replay."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalogue.scenarios import read_scenario
from advisor.optimizer.assemble import facts_of, question_of
from advisor.optimizer.capacity import capacity_of, unloaded
from advisor.optimizer.demand import lengths_of
from advisor.optimizer.fleets import fleets_of
from advisor.optimizer.kinds import solved
from advisor.optimizer.recommend import recommend
from advisor.optimizer.remote import tariff_of
from advisor.optimizer.search import best_plan
from advisor.optimizer.tokens import TokenUse, token_ratio, token_use
from advisor.quality.text import (
    always_reasons,
    answer_ratio,
    any_density,
    may_reason,
    text_per_token,
)
from advisor.schema.question import AssumedScore, OutputNote
from advisor.traffic.facts import get_preset

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TODAY = dt.date(2026, 11, 23)
NOTE = OutputNote(model="deepseek-r1", because="counted on 200 calls", reasoning_tokens=700.0)
SCORE = AssumedScore(
    model="deepseek-r1", metric="C-Eval", score=0.9, because="counted on 200 calls"
)


def service(*outputs, model="deepseek-r1", **use):
    """Customer service with one API and no hardware."""
    base = read_scenario(EXAMPLES / "customer-service.toml")
    offer = msgspec.structs.replace(base.use.apis[0], model=model)
    changed = msgspec.structs.replace(
        base.use,
        models=("qwen3-8b",),
        rent=(),
        buy=(),
        apis=(offer,),
        outputs=outputs,
        **use,
    )
    classes = tuple(msgspec.structs.replace(c, slo=None) for c in base.workload.classes)
    workload = msgspec.structs.replace(base.workload, classes=classes)
    quality = msgspec.structs.replace(base.quality, floors=(), metric="C-Eval", assumed=(SCORE,))
    return msgspec.structs.replace(base, use=changed, quality=quality, workload=workload)


def lengths(scenario):
    found = facts_of(scenario, EXAMPLES, TODAY)
    return found, found.demand.classes


def test_counted_vocabularies_compare_as_counted():
    value, half, label = token_ratio("llama-3.1-8b", "qwen3-8b", "zh")
    ours, theirs = (text_per_token(m, "chinese") for m in ("llama-3.1-8b", "qwen3-8b"))
    assert value == pytest.approx(ours.tokens_per_char / theirs.tokens_per_char)
    assert label == "measured"
    assert 0 < half < 0.05
    assert token_ratio("qwen3-4b", "qwen3-8b", "zh") == (1.0, 0.0, "measured")
    assert token_ratio("claude-3.5-sonnet", "claude-3.5-sonnet", "zh") == (1.0, 0.0, "exact")


@pytest.mark.parametrize("name", ["claude-3.5-sonnet", "gemini-1.5-pro", "nobody-knows-me"])
def test_an_unpublished_vocabulary_has_the_range_of_the_counted_and_never_a_silent_one(name):
    value, half, label = token_ratio(name, "qwen3-8b", "zh")
    every = any_density("chinese")
    reference = text_per_token("qwen3-8b", "chinese").tokens_per_char
    assert label == "estimated"
    assert value == pytest.approx(every.tokens_per_char / reference)
    assert half == pytest.approx(math.log(every.high / every.low) / 2)
    assert every.low < every.tokens_per_char < every.high


def test_a_language_nobody_counted_gets_the_widest_range():
    value, half, label = token_ratio("llama-3.1-8b", "qwen3-8b", "th")
    assert (value, label) == (1.0, "estimated")
    assert half == pytest.approx(math.log(1.120 / 0.532) / 2)


def test_answer_lengths_are_those_counted_on_the_same_questions():
    found = answer_ratio("gpt-4o-mini", "gpt-4o", "GSM8K")
    assert found.value == pytest.approx(542 / 518)
    assert found.evidence == "measured"
    other = answer_ratio("gpt-4o-mini", "gpt-4o", "C-Eval")
    ratios = [542 / 518, 1616 / 1606, 992 / 838]
    assert other.value == pytest.approx(math.prod(ratios) ** (1 / 3))
    assert (other.low, other.high) == pytest.approx((min(ratios), max(ratios)))
    assert other.evidence == "extrapolated"
    assert answer_ratio("qwen3-8b", "gpt-4o", "GSM8K") is None


def test_lengths_become_text_times_answer_and_reasoning_on_top():
    facts, classes = lengths(service(NOTE))
    scenario = msgspec.structs.replace(
        facts.scenario,
        use=msgspec.structs.replace(
            facts.scenario.use,
            outputs=(NOTE, OutputNote(model="gpt-4o", because="counted", answer_factor=1.5)),
        ),
    )
    plain, r1, gpt = (token_use(scenario, m) for m in ("qwen3-8b", "deepseek-r1", "gpt-4o"))
    assert plain.applied(facts.asked) is facts.asked
    text = token_ratio("deepseek-r1", "qwen3-8b", "zh")[0]
    moved = r1.applied(facts.asked)
    assert moved.isl[:, 0] == pytest.approx([text * c.isl_tokens for c in classes])
    assert moved.osl[:, 0] == pytest.approx([text * c.osl_tokens + 700 for c in classes])
    assert (moved.hidden == 700).all()
    assert moved.tpot_s is facts.asked.tpot_s
    text = token_ratio("gpt-4o", "qwen3-8b", "zh")[0]
    assert gpt.applied(facts.asked).osl[:, 0] == pytest.approx(
        [text * 1.5 * c.osl_tokens for c in classes]
    )


def test_a_class_of_its_own_goes_before_the_rest():
    own = msgspec.structs.replace(NOTE, traffic_class="faq", reasoning_tokens=50.0)
    found = token_use(service(NOTE, own), "deepseek-r1")
    assert list(found.hidden) == [50.0, 700.0]


def test_a_model_that_reasons_unknown_long_is_left_out_with_the_reason():
    without = recommend(service(), EXAMPLES, TODAY)
    assert without.excluded["deepseek-r1"].key == "out_reasoning"
    assert without.plan is None
    with_it = recommend(service(NOTE), EXAMPLES, TODAY)
    assert with_it.plan is not None
    row = with_it.plan.options[0].tokens[0]
    assert row.reasoning_tokens == 700
    assert any(t.key == "assume_reasoning" for t in with_it.assumptions)


def test_a_score_won_by_thinking_asks_for_the_tokens_thought():
    base = read_scenario(EXAMPLES / "customer-service.toml")
    quality = msgspec.structs.replace(base.quality, variant="thinking")
    found = facts_of(msgspec.structs.replace(base, quality=quality), EXAMPLES, TODAY)
    assert not always_reasons("qwen3-8b")
    for model in found.models.models:
        thought = [s is not None and s.thinking for s in model.scores]
        assert not (np.array(thought) & model.tokens.known).any()
    assert any(t.key == "out_reasoning" for t in found.models.excluded.values())


def test_api_money_counts_what_is_not_shown():
    scenario = service(NOTE)
    found, classes = lengths(scenario)
    option = next(o for o in found.remote.options if o.kind == "api")
    offer = scenario.use.apis[0]
    rate = tariff_of(offer, TODAY).standard[0]
    text = token_ratio("deepseek-r1", "qwen3-8b", "zh")[0]
    for c, one in enumerate(classes):
        isl, osl = text * one.isl_tokens, text * one.osl_tokens
        cached = rate.cached_input_usd_per_mtok or rate.input_usd_per_mtok
        share = offer.cache_hit_share
        usd = isl * ((1 - share) * rate.input_usd_per_mtok + share * cached)
        usd += (osl + 700) * rate.output_usd_per_mtok
        assert option.usd_per_request[c] == pytest.approx(usd / 1e6)


def test_a_stated_output_factor_stands_for_everything():
    base = service(NOTE)
    offer = msgspec.structs.replace(base.use.apis[0], output_factor=3.0)
    scenario = msgspec.structs.replace(base, use=msgspec.structs.replace(base.use, apis=(offer,)))
    found, classes = lengths(scenario)
    _, osl, hidden = found.remote.options[0].tokens[0].lengths(classes)
    assert osl == pytest.approx([3 * c.osl_tokens for c in classes])
    assert not hidden.any()


def test_the_replay_of_an_api_pays_what_the_plan_pays():
    question = question_of(facts_of(service(NOTE), EXAMPLES, TODAY))
    winner = solved(question, best_plan(question), {})
    (part,) = fleets_of(question, winner)
    tiers = {t.name: t for t in part.fleet.tier}
    usd = 0.0
    for one in part.workload.classes:
        tier = tiers[part.fleet.route.classes[one.name]]
        share = tier.cache_hit_share
        price = (1 - share) * tier.usd_per_mtok_input + share * tier.usd_per_mtok_cached
        call = one.isl_tokens * price + one.osl_tokens * tier.usd_per_mtok_output
        usd += call / 1e6 * one.share * part.workload.requests_per_s * 3600
    assert usd == pytest.approx(part.usd_per_hour, rel=1e-6)


@settings(deadline=None)
@given(st.floats(1.0, 4000.0), st.floats(1.1, 3.0))
def test_more_tokens_never_serve_more_requests_or_sooner(hidden, answer):
    found = _candidate()
    tokens, asked = found.model.tokens, _facts().asked
    longer = replace(tokens, answer=tokens.answer * answer)
    thinks = replace(tokens, hidden=np.full_like(tokens.hidden, hidden))
    sequences = np.full(len(tokens.text), 64.0)
    before = capacity_of(found.step, found.profile, tokens.applied(asked), sequences)
    first = unloaded(found.step, found.profile, tokens.applied(asked))
    for more in (longer, thinks):
        after = capacity_of(found.step, found.profile, more.applied(asked), sequences)
        assert (after.per_s <= before.per_s * (1 + 1e-9)).all()
    ttft, tpot, e2e = unloaded(found.step, found.profile, thinks.applied(asked))
    assert (ttft > first[0] + 0.9 * hidden * tpot).all()
    assert (ttft < e2e).all()


_KEPT: list = []


def _facts():
    if not _KEPT:
        facts = facts_of(read_scenario(EXAMPLES / "customer-service.toml"), EXAMPLES, TODAY)
        _KEPT.extend((facts, question_of(facts).candidates.kept[0]))
    return _KEPT[0]


def _candidate():
    _facts()
    return _KEPT[1]


def test_unpublished_vocabularies_widen_the_bill_and_say_so():
    rec = recommend(service(model="claude-3.5-sonnet"), EXAMPLES, TODAY)
    assert rec.plan is not None
    line = next(x for x in rec.plan.lines if x.kind == "api").usd_per_month
    half = math.log(1.120 / 0.532) / 2
    assert line.evidence == "estimated"
    assert line.high80 / line.value == pytest.approx(math.exp(half), rel=1e-6)
    assert any(t.key == "assume_vocabulary" for t in rec.assumptions)


def test_lengths_in_everybodys_own_tokens_are_said_to_be_so():
    rec = recommend(service(NOTE, tokens_of=None), EXAMPLES, TODAY)
    keys = {t.key for t in rec.assumptions}
    assert {"assume_own_tokens", "assume_equal_answers"} <= keys


def test_a_short_context_keeps_out_what_thinks_beyond_it():
    _, classes = lengths(service(NOTE))
    use = TokenUse(
        text=np.ones(2),
        answer=np.ones(2),
        hidden=np.array([0.0, 1e6]),
        half80=np.zeros(2),
        vocabulary="exact",
        length="exact",
    )
    assert list(use.within(classes, 128_000)) == [True, False]


def test_a_score_that_may_be_reasoned_for_asks_for_tokens_and_a_plain_one_is_preferred():
    tutor = read_scenario(EXAMPLES / "math-tutor.toml")
    found = facts_of(tutor, EXAMPLES, TODAY)
    assert found.models.excluded["nemotron-nano-9b-v2"].key == "out_reasoning"
    assert may_reason("qwen3-14b")
    assert not always_reasons("qwen3-14b")
    plain = next(m for m in found.models.models if m.id == "qwen3-14b")
    assert not plain.scores[0].thinking
    thinker = next(m for m in found.models.models if m.id == "r1-distill-qwen-7b")
    assert thinker.scores[0].thinking
    assert thinker.tokens.hidden[0] == 1500


def test_a_thinking_model_pays_for_its_tokens_in_replicas():
    tutor = read_scenario(EXAMPLES / "math-tutor.toml")
    use = msgspec.structs.replace(
        tutor.use, models=("r1-distill-qwen-7b",), apis=(), rent=("rtx-4090",)
    )
    quick = tuple(msgspec.structs.replace(o, reasoning_tokens=0.0) for o in use.outputs)
    plans = [
        recommend(
            msgspec.structs.replace(tutor, use=msgspec.structs.replace(use, outputs=outputs)),
            EXAMPLES,
            TODAY,
        ).plan
        for outputs in (quick, use.outputs)
    ]
    busy = [sum(x.usd_per_month.value for x in p.lines if x.kind == "rent") for p in plans]
    # 1500 tokens before an answer of 260: the work is several times as much, the text the same.
    assert busy[1] > 3 * busy[0]
    first, shown = (p.classes[0].latency[0].value_s.value for p in plans)
    assert shown > first + 1500 * 0.005
    per_text = [p.usd_per_1000_characters.value / p.usd_per_month.value for p in plans]
    assert per_text[0] == pytest.approx(per_text[1])


def test_the_replay_gets_the_tokens_of_each_model():
    tutor = read_scenario(EXAMPLES / "math-tutor.toml")
    use = msgspec.structs.replace(tutor.use, models=("r1-distill-qwen-7b",), apis=())
    question = question_of(facts_of(msgspec.structs.replace(tutor, use=use), EXAMPLES, TODAY))
    (part,) = fleets_of(question, solved(question, best_plan(question), {}))
    text = token_ratio("r1-distill-qwen-7b", "gpt-4o", "en")[0]
    (one,) = part.workload.classes
    assert one.isl_tokens == pytest.approx(700 * text)
    assert one.osl_tokens == pytest.approx(260 * text + 1500)


def test_a_preset_keeps_its_sessions_in_another_vocabulary():
    base = service(NOTE)
    one = msgspec.structs.replace(
        base.workload.classes[0], preset="chat", isl_tokens=None, osl_tokens=None, isl_cv=0.0,
        osl_cv=0.0, share=1.0, shared_prefix_tokens=None,
    )  # fmt: skip
    workload = msgspec.structs.replace(base.workload, classes=(one,))
    question = question_of(
        facts_of(msgspec.structs.replace(base, workload=workload), EXAMPLES, TODAY)
    )
    (part,) = fleets_of(question, solved(question, best_plan(question), {}))
    preset = get_preset("chat")
    (moved,) = part.workload.classes
    text = token_ratio("deepseek-r1", "qwen3-8b", "zh")[0]
    assert moved.preset is None
    assert moved.isl_tokens == pytest.approx(text * lengths_of(one)[0])
    assert (moved.turns, moved.gap_s) == (preset.turns, preset.gap_s)
    assert moved.shared_prefix_tokens == int(preset.shared_prefix_tokens * text)


def test_the_replay_of_a_routed_pair_sends_each_class_its_own_share():
    question = question_of(
        facts_of(read_scenario(EXAMPLES / "national-service.toml"), EXAMPLES, TODAY)
    )
    winner = solved(question, best_plan(question), {})
    busy = int(np.argmax(question.problem.demand_per_s.sum(axis=0)))
    parts = fleets_of(question, winner)
    rates: dict[str, float] = {}
    for part in parts:
        for one in part.workload.classes:
            rates[one.name] = one.share * part.workload.requests_per_s
    compared = 0
    for i, option in enumerate(question.options):
        flow = winner.found.flow_per_s[i, :, busy]
        if option.kind != "routed" or flow.sum() < 1e-6:
            continue
        for c, one in enumerate(question.facts.demand.classes):
            for side, share in enumerate(option.reach):
                wanted = flow[c] * share[c]
                assert rates.get(f"{one.name} ({i}.{side})", 0.0) == pytest.approx(wanted, abs=1e-5)
                compared += 1
    assert compared
