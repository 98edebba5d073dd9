"""The bridge to PyTensor: one Op that evaluates a network, and the namespace that runs our formulas as PyTensor graphs.

The formulas around the network (baseline, inputs, choice probabilities) are ordinary PyTensor graphs, differentiated
by PyTensor. The network is `NetworkOp`: it returns its value and its derivative with respect to every input
in one pass, so a gradient is never a second forward pass. It dispatches by backend:

* numba (PyTensor's default) to the kernel of `pymc_lan.kernels`, float32 inside, no threads;
* JAX to the Flax module of `pymc_lan.networks`;
* C and Python to NumPy.

Only the JAX mode touches JAX, because a JAX call in a forked worker never returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.mode import optdb
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import GraphRewriter
from pytensor.tensor.variable import TensorVariable

from pymc_lan.mlp import ACTIVATIONS, MLP
from pymc_lan.transforms import Namespace


def _log_ndtr(x: TensorVariable) -> TensorVariable:
    """Log of the standard normal distribution function, by erfcx in the lower tail and log1p in the upper."""
    low = pt.minimum(x, -1.0)
    high = pt.maximum(x, -1.0)
    return pt.where(
        x < -1.0,
        pt.log(pt.erfcx(-low / np.sqrt(2.0)) / 2.0) - low**2 / 2.0,
        pt.log1p(-pt.erfc(high / np.sqrt(2.0)) / 2.0),
    )


PYTENSOR = Namespace(pt, log_ndtr=_log_ndtr)


class NetworkOp(Op):
    """Evaluate a network on trials.

    Inputs: a float64 matrix of shape (n_inputs, n_trials). Outputs: the values, float64 of shape (n_trials,),
    and their derivatives with respect to the inputs, float64 of shape (n_inputs, n_trials).

    Two Ops are equal when their networks' weights are.

    Parameters
    ----------
    mlp : MLP
    """

    __props__ = ("mlp",)
    gufunc_signature = "(k,n)->(n),(k,n)"

    def __init__(self, mlp: MLP):
        self.mlp = mlp

    def make_node(self, x: Any) -> Apply:
        x = pt.cast(pt.as_tensor_variable(x), "float64")
        if x.type.ndim != 2:
            raise ValueError(f"Expected a matrix (n_inputs, n_trials). Found {x.type.ndim} dimensions.")
        return Apply(self, [x], [pt.vector(dtype="float64", shape=(x.type.shape[1],)), x.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        value, partials = self.mlp.value_and_partials(inputs[0])
        output_storage[0][0] = value.astype(np.float64)
        output_storage[1][0] = partials.astype(np.float64)

    def infer_shape(self, fgraph: Any, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(shapes[0][1],), shapes[0]]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """The gradient from the derivatives at hand; that of the derivatives (for Hessians) from a plain graph."""
        of_value, of_partials = cotangents
        result = pt.zeros_like(inputs[0])
        if not isinstance(of_value.type, DisconnectedType):
            result = of_value[None, :] * outputs[1]
        if not isinstance(of_partials.type, DisconnectedType):
            partials = pt.grad(network_graph(self.mlp, inputs[0]).sum(), inputs[0])
            result = result + pt.grad((partials * of_partials).sum(), inputs[0], consider_constant=[of_partials])
        return [result]


def network_graph(mlp: MLP, x: TensorVariable) -> TensorVariable:
    """The network as a plain PyTensor graph, (n_inputs, n) to (n,): the second derivatives come from it."""
    act = ACTIVATIONS[mlp.activation].value
    for kernel, bias in zip(mlp.kernels[:-1], mlp.biases[:-1], strict=True):
        x = act(pt, pt.constant(kernel.T.astype(np.float64)) @ x + bias.astype(np.float64)[:, None])
    return (pt.constant(mlp.kernels[-1].T.astype(np.float64)) @ x)[0] + float(mlp.biases[-1][0])


def apply_network(mlp: MLP, inputs: Sequence[TensorVariable]) -> TensorVariable:
    """Evaluate a network on inputs of any common shape, inside a PyTensor graph.

    Parameters
    ----------
    mlp : MLP
    inputs : sequence of TensorVariable
        One per network input; they broadcast.

    Returns
    -------
    TensorVariable
        float64, of the broadcast shape.
    """
    if len({x.type.broadcastable for x in inputs}) > 1:
        # Only then: the shape arithmetic of a broadcast costs compile time, and JAX cannot trace all of it.
        inputs = pt.broadcast_arrays(*inputs)
    first = inputs[0]
    flat = [x if x.type.ndim == 1 else pt.reshape(x, (-1,)) for x in inputs]
    value, _ = NetworkOp(mlp)(pt.stack(flat))
    return value if first.type.ndim == 1 else pt.reshape(value, first.shape)


class _RegisterDispatch(GraphRewriter):
    """A rewrite that leaves the graph as it is and tells the backend about our Ops."""

    def __init__(self, register: Callable[[], None]):
        super().__init__()
        self._register = register

    def apply(self, fgraph: FunctionGraph, *args: Any, **kwargs: Any) -> None:
        self._register()


def register_with_backend(backend: str, name: str, register: Callable[[], None]) -> None:
    """Have `register` called when, and only when, a backend compiles a graph.

    To register with JAX means to import it, which costs seconds and makes forking unsafe; a rewrite that belongs to the
    backend's mode is the moment at which it is known to be wanted.

    Parameters
    ----------
    backend : str
        ``"numba"`` or ``"jax"``.
    name : str
        Unique among PyTensor's rewrites.
    register : callable
        Called at every compilation, so it must return at once where it has nothing left to do.
    """
    optdb.register(name, _RegisterDispatch(register), backend, position=100)


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    from pymc_lan.kernels import KERNEL_VERSION, compile_kernel

    if NetworkOp in numba_funcify_and_cache_key.registry:
        return

    @register_funcify_and_cache_key(NetworkOp)
    def numba_network(op: NetworkOp, node: Apply, **kwargs: Any) -> tuple[Any, str]:
        return compile_kernel(op.mlp), f"pymc_lan.NetworkOp-{KERNEL_VERSION}-{op.mlp.digest}"


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    if NetworkOp in jax_funcify.registry:
        return

    @jax_funcify.register(NetworkOp)
    def jax_network(op: NetworkOp, node: Apply, **kwargs: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from pymc_lan.networks import to_flax

        module = to_flax(op.mlp)

        def network(x: Any) -> Any:
            value, pullback = jax.vjp(lambda x: module(x.T).astype(x.dtype), x)
            (partials,) = pullback(jnp.ones_like(value))
            return value, partials

        return network


register_with_backend("numba", "pymc_lan_network_numba", _register_numba)
register_with_backend("jax", "pymc_lan_network_jax", _register_jax)
