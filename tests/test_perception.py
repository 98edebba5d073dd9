"""Tasks of perception: exact probabilities, the network that learned them, and distributions of answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from arviz import from_dict
from backends import AS_WRITTEN, assert_backends_agree
from scipy.special import owens_t
from scipy.stats import multivariate_normal, norm

import pymc_lan as pl
from pymc_lan.models.perception.oddity_labels import draw_studies
from pymc_lan.numerics.oddity import wrong_in_two_dimensions
from pymc_lan.numerics.owen import log_owens_t

Float = np.ndarray[Any, np.dtype[np.float64]]


def triad(delta: float) -> float:
    """P(correct) of the oddity task where all covariances are the identity in the plane: one integral, over an angle.

    With u the difference of the two alike, N(0, 2 I), and w the odd one from their mean, N(mu, 1.5 I), the answer is
    right if |w| > k |u|, k = (c + sqrt(c^2 + 3)) / 2, c = |cos| of the uniform angle between them; |u|^2 / 4 is
    exponential, and the moment generating function of the noncentral chi-square |w|^2 / 1.5 is known.
    """
    x, weights = np.polynomial.legendre.leggauss(60)
    c = np.cos(np.pi / 4 * (x + 1))
    s = 1 / (c + np.sqrt(c**2 + 3)) ** 2
    return float(1 - (weights / 2 * np.exp(-(delta**2) * s / (1 + 3 * s)) / (1 + 3 * s)).sum())


def ellipse(large: float, small: float, angle: float) -> Float:
    """A covariance with these standard deviations along its axes."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([large**2, small**2]) @ turn.T


# Stimuli and covariances: alike, elongated across, of other sizes, the same stimulus, and far apart.
TASKS = [
    ((0.3, -0.2), (1.5, 0.6), np.eye(2), np.eye(2)),
    ((0.0, 0.0), (2.0, 3.0), ellipse(3.0, 0.6, 0.4), ellipse(3.0, 0.6, 0.4 + np.pi / 2)),
    ((1.0, 1.0), (0.4, 2.2), ellipse(0.7, 0.5, 1.0), ellipse(2.5, 0.5, -0.3)),
    ((0.0, 0.0), (0.0, 0.0), ellipse(1.0, 0.3, 0.2), ellipse(2.0, 1.0, 0.9)),
    ((-2.0, 0.0), (2.5, 0.5), ellipse(1.2, 0.8, 2.0), ellipse(0.5, 0.3, 0.0)),
]
REF, COMPARISON, S_REF, S_COMP = (np.array(x) for x in zip(*TASKS, strict=True))
# The same on a line.
LINE = (REF[:, 0], COMPARISON[:, 0], S_REF[:, 0, 0], S_COMP[:, 0, 0])


def simulated(rule: Callable[[Float, Float, Float], Float], trial: tuple[Any, ...], n: int = 200_000) -> float:
    """The share of right answers, by drawing percepts and judging them as the task has it."""
    rng = np.random.default_rng(1)
    ref, comparison, s, c = (np.atleast_1d(x) for x in trial)
    s, c = (x.reshape(len(ref), len(ref)) for x in (s, c))
    one, other = rng.multivariate_normal(ref, s, (2, n))
    return float(rule(np.stack([one, other, rng.multivariate_normal(comparison, c, n)]), (2 * s + c) / 3, s + c).mean())


def closest_pair(percepts: Float, mean: Float, both: Float) -> Float:
    def apart(i: int, j: int) -> Float:
        x = percepts[i] - percepts[j]
        return (x * np.linalg.solve(mean, x.T).T).sum(axis=1)

    return apart(0, 1) < np.minimum(apart(0, 2), apart(1, 2))


def right(dist: Any) -> Float:
    """P(right)."""
    return np.exp(pm.logp(dist, 1).eval(mode=AS_WRITTEN))


