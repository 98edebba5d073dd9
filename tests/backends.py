"""The one helper that compares PyTensor's backends: same graph, same inputs, every mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytensor
from numpy.typing import NDArray
from pytensor.compile.mode import Mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import toposort
from pytensor.tensor.variable import TensorVariable

MODES: dict[str, Any] = {
    "python": "FAST_COMPILE",
    "numba": "NUMBA",
    "c": Mode("cvm", "fast_run"),
    "jax": "JAX",
}

# Python without rewrites: what a graph says, in a tenth of the time that FAST_COMPILE takes to compile it.
AS_WRITTEN = Mode("py", "merge")

# What a formula says, by default, and what each backend makes of it.
EVERY_MODE: dict[str, Any] = {"as written": AS_WRITTEN, **MODES}

Values = Mapping[TensorVariable, NDArray[np.float64]]


def evaluate(outputs: Sequence[TensorVariable], values: Values, mode: str) -> list[NDArray[Any]]:
    """Compile a graph for one backend and evaluate it once."""
    function = pytensor.function(list(values), list(outputs), mode=MODES[mode], on_unused_input="ignore")
    return [np.asarray(result) for result in function(*values.values())]


def perform(variable: Any) -> Any:
    """Run a graph of constants and shared variables node by node, as written: no compilation."""
    values: dict[Any, Any] = {}

    def value(x: Any) -> Any:
        if isinstance(x, Constant):
            return x.data
        return x.get_value() if isinstance(x, SharedVariable) else values[x]

    for node in toposort([variable]):
        storage: list[list[Any]] = [[None] for _ in node.outputs]
        node.op.perform(node, [value(x) for x in node.inputs], storage)
        values |= {x: cell[0] for x, cell in zip(node.outputs, storage, strict=True)}
    return value(variable)


def assert_backends_agree(
    outputs: Sequence[TensorVariable],
    values: Values,
    *,
    expected: Sequence[NDArray[np.float64]] | None = None,
    modes: Sequence[str] = tuple(MODES),
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> None:
    """Assert that every mode returns float64 and the same numbers, those expected where they are given.

    Networks are float32 inside, so a residual of order one carries errors of about 1e-6: hence `atol`, in nats, beside
    the relative tolerance. Without `expected` the first mode is the measure.
    """
    for mode in modes:
        found = evaluate(outputs, values, mode)
        if expected is None:
            expected = found
        for i, (result, target) in enumerate(zip(found, expected, strict=True)):
            assert result.dtype == np.float64, f"output {i} is {result.dtype} in mode {mode}"
            assert result.shape == np.shape(target), f"output {i} has shape {result.shape} in mode {mode}"
            np.testing.assert_allclose(result, target, rtol=rtol, atol=atol, err_msg=f"output {i} in mode {mode}")
