"""The numba kernel of a log likelihood: value and derivatives of all trials in one pass, without JAX and without BLAS.

Trials with a response take the density, trials without (rt = inf) the probability of none. They go through in blocks
that stay in the first-level cache. For each block the closed-form part gives the network's inputs and their derivatives
(`pymc_lan.generated`), the network runs forward and back, and the chain rule joins the two. The network's innermost
loop runs over the trials of a block, so that the compiler turns it into vector instructions. There are no threads, so
it is safe in forked workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]

from pymc_lan.mlp import MLP
from pymc_lan.spec import MODELS

# Trials per block: activations, slopes and derivatives of a network of two layers of 24 fit in 64 kB.
BLOCK = 128

_JIT: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


@njit(cache=True, **_JIT)
def _squareplus(h: Any, slope: Any) -> None:
    one, half = np.float32(1), np.float32(0.5)
    for t in range(BLOCK):
        x = h[t]
        root = math.sqrt(x * x + one)
        y = (x + root) * half
        h[t] = y
        slope[t] = y / root


@njit(cache=True, **_JIT)
def _tanh(h: Any, slope: Any) -> None:
    one = np.float32(1)
    for t in range(BLOCK):
        y = math.tanh(h[t])
        h[t] = y
        slope[t] = one - y * y


# The order is the code by which `run_block` is told.
ACTIVATION_CODES = {"squareplus": 0, "tanh": 1}


@njit(cache=True, **_JIT)
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


@njit(cache=True, **_JIT)
def run_block(forward: Any, backward: Any, biases: Any, widths: Any, code: int, h: Any, slope: Any, back: Any) -> None:
    """Run a network forward from ``h[0]`` to ``back[-1, 0]``, and back to its derivatives ``back[0]``.

    Weights are padded to one shape per layer: forward (layer, out, in), backward (layer, in, out), biases (layer + 1,
    out), the last of them zero for the way back.
    """
    n_layers = len(widths) - 1
    top = n_layers - 1
    for layer in range(top):
        m, k = widths[layer], widths[layer + 1]
        _affine(forward[layer, :k, :m], biases[layer, :k], h[layer], h[layer + 1])
        for j in range(k):
            if code == 0:
                _squareplus(h[layer + 1, j], slope[layer + 1, j])
            else:
                _tanh(h[layer + 1, j], slope[layer + 1, j])
    _affine(forward[top, :1, : widths[top]], biases[top, :1], h[top], back[n_layers])
    for i in range(widths[top]):
        for t in range(BLOCK):
            back[top, i, t] = backward[top, i, 0] * (slope[top, i, t] if top > 0 else np.float32(1))
    for layer in range(top - 1, -1, -1):
        m, k = widths[layer], widths[layer + 1]
        _affine(backward[layer, :m, :k], biases[n_layers, :m], back[layer + 1], back[layer])
        if layer > 0:
            for i in range(m):
                for t in range(BLOCK):
                    back[layer, i, t] *= slope[layer, i, t]


def pack(mlp: MLP) -> tuple[Any, Any, Any, Any, int]:
    """A network's weights as `run_block` takes them."""
    sizes = mlp.sizes
    n_layers, width = len(mlp.kernels), max(sizes)
    forward = np.zeros((n_layers, width, width), np.float32)
    backward = np.zeros((n_layers, width, width), np.float32)
    biases = np.zeros((n_layers + 1, width), np.float32)
    for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        forward[i, : sizes[i + 1], : sizes[i]] = kernel.T
        backward[i, : sizes[i], : sizes[i + 1]] = kernel
        biases[i, : sizes[i + 1]] = bias
    return forward, backward, biases, np.array(sizes), ACTIVATION_CODES[mlp.activation]


def has_kernels(model: str) -> bool:
    """Whether closed-form parts were generated for a model."""
    return find_spec(f"pymc_lan.generated.{model}") is not None


def kernel_key(model: str, *networks: MLP | None) -> str:
    """What a compiled kernel depends on: this file, the generated one, the weights. Short: it becomes a file name."""
    generated = import_module(f"pymc_lan.generated.{model}").__file__
    digest = sha256()
    for file in (__file__, str(generated)):
        digest.update(Path(file).read_bytes())
    for mlp in networks:
        digest.update(mlp.digest.encode() if mlp is not None else b"none")
    return digest.hexdigest()


