"""A run's mean times as straight lines in what an engine adds to kernel times.

In a closed loop without think time the order of events depends on how many steps requests
take, not on how long a step lasts. Mean TTFT and TPOT of a replayed run are therefore sums of
counted quantities times the engine's constants, and one replay a constant gives them exactly.
What delays a request outside the engine takes its client out of the batch: runs are counted at a
few shares of absent clients, and the share that a delay makes follows from the times themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.serving_predict import (
    ABSENT_SHARES,
    Predicted,
    Run,
    absent_share,
    ahead_s,
    at_share,
    decoded_tokens,
    replay_run,
)
from advisor.calibration.serving_rows import Measured
from advisor.schema.engine import EngineCost

Array = NDArray[np.float64]
Sample = tuple[Run, Measured]
_PLAIN = EngineCost()
_STEP, _SEQUENCE = EngineCost(per_step_s=1.0), EngineCost(per_sequence_s=1.0)


@dataclass(frozen=True)
class Counted:
    """Counted quantities of runs, one row each, and what was measured.

    ``tpot`` and ``wait`` hold kernel seconds, steps, and sequences of those steps, per output
    token and until the first token, for each share of clients outside the engine; ``ahead_s``
    kernel time of prompts that share the step.
    """

    runs: tuple[Run, ...]
    tpot: Array
    wait: Array
    ahead_s: Array
    clients: Array
    told_tpot_s: Array
    told_ttft_s: Array

    def take(self, chosen: NDArray[np.bool_]) -> Counted:
        """Return some of the runs."""
        return Counted(
            tuple(run for run, use in zip(self.runs, chosen, strict=True) if use),
            *(
                column[chosen]
                for column in (
                    self.tpot,
                    self.wait,
                    self.ahead_s,
                    self.clients,
                    self.told_tpot_s,
                    self.told_ttft_s,
                )
            ),
        )


def count_runs(samples: Sequence[Sample]) -> Counted:
    """Replay every run once for each constant of a step and each share of absent clients."""
    ahead = [ahead_s(run) for run, _ in samples]
    counts = np.array([[_counts(run, share) for share in ABSENT_SHARES] for run, _ in samples])
    wait = counts[..., 1]
    wait[..., 0] -= np.array(ahead)[:, None]
    return Counted(
        tuple(run for run, _ in samples),
        counts[..., 0],
        wait,
        np.array(ahead),
        np.array([float(run.clients) for run, _ in samples]),
        np.array([m.tpot_s for _, m in samples]),
        np.array([m.ttft_s for _, m in samples]),
    )


def _counts(run: Run, share: float) -> Array:
    """Return kernel seconds, steps and sequences, each of TPOT and of TTFT."""
    plain, step, sequence = (replay_run(run, c, share) for c in (_PLAIN, _STEP, _SEQUENCE))
    base = np.array([plain.tpot_s, plain.ttft_s])
    return np.array([base, *(np.array([p.tpot_s, p.ttft_s]) - base for p in (step, sequence))])


@dataclass(frozen=True)
class Constants:
    """Constants of each run as columns."""

    steps: Array
    wait_factor: Array
    per_request_s: Array
    per_client_s: Array

    @classmethod
    def of(cls, costs: Sequence[EngineCost]) -> Constants:
        """Return those of one cost a run."""
        steps = [(c.kernel_factor, c.per_step_s, c.per_sequence_s) for c in costs]
        delays = [(c.wait_factor, c.per_request_s, c.per_client_s) for c in costs]
        return cls(np.array(steps), *np.array(delays).T)


def shares_of(counted: Counted, constants: Constants) -> Array:
    """Return the share of its cycle that each run's clients are outside the engine."""
    delays = constants.per_request_s + counted.clients * constants.per_client_s
    tpots = (counted.tpot * constants.steps[:, None, :]).sum(2)
    ttfts = _ttfts(counted, constants, (counted.wait * constants.steps[:, None, :]).sum(2).T).T
    tokens = np.array([decoded_tokens(run.row) for run in counted.runs])
    return absent_share(delays, ttfts, tpots, tokens)


def _ttfts(counted: Counted, constants: Constants, wait: Array) -> Array:
    delays = constants.per_request_s + counted.clients * constants.per_client_s
    delays = delays + constants.steps[:, 0] * counted.ahead_s
    return np.asarray(constants.wait_factor * wait + delays)


def predict_counted(counted: Counted, costs: Sequence[EngineCost]) -> list[Predicted]:
    """Predict each run under its own costs; the same as replaying it with them."""
    constants = Constants.of(costs)
    share = shares_of(counted, constants)
    tpots = (at_share(counted.tpot, share) * constants.steps).sum(1)
    wait = (at_share(counted.wait, share) * constants.steps).sum(1)
    ttfts = _ttfts(counted, constants, wait)
    return [Predicted(float(f), float(t)) for f, t in zip(ttfts, tpots, strict=True)]


def log_residuals(counted: Counted, predicted: Sequence[Predicted]) -> Array:
    """Return log(measured / predicted) of TPOT, TTFT and throughput, one row a run."""
    ours = np.array([(p.tpot_s, p.ttft_s) for p in predicted])
    steps = np.array([run.row.osl - 1.0 for run in counted.runs])
    told = counted.told_ttft_s + steps * counted.told_tpot_s
    return np.column_stack(
        [
            np.log(counted.told_tpot_s / ours[:, 0]),
            np.log(counted.told_ttft_s / ours[:, 1]),
            np.log((ours[:, 1] + steps * ours[:, 0]) / told),
        ]
    )
