"""A PyMC model as JAX sees it: a log density on the unconstrained scale, and the way back to an ArviZ object.

JAX is set up for several chains when ``pymc.sampling.jax`` is first imported, so that import comes before JAX's own
first use; and it stands inside functions, because it changes global settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.unobserved import require_data
from pymc_lan.errors import explain
from pymc_lan.numerics.seeds import as_generator

Point = dict[str, NDArray[np.float64]]

# Starts that are draws of it.
PRIOR = "prior"
# Draws that are transformed at once: a model may have a deterministic variable with a value for every trial.
BATCH = 64


def resolve_model(model: Any) -> Any:
    """The model, or that of the context, with free variables that are all continuous.

    Parameters
    ----------
    model : pm.Model, optional

    Returns
    -------
    pm.Model

    Raises
    ------
    ValueError
        If there is no free variable, or one of them is discrete or is trials without data.
    TypeError
        If there is no model, neither given nor in a context.

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x")
    ...     resolve_model(None) is model
    True
    """
    from pymc.model.core import modelcontext

    model = modelcontext(model)
    for rv in model.free_RVs:
        if trial_node(rv) is not None:
            require_data(rv.name)
    if not model.free_RVs:
        raise ValueError(explain("a model with free variables", "none", "give at least one parameter a prior"))
    if discrete := [rv.name for rv in model.free_RVs if not rv.dtype.startswith("float")]:
        remedy = "sum them out of the model, or use pm.sample"
        raise ValueError(explain("continuous free variables, which have gradients", ", ".join(discrete), remedy))
    return model


def log_density(model: Any, terms: Any = None, *, jacobian: bool = True) -> Callable[[Mapping[str, Any]], Any]:
    """Log posterior density, up to a constant, as a JAX function of the unconstrained values by name.

    Parameters
    ----------
    model : pm.Model
    terms : TensorVariable, optional
        A part of it instead, such as ``model.varlogp``.
    jacobian : bool
        Whether it is a density of the unconstrained values (True) or of the parameters themselves.

    Returns
    -------
    callable

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x")
    >>> float(log_density(model)({"x": 0.0}))
    -0.918...
    """
    density, random = noisy_log_density(model, terms, jacobian=jacobian)
    if random:
        remedy = "use pl.fit_map, which draws anew at every step, or a likelihood that is a function, as a network is"
        raise ValueError(
            explain("a log density that is the same at every look", "one with random numbers in it", remedy)
        )
    return lambda point: density(point, None)


def noisy_log_density(
    model: Any, terms: Any = None, *, jacobian: bool = True
) -> tuple[Callable[[Mapping[str, Any], Any], Any], bool]:
    """Log posterior density as a JAX function of the unconstrained values by name and of a key, and whether it uses it.

    Parameters
    ----------
    model : pm.Model
        Where its log density has random numbers in it, as that of a Monte-Carlo likelihood in a potential or of a
        minibatch has, they are drawn from the key.
    terms : TensorVariable, optional
    jacobian : bool
        As of `log_density`.

    Returns
    -------
    density : callable
    random : bool

    Examples
    --------
    >>> import jax, pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x")
    ...     noise = pm.Potential("noise", x * pm.Normal.dist())
    >>> density, random = noisy_log_density(model)
    >>> random, density({"x": 1.0}, jax.random.PRNGKey(1)) == density({"x": 1.0}, jax.random.PRNGKey(2))
    (True, Array(False, dtype=bool))
    """
    from pymc.sampling.jax import get_jaxified_graph
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import graph_inputs
    from pytensor.link.jax.dispatch import jax_typify
    from pytensor.tensor.random.type import RandomType

    names = [v.name for v in model.value_vars]
    density = model.logp(jacobian=jacobian) if terms is None else terms
    shared = [x for x in graph_inputs([density]) if isinstance(x, SharedVariable) and isinstance(x.type, RandomType)]
    # Each node that draws takes its generator as it finds it: two with the same one would draw the same numbers.
    states = [x.type() for x in shared]
    drawn: Any = clone_replace([density], replace=list(zip(shared, states, strict=True))) if shared else [density]
    function = get_jaxified_graph(inputs=[*model.value_vars, *states], outputs=drawn)
    begin = [jax_typify(x.get_value()) for x in shared]

    def of_key(point: Mapping[str, Any], key: Any) -> Any:
        import jax

        keys = jax.random.split(key, len(begin)) if begin else ()
        given = [state | {"jax_state": each} for state, each in zip(begin, keys, strict=True)]
        return function(*(point[name] for name in names), *given)[0]

    return of_key, bool(shared)


def start_points(
    model: Any, initvals: Mapping[str, Any] | Literal["prior"] | None, seed: Any, jitter: Sequence[bool]
) -> list[Point]:
    """Starting points on the unconstrained scale.

    Parameters
    ----------
    model : pm.Model
    initvals : mapping of str to array, or "prior", optional
        As `pm.sample` takes it: values by name, in place of the model's own. Or each start is a draw from the prior.
    seed : int, optional
    jitter : sequence of bool
        For each start, whether every value is moved by up to 1, as `pm.sample` does; draws from the prior are not.

    Raises
    ------
    ValueError
        For another word.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Exponential("x", 1.0)
    >>> start_points(model, {"x": 1.0}, 1, [False])
    [{'x_log__': array(0.)}]
    """
    from pymc.initial_point import make_initial_point_fn

    seeds = as_generator(seed).integers(2**31, size=len(jitter))
    if isinstance(initvals, str):
        if initvals != PRIOR:
            raise ValueError(explain(f"initvals by name, or {PRIOR!r}", repr(initvals), f"give {PRIOR!r} or a dict"))
        initvals, jitter = dict.fromkeys((rv.name for rv in model.free_RVs), PRIOR), [False] * len(jitter)
    overrides = None if initvals is None else dict(initvals)
    exact = make_initial_point_fn(model=model, overrides=overrides)
    moved = make_initial_point_fn(model=model, overrides=overrides, jitter_rvs=set(model.free_RVs))
    found = [(moved if move else exact)(int(s)) for move, s in zip(jitter, seeds, strict=True)]
    return [{name: np.asarray(x, np.float64) for name, x in point.items()} for point in found]


def compiled(model: Any, outputs: Sequence[Any], further: Sequence[Any] = ()) -> Any:
    """A function of a model's unconstrained values, in any precision, for few calls: numba takes longer than these.

    Parameters
    ----------
    model : pm.Model
    outputs : sequence of TensorVariable
        In terms of the model's value variables.
    further : sequence of TensorVariable
        Inputs after these.

    Returns
    -------
    callable
        Of the unconstrained values, in the model's order.

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Exponential("x", 1.0)
    >>> [float(value) for value in compiled(model, model.replace_rvs_by_values([x]))(0.0)]
    [1.0]
    """
    import pytensor
    from pytensor.compile.mode import get_mode

    # Sums stay as they are written: a sum of more than 31 terms is none that NumPy can evaluate at once.
    mode = get_mode("FAST_COMPILE").excluding("local_add_canonizer")
    options: Any = {"mode": mode, "on_unused_input": "ignore", "allow_input_downcast": True}
    return pytensor.function([*model.value_vars, *further], outputs, **options)


def not_finite(model: Any, point: Point) -> str:
    """Name the terms of a model's log density that are not finite at a point.

    Parameters
    ----------
    model : pm.Model
    point : dict
        Unconstrained values by name.

    Returns
    -------
    str
        Names, each with those of the free variables it depends on; empty where all are finite.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x")
    ...     y = pm.Uniform("y", x, 1.0, observed=[2.0])
    >>> not_finite(model, {"x": np.array(0.0)})
    'y (of x)'
    """
    from pytensor.graph.traversal import ancestors

    factors = model.basic_RVs + model.potentials
    terms = compiled(model, model.logp(factors, sum=False))(*(point[v.name] for v in model.value_vars))
    bad = [f for f, x in zip(factors, terms, strict=True) if not np.isfinite(x).all()]
    of = [", ".join(rv.name for rv in model.free_RVs if rv is not f and rv in set(ancestors([f]))) for f in bad]
    return ", ".join(f.name + (f" (of {names})" if names else "") for f, names in zip(bad, of, strict=True))


def constrained(model: Any, draws: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Free and deterministic variables of a model from draws of the unconstrained values.

    Parameters
    ----------
    model : pm.Model
    draws : mapping of str to array of shape (chain, draw, ...)

    Returns
    -------
    dict
        Arrays of shape (chain, draw, ...).

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> with pm.Model() as model:
    ...     x = pm.Exponential("x", 1.0)
    >>> constrained(model, {"x_log__": np.zeros((1, 2))})
    {'x': array([[1., 1.]])}
    """
    import jax
    from pymc.sampling.jax import get_jaxified_graph
    from pymc.util import get_default_varnames

    wanted = get_default_varnames(model.unobserved_value_vars, include_transformed=False)
    function = get_jaxified_graph(inputs=model.value_vars, outputs=wanted)
    values = [np.asarray(draws[v.name]) for v in model.value_vars]
    grid = values[0].shape[:2]
    flat = [x.reshape(-1, *x.shape[2:]) for x in values]
    found = jax.jit(lambda x: jax.lax.map(lambda one: function(*one), x, batch_size=BATCH))(flat)
    return {v.name: np.asarray(x).reshape(*grid, *x.shape[1:]) for v, x in zip(wanted, found, strict=True)}


