"""A copy of a model in which members are drawn on a scale of their own.

What the transform is given are inputs of the variable's node, expressions of the model like any other. The node draws
and weighs as before; its further inputs are for the transform alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymc.distributions.distribution import SymbolicRandomVariable, _support_point
from pymc.logprob.abstract import _logprob
from pymc.logprob.transforms import Transform

from pymc_lan.inference.members.groups import Part
from pymc_lan.ops.members import MemberEffects, MemberValues

Float = NDArray[np.float64]

# Effects before, factor and mean of `Conditional`.
N_GIVEN, GIVEN_SIGNATURE = 3, "(s,before),(s,all,all),(s,all)"


class InformedRV(SymbolicRandomVariable):
    """A variable that is drawn as another is, and has what its transform is given beside its parameters."""

    _print_name = ("Informed", "\\operatorname{Informed}")

    def __init__(self, *args: Any, plain: Any, start: Float, **kwargs: Any) -> None:
        self.plain, self.start = plain, start
        super().__init__(*args, **kwargs)


@_logprob.register(InformedRV)
def _informed_logprob(op: InformedRV, values: Any, *inputs: Any, **kwargs: Any) -> Any:
    return _logprob(op.plain, values, *inputs[:-N_GIVEN], **kwargs)


@_support_point.register(InformedRV)
def _informed_support_point(op: InformedRV, rv: Any, *inputs: Any) -> Any:
    import pytensor.tensor as pt

    return pt.as_tensor(op.start.astype(rv.dtype))


class Informed(Transform):
    """From standard normal values to members, given those before them and all above them.

    Parameters
    ----------
    part : Part
        The variable, and which axis is that of the members.
    first : int
        The first of its effects among those of a member.
    link : Transform, optional
        The variable's own transform.
    """

    name = "informed"

    def __init__(self, part: Part, first: int, link: Transform | None) -> None:
        self.part, self.first, self.link = part.without_variable(), first, link
        self.ndim_supp = part.rv.owner.op.ndim_supp

    def _effects(self, value: Any, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """Members on the link's scale, and the logarithms of their scales, in the variable's shape."""
        found: Any = MemberEffects(self.first)(self.part.by_member(value), *inputs[-N_GIVEN:])
        theta, log_scale = (self.part.as_shaped(x) for x in found)
        return theta.astype(value.dtype), log_scale.astype(value.dtype)

    def backward(self, value: Any, *inputs: Any) -> Any:
        """Theta from x."""
        theta, _ = self._effects(value, inputs)
        return theta if self.link is None else self.link.backward(theta, *inputs[:-N_GIVEN])

    def forward(self, value: Any, *inputs: Any) -> Any:
        """X from theta."""
        theta = value if self.link is None else self.link.forward(value, *inputs[:-N_GIVEN])
        found: Any = MemberValues(self.first)(self.part.by_member(theta), *inputs[-N_GIVEN:])
        return self.part.as_shaped(found).astype(value.dtype)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log density of theta that x brings."""
        theta, found = self._effects(value, inputs)
        if self.link is not None:
            found = found + self.link.log_jac_det(theta, *inputs[:-N_GIVEN])
        return found.sum(axis=tuple(range(-self.ndim_supp, 0))) if self.ndim_supp else found


def informed_variable(rv: Any, given: Sequence[Any], start: Float) -> Any:
    """A variable drawn as `rv` is, with what its transform is given among its inputs.

    Parameters
    ----------
    rv : TensorVariable
    given : sequence of TensorVariable
        Effects before it, by member; factor and mean of `Conditional`.
    start : ndarray
        Where its value starts, on its own scale.

    Returns
    -------
    TensorVariable
    """
    node = rv.owner
    inputs = [*node.inputs, *given]
    dummies = [x.type() for x in inputs]
    outputs = node.op.make_node(*dummies[:-N_GIVEN]).outputs
    taken, drawn = _signature(node.op).split("->")
    op = InformedRV(
        dummies,
        outputs,
        plain=node.op,
        start=start,
        extended_signature=f"{taken},{GIVEN_SIGNATURE}->{drawn}",
    )
    return op.make_node(*inputs).outputs[node.outputs.index(rv)]


def _signature(op: Any) -> str:
    """The signature of an Op with the places of generator and size."""
    if (extended := getattr(op, "extended_signature", None)) is not None:
        return str(extended)
    taken, drawn = op.signature.split("->")
    return f"[rng],[size],{taken}->[rng],{drawn}"
