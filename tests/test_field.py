"""`pl.wishart_field` against NumPy's Chebyshev polynomials, SciPy's distributions and sums of normal variables."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.polynomial.chebyshev import chebval
from numpy.typing import NDArray
from pytensor.gradient import verify_grad
from pytensor.graph.replace import clone_replace
from scipy import stats
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.inference.posterior import compiled, start_points

Float = NDArray[np.float64]
RNG = np.random.default_rng(4)
FAST = "FAST_COMPILE"
CASES = [(0, 2, 1), (3, 2, 1), (2, 1, 0), (4, 1, 2), (2, 2, 0), (1, 3, 1)]


def field_of(degree: int, d: int, extra: int, **options: Any) -> tuple[pm.Model, Any]:
    with pm.Model() as model:
        field = pl.wishart_field("W", degree, d, extra, **options)
    return model, field


def some_weights(field: Any) -> Float:
    return RNG.normal(0, 0.1, field.shape)


def by_hand(weights: Float, x: Float, diagonal: float) -> Float:
    """Sigma by one sum over all products of polynomials at one stimulus."""
    found = []
    for stimulus in x:
        u = np.zeros(weights.shape[-2:])
        for degrees in np.ndindex(weights.shape[:-2]):
            u += weights[degrees] * np.prod([chebval(s, np.eye(9)[k]) for s, k in zip(stimulus, degrees, strict=True)])
        found.append(u @ u.T + diagonal * np.eye(len(u)))
    return np.array(found)


@pytest.mark.parametrize("case", one_of_a_kind(CASES, (3, 2, 1)))
def test_covariances_are_those_of_the_sum(case: tuple[int, int, int]) -> None:
    degree, d, extra = case
    model, field = field_of(degree, d, extra, diagonal=1e-3)
    x, weights = RNG.uniform(-1, 1, (5, d)), some_weights(field)
    x[0], x[1] = 1.0, -1.0
    expected = by_hand(weights, x, 1e-3)
    np.testing.assert_allclose(field.draws(weights, x), expected, rtol=1e-11)
    with model:
        data = pm.Data("x", x)
    outputs = [field.at(x), field.at(data), field.log_determinant(x)]
    assert outputs[0].type.shape == (5, d, d)
    constant, shared, log_det = pytensor.function([field.weights], outputs, mode=FAST)(weights)
    np.testing.assert_allclose(constant, expected, rtol=1e-11)
    np.testing.assert_allclose(shared, expected, rtol=1e-11)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(expected)[1], rtol=1e-9)
    # The weights that a sampler keeps of these have the same covariances.
    transform, inputs = model.rvs_to_transforms[field.weights], field.weights.owner.inputs
    kept = transform.backward(transform.forward(pt.as_tensor(weights), *inputs), *inputs).eval(mode=FAST)
    first = kept.reshape(-1, d + extra)[: d + extra - 1]
    assert np.all(np.diagonal(first) > 0)
    assert not np.triu(first, 1).any()
    np.testing.assert_allclose(field.draws(kept, x), expected, rtol=1e-9)


@pytest.mark.parametrize("case", one_of_a_kind(CASES, (3, 2, 1)))
def test_the_prior_is_that_of_bartlett(case: tuple[int, int, int]) -> None:
    degree, d, extra = case
    model, field = field_of(degree, d, extra, variance=0.3, decay=0.5)
    (name,) = (v.name for v in model.value_vars)
    z = RNG.normal(size=model.initial_point()[name].shape)
    n = min(d + extra - 1, d * (degree + 1) ** d)
    lengths = stats.chi(d + extra - np.arange(n)).logpdf(np.exp(z[:n])) + z[:n]
    expected = lengths.sum() + stats.norm.logpdf(z[n:]).sum()
    assert model.compile_logp(mode=FAST)({name: z}) == pytest.approx(expected, abs=1e-9)
    assert z.size == np.prod(field.shape) - sum(d + extra - 1 - k for k in range(n))
    # Without the Jacobian it is the density of independent normal weights.
    weights = model.rvs_to_transforms[field.weights].backward(pt.as_tensor(z), *field.weights.owner.inputs)
    total = np.indices(field.shape[:-2]).sum(axis=0)[..., None, None]
    normal = stats.norm(0, np.sqrt(0.3 * 0.5**total)).logpdf(weights.eval(mode=FAST)).sum()
    assert model.compile_logp(jacobian=False, mode=FAST)({name: z}) == pytest.approx(normal, abs=1e-9)


def test_scales_that_are_variables_enter_the_density_once() -> None:
    """On the unconstrained scale weights are standard: only the scales' own priors depend on them."""
    with pm.Model() as model:
        pl.wishart_field("W", 1, variance=pm.HalfNormal("variance"), decay=pm.Beta("decay", 2, 2))
    logp = model.compile_logp(mode=FAST)
    point = model.initial_point() | {"W_canonical__": RNG.normal(size=21)}
    with pm.Model() as alone:
        pm.HalfNormal("variance")
        pm.Beta("decay", 2, 2)
    own = alone.compile_logp(mode=FAST)
    found = []
    for v, d in ((0.0, 0.0), (-2.0, 1.0), (1.5, -3.0)):
        scales = {"variance_log__": np.array(v), "decay_logodds__": np.array(d)}
        found.append(logp(point | scales) - own(scales))
    np.testing.assert_allclose(found, found[0], rtol=1e-12)


