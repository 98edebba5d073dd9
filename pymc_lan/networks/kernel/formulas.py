"""From the formulas of a model to straight-line code with derivatives.

PyTensor's own differentiation and compilation of the go/no-go likelihood takes half a minute on an empty cache. So JAX
traces and differentiates the formulas, once on a machine and in a process of its own, and what it found is built as
code (`pymc_lan.networks.kernel.tracing` has it done). Sampling then needs no JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from llvmlite import ir

from pymc_lan.errors import explain
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model
from pymc_lan.networks.kernel.functions import DOUBLES, FUNCTIONS, call
from pymc_lan.networks.kernel.layout import LANES, LEADING, PARTS, TILE, part_rows, smooth_rows
from pymc_lan.networks.kernel.llvm import F64, I64, PTR, Code

BOOLEANS = ir.VectorType(ir.IntType(1), LANES)

SAME = {"same", "stop_gradient", "copy", "copy_p", "reshape", "broadcast_in_dim", "squeeze"}
# Of whole numbers these are other operations than of numbers.
WHOLE = {"div", "and", "or", "not"}
INLINE = {"pjit": "jaxpr", "jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "closed_call": "call_jaxpr"}

Function = Callable[..., Any]
# What builds an operation, from its operands.
Emit = Callable[..., Any]
# Its name and the places of its operands; of a constant its bits, and of an argument its row.
Operation = tuple[Any, ...]


def walk[T](
    closed: Any,
    args: Sequence[T],
    constant: Callable[[Any], T],
    record: Callable[[str, list[T], Any], T | list[T]],
    same: Set[str] = SAME,
) -> list[T]:
    """Go through the equations of a closed jaxpr, inner ones in their place; what changes no number is passed over.

    Parameters
    ----------
    closed : ClosedJaxpr
    args : sequence
        What its arguments are called.
    constant : callable
        From a number to what it is called.
    record : callable
        ``(primitive, inputs, equation)`` to what the result, or each of several, is called. Of a conversion the
        primitive is what it does:
        ``"as_number"``, ``"as_truth"`` or ``"trunc"``.
    same : set of str
        The primitives that change no number.

    Returns
    -------
    list
        What its outputs are called.
    """
    jaxpr = closed.jaxpr
    names: dict[Any, T] = dict(zip(jaxpr.invars, args, strict=True))
    names |= {v: constant(c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True)}

    def name(atom: Any) -> T:
        return constant(atom.val) if isinstance(atom, core.Literal) else names[atom]

    for equation in jaxpr.eqns:
        inputs = [name(atom) for atom in equation.invars]
        primitive = equation.primitive.name
        if primitive == "convert_element_type":
            primitive = _conversion(equation.invars[0].aval.dtype, equation.params["new_dtype"])
        if primitive in INLINE:
            outputs = walk(equation.params[INLINE[primitive]], inputs, constant, record, same)
        elif primitive == "same" or primitive in same:
            outputs = inputs
        else:
            found = record(primitive, inputs, equation)
            outputs = found if isinstance(found, list) else [found]
        names |= dict(zip(equation.outvars, outputs, strict=True))
    return [name(atom) for atom in jaxpr.outvars]


def _conversion(given: Any, wanted: Any) -> str:
    """What a change of type does: numbers of all sizes, and whole ones, are doubles here."""
    match given.kind, wanted.kind:
        case "b", "f" | "i" | "u":
            return "as_number"
        case "f" | "i" | "u", "b":
            return "as_truth"
        case "f", "i" | "u":
            return "trunc"
    return "same"


def _not_known(found: str, remedy: str) -> NotImplementedError:
    return NotImplementedError(explain("formulas that kernels know", f"{found} in one", remedy))


class Graph:
    """The operations of jaxprs over numbers, each common one once; then as code over vectors of trials."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._places: dict[Operation, int] = {}

    def constant(self, value: Any) -> int:
        """The place of a constant."""
        number = np.asarray(value)
        if number.size != 1:
            raise _not_known(f"an array of shape {number.shape}", "write it with single numbers, or sums of them")
        number = number.reshape(())
        if number.dtype == bool:
            return self._place(("truth", bool(number)))
        # By its bits, because 0 and -0 are equal and NaN is not.
        return self._place(("number", int(np.float64(number).view(np.uint64))))

    def argument(self, row: int) -> int:
        """The place of a row of the tile."""
        return self._place(("row", row))

    def read(self, closed: Any, args: Sequence[int]) -> list[int]:
        """Record a jaxpr's equations; return the places of its outputs."""
        return walk(closed, args, self.constant, self._record)

    def _record(self, primitive: str, inputs: list[int], equation: Any) -> int:
        zero, one = self.constant(0.0), self.constant(1.0)
        if primitive == "as_truth":
            return self._place(("ne", *inputs, zero))
        if primitive == "mul" and zero in inputs:
            return zero
        if primitive == "mul" and one in inputs:
            return inputs[1 - inputs.index(one)]
        if primitive in ("add", "add_any") and zero in inputs:
            return inputs[1 - inputs.index(zero)]
        if primitive == "select_n" and inputs[1] == inputs[2]:
            return inputs[1]
        if primitive == "integer_pow":
            return self._power(inputs[0], equation.params["y"])
        if primitive == "square":
            return self._power(inputs[0], 2)
        if primitive == "one_minus_square":
            return self._place(("sub", one, self._power(inputs[0], 2)))
        if primitive == "logistic":
            above = self._place(("add", one, self._place(("exp", self._place(("neg", *inputs))))))
            return self._place(("div", one, above))
        whole = primitive in WHOLE and any(np.issubdtype(x.aval.dtype, np.integer) for x in equation.invars)
        if primitive not in EMIT or whole:
            found = f"{primitive!r}{' of whole numbers' * whole}"
            raise _not_known(found, "write it with other functions of jax.numpy, of numbers such as 1.0")
        return self._place((primitive, *inputs))

    def _power(self, base: int, exponent: int) -> int:
        one = self.constant(1.0)
        product = base if exponent else one
        for _ in range(abs(exponent) - 1):
            product = self._place(("mul", product, base))
        return product if exponent >= 0 else self._place(("div", one, product))

    def _place(self, operation: Operation) -> int:
        if operation not in self._places:
            self._places[operation] = len(self._operations)
            self._operations.append(operation)
        return self._places[operation]

    def emit(self, code: Code, tile: Any, outputs: Sequence[int]) -> list[Any]:
        """Build what the outputs need; return them."""
        alive, waiting = set[int](), [*outputs]
        while waiting:
            place = waiting.pop()
            if place not in alive:
                alive.add(place)
                name, *inputs = self._operations[place]
                waiting += inputs if name in EMIT else ()
        values: dict[int, Any] = {}
        for place in sorted(alive):
            match self._operations[place]:
                case "truth", bit:
                    values[place] = ir.Constant(BOOLEANS, [bit] * LANES)
                case "number", bits:
                    values[place] = ir.Constant(DOUBLES, [float(np.uint64(bits).view(np.float64))] * LANES)
                case "row", row:
                    values[place] = code.load(DOUBLES, code.at(tile, row * TILE))
                case name, *inputs:
                    values[place] = EMIT[name](code, *(values[x] for x in inputs))
        return [values[place] for place in outputs]


