"""`pl.jax_function`: values, derivatives, shapes and identity, against NumPy and finite differences."""

from __future__ import annotations

import copy
import functools
import gc
import json
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, MODES
from pytensor.compile.mode import Mode
from pytensor.gradient import DisconnectedInputError, pushforward, verify_grad
from pytensor.graph.replace import vectorize_graph
from sampler_ways import WAYS, draws_of
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.ops.jax_function.flat import Joined, Pulled
from pymc_lan.ops.jax_function.op import JaxOp

# Python with all rewrites.
FAST = Mode("py", "fast_run")
X, Y = np.array([0.3, -1.2, 2.0]), np.array([1.5, 0.4, -0.7])


def parts(pair: dict[str, Any], *, power: int = 2) -> tuple[Any, Any]:
    """A pytree in and one out, with a setting."""
    return jnp.sum(pair["x"] ** power * pair["y"]), {"grown": jnp.exp(pair["x"]) * pair["y"]}


def value_and_gradients(x: Any, y: Any, power: int) -> list[Any]:
    """By hand, of sum(x ** power * y) + sum(exp(x) * y) ** 2."""
    total = np.sum(np.exp(x) * y)
    value = np.sum(x**power * y) + total**2
    by_x = power * x ** (power - 1) * y + 2 * total * np.exp(x) * y
    return [value, by_x, x**power + 2 * total * np.exp(x)]


def graph(x: Any, y: Any, power: int) -> list[Any]:
    first, rest = pl.jax_function(parts)({"x": x, "y": y}, power=power)
    value = first + rest["grown"].sum() ** 2
    return [value, *pt.grad(value, [x, y])]


@pytest.mark.parametrize("mode", one_of_a_kind(MODES, "numba", "jax"))
@pytest.mark.parametrize("length", [3, pytest.param(None, marks=pytest.mark.table)])
def test_values_and_gradients_in_every_mode(mode: str, length: int | None) -> None:
    x, y = pt.vector("x", shape=(length,)), pt.vector("y", shape=(length,))
    found = pytensor.function([x, y], graph(x, y, 3), mode=MODES[mode])(X, Y)
    for result, target in zip(found, value_and_gradients(X, Y, 3), strict=True):
        assert np.asarray(result).dtype == np.float64
        np.testing.assert_allclose(result, target, rtol=1e-12)


def test_derivatives_of_higher_order() -> None:
    x = pt.vector("x", shape=(3,))
    _, by_x, _ = graph(x, pt.constant(Y), 3)
    total, grown = np.sum(np.exp(X) * Y), np.exp(X) * Y
    hessian = 2 * np.outer(grown, grown) + np.diag(6 * X * Y + 2 * total * grown)
    direction = np.array([1.0, -2.0, 0.5])
    by_direction: Any = pushforward(by_x, x, pt.constant(direction))
    by_gradient = [pt.grad(by_x[i], x) for i in range(3)]
    *rows, last = pytensor.function([x], [*by_gradient, by_direction], mode=AS_WRITTEN)(X)
    np.testing.assert_allclose(rows, hessian, rtol=1e-12)
    np.testing.assert_allclose(last, hessian @ direction, rtol=1e-12)


FUNCTIONS = {
    "elementwise": (jnp.exp, [X]),
    "several inputs": (lambda x, w: jnp.tanh(w @ x), [X, np.arange(6.0).reshape(2, 3) / 5]),
    "an integer": (lambda x, i: x[i] * x, [X, 1]),
    "a loop": (lambda x: jax.lax.scan(lambda c, u: (c * 0.5 + jnp.sin(u), c), 0.1, x)[1], [X]),
    "jitted": (jax.jit(lambda x: jnp.cumsum(x**2)), [X]),
    "a rule of its own": (jax.nn.softplus, [X]),
    "a scalar": (lambda x: x**3, [np.array(0.7)]),
    "several outputs": (lambda x: [x[0] * x[1], x[1:] ** 2], [X]),
    "a partial": (functools.partial(lambda k, x: jnp.sin(k * x), 2.0), [X]),
}


