"""Checks of fits: against posteriors on a grid, PyMC's own log likelihoods, and counts by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
from functions import by_functions
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.diagnostics import check as checks
from pymc_lan.diagnostics import differences
from pymc_lan.diagnostics.convergence import Convergence
from pymc_lan.diagnostics.fitted_trials import chunks, find_trials, log_likelihood
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY

# A version whose bounds this release has widened.
NARROW = "ddm@1.0"
WIDER = "use the default version of 'ddm', whose bounds are wider"
FIXED = {"z": 0.5, "t": 0.3}
STEP = {"v": 0.035, "a": 0.015}
V, A = (x.ravel() for x in np.meshgrid(np.arange(0.4, 1.7, STEP["v"]), np.arange(0.7, 1.35, STEP["a"]), indexing="ij"))


def poor(by: float, model: str = "ddm") -> Network:
    """The shipped network with its correction multiplied."""
    network = pl.load_network(model)
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
    p = on_grid(Likelihood(MODELS["ddm"]))
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
    assert (found.means["error_in_sd"] < checks.LIMIT_ERROR).all()


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
    assert not found.table["check"].str.contains("error of the log").any()


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


def several_subjects() -> None:
    v, rows = pm.Normal("v", 1, 1, shape=2), [[[0.5, 1], [0.9, -1], [0.7, 1]], [[0.6, -1], [0.4, 1], [0.8, 1]]]
    pl.DDM("obs", v[:, None], 1.2, 0.5, pm.Uniform("t", 0, 1), likelihood="exact", observed=np.array(rows))


@pytest.mark.parametrize(
    "build",
    [
        two_choice(),
        go_nogo(),
        go_nogo(p_lapse=0.1),
        go_nogo(likelihood="exact", p_lapse=0.1, lapse_go=0.3),
        angle,
        several_subjects,
    ],
    ids=["hierarchical", "go/no-go", "lapses", "exact", "angle", "several subjects"],
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
    np.testing.assert_allclose(found, expected["obs"].to_numpy()[0].reshape(5, -1), rtol=1e-5, atol=1e-5)


def test_a_draw_that_is_no_number_has_no_log_likelihood_and_no_warning() -> None:
    with pm.Model() as model:
        go_nogo()()
    (trials,) = find_trials(model)
    parameters = {name: np.full((2, 4), x) for name, x in {"v": 0.5, "a": 1.2, "z": 0.5, "t": 0.1}.items()}
    parameters |= {"deadline": np.full((2, 4), 1.5)}
    parameters["v"][1] = np.nan
    found = log_likelihood(trials, Likelihood(trials.op.spec, trials.op.lan, trials.op.choice), parameters)
    np.testing.assert_array_equal(np.isnan(found), [[False] * 4, [True] * 4])


def test_guesses_bounds_and_divergences_are_counted() -> None:
    with pm.Model() as model:
        v, t, p = pm.Normal("v"), pm.Uniform("t", 0, 1), pm.Beta("p", 1, 1)
        rows = [[0.4, 1], [0.8, -1]]
        pl.DDM("obs", v, 1.0, 0.5, t, p_lapse=p, lapse_window=2.0, weights=NARROW, observed=rows)
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
    network, expected = pl.load_network(NARROW), []
    for i in range(4):
        theta = {"v": draws["v"][i], "a": 1.0, "z": 0.5, "t": draws["t"][i]}
        # Without its penalty: the bounds are not what tells a guess.
        f = np.exp(network.logpdf([0.4, 0.8], [1, -1], **theta) + network.likelihood.clamp(NUMPY, theta)[1])
        p = draws["p"][i]
        expected.append(p / 4 / ((1 - p) * f + p / 4))
    inside = np.mean(expected[:3], axis=0)
    with_all = found.guesses["obs"]
    assert with_all.shape == (2,)
    three = {name: np.tile(x[:, :3], 2) for name, x in posterior.items()}
    np.testing.assert_allclose(pl.check(az.from_dict({"posterior": three}), model).guesses["obs"], inside, rtol=1e-4)
    assert WIDER in found.verdict
    assert "raise target_accept" in found.verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, "observed trials of a pymc_lan distribution.*observed variables: y"),
        ({"idata": az.from_dict({"prior": {"v": np.zeros((1, 4))}})}, "no group posterior"),
        ({"idata": az.from_dict({"posterior": {"w": np.zeros((1, 4))}})}, "Unknown variable 'v'"),
        ({"n_draws": 1}, "n_draws of 4 or more, of which something can be said. Found 1"),
        ({"n_draws": 2}, "n_draws of 4 or more"),
        ({"idata": az.from_dict({"posterior": {"v": np.zeros((1, 2)), "a": np.ones((1, 2))}})}, "1 chains of 2 draws"),
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
    draws = {"v0": rng.normal(1.3, 0.02, (4, 250)), "v1": rng.normal(-0.1, 0.02, (4, 250))}
    table = pl.check(az.from_dict({"posterior": draws}), model).table
    assert table["ok"].all()
    assert table.loc[table["check"].str.contains("outside"), "value"].max() == 0


def apart(v: Any, a: float = 1.0, sd: float = 0.03) -> Any:
    """Chains of 500 draws around given drifts."""
    rng = np.random.default_rng(7)
    v = np.asarray(v)
    return az.from_dict(
        {"posterior": {"v": rng.normal(v[:, None], sd, (v.size, 500)), "a": rng.normal(a, sd, (v.size, 500))}}
    )


BLESSINGS = ("is the exact one", "are right")


def test_chains_that_never_meet_are_not_blessed() -> None:
    found = pl.check(apart([0.9, 1.1]), model_of(poor(1.0)), n_draws=200)
    first = found.table.iloc[0]
    assert first["check"] == "largest R-hat (v)"
    # Two chains of equal spread s around means 0.2 apart: R-hat is near the root of 1 + 0.2^2 / 2 / s^2, whatever the
    # ranks; with s = 0.03 far above 1.5.
    assert first["value"] > 1.5
    assert not first["ok"]
    assert found.verdict.startswith("The chains have not met: R-hat is up to ")
    assert not any(words in found.verdict for words in BLESSINGS)
    assert "is not said of such draws" in found.verdict


def test_what_chains_say_comes_first() -> None:
    """Few effective draws are said and no more; divergences, one chain and what never moved end all praise."""
    few = Convergence(4, {"v": 1.001, "a": 1.0}, {"v": 500.0, "a": 57.0}, [], np.zeros(400, bool))
    assert few.complaints == ["Few effective draws: 57 (a; at least 400). Sample longer."]
    assert not few.doubtful
    assert replace(few, r_hat={"v": 1.02, "a": np.nan}).worst_r_hat[0] == "a"
    model, good = model_of(None), apart([1.0] * 4)
    v, a = (good.posterior[name].to_numpy() for name in ("v", "a"))
    flags = np.zeros((4, 500), bool)
    flags[0, :3] = True
    posterior = {"v": v, "a": np.full_like(a, 1.0)}
    bad = az.from_dict({"posterior": posterior, "sample_stats": {"diverging": flags}})
    found = pl.check(bad, model, n_draws=200)
    assert found.verdict.startswith("The same in every draw, so that nothing was sampled: a. 3 of 2000 draws diverged")
    assert np.isnan(found.means.loc["a", "shift_in_sd"])
    assert found.means.loc["a", "corrected_mean"] == 1.0
    assert not any(words in found.verdict for words in BLESSINGS)
    alone = pl.check(az.from_dict({"posterior": {"v": v[:1], "a": a[:1]}}), model, n_draws=200)
    assert alone.verdict.startswith("One chain cannot say")
    assert not any(words in alone.verdict for words in BLESSINGS)


def test_a_posterior_that_is_cut_is_not_blessed() -> None:
    """Draws at the bound of a network, one in a hundred past it: what the data want may lie anywhere beyond."""
    rng = np.random.default_rng(1)
    df = pl.simulate("ddm", {"v": 4.5, "a": 1.0, **FIXED}, n=50, seed=2)
    with pm.Model() as model:
        pl.DDM("obs", pm.Normal("v", 0, 5), 1.0, **FIXED, weights=NARROW, observed=df)
    v = rng.uniform(2.8, 2.99, (4, 500))
    v[:, ::100] = 3.01
    found = pl.check(az.from_dict({"posterior": {"v": v}}), model, n_draws=200)
    assert found.table.set_index("check").loc["draws with v outside", "value"] == pytest.approx(0.01, abs=0.005)
    assert "Expected posterior draws with v within -3 to 3, where the network of 'ddm' was trained." in found.verdict
    assert f"{WIDER}, or use likelihood='exact', or give priors" in found.verdict
    assert not any(words in found.verdict for words in BLESSINGS)


def test_parameters_are_called_by_their_coordinates() -> None:
    rows = np.tile([[0.5, 1.0], [0.9, -1.0]], (4, 1))
    with pm.Model(coords={"subject": ["ann", "bob"], "cue": ["x", "y"]}) as model:
        v = pm.Normal("v", dims=("subject", "cue"))
        pl.DDM("obs", v[np.repeat([0, 1], 4), np.tile([0, 1], 4)], 1.0, **FIXED, observed=rows)
    draws = np.random.default_rng(1).normal(size=(4, 100, 2, 2))
    idata = az.from_dict(
        {"posterior": {"v": draws}},
        dims={"v": ["subject", "cue"]},
        coords={k: list(x) for k, x in model.coords.items()},
    )
    found = pl.check(idata, model, n_draws=100)
    assert found.means.index.tolist() == ["v[ann, x]", "v[ann, y]", "v[bob, x]", "v[bob, y]"]
    assert found.means.loc["v[bob, x]", "mean"] == pytest.approx(draws[..., 1, 0].mean())


def test_many_parameters_are_shown_by_their_shift() -> None:
    table = pd.DataFrame({"shift_in_sd": np.arange(50) / 50}, index=[f"v[{i}]" for i in range(50)])
    shown = repr(checks.Check(pd.DataFrame({"ok": [True]}), table, None, 0.0, {}, "Well."))
    assert "v[49]" in shown
    assert "v[29]" not in shown
    assert "and 30 more in .means" in shown


def slow(by: float) -> tuple[Any, pm.Model]:
    """A model whose exact likelihood takes long, because every trial has its own drift, and whose network is biased."""
    n, rng = 300, np.random.default_rng(0)
    x = rng.uniform(-1, 1, n)
    truth = {"v": 1 + 0.5 * x, "a": 1.2, "z": 0.5, "sz": 0.1, "sv": 0.5, "st": 0.1, "t": 0.4}
    df = pl.simulate("full_ddm", truth, n=n, seed=1)
    with pm.Model() as model:
        v, slope, a = pm.Normal("v"), pm.Normal("slope"), pm.Normal("a")
        pl.FullDDM("obs", v + slope * x, a, 0.5, 0.4, 0.1, 0.5, 0.1, weights=poor(by, "full_ddm"), observed=df)
    centres = {"v": (1, 0.08), "slope": (0.5, 0.08), "a": (1.2, 0.03)}
    return az.from_dict({"posterior": {name: rng.normal(*at, (4, 250)) for name, at in centres.items()}}), model


@pytest.mark.parametrize("by", one_of_a_kind([0.95, 0.6], 0.95))
def test_a_sample_of_trials_says_what_all_of_them_do(by: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the error that it states; where that is above a tenth of a standard deviation, it cannot say."""
    fit, units = slow(by), 60
    whole = pl.check(*fit, n_draws=100, seconds=np.inf, progressbar=False)
    # So slow that there is time for so many trials only.
    monkeypatch.setattr(differences, "_cost", lambda *_: differences.PLANNED * 60 / (100 * (units + 0.5)))
    part = pl.check(*fit, n_draws=100, progressbar=False)
    value = part.table.set_index("check")["value"]
    assert value["trials that were looked at, share"] == units / 300
    assert value["draws whose exact likelihood was looked at"] == 100
    away = (part.means["shift_in_sd"] - whole.means["shift_in_sd"]).abs().max()
    error = part.means["error_in_sd"].max()
    assert 0 < away < error
    if by == 0.95:
        # Nor is the error much larger than what all trials leave, which comes from the draws alone.
        assert whole.means["error_in_sd"].max() < error < checks.LIMIT_ERROR
        assert "is the exact one but for" in part.verdict
    else:
        assert error > checks.LIMIT_ERROR
        assert "Cannot say what the network did" in part.verdict