def within_chance(found: Float, shares: list[float], n: int = 200_000) -> None:
    # 4 standard errors: one in 16,000 for each of a few tasks.
    assert np.all(np.abs(found - shares) < 4 * np.sqrt(found * (1 - found) / n))


# Exact probabilities


def test_owens_t_is_that_of_scipy_and_its_log_goes_on_for_ever() -> None:
    h, a = np.array([0.0, 0.5, 2.0, 6.0, 20.0]), np.array([0.01, 0.6, 1.0, 2.9])
    found = log_owens_t(np, h[:, None] ** 2, a)
    np.testing.assert_allclose(found, np.log(owens_t(h[:, None], a)), rtol=1e-11)
    # T(h, 1) = Phi(h) Phi(-h) / 2, which scipy gives where there is nothing left of T.
    far = np.array([50.0, 1e3, 1e6])
    np.testing.assert_allclose(log_owens_t(np, far**2, np.ones(3)), norm.logsf(far) - np.log(2), rtol=1e-12)


def test_the_quadrature_is_that_of_one_integral_where_there_is_one() -> None:
    delta = np.array([0.0, 1.0, 2.5, 5.0, 12.0])
    found = wrong_in_two_dimensions(0.5, 0.5, delta * np.cos(0.7), delta * np.sin(0.7))
    np.testing.assert_allclose(found, [1 - triad(d) for d in delta], rtol=1e-9)


def test_the_quadrature_is_that_of_a_line_where_percepts_hardly_leave_it() -> None:
    """Along the second axis the reference does not vary in this limit, and the comparison is far less than apart."""
    t, d = np.array([0.3, 0.5, 0.7]), np.array([1.0, 2.0, 6.0])
    wide = wrong_in_two_dimensions(t, t, d, 0.0, nodes=(64, 96, 48))
    assert np.all(np.abs(wrong_in_two_dimensions(t, t, d, 0.0) / wide - 1) < 1e-9)


@pytest.mark.parametrize("number", range(len(TASKS)))
def test_the_oddity_task_is_that_of_its_percepts(number: int) -> None:
    trial = TASKS[number]
    within_chance(right(pl.Oddity.dist(*(np.array(x)[None] for x in trial))), [simulated(closest_pair, trial)])
    line = tuple(x[number] for x in LINE)
    within_chance(right(pl.Oddity.dist(*(np.array([x]) for x in line))), [simulated(closest_pair, line)])


def farthest(percepts: Float, direction: Float, references: int) -> Float:
    along = percepts[3 - references - 1 :] @ direction
    return along[-1] > along[:-1].max(axis=0)


@pytest.mark.parametrize("cls", [pl.TwoAlternative, pl.ThreeAlternative])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_discrimination_is_that_of_its_percepts(cls: Any, number: int) -> None:
    references = 1 + (cls is pl.ThreeAlternative)
    ref, comparison, s, c = TASKS[number]
    y = np.linalg.solve(s + c, np.subtract(comparison, ref))
    share = simulated(lambda percepts, mean, both: farthest(percepts, y, references), TASKS[number])
    within_chance(right(cls.dist(*(np.array(x)[None] for x in TASKS[number]))), [share])


def test_discrimination_is_a_normal_probability() -> None:
    ref, comparison, s, c = (np.array([x]) for x in (0.4, 2.0, 1.3, 0.7))
    d = 1.6 / np.sqrt(2.0)
    np.testing.assert_allclose(right(pl.TwoAlternative.dist(ref, comparison, s, c)), norm.cdf(d), rtol=1e-12)
    both = multivariate_normal([0, 0], [[1, 0.35], [0.35, 1]]).cdf([d, d])
    np.testing.assert_allclose(right(pl.ThreeAlternative.dist(ref, comparison, s, c)), both, rtol=1e-7)
    same = [np.zeros((2, 2)), np.zeros((2, 2)), np.eye(2), np.eye(2)]
    np.testing.assert_allclose(right(pl.TwoAlternative.dist(*same)), 1 / 2, rtol=1e-12)
    np.testing.assert_allclose(right(pl.ThreeAlternative.dist(*same)), 1 / 3, rtol=1e-12)