@pytest.mark.parametrize("name", one_of_a_kind(FUNCTIONS, "an integer", "a loop", "several outputs"))
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    f, inputs = FUNCTIONS[name]

    def total(*values: Any) -> Any:
        outputs = pl.jax_function(f)(*values, *inputs[len(values) :])
        return sum(pt.sum(y * (1 + pt.arange(y.size).reshape(y.shape))) for y in jax.tree.leaves([outputs]))

    smooth = [x for x in inputs if isinstance(x, np.ndarray)]
    rng = np.random.default_rng(1)
    verify_grad(total, smooth, rng=rng, mode=AS_WRITTEN)
    verify_grad(lambda *x: pt.grad(total(*x), x[0]).sum() ** 2, smooth, rng=rng, mode=AS_WRITTEN)


def test_integers_have_no_gradient_and_others_theirs() -> None:
    x, i = pt.vector("x", shape=(3,)), pt.ivector("i")
    f = pl.jax_function(lambda x, i: (x[i] ** 2, i + 1, jnp.argmax(x)))
    picked, more, best = f(x, i)
    assert (more.type.dtype, best.type.ndim) == ("int32", 0)
    cost = picked.sum() + (more * x[0]).sum() + best * x[1]
    found = pytensor.function([x, i], pt.grad(cost, x), mode=AS_WRITTEN)(X, np.array([2, 2, 0], "int32"))
    np.testing.assert_allclose(found, [2 * X[0] + 7, 2, 4 * X[2]])
    with pytest.raises(DisconnectedInputError):
        pt.grad(picked.sum(), pt.cast(i, "float64"))


def test_single_precision_inside() -> None:
    def f(x: Any) -> Any:
        inside.append((x.dtype, jnp.zeros(2).dtype))
        return jnp.sum(x) + jnp.zeros(())

    inside: list[Any] = []
    x = pt.vector("x", shape=(1,))
    y = pl.jax_function(f, dtype="float32")(x)
    at = np.array([1 + 1e-9])
    found = pytensor.function([x], [y, pt.grad(y, x)], mode=AS_WRITTEN)(at)
    assert inside == [(np.float32, np.float32)] * len(inside)
    assert [z.dtype for z in found] == ["float64", "float64"]
    assert found[0] == 1.0
    assert pl.jax_function(f)(pt.constant(at)).eval(mode=AS_WRITTEN) == at[0]
    assert not jax.config.jax_enable_x64 or "pytensor.link.jax.dispatch" in __import__("sys").modules


# Shapes


@pytest.mark.parametrize(
    ("f", "shapes", "expected"),
    [
        (lambda x: x, [(3,)], (3,)),
        (lambda x: x[:, None] * jnp.ones(2), [(None,)], (None, 2)),
        (lambda x: jnp.sum(x, 0, keepdims=True), [(None, 4)], (1, 4)),
        (lambda x, w: x @ w, [(None, None), (4, 2)], (None, None)),
        (lambda x, w: x @ w, [(None, 4), (4, 2)], (None, 2)),
        (lambda x: x.reshape(-1, 5), [(None,)], (None, None)),
        (lambda x, y: x + y, [(None,), (None,)], (None,)),
        (lambda x: jnp.ones((5, 21)) @ x, [(None,)], (None,)),
    ],
)
def test_static_shapes(f: Any, shapes: list[Any], expected: tuple[int | None, ...]) -> None:
    assert pl.jax_function(f)(*(pt.tensor(shape=s) for s in shapes)).type.shape == expected


def test_lengths_are_known_without_computing_values() -> None:
    x = pt.vector("x")
    y = pl.jax_function(lambda x: jnp.concatenate([x, x[1:]]))(x)
    lengths = pytensor.function([x], [y.shape[0], pt.grad(y.sum(), x).shape[0]], mode=FAST)
    assert lengths(X) == [5, 3]
    assert not any(isinstance(node.op, JaxOp) for node in lengths.maker.fgraph.apply_nodes)


def test_data_may_change_its_length() -> None:
    with pm.Model() as model:
        data = pm.Data("data", np.ones((4, 3)))
        y = pl.jax_function(lambda d: d.reshape(-1, 6).sum(1))(data)
    assert y.type.shape == (None,)
    assert y.eval(mode=AS_WRITTEN).tolist() == [6, 6]
    with model:
        pm.set_data({"data": np.ones((6, 3))})
    assert y.eval(mode=AS_WRITTEN).tolist() == [6, 6, 6]


