"""How a plan answers to scores other than expected: its options stay, its flows are set anew.

A router's threshold moves to the least share that meets the class's floor; a class leaves
options of the plan that miss its floor for those that meet it. Nothing new is deployed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.kinds import Solved
from advisor.optimizer.options import SAME_SCORE, Option
from advisor.optimizer.pairs import option_usd, router_curve
from advisor.optimizer.plans import LEAST_SHARE
from advisor.optimizer.problem import SECONDS_PER_HOUR, Bools, Floats, Ints

THRESHOLDS = np.linspace(0.0, 1.0, 51)
"""Shares sent to the large model a router may be set to."""
UNSERVED = 1e-4
"""Share of a class that may be missing by the solver's rounding."""
STAYS, FAILS = -1, -2
"""An option keeps its threshold; it meets the floor at none."""


@dataclass(frozen=True, eq=False)
class Response:
    """Work and money of a plan under one state of its scores, demand as expected.

    Parameters
    ----------
    load
        ``(P, T)`` replicas' worth of work.
    usd_per_month
        What grows with requests.
    volume
        ``(U, C)`` requests of each class on the plan's options, any unit.
    share
        ``(U, C)`` share each option sends to its large model.
    planned
        Flows are those of the plan.
    """

    load: Floats
    usd_per_month: float
    volume: Floats
    share: Floats
    planned: bool


def sides_of(question: Question, option: int) -> tuple[Option, ...]:
    """Return the options of one model an option is made of: itself, or both of a pair."""
    one = question.options[option]
    if len(one.parts) == 1:
        return (one,)
    pools = {p for p, _ in one.uses}
    singles = [o for o in question.options if len(o.parts) == 1]
    return tuple(
        next(o for o in singles if o.parts == (part,) and {p for p, _ in o.uses} <= pools)
        for part in one.parts
    )


def used_options(one: Solved) -> Ints:
    """``(U,)`` options a plan uses; crumbs the solver left have no replicas and count for none."""
    month = one.question.problem.requests_per_month
    share = one.found.flow_per_s @ one.question.problem.hours * SECONDS_PER_HOUR
    share = share / np.where(month > 0, month, 1.0)
    return np.nonzero((share > LEAST_SHARE).any(axis=1))[0]


def _shares(question: Question, used: Ints) -> Floats:
    """``(U, C)`` share planned for the large model; 0 for options of one model."""
    none = np.zeros(len(question.problem.classes))
    sent = [question.options[i].sent for i in used]
    return np.array([none if s is None else s for s in sent]).reshape(-1, len(none))


def as_planned(one: Solved) -> Response:
    """Return a plan as it is."""
    question, used = one.question, used_options(one)
    setting = np.full((len(used), len(question.problem.classes)), STAYS)
    return _response(one, used, setting, one.found.flow_per_s[used], planned=True)


def responses(
    one: Solved, shifts: dict[str, Floats], count: int
) -> Iterator[tuple[Bools, list[Response]]]:
    """Group draws by what a plan can do about them; draws it can't answer to are left out.

    Parameters
    ----------
    shifts
        Model -> ``(N,)`` score drawn less the score expected.
    count
        N.
    """
    used = used_options(one)
    kept, setting = _settings(one, used, shifts, count)
    states = np.concatenate([kept.reshape(count, -1), setting.reshape(count, -1)], axis=1)
    unique, index = np.unique(states, axis=0, return_inverse=True)
    shape = setting.shape[1:]
    for k, state in enumerate(unique):
        planned, chosen = np.split(state, 2)
        mask = index.reshape(-1) == k
        answers = _answers(one, used, planned.reshape(shape) > 0, chosen.reshape(shape))
        if answers:
            yield mask, answers


def _settings(one: Solved, used: Ints, shifts: dict[str, Floats], count: int) -> tuple[Ints, Ints]:
    """``(N, U, C)`` whether an option meets the floor as planned, and the threshold it takes."""
    question = one.question
    scenario = question.facts.scenario
    classes = question.facts.demand.classes
    kept = np.ones((count, len(used), len(classes)), dtype=np.int64)
    setting = np.full(kept.shape, STAYS)
    sent = _shares(question, used)
    for u, i in enumerate(used):
        option, sides = question.options[i], sides_of(question, int(i))
        moves = [shifts.get(s.model_ids[0], np.zeros(count)) for s in sides]
        for c, demand in enumerate(classes):
            floor = scenario.floor_of(demand.name)
            if not option.allowed[c]:
                kept[:, u, c], setting[:, u, c] = 0, FAILS
            elif floor is not None:
                score = float(option.quality[c]) + _moved(moves, sent[u, c])
                good = np.clip(score, 0.0, 1.0) >= floor - SAME_SCORE
                kept[:, u, c] = good
                setting[:, u, c] = np.where(good, STAYS, FAILS)
                if option.kind == "routed" and scenario.metric_of(demand.name):
                    curve = router_curve(scenario, sides, c, THRESHOLDS)
                    least = _thresholds(curve, moves, floor)
                    # Between two steps the share planned may be the least already.
                    stays = good & (THRESHOLDS[least] > sent[u, c])
                    setting[:, u, c] = np.where(stays, STAYS, least)
    return kept, setting


