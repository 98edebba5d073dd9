"""The loop that trains on simulations: chunk after chunk, with held-out sets, early stopping and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.networks.flax import FlaxMLP, from_flax
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.training.progress import progress_bar
from pymc_lan.training.recipes import LIKELIHOOD, SimulationRecipe
from pymc_lan.training.simulated.learners import Sets, estimator_of, learner_of
from pymc_lan.training.soap import soap

# Held-out sets that a round looks for others like: those with the largest error.
FOCUS = 64
# No density of response times is as far from its trials as this, in nats; nor is NaN below it.
HOPELESS = 1e3
# What the bar of a run tells.
SHOWN = ("held-out loss {task.fields[held_out]}, error {task.fields[error]} nats", "{task.fields[rate]} trials/s")


class Source(Protocol):
    """Where simulations come from; entered before use."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def chunk(self, number: int, focus: NDArray[np.float64] | None = None) -> Sets:
        """The simulations of a chunk, which depend on nothing else."""

    def held_out(self, sets: int, trials: int) -> Sets:
        """Simulations that no chunk has."""


class Progress(NamedTuple):
    """What is known after a chunk: means over its steps, and over held-out sets."""

    loss: float
    held_out: float
    divergence: float


class Fitted(NamedTuple):
    """What comes out of a training.

    Parameters
    ----------
    spec : Simulated
        With its baseline.
    lan : MLP
        Of the density or, for responses alone, of the logits of the choices.
    choice : MLP, optional
        Of trials without a response, where there are any.
    history : ndarray, shape (chunks, 3)
        A `Progress` for each chunk that was run.
    best : int
        The chunk whose weights these are, from 0.
    held_out : Sets
    """

    spec: Simulated
    lan: MLP
    choice: MLP | None
    history: NDArray[np.float32]
    best: int
    held_out: Sets


class _Run(NamedTuple):
    """The compiled parts of a training."""

    chunk: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any, Any]]
    measure: Callable[[Any, Any], tuple[Any, Any]]


def fit_from_simulations(
    spec: Simulated,
    recipe: SimulationRecipe,
    source: Source,
    *,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    progress: bool = True,
    stop_after: int | None = None,
    devices: Sequence[Any] | None = None,
) -> Fitted:
    """Train a model's networks on simulations.

    What a chunk does depends on the seed, its number and the state before it alone, and the state is saved after each:
    a run that is killed and called again with the same arguments ends with the same weights, bit for bit.

    Parameters
    ----------
    spec : Simulated
        With a simulator.
    recipe : SimulationRecipe
    source : Source
        Of what the recipe's estimator learns from.
    seed : int
    checkpoints : path, optional
        A folder of this run's own; when it holds checkpoints, the run goes on from the newest.
    progress : bool
        Whether to draw a progress bar.
    stop_after : int, optional
        Stop before this chunk, as if killed right after a checkpoint.
    devices : sequence of jax.Device, optional
        Share every step, if its sets can be divided among them: by default all local accelerators. A CPU works with all
        of its cores as it is; where it stands for several devices, that is only because some library has said so.

    Returns
    -------
    Fitted
        With the weights that did best on the held-out sets.

    Raises
    ------
    FloatingPointError
        If the loss is hopeless or not a number.
    ValueError
        If this kind of model has no estimator of the recipe's name.
    """
    estimator_of(spec, recipe.estimator)
    # PyTensor's JAX mode turns float64 on for the whole process, and other random numbers with it.
    with jax.enable_x64(False), source, Checkpoints(checkpoints) if checkpoints else nullcontext() as saved:
        held_out = source.held_out(recipe.held_out, recipe.held_out_trials)
        state, done = _begin(spec, recipe, source, seed, saved)
        spec = learner_of(spec).complete(spec, state)
        if devices is None:
            devices = jax.local_devices()[: 1 if jax.default_backend() == "cpu" else None]
        run = _compile(spec, recipe, seed, devices)
        state = _loop(run, recipe, source, held_out, state, done, saved, progress, stop_after)
        modules = _modules(spec, recipe, seed)
        mlps = {name: from_flax(nnx.merge(nnx.graphdef(modules[name]), state["best"][name])) for name in modules}
    history = np.asarray(state["history"])
    return Fitted(
        spec, mlps["lan"], mlps.get("choice"), history[np.isfinite(history[:, 0])], int(state["best_chunk"]), held_out
    )


