"""What is measured with NumPy alone: reading memory, multiplying matrices, unpacking, waiting.

Arrays are filled with zeros or ones: no data can change the speed of these operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from advisor.bench.timing import Sample, Stopwatch

UNPACK_ROWS, UNPACK_COLUMNS = 256, 4096
FIRST_SIDE = 256
"""Smallest matrix tried; the side doubles until one product fills a value's time."""


def thread_counts(most: int) -> list[int]:
    """Return the numbers of threads to try: powers of two, and all.

    >>> thread_counts(6), thread_counts(1)
    ([1, 2, 4, 6], [1])
    """
    found = []
    n = 1
    while n < most:
        found.append(n)
        n *= 2
    return [*found, most]


def _read(part: NDArray[np.int64]) -> object:
    return np.bitwise_or.reduce(part)


def _fill(part: NDArray[np.int64]) -> None:
    part.fill(1)


def read_rates(watch: Stopwatch, size_bytes: int, threads: Sequence[int]) -> dict[int, Sample]:
    """Return the rate of streaming reads, bytes/s, by number of threads.

    Each thread reads its own part of an array that no cache holds; or-ing words together is
    the cheapest NumPy operation that has to read all of them, and runs without the GIL.
    """
    data = np.empty(size_bytes // 8, np.int64)
    found: dict[int, Sample] = {}
    most = max(threads)
    with ThreadPoolExecutor(most) as pool:
        # Memory belongs to the socket of the thread that first writes it.
        list(pool.map(_fill, np.array_split(data, most)))
    for n in threads:
        parts = np.array_split(data, n)
        with ThreadPoolExecutor(n) as pool:
            found[n] = watch.rates(_reader(pool, parts), data.nbytes)
    return found


def _reader(pool: ThreadPoolExecutor, parts: list[NDArray[np.int64]]) -> Callable[[], object]:
    return lambda: list(pool.map(_read, parts))


def best(samples: dict[int, Sample]) -> int:
    """Return the key whose median is highest."""
    return max(samples, key=lambda n: samples[n].median)


def grow(
    watch: Stopwatch, product: Callable[[int], Callable[[], object]], largest_side: int
) -> Sample:
    """Return the rate of the fastest square product, operations/s.

    Parameters
    ----------
    watch
        Repeats and clock.
    product
        Side → a call that multiplies two square matrices of that side.
    largest_side
        Beyond it the matrices would outgrow memory.
    """
    side, rates = FIRST_SIDE, {}
    while side <= largest_side:
        work = product(side)
        watch.once(work)
        taken = watch.once(work)
        rates[side] = 2.0 * side**3 / taken
        if taken > watch.least_s:
            break
        side *= 2
    fastest = max(rates, key=lambda n: rates[n])
    return watch.rates(product(fastest), 2.0 * fastest**3)


def largest_side(memory_bytes: float, element_bytes: int = 4) -> int:
    """Return the side of three square matrices that fill a sixteenth of memory, at least 256."""
    return max(int((memory_bytes / 16 / 3 / element_bytes) ** 0.5), FIRST_SIDE)


def float32_product(side: int) -> Callable[[], object]:
    """Return a call that multiplies two float32 matrices with NumPy's BLAS."""
    a, b, out = (np.ones((side, side), np.float32) for _ in range(3))
    return lambda: np.matmul(a, b, out=out)


def unpack_rate(watch: Stopwatch) -> Sample:
    """Return the rate at which one thread unpacks 4-bit weights and multiplies them, weights/s.

    Two weights a byte, one scale a row, times a vector. Compiled kernels unpack in registers
    and are several times faster: a lower bound.
    """
    packed = np.full((UNPACK_ROWS, UNPACK_COLUMNS // 2), 0x5A, np.uint8)
    scale = np.ones(UNPACK_ROWS, np.float32)
    vector = np.ones(UNPACK_COLUMNS, np.float32)
    weights = np.empty((UNPACK_ROWS, UNPACK_COLUMNS), np.float32)

    def work() -> object:
        np.subtract(packed & 15, 8, out=weights[:, ::2], dtype=np.float32)
        np.subtract(packed >> 4, 8, out=weights[:, 1::2], dtype=np.float32)
        # Not through BLAS, which would use all threads.
        return np.einsum("ij,j->i", weights, vector) * scale

    return watch.rates(work, weights.size)


def round_trip_s(watch: Stopwatch, threads: int) -> Sample:
    """Return how long it takes to hand nothing to each of so many threads and wait, seconds."""
    with ThreadPoolExecutor(threads) as pool:
        return watch.times(lambda: list(pool.map(_nothing, range(threads))))


def _nothing(_: int) -> None:
    """Do nothing."""
