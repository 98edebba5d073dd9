"""A copy of a model in which members are drawn on a scale of their own.

The transform is affine with a mean and a scale that are inputs of the variable's node, expressions of the model like
any other. The node draws and weighs as before; the two further inputs are for the transform alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymc.distributions.distribution import SymbolicRandomVariable, _support_point
from pymc.logprob.abstract import _logprob
from pymc.logprob.transforms import Transform

from pymc_lan.inference.members.groups import Part

Float = NDArray[np.float64]


class InformedRV(SymbolicRandomVariable):
    """A variable that is drawn as another is, and has a mean and a scale beside its parameters."""

    _print_name = ("Informed", "\\operatorname{Informed}")

    def __init__(self, *args: Any, plain: Any, start: Float, **kwargs: Any) -> None:
        self.plain, self.start = plain, start
        super().__init__(*args, **kwargs)


@_logprob.register(InformedRV)
def _informed_logprob(op: InformedRV, values: Any, *inputs: Any, **kwargs: Any) -> Any:
    return _logprob(op.plain, values, *inputs[:-2], **kwargs)


@_support_point.register(InformedRV)
def _informed_support_point(op: InformedRV, rv: Any, *inputs: Any) -> Any:
    import pytensor.tensor as pt

    return pt.as_tensor(op.start.astype(rv.dtype))


class Informed(Transform):
    """theta = link(mean + T (scale x)), with a triangular T of constants for each member.

    Parameters
    ----------
    part : Part
        The variable, and which axis is that of the members.
    mix : ndarray, shape (members, effects, effects)
        T: lower triangular, ones on the diagonal.
    link : Transform, optional
        The variable's own transform.
    """

    name = "informed"

    def __init__(self, part: Part, mix: Float, link: Transform | None) -> None:
        self.shape, self.axis, self.mix, self.link = part.shape, part.axis, mix, link
        self.ndim_supp = part.rv.owner.op.ndim_supp

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def _mixed(self, matrices: Float, x: Any) -> Any:
        """The product of each member's matrix with its values."""
        import pytensor.tensor as pt

        if matrices.shape[-1] == 1:
            return x
        part = Part(None, self.shape, self.axis, slice(0))
        rows = part.by_member(x)
        return part.as_shaped((pt.as_tensor(matrices) * rows[:, None, :]).sum(axis=-1))

    def backward(self, value: Any, *inputs: Any) -> Any:
        """Theta from x."""
        *plain, mean, scale = inputs
        theta = mean + self._mixed(self.mix, scale * value)
        return theta if self.link is None else self.link.backward(theta, *plain)

    def forward(self, value: Any, *inputs: Any) -> Any:
        """X from theta."""
        *plain, mean, scale = inputs
        theta = value if self.link is None else self.link.forward(value, *plain)
        return self._mixed(np.linalg.inv(self.mix), theta - mean) / scale

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log density of theta that x brings."""
        import pytensor.tensor as pt

        *plain, mean, scale = inputs
        found = pt.log(scale)
        if self.link is not None:
            theta = mean + self._mixed(self.mix, scale * value)
            found = found + self.link.log_jac_det(theta, *plain)
        return found.sum(axis=tuple(range(-self.ndim_supp, 0))) if self.ndim_supp else found


def informed_variable(rv: Any, mean: Any, scale: Any, start: Float) -> Any:
    """A variable drawn as `rv` is, with the mean and the scale of its transform among its inputs.

    Parameters
    ----------
    rv : TensorVariable
    mean, scale : TensorVariable of the shape of `rv`
    start : ndarray
        Where its value starts, on its own scale.

    Returns
    -------
    TensorVariable
    """
    node = rv.owner
    inputs = [*node.inputs, mean, scale]
    dummies = [x.type() for x in inputs]
    # A type without values, such as that of an absent size, has no variable to be given.
    outputs = node.op.make_node(*dummies[:-2]).outputs
    core = ",".join(f"d{i}" for i in range(node.op.ndim_supp))
    taken, drawn = _signature(node.op).split("->")
    op = InformedRV(
        dummies,
        outputs,
        plain=node.op,
        start=start,
        extended_signature=f"{taken},({core}),({core})->{drawn}",
    )
    made = op(*inputs)
    return made[node.outputs.index(rv)] if isinstance(made, list | tuple) else made


def _signature(op: Any) -> str:
    """The signature of an Op with the places of generator and size."""
    if (extended := getattr(op, "extended_signature", None)) is not None:
        return str(extended)
    taken, drawn = op.signature.split("->")
    return f"[rng],[size],{taken}->[rng],{drawn}"
