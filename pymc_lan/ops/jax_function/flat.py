"""Functions of arrays that JAX traces, and what follows from them: derivatives, batches.

Two of them are equal when they compute the same thing, so that what is compiled for one serves the other. There is one
live object for equal functions (`interned`), which holds what JAX has compiled for it, and goes when nobody needs it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial, reduce
from hashlib import sha256
from typing import Any, final
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
import numpy as np


class Flat:
    """A function of arrays, one after another, that returns a pytree of arrays. Abstract.

    Subclasses are frozen dataclasses.
    """

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        raise NotImplementedError

    @property
    def like(self) -> Mapping[int, int]:
        """Outputs that are shaped like inputs: their places."""
        return {}

    @cached_property
    def jitted(self) -> Any:
        """The function, compiled by JAX once for all that call it."""
        return jax.jit(self)

    @cached_property
    def known_outputs(self) -> dict[Any, Any]:
        """What is known of outputs, by types of inputs; `pymc_lan.ops.jax_function.op` keeps it."""
        return {}

    @cached_property
    def content(self) -> bytes:
        """What another process makes the function from."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return unpacked, (self.content,)

    def __deepcopy__(self, memo: Any) -> Flat:
        return self


_LIVE: WeakValueDictionary[Any, Flat] = WeakValueDictionary()
_UNPACKED: WeakValueDictionary[bytes, Flat] = WeakValueDictionary()


def interned(function: Any) -> Any:
    """The one live object of all that are equal to a function."""
    # Not the function itself, which a dictionary would keep as long as it has its key.
    key = (type(function), *(getattr(function, x.name) for x in fields(function) if x.compare))
    return _LIVE.setdefault(key, function)


def unpacked(content: bytes) -> Flat:
    """The function that `content` was made of; the one that is there, if it has been made in this process before."""
    digest = sha256(content).digest()
    found = _UNPACKED.get(digest)
    if found is None:
        kind, parts = pickle.loads(content)
        found = interned(kind.from_parts(*parts))
        _UNPACKED[digest] = found
    return found


def _packed(function: Flat, *parts: Any) -> bytes:
    import cloudpickle

    content: bytes = cloudpickle.dumps((type(function), parts))
    _UNPACKED.setdefault(sha256(content).digest(), function)
    return content


@final
@dataclass(frozen=True)
class Written(Flat):
    """A function as somebody wrote it, with its settings: what is no array among its arguments.

    Parameters
    ----------
    function : callable
    structure : PyTreeDef
        Of positional and keyword arguments.
    settings : tuple of (int, object)
        Leaves of the structure that are no arrays, and their places.
    wide : str, optional
        Where given, floats are of single precision inside, and of this type outside.
    """

    function: Callable[..., Any] = field(compare=False)
    structure: Any
    settings: tuple[tuple[int, Any], ...] = field(compare=False)
    wide: str | None
    key: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = tuple((place, exactly(value)) for place, value in self.settings)
        object.__setattr__(self, "key", (identity(self.function), known))

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        if self.wide is None:
            return self._call(arrays)
        narrow = [x.astype(_SINGLE.get(str(x.dtype), x.dtype)) for x in map(jnp.asarray, arrays)]
        # So that arrays that the function makes itself are of single precision, too.
        with jax.enable_x64(False):
            found = self._call(narrow)
        outside = jax.dtypes.canonicalize_dtype(self.wide)
        return jax.tree.map(lambda x: x.astype(outside) if jnp.issubdtype(x.dtype, jnp.floating) else x, found)

    def _call(self, arrays: Sequence[Any]) -> Any:
        given, settings = iter(arrays), dict(self.settings)
        places = range(self.structure.num_leaves)
        args, kwargs = self.structure.unflatten([settings[i] if i in settings else next(given) for i in places])
        return jax.tree.map(jnp.asarray, self.function(*args, **kwargs))

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    @cached_property
    def content(self) -> bytes:
        """What another process makes the function from."""
        # Structures themselves can be pickled only where their nodes are Python's own.
        places = self.structure.unflatten(range(self.structure.num_leaves))
        return _packed(self, by_path(self.function), places, self.settings, self.wide)

    @classmethod
    def from_parts(cls, function: Any, places: Any, settings: Any, wide: str | None) -> Written:
        """From what `content` packs."""
        return cls(from_path(function), jax.tree.structure(places), settings, wide)


_SINGLE = {"float64": "float32", "int64": "int32", "uint64": "uint32"}


@final
@dataclass(frozen=True)
class _Path:
    """Where an object is found that does not know itself: functions of JAX are copied, with all their code, else."""

    module: str
    name: str

    def __call__(self) -> Any:
        __import__(self.module)
        return reduce(getattr, self.name.split("."), sys.modules[self.module])


def by_path(function: Any) -> Any:
    """A function, or where it is found."""
    path = _Path(str(getattr(function, "__module__", None)), str(getattr(function, "__qualname__", None)))
    try:
        return path if path.module != "__main__" and path() is function else function
    except (AttributeError, ImportError, KeyError, ValueError):
        return function


def from_path(function: Any) -> Any:
    """The function that `by_path` stands for."""
    return function() if isinstance(function, _Path) else function


