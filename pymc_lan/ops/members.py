"""Members of a group given the group, as Ops: one node where formulas of PyTensor would be a hundred.

A hundred nodes are a hundred functions that numba compiles, half a minute; these are compiled once on a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pymc_lan.ops.backends import register_with_backend

# Dimensions of x, earlier, mean, q, full, away, and of the constants hessian, pull, answer.
N_DIMS = (2, 2, 2, 2, 2, 1, 3, 2, 3)
# Inputs that have derivatives.
N_SMOOTH = 6


class _OfMembers(Op):
    """A function of `pymc_lan.numerics.members`.

    Parameters
    ----------
    first : int
        The first of the effects among those of a member.
    """

    __props__ = ("first",)
    n_further: ClassVar[int] = 0

    def __init__(self, first: int):
        self.first = first

    def make_node(self, *inputs: Any) -> Apply:
        """Arrays of float64."""
        given = [pt.cast(pt.as_tensor_variable(x), "float64") for x in inputs]
        assert [x.type.ndim for x in given] == [*N_DIMS, *(2,) * self.n_further]
        return Apply(self, given, self.results(given))

    def results(self, inputs: Sequence[Any]) -> list[Any]:
        """Variables for what comes out."""
        return [_like(inputs[0])]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the compiled function, in C and Python modes."""
        found = self.function()(self.first, *(np.array(x, order="C") for x in inputs))
        for storage, x in zip(output_storage, found if isinstance(found, tuple) else (found,), strict=True):
            storage[0] = x

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """All outputs have the shape of the input that they belong to."""
        return [shapes[0]] * len(node.outputs)

    def function(self) -> Any:
        """The compiled function."""
        raise NotImplementedError

    def in_jax(self) -> Any:
        """What JAX is to call."""
        raise NotImplementedError


def _like(x: Any) -> Any:
    return pt.tensor(dtype="float64", shape=x.type.shape)


class MemberValues(_OfMembers):
    """Standard normal values from effects."""

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import values_of

        return values_of

    def in_jax(self) -> Any:
        """What JAX is to call."""
        from pymc_lan.numerics.members import values_of_jax

        return partial(values_of_jax, self.first)


class MemberEffects(_OfMembers):
    """Effects from standard normal values, and the logarithms of their scales."""

    def results(self, inputs: Sequence[Any]) -> list[Any]:
        """Both have the shape of the values."""
        return [_like(inputs[0]), _like(inputs[0])]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """By everything but the constants."""
        further = [
            pt.zeros_like(x) if isinstance(g.type, DisconnectedType) else g
            for x, g in zip(outputs, cotangents, strict=True)
        ]
        found: Any = _PullEffects(self.first)(*inputs, *further)
        return [*found, *(pt.zeros_like(x) for x in inputs[N_SMOOTH:])]

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import effects_of

        return effects_of

    def in_jax(self) -> Any:
        """What JAX is to call."""
        from pymc_lan.numerics.members import effects_of_jax

        return partial(effects_of_jax, self.first)


class _PullEffects(_OfMembers):
    """Derivatives of `MemberEffects`."""

    n_further = 2

    def results(self, inputs: Sequence[Any]) -> list[Any]:
        """One for each input that has derivatives."""
        return [_like(x) for x in inputs[:N_SMOOTH]]

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Those of the inputs."""
        return list(shapes[:N_SMOOTH])

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import pull_effects

        return pull_effects

    def in_jax(self) -> Any:
        """What JAX is to call."""
        import jax

        from pymc_lan.numerics.members import effects_of_jax

        def pull(*inputs: Any) -> Any:
            smooth, constants, further = inputs[:N_SMOOTH], inputs[N_SMOOTH:-2], inputs[-2:]
            _, back = jax.vjp(lambda *x: effects_of_jax(self.first, *x, *constants), *smooth)
            return back(further)

        return pull


OPS = (MemberValues, MemberEffects, _PullEffects)


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    for kind in OPS:
        if kind not in numba_funcify_and_cache_key.registry:
            register_funcify_and_cache_key(kind)(_in_numba)


def _in_numba(op: _OfMembers, node: Apply, **kwargs: Any) -> tuple[Any, str]:
    from numba import njit

    function, first = op.function(), op.first

    @njit
    def members(*inputs: Any) -> Any:
        return function(first, *inputs)

    return members, f"pymc_lan-{type(op).__name__}-{first}-1"


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    for kind in OPS:
        if kind not in jax_funcify.registry:
            jax_funcify.register(kind)(lambda op, node, **kwargs: op.in_jax())


register_with_backend("numba", "pymc_lan_numba_members", _register_numba)
register_with_backend("jax", "pymc_lan_jax_members", _register_jax)
