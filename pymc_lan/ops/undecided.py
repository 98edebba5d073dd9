"""The probability of no decision as an Op: one node where its formula would be two hundred.

As `pymc_lan.ops.members`, it is compiled once on a machine, and JAX takes the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import clone_replace

from pymc_lan.numerics.undecided import NODES, Ends, by_formula
from pymc_lan.ops.backends import register_with_backend


class Undecided(Op):
    """Log probability that neither end of the unit interval has been reached, and its derivatives.

    Inputs: u, start, mean and variance of `pymc_lan.numerics.undecided.Ends`, float64 vectors of one length. Outputs: a
    vector, and a matrix of its derivatives, rows by each input.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Vectors of float64."""
        given = [pt.cast(pt.as_tensor_variable(x), "float64") for x in inputs]
        n = given[0].type.shape
        return Apply(self, given, [pt.tensor(dtype="float64", shape=s) for s in (n, (len(given), *n))])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the compiled function, in C and Python modes."""
        from pymc_lan.numerics.undecided_slopes import undecided  # loads numba, which takes half a second

        output_storage[0][0], output_storage[1][0] = undecided(*(np.ascontiguousarray(x) for x in inputs))

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Those of the inputs."""
        return [shapes[0], (pt.constant(len(shapes), dtype="int64"), *shapes[0])]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The gradient from the derivatives at hand; that of the derivatives from the formula."""
        of_value, of_slopes = cotangents
        result: list[Any] = [pt.zeros_like(x) for x in inputs]
        if not isinstance(of_value.type, DisconnectedType):
            result = [of_value * outputs[1][i] for i in range(len(inputs))]
        if not isinstance(of_slopes.type, DisconnectedType):
            copies: list[Any] = [x.type() for x in inputs]
            first: Any = pt.grad(by_formula(pt, _ends(*copies)).sum(), copies)
            weighted = (pt.stack(first) * of_slopes).sum()
            second: Any = pt.grad(weighted, copies, consider_constant=[of_slopes], disconnected_inputs="ignore")
            result = [
                x + y
                for x, y in zip(result, clone_replace(second, dict(zip(copies, inputs, strict=True))), strict=True)
            ]
        return result


def _ends(u: Any, start: Any, mean: Any, variance: Any) -> Ends:
    return Ends(u, start, 1 - start, mean, variance)


def log_undecided(ends: Ends) -> Any:
    """`pymc_lan.numerics.undecided.log_undecided` as a graph."""
    wide = pt.broadcast_arrays(ends.u, ends.start, ends.mean, ends.variance)
    found: Any = Undecided()(*(x.ravel() for x in wide))
    return found[0].reshape(wide[0].shape, ndim=wide[0].ndim)


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    if Undecided in numba_funcify_and_cache_key.registry:
        return

    @register_funcify_and_cache_key(Undecided)
    def numba_undecided(op: Undecided, node: Apply, **kwargs: Any) -> tuple[Any, str]:
        from numba import njit

        from pymc_lan.numerics.undecided_slopes import undecided

        @njit
        def function(u: Any, start: Any, mean: Any, variance: Any) -> Any:
            return undecided(u, start, mean, variance)

        return function, f"pymc_lan-undecided-2 of {NODES.size}"


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    if Undecided in jax_funcify.registry:
        return

    @jax_funcify.register(Undecided)
    def jax_undecided(op: Undecided, node: Apply, **kwargs: Any) -> Any:
        import jax
        import jax.numpy as jnp

        def function(*inputs: Any) -> tuple[Any, Any]:
            value, pullback = jax.vjp(lambda *x: by_formula(jnp, _ends(*x)), *inputs)
            return value, jnp.stack(pullback(jnp.ones_like(value)))

        return function


register_with_backend("numba", "pymc_lan_numba_undecided", _register_numba)
register_with_backend("jax", "pymc_lan_jax_undecided", _register_jax)