def _modules(spec: Simulated, recipe: SimulationRecipe, seed: int) -> dict[str, FlaxMLP]:
    sizes = learner_of(spec).sizes(spec, recipe)
    modules = {name: FlaxMLP(each, recipe.activation, rngs=nnx.Rngs(seed)) for name, each in sizes.items()}
    for module in modules.values():
        # The baseline is what a network starts from.
        last = module.layers[-1]
        last.kernel[...] = jnp.zeros_like(last.kernel[...])
    return modules


def _optimizer(recipe: SimulationRecipe) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(recipe.clip), soap(1.0))


def _begin(
    spec: Simulated, recipe: SimulationRecipe, source: Source, seed: int, saved: Checkpoints | None
) -> tuple[dict[str, Any], int]:
    """The state to go on from, and how many chunks are done."""
    params = {name: nnx.state(module) for name, module in _modules(spec, recipe, seed).items()}
    state: dict[str, Any] = {
        **learner_of(spec).empty(spec),
        "params": params,
        "optimizer": jax.jit(_optimizer(recipe).init)(params),
        "best": params,
        "best_loss": np.array(np.inf, np.float32),
        "best_chunk": np.array(-1, np.int32),
        "cooling": np.array(-1, np.int32),
        "history": np.full((recipe.chunks, len(Progress._fields)), np.nan, np.float32),
        "focus": np.zeros((FOCUS, len(spec.names)), np.float32),
    }
    if saved is not None and (found := saved.restore(state)) is not None:
        return found[1], found[0]
    return state | learner_of(spec).begin(spec, partial(source.chunk, 0), seed), 0


def _over_devices(devices: Sequence[Any], n: int) -> Callable[[Sets], Sets]:
    """Spread the sets of a batch over as many devices as share them evenly, each with all of the weights."""
    devices = devices[: math.gcd(n, len(devices))]
    if len(devices) == 1:
        return lambda batch: batch
    sharding = NamedSharding(Mesh(np.array(devices), ("sets",)), PartitionSpec("sets"))
    return lambda batch: jax.lax.with_sharding_constraint(batch, sharding)


