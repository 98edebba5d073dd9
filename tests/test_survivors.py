"""Networks of the probability that nothing is decided by a deadline: labels, what they correct, backends, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from backends import AS_WRITTEN, EVERY_MODE
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.data.observation import Silence
from pymc_lan.models.diffusion import solved_labels
from pymc_lan.models.diffusion.path_view import CurvedView, PathView
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import require_exact
from pymc_lan.models.watched import Watched, watched
from pymc_lan.networks.network import Network, version_config
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.load import write_version
from pymc_lan.training.labelled.fit import fit
from pymc_lan.training.labelled.tasks import survivor_task

DDM = pl.get_model("ddm")
# What `ddm` is, for solvers and networks that know its functions only; and the same of a straight boundary.
BY_FUNCTIONS = pl.ModelSpec(
    name="by_functions",
    parameters=tuple(replace(p, bounds=(0.2, 0.8)) if p.name == "z" else p for p in DDM.parameters),
    drift=lambda time, position, theta: theta["v"],
    boundary=lambda time, theta: theta["a"],
    description="Constant drift between constant boundaries.",
    reference="none",
)
STRAIGHT = replace(
    BY_FUNCTIONS,
    name="straight",
    parameters=(*BY_FUNCTIONS.parameters, pl.Parameter("slope", (0.1, 0.6), "1/s", "fall")),
    boundary=lambda time, theta: theta["a"] - theta["slope"] * time,
    closes=lambda theta: 0.999 * theta["a"] / theta["slope"],
)
THETA = {"v": 0.7, "a": 0.9, "z": 0.45, "t": 0.3}


def exact(horizon: Any, theta: Any) -> np.ndarray:
    survivor = require_exact(DDM).log_survivor
    assert survivor is not None
    return np.asarray(survivor(NUMPY, horizon, theta))


@pytest.mark.table
def test_labels_are_those_of_the_closed_form() -> None:
    """Relative to the probability, down to what the solver's sums can tell."""
    labels = BY_FUNCTIONS.labels
    assert labels is not None
    theta, horizon, log_seen, log_none = labels.undecided(np.random.default_rng(1), 64 * 160)
    truth = exact(horizon, theta)
    told = np.isfinite(log_none) & (log_none > np.log(1e-3))
    assert told.mean() > 0.3
    assert np.abs(log_none - truth)[told].max() < 2e-3
    both = told & np.isfinite(log_seen)
    np.testing.assert_allclose(np.logaddexp(log_seen[both], log_none[both]), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", ["by_functions", "ddm_st"])
def test_what_is_corrected_is_small(name: str) -> None:
    """The closed form beside the network is near the truth: early, where it is exp(-25), and in between."""
    spec = BY_FUNCTIONS if name == "by_functions" else pl.get_model("ddm_st")
    view = spec.views.survivor if spec.views is not None else None
    assert view is not None
    rng, n = np.random.default_rng(2), 400
    theta = {"v": rng.uniform(-3, 3, n), "a": rng.uniform(0.5, 2, n), "z": rng.uniform(0.3, 0.7, n)}
    horizon = theta["a"] ** 2 * np.exp(rng.uniform(np.log(0.05), np.log(8), n))
    if name == "ddm_st":
        theta["st"] = np.full(n, 1e-3)
    truth = exact(horizon, theta)
    error = view.log_split(NUMPY, lambda x: 0.0 * x[0], horizon, theta)[1] - truth
    assert truth.min() < -20
    assert np.abs(error).max() < 2
    edge = {key: x[:1] for key, x in theta.items()}
    seen, none = view.log_split(NUMPY, lambda x: 0.0 * x[0], np.array([-0.5, np.inf]), edge)
    assert (seen.tolist(), none.tolist()) == ([-np.inf, 0.0], [0.0, -np.inf])


@pytest.fixture(scope="module")
def network() -> Network:
    """A small one of `ddm_st`: its likelihood and choice networks are those that ship."""
    shipped, per = pl.load_network("ddm_st@1.0"), solved_labels.HORIZONS_PER_SOLUTION
    solved_labels.HORIZONS_PER_SOLUTION = 400
    recipe = pl.Recipe(hidden=(16, 16), steps=2000, batch=512, pool=80_000)
    survivor = fit(survivor_task(shipped.spec), recipe, progress=False)
    solved_labels.HORIZONS_PER_SOLUTION = per
    return replace(shipped, survivor=survivor)


def theta_of(network: Network) -> dict[str, float]:
    return THETA | {"t": 0.4, "st": 0.15} if network.spec.name == "ddm_st" else THETA


def test_the_network_says_how_many_trials_are_late(network: Network) -> None:
    """Against simulated trials: a network as small as this one is off by .02, chance by .0025."""
    theta, view = theta_of(network), Watched(network.spec).views.choice
    assert view is not None
    rt = pl.simulate(network.spec, theta, n=40_000, seed=3)["rt"].to_numpy()
    for deadline in (0.6, 0.9, 1.4):
        one = {key: np.array([x]) for key, x in theta.items()}
        seen, none = view.log_split(NUMPY, network.survivor, np.array([deadline - theta["t"]]), one)
        assert np.exp(none).item() == pytest.approx((rt > deadline).mean(), abs=0.03)
        assert np.logaddexp(seen, none).item() == pytest.approx(0.0, abs=1e-12)


def late(network: Network, n: int = 60, deadline: float = 0.8) -> pd.DataFrame:
    df = pl.simulate(network.spec, theta_of(network), n=n, seed=4)
    return df.mask(df["rt"] > deadline).assign(deadline=deadline)


@pytest.mark.parametrize("mode", one_of_a_kind(EVERY_MODE, "as written"))
def test_every_backend_gives_the_same(network: Network, mode: str) -> None:
    """Values as of the network in NumPy, slopes as differences of them."""
    theta, df = theta_of(network), late(network)
    assert 5 < df["rt"].isna().sum() < 55
    rt, response = df["rt"].fillna(np.inf).to_numpy(), df["response"].fillna(0.0).to_numpy()
    assert network.survivor is not None
    spec = watched(network.spec, network.survivor, Silence.OMISSION)
    likelihood = Likelihood(spec, network.lan, network.survivor, Silence.OMISSION)

    def total(v: float) -> float:
        named = {key: np.full(len(df), x) for key, x in (theta | {"v": v}).items()}
        return float(likelihood.log_trial(NUMPY, rt, response, np.full(len(df), 0.8), named).sum())

    with pm.Model() as model:
        v = pm.Flat("v")
        pl.LANDist("obs", network.spec, **(theta | {"v": v}), weights=network, deadline="deadline", observed=df)
    f = model.logp_dlogp_function(ravel_inputs=True, mode=EVERY_MODE[mode])
    value, slope = f(np.array([theta["v"]]))
    assert value == pytest.approx(total(theta["v"]), rel=1e-6)
    assert slope.item() == pytest.approx((total(theta["v"] + 0.01) - total(theta["v"] - 0.01)) / 0.02, abs=0.01)


def test_a_version_keeps_it(network: Network, tmp_path: Path) -> None:
    mine = replace(network, version="9.0")
    folder = write_version(tmp_path, mine, version_config(mine, "rt and response"), lambda config: "a card")
    again = pl.load_network(folder)
    assert again.survivor == network.survivor
    assert again == network
    config = json.loads((folder / "config.json").read_text())
    assert sorted(config["networks"]) == ["choice", "lan", "survivor"]


@pytest.mark.table
def test_without_one_the_rest_of_the_density_says_the_same() -> None:
    """Of the first version, whose boundaries move."""
    given = THETA | {"alpha": 2.0, "beta": 2.0, "deadline": 1.0}
    dists = [pl.LANDist.dist("weibull", **given, weights=name) for name in ("weibull@1.0", "weibull")]
    first, own = (pm.logp(dist, [[np.inf, 0.0]]).eval(mode=AS_WRITTEN).item() for dist in dists)
    assert first == pytest.approx(own, abs=0.01)


def test_a_straight_boundary_is_seen_as_before() -> None:
    """Where a boundary is straight, both views have the same closed form; and the second has three inputs more."""
    rng, n = np.random.default_rng(5), 200
    theta = {p.name: rng.uniform(*p.bounds, n) for p in STRAIGHT.parameters}
    d = 0.9 * theta["a"] / theta["slope"] * rng.random(n)
    response = rng.choice([-1.0, 1.0], n)
    first, second = PathView(STRAIGHT), CurvedView(STRAIGHT)
    # The first rounds off a hundredth of the fall.
    np.testing.assert_allclose(
        second.baseline(NUMPY, d, response, theta), first.baseline(NUMPY, d, response, theta), atol=0.03
    )
    assert len(second.inputs(NUMPY, d, response, theta)) == len(first.inputs(NUMPY, d, response, theta)) + 3


@pytest.mark.table
def test_a_plunging_boundary_leaves_little_to_learn() -> None:
    """Weibull boundaries of shape 0.35 have fallen past the start before a decision: 4 nats in the first view."""
    spec = pl.get_model("weibull")
    assert spec.labels is not None
    rng, n = np.random.default_rng(6), 24
    theta = {"v": rng.uniform(-2, 2, n), "a": rng.uniform(2.2, 2.5, n), "z": rng.uniform(0.2, 0.8, n)}
    theta |= {"alpha": np.full(n, 0.35), "beta": np.full(n, 0.4)}
    found = spec.labels.solve(theta, tolerance=np.inf)
    which = (found.log_upper > np.log(1e-3)) & (found.mass_upper + found.mass_lower < 0.9)
    rows = np.nonzero(which)[0]
    every = {name: x[rows] for name, x in found.theta.items()}
    d, one = found.times[which], np.ones(rows.size)
    error = {
        view: np.abs(view(spec).baseline(NUMPY, d, one, every) - found.log_upper[which])
        for view in (PathView, CurvedView)
    }
    assert np.quantile(error[CurvedView], 0.99) < 1.2 < 3 < np.quantile(error[PathView], 0.99)
