"""A network of any form as a list of operations on arrays, which NumPy, JAX and PyTensor run.

That is what a module of Flax becomes which is no plain multilayer perceptron: residual layers, gates, norms, features
of one's own. Evaluating it needs no JAX, so it works in every backend and in forked workers, and it is stored as what
it is: names of operations and weights. Every value has the trials in front and its own axis last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import RegistryError, explain
from pymc_lan.networks.config import WIDEST
from pymc_lan.networks.mlp import MLP
from pymc_lan.numerics.passage import NUMPY, Namespace

Float32 = NDArray[np.float32]
# Its name, the places of its operands, and whole numbers that belong to it.
Step = tuple[str, tuple[int, ...], tuple[int, ...]]

# Steps of a program at most.
MOST_STEPS = 10_000
REMEDY = "write the version anew"


def _equal(x: Any, y: Any) -> Any:
    # PyTensor's variables know no ``==``.
    return (x >= y) & (x <= y)


def _sign(xp: Namespace, x: Any) -> Any:
    return xp.where(x > 0, 1.0, xp.where(x < 0, -1.0, 0.0 * x))


def _erf(xp: Namespace, x: Any) -> Any:
    if xp is NUMPY:
        from scipy.special import erf  # which adds a filter of warnings when it is loaded

        return erf(x)
    if hasattr(xp, "erf"):  # PyTensor
        return xp.erf(x)
    from jax.scipy.special import erf as erf_of_jax

    return erf_of_jax(x)


ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "add": lambda xp, x, y: x + y,
    "sub": lambda xp, x, y: x - y,
    "mul": lambda xp, x, y: x * y,
    "div": lambda xp, x, y: x / y,
    "max": lambda xp, x, y: xp.maximum(x, y),
    "min": lambda xp, x, y: xp.minimum(x, y),
    "pow": lambda xp, x, y: x**y,
    "neg": lambda xp, x: -x,
    "abs": lambda xp, x: xp.abs(x),
    "sign": _sign,
    "square": lambda xp, x: x * x,
    "exp": lambda xp, x: xp.exp(x),
    "expm1": lambda xp, x: xp.expm1(x),
    "log": lambda xp, x: xp.log(x),
    "log1p": lambda xp, x: xp.log1p(x),
    "sqrt": lambda xp, x: xp.sqrt(x),
    "rsqrt": lambda xp, x: 1 / xp.sqrt(x),
    "tanh": lambda xp, x: xp.tanh(x),
    "logistic": lambda xp, x: (1 + xp.tanh(x / 2)) / 2,
    "sin": lambda xp, x: xp.sin(x),
    "cos": lambda xp, x: xp.cos(x),
    "erf": _erf,
    "erfc": lambda xp, x: 1 - _erf(xp, x),
    "gt": lambda xp, x, y: x > y,
    "lt": lambda xp, x, y: x < y,
    "ge": lambda xp, x, y: x >= y,
    "le": lambda xp, x, y: x <= y,
    "eq": lambda xp, x, y: _equal(x, y),
    "ne": lambda xp, x, y: ~_equal(x, y),
    "and": lambda xp, x, y: x & y,
    "or": lambda xp, x, y: x | y,
    "not": lambda xp, x: ~x,
    "as_number": lambda xp, x: xp.where(x, 1.0, 0.0),
    "select_n": lambda xp, which, x, y: xp.where(which, y, x),
}
"""Operations number by number, of values that are equally wide or of width 1, by the name that JAX has for them."""

CONSTANT, MATMUL, SLICE, CONCATENATE, INTEGER_POW = "constant", "matmul", "slice", "concatenate", "integer_pow"


@dataclass(frozen=True, eq=False)
class Program:
    """A network of one output as a list of operations; two are equal when these and the weights are.

    Parameters
    ----------
    n_inputs : int
    steps : tuple of Step
        The value of each has the place after that of the one before; the inputs have place 0.
    arrays : tuple of ndarray of float32
        Weights: matrices, and rows of numbers.

    Raises
    ------
    RegistryError
        If the steps are no program, or more than could be run.
    """

    n_inputs: int
    steps: tuple[Step, ...]
    arrays: tuple[Float32, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.steps) > MOST_STEPS or self.widths[-1] != 1:
            found = f"{len(self.steps)} steps and an output {self.widths[-1]} wide"
            raise RegistryError(explain(f"a program of at most {MOST_STEPS:,} steps and one output", found, REMEDY))
        digest = sha256(repr((self.n_inputs, self.steps)).encode())
        for array in self.arrays:
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        object.__setattr__(self, "digest", digest.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Program({self.n_inputs} inputs, {len(self.steps)} steps, {self.digest[:8]})"

    @cached_property
    def widths(self) -> list[int]:
        """How wide each value is; a RegistryError of steps that do not go together."""
        widths = [self.n_inputs]
        for number, step in enumerate(self.steps):
            try:
                widths.append(self._width(step, widths))
            except (ValueError, IndexError, TypeError, KeyError) as error:
                expected = f"steps of a program, each an operation on what comes before it, in step {number}"
                raise RegistryError(explain(expected, f"{step!r:.200} ({error})", REMEDY)) from error
        return widths

    def _width(self, step: Step, widths: Sequence[int]) -> int:
        name, places, options = step
        if any(not 0 <= place < len(widths) for place in places):
            raise ValueError("operands that come later")
        of = [widths[place] for place in places]
        match name:
            case "constant":
                (array,) = (self.arrays[k] for k in options if k >= 0)
                width = array.size if array.ndim == 1 and not places else 0
            case "matmul":
                (array,), (n,) = (self.arrays[k] for k in options if k >= 0), of
                width = array.shape[1] if array.ndim == 2 and len(array) == n else 0
            case "slice":
                (first, last), (n,) = options, of
                width = last - first if 0 <= first < last <= n else 0
            case "concatenate":
                width = sum(of) if not options else 0
            case "integer_pow":
                (_,), (width,) = options, of
            case _:
                # All but the namespace.
                taken = ELEMENTWISE[name].__code__.co_argcount - 1
                width = max(of) if len(of) == taken and not options and {*of} <= {1, max(of)} else 0
        if not 0 < width <= WIDEST:
            raise ValueError("shapes that do not go together")
        return width

    @property
    def flop(self) -> int:
        """Floating-point operations of one forward pass: two for every weight of a matrix."""
        return sum(2 * self.arrays[options[0]].size for name, _, options in self.steps if name == MATMUL)

    def values(self, xp: Namespace, x: Any, first: int = 0) -> dict[int, Any]:
        """Every value by its place, from inputs of shape (..., n_inputs), or from the value of another place on.

        Values that do not follow from that one are left out.
        """
        found = {first: x}
        for place, (name, places, options) in enumerate(self.steps, 1):
            if place in found or not all(each in found for each in places):
                continue
            given = [found[each] for each in places]
            match name:
                case "constant":
                    found[place] = self.arrays[options[0]].astype(_float(x))
                case "matmul":
                    found[place] = given[0] @ self.arrays[options[0]].astype(_float(x))
                case "slice":
                    found[place] = given[0][..., options[0] : options[1]]
                case "concatenate":
                    found[place] = xp.concatenate(given, axis=-1)
                case "integer_pow":
                    found[place] = given[0] ** options[0]
                case _:
                    found[place] = ELEMENTWISE[name](xp, *given)
        return found

    def outputs(self, xp: Namespace, inputs: Sequence[Any]) -> list[Any]:
        """Evaluate the network on inputs that broadcast, in the precision of these; a list of the one output."""
        return self.of_rows(xp, xp.stack(xp.broadcast_arrays(*inputs), axis=-1))

    def of_rows(self, xp: Namespace, x: Any) -> list[Any]:
        """From inputs in one array, shape (..., n_inputs)."""
        return [self.values(xp, x)[len(self.steps)][..., 0]]

    def __call__(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Evaluate the network on a tuple of inputs that broadcast, in NumPy."""
        # As of floating point elsewhere, what overflows is infinite.
        with np.errstate(all="ignore"):
            return np.asarray(self.outputs(NUMPY, [np.asarray(x, np.float64) for x in inputs])[0])

    def tensors(self, prefix: str) -> dict[str, Float32]:
        """The weights by path, as the weights file stores them."""
        return {f"{prefix}/program/{k}": array for k, array in enumerate(self.arrays)}

    def stored(self) -> dict[str, Any]:
        """What a config says of it beside its weights."""
        steps = [[name, [*places], [*options]] for name, places, options in self.steps]
        return {"inputs": self.n_inputs, "program": steps, "flop": self.flop}

    @classmethod
    def from_stored(cls, entry: Mapping[str, Any], tensors: Mapping[str, Float32], prefix: str) -> Program:
        """Rebuild a network from its entry in a config and its weights by path.

        Raises
        ------
        RegistryError
            If it is no program.
        """
        steps = tuple((str(name), (*places,), (*options,)) for name, places, options in entry["program"])
        arrays: list[Float32] = []
        while (array := tensors.get(f"{prefix}/program/{len(arrays)}")) is not None:
            if array.dtype != np.float32 or not np.isfinite(array).all():
                found = f"{array.dtype}, {np.sum(~np.isfinite(array))} not finite"
                raise RegistryError(explain(f"finite float32 numbers in {prefix}/program/{len(arrays)}", found, REMEDY))
            arrays.append(array)
        return cls(entry["inputs"], steps, tuple(arrays))

    def then(self, tail: Sequence[tuple[str, tuple[int | float, ...]]]) -> Program:
        """The network followed by operations number by number.

        Parameters
        ----------
        tail : sequence
            Names and operands: whole numbers for what there is already, 0 being the output of the network and k that of
            the k-th operation, and others for themselves.
        """
        steps, arrays, there = [*self.steps], [*self.arrays], [len(self.steps)]
        for name, operands in tail:
            places = []
            for each in operands:
                if isinstance(each, int):
                    places.append(there[each])
                    continue
                arrays.append(np.array([each], np.float32))
                steps.append((CONSTANT, (), (len(arrays) - 1,)))
                places.append(len(steps))
            steps.append((name, tuple(places), ()))
            there.append(len(steps))
        return Program(self.n_inputs, tuple(steps), tuple(arrays))


AnyNetwork = MLP | Program
"""What a network may be: a plain multilayer perceptron, or any other form."""


def _float(x: Any) -> str:
    return "float64" if str(x.dtype) == "float64" else "float32"
