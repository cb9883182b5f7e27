"""Routers and cascades: accuracy and share of calls that reach the large model.

Formulas: binormal ROC (Green and Swets 1966), APGR as RouteLLM defines it (arXiv 2406.18665),
written in the joint shares of the pair. All are pure functions of shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from advisor.errors import InfeasibleError, UsageError
from advisor.quality.joint import Floats, JointShares

_EDGE = 1e-12


def _below(x: float) -> float:
    """Return the standard normal distribution; for one number ten times as fast as SciPy."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


@dataclass(frozen=True)
class Router:
    """Skill of a router that sees the question alone.

    Parameters
    ----------
    auc
        Chance that a question only the large model answers scores above any other: 0.5 guesses,
        1 knows.
    auc_only_small
        Chance that a question only the small model answers scores above one that both or
        neither answer. 0.5: told apart from nothing; above 0.5: such questions look hard too,
        and escalating them loses answers.

    Raises
    ------
    UsageError
        If a skill is outside 0 to 1.
    """

    auc: float
    auc_only_small: float = 0.5

    def __post_init__(self) -> None:
        for name in ("auc", "auc_only_small"):
            if not 0 < getattr(self, name) < 1:
                msg = f"router {name} must lie between 0 and 1, got {getattr(self, name):g}"
                raise UsageError(msg)


