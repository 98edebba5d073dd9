"""Time log density and gradient through `pl.jax_function` against PyTensor's own graph and against plain JAX.

    python benchmarks/jax_function.py [--rounds 30] [--json FILE]

Two densities, each written three times or twice: a logistic regression, and the residuals of a recurrence, whose
gradient needs its values. In JAX mode all are one compiled programme, and are called in turns within each round. What
a call costs beyond the computation is measured with a density that computes next to nothing, in every mode.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytensor
import pytensor.tensor as pt
from _common import Json, argument_parser, print_table, report

import pymc_lan as pl

RNG = np.random.default_rng(1)
DESIGN = RNG.normal(size=(5_000, 20))
ANSWERS = (RNG.uniform(size=5_000) < 0.5).astype(float)
SERIES = RNG.normal(size=2_000)

# Times that of plain JAX, and of the same function in PyTensor; microseconds that a call may add.
RATIO, OVERHEAD = 1.2, 100.0


def regression(xp: Any, theta: Any) -> Any:
    """Log density of a logistic regression, in the functions that JAX and PyTensor have in common."""
    z = xp.dot(DESIGN, theta)
    return xp.sum(ANSWERS * z - xp.log1p(xp.exp(z))) - 0.5 * xp.sum(theta**2)


def recurrence(theta: Any) -> Any:
    """A forecast of a series, by a filter."""

    def step(level: Any, seen: Any) -> tuple[Any, Any]:
        return level + jax.nn.sigmoid(theta[0]) * (seen - level) * jnp.cos(theta[1] * level), level

    return jax.lax.scan(step, theta[2], jnp.asarray(SERIES))[1]


def residuals(xp: Any, forecast: Any, theta: Any) -> Any:
    """Log density of the series around a forecast."""
    return -0.5 * xp.sum(((SERIES - forecast) / xp.exp(theta[3])) ** 2) - SERIES.size * theta[3]


def nothing(theta: Any) -> Any:
    """A density that costs nothing."""
    return -0.5 * jnp.sum(theta**2)


def of_graph(build: Callable[[Any], Any], mode: str = "JAX") -> Callable[..., Any]:
    """Log density and gradient by PyTensor."""
    theta = pt.vector("theta", dtype="float64", shape=(None,))
    value = build(theta)
    function = pytensor.function([theta], [value, pt.grad(value, theta)], mode=mode)
    function.trust_input = True
    return function.vm.jit_fn if mode == "JAX" else function


def of_jax(density: Callable[[Any], Any]) -> Callable[..., Any]:
    """Log density and gradient by JAX alone."""
    return jax.jit(jax.value_and_grad(density))


def in_turns(functions: dict[str, Callable[..., Any]], point: Any, rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of a call of each, by round."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(function(point))
            if number > 1:  # the first rounds compile and warm up
                seconds[name].append((time.perf_counter() - start) / calls)
    return seconds


def compared(rounds: int) -> Json:
    """Ratios, medians of rounds, of what the same function costs otherwise."""
    through = pl.jax_function(lambda theta: regression(jnp, theta))
    filtered = pl.jax_function(recurrence)
    cases = {
        "logistic regression": {
            "pl.jax_function": of_graph(through),
            "PyTensor": of_graph(lambda theta: regression(pt, theta)),
            "plain JAX": of_jax(lambda theta: regression(jnp, theta)),
        },
        "recurrence": {
            "pl.jax_function": of_graph(lambda theta: residuals(pt, filtered(theta), theta)),
            "plain JAX": of_jax(lambda theta: residuals(jnp, recurrence(theta), theta)),
        },
    }
    points = {"logistic regression": np.full(20, 0.1), "recurrence": np.array([0.3, 0.5, 0.1, 0.2])}
    rows: Json = {}
    for case, functions in cases.items():
        seconds = in_turns(functions, points[case], rounds, calls=5)
        first, *others = seconds
        for other in others:
            ratios = [x / y for x, y in zip(seconds[first], seconds[other], strict=True)]
            milli = statistics.median(seconds[first]) * 1e3
            rows[f"{case}, against {other}"] = {"ms": milli, "times": statistics.median(ratios)}
    return rows


def overheads(rounds: int) -> Json:
    """Microseconds that a call costs beyond plain JAX's, by mode."""
    functions = {mode: of_graph(pl.jax_function(nothing), mode) for mode in ("JAX", "NUMBA", "CVM")}
    plain = of_jax(nothing)
    functions["plain JAX"] = lambda theta: [np.asarray(x) for x in plain(theta)]
    seconds = in_turns(functions, np.full(20, 0.1), rounds, calls=300)
    base = seconds.pop("plain JAX")
    return {mode: statistics.median(x - y for x, y in zip(s, base, strict=True)) * 1e6 for mode, s in seconds.items()}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    with jax.enable_x64(True):
        ratios, added = compared(arguments.rounds), overheads(arguments.rounds)
    rows = [(name, x["ms"], x["times"], "met" if x["times"] <= RATIO else "MISSED") for name, x in ratios.items()]
    print_table("log density and gradient, JAX mode", ["what", "ms", "times", f"bar: {RATIO:g}"], rows)
    rows = [(mode, x, "met" if x < OVERHEAD else "MISSED") for mode, x in added.items()]
    print_table("beyond plain JAX, a call", ["mode", "microseconds", f"bar: {OVERHEAD:g}"], rows)
    report({"ratios": ratios, "overheads": added}, arguments.json)


if __name__ == "__main__":
    main()
