"""`pl.informed` is exact whatever it estimates, and its members are standard normal where that can be known."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import arviz as az
import cloudpickle
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.typing import NDArray
from pymc.initial_point import make_initial_point_fn
from scipy.stats import norm
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.inference.members.table import found_at

Float = NDArray[np.float64]


def subjects(n: int, least: int, most: int, seed: int = 1) -> NDArray[np.intp]:
    """Unequal numbers of rows; the last subject has none."""
    rng = np.random.default_rng(seed)
    return np.repeat(np.arange(n - 1), rng.integers(least, most, n - 1))


def normal_means() -> pm.Model:
    s, rng = subjects(7, 1, 9), np.random.default_rng(2)
    with pm.Model(coords={"s": list("abcdefg")}) as model:
        mean, sd = pm.Normal("mean", 0, 2), pm.HalfNormal("sd", 2)
        theta = pm.Normal("theta", mean, sd, dims="s")
        pm.Normal("obs", theta[s], 0.7, observed=rng.normal(s - 3, 0.7))
    return model


def slopes() -> pm.Model:
    """Two effects of a member, one array for each, a covariate for the group, an effect that all share."""
    s, rng = subjects(6, 4, 20), np.random.default_rng(3)
    x, old = rng.normal(size=len(s)), np.arange(6.0) / 3
    with pm.Model(coords={"s": range(6), "c": ["one", "two"]}) as model:
        mean, by_age, sd = pm.Normal("mean", 0, 2, dims="c"), pm.Normal("by_age"), pm.HalfNormal("sd", 2, dims="c")
        level = pm.Normal("level", mean[:, None] + by_age * old, sd[:, None], dims=("c", "s"))
        slope = pm.Normal("slope", pm.Normal("slope_mean"), pm.HalfNormal("slope_sd"), dims="s")
        shared, noise = pm.Normal("shared"), pm.Gamma("noise", 3, 3)
        c = rng.integers(0, 2, len(s))
        pm.Normal("obs", level[c, s] + (slope[s] + shared) * x, noise, observed=rng.normal(x * s, 0.5))
    return model


def logistic() -> pm.Model:
    s, rng = subjects(6, 5, 30), np.random.default_rng(4)
    x = rng.normal(size=len(s))
    with pm.Model() as model:
        sd, r = pm.Exponential("sd", 1.0, shape=2), pm.Uniform("r", -1, 1)
        cov = sd[:, None] * sd * pt.stack([1.0, r, r, 1.0]).reshape((2, 2))
        theta = pm.MvNormal("theta", pm.Normal("mean", shape=2), cov, shape=(6, 2))
        p = theta[s, 0] + theta[s, 1] * x
        pm.Bernoulli("obs", logit_p=p, observed=rng.binomial(1, 0.6, len(s)))
    return model


def nested() -> pm.Model:
    rng = np.random.default_rng(5)
    school = np.repeat(np.arange(3), 5)
    with pm.Model(coords={"school": range(3), "class": range(15)}) as model:
        of_school = pm.Normal("of_school", pm.Normal("mean"), pm.HalfNormal("school_sd"), dims="school")
        of_class = pm.Normal("of_class", of_school[school], pm.HalfNormal("class_sd"), dims="class")
        rows = np.repeat(np.arange(15), 6)
        pm.Normal("obs", of_class[rows], 1.0, observed=rng.normal(school[rows] + rng.normal(size=15)[rows], 1.0))
    return model


def crossed() -> pm.Model:
    rng = np.random.default_rng(6)
    s, item = np.repeat(np.arange(8), 10), rng.integers(0, 5, 80)
    with pm.Model() as model:
        of_subject = pm.Normal("of_subject", pm.Normal("mean"), pm.HalfNormal("s_sd"), shape=8)
        of_item = pm.Normal("of_item", 0.0, pm.HalfNormal("i_sd"), shape=5)
        pm.Poisson("obs", pm.math.exp(of_subject[s] + of_item[item]), observed=rng.poisson(2.0, 80))
    return model


def others() -> pm.Model:
    """Every other family, members on a log, and a mean that is a member itself."""
    s, rng = subjects(5, 3, 12), np.random.default_rng(7)
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", shape=5)
        size = pm.LogNormal("size", pm.Normal("log_size"), sd[0], shape=5)
        share = pm.Normal("share", pm.Normal("share_mean"), sd[1], shape=5)
        wide = pm.StudentT("wide", nu=4, mu=pm.math.log(size), sigma=sd[2], shape=5)
        sharp, heavy = pm.Laplace("sharp", 0, sd[3], shape=5), pm.Logistic("heavy", 0, sd[4], shape=5)
        mean = size * share + wide + sharp * heavy
        pm.Normal("obs", mean[s], 1.0, observed=rng.normal(1, 1, len(s)))
    return model


def random_walk() -> pm.Model:
    """One vector whose values all meet: a group of one member."""
    rng = np.random.default_rng(8)
    t = np.arange(6.0)
    with pm.Model() as model:
        size = pm.HalfNormal("size")
        curve = pm.MvNormal("curve", np.zeros(6), size**2 * pt.exp(-0.5 * (t[:, None] - t) ** 2) + 1e-3 * pt.eye(6))
        pm.Normal("obs", curve.cumsum(), 0.5, observed=rng.normal(size=6))
    return model


def decisions() -> pm.Model:
    s = subjects(5, 10, 40)
    df = pl.simulate("ddm", {"v": np.linspace(0, 2, 5)[s], "a": 1.0, "z": 0.5, "t": 0.3}, seed=1)
    with pm.Model(coords={"subject": range(5)}) as model:
        v = pm.Normal("v", pm.Normal("v_mean"), pm.HalfNormal("v_sd"), dims="subject")
        a = pm.LogNormal("a", pm.Normal("a_mean", 0, 0.3), pm.HalfNormal("a_sd", 0.3), dims="subject")
        t, lapse = pm.HalfNormal("t", 0.3), pm.Beta("p_lapse", 2, 38)
        pl.DDM("obs", v[pm.Data("row", s)], a[s], 0.5, t, p_lapse=lapse, observed=df)
    return model


MODELS: dict[str, Callable[[], pm.Model]] = {
    f.__name__: f for f in (normal_means, slopes, logistic, nested, crossed, others, random_walk, decisions)
}
# However many devices JAX was set up with before.
SIDE_BY_SIDE = {"nuts": {"chain_method": "vectorized"}}
# What is transformed, and with which other variables.
GROUPS = {
    "normal_means": {"theta"},
    "slopes": {"level", "slope"},
    "logistic": {"theta"},
    "nested": {"of_school", "of_class"},
    "crossed": {"of_subject", "of_item"},
    "others": {"size", "share", "wide", "sharp", "heavy"},
    "random_walk": {"curve"},
    "decisions": {"v", "a"},
}
TYPICAL = ("normal_means", "slopes", "logistic")


@pytest.fixture(scope="module")
def pair() -> Callable[[str], tuple[pm.Model, pm.Model]]:
    made: dict[str, tuple[pm.Model, pm.Model]] = {}

    def build(name: str) -> tuple[pm.Model, pm.Model]:
        if name not in made:
            plain = MODELS[name]()
            made[name] = plain, pl.informed(plain)
        return made[name]

    return build


def function(model: pm.Model, outputs: Any) -> Callable[[dict[str, Any]], Any]:
    compiled = model.compile_fn(outputs, mode="FAST_COMPILE", on_unused_input="ignore")
    return lambda point: compiled(point)


def values_of(model: pm.Model) -> Callable[[dict[str, Any]], dict[str, Float]]:
    """Free variables on their own scale, of unconstrained values."""
    names = [rv.name for rv in model.free_RVs]
    wanted = [next(x for x in model.unobserved_value_vars if x.name == name) for name in names]
    run = function(model, wanted)
    return lambda point: dict(zip(names, run(point), strict=True))


@pytest.mark.parametrize("name", one_of_a_kind(MODELS, *TYPICAL))
def test_density_is_that_of_the_plain_model_and_a_jacobian(name: str, pair: Any) -> None:
    plain, new = pair(name)
    rng = np.random.default_rng(9)
    moved = [v.name for v in new.value_vars if v.name.endswith("_informed__")]
    assert {m.removesuffix("_informed__") for m in moved} == GROUPS[name]
    begin = new.initial_point(random_seed=0)
    logp, plain_logp = function(new, new.logp()), function(plain, plain.logp())
    values = values_of(new)
    links = {rv.name: plain.rvs_to_transforms[rv] for rv in plain.free_RVs}
    for _ in range(2):
        point = {k: x + rng.normal(0, 0.3, np.shape(x)) for k, x in begin.items()}

        def theta(point: dict[str, Any]) -> dict[str, Float]:
            """Members on the scale of the plain model's unconstrained values."""
            found = values(point)
            return {
                m: np.log(found[n]) if links[n] is not None else found[n]
                for m in moved
                for n in [m.removesuffix("_informed__")]
            }

        sizes = [np.size(point[m]) for m in moved]
        columns = []
        for m in moved:
            for i in np.ndindex(np.shape(point[m])):
                step = {m: np.zeros(np.shape(point[m]))}
                step[m][i] = 1e-4
                up, down = (theta(point | {m: point[m] + sign * step[m]}) for sign in (1, -1))
                columns.append(np.concatenate([(up[k] - down[k]).ravel() / 2e-4 for k in moved]))
        assert len(columns) == sum(sizes)
        old = {v.name: x for v in plain.value_vars if (x := point.get(v.name)) is not None}
        old |= {plain.rvs_to_values[plain[m.removesuffix("_informed__")]].name: x for m, x in theta(point).items()}
        expected = plain_logp(old) + np.linalg.slogdet(np.array(columns))[1]
        assert logp(point) == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_members_of_normal_data_are_standard_normal_whatever_the_group_is(pair: Any) -> None:
    _, new = pair("normal_means")
    logp = function(new, new.logp())
    rng = np.random.default_rng(10)
    for mean, log_sd in [(0.0, 0.0), (-4.0, 2.0), (3.0, -3.0)]:
        at = {"mean": np.array(mean), "sd_log__": np.array(log_sd)}
        first, second = ({**at, "theta_informed__": rng.normal(size=7)} for _ in range(2))
        difference = logp(first) - logp(second)
        expected = norm.logpdf(first["theta_informed__"]).sum() - norm.logpdf(second["theta_informed__"]).sum()
        # The curvature is a difference of slopes, and the least that data are taken to know is not 0.
        assert difference == pytest.approx(expected, abs=0.02)


