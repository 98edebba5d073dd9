"""Accuracy of a network, by one definition for tests, cards and the command line.

Parameters are uniform over the registered bounds, one trial each from the model (eight each where the density has to be
solved for, 32 of a race), 5 ms < rt - t (the earliest t, where it varies) and rt < 20 s; an error is log f(network) -
log f(exact).
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.errors import check_count
from pymc_lan.models.imported import Imported
from pymc_lan.models.labels import Labels
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model, require_labels, require_views
from pymc_lan.models.perception.oddity import OddityInAPlane
from pymc_lan.models.proposals import draw_theta
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.accuracy.answers import accuracy_of_answers
from pymc_lan.networks.accuracy.simulated import accuracy_from_simulations
from pymc_lan.networks.config import rounded
from pymc_lan.networks.network import Network, check_network
from pymc_lan.numerics.even import share_at
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]

EARLIEST, LATEST = 5e-3, 20.0
# Probabilities below this are not measured: no data set can tell them from zero.
SMALLEST_P = 1e-4
# Parameter sets whose integrals are in memory at once.
MASS_BLOCK = 100
# Gradients smaller than this have no meaningful relative error.
SMALLEST_GRADIENT = 0.1


def accuracy(network: Network, *, n: int | None = None, n_mass: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Measure a network against exact labels or, where a simulator is all that is known, against its trials.

    Parameters
    ----------
    network : Network
        That of a simulator has to know it: load it with ``spec=``.
    n : int, optional
        Trials, by default 60,000; with a simulator, trials of each parameter set, by default 100,000; of the oddity
        task, trials of each task, by default ten million.
    n_mass : int, optional
        Parameter sets over which the density is integrated, by default 1,000, 200 of a race; with a simulator, those
        that are simulated, by default 50; of the oddity task, tasks that are simulated, by default 200.
    seed : int

    Returns
    -------
    dict
        With a simulator, that of `pymc_lan.diagnostics.accuracy_from_simulations`; of the oddity task, ``answers`` and
        ``labels`` (mean and max of the absolute error of the log odds of a right answer against simulated trials, and
        against exact probabilities); else
        ``lan`` (mean, median, p95, p99 and max of the absolute error in nats, bias as the mean of minus the error),
        ``mass`` (p50 and p99 of its distance from 1), ``gradient`` (relative error by parameter: median, p99),
        ``choice`` (mean, p99 and max of the absolute error in both log probabilities; without deadlines alone of a CPN,
        None without that network and of an OPN),
        ``flop`` (per trial and forward pass), ``dropped`` (share of parameter sets that no solver labelled accurately
        enough), and ``n``, ``n_mass``, ``seed``. Where the density has no
        closed form, ``gradient`` compares central differences.

    Raises
    ------
    ValueError
        For what is no network, numbers of trials or sets that are none, a seed that is none.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> report = pl.diagnostics.accuracy(pl.load_network("ddm"), n=2000, n_mass=20)
    >>> report["lan"]["mean"] < 0.002
    True
    """
    check_network(network)
    n = None if n is None else check_count("n", n)
    n_mass = None if n_mass is None else check_count("n_mass", n_mass)
    return measure(network.spec, network, n, n_mass, check_count("seed", seed, 0))


@singledispatch
def measure(model: Model, network: Network, n: int | None, n_mass: int | None, seed: int) -> dict[str, Any]:
    """Measure a network against what is known of its model; see `accuracy`."""
    labels = require_labels(model)
    n, n_mass = n or 60_000, n_mass or labels.n_mass
    rng = np.random.default_rng(seed)
    trials = labels.model_trials(rng, n)
    t = draw_theta(model, rng, trials.d.size, with_t=True)["t"]
    kept = (trials.d - model.earliest(trials.theta) > EARLIEST) & (t + trials.d < LATEST)
    theta = {name: x[kept] for name, x in (trials.theta | {"t": t}).items()}
    rt, response = (t + trials.d)[kept], trials.response[kept]
    error = network.likelihood.log_density(NUMPY, rt, response, theta) - trials.label[kept]
    return {
        "lan": _summary(error) | {"median": rounded(np.median(np.abs(error))), "bias": rounded(-error.mean())},
        "mass": _mass(network, labels, rng, n_mass),
        "gradient": _gradient(network, theta, rt, response)
        if labels.closed
        else _solved_gradient(network, labels, rng),
        "choice": _choice(network, labels, rng, n),
        **_survivor(network, labels, rng, n),
        "flop": {"choice": None} | {key: mlp.flop for key, mlp in network.networks.items()},
        "n": int(rt.size),
        "n_mass": n_mass,
        "dropped": rounded(trials.dropped),
        "seed": seed,
    }


