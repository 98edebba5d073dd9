"""What PyTensor's backends make of JAX functions in a graph, and how values and gradients are found in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, final, override

import jax
import jax.numpy as jnp
import numpy as np
from pytensor.compile.mode import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import GraphRewriter
from pytensor.graph.traversal import apply_ancestors
from pytensor.link.c.type import generic

from pymc_lan.ops.backends import register_with_backend
from pymc_lan.ops.jax_function.flat import Joined, Pulled
from pymc_lan.ops.jax_function.op import JaxOp, JaxShape


class _OnePass(GraphRewriter):
    """Take out derivatives that nobody asks for, and compute a function together with its derivatives."""

    @override
    def apply(self, fgraph: FunctionGraph, *args: Any, **kwargs: Any) -> None:
        for node in list(fgraph.toposort()):
            if isinstance(node.op, JaxOp) and isinstance(node.op.function, Pulled):
                _join(fgraph, _without_unused(fgraph, node))


def _without_unused(fgraph: FunctionGraph, node: Apply) -> Apply:
    """A node of derivatives with only those that something depends on."""
    op: Any = node.op
    used = [k for k, x in enumerate(node.outputs) if fgraph.clients.get(x)]
    if len(used) in (0, len(node.outputs)):
        return node
    pulled = Pulled(op.function.of, tuple(op.function.wrt[k] for k in used), op.function.seen)
    found = JaxOp(pulled, op.inputs, [op.outputs[k] for k in used]).make_node(*node.inputs)
    _replace(fgraph, [node.outputs[k] for k in used], found.outputs)
    return found


def _join(fgraph: FunctionGraph, node: Apply) -> None:
    """Compute derivatives with the values, where the cotangents do not wait for these."""
    op: Any = node.op
    n = len(node.inputs) - len(op.function.seen)
    for value in _values(fgraph, node):
        if value not in apply_ancestors(node.inputs[n:]):
            both = JaxOp(Joined(op.function), op.inputs, [*value.op.outputs, *op.outputs]).make_node(*node.inputs)
            _replace(fgraph, [*value.outputs, *node.outputs], both.outputs)
            return


def _values(fgraph: FunctionGraph, node: Apply) -> list[Any]:
    """Nodes that compute what a node has the derivatives of, from the same inputs."""
    op: Any = node.op
    inputs = node.inputs[: len(node.inputs) - len(op.function.seen)]
    others = (other for other, _ in fgraph.clients[inputs[0]])
    found = [x for x in others if isinstance(x.op, JaxOp) and x.op.function is op.function.of and x.inputs == inputs]
    return list(dict.fromkeys(found))


def _replace(fgraph: FunctionGraph, old: list[Any], new: list[Any]) -> None:
    # Types may know more of their shape than those that they replace.
    pairs = [(x, x.type.filter_variable(y)) for x, y in zip(old, new, strict=True)]
    fgraph.replace_all(pairs, reason="pymc_lan_one_pass", import_missing=True)


optdb.register("pymc_lan_one_pass", _OnePass(), "fast_run", position=49.2)


# In JAX mode, derivatives that wait for the values go on from where these were computed.


class _Step(Op):
    """One of two steps of a function and its derivatives. Abstract."""

    __props__ = ("pulled",)

    def __init__(self, pulled: Pulled):
        self.pulled = pulled

    @override
    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        raise NotImplementedError  # it is put into graphs for JAX only


@final
class _Forward(_Step):
    """A function and, as the last output, what takes cotangents back."""


@final
class _Back(_Step):
    """Derivatives from the last output of `_Forward` and cotangents."""


class _GoOn(GraphRewriter):
    """Compute values and their derivatives in two steps, where they have been computed from the start twice."""

    @override
    def apply(self, fgraph: FunctionGraph, *args: Any, **kwargs: Any) -> None:
        for node in list(fgraph.toposort()):
            if isinstance(node.op, JaxOp) and isinstance(node.op.function, Pulled):
                for value in _values(fgraph, node)[:1]:
                    pulled: Pulled = node.op.function
                    first = Apply(_Forward(pulled), value.inputs, [*(x.type() for x in value.outputs), generic()])
                    given = [first.outputs[-1], *node.inputs[len(value.inputs) :]]
                    second = Apply(_Back(pulled), given, [x.type() for x in node.outputs])
                    _replace(fgraph, [*value.outputs, *node.outputs], [*first.outputs[:-1], *second.outputs])


optdb.register("pymc_lan_go_on", _GoOn(), "jax", position=99)


# What compiled code of numba calls, by number. The code may come from a cache on disk: what it depends on is the number
# and the types, so that a number may stand for another function in each process.
_CALLED: list[JaxOp | JaxShape] = []


def _called(number: int, inputs: tuple[Any, ...]) -> Any:
    op = _CALLED[number]
    if isinstance(op, JaxShape):
        found: list[Any] = [np.asarray(n, "int64") for n in op.lengths(inputs)]
    else:
        found = op.values(inputs)
    return tuple(found) if len(found) > 1 else found[0]


def _in_numba(op: JaxOp | JaxShape, node: Apply, **kwargs: Any) -> tuple[Any, str]:
    from numba import objmode, types
    from pytensor.link.numba.dispatch.basic import get_numba_type, numba_njit

    if op not in _CALLED:
        _CALLED.append(op)
    number = _CALLED.index(op)
    kinds = [get_numba_type(x.type, layout="C") for x in node.outputs]
    found = kinds[0] if len(kinds) == 1 else types.Tuple(kinds)

    @numba_njit
    def jax_function(*inputs: Any) -> Any:
        with objmode(outputs=found):
            outputs = _called(number, inputs)
        return outputs  # noqa: RET504 - numba has no return inside

    return jax_function, f"pymc_lan-jax-{number}-{sha256(str(found).encode()).hexdigest()[:16]}"


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    for kind in (JaxOp, JaxShape):
        if kind not in numba_funcify_and_cache_key.registry:
            register_funcify_and_cache_key(kind)(_in_numba)


def _inlined(op: JaxOp, node: Apply, **kwargs: Any) -> Any:
    def jax_function(*inputs: Any) -> Any:
        found = _typed(jax.tree.leaves(op.function(*_typed(inputs, node.inputs))), node.outputs)
        return found if len(found) > 1 else found[0]

    return jax_function


def _inlined_forward(op: _Forward, node: Apply, **kwargs: Any) -> Any:
    def forward(*inputs: Any) -> Any:
        found, pull = op.pulled.linearized(*_typed(inputs, node.inputs))
        return *_typed(found, node.outputs[:-1]), pull

    return forward


def _inlined_back(op: _Back, node: Apply, **kwargs: Any) -> Any:
    def back(pull: Any, *cotangents: Any) -> Any:
        found = _typed(pull(*cotangents), node.outputs)
        return found if len(found) > 1 else found[0]

    return back


def _typed(arrays: Sequence[Any], variables: Sequence[Any]) -> tuple[Any, ...]:
    """Arrays of the types of variables: constants come as Python's numbers, which are not what JAX would take them for.

    Single precision stands for double where JAX has no other.
    """
    types = (jax.dtypes.canonicalize_dtype(x.type.dtype) for x in variables)
    return tuple(jnp.asarray(x, dtype) for x, dtype in zip(arrays, types, strict=True))


def _inlined_shape(op: JaxShape, node: Apply, **kwargs: Any) -> Any:
    def lengths(*inputs: Any) -> Any:
        found = op.lengths([jnp.asarray(x) for x in inputs])
        return found if len(found) > 1 else found[0]

    return lengths


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    if JaxOp not in jax_funcify.registry:
        jax_funcify.register(JaxOp)(_inlined)
        jax_funcify.register(JaxShape)(_inlined_shape)
        jax_funcify.register(_Forward)(_inlined_forward)
        jax_funcify.register(_Back)(_inlined_back)


register_with_backend("numba", "pymc_lan_numba_jax_function", _register_numba)
register_with_backend("jax", "pymc_lan_jax_jax_function", _register_jax)
