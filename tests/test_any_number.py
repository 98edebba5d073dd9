"""Races of any number of accumulators, and of one: against SciPy's distributions and the races of a fixed number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from backends import AS_WRITTEN
from scipy import special, stats

import pymc_lan as pl

ROWS = np.array([[0.8, 0.0], [0.9, 1.0], [0.7, 2.0]])
NONE = np.array([[np.inf, 0.0]])
DRIFTS = np.array([0.6, 0.4, 0.3])


def log_p(dist: Any, rows: Any = ROWS) -> Any:
    return pm.logp(dist, np.asarray(rows)).eval(mode=AS_WRITTEN)


SHAPES: dict[str, Callable[[], Any]] = {
    "list": lambda: [0.6, 0.4, 0.3],
    "each trial": lambda: np.tile(DRIFTS, (3, 1)),
    "table": lambda: pd.DataFrame(np.tile(DRIFTS, (3, 1)), columns=["x", "y", "z"]),
    "labels": lambda: xr.DataArray(DRIFTS, dims="accumulator"),
    "variables": lambda: [pt.constant(x) for x in DRIFTS],
}


@pytest.mark.parametrize("v", SHAPES.values(), ids=SHAPES)
def test_three_are_the_race_of_three(v: Callable[[], Any]) -> None:
    assert (log_p(pl.LBA.dist(0.3, 0.5, v(), 0.1)) == log_p(pl.LBA3.dist(0.3, 0.5, *DRIFTS, 0.1))).all()


def test_the_others_too() -> None:
    assert (log_p(pl.RDM.dist(0.3, 1.5, DRIFTS, 0.1)) == log_p(pl.RDM3.dist(0.3, 1.5, *DRIFTS, 0.1))).all()
    own = log_p(pl.Race.dist(DRIFTS, 1.5, [0.2, 0.0, 0.1], 0.1))
    assert (own == log_p(pl.Race3.dist(*DRIFTS, 1.5, 0.2, 0.0, 0.1, 0.1))).all()


def test_two_reflected_diffusions_have_a_density() -> None:
    """The mass of both responses, and of none by the deadline; the same by name."""
    theta, rt = {"v0": 1.5, "v1": 0.5, "a": 1.5, "z0": 0.2, "z1": 0.2, "t": 0.1}, np.linspace(0.1 + 1e-6, 1.5, 1501)
    rows = np.concatenate([np.column_stack([rt, np.full_like(rt, code)]) for code in (0, 1)])
    dist = pl.Race.dist([1.5, 0.5], 1.5, 0.2, 0.1, deadline=1.5)
    mass = np.trapezoid(np.exp(log_p(dist, rows)).reshape(2, -1), rt, axis=1)
    assert mass.sum() + np.exp(log_p(dist, NONE)[0]) == pytest.approx(1, abs=1e-3)
    drawn = pl.simulate("race_2", theta, n=4000, seed=2)
    share = np.mean((drawn["rt"] <= 1.5) & (drawn["response"] == 0))
    assert share == pytest.approx(mass[0], abs=4 * np.sqrt(0.25 / 4000))


@pytest.mark.parametrize("s", [0.4, np.array([0.4, 0.2, 0.7])], ids=["shared", "each"])
def test_a_log_normal_race_is_that_of_scipy(s: Any) -> None:
    m, t = np.array([-0.5, 0.0, 0.3]), 0.1
    each = [stats.lognorm(x, scale=np.exp(y)) for x, y in zip(np.broadcast_to(s, 3), m, strict=True)]
    expected = [
        sum(f.logpdf(rt - t) if i == winner else f.logsf(rt - t) for i, f in enumerate(each)) for rt, winner in ROWS
    ]
    np.testing.assert_allclose(log_p(pl.LNR.dist(m, s, t)), expected, rtol=1e-12)
    none = log_p(pl.LNR.dist(m, s, t, deadline=0.9), NONE)
    np.testing.assert_allclose(none, sum(f.logsf(0.8) for f in each), rtol=1e-12)
    drawn = pm.draw(pl.LNR.dist(m, s, t, deadline=0.9, shape=(4000, 2)), random_seed=1, mode=AS_WRITTEN)
    p = np.exp(none[0])
    assert np.isinf(drawn[:, 0]).mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000))


@pytest.mark.parametrize(("v", "a"), [(3.0, 1.0), (0.4, 2.5), (5.0, 3.0)])
def test_a_shifted_wald_is_inverse_gaussian(v: float, a: float) -> None:
    t, law = 0.2, stats.invgauss(mu=1 / (v * a), scale=a * a)
    rows = [[0.3, 1.0], [0.9, 1.0], [2.5, 1.0], *NONE]
    expected = [*law.logpdf([0.1, 0.7, 2.3]), law.logsf(2.6)]
    np.testing.assert_allclose(log_p(pl.ShiftedWald.dist(v, a, t, deadline=2.8), rows), expected, rtol=1e-9)
    drawn = pm.draw(pl.ShiftedWald.dist(v, a, t, shape=(2000, 2)), random_seed=1, mode=AS_WRITTEN)
    assert stats.kstest(drawn[:, 0] - t, law.cdf).pvalue > 1e-3
    assert (drawn[:, 1] == 1).all()


def test_their_number_is_that_of_the_dims_and_tables_may_lack_a_single_response() -> None:
    theta = {"A": 0.3, "b": 0.5, "t": 0.1} | {f"v{i}": 0.3 for i in range(5)}
    df = pl.simulate("lba5", theta, n=4, seed=1)
    alone = df["rt"].where(df.index != 2).to_frame()
    with pm.Model(coords={"kind": list("abcde"), "trial": range(4)}) as model:
        pl.LBA("shared", 0.3, 0.5, pm.HalfNormal("v", 1, dims="kind"), 0.1, observed=df)
        pl.LBA("each", 0.3, 0.5, pm.HalfNormal("w", 1, dims=("trial", "kind")), 0.1, observed=df, dims="trial")
        pl.LBA("list", 0.3, 0.5, [pm.HalfNormal(f"u{i}") for i in range(5)], 0.1, observed=df)
        pl.ShiftedWald("wald", 2.0, 1.0, 0.1, deadline=9.0, observed=alone)
    point = {name: np.zeros_like(x) for name, x in model.initial_point().items()}
    graphs = [model.logp(vars=model[name], sum=False)[0] for name in ("shared", "each", "list", "wald")]
    found = model.compile_fn(graphs, mode=AS_WRITTEN)(point)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert np.isfinite(found[0]).all()
    assert found[3][2] == pytest.approx(stats.invgauss(mu=0.5, scale=1.0).logsf(8.9))


@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.table), 5])
def test_choices_by_utilities_are_a_softmax(n: int) -> None:
    rng = np.random.default_rng(n)
    utilities, beta, choice = (
        rng.normal(size=(4, n)) * [[1], [1], [1], [900]],
        rng.uniform(0, 3, 4),
        rng.integers(n, size=4),
    )
    expected = special.log_softmax(beta[:, None] * utilities, axis=1)[np.arange(4), choice]
    with pm.Model() as model:
        pl.Softmax("obs", utilities, beta, observed=choice)
    np.testing.assert_allclose(model.compile_logp(sum=False, mode=AS_WRITTEN)({})[0], expected, rtol=1e-10)
    drawn = pm.draw(pl.Softmax.dist(utilities[0], beta[0], shape=(4000,)), random_seed=1, mode=AS_WRITTEN)
    p = special.softmax(beta[0] * utilities[0])
    np.testing.assert_allclose(np.bincount(drawn, minlength=n) / 4000, p, atol=4 * np.sqrt(0.25 / 4000))


def with_choices(observed: Any) -> None:
    with pm.Model():
        pl.Softmax("obs", [0.1, 0.2, 0.3], 1.0, observed=observed)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "one number": (lambda: pl.LBA.dist(0.3, 0.5, 0.6, 0.1), "along its last axis. Found a single number"),
    "with a number": (lambda: pl.LBA.dist(0.3, 0.5, [0.6, 0.4], 0.1, v0=1.0), "Did you mean 'v'?"),
    "not as many": (lambda: pl.LNR.dist([0.1, 0.2], [0.3, 0.4, 0.5], 0.1), "Expected 2 values of s"),
    "none": (lambda: pl.LBA.dist(0.3, 0.5), "Found no v"),
    "twice": (lambda: pl.LBA.dist(0.3, 0.5, [0.6, 0.4], 0.1, v=[1.0]), "v by position and by name"),
    "too many": (lambda: pl.RDM.dist(0.3, 0.5, [0.6, 0.4], 0.1, 0.2), "5 positional arguments"),
    "outside": (lambda: pl.Race.dist([1.0, 9.0], 1.5, 0.2, 0.1), "v1 within the network's trained bounds"),
    "another option": (lambda: with_choices([0, 3]), "the response codes 0, 1, 2 of 'softmax3'"),
    "one option": (lambda: pl.Softmax.dist([0.5], 1.0), "two options or more"),
    "nobody knows": (
        lambda: pl.LBA.dist(0.3, 0.5, pm.math.concatenate([[0.1], pt.dvector("v")]), 0.1),
        "that is known",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_a_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as error:
        call()
    assert message in str(error.value)
