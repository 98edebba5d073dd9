"""Networks of Flax in PyMC models, against the same networks in NumPy and against closed-form posteriors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import perform
from flax import linen, nnx
from safetensors.numpy import save_file
from scipy import stats
from xarray import DataTree

import pymc_lan as pl

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 3))
Y = RNG.normal(size=6)
NOISE = np.array(0.5)  # of Python numbers PyTensor makes constants of single precision


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)])

    def __call__(self, x: Any, scale: float = 1.0) -> Any:
        return scale * self.layers[1](jnp.tanh(self.layers[0](x)))[:, 0]


class Normalised(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.inner = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.drop(self.norm(self.inner(x))).sum(axis=1)


class Compact(linen.Module):
    rate: float = 0.0
    statistics: bool = False

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.tanh(linen.Dense(4)(x))
        if self.statistics:
            x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dense(1)(linen.Dropout(self.rate, deterministic=not train)(x))[:, 0]


def net() -> Net:
    return Net(nnx.Rngs(0))


def evaluated() -> Normalised:
    module = Normalised(nnx.Rngs(0))
    module.eval()
    return module


def model_of(module: Any, **options: Any) -> pm.Model:
    with pm.Model() as model:
        x = pm.Data("x", X)
        pm.Normal("y", pl.flax_module(module, x, **options), NOISE, observed=Y)
    return model


def prior_log_density(values: dict[str, Any]) -> float:
    """Kernels have standard deviation 1 / sqrt(inputs), biases 1."""
    scale = {name: 1 / np.sqrt(len(x)) if x.ndim > 1 else 1.0 for name, x in values.items()}
    return sum(stats.norm(0, scale[name]).logpdf(x).sum() for name, x in values.items())


@pytest.mark.parametrize(
    ("module", "first", "second"),
    [(net, "layers.0.", "layers.1."), (Compact, "Dense_0.", "Dense_1.")],
    ids=["NNX", "Linen"],
)
def test_the_density_is_that_of_the_network_in_numpy(module: Callable[[], Any], first: str, second: str) -> None:
    model = model_of(module())
    shapes = {f"{first}kernel": (3, 4), f"{first}bias": (4,), f"{second}kernel": (4, 1), f"{second}bias": (1,)}
    assert {rv.name: rv.type.shape for rv in model.free_RVs} == shapes

    def expected(values: dict[str, Any]) -> float:
        hidden = np.tanh(X @ values[f"{first}kernel"] + values[f"{first}bias"])
        output = (hidden @ values[f"{second}kernel"] + values[f"{second}bias"])[:, 0]
        return prior_log_density(values) + stats.norm(output, NOISE).logpdf(Y).sum()

    point = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    way = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        logp, slopes = model.compile_logp()(point), model.compile_dlogp()(point)
    assert logp == pytest.approx(expected(point), rel=1e-10)
    step = 1e-5
    ends = [expected({name: x + h * way[name] for name, x in point.items()}) for h in (-step, step)]
    along = np.concatenate([way[v.name].ravel() for v in model.value_vars])
    assert slopes @ along == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-6)


def test_weights_start_from_the_modules_own_values() -> None:
    module = net()
    start = model_of(module).initial_point()
    np.testing.assert_array_equal(start["layers.0.kernel"], np.asarray(module.layers[0].kernel[...], float))


def test_copies_of_a_model_start_from_them_too_and_say_the_log_likelihood() -> None:
    module = net()
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        model = model_of(module)
        fixed = pm.do(model, {"layers.0.bias": np.ones(4)})
        prior = pm.sample_prior_predictive(2, model=model, random_seed=1)
        idata = DataTree.from_dict(
            {"posterior": prior["prior"].dataset, "observed_data": prior["observed_data"].dataset}
        )
        pm.compute_log_likelihood(idata, model=model, progressbar=False)
    start = np.asarray(module.layers[0].kernel[...], float)
    np.testing.assert_array_equal(fixed.initial_point()["layers.0.kernel"], start)
    drawn = {name: x.values[0] for name, x in prior["prior"].data_vars.items()}
    for k, found in enumerate(idata["log_likelihood"]["y"].values[0]):
        w = {name: x[k] for name, x in drawn.items()}
        hidden = np.tanh(X @ w["layers.0.kernel"] + w["layers.0.bias"])
        output = (hidden @ w["layers.1.kernel"] + w["layers.1.bias"])[:, 0]
        np.testing.assert_allclose(found, stats.norm(output, NOISE).logpdf(Y), rtol=1e-10)


# A single layer without bias is a linear regression, whose posterior is known.
LINEAR = nnx.Linear(3, 1, use_bias=False, rngs=nnx.Rngs(0))
COVARIANCE = np.linalg.inv(X.T @ X / NOISE**2 + np.eye(3) / 0.7**2)
MEAN = COVARIANCE @ X.T @ Y / NOISE**2


def linear() -> pm.Model:
    with pm.Model() as model:
        output = pl.flax_module(LINEAR, X, prior=0.7)
        pm.Normal("y", output[:, 0], NOISE, observed=Y)
    return model


def test_the_mode_of_a_linear_network_is_that_of_the_formula() -> None:
    fit = pl.fit_map(linear(), optax.adam(0.05), 2000, tol=1e-4)
    np.testing.assert_allclose(fit.point["kernel"][:, 0], MEAN, atol=1e-4)


def in_minibatches(n: int = 600) -> tuple[pm.Model, Any, Any]:
    """A linear network whose inputs are other rows at each step; mean and standard deviation of its posterior."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    y = x @ [1.0, -0.5, 0.2] + rng.normal(0, NOISE, n)
    covariance = np.linalg.inv(x.T @ x / NOISE**2 + np.eye(3) / 0.7**2)
    with pm.Model() as model:
        some_x, some_y = pm.Minibatch(x, y, batch_size=100)
        output = pl.flax_module(LINEAR, some_x, prior=0.7)
        pm.Normal("y", output[:, 0], NOISE, observed=some_y, total_size=n)
    return model, covariance @ x.T @ y / NOISE**2, np.sqrt(np.diag(covariance))


