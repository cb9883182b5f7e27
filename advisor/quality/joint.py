"""Joint correctness of two models: four shares, their bounds, and a Gaussian copula."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import UsageError

Floats = NDArray[np.float64]
_ROUNDING = 1e-9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_LARGEST_Z = 4.0
"""Fisher's z is kept within: correlation 0.9993, where the integral still has 6 digits."""


@dataclass(frozen=True)
class JointShares:
    """Shares of questions by who answers them rightly; they add up to 1.

    Parameters
    ----------
    both, only_large, only_small, neither
        Shares from 0 to 1.

    Raises
    ------
    UsageError
        If a share is outside 0 to 1 or they don't add up.

    Examples
    --------
    >>> shares = JointShares(0.6, 0.2, 0.1, 0.1)
    >>> round(shares.small, 3), round(shares.large, 3), round(shares.oracle, 3)
    (0.7, 0.8, 0.9)
    """

    both: float
    only_large: float
    only_small: float
    neither: float

    def __post_init__(self) -> None:
        if min(self.values) < -_ROUNDING or not math.isclose(sum(self.values), 1, abs_tol=1e-6):
            msg = f"joint shares must be 0 or more and add up to 1, got {self.values}"
            raise UsageError(msg)

    @property
    def values(self) -> tuple[float, float, float, float]:
        """Both, only large, only small, neither."""
        return self.both, self.only_large, self.only_small, self.neither

    @property
    def small(self) -> float:
        """Accuracy of the small model."""
        return self.both + self.only_small

    @property
    def large(self) -> float:
        """Accuracy of the large model."""
        return self.both + self.only_large

    @property
    def oracle(self) -> float:
        """Accuracy if the right model answered every question."""
        return 1 - self.neither


def shares_from_both(small: float, large: float, both: float) -> JointShares:
    """Complete the four shares from two accuracies and the share both answer.

    Raises
    ------
    UsageError
        If ``both`` is outside the Fréchet bounds of the two accuracies.
    """
    low, high = frechet_bounds(small, large)
    if not low - _ROUNDING <= both <= high + _ROUNDING:
        msg = (
            f"both = {both:g} is impossible for accuracies {small:g} and {large:g}; "
            f"valid: {low:g} to {high:g}"
        )
        raise UsageError(msg)
    both = min(max(both, low), high)
    neither = max(1 - small - large + both, 0.0)
    return JointShares(both, max(large - both, 0.0), max(small - both, 0.0), neither)


def measured_shares(small_ok: ArrayLike, large_ok: ArrayLike) -> JointShares:
    """Count the four shares of two columns of 0 and 1, question by question."""
    small = np.asarray(small_ok, dtype=bool)
    large = np.asarray(large_ok, dtype=bool)
    if small.shape != large.shape or small.size == 0:
        msg = f"need two columns of one length above 0, got {small.size} and {large.size}"
        raise UsageError(msg)
    n = small.size
    return JointShares(
        float(np.count_nonzero(small & large) / n),
        float(np.count_nonzero(~small & large) / n),
        float(np.count_nonzero(small & ~large) / n),
        float(np.count_nonzero(~small & ~large) / n),
    )


def frechet_bounds(small: float, large: float) -> tuple[float, float]:
    """Return the least and largest share both can answer, whatever their dependence.

    >>> frechet_bounds(0.75, 0.5)
    (0.25, 0.5)

    Raises
    ------
    UsageError
        If an accuracy is outside 0 to 1.
    """
    for value in (small, large):
        if not 0 <= value <= 1:
            msg = f"an accuracy must be a share from 0 to 1, got {value:g}"
            raise UsageError(msg)
    high = min(small, large)
    return min(max(0.0, small + large - 1), high), high


def bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, rho: ArrayLike) -> Floats:
    """Return P(X < h, Y < k) of two standard normals with correlation ``rho``.

    Plackett's identity: the derivative by the correlation is the density at (h, k), so the
    value is Phi(h) Phi(k) plus its integral from 0, taken over the arcsine of the correlation
    with 32 Gauss-Legendre nodes (Drezner and Wesolowsky 1990).

    Parameters
    ----------
    h, k, rho
        Broadcast together; ``rho`` strictly between -1 and 1.
    """
    from scipy.special import ndtr

    h, k, rho = (np.asarray(x, dtype=np.float64) for x in (h, k, rho))
    angle = np.arcsin(rho)
    at = angle[..., None] * (_NODES + 1) / 2
    a, b = h[..., None], k[..., None]
    density = np.exp(-(a * a + b * b - 2 * a * b * np.sin(at)) / (2 * np.cos(at) ** 2))
    area = angle * (density @ _WEIGHTS) / (4 * math.pi)
    return np.asarray(ndtr(h) * ndtr(k) + area, dtype=np.float64)


def probit_gap(small: ArrayLike, large: ArrayLike) -> Floats:
    """Return how far two accuracies lie apart on the probit scale, 0 or more."""
    from scipy.special import ndtri

    return np.asarray(np.abs(ndtri(large) - ndtri(small)), dtype=np.float64)


def copula_both(small: ArrayLike, large: ArrayLike, fisher_z: ArrayLike) -> Floats:
    """Return the share both answer under a Gaussian copula.

    A question has one latent difficulty for each model, jointly normal; a model answers if its
    difficulty lies below the probit of its accuracy.

    Parameters
    ----------
    small, large
        Accuracies from 0 to 1.
    fisher_z
        Inverse hyperbolic tangent of the correlation.
    """
    from scipy.special import ndtri

    small, large = np.asarray(small, dtype=np.float64), np.asarray(large, dtype=np.float64)
    inside = (small > 0) & (small < 1) & (large > 0) & (large < 1)
    s, b = np.where(inside, small, 0.5), np.where(inside, large, 0.5)
    rho = np.tanh(np.clip(fisher_z, -_LARGEST_Z, _LARGEST_Z))
    both = np.where(inside, bivariate_normal_cdf(ndtri(s), ndtri(b), rho), small * large)
    low, high = np.maximum(0, small + large - 1), np.minimum(small, large)
    return np.asarray(np.clip(both, low, high), dtype=np.float64)


def fisher_z_of(small: float, large: float, both: float) -> float:
    """Return Fisher's z of the copula that gives exactly this share; the tetrachoric one.

    Parameters
    ----------
    small, large
        Accuracies, strictly between 0 and 1.
    both
        Share both answer. On a Fréchet bound the answer is the end of the scale, 4 or -4.
    """
    from scipy.optimize import brentq

    def off(z: float) -> float:
        return float(copula_both(small, large, z)) - both

    if off(-_LARGEST_Z) >= 0:
        return -_LARGEST_Z
    if off(_LARGEST_Z) <= 0:
        return _LARGEST_Z
    return float(brentq(off, -_LARGEST_Z, _LARGEST_Z, xtol=1e-10))
