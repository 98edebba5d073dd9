"""From a network with its baseline and inputs to one ONNX graph of a trial.

JAX traces the formulas, as it does for `pymc_lan.networks.kernel.formulas`, and each primitive becomes a node; the
network's layers stand between its inputs and what its output is added to. Only operators that jaxonnxruntime knows are
used, because that is what HSSM runs a graph with. Numbers are in double precision, as they are in HSSM: rt - t has to
be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.networks.kernel.formulas import network_inputs, value_of_output, walk
from pymc_lan.networks.kernel.layout import PARTS
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.onnx.read import require_onnx

# The newest that jaxonnxruntime 0.3 and onnxruntime of 2022 and later both know.
OPSET, IR_VERSION = 17, 8

# jaxpr primitive to the operator; those of the second table take their operands in the other order.
OPERATORS = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "pow": "Pow", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "erf": "Erf",
    "max": "Max", "min": "Min", "lt": "Less", "le": "LessOrEqual", "eq": "Equal", "and": "And", "or": "Or",
}  # fmt: skip
SWAPPED = {"gt": "Less", "ge": "LessOrEqual"}


class Graph:
    """A graph under construction: each node once, each constant once. All values have shape (..., 1)."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self._names: dict[Any, str] = {}

    def constant(self, value: Any) -> str:
        """What a constant is called."""
        array = np.atleast_1d(np.asarray(value))
        array = array if array.dtype == bool else array.astype(np.float64)
        name = self._names.setdefault((array.tobytes(), array.shape, array.dtype), f"c{len(self._names)}")
        self.constants[name] = array
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What the output of a node is called."""
        key = (operator, inputs, tuple(attributes.items()))
        name = self._names.setdefault(key, f"n{len(self._names)}")
        self.nodes[name] = (operator, inputs, attributes)
        return name

    def trace(self, function: Callable[..., Any], arguments: Sequence[str]) -> list[str]:
        """Record a function of numbers, written with ``jax.numpy``; return what its results are called."""
        with jax.enable_x64(True):
            closed = jax.make_jaxpr(function)(*[0.5] * len(arguments))
        return walk(closed, arguments, self.constant, self._record)

    def _record(self, primitive: str, inputs: Sequence[str], equation: Any) -> str:
        x, zero = inputs[0], self.constant(0.0)
        match primitive:
            case "as_number":
                return self.node("Where", x, self.constant(1.0), zero)
            case "as_truth":
                return self._not(self.node("Equal", x, zero))
            case "trunc":
                below = self.node("Neg", self.node("Ceil", self.node("Neg", x)))
                return self.node("Where", self.node("Less", x, zero), self.node("Ceil", x), below)
        return self._operation(primitive, inputs, equation.params)

    def _operation(self, primitive: str, inputs: Sequence[str], params: Mapping[str, Any]) -> str:
        if primitive in OPERATORS:
            return self.node(OPERATORS[primitive], *inputs)
        if primitive in SWAPPED:
            return self.node(SWAPPED[primitive], *reversed(inputs))
        x, one = inputs[0], self.constant(1.0)
        match primitive:
            case "select_n":
                return self.node("Where", x, inputs[2], inputs[1])
            case "not":
                return self._not(x)
            case "ne":
                return self._not(self.node("Equal", *inputs))
            case "square":
                return self.node("Mul", x, x)
            case "integer_pow":
                return self._power(x, params["y"])
            case "log1p":
                return self.node("Log", self.node("Add", x, one))
            case "expm1":  # with its relative accuracy at 0
                half = self.node("Tanh", self.node("Mul", x, self.constant(0.5)))
                return self.node("Mul", half, self.node("Add", self.node("Exp", x), one))
            case "tan":
                return self.node("Div", self.node("Sin", x), self.node("Cos", x))
            case "erfc":
                return self.node("Sub", one, self.node("Erf", x))
        raise NotImplementedError(
            explain(
                "formulas that ONNX has operators for", f"{primitive!r}", "add it to pymc_lan/networks/onnx/write.py"
            )
        )

    def _not(self, x: str) -> str:
        return self.node("Equal", x, self.constant(False))

    def _power(self, x: str, exponent: int) -> str:
        product = x if exponent else self.constant(1.0)
        for _ in range(abs(exponent) - 1):
            product = self.node("Mul", product, x)
        return product if exponent >= 0 else self.node("Div", self.constant(1.0), product)

    def layers(self, mlp: MLP, inputs: Sequence[str]) -> str:
        """The network of some inputs."""
        h = self.node("Concat", *inputs, axis=-1)
        for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
            if i:
                h = self._activation(mlp.activation, h)
            h = self.node("Add", self.node("MatMul", h, self.constant(kernel)), self.constant(bias))
        return h

    def _activation(self, name: str, x: str) -> str:
        if name != "squareplus":
            return self.node(name.capitalize(), x)
        root = self.node("Sqrt", self.node("Add", self.node("Mul", x, x), self.constant(1.0)))
        return self.node("Mul", self.node("Add", x, root), self.constant(0.5))

    def needed(self, output: str) -> list[str]:
        """The nodes that an output needs, in order."""
        alive, waiting = set[str](), [output]
        while waiting:
            name = waiting.pop()
            if name in self.nodes and name not in alive:
                alive.add(name)
                waiting += self.nodes[name][1]
        return [name for name in self.nodes if name in alive]


def write_graph(spec: Model, mlp: MLP, part: str, about: Mapping[str, str]) -> Any:
    """The log likelihood of one trial as an ONNX model.

    Parameters
    ----------
    spec : Model
    mlp : MLP
        The network of that part.
    part : {"density", "nogo"}
        The log density of rt and response, or the log probability of no press by the deadline.
    about : mapping of str to str
        Metadata.

    Returns
    -------
    onnx.ModelProto
        Its one input is a vector in double precision: the parameters in order, then rt and response, or the deadline.
    """
    onnx = require_onnx()
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    graph, columns = Graph(), (*spec.names, *PARTS[part])
    # By position: a parameter may be called like a node.
    numbered = [f"x{k}" for k in range(len(columns))]
    arguments = [*numbered[len(spec.names) :], *numbered[: len(spec.names)]]
    found = graph.layers(mlp, graph.trace(network_inputs(spec, part), arguments))
    (output,) = graph.trace(value_of_output(spec, part), [*arguments, found])
    names = graph.needed(output)
    used = {x for name in names for x in graph.nodes[name][1]}
    nodes = [helper.make_node("Split", ["trial"], numbered, axis=-1)]
    for name in names:
        operator, inputs, attributes = graph.nodes[name]
        nodes.append(helper.make_node(operator, inputs, ["log_likelihood" if name == output else name], **attributes))
    tensors = [onnx.numpy_helper.from_array(x, name) for name, x in graph.constants.items() if name in used]
    ends = [
        helper.make_tensor_value_info(name, double, [size])
        for name, size in (("trial", len(columns)), ("log_likelihood", 1))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, spec.name, ends[:1], ends[1:], tensors, doc_string=f"trial: {', '.join(columns)}"),
        producer_name="pymc-lan",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return model
