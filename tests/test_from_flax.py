"""Networks that were trained elsewhere: what a module says, a network says, in every backend and after a file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from flax import linen, nnx
from pytensor.compile.mode import Mode

import pymc_lan as pl
from pymc_lan.networks.accuracy.accuracy import _choice
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.program import Program
from pymc_lan.networks.traced import as_function, as_mlp, trace

X = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
TOY: dict[str, Any] = {"bounds": {"v": (-3, 3), "t": (0, 2)}, "choices": (-1, 1)}
PLAINLY = Mode(linker="py", optimizer=None)


class Odd(nnx.Module):
    """Everything that a plain multilayer perceptron has not."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.second = nnx.Linear(8, 8, use_bias=False, rngs=rngs)
        self.norm, self.batch = nnx.LayerNorm(8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(12, 1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        h = jax.nn.gelu(self.first(x))
        h = h + self.dropout(jax.nn.silu(self.batch(self.norm(self.second(h)))))
        more = jnp.concatenate([x[:, 1:3], jnp.max(x, axis=1, keepdims=True), jnp.log1p(x[:, [3]] ** 2)], axis=-1)
        return self.last(jnp.concatenate([jax.nn.elu(h), more], axis=-1))[:, 0]


def odd() -> Odd:
    return Odd(nnx.Rngs(0))


class Plain(linen.Module):
    """As in the article."""

    activation: Callable[[Any], Any]

    @linen.compact
    def __call__(self, x: Any) -> Any:
        for width in (6, 5):
            x = self.activation(linen.Dense(width, bias_init=linen.initializers.normal(0.3))(x))
        return linen.Dense(1)(x)


def evaluated(module: Any) -> Any:
    still = nnx.clone(module)
    still.eval()
    return still


def one_row(x: Any) -> Any:
    """Of a single row, unpacked."""
    v, a, z, t = x
    return jnp.where(v > 0, v * a, jnp.clip(z, -1, 1)) + jnp.dot(x, x) ** 3 - jnp.sqrt(jnp.abs(t)) + jnp.sign(a)


def columns(x: Any) -> Any:
    v, a, z, t = x.T
    return jax.scipy.special.erf(v) + jnp.minimum(a, z) * jnp.prod(x, axis=1) + jnp.cos(t) / (1 + jnp.square(z))


MODULES = {
    "of everything": (odd(), evaluated(odd())),
    "of one row": (one_row, jax.vmap(one_row)),
    "of columns": (columns, columns),
}


@pytest.mark.parametrize(("module", "expected"), MODULES.values(), ids=MODULES)
def test_a_program_says_what_the_module_says_in_every_namespace(module: Any, expected: Callable[[Any], Any]) -> None:
    program = trace(as_function(module), 4)
    truth, gradient = jax.jit(lambda x: (expected(x), jax.grad(lambda x: expected(x).sum())(x)))(X)
    np.testing.assert_allclose(program(tuple(X.T)), truth, rtol=1e-5, atol=1e-5)
    in_jax = jax.jit(lambda *x: program.outputs(jnp, x)[0])
    np.testing.assert_allclose(in_jax(*X.T), truth, rtol=1e-5, atol=1e-5)
    inputs = [pt.dvector() for _ in range(4)]
    value = program.outputs(pt, inputs)[0]
    found = pytensor.function(inputs, [value, *pytensor.grad(value.sum(), inputs)], mode=PLAINLY)(*X.T.astype(float))
    np.testing.assert_allclose(found[0], truth, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.stack(found[1:], axis=1), gradient, rtol=1e-4, atol=1e-4)
    assert as_mlp(program) is None


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_a_plain_network_is_recognised(activation: str) -> None:
    module = Plain(getattr(jax.nn, activation))
    variables = module.init(jax.random.key(0), X)
    network = pl.from_flax((module, variables), "toy", **TOY)
    assert isinstance(network.lan, MLP)
    assert (network.lan.sizes, network.lan.activation) == ((4, 6, 5, 1), activation)
    np.testing.assert_allclose(network.lan(tuple(X.T)), np.asarray(module.apply(variables, X))[:, 0], atol=1e-6)
    assert pl.from_flax(module.bind(variables), "toy", **TOY) == network


def exponential(x: Any) -> Any:
    """Log density of a response at a rate of exp(v), whichever it is, from t on."""
    v, t, rt, _ = x.T
    return v - jnp.exp(v) * (rt - t) - jnp.log(2)


def test_a_model_with_it_has_its_density() -> None:
    network = pl.from_flax(exponential, "toy", **TOY)
    data = np.array([[0.5, 1.0], [0.9, -1.0]])
    expected = 0.4 - np.exp(0.4) * (data[:, 0] - 0.3) - np.log(2)
    found = pm.logp(pl.LANDist.dist(network, 0.4, 0.3, shape=(2, 2)), data)
    np.testing.assert_allclose(found.eval(mode=PLAINLY), expected, atol=1e-6)
    np.testing.assert_allclose(network.logpdf(*data.T, v=0.4, t=0.3), expected, atol=1e-6)
    np.testing.assert_allclose(network.as_jax()(*data.T, 0.4, 0.3), expected, atol=1e-6)


def bounds_reached(x: Any) -> tuple[Any, Any]:
    """Probability of the lower and of the upper boundary of a diffusion."""
    v, a, z, _ = x.T
    v = jnp.where(v == 0, 1e-6, v)
    both = jnp.expm1(-4 * v * a)
    return jnp.exp(-4 * v * a * z) * jnp.expm1(-4 * v * a * (1 - z)) / both, jnp.expm1(-4 * v * a * z) / both


CPNS: dict[str, Callable[[Any], Any]] = {
    "probability": lambda x: bounds_reached(x)[0],
    "log_probability": lambda x: jnp.log(bounds_reached(x)[0]),
    "logit": lambda x: jnp.log(bounds_reached(x)[0]) - jnp.log(bounds_reached(x)[1]),
}


def lan(x: Any) -> Any:
    return -x[:, 4]


@pytest.mark.parametrize("gives", CPNS)
def test_a_choice_network_gives_the_probability_of_no_press(gives: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymc_lan.registry.from_flax.accuracy", lambda *_, **__: None)
    network = pl.from_flax(lan, "ddm", CPNS[gives], choice_output=gives)
    v, a, z = np.array([0.0, 1.0, -0.7]), np.array([0.8, 1.2, 1.0]), np.array([0.5, 0.4, 0.6])
    found = network.probabilities(v=v, a=a, z=z, t=0.3)[:, 0]
    expected = [1 - oracle.upper_by(np.inf, *row) for row in zip(v, a, z, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    rv = pl.GoNoGo.dist(network, 1.0, 1.2, 0.4, 0.3, shape=(1, 2))
    assert pm.logp(rv, [[np.inf, 0.0]]).eval(mode=PLAINLY).item() == pytest.approx(np.log(expected[1]), abs=1e-5)
    measured = _choice(network, pl.get_model("ddm").labels, np.random.default_rng(0), 400)
    assert measured is not None
    assert measured.keys() == {"go", "nogo"}
    assert max(each["mean"] for each in measured.values()) < 1e-3


def test_a_plain_choice_network_is_recognised_by_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymc_lan.registry.from_flax.accuracy", lambda *_, **__: None)
    module = Plain(jnp.tanh)
    variables = module.init(jax.random.key(0), X)
    ends = {
        "logit": lambda x: module.apply(variables, x),
        "log_probability": lambda x: jax.nn.log_sigmoid(module.apply(variables, x)),
        "probability": lambda x: jax.nn.sigmoid(module.apply(variables, x)),
    }
    found = {pl.from_flax(lan, "ddm", end, choice_output=gives).choice for gives, end in ends.items()}
    (choice,) = found
    assert isinstance(choice, MLP)
    np.testing.assert_allclose(choice(tuple(X.T)), np.asarray(module.apply(variables, X))[:, 0], atol=1e-6)


def test_a_version_brings_back_what_was_written(tmp_path: Path) -> None:
    network = pl.from_flax(odd(), "toy", **TOY, out=tmp_path)
    assert isinstance(network.lan, Program)
    again = pl.load_network(tmp_path / "toy" / "from_flax")
    assert again == network == pickle.loads(pickle.dumps(network))
    assert network.config["training"] == {"elsewhere": "a module of the class Odd"}
    card = (tmp_path / "toy" / "from_flax" / "README.md").read_text()
    assert f"| lan | {len(network.lan.steps)} operations on 4 inputs | - |" in card
    for out, format in ((tmp_path / "x.onnx", "onnx"), (tmp_path / "x", "orbax")):
        with pytest.raises(ValueError, match="a plain multilayer perceptron for the format"):
            pl.export(network, out, format)


SPOILED: dict[str, Callable[[Any], Any]] = {
    "another operation": lambda steps: [["eval", [0], []], *steps[1:]],
    "what comes later": lambda steps: [["exp", [99], []], *steps[1:]],
    "no such weights": lambda steps: [["matmul", [0], [99]], *steps[1:]],
    "too many operands": lambda steps: [*steps[:-1], ["exp", [0, 0], []]],
    "ever wider": lambda steps: [*(["concatenate", [k, k], []] for k in range(40)), *steps],
    "no list": lambda steps: "steps",
    "a wide output": lambda steps: [["exp", [0], []]],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_program_that_is_none_is_refused(spoil: Callable[[Any], Any], tmp_path: Path) -> None:
    pl.from_flax(exponential, "toy", **TOY, out=tmp_path)
    path = tmp_path / "toy" / "from_flax" / "config.json"
    config = json.loads(path.read_text())
    config["networks"]["lan"]["program"] = spoil(config["networks"]["lan"]["program"])
    path.write_text(json.dumps(config))
    with pytest.raises(pl.RegistryError):
        pl.load_network(tmp_path / "toy" / "from_flax")


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "sorting": (lambda: pl.from_flax(lambda x: jnp.sort(x)[:, 0], "toy", **TOY), "the operation 'sort' of JAX"),
    "inputs": (lambda: pl.from_flax(odd(), "ddm"), "module as a function of rows of 6 inputs to one number each"),
    "outputs": (lambda: pl.from_flax(lambda x: x, "toy", **TOY), r"outputs of shape \(n, 4\)"),
    "no weights": (lambda: pl.from_flax(Plain(jnp.tanh), "toy", **TOY), "one of linen without its variables"),
    "no module": (
        lambda: pl.from_flax(3, "toy", **TOY),
        "module of Flax, or a function of JAX. Found a int",
    ),
    "constant": (lambda: pl.from_flax(lambda x: jnp.ones(len(x)), "toy", **TOY), "that depends on its inputs"),
    "model": (lambda: pl.from_flax(lan, "toy"), "bounds of every parameter"),
    "logits": (lambda: pl.from_flax(lan, "ddm", lambda x: x[:, 0]), "each a log probability, from -inf to 0"),
    "word": (lambda: pl.from_flax(lan, "ddm", lan, choice_output="odds"), "Unknown choice_output 'odds'"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_network_is_refused(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
