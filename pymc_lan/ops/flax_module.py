"""Modules of Flax as functions of their weights: what of them is weights, what is state, and what a call changes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import errors as flax_errors
from flax import linen, nnx
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.ops.jax_function.flat import exactly

Arrays = dict[str, NDArray[Any]]


class Opened(ABC):
    """A module, taken apart: ``opened(weights, state, *inputs)`` is a pure function, equal for equal modules.

    Weights are the parameters that are floats. State is whatever else a module holds in arrays, as the statistics of
    batches; a call leaves it as it is.
    """

    weights: Arrays
    state: Arrays

    @property
    @abstractmethod
    def _key(self) -> Any:
        """What makes two the same function."""

    @abstractmethod
    def __call__(self, weights: Mapping[str, Any], state: Mapping[str, Any], *inputs: Any) -> Any:
        """The module's output."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opened) and type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@final
class OpenedNnx(Opened):
    """A module of Flax NNX, which holds its weights itself.

    Parameters
    ----------
    module : nnx.Module
    settings : mapping
        Keyword arguments of its call.
    examples : sequence of array
        Inputs to try it with.
    """

    def __init__(self, module: Any, settings: Mapping[str, Any], examples: Sequence[Any]):
        self.settings = dict(settings)
        self.graph, whole = nnx.split(module)
        # Variables without their values, so that equal modules are equal whatever their weights are.
        self.parts: list[tuple[str, Any, Any]] = []
        self.hidden: dict[str, Any] = {}
        self.weights, self.state = {}, {}
        for path, leaf in nnx.to_flat_state(whole):
            name, value = joined(path), _value(leaf)
            self.parts.append((name, path, leaf.replace(value=None) if isinstance(leaf, nnx.Variable) else None))
            if isinstance(leaf, nnx.RngState) or not _is_numeric(value):
                self.hidden[name] = value
            elif isinstance(leaf, nnx.Param) and jnp.issubdtype(value.dtype, jnp.floating):
                self.weights[name] = np.asarray(value)
            else:
                self.state[name] = np.asarray(value)
        self._refuse_changes(examples)

    def _merged(self, values: Mapping[str, Any]) -> Any:
        leaves = [(path, values[name] if v is None else v.replace(value=values[name])) for name, path, v in self.parts]
        return nnx.merge(self.graph, nnx.from_flat_state(leaves))

    def _refuse_changes(self, examples: Sequence[Any]) -> None:
        """Refuse a module whose call leaves other state behind: its output is not of weights and inputs alone."""
        before = {**self.hidden, **{name: jnp.asarray(x) for name, x in self.state.items()}}
        # NumPy's arrays would be written into.
        module = self._merged({**before, **{name: jnp.asarray(x) for name, x in (self.weights | self.state).items()}})
        _call(lambda: module(*examples, **self.settings), examples)
        after = {joined(path): _value(leaf) for path, leaf in nnx.to_flat_state(nnx.state(module))}
        changed = [name for name, x in before.items() if not _same(x, after.get(name))]
        if changed and not self._random(examples):
            changed = [name for name in changed if name not in self.hidden]
        if changed:
            raise _changing(
                changed, "call module.eval() before: statistics are taken as they are, and nothing drops out"
            )

    def _random(self, examples: Sequence[Any]) -> bool:
        """Whether the output depends on random keys: recurrent networks draw a first state of zeros."""

        def output(hidden: Arrays) -> Any:
            values = {name: jnp.asarray(x) for name, x in (self.weights | self.state).items()}
            return self._merged({**self.hidden, **values, **hidden})(*examples, **self.settings)

        keys = {name: x for name, x in self.hidden.items() if isinstance(x, jax.Array)}
        traced = _call(lambda: jax.make_jaxpr(output)(keys), examples).jaxpr
        needed = {id(x) for x in traced.outvars}
        for equation in reversed(traced.eqns):
            if any(id(x) in needed for x in equation.outvars):
                needed.update(map(id, equation.invars))
        return any(id(x) in needed for x in traced.invars)

    @property
    def _key(self) -> Any:
        # Equal attributes, such as 1 and True, need not be the same.
        return self.graph, repr(self.graph), tuple(name for name, _, _ in self.parts), _told(self.settings)

    def __call__(self, weights: Mapping[str, Any], state: Mapping[str, Any], *inputs: Any) -> Any:
        """The module's output."""
        return self._merged({**self.hidden, **state, **weights})(*inputs, **self.settings)


