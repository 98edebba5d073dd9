"""Functions of vectors in compiled code against 40 digits, over everything that a double can be."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from llvmlite import ir
from numpy.typing import NDArray

from pymc_lan.networks.kernel import formulas
from pymc_lan.networks.kernel.functions import DOUBLES, call
from pymc_lan.networks.kernel.layout import LANES, TILE
from pymc_lan.networks.kernel.llvm import PTR, Code, compile_module, load_objects

Float = NDArray[np.float64]
# Units in the last place; that of expm1 has four roundings beside those of exp and log.
WORST = {"exp": 1.5, "log": 1.0, "log1p": 2.5, "expm1": 4.0}
TINY = 5e-324


def compiled(name: str, *xs: Float) -> Float:
    """Run a function of vectors on many numbers."""
    module = ir.Module()
    code = Code(module, "run", [PTR] * (1 + len(xs)), internal=False)
    *given, result = code.arguments
    code.store(call(code, name, *(code.load(DOUBLES, x) for x in given)), result)
    code.ir.ret_void()
    engine = load_objects(compile_module(module))
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (1 + len(xs)))(engine.get_function_address("run"))
    rows = [np.resize(x, (-(-x.size // LANES), LANES)).astype(float) for x in xs]
    out = np.empty_like(rows[0])
    for every in zip(*rows, out, strict=True):
        run(*(row.ctypes.data for row in every))
    return out.ravel()[: xs[0].size]


def points(name: str) -> Float:
    """Numbers of every size that the function takes, and those about which its code changes its ways."""
    rng = np.random.default_rng(1)
    sizes = np.exp(rng.uniform(np.log(1e-320), np.log(1e308), 500))
    near_one = 1 + rng.normal(0, 1, 500) * 10 ** rng.uniform(-16, -0.5, 500)
    if name == "log":
        return np.concatenate([sizes, near_one, np.sqrt(0.5) + rng.normal(0, 1e-6, 50), [TINY, 2.0**-1022, 1.0, 2.0]])
    if name == "log1p":
        return np.concatenate([sizes, near_one - 1, -np.exp(rng.uniform(-80, 0, 300)), [-TINY, TINY]])
    ends = rng.uniform(-745.1, 709.7, 600)
    small = rng.choice([-1, 1], 500) * np.exp(rng.uniform(np.log(1e-320), 1, 500))
    return np.concatenate([ends, small, (rng.integers(-1000, 1000, 100) + 0.5) * np.log(2)])


@pytest.mark.parametrize("name", WORST)
def test_functions_are_right_to_the_last_places(name: str) -> None:
    x = points(name)
    found = compiled(name, x)
    with mpmath.workdps(40):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(each))) for each in x]
        errors = [abs(mpmath.mpf(float(y)) - e) for y, e in zip(found, exact, strict=True)]
        # Of denormal results the last place is that of all of them.
        units = [float(d) / np.spacing(max(abs(float(e)), TINY)) for d, e in zip(errors, exact, strict=True)]
    assert np.max(units) < WORST[name], x[np.argmax(units)]


ENDS = {
    "exp": ([np.inf, -np.inf, 710.0, -746.0, 1e300, -1e300, 0.0], [np.inf, 0, np.inf, 0, np.inf, 0, 1]),
    "log": ([np.inf, 0.0, -0.0, -1.0, -np.inf, 1.0], [np.inf, -np.inf, -np.inf, np.nan, np.nan, 0]),
    "log1p": ([np.inf, -1.0, -2.0, 0.0, -np.inf, 1e308], [np.inf, -np.inf, np.nan, 0, np.nan, np.log(1e308)]),
    "expm1": ([np.inf, -np.inf, 710.0, -800.0, 0.0, 1e300], [np.inf, -1, np.inf, -1, 0, np.inf]),
}


@pytest.mark.parametrize("name", WORST)
def test_functions_have_the_limits_of_the_c_library(name: str) -> None:
    x, expected = ENDS[name]
    np.testing.assert_array_equal(compiled(name, np.array([*x, np.nan])), [*expected, np.nan])


def test_powers_are_right_up_to_the_size_of_their_logarithm() -> None:
    rng = np.random.default_rng(2)
    x, y = np.exp(rng.normal(0, 3, 800)), rng.normal(0, 4, 800)
    with mpmath.workdps(40):
        exact = [mpmath.power(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(x, y, strict=True)]
        off = [abs(float(f / e - 1)) for f, e in zip(map(float, compiled("pow", x, y)), exact, strict=True)]
    assert np.max(np.array(off) / (2 + np.abs(y * np.log(x)))) < np.finfo(float).eps


def test_powers_have_the_signs_and_limits_of_the_c_library() -> None:
    x = np.array([-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, np.inf, np.inf, 1.0, np.nan, -3.0, 2.0, -8.0])
    y = np.array([2.0, 3.0, 0.5, 0.0, 2.0, -1.0, 2.0, -2.0, np.inf, 0.0, 0.0, np.nan, -1.0])
    with np.errstate(invalid="ignore", divide="ignore"):
        np.testing.assert_allclose(compiled("pow", x, y), np.power(x, y), rtol=4 * np.finfo(float).eps)


def test_code_stays_where_it_is() -> None:
    """What XLA or numba was given the address of is called whoever has forgotten it: it crashed."""
    module = ir.Module()
    code = Code(module, "run", [PTR], internal=False)
    code.ir.ret_void()
    known = weakref.ref(load_objects(compile_module(module)))
    gc.collect()
    assert known() is not None


# What users write with whole numbers and truths, and what it is of a number.
WHOLE: dict[str, tuple[Callable[[Any], Any], Callable[[Float], Float]]] = {
    "a whole number": (lambda x: x.astype(int) * 0.5, lambda x: np.trunc(x) / 2),
    "a product of whole numbers": (lambda x: x.astype(int) * 2 + 1, lambda x: 2 * np.trunc(x) + 1),
    "steps": (lambda x: jnp.floor(x / 0.4) * x, lambda x: np.floor(x / 0.4) * x),
    "steps up": (lambda x: jnp.ceil(x), np.ceil),
    "a count of truths": (
        lambda x: (x > -1).astype(int) + (x > 1).astype(int),
        lambda x: np.digitize(x, [-1, 1]) * 1.0,
    ),
    "a number as a truth": (lambda x: jnp.where(x.astype(bool), 2, 3), lambda x: np.where(x == 0, 3.0, 2.0)),
    "a chosen whole number": (lambda x: jnp.where(x > 0, 1, 2) * x, lambda x: np.where(x > 0, x, 2 * x)),
    "an array of one": (lambda x: (jnp.array([2.0]) * x)[0], lambda x: 2 * x),
}


def test_whole_numbers_and_truths_are_what_they_are_in_numpy() -> None:
    x = np.array([-2.6, -1.2, -0.3, 0.0, 0.3, 0.9, 1.2, 2.6])
    module = ir.Module()
    for k, (function, _) in enumerate(WHOLE.values()):
        formulas._build_function(module, f"f{k}", [0], lambda x, f=function: (jnp.asarray(f(x), float),))
    engine = load_objects(compile_module(module))
    for k, (name, (_, expected)) in enumerate(WHOLE.items()):
        run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2)(engine.get_function_address(f"f{k}"))
        tile, out = np.resize(x, TILE), np.empty(TILE)
        run(tile.ctypes.data, out.ctypes.data)
        np.testing.assert_allclose(out[:LANES], expected(x), rtol=1e-15, err_msg=name)


NOT_KNOWN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an array": (lambda x: jnp.interp(x, jnp.array([0.0, 1.0]), jnp.array([1.0, 2.0])), r"an array of shape \(2,\)"),
    "a quotient of whole numbers": (lambda x: x.astype(int) // 2, "'div' of whole numbers"),
    "bits": (lambda x: x.astype(int) & 1, "'and' of whole numbers"),
    "an unknown function": (lambda x: jnp.arctan2(x, 1.0), "'atan2'"),
}


@pytest.mark.parametrize(("function", "found"), NOT_KNOWN.values(), ids=NOT_KNOWN)
def test_what_kernels_do_not_know_is_a_sentence(function: Callable[[Any], Any], found: str) -> None:
    with pytest.raises(
        NotImplementedError, match=rf"Expected formulas that kernels know\. Found {found}.*Remedy: write"
    ):
        formulas._build_function(ir.Module(), "f", [0], lambda x: (jnp.asarray(function(x), float),))