@measure.register
def _by_simulations(model: Simulated, network: Network, n: int | None, n_mass: int | None, seed: int) -> dict[str, Any]:
    sizes = {"n_trials": n, "n_sets": n_mass}
    given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    return accuracy_from_simulations(network, seed=seed, **given)


@measure.register
def _by_answers(
    model: OddityInAPlane, network: Network, n: int | None, n_mass: int | None, seed: int
) -> dict[str, Any]:
    sizes = {"n_trials": n, "n_tasks": n_mass}
    given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    return accuracy_of_answers(network, seed=seed, **given)


@measure.register
def _by_the_model(model: Imported, network: Network, n: int | None, n_mass: int | None, seed: int) -> dict[str, Any]:
    return measure(model.known, network, n, n_mass, seed)


def _mass(network: Network, labels: Labels, rng: np.random.Generator, n: int) -> dict[str, float]:
    """Integral of the density over decision times and all responses, less the probability of a decision."""
    theta = draw_theta(network.spec, rng, n, with_t=True)
    blocks = [{name: x[i : i + MASS_BLOCK] for name, x in theta.items()} for i in range(0, n, MASS_BLOCK)]
    mass = np.concatenate([masses(network, labels, block) for block in blocks])
    off = np.abs(mass - labels.decided({name: x for name, x in theta.items() if name != "t"}))
    return {"p50": rounded(np.median(off)), "p99": rounded(np.quantile(off, 0.99))}


def masses(network: Network, labels: Labels, columns: dict[str, Float]) -> Float:
    """Integrals of a network's density over decision times and all responses.

    Parameters
    ----------
    network : Network
    labels : Labels
        Of its model.
    columns : dict of str to ndarray, shape (n,)
        Every parameter.

    Returns
    -------
    ndarray, shape (n,)
    """
    theta = {name: x[:, None] for name, x in columns.items()}
    n = len(theta["t"])
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # Composite Gauss-Legendre in log(d / (last - d)): 20 panels of 60 nodes from 1e-8 s to 1e-7 of `last` before it.
    last = labels.latest(theta)
    edges = np.linspace(np.log(1e-8 / last), np.log(1e7), 21, axis=-1)
    half = np.diff(edges, axis=-1) / 2
    even = (edges[..., :-1] + half)[..., None] + half[..., None] * nodes
    share = share_at(even).reshape(n, -1)
    first = network.spec.earliest(theta)
    d, mass = last * share + first, np.zeros(n)
    for response in network.spec.choices:
        log_f = network.likelihood.log_density(NUMPY, theta["t"] + d, np.full_like(d, float(response)), theta)
        mass += np.sum(np.exp(log_f) * (d - first) * (1 - share) * (half[..., None] * weights).reshape(n, -1), axis=-1)
    return mass


def _gradient(network: Network, theta: dict[str, Float], rt: Float, response: Float) -> dict[str, dict[str, float]]:
    """Relative error of the derivative of the log density with respect to each parameter, both by JAX in float64."""
    import jax

    from pymc_lan.networks.flax import JAX, as_network

    def gradient(likelihood: Likelihood) -> dict[str, Any]:
        return jax.grad(lambda theta: likelihood.log_density(JAX, rt, response, theta).sum())(theta)

    with jax.enable_x64(True):
        found = gradient(Likelihood(network.spec, as_network(network.lan)))
        truth = gradient(Likelihood(network.spec))
    return {name: _relative(found[name], truth[name]) for name in network.spec.names}


