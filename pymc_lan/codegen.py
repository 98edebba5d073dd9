"""From the formulas to straight-line numba code with derivatives: ``python -m pymc_lan.codegen``.

PyTensor's own differentiation and compilation of the go/no-go likelihood takes half a minute on an empty cache. So JAX
traces and differentiates the formulas once, when they change, and this module prints the result as plain scalar
Python, which ships in `pymc_lan.generated` and compiles in a few seconds. Sampling then needs no JAX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend import core

from pymc_lan.likelihood import Likelihood
from pymc_lan.networks import JAX
from pymc_lan.spec import MODELS, ModelSpec

# Longest expression that is written into the statement that uses it.
LONGEST = 88

CALLS = {name: f"math.{name}" for name in ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tanh", "erf", "erfc")}
INFIX = {
    "add": "+", "add_any": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "eq": "==", "ne": "!=", "and": "and", "or": "or",
}  # fmt: skip
PREFIX = {"neg": "-", "not": "not "}
CALLS_OF = {"max": "max({}, {})", "min": "min({}, {})", "abs": "abs({})", "square": "({0} * {0})"}
SAME = {"convert_element_type", "stop_gradient", "copy", "copy_p", "reshape", "broadcast_in_dim"}
INLINE = {"pjit": "jaxpr", "jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "closed_call": "call_jaxpr"}

Function = Callable[..., Any]


class Printer:
    """Print jaxprs over scalars as Python statements, each common subexpression once."""

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def read(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[str]) -> list[str]:
        """Record a jaxpr's equations; return what its outputs are called."""
        names: dict[Any, str] = dict(zip(jaxpr.invars, args, strict=True))
        names |= {v: _literal(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}

        def name(atom: Any) -> str:
            return _literal(atom.val) if isinstance(atom, core.Literal) else names[atom]

        for equation in jaxpr.eqns:
            inputs = [name(atom) for atom in equation.invars]
            primitive = equation.primitive.name
            if primitive in INLINE:
                inner = equation.params[INLINE[primitive]]
                outputs = self.read(inner.jaxpr, inner.consts, inputs)
            else:
                outputs = [self._record(primitive, inputs, equation.params)]
            names |= dict(zip(equation.outvars, outputs, strict=True))
        return [name(atom) for atom in jaxpr.outvars]

    def _record(self, primitive: str, inputs: list[str], params: dict[str, Any]) -> str:
        if primitive in SAME:
            return inputs[0]
        if primitive == "mul" and "0.0" in inputs:
            return "0.0"
        if primitive == "mul" and "1.0" in inputs:
            return inputs[1 - inputs.index("1.0")]
        if primitive in ("add", "add_any") and "0.0" in inputs:
            return inputs[1 - inputs.index("0.0")]
        if primitive == "select_n" and (inputs[1] == inputs[2] or inputs[0] in ("True", "False")):
            return inputs[2 if inputs[0] == "True" else 1]
        text = _expression(primitive, inputs, params)
        if text not in self._names:
            self._names[text] = f"t{len(self._names)}"
            self.statements[self._names[text]] = text
        return self._names[text]

    def body(self, outputs: Sequence[str]) -> list[str]:
        """The statements that the outputs need, what is used once written into its user."""
        alive = _alive(self.statements, outputs)
        uses = Counter(word for text in [*(self.statements[n] for n in alive), *outputs] for word in _words(text))
        lines: list[str] = []
        inlined: dict[str, str] = {}
        for name, text in self.statements.items():
            if name not in alive:
                continue
            full = _substitute(text, inlined)
            if uses[name] == 1 and len(full) <= LONGEST:
                inlined[name] = f"({full})" if " " in full else full
            else:
                lines.append(f"{name} = {full}")
        return lines + [f"out[{k}, i] = {_substitute(output, inlined)}" for k, output in enumerate(outputs)]


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in text).split()


def _substitute(text: str, inlined: dict[str, str]) -> str:
    for word in set(_words(text)) & inlined.keys():
        pieces = text.split(word)
        rebuilt = pieces[0]
        for piece in pieces[1:]:
            joins = (rebuilt[-1:].isalnum() or rebuilt[-1:] == "_") or (piece[:1].isalnum() or piece[:1] == "_")
            rebuilt += (word if joins else inlined[word]) + piece
        text = rebuilt
    return text


def _alive(statements: dict[str, str], outputs: Sequence[str]) -> set[str]:
    alive: set[str] = set()
    waiting = [word for output in outputs for word in _words(output)]
    while waiting:
        word = waiting.pop()
        if word in statements and word not in alive:
            alive.add(word)
            waiting += _words(statements[word])
    return alive


def _expression(primitive: str, inputs: list[str], params: dict[str, Any]) -> str:
    if primitive in CALLS:
        return f"{CALLS[primitive]}({inputs[0]})"
    if primitive in INFIX:
        return f"{inputs[0]} {INFIX[primitive]} {inputs[1]}"
    if primitive in PREFIX:
        return f"{PREFIX[primitive]}{inputs[0]}"
    if primitive in CALLS_OF:
        return CALLS_OF[primitive].format(*inputs)
    if primitive == "select_n":
        condition, if_false, if_true = inputs
        return f"{if_true} if {condition} else {if_false}"
    if primitive == "integer_pow":
        return _power(inputs[0], params["y"])
    if primitive == "sign":
        return f"math.copysign(1.0, {inputs[0]}) if {inputs[0]} != 0.0 else 0.0"
    if primitive == "logistic":
        return f"1.0 / (1.0 + math.exp(-{inputs[0]}))"
    if primitive == "is_finite":
        return f"math.isfinite({inputs[0]})"
    raise NotImplementedError(
        f"Expected a primitive that codegen can print. Found {primitive!r}. Remedy: add it to pymc_lan/codegen.py."
    )


