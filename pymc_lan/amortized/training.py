"""Networks learn from batches; where batches come from is the schedule's."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, unknown

Inputs = Mapping[str, NDArray[np.float32]]

# Steps over which the learning rate rises to its full size, and the share of it that is left at the end.
RISE, LEFT = 300, 0.01
# Batches that are made while one is learned from.
AHEAD = 4
# The longest gradient.
LONGEST = 1.0


class Schedule(ABC):
    """Which batch is learned from at a step: batches have numbers, and a number is always the same batch.

    Parameters
    ----------
    batches : int
        In an epoch.
    """

    @abstractmethod
    def number(self, step: int) -> int:
        """The number of the batch at a step."""

    @property
    def kept(self) -> int:
        """How many batches are worth keeping, because they come again."""
        return 0


@final
@dataclass(frozen=True, slots=True)
class Online(Schedule):
    """Every step has a batch of its own."""

    batches: int
    seed: int

    @override
    def number(self, step: int) -> int:
        return step


@final
@dataclass(frozen=True, slots=True)
class Rounds(Schedule):
    """Batches of one round come again in each of its epochs, in another order; then there is a new round.

    Parameters
    ----------
    batches, seed : int
    epochs : int
        Of a round.
    """

    batches: int
    seed: int
    epochs: int

    @override
    def number(self, step: int) -> int:
        epoch, place = divmod(step, self.batches)
        order = np.random.default_rng([self.seed, 2, epoch]).permutation(self.batches)
        return int(epoch // self.epochs * self.batches + order[place])

    @property
    def kept(self) -> int:
        """All of a round."""
        return self.batches


@final
@dataclass(frozen=True, slots=True)
class Replay(Schedule):
    """Every other step has a new batch, the one after it one of the latest.

    Parameters
    ----------
    batches, seed : int
    """

    batches: int
    seed: int

    @override
    def number(self, step: int) -> int:
        new, again = divmod(step, 2)
        if not again:
            return new
        return int(np.random.default_rng([self.seed, 3, step]).integers(max(0, new - self.kept + 1), new + 1))

    @property
    def kept(self) -> int:
        """The latest."""
        return self.batches


def schedule(regime: str, batches: int, epochs: int, rounds: int, seed: int) -> Schedule:
    """A schedule by name."""
    made: dict[str, Callable[[], Schedule]] = {
        "online": lambda: Online(batches, seed),
        "offline": lambda: Rounds(batches, seed, epochs),
        "rounds": lambda: Rounds(batches, seed, -(-epochs // rounds)),
        "replay": lambda: Replay(batches, seed),
    }
    if regime not in made:
        raise ValueError(unknown("regime", regime, [*made]))
    return made[regime]()


@final
class Batches:
    """Batches by number, of which the latest are kept."""

    def __init__(self, make: Callable[[int], Inputs], kept: int) -> None:
        self._make, self._most, self._kept = make, kept, dict[int, Inputs]()

    def __getitem__(self, number: int) -> Inputs:
        """Make a batch, or find it."""
        if number in self._kept:
            return self._kept[number]
        made = self._make(number)
        if self._most:
            self._kept[number] = made
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return made


def ahead[T](make: Callable[[int], T], numbers: Iterable[int]) -> Generator[T]:
    """What is made of numbers, in their order; the next are made in a thread while one is used.

    Examples
    --------
    >>> [*ahead(lambda i: i**2, range(5))]
    [0, 1, 4, 9, 16]
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long is learned, and how.

    Parameters
    ----------
    epochs, batches : int
        Epochs, and batches in each.
    rate : float
        Largest learning rate; it falls as a cosine.
    patience : int, optional
        Epochs without a lower loss of the validation data after which learning ends.
    checkpoint : Path, optional
        A folder in which it is kept after every epoch how far learning has come, and from which it goes on.
    fingerprint : str
        What a checkpoint must have been made of.
    """

    epochs: int
    batches: int
    rate: float
    patience: int | None
    checkpoint: Path | None
    fingerprint: str


@final
class Learner:
    """Networks that learn, step by step.

    Parameters
    ----------
    estimator : bayesflow.estimators.BasicEstimator
    plan : Plan
    """

    def __init__(self, estimator: Any, plan: Plan) -> None:
        import jax
        import optax

        self._estimator, self._plan = estimator, plan
        steps = plan.epochs * plan.batches
        rise = min(RISE, max(steps // 10, 1))
        rates = optax.warmup_cosine_decay_schedule(
            plan.rate / 10, plan.rate, rise, max(steps, rise + 1), plan.rate * LEFT
        )
        self._optimiser = optax.chain(optax.clip_by_global_norm(LONGEST), optax.adam(rates))
        self.weights = [v.value for v in estimator.trainable_variables]
        self._fixed = [v.value for v in estimator.non_trainable_variables]
        self._metrics = [v.value for v in estimator.metrics_variables]
        self._memory = self._optimiser.init(self.weights)
        self._step, self._loss = jax.jit(self._one_step), jax.jit(self._one_loss)

    def _one_loss(self, weights: Any, fixed: Any, data: Any) -> Any:
        return self._estimator.stateless_compute_metrics(weights, fixed, self._metrics, data=data, stage="validation")[
            0
        ]

    def _one_step(self, weights: Any, fixed: Any, memory: Any, data: Any) -> Any:
        import jax
        import optax

        def loss(weights: Any) -> Any:
            found, (_, after, _) = self._estimator.stateless_compute_metrics(
                weights, fixed, self._metrics, data=data, stage="training"
            )
            return found, after

        (value, fixed), slope = jax.value_and_grad(loss, has_aux=True)(weights)
        change, memory = self._optimiser.update(slope, memory, weights)
        return optax.apply_updates(weights, change), fixed, memory, value

    def step(self, data: Inputs) -> Any:
        """Learn from a batch; return its loss."""
        self.weights, self._fixed, self._memory, loss = self._step(self.weights, self._fixed, self._memory, dict(data))
        return loss

    def loss(self, data: Inputs) -> float:
        """The loss of data that are not learned from."""
        return float(self._loss(self.weights, self._fixed, dict(data)))

    def write(self, weights: Any) -> None:
        """Put weights into the networks."""
        for variable, value in zip(self._estimator.trainable_variables, weights, strict=True):
            variable.assign(value)
        for variable, value in zip(self._estimator.non_trainable_variables, self._fixed, strict=True):
            variable.assign(value)

    def state(self) -> list[Any]:
        """All arrays that a further step depends on."""
        import jax

        return [np.asarray(x) for x in jax.tree.leaves((self.weights, self._fixed, self._memory))]

    def resume(self, state: list[Any]) -> None:
        """Go on from there."""
        import jax

        now = (self.weights, self._fixed, self._memory)
        arrays = [jax.numpy.asarray(x, y.dtype) for x, y in zip(state, jax.tree.leaves(now), strict=True)]
        self.weights, self._fixed, self._memory = jax.tree.unflatten(jax.tree.structure(now), arrays)


def learn(
    estimator: Any, plan: Plan, numbered: Schedule, batches: Batches, held_out: list[Inputs], bar: Any
) -> list[dict[str, float]]:
    """Learn until the plan is done; return the losses of each epoch, and leave the best weights in the networks.

    Parameters
    ----------
    estimator : bayesflow.estimators.BasicEstimator
    plan : Plan
    numbered : Schedule
    batches : Batches
    held_out : list of Inputs
        Validation data.
    bar : callable
        Told of each step: its number, and the losses so far.

    Returns
    -------
    list of dict
        ``loss`` and ``validation``, in nats, of each epoch.
    """
    learner, losses = Learner(estimator, plan), list[dict[str, float]]()
    best, first = learner.weights, 0
    if plan.checkpoint is not None and (found := _read(plan)) is not None:
        losses, best_state, state = found
        learner.resume(state)
        best, first = best_state, len(losses)
    for epoch in range(first, plan.epochs):
        if plan.patience is not None and _waited(losses) >= plan.patience:
            break
        total: Any = 0.0
        steps = range(epoch * plan.batches, (epoch + 1) * plan.batches)
        with closing(ahead(batches.__getitem__, map(numbered.number, steps))) as coming:
            for step, data in zip(steps, coming, strict=True):
                total = total + learner.step(data)
                bar(step + 1, losses)
        losses.append(
            {"loss": float(total) / plan.batches, "validation": float(np.mean([learner.loss(x) for x in held_out]))}
        )
        if not np.isfinite(losses[-1]["loss"]):
            remedy = "lower rate, or look at what build simulates"
            raise ValueError(explain("a loss that is finite", f"{losses[-1]['loss']} in epoch {epoch + 1}", remedy))
        if _waited(losses) == 0:
            best = learner.weights
        if plan.checkpoint is not None:
            _write(plan, losses, best, learner.state())
    learner.write(best)
    return losses


def _waited(losses: list[dict[str, float]]) -> int:
    """Epochs since the lowest loss of the validation data."""
    return len(losses) - 1 - int(np.argmin([x["validation"] for x in losses])) if losses else 0


def _write(plan: Plan, losses: list[dict[str, float]], best: Any, state: list[Any]) -> None:
    from safetensors.numpy import save_file

    folder = plan.checkpoint
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"best/{i}": np.asarray(x) for i, x in enumerate(best)} | {f"state/{i}": x for i, x in enumerate(state)}
    text = json.dumps({"fingerprint": plan.fingerprint, "losses": losses})
    # Both in one file, which is put in place whole.
    save_file({k: np.ascontiguousarray(x) for k, x in arrays.items()}, folder / "next.safetensors", {"progress": text})
    (folder / "next.safetensors").replace(folder / "checkpoint.safetensors")


def _read(plan: Plan) -> tuple[list[dict[str, float]], list[Any], list[Any]] | None:
    from safetensors import safe_open

    assert plan.checkpoint is not None
    path = plan.checkpoint / "checkpoint.safetensors"
    if not path.exists():
        return None
    with safe_open(path, "numpy") as file:
        progress = json.loads(file.metadata()["progress"])
        if progress["fingerprint"] != plan.fingerprint:
            remedy = "give the arguments that it was begun with, or another folder"
            raise ValueError(explain(f"a checkpoint of this training in {path.parent}", "one of another", remedy))
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    best, state = (
        [arrays[f"{kind}/{i}"] for i in range(sum(name.startswith(f"{kind}/") for name in arrays))]
        for kind in ("best", "state")
    )
    return progress["losses"], best, state
