"""What BlackJAX is to sample: a log density of named or nested arrays, where its chains start, and the way back.

It comes from a PyMC model, from a function of JAX or from a PyTensor graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from pymc_lan.errors import explain, unknown
from pymc_lan.inference.posterior import (
    arrays_as_datatree,
    as_datatree,
    log_density,
    not_finite,
    resolve_model,
    start_points,
)
from pymc_lan.numerics.seeds import as_generator

# What a position that is a single array is called among the draws.
ALONE = "x"


class Target(ABC):
    """What is sampled; positions are pytrees of arrays."""

    density: Callable[[Any], Any]

    @abstractmethod
    def starts(self, seed: Any, jitter: Sequence[bool]) -> list[Any]:
        """Positions where chains may start, each moved by up to 1 in every value where `jitter` says so."""

    @abstractmethod
    def not_finite(self, position: Any) -> str:
        """What of the density is not finite at a position, in words."""

    @abstractmethod
    def reference(self, seed: Any, n: int) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
        """Where tempering begins: n stacked draws, their log density, and what the target's has more."""

    @abstractmethod
    def datatree(self, draws: Any, stats: Mapping[str, Any], library: Any, **attrs: Any) -> Any:
        """The draws as `pm.sample` would return them."""


@final
class ModelTarget(Target):
    """The posterior of a PyMC model, on the unconstrained scale."""

    def __init__(self, model: Any, initvals: Any):
        self.model, self.initvals = model, initvals
        # Before anything else touches JAX: see `posterior`.
        self.density = log_density(model)

    def starts(self, seed: Any, jitter: Sequence[bool]) -> list[Any]:
        """By PyMC's own rules."""
        return start_points(self.model, self.initvals, seed, jitter)

    def not_finite(self, position: Any) -> str:
        """The terms of the density."""
        return f"by {not_finite(self.model, position)}, "

    def reference(self, seed: Any, n: int) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
        """The prior; data and potentials come in by and by."""
        if self.initvals not in (None, "prior"):
            remedy = "leave initvals out, or take another kernel"
            raise ValueError(explain("no initvals: SMC starts from draws of the prior", "some", remedy))
        try:
            points = start_points(self.model, "prior", seed, [False] * n)
        except NotImplementedError as error:
            remedy = "give those without bounds, such as pm.Flat, a prior, or take another kernel"
            raise ValueError(explain("priors that can be drawn from, where SMC starts", str(error), remedy)) from error
        stacked = {name: np.stack([point[name] for point in points]) for name in points[0]}
        return (
            stacked,
            log_density(self.model, self.model.varlogp),
            log_density(self.model, self.model.datalogp),
        )

    def datatree(self, draws: Any, stats: Mapping[str, Any], library: Any, **attrs: Any) -> Any:
        """With the model's constrained and deterministic variables, coordinates and data."""
        return as_datatree(self.model, draws, stats, library, **attrs)


@final
class DensityTarget(Target):
    """A log density by itself: a JAX function of a pytree, on the scale of its arguments.

    Parameters
    ----------
    function : callable
        From a pytree of arrays to one number.
    start : pytree, or callable
        Like what the function takes; or a function from a generator of random numbers to that.
    """

    def __init__(self, function: Callable[[Any], Any], start: Any):
        self.start = start
        like = self._draw(as_generator(0))
        _check_density(function, like)
        self.names = _names(like)
        self.density = _as_float(function)

    def _draw(self, rng: np.random.Generator) -> Any:
        import jax

        return jax.tree.map(_as_start, self.start(rng) if callable(self.start) else self.start)

    def starts(self, seed: Any, jitter: Sequence[bool]) -> list[Any]:
        """Those given; what is drawn already is not moved."""
        import jax

        rng = as_generator(seed)
        points = [self._draw(rng) for _ in jitter]
        if callable(self.start):
            return points
        return [
            jax.tree.map(lambda x, move=move: x + move * rng.uniform(-1, 1, x.shape), point)
            for point, move in zip(points, jitter, strict=True)
        ]

    def not_finite(self, position: Any) -> str:
        """No more is known."""
        return ""

    def reference(self, seed: Any, n: int) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
        """A normal distribution of standard deviation 1 around the start, so that the density may be improper."""
        import jax
        from jax.flatten_util import ravel_pytree

        if callable(self.start):
            remedy = "give initvals as a point"
            raise ValueError(explain("a point around which SMC starts", "a function that draws starts", remedy))
        center = self._draw(as_generator(0))
        middle, unravel = ravel_pytree(center)
        rows = middle + as_generator(seed).standard_normal((n, middle.size))

        def log_normal(position: Any) -> Any:
            return jax.scipy.stats.norm.logpdf(ravel_pytree(position)[0], middle).sum()

        return jax.vmap(unravel)(rows), log_normal, lambda position: self.density(position) - log_normal(position)

    def datatree(self, draws: Any, stats: Mapping[str, Any], library: Any, **attrs: Any) -> Any:
        """Variables are named by their path in the pytree."""
        import jax

        named = dict(zip(self.names, jax.tree.leaves(draws), strict=True))
        return arrays_as_datatree(named, stats, library, **attrs)