def _build_part(model: str, kernel: str, mlp: MLP, first: int) -> Callable[..., None]:
    """Build one formula with its network: it fills ``value[rows]`` and ``partials[:, rows]``.

    `first` is the row of `partials` for the argument before the parameters, whose rows start at 2.
    """
    module = import_module(f"pymc_lan.generated.{model}")
    inputs_of, value_of, row_of = (
        njit(**_JIT)(getattr(module, f"{kernel}_{part}")) for part in ("inputs", "value", "row")
    )
    forward, backward, biases, widths, code = pack(mlp)
    n_inputs, n_layers, width = mlp.sizes[0], len(mlp.kernels), max(mlp.sizes)

    # Loops, not slices: an assignment of slices costs a second of compilation.
    @njit(**_JIT)
    def part(rows: Any, n_rows: int, x: Any, value: Any, partials: Any) -> None:
        n_partials = partials.shape[0] - 1
        h = np.zeros((n_layers, width, BLOCK), np.float32)
        slope = np.zeros((n_layers, width, BLOCK), np.float32)
        back = np.zeros((n_layers + 1, width, BLOCK), np.float32)
        inputs = np.zeros((n_inputs * (1 + n_partials), BLOCK))
        found = np.zeros((2 + n_partials, BLOCK))
        for start in range(0, n_rows, BLOCK):
            count = min(BLOCK, n_rows - start)
            for i in range(count):
                inputs_of(inputs, i, *row_of(x, rows[start + i]))
            for k in range(n_inputs):
                for i in range(BLOCK):
                    h[0, k, i] = inputs[k, i]
            run_block(forward, backward, biases, widths, code, h, slope, back)
            for i in range(count):
                value_of(found, i, *row_of(x, rows[start + i]), float(back[n_layers, 0, i]))
                value[rows[start + i]] = found[0, i]
            for q in range(n_partials):
                row = first if q == 0 else q + 1
                for i in range(count):
                    through = 0.0
                    for k in range(n_inputs):
                        through += back[0, k, i] * inputs[n_inputs + k * n_partials + q, i]
                    partials[row, rows[start + i]] = found[2 + q, i] + found[1, i] * through

    return part


@njit(**_JIT)
def _no_network(rows: Any, n_rows: int, x: Any, value: Any, partials: Any) -> None:
    for i in range(n_rows):
        value[rows[i]] = -np.inf


def build_kernel(model: str, lan: MLP, choice: MLP | None) -> Callable[..., None]:
    """Build the log likelihood of a model with its networks, as a Python function that numba can compile.

    Parameters
    ----------
    model : str
        One that `has_kernels`.
    lan : MLP
        Its weights become constants of the compiled function, as do those of `choice`.
    choice : MLP, optional
        Without it, the log likelihood of a trial without response is -inf.

    Returns
    -------
    callable
        ``(n, x, value, partials)``, pointers to float64: `x` is (3 + number of parameters, n), rows rt, response,
        deadline and the parameters; it fills `value` (n,) and `partials` (2 + number of parameters, n), rows rt,
        deadline and the parameters.
    """
    density = _build_part(model, "density", lan, 0)
    nogo = _no_network if choice is None else _build_part(model, "nogo", choice, 1)
    n_rows = 3 + len(MODELS[model].names)

    def log_likelihood(n: int, x_pointer: Any, value_pointer: Any, partials_pointer: Any) -> None:
        x, value = carray(x_pointer, (n_rows, n)), carray(value_pointer, (n,))
        partials = carray(partials_pointer, (n_rows - 1, n))
        pressed, silent = np.empty(n, np.int64), np.empty(n, np.int64)
        # Not two plain zeros: numba would compile the parts for the literal 0 as well.
        counts = np.zeros(2, np.int64)
        for j in range(n):
            for q in range(n_rows - 1):
                partials[q, j] = 0.0
            if x[0, j] < np.inf:
                pressed[counts[0]] = j
                counts[0] += 1
            else:
                silent[counts[1]] = j
                counts[1] += 1
        density(pressed, counts[0], x, value, partials)
        nogo(silent, counts[1], x, value, partials)

    return log_likelihood