@dataclass(frozen=True)
class Verifier:
    """A check of the small model's answer.

    Parameters
    ----------
    accepts_right
        Share of right answers it accepts, alpha.
    escalates_wrong
        Share of wrong answers it escalates, beta.

    Raises
    ------
    UsageError
        If a share is outside 0 to 1.
    """

    accepts_right: float
    escalates_wrong: float

    def __post_init__(self) -> None:
        for name in ("accepts_right", "escalates_wrong"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"verifier {name} must be a share from 0 to 1, got {getattr(self, name):g}"
                raise UsageError(msg)


@dataclass(frozen=True)
class MixQuality:
    """Accuracy of a mix and the share of questions the large model answers."""

    accuracy: float
    escalated: float


def router_shifts(router: Router, shares: JointShares) -> tuple[float, float]:
    """Return the means of the router's score, in standard deviations above the rest.

    Scores are normal with one variance. The first number belongs to questions only the large
    model answers, the second to those only the small one answers; the rest have mean 0. The
    first solves ``auc`` against all other questions taken together.

    Returns
    -------
    tuple of float
        Shift of only-large, shift of only-small.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    small_shift = math.sqrt(2) * float(ndtri(router.auc_only_small))
    if small_shift == 0 or shares.only_small == 0:
        return math.sqrt(2) * float(ndtri(router.auc)), small_shift
    others = shares.only_small + shares.both + shares.neither
    weight = shares.only_small / others if others > 0 else 0.0

    def off(shift: float) -> float:
        above = weight * _below((shift - small_shift) / math.sqrt(2))
        return above + (1 - weight) * _below(shift / math.sqrt(2)) - router.auc

    return float(brentq(off, -20 - abs(small_shift), 20 + abs(small_shift))), small_shift


def router_threshold(router: Router, shares: JointShares, escalated: float) -> float:
    """Return the score above which a question goes to the large model.

    Parameters
    ----------
    router, shares
        Skill and pair.
    escalated
        Share of all questions to send, 0 to 1.

    Raises
    ------
    UsageError
        If the share is outside 0 to 1.
    """
    from scipy.optimize import brentq

    if not 0 <= escalated <= 1:
        msg = f"share sent to the large model must be from 0 to 1, got {escalated:g}"
        raise UsageError(msg)
    large_shift, small_shift = router_shifts(router, shares)
    if escalated < _EDGE:
        return math.inf
    if escalated > 1 - _EDGE:
        return -math.inf
    rest = shares.both + shares.neither

    def off(at: float) -> float:
        sent = shares.only_large * _below(large_shift - at) + rest * _below(-at)
        return sent + shares.only_small * _below(small_shift - at) - escalated

    reach = 12 + abs(large_shift) + abs(small_shift)
    return float(brentq(off, -reach, reach, xtol=1e-12))


def route(router: Router, shares: JointShares, escalated: float) -> MixQuality:
    """Return the accuracy when the router's top share of questions goes to the large model.

    ``both + only_large T_b + only_small (1 - T_c)`` where T_x is the share of class x sent.

    Examples
    --------
    >>> mmlu = JointShares(0.6280, 0.1778, 0.0528, 0.1414)
    >>> round(route(Router(0.7), mmlu, 0.3).accuracy, 3)
    0.761
    """
    large_shift, small_shift = router_shifts(router, shares)
    at = router_threshold(router, shares, escalated)
    sent_large, sent_small = _below(large_shift - at), _below(small_shift - at)
    accuracy = shares.both + shares.only_large * sent_large + shares.only_small * (1 - sent_small)
    return MixQuality(accuracy, escalated)


def route_curve(router: Router, shares: JointShares, points: int = 101) -> tuple[Floats, Floats]:
    """Return share sent and accuracy of the whole curve, ``points`` values each."""
    sent = np.linspace(0, 1, points)
    return sent, np.array([route(router, shares, float(q)).accuracy for q in sent])


def escalation_for(router: Router, shares: JointShares, accuracy: float) -> float:
    """Return the least share of questions to send for this accuracy.

    Raises
    ------
    InfeasibleError
        If no share reaches it; the message names the best accuracy.
    """
    from scipy.optimize import brentq, minimize_scalar

    if accuracy <= shares.small:
        return 0.0

    def quality(q: float) -> float:
        return route(router, shares, q).accuracy

    best = float(minimize_scalar(lambda q: -quality(q), bounds=(0, 1), method="bounded").x)
    top = max((1.0, best), key=quality)
    if quality(top) < accuracy - 1e-9:
        msg = (
            f"no share of calls to the large model reaches accuracy {accuracy:.4g}; "
            f"the best is {quality(top):.4g}"
        )
        raise InfeasibleError(msg, limit="quality")
    if quality(top) <= accuracy:
        return top
    return float(brentq(lambda q: quality(q) - accuracy, 0.0, top, xtol=1e-9))


def gap_share(router: Router, shares: JointShares, recovered: float) -> float:
    """Return the share of calls that recovers this part of the gap between the two models.

    Parameters
    ----------
    router, shares
        Skill and pair; the large model must be the better one.
    recovered
        0: the small model's accuracy, 1: the large one's.
    """
    target = shares.small + recovered * (shares.large - shares.small)
    return escalation_for(router, shares, target)


def apgr(shares: JointShares, large_percentile: float, small_percentile: float = 0.5) -> float:
    """Return the average performance gap recovered: the mean over all shares sent.

    ``(b U_b - c U_c) / (b - c)``, exact for any ranking.

    Parameters
    ----------
    shares
        The pair; b = only large, c = only small.
    large_percentile, small_percentile
        Mean percentile of escalation of the two classes; 0.5 is random.

    Raises
    ------
    UsageError
        If the two models are equally accurate: there is no gap.
    """
    gap = shares.only_large - shares.only_small
    if abs(gap) < _EDGE:
        msg = "the average gap recovered needs two models of different accuracy"
        raise UsageError(msg)
    return (shares.only_large * large_percentile - shares.only_small * small_percentile) / gap


def router_apgr(router: Router, shares: JointShares) -> float:
    """Return the average gap recovered by a router of this skill.

    Mean percentiles follow from the chances to outrank each class, so the value is exact for
    the binormal router. With ``auc_only_small`` 0.5 it equals
    ``0.5 + (auc - 0.5) b (1 - b + c) / (b - c)``.

    Examples
    --------
    >>> mmlu = JointShares(0.6280, 0.1778, 0.0528, 0.1414)
    >>> round(router_apgr(Router(0.58), mmlu), 3)
    0.6
    """
    b, c = shares.only_large, shares.only_small
    rest = shares.both + shares.neither
    large_shift, small_shift = router_shifts(router, shares)
    over = _below((large_shift - small_shift) / math.sqrt(2))
    large = b * 0.5 + (1 - b) * router.auc
    small = c * 0.5 + b * (1 - over) + rest * router.auc_only_small
    return apgr(shares, large, small)


def cascade(verifier: Verifier, shares: JointShares) -> MixQuality:
    """Return accuracy and share escalated when every small answer is checked.

    The verifier's error is taken to be independent of whether the large model is right.

    Examples
    --------
    >>> mmlu = JointShares(0.6280, 0.1778, 0.0528, 0.1414)
    >>> mix = cascade(Verifier(0.9, 0.7), mmlu)
    >>> round(mix.accuracy, 3), round(mix.escalated, 3)
    (0.8, 0.292)
    """
    alpha, beta = verifier.accepts_right, verifier.escalates_wrong
    escalated = shares.small * (1 - alpha) + (1 - shares.small) * beta
    accuracy = shares.small * alpha + (1 - alpha) * shares.both + beta * shares.only_large
    return MixQuality(accuracy, escalated)


def beta_for_large_quality(accepts_right: float, shares: JointShares) -> float:
    """Return the share of wrong answers to escalate for the large model's accuracy.

    ``1 - c alpha / b``; below 0 means the cascade beats the large model without escalating any.
    """
    if shares.only_large == 0:
        msg = "a large model that adds no right answer can't be matched by escalating"
        raise UsageError(msg)
    return 1 - shares.only_small * accepts_right / shares.only_large
