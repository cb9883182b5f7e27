"""Robust fits of the functions of :mod:`advisor.perf` to kernel measurements.

Residuals are logarithms of measured over predicted under a soft-L1 loss: kernels of a badly
tuned shape are outliers, not evidence. Measurements are thinned so that every doubling of
the row count weighs alike. What is fitted is defined in
:mod:`advisor.calibration.kernel_models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.kernel_tables import Array, optional_module

T = TypeVar("T")

MAX_ROWS = 2500
LOSS_SCALE = 0.1
"""Log residual beyond which a measurement counts as an outlier."""

FOLDS = 5
NEEDED_GAIN = 0.02


@dataclass(frozen=True)
class Sample:
    """Measurements of one kernel kind.

    Parameters
    ----------
    inputs
        Arguments of the model, one array each, rates already divided out.
    seconds
        Measured times.
    group
        Number of the shape; a shape is left out as a whole.
    spread
        Quantity whose logarithm should be evenly represented, usually rows.
    """

    inputs: tuple[Array, ...]
    seconds: Array
    group: NDArray[np.int64]
    spread: Array

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Sample:
        """Return the chosen measurements."""
        inputs = tuple(column[chosen] for column in self.inputs)
        return Sample(inputs, self.seconds[chosen], self.group[chosen], self.spread[chosen])


@dataclass(frozen=True)
class Fit(Generic[T]):
    """Fitted constants and the median relative errors they leave.

    ``held_out`` is on shapes left out of the fit, ``in_sample`` on those in it.
    """

    constants: T
    in_sample: float
    held_out: float
    rows: int


@dataclass(frozen=True)
class Kernel(Generic[T]):
    """A kernel model: ``seconds(constants, inputs)``, and how numbers become constants.

    ``lowest``, ``start`` and ``highest`` bound the free numbers.
    """

    build: Callable[[Array], T]
    seconds: Callable[[T, tuple[Array, ...]], Array]
    lowest: tuple[float, ...]
    start: tuple[float, ...]
    highest: tuple[float, ...]


def join(samples: Iterable[Sample]) -> Sample:
    """Put the samples of several devices together."""
    parts = list(samples)
    width = len(parts[0].inputs)
    inputs = tuple(np.concatenate([part.inputs[i] for part in parts]) for i in range(width))
    return Sample(
        inputs,
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.spread for part in parts]),
    )


def thin(sample: Sample, most: int = MAX_ROWS, seed: int = 0) -> Sample:
    """Draw at most ``most`` measurements, every doubling of ``spread`` equally likely."""
    if sample.seconds.size <= most:
        return sample
    doubling = np.round(np.log2(np.maximum(sample.spread, 1.0))).astype(int)
    share = 1.0 / np.bincount(doubling)[doubling]
    rng = np.random.default_rng(seed)
    chosen = rng.choice(sample.seconds.size, size=most, replace=False, p=share / share.sum())
    return sample.take(np.sort(chosen))


def fit_constants(kernel: Kernel[T], sample: Sample) -> T:
    """Find the constants with the least soft-L1 cost of log residuals.

    Raises
    ------
    MissingDataError
        If SciPy isn't installed.
    """
    least_squares = optional_module("scipy.optimize").least_squares
    measured = np.log(sample.seconds)

    def residuals(logs: Array) -> Array:
        predicted = kernel.seconds(kernel.build(np.exp(logs)), sample.inputs)
        return np.asarray(np.log(predicted) - measured)

    bounds = (np.log(kernel.lowest), np.log(kernel.highest))
    found = least_squares(
        residuals, np.log(kernel.start), bounds=bounds, loss="soft_l1", f_scale=LOSS_SCALE
    )
    return kernel.build(np.exp(found.x))


def relative_errors(kernel: Kernel[T], constants: T, sample: Sample) -> Array:
    """Return ``|predicted / measured - 1|`` of every measurement."""
    return np.abs(kernel.seconds(constants, sample.inputs) / sample.seconds - 1.0)


def fit_kernel(kernels: Sequence[Kernel[T]], sample: Sample) -> Fit[T]:
    """Fit each variant, keep the first that is as good as the best on left-out shapes.

    Variants come simplest first; a later one must gain more than ``NEEDED_GAIN``.
    """
    few = thin(sample)
    errors = [_held_out_errors(kernel, few) for kernel in kernels]
    costs = np.array([np.mean(np.log1p(each)) for each in errors])
    best = int(np.argmax(costs <= (1.0 + NEEDED_GAIN) * costs.min()))
    constants = fit_constants(kernels[best], few)
    inside = relative_errors(kernels[best], constants, few)
    return Fit(
        constants, float(np.median(inside)), float(np.median(errors[best])), few.seconds.size
    )


def _held_out_errors(kernel: Kernel[T], sample: Sample) -> Array:
    fold = np.unique(sample.group, return_inverse=True)[1] * 7919 % FOLDS
    parts = []
    for number in range(FOLDS):
        outside, inside = sample.take(fold == number), sample.take(fold != number)
        if outside.seconds.size and inside.seconds.size:
            parts.append(relative_errors(kernel, fit_constants(kernel, inside), outside))
    return np.concatenate(parts) if parts else np.array([np.nan])