def as_datatree(model: Any, draws: Mapping[str, Any], stats: Mapping[str, Any], library: Any, **attrs: Any) -> Any:
    """The object that `pm.sample` returns, from draws of the unconstrained values.

    Parameters
    ----------
    model : pm.Model
    draws : mapping of str to array of shape (chain, draw, ...)
    stats : mapping of str to array of shape (chain, draw)
        The group ``sample_stats``; left out where empty.
    library : module
        Whose name and version the posterior's attributes are to have.
    **attrs
        Further attributes of the posterior.

    Returns
    -------
    xarray.DataTree
        Groups posterior, sample_stats, observed_data and constant_data, with the model's coordinates and dimensions.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> with pm.Model(coords={"s": ["ann", "bob"]}) as model:
    ...     x = pm.Normal("x", dims="s")
    >>> as_datatree(model, {"x": np.zeros((1, 3, 2))}, {}, pm).posterior["x"].dims
    ('chain', 'draw', 's')
    """
    from pymc.backends.arviz import coords_and_dims_for_inferencedata, find_constants, find_observations

    coords, dims = coords_and_dims_for_inferencedata(model)
    data = {"observed_data": find_observations(model), "constant_data": find_constants(model)}
    return _datatree(constrained(model, draws), stats, data, library, attrs, coords=coords, dims=dims)


