"""Networks as they are evaluated: from a data set to draws with their density.

One that is stored by its weights runs on NumPy; any other of BayesFlow's is held as it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

# Of draws that are to be weighed, the share whose latent values are widened, and by how much: a network that is too
# sure of itself misses nothing (Owen & Zhou 2000, Journal of the American Statistical Association 95, 135-143).
WIDENED, BY = 0.2, 1.6
# The softplus that is 1 at 0, as BayesFlow scales its couplings.
SHIFT = float(np.log(np.e - 1.0))


class Network(ABC):
    """From standardised trials and wholes to draws.

    Parameters
    ----------
    df : float
        Degrees of freedom of the latent values' t distribution; infinite for a normal one.
    """

    df: float

    @abstractmethod
    def condition(self, trials: Float, whole: Float) -> Float:
        """What draws depend on, (m,), of one data set: trials (n_trials, k), whole (l,)."""

    @abstractmethod
    def invert(self, z: Float, condition: Float) -> tuple[Float, Float]:
        """Values of latent ones (n, n_values), and the log of by how much they are spread."""

    @abstractmethod
    def latent(self, x: Float, condition: Float) -> Float:
        """Latent values of values (n, n_values): what `invert` makes these of."""

    @property
    def identity(self) -> str:
        """What tells it from others, where its weights are known."""
        return "not stored"

    def middle(self, size: int, condition: Float) -> Float:
        """The values (n_values,) that the middle of the latent ones stands for."""
        found: Float = self.invert(np.zeros((1, size)), condition)[0][0]
        return found

    def draw(
        self, rng: np.random.Generator, n: int, size: int, condition: Float, *, widened: bool
    ) -> tuple[Float, Float]:
        """Draw values, and their log density.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int
        size : int
            Number of values.
        condition : ndarray of shape (m,)
        widened : bool
            Whether some draws' latent values are widened.
        """
        z = rng.standard_normal((n, size))
        if np.isfinite(self.df):
            z *= np.sqrt(self.df / rng.chisquare(self.df, n))[:, None]
        log_q = self.base(z)
        if widened:
            z[rng.random(n) < WIDENED] *= BY
            parts = [np.log1p(-WIDENED) + self.base(z), np.log(WIDENED) + self.base(z / BY) - size * np.log(BY)]
            log_q = np.logaddexp(*parts)
        x, spread = self.invert(z, condition)
        return x, log_q - spread

    def base(self, z: Float) -> Float:
        """Log density of latent values, a spherical t or normal distribution."""
        size, far = z.shape[1], (z**2).sum(axis=1)
        if np.isinf(self.df):
            return np.asarray(-0.5 * far - 0.5 * size * np.log(2 * np.pi))
        norm = math.lgamma((self.df + size) / 2) - math.lgamma(self.df / 2) - size / 2 * np.log(self.df * np.pi)
        return np.asarray(norm - (self.df + size) / 2 * np.log1p(far / self.df))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Stored(Network):
    """A mean over trials of a small network, and a coupling flow; see `pymc_lan.amortized.estimator`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Weights by name: ``trials/0/kernel``, ``flow/2/norm/scale``, ``flow/2/first/0/kernel``.
    df : float
    """

    arrays: Arrays = field(repr=False)
    df: float
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", sum(name.endswith("/order") for name in self.arrays))

    @property
    @override
    def identity(self) -> str:
        return sha256(
            b"".join(np.ascontiguousarray(self.arrays[name]).data for name in sorted(self.arrays))
        ).hexdigest()

    @override
    def condition(self, trials: Float, whole: Float) -> Float:
        i = 0
        x: Any = trials.astype(np.float32)
        while f"trials/{i}/kernel" in self.arrays:
            x, i = silu(self._dense(f"trials/{i}", x)), i + 1
        return np.concatenate([whole.astype(np.float32), x.mean(axis=0)]).astype(np.float64)

    @override
    def invert(self, z: Float, condition: Float) -> tuple[Float, Float]:
        x: Any = z.astype(np.float32)
        spread: Any = np.zeros(len(z), np.float32)
        given = condition.astype(np.float32)
        for i in reversed(range(self.depth)):
            half = x.shape[1] // 2
            first, second = x[:, :half], x[:, half:]
            if half:
                first, more = self._couple(f"flow/{i}/second", second, first, given)
                spread += more
            second, more = self._couple(f"flow/{i}/first", first, second, given)
            spread += more
            x = np.concatenate([first, second], axis=1)[:, np.argsort(self.arrays[f"flow/{i}/order"])]
            scale, bias = (self.arrays[f"flow/{i}/norm/{name}"] for name in ("scale", "bias"))
            x = (x - bias) / scale
            spread -= np.log(np.abs(scale)).sum()
        return x.astype(np.float64), spread.astype(np.float64)

    @override
    def latent(self, x: Float, condition: Float) -> Float:
        z: Any = x.astype(np.float32)
        given = condition.astype(np.float32)
        for i in range(self.depth):
            scale, bias = (self.arrays[f"flow/{i}/norm/{name}"] for name in ("scale", "bias"))
            z = (z * scale + bias)[:, self.arrays[f"flow/{i}/order"]]
            half = z.shape[1] // 2
            first, second = z[:, :half], z[:, half:]
            scale, shift = self._affine(f"flow/{i}/first", first, given)
            second = second * scale + shift
            if half:
                scale, shift = self._affine(f"flow/{i}/second", second, given)
                first = first * scale + shift
            z = np.concatenate([first, second], axis=1)
        return z.astype(np.float64)

    def _couple(self, name: str, known: Any, z: Any, given: Any) -> tuple[Any, Any]:
        """Values from latent ones, of which half are known; and the log of by how much they are spread."""
        scale, shift = self._affine(name, known, given)
        return (z - shift) / scale, -np.log(scale).sum(axis=1)

    def _affine(self, name: str, known: Any, given: Any) -> tuple[Any, Any]:
        """What latent values of one half are stretched and moved by, where the other half is known."""
        # What all draws share is multiplied once.
        kernel, bias = self.arrays[f"{name}/0/kernel"], self.arrays[f"{name}/0/bias"]
        k = known.shape[1]
        x, i = silu(known @ kernel[:k] + (given @ kernel[k:] + bias)), 1
        while f"{name}/{i}/kernel" in self.arrays:
            x, i = silu(self._dense(f"{name}/{i}", x)), i + 1
        scale, shift = np.split(self._dense(f"{name}/out", x), 2, axis=1)
        return np.logaddexp(np.float32(0.0), np.arcsinh(scale) + np.float32(SHIFT)), shift

    def _dense(self, name: str, x: Any) -> Any:
        return x @ self.arrays[f"{name}/kernel"] + self.arrays[f"{name}/bias"]


def silu(x: Any) -> Any:
    """Swish: x times its logistic function."""
    return x * (np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x))
