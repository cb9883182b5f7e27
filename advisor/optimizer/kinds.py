"""The best plan of each kind, and why it lost to the winner."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.mix import MixSolution
from advisor.optimizer.options import kind_of
from advisor.optimizer.plans import plan_of
from advisor.optimizer.problem import Bools
from advisor.optimizer.result import PLAN_KINDS, Alternative, Plan, PlanKind
from advisor.optimizer.search import OTHERS, best_plan
from advisor.schema.text import Text

TRIED_MID = 4
"""Mid-size models solved one by one, cheapest first."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A plan with the solution it came from, and the question whose indices that has."""

    question: Question
    kind: PlanKind
    found: MixSolution
    plan: Plan
    factors: dict[str, float]

    @property
    def usd_per_month(self) -> float:
        """Money of a month."""
        assert self.found.usd_per_month is not None
        return self.found.usd_per_month


def options_of(question: Question, kind: PlanKind) -> Bools:
    """``(O,)`` options a plan of a kind may use."""
    return np.array([kind == "mix" or kind_of([o]) == kind for o in question.options])


def solved(question: Question, found: MixSolution, factors: dict[str, float]) -> Solved | None:
    """Describe a solution, None if there is none."""
    if not found.feasible:
        return None
    plan = plan_of(question, found, factors)
    return Solved(question, plan.kind, found, plan, factors)


def best_of_kind(question: Question, kind: PlanKind, factors: dict[str, float]) -> Solved | None:
    """Return the cheapest plan of a kind, None if none keeps the limits."""
    keep = options_of(question, kind)
    keep &= question.problem.allowed.any(axis=1)
    if not keep.any():
        return None
    if kind == "mid":
        return _one_mid(question, keep, factors)
    return solved(question, best_plan(question, keep, OTHERS), factors)


def _one_mid(question: Question, keep: Bools, factors: dict[str, float]) -> Solved | None:
    """One mid-size model for everything: the cheapest of the few most promising."""
    whole = question.problem.allowed.all(axis=1)
    models = dict.fromkeys(question.options[i].model_ids for i in np.nonzero(keep & whole)[0])
    best: Solved | None = None
    for ids in list(models)[:TRIED_MID]:
        only = keep & np.array([o.model_ids == ids for o in question.options])
        found = solved(question, best_plan(question, only, OTHERS), factors)
        if found and (best is None or found.usd_per_month < best.usd_per_month):
            best = found
    return best


Row = tuple[Alternative, Solved | None]


def alternatives_of(
    question: Question, winner: Solved, factors: dict[str, float]
) -> tuple[Row, ...]:
    """Return the best plan of every kind other than the winner's, and why each lost."""
    rows: list[Row] = []
    for kind in PLAN_KINDS:
        if kind == winner.kind:
            continue
        if kind == "mix":
            same = Text.of("why_mix_same")
            rows.append((Alternative("mix", None, same), None))
            continue
        found = best_of_kind(question, kind, factors)
        if found is None:
            rows.append((Alternative(kind, None, _why_none(question, kind)), None))
        else:
            rows.append(lost(kind, found, winner))
    return tuple(rows)


def lost(kind: PlanKind, found: Solved, winner: Solved) -> Row:
    """Put the best plan of a kind beside the winner's."""
    plan = replace(found.plan, kind=kind)
    over = found.usd_per_month / winner.usd_per_month
    why = Text.of("why_dearer", times=round(over, 2))
    return Alternative(kind, plan, why), replace(found, kind=kind, plan=plan)


def _why_none(question: Question, kind: PlanKind) -> Text:
    """Say why no plan of a kind keeps the limits."""
    keep = options_of(question, kind)
    if not keep.any():
        return Text.of("why_no_option")
    options = [o for o, k in zip(question.options, keep, strict=True) if k]
    may = np.array([o.allowed for o in options])
    good = question.problem.allowed[keep]
    names = question.problem.classes
    for c, name in enumerate(names):
        if not may[:, c].any():
            return Text.of("why_no_latency", name=name)
        if not good[:, c].any():
            best = max(float(np.nan_to_num(o.quality[c])) for o in options if o.allowed[c])
            return Text.of("why_no_quality", name=name, best=round(best, 3))
        if question.problem.most_share is not None:
            most = float(question.problem.most_share[keep][:, c].sum())
            if most < 1.0:
                return Text.of("why_not_all", name=name, percent=f"{100 * most:.0f}")
    return Text.of("why_limits")
