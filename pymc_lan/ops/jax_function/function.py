"""`jax_function`: from a function written in JAX to a function of PyTensor variables; JAX loads when that is called."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, final

from pymc_lan.errors import explain, unknown

PRECISIONS = ("float32", "float64")


def jax_function(f: Callable[..., Any], *, dtype: str | None = None) -> JaxFunction:
    """Make a JAX function of arrays a function of PyTensor variables.

    Parameters
    ----------
    f : callable
        Takes arrays, or pytrees of them, and returns an array or a pytree of arrays; JAX must be able to trace it.
    dtype : {"float64", "float32"}, optional
        ``"float32"``: floats are of single precision inside, and outside as they were. By default, as ``"float64"``,
        the function computes with what it is given, in double precision where that is what it is given.

    Returns
    -------
    JaxFunction
        Call it as `f`. PyTensor variables and arrays among its arguments are inputs; anything else is a setting, which
        the function sees as it is: numbers, text, functions. What it returns has the structure of what `f` returns.

    Raises
    ------
    TypeError
        Where `f` is no function, or is called with other arguments than it takes.
    ValueError
        Where JAX cannot trace `f`, or it returns what are no arrays.

    Notes
    -----
    Gradients are JAX's, of any order, by and of floats. JAX mode inlines the function; other modes call what JAX has
    compiled, once for all uses of the same function with the same settings. In forked processes, where JAX cannot be
    called, it is called in a process of its own.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import pymc_lan as pl
    >>> import pytensor.tensor as pt
    >>> x = pt.vector("x", shape=(3,))
    >>> y = pl.jax_function(jnp.exp)(x)
    >>> y.eval({x: np.array([0.0, 1.0, 2.0])})
    array([1.        , 2.71828183, 7.3890561 ])
    >>> pt.grad(y.sum(), x).eval({x: np.array([0.0, 1.0, 2.0])})
    array([1.        , 2.71828183, 7.3890561 ])
    """
    if not callable(f):
        raise TypeError(explain("a function that JAX can trace", f"{f!r:.80}", "give it as pl.jax_function(f)"))
    if dtype is not None and dtype not in PRECISIONS:
        raise ValueError(unknown("dtype", dtype, PRECISIONS))
    return JaxFunction(f, single=dtype == "float32")


@final
class JaxFunction:
    """A function of PyTensor variables, made of one that is written in JAX; see `pymc_lan.jax_function`."""

    def __init__(self, f: Callable[..., Any], *, single: bool):
        self._function, self._single = f, single
        self.__name__ = str(getattr(f, "__name__", type(f).__name__))
        self.__doc__ = f.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Variables for what the function returns."""
        from pymc_lan.ops.jax_function.building import outputs_of

        return outputs_of(self._function, self.__name__, args, kwargs, single=self._single)

    def __repr__(self) -> str:
        return f"pl.jax_function({self.__name__})"

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        from pymc_lan.ops.jax_function.flat import by_path

        return _unpickled, (cloudpickle.dumps((by_path(self._function), self._single)),)


def _unpickled(content: bytes) -> JaxFunction:
    from pymc_lan.ops.jax_function.flat import from_path

    function, single = pickle.loads(content)
    return JaxFunction(from_path(function), single=single)
