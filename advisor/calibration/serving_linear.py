"""A run's mean times as straight lines in what an engine adds to kernel times.

In a closed loop without think time the order of events depends on how many steps requests
take, not on how long a step lasts. Mean TTFT and TPOT of a replayed run are therefore sums of
counted quantities times the engine's constants, and one replay a constant gives them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.calibration.serving_predict import Predicted, Run, ahead_s, predict_run
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
    token and until the first token; ``ahead_s`` kernel time of prompts that share the step.
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
    """Replay every run once for each constant of a step."""
    tpot, wait, ahead = [], [], []
    for run, _ in samples:
        plain, step, sequence = (predict_run(run, c) for c in (_PLAIN, _STEP, _SEQUENCE))
        further = ahead_s(run)
        tpot.append((plain.tpot_s, step.tpot_s - plain.tpot_s, sequence.tpot_s - plain.tpot_s))
        wait.append(
            (plain.ttft_s - further, step.ttft_s - plain.ttft_s, sequence.ttft_s - plain.ttft_s)
        )
        ahead.append(further)
    return Counted(
        tuple(run for run, _ in samples),
        np.array(tpot),
        np.array(wait),
        np.array(ahead),
        np.array([float(run.clients) for run, _ in samples]),
        np.array([m.tpot_s for _, m in samples]),
        np.array([m.ttft_s for _, m in samples]),
    )


def predict_counted(counted: Counted, costs: Sequence[EngineCost]) -> list[Predicted]:
    """Predict each run under its own costs; the same as replaying it with them."""
    found = []
    for i, cost in enumerate(costs):
        added = np.array([cost.kernel_factor, cost.per_step_s, cost.per_sequence_s])
        delay = cost.per_request_s + counted.clients[i] * cost.per_client_s
        delay += cost.kernel_factor * counted.ahead_s[i]
        wait = cost.wait_factor * float(counted.wait[i] @ added)
        found.append(Predicted(wait + delay, float(counted.tpot[i] @ added)))
    return found


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
