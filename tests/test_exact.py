"""The closed forms against tables, an independent implementation in 40 digits, and the laws they obey."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_choice, ddm_log_correction, ddm_log_go, ddm_logpdf

DATA = Path(__file__).parent / "data"
JAX = jnp
PYTENSOR = pt
EPS = 1e-6
Arrays = list[np.ndarray]


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


# What is tested: functions from (xp, arrays...) to a tuple of arrays.


def logpdf(xp: Any, *args: Any) -> tuple[Any, ...]:
    return (ddm_logpdf(xp, *args),)


def log_go(xp: Any, *args: Any) -> tuple[Any, ...]:
    return ddm_log_go(xp, *args)


def log_choice(xp: Any, *args: Any) -> tuple[Any, ...]:
    return ddm_log_choice(xp, *args)


# One evaluator per back end: values, and elementwise gradients of each output with respect to each argument.


def with_numpy(function: Callable[..., Any], args: Arrays) -> Arrays:
    return [np.asarray(out) for out in function(NUMPY, *args)]


def with_jax(function: Callable[..., Any], args: Arrays) -> Arrays:
    return [np.asarray(out) for out in jax.jit(partial(function, JAX))(*map(jnp.asarray, args))]


@cache
def jax_compiled(function: Callable[..., Any], n_args: int, n_outputs: int) -> Any:
    def total(j: int, *xs: Any) -> Any:
        return function(JAX, *xs)[j].sum()

    gradients = [jax.grad(partial(total, j), argnums=tuple(range(n_args))) for j in range(n_outputs)]
    return jax.jit(lambda *xs: [gradient(*xs) for gradient in gradients])


def jax_gradients(function: Callable[..., Any], args: Arrays) -> list[Arrays]:
    n = len(args[0])
    padded = [np.pad(x, (0, -n % 64), mode="edge") for x in args]  # one shape, one compilation
    gradients = jax_compiled(function, len(args), len(function(NUMPY, *args)))(*padded)
    return [[np.asarray(g)[:n] for g in gradient] for gradient in gradients]


@cache
def compiled(function: Callable[..., Any], n_args: int, n_outputs: int) -> Any:
    xs = [pt.dvector(f"x{i}") for i in range(n_args)]
    outputs = function(PYTENSOR, *xs)
    gradients = [g for out in outputs[:n_outputs] for g in pytensor.grad(out.sum(), xs, disconnected_inputs="ignore")]
    return pytensor.function(xs, [*outputs, *gradients])


def with_pytensor(function: Callable[..., Any], args: Arrays) -> Arrays:
    n = len(function(NUMPY, *args))
    args = [np.ascontiguousarray(x, dtype=float) for x in args]  # or numba compiles once more for the strides
    return compiled(function, len(args), n)(*args)[:n]


def pytensor_gradients(function: Callable[..., Any], args: Arrays) -> list[Arrays]:
    n = len(function(NUMPY, *args))
    flat = compiled(function, len(args), n)(*args)[n:]
    return [flat[j * len(args) : (j + 1) * len(args)] for j in range(n)]


VALUES = {"numpy": with_numpy, "jax": with_jax, "pytensor": with_pytensor}
GRADIENTS = {"jax": jax_gradients, "pytensor": pytensor_gradients}


# The oracle: textbook series, unpaired and with many terms, in 60 digits (40 remain after cancellation).


def images_of(w: Any) -> list[Any]:
    return [w + 2 * k for k in range(-25, 26)]


def mp_logpdf(d: Any, response: int, v: Any, a: Any, z: Any) -> Any:
    width, w, v = 2 * a, (1 - z if response > 0 else z), (-v if response > 0 else v)
    u = d / width**2
    if u < 1:
        g = mp.fsum(x * mp.exp(-x * x / (2 * u)) for x in images_of(w)) / mp.sqrt(2 * mp.pi * u**3)
    else:
        g = mp.pi * mp.fsum(k * mp.exp(-((k * mp.pi) ** 2) * u / 2) * mp.sin(k * mp.pi * w) for k in range(1, 40))
    return mp.log(g / width**2) - v * width * w - v * v * d / 2


def mp_upper(v: Any, a: Any, z: Any) -> Any:
    return z if v == 0 else mp.expm1(-4 * v * a * z) / mp.expm1(-4 * v * a)


def mp_log_choice(v: Any, a: Any, z: Any) -> tuple[Any, Any]:
    return mp.log(mp_upper(v, a, z)), mp.log(mp_upper(-v, a, 1 - z))


def mp_log_go(horizon: Any, v: Any, a: Any, z: Any) -> tuple[Any, Any]:
    width, w = 2 * a, 1 - z
    u = horizon / width**2
    if u < 1:

        def hit(r: Any) -> Any:
            ends = [(-1, (v * horizon - r) / mp.sqrt(horizon)), (1, (-v * horizon - r) / mp.sqrt(horizon))]
            return mp.fsum(mp.exp(sign * v * r) * mp.ncdf(end) for sign, end in ends)

        reach = [width * (j + (1 - w if j % 2 else w)) for j in range(16)]
        go = mp.exp(v * width * w) * mp.fsum((-1) ** j * hit(r) for j, r in enumerate(reach))
    else:
        go = mp_upper(v, a, z)
        for k in range(1, 40):
            rate = v**2 / 2 + (k * mp.pi / width) ** 2 / 2
            late = k * mp.pi / width**2 * mp.sin(k * mp.pi * w) / rate
            go -= late * mp.exp(v * width * w - rate * horizon)
    return mp.log(go), mp.log(1 - go)


def oracle(function: Callable[..., Any], cases: list[tuple[float, ...]], digits: int) -> list[list[Any]]:
    with mp.workdps(digits):
        rows = [function(*map(mp.mpf, case)) for case in cases]
        return [list(map(float, out)) for out in zip(*(r if isinstance(r, tuple) else (r,) for r in rows), strict=True)]


def oracle_gradient(function: Callable[..., Any], case: tuple[float, ...], i: int, digits: int) -> list[float]:
    """Central difference with a step of 10^(-digits / 4), so the error is of order 10^(-digits / 2)."""
    with mp.workdps(digits):
        step = mp.mpf(10) ** (-digits // 4) * min(1, abs(mp.mpf(case[i])) or 1)
        above, below = (function(*(mp.mpf(x) + sign * step * (j == i) for j, x in enumerate(case))) for sign in (1, -1))
        if not isinstance(above, tuple):
            above, below = (above,), (below,)
        return [float((high - low) / (2 * step)) for high, low in zip(above, below, strict=True)]


PDF_CASES = [
    # d, response, v, a, z: ordinary ones, either side of the crossovers (u = 0.3, w = 1/2), then extremes
    (0.4, 1, 0.7, 0.8, 0.4), (1.5, -1, 1.2, 1.1, 0.6), (0.9, 1, 0.0, 1.5, 0.5), (2.0, -1, -2.5, 1.9, 0.85),
    (0.2999, 1, 1.0, 0.5, 0.5), (0.3001, 1, 1.0, 0.5, 0.5), (0.2999, -1, -1.0, 0.5, 0.9),
    (0.3001, -1, 1.0, 0.5, 0.1),
    (1e-4, 1, 1.0, 2.5, 0.5), (1e-3, -1, 3.0, 2.5, 0.9), (1e-4, 1, -3.0, 2.5, 0.1), (1e-3, 1, 0.5, 0.3, 0.7),
    (1000.0, 1, 0.1, 0.5, 0.5), (1000.0, -1, 0.0, 0.5, EPS), (6250.0, 1, -0.3, 1.25, 0.3),
    (0.5, 1, 1.0, 1.0, EPS), (0.5, -1, 1.0, 1.0, EPS), (0.5, 1, 1.0, 1.0, 1 - EPS),
    (0.5, -1, 1.0, 1.0, 1 - EPS),
    (2.0, 1, -1.0, 0.6, EPS), (2.0, -1, -1.0, 0.6, EPS), (1e-3, 1, 0.0, 2.5, EPS),
    (1e-3, -1, 0.0, 2.5, 1 - EPS),
    (0.05, 1, 30.0, 2.0, 0.3), (0.05, -1, 30.0, 2.0, 0.3),
]  # fmt: skip
CHOICE_CASES = [
    (0.0, 1.0, 0.5), (0.0, 0.7, 0.2), (0.0, 2.0, EPS), (0.0, 2.0, 1 - EPS), (1e-9, 1.0, 0.3),
    (-1e-5, 1.0, 0.7),
    (0.1249, 1.0, 0.3), (0.1251, 1.0, 0.3), (-0.1249, 1.0, 0.3), (-0.1251, 1.0, 0.3), (1.0, 1.0, 0.5),
    (3.0, 2.5, 0.1), (-3.0, 2.5, 0.1), (-3.0, 2.5, 0.9), (1.5, 1.2, EPS), (-1.5, 1.2, EPS),
    (1.5, 1.2, 1 - EPS),
    (80.0, 2.5, 0.5), (-80.0, 2.5, 0.5), (80.0, 2.5, EPS), (-80.0, 2.5, 1 - EPS),
]  # fmt: skip
GO_CASES = [
    # horizon, v, a, z; the crossover is at horizon = 0.4 a^2
    (0.8, 1.0, 1.0, 0.5), (0.8, -1.0, 1.0, 0.5), (2.0, 0.0, 0.9, 0.3), (0.2, 0.0, 0.9, 0.3),
    (1.2, -2.5, 1.6, 0.9),
    (0.3999, 1.3, 1.0, 0.6), (0.4001, 1.3, 1.0, 0.6), (0.3999, -1.3, 1.0, 0.9), (0.4001, -1.3, 1.0, 0.1),
    (0.3, 3.0, 1.0, 0.95), (0.3, -3.0, 1.0, 0.95), (1.5, 3.0, 2.5, 0.6), (1.5, -3.0, 2.5, 0.6),
    (0.1, 0.0, 0.5, 0.999),
    (1e-3, 1.0, 2.5, 0.5), (1e-4, -1.0, 2.5, 0.9), (1e-4, 0.0, 2.5, EPS), (1000.0, 0.1, 0.5, 0.5),
    (60.0, 0.0, 0.5, 0.2),
    (0.2, 1.0, 1.0, EPS), (0.9, 1.0, 1.0, EPS), (0.9, -1.0, 1.0, 1 - EPS), (0.2, -1.0, 1.0, 1 - EPS),
    (0.9, 2.0, 1.0, 1 - EPS), (0.3, 40.0, 1.5, 0.3), (0.3, -40.0, 1.5, 0.3), (0.05, 60.0, 2.0, 0.5),
    (2.0, 20.0, 2.0, 0.5),
    (0.6, -60.0, 2.0, 0.9), (0.6, 100.0, 2.0, 0.1),
]  # fmt: skip

# name: function, oracle, cases, positions of the arguments that gradients are taken of
TABLES: dict[str, tuple[Any, Any, list[tuple[float, ...]], tuple[int, ...]]] = {
    "logpdf": (logpdf, mp_logpdf, PDF_CASES, (0, 2, 3, 4)),
    "choice": (log_choice, mp_log_choice, CHOICE_CASES, (0, 1, 2)),
    "go": (log_go, mp_log_go, GO_CASES, (0, 1, 2, 3)),
}
# Enough that 1 - p(go) keeps 40 digits where p(go) is next to 1.
DIGITS = {"logpdf": 60, "choice": 400, "go": 90}


def some_compiled(
    functions: Mapping[str, tuple[Any, ...]], backends: Iterable[str], dear: Mapping[tuple[str, str], Any] | None = None
) -> list[Any]:
    """Every case with every back end; PyTensor's compiler takes long over each function, so one stands for them.

    Those that are `dear` have marks of their own.
    """
    marks = {
        (name, backend): () if backend != "pytensor" or functions[name][0] is logpdf else pytest.mark.table
        for name, backend in product(functions, backends)
    } | dict(dear or {})
    return [pytest.param(pair, marks=mark, id="-".join(pair)) for pair, mark in marks.items()]


def columns(cases: list[tuple[float, ...]]) -> Arrays:
    return [np.array(column, dtype=float) for column in zip(*cases, strict=True)]


@cache
def oracle_gradients(name: str) -> dict[int, np.ndarray]:
    """Return for each position the derivatives, (outputs, cases)."""
    _, exact, cases, positions = TABLES[name]
    return {i: np.array([oracle_gradient(exact, case, i, DIGITS[name]) for case in cases]).T for i in positions}


@pytest.fixture(scope="module")
def reference_logpdf() -> np.ndarray:
    return np.genfromtxt(DATA / "ddm_reference_logpdf.csv", delimiter=",", names=True)


@pytest.fixture(scope="module")
def reference_choice() -> np.ndarray:
    return np.genfromtxt(DATA / "ddm_reference_choice.csv", delimiter=",", names=True)


@pytest.mark.parametrize("backend", VALUES)
def test_logpdf_table(backend: str, reference_logpdf: np.ndarray) -> None:
    r = reference_logpdf
    args = [r["rt"] - r["t"], r["response"], r["v"], r["a"], r["z"]]
    (found,) = VALUES[backend](logpdf, args)
    np.testing.assert_allclose(found, r["logpdf"], rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=pytest.mark.slow) if name == "pytensor" else name for name in VALUES]
)
def test_go_table(backend: str, reference_choice: np.ndarray) -> None:
    r = reference_choice
    go, nogo = VALUES[backend](log_go, [r["deadline"], r["v"], r["a"], r["z"]])
    np.testing.assert_allclose(go, r["log_p_go"], rtol=0, atol=1e-11)
    np.testing.assert_allclose(nogo, r["log_p_nogo"], rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", some_compiled(TABLES, VALUES, {("go", "pytensor"): pytest.mark.slow}))
def test_values(case: tuple[str, str]) -> None:
    name, backend = case
    function, exact, cases, _ = TABLES[name]
    expected = oracle(exact, cases, DIGITS[name])
    for found, true in zip(VALUES[backend](function, columns(cases)), expected, strict=True):
        # A log of -1e5 carries a rounding error of 1e-11, hence the relative part.
        np.testing.assert_allclose(found, true, rtol=1e-13, atol=1e-10)


@pytest.mark.parametrize("case", some_compiled(TABLES, GRADIENTS, {("go", "jax"): pytest.mark.table}))
def test_gradients(case: tuple[str, str]) -> None:
    name, backend = case
    function, _, cases, _ = TABLES[name]
    found = GRADIENTS[backend](function, columns(cases))
    for i, by_output in oracle_gradients(name).items():
        for j, true in enumerate(by_output):
            np.testing.assert_allclose(found[j][i], true, rtol=1e-9, atol=1e-9, err_msg=f"output {j}, argument {i}")


EDGES = {
    "d <= 0": (logpdf, [(d, r, v, 1.0, 0.3) for d in (0.0, -1.0) for r in (1, -1) for v in (0.0, 2.0)], 0.0),
    "horizon <= 0": (
        log_go,
        [(t, v, 1.0, 0.3) for t in (0.0, -1.0, -math.inf) for v in (0.0, 2.0, -2.0)],
        0.0,
    ),
    "tiny times": (
        logpdf,
        [(d, r, v, 2.5, z) for d in (1e-12, 1e-8) for r in (1, -1) for v in (0, 3) for z in (EPS, 0.5)],
        None,
    ),
    "tiny horizons": (
        log_go,
        [(t, v, 2.5, z) for t in (1e-300, 1e-30, 1e-8) for v in (0, 3, -3) for z in (EPS, 0.5)],
        None,
    ),
    "wild drifts": (log_choice, [(v, 1.0, z) for v in (1e60, -1e60) for z in (EPS, 0.5)], None),
    "no deadline": (
        log_go,
        [(math.inf, v, a, z) for v in (-3, 0, 100) for a in (0.3, 2.5) for z in (EPS, 0.5)],
        None,
    ),
}


# XLA takes seconds over these gradients, for each number of rows anew: the tiny horizons stand for the others.
GO_EDGES = {("horizon <= 0", "jax"): pytest.mark.table, ("no deadline", "jax"): pytest.mark.table}


@pytest.mark.parametrize("case", some_compiled(EDGES, GRADIENTS, GO_EDGES))
def test_gradients_are_finite(case: tuple[str, str]) -> None:
    edge, backend = case
    function, cases, expected = EDGES[edge]
    gradients = np.array(GRADIENTS[backend](function, columns(cases)))
    assert np.isfinite(gradients).all()
    if expected is not None:
        np.testing.assert_array_equal(gradients, expected)


def test_edges_have_the_stated_values() -> None:
    assert ddm_logpdf(NUMPY, 0.0, 1, 1.0, 1.0, 0.5) == -math.inf
    assert ddm_log_go(NUMPY, 0.0, 1.0, 1.0, 0.5) == (-math.inf, 0.0)
    v, a, z = columns(CHOICE_CASES)
    np.testing.assert_array_equal(ddm_log_go(NUMPY, np.inf, v, a, z), ddm_log_choice(NUMPY, v, a, z))


# v, a, z of the laws.
THETA = columns([(v, a, z) for v in (-3.0, -0.4, 0.0, 1.2) for a in (0.3, 1.0, 2.5) for z in (0.02, 0.3, 0.5, 0.9)])


def quadrature(log_low: float, log_high: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and weights of a 20-point Gauss rule on panels of log time."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(log_low, log_high, panels + 1)
    half = 0.5 * np.diff(edges)
    log_times = (edges[:-1, None] + half[:, None] * (nodes + 1.0)).ravel()
    return np.exp(log_times), np.exp(log_times) * (half[:, None] * weights).ravel()


@pytest.mark.parametrize("response", [1, -1])
def test_density_integrates_to_the_choice_probability(response: int) -> None:
    times, weights = quadrature(math.log(1e-7), math.log(200.0), 60)
    v, a, z = (x[:, None] for x in THETA)
    mass = np.exp(ddm_logpdf(NUMPY, times, response, v, a, z)) @ weights
    log_upper, log_lower = ddm_log_choice(NUMPY, *THETA)
    np.testing.assert_allclose(mass, np.exp(log_upper if response > 0 else log_lower), rtol=1e-10, atol=1e-15)


def test_horizon_derivative_is_the_density() -> None:
    for horizon in (0.02, 0.3, 2.0):
        time = np.full_like(THETA[0], horizon)
        slope = jax_gradients(log_go, [time, *THETA])[0][0]
        log_density = np.log(slope) + ddm_log_go(NUMPY, time, *THETA)[0]
        np.testing.assert_allclose(log_density, ddm_logpdf(NUMPY, time, 1, *THETA), rtol=1e-11, atol=1e-9)


def test_go_rises_with_the_horizon_to_the_choice_probability() -> None:
    horizons = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 400), [np.inf]])[:, None]
    log_p, log_rest = ddm_log_go(NUMPY, horizons, *THETA)
    assert (np.diff(log_p[1:], axis=0) >= -1e-12).all()
    assert (np.diff(log_rest, axis=0) <= 1e-12).all()
    np.testing.assert_allclose(np.exp(log_p) + np.exp(log_rest), 1.0, rtol=1e-13)
    np.testing.assert_allclose(log_p[-2], log_p[-1], rtol=0, atol=1e-12)


def test_mirror_and_time_scaling() -> None:
    v, a, z = THETA
    v, z = v.copy(), np.round(z * 64) / 64  # so that 1 - z is exact
    for d in (1e-3, 0.3, 4.0):
        upper = ddm_logpdf(NUMPY, d, 1, v, a, z)
        np.testing.assert_allclose(ddm_logpdf(NUMPY, d, -1, -v, a, 1 - z), upper, rtol=1e-14)
        scaled = ddm_logpdf(NUMPY, 9 * d, 1, v / 3, 3 * a, z) + math.log(9.0)
        np.testing.assert_allclose(scaled, upper, rtol=1e-13, atol=1e-12)
        go, nogo = ddm_log_go(NUMPY, 9 * d, v / 3, 3 * a, z)
        np.testing.assert_allclose([go, nogo], ddm_log_go(NUMPY, d, v, a, z), rtol=1e-12, atol=1e-12)


def test_correction_is_what_the_second_boundary_takes_away() -> None:
    w = np.array([EPS, 0.2, 0.5, 0.8, 1 - EPS])
    u = np.geomspace(1e-6, 1e3, 50)[:, None]
    correction = ddm_log_correction(NUMPY, u, w, 1.0 - w)
    assert (correction <= 0).all()
    assert (np.diff(correction, axis=0) <= 1e-13).all()
    np.testing.assert_allclose(correction[0, :-1], 0.0, atol=1e-15)
    d, width, v = 0.7, 1.6, 1.3
    one_boundary = np.log(width * w) - 0.5 * math.log(2 * math.pi * d**3) - (width * w - v * d) ** 2 / (2 * d)
    expected = ddm_logpdf(NUMPY, d, 1, v, width / 2, 1.0 - w) - one_boundary
    np.testing.assert_allclose(ddm_log_correction(NUMPY, d / width**2, w, 1.0 - w), expected, atol=1e-9)


def test_oracles_agree_with_each_other() -> None:
    with mp.workdps(30):
        v, a, z = mp.mpf("0.8"), mp.mpf("0.9"), mp.mpf("0.35")
        for horizon in (mp.mpf("1.5"), mp.mpf(4)):  # u on both sides of 1
            times = [mp.mpf(0), *(horizon * k / 8 for k in (1, 2, 4, 8))]
            mass = mp.quad(lambda d: mp.exp(mp_logpdf(d, 1, v, a, z)) if d > 0 else mp.mpf(0), times)
            assert abs(mp.log(mass) - mp_log_go(horizon, v, a, z)[0]) < 1e-12