def test_time_ends_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that passes a second at each look: so many draws as it leaves, spread over all, and no praise."""
    clock = iter(range(10_000))
    monkeypatch.setattr(differences.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(differences, "_cost", lambda *_: 0.5 / 300)
    found = pl.check(*slow(1.0), seconds=30.0, progressbar=False)
    size = found.weights.size
    assert 20 <= size < 100
    where = 250 * found.weights["chain"].to_numpy() + found.weights["draw"].to_numpy()
    assert where.min() < 200
    assert where.max() > 800
    assert f"Too few draws ({size}) to say what the network did" in found.verdict


def test_of_a_simulator_what_can_be_said_is_said() -> None:
    """Its chains, bounds and onsets; a ChoiceDist too."""

    def known(times: bool) -> pl.ModelSpec:
        def draw(theta: np.ndarray, rng: np.random.Generator) -> Any:
            response = (rng.random(len(theta)) < theta[:, 0]).astype(int)
            return (0.3 + rng.gamma(2.0, 0.2, len(theta)), response) if times else response

        return pl.simulator_spec(f"coin_{times}", draw, {"p": (0.1, 0.9)}, choices=[0, 1], times=times)

    rng = np.random.default_rng(0)
    for times, observed in ((True, [[0.5, 1], [0.7, 0]]), (False, [1, 0, 1])):
        spec = known(times)
        n_inputs, n_outputs = (4, 1) if times else (1, 2)
        lan = MLP((np.zeros((n_inputs, n_outputs), np.float32),), (np.zeros(n_outputs, np.float32),))
        with pm.Model() as model:
            p = pm.Normal("p", 0.5, 0.1)
            (pl.LANDist if times else pl.ChoiceDist)("obs", Network(spec, lan, None), p, observed=observed)
        idata = az.from_dict({"posterior": {"p": rng.uniform(0.2, 0.8, (4, 200))}})
        found = pl.check(idata, model)
        assert found.verdict.startswith(f"Cannot say what the network did to the posterior: 'coin_{times}' is known by")
        assert np.isnan(found.means.loc["p", "corrected_mean"])
        assert found.table["ok"].all()
        wide = pl.check(az.from_dict({"posterior": {"p": rng.uniform(0.5, 1.3, (4, 200))}}), model)
        assert wide.table.set_index("check").loc["draws with p outside", "value"] == pytest.approx(0.5, abs=0.05)
        assert "p within 0.1 to 0.9, where the network of" in wide.verdict


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 1000])
def test_solved_labels_are_those_of_the_closed_form(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The angle model: its density is known, and no press is as likely as its trained network says."""
    monkeypatch.setattr("pymc_lan.models.diffusion.solved_labels.BLOCK", block)
    spec = MODELS["angle"]
    theta = {"v": np.array([1.0, -0.5]), "a": np.array([1.2, 0.9]), "z": np.array([0.5, 0.4])}
    theta["theta"] = np.array([0.2, 0.5])
    which = np.array([0, 0, 1, 1, 0, 1])
    d, response = np.array([0.3, 1.0, 0.2, 0.6, np.inf, np.inf]), np.array([1.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    horizon = np.array([np.inf] * 4 + [0.8, np.inf])
    found = by_functions(spec).labels.at(theta, which, d, response, horizon)
    closed = spec.labels.at(theta, which, d, response, horizon)
    np.testing.assert_allclose(found, closed, atol=1e-3)
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
