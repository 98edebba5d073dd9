"""The multilayer perceptron: NumPy, Flax and the compiled kernel against a reference in 64-bit loops."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from llvmlite import ir

from pymc_lan.errors import RegistryError
from pymc_lan.networks.flax import FlaxMLP, from_flax, to_flax
from pymc_lan.networks.kernel.layout import TILE
from pymc_lan.networks.kernel.llvm import compile_module, load_objects
from pymc_lan.networks.kernel.network import build_network
from pymc_lan.networks.mlp import ACTIVATIONS, MLP

# Float32 has 24 bits; a sum of a few dozen terms of order one loses a handful of them.
ROUNDING = 2e-6

Evaluation = tuple[np.ndarray, np.ndarray]


def make_mlp(sizes: tuple[int, ...], activation: str = "squareplus", seed: int = 0) -> MLP:
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(sizes))
    kernels = tuple(rng.normal(0, 1 / math.sqrt(n), (n, m)).astype(np.float32) for n, m in pairs)
    return MLP(kernels, tuple(rng.normal(0, 0.5, m).astype(np.float32) for _, m in pairs), activation)


# The oracle: one trial at a time, in Python floats, written from the definitions and from nothing else.


def squareplus(x: float) -> float:
    return 0.5 * (x + math.sqrt(x * x + 1))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


ORACLES: dict[str, Callable[[float], float]] = {
    "squareplus": squareplus,
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": sigmoid,
}


def reference(mlp: MLP, x: list[float]) -> float:
    act = ORACLES[mlp.activation]
    for layer, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        sums = [
            float(bias[j]) + sum(float(kernel[i, j]) * x[i] for i in range(kernel.shape[0]))
            for j in range(kernel.shape[1])
        ]
        x = sums if layer == len(mlp.kernels) - 1 else [act(s) for s in sums]
    return x[0]


def reference_partials(mlp: MLP, x: list[float], step: float = 1e-5) -> list[float]:
    def moved(i: int, by: float) -> float:
        return reference(mlp, [value + by * (j == i) for j, value in enumerate(x)])

    return [(moved(i, step) - moved(i, -step)) / (2 * step) for i in range(len(x))]


# The evaluators under test: (mlp, x of shape (n_inputs, n)) to value (n,) and partials (n_inputs, n).


def with_numpy(mlp: MLP, x: np.ndarray) -> Evaluation:
    return mlp.value_and_partials(x)


def with_flax(mlp: MLP, x: np.ndarray) -> Evaluation:
    module = to_flax(mlp)
    value, partials = jax.vmap(jax.value_and_grad(module))(jnp.asarray(x.T, jnp.float32))
    return np.asarray(value), np.asarray(partials).T


def with_kernel(mlp: MLP, x: np.ndarray, *, back: bool = True) -> Evaluation:
    module = ir.Module()
    build_network(module, "network", mlp, back=back)
    module.globals["network"].linkage = ""
    engine = load_objects(compile_module(module))
    n_inputs, n = x.shape
    tile, out = np.zeros((n_inputs, TILE), np.float32), np.empty((1 + n_inputs, TILE), np.float32)
    tile[:, :n] = x
    memory = np.empty((3 * sum(mlp.sizes[1:-1]), TILE), np.float32)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(engine.get_function_address("network"))
    function(*(array.ctypes.data for array in (tile, out, memory)))
    return out[0, :n], out[1:, :n]


EVALUATORS = {"numpy": with_numpy, "flax": with_flax, "kernel": with_kernel}
# One hidden layer, two, three; one input; one weight.
SIZES = [(4, 16, 16, 1), (6, 24, 24, 1), (1, 5, 1), (3, 7, 2, 9, 1), (1, 1, 1)]


@pytest.mark.parametrize("evaluate", EVALUATORS.values(), ids=EVALUATORS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_and_partials_agree_with_the_definition(
    sizes: tuple[int, ...], activation: str, evaluate: Callable[[MLP, np.ndarray], Evaluation]
) -> None:
    mlp = make_mlp(sizes, activation)
    x = np.random.default_rng(1).normal(0, 1.5, (sizes[0], 20)).astype(np.float32)
    value, partials = evaluate(mlp, x)
    columns = x.T.astype(float).tolist()
    np.testing.assert_allclose(value, [reference(mlp, c) for c in columns], atol=ROUNDING)
    np.testing.assert_allclose(partials.T, [reference_partials(mlp, c) for c in columns], atol=ROUNDING)
    assert value.dtype == partials.dtype == np.float32


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_value_alone_is_the_value(activation: str) -> None:
    mlp = make_mlp((3, 7, 9, 1), activation)
    x = np.random.default_rng(2).normal(0, 1.5, (3, 20)).astype(np.float32)
    np.testing.assert_allclose(with_kernel(mlp, x, back=False)[0], with_kernel(mlp, x)[0], atol=ROUNDING)


def test_oracles_cover_every_activation() -> None:
    assert ORACLES.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_stay_finite_far_out(activation: str) -> None:
    x = np.array([-1e18, -50.0, 0.0, 50.0, 1e18], np.float32)
    value = ACTIVATIONS[activation].value(np, x)
    slope = ACTIVATIONS[activation].slope(np, x, value)
    assert np.isfinite(value).all()
    assert ((slope >= 0) & (slope <= 1)).all()


def test_calling_broadcasts_its_inputs() -> None:
    mlp = make_mlp((2, 8, 1))
    out = mlp((np.zeros((3, 1)), np.linspace(-1, 1, 4)))
    assert out.shape == (3, 4)
    assert out.dtype == np.float64
    np.testing.assert_allclose(out[2], [reference(mlp, [0.0, x]) for x in np.linspace(-1, 1, 4)], atol=ROUNDING)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_flax_round_trip_keeps_every_bit(activation: str) -> None:
    mlp = make_mlp((4, 16, 16, 1), activation)
    back = from_flax(to_flax(mlp))
    assert back == mlp
    assert back.activation == activation
    for before, after in zip((*mlp.kernels, *mlp.biases), (*back.kernels, *back.biases), strict=True):
        np.testing.assert_array_equal(before, after)


def test_flax_modules_begin_from_their_seed() -> None:
    from flax import nnx

    first, same, other = (from_flax(FlaxMLP((4, 8, 1), "tanh", rngs=nnx.Rngs(seed))) for seed in (0, 0, 1))
    assert first == same
    assert first != other


def test_tensors_round_trip() -> None:
    mlp = make_mlp((4, 16, 16, 1))
    tensors = mlp.tensors("lan")
    assert list(tensors)[:2] == ["lan/layers/0/kernel", "lan/layers/0/bias"]
    assert MLP.from_tensors(tensors, "lan", [4, 16, 16, 1], "squareplus") == mlp


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.pop(name)


def _with(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.update({name: change(tensors[name])})


MISMATCHES = {
    "a missing bias": (_without("lan/layers/1/bias"), "Found no such tensor"),
    "a transposed kernel": (_with("lan/layers/0/kernel", np.transpose), r"Found shape \(8, 4\), float32"),
    "a kernel of 64 bits": (_with("lan/layers/1/kernel", np.float64), r"Found shape \(8, 1\), float64"),
    "a longer bias": (_with("lan/layers/0/bias", lambda b: np.append(b, b[:1])), r"Found shape \(9,\)"),
}


@pytest.mark.parametrize(("damage", "message"), MISMATCHES.values(), ids=MISMATCHES)
def test_tensors_that_disagree_with_the_config_are_refused(
    damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    tensors = make_mlp((4, 8, 1)).tensors("lan")
    damage(tensors)
    with pytest.raises(RegistryError, match=rf"Expected tensor lan/layers/\d/\w+ of shape .*{message}.*Remedy"):
        MLP.from_tensors(tensors, "lan", [4, 8, 1], "squareplus")


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    with pytest.raises(RegistryError, match=r"Unknown activation 'squarplus'.*Did you mean 'squareplus'"):
        make_mlp((2, 3, 1), "squarplus")


def test_equality_is_that_of_weights_and_activation() -> None:
    mlp = make_mlp((4, 8, 1))
    same = make_mlp((4, 8, 1))
    assert mlp == same
    assert hash(mlp) == hash(same)
    nudged = mlp.biases[0].copy()
    nudged[3] = np.nextafter(nudged[3], np.float32(9))
    assert replace(mlp, biases=(nudged, mlp.biases[1])) != mlp
    assert replace(mlp, activation="tanh") != mlp
    assert mlp != "an MLP"


def test_sizes_and_flop() -> None:
    mlp = make_mlp((4, 16, 16, 1))
    assert mlp.sizes == (4, 16, 16, 1)
    # Two operations for each of the 4 * 16 + 16 * 16 + 16 weights.
    assert mlp.flop == 672