def _relative(found: Any, truth: Any) -> dict[str, float]:
    kept = np.abs(truth) > SMALLEST_GRADIENT
    off = np.abs(found - truth)[kept] / np.abs(truth)[kept]
    return {"median": rounded(np.median(off)), "p99": rounded(np.quantile(off, 0.99))}


def _solved_gradient(
    network: Network, labels: Labels, rng: np.random.Generator, n: int = 512
) -> dict[str, dict[str, float]]:
    """Relative error of each derivative against solved densities: differences over a hundredth of the range."""
    spec = network.spec
    trials = labels.model_trials(rng, n)
    sets, which = np.unique(np.column_stack(list(trials.theta.values())), axis=0, return_inverse=True)
    centre = dict(zip(trials.theta, sets.T, strict=True))
    t = 0.5 * sum(spec.parameter("t").bounds)
    result = {}
    for p in spec.parameters:
        step = 0.005 * (p.bounds[1] - p.bounds[0])
        ends = []
        for move in (step, -step):
            # A longer non-decision time leaves less for the decision.
            d = trials.d - (move if p.name == "t" else 0.0)
            theta = centre if p.name == "t" else centre | {p.name: centre[p.name] + move}
            each = {name: x[which] for name, x in theta.items()} | {"t": t}
            found = network.likelihood.log_density(NUMPY, t + d, trials.response, each)
            ends.append((found, labels.at(theta, which, d, trials.response)))
        slopes = [(after - before) / (2 * step) for after, before in zip(*ends, strict=True)]
        value = trials.theta.get(p.name, np.full(trials.d.size, t))
        kept = (value > p.bounds[0] + step) & (value < p.bounds[1] - step) & np.isfinite(slopes[1])
        result[p.name] = _relative(*(x[kept] for x in slopes))
    return result


def _choice(network: Network, labels: Labels, rng: np.random.Generator, n: int) -> dict[str, dict[str, float]] | None:
    """Errors of both log probabilities, over deadlines as in training: one in eight of the trials has none.

    None where no network knows them; of a CPN, which knows no deadline, those of trials without one alone.
    """
    view = require_views(network.spec).choice
    if network.choice is None or view is None or view.silence is not Silence.NO_PRESS:
        return None
    theta, horizon, *truth = labels.deadlines(rng, n, measured=True)
    if not view.deadlines:
        # A network that others trained sees the non-decision time too.
        none, theta = np.isinf(horizon), theta | {"t": draw_theta(network.spec, rng, horizon.size, with_t=True)["t"]}
        theta, horizon, truth = {name: x[none] for name, x in theta.items()}, horizon[none], [x[none] for x in truth]
    if not horizon.size:
        return None
    found = view.log_split(NUMPY, network.choice, horizon, theta)
    result = {}
    for name, a, b in zip(("go", "nogo"), found, truth, strict=True):
        likely = b > np.log(SMALLEST_P)
        result[name] = _summary((a - b)[likely])
        if view.deadlines:
            result[f"{name}_deadline"] = _summary((a - b)[likely & np.isfinite(horizon)])
    return result


def _survivor(network: Network, labels: Labels, rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Errors of the log probability that nothing is decided by a deadline, where a network says it."""
    view = require_views(network.spec).survivor
    if network.survivor is None or view is None:
        return {}
    theta, horizon, _, truth = labels.undecided(rng, n, measured=True)
    likely = np.isfinite(horizon) & (truth > np.log(SMALLEST_P))
    found = view.log_split(NUMPY, network.survivor, horizon, theta)[1]
    return {"survivor": _summary((found - truth)[likely])}


def _summary(error: Float) -> dict[str, float]:
    size = np.abs(error)
    quantiles = {f"p{q}": rounded(np.quantile(size, q / 100)) for q in (95, 99)}
    return {"mean": rounded(size.mean())} | quantiles | {"max": rounded(size.max())}