def test_draws_from_the_prior_have_its_mean() -> None:
    model, field = field_of(3, 2, 1, variance=0.02, decay=0.6, diagonal=0.01)
    x = np.array([[0.0, 0.0], [1.0, 1.0], [0.3, -0.7]])
    with model:
        prior = pm.sample_prior_predictive(2000, random_seed=1)
    found = field.draws(prior, x, group="prior")[0]
    # Sum of the variances of three columns of U, each of independent terms.
    size = np.array(
        [
            sum(
                0.02 * 0.6 ** (i + j) * chebval(a, np.eye(4)[i]) ** 2 * chebval(b, np.eye(4)[j]) ** 2
                for i in range(4)
                for j in range(4)
            )
            for a, b in x
        ]
    )
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - (3 * size[:, None, None] + 0.01) * np.eye(2)) < 4.5 * error + 1e-12)


def test_determinants_that_rounding_would_swallow() -> None:
    """Two rows of U that are nearly the same, large, with a small diagonal: exact fractions say the determinant."""
    _, field = field_of(0, 2, 1, diagonal=1e-9)
    u = np.array([[3e3, 2e3, 1e3], [3e3, 2e3, 1e3 + 2.0**-20]])
    found = pytensor.function([field.weights], field.log_determinant([[0.2, 0.3]]), mode=FAST)(u[None, None])
    a, b = ([Fraction(float(v)) for v in row] for row in u)
    c = Fraction(1e-9)
    aa, bb, ab = (sum(p * q for p, q in zip(s, t, strict=True)) for s, t in ((a, a), (b, b), (a, b)))
    exact = float((aa + c) * (bb + c) - ab * ab)
    assert found[0] == pytest.approx(np.log(exact), abs=1e-5)
    wrong = field.draws(u[None, None], [[0.2, 0.3]])[0]
    assert wrong[0, 0] * wrong[1, 1] - wrong[0, 1] ** 2 != pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("what", ["at", "log_determinant"])
def test_gradients_are_those_of_differences(what: str) -> None:
    _, field = field_of(2, 2, 1)
    x, weights = RNG.uniform(-1, 1, (3, 2)), some_weights(field)

    def of_weights(w: Any) -> Any:
        return clone_replace(getattr(field, what)(x), {field.weights: w})

    def of_stimuli(stimuli: Any) -> Any:
        return clone_replace(getattr(field, what)(stimuli), {field.weights: pt.constant(weights)})

    for function, at in ((of_weights, weights), (of_stimuli, 0.9 * x)):
        with pytensor.config.change_flags(mode=FAST):
            verify_grad(function, [at], rng=np.random.default_rng(1), n_tests=1)


def test_the_start_is_round_and_has_a_slope() -> None:
    model, field = field_of(2, 2, 1, variance=0.04)
    with model:
        pm.Potential("size", field.log_determinant(np.zeros((1, 2))).sum())
    point = model.initial_point()
    at = compiled(model, model.replace_rvs_by_values([field.at([[0.1, 0.2]])]))(*point.values())[0]
    # Lengths of 3, 2 and 1 squared standard deviations, of variances 0.04 and, of the second degree of freedom, 0.016.
    expected = [[0.12 + 0.016 * 0.2**2, 0.0], [0.0, 0.08]] + 1e-4 * np.eye(2)
    np.testing.assert_allclose(at, [expected], rtol=1e-9)
    assert np.isfinite(model.compile_dlogp(mode=FAST)(point)).all()
    given = some_weights(field)
    (start,) = start_points(model, {"W": given}, 1, [False])
    back = compiled(model, model.replace_rvs_by_values([field.at([[0.1, 0.2]])]))(*start.values())[0]
    np.testing.assert_allclose(back, field.draws(given, [[0.1, 0.2]]), rtol=1e-9)


def members() -> tuple[pm.Model, Any]:
    with pm.Model(coords={"observer": ["ann", "bob", "cy"]}) as model:
        shared = pl.wishart_field("shared", 1)
        field = pl.wishart_field("W", 1, mean=shared, spread=pm.HalfNormal("spread", 0.5), dims="observer")
    return model, field