def as_target(given: Any, initvals: Any) -> Target:
    """What is to be sampled, from what a user gives.

    Parameters
    ----------
    given : pm.Model, callable, TensorVariable or None
    initvals : mapping, pytree or callable

    Returns
    -------
    Target

    Raises
    ------
    ValueError
        If the density is none, or has no start.

    Examples
    --------
    >>> import numpy as np
    >>> as_target(lambda x: -(x**2).sum(), np.zeros(2)).starts(1, [False])
    [array([0., 0.])]
    """
    from pymc import Model
    from pytensor.graph.basic import Variable

    if given is None or isinstance(given, Model):
        return ModelTarget(resolve_model(given), initvals)
    if not isinstance(given, Variable) and not callable(given):
        expected = "a PyMC model, a log density as a function of JAX, or one as a PyTensor graph"
        raise ValueError(explain(expected, type(given).__name__, "give one of these"))
    if initvals is None:
        expected = "initvals, where chains of a log density start"
        remedy = "give a point like that which the function takes, or values by name for the inputs of a graph"
        raise ValueError(explain(expected, "none", remedy))
    return _graph_target(given, initvals) if isinstance(given, Variable) else DensityTarget(given, initvals)


def _graph_target(graph: Any, initvals: Any) -> DensityTarget:
    """A PyTensor graph as a function of its inputs by name."""
    from pytensor.graph.traversal import ancestors, explicit_graph_inputs
    from pytensor.tensor.random.type import RandomType

    if any(isinstance(v.type, RandomType) for v in ancestors([graph])):
        remedy = "put values in the place of random variables, as model.logp() does"
        raise ValueError(explain("a log density that nothing is drawn for", "random variables", remedy))
    inputs: list[Any] = list(explicit_graph_inputs([graph]))
    names = sorted(str(v.name) for v in inputs)
    if not inputs or "None" in names or len({*names}) < len(names):
        found = ", ".join(names) or "none"
        remedy = "make them by pt.dscalar('alpha') and the like"
        raise ValueError(explain("a graph whose inputs have names, each its own", found, remedy))
    if discrete := [v.name for v in inputs if not v.dtype.startswith("float")]:
        remedy = "put numbers in their place, or sum them out"
        raise ValueError(explain("inputs of real numbers, which have gradients", ", ".join(discrete), remedy))

    def start(values: Any) -> dict[str, Any]:
        if not isinstance(values, Mapping):
            found = type(values).__name__
            raise ValueError(explain(f"initvals by name, of {', '.join(names)}", found, "give a dictionary"))
        given = {getattr(key, "name", key): value for key, value in values.items()}
        if missing := [name for name in names if name not in given]:
            remedy = "give each input a value"
            raise ValueError(explain(f"initvals of {', '.join(names)}", f"none of {', '.join(missing)}", remedy))
        for name in given:
            if name not in names:
                raise ValueError(unknown("input", name, names, of="the graph"))
        return {str(v.name): _of_type(v, given[v.name]) for v in inputs}

    from pymc.sampling.jax import get_jaxified_graph

    function = get_jaxified_graph(inputs=inputs, outputs=[graph])
    return DensityTarget(
        lambda point: function(*(point[v.name] for v in inputs))[0],
        (lambda rng: start(initvals(rng))) if callable(initvals) else start(initvals),
    )


def _of_type(variable: Any, value: Any) -> Any:
    """A value with the shape that an input has."""
    value = _as_start(value)
    shape = variable.type.shape
    if value.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, value.shape, strict=True)):
        expected = f"a start of shape {shape} for {variable.name}"
        raise ValueError(explain(expected, f"one of {value.shape}", "give it that shape"))
    return value


def _as_start(value: Any) -> Any:
    """A leaf of a start as floating-point numbers."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal length
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        remedy = "give numbers; what is not to be sampled is the function's own"
        raise ValueError(explain("starts that are real numbers", f"{value!r:.80}", remedy))
    return array.astype(np.float64)


def _names(position: Any) -> list[str]:
    """A name for each leaf: its path."""
    import jax

    paths, leaves = zip(*jax.tree_util.tree_flatten_with_path(position)[0], strict=True)
    # A slash would make groups of an ArviZ object.
    names = [jax.tree_util.keystr(p, simple=True, separator=".").replace("/", ".") or ALONE for p in paths]
    if len({*names}) < len(names):
        remedy = "give keys without dots and slashes"
        raise ValueError(explain("paths in the pytree that are names, each its own", ", ".join(names), remedy))
    axes = {"chain", "draw", *(f"{name}_dim_{k}" for name, x in zip(names, leaves, strict=True) for k in range(x.ndim))}
    if taken := axes.intersection(names):
        expected = "names other than those of the axes of draws"
        raise ValueError(explain(expected, ", ".join(sorted(taken)), "give these other keys"))
    return names


def _check_density(function: Callable[[Any], Any], like: Any) -> None:
    """Refuse what does not give one real number."""
    import jax

    if not jax.tree.leaves(like):
        raise ValueError(explain("starts with at least one number", "none", "give initvals the values to sample"))
    remedy = (
        "write it with jax.numpy, give initvals as it takes them (arrays as arrays, for JAX takes lists apart), and sum"
    )
    try:
        found = jax.eval_shape(function, like)
    except Exception as error:
        expected = "a log density that JAX can trace at the start"
        message = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        raise ValueError(explain(expected, message.rstrip(". "), remedy)) from error
    if getattr(found, "shape", None) != () or not jax.numpy.issubdtype(found.dtype, jax.numpy.floating):
        shown = f"shape {found.shape} of {found.dtype}" if hasattr(found, "shape") else type(found).__name__
        raise ValueError(explain("a log density that is one real number", shown, remedy))


def _as_float(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The density in the precision of positions, whatever it is computed in."""
    import jax.numpy as jnp

    return lambda position: jnp.asarray(function(position), jnp.result_type(float))