def _moved(moves: Sequence[Floats], large: float) -> Floats:
    """Return the shift of a score: of one model, or of two by the share each answers."""
    if len(moves) == 1:
        return moves[0]
    return np.asarray((1.0 - large) * moves[0] + large * moves[1])


def _thresholds(curve: Floats, moves: Sequence[Floats], floor: float) -> Ints:
    """``(N,)`` index of the least threshold that meets a floor in each draw."""
    drawn = curve[None, :] + (1.0 - THRESHOLDS) * moves[0][:, None] + THRESHOLDS * moves[1][:, None]
    good = drawn >= floor - SAME_SCORE
    return np.where(good.any(axis=1), good.argmax(axis=1), FAILS)


def _answers(one: Solved, used: Ints, planned: Bools, setting: Ints) -> list[Response]:
    """Return what a plan can do in a state: as near to its flows as it can, or all on one option.

    Of options that share a plan one may do alone what all were meant for: the best answer of a
    larger plan is never dearer than that of a part of it.
    """
    problem = one.question.problem
    first = _answer(one, used, planned, setting)
    found = [] if first is None else [first]
    if len(used) == 1:
        return found
    for u, i in enumerate(used):
        if (setting[u] == FAILS).any() or one.question.options[i].most_share < 1.0:
            continue
        flow = np.zeros((len(used), *problem.demand_per_s.shape))
        flow[u] = problem.demand_per_s
        found.append(_response(one, used, setting, flow, planned=False))
    return found


def _answer(one: Solved, used: Ints, planned: Bools, setting: Ints) -> Response | None:
    """Return a plan's flows in a state, None if a class has nowhere to go."""
    question, problem = one.question, one.question.problem
    flow = one.found.flow_per_s[used]
    carries = flow.sum(axis=2) > 0
    if bool((planned | ~carries).all()):
        tuned = np.where(carries, setting, STAYS)
        return _response(one, used, tuned, flow, planned=True)
    may = setting != FAILS
    moved = np.where(may[:, :, None], flow, 0.0)
    left = problem.demand_per_s - moved.sum(axis=0)
    whole = np.array(
        [np.full(len(problem.classes), question.options[i].most_share >= 1.0) for i in used]
    )
    usd = np.array([option_usd(question.options[i], question.pools) for i in used])
    for c in range(len(problem.classes)):
        if left[c].max() <= UNSERVED * problem.demand_per_s[c].max():
            continue
        others = np.nonzero(may[:, c] & whole[:, c])[0]
        if not len(others):
            return None
        moved[others[np.argmin(usd[others, c])], c] += np.maximum(left[c], 0.0)
    return _response(one, used, setting, moved, planned=False)


def _response(one: Solved, used: Ints, setting: Ints, flow: Floats, *, planned: bool) -> Response:
    """Add up work and money of flows ``(U, C, T)`` under thresholds ``(U, C)``."""
    question, problem = one.question, one.question.problem
    load = np.zeros((len(problem.pools), len(problem.hours)))
    usd = 0.0
    share = _shares(question, used)
    month = flow @ problem.hours * SECONDS_PER_HOUR
    for u, i in enumerate(used):
        option = question.options[i]
        tuned = setting[u] >= 0
        stay = np.where(tuned, 0.0, 1.0)
        own = problem.usd_per_request[i]
        for pool, seconds in option.uses:
            load[pool] += (seconds * stay) @ flow[u]
        usd += float(month[u] @ (own * stay))
        if not tuned.any():
            continue
        at = np.where(tuned, THRESHOLDS[np.maximum(setting[u], 0)], 0.0)
        share[u] = np.where(tuned, at, share[u])
        extra = own - option.usd_per_request
        small, large = sides_of(question, int(i))
        for side, part in ((small, (1.0 - at) * tuned), (large, at)):
            for pool, seconds in side.uses:
                load[pool] += (seconds * part) @ flow[u]
            usd += float(month[u] @ (side.usd_per_request * part))
        usd += float(month[u] @ (extra * tuned))
    return Response(load, usd, month, share, planned)


def overall_kept(one: Solved, response: Response, shifts: dict[str, Floats]) -> Bools | bool:
    """``(N,)`` whether the floor over all requests is met; True if there is none."""
    question = one.question
    overall = question.facts.scenario.quality.overall
    if overall is None:
        return True
    total: Floats = np.zeros(1)
    for u, i in enumerate(used_options(one)):
        option, sides = question.options[i], sides_of(question, int(i))
        moves = [shifts[s.model_ids[0]] for s in sides]
        for c in range(len(question.problem.classes)):
            score = float(np.nan_to_num(option.quality[c])) + _moved(moves, response.share[u, c])
            total = total + response.volume[u, c] * np.clip(score, 0.0, 1.0)
    return np.asarray(total / response.volume.sum() >= overall.at_least - SAME_SCORE)