# The network


def test_the_network_is_within_the_bars_of_exact_probabilities() -> None:
    """On tasks that are not the card's: mean 0.01 and largest 0.05 of the log odds where 0.02 < P < 0.98."""
    trial = draw_studies(np.random.default_rng(77), 400)
    spec, network = pl.get_model("oddity_2d"), pl.load_network("oddity_2d")
    seen = spec.seen(np, trial)
    wrong, log_right = spec.log_answers(np, partial(network.lan.outputs, np), seen)
    (xx, xy, yy), (cxx, cxy, cyy) = trial.reference, trial.comparison
    s, c = (np.array([[a, b], [b, d]]).transpose(2, 0, 1) for a, b, d in ((xx, xy, yy), (cxx, cxy, cyy)))
    # Whitened by the mean covariance, and turned to the axes of the reference, with NumPy.
    root = np.linalg.cholesky((2 * s + c) / 3)
    inverse = np.linalg.inv(root)
    t, axes = np.linalg.eigh(inverse @ s @ inverse.swapaxes(1, 2) / 2)
    d = np.einsum("nji,njk,nk->ni", axes, inverse, np.stack(trial.displacement, axis=-1))
    exact = wrong_in_two_dimensions(t[:, 0], t[:, 1], d[:, 0], d[:, 1])
    truth, band = np.log1p(-exact) - np.log(exact), (exact > 0.02) & (exact < 0.98)
    error = np.abs(log_right - wrong - truth)[band]
    assert band.sum() > 300
    assert error.mean() <= 0.002
    assert error.max() <= 0.02
    # By the parameters, axes that the formulas found, it is the same.
    again = np.log(network.probabilities(**spec.theta(np, seen)))
    np.testing.assert_allclose(again, np.stack([wrong, log_right], axis=-1), rtol=1e-6, atol=1e-9)


def test_the_card_is_within_the_bars() -> None:
    measured = pl.load_network("oddity_2d").config["accuracy"]
    assert (measured["n_tasks"], measured["n_trials"]) == (200, 10_000_000)
    assert measured["answers"]["mean"] <= 0.01
    assert measured["answers"]["max"] <= 0.05


FAR = {
    "a catch trial": ((0.0, 0.0), (60.0, -80.0), np.eye(2), np.eye(2)),
    "a comparison that varies a million times as much": ((0.0, 0.0), (0.0, 0.0), np.eye(2), 1e6 * np.eye(2)),
    "and is far": ((0.0, 0.0), (3e4, 0.0), np.eye(2), 1e6 * np.eye(2)),
}


@pytest.mark.parametrize("trial", FAR.values(), ids=FAR)
def test_what_is_practically_certain_is_so_beyond_what_was_learned(trial: tuple[Any, ...]) -> None:
    given = [pt.as_tensor_variable(np.array(x)[None]) for x in trial]
    wrong = pm.logp(pl.Oddity.dist(*given), 0)[0]
    found = pytensor.function([], [wrong, *pt.grad(wrong, given[1:])], mode=AS_WRITTEN)()
    assert found[0] < np.log(1e-4)
    assert all(np.isfinite(x).all() for x in found)


# The distribution


def test_coordinates_do_not_matter() -> None:
    """Stimuli turned, mirrored, stretched and moved, with their covariances: the observer says the same."""
    change, move = np.array([[0.3, -2.0], [1.7, 0.4]]), np.array([5.0, -3.0])
    ref, comparison = REF @ change.T + move, COMPARISON @ change.T + move
    forms = [change @ x @ change.T for x in (S_REF, S_COMP)]
    for cls in (pl.Oddity, pl.TwoAlternative, pl.ThreeAlternative):
        plain = right(cls.dist(REF, COMPARISON, S_REF, S_COMP))
        np.testing.assert_allclose(right(cls.dist(ref, comparison, *forms)), plain, rtol=1e-9)


