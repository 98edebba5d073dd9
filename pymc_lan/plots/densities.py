"""Densities of a model at given parameters: its network's, and the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import RegistryError, explain
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model, require_labels, shift
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.plots.statistics import defective_density
from pymc_lan.registry.sources import AnyModel, find_network, get_model

Float = NDArray[np.float64]
Densities = dict[int, Float]

# Trials, and bins of their histogram, where nothing but a simulator says what a density is.
N_TRIALS, N_BINS = 10_000, 60


def find(model: AnyModel) -> tuple[Model, Network | None]:
    """A model and its network; None for the network of a closed form, and of a model that is in no registry."""
    if not isinstance(model, Model):
        spec = get_model(model)
        if spec.views is None:
            return spec, None
        network = find_network(model)
        return network.spec, network
    if model.views is None:
        return model, None
    try:
        network = find_network(model)
    except RegistryError:
        return model, None
    # Another model may have the name.
    return model, network if network.spec == model else None


def check_two_choices(spec: Model) -> None:
    """Refuse a model that has not two choices with their times."""
    if set(spec.choices) != {-1, 1} or not spec.times:
        found = f"{spec.name!r} with choices {spec.choices}{'' if spec.times else ' and no times'}"
        remedy = "choose another; a simulator of your own may number its two choices so"
        raise ValueError(explain("a model of two choices, +1 and -1", found, remedy))


def in_order(spec: Model) -> list[int]:
    """The responses of a model in the order in which they are drawn: the upper boundary first."""
    return sorted(spec.choices, reverse={*spec.choices} == {-1, 1})


def network_densities(network: Network, theta: Mapping[str, Float], rt: Float) -> Densities:
    """The network's density of each response [1/s].

    Parameters
    ----------
    network : Network
    theta : mapping of str to ndarray, shape (n,)
    rt : ndarray, shape (k,)
        Seconds.

    Returns
    -------
    dict of int to ndarray, shape (n, k)
        By response, of two boundaries 1 before -1.
    """
    columns = {name: x[:, None] for name, x in theta.items()}
    return {
        response: np.exp(network.likelihood.log_density(NUMPY, rt, np.full_like(rt, response), columns))
        for response in in_order(network.spec)
    }


def true_densities(spec: Model, theta: Mapping[str, Float], rt: Float) -> Densities:
    """The density of each response [1/s], in closed form or solved for.

    Parameters
    ----------
    spec : Model
    theta : mapping of str to ndarray, shape (n,)
    rt : ndarray, shape (k,)
        Seconds.

    Returns
    -------
    dict of int to ndarray, shape (n, k)
        Between the points of a solver, splines.
    """
    columns = {name: x[:, None] for name, x in theta.items()}
    if spec.exact is not None:
        likelihood, late = Likelihood(spec), rt > shift(spec, columns)
        return {
            response: np.where(late, np.exp(likelihood.log_density(NUMPY, rt, np.full_like(rt, response), columns)), 0)
            for response in in_order(spec)
        }
    t = theta["t"][:, None]
    labels, shape = require_labels(spec), (t.size, rt.size)
    which = np.repeat(np.arange(t.size), rt.size)
    sets = {name: x for name, x in theta.items() if name != "t"}
    found = {
        response: labels.at(sets, which, (rt - t).ravel(), np.full(which.size, float(response))).reshape(shape)
        for response in in_order(spec)
    }
    return {response: np.exp(np.where(np.isnan(log_f), -np.inf, log_f)) for response, log_f in found.items()}


def is_known(spec: Model) -> bool:
    """Whether the true densities of a model are known, in closed form or by solving for them."""
    return spec.exact is not None or spec.labels is not None


def some_trials(spec: Model, theta: Mapping[str, Float], rng: np.random.Generator) -> tuple[Float, Float]:
    """Times, inf where there is no response, and responses of `N_TRIALS` trials of one parameter set."""
    return spec.draw(rng, {name: np.repeat(x, N_TRIALS) for name, x in theta.items()})


def simulated_densities(spec: Model, theta: Mapping[str, Float], rt: Float, rng: np.random.Generator) -> Densities:
    """Histograms of simulated trials as densities of each response [1/s], joined by lines; see `network_densities`."""
    edges = np.linspace(0, rt.max(), N_BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    found: dict[int, list[Float]] = {code: [] for code in in_order(spec)}
    for k in range(next(iter(theta.values())).size):
        drawn, response = some_trials(spec, {name: x[k : k + 1] for name, x in theta.items()}, rng)
        for code, rows in found.items():
            rows.append(np.interp(rt, middles, defective_density(drawn, response == code, edges), left=0.0))
    return {code: np.array(rows) for code, rows in found.items()}


def densities(
    spec: Model, network: Network | None, theta: Mapping[str, Float], rt: Float, rng: np.random.Generator
) -> Densities:
    """The network's densities or, without one, the true ones or those of simulated trials; see `network_densities`."""
    if network is not None:
        return network_densities(network, theta, rt)
    return true_densities(spec, theta, rt) if is_known(spec) else simulated_densities(spec, theta, rt, rng)


def parameter_arrays(values: Mapping[str, Any]) -> dict[str, Float]:
    """Parameters as arrays of shape (n,), n being 1 or the number of draws."""
    arrays = {name: np.asarray(x, np.float64).ravel() for name, x in values.items()}
    sizes = {x.size for x in arrays.values()} - {1}
    if len(sizes) > 1 or 0 in sizes or not all(np.isfinite(x).all() for x in arrays.values()):
        raise ValueError(
            explain(
                "parameters that are finite numbers, or as many draws of one as of the others",
                ", ".join(f"{name} of shape {np.shape(values[name])}" for name in arrays),
                "choose one subject or condition, for instance idata.posterior['v'].sel(subject=1)",
            )
        )
    n = sizes.pop() if sizes else 1
    return {name: np.broadcast_to(x, n) for name, x in arrays.items()}
