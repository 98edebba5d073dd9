"""Checks of fits: against posteriors on a grid, PyMC's own log likelihoods, and counts by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytest

import pymc_lan as pl
from pymc_lan.diagnostics import checks
from pymc_lan.diagnostics.solved import solved_log_likelihood
from pymc_lan.diagnostics.trials import chunks, find_trials, log_likelihood
from pymc_lan.likelihood import Likelihood
from pymc_lan.mlp import MLP
from pymc_lan.models import get_model
from pymc_lan.network import Network
from pymc_lan.transforms import NUMPY

FIXED = {"z": 0.5, "t": 0.3}
STEP = {"v": 0.035, "a": 0.015}
V, A = (x.ravel() for x in np.meshgrid(np.arange(0.4, 1.7, STEP["v"]), np.arange(0.7, 1.35, STEP["a"]), indexing="ij"))


def poor(by: float) -> Network:
    """The shipped network with its correction multiplied."""
    network = pl.load_network("ddm")
    lan = network.lan
    kernels, biases = ((*each[:-1], np.float32(by) * each[-1]) for each in (lan.kernels, lan.biases))
    return Network(network.spec, MLP(kernels, biases), network.choice)


@cache
def data() -> Any:
    return pl.simulate("ddm", {"v": 1.0, "a": 1.0, **FIXED}, n=300, seed=3)


def on_grid(likelihood: Likelihood) -> np.ndarray:
    """The posterior of v and a under flat priors on a grid, which nothing of what is tested takes part in."""
    rt, response = data()["rt"].to_numpy(), data()["response"].to_numpy(float)
    theta = {"v": V[:, None], "a": A[:, None], **FIXED}
    log_p = likelihood.log_density(NUMPY, rt, response, theta).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    return p / p.sum()


def drawn(network: Network, n: int = 2000) -> Any:
    """Draws from the network's posterior on the grid, spread over their cells."""
    rng = np.random.default_rng(0)
    at = rng.choice(V.size, n, p=on_grid(network.likelihood))
    cells = {"v": V[at], "a": A[at]}
    draws = {name: x + STEP[name] * rng.uniform(-0.5, 0.5, n) for name, x in cells.items()}
    return az.from_dict({"posterior": {name: x.reshape(4, -1) for name, x in draws.items()}})


def model_of(network: Network | None) -> pm.Model:
    with pm.Model() as model:
        v, a = pm.Flat("v"), pm.Flat("a")
        how = {"likelihood": "exact"} if network is None else {"weights": network}
        pl.DDM("obs", v, a, **FIXED, observed=data(), **how)
    return model


def exact_moments(x: np.ndarray) -> tuple[float, float]:
    p = on_grid(Likelihood(get_model("ddm")))
    mean = p @ x
    return mean, np.sqrt(p @ (x - mean) ** 2)


@pytest.mark.parametrize("by", [1.0, 0.7])
def test_corrected_means_are_those_of_the_exact_posterior(by: float) -> None:
    network = poor(by)
    found = pl.check(drawn(network), model_of(network), n_draws=2000)
    for name, x in (("v", V), ("a", A)):
        mean, sd = exact_moments(x)
        assert abs(found.means.loc[name, "corrected_mean"] - mean) < 0.1 * sd
        assert found.means.loc[name, "corrected_sd"] == pytest.approx(sd, rel=0.1)
        uncorrected = abs(found.means.loc[name, "mean"] - mean) / sd
        assert uncorrected < 0.1 if by == 1.0 else uncorrected > 0.2
    assert found.pareto_k < 0.7
    assert float(found.weights.sum()) == pytest.approx(1)
    assert found.weights.coords["chain"].to_numpy().tolist() == np.repeat(range(4), 500).tolist()
    assert ("is the exact one but for" if by == 1.0 else "the corrected means are right") in found.verdict
    assert found.verdict in repr(found)
    assert found.table["ok"].all() == (by == 1.0)