def _compile(spec: Simulated, recipe: SimulationRecipe, seed: int, devices: Sequence[Any]) -> _Run:
    graphs = {name: nnx.graphdef(module) for name, module in _modules(spec, recipe, seed).items()}
    optimizer, key = _optimizer(recipe), jax.random.key(seed)
    rate = optax.cosine_decay_schedule(recipe.learning_rate, recipe.chunks * recipe.chunk_steps)
    over_devices = _over_devices(devices, recipe.batch)

    def each_loss(params: Any, batch: Sets, estimator: str) -> tuple[jax.Array, jax.Array]:
        """Loss of each set, and what its error is found from."""
        networks = {name: nnx.merge(graph, params[name]) for name, graph in graphs.items()}
        return estimator_of(spec, estimator).loss(spec, networks, batch)

    def set_loss(params: Any, one: Sets) -> jax.Array:
        return each_loss(params, jax.tree.map(lambda x: x[None], one), recipe.estimator)[0][0]

    def step(pool: Sets, state: Any, now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        (params, memory), (i, place) = state, now
        rows = jax.random.randint(jax.random.fold_in(key, i), (recipe.batch,), 0, len(pool.theta))
        batch = over_devices(jax.tree.map(lambda x: x[rows], pool))
        # Set by set: one product over all trials would be cut into as many parts as XLA has threads, and the sum of
        # these depends on their number, which is another one on other cores or when XLA is told of more devices.
        loss, gradient = jax.vmap(jax.value_and_grad(set_loss), in_axes=(None, 0))(params, batch)
        loss, gradient = jax.tree.map(lambda x: x.mean(axis=0), (loss, gradient))
        updates, memory = optimizer.update(gradient, memory, params)
        updates = jax.tree.map(lambda x: rate(place) * x, updates)
        return (optax.apply_updates(params, updates), memory), loss

    @jax.jit
    def chunk(params: Any, memory: Any, pool: Sets, start: jax.Array, places: jax.Array) -> tuple[Any, Any, jax.Array]:
        numbers = start + jnp.arange(recipe.chunk_steps)
        (params, memory), losses = jax.lax.scan(partial(step, pool), (params, memory), (numbers, places))
        return params, memory, losses.mean()

    @jax.jit
    def measure(params: Any, held_out: Sets) -> tuple[jax.Array, jax.Array]:
        loss, found = each_loss(params, held_out, LIKELIHOOD)
        return loss.mean(), learner_of(spec).errors(held_out, found)

    return _Run(chunk, measure)


def _loop(
    run: _Run,
    recipe: SimulationRecipe,
    source: Source,
    held_out: Sets,
    state: dict[str, Any],
    done: int,
    saved: Checkpoints | None,
    progress: bool,
    stop_after: int | None,
) -> dict[str, Any]:
    last = min(recipe.chunks, recipe.chunks if stop_after is None else stop_after)
    held_out = jax.tree.map(jnp.asarray, held_out)
    with progress_bar(progress, *SHOWN) as bar, ThreadPoolExecutor(1) as ahead:
        line = bar.add_task("train", total=recipe.chunks, completed=done, held_out="", error="", rate="")
        waiting = None
        while done < min(last, _end(recipe, state)):
            started = perf_counter()
            pool = source.chunk(done, _focus(recipe, state, done)) if waiting is None else waiting.result()
            # The next chunk is simulated while this one is trained on, unless it waits for what this one finds.
            waiting = None
            if done + 1 < last and _round(recipe, done + 1) == _round(recipe, done):
                waiting = ahead.submit(source.chunk, done + 1, _focus(recipe, state, done + 1))
            start, places = jnp.asarray(done * recipe.chunk_steps), _places(recipe, state, done)
            params, memory, loss = run.chunk(
                state["params"], state["optimizer"], jax.tree.map(jnp.asarray, pool), start, places
            )
            found, errors = run.measure(params, held_out)
            now = Progress(float(loss), float(found), float(np.mean(errors)))
            _check_loss(now, recipe, done)
            state = _after(state, recipe, done, params, memory, now, held_out, errors)
            done += 1
            if saved is not None:
                saved.save(done, state)
            rate = f"{np.sum(pool.n) / (perf_counter() - started):,.0f}"
            bar.update(line, completed=done, held_out=f"{now.held_out:.5f}", error=f"{now.divergence:.1e}", rate=rate)
    return state


def _after(
    state: dict[str, Any],
    recipe: SimulationRecipe,
    done: int,
    params: Any,
    memory: Any,
    now: Progress,
    held_out: Sets,
    errors: jax.Array,
) -> dict[str, Any]:
    """The state after a chunk."""
    history = np.array(state["history"])
    history[done] = now
    new = state | {"params": params, "optimizer": memory, "history": history}
    if now.held_out < float(state["best_loss"]):
        best = (np.array(now.held_out, np.float32), np.array(done, np.int32))
        new |= {"best": params, "best_loss": best[0], "best_chunk": best[1]}
    if done - int(new["best_chunk"]) >= recipe.patience and done + 1 + recipe.cool_down < _end(recipe, new):
        new["cooling"] = np.array(done + 1, np.int32)
    if _round(recipe, done + 1) != _round(recipe, done):
        worst = np.argsort(-np.asarray(errors), kind="stable")[np.arange(FOCUS) % len(errors)]
        new["focus"] = np.asarray(held_out.theta)[worst]
    return new


def _round(recipe: SimulationRecipe, number: int) -> int:
    return number * recipe.rounds // recipe.chunks


def _focus(recipe: SimulationRecipe, state: dict[str, Any], number: int) -> NDArray[np.float64] | None:
    return np.asarray(state["focus"], np.float64) if _round(recipe, number) else None


def _end(recipe: SimulationRecipe, state: dict[str, Any]) -> int:
    """How many chunks there will be."""
    begun = int(state["cooling"])
    return recipe.chunks if begun < 0 else begun + recipe.cool_down


def _places(recipe: SimulationRecipe, state: dict[str, Any], done: int) -> jax.Array:
    """Where the steps of a chunk stand in the schedule of the rate, which cooling down goes through faster.

    Returns
    -------
    jax.Array, shape (chunk_steps,)
        In steps.
    """
    begun = int(state["cooling"])
    first, pace = (done, 1.0) if begun < 0 else (begun, (recipe.chunks - begun) / recipe.cool_down)
    start = first + (done - first) * pace
    return jnp.asarray(start * recipe.chunk_steps + pace * np.arange(recipe.chunk_steps), jnp.float32)


def _check_loss(now: Progress, recipe: SimulationRecipe, done: int) -> None:
    if not (abs(now.loss) < HOPELESS and abs(now.held_out) < HOPELESS):
        raise FloatingPointError(
            explain(
                f"a loss below {HOPELESS:g} nats",
                f"{now.loss:g} in training and {now.held_out:g} held out in chunk {done}, with {asdict(recipe)}",
                "lower learning_rate or clip",
            )
        )
