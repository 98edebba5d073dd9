"""From an ONNX file to a multilayer perceptron: plain chains of affine layers and activations, and nothing else.

The graph is not run but read: each node has to take what the node before it gave. So whatever is not understood is
refused, and no other file is looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.reading import read_file
from pymc_lan.errors import RegistryError, explain
from pymc_lan.networks.config import MOST_LAYERS, WIDEST
from pymc_lan.networks.mlp import MLP

# Activations between layers, as ONNX calls them and as we do.
ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid"}
# What may follow the last layer: the ways in which exporters write a log-sigmoid.
LOG_SIGMOID = {("Neg", "Exp", "Add 1", "Log", "Neg"), ("Sigmoid", "Log"), ("Neg", "Softplus", "Neg")}
ELEMENTWISE = {"Tanh", "Relu", "Sigmoid", "Neg", "Exp", "Log", "Softplus"}
# The attributes that are understood, by operator; other operators have none.
ATTRIBUTES = {"Gemm": {"alpha", "beta", "transA", "transB"}, "Transpose": {"perm"}, "Constant": {"value"}}
PLAIN_GRAPH = "a plain multilayer perceptron of Gemm, MatMul, Add and Tanh, Relu or Sigmoid"
REMEDY = "export the network anew in that form; others cannot be imported"

Float = NDArray[np.floating[Any]]


def require_onnx() -> Any:
    """The package onnx; an ImportError that names the extra where it is missing."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            explain("the package onnx, which reads and writes ONNX files", "none", "pip install 'pymc-lan[onnx]'")
        ) from error
    return onnx


@dataclass(slots=True)
class _Chain:
    """What has been read so far: affine layers, and the functions after each of them."""

    name: str
    current: str
    kernels: list[Float] = field(default_factory=list)
    biases: list[Float] = field(default_factory=list)
    functions: list[tuple[str, ...]] = field(default_factory=list)

    def refuse(self, found: str) -> RegistryError:
        return RegistryError(explain(f"{PLAIN_GRAPH} in {self.name}", found, REMEDY))

    def affine(self, kernel: Float, bias: Float) -> None:
        width = self.kernels[-1].shape[1] if self.kernels else kernel.shape[0] if kernel.ndim == 2 else -1
        if kernel.ndim != 2 or kernel.shape[0] != width:
            raise self.refuse(f"a layer of {width} inputs with weights of shape {kernel.shape}")
        if not (kernel.size and max(kernel.shape) <= WIDEST and len(self.kernels) < MOST_LAYERS):
            found = f"weights of shape {kernel.shape} after {len(self.kernels)} layers"
            raise self.refuse(f"{found}, where {MOST_LAYERS} layers of at most {WIDEST:,} units each will do")
        self.kernels.append(kernel)
        self.biases.append(np.zeros(kernel.shape[1], kernel.dtype))
        self.functions.append(())
        self.shift(bias)

    def shift(self, bias: Float) -> None:
        """Add to the last layer, or the number one to the end of a log-sigmoid."""
        if self.functions and not self.functions[-1]:
            if bias.size not in (1, self.biases[-1].size) or bias.shape[-1:] not in ((), (bias.size,)):
                raise self.refuse(f"a bias of shape {bias.shape} after a layer of {self.biases[-1].size} outputs")
            self.biases[-1] = self.biases[-1] + bias.ravel()
        elif bias.size == 1 and bias.item() == 1.0:
            self.apply("Add 1")
        else:
            raise self.refuse(f"an Add of shape {bias.shape} that follows no layer")

    def apply(self, function: str) -> None:
        if not self.functions:
            raise self.refuse(f"{function} of the inputs")
        self.functions[-1] = (*self.functions[-1], function)


def read_onnx(path: str | os.PathLike[str]) -> tuple[MLP, bool]:
    """Read a multilayer perceptron.

    Parameters
    ----------
    path : path

    Returns
    -------
    mlp : MLP
        In float32. Of a network that ends in a log-sigmoid, what that is applied to.
    log_sigmoid : bool
        Whether it does.

    Raises
    ------
    RegistryError
        If the file is not a readable ONNX file, or its graph anything but such a network.
    ImportError
        Without the package onnx.
    """
    onnx = require_onnx()
    from google.protobuf.message import DecodeError

    content = read_file(Path(path), "check the path")
    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise RegistryError(explain(f"an ONNX file {path}", f"{error}", "fetch the file anew")) from error
    if model.functions:
        raise RegistryError(explain(f"{PLAIN_GRAPH} in {path}", "functions of its own", REMEDY))
    try:
        # What overflows is not finite, and is refused in the end.
        with np.errstate(all="ignore"):
            return _read_graph(onnx, model.graph, str(path))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, MemoryError) as error:
        found = f"a damaged graph ({type(error).__name__}: {error})"
        raise RegistryError(explain(f"{PLAIN_GRAPH} in {path}", found, "fetch the file anew")) from error