@pytest.mark.parametrize(
    ("cls", "guess"), [(pl.Oddity, 1 / 3), (pl.TwoAlternative, 1 / 2), (pl.ThreeAlternative, 1 / 3)]
)
def test_guesses_are_right_by_chance_and_answers_add_up_to_one(cls: Any, guess: float) -> None:
    plain, lapse = right(cls.dist(REF, COMPARISON, S_REF, S_COMP)), np.array([0.0, 0.1, 0.5, 0.02, 1.0])
    dist = cls.dist(REF, COMPARISON, S_REF, S_COMP, p_lapse=lapse)
    np.testing.assert_allclose(right(dist), (1 - lapse) * plain + lapse * guess, rtol=1e-12)
    wrong = np.exp(pm.logp(dist, 0).eval(mode=AS_WRITTEN))
    np.testing.assert_allclose(right(dist) + wrong, 1, rtol=1e-12)
    assert np.all(pm.logp(dist, 2).eval(mode=AS_WRITTEN) == -np.inf)


Case = tuple[list[Any], Any, list[Float]]


@cache
def graph_of(name: str) -> Case:
    """Inputs, the log probability of answers, and values, of which some stimuli and covariances are alike."""
    values = [np.array(x) for x in (LINE if name == "line" else (REF, COMPARISON, S_REF, S_COMP))]
    if name != "line":
        values[1][0], values[3][0] = values[0][0], values[2][0]
    if name == "three":  # where stimuli are the same it has a corner
        values[1][[0, 3]] += 0.5
    cls: Any = pl.ThreeAlternative if name == "three" else pl.Oddity
    inputs = [pt.tensor(letter, shape=x.shape, dtype="float64") for letter, x in zip("abcd", values, strict=True)]
    return inputs, pm.logp(cls.dist(*inputs), np.array([0, 1, 1, 0, 1])), values


@pytest.mark.parametrize("name", ["plane", "line", "three"])
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    inputs, logp, values = graph_of(name)
    total = pytensor.function(inputs, logp.sum(), mode=AS_WRITTEN)
    slopes = pytensor.function(inputs, pt.grad(logp.sum(), inputs), mode=AS_WRITTEN)(*values)
    rng = np.random.default_rng(3)
    for _ in range(5):
        ways = [rng.normal(size=x.shape) for x in values]
        ways = [x if x.ndim < 3 else x + x.swapaxes(1, 2) for x in ways]
        # Both elements across a diagonal are given, and one of them is read.
        slope = sum((g * way).sum() for g, way in zip(slopes, ways, strict=True))
        ends = [total(*(x + h * way for x, way in zip(values, ways, strict=True))) for h in (-1e-5, 1e-5)]
        assert slope == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-6, abs=1e-7)


BACKENDS = [(name, mode) for name in ("plane", "line", "three") for mode in ("numba", "c", "jax")]
# Each graph and each backend where a change is checked; compiling all pairs takes two minutes.
MARKS = dict.fromkeys(BACKENDS, pytest.mark.slow)
MARKS |= dict.fromkeys([("plane", "numba"), ("three", "numba"), ("line", "c")], pytest.mark.table)
MARKS["plane", "jax"] = ()


@pytest.mark.parametrize("pair", [pytest.param(pair, marks=MARKS[pair], id=", ".join(pair)) for pair in BACKENDS])
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning")
def test_backends_agree_in_value_and_gradient(pair: tuple[str, str]) -> None:
    inputs, logp, values = graph_of(pair[0])
    outputs = [logp, *pt.grad(logp.sum(), inputs)]
    expected = pytensor.function(inputs, outputs, mode=AS_WRITTEN)(*values)
    assert_backends_agree(
        outputs, dict(zip(inputs, values, strict=True)), expected=expected, modes=[pair[1]], rtol=1e-9, atol=1e-9
    )


