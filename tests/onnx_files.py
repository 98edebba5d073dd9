"""Small ONNX files of networks, written in the ways in which exporters do, and the oracle that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import pymc_lan as pl
from pymc_lan.networks.network import Network

Float = NDArray[np.float64]

# The bar: log densities of an imported network and of onnxruntime differ by rounding in single precision.
SAME = {"rtol": 1e-5, "atol": 1e-5}
# Parameters of the DDM.
CONSTANT = {"v": 1.0, "a": 1.2, "z": 0.4, "t": 0.3}


class Layer(NamedTuple):
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def layers(*sizes: int, seed: int = 0) -> list[Layer]:
    rng = np.random.default_rng(seed)
    pairs = pairwise(sizes)
    return [Layer(rng.normal(0, 0.5, (i, j)).astype("f4"), rng.normal(0, 0.5, j).astype("f4")) for i, j in pairs]


def gemm(i: int, layer: Layer, x: str) -> tuple[list[Any], dict[str, Any]]:
    """As PyTorch writes a layer."""
    node = helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"h{i}"], alpha=1.0, beta=1.0, transB=1)
    return [node], {f"w{i}": layer.kernel.T, f"b{i}": layer.bias}


def scaled_gemm(i: int, layer: Layer, x: str) -> tuple[list[Any], dict[str, Any]]:
    node = helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"h{i}"], alpha=0.5, beta=2.0)
    return [node], {f"w{i}": 2 * layer.kernel, f"b{i}": layer.bias / 2}


def matmul_add(i: int, layer: Layer, x: str) -> tuple[list[Any], dict[str, Any]]:
    """As a vector's layer is written, with the weights turned by a node and the bias first."""
    nodes = [
        helper.make_node("Transpose", [f"w{i}"], [f"t{i}"], perm=[1, 0]),
        helper.make_node("MatMul", [x, f"t{i}"], [f"m{i}"]),
        helper.make_node("Add", [f"b{i}", f"m{i}"], [f"h{i}"]),
    ]
    return nodes, {f"w{i}": layer.kernel.T, f"b{i}": layer.bias}


ENDS: dict[str, Sequence[str]] = {
    "": (),
    "neg exp add log neg": ("Neg", "Exp", "Add", "Log", "Neg"),
    "log of sigmoid": ("Sigmoid", "Log"),
    "softplus": ("Neg", "Softplus", "Neg"),
}


def make_file(
    path: Path,
    given: list[Layer],
    *,
    build: Callable[..., Any] = gemm,
    activation: str = "Tanh",
    end: str = "",
    shape: Sequence[int | str] | None = None,
    precision: str = "float32",
    change: Callable[[Any], None] | None = None,
) -> Path:
    """Write a network as exporters do."""
    nodes, weights, x = [], {"one": np.ones((), precision)}, "x"
    for i, layer in enumerate(given):
        if i:
            nodes.append(helper.make_node(activation, [x], [f"a{i}"]))
            x = f"a{i}"
        more, arrays = build(i, layer, x)
        nodes += more
        weights |= arrays
        x = f"h{i}"
    for k, operator in enumerate(ENDS[end]):
        nodes.append(helper.make_node(operator, [x, *(["one"] if operator == "Add" else [])], [f"e{k}"]))
        x = f"e{k}"
    kind = TensorProto.FLOAT if precision == "float32" else TensorProto.DOUBLE
    shape = shape or [1, given[0].kernel.shape[0]]
    ends = [
        helper.make_tensor_value_info("x", kind, shape),
        helper.make_tensor_value_info(x, kind, [*shape[:-1], 1]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(w, precision), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if change is not None:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


def by_onnxruntime(path: Path, rows: Float) -> Float:
    """The oracle: one trial at a time, as HSSM's contract has it."""
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    dtype = np.float32 if given.type == "tensor(float)" else np.float64
    shape = (-1,) if len(given.shape) == 1 else (1, -1)
    return np.array([session.run(None, {given.name: row.astype(dtype).reshape(shape)})[0].item() for row in rows])


def small(tmp_path: Path, **options: Any) -> Network:
    """A DDM network of a small file, with a CPN or an OPN."""
    files = {
        kind: make_file(tmp_path / f"{kind}.onnx", layers(n, 7, 1, seed=n), end="log of sigmoid")
        for kind, n in (("cpn", 4), ("opn", 5))
        if options.pop(kind, False)
    }
    return pl.import_onnx(make_file(tmp_path / "x.onnx", layers(6, 8, 5, 1), **options), "ddm", **files)


def rows_over_bounds(network: Network, n: int = 2000) -> tuple[dict[str, Float], Float, Float]:
    rng = np.random.default_rng(3)
    theta = {p.name: rng.uniform(*p.bounds, n) for p in network.spec.parameters}
    # Single precision is what onnxruntime is given, so both sides see the same numbers.
    theta = {name: x.astype("f4").astype(float).clip(1e-5, None) if name != "v" else x for name, x in theta.items()}
    rt = theta["t"] + rng.gamma(2, 0.5, n)
    return theta, rt, rng.choice(np.asarray(network.spec.choices, float), n)
