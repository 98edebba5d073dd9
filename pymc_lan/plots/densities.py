"""Densities of a model at given parameters: its network's, and the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import RegistryError, explain
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model, require_labels
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.sources import AnyModel, find_network

Float = NDArray[np.float64]
Densities = dict[int, Float]


def find(model: AnyModel) -> tuple[Model, Network | None]:
    """A model and its network; None for the network of a model that is in no registry."""
    if not isinstance(model, Model):
        network = find_network(model)
        return network.spec, network
    try:
        network = find_network(model)
    except RegistryError:
        return model, None
    # Another model may have the name.
    return model, network if network.spec == model else None


def check_two_choices(spec: Model) -> None:
    """Refuse a model that is not a diffusion between two boundaries."""
    if set(spec.choices) != {-1, 1}:
        raise ValueError(
            explain("a model of two choices, +1 and -1", f"{spec.name!r} with choices {spec.choices}", "choose another")
        )


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
        By response: 1, -1.
    """
    columns = {name: x[:, None] for name, x in theta.items()}
    return {
        response: np.exp(network.likelihood.log_density(NUMPY, rt, np.full_like(rt, response), columns))
        for response in (1, -1)
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
    columns, t = {name: x[:, None] for name, x in theta.items()}, theta["t"][:, None]
    if spec.exact is not None:
        likelihood, late = Likelihood(spec), rt > t
        return {
            response: np.where(late, np.exp(likelihood.log_density(NUMPY, rt, np.full_like(rt, response), columns)), 0)
            for response in (1, -1)
        }
    labels, shape = require_labels(spec), (t.size, rt.size)
    which = np.repeat(np.arange(t.size), rt.size)
    sets = {name: x for name, x in theta.items() if name != "t"}
    found = {
        response: labels.at(sets, which, (rt - t).ravel(), np.full(which.size, float(response))).reshape(shape)
        for response in (1, -1)
    }
    return {response: np.exp(np.where(np.isnan(log_f), -np.inf, log_f)) for response, log_f in found.items()}


def densities(spec: Model, network: Network | None, theta: Mapping[str, Float], rt: Float) -> Densities:
    """The network's densities or, without one, the true ones; see `network_densities`."""
    return true_densities(spec, theta, rt) if network is None else network_densities(network, theta, rt)


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
