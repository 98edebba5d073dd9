"""How PyTensor's backends learn of our Ops: when they compile a graph, and not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, override

from pytensor.compile.mode import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.features import Feature
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.basic import GraphRewriter
from pytensor.tensor.random.op import RandomVariable

from pymc_lan.errors import explain


@dataclass(frozen=True)
class _Told(Feature):
    """What a compiled graph remembers of a rewrite that told its backend.

    A function that was pickled, as PyMC does for workers that are not forked, is translated anew where it is read, and
    not rewritten: reading this tells the backend there.
    """

    register: Callable[[], None]

    def __reduce__(self) -> tuple[Any, ...]:
        return _tell, (self.register,)


def _tell(register: Callable[[], None]) -> _Told:
    register()
    return _Told(register)


class _RegisterDispatch(GraphRewriter):
    """A rewrite that leaves the graph as it is and tells the backend about our Ops."""

    def __init__(self, register: Callable[[], None]):
        super().__init__()
        self._register = register

    @override
    def apply(self, fgraph: FunctionGraph, *args: Any, **kwargs: Any) -> None:
        fgraph.attach_feature(_tell(self._register))


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
        Called at every compilation, so it must return at once where it has nothing left to do. It is pickled with what
        is compiled: a function of a module, or a `functools.partial` of one.
    """
    optdb.register(name, _RegisterDispatch(register), backend, position=100)


def register_choices(kind: type[RandomVariable]) -> None:
    """Let JAX draw a random variable whose first input is the log probabilities of its model's choices.

    Parameters
    ----------
    kind : type
        With a `spec`, whose choices they are.
    """
    register_with_backend("jax", f"pymc_lan_jax_{kind.__name__}", partial(_tell_jax_of_choices, kind))


def _tell_jax_of_choices(kind: type[RandomVariable]) -> None:
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


def require_device() -> None:
    """Refuse to go on in JAX where it finds no device to compute on.

    Raises
    ------
    AssertionError
        Of all errors the only one that PyTensor hands on while it compiles; JAX itself raises one without a word.
    """
    import jax

    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:
        asked = jax.config.jax_platforms or "any"
        found = f"none for the platforms that were asked for ({asked})" + (f": {error}" if str(error) else "")
        remedy = "install JAX for that device, or set JAX_PLATFORMS=cpu before Python starts"
        raise AssertionError(explain("a device that JAX can compute on", found, remedy)) from error


register_with_backend("jax", "pymc_lan_jax_device", require_device)
