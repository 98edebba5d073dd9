"""Functions of JAX arrays, element by element, for those who have NumPy's: compiled for two lengths, not for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

# Elements that are computed at once: a compilation takes seconds, elements too many take milliseconds.
FEW, MANY = 256, 8192


def outside(function: Callable[..., Any], xp: Any, *args: Any) -> Any:
    """Call a function of JAX arrays from JAX, or from NumPy in float64.

    Parameters
    ----------
    function : callable
        Of arrays and dicts of arrays that broadcast, element by element; to an array or a tuple of them.
    xp : module
        ``jax.numpy`` or ``numpy``.
    *args : ndarray or dict of ndarray

    Returns
    -------
    ndarray or tuple of ndarray
        Of the shape to which all arguments broadcast, if they came from NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> outside(lambda x, theta: x * theta["a"], np, np.ones(3), {"a": 2.0}).tolist()
    [2.0, 2.0, 2.0]
    """
    if xp is not np:
        return function(*args)
    leaves, form = jax.tree.flatten(args)
    arrays = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in leaves))
    shape, n = arrays[0].shape, arrays[0].size
    flat = [x.ravel() if n else np.ones(1) for x in arrays]
    chunk = FEW if n <= FEW else MANY
    compiled = _compiled(*_unbound(function))
    with jax.enable_x64(True):
        found = [compiled(*jax.tree.unflatten(form, [x[some] for x in flat])) for some in chunks(flat[0].size, chunk)]
        return jax.tree.map(lambda *x: np.concatenate([np.asarray(each) for each in x])[:n].reshape(shape), *found)


def chunks(n: int, size: int) -> NDArray[np.intp]:
    """Places of n elements in rows of one size, so that one shape is compiled; the last is filled up with copies."""
    return np.minimum(np.arange(-(-n // size) * size), n - 1).reshape(-1, size)


def _unbound(function: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A method and whose it is: two bound methods are the same only if their owners are one object, not if equal."""
    return (function.__func__, (function.__self__,)) if isinstance(function, MethodType) else (function, ())


@cache
def _compiled(function: Callable[..., Any], owner: tuple[Any, ...]) -> Callable[..., Any]:
    def whole(*args: Any) -> Any:
        shape = jax.tree.leaves(args)[0].shape
        return jax.tree.map(lambda x: jnp.broadcast_to(x, shape), function(*owner, *args))

    return jax.jit(whole)