def _power(base: str, exponent: int) -> str:
    product = " * ".join([base] * abs(exponent))
    return product if exponent > 0 else f"1.0 / ({product})"


def _literal(value: Any) -> str:
    number = np.asarray(value)
    if number.dtype == bool:
        return str(bool(number))
    if not np.isfinite(number):
        return "math.nan" if np.isnan(number) else ("math.inf" if number > 0 else "-math.inf")
    return repr(float(number))


def _print_function(name: str, arguments: Sequence[str], doc: str, function: Function) -> list[str]:
    with jax.enable_x64(True):
        closed = jax.make_jaxpr(function)(*[0.5] * len(arguments))
    printer = Printer()
    outputs = printer.read(closed.jaxpr, closed.consts, arguments)
    return [
        f"def {name}(out: Any, i: int, {', '.join(f'{a}: float' for a in arguments)}) -> None:",
        f'    """{doc}"""',
        *(f"    {line}" for line in printer.body(outputs)),
    ]


def _density(spec: ModelSpec, network: Function) -> Function:
    def density(rt: Any, response: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_density(JAX, rt, response, named)

    return density


def _nogo(spec: ModelSpec, network: Function) -> Function:
    def nogo(deadline: Any, *theta: Any) -> Any:
        named = dict(zip(spec.names, theta, strict=True))
        return Likelihood(spec, network, network).log_go(JAX, deadline, named)[1]

    return nogo


# What comes before the parameters in a kernel's arguments, and its builder.
KERNELS: dict[str, tuple[tuple[str, ...], Callable[[ModelSpec, Function], Function]]] = {
    "density": (("rt", "response"), _density),
    "nogo": (("deadline",), _nogo),
}
# What comes before the parameters in the matrix of arguments.
LEADING = ("rt", "response", "deadline")
# Codes, which nothing is differentiated by.
CODES = {"response"}


def generate(spec: ModelSpec) -> str:
    """Print a model's kernels.

    For each there are two functions of one trial's arguments, which fill column i of ``out``: ``NAME_inputs`` with the
    network inputs, then their derivatives by every argument; ``NAME_value``, which takes the network's output ``r`` as
    well, with the log density, its derivative by r, then those by every argument. ``NAME_row`` picks trial j out of a
    matrix of arguments. Codes such as the response have no derivative.

    Parameters
    ----------
    spec : ModelSpec

    Returns
    -------
    str
        A Python module.
    """
    lines = [
        f'"""Kernels of {spec.name}: written by ``python -m pymc_lan.codegen``, not by hand."""',
        "",
        "# fmt: off",
        "# ruff: noqa",
        "import math",
        "from typing import Any",
        "",
    ]
    for kernel, (leading, build) in KERNELS.items():
        arguments = [*leading, *spec.names]
        smooth = [i for i, name in enumerate(arguments) if name not in CODES]
        inputs = _inputs_with_derivatives(spec, build, smooth)
        value = _value_with_derivatives(spec, build, smooth)
        lines += [
            "",
            *_print_function(f"{kernel}_inputs", arguments, "Network inputs and their derivatives.", inputs),
        ]
        lines += ["", ""]
        lines += _print_function(f"{kernel}_value", [*arguments, "r"], "Log density and its derivatives.", value)
        lines += ["", "", *_print_row(kernel, arguments, (*LEADING, *spec.names))]
    return "\n".join(lines)


def _print_row(kernel: str, arguments: Sequence[str], rows: Sequence[str]) -> list[str]:
    return [
        f"def {kernel}_row(x: Any, j: int) -> tuple[float, ...]:",
        f'    """Trial j of the rows {", ".join(rows)}."""',
        f"    return {', '.join(f'x[{rows.index(a)}, j]' for a in arguments)}",
        "",
    ]


def _inputs_with_derivatives(spec: ModelSpec, build: Any, smooth: list[int]) -> Function:
    def inputs(*args: Any) -> tuple[Any, ...]:
        caught: list[tuple[Any, ...]] = []

        def catch(x: tuple[Any, ...]) -> Any:
            caught.append(x)
            return 0.0 * x[0]

        build(spec, catch)(*args)
        return caught[0]

    def both(*args: Any) -> tuple[Any, ...]:
        values = inputs(*args)
        derivatives = [jax.grad(lambda *a, k=k: inputs(*a)[k], argnums=smooth)(*args) for k in range(len(values))]
        return (*values, *(d for row in derivatives for d in row))

    return both


def _value_with_derivatives(spec: ModelSpec, build: Any, smooth: list[int]) -> Function:
    def both(*args: Any) -> tuple[Any, ...]:
        def value(*inner: Any) -> Any:
            return build(spec, lambda x: inner[-1])(*inner[:-1])

        of_args = jax.grad(value, argnums=[len(args) - 1, *smooth])(*args)
        return (value(*args), *of_args)

    return both


def main() -> None:
    """Write `pymc_lan.generated` anew for every registered model with networks."""
    folder = Path(__file__).parent / "generated"
    for name, spec in MODELS.items():
        (folder / f"{name}.py").write_text(generate(spec), "utf-8")


if __name__ == "__main__":
    main()
