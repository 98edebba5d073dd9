"""What a recipe trains and how: its own module, optimiser and loss, or ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from pymc_lan.errors import explain
from pymc_lan.models.model import Model, require_views
from pymc_lan.networks.flax import FlaxMLP, from_flax
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.networks.traced import simplest, trace
from pymc_lan.training.recipes import Recipe
from pymc_lan.training.soap import soap


class Trainable(NamedTuple):
    """A module as functions of its parameters.

    Parameters
    ----------
    name : str
        For a progress bar.
    params : pytree
        At the start.
    apply : callable
        ``(params, x)`` from inputs of shape (n, n_inputs) to outputs of shape (n,).
    network : callable
        From parameters to the network that does not need JAX.
    """

    name: str
    params: Any
    apply: Callable[[Any, Any], Any]
    network: Callable[[Any], AnyNetwork]


def trainable(recipe: Recipe, n_inputs: int, seed: int) -> Trainable:
    """The module of a recipe.

    Parameters
    ----------
    recipe : Recipe
    n_inputs : int
    seed : int
        Of the initial weights, unless a module of NNX brings its own.

    Raises
    ------
    ValueError
        If the recipe's module is none, or not one of so many inputs and one output.
    """
    if recipe.module is None:
        sizes = (n_inputs, *recipe.hidden, 1)
        graph, params = nnx.split(FlaxMLP(sizes, recipe.activation, rngs=nnx.Rngs(seed)))
        return Trainable(
            "-".join(map(str, sizes)),
            params,
            lambda params, x: nnx.merge(graph, params)(x),
            lambda params: from_flax(nnx.merge(graph, params)),
        )
    params, apply = _own(recipe.module, n_inputs, seed)

    def flat(params: Any, x: Any) -> Any:
        return apply(params, x).reshape(len(x))

    def network(params: Any) -> AnyNetwork:
        return simplest(trace(lambda x: apply(params, x), n_inputs))

    network(params)  # before hours of training
    return Trainable(type(recipe.module).__name__, params, flat, network)


def require_plain(spec: Model, recipe: Recipe, n_inputs: int, seed: int) -> None:
    """Refuse, with a ValueError, a module that a model cannot be evaluated with without JAX."""
    if recipe.module is None or require_views(spec).symbolic:
        return
    each = trainable(recipe, n_inputs, seed)
    if not isinstance(each.network(each.params), MLP):
        expected = f"a plain multilayer perceptron for {spec.name!r}, whose formulas are written in jax.numpy"
        remedy = f"use linear layers and one of {', '.join(ACTIVATIONS)}"
        raise ValueError(explain(expected, f"a module {each.name} of another form", remedy))


def _own(module: Any, n_inputs: int, seed: int) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Parameters, and a function of these and inputs."""
    match module:
        case nnx.Module():
            still = nnx.clone(module)
            still.eval()
            parts: Any = nnx.split(still, nnx.Param, ...)
            graph, params, rest = parts
            return params, lambda params, x: nnx.merge(graph, params, rest)(x)
        case linen.Module():
            variables = module.init(jax.random.key(seed), jnp.zeros((1, n_inputs), jnp.float32))
            others = {name: x for name, x in variables.items() if name != "params"}
            return variables["params"], lambda params, x: module.apply({**others, "params": params}, x)
        case _ if callable(module):
            return _own(module(n_inputs, rngs=nnx.Rngs(seed)), n_inputs, seed)
    found = f"a {type(module).__name__}"
    remedy = "give one, or a function of the number of inputs and rngs that makes one"
    raise ValueError(explain("module as a module of Flax", found, remedy))


def optimizer_of(recipe: Recipe) -> optax.GradientTransformation:
    """The optimiser of a recipe, on the schedule of its rate: half a cosine, down to zero."""
    own = recipe.optimizer
    if own is None or callable(own):
        schedule = optax.cosine_decay_schedule(recipe.learning_rate, recipe.steps)
        parts = [(own or soap)(schedule)]
    else:
        parts = [own, optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, recipe.steps))]
    return optax.chain(optax.clip_by_global_norm(recipe.clip), *parts)


def identity(recipe: Recipe, n_inputs: int, seed: int) -> str:
    """By what a run with parts of one's own is known again, in any process: what they compute, traced.

    Empty where a recipe has none.
    """
    if not recipe.own:
        return ""
    with jax.enable_x64(False):
        each, optimizer = trainable(recipe, n_inputs, seed), optimizer_of(recipe)
        column = jax.ShapeDtypeStruct((2,), np.float32)
        traced = [
            jax.make_jaxpr(each.apply)(each.params, jax.ShapeDtypeStruct((2, n_inputs), np.float32)),
            jax.make_jaxpr(lambda p: optimizer.update(p, optimizer.init(p), p))(each.params),
            *([] if recipe.loss is None else [jax.make_jaxpr(recipe.loss)(column, column)]),
        ]
    # Functions are printed with where they lie in memory.
    told = sha256(re.sub(r" at 0x[0-9a-f]+", "", "".join(map(str, traced))).encode())
    for x in [*(c for jaxpr in traced for c in jaxpr.consts), *jax.tree.leaves(each.params)]:
        told.update(np.asarray(x).tobytes())
    return told.hexdigest()
