"""Operations on whole arrays, in the place of those that PyTensor does number by number in Python.

Functions that run in Python take what NumPy has; for a few operations it has nothing, and each number of an array is
then a call of a Python function, which takes longer than a network does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import numpy as np


def _softplus(x: Any) -> Any:
    import pytensor.tensor as pt

    return pt.maximum(x, 0) + pt.log1p(pt.exp(-pt.abs(x)))


def _log1mexp(x: Any) -> Any:
    import pytensor.tensor as pt

    # Maechler (2012), Accurately computing log(1 - exp(-|a|)).
    return pt.where(pt.gt(x, -np.log(2)), pt.log(-pt.expm1(x)), pt.log1p(-pt.exp(x)))


def _clip(x: Any, least: Any, most: Any) -> Any:
    import pytensor.tensor as pt

    return pt.minimum(pt.maximum(x, least), most)


def _two_at_a_time(name: str) -> Callable[..., Any]:
    def every(*xs: Any) -> Any:
        import pytensor.tensor as pt

        return reduce(getattr(pt, name), xs)

    return every


# By the name of a class of `pytensor.scalar`: how many operands NumPy takes at most, and what does the same.
PLAIN: dict[str, tuple[int, Callable[..., Any]]] = {
    "Softplus": (0, _softplus),
    "Log1mexp": (0, _log1mexp),
    "Clip": (0, _clip),
    "Add": (2, _two_at_a_time("add")),
    "Mul": (2, _two_at_a_time("mul")),
}


@cache
def python_mode() -> Any:
    """How functions are compiled that run in Python on whole arrays: soon, and with the operations above."""
    from pytensor.compile.mode import get_mode
    from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
    from pytensor.tensor.elemwise import Elemwise

    @node_rewriter([Elemwise])
    def local_plain(fgraph: Any, node: Any) -> list[Any] | None:
        most, plain = PLAIN.get(type(node.op.scalar_op).__name__, (len(node.inputs), None))
        if plain is None or len(node.inputs) <= most:
            return None
        found = plain(*node.inputs)
        return [found.astype(node.outputs[0].type.dtype)]

    # Last of all: what comes before would put them together again.
    return get_mode("FAST_COMPILE").register((dfs_rewriter(local_plain), LAST))


# After all that PyTensor does itself.
LAST = 1000.0