def test_a_network_beyond_correction_is_told() -> None:
    network = poor(-1.0)
    found = pl.check(drawn(network), model_of(network))
    mean, sd = exact_moments(A)
    assert abs(found.means.loc["a", "corrected_mean"] - mean) > 0.1 * sd
    assert found.pareto_k > checks.good_k(1000)
    assert "the corrected means are not to be trusted" in found.verdict
    row = found.table.set_index("check").loc["Pareto k of the correction"]
    assert not row["ok"]


def test_the_closed_form_needs_no_correction() -> None:
    found = pl.check(drawn(poor(1.0)), model_of(None), n_draws=50)
    assert found.weights.to_numpy().tolist() == [0.02] * 50
    assert found.pareto_k == 0
    assert not found.table["check"].str.contains("error").any()


def test_too_few_draws_have_no_pareto_k() -> None:
    network = poor(1.0)
    found = pl.check(drawn(network), model_of(network), n_draws=50)
    assert np.isnan(found.pareto_k)
    assert "Too few draws (50)" in found.verdict
    assert not found.table["ok"].all()


def two_choice(**kwargs: Any) -> Callable[[], None]:
    """Subjects whose parameters are expressions, with lapses."""

    def build() -> None:
        subject = np.repeat([0, 1], 3)
        v = pm.Normal("v", pm.Normal("mu"), 1, shape=2)
        p = pm.Beta("p", 1, 9)
        rows = [[0.05, 1], [0.7, -1], [1.1, 1], [0.4, 1], [0.9, -1], [2.0, 1]]
        pl.DDM("obs", v[subject], pm.math.exp(pm.Normal("log_a")), 0.5, 0.3, p_lapse=p, observed=rows, **kwargs)

    return build


def go_nogo(**kwargs: Any) -> Callable[[], None]:
    def build() -> None:
        v, t = pm.Normal("v"), pm.Uniform("t", 0.1, 0.6)
        rows = [[0.5, 1], [np.inf, 0], [0.2, 1], [np.inf, 0]]
        types = ["go", "go", "no-go", "no-go"]
        pl.GoNoGoDDM("obs", v, 1.2, 0.5, t, trial_type=types, deadline=1.5, observed=rows, **kwargs)

    return build


def angle() -> None:
    pl.Angle("obs", pm.Normal("v"), 1.2, 0.5, 0.3, pm.Uniform("theta", 0, 1), observed=[[0.5, 1], [0.9, -1]])


@pytest.mark.parametrize(
    "build",
    [two_choice(), go_nogo(), go_nogo(p_lapse=0.1), go_nogo(likelihood="exact", p_lapse=0.1, lapse_go=0.3), angle],
    ids=["hierarchical", "go/no-go", "lapses", "exact", "angle"],
)
def test_log_likelihoods_are_those_of_pymc(build: Callable[[], None]) -> None:
    with pm.Model() as model:
        build()
    rng = np.random.default_rng(4)
    shapes = {rv.name: rv.shape.eval() for rv in model.free_RVs}
    # Between 0.1 and 0.6: inside every prior, and t before and after some of the responses.
    draws = {name: rng.uniform(0.1, 0.6, (1, 5, *shape)) for name, shape in shapes.items()}
    idata = az.from_dict({"posterior": draws})
    expected = pm.compute_log_likelihood(
        idata, model=model, extend_inferencedata=False, progressbar=False, compile_kwargs={"mode": "FAST_COMPILE"}
    )
    (trials,) = find_trials(model)
    ((rows, (parameters,)),) = chunks(model, [trials], {name: x[0] for name, x in draws.items()})
    op = trials.op
    found = log_likelihood(trials, Likelihood(op.spec, op.lan, op.choice), parameters)
    assert rows.tolist() == list(range(5))
    np.testing.assert_allclose(found, expected["obs"].to_numpy()[0], rtol=1e-5, atol=1e-5)


