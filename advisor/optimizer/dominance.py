"""Options that another one replaces without loss, whatever else the plan holds."""

from __future__ import annotations

import numpy as np

from advisor.optimizer.problem import Bools, Floats, MixProblem


def undominated(problem: MixProblem) -> Bools:
    """``(O,)`` options worth offering: for each one left out another is no worse in anything.

    An option of one pool may be left out if nothing else uses that pool (spare replicas of a
    shared one cost nothing more) and another pool's replicas cost no more, take no longer in
    each class, serve every class it serves, need no further charge, and take no more of any
    limit. Of equals the first stays.
    """
    options = len(problem.options)
    keep = np.ones(options, dtype=bool)
    uses = np.bincount(problem.use_option, minlength=options)
    users = np.bincount(problem.use_pool, minlength=len(problem.pools))
    at = [int(u) for u in np.nonzero(uses[problem.use_option] == 1)[0]]
    if not at:
        return keep
    table = np.array([_worth(problem, u) for u in at])
    lonely = users[problem.use_pool[at]] == 1
    for j, u in enumerate(at):
        if not lonely[j]:
            continue
        no_worse = (table <= table[j]).all(axis=1)
        better = no_worse & ((table < table[j]).any(axis=1) | (np.arange(len(at)) < j))
        better[j] = False
        keep[problem.use_option[u]] = not better.any()
    return keep


def _worth(problem: MixProblem, use: int) -> Floats:
    """Return what an option of one pool takes, all of which should be small."""
    o, p = problem.use_option[use], problem.use_pool[use]
    allowed = problem.allowed[o]
    charges = np.zeros(len(problem.charge_usd_per_month))
    charges[problem.charge_index[problem.charge_option == o]] = 1.0
    limits = [
        part
        for limit in problem.limits
        for sign in (1.0 if limit.sense == "at-most" else -1.0,)
        for part in (
            sign * limit.per_request[o] if limit.per_request.size else np.zeros(0),
            limit.per_fixed[[p]] if limit.per_fixed.size else np.zeros(0),
            limit.per_scaled[[p]] if limit.per_scaled.size else np.zeros(0),
        )
    ]
    return np.concatenate(
        [
            problem.fixed_usd_per_month[[p]],
            problem.scaled_usd_per_hour[[p]],
            np.where(allowed, problem.use_s[use], np.inf),
            np.where(allowed, problem.usd_per_request[o], np.inf),
            charges,
            -problem.most_share[o] if problem.most_share is not None else np.zeros(0),
            *limits,
        ]
    )
