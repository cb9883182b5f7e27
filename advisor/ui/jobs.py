"""Long runs in the background, with progress and a way to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from advisor.errors import AdvisorError

T = TypeVar("T")
AT_ONCE = 2
"""Runs side by side, over all viewers; others wait their turn."""

GRACE_S = 10.0
"""A browser that lost its connection may come back so soon."""

_slots = threading.BoundedSemaphore(AT_ONCE)


class Job(Generic[T]):
    """One run in a thread of its own.

    Parameters
    ----------
    run
        Does the work; it calls the job's :meth:`progress` and asks :attr:`stopping`.
    watched
        Whether the viewer is still there; without one for ``GRACE_S`` the run stops.
    """

    def __init__(
        self, run: Callable[[Job[T]], T], watched: Callable[[], bool] = lambda: True
    ) -> None:
        self._run = run
        self._watched = watched
        self._seen_s = time.monotonic()
        self._stop = threading.Event()
        self.result: T | None = None
        self.error: Exception | None = None
        self.share_done = 0.0
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def _work(self) -> None:
        try:
            with _slots:
                if not self.stopping():
                    self.result = self._run(self)
        except AdvisorError as error:
            self.error = error
        except Exception as error:
            self.error = error

    def progress(self, done: int, of: int) -> None:
        """Note how much is done."""
        self.share_done = min(done / max(of, 1), 1.0)

    def stopping(self) -> bool:
        """Tell whether the viewer wants no more, or has gone."""
        if self._watched():
            self._seen_s = time.monotonic()
        elif time.monotonic() - self._seen_s > GRACE_S:
            self._stop.set()
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the run to end soon, keeping what is done."""
        self._stop.set()

    @property
    def running(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Wait for the end, at most so long."""
        self._thread.join(seconds)
