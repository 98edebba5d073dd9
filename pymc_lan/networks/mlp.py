"""A trained multilayer perceptron as plain arrays: the form that is stored, hashed, compared and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import RegistryError, explain, unknown

Float32 = NDArray[np.float32]


def flop(sizes: Sequence[int]) -> int:
    """Floating-point operations of one forward pass through layers of these widths: two for every weight."""
    return 2 * sum(n_in * n_out for n_in, n_out in pairwise(sizes))


def tensor_shapes(sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of networks, by path, from the widths of their layers by name."""
    return {
        f"{prefix}/layers/{i}/{name}": shape
        for prefix, widths in sizes.items()
        for i, pair in enumerate(pairwise(widths))
        for name, shape in (("kernel", pair), ("bias", pair[1:]))
    }


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation with its derivative.

    Parameters
    ----------
    value : callable
        ``(xp, x)`` to the activation.
    slope : callable
        ``(xp, x, y)`` to its derivative, given ``y = value(x)``.
    """

    value: Callable[[Any, Any], Any]
    slope: Callable[[Any, Any, Any], Any]


ACTIVATIONS: dict[str, Activation] = {
    # Barron (2021, arXiv:2112.11687): smooth and free of exponentials, so it vectorises everywhere.
    "squareplus": Activation(lambda xp, x: (x + xp.sqrt(x * x + 1)) / 2, lambda xp, x, y: y / xp.sqrt(x * x + 1)),
    "tanh": Activation(lambda xp, x: xp.tanh(x), lambda xp, x, y: 1 - y * y),
    # Those below are not trained here: networks that others trained have them.
    "relu": Activation(lambda xp, x: xp.maximum(x, 0), lambda xp, x, y: xp.where(x > 0, 1, 0).astype(y.dtype)),
    "sigmoid": Activation(lambda xp, x: (1 + xp.tanh(x / 2)) / 2, lambda xp, x, y: y * (1 - y)),
}
"""Activations by the name that a network's config records."""


@dataclass(frozen=True, eq=False)
class MLP:
    """A multilayer perceptron with linear outputs, in float32: one, or those of a network of responses alone.

    Two networks are equal when their weights and activation are; the hash is that of the weights.

    Parameters
    ----------
    kernels : tuple of ndarray, shapes (n_in, n_out)
    biases : tuple of ndarray, shapes (n_out,)
    activation : str
        A key of `ACTIVATIONS`.
    """

    kernels: tuple[Float32, ...]
    biases: tuple[Float32, ...]
    activation: str = "squareplus"
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise RegistryError(unknown("activation", self.activation, ACTIVATIONS))
        digest = sha256(self.activation.encode())
        for array in (*self.kernels, *self.biases):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        object.__setattr__(self, "digest", digest.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLP) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"MLP({'-'.join(map(str, self.sizes))}, {self.activation}, {self.digest[:8]})"

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, inputs first."""
        return (*(kernel.shape[0] for kernel in self.kernels), self.kernels[-1].shape[1])

    @property
    def flop(self) -> int:
        """Floating-point operations of one forward pass: two for every weight."""
        return flop(self.sizes)

    def value_and_partials(self, x: NDArray[np.floating]) -> tuple[Float32, Float32]:
        """Evaluate the network and its derivative with respect to every input in one pass.

        Parameters
        ----------
        x : ndarray, shape (n_inputs, n)
            One column per trial.

        Returns
        -------
        value : ndarray of float32, shape (n,)
        partials : ndarray of float32, shape (n_inputs, n)
        """
        activation = ACTIVATIONS[self.activation]
        h = np.asarray(x, np.float32)
        slopes = []
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            pre = kernel.T @ h + bias[:, None]
            h = activation.value(np, pre)
            slopes.append(activation.slope(np, pre, h))
        value = (self.kernels[-1].T @ h + self.biases[-1][:, None])[0]
        back = np.broadcast_to(self.kernels[-1], h.shape)
        for kernel, slope in zip(reversed(self.kernels[:-1]), reversed(slopes), strict=True):
            back = kernel @ (back * slope)
        return value, back

    def outputs(self, xp: Any, inputs: tuple[Any, ...]) -> list[Any]:
        """Evaluate every output of the network on inputs that broadcast, in float64, for NumPy or PyTensor."""
        return self.of_rows(xp, xp.stack(xp.broadcast_arrays(*inputs), axis=-1))

    def of_rows(self, xp: Any, x: Any) -> list[Any]:
        """Evaluate every output of the network on its inputs along the last axis, in float64, for NumPy or PyTensor."""
        act = ACTIVATIONS[self.activation].value
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = act(xp, x @ kernel.astype(np.float64) + bias.astype(np.float64))
        x = x @ self.kernels[-1].astype(np.float64) + self.biases[-1].astype(np.float64)
        return [x[..., k] for k in range(self.sizes[-1])]

    def __call__(self, inputs: tuple[Any, ...]) -> NDArray[np.float64]:
        """Evaluate the network on a tuple of inputs that broadcast, one entry per input."""
        broadcast = np.broadcast_arrays(*inputs)
        value, _ = self.value_and_partials(np.stack([x.ravel() for x in broadcast]))
        return value.astype(np.float64).reshape(broadcast[0].shape)

    def tensors(self, prefix: str) -> dict[str, Float32]:
        """The weights by path, as the weights file stores them."""
        return {
            f"{prefix}/layers/{i}/{name}": array
            for i, pair in enumerate(zip(self.kernels, self.biases, strict=True))
            for name, array in zip(("kernel", "bias"), pair, strict=True)
        }

    def stored(self) -> dict[str, Any]:
        """What a config says of it beside its weights."""
        return {"sizes": list(self.sizes), "activation": self.activation}

    @property
    def n_inputs(self) -> int:
        """How many inputs it has."""
        return self.sizes[0]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Float32], prefix: str, sizes: list[int], activation: str) -> MLP:
        """Rebuild a network from its weights by path.

        Parameters
        ----------
        tensors : mapping of str to ndarray
        prefix : str
        sizes : list of int
            Width of every layer, from the config; the weights must agree with it.
        activation : str

        Raises
        ------
        RegistryError
            If a tensor is missing or has another shape or dtype than the config says.
        """
        kernels: list[Float32] = []
        biases: list[Float32] = []
        for i, shape in enumerate(pairwise(sizes)):
            for name, expected, into in (("kernel", shape, kernels), ("bias", shape[1:], biases)):
                path = f"{prefix}/layers/{i}/{name}"
                array = tensors.get(path)
                if array is None or array.shape != expected or array.dtype != np.float32:
                    found = "no such tensor" if array is None else f"shape {array.shape}, {array.dtype}"
                    raise RegistryError(
                        explain(f"tensor {path} of shape {expected}, float32", found, "fetch the version anew")
                    )
                if not np.isfinite(array).all():
                    found = f"{np.sum(~np.isfinite(array))} that are not"
                    raise RegistryError(explain(f"finite numbers in tensor {path}", found, "fetch the version anew"))
                into.append(array)
        return cls(tuple(kernels), tuple(biases), activation)