def test_a_spread_may_be_an_integer() -> None:
    """Of 20, whose square has no room in 8 bits; with 2, 1 and 0 observations of a standard deviation of 1."""
    with pm.Model() as model:
        theta = pm.Normal("theta", pm.Normal("mean", 0, 50), 20, shape=3)
        pm.Normal("obs", theta[[0, 0, 1]], 1, observed=np.array([1.0, 2.0, 3.0]))
    new = pl.informed(model)
    known = pl.informed_table(new)["known"][:3]
    np.testing.assert_allclose(known, [800 / 801, 400 / 401, 0], atol=2e-3)
    values = values_of(new)
    low, high = (values({"mean": np.array(0.0), "theta_informed__": np.full(3, x)})["theta"] for x in (0.0, 1.0))
    np.testing.assert_allclose(high - low, (np.array([2, 1, 0]) + 20**-2) ** -0.5, rtol=2e-3)
    np.testing.assert_allclose(low, [3 / (2 + 20**-2), 3 / (1 + 20**-2), 0], atol=0.05)


def test_members_that_fit_their_trials_perfectly_can_still_move() -> None:
    """With one observation each, the residual spread has its mode at 0, where nothing but the data would be left."""
    with pm.Model() as model:
        theta = pm.Normal("theta", pm.Normal("mean"), pm.HalfNormal("sd"), shape=5)
        pm.Normal("obs", theta, pm.HalfNormal("noise"), observed=np.linspace(-2, 2, 5))
    values = values_of(pl.informed(model))
    at = {"mean": np.array(0.0), "sd_log__": np.array(0.0), "noise_log__": np.array(0.0)}
    low, high = (values(at | {"theta_informed__": np.full(5, x)})["theta"] for x in (0.0, 1.0))
    assert (high - low > 1e-4).all()
    assert np.isfinite(low).all()