def test_batches() -> None:
    x = pt.vector("x", shape=(3,))
    value, gradient, _ = graph(x, pt.constant(Y), 2)
    many = pt.tensor("many", shape=(2, 1, 3))
    found = vectorize_graph([value, gradient], {x: many})
    points = np.stack([X, 2 * X])[:, None]
    results = pytensor.function([many], found, mode=AS_WRITTEN)(points)
    for k, result in enumerate(results):
        expected = [value_and_gradients(point, Y, 2)[k] for point in points[:, 0]]
        np.testing.assert_allclose(result[:, 0], expected)


# One Op, one computation


def test_equal_functions_are_one_and_compiled_once() -> None:
    traced = []

    def f(x: Any, scale: float = 1.0) -> Any:
        traced.append(scale)
        return jnp.sum(x**2) * scale

    x = pt.vector("x", shape=(3,))
    first, second = (pl.jax_function(f)(x, scale=2.0) for _ in range(2))
    assert first.owner.op == second.owner.op
    assert hash(first.owner.op) == hash(second.owner.op)
    for _ in range(2):
        function = pytensor.function([x], [first + second, pt.grad(second, x)], mode=MODES["python"])
        assert function(X)[0] == pytest.approx(4 * np.sum(X**2))
    # The value, and its derivatives.
    assert len(traced) == 2
    others = [pl.jax_function(f)(x, scale=s) for s in (2, True, -0.0, 0.0, 2.0)]
    assert len({y.owner.op for y in others}) == 5
    assert others[-1].owner.op == first.owner.op


@pytest.mark.parametrize(
    ("one", "other"), [((0.0,), (-0.0,)), (frozenset({0.0}), frozenset({-0.0})), (np.float32(0), np.float32(-0.0))]
)
def test_settings_within_settings_are_told_apart(one: Any, other: Any) -> None:
    def f(setting: Any, x: Any) -> Any:
        (number,) = np.ravel(tuple(setting) if isinstance(setting, frozenset) else setting)
        return jnp.copysign(x, number)

    for made in (lambda s: pl.jax_function(functools.partial(f, s))(X), lambda s: pl.jax_function(f)(s, X)):
        plus, minus = made(one), made(other)
        assert plus.owner.op != minus.owner.op
        assert plus.owner.op == made(one).owner.op
        np.testing.assert_array_equal(minus.eval(mode=AS_WRITTEN), -np.abs(X))


def test_a_density_and_its_gradient_are_one_call() -> None:
    x, y = pt.vector("x", shape=(3,)), pt.vector("y", shape=(3,))
    value = pl.jax_function(lambda x, y: -jnp.sum((x - y) ** 2))(x, y)
    function = pytensor.function([x, y], [value, pt.grad(value, x)], mode=FAST)
    (node,) = (node for node in function.maker.fgraph.apply_nodes if isinstance(node.op, JaxOp))
    assert isinstance(node.op.function, Joined)
    assert node.op.function.pulled.wrt == (0,)
    np.testing.assert_allclose(function(X, Y)[1], -2 * (X - Y))


def test_a_gradient_that_waits_for_the_values_goes_on_from_them_in_jax() -> None:
    traced = []

    def f(x: Any) -> Any:
        traced.append(x)
        return jnp.sin(x), jnp.argmax(x)

    x = pt.vector("x", shape=(3,))
    y, largest = pl.jax_function(f)(x)
    cost = (y**3).sum() + largest
    function = pytensor.function([x], [cost, pt.grad(cost, x)], mode="JAX")
    traced.clear()
    value, gradient = function(X)
    assert len(traced) == 1
    np.testing.assert_allclose(value, np.sum(np.sin(X) ** 3) + 2)
    np.testing.assert_allclose(gradient, 3 * np.sin(X) ** 2 * np.cos(X))


def test_ops_can_be_pickled_and_copied() -> None:
    scale = 3.0
    for f in (jnp.exp, parts_of_one, lambda x: x * scale):
        x = pt.vector("x", shape=(3,))
        y = pl.jax_function(f)(x)
        gradient = pt.grad(y.sum(), x)
        for op in (y.owner.op, gradient.owner.op):
            assert pickle.loads(pickle.dumps(op)) == op
            assert copy.deepcopy(op) == op
        assert len(pickle.dumps(pl.jax_function(jnp.exp)(x).owner.op)) < 1000
        assert isinstance(gradient.owner.op.function, Pulled)
    again = pickle.loads(pickle.dumps(pl.jax_function(lambda x: x * scale)))
    assert again(pt.constant(X)).eval(mode=AS_WRITTEN) == pytest.approx(3 * X)