def test_draws_and_simulated_answers_follow_the_probabilities() -> None:
    n = 20_000
    p = right(pl.Oddity.dist(REF, COMPARISON, S_REF, S_COMP))
    drawn = pm.draw(pl.Oddity.dist(REF, COMPARISON, S_REF, S_COMP, shape=(n, 5)), random_seed=1, mode=AS_WRITTEN)
    assert drawn.dtype == np.int64
    within_chance(p, list(drawn.mean(axis=0)), n)
    many = [np.repeat(x, n, axis=0) for x in (REF, COMPARISON, S_REF, S_COMP)]
    answers = pl.Oddity.simulate(*many, seed=2).reshape(5, n)
    within_chance(p, list(answers.mean(axis=1)), n)
    shared = pl.Oddity.simulate(np.zeros(2), np.zeros((n, 2)), np.eye(2), np.eye(2), seed=3)
    within_chance(np.array([1 / 3]), [shared.mean()], n)
    for cls, chance in ((pl.TwoAlternative, 1 / 2), (pl.ThreeAlternative, 1 / 3)):
        # The same stimulus twice has no direction: what is left is to guess.
        same = cls.simulate(np.zeros((n, 2)), np.zeros(2), np.eye(2), 2 * np.eye(2), seed=5)
        within_chance(np.array([chance]), [same.mean()], n)
        np.testing.assert_allclose(right(cls.dist([0.0, 0.0], [[0.0, 0.0]], np.eye(2), 2 * np.eye(2))), chance)
    trials = pl.simulate("oddity_2d", {"d1": 2.0, "k1": 1.0, "d2": 0.0, "k2": 1.0}, n=n, seed=4)
    within_chance(np.array([triad(2.0)]), [trials["response"].mean()], n)


def test_shapes_mean_what_they_say() -> None:
    """One row for all trials, stimuli on a line with or without an axis, and data that may be exchanged."""
    plain = right(
        pl.Oddity.dist(np.zeros((5, 2)), COMPARISON, np.tile(np.eye(2), (5, 1, 1)), np.tile(np.eye(2), (5, 1, 1)))
    )
    np.testing.assert_allclose(right(pl.Oddity.dist([0.0, 0.0], COMPARISON, np.eye(2), np.eye(2))), plain, rtol=1e-12)
    ref, comparison, s, c = LINE
    wide = pl.Oddity.dist(ref[:, None], comparison[:, None], s[:, None, None], c[:, None, None])
    np.testing.assert_allclose(right(wide), right(pl.Oddity.dist(*LINE)), rtol=1e-12)
    whole = pl.Oddity.dist([0, 0, 0], [1, 2, 3], 1, 1)
    np.testing.assert_allclose(
        right(whole), right(pl.Oddity.dist(np.zeros(3), np.arange(1.0, 4), 1.0, [[1.0]])), rtol=1e-12
    )
    with pm.Model() as model:
        a, b = pm.Data("a", REF[:, :2]), pm.Data("b", COMPARISON)
        answers = pm.Data("answers", np.array([0, 1, 1, 0, 1]))
        scale = pm.HalfNormal("scale")
        pl.Oddity("obs", a, b, scale * np.eye(2), np.eye(2), observed=answers)
    logp = model.compile_logp(vars=[model["obs"]], mode=AS_WRITTEN)
    first = logp({"scale_log__": 0.0})
    model.set_data("a", np.tile(REF, (2, 1)))
    model.set_data("b", np.tile(COMPARISON, (2, 1)))
    model.set_data("answers", np.array([0, 1, 1, 0, 1] * 2))
    assert logp({"scale_log__": 0.0}) == pytest.approx(2 * first)