def _arithmetic(method: str) -> Emit:
    return lambda code, x, y: getattr(code.ir, method)(x, y, flags=("contract",))


def _compare(operator: str) -> Emit:
    # Like Python: a NaN is unequal to everything, and no other comparison with it is true.
    if operator == "!=":
        return lambda code, x, y: code.ir.fcmp_unordered(operator, x, y)
    return lambda code, x, y: code.ir.fcmp_ordered(operator, x, y)


def _intrinsic(name: str) -> Emit:
    return lambda code, *xs: code.intrinsic(name, *xs)


def _vector(name: str) -> Emit:
    return lambda code, *xs: call(code, name, *xs)


def _library(name: str) -> Emit:
    """A function of the C library takes one number, so it is called lane by lane."""

    def emit(code: Code, x: Any) -> Any:
        result = ir.Constant(DOUBLES, ir.Undefined)
        for k in range(LANES):
            one = code.call(name, code.ir.extract_element(x, I64(k)), result=F64)
            result = code.ir.insert_element(result, one, I64(k))
        return result

    return emit


# jaxpr primitive to what builds it.
EMIT: dict[str, Emit] = {
    **{name: _arithmetic(f"f{name}") for name in ("add", "sub", "mul", "div")},
    "add_any": _arithmetic("fadd"),
    **{name: _compare(x) for name, x in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items()},
    **{name: _intrinsic(name) for name in ("sqrt", "sin", "cos", "floor", "ceil", "trunc")},
    **{name: _vector(name) for name in FUNCTIONS},
    **{name: _intrinsic(x) for name, x in {"abs": "fabs", "max": "maximum", "min": "minimum"}.items()},
    **{name: _library(name) for name in ("tan", "tanh", "erf", "erfc", "cbrt")},
    **{name: _library(name) for name in ("sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "and": lambda code, x, y: code.ir.and_(x, y),
    "or": lambda code, x, y: code.ir.or_(x, y),
    "not": lambda code, x: code.ir.not_(x),
    "neg": lambda code, x: code.ir.fneg(x),
    "select_n": lambda code, condition, if_false, if_true: code.ir.select(condition, if_true, if_false),
    "as_number": lambda code, x: code.ir.uitofp(x, DOUBLES),
}


def _build_function(module: ir.Module, name: str, rows: Sequence[int], function: Function) -> None:
    """Build a function of some rows of a tile, which fills rows of another."""
    with jax.enable_x64(True):
        closed = jax.make_jaxpr(function)(*[0.5] * len(rows))
    graph, code = Graph(), Code(module, name, [PTR, PTR], internal=False)
    tile, out = code.arguments
    outputs = graph.read(closed, [graph.argument(row) for row in rows])
    for k, output in enumerate(graph.emit(code, tile, outputs)):
        code.store(output, code.at(out, k * TILE))
    code.ir.ret_void()


def _density(spec: Model, network: Function) -> Function:
    def density(rt: Any, response: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_density(jnp, rt, response, named)

    return density


def _nogo(spec: Model, network: Function) -> Function:
    def nogo(deadline: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_go(jnp, deadline, named)[1]

    return nogo


BUILDERS: dict[str, Callable[[Model, Function], Function]] = {"density": _density, "nogo": _nogo}


def build_formulas(spec: Model) -> ir.Module:
    """Build a model's closed-form parts, in numbers only: a name may come from a file that somebody else wrote.

    For each there are functions of `LANES` trials, columns of a tile with one row for every argument and one for
    the network's output: ``PART_inputs`` fills rows with the network's inputs, then their derivatives by every
    argument; ``PART_value`` with the log likelihood, its derivative by the network's output, then those by every
    argument. Codes such as the response have no derivative. ``PART_inputs_alone`` and ``PART_value_alone`` find none.

    Parameters
    ----------
    spec : Model

    Returns
    -------
    ir.Module
    """
    module, n = ir.Module("formulas"), len(spec.names)
    for part in PARTS:
        rows = part_rows(part, n)
        smooth = [rows.index(row) for row in smooth_rows(part, n)]
        inputs, value, every = network_inputs(spec, part), value_of_output(spec, part), [*rows, len(LEADING) + n]
        _build_function(module, f"{part}_inputs", rows, _inputs_with_derivatives(inputs, smooth))
        _build_function(module, f"{part}_value", every, _value_with_derivatives(value, smooth))
        _build_function(module, f"{part}_inputs_alone", rows, inputs)
        _build_function(module, f"{part}_value_alone", every, lambda *args, value=value: (value(*args),))
    return module


def network_inputs(spec: Model, part: str) -> Function:
    """The function from the arguments of a closed-form part to the inputs of its network."""

    def inputs(*args: Any) -> tuple[Any, ...]:
        caught: list[tuple[Any, ...]] = []

        def catch(x: tuple[Any, ...]) -> Any:
            caught.append(x)
            return 0.0 * x[0]

        BUILDERS[part](spec, catch)(*args)
        return caught[0]

    return inputs


def value_of_output(spec: Model, part: str) -> Function:
    """The function from the same arguments and the network's output, which comes last, to the log likelihood."""

    def value(*args: Any) -> Any:
        return BUILDERS[part](spec, lambda x: args[-1])(*args[:-1])

    return value


def _inputs_with_derivatives(inputs: Function, smooth: list[int]) -> Function:
    def both(*args: Any) -> tuple[Any, ...]:
        # Python runs once; what it did is differentiated again and again.
        again = core.jaxpr_as_fun(jax.make_jaxpr(inputs)(*args))
        # Forwards: there are fewer arguments than inputs, and what the inputs share is built once.
        columns = [jax.jvp(lambda x, i=i: again(*args[:i], x, *args[i + 1 :]), (args[i],), (1.0,))[1] for i in smooth]
        return (*again(*args), *(column[k] for k in range(len(columns[0])) for column in columns))

    return both


def _value_with_derivatives(value: Function, smooth: list[int]) -> Function:
    def both(*args: Any) -> tuple[Any, ...]:
        of_args = jax.grad(value, argnums=[len(args) - 1, *smooth])(*args)
        return (value(*args), *of_args)

    return both
