"""The posterior mode by any optax transformation, and the Laplace approximation around it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.posterior import (
    Point,
    as_datatree,
    constrained,
    log_density,
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
# Columns of the Hessian that are computed at once.
COLUMNS = 8
# Parameters that a message names.
SHOWN = 5
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
        Log posterior density there, up to a constant.
    converged : bool
        Whether every derivative of the log density by an unconstrained value is below the tolerance.
    history : DataFrame
        One row per step: ``start``, ``step``, ``loss`` (minus the log density) and ``gradient`` (the largest
        absolute derivative), both before the step.

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

        if not self._jacobian:
            remedy = "fit with jacobian=True"
            raise ValueError(explain("a mode on the unconstrained scale", "one of jacobian=False", remedy))
        flat, unravel = ravel_pytree(self._position)
        precision = _hessian(log_density(self._model), flat, unravel)
        deviations = _normal_draws(precision, check_count("draws", draws), as_generator(seed), _labels(self._position))
        rows = flat + jnp.asarray(deviations)
        split = {name: x[None] for name, x in jax.vmap(unravel)(rows).items()}
        return as_datatree(self._model, split, {}, pymc, approximation="Laplace")


def fit_map(
    model: Any = None,
    optimizer: Any = "lbfgs",
    steps: int = 1000,
    *,
    initvals: Mapping[str, Any] | None = None,
    n_starts: int = 1,
    seed: int | None = None,
    tol: float = 0.05,
    jacobian: bool = True,
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
    initvals : mapping of str to array, optional
        Where to start, as `pm.sample` takes it and `pymc_lan.initvals` makes it. By default the model's initial point.
    n_starts : int
        Starts after the first are moved by up to 1 in every unconstrained value. The highest density wins.
    seed : int, optional
        Of those moves.
    tol : float
        A start has converged when no derivative of the log density by an unconstrained value is larger. A derivative
        of 0.05 moves a parameter whose posterior standard deviation is s by about 0.05 s of those deviations.
    jacobian : bool
        True: the mode of the density on the unconstrained scale, around which `MapFit.laplace` and samplers work.
        False: that of the parameters' own density, as `pm.find_MAP` finds it.
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
        parameters), or an argument is not as described.

    Warns
    -----
    UserWarning
        If the best start has not converged, or some starts (not all) came to a point that is not finite.

    Notes
    -----
    A start that nothing draws away may be a saddle or the lowest point of a valley, as all zeros often are. It is tried
    again from up to 1 beside it in every unconstrained value, and the higher density wins.

    A group's standard deviation of 0 with all members equal is an infinite density where members are drawn around
    their group ("centred"). Write members as offsets then, or look at the deviations.

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
    density = log_density(model, jacobian=jacobian)
    steps, n_starts = check_count("steps", steps), check_count("n_starts", n_starts)
    if log_every is not None:
        log_every = check_count("log_every", log_every)
    points = start_points(model, initvals, seed, [False] + [True] * (n_starts - 1))
    chunk = min(log_every or CHUNK, steps)
    runner = _runner(density, _optimizer(optimizer, steps), points[0], steps=steps, chunk=chunk, tol=tol)
    runs = [_descend(runner, point, steps, i, log_every) for i, point in enumerate(points)]
    # Where nothing is steep at the start there may be a saddle: from beside it the way leads on, or back.
    still = [i for i, r in enumerate(runs) if len(r.rows) == 1 and not r.failed and _steepest(r.derivative)[0] <= tol]
    for i, point in zip(still, start_points(model, initvals, seed, [True] * len(still)), strict=True):
        runs[i] = _better(runs[i], _descend(runner, point, steps, i, log_every))
    fine = [r for r in runs if not r.failed]
    if len(fine) < len(runs):
        message = _not_finite(model, next(r for r in runs if r.failed))
        if not fine:
            raise ValueError(message)
        warnings.warn(f"{len(runs) - len(fine)} of {len(runs)} starts failed. {message}", stacklevel=2)
    best = min(fine, key=lambda r: r.loss)
    gradient, steepest = _steepest(best.derivative)
    converged = gradient <= tol
    if not converged:
        message = explain(
            f"derivatives below tol = {tol:g} within {steps} steps",
            f"{gradient:.3g} for {steepest}",
            "take more steps, another optimizer or another start, and look at .history",
        )
        warnings.warn(message, stacklevel=2)
    point = constrained(model, {name: x[None, None] for name, x in best.position.items()})
    return MapFit(
        point={name: x[0, 0] for name, x in point.items()},
        logp=-best.loss,
        converged=converged,
        history=_history(runs, track_history),
        _model=model,
        _position=best.position,
        _jacobian=jacobian,
    )


def _better(run: _Run, other: _Run) -> _Run:
    """The other one if it has come to a higher density, by more than rounding."""
    gain = run.loss - other.loss
    return other if not other.failed and gain > ROUNDING * max(1.0, abs(run.loss)) else run


@dataclass(frozen=True, eq=False)
class _Run:
    """One start: where it ended, and loss and steepest derivative at every step, as rows."""

    position: Point
    derivative: Point
    loss: float
    failed: bool
    rows: NDArray[np.float64]


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


def _runner(density: Callable[..., Any], optimizer: Any, like: Point, *, steps: int, chunk: int, tol: float) -> _Runner:
    """Compile the steps of a run; nothing moves after its end or a failure."""
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

    _, unravel = ravel_pytree(like)

    def loss(x: Any) -> Any:
        return -density(unravel(x))

    def step(carry: Any, number: Any) -> Any:
        x, state, best, done = carry
        if optax.tree.get(state, "value") is not None and optax.tree.get(state, "grad") is not None:
            # A line search has been here already.
            value, grad = optax.value_and_grad_from_state(loss)(x, state=state)
        else:
            value, grad = jax.value_and_grad(loss)(x)
        steepest = jnp.max(jnp.abs(grad))
        failed = ~(jnp.isfinite(value) & jnp.isfinite(steepest))
        taken = ~done & (number < steps)
        ends = failed | (steepest <= tol)
        updates, new_state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=loss)
        moved = taken & ~ends
        # The point that ends a run counts, whatever came before: it has converged, or it is to be looked at.
        best = _choose(taken & (ends | (value < best[1])), (x, value, grad, failed), best)
        x, state = _choose(moved, (optax.apply_updates(x, updates), new_state), (x, state))
        return (x, state, best, ~moved), (value, steepest, taken)

    @jax.jit
    def begin(point: Point) -> Any:
        x, _ = ravel_pytree(point)
        carry = x, optimizer.init(x), (x, jnp.asarray(jnp.inf, x.dtype), jnp.zeros_like(x), False), False
        # With types that are not left open, or `run` would be compiled a second time for what it returned.
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), carry)

    @jax.jit
    def run(carry: Any, first: Any) -> Any:
        return jax.lax.scan(step, carry, first + jnp.arange(chunk))

    return _Runner(begin, run, chunk, unravel)


def _choose(condition: Any, new: Any, old: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _descend(runner: _Runner, point: Point, steps: int, start: int, log_every: int | None) -> _Run:
    """Run one start to its end, in chunks."""
    carry, rows, taken = runner.begin(point), [], 0
    for first in range(0, steps, runner.chunk):
        carry, (losses, gradients, counted) = runner.run(carry, first)
        rows.append(np.column_stack([losses, gradients])[np.asarray(counted)])
        taken += len(rows[-1])
        if log_every:
            logger.info("start %d, step %d: loss %.6g, steepest derivative %.3g", start, taken, *rows[-1][-1])
        if carry[-1]:
            break
    x, loss, grad, failed = carry[2]
    position, derivative = ({k: np.asarray(v) for k, v in runner.unravel(y).items()} for y in (x, grad))
    return _Run(position, derivative, float(loss), bool(failed), np.concatenate(rows))


def _steepest(derivative: Point) -> tuple[float, str]:
    """The largest absolute derivative and the variable it belongs to."""
    return max((float(np.max(np.abs(d), initial=0.0)), name) for name, d in derivative.items())


def _history(runs: list[_Run], track: bool) -> pd.DataFrame:
    import pandas as pd

    tables = [pd.DataFrame(r.rows, columns=["loss", "gradient"]) for r in runs]
    return pd.concat(
        [
            table.assign(start=i, step=np.arange(len(table)))[["start", "step", "loss", "gradient"]].iloc[
                0 if track else -1 :
            ]
            for i, table in enumerate(tables)
        ],
        ignore_index=True,
    )


def _not_finite(model: Any, run: _Run) -> str:
    """Say what is not finite where a run had to stop: parameters, their derivatives, terms of the density."""
    step = len(run.rows) - 1
    bad = {
        "the parameters": [k for k, x in run.position.items() if not np.isfinite(x).all()],
        "derivatives by": [k for k, x in run.derivative.items() if not np.isfinite(x).all()],
    }
    lines = [f"{kind} {', '.join(names)}" for kind, names in bad.items() if names]
    if not bad["the parameters"] and (terms := not_finite(model, run.position)):
        lines.append(f"the log probability of {terms}")
    found = "; ".join(lines)
    return explain(
        "a finite log density with finite derivatives",
        f"at step {step} these not finite: {found or 'their sum'}",
        "give other initvals, for instance those of pl.initvals, or lower the optimizer's rate",
    )


def _labels(position: Point) -> list[str]:
    """One name for every element of the flat vector, in the order of `ravel_pytree`: by name."""
    return [
        name + (f"[{', '.join(map(str, i))}]" if (i := np.unravel_index(k, x.shape)) else "")
        for name, x in sorted(position.items())
        for k in range(x.size)
    ]


def _hessian(density: Callable[..., Any], flat: Any, unravel: Callable[..., Any]) -> NDArray[np.float64]:
    """Minus the second derivatives of the log density, a few columns at a time."""
    import jax
    import jax.numpy as jnp

    gradient = jax.grad(lambda x: -density(unravel(x)))
    columns = jax.jit(
        lambda x: jax.lax.map(
            lambda direction: jax.jvp(gradient, (x,), (direction,))[1], jnp.eye(x.size), batch_size=COLUMNS
        )
    )
    found = np.asarray(columns(flat))
    return (found + found.T) / 2


def _normal_draws(
    precision: NDArray[np.float64], n: int, rng: np.random.Generator, labels: list[str]
) -> NDArray[np.float64]:
    """Rows drawn from the normal distribution around 0 whose covariance is the inverse of `precision`."""
    if not np.isfinite(precision).all():
        bad = [labels[i] for i in np.flatnonzero(~np.isfinite(precision).all(axis=1))[:SHOWN]]
        remedy = "draw with pm.sample instead"
        raise ValueError(explain("finite second derivatives at the mode", f"others by {', '.join(bad)}", remedy))
    values, vectors = np.linalg.eigh(precision)
    # What the data and priors do not hold has a curvature of 0, but for rounding.
    if values[0] <= values[-1] * len(values) * np.finfo(float).eps:
        main = [labels[i] for i in np.argsort(-np.abs(vectors[:, 0]))[:SHOWN]]
        raise ValueError(
            explain(
                "a density that falls off in every direction from the mode",
                f"one that does not, mostly along {', '.join(main)}",
                "give them tighter priors, go on to convergence, or draw with pm.sample instead",
            )
        )
    return rng.standard_normal((n, len(values))) / np.sqrt(values) @ vectors.T
