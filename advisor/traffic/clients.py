"""Unlike clients superposed: Zipf shares, each with its own burstiness and lengths.

Method: ServeGen (arXiv 2505.09999); input and output factors are independent here, where its
code draws both from one number.
"""

from __future__ import annotations

import numpy as np

from advisor.errors import UsageError
from advisor.schema.traffic import Floats, Ints
from advisor.schema.traffic_facts import ClientMix
from advisor.schema.workload import DEFAULT_DURATION_S, Workload
from advisor.traffic.facts import get_client_mix
from advisor.traffic.gaps import Gaps, arrivals_until, gaps_of_cv
from advisor.traffic.rate import Rate

_MOST_TRIES = 60


def zipf_shares(mix: ClientMix) -> Floats:
    """Return the clients' shares of the load, largest first."""
    weights = np.arange(1, mix.clients + 1) ** -mix.zipf_exponent
    return np.asarray(weights / weights.sum())


def length_factors(log_sd: float, shares: Floats, rng: np.random.Generator) -> Floats:
    """Return lognormal factors on the clients' mean lengths, with a mean of 1 over the load."""
    factors = np.exp(log_sd * rng.standard_normal(len(shares)))
    return np.asarray(factors / (shares @ factors))


def client_arrivals(
    workload: Workload, rate: Rate, sessions: int | None, seed: np.random.SeedSequence
) -> tuple[Floats, float, tuple[Floats, Floats]]:
    """Draw the arrivals of all clients of a mix.

    Parameters
    ----------
    workload, rate
        Duration and mix; rate of all clients together.
    sessions
        How many arrivals; None: those of the duration.
    seed
        Of everything drawn here.

    Returns
    -------
    Times, end of the run, and per arrival the client's factors on prompts and answers.

    Raises
    ------
    UnknownNameError
        If the mix is unknown.
    """
    assert workload.client_mix is not None
    mix = get_client_mix(workload.client_mix)
    shares = zipf_shares(mix)
    traits, streams = seed.spawn(2)
    rng = np.random.default_rng(traits)
    cvs = np.interp(rng.random(mix.clients), mix.cv_probabilities, mix.cv)
    gamma = rng.random(mix.clients) < mix.gamma_share
    laws: list[Gaps] = [
        gaps_of_cv("gamma" if is_gamma else "weibull", float(cv))
        for cv, is_gamma in zip(cvs, gamma, strict=True)
    ]
    factors = [length_factors(sd, shares, rng) for sd in (mix.input_log_sd, mix.output_log_sd)]
    seeds = [client.spawn(2) for client in streams.spawn(mix.clients)]
    if sessions is None:
        horizon = workload.duration_s or DEFAULT_DURATION_S
        clock = rate.until(horizon)
        end = float(np.interp(horizon, clock.times_s, clock.mass))
        mass, client = _superpose(laws, shares, end, seeds)
        times = clock.time_s(mass)
    else:
        mass, client = _enough(laws, shares, sessions + 1, seeds)
        times = rate.holding(float(mass[-1])).time_s(mass)
        times, horizon, client = times[:-1], float(times[-1]), client[:-1]
    return times, horizon, (factors[0][client], factors[1][client])


def _superpose(
    laws: list[Gaps], shares: Floats, end: float, seeds: list[list[np.random.SeedSequence]]
) -> tuple[Floats, Ints]:
    parts, owners = [], []
    for number, (law, share, (rest, first)) in enumerate(zip(laws, shares, seeds, strict=True)):
        mine = arrivals_until(
            law, end * share, np.random.default_rng(rest), np.random.default_rng(first)
        )
        parts.append(mine / share)
        owners.append(np.full(len(mine), number))
    mass = np.concatenate(parts)
    order = np.argsort(mass, kind="stable")
    return mass[order], np.concatenate(owners)[order]


def _enough(
    laws: list[Gaps], shares: Floats, count: int, seeds: list[list[np.random.SeedSequence]]
) -> tuple[Floats, Ints]:
    end = float(count)
    for _ in range(_MOST_TRIES):
        mass, client = _superpose(laws, shares, end, seeds)
        if len(mass) >= count:
            return mass[:count], client[:count]
        end *= 1.5
    msg = f"workload: client_mix sends too little to reach {count} requests"
    raise UsageError(msg)
