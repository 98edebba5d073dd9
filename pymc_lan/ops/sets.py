"""The log likelihood of many sets of parameters at once: what `LANLogp` is in a vectorised graph.

PyTensor vectorises a graph (`pytensor.graph.replace.vectorize_graph`) node by node; an Op of which it knows nothing
becomes a loop in Python over the sets. The kernel takes sets of trials as they are, and copies nothing that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import _vectorize_node
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.rewriting.basic import register_canonicalize

from pymc_lan.errors import LengthError
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel


class LANLogpSets(Op):
    """Log likelihood of sets of trials, and its derivatives.

    Inputs: those of `LANLogp` with an axis of sets before that of trials, of length 1 where sets share a row. Outputs:
    one log likelihood per set and trial, and the derivatives, (sets, rows, trials). In every backend it runs in Python.

    Parameters
    ----------
    of : LANLogp
    """

    __props__ = ("of",)

    def __init__(self, of: LANLogp):
        self.of = of

    def make_node(self, *inputs: Any) -> Apply:
        """Matrices of float64."""
        given = [pt.cast(pt.as_tensor_variable(x), "float64") for x in inputs]
        return Apply(self, given, [pt.tensor(dtype="float64", shape=s) for s in ((None,) * 2, (None,) * 3)])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the kernel."""
        self.check_lengths(node, inputs)
        output_storage[0][0], output_storage[1][0] = compiled_kernel(self.of).of_sets(inputs)

    def check_lengths(self, node: Apply, inputs: Sequence[Any]) -> None:
        """Refuse rows that are as long neither as the trials nor as one."""
        n = next((a.shape[1] for x, a in zip(node.inputs, inputs, strict=True) if x.type.shape[1] != 1), 1)
        for i, (x, array) in enumerate(zip(node.inputs, inputs, strict=True)):
            if array.shape[1] != (1 if x.type.shape[1] == 1 else n):
                raise LengthError(",".join(self.of.names), i, array.shape[1], n)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Of an axis, what any input has there."""
        sets, n = pt.broadcast_shape(*shapes, arrays_are_shapes=True)
        return [(sets, n), (sets, pt.constant(len(shapes) - 1, dtype="int64"), n)]


class LANLogpSetsAlone(LANLogpSets):
    """The log likelihood where nobody asks for its derivatives: the first output of `LANLogpSets`."""

    def make_node(self, *inputs: Any) -> Apply:
        """Matrices of float64."""
        return Apply(self, super().make_node(*inputs).inputs, [pt.tensor(dtype="float64", shape=(None, None))])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the kernel."""
        self.check_lengths(node, inputs)
        output_storage[0][0] = compiled_kernel(self.of).values(inputs)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Of an axis, what any input has there."""
        return super().infer_shape(node, shapes)[:1]


@register_canonicalize("fast_compile")
@node_rewriter([LANLogpSets])
def local_value_alone(fgraph: Any, node: Apply) -> list[Any] | dict[Any, Any] | None:
    """Leave derivatives out where nobody asks for them."""
    if isinstance(node.op, LANLogpSetsAlone) or fgraph.clients[node.outputs[1]]:
        return None
    return {node.outputs[0]: LANLogpSetsAlone(node.op.of)(*node.inputs)}


@_vectorize_node.register(LANLogp)
def vectorize_likelihood(op: LANLogp, node: Apply, *batched: Any) -> Apply:
    """Sets of trials along one new axis; along several, one after another."""
    axes = max(x.type.ndim for x in batched) - 1
    if axes == 0:
        return op.make_node(*batched)
    if axes > 1:
        found: Apply = _one_by_one(op, node, *batched)
        return found
    rows = [x if x.type.ndim == 2 else pt.expand_dims(x, 0) for x in batched]
    return LANLogpSets(op).make_node(*rows)


# Of an Op of which PyTensor knows nothing.
_one_by_one: Any = _vectorize_node.dispatch(Op)
