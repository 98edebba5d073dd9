"""The Op: a JAX function of arrays in a PyTensor graph, with derivatives of any order, shapes and batches.

JAX mode inlines the function; numba, C and Python modes call what JAX has compiled of it, the one exception to the rule
that only JAX mode calls JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import jax
import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import _vectorize_node

from pymc_lan.errors import explain
from pymc_lan.ops.jax_function.elsewhere import ElsewhereError
from pymc_lan.ops.jax_function.flat import Flat, Mapped, Pulled, Pushed, interned
from pymc_lan.ops.jax_function.running import ArrayType, runner

# A data type, and how many axes an array has.
Kind = tuple[str, int]


@final
class JaxOp(Op):
    """A JAX function of arrays.

    Two Ops are equal when their functions and types are, and share what JAX compiles.

    Parameters
    ----------
    function : Flat
    inputs, outputs : tuple of (str, int)
        Data type and number of axes of each.
    """

    __props__ = ("function", "inputs", "outputs")

    def __init__(self, function: Flat, inputs: Sequence[Kind], outputs: Sequence[Kind]):
        self.function: Flat = interned(function)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    def __str__(self) -> str:
        return f"JAX {self.function.name}"

    def make_node(self, *inputs: Any) -> Apply:
        """Check the inputs and type the outputs."""
        given = [pt.as_tensor_variable(x) for x in inputs]
        if [x.type.ndim for x in given] != [ndim for _, ndim in self.inputs]:
            expected = ", ".join(f"{dtype} of {ndim} axes" for dtype, ndim in self.inputs)
            found = ", ".join(str(x.type) for x in given)
            raise ValueError(explain(f"inputs {expected} of {self}", found, "call pl.jax_function anew for others"))
        given = [pt.cast(x, dtype) for x, (dtype, _) in zip(given, self.inputs, strict=True)]
        shapes = self._static_shapes([ArrayType(x.type.dtype, x.type.shape) for x in given])
        outputs = [pt.tensor(dtype=kind[0], shape=shape) for kind, shape in zip(self.outputs, shapes, strict=True)]
        return Apply(self, given, outputs)

    def _static_shapes(self, given: Sequence[ArrayType]) -> list[tuple[int | None, ...]]:
        """Lengths of the outputs where they follow from the types of the inputs."""
        like = self.function.like
        # Where all are known, JAX is asked all the same: it says now what would fail later.
        asked = len(like) < len(self.outputs) or all(n is not None for x in given for n in x.shape)
        known = known_outputs(self.function, given) if asked else None
        if known is None:
            return [given[like[k]].shape if k in like else (None,) * n for k, (_, n) in enumerate(self.outputs)]
        return [x.shape for x in jax.tree.leaves(known)]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Call the compiled function, in C and Python modes."""
        for storage, value in zip(output_storage, self.values(inputs), strict=True):
            storage[0] = value

    def values(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        """The outputs, as arrays that may be written to."""
        found = runner().call(self.function, inputs)
        for value, (_, ndim) in zip(found, self.outputs, strict=True):
            if value.ndim != ndim:
                raise ValueError(
                    explain(
                        f"outputs of {self} of as many axes as when the model was built, {ndim}",
                        f"an array of shape {value.shape}",
                        "write the function so that the number of axes does not depend on sizes",
                    )
                )
        return [np.asarray(x, dtype) for x, (dtype, _) in zip(found, self.outputs, strict=True)]

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """Those of inputs, those known, and others from JAX, which computes no values for that."""
        like = self.function.like
        unknown = [(k, axis) for k, x in enumerate(node.outputs) for axis, n in enumerate(x.type.shape) if n is None]
        unknown = [(k, axis) for k, axis in unknown if k not in like]
        op: Any = JaxShape(self.function, tuple(unknown))
        lengths = dict(zip(unknown, op(*node.inputs, return_list=True), strict=True)) if unknown else {}
        result: list[Any] = []
        for k, x in enumerate(node.outputs):
            sizes = [
                lengths.get((k, i), n if n is None else pt.constant(n, dtype="int64"))
                for i, n in enumerate(x.type.shape)
            ]
            result.append(shapes[like[k]] if k in like else tuple(sizes))
        return result

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only floats have derivatives, and only of floats."""
        return [[is_float(x) and is_float(y) for y in self.outputs] for x in self.inputs]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """By all inputs that are floats, in one Op."""
        given = [not isinstance(g.type, DisconnectedType) for g in cotangents]
        seen = [k for k, kind in enumerate(self.outputs) if is_float(kind) and given[k]]
        wrt = [i for i, kind in enumerate(self.inputs) if is_float(kind)]
        result: list[Any] = [disconnected_type() for _ in inputs]
        if seen and wrt:
            pulled = Pulled(self.function, tuple(wrt), tuple(seen))
            kinds = [*self.inputs, *(self.outputs[k] for k in seen)]
            op: Any = JaxOp(pulled, kinds, [self.inputs[i] for i in wrt])
            try:
                found = op(*inputs, *(cotangents[k] for k in seen), return_list=True)
            except ElsewhereError:
                raise
            except Exception as error:
                remedy = "write loops with jax.lax.scan, or say what the derivative is by jax.custom_vjp"
                what = f"a function of which JAX knows the derivatives: {self.function.name}"
                raise ValueError(explain(what, f"{type(error).__name__}: {error}".rstrip("."), remedy)) from error
            for i, gradient in zip(wrt, found, strict=True):
                result[i] = gradient
        return result

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Of all outputs that are floats, in one Op."""
        given = [not isinstance(t.type, DisconnectedType) for t in tangents]
        wrt = [i for i, kind in enumerate(self.inputs) if is_float(kind) and given[i]]
        seen = [k for k, kind in enumerate(self.outputs) if is_float(kind)]
        result: list[Any] = [disconnected_type() for _ in outputs]
        if seen and wrt:
            pushed = Pushed(self.function, tuple(wrt), tuple(seen))
            kinds = [*self.inputs, *(self.inputs[i] for i in wrt)]
            op: Any = JaxOp(pushed, kinds, [self.outputs[k] for k in seen])
            for k, moved in zip(seen, op(*inputs, *(tangents[i] for i in wrt), return_list=True), strict=True):
                result[k] = moved
        return result


@final
class JaxShape(Op):
    """Lengths of outputs of a JAX function for given inputs, which JAX knows without computing them.

    Parameters
    ----------
    function : Flat
    places : tuple of (int, int)
        Outputs, and their axes.
    """

    __props__ = ("function", "places")

    def __init__(self, function: Flat, places: tuple[tuple[int, int], ...]):
        self.function: Flat = interned(function)
        self.places = places

    def __str__(self) -> str:
        return f"JAX lengths of {self.function.name}"

    def make_node(self, *inputs: Any) -> Apply:
        """Integers, one for each place."""
        return Apply(self, list(inputs), [pt.scalar(dtype="int64") for _ in self.places])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Ask JAX, in C and Python modes."""
        for storage, n in zip(output_storage, self.lengths(inputs), strict=True):
            storage[0] = np.asarray(n, "int64")

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """The lengths for arrays, of NumPy or JAX."""
        known = known_outputs(self.function, [ArrayType(str(x.dtype), tuple(x.shape)) for x in inputs])
        outputs = jax.tree.leaves(known)
        return [outputs[k].shape[axis] for k, axis in self.places]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """No derivatives."""
        return [[False] * len(self.places) for _ in node.inputs]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """None."""
        return [disconnected_type() for _ in inputs]


def is_float(kind: Kind) -> bool:
    """Whether there are derivatives by, and of, arrays of a kind."""
    return np.dtype(kind[0]).kind == "f"


def known_outputs(function: Flat, inputs: Sequence[ArrayType]) -> Any:
    """What a function returns for inputs of such types: a pytree of `ArrayType`.

    None where lengths are unknown and JAX cannot tell what it returns for any.
    """
    memory, key = function.known_outputs, tuple(inputs)
    if key not in memory:
        try:
            memory[key] = runner().outputs(function, inputs)
        except ElsewhereError:
            raise
        except Exception:
            if all(n is not None for x in inputs for n in x.shape):
                raise
            memory[key] = None
    return memory[key]


@_vectorize_node.register(JaxOp)
def _vectorize(op: JaxOp, node: Apply, *batched: Any) -> Apply:
    """The function of each entry of a batch."""
    given = [pt.as_tensor_variable(x) for x in batched]
    more = max(x.type.ndim - ndim for x, (_, ndim) in zip(given, op.inputs, strict=True))
    function = Mapped(op.function, tuple(ndim for _, ndim in op.inputs))
    inputs = [(x.type.dtype, x.type.ndim) for x in given]
    return JaxOp(function, inputs, [(dtype, ndim + more) for dtype, ndim in op.outputs]).make_node(*given)
