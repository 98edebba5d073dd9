"""A network as code: a tile of trials forward, and back to the derivatives by its inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir

from pymc_lan.networks.kernel.layout import TILE
from pymc_lan.networks.kernel.llvm import F32, I64, PTR, Code, constant
from pymc_lan.networks.mlp import MLP

# What the network computes on.
WIDE = ir.VectorType(F32, TILE)


def _squareplus(code: Code, x: Any) -> tuple[Any, Any]:
    one, half = (code.splat(F32(c), WIDE) for c in (1.0, 0.5))
    root = code.call(f"llvm.sqrt.v{TILE}f32", code.multiply_add(x, x, one), result=WIDE)
    y = code.ir.fmul(code.ir.fadd(x, root), half)
    return y, code.ir.fdiv(y, root)


def _tanh(code: Code, x: Any) -> tuple[Any, Any]:
    # The address as a plain one, of which numbers are read as well as vectors.
    value = code.ir.inttoptr(code.ir.ptrtoint(code.variable(x), I64), PTR)
    with code.loop(TILE) as i:
        one = code.at(value, i, F32)
        code.store(code.call("tanhf", code.load(F32, one), result=F32), one)
    y = code.load(WIDE, value)
    return y, code.ir.fsub(code.splat(F32(1.0), WIDE), code.ir.fmul(y, y))


def _relu(code: Code, x: Any) -> tuple[Any, Any]:
    zero, one = (code.splat(F32(c), WIDE) for c in (0.0, 1.0))
    positive = code.ir.fcmp_ordered(">", x, zero)
    return code.ir.select(positive, x, zero), code.ir.select(positive, one, zero)


def _sigmoid(code: Code, x: Any) -> tuple[Any, Any]:
    """``(1 + tanh(x / 2)) / 2``, and a quarter of the slope of that tanh."""
    half = code.splat(F32(0.5), WIDE)
    y, slope = _tanh(code, code.ir.fmul(x, half))
    return code.multiply_add(y, half, half), code.ir.fmul(slope, code.splat(F32(0.25), WIDE))


# Builders of an activation: its value and its slope. What is not used of these is not computed.
ACTIVATION_CODE: dict[str, Callable[[Code, Any], tuple[Any, Any]]] = {
    "squareplus": _squareplus,
    "tanh": _tanh,
    "relu": _relu,
    "sigmoid": _sigmoid,
}


def _affine(code: Code, weights: Any, bias: Any, x: Any, finish: Callable[[Any, Any], None]) -> None:
    """Hand ``bias[j] + sum_i weights[j, i] x[i]`` of a tile to ``finish(j, sum)``."""
    n_out, n_in = weights.shape
    weights, bias = constant(code.module, weights), constant(code.module, bias)
    with code.loop(n_out) as j:
        total = code.variable(code.splat(code.load(F32, code.at(bias, j, F32)), WIDE))
        row = code.at(weights, code.ir.mul(j, I64(n_in)), F32)
        with code.loop(n_in) as i:
            weight = code.splat(code.load(F32, code.at(row, i, F32)), WIDE)
            value = code.load(WIDE, code.at(x, i, WIDE))
            code.ir.store(code.multiply_add(weight, value, code.ir.load(total, typ=WIDE)), total)
        finish(j, code.ir.load(total, typ=WIDE))


def build_network(module: ir.Module, name: str, mlp: MLP, *, back: bool) -> None:
    """Build ``(x, out, memory)``: a tile's inputs to the network's output and, on the way `back`, its derivatives.

    `memory` holds three rows for each hidden unit: its activation, slope and derivative.
    """
    code, sizes, top = Code(module, name, [PTR] * 3), mlp.sizes, len(mlp.kernels) - 1
    x, out, memory = code.arguments
    hidden = sum(sizes[1:-1])
    starts = [sum(sizes[1:layer]) for layer in range(1, top + 1)]
    acts, slopes, backs = ([code.at(memory, k * hidden + start, WIDE) for start in starts] for k in range(3))
    derivatives = code.at(out, 1, WIDE)
    acts, slopes, backs = [x, *acts], [None, *slopes], [derivatives, *backs]
    activate = ACTIVATION_CODE[mlp.activation]

    def finish_forward(layer: int, j: Any, total: Any) -> None:
        if layer == top:
            code.store(total, out)
        else:
            value, slope = activate(code, total)
            code.store(value, code.at(acts[layer + 1], j, WIDE))
            if back:
                code.store(slope, code.at(slopes[layer + 1], j, WIDE))

    def finish_back(layer: int, j: Any, total: Any) -> None:
        if layer:
            total = code.ir.fmul(total, code.load(WIDE, code.at(slopes[layer], j, WIDE)))
        code.store(total, code.at(backs[layer], j, WIDE))

    for layer, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        _affine(code, kernel.T, bias, acts[layer], partial(finish_forward, layer))
    # The last layer's way back is its weights: a product with nothing, and they as the bias.
    for layer in reversed(range(top + 1)) if back else ():
        kernel = mlp.kernels[layer]
        if layer == top:
            _affine(code, kernel[:, :0], kernel[:, 0], x, partial(finish_back, layer))
        else:
            _affine(code, kernel, np.zeros(len(kernel)), backs[layer + 1], partial(finish_back, layer))
    code.ir.ret_void()
