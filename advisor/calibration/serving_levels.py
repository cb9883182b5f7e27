"""Constants shared between engines, eras and kinds of model: partial pooling in logarithms.

A measured time is a sum of terms, each a counted quantity times a constant. The logarithm of a
constant is that of its base plus a deviation on each of its levels (all runs, the engine, its
era, its kind of model), every deviation drawn from a normal distribution of known width.
Deviations that many groups agree on are learnt; what a single group says is mostly left to its
scatter (Gelman, Hill, Data Analysis Using Regression and Multilevel Models, 2007, chapter 12).
Where nothing was measured the deviation is zero, so that the constant of an engine nobody
measured is the mean of those measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = Mapping[str, str]
"""Value of each level for one run, such as ``{"engine": "vllm", "era": "vllm-2026"}``."""

ROUNDS = 40
LARGEST_STEP = 0.5
CLOSE = 1e-4


@dataclass(frozen=True)
class Term:
    """One column of a sum: its constant's base, and the width of its deviations by level."""

    name: str
    base: float
    levels: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Levels:
    """Fitted deviations by (term, level, value)."""

    terms: tuple[Term, ...]
    deviations: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def constants(self, labels: Labels) -> Array:
        """Return the constant of every term for a run with these labels."""
        return np.array([self._constant(term, labels) for term in self.terms])

    def _constant(self, term: Term, labels: Labels) -> float:
        logs = (self.deviations.get((term.name, n, labels.get(n, "")), 0.0) for n, _ in term.levels)
        return float(term.base * np.exp(sum(logs)))


@dataclass(frozen=True)
class _Design:
    """Which deviation moves which term of which run."""

    names: list[tuple[str, str, str]]
    term: NDArray[np.int64]
    on: Array
    width: Array


def _design(x: Array, labels: Sequence[Labels], terms: Sequence[Term]) -> _Design:
    names, term, on, width = [], [], [], []
    for column, t in enumerate(terms):
        for level, sigma in t.levels:
            values = np.array([one.get(level, "") for one in labels])
            for value in sorted(set(values)):
                here = values == value
                if np.any(x[here, column]):
                    names.append((t.name, level, str(value)))
                    term.append(column)
                    on.append(here.astype(float))
                    width.append(sigma)
    return _Design(names, np.array(term), np.array(on).T, np.array(width))


def fit_levels(
    x: Array,
    seconds: Array,
    labels: Sequence[Labels],
    terms: Sequence[Term],
    weights: Array,
    scale: float,
) -> Levels:
    """Fit the deviations: soft-L1 loss of log residuals plus the squared scaled deviations.

    Parameters
    ----------
    x
        Counted quantities, one row a run and one column a term.
    seconds
        Measured times.
    labels
        Levels of every run.
    terms
        What the columns are.
    weights
        Observations each run counts for.
    scale
        Log residual below which the loss is quadratic; also the scatter of one observation.
    """
    design = _design(x, labels, terms)
    base, told = np.array([t.base for t in terms]), np.log(seconds)
    u = np.zeros(len(design.names))
    for _ in range(ROUNDS):
        parts = x * base * np.exp(_logs(design, u, len(terms)))
        total = parts.sum(1)
        off = (np.log(total) - told) / scale
        # Weights of the soft-L1 loss 2 (sqrt(1 + r^2) - 1), held while one step is solved.
        w = weights / np.sqrt(1.0 + off * off)
        slopes = (parts / total[:, None])[:, design.term] * design.on / scale
        pull = 1.0 / design.width**2
        normal = (slopes * w[:, None]).T @ slopes + np.diag(pull)
        step = np.linalg.solve(normal, slopes.T @ (w * off) + pull * u)
        u = u - np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < CLOSE:
            break
    return Levels(tuple(terms), dict(zip(design.names, (float(v) for v in u), strict=True)))


def _logs(design: _Design, u: Array, terms: int) -> Array:
    logs = np.zeros((len(design.on), terms))
    for column in range(terms):
        chosen = design.term == column
        logs[:, column] = design.on[:, chosen] @ u[chosen]
    return logs
