"""Members of a group given the group, as Ops: one node where formulas of PyTensor would be a hundred.

A hundred nodes are a hundred functions that numba compiles, half a minute; these are compiled once on a machine.
`Conditional` is what a group's members are given the group, once for all variables; `MemberEffects` is one variable of
it, from standard normal values.
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

# Inputs of `Conditional` that have derivatives: mean, precision, full, away.
N_SMOOTH = 4


class _OfMembers(Op):
    """A function of `pymc_lan.numerics.members`, of float64 arrays.

    Outputs are shaped like inputs, those whose places `like` has.
    """

    __props__: ClassVar[tuple[str, ...]] = ()
    like: ClassVar[tuple[int, ...]] = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Arrays of float64."""
        given = [pt.cast(pt.as_tensor_variable(x), "float64") for x in inputs]
        return Apply(self, given, [pt.tensor(dtype="float64", shape=given[i].type.shape) for i in self.like])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the compiled function, in C and Python modes."""
        found = self.function()(*self.fixed, *(np.array(x, order="C") for x in inputs))
        for storage, x in zip(output_storage, found if isinstance(found, tuple) else (found,), strict=True):
            storage[0] = x

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Those of the inputs that outputs are like."""
        return [shapes[i] for i in self.like]

    @property
    def fixed(self) -> tuple[int, ...]:
        """Arguments of the function that are no arrays."""
        return tuple(getattr(self, name) for name in self.__props__)

    def function(self) -> Any:
        """The compiled function."""
        raise NotImplementedError

    def in_jax(self) -> Any:
        """What JAX is to call."""
        raise NotImplementedError


class Conditional(_OfMembers):
    """Factor U of the precision, and mean, of each member given the group.

    Inputs: mean, precision, full and away of the group, and the constants hessian, pull and answer of its members.
    """

    like: ClassVar[tuple[int, ...]] = (4, 5)

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """By everything but the constants."""
        mean, precision, full, away, _, _, answer = inputs
        found: Any = _PullConditional()(mean, precision, full, away, answer, *outputs, *_given(outputs, cotangents))
        return [*found, *(pt.zeros_like(x) for x in inputs[N_SMOOTH:])]

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import conditional

        return conditional

    def in_jax(self) -> Any:
        """What JAX is to call."""
        from pymc_lan.numerics.members import conditional_jax

        return conditional_jax


class _PullConditional(_OfMembers):
    """Derivatives of `Conditional`."""

    like: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import pull_conditional

        return pull_conditional

    def in_jax(self) -> Any:
        """What JAX is to call."""
        import jax
        import jax.numpy as jnp

        from pymc_lan.numerics.members import conditional_jax

        def pull(mean: Any, q: Any, full: Any, away: Any, answer: Any, u: Any, m: Any, *further: Any) -> Any:
            # The constants that led to u and m, so that what is differentiated is the function at its own point.
            prior = full + q[:, :, None] * jnp.eye(q.shape[1])
            precision = u @ jnp.swapaxes(u, 1, 2)
            at = (precision @ m[:, :, None])[..., 0] - answer @ away - (prior @ mean[:, :, None])[..., 0]
            constants = {"hessian": precision - prior, "pull": at, "answer": answer}
            _, back = jax.vjp(partial(conditional_jax, **constants), mean, q, full, away)
            return back(further)

        return pull


class MemberEffects(_OfMembers):
    """Effects from standard normal values, and the logarithms of their scales.

    Inputs: values, effects before them, and what `Conditional` returns.

    Parameters
    ----------
    first : int
        The first of the effects among those of a member.
    """

    __props__ = ("first",)
    like: ClassVar[tuple[int, ...]] = (0, 0)

    def __init__(self, first: int):
        self.first = first

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """By all inputs."""
        theta, given = outputs[0], inputs[1:]
        found: Any = _PullEffects(self.first)(theta, *given, *_given(outputs, cotangents))
        return list(found)

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import effects_of

        return effects_of

    def in_jax(self) -> Any:
        """What JAX is to call."""
        from pymc_lan.numerics.members import effects_of_jax

        return partial(effects_of_jax, self.first)


class _PullEffects(MemberEffects):
    """Derivatives of `MemberEffects`."""

    like: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import pull_effects

        return pull_effects

    def in_jax(self) -> Any:
        """What JAX is to call."""
        import jax

        from pymc_lan.numerics.members import effects_of_jax, values_of_jax

        def pull(theta: Any, earlier: Any, u: Any, m: Any, *further: Any) -> Any:
            x = values_of_jax(self.first, theta, earlier, u, m)
            _, back = jax.vjp(partial(effects_of_jax, self.first), x, earlier, u, m)
            return back(further)

        return pull


class MemberValues(MemberEffects):
    """Standard normal values from effects."""

    like: ClassVar[tuple[int, ...]] = (0,)

    def function(self) -> Any:
        """The compiled function."""
        from pymc_lan.numerics.members import values_of

        return values_of

    def in_jax(self) -> Any:
        """What JAX is to call."""
        from pymc_lan.numerics.members import values_of_jax

        return partial(values_of_jax, self.first)


def _given(outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """Cotangents, zeros where there are none."""
    pairs = zip(outputs, cotangents, strict=True)
    return [pt.zeros_like(x) if isinstance(g.type, DisconnectedType) else g for x, g in pairs]


OPS = (Conditional, _PullConditional, MemberEffects, _PullEffects, MemberValues)


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    for kind in OPS:
        if kind not in numba_funcify_and_cache_key.registry:
            register_funcify_and_cache_key(kind)(_in_numba)


def _in_numba(op: _OfMembers, node: Apply, **kwargs: Any) -> tuple[Any, str]:
    from numba import njit

    function, fixed = op.function(), op.fixed

    @njit
    def members(*inputs: Any) -> Any:
        return function(*fixed, *inputs)

    return members, f"pymc_lan-{type(op).__name__}-{'-'.join(map(str, fixed))}-2"


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    for kind in OPS:
        if kind not in jax_funcify.registry:
            jax_funcify.register(kind)(_in_jax)


def _in_jax(op: _OfMembers, node: Apply, **kwargs: Any) -> Any:
    return op.in_jax()


register_with_backend("numba", "pymc_lan_numba_members", _register_numba)
register_with_backend("jax", "pymc_lan_jax_members", _register_jax)
