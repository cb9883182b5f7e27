"""Outcomes of single requests by inverse transform of uniform draws, for simulators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from advisor.quality.joint import Floats, JointShares
from advisor.quality.routing import Router, Verifier, router_shifts

Outcomes = NDArray[np.int8]
Flags = NDArray[np.bool_]
BOTH, ONLY_LARGE, ONLY_SMALL, NEITHER = 0, 1, 2, 3
"""Codes of an outcome."""


def draw_outcomes(shares: JointShares, uniform: Floats) -> Outcomes:
    """Return who answers each request rightly.

    Parameters
    ----------
    shares
        The pair.
    uniform
        ``(n,)`` draws from 0 to 1; equal draws give equal outcomes.

    Returns
    -------
    ndarray of int8
        ``(n,)`` codes 0 both, 1 only large, 2 only small, 3 neither.
    """
    edges = np.cumsum(shares.values[:3])
    return np.searchsorted(edges, uniform, side="right").astype(np.int8)


def small_right(outcomes: Outcomes) -> Flags:
    """Tell where the small model is right."""
    return np.asarray((outcomes == BOTH) | (outcomes == ONLY_SMALL), dtype=np.bool_)


def large_right(outcomes: Outcomes) -> Flags:
    """Tell where the large model is right."""
    return np.asarray((outcomes == BOTH) | (outcomes == ONLY_LARGE), dtype=np.bool_)


def router_scores(
    router: Router, shares: JointShares, outcomes: Outcomes, uniform: Floats
) -> Floats:
    """Return the router's score of each request; above the threshold it is escalated.

    Parameters
    ----------
    router, shares
        Skill and pair; the threshold for a share is ``routing.router_threshold``.
    outcomes, uniform
        ``(n,)`` outcomes, and draws strictly between 0 and 1 that are independent of them.
    """
    from scipy.special import ndtri

    large_shift, small_shift = router_shifts(router, shares)
    shift = np.array([0.0, large_shift, small_shift, 0.0])
    return np.asarray(ndtri(uniform) + shift[outcomes], dtype=np.float64)


def escalations(verifier: Verifier, outcomes: Outcomes, uniform: Floats) -> Flags:
    """Tell which of the small model's answers the verifier sends on.

    Parameters
    ----------
    verifier
        Its two rates.
    outcomes, uniform
        ``(n,)`` outcomes, and draws from 0 to 1 that are independent of them.
    """
    rate = np.where(small_right(outcomes), 1 - verifier.accepts_right, verifier.escalates_wrong)
    return np.asarray(uniform < rate, dtype=np.bool_)


def answered_right(outcomes: Outcomes, escalated: Flags) -> Flags:
    """Tell which requests end with a right answer, given who answered them."""
    return np.where(escalated, large_right(outcomes), small_right(outcomes))
