"""The training loop: seeds, one pure step, checkpoints and a progress bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pymc_lan.errors import explain
from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.training.labelled.own import optimizer_of, trainable
from pymc_lan.training.labelled.tasks import Batch, Task
from pymc_lan.training.progress import progress_bar
from pymc_lan.training.recipes import Recipe

# Trials whose gradient is one matrix product. XLA cuts larger ones into parts, and their sum depends on how many
# threads it has: on the cores, and on whether some library has told it of more devices.
PART = 128
# Steps that run as one compiled loop, and so between two checks of the loss.
CHUNK = 1000


class TrainState(NamedTuple):
    """All that a run needs to go on: network parameters, optimiser state."""

    params: Any
    optimizer: Any


def make_step(
    task: Task, apply: Callable[[Any, Any], Any], optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Batch], tuple[TrainState, jax.Array]]:
    """Build the one pure step: ``(state, batch)`` to ``(state, loss)``."""

    def loss(params: Any, batch: Batch) -> jax.Array:
        return task.loss(apply(params, batch["inputs"]), batch)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, jax.Array]:
        size = math.gcd(len(batch["inputs"]), PART)
        parts = {name: x.reshape(-1, size, *x.shape[1:]) for name, x in batch.items()}
        each = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0))(state.params, parts)
        value, gradient = jax.tree.map(lambda x: x.mean(axis=0), each)
        updates, moments = optimizer.update(gradient, state.optimizer, state.params)
        return TrainState(optax.apply_updates(state.params, updates), moments), value

    return step


def fit(
    task: Task,
    recipe: Recipe,
    *,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    progress: bool = True,
    stop_after: int | None = None,
) -> AnyNetwork:
    """Train one network.

    The batch of a step depends on the seed and the step's number alone, and its gradient not on the number of threads,
    so a run that is killed and called again with the same arguments ends with the same weights, bit for bit, as one
    left alone.

    Parameters
    ----------
    task : Task
    recipe : Recipe
    seed : int
    checkpoints : path, optional
        A folder of this run's own; when it holds checkpoints, the run goes on from the newest.
    progress : bool
        Whether to draw a progress bar.
    stop_after : int, optional
        Stop before this step, as if killed right after a checkpoint.

    Returns
    -------
    MLP or Program

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import MODELS
    >>> from pymc_lan.training.labelled.fit import fit
    >>> from pymc_lan.training.recipes import Recipe
    >>> from pymc_lan.training.labelled.tasks import lan_task
    >>> recipe = Recipe(hidden=(8,), steps=1000, batch=64, pool=1000)
    >>> fit(lan_task(MODELS["ddm"]), recipe, progress=False).sizes
    (4, 8, 1)
    """
    # PyTensor's JAX mode turns float64 on for the whole process, and other random numbers with it.
    with jax.enable_x64(False):
        return _fit(task, recipe, seed, checkpoints, progress, stop_after)


def _fit(
    task: Task,
    recipe: Recipe,
    seed: int,
    checkpoints: str | Path | None,
    progress: bool,
    stop_after: int | None,
) -> AnyNetwork:
    trained, optimizer = trainable(recipe, task.n_inputs, seed), optimizer_of(recipe)
    step = make_step(task, trained.apply, optimizer)
    pool = {k: jnp.asarray(x) for k, x in task.draw(np.random.default_rng([seed, 1]), recipe.pool).items()}
    key = jax.random.key(seed)

    @partial(jax.jit, static_argnums=1)
    def run_chunk(state: TrainState, length: int, start: jax.Array) -> tuple[TrainState, jax.Array]:
        def body(state: TrainState, i: jax.Array) -> tuple[TrainState, jax.Array]:
            rows = jax.random.randint(jax.random.fold_in(key, i), (recipe.batch,), 0, recipe.pool)
            return step(state, {name: array[rows] for name, array in pool.items()})

        state, losses = jax.lax.scan(body, state, start + jnp.arange(length))
        return state, losses.mean()

    state, done = TrainState(trained.params, optimizer.init(trained.params)), 0
    with (
        Checkpoints(checkpoints) if checkpoints is not None else nullcontext() as saved,
        progress_bar(progress, "loss {task.fields[loss]}") as bar,
    ):
        if saved is not None and (found := saved.restore(state)) is not None:
            done, state = found
        line = bar.add_task(f"{task.name} {trained.name}", total=recipe.steps, completed=done, loss="")
        while done < min(recipe.steps, stop_after or recipe.steps):
            length = min(CHUNK, recipe.steps - done)
            state, loss = run_chunk(state, length, jnp.asarray(done))
            done += length
            _check_finite(float(loss), task, recipe, done)
            bar.update(line, completed=done, loss=f"{float(loss):.2e}")
            if saved is not None:
                saved.save(done, state)
    return trained.network(state.params)


def _check_finite(loss: float, task: Task, recipe: Recipe, done: int) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(
            explain(
                f"a finite loss of the {task.name} network",
                f"{loss} within {CHUNK} steps before step {done}, with {recipe.stored()}",
                "lower learning_rate or clip",
            )
        )