def test_tables_are_read_by_their_names_and_codes() -> None:
    table = pd.DataFrame(
        {"x": COMPARISON[:, 0], "y": COMPARISON[:, 1], "correct": [0, 1, 1, 0, 1]}, index=list("edcba")
    )
    with pm.Model() as model:
        pl.Oddity("one", np.zeros(2), table[["x", "y"]], np.eye(2), np.eye(2), observed=table)
        words = table["correct"].map({1: "yes", 0: "no"})
        pl.Oddity("two", np.zeros(2), COMPARISON, np.eye(2), np.eye(2), observed=words, response={"yes": 1, "no": 0})
        # Stimuli in another order than the answers are put into theirs by their labels, as Series are.
        other = table.loc[list("abcde"), ["x", "y"]]
        pl.Oddity("three", np.zeros(2), other, np.eye(2), np.eye(2), observed=table)
        labelled = other.to_xarray().to_dataarray("coordinate").T
        pl.Oddity("four", np.zeros(2), labelled, np.eye(2), np.eye(2), observed=table["correct"])
        # Tables whose columns have no names but numbers, and codes of the column that is read by default.
        unnamed, coded = pd.DataFrame(COMPARISON), pd.DataFrame({"correct": words.to_numpy()})
        codes = {"yes": 1, "no": 0}
        pl.Oddity("five", np.zeros(2), unnamed, np.eye(2), np.eye(2), observed=coded, response=codes)
    each = np.array(model.compile_logp(sum=False, mode=AS_WRITTEN)({}))
    np.testing.assert_allclose(each, np.tile(each[0], (5, 1)), rtol=1e-12)


def test_what_is_no_covariance_has_no_probability() -> None:
    form = pt.tensor("form", shape=(2, 2), dtype="float64")
    logp = pm.logp(pl.Oddity.dist(REF, COMPARISON, form, np.eye(2)), 1)
    found = pytensor.function([form], [logp, pt.grad(logp.sum(), form)], mode=AS_WRITTEN)
    for wrong in ([[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]]):
        assert np.all(found(np.array(wrong))[0] == -np.inf)
    value, slope = found(np.eye(2))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


def test_results_beyond_what_was_learned_are_no_reason_to_warn() -> None:
    """Warnings are errors here: predictions of posterior draws in which stimuli are a million deviations apart."""
    with pm.Model():
        sd = pm.HalfNormal("sd", 1.0)
        pl.Oddity("obs", np.zeros(2), COMPARISON + 1, sd**2 * np.eye(2), np.eye(2), observed=np.ones(5, int))
        idata = from_dict({"posterior": {"sd": np.full((1, 3), 1e-6)}})
        found = pm.sample_posterior_predictive(
            idata, progressbar=False, random_seed=1, compile_kwargs={"mode": AS_WRITTEN}
        )
    assert set(np.unique(found["posterior_predictive"]["obs"])) <= {0, 1}


def observe(**given: Any) -> Callable[[], Any]:
    trial = {"ref": REF, "comparison": COMPARISON, "covariance_ref": S_REF, "covariance_comparison": S_COMP}

    def call() -> None:
        with pm.Model():
            pl.Oddity("obs", **trial | {"observed": [0, 1, 1, 0, 1]} | given)

    return call


