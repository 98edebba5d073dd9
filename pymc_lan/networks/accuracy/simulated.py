"""Accuracy of a network of which nothing but a simulator is known: against fresh trials of held-out parameter sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count, explain
from pymc_lan.models.model import Model, shift
from pymc_lan.models.simulator.lognormal import SHORTEST
from pymc_lan.models.simulator.run import draw_sets, draw_trials_of_sets
from pymc_lan.networks.accuracy import classifier
from pymc_lan.networks.config import rounded
from pymc_lan.networks.network import Network, check_network
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]

# Bins of each choice hold about the same number of trials, and no fewer than this.
BINS, LEAST = 40, 25
# Nodes of the density's integral, and decision time after which nothing counts [s].
NODES, LATEST = 8000, 1e4


def accuracy_from_simulations(
    network: Network, *, n_sets: int = 50, n_trials: int = 100_000, n_shown: int = 400, seed: int = 0
) -> dict[str, Any]:
    """Measure a network against fresh trials of its simulator.

    For each of some parameter sets, uniform over the bounds, trials are counted in bins of choice and time, and
    compared with the network's probabilities of the bins: the Kullback-Leibler divergence in nats, less what it would
    be on average if the network were right, (bins - 1) / (2 trials). And a classifier that sees parameters, log
    decision time and response is asked which trials are the simulator's and which are drawn from the network.

    Parameters
    ----------
    network : Network
        Of a model with a simulator.
    n_sets, n_trials : int
        Parameter sets, and trials of each.
    n_shown : int
        Trials of each set, from the simulator and from the network, that the classifier is shown.
    seed : int

    Returns
    -------
    dict
        ``simulations`` (median, p95 and max of the divergence), ``mass`` (median and p99 of the distance from 1 of the
        density's integral, plus the probability of no response), ``omission`` (mean and max of the absolute error of
        that probability; None without), ``c2st`` (what `pymc_lan.networks.accuracy.classifier.classifier_test` returns;
        None without scikit-learn: ``pip install 'pymc-lan[c2st]'``), ``log_odds`` (of responses alone: mean and max of
        the absolute error of the log odds of each choice, among those of which `LEAST` trials or more had it and as
        many had not; chance alone brings a mean of ``log_odds_chance``), ``flop``, ``n_sets``, ``n_trials``, ``seed``.

    Raises
    ------
    ValueError
        If the model has no simulator; for numbers of sets or trials, or a seed, that are none.
    """
    check_network(network)
    spec, seed = network.spec, check_count("seed", seed, 0)
    n_sets, n_trials = check_count("n_sets", n_sets), check_count("n_trials", n_trials)
    n_shown = check_count("n_shown", n_shown)
    if spec.simulator is None:
        raise ValueError(
            explain(
                "a model with a simulator", f"{spec.name!r} without one", "load the network with spec=..., your own"
            )
        )
    if not spec.times:
        return _accuracy_of_responses(network, n_sets, n_trials, seed)
    rng = np.random.default_rng([seed, 4])
    theta = draw_sets(spec, rng, n_sets)
    rows, shown = [], []
    for number, row in enumerate(theta):
        rt, response = (x[0] for x in draw_trials_of_sets(spec, row[None], n_trials, [seed, 5, number]))
        each = dict(zip(spec.names, row, strict=True))
        density = _probabilities(network, each)
        rows.append(_compare(spec, each, density, rt, response))
        some = min(n_shown, n_trials)
        log_d = _log_decision(spec, each, rt[:some])
        simulated = log_d, np.where(np.isnan(log_d), np.nan, response[:some])
        drawn = _draw(spec, density, rng, some)
        shown.append([classifier.features(row, *trials) for trials in (simulated, drawn)])
    kl, mass, omission = np.array(rows).T
    return {
        "simulations": _quantiles(kl),
        "mass": {"p50": rounded(np.median(mass)), "p99": rounded(np.quantile(mass, 0.99))},
        "omission": {"mean": rounded(omission.mean()), "max": rounded(omission.max())} if spec.omissions else None,
        "c2st": _tell_apart(shown, seed),
        "flop": {"lan": network.lan.flop, "choice": network.choice.flop if network.choice is not None else None},
        "n_sets": n_sets,
        "n_trials": n_trials,
        "seed": seed,
    }


def _accuracy_of_responses(network: Network, n_sets: int, n_trials: int, seed: int) -> dict[str, Any]:
    """Errors of the choice probabilities of a model of responses alone, whose total is always one."""
    spec, rng = network.spec, np.random.default_rng([seed, 4])
    theta = draw_sets(spec, rng, n_sets)
    _, response = draw_trials_of_sets(spec, theta, n_trials, [seed, 5])
    found = np.stack([np.mean(response == code, axis=1) for code in spec.choices], axis=1)
    p = network.probabilities(**dict(zip(spec.names, theta.T, strict=True)))
    some = found > 0
    each = np.where(some, found * np.log(np.where(some, found, 1) / p), 0.0)
    kl = each.sum(axis=1) - (some.sum(axis=1) - 1) / (2 * n_trials)
    counted = n_trials * np.minimum(found, 1 - found) >= LEAST
    error = np.abs(np.log(found[counted] / (1 - found[counted])) - np.log(p[counted] / (1 - p[counted])))
    # That of a normal error of the standard deviation that the count of a binomial has.
    chance = np.sqrt(2 / np.pi / (n_trials * found[counted] * (1 - found[counted])))
    return {
        "simulations": _quantiles(kl),
        "log_odds": {"mean": rounded(error.mean()), "max": rounded(error.max())} if counted.any() else None,
        "log_odds_chance": rounded(chance.mean()) if counted.any() else None,
        "flop": {"lan": network.lan.flop},
        "n_sets": n_sets,
        "n_trials": n_trials,
        "seed": seed,
    }


def _quantiles(kl: Float) -> dict[str, float]:
    return {"median": rounded(np.median(kl)), "p95": rounded(np.quantile(kl, 0.95)), "max": rounded(kl.max())}


class _Probabilities(NamedTuple):
    """Of one parameter set: by choice, the probability of an earlier decision at each node; and that of none."""

    log_d: Float
    below: list[Float]
    none: float


def _probabilities(network: Network, theta: dict[str, float]) -> _Probabilities:
    spec, log_d = network.spec, np.linspace(np.log(SHORTEST), np.log(LATEST), NODES)
    d = np.exp(log_d)
    each = {name: np.full_like(d, x) for name, x in theta.items()}
    below = []
    for code in spec.choices:
        log_f = network.likelihood.log_density(NUMPY, shift(spec, each) + d, np.full_like(d, code), each)
        density = np.exp(log_f + log_d)
        below.append(np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(log_d))]))
    none = float(np.exp(network.likelihood.log_go(NUMPY, np.inf, theta)[1])) if spec.omissions else 0.0
    return _Probabilities(log_d, below, none)


def _compare(
    spec: Model, theta: dict[str, float], density: _Probabilities, rt: Float, response: Float
) -> tuple[float, float, float]:
    """Divergence, distance of the mass from 1, and error of the probability of no response, of one set."""
    n = len(rt)
    counts, masses = [], []
    for code, below in zip(spec.choices, density.below, strict=True):
        d = np.sort(rt[np.isfinite(rt) & (response == code)]) - shift(spec, theta)
        bins = max(min(BINS, len(d) // LEAST), 1)
        # Times that come in steps give limits that repeat.
        inner = np.unique(d[np.arange(1, bins) * len(d) // bins])
        counts.append(np.diff(np.concatenate([[0], np.searchsorted(d, inner), [len(d)]])))
        ends = np.interp(np.log([*inner, LATEST]), density.log_d, below)
        masses.append(np.diff(np.concatenate([[0.0], ends])))
    error = 0.0
    if spec.omissions:
        none = np.sum(~np.isfinite(rt))
        counts.append(np.array([none]))
        masses.append(np.array([density.none]))
        error = abs(density.none - none / n)
    found, expected = np.concatenate(counts) / n, np.concatenate(masses)
    some, total = found > 0, expected.sum()
    kl = float(np.sum(found[some] * np.log(found[some] * total / expected[some])))
    return kl - (some.sum() - 1) / (2 * n), abs(total - 1), error


def _log_decision(spec: Model, theta: dict[str, float], rt: Float) -> Float:
    """Log decision times; NaN of trials without a response."""
    d = np.where(np.isfinite(rt), rt - shift(spec, theta), np.nan)
    return np.log(np.maximum(d, SHORTEST))


def _tell_apart(shown: list[list[Float]], seed: int) -> dict[str, float] | None:
    if not classifier.available():
        return None
    simulated, drawn = (np.concatenate(x) for x in zip(*shown, strict=True))
    return {name: rounded(x) for name, x in classifier.classifier_test(simulated, drawn, seed=seed).items()}


def _draw(spec: Model, density: _Probabilities, rng: np.random.Generator, n: int) -> tuple[Float, Float]:
    """Log decision times and responses of the network, NaN where there is none: its probabilities inverted."""
    masses = np.array([*(below[-1] for below in density.below), density.none])
    which = rng.choice(len(masses), n, p=masses / masses.sum())
    log_d, response = np.full(n, np.nan), np.append(np.asarray(spec.choices, float), np.nan)[which]
    for i, below in enumerate(density.below):
        mine = which == i
        log_d[mine] = np.interp(rng.random(mine.sum()) * below[-1], below, density.log_d)
    return log_d, response