def test_members_have_fields_around_a_mean() -> None:
    model, field = members()
    assert model.named_vars_to_dims["W"][0] == "observer"
    x, who = RNG.uniform(-1, 1, (4, 2)), np.array([2, 0, 0, 1])
    weights = RNG.normal(0, 0.1, (3, *field.shape))
    expected = np.array([by_hand(w, x, 1e-4) for w in weights])
    outputs = [field.at(x, who), field.at(x), field.log_determinant(x, who), field.at(x, pt.constant(who))]
    mine, every, log_det, again = pytensor.function([field.weights], outputs, mode=FAST)(weights)
    np.testing.assert_allclose(every, expected, rtol=1e-11)
    np.testing.assert_allclose(mine, expected[who, np.arange(4)], rtol=1e-11)
    np.testing.assert_allclose(again, mine)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(mine)[1], rtol=1e-9)
    np.testing.assert_allclose(field.draws(weights, x, 1), expected[1], rtol=1e-11)
    np.testing.assert_allclose(field.draws(weights, x), expected, rtol=1e-11)
    # Deviations are standard normal on the unconstrained scale: an added density that the spread does not change.
    logp = model.compile_logp(mode=FAST)
    point = model.initial_point()
    moved = {name: RNG.normal(size=np.shape(v)) for name, v in point.items()}
    none = moved | {"W_standard__": np.zeros_like(moved["W_standard__"])}
    assert logp(moved) - logp(none) == pytest.approx(-0.5 * (moved["W_standard__"] ** 2).sum(), rel=1e-9)


def test_stimuli_that_repeat_are_evaluated_once_and_have_their_places() -> None:
    x = RNG.uniform(-1, 1, (4, 2))
    again, who = np.array([3, 0, 0, 2, 3, 1, 3]), np.array([2, 0, 1, 2, 1, 0, 0])
    _, several = members()
    weights = RNG.normal(0, 0.1, (3, *several.shape))
    expected = np.array([by_hand(w, x[again], 1e-4) for w in weights])
    outputs = [several.at(x[again]), several.at(x[again], who), several.log_determinant(x[again])]
    every, mine, log_det = pytensor.function([several.weights], outputs, mode=FAST)(weights)
    np.testing.assert_allclose(every, expected, rtol=1e-11)
    np.testing.assert_allclose(mine, expected[who, np.arange(7)], rtol=1e-11)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(expected)[1], rtol=1e-9)
    with pytest.raises(ValueError, match="7"):
        several.at(x[again], who[:4])
    _, one = field_of(1, 2, 1)
    found = one.at(x[again])
    assert found.type.shape == (7, 2, 2)
    outputs = [found, pt.grad(found[0].sum(), one.weights)]
    value, slope = pytensor.function([one.weights], outputs, mode=FAST)(weights[0])
    np.testing.assert_allclose(value, expected[0], rtol=1e-11)
    alone = pytensor.function([one.weights], pt.grad(one.at(x[3:]).sum(), one.weights), mode=FAST)(weights[0])
    np.testing.assert_allclose(slope, alone, rtol=1e-11)


def test_a_model_with_a_field_is_pickled() -> None:
    import cloudpickle

    model, field = members()
    again, its = pickle.loads(cloudpickle.dumps((model, field)))
    assert [v.name for v in again.value_vars] == [v.name for v in model.value_vars]
    x, weights = [[0.2, -0.4]], RNG.normal(0, 0.1, (3, *field.shape))
    np.testing.assert_array_equal(its.draws(weights, x), field.draws(weights, x))
    given = pytensor.function([its.weights], its.at(x), mode=FAST)(weights)
    np.testing.assert_allclose(given, field.draws(weights, x), rtol=1e-12)


def test_single_precision_is_left_as_it_is() -> None:
    with pytensor.config.change_flags(floatX="float32"):
        model, field = field_of(1, 2, 1)
        with model:
            pm.Potential("size", field.log_determinant(np.zeros((2, 2))).sum())
        point = model.initial_point()
        found = model.compile_logp(mode=FAST)(point)
    model, field = field_of(1, 2, 1)
    with model:
        pm.Potential("size", field.log_determinant(np.zeros((2, 2))).sum())
    assert found == pytest.approx(float(model.compile_logp(mode=FAST)(model.initial_point())), rel=1e-5)


