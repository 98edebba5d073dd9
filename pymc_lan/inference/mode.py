"""The posterior mode by any optax transformation, and the Laplace approximation around it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.laplace import SHOWN, labels_of, normal_draws, precision_at
from pymc_lan.inference.posterior import (
    PRIOR,
    Point,
    as_datatree,
    compiled,
    constrained,
    noisy_log_density,
    not_finite,
    resolve_model,
    start_points,
)
from pymc_lan.numerics.seeds import as_generator

if TYPE_CHECKING:
    import pandas as pd

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.fit_map")

OPTIMIZERS = ("lbfgs", "adam", "sgd")
# Steps between two looks at whether to go on, where no line is logged more often.
CHUNK = 25
# Steps that L-BFGS remembers. Scales of a hierarchical model differ widely: with the 10 of optax the example of 148
# subjects takes twice the steps.
MEMORY = 100
# Steps over which a random loss is smoothed, with weights that fall off exponentially.
WINDOW = 50
# Draws of a random density over which its curvature is averaged.
DRAWS = 64
# Parts of a run; of the last two the losses are compared to see whether it still falls.
PARTS = 5
# Share of a log density that may be rounding, of sums over many trials.
ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class MapFit:
    """A posterior mode.

    Parameters
    ----------
    point : dict
        Free and deterministic variables by name, on their own scale.
    logp : float
        Log posterior density there, up to a constant; of a random one, what its smoothed loss says.
    converged : bool
        Whether every derivative of the log density by an unconstrained value is below the tolerance; of a random one,
        whether the loss has stopped falling.
    history : DataFrame
        One row per step: ``start``, ``step``, ``loss`` (minus the log density, or its average) and ``gradient`` (the
        largest absolute derivative of the log density), both before the step; of a random one ``smoothed``, too.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", 2, 0.5)
    >>> fit = pl.fit_map(model)
    >>> fit.converged, round(float(fit.point["x"]), 3)
    (True, 2.0)
    >>> round(fit.laplace(draws=1000, seed=1).posterior["x"].std().item(), 1)
    0.5
    """

    point: dict[str, NDArray[Any]]
    logp: float
    converged: bool
    history: pd.DataFrame
    _model: Any
    _position: Point
    _jacobian: bool

    def __repr__(self) -> str:
        names = ", ".join([*self.point][:SHOWN]) + ", ..." * (len(self.point) > SHOWN)
        return f"MapFit(logp={self.logp:.6g}, converged={self.converged}, point of {names})"

    def laplace(self, draws: int = 1000, *, seed: int | None = None) -> Any:
        """Draw from the normal approximation at the mode, on the unconstrained scale.

        The curvature is that of second derivatives; where a likelihood has a gradient alone, of differences of it;
        where it is random, of its average over 64 draws.

        Parameters
        ----------
        draws : int
        seed : int, optional

        Returns
        -------
        xarray.DataTree
            As `pm.sample` returns, with one chain and without ``sample_stats``.

        Raises
        ------
        ValueError
            If the mode is one of the parameters' own density (``jacobian=False``), or the curvature there is not that
            of a maximum. The message names the parameters that the data and priors do not hold.
        """
        import jax
        import jax.numpy as jnp
        import pymc
        from jax.flatten_util import ravel_pytree

        n = check_count("draws", draws)
        if not self._jacobian:
            remedy = "fit with jacobian=True"
            raise ValueError(explain("a mode on the unconstrained scale", "one of jacobian=False", remedy))
        flat, unravel = ravel_pytree(self._position)
        noisy, random = noisy_log_density(self._model)
        keys = jax.random.split(jax.random.PRNGKey(0), DRAWS if random else 1)

        def density(point: Any) -> Any:
            return jax.lax.map(lambda key: noisy(point, key), keys).mean() if random else noisy(point, None)

        precision = precision_at(density, flat, unravel)
        deviations = normal_draws(precision, n, as_generator(seed), labels_of(self._position))
        rows = flat + jnp.asarray(deviations)
        split = {name: x[None] for name, x in jax.vmap(unravel)(rows).items()}
        return as_datatree(self._model, split, {}, pymc, approximation="Laplace")


def fit_map(
    model: Any = None,
    optimizer: Any = "lbfgs",
    steps: int = 1000,
    *,
    initvals: Mapping[str, Any] | Literal["prior"] | None = None,
    n_starts: int = 1,
    seed: int | None = None,
    tol: float = 0.05,
    jacobian: bool = True,
    average: bool = False,
    track_history: bool = True,
    log_every: int | None = None,
) -> MapFit:
    """Find the posterior mode of any PyMC model with continuous parameters, in JAX.

    Parameters
    ----------
    model : pm.Model, optional
        By default that of the context.
    optimizer : optax.GradientTransformation or {"lbfgs", "adam", "sgd"}
        The names stand for L-BFGS with a line search; for Adam; and for stochastic gradient descent's rule with
        momentum 0.9 on a gradient cut to length 1. The last two have a rate that falls from 0.05 to 0 along a cosine.
    steps : int
        At most this many for each start.
    initvals : mapping of str to array, or "prior", optional
        Where to start, as `pm.sample` takes it and `pymc_lan.initvals` makes it; or, of each start, a draw from the
        prior. By default the model's initial point.
    n_starts : int
        Starts after the first are moved by up to 1 in every unconstrained value. The highest density wins.
    seed : int, optional
        Of those moves, of draws from the prior, and of a random likelihood.
    tol : float
        A start has converged when no derivative of the log density by an unconstrained value is larger. A derivative
        of 0.05 moves a parameter whose posterior standard deviation is s by about 0.05 s of those deviations.
    jacobian : bool
        True: the mode of the density on the unconstrained scale, around which `MapFit.laplace` and samplers work.
        False: that of the parameters' own density, as `pm.find_MAP` finds it.
    average : bool
        Whether the loss is minus the log density over the number of observations (trials of observed variables, and
        values of potentials), so that an optimiser's rate means the same for few trials and for many.
    track_history : bool
        Whether `MapFit.history` has every step, or the last of each start only.
    log_every : int, optional
        Log a line every so many steps; by default none.

    Returns
    -------
    MapFit

    Raises
    ------
    ValueError
        If every start comes to a point where the density or a derivative is not finite (the message names the
        parameters) before it is better than where it began; or an argument is not as described.

    Warns
    -----
    UserWarning
        If the best start has not converged, or some start came to a point that is not finite; its best point before
        that is kept.

    Notes
    -----
    A start that nothing draws away may be a saddle or the lowest point of a valley, as all zeros often are. It is tried
    again from up to 1 beside it in every unconstrained value, and the higher density wins.

    A group's standard deviation of 0 with all members equal is an infinite density where members are drawn around
    their group ("centred"). Write members as offsets then, or look at the deviations.

    A log density may itself be random, as of a potential that simulates with ``pm.Normal.dist``. Then
    every step draws anew; the loss is smoothed over 50 steps, and the point at which it is lowest wins; a start takes
    all its steps, and has converged when its loss over the last fifth of them is not below that of the fifth before, by
    two standard errors. Optimisers with a line search are refused.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     rate = pm.Gamma("rate", 3, 2)
    >>> round(float(pl.fit_map(model, jacobian=False).point["rate"]), 1)
    1.0
    """
    model = resolve_model(model)
    # Before anything else touches JAX: see `posterior`.
    density, random = noisy_log_density(model, jacobian=jacobian)
    steps, n_starts = check_count("steps", steps), check_count("n_starts", n_starts)
    if log_every is not None:
        log_every = check_count("log_every", log_every)
    points = start_points(model, initvals, seed, [False] + [True] * (n_starts - 1))
    runner = _runner(
        density if random else lambda point: density(point, None),
        _optimizer(optimizer, steps),
        points[0],
        steps=steps,
        chunk=min(log_every or CHUNK, steps),
        tol=tol,
        random=random,
        scale=_observations(model) if average else 1,
    )
    keys = as_generator(seed).integers(2**31, size=n_starts)
    runs = [_descend(runner, x, steps, i, log_every, key) for i, (x, key) in enumerate(zip(points, keys, strict=True))]
    # Where nothing is steep at the start there may be a saddle: from beside it the way leads on, or back.
    still = [i for i, r in enumerate(runs) if len(r.rows) == 1 and not r.failed and _steepest(r.derivative)[0] <= tol]
    for i, point in zip(still, start_points(model, initvals, seed, [initvals != PRIOR] * len(still)), strict=True):
        runs[i] = _better(runs[i], _descend(runner, point, steps, i, log_every))
    best = _best(model, runs)
    converged = _check_converged(best, steps, tol)
    point = constrained(model, {name: x[None, None] for name, x in best.position.items()})
    return MapFit(
        point={name: x[0, 0] for name, x in point.items()},
        logp=-best.loss * runner.scale,
        converged=converged,
        history=_history(runs, track_history),
        _model=model,
        _position=best.position,
        _jacobian=jacobian,
    )


def _observations(model: Any) -> int:
    """How many log probabilities observed variables have, one of each trial, and values potentials."""
    terms = model.logp([*model.observed_RVs, *model.potentials], sum=False)
    shapes = compiled(model, [x.shape for x in terms])
    point = start_points(model, None, 0, [False])[0]
    return max(1, sum(int(np.prod(shape)) for shape in shapes(*(point[v.name] for v in model.value_vars))))


def _best(model: Any, runs: list[_Run]) -> _Run:
    """The run with the highest density, with a warning if some have failed."""
    failed = [r for r in runs if r.failed]
    usable = [r for r in runs if not r.failed or r.step > 0]
    if failed:
        message = _not_finite(model, failed[0])
        if not usable:
            raise ValueError(message)
        if len(failed) < len(runs):
            message = f"{len(failed)} of {len(runs)} starts failed. {message}"
        elif usable:
            message += f" The best point before that, of step {min(usable, key=lambda r: r.loss).step}, is kept."
        warnings.warn(message, stacklevel=3)
    return min(usable, key=lambda r: r.loss)


def _check_converged(run: _Run, steps: int, tol: float) -> bool:
    """Whether a run has converged, with a warning if it has not and that has not been said."""
    if run.failed:
        return False
    gradient, steepest = _steepest(run.derivative)
    if run.smoothed is not None:
        fall, error = _fall(run.rows[:, 0])
        converged = fall <= 2 * error
        expected, found = (
            "a loss that has stopped falling",
            f"one that fell by {fall:.3g} over the last {1 / PARTS:.0%}",
        )
    else:
        converged = gradient <= tol
        expected, found = f"derivatives below tol = {tol:g} within {steps} steps", f"{gradient:.3g} for {steepest}"
    if not converged:
        remedy = "take more steps, another optimizer or another start, and look at .history"
        warnings.warn(explain(expected, found, remedy), stacklevel=3)
    return converged


def _fall(loss: NDArray[np.float64]) -> tuple[float, float]:
    """How much lower a loss is in the last part of a run than in the part before, and the standard error of that."""
    n = max(2, len(loss) // PARTS)
    before, last = loss[-2 * n : -n], loss[-n:]
    if len(before) < n:
        return np.inf, 0.0
    return float(before.mean() - last.mean()), float(np.hypot(before.std(), last.std()) / np.sqrt(n))


def _better(run: _Run, other: _Run) -> _Run:
    """The other one if it has come to a higher density, by more than rounding."""
    gain = run.loss - other.loss
    return other if not other.failed and gain > ROUNDING * max(1.0, abs(run.loss)) else run


@dataclass(frozen=True, eq=False)
class _Run:
    """One start: its best point, and of which step; where it failed; loss and steepest derivative at each step."""

    position: Point
    derivative: Point
    loss: float
    step: int
    failed: tuple[Point, Point] | None
    rows: NDArray[np.float64]
    smoothed: NDArray[np.float64] | None


def _optimizer(optimizer: Any, steps: int) -> Any:
    """An optax transformation that takes value, gradient and function, whether it uses them or not."""
    import optax

    if isinstance(optimizer, str):
        rate = optax.cosine_decay_schedule(0.05, steps)
        named = {
            "lbfgs": lambda: optax.lbfgs(memory_size=MEMORY),
            "adam": lambda: optax.adam(rate),
            "sgd": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, momentum=0.9)),
        }
        if optimizer not in named:
            raise ValueError(unknown("optimizer", optimizer, OPTIMIZERS))
        optimizer = named[optimizer]()
    if not isinstance(optimizer, optax.GradientTransformation):
        remedy = "give one, such as optax.adam(0.01), or a name"
        raise ValueError(explain("an optax transformation", f"{type(optimizer).__name__}", remedy))
    return optax.with_extra_args_support(optimizer)


class _Runner(NamedTuple):
    """``begin(x)`` makes the state of a run, ``run(state, first)`` takes a chunk of steps from step `first` on."""

    begin: Callable[..., Any]
    run: Callable[..., Any]
    chunk: int
    unravel: Callable[..., Any]
    random: bool
    scale: int


class _State(NamedTuple):
    """Of a run: where it is, the optimiser's state, its best and its latest point, and what random losses need."""

    x: Any
    optimizer: Any
    best: Any
    latest: Any
    key: Any
    smoothed: Any
    done: Any