def identity(function: Any) -> Any:
    """What makes two callables the same: themselves, or the parts of a `functools.partial`."""
    if isinstance(function, partial):
        settings = tuple(sorted((name, exactly(value)) for name, value in function.keywords.items()))
        parts = (identity(function.func), tuple(map(exactly, function.args)), settings)
        return parts if _hashable(parts) else id(function)
    return function if _hashable(function) else id(function)


def exactly(value: Any) -> Any:
    """A setting with its type, for 1, 1.0 and True are equal, as 0.0 and -0.0 are, and NaN is not."""
    match value:
        case tuple() | frozenset():
            return type(value), type(value)(map(exactly, value)) if type(value) in (tuple, frozenset) else value
        case float():
            return type(value), value.hex()
        case complex() | np.generic():
            return type(value), repr(value)
    return type(value), value


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class _Derived(Flat):
    """A function that follows from another one, its first field. Abstract."""

    @property
    def parts(self) -> tuple[Any, ...]:
        """The fields."""
        return tuple(getattr(self, x.name) for x in fields(self))

    @cached_property
    def content(self) -> bytes:
        """What another process makes the function from."""
        return _packed(self, *self.parts)

    @classmethod
    def from_parts(cls, *parts: Any) -> _Derived:
        """From what `content` packs."""
        return cls(*parts)


@dataclass(frozen=True)
class Pulled(_Derived):
    """Products of vectors and the Jacobian of a function: its gradient in reverse mode.

    Called with the function's inputs and a cotangent of each output that is `seen`.

    Parameters
    ----------
    of : Flat
    wrt : tuple of int
        Inputs by which derivatives are taken, and which outputs are like.
    seen : tuple of int
        Outputs that have cotangents.
    """

    of: Flat
    wrt: tuple[int, ...]
    seen: tuple[int, ...]

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        n = len(arrays) - len(self.seen)
        return self.linearized(*arrays[:n])[1](*arrays[n:])

    def linearized(self, *inputs: Any) -> tuple[list[Any], Callable[..., Any]]:
        """Outputs of the function, and what takes cotangents back to the inputs."""

        def smooth(*moving: Any) -> Any:
            found = jax.tree.leaves(self.of(*_with(inputs, self.wrt, moving)))
            return [found[k] for k in self.seen], found

        seen, back, found = jax.vjp(smooth, *(inputs[i] for i in self.wrt), has_aux=True)

        def pull(*cotangents: Any) -> Any:
            return back([jnp.asarray(g, y.dtype) for g, y in zip(cotangents, seen, strict=True)])

        return found, pull

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        return f"vjp {self.of.name}"

    @property
    def like(self) -> Mapping[int, int]:
        """Outputs that are shaped like inputs: their places."""
        return dict(enumerate(self.wrt))


@final
@dataclass(frozen=True)
class Joined(_Derived):
    """Outputs of a function and its `Pulled`, in one pass."""

    pulled: Pulled

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        n = len(arrays) - len(self.pulled.seen)
        found, pull = self.pulled.linearized(*arrays[:n])
        return [*found, *pull(*arrays[n:])]

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        return f"value and {self.pulled.name}"


@final
@dataclass(frozen=True)
class Pushed(_Derived):
    """Products of the Jacobian of a function and vectors: derivatives in forward mode.

    Called with the inputs of the function and tangents of those in `wrt`; returns tangents of the outputs in `seen`.

    Parameters
    ----------
    of : Flat
    wrt, seen : tuple of int
    """

    of: Flat
    wrt: tuple[int, ...]
    seen: tuple[int, ...]

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        n = len(arrays) - len(self.wrt)
        inputs, tangents = arrays[:n], arrays[n:]

        def smooth(*moving: Any) -> Any:
            found = jax.tree.leaves(self.of(*_with(inputs, self.wrt, moving)))
            return [found[k] for k in self.seen]

        at = [jnp.asarray(inputs[i]) for i in self.wrt]
        return jax.jvp(smooth, at, [jnp.asarray(t, x.dtype) for t, x in zip(tangents, at, strict=True)])[1]

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        return f"jvp {self.of.name}"


@final
@dataclass(frozen=True)
class Mapped(_Derived):
    """A function of each entry of batches that broadcast.

    Parameters
    ----------
    of : Flat
    axes : tuple of int
        How many axes of each input belong to an entry; those before them are of the batch.
    """

    of: Flat
    axes: tuple[int, ...]

    def __call__(self, *arrays: Any) -> Any:
        """Compute, in JAX."""
        parts = [_split(jnp.shape(x), n) for x, n in zip(arrays, self.axes, strict=True)]
        batch = jnp.broadcast_shapes(*(b for b, _ in parts))
        over = tuple(0 if b else None for b, _ in parts)
        wide = [jnp.broadcast_to(x, batch + core) if b else x for x, (b, core) in zip(arrays, parts, strict=True)]
        return reduce(lambda f, _: jax.vmap(f, in_axes=over), batch, self.of)(*wide)

    @property
    def name(self) -> str:
        """What it is called where a graph is printed."""
        return f"vmap {self.of.name}"


def _split(shape: tuple[int, ...], n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return shape[: len(shape) - n], shape[len(shape) - n :]


def _with(inputs: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The inputs with other values at some places."""
    changed = dict(zip(places, values, strict=True))
    return [changed.get(i, x) for i, x in enumerate(inputs)]