def arrays_as_datatree(draws: Mapping[str, Any], stats: Mapping[str, Any], library: Any, **attrs: Any) -> Any:
    """The object that `pm.sample` returns, from draws of anything by name.

    Parameters
    ----------
    draws : mapping of str to array of shape (chain, draw, ...)
    stats : mapping of str to array of shape (chain, draw)
    library : module
    **attrs
        As of `as_datatree`.

    Returns
    -------
    xarray.DataTree
        Groups posterior and sample_stats.

    Examples
    --------
    >>> import numpy as np
    >>> arrays_as_datatree({"x": np.zeros((1, 3, 2))}, {}, np).posterior["x"].shape
    (1, 3, 2)
    """
    return _datatree({name: np.asarray(x) for name, x in draws.items()}, stats, {}, library, attrs)


def _datatree(
    posterior: Mapping[str, Any],
    stats: Mapping[str, Any],
    data: Mapping[str, Any],
    library: Any,
    attrs: Mapping[str, Any],
    **options: Any,
) -> Any:
    from arviz_base import from_dict, make_attrs

    groups = {"posterior": posterior, "sample_stats": {name: np.asarray(x) for name, x in stats.items()}, **data}
    return from_dict(
        {name: group for name, group in groups.items() if group},
        sample_dims=["chain", "draw"],
        attrs={"posterior": make_attrs(dict(attrs), inference_library=library)},
        **options,
    )
