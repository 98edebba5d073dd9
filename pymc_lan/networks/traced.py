"""From a module of Flax, or any function of JAX, to a network that runs without JAX: traced once, then a program.

What is a plain multilayer perceptron, with an activation that kernels know, becomes an `MLP` and is as fast as one that
was trained here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.networks.kernel.formulas import walk
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.networks.program import (
    CONCATENATE,
    CONSTANT,
    ELEMENTWISE,
    INTEGER_POW,
    MATMUL,
    SLICE,
    AnyNetwork,
    Program,
    Step,
)
from pymc_lan.numerics.passage import NUMPY

# Rows that a module is traced with: a number that no width of a layer is likely to have, because it is how the axis of
# the trials is known.
ROWS = 997
# What changes no number, and leaves shapes as they are.
SAME = frozenset({"stop_gradient", "copy", "copy_p"})
# What does nothing but put numbers elsewhere.
MOVES = frozenset(
    {"reshape", "squeeze", "broadcast_in_dim", "transpose", "rev"}
    | {"slice", "split", "unstack", "gather", "dynamic_slice"}
)
REDUCTIONS = {"reduce_sum": "add", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "mul"}
# Where activations are compared, and how nearly they have to agree.
GRID, NEARLY = np.linspace(-12, 12, 97), 1e-5

Apply = Callable[[Any], Any]


def as_function(module: Any, what: str = "module") -> Apply:
    """A module with its weights as a function of an array.

    Parameters
    ----------
    module : flax.nnx.Module, bound flax.linen.Module, tuple or callable
        A pair is a module of linen and its variables.
    what : str
        The argument, for the message.

    Raises
    ------
    ValueError
        For anything else.
    """
    match module:
        case nnx.Module():
            still = nnx.clone(module)
            still.eval()
            return still
        case (linen.Module() as unbound, variables):
            return lambda x: unbound.apply(variables, x)
        case linen.Module() if module.scope is None:
            found, remedy = (
                "one of linen without its variables",
                f"give {what}=(module, variables), or module.bind(variables)",
            )
            raise ValueError(explain(f"{what} with its weights", found, remedy))
        case _ if callable(module):
            return module
    found = f"a {type(module).__name__}"
    raise ValueError(explain(f"{what} as a module of Flax, or a function of JAX", found, "give one"))


def trace(function: Apply, n_inputs: int, what: str = "module") -> Program:
    """Trace a function of rows of inputs, shape (n, n_inputs), to one number for each; or of a single row.

    Parameters
    ----------
    function : callable
    n_inputs : int
    what : str
        The argument, for messages.

    Raises
    ------
    ValueError
        If it does not take so many inputs, does not give one number for each row, or does what cannot be run without
        JAX.
    """
    rows = jax.ShapeDtypeStruct((ROWS, n_inputs), np.float32)
    expected = f"{what} as a function of rows of {n_inputs} inputs to one number each"
    remedy = "check the number of inputs, and that the last layer has one output"
    faults = []
    with jax.enable_x64(False):
        for each in (function, jax.vmap(function)):
            try:
                closed = jax.make_jaxpr(each)(rows)
            except Exception as error:  # whatever a module raises
                told = f"{type(error).__name__}: {error}".splitlines()[0]
                faults.append(ValueError(explain(expected, told, remedy)))
                continue
            shapes = [x.shape for x in closed.out_avals]
            if shapes not in ([(ROWS,)], [(ROWS, 1)]):
                told = f"outputs of shape {', '.join(str(x).replace(str(ROWS), 'n') for x in shapes)}"
                faults.append(ValueError(explain(expected, told, remedy)))
                continue
            try:
                return _Tracer(n_inputs, what).program(closed)
            except ValueError as error:
                faults.append(error)
    raise faults[0]


class _Wide(NamedTuple):
    """A value that differs between trials.

    Parameters
    ----------
    place, width : int
        Of a value of the program.
    marks : ndarray of int
        Of the shape as traced, where each number of that value is: its row times the width, and its column.
    """

    place: int
    width: int
    marks: NDArray[np.int32]


def _marks(shape: tuple[int, ...]) -> NDArray[np.int32]:
    return np.arange(math.prod(shape), dtype=np.int32).reshape(shape)


class _Tracer:
    """Records the operations of one function."""

    def __init__(self, n_inputs: int, what: str) -> None:
        self._n_inputs, self._what = n_inputs, what
        self._steps: list[Step] = []
        self._arrays: list[NDArray[np.float32]] = []

    def program(self, closed: Any) -> Program:
        """The program of a closed jaxpr of one argument and one output."""
        start = _Wide(0, self._n_inputs, _marks((ROWS, self._n_inputs)))
        arguments: list[Any] = [start]
        (end,) = walk(closed, arguments, lambda x: np.asarray(x), self._record, same=SAME)
        if not isinstance(end, _Wide):
            raise ValueError(explain(f"{self._what} that depends on its inputs", "a constant", "train it"))
        if self._place(end) != len(self._steps):
            self._elementwise("add", [end, np.float32(0)], (ROWS,))
        return Program(self._n_inputs, tuple(self._steps), tuple(self._arrays))

    def _record(self, primitive: str, inputs: list[Any], equation: Any) -> Any:
        shape = equation.outvars[0].aval.shape
        if not any(isinstance(x, _Wide) for x in inputs):
            found = equation.primitive.bind(*map(jnp.asarray, inputs), **equation.params)
            return np.asarray(found[0] if equation.primitive.multiple_results else found)
        if primitive in MOVES and not any(isinstance(each, _Wide) for each in inputs[1:]):
            return self._move(inputs, equation)
        if shape[:1] != (ROWS,) or len(shape) > 2:
            raise self._unknown(primitive)
        if primitive in ELEMENTWISE:
            return self._elementwise(primitive, inputs, shape)
        if primitive in REDUCTIONS and equation.params["axes"] == (1,):
            return self._reduce(REDUCTIONS[primitive], inputs[0])
        if primitive == "concatenate" and equation.params["dimension"] == 1:
            return self._concatenate(inputs, shape)
        if primitive == "integer_pow":
            return self._step(INTEGER_POW, [self._place(inputs[0])], (int(equation.params["y"]),), shape)
        if primitive == "clamp":
            above = self._elementwise("max", [inputs[1], inputs[0]], shape)
            return self._elementwise("min", [above, inputs[2]], shape)
        if primitive == "dot_general":
            return self._product(inputs, equation)
        raise self._unknown(primitive)

    def _unknown(self, primitive: str) -> ValueError:
        expected = f"{self._what} of layers, activations, norms and other formulas of each row, to run without JAX"
        remedy = "write it with matrix products and elementwise functions, or call it with pl.jax_function"
        return ValueError(explain(expected, f"the operation {primitive!r} of JAX", remedy))

    def _step(self, name: str, places: Sequence[int], options: tuple[int, ...], shape: tuple[int, ...]) -> _Wide:
        self._steps.append((name, tuple(places), options))
        return _Wide(len(self._steps), shape[1] if len(shape) == 2 else 1, _marks(shape))

    def _array(self, array: Any) -> int:
        self._arrays.append(np.asarray(array, np.float32))
        return len(self._arrays) - 1

    def _row(self, constant: Any) -> int:
        """The place of a constant, which has to be the same in every trial."""
        array = np.asarray(constant)
        if array.ndim and array.shape[0] in (1, ROWS):
            if not (array == array[:1]).all():
                raise self._unknown("a constant that differs between rows")
            array = array[0]
        place = self._constant(np.atleast_1d(array).ravel())
        return place if array.dtype != bool else self._step("gt", (place, self._constant([0.5])), (), ()).place

    def _constant(self, row: Any) -> int:
        return self._step(CONSTANT, (), (self._array(row),), ()).place

    def _place(self, x: Any) -> int:
        """The place of a value or a constant, in the order in which it is looked at."""
        if not isinstance(x, _Wide):
            return self._row(x)
        if x.marks.shape[:1] != (ROWS,) or x.marks.ndim > 2:
            raise self._unknown("transpose")
        columns = x.marks.reshape(ROWS, -1) - x.width * np.arange(ROWS)[:, None]
        if not ((columns == columns[0]).all() and np.all((columns[0] >= 0) & (columns[0] < x.width))):
            raise self._unknown("a mixture of rows")
        return self._choose(x.place, columns[0].tolist(), x.width)

    def _choose(self, place: int, columns: list[int], width: int) -> int:
        if columns == [*range(width)]:
            return place
        first, last = columns[0], columns[0] + len(columns)
        if columns == [*range(first, last)]:
            return self._step(SLICE, [place], (first, last), ()).place
        each = {k: self._step(SLICE, [place], (k, k + 1), ()).place for k in sorted({*columns})}
        return self._step(CONCATENATE, [each[k] for k in columns], (), ()).place

    def _elementwise(self, primitive: str, inputs: Sequence[Any], shape: tuple[int, ...]) -> _Wide:
        places = [self._place(x) for x in inputs]
        return self._step(primitive, places, (), shape)

    def _move(self, inputs: list[Any], equation: Any) -> Any:
        """What is put where, found by moving numbers that tell their places."""
        x, *others = inputs
        found = equation.primitive.bind(jnp.asarray(x.marks), *map(jnp.asarray, others), **equation.params)
        if equation.primitive.multiple_results:
            return [_Wide(x.place, x.width, np.asarray(each)) for each in found]
        return _Wide(x.place, x.width, np.asarray(found))

    def _reduce(self, operation: str, x: _Wide) -> _Wide:
        place, width = self._place(x), x.marks.shape[1]
        if operation == "add":
            return self._step(MATMUL, [place], (self._array(np.ones((width, 1))),), (ROWS,))
        total, *rest = (self._step(SLICE, [place], (k, k + 1), (ROWS,)) for k in range(width))
        for each in rest:
            total = self._elementwise(operation, [total, each], (ROWS,))
        return total

    def _concatenate(self, inputs: Sequence[Any], shape: tuple[int, ...]) -> _Wide:
        zero = self._step(MATMUL, [0], (self._array(np.zeros((self._n_inputs, 1))),), (ROWS,))
        wide = [x if isinstance(x, _Wide) else self._elementwise("add", [zero, x], np.shape(x)) for x in inputs]
        return self._step(CONCATENATE, [self._place(x) for x in wide], (), shape)

    def _product(self, inputs: Sequence[Any], equation: Any) -> _Wide:
        """Of rows and a matrix or, row by row, of rows and others."""
        (left, right), shape = inputs, equation.outvars[0].aval.shape
        (contracted, batch) = equation.params["dimension_numbers"]
        if isinstance(left, _Wide) and isinstance(right, _Wide):
            if contracted == ((1,), (1,)) and batch == ((0,), (0,)):
                return self._reduce("add", self._elementwise("mul", [left, right], left.marks.shape))
        elif isinstance(left, _Wide) and contracted[0] == (1,) and not batch[0] and right.ndim <= 2:
            matrix = right if contracted[1] == (0,) else right.T
            return self._step(MATMUL, [self._place(left)], (self._array(matrix.reshape(len(matrix), -1)),), shape)
        raise self._unknown("dot_general")


def simplest(program: Program) -> AnyNetwork:
    """A plain multilayer perceptron where a program is that, else the program."""
    plain = as_mlp(program)
    return plain[0] if plain is not None and same(plain[1], lambda x: x) else program


def as_mlp(program: Program) -> tuple[MLP, Callable[[NDArray[np.float64]], NDArray[np.float64]]] | None:
    """A program as a plain multilayer perceptron and what is done to its output; None where it is none.

    Layers are recognised by their order, and what is between them by its values.
    """
    kernels: list[NDArray[np.float32]] = []
    biases: list[NDArray[np.float32]] = []
    names: set[str] = set()
    place = 0
    constants = {k: options[0] for k, (name, _, options) in enumerate(program.steps, 1) if name == CONSTANT}
    for k, (name, places, options) in enumerate(program.steps, 1):
        if name != MATMUL:
            continue
        if kernels:
            function = _between(program, place, places[0])
            found = (
                [] if function is None else [n for n, a in ACTIVATIONS.items() if same(function, partial(a.value, np))]
            )
            if not found:
                return None
            names.add(found[0])
        elif places != (0,):
            return None
        kernels.append(program.arrays[options[0]])
        biases.append(np.zeros(kernels[-1].shape[1], np.float32))
        place = k
        following = [(j, s) for j, s in enumerate(program.steps, 1) if k in s[1]]
        if len(following) == 1 and following[0][1][0] == "add":
            j, (_, operands, _) = following[0]
            (other,) = [x for x in operands if x != k] or [k]
            if other in constants and program.arrays[constants[other]].size == biases[-1].size:
                biases[-1], place = program.arrays[constants[other]], j
    if not kernels or kernels[-1].shape[1] != 1 or len(names) > 1:
        return None
    tail = _between(program, place, len(program.steps))
    return None if tail is None else (MLP(tuple(kernels), tuple(biases), *names), tail)


def _between(program: Program, first: int, last: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """What becomes of a value, number by number; None where something else comes in."""
    elementwise = {*ELEMENTWISE, INTEGER_POW, CONSTANT}
    reached = program.values(NUMPY, np.zeros((2, program.widths[first])), first)
    if last not in reached or program.widths[last] != program.widths[first]:
        return None
    # A constant that differs between units is none of an activation.
    inner = [k for k in reached if first < k <= last]
    if any(program.steps[k - 1][0] not in elementwise for k in inner):
        return None

    def function(x: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            wide = np.repeat(x[:, None], program.widths[first], axis=1)
            found = np.asarray(program.values(NUMPY, wide, first)[last])
        return np.where((found == found[:, :1]).all(axis=1), found[:, 0], np.nan)

    return function


def _named(function: Callable[..., Any]) -> list[str]:
    """The activations that a function is."""
    return [name for name, activation in ACTIVATIONS.items() if same(function, partial(activation.value, NUMPY))]


def same(f: Callable[..., Any], g: Callable[..., Any]) -> bool:
    """Whether two functions of numbers are the same where activations are looked at."""
    return bool(np.allclose(f(GRID), g(GRID), rtol=0, atol=NEARLY))