def parts_of_one(x: Any) -> Any:
    return x * 2


def test_functions_go_when_nobody_needs_them() -> None:
    def f(x: Any) -> Any:
        return x + 1

    gone = weakref.ref(f)
    y = pl.jax_function(f)(pt.constant(X))
    assert y.eval(mode=AS_WRITTEN) == pytest.approx(X + 1)
    del y, f
    gc.collect()
    assert gone() is None


# Mistakes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: pl.jax_function(3), "Expected a function that JAX can trace. Found 3"),
        (lambda x: pl.jax_function(jnp.exp, dtype="float23")(x), "Did you mean 'float32'"),
        (lambda x: pl.jax_function(parts)(), "missing a required argument: 'pair'"),
        (lambda x: pl.jax_function(parts)({"x": x, "y": x}, powr=2), "Did you mean 'power'"),
        (lambda x: pl.jax_function(lambda x: 1 if x[0] > 0 else 2)(x), "jnp.where or jax.lax.cond"),
        (lambda x: pl.jax_function(lambda x: np.sin(x))(x), "jax.numpy in the place of numpy"),
        (lambda x: pl.jax_function(lambda x: "text")(x), "return arrays"),
        (lambda x: pl.jax_function(lambda x: None)(x), "Found None. Remedy: return what it computes"),
        (lambda x: pl.jax_function(lambda: x)(), "pass PyTensor variables as arguments"),
        (lambda x: pl.jax_function(lambda x, s: x)(x, {1}), "settings that can be hashed. Found set {1}"),
        (lambda x: pl.jax_function(lambda x: x)(pt.zvector()), "real and imaginary"),
        (lambda x: pl.jax_function(lambda x: x)(jax.random.key(0)), "jax.random.key_data"),
        (lambda x: jax.jit(lambda a: pl.jax_function(jnp.exp)(a))(X), "call the function itself"),
        (lambda x: pl.jax_function(lambda x: x * 1j)(x), "real and imaginary parts"),
        (lambda x: pl.jax_function(lambda x, y: x + y)(x, np.ones(4)), r"f.*float64 \(3,\), float64 \(4,\)"),
    ],
)
def test_mistakes_are_sentences(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call(pt.vector("x", shape=(3,)))


def test_what_has_no_derivative_says_so() -> None:
    f = pl.jax_function(lambda x: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: c * 2 + 1, x))
    y = f(x := pt.vector("x", shape=(3,)))
    assert y.eval({x: X}, mode=AS_WRITTEN)[0] > 3
    with pytest.raises(ValueError, match=r"reverse|scan"):
        pt.grad(y.sum(), x)


# Samplers


# A process that starts afresh does not know what the first has computed, nutpie starts none, and a sampler in JAX
# computes in any case: for these one start stands for the other, `spawn` for `forkserver`, and NumPyro for BlackJAX.
USUAL = {("warm", *way) for way in WAYS if way not in (("pymc", "forkserver"), ("blackjax",))}
USUAL |= {("cold", "pymc", "fork")}
EVERY = [(warmth, *way) for warmth in ("warm", "cold") for way in WAYS]


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=pytest.mark.table if way in USUAL else pytest.mark.slow, id=", ".join(way))
        for way in EVERY
    ],
)
def test_every_sampler_finishes(way: tuple[str, ...]) -> None:
    draws = draws_of("jax_samplers.py", way, limit=240)
    # Normal, by conjugacy.
    data = np.random.default_rng(1).normal(1.5, 1.0, 40)
    sd = (40 + 0.01) ** -0.5
    assert abs(draws.mean() - data.sum() * sd**2) < 0.3 * sd
    assert abs(draws.std() / sd - 1) < 0.2


def test_what_a_forked_process_meets() -> None:
    """Mistakes, functions that cannot be sent, processes that are killed and processes of processes: none hangs."""
    script = Path(__file__).with_name("jax_forked.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    squares = [1, 4, 9]
    assert found.pop("values") == [squares, [2, 4, 6], 3]
    assert found.pop("after the mistake") == [2] * 5
    assert found.pop("mistake").startswith("TypeError: add got incompatible shapes")
    assert "Expected a JAX function that can be sent to another process" in found.pop("cannot be sent")
    assert "Found one that ended before it answered" in found.pop("killed")
    assert found.pop("left") == []
    assert found == dict.fromkeys(
        ("after that", "after the kill", "a process forked from this one", "after that one"), squares
    )
