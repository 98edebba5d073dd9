"""From arguments of a function that is written in JAX to variables for what it returns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from typing import Any

import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import explicit_graph_inputs
from pytensor.tensor.type import TensorType

import pymc_lan.ops.jax_function.backends  # noqa: F401 - backends learn of the Op
from pymc_lan.errors import explain, unknown
from pymc_lan.ops.jax_function.elsewhere import ElsewhereError
from pymc_lan.ops.jax_function.flat import Written, interned
from pymc_lan.ops.jax_function.op import JaxOp, known_outputs
from pymc_lan.ops.jax_function.running import ArrayType, runner

# Lengths to try a function with where nobody knows them yet: one that many functions take, the least, a prime and one
# that has many divisors. Those of other arrays are tried, too, and those that JAX names where it fails, in so many
# combinations; most fail at once.
LENGTHS = (8, 1, 3, 60)
COMBINATIONS = 100


def outputs_of(
    f: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, single: bool
) -> Any:
    """Variables for what a function returns, in its structure.

    Parameters
    ----------
    f : callable
    name : str
    args : sequence
    kwargs : mapping
    single : bool
        Whether floats are of single precision inside.

    Returns
    -------
    TensorVariable or pytree of them
    """
    _check_arguments(f, name, args, kwargs)
    leaves, structure = jax.tree.flatten((tuple(args), dict(kwargs)))
    inputs = {i: as_input(x) for i, x in enumerate(leaves) if isinstance(x, Variable | np.ndarray | jax.Array)}
    settings = tuple((i, _setting(x)) for i, x in enumerate(leaves) if i not in inputs)
    variables = list(inputs.values())
    function = interned(Written(f, structure, settings, _widest_float(variables) if single else None))
    found = _outputs(function, variables)
    outputs, made = jax.tree.flatten(found)
    if not outputs:
        remedy = "return what it computes; a function without a return statement returns None"
        raise ValueError(explain(f"arrays from {name}", f"{found!r:.80}", remedy))
    kinds = ([(x.dtype, len(x.shape)) for x in types] for types in (map(_type, variables), outputs))
    op: Any = JaxOp(function, *kinds)
    return jax.tree.unflatten(made, op(*variables, return_list=True))


def _check_arguments(f: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # what is written in C may not say what it takes
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        parameters = signature.parameters.values()
        takes = [x.name for x in parameters if x.kind in (x.KEYWORD_ONLY, x.POSITIONAL_OR_KEYWORD)]
        strange = [x for x in kwargs if x not in takes]
        if strange and not any(x.kind == x.VAR_KEYWORD for x in parameters):
            raise TypeError(unknown("keyword", strange[0], takes, of=f"function {name!r}")) from error
        remedy = "give each once, by its place or its name"
        raise TypeError(explain(f"arguments as {name}{signature} takes them", f"{error}", remedy)) from error


def as_input(x: Any) -> Any:
    """A tensor variable for an input of a JAX function.

    Parameters
    ----------
    x : Variable or array

    Returns
    -------
    TensorVariable

    Raises
    ------
    ValueError
        If it is not one of floats, integers or booleans.

    Examples
    --------
    >>> as_input(np.ones(3)).type.shape
    (3,)
    """
    try:
        found = pt.as_tensor_variable(x if isinstance(x, Variable) else np.asarray(x))
    except Exception as error:  # whatever arrays of other libraries raise
        raise _no_input(x) from error
    if not isinstance(found.type, TensorType) or np.dtype(found.type.dtype).kind not in "fiub":
        raise _no_input(x)
    return found


def _no_input(x: Any) -> ValueError:
    if isinstance(x, jax.core.Tracer):
        remedy = "call the function itself where JAX traces another"
        return ValueError(explain("inputs of a JAX function as variables and arrays", f"{x!r:.80}", remedy))
    found = f"{x.type if isinstance(x, Variable) else getattr(x, 'dtype', type(x).__name__)}"
    if isinstance(x, Variable | jax.Array) or np.asarray(x).dtype.kind == "c":
        remedy = "give complex numbers as their real and imaginary parts, and random keys as jax.random.key_data(key)"
    else:
        remedy = "give numbers: of text, the codes that pd.factorize makes"
    return ValueError(explain("inputs of a JAX function as tensors of floats, integers or booleans", found, remedy))


def _setting(x: Any) -> Any:
    """What is no array: a setting, which has to be told from others."""
    try:
        hash(x)
    except TypeError as error:
        expected = "arguments of a JAX function as variables, arrays, or settings that can be hashed"
        remedy = "give numbers as a NumPy array: x.to_numpy() of a table"
        raise ValueError(explain(expected, f"{type(x).__name__} {x!r:.60}", remedy)) from error
    return x


def _widest_float(variables: Sequence[Any]) -> str:
    """The type of floats outside a function of single precision."""
    floats = [x.type.dtype for x in variables if np.dtype(x.type.dtype).kind == "f"]
    return str(np.result_type(*floats)) if floats else str(pytensor.config.floatX)


def _type(variable: Any) -> ArrayType:
    return ArrayType(variable.type.dtype, variable.type.shape)


def _outputs(function: Written, variables: Sequence[Any]) -> Any:
    """What the function returns for such variables: a pytree of types of arrays."""
    given = [_type(x) for x in variables]
    try:
        found = known_outputs(function, given)
        if found is None:
            # An example says how many axes outputs have, not how long these are.
            example = _evaluated(variables)
            found = _by_search(function, given) if example is None else runner().outputs(function, example)
            found = jax.tree.map(lambda x: ArrayType(x.dtype, (None,) * len(x.shape)), found)
    except ElsewhereError:
        raise
    except Exception as error:
        raise _not_traced(function, given, error) from error
    for x in jax.tree.leaves(found):
        if np.dtype(x.dtype).kind not in "fiub":
            remedy = "return complex numbers as their real and imaginary parts, and others with .astype('float32')"
            raise ValueError(explain(f"floats, integers or booleans from {function.name}", x.dtype, remedy))
    return found


def examples_of(variables: Sequence[Any]) -> Iterator[list[ArrayType]]:
    """Types of variables with all their lengths: those that they have now, or else some to try.

    Parameters
    ----------
    variables : sequence of TensorVariable

    Yields
    ------
    list of ArrayType

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> next(examples_of([pt.matrix("x", shape=(None, 3))]))[0].shape
    (8, 3)
    """
    example = _evaluated(variables)
    if example is not None:
        yield example
        return
    given = [_type(x) for x in variables]
    for n in LENGTHS:
        yield _with_lengths(given, [n] * sum(x.shape.count(None) for x in given))


def _evaluated(variables: Sequence[Any]) -> list[ArrayType] | None:
    """Types of variables with the lengths that they have now, where these depend on data only."""
    if not all(isinstance(x, SharedVariable) for x in explicit_graph_inputs(variables)):
        return None
    mode = Mode(linker="py", optimizer="fast_compile")
    evaluate = pytensor.function([], [x.shape for x in variables], mode=mode, on_unused_input="ignore")
    return [ArrayType(x.type.dtype, tuple(map(int, shape))) for x, shape in zip(variables, evaluate(), strict=True)]


def _by_search(function: Written, given: Sequence[ArrayType]) -> Any:
    """What the function returns for the first lengths, in the place of unknown ones, that it takes."""
    every = [n for x in given for n in x.shape]
    lengths = dict.fromkeys(n for n in (*every, *LENGTHS) if n is not None)
    tried: dict[tuple[int, ...], Exception] = {}
    while True:
        alike = ((n,) * every.count(None) for n in (*LENGTHS, *lengths))
        for chosen in islice(chain(alike, product(lengths, repeat=every.count(None))), COMBINATIONS):
            if chosen not in tried:
                try:
                    return runner().outputs(function, _with_lengths(given, chosen))
                except ElsewhereError:
                    raise
                except Exception as error:
                    tried[chosen] = error
        named = {int(n) for error in tried.values() for n in re.findall(r"\b\d{1,5}\b", str(error))} - {0, *lengths}
        if not named or len(tried) > COMBINATIONS:
            raise next(iter(tried.values()))
        lengths = dict.fromkeys((*sorted(named), *lengths))


def _with_lengths(given: Sequence[ArrayType], lengths: Sequence[int]) -> list[ArrayType]:
    """Types with lengths in the place of unknown ones."""
    following = iter(lengths)
    return [ArrayType(x.dtype, tuple(next(following) if n is None else n for n in x.shape)) for x in given]


# What JAX raises while it traces, and what to do about it.
REMEDIES = (
    (
        (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError),
        "decide by values with jnp.where or jax.lax.cond, and give what decides about sizes or branches as a number",
    ),
    ((jax.errors.TracerArrayConversionError,), "write the function with jax.numpy in the place of numpy"),
)
CARRY = "carry input and carry output must have equal types"


def _not_traced(function: Written, given: Sequence[ArrayType], error: Exception) -> ValueError:
    types = ", ".join(f"{x.dtype} {x.shape}" for x in given) or "no inputs"
    message = f"{error}".strip().splitlines() or [""]
    default = "pass PyTensor variables as arguments, return arrays, and try the function on arrays of these shapes"
    remedy = next((text for kinds, text in REMEDIES if isinstance(error, kinds)), default)
    if CARRY in message[0]:
        remedy = "begin with a carry of the type that it will have, or give dtype='float32', as for networks of Flax"
    if remedy == default and any(n is None for x in given for n in x.shape):
        remedy += ", and say which these are, by pt.specify_shape, where no others will do"
    found = f"{type(error).__name__}: {message[0].rstrip('.')}"
    return ValueError(explain(f"a function that JAX can trace: {function.name} of {types}", found, remedy))