def test_a_sum_may_have_many_terms() -> None:
    """NumPy adds up at most 31 arrays at once."""
    with pm.Model() as model:
        theta = pm.Normal("theta", pm.Normal("mean"), 1, shape=40)
        pm.Potential("many", -(sum(theta[i] * np.arange(2.0) for i in range(40)) ** 2).sum())
        pm.Normal("obs", theta, 1, observed=np.ones(40))
    assert (pl.informed_table(pl.informed(model))["variable"] == "theta").sum() == 40


def test_a_variable_without_values_stays_as_it_is() -> None:
    with pm.Model() as model:
        sd = pm.HalfNormal("sd")
        theta = pm.Normal("theta", 0, sd, shape=2)
        pm.Normal("nothing", 0, sd, shape=0)
        pm.Normal("obs", theta, 1, observed=np.ones(2))
    done = pl.informed_table(pl.informed(model)).set_index("variable")["done"]
    assert done["nothing"] == "kept: it has no values"
    assert done["theta"].iloc[0] == "informed"


def test_single_precision_stays_so() -> None:
    with pytensor.config.change_flags(floatX="float32"), pm.Model() as model:
        theta = pm.Normal("theta", pm.Normal("mean"), 1, shape=2)
        pm.Normal("obs", theta, 1, observed=np.ones(2, np.float32))
    with pytensor.config.change_flags(floatX="float32"):
        assert pl.informed(model).logp().dtype == model.logp().dtype == "float32"


