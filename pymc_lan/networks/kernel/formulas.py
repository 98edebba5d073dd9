"""From the formulas to straight-line LLVM code with derivatives.

PyTensor's own differentiation and compilation of the go/no-go likelihood takes half a minute on an empty cache. So JAX
traces and differentiates the formulas once, when they change, and this module prints the result as LLVM code, which
ships in `pymc_lan.networks.kernel.generated` and which `pymc_lan.networks.kernel.build` compiles. Sampling then needs
no JAX.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.spec import Model
from pymc_lan.networks.flax import JAX
from pymc_lan.networks.kernel.build import LANES, LEADING, PARTS, TILE, part_rows, smooth_rows

F, B = f"<{LANES} x double>", f"<{LANES} x i1>"

# jaxpr primitive to what LLVM calls it. Functions of the C library take one number, so they are called lane by lane.
INFIX = {"add": "fadd", "add_any": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
LOGICAL = {"and": "and", "or": "or"}
INTRINSIC = {
    "exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "abs": "fabs", "max": "maximum",
    "min": "minimum", "pow": "pow",
}  # fmt: skip
LIBRARY = {"log1p", "expm1", "tan", "tanh", "erf", "erfc"}
SAME = {"convert_element_type", "stop_gradient", "copy", "copy_p", "reshape", "broadcast_in_dim"}
INLINE = {"pjit": "jaxpr", "jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "closed_call": "call_jaxpr"}

Function = Callable[..., Any]


def walk(
    closed: Any, args: Sequence[str], constant: Callable[[Any], str], record: Callable[[str, list[str], Any], str]
) -> list[str]:
    """Go through the equations of a closed jaxpr, inner ones in their place.

    Parameters
    ----------
    closed : ClosedJaxpr
    args : sequence of str
        What its arguments are called.
    constant : callable
        From a number to what it is called.
    record : callable
        ``(primitive, inputs, equation)`` to what the result is called.

    Returns
    -------
    list of str
        What its outputs are called.
    """
    jaxpr = closed.jaxpr
    names: dict[Any, str] = dict(zip(jaxpr.invars, args, strict=True))
    names |= {v: constant(c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True)}

    def name(atom: Any) -> str:
        return constant(atom.val) if isinstance(atom, core.Literal) else names[atom]

    for equation in jaxpr.eqns:
        inputs = [name(atom) for atom in equation.invars]
        primitive = equation.primitive.name
        if primitive in INLINE:
            outputs = walk(equation.params[INLINE[primitive]], inputs, constant, record)
        else:
            outputs = [record(primitive, inputs, equation)]
        names |= dict(zip(equation.outvars, outputs, strict=True))
    return [name(atom) for atom in jaxpr.outvars]


class Printer:
    """Print jaxprs over scalars as LLVM code over vectors of trials, each common subexpression once."""

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def read(self, closed: Any, args: Sequence[str]) -> list[str]:
        """Record a jaxpr's equations; return what its outputs are called."""
        return walk(closed, args, _literal, self._record)

    def _record(self, primitive: str, inputs: list[str], equation: Any) -> str:
        if primitive in SAME:
            if equation.invars[0].aval.dtype != equation.outvars[0].aval.dtype == np.float64:
                return self._name(f"uitofp {B} {inputs[0]} to {F}")
            return inputs[0]
        if primitive == "mul" and ZERO in inputs:
            return ZERO
        if primitive == "mul" and ONE in inputs:
            return inputs[1 - inputs.index(ONE)]
        if primitive in ("add", "add_any") and ZERO in inputs:
            return inputs[1 - inputs.index(ZERO)]
        if primitive == "select_n" and inputs[1] == inputs[2]:
            return inputs[1]
        if primitive == "integer_pow":
            return self._power(inputs[0], equation.params["y"])
        if primitive == "square":
            return self._power(inputs[0], 2)
        return self._name(_instruction(primitive, inputs))

    def _power(self, base: str, exponent: int) -> str:
        product = base if exponent else ONE
        for _ in range(abs(exponent) - 1):
            product = self._name(f"fmul contract {F} {product}, {base}")
        return product if exponent >= 0 else self._name(f"fdiv {F} {ONE}, {product}")

    def _name(self, instruction: str) -> str:
        if instruction not in self._names:
            self._names[instruction] = f"%t{len(self._names)}"
            self.statements[self._names[instruction]] = instruction
        return self._names[instruction]

    def body(self, outputs: Sequence[str]) -> list[str]:
        """The statements that the outputs need."""
        alive: set[str] = set()
        waiting = list(outputs)
        while waiting:
            name = waiting.pop()
            if name in self.statements and name not in alive:
                alive.add(name)
                waiting += re.findall(r"%t\d+", self.statements[name])
        return [f"{name} = {text}" for name, text in self.statements.items() if name in alive]


def _instruction(primitive: str, inputs: list[str]) -> str:
    if primitive in INFIX:
        return f"{INFIX[primitive]} contract {F} {inputs[0]}, {inputs[1]}"
    if primitive in COMPARE:
        return f"fcmp {COMPARE[primitive]} {F} {inputs[0]}, {inputs[1]}"
    if primitive in LOGICAL:
        return f"{LOGICAL[primitive]} {B} {inputs[0]}, {inputs[1]}"
    if primitive in INTRINSIC:
        return f"call {F} @llvm.{INTRINSIC[primitive]}.v{LANES}f64({', '.join(f'{F} {x}' for x in inputs)})"
    if primitive in LIBRARY:
        return f"call {F} @lanes.{primitive}({F} {inputs[0]})"
    if primitive == "neg":
        return f"fneg {F} {inputs[0]}"
    if primitive == "not":
        return f"xor {B} {inputs[0]}, splat (i1 true)"
    if primitive == "select_n":
        condition, if_false, if_true = inputs
        return f"select {B} {condition}, {F} {if_true}, {F} {if_false}"
    raise NotImplementedError(
        f"Expected a primitive that codegen can print. Found {primitive!r}. Remedy: add it to this file."
    )


