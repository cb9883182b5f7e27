"""What each option alone would cost at any volume: closed form, all volumes in one call.

With ``n_t = ceil(load_t)`` replicas needed in period t, keeping ``F`` all month and the rest by
the hour costs ``F a + sum_t max(n_t - F, 0) h_t b``; the best ``F`` is one of the ``n_t``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from advisor.optimizer.assemble import Question
from advisor.optimizer.options import kind_of
from advisor.optimizer.problem import SECONDS_PER_HOUR, Floats
from advisor.optimizer.result import PlanKind

WHOLE = 1e-9


class Singles:
    """Costs of plans of one option that serves everything.

    Limits are checked one by one where they concern a single option: floors and latency are in
    ``allowed``; budget and chips by ``within``.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        problem = question.problem
        whole = problem.allowed.all(axis=1)
        if problem.most_share is not None:
            whole &= (problem.most_share >= 1.0).all(axis=1)
        self._whole = np.nonzero(whole)[0]
        self._usd = lru_cache(maxsize=4096)(self._cost)

    def best(self, kind: PlanKind, factor: float) -> tuple[float, int | None, int]:
        """Return the least cost of a kind at so many times the volume.

        Returns
        -------
        usd, option, devices
            Infinite and None if no option of the kind serves everything within the limits.
        """
        best: tuple[float, int | None, int] = (np.inf, None, 0)
        for i in self._whole:
            if kind not in ("mix", kind_of([self._question.options[i]])):
                continue
            usd, devices = self._usd(int(i), factor)
            if usd < best[0]:
                best = (usd, int(i), devices)
        return best

    def every(self) -> dict[int, float]:
        """Return the cost of every option that serves everything, at the stated volume."""
        return self.every_at(1.0)

    def every_at(self, factor: float) -> dict[int, float]:
        """Return the same at so many times the volume."""
        return {int(i): self._usd(int(i), factor)[0] for i in self._whole}

    def _cost(self, option: int, factor: float) -> tuple[float, int]:
        problem = self._question.problem
        demand = problem.demand_per_s * factor
        month = demand @ problem.hours * SECONDS_PER_HOUR
        usd = float(month @ problem.usd_per_request[option])
        usd += self._charges(option)
        devices = 0
        for pool, seconds in self._question.options[option].uses:
            money, replicas = self._pool(pool, seconds @ demand)
            usd += money
            count = replicas * self._question.pools[pool].devices
            if not self._enough(pool, count):
                return np.inf, 0
            devices += count
        if self._too_weak(option):
            return np.inf, 0
        budget = self._question.facts.scenario.limits.per_month
        if budget is not None and usd > budget / self._question.facts.per_usd:
            return np.inf, 0
        return usd, devices

    def _too_weak(self, option: int) -> bool:
        """Tell whether an option misses the floor over all requests."""
        overall = self._question.facts.scenario.quality.overall
        if overall is None:
            return False
        weights = self._question.problem.requests_per_month
        mean = self._question.options[option].quality @ weights / weights.sum()
        return not mean >= overall.at_least

    def _charges(self, option: int) -> float:
        problem = self._question.problem
        due = problem.charge_index[problem.charge_option == option]
        return float(problem.charge_usd_per_month[due].sum())

    def _pool(self, pool: int, load: Floats) -> tuple[float, int]:
        problem = self._question.problem
        need = np.maximum(np.ceil(load - WHOLE), 1.0)
        fixed = float(problem.fixed_usd_per_month[pool])
        rate = float(problem.scaled_usd_per_hour[pool])
        if not np.isfinite(rate):
            return float(need.max()) * fixed, int(need.max())
        keep = np.unique(need)
        more = np.maximum(need[None, :] - keep[:, None], 0.0) @ problem.hours
        return float((keep * fixed + more * rate).min()), int(need.max())

    def _enough(self, pool: int, devices: int) -> bool:
        """Tell whether so many devices of a pool's kind may be used."""
        p = self._question.pools[pool]
        device = p.candidate.setup.device.id
        for limit in self._question.problem.limits:
            head, _, name = limit.name.partition(":")
            if name != device:
                continue
            if head == "chips" and devices > limit.value:
                return False
            if head == "owned" and p.offer.terms == "owned" and devices > limit.value:
                return False
        return True