def test_correlated_members_are_standard_normal_where_the_group_is_where_it_was_found(pair: Any) -> None:
    """Slopes and levels meet in the likelihood: at the group values of empirical Bayes that leaves no trace in x."""
    _, new = pair("slopes")
    logp = function(new, new.logp())
    rng = np.random.default_rng(11)
    at = {k: x for k, x in make_initial_point_fn(model=new, overrides=found_at(new))(0).items() if "informed" not in k}
    points = []
    for _ in range(20):
        x = {"level_informed__": rng.normal(size=(2, 6)), "slope_informed__": rng.normal(size=6)}
        points.append((logp(at | x), sum(norm.logpdf(y).sum() for y in x.values())))
    density, expected = np.array(points).T
    assert np.std(density - expected) < 0.05
    assert np.std(expected) > 1


def test_table_says_what_was_done(pair: Any) -> None:
    _, new = pair("normal_means")
    table = pl.informed_table(new)
    theta = table[table["variable"] == "theta"]
    assert theta["member"].tolist() == list("abcdefg")
    # Precision n / 0.49 of the data, and the sd of empirical Bayes.
    n = np.bincount(subjects(7, 1, 9), minlength=7)
    known = theta["known"].to_numpy()
    sd2 = (known / (1 - known))[0] * 0.49 / n[0]
    np.testing.assert_allclose(known, n * sd2 / (0.49 + n * sd2), atol=2e-3)
    assert 1.0 < sd2**0.5 < 4
    kept = table.set_index("variable").loc[["mean", "sd"], "done"]
    assert kept.str.startswith("kept: its prior has no variable in it").all()


def test_the_given_model_stays_as_it_is() -> None:
    s = subjects(4, 2, 5)
    with pm.Model() as model:
        mean = pm.Normal("mean", initval=0.3)
        theta = pm.Normal("theta", mean, pm.HalfNormal("sd"), shape=4, initval=np.ones(4))
        pm.Normal("obs", theta[s], 1.0, observed=np.ones(len(s)))
    before = model.initial_point(random_seed=1)
    new = pl.informed(model)
    for name, x in model.initial_point(random_seed=1).items():
        np.testing.assert_array_equal(x, before[name])
    assert new.initial_point(random_seed=1)["mean"] == 0.3
    assert {v.name for v in model.value_vars} == {"mean", "sd_log__", "theta"}