def _read_graph(onnx: Any, graph: Any, name: str) -> tuple[MLP, bool]:
    constants = {tensor.name: _array(onnx, tensor, name) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        found = f"{len(inputs)} inputs and {len(graph.output)} outputs"
        raise RegistryError(explain(f"a graph of one input and one output in {name}", found, REMEDY))
    chain, rank = _Chain(name, inputs[0].name), len(inputs[0].type.tensor_type.shape.dim)
    for node in graph.node:
        if taken := [each for each in node.output if each in constants or each == chain.current]:
            raise chain.refuse(f"two values called {taken[0]!r}")
        _read_node(onnx, chain, node, constants, rank)
    if chain.current != graph.output[0].name:
        raise chain.refuse(f"the output {graph.output[0].name!r}, which is not what the last node gives")
    return _as_mlp(chain)


def _array(onnx: Any, tensor: Any, name: str) -> Float:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        expected = f"every weight inside {name}"
        raise RegistryError(explain(expected, f"{tensor.name!r} in another file", "save it as a single file"))
    array: Float = onnx.numpy_helper.to_array(tensor)
    return array


def _read_node(onnx: Any, chain: _Chain, node: Any, constants: dict[str, Float], rank: int) -> None:
    """Take a node's constants or, if it continues the chain, its operation."""
    op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if foreign := sorted(attributes.keys() - ATTRIBUTES.get(op, set())):
        raise chain.refuse(f"the operator {op} with the attribute {foreign[0]!r}")
    if len(node.output) != 1:
        raise chain.refuse(f"the operator {op} with {len(node.output)} outputs")
    if op == "Constant" and isinstance(attributes.get("value"), onnx.TensorProto):
        constants[node.output[0]] = _array(onnx, attributes["value"], chain.name)
        return
    if op in ("Transpose", "Identity") and len(node.input) == 1 and node.input[0] in constants:
        constant = constants[node.input[0]]
        constants[node.output[0]] = constant if op == "Identity" else constant.transpose(attributes.get("perm"))
        return
    if (times := [*node.input].count(chain.current)) != 1:
        found = "does not take what comes before it" if not times else f"takes what comes before it {times} times"
        raise chain.refuse(f"the operator {op}, which {found}")
    others = [name for name in node.input if name not in (chain.current, "")]
    if missing := [name for name in others if name not in constants]:
        raise chain.refuse(f"the operator {op} with the input {missing[0]!r}, which is not constant")
    given = [constants[name] for name in others]
    first = node.input[0] == chain.current
    if op == "Gemm" and first and not attributes.get("transA", 0) and len(given) in (1, 2) and node.input[1]:
        kernel = given[0].T if attributes.get("transB", 0) else given[0]
        bias = given[1] if len(given) > 1 else np.zeros(1, kernel.dtype)
        chain.affine(attributes.get("alpha", 1.0) * kernel, attributes.get("beta", 1.0) * bias)
    elif op == "MatMul" and len(given) == 1 and (first or rank == 1):
        # A vector may be multiplied from either side.
        chain.affine(given[0] if first else given[0].T, np.zeros(1, given[0].dtype))
    elif op == "Add" and len(given) == 1:
        chain.shift(given[0])
    elif op in ELEMENTWISE and not given:
        chain.apply(op)
    elif op != "Identity" or given:
        raise chain.refuse(f"the operator {op}")
    chain.current = node.output[0]


def _as_mlp(chain: _Chain) -> tuple[MLP, bool]:
    if not chain.kernels:
        raise chain.refuse("no layer")
    if chain.kernels[-1].shape[1] != 1:
        raise chain.refuse(f"{chain.kernels[-1].shape[1]} outputs")
    *between, end = chain.functions
    if (end and end not in LOG_SIGMOID) or any(len(each) != 1 for each in between) or len({*between}) > 1:
        found = "; ".join(", ".join(each) or "nothing" for each in chain.functions)
        raise chain.refuse(f"these functions after the layers: {found} (one activation, nothing or a log-sigmoid last)")
    if between and between[0][0] not in ACTIVATIONS:
        raise chain.refuse(f"the activation {between[0][0]}")
    given = [*chain.kernels, *chain.biases]
    kernels, biases = (tuple(np.ascontiguousarray(x, np.float32) for x in xs) for xs in (chain.kernels, chain.biases))
    # Beyond single precision a number becomes infinite.
    if any(x.dtype not in (np.float32, np.float64) for x in given) or not all(
        np.isfinite(x).all() for x in (*kernels, *biases)
    ):
        found = "weights that are not finite numbers in single or double precision, or beyond single"
        raise chain.refuse(f"{found} ({given[0].dtype})")
    activation = ACTIVATIONS[between[0][0]] if between else "tanh"
    return MLP(kernels, biases, activation), bool(end)
