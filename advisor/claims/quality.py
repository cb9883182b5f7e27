"""Claims about scores: 7, 8, 10, 13, 14."""

from __future__ import annotations

from advisor.catalogue.models import get_model
from advisor.catalogue.quality import read_scores
from advisor.claims.numbers import Where, difference_check, figure_amount, score
from advisor.claims.result import Check, Finding, Number, held
from advisor.errors import MissingDataError
from advisor.quality.known import known
from advisor.quality.pairs import find_measured
from advisor.quality.routing import Router, route_curve
from advisor.schema.text import Text

CLOSED, ORACLE_GAIN, LIFT, ROUTED_GAIN = 5.0, 5.0, 25.0, 1.0
EXAMS = {
    "注册会计师": "accountant",
    "银行从业资格": "banking",
    "证券从业资格": "securities",
    "基金从业资格": "funds",
    "保险从业资格": "insurance",
    "经济师": "economist",
    "税务师": "tax agent",
    "期货从业资格": "futures",
    "理财规划师": "financial planner",
    "精算师": "actuary",
}
LLAMA_TASKS = ("C-Eval", "CMMLU", "MMLU", "GSM8K", "HumanEval")
CODER_TASKS = ("HumanEval", "LiveCodeBench", "MATH", "GSM8K")
MINI_TASKS = ("MMLU-Redux", "GPQA-Diamond", "MATH-500", "LiveCodeBench")
LANGUAGES = ("French", "German", "Portuguese", "Spanish", "Czech", "Hungarian", "Japanese",
             "Korean", "Thai")  # fmt: skip
GPT4_TURBO, CODER_README = "2024-04-09", "coder-v2-readme"


def _name(model: str) -> str:
    known = read_scores(model).name
    return known or get_model(model).name


def _beats(small: str, large: str, task: str, where: tuple[Where, Where]) -> Check:
    one, two = score(small, where[0]), score(large, where[1])
    text = Text.of("check_beats", task=task, small=_name(small), large=_name(large))
    return difference_check(text, one, two, ">", 0.0)


def _coder(task: str) -> Check:
    where = Where(task, CODER_README), Where(task, CODER_README, variant=GPT4_TURBO)
    return _beats("deepseek-coder-v2-lite", "gpt-4-turbo", task, where)


def vertical() -> Finding:
    """Answer claim 7: finance, tool use, teaching and code, each against a general model."""
    exams = []
    for exam, english in EXAMS.items():
        where = Where(f"FinanceIQ {exam}", "table-13")
        task = f"FinanceIQ {exam} ({english})"
        exams.append(_beats("xuanyuan-6b", "gpt-4", task, (where, where)))
    calls = Where("BFCL", "bfcl"), Where("BFCL", "bfcl", variant="2024-08-06")
    tools = _beats("xlam-7b-fc-r", "gpt-4o", "BFCL", calls)
    subjects = Where("C-Eval", "wisdombot-readme", "all 52")
    teaching = _beats("wisdombot-7b", "qwen-7b", "C-Eval 52", (subjects, subjects))
    checks = (*exams, tools, teaching, *(_coder(task) for task in CODER_TASKS[:2]))
    headline = Text.of(
        "claim_vertical",
        won=held(exams),
        exams=len(exams),
        tools=tools.number.value,
        code=checks[-2].number.value,
    )
    return Finding(headline, checks)


def far_larger() -> Finding:
    """Answer claim 8: small models against far larger ones, task by task."""
    llama = []
    for task in LLAMA_TASKS:
        where = Where(task, "table-14")
        llama.append(_beats("xuanyuan-6b", "llama-2-70b", task, (where, where)))
    coder = [_coder(task) for task in CODER_TASKS]
    mini = []
    for task in MINI_TASKS:
        pair = (
            Where(task, "qwen3_technical", "non-thinking"),
            Where(task, "qwen3_technical", "Table 14"),
        )
        mini.append(_beats("qwen3-4b", "gpt-4o-mini", task, pair))
    headline = Text.of(
        "claim_larger", llama=held(llama), coder=held(coder), mini=held(mini),
        llama_of=len(llama), coder_of=len(coder), mini_of=len(mini),
    )  # fmt: skip
    return Finding(headline, (*llama, *coder, *mini))


