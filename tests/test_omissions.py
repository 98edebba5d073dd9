"""Trials that are not decided by a deadline: how likely they are, by formulas that are not the package's.

Two boundaries: the series over eigenfunctions in 60 digits, and one less the density's integral. Races: draws of NumPy
and SciPy. Mass, guesses and draws of every form are in `test_mass` and `test_draw_laws`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import mpmath as mp
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, EVERY_MODE, MODES
from scipy.integrate import quad
from scipy.stats import norm
from tables import one_of_a_kind, some_of_a_kind

import pymc_lan as pl
from pymc_lan.data.observation import Silence
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import require_exact
from pymc_lan.numerics.passage import NUMPY

INF = np.inf
NONE = [[INF, 0.0]]
DDM = {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}


def by_eigenfunctions(horizon: float, v: float, a: float, z: float) -> float:
    """Log of the probability to stay between -a and a."""
    with mp.workdps(60):
        width, drift, time, w = (mp.mpf(x) for x in (2 * a, v, horizon, 1 - z))
        x, total = drift * width, mp.mpf(0)
        for k in range(1, 120):
            rate = x**2 + (k * mp.pi) ** 2
            ends = mp.exp(x * w) - (-1) ** k * mp.exp(x * (w - 1))
            total += k * mp.sin(k * mp.pi * w) / rate * mp.exp(-rate * time / width**2 / 2) * ends
        return float(mp.log(2 * mp.pi * total))


def log_none(dist: Any) -> float:
    return pm.logp(dist, NONE).eval(mode=AS_WRITTEN).item()


def test_two_boundaries_to_nine_digits() -> None:
    """However small the probability is, corners of the start included."""
    rng, survivor = np.random.default_rng(3), require_exact(pl.get_model("ddm")).log_survivor
    assert survivor is not None
    for k in range(40):
        v, a, z = rng.uniform(-6, 6), rng.uniform(0.3, 4), (rng.uniform(0.001, 0.999), 2.0**-17, 1 - 2.0**-17)[k % 3]
        horizon = max(rng.choice([rng.uniform(0.02, 0.2) * 4 * a * a, rng.uniform(0.1, 6)]), 0.02 * 4 * a * a)
        found = survivor(NUMPY, horizon, {"v": v, "a": a, "z": z})
        assert found == pytest.approx(by_eigenfunctions(horizon, v, a, z), abs=2e-8, rel=1e-9)
    ends = np.array([INF, 0.0, -1.0])
    assert survivor(NUMPY, ends, {"v": 1.0, "a": 1.0, "z": 0.5}).tolist() == [-INF, 0.0, 0.0]


def test_the_figure_that_quadrature_gives() -> None:
    """Of v 1, a 1, z .5, t .3 by 1 s: 0.41523; the network changes nothing of it."""
    for likelihood in ("lan", "exact"):
        found = np.exp(log_none(pl.DDM.dist(**DDM, deadline=1.0, likelihood=likelihood)))
        assert found == pytest.approx(0.41523, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "theta"),
    [("ddm_sdv", {**DDM, "sv": 0.9, "z": 0.3}), ("angle", {**DDM, "theta": 0.4}), ("angle", {**DDM, "theta": -0.1})],
)
def test_what_the_density_leaves(name: str, theta: dict[str, float]) -> None:
    exact = Likelihood(pl.get_model(name))

    def density(rt: float, code: int) -> float:
        return float(np.exp(exact.log_density(NUMPY, rt, code, theta)))

    for deadline in (0.45, 1.0, 1.9):
        decided = sum(quad(density, theta["t"], deadline, (code,), epsabs=1e-10)[0] for code in (-1, 1))
        found = log_none(pl.LANDist.dist(name, **theta, deadline=deadline, likelihood="exact"))
        # Up to a millisecond after t densities go on in a straight line.
        assert np.exp(found) == pytest.approx(1 - decided, abs=1e-5)


def lba_survivor(d: float, v: float, A: float, b: float, s: float = 0.1) -> float:
    """The complement of equation 1 of Brown & Heathcote (2008)."""
    low, high = (b - A - d * v) / (d * s), (b - d * v) / (d * s)
    return d * s / A * (high * norm.cdf(high) + norm.pdf(high) - low * norm.cdf(low) - norm.pdf(low))


@pytest.mark.parametrize("drifts", [(0.6, 0.4, 0.3), (0.05, -0.1, 0.02)], ids=["quick", "that may never finish"])
def test_a_race_of_ballistic_accumulators(drifts: tuple[float, ...]) -> None:
    A, b, t = 0.3, 0.5, 0.1
    for deadline in (0.5, 1.2, 6.0):
        every = np.prod([lba_survivor(deadline - t, v, A, b) for v in drifts])
        never = np.prod([norm.cdf(-v / 0.1) for v in drifts])
        found = np.exp(log_none(pl.LBA3.dist(A, b, *drifts, t, deadline=deadline)))
        assert found == pytest.approx((every - never) / (1 - never), rel=1e-8, abs=1e-15)


ENDS = np.array([0.8, 1.4, 1.0, 0.31])
DATA = np.array([[0.6, 1.0], [INF, 0.0], [INF, 0.0], [INF, 0.0]])


CHECKED = {("as written", False), *product(("numba", "python"), (True, False)), ("c", False), ("jax", True)}


@pytest.mark.parametrize(
    ("mode", "shared"), some_of_a_kind(product(EVERY_MODE, (True, False)), {("as written", True)}, CHECKED)
)
def test_values_and_gradients_are_those_of_the_formulas(mode: str, shared: bool) -> None:
    """Of one parameter for all trials, and one each; derivatives against differences of the eigenfunctions."""
    theta = {"v": 0.8, "a": 1.1, "z": 0.4, "t": 0.3}
    given = {name: pt.dvector(name) for name in theta}
    values = {x: np.full(1 if shared else 4, theta[name]) for name, x in given.items()}
    each = {name: x[0] if shared else x for name, x in given.items()}
    log_p = pm.logp(pl.DDM.dist(**each, deadline=ENDS, shape=(4, 2)), DATA)
    outputs = [log_p, *pt.grad(log_p[1:3].sum(), [*given.values()])]
    found, *slopes = pytensor.function([*given.values()], outputs, mode=EVERY_MODE[mode])(*values.values())

    def expected(moved: dict[str, float]) -> float:
        x = theta | moved
        return sum(by_eigenfunctions(end - x["t"], x["v"], x["a"], x["z"]) for end in ENDS[1:3])

    assert found[1:3].sum() == pytest.approx(expected({}), abs=1e-6)
    assert found[3] == pytest.approx(0.0, abs=1e-8)
    for (name, x), slope in zip(theta.items(), slopes, strict=True):
        difference = (expected({name: x + 1e-6}) - expected({name: x - 1e-6})) / 2e-6
        assert slope.sum() == pytest.approx(difference, abs=1e-5)


def st_survivor(deadline: float, v: float, a: float, z: float, t: float, st: float) -> float:
    """The mean over non-decision times of the probability to stay between -a and a."""

    def stays(start: float) -> float:
        return 1.0 if start >= deadline else float(np.exp(by_eigenfunctions(max(deadline - start, 1e-4), v, a, z)))

    return quad(stays, t - st, t + st, points=[min(deadline, t + st)], epsabs=1e-9)[0] / (2 * st)


@pytest.mark.parametrize("mode", one_of_a_kind(MODES, "jax"))
def test_a_density_that_is_all_there_is(mode: str) -> None:
    """Where every trial is decided some time, what is beyond the deadline is the rest of the density: by quadrature."""
    theta = {"v": 0.8, "a": 1.1, "z": 0.4, "t": 0.4, "st": 0.2}
    ends, v = np.array([0.8, 1.4, 2.5, 5.0]), pt.dscalar("v")
    log_p = pm.logp(pl.DDMSt.dist(**theta | {"v": v}, deadline=ends, shape=(4, 2)), DATA)
    found, slope = pytensor.function([v], [log_p, pt.grad(log_p[1:].sum(), v)], mode=MODES[mode])(0.8)
    truth = [np.log([st_survivor(end, **theta | {"v": x}) for end in ends[1:]]) for x in (0.79, 0.8, 0.81)]
    np.testing.assert_allclose(found[1:], truth[1], atol=2e-3)
    assert slope == pytest.approx((truth[2] - truth[0]).sum() / 0.02, abs=0.02)
    density = pm.logp(pl.DDMSt.dist(**theta), DATA[:1]).eval(mode=AS_WRITTEN)
    np.testing.assert_allclose(found[:1], density, rtol=1e-6)


AWAY = {"shape": 3.0, "scale": 0.5, "c": 0.2, "v": 0.0, "a": 1.0, "z": 0.5, "t": 0.3, "theta": -0.1}


def never_between_walls_that_run(a: float, slope: float) -> float:
    """Probability that a path from the middle stays between lines that run away: Doob (1949), equation 4.3."""
    k = np.arange(1, 40)
    return 1 + 2 * float(np.sum((-1.0) ** k * np.exp(-2 * a * slope * k**2)))


@pytest.mark.parametrize(
    ("name", "theta"),
    [
        ("levy", {"v": 0.8, "a": 1.1, "z": 0.5, "alpha": 1.6, "t": 0.3}),
        ("lca_3", {"v0": 1.5, "v1": 1.0, "v2": 0.5, "a": 1.5, "z0": 0.2, "z1": 0.2, "z2": 0.2, "g": 0.5, "b": 0.4}),
        pytest.param("gamma_drift_angle", AWAY, marks=pytest.mark.table),
    ],
)
def test_what_has_no_formula_is_the_rest_of_the_density(name: str, theta: dict[str, float]) -> None:
    """The share of simulated trials beyond a deadline, where it is a tenth and less, too."""
    n, theta = 20_000, {"t": 0.3} | theta
    network = pl.load_network(name)
    late = pl.simulate(name, {p.name: theta[p.name] for p in network.spec.parameters}, n=n, seed=3)["rt"]
    late = late.fillna(INF).to_numpy()
    ends = np.append(np.quantile(late, [0.1, 0.5, 0.9, 0.98]), INF)
    own = replace(network.likelihood, silence=Silence.OMISSION)
    found = np.exp(own.log_none(NUMPY, ends, {key: np.full(5, x) for key, x in theta.items()}))
    share = np.array([(late > end).mean() for end in ends[:-1]])
    assert np.all(np.abs(found[:-1] - share) < 4 * np.sqrt(share * (1 - share) / n) + 0.003)
    assert found[-1] < 1e-3


@pytest.mark.table
def test_boundaries_that_run_away() -> None:
    """What is missing from the mass is left by every deadline, and by none."""
    own = replace(pl.load_network("gamma_drift_angle").likelihood, silence=Silence.OMISSION)
    theta = AWAY | {"a": 3.0, "c": 1e-3, "scale": 0.3}
    found = np.exp(own.log_none(NUMPY, np.array([1e3, INF]), {key: np.full(2, x) for key, x in theta.items()}))
    np.testing.assert_allclose(found, never_between_walls_that_run(3.0, float(np.tan(0.1))), atol=0.01)


BEYOND = 1.7 * np.exp(-0.7)


@pytest.mark.parametrize(("mass", "left"), [(0.7, 0.7 * BEYOND + 0.3), (0.9995, BEYOND), (1.02, BEYOND)])
def test_what_is_missing_is_never_decided_but_for_the_error_of_networks(mass: float, left: float) -> None:
    """Of decision times of a gamma distribution, with a mass of their own."""
    own = Likelihood(pl.get_model("gamma_drift_angle"))

    def log_density(rt: Any, response: Any, theta: Any) -> Any:
        return np.log(mass / 2 * (rt - 0.3)) - (rt - 0.3)

    found = own.log_left(NUMPY, np.array([1.0, INF]), {key: np.full(2, x) for key, x in AWAY.items()}, log_density)
    np.testing.assert_allclose(np.exp(found[0]), left, rtol=1e-3)
    np.testing.assert_allclose(np.exp(found[1]), max(1 - mass, 0.0), atol=6e-4)


def late_table(n: int, deadline: float = 0.8) -> pd.DataFrame:
    df = pl.simulate("ddm", DDM, n=n, seed=5)
    late = df["rt"] > deadline
    return df.mask(late).assign(deadline=deadline)


@pytest.mark.table
def test_a_table_with_omissions_gives_the_truth_and_without_them_does_not() -> None:
    """The mode, from the column `deadline`; 60 % of the trials are past it."""
    df, found = late_table(3000), {}
    for name, table, given in (("with", df, {}), ("without", df.dropna(), {"deadline": None})):
        with pm.Model() as model:
            v, a = pm.Normal("v", 0, 2), pm.HalfNormal("a", 2)
            pl.DDM("obs", v, a, 0.5, 0.3, observed=table, **given)
        found[name] = pl.fit_map(model, initvals=pl.initvals(model, table)).point
    assert found["with"]["v"] == pytest.approx(1.0, abs=0.15)
    assert found["with"]["a"] == pytest.approx(1.0, abs=0.05)
    assert found["without"]["a"] < 0.85