# Six minibatches a pass leave an error of about the posterior's own width.
WIDTHS = 4


def test_advi_in_minibatches_finds_the_mean_of_the_formula() -> None:
    model, mean, sd = in_minibatches()
    with pytensor.config.change_flags(mode="FAST_COMPILE"), model:
        fit = pm.fit(1000, obj_optimizer=pm.adam(learning_rate=0.02), random_seed=1, progressbar=False)
    assert np.all(np.abs(fit.mean.eval() - mean) < WIDTHS * sd)


def test_the_mode_in_minibatches_is_that_of_the_formula() -> None:
    model, mean, sd = in_minibatches()
    rate = optax.cosine_decay_schedule(0.02, 1000)
    fit = pl.fit_map(model, optax.adam(rate), 1000, seed=1)
    assert np.all(np.abs(fit.point["kernel"][:, 0] - mean) < WIDTHS * sd)


@pytest.mark.table
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_samplers_find_the_posterior_of_the_formula(sampler: str) -> None:
    with linear():
        idata = pm.sample(800, tune=500, chains=2, cores=1, nuts_sampler=sampler, random_seed=1, progressbar=False)
    draws = idata.posterior["kernel"].values.reshape(-1, 3)
    sd = np.sqrt(np.diag(COVARIANCE))
    assert np.all(np.abs(draws.mean(axis=0) - MEAN) < 4.5 * sd / np.sqrt(400))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.15)


def test_priors_are_what_is_given() -> None:
    def prior(path: str, shape: tuple[int, ...]) -> Any:
        match path:
            case "layers.0.kernel":
                return pm.Laplace.dist(0, 2)
            case "layers.0.bias":
                return 0.3
            case "layers.1.kernel":
                return pm.HalfNormal("w", 1, shape=shape) / 2
        return np.full(shape, 4)

    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        model = model_of(net(), prior=prior, name="net")
        assert [rv.name for rv in model.free_RVs] == ["net.layers.0.bias", "net.layers.0.kernel", "w"]
        bias, kernel = RNG.normal(size=4), RNG.normal(size=(3, 4))
        found = model.compile_logp(vars=model.free_RVs[:2], sum=True)(
            {"net.layers.0.bias": bias, "net.layers.0.kernel": kernel, "w_log__": np.zeros((4, 1))}
        )
        everywhere = model_of(net(), prior=pm.Laplace.dist(0, 2))
    assert found == pytest.approx(stats.norm(0, 0.3).logpdf(bias).sum() + stats.laplace(0, 2).logpdf(kernel).sum())
    assert [rv.type.shape for rv in everywhere.free_RVs] == [(4,), (3, 4), (1,), (4, 1)]