def test_draws_from_the_prior_and_interventions_are_those_of_the_plain_model(pair: Any) -> None:
    plain, new = pair("slopes")
    a, b = (pm.sample_prior_predictive(2000, model=m, random_seed=4).prior for m in (plain, new))
    assert set(a.data_vars) == set(b.data_vars)
    for name in ("level", "slope", "sd"):
        assert a[name].dims == b[name].dims
        np.testing.assert_allclose(np.std(b[name]), np.std(a[name]), rtol=0.1)
    done = pm.do(new, {"slope": np.full(6, 2.0)})
    assert np.isfinite(pm.draw(done["obs"], random_seed=1)).all()
    point = done.initial_point(random_seed=0)
    assert "slope_informed__" not in point
    assert np.isfinite(function(done, done.logp())(point))


def test_a_model_survives_pickling(pair: Any) -> None:
    _, new = pair("normal_means")
    back = pickle.loads(cloudpickle.dumps(new))
    point = new.initial_point(random_seed=0)
    assert function(back, back.logp())(point) == pytest.approx(function(new, new.logp())(point))
    pd.testing.assert_frame_equal(pl.informed_table(back), pl.informed_table(new))


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("nutpie", {}),
        *(
            pytest.param(*x, marks=pytest.mark.table)
            for x in [
                ("pymc", {}),
                ("pymc", {"backend": "jax"}),
                *((name, SIDE_BY_SIDE) for name in ("numpyro", "blackjax")),
            ]
        ),
    ],
)
def test_posterior_is_that_of_normal_theory(sampler: str, options: dict[str, Any], pair: Any) -> None:
    """With mean and sd of the group known, a member's posterior is the textbook's."""
    plain, _ = pair("normal_means")
    with pl.informed(plain):
        idata = pm.sample(
            1000, tune=500, chains=2, cores=1, random_seed=3, nuts_sampler=sampler, progressbar=False, **options
        )
    post = idata.posterior
    mean, sd = post["mean"].to_numpy()[..., None], post["sd"].to_numpy()[..., None]
    s = subjects(7, 1, 9)
    y = plain.rvs_to_values[plain["obs"]].data
    n = np.bincount(s, minlength=7)
    total = np.bincount(s, y, minlength=7)
    precision = n / 0.49 + sd**-2
    z = (post["theta"].to_numpy() - (total / 0.49 + mean / sd**2) / precision) * precision**0.5
    assert abs(z.mean()) < 0.04
    assert z.std() == pytest.approx(1, abs=0.03)
    assert az.ess(idata, var_names=["theta"])["theta"].min() > 700


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: pm.Normal("x"), r"members that are normal around a group\. Found x: its prior has no variable in it"),
        (lambda: pm.Gamma("g", pm.HalfNormal("shape"), 1.0, shape=3).sum(), "g: Gamma is not normal on any scale"),
        (lambda: pm.Poisson("n", 3.0), "continuous free variables"),
    ],
)
def test_a_model_without_members_is_refused(build: Callable[[], Any], words: str) -> None:
    with pm.Model() as model:
        x = build()
        pm.Normal("obs", x, 1.0, observed=1.0)
    with pytest.raises(ValueError, match=words):
        pl.informed(model)


def test_what_is_informed_is_not_informed_again(pair: Any) -> None:
    plain, new = pair("normal_means")
    with pytest.raises(ValueError, match=r"call pl\.informed on the original"):
        pl.informed(new)
    with pytest.raises(ValueError, match=r"a model that pl\.informed returned"):
        pl.informed_table(plain)


def test_a_start_without_density_is_refused() -> None:
    with pm.Model() as model:
        theta = pm.Normal("theta", pm.Normal("mean"), 1.0, shape=2)
        pm.Uniform("obs", theta, theta + 1, observed=[5.0, 5.0])
    with pytest.raises(ValueError, match=r"finite log density at the model's initial point\. Found none of obs"):
        pl.informed(model)