OUTSIDE = "Expected stimuli from -1 to 1 in every coordinate"
ONE = field_of(1, 2, 1)[1]
SEVERAL = members()[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ONE.at([[0.0, 1.001]]), OUTSIDE),
        (lambda: ONE.log_determinant([[-2.0, 0.0]]), OUTSIDE),
        (lambda: ONE.draws(np.zeros(ONE.shape), [[0.0, 7.0]]), OUTSIDE),
        (lambda: ONE.at(pytensor.shared(np.array([[0.0, 1.1]]))), OUTSIDE),
        (lambda: ONE.at([[np.nan, 0.0]]), "Expected a number for every coordinate"),
        (lambda: ONE.at([0.0, 1.0]), r"Expected stimuli of shape (n, 2). Found shape (2,)"),
        (lambda: ONE.at(np.zeros((3, 3))), r"Found shape (3, 3)"),
        (lambda: ONE.at([["a", "b"]]), "Expected numbers"),
        (lambda: ONE.at([[0.0, 0.0]], member=[0]), "being one field. Found member."),
        (lambda: ONE.draws(np.zeros((3, 3, 2, 3)), [[0.0, 0.0]]), "Expected weights of shape (..., 2, 2, 2, 3)"),
        (lambda: ONE.draws(np.zeros(ONE.shape), [[0.0, 0.0]], member=0), "being one field. Found member."),
        (lambda: ONE.draws("psyphy", [[0.0, 0.0]]), "as weights"),
        (lambda: SEVERAL.at([[0.0, 0.0]], member=[3]), "Expected numbers of members from 0 to 2"),
        (lambda: SEVERAL.at([[0.0, 0.0]], member=[-1]), "Expected numbers of members from 0 to 2"),
        (lambda: SEVERAL.at([[0.0, 0.0]] * 2, member=["ann", "bob"]), "as member"),
        (lambda: SEVERAL.at([[0.0, 0.0]] * 3, member=[0, 1]), "member"),
        (lambda: ONE.draws(az.from_dict({"prior": {"V": np.zeros((1, 1))}}), [[0.0, 0.0]]), "weights 'W' in the group"),
        (lambda: field_of(-1, 2, 1), "degree as a whole number, 0 or more"),
        (lambda: field_of(2, 4, 1), "Expected d, the dimensions of a stimulus, up to 3. Found d=4."),
        (lambda: field_of(2, 2, -1), "extra as a whole number, 0 or more"),
        (lambda: field_of(2, 2, 1, diagonal=0.0), "Expected diagonal as one number above 0."),
        (lambda: field_of(2, 2, 1, variance=-1.0), "Expected variance as one number above 0."),
        (lambda: field_of(2, 2, 1, decay=np.nan), "Expected decay as one number above 0."),
        (lambda: field_of(2, 2, 1, variance="large"), "Expected variance as one number above 0."),
        (lambda: field_of(2, 2, 1, dims="observer"), "Expected dims beside mean=..."),
        (lambda: field_of(2, 2, 1, mean=ONE), "Expected as mean one field of degree=2"),
        (lambda: field_of(1, 2, 1, mean=0.5), "degree=1, d=2, extra=1. Found 0.5."),
        (lambda: field_of(1, 2, 1, mean=SEVERAL), "Expected as mean one field of degree=1"),
        (lambda: field_of(1, 2, 1, mean=ONE), "Expected dims, the model's dimension of the members. Found dims=None."),
    ],
)
def test_mistakes_are_explained(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"Expected") as caught:
        call()
    assert words in str(caught.value)


def test_data_that_are_exchanged_are_looked_at() -> None:
    model, field = field_of(1, 2, 1)
    with model:
        x = pm.Data("x", np.zeros((2, 2)))
        sigma = field.at(x)
    function = pytensor.function([field.weights], sigma, mode=FAST)
    with model:
        pm.set_data({"x": np.full((3, 2), 0.5)})
    assert function(some_weights(field)).shape == (3, 2, 2)
    with model:
        pm.set_data({"x": np.full((3, 2), 1.5)})
    with pytest.raises(ValueError, match=OUTSIDE):
        function(some_weights(field))


def test_exchanged_data_that_are_wrong_have_no_covariance() -> None:
    """JAX cannot raise, and would go on with another member, or with polynomials outside of their domain."""
    x, who = pytensor.shared(np.zeros((2, 2))), pytensor.shared(np.array([0, 1]))
    sigma, weights = SEVERAL.at(x, who), np.ones((3, *SEVERAL.shape))
    raises, silent = (pytensor.function([SEVERAL.weights], sigma, mode=mode) for mode in (FAST, "JAX"))
    who.set_value(np.array([0, -1]))
    with pytest.raises(ValueError, match="numbers of members in a variable"):
        raises(weights)
    assert np.isnan(silent(weights)).all(axis=(1, 2)).tolist() == [False, True]
    who.set_value(np.array([2, 3]))
    with pytest.raises(ValueError, match="numbers of members in a variable"):
        raises(weights)
    assert np.isnan(silent(weights)).all(axis=(1, 2)).tolist() == [False, True]
    who.set_value(np.array([2, 1]))
    x.set_value(np.array([[0.0, 1.1], [0.5, -1.0]]))
    assert np.isnan(silent(weights)).all(axis=(1, 2)).tolist() == [True, False]