def _literal(value: Any) -> str:
    number = np.asarray(value)
    if number.dtype == bool:
        return f"splat (i1 {str(bool(number)).lower()})"
    # Hexadecimal, because LLVM takes no decimal that is not exact.
    return f"splat (double 0x{np.float64(number).view(np.uint64):016X})"


ZERO, ONE = _literal(0.0), _literal(1.0)


def _print_function(name: str, rows: Sequence[int], doc: str, function: Function) -> list[str]:
    """Print a function of some rows of a tile, which fills rows of another."""
    with jax.enable_x64(True):
        closed = jax.make_jaxpr(function)(*[0.5] * len(rows))
    printer = Printer()
    outputs = printer.read(closed, [f"%r{row}" for row in rows])
    lines = [f"; {doc}", f"define void @{name}(ptr noalias %x, ptr noalias %out) {{"]
    for row in rows:
        lines.append(f"  %x{row} = getelementptr double, ptr %x, i64 {row * TILE}")
        lines.append(f"  %r{row} = load {F}, ptr %x{row}, align 8")
    lines += [f"  {line}" for line in printer.body(outputs)]
    for k, output in enumerate(outputs):
        lines.append(f"  %out{k} = getelementptr double, ptr %out, i64 {k * TILE}")
        lines.append(f"  store {F} {output}, ptr %out{k}, align 8")
    return [*lines, "  ret void", "}"]


def _print_lanes(name: str) -> list[str]:
    """Print a function that calls the C library's for each lane."""
    lines = [f"declare double @{name}(double)", f"define internal {F} @lanes.{name}({F} %x) {{"]
    before = "poison"
    for k in range(LANES):
        lines.append(f"  %x.{k} = extractelement {F} %x, i64 {k}")
        lines.append(f"  %y.{k} = call double @{name}(double %x.{k})")
        lines.append(f"  %v.{k} = insertelement {F} {before}, double %y.{k}, i64 {k}")
        before = f"%v.{k}"
    return [*lines, f"  ret {F} {before}", "}"]


def _density(spec: Model, network: Function) -> Function:
    def density(rt: Any, response: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_density(JAX, rt, response, named)

    return density


def _nogo(spec: Model, network: Function) -> Function:
    def nogo(deadline: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_go(JAX, deadline, named)[1]

    return nogo


BUILDERS: dict[str, Callable[[Model, Function], Function]] = {"density": _density, "nogo": _nogo}


def generate(spec: Model) -> str:
    """Print a model's closed-form parts, in numbers only: a name may come from a file that somebody else wrote.

    For each there are two functions of `LANES` trials, columns of a tile with one row for every argument and one for
    the network's output: ``PART_inputs`` fills rows with the network's inputs, then their derivatives by every
    argument; ``PART_value`` with the log likelihood, its derivative by the network's output, then those by every
    argument. Codes such as the response have no derivative.

    Parameters
    ----------
    spec : Model

    Returns
    -------
    str
        LLVM code.
    """
    output = len(LEADING) + len(spec.names)
    functions: list[str] = []
    for part in PARTS:
        rows = part_rows(part, spec)
        smooth = [rows.index(row) for row in smooth_rows(part, spec)]
        inputs = _inputs_with_derivatives(network_inputs(spec, part), smooth)
        value = _value_with_derivatives(value_of_output(spec, part), smooth)
        functions += ["", *_print_function(f"{part}_inputs", rows, "Network inputs and their derivatives.", inputs)]
        rows = [*rows, output]
        functions += ["", *_print_function(f"{part}_value", rows, "Log likelihood and its derivatives.", value)]
    called = "\n".join(functions)
    lines = [
        "; Closed-form parts of a model: written by ``python scripts/formulas.py``, not by hand.",
        "",
    ]
    for name in sorted({*re.findall(r"@llvm\.(\w+)", called)}):
        taken = ", ".join([F] * (2 if name in ("maximum", "minimum", "pow") else 1))
        lines.append(f"declare {F} @llvm.{name}.v{LANES}f64({taken})")
    for name in sorted({*re.findall(r"@lanes\.(\w+)", called)}):
        lines += ["", *_print_lanes(name)]
    return "\n".join([*lines, *functions, ""])


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
        # Forwards: there are fewer arguments than inputs, and what the inputs share is printed once.
        columns = [jax.jvp(lambda x, i=i: again(*args[:i], x, *args[i + 1 :]), (args[i],), (1.0,))[1] for i in smooth]
        return (*again(*args), *(column[k] for k in range(len(columns[0])) for column in columns))

    return both


def _value_with_derivatives(value: Function, smooth: list[int]) -> Function:
    def both(*args: Any) -> tuple[Any, ...]:
        of_args = jax.grad(value, argnums=[len(args) - 1, *smooth])(*args)
        return (value(*args), *of_args)

    return both