def prior_parameters(model: pm.Model, which: int) -> dict[str, float]:
    return {rv.name: float(perform(rv.owner.op.dist_params(rv.owner)[which]).mean()) for rv in model.free_RVs}


def test_scales_are_around_one() -> None:
    means = prior_parameters(model_of(evaluated()), 0)
    assert means == {"inner.bias": 0, "inner.kernel": 0, "norm.bias": 0, "norm.scale": 1}


def test_biases_with_more_axes_are_no_kernels() -> None:
    with pm.Model() as model:
        pl.flax_module(nnx.LinearGeneral(3, (2, 4), rngs=nnx.Rngs(0)), X)
    assert prior_parameters(model, 1)["bias"] == 1


def test_frozen_weights_and_statistics_come_from_a_file(tmp_path: Path) -> None:
    kernel, mean, var = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.uniform(1, 2, 4)
    arrays = {"inner/kernel": kernel, "inner.bias": np.zeros(4), "norm.mean": mean, "norm.var": var}
    save_file({name: x.astype("float32") for name, x in arrays.items()}, tmp_path / "net.safetensors")
    model = model_of(evaluated(), frozen=tmp_path / "net.safetensors")
    assert [rv.name for rv in model.free_RVs] == ["norm.bias", "norm.scale"]
    bias, scale = RNG.normal(size=(2, 4))
    output = ((X @ kernel - mean) / np.sqrt(var + 1e-5) * scale + bias).sum(axis=1)
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        found = model.compile_logp(vars=model.observed_RVs)({"norm.bias": bias, "norm.scale": scale})
    assert found == pytest.approx(stats.norm(output, NOISE).logpdf(Y).sum(), rel=1e-5)
    # Nothing is left to a model.
    alone = pl.flax_module(LINEAR, X, frozen={"kernel": np.ones((3, 1))})
    np.testing.assert_allclose(alone.eval(mode="FAST_COMPILE")[:, 0], X.sum(axis=1))


def test_frozen_weights_may_be_nested_as_flax_has_them() -> None:
    variables = linen.Dense(2).init(jax.random.key(0), X)
    trained = net()
    for module, frozen in ((linen.Dense(2), variables), (net(), nnx.state(trained, nnx.Param))):
        output = pl.flax_module(module, X, frozen=frozen).eval(mode="FAST_COMPILE")
        expected = trained(X) if isinstance(module, Net) else module.apply(variables, X)
        np.testing.assert_allclose(output, expected, atol=1e-6)