def test_guesses_bounds_and_divergences_are_counted() -> None:
    with pm.Model() as model:
        v, t, p = pm.Normal("v"), pm.Uniform("t", 0, 1), pm.Beta("p", 1, 1)
        pl.DDM("obs", v, 1.0, 0.5, t, p_lapse=p, lapse_window=2.0, observed=[[0.4, 1], [0.8, -1]])
    draws = {"v": [0.0, 0.0, 2.95, 3.5], "t": [0.1, 0.5, 0.1, 0.9], "p": [0.1, 0.1, 0.2, 0.2]}
    stats = {"diverging": np.array([[False, True, True, False]])}
    posterior = {name: np.array([x]) for name, x in draws.items()}
    found = pl.check(az.from_dict({"posterior": posterior, "sample_stats": stats}), model)
    value = found.table.set_index("check")["value"]
    assert value["draws with v outside"] == 0.25
    assert value["draws with t outside"] == 0
    assert value["responses before t"] == 3 / 8  # t = 0.5 and 0.9 after 0.4, t = 0.9 after 0.8
    assert value["draws that diverged"] == 0.5
    assert value["divergences that are near bounds"] == 0.5  # v = 2.95 of the two
    network, expected = pl.load_network("ddm"), []
    for i in range(4):
        theta = {"v": draws["v"][i], "a": 1.0, "z": 0.5, "t": draws["t"][i]}
        # Without its penalty: the bounds are not what tells a guess.
        f = np.exp(network.logpdf([0.4, 0.8], [1, -1], **theta) + network.likelihood.clamp(NUMPY, theta)[1])
        p = draws["p"][i]
        expected.append(p / 4 / ((1 - p) * f + p / 4))
    inside = np.mean(expected[:3], axis=0)
    with_all = found.guesses["obs"]
    assert with_all.shape == (2,)
    three = {name: x[:, :3] for name, x in posterior.items()}
    np.testing.assert_allclose(pl.check(az.from_dict({"posterior": three}), model).guesses["obs"], inside, rtol=1e-4)
    assert "narrow the priors" in found.verdict
    assert "raise target_accept" in found.verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, "observed trials of a pymc_lan distribution.*observed variables: y"),
        ({"idata": az.from_dict({"prior": {"v": np.zeros((1, 4))}})}, "no group posterior"),
        ({"idata": az.from_dict({"posterior": {"w": np.zeros((1, 4))}})}, "Unknown variable 'v'"),
        ({"n_draws": 0}, "n_draws of 1 or more"),
    ],
)
def test_what_cannot_be_checked_is_refused(change: dict[str, Any], message: str) -> None:
    with pm.Model() as other:
        pm.Normal("y", pm.Normal("v"), observed=[0.0])
    arguments = {"idata": drawn(poor(1.0), 40), "model": model_of(poor(1.0))} | change
    if arguments["model"] == "other":
        arguments["model"] = other
    with pytest.raises(ValueError, match=message):
        pl.check(**arguments)


def test_a_race_has_no_trained_bounds() -> None:
    """Drifts below 0 and above what is usual are drifts like any others."""
    df = pl.simulate("lba2", {"A": 0.3, "b": 1.5, "v0": 1.3, "v1": -0.1, "t": 0.2}, n=20, seed=1)
    with pm.Model() as model:
        v0, v1 = pm.Normal("v0", 1, 1), pm.Normal("v1", 0, 1)
        pl.LBA2("obs", 0.3, 1.5, v0, v1, 0.1, observed=df)
    rng = np.random.default_rng(1)
    draws = {"v0": rng.normal(1.3, 0.02, (2, 50)), "v1": rng.normal(-0.1, 0.02, (2, 50))}
    table = pl.check(az.from_dict({"posterior": draws}), model).table
    assert table["ok"].all()
    assert table.loc[table["check"].str.contains("outside"), "value"].max() == 0