def distillation() -> Finding:
    """Answer claim 10: gaps to the teacher before and after distillation."""
    checks = []
    closed = []
    for distilled, plain, name in (
        ("r1-distill-qwen-7b", "qwen2.5-7b", "7B"),
        ("r1-distill-qwen-1.5b", "qwen2.5-1.5b", "1.5B"),
    ):
        task = "MATH-500"
        teacher = score("deepseek-r1", Where(task, "deepseek-r1-readme"))
        after = score(distilled, Where(task, "deepseek-r1-readme"))
        before = score(plain, Where(task, "qwen3_technical"))
        narrowed = (teacher.value - before.value) - (teacher.value - after.value)
        checks.append(
            Check(
                Text.of("check_narrowed", task=task, size=name),
                Number.of(round(narrowed, 6)),
                ">",
                0.0,
                "measured",
                (teacher.title, before.title),
                (teacher.value - before.value, teacher.value - after.value),
            )
        )
    for distilled, name in (("r1-distill-qwen-7b", "7B"), ("r1-distill-qwen-1.5b", "1.5B")):
        for task in ("MATH-500", "GPQA-Diamond"):
            where = Where(task, "deepseek-r1-readme")
            text = Text.of("check_closed", task=task, size=name)
            pair = score("deepseek-r1", where), score(distilled, where)
            closed.append(difference_check(text, *pair, "<=", CLOSED))
    gaps = checks[0].parts or (0.0, 0.0)
    headline = Text.of(
        "claim_distilled", before=gaps[0], after=gaps[1], other=closed[1].number.value
    )
    return Finding(headline, (*checks, *closed))


def ensembles() -> Finding:
    """Answer claim 13: what an ensemble could reach, and what a cascade did."""
    checks = []
    for task in ("mmlu", "cmmlu"):
        best, title = figure_amount(f"routerdc-{task}-best")
        oracle, _ = figure_amount(f"routerdc-{task}-oracle")
        checks.append(
            Check(
                Text.of("check_oracle", task=task.upper()),
                Number.of(round(oracle.value - best.value, 6)),
                ">=",
                ORACLE_GAIN,
                "measured",
                (title,),
                (oracle.value, best.value),
            )
        )
    cascade, title = figure_amount("cascade-accuracy")
    single, _ = figure_amount("mid-size-accuracy")
    real = Check(
        Text.of("check_cascade"),
        Number.of(round(cascade.value - single.value, 6)),
        ">",
        0.0,
        "measured",
        (title,),
        (cascade.value, single.value),
    )
    routed = _routed("qwen2.5-0.5b", "qwen2.5-3b", "MMLU")
    headline = Text.of(
        "claim_ensembles",
        oracle=checks[0].number.value,
        cascade=real.number.value,
        routed=routed.number.value,
    )
    return Finding(headline, (*checks, real, routed))


def _routed(small: str, large: str, task: str) -> Check:
    """Check what the most skilled known router adds to the better of two small models."""
    pair = find_measured(small, large, task)
    if pair is None:
        msg = f"{small} and {large} were not counted question by question on {task}"
        raise MissingDataError(msg)
    best = max(known().router, key=lambda row: row.auc)
    _, accuracy = route_curve(Router(best.auc), pair.shares)
    mix, alone = 100 * float(accuracy.max()), 100 * pair.shares.large
    names = {source.id: source.title for source in known().source}
    return Check(
        Text.of(
            "check_routed",
            task=task,
            small=get_model(small).name,
            large=get_model(large).name,
            auc=round(best.auc, 2),
        ),
        Number.of(round(mix - alone, 6)),
        ">=",
        ROUTED_GAIN,
        "estimated",
        (pair.source, names[best.source]),
        (mix, alone),
    )


def multilingual() -> Finding:
    """Answer claim 14: the lift of each language."""
    model = "minicpm-llama3-v-2.5"
    checks = []
    for language in LANGUAGES:
        task = f"LLaVA Bench {language}"
        after = score(model, Where(task, "table-16", variant="with multilingual"))
        before = score(model, Where(task, "table-16", variant="without"))
        text = Text.of("check_lift", task=language)
        checks.append(difference_check(text, after, before, ">", LIFT))
    least = min(check.number.value for check in checks)
    return Finding(Text.of("claim_lift", least=least, languages=len(checks)), tuple(checks))
