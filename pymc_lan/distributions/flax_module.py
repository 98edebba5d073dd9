"""Modules of Flax whose weights are variables of a PyMC model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_path, explain, is_real, unknown

if TYPE_CHECKING:
    from pymc_lan.ops.flax_module import Opened


def flax_module(
    module: Any,
    *inputs: Any,
    prior: Any = None,
    frozen: str | PathLike[str] | Mapping[str, Any] | None = None,
    name: str | None = None,
    dtype: str | None = None,
    **settings: Any,
) -> Any:
    """Call a module of Flax with weights that are variables of the PyMC model of the context.

    Parameters
    ----------
    module : nnx.Module or linen.Module
        Its output has to follow from weights and inputs alone: call ``module.eval()`` of an NNX module with dropout or
        statistics of batches before. Statistics are then taken as they are in the module, or in `frozen`.
    *inputs : TensorVariable or array
        What it is called with.
    prior : callable or float, optional
        A function from a weight's path, such as ``"layers.0.kernel"``, and shape to its prior: a distribution, as
        ``pm.Laplace.dist(0, 1)``, which each value of the weight has where it is a scalar; the standard deviation of a
        normal distribution; a variable of the model or of its variables, such as ``model[path]`` of another call, whose
        weights are then shared; an array, which is not learnt; or None for the default. Or one of these for all.

        By default weights are normal with mean 0 and standard deviation 1, kernels 1 / sqrt(inputs of a unit); scales
        of normalised values have mean 1.
    frozen : path or mapping, optional
        A safetensors file, or arrays, of weights that are not learnt, by path or in mappings within mappings, as
        Flax has them. Weights that are not in it have priors.
    name : str, optional
        Before the paths, with a dot, for modules with equal paths in one model.
    dtype : {"float64", "float32"}, optional
        As of `pymc_lan.jax_function`.
    **settings
        Keyword arguments of the module's call, such as ``train=False``.

    Returns
    -------
    TensorVariable
        The output; where the module returns a pytree of arrays, one of variables.

    Raises
    ------
    ValueError
        If the module cannot be called so, its call changes what it holds, or a prior or frozen weight does not fit.

    Notes
    -----
    Weights with a normal prior of default or of a given standard deviation start from the module's own values, for
    where all are 0 many networks have a saddle. A network's units can be exchanged, so that its weights have many
    equivalent modes: look at convergence of the output, not of single weights.

    Examples
    --------
    >>> from flax import nnx
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     y = pl.flax_module(nnx.Linear(3, 1, rngs=nnx.Rngs(0)), np.ones((5, 3)), name="drift")
    >>> {rv.name: rv.type.shape for rv in model.free_RVs}
    {'drift.bias': (1,), 'drift.kernel': (3, 1)}
    >>> y.eval().shape
    (5, 1)
    """
    import pytensor.tensor as pt

    from pymc_lan.ops.jax_function.building import as_input
    from pymc_lan.ops.jax_function.function import jax_function

    variables = [as_input(x) for x in inputs]
    opened = _opened(module, settings, variables)
    given = _frozen(frozen, opened)
    constants = {path: pt.constant(_as_float(x)) for path, x in given.items()}
    weights = {
        path: constants[path] if path in constants else _weight(prior, path, initial, name)
        for path, initial in opened.weights.items()
    }
    state = {path: given.get(path, x) for path, x in opened.state.items()}
    return jax_function(opened, dtype=dtype)(weights, state, *variables)


def _opened(module: Any, settings: Mapping[str, Any], variables: Sequence[Any]) -> Opened:
    """The module, taken apart by inputs of the first shapes that it can be called with."""
    from pymc_lan.ops.flax_module import open_module
    from pymc_lan.ops.jax_function.building import examples_of

    failed: ValueError | None = None
    for example in examples_of(variables):
        try:
            return open_module(module, settings, [(x.shape, x.dtype) for x in example])
        except ValueError as error:
            failed = failed or error
    assert failed is not None  # at least one has been tried
    raise failed


def _as_float(x: Any) -> Any:
    """An array, floats in PyTensor's precision; of Python's own floats PyTensor makes constants of single precision."""
    import pytensor

    x = np.asarray(x)
    return x.astype(pytensor.config.floatX) if x.dtype.kind == "f" else x


def _frozen(frozen: Any, opened: Opened) -> dict[str, NDArray[Any]]:
    """Arrays by path, of the shapes that the module has there."""
    if frozen is None:
        return {}
    arrays = dict(_flat(frozen)) if isinstance(frozen, Mapping) else _read(frozen)
    known = {**opened.weights, **opened.state}
    found = {}
    for key, value in arrays.items():
        path = str(key).replace("/", ".")
        path = path if path in known else path.removeprefix("params.")
        if path not in known:
            raise ValueError(unknown("weight", path, known, of="the module"))
        array = np.asarray(value)
        if array.shape != known[path].shape or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            expected = f"finite numbers of shape {known[path].shape} for {path}"
            remedy = "freeze weights of the same architecture, by float32 or float64"
            raise ValueError(explain(expected, f"{array.dtype} of shape {array.shape}", remedy))
        found[path] = array.astype(known[path].dtype) if path in opened.state else array
    return found


def _flat(arrays: Mapping[Any, Any], *path: Any) -> Iterator[tuple[str, Any]]:
    """Arrays of mappings within mappings, as Flax itself has them, by path."""
    for key, value in arrays.items():
        if isinstance(value, Mapping):
            yield from _flat(value, *path, key)
        else:
            yield ".".join(map(str, (*path, key))), value


def _read(frozen: Any) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = check_path("frozen", frozen)
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        remedy = "write one with safetensors.numpy.save_file({path: array, ...}, file)"
        raise ValueError(
            explain("a safetensors file of frozen weights", f"{path}: {error}".rstrip("."), remedy)
        ) from error


def _weight(prior: Any, path: str, initial: NDArray[Any], prefix: str | None) -> Any:
    """The variable of a weight: a new one of the model where its prior is a distribution."""
    import pymc as pm

    name, shape = f"{prefix}.{path}" if prefix else path, initial.shape
    model = pm.modelcontext(None)
    chosen = prior(path, shape) if callable(prior) else prior
    variable = _variable(chosen, path, initial)
    if not _is_draw(variable) or variable in model.basic_RVs:
        return variable
    if name in model.named_vars:
        remedy = "give name=, or share its weights by prior=lambda path, shape: model[path]"
        raise ValueError(explain(f"a name for {path} that is new in the model", f"{name!r} in use", remedy))
    return model.register_rv(variable, name)


def _variable(chosen: Any, path: str, initial: NDArray[Any]) -> Any:
    """What a prior stands for, of a weight's shape."""
    import pytensor.tensor as pt
    from pymc.distributions.shape_utils import change_dist_size
    from pytensor.graph.basic import Variable

    from pymc_lan.distributions.started_normal import started_normal

    shape = initial.shape
    # Where all weights are 0 many networks have a saddle.
    if chosen is None:
        mean, sd = map(_as_float, _default(path, shape))
        chosen = started_normal(mean, sd, initial)
    elif is_real(chosen):
        if not 0 < chosen < math.inf:
            raise ValueError(explain(f"a standard deviation above 0 for {path}", f"{chosen!r}", "give one"))
        chosen = started_normal(_as_float(0.0), _as_float(float(chosen)), initial)
    elif not isinstance(chosen, Variable):
        array = np.asarray(chosen)
        if array.dtype.kind not in "fiu":
            remedy = "give a distribution as pm.Normal.dist(0, 1), a standard deviation, a variable, an array or None"
            raise ValueError(explain(f"a prior of {path}", f"{chosen!r:.80}", remedy))
        chosen = pt.constant(_as_float(array.astype(float)))
    elif _is_draw(chosen) and chosen.name is None and chosen.type.ndim == 0 and shape:
        chosen = change_dist_size(chosen, shape)
    known = chosen.type.shape
    if len(known) != len(shape) or any(n not in (None, m) for n, m in zip(known, shape, strict=True)):
        remedy = "give the prior shape=shape, or leave its shape out"
        raise ValueError(explain(f"a prior of shape {shape} for {path}", f"one of {known}", remedy))
    return chosen


def _default(path: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and standard deviation: outputs of a layer are about as large as its inputs."""
    last = path.split(".")[-1]
    if last == "scale":
        return 1.0, 1.0
    kernel = len(shape) > 1 and last not in ("bias", "embedding")
    return 0.0, 1 / math.sqrt(max(math.prod(shape[:-1]), 1)) if kernel else 1.0


def _is_draw(variable: Any) -> bool:
    from pymc.distributions.distribution import SymbolicRandomVariable
    from pytensor.tensor.random.op import RandomVariable

    return variable.owner is not None and isinstance(variable.owner.op, RandomVariable | SymbolicRandomVariable)