def test_a_model_known_by_its_simulator_alone_is_refused() -> None:
    spec = pl.simulator_spec(
        "clock",
        lambda theta, rng: (rng.gamma(3.0, 1 / theta[:, 0]), np.ones(len(theta))),
        {"rate": (2, 20)},
        choices=[1],
    )
    with pytest.raises(ValueError, match=r"Found 'clock', known by a simulator .*pl.diagnostics.accuracy,"):
        checks._require_known(spec)


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 1000])
def test_solved_labels_are_those_of_the_closed_form(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The angle model: its density is known, and no press is as likely as its trained network says."""
    monkeypatch.setattr("pymc_lan.diagnostics.solved.BLOCK", block)
    spec = get_model("angle")
    theta = {"v": np.array([1.0, -0.5]), "a": np.array([1.2, 0.9]), "z": np.array([0.5, 0.4])}
    theta["theta"] = np.array([0.2, 0.5])
    which = np.array([0, 0, 1, 1, 0, 1])
    d, response = np.array([0.3, 1.0, 0.2, 0.6, np.inf, np.inf]), np.array([1.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    horizon = np.array([np.inf] * 4 + [0.8, np.inf])
    found = solved_log_likelihood(spec, theta, which, d, response, horizon)
    each = {name: x[which] for name, x in theta.items()} | {"t": np.zeros(6)}
    exact = Likelihood(spec).log_density(NUMPY, np.where(np.isfinite(d), d, 1.0), response, each)
    np.testing.assert_allclose(found[:4], exact[:4], atol=1e-3)
    none = pl.load_network("angle").likelihood.log_go(NUMPY, horizon, each)[1]
    np.testing.assert_allclose(found[4:], none[4:], atol=5e-3)


@pytest.mark.slow
def test_a_model_without_a_closed_form_is_checked() -> None:
    df = pl.simulate("weibull", {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3, "alpha": 2.0, "beta": 2.0}, n=100, seed=1)
    with pm.Model() as model:
        v = pm.Normal("v", 1, 1)
        pl.Weibull("obs", v, 1.2, 0.5, 0.3, 2.0, 2.0, observed=df)
    draws = np.random.default_rng(0).normal(1, 0.1, (2, 300))
    found = pl.check(az.from_dict({"posterior": {"v": draws}}), model, n_draws=120)
    value = found.table.set_index("check")["value"]
    # The card: 0.0004 nats in the mean, over all of the bounds.
    assert value["error of the log likelihood per trial, mean"] < 0.002
    assert value["trials without a label"] < 0.05
    assert abs(found.means.loc["v", "shift_in_sd"]) < 0.1


@pytest.mark.slow
def test_a_biased_network_fails_calibration_and_the_shipped_one_passes() -> None:
    """The NeuroRacer subject at a tenth of `benchmarks/sbc.py`; the network has none of its correction."""

    def builder(network: Network) -> Callable[[], pm.Model]:
        def build() -> pm.Model:
            types = np.repeat(["go", "no-go"], 100)
            rows = np.column_stack([np.where(types == "go", 1.0, np.inf), types == "go"])
            with pm.Model() as model:
                v = pm.TruncatedNormal("v", 1, 1, lower=-3, upper=3)
                a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
                t = pm.Uniform("t", 0.05, 1)
                pl.GoNoGo("obs", network, v, a, 0.5, t, trial_type=types, observed=rows)
            return model

        return build

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of PyTensor: no compiled draws from a truncated prior
        good, bad = (
            pl.diagnostics.sbc(builder(network), 50, target_accept=0.9, progressbar=False)
            for network in (pl.load_network("ddm"), poor(0.0))
        )
    assert (pl.diagnostics.recovery(good)["p_uniform"] > 0.01).all()
    assert (pl.diagnostics.recovery(bad)["p_uniform"] < 0.001).any()