def with_row(x: Float, row: Any) -> Float:
    return np.concatenate([x[:4], np.asarray(row)[None]])


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "three dimensions": (observe(ref=np.zeros((5, 3))), r"of one dimension or two\. Found stimuli of 3 dimensions"),
    "another length": (observe(ref=REF[:3]), r"of as many trials\. Found ref of 3, comparison of 5"),
    "as many answers": (observe(observed=[0, 1]), r"comparison of 5.* and 2 answers"),
    "a missing coordinate": (
        observe(ref=with_row(REF, [0.0, np.nan])),
        r"finite coordinates of ref.*1 of 5 rows: row 4",
    ),
    "variances in a plane": (observe(covariance_ref=np.ones(5)), r"covariance_ref of shape \(n_trials, 2, 2\), or"),
    "covariances of a line": (observe(covariance_ref=np.ones((5, 1, 1))), r"\(n_trials, 2, 2\).*shape \(5, 1, 1\)"),
    "no symmetry": (observe(covariance_ref=with_row(S_REF, [[1, 0.5], [0.2, 1]])), r"symmetric and positive.*row 4"),
    "no variance": (observe(covariance_comparison=[[1.0, 1.0], [1.0, 1.0]]), r"positive definite covariances as cov"),
    "a negative variance": (lambda: pl.Oddity.dist([0.0], [1.0], [-1.0], 1.0), r"positive definite"),
    "another code": (observe(observed=[0, 1, 1, 0, 2]), r"codes 0, 1 of 'oddity_2d'\. Found other codes, 2,"),
    "a missing answer": (observe(observed=[0, 1, 1, 0, np.nan]), r"codes 0, 1"),
    "lapses": (observe(p_lapse=1.5), r"p_lapse between 0 and 1"),
    "lapses of another length": (observe(p_lapse=np.full(3, 0.1)), r"p_lapse to be a scalar or one value for each"),
    "text": (observe(ref="x"), r"as ref"),
    "huge coordinates": (observe(ref=with_row(REF, [0.0, 1e200])), r"finite coordinates of ref.*up to 1e\+30.*row 4"),
    "huge variances": (observe(covariance_ref=1e200 * np.eye(2)), r"of variances from 1e-60 to 1e\+60"),
    "weights of a closed form": (
        lambda: pl.Oddity.dist([0.0], [1.0], 1.0, 1.0, weights="oddity_2d"),
        r"no weights for 'oddity_1d', which has a closed form",
    ),
    "a variable to simulate": (
        lambda: pl.Oddity.simulate(pt.matrix(), COMPARISON, S_REF, S_COMP),
        r"numbers as ref\. Found a variable",
    ),
    "unknown dimensions": (lambda: pl.Oddity.dist(pt.matrix(), pt.matrix(), 1.0, 1.0), r"shape is not known"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_sentences(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_covariances_may_be_rounded_to_single_precision() -> None:
    single = np.array([[0.01, 0.003], [np.nextafter(np.float32(0.003), np.float32(1)), 0.01]])
    observe(covariance_ref=single)()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["pymc", "nutpie", "numpyro"])
def test_samplers_find_the_covariances(sampler: str) -> None:
    rng, n = np.random.default_rng(5), 600
    comparison = rng.normal(0, 3, (n, 2))
    true = np.array([[1.0, 0.4], [0.4, 0.8]])
    answers = pl.Oddity.simulate(np.zeros(2), comparison, true, true, seed=6)
    with pm.Model(coords={"trial": np.arange(n)}):
        sd, r = pm.HalfNormal("sd", 2.0, shape=2), pm.Uniform("r", -1, 1)
        xy = r * sd[0] * sd[1]
        form = pt.stack([pt.stack([sd[0] ** 2, xy]), pt.stack([xy, sd[1] ** 2])])
        pl.Oddity("obs", np.zeros(2), comparison, form, form, p_lapse=0.01, observed=answers, dims="trial")
        idata = pm.sample(
            300, tune=300, chains=2, cores=1, nuts_sampler=sampler, random_seed=1, progressbar=False,
            compute_convergence_checks=False,
        )  # fmt: skip
        pm.sample_posterior_predictive(idata, extend_inferencedata=True, progressbar=False, random_seed=1)
        pm.compute_log_likelihood(idata, progressbar=False)
    draws = idata["posterior"]["sd"].to_numpy().reshape(-1, 2)
    assert np.all(np.abs(draws.mean(axis=0) - np.sqrt([1.0, 0.8])) < 4 * draws.std(axis=0))
    assert idata["posterior_predictive"]["obs"].to_numpy().mean() == pytest.approx(answers.mean(), abs=0.05)
    assert idata["log_likelihood"]["obs"].sizes["trial"] == n
