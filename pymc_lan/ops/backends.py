"""How PyTensor's backends learn of our Ops: when they compile a graph, and not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytensor.compile.mode import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.basic import GraphRewriter
from pytensor.tensor.random.op import RandomVariable


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


def register_choices(kind: type[RandomVariable]) -> None:
    """Let JAX draw a random variable whose first input is the log probabilities of its model's choices.

    Parameters
    ----------
    kind : type
        With a `spec`, whose choices they are.
    """

    def register() -> None:
        from pytensor.link.jax.dispatch.random import jax_sample_fn

        if kind in jax_sample_fn.registry:
            return

        @jax_sample_fn.register(kind)
        def jax_choices(op: Any, node: Apply) -> Any:
            import jax
            import jax.numpy as jnp

            def response(key: Any, size: Any, dtype: Any, log_p: Any, *_: Any) -> Any:
                return jnp.asarray(op.spec.choices, dtype)[jax.random.categorical(key, log_p, shape=size)]

            return response

    register_with_backend("jax", f"pymc_lan_jax_{kind.__name__}", register)