class _Point(NamedTuple):
    """A point of a run: unconstrained values, loss, gradient of the log density, step, and whether all is finite."""

    x: Any
    loss: Any
    gradient: Any
    step: Any
    finite: Any


def _runner(
    density: Callable[..., Any],
    optimizer: Any,
    like: Point,
    *,
    steps: int,
    chunk: int,
    tol: float,
    random: bool = False,
    scale: int = 1,
) -> _Runner:
    """Compile the steps of a run; nothing moves after its end or a failure.

    `density` is a function of a point, or of a point and a key where it is `random`; the loss minus it, over `scale`.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

    flat, unravel = ravel_pytree(like)
    searches = _searches(optimizer.init(flat))
    if searches and random:
        remedy = "give optimizer='adam' or 'sgd', or an optax transformation without a line search"
        raise ValueError(explain("an optimizer for a loss that is random", "one with a line search", remedy))

    def step(now: _State, number: Any) -> Any:
        key = jax.random.fold_in(now.key, number) if random else None

        def loss(x: Any) -> Any:
            return -(density(unravel(x), key) if random else density(unravel(x))) / scale

        # A line search has been here already.
        evaluate = (
            partial(optax.value_and_grad_from_state(loss), state=now.optimizer)
            if searches
            else jax.value_and_grad(loss)
        )
        value, grad = evaluate(now.x)
        steepest = jnp.max(jnp.abs(grad), initial=0.0) * scale
        finite = jnp.isfinite(value) & jnp.isfinite(steepest)
        taken = ~now.done & (number < steps)
        ends = ~finite | ((steepest <= tol) & (not random))
        # The first steps' mean, and then one of weights that fall off.
        smoothed = now.smoothed + (value - now.smoothed) / jnp.minimum(number + 1, WINDOW) if random else value
        updates, new = optimizer.update(grad, now.optimizer, now.x, value=value, grad=grad, value_fn=loss)
        moved = taken & ~ends
        here = _Point(now.x, smoothed, grad * scale, jnp.asarray(number), finite)
        # The point that ends a run has converged, and counts whatever came before.
        better = taken & finite & (ends | (smoothed < now.best.loss))
        x, state = _choose(moved, (optax.apply_updates(now.x, updates), new), (now.x, now.optimizer))
        after = _State(
            x,
            state,
            _choose(better, here, now.best),
            _choose(taken, here, now.latest),
            now.key,
            _choose(taken, smoothed, now.smoothed),
            ~moved,
        )
        return after, (value, steepest, smoothed, taken)

    @jax.jit
    def begin(point: Point, key: Any = 0) -> Any:
        x, _ = ravel_pytree(point)
        nowhere = _Point(x, jnp.asarray(jnp.inf, x.dtype), jnp.zeros_like(x), jnp.arange(1)[0], True)
        smoothed = jnp.zeros((), x.dtype)
        now = _State(x, optimizer.init(x), nowhere, nowhere, jax.random.PRNGKey(key), smoothed, False)
        # With types that are not left open, or `run` would be compiled a second time for what it returned.
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), now)

    @jax.jit
    def run(now: Any, first: Any) -> Any:
        return jax.lax.scan(step, now, first + jnp.arange(chunk))

    return _Runner(begin, run, chunk, unravel, random, scale)


def _searches(state: Any) -> bool:
    """Whether an optimiser's state has the value and slope at which a line search of optax ended.

    By its type, for an optimiser of one's own may keep the value and slope before a step under the same names.
    """
    import jax
    import optax

    kinds = (optax.ScaleByBacktrackingLinesearchState, optax.ScaleByZoomLinesearchState)
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kinds))
    return any(isinstance(leaf, kinds) and leaf.grad is not None for leaf in leaves)


def _choose(condition: Any, new: Any, old: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _descend(runner: _Runner, point: Point, steps: int, start: int, log_every: int | None, key: int = 0) -> _Run:
    """Run one start to its end, in chunks."""
    now, rows, taken = runner.begin(point, key), [], 0
    for first in range(0, steps, runner.chunk):
        now, (losses, gradients, smoothed, counted) = runner.run(now, first)
        rows.append(np.column_stack([losses, gradients, smoothed])[np.asarray(counted)])
        taken += len(rows[-1])
        if log_every:
            logger.info("start %d, step %d: loss %.6g, steepest derivative %.3g", start, taken, *rows[-1][-1, :2])
        if now.done:
            break

    def split(flat: Any) -> Point:
        return {k: np.asarray(v) for k, v in runner.unravel(flat).items()}

    table, best, latest = np.concatenate(rows), now.best, now.latest
    return _Run(
        split(best.x),
        split(best.gradient),
        float(best.loss),
        int(best.step),
        None if latest.finite else (split(latest.x), split(latest.gradient)),
        table[:, :2],
        table[:, 2] if runner.random else None,
    )


def _steepest(derivative: Point) -> tuple[float, str]:
    """The largest absolute derivative and the variable it belongs to."""
    return max((float(np.max(np.abs(d), initial=0.0)), name) for name, d in derivative.items())


def _history(runs: list[_Run], track: bool) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for i, r in enumerate(runs):
        columns = {"start": i, "step": np.arange(len(r.rows)), "loss": r.rows[:, 0], "gradient": r.rows[:, 1]}
        smoothed = {} if r.smoothed is None else {"smoothed": r.smoothed}
        tables.append(pd.DataFrame(columns | smoothed).iloc[0 if track else -1 :])
    return pd.concat(tables, ignore_index=True)


def _not_finite(model: Any, run: _Run) -> str:
    """Say what is not finite where a run had to stop: parameters, their derivatives, terms of the density."""
    step = len(run.rows) - 1
    position, derivative = run.failed or (run.position, run.derivative)
    bad = {
        "the parameters": [k for k, x in position.items() if not np.isfinite(x).all()],
        "derivatives by": [k for k, x in derivative.items() if not np.isfinite(x).all()],
    }
    lines = [f"{kind} {', '.join(names)}" for kind, names in bad.items() if names]
    if not bad["the parameters"] and (terms := not_finite(model, position)):
        lines.append(f"the log probability of {terms}")
    found = "; ".join(lines)
    rate = ", for instance to a tenth" if step else ""
    return explain(
        "a finite log density with finite derivatives",
        f"at step {step} these not finite: {found or 'their sum'}",
        f"give other initvals, for instance those of pl.initvals, or lower the optimizer's rate{rate}",
    )
