"""The numba kernel of an `MLP`: value and derivatives of all trials in one pass, without BLAS and without JAX.

Trials go through in blocks that stay in the first-level cache, and the innermost loop runs over the trials of a
block, so that the compiler turns it into vector instructions. There are no threads, so it is safe in forked workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from pymc_lan.mlp import MLP

# Trials per block: 2 layers of 32 units, value and slope, are 64 kB at 128 trials, and smaller networks
# fit in a 32 kB first-level cache.
BLOCK = 128

# Part of the key under which compiled kernels are cached: raise it with every change to this file.
KERNEL_VERSION = 1

_JIT: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "inline": "never"}


@njit(**_JIT)
def _squareplus(h: Any, slope: Any) -> None:
    one, half = np.float32(1), np.float32(0.5)
    for t in range(BLOCK):
        x = h[t]
        root = math.sqrt(x * x + one)
        y = (x + root) * half
        h[t] = y
        slope[t] = y / root


@njit(**_JIT)
def _tanh(h: Any, slope: Any) -> None:
    one = np.float32(1)
    for t in range(BLOCK):
        y = math.tanh(h[t])
        h[t] = y
        slope[t] = one - y * y


ACTIVATION_KERNELS = {"squareplus": _squareplus, "tanh": _tanh}
"""Activation and slope of one block, in place, by the names of `pymc_lan.mlp.ACTIVATIONS`."""


@njit(**_JIT)
def _affine(weights: Any, bias: Any, x: Any, out: Any) -> None:
    """``out[j] = bias[j] + sum_i weights[j, i] x[i]`` for a block, four inputs at a time to save stores."""
    n_out, n_in = weights.shape
    whole = n_in - n_in % 4
    for j in range(n_out):
        target = out[j]
        target[:] = bias[j]
        for i in range(0, whole, 4):
            w0, w1, w2, w3 = weights[j, i], weights[j, i + 1], weights[j, i + 2], weights[j, i + 3]
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            for t in range(BLOCK):
                target[t] += w0 * x0[t] + w1 * x1[t] + w2 * x2[t] + w3 * x3[t]
        for i in range(whole, n_in):
            w, row = weights[j, i], x[i]
            for t in range(BLOCK):
                target[t] += w * row[t]


def compile_kernel(mlp: MLP) -> Callable[[Any], Any]:
    """Compile the kernel of one network.

    Parameters
    ----------
    mlp : MLP
        Its weights become constants of the compiled function.

    Returns
    -------
    callable
        ``(n_inputs, n) float64`` to ``(value (n,) float64, partials (n_inputs, n) float64)``; to be called
        from numba code.
    """
    # One flat array each way: numba embeds arrays, not lists of them.
    sizes = mlp.sizes
    n_layers, width = len(mlp.kernels), max(sizes)
    n_inputs = sizes[0]
    forward = np.zeros((n_layers, width, width), np.float32)
    backward = np.zeros((n_layers, width, width), np.float32)
    biases = np.zeros((n_layers, width), np.float32)
    for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        forward[i, : sizes[i + 1], : sizes[i]] = kernel.T
        backward[i, : sizes[i], : sizes[i + 1]] = kernel
        biases[i, : sizes[i + 1]] = bias
    widths = np.array(sizes)
    none = np.zeros(width, np.float32)
    activate = ACTIVATION_KERNELS[mlp.activation]
    top = n_layers - 1

    @njit(**_JIT)
    def network(x: Any) -> Any:
        n = x.shape[1]
        value = np.empty(n)
        partials = np.empty((n_inputs, n))
        h = np.zeros((n_layers, width, BLOCK), np.float32)
        slope = np.zeros((n_layers, width, BLOCK), np.float32)
        back = np.zeros((n_layers + 1, width, BLOCK), np.float32)
        back[n_layers, 0] = 1
        for start in range(0, n, BLOCK):
            count = min(BLOCK, n - start)
            for i in range(n_inputs):
                for t in range(count):
                    h[0, i, t] = x[i, start + t]
            for layer in range(top):
                m, k = widths[layer], widths[layer + 1]
                _affine(forward[layer, :k, :m], biases[layer, :k], h[layer], h[layer + 1])
                for j in range(k):
                    activate(h[layer + 1, j], slope[layer + 1, j])
            _affine(forward[top, :1, : widths[top]], biases[top, :1], h[top], back[0])
            for t in range(count):
                value[start + t] = back[0, 0, t]
            for layer in range(top, -1, -1):
                m, k = widths[layer], widths[layer + 1]
                _affine(backward[layer, :m, :k], none[:m], back[layer + 1], back[layer])
                if layer > 0:
                    for i in range(m):
                        for t in range(BLOCK):
                            back[layer, i, t] *= slope[layer, i, t]
            for i in range(n_inputs):
                for t in range(count):
                    partials[i, start + t] = back[0, i, t]
        return value, partials

    return network