class Recurrent(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.trials = nnx.RNN(nnx.SimpleCell(1, 2, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        return self.trials(x[..., None])[:, -1].sum(axis=1)


def test_recurrent_networks_whose_first_state_is_drawn_as_zeros() -> None:
    with pm.Model() as model:
        output = pl.flax_module(Recurrent(nnx.Rngs(0)), X, dtype="float32")
    weights = {rv.name.split("cell.")[-1]: RNG.normal(size=rv.type.shape) for rv in model.free_RVs}
    given = {rv: weights[rv.name.split("cell.")[-1]] for rv in model.free_RVs}
    state = np.zeros((len(X), 2))
    for column in X.T:
        seen = column[:, None] @ weights["dense_i.kernel"] + weights["dense_i.bias"]
        state = np.tanh(seen + state @ weights["dense_h.kernel"])
    np.testing.assert_allclose(output.eval(given, mode="FAST_COMPILE"), state.sum(axis=1), rtol=1e-5)


class Gated(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.RNN(linen.GRUCell(2))(x[..., None])[:, -1].sum(axis=1)


class Scaled(linen.Module):
    scale: float

    @linen.compact
    def __call__(self, x: Any) -> Any:
        return jnp.copysign(1.0, self.scale) * linen.Dense(1)(x)[:, 0]


class ScaledNnx(nnx.Module):
    def __init__(self, scale: float):
        self.scale = scale
        self.dense = nnx.Linear(3, 1, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        return jnp.copysign(1.0, self.scale) * self.dense(x)[:, 0]


@pytest.mark.parametrize("kind", [Scaled, ScaledNnx])
def test_modules_with_equal_attributes_are_told_apart(kind: Any) -> None:
    def ones(path: str, shape: tuple[int, ...]) -> Any:
        return np.ones(shape)

    with pm.Model():
        plus, minus = (pl.flax_module(kind(x), X, prior=ones).eval(mode="FAST_COMPILE") for x in (0.0, -0.0))
    np.testing.assert_array_equal(plus, -minus)


def test_weights_are_shared_and_nothing_is_compiled_twice() -> None:
    with pm.Model() as model:
        one = pl.flax_module(net(), X)
        two = pl.flax_module(net(), X[::-1], prior=lambda path, shape: model[path])
        three = pl.flax_module(net(), X, name="other", scale=2.0)
    assert len(model.free_RVs) == 8
    assert one.owner.op == two.owner.op
    assert one.owner.op != three.owner.op
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        a, b = pm.draw([one, two], random_seed=1)
    np.testing.assert_allclose(a, b[::-1])


def test_models_can_be_pickled() -> None:
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        model = model_of(evaluated())
        point = model.initial_point()
        copy = cloudpickle.loads(cloudpickle.dumps(model))
        assert copy.compile_logp()(point) == pytest.approx(model.compile_logp()(point), rel=1e-12)


def test_data_may_have_other_lengths_later() -> None:
    model = model_of(net())
    output = model["y"].owner.op.dist_params(model["y"].owner)[0]
    for n in (2, 6, 0):
        with model:
            pm.set_data({"x": X[:n]})
        assert pm.draw(output, mode="FAST_COMPILE").shape == (n,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: model_of(Normalised(nnx.Rngs(0))),
            "changes drop.rngs.count, norm.mean, norm.var. Remedy: call module.ev",
        ),
        (lambda: model_of(Compact(statistics=True), train=True), "changes batch_stats.BatchNorm_0.mean, batch_stats."),
        (lambda: model_of(Compact(rate=0.5), train=True), "Found one whose call changes its random numbers."),
        (lambda: model_of(Net), "Expected a module of Flax, NNX or Linen. Found <class"),
        (lambda: model_of(nnx.Linear(4, 1, rngs=nnx.Rngs(0))), "called with inputs of shapes (6, 3). Found TypeError"),
        (lambda: model_of(net(), skale=2), "unexpected keyword argument 'skale'"),
        (lambda: model_of(net(), prior=0.0), "a standard deviation above 0 for layers.0.bias. Found 0.0."),
        (lambda: model_of(net(), prior="normal"), "Expected a prior of layers.0.bias. Found 'normal'."),
        (lambda: model_of(net(), prior=pm.Normal.dist(shape=7)), "of shape (4,) for layers.0.bias. Found one of (7,)."),
        (lambda: model_of(net(), frozen={"layers.0.kernal": 1}), "Did you mean 'layers.0.kernel'?"),
        (lambda: model_of(net(), frozen={"layers.0.bias": np.ones(3)}), "Found float64 of shape (3,)."),
        (
            lambda: model_of(net(), frozen={"layers.0.bias": np.full(4, np.nan)}),
            "Expected finite numbers of shape (4,)",
        ),
        (lambda: model_of(net(), frozen="nowhere.safetensors"), "Expected a safetensors file of frozen weights."),
        (
            lambda: model_of(Gated()),
            "Remedy: begin with a carry of the type that it will have, or give dtype='float32'",
        ),
        (lambda: pl.flax_module(net(), np.array([["a", "b", "c"]])), "Remedy: give numbers: of text, the codes"),
        (lambda: model_of(net(), dtype="float16"), "Unknown dtype 'float16'"),
    ],
)
def test_mistakes_are_explained(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as caught:
        call()
    assert words in str(caught.value)


def test_a_name_in_use_is_refused() -> None:
    with pm.Model():
        pl.flax_module(net(), X)
        with pytest.raises(ValueError, match=r"Found 'layers\.0\.bias' in use\. Remedy: give name="):
            pl.flax_module(net(), X)


def test_an_input_of_unknown_length_is_tried() -> None:
    with pm.Model() as model:
        y = pl.flax_module(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), pt.dmatrix("x"))
    assert y.type.ndim == 2
    assert len(model.free_RVs) == 2