@final
class OpenedLinen(Opened):
    """A module of Flax Linen, whose weights are made for inputs of given shapes.

    Parameters
    ----------
    module : linen.Module
    settings : mapping
        Keyword arguments of its call.
    examples : sequence of array
        Inputs to try it with.
    """

    def __init__(self, module: Any, settings: Mapping[str, Any], examples: Sequence[Any]):
        self.module, self.settings = module, dict(settings)
        remedy = "give the call the module's own setting for it, as in train=False or deterministic=True"
        try:
            variables = _call(lambda: module.init(jax.random.key(0), *examples, **settings), examples)
            _call(lambda: module.apply(variables, *examples, **settings), examples)
        except flax_errors.InvalidRngError as error:
            raise _changing(["its random numbers"], remedy) from error
        except flax_errors.ModifyScopeVariableError as error:
            statistics = [name for name in _flat(variables) if not name.startswith("params.")]
            raise _changing(statistics, remedy) from error
        flat = _flat(linen.meta.unbox(variables))
        self.structure = jax.tree.structure(linen.meta.unbox(variables))
        self.names = tuple(flat)
        weights = {name for name, x in flat.items() if name.startswith("params.") and x.dtype.kind == "f"}
        self.weights = {name.removeprefix("params."): x for name, x in flat.items() if name in weights}
        self.state = {name: x for name, x in flat.items() if name not in weights}

    @property
    def _key(self) -> Any:
        # Equal attributes, such as 1 and True, need not be the same.
        return self.module, repr(self.module), self.names, _told(self.settings)

    def __call__(self, weights: Mapping[str, Any], state: Mapping[str, Any], *inputs: Any) -> Any:
        """The module's output."""
        values = [weights[short] if (short := n.removeprefix("params.")) in weights else state[n] for n in self.names]
        return self.module.apply(jax.tree.unflatten(self.structure, values), *inputs, **self.settings)


def open_module(module: Any, settings: Mapping[str, Any], inputs: Sequence[tuple[Any, str]]) -> Opened:
    """Take a module apart.

    Parameters
    ----------
    module : nnx.Module or linen.Module
    settings : mapping
        Keyword arguments of its call.
    inputs : sequence of (shape, dtype)
        Of what it will be called with.

    Returns
    -------
    Opened

    Raises
    ------
    ValueError
        If it is no module, cannot be called so, or its output is not one of weights and inputs alone.

    Examples
    --------
    >>> from flax import nnx
    >>> opened = open_module(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), {}, [((5, 3), "float64")])
    >>> {name: x.shape for name, x in opened.weights.items()}
    {'bias': (2,), 'kernel': (3, 2)}
    >>> opened(opened.weights, {}, np.zeros((5, 3))).shape
    (5, 2)
    """
    kinds: dict[type, Callable[..., Opened]] = {nnx.Module: OpenedNnx, linen.Module: OpenedLinen}
    kind = next((opened for base, opened in kinds.items() if isinstance(module, base)), None)
    if kind is None:
        remedy = "give an object of such a class, not the class itself"
        raise ValueError(explain("a module of Flax, NNX or Linen", f"{module!r:.80}", remedy))
    rng = np.random.default_rng(0)
    examples = [
        np.asarray(rng.normal(size=shape) if dtype.startswith("float") else np.zeros(shape)).astype(dtype)
        for shape, dtype in inputs
    ]
    # Some recurrent networks do not begin in double precision, and the call may be one of single.
    with jax.enable_x64(False):
        return kind(module, settings, examples)


def joined(path: Iterable[Any]) -> str:
    """The name of what lies at a path in a module."""
    return ".".join(map(str, path))


def _told(settings: Mapping[str, Any]) -> Any:
    return tuple((name, exactly(x)) for name, x in sorted(settings.items()))


def _flat(variables: Any) -> Arrays:
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(x) for path, x in leaves}


def _value(leaf: Any) -> Any:
    return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf


def _is_numeric(value: Any) -> bool:
    """Whether it is an array of numbers, and not of random keys."""
    return isinstance(value, np.ndarray | jax.Array) and not jnp.issubdtype(value.dtype, jax.dtypes.extended)


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, jax.Array) and jnp.issubdtype(before.dtype, jax.dtypes.prng_key):
        before, after = jax.random.key_data(before), jax.random.key_data(after)
    return bool(np.array_equal(before, after))


def _call(call: Callable[[], Any], examples: Sequence[Any]) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # it is only a trial
            return call()
    except (flax_errors.InvalidRngError, flax_errors.ModifyScopeVariableError):
        raise
    except Exception as error:
        shapes = ", ".join(str(x.shape) for x in examples)
        message = f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}".rstrip(". ")
        remedy = "give inputs of the shape that the module takes, and further arguments of its call by name"
        raise ValueError(
            explain(f"a module that can be called with inputs of shapes {shapes}", message, remedy)
        ) from error


def _changing(what: Sequence[str], remedy: str) -> ValueError:
    found = f"one whose call changes {', '.join(what)}"
    return ValueError(explain("a module whose output follows from its weights and inputs alone", found, remedy))
