"""Calls of JAX functions with NumPy arrays, from whatever process asks for them.

JAX has threads, which a fork does not copy, so that a forked process in which JAX is called never returns. Where this
process was forked, calls go to a process of its own (`pymc_lan.ops.jax_function.elsewhere`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import jax
import jax.export
import numpy as np
from numpy.typing import NDArray

from pymc_lan.ops.jax_function.elsewhere import Elsewhere
from pymc_lan.ops.jax_function.flat import Flat


@dataclass(frozen=True)
class ArrayType:
    """What is known of an array.

    Parameters
    ----------
    dtype : str
    shape : tuple of int or None
        None for lengths that are known only when the function is called.
    """

    dtype: str
    shape: tuple[int | None, ...]


class Here:
    """Calls in this process."""

    def call(self, function: Flat, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Values of a function, as arrays that may be written to."""
        with jax.enable_x64(True):
            return [np.array(x) for x in jax.tree.leaves(function.jitted(*arrays))]

    def outputs(self, function: Flat, inputs: Sequence[ArrayType]) -> Any:
        """What a function would return for inputs of such types: a pytree of `ArrayType`.

        Unknown lengths are any that the function takes, each another one; most functions take only some.
        """
        scope, number = jax.export.SymbolicScope(), count()

        def length(n: int | None) -> Any:
            return jax.export.symbolic_shape(f"n{next(number)}", scope=scope)[0] if n is None else n

        with jax.enable_x64(True):
            given = (jax.ShapeDtypeStruct(tuple(map(length, x.shape)), x.dtype) for x in inputs)
            found = function.jitted.eval_shape(*given)
        return jax.tree.map(lambda x: ArrayType(str(x.dtype), tuple(map(_number, x.shape))), found)


def _number(length: Any) -> int | None:
    return length if isinstance(length, int) else None


_runner: Here | Elsewhere = Here()


def runner() -> Here | Elsewhere:
    """Where functions are called."""
    return _runner


def _after_fork() -> None:
    global _runner
    if isinstance(_runner, Elsewhere):
        _runner.leave()
    _runner = Elsewhere()


os.register_at_fork(after_in_child=_after_fork)
