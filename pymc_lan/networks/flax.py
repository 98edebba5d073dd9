"""The networks as Flax NNX modules: what JAX trains and, in JAX mode, evaluates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.networks.program import AnyNetwork, Program

JAX = jnp


class FlaxMLP(nnx.Module):
    """A multilayer perceptron with linear outputs, in float32.

    Parameters
    ----------
    sizes : tuple of int
        Width of every layer, inputs first; the last is 1, or that of a network of responses alone.
    activation : str
        A key of `pymc_lan.networks.mlp.ACTIVATIONS`.
    rngs : nnx.Rngs

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from pymc_lan.networks.flax import FlaxMLP
    >>> FlaxMLP((4, 16, 16, 1), "squareplus", rngs=nnx.Rngs(0))(jnp.zeros((10, 4))).shape
    (10,)
    """

    def __init__(self, sizes: tuple[int, ...], activation: str, *, rngs: nnx.Rngs):
        self.activation = activation
        self.layers = nnx.List([nnx.Linear(n_in, n_out, rngs=rngs) for n_in, n_out in pairwise(sizes)])

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map inputs of shape (..., n_inputs) to values of shape (...)."""
        return self.outputs(x)[..., 0]

    def outputs(self, x: jax.Array) -> jax.Array:
        """Map them to every output, of shape (..., n_outputs)."""
        act = ACTIVATIONS[self.activation].value
        x = x.astype(jnp.float32)
        for layer in self.layers[:-1]:
            x = act(jnp, layer(x))
        return jnp.asarray(self.layers[-1](x))


def to_flax(mlp: MLP) -> FlaxMLP:
    """Rebuild the Flax module that carries an `MLP`'s weights."""
    module = FlaxMLP(mlp.sizes, mlp.activation, rngs=nnx.Rngs(0))
    layers: list[Any] = list(module.layers)
    for layer, kernel, bias in zip(layers, mlp.kernels, mlp.biases, strict=True):
        layer.kernel[...] = jnp.asarray(kernel)
        layer.bias[...] = jnp.asarray(bias)
    return module


def from_flax(module: FlaxMLP) -> MLP:
    """Take the weights of a Flax module as plain arrays."""
    layers: list[Any] = list(module.layers)
    return MLP(
        tuple(np.asarray(layer.kernel[...], np.float32) for layer in layers),
        tuple(np.asarray(layer.bias[...], np.float32) for layer in layers),
        module.activation,
    )


def as_network(mlp: AnyNetwork) -> Callable[[Sequence[Any]], jax.Array]:
    """The network as likelihoods call it, on a tuple of inputs that broadcast: float32 inside only."""
    if isinstance(mlp, Program):
        return lambda inputs: as_outputs(mlp)(inputs)[0]
    module = to_flax(mlp)

    def network(inputs: Sequence[Any]) -> jax.Array:
        x = jnp.stack(jnp.broadcast_arrays(*inputs), axis=-1)
        return module(x).astype(x.dtype)

    return network


def as_outputs(mlp: AnyNetwork) -> Callable[[Sequence[Any]], list[jax.Array]]:
    """Of a network of several outputs, to a list of them."""
    if isinstance(mlp, Program):
        return lambda inputs: [y.astype(jnp.result_type(*inputs)) for y in mlp.outputs(JAX, _floats(inputs))]
    module = to_flax(mlp)

    def network(inputs: Sequence[Any]) -> list[jax.Array]:
        x = jnp.stack(jnp.broadcast_arrays(*inputs), axis=-1)
        return [y.astype(x.dtype) for y in jnp.moveaxis(module.outputs(x), -1, 0)]

    return network


def _floats(inputs: Sequence[Any]) -> list[jax.Array]:
    return [jnp.asarray(x, jnp.float32) for x in inputs]


@cache
def likelihood_in_jax(spec: Model, lan: AnyNetwork, choice: AnyNetwork | None) -> Likelihood:
    """The likelihood of a model with its networks, for arrays of JAX."""
    # The weights are constants, also where a function is being traced.
    with jax.ensure_compile_time_eval():
        return Likelihood(spec, as_network(lan), None if choice is None else as_network(choice))
