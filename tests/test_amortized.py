"""Amortised posteriors: what networks see and answer, against densities that are not theirs; and files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from hub_server import Hub, Repository
from scipy import stats
from toy_workers import FLAG, die_once

import pymc_lan as pl
from pymc_lan.amortized import amortize as training_of
from pymc_lan.amortized.amortizer import Amortizer
from pymc_lan.amortized.backend import bayesflow
from pymc_lan.amortized.calibration import accuracy_of
from pymc_lan.amortized.described import Described, describe
from pymc_lan.amortized.filed import APART, Filed
from pymc_lan.amortized.networks import Stored
from pymc_lan.amortized.simulated import Simulated, designs, sizes
from pymc_lan.amortized.standard import Misfit, Usual
from pymc_lan.amortized.training import Batches, schedule
from pymc_lan.amortized.trials import Context, Numbers, ResponseTimes
from pymc_lan.amortized.values import Scale, scale
from pymc_lan.errors import RegistryError

QUIET: dict[str, Any] = {"seed": 1, "progressbar": False}
PRIORS = {
    "v": {"distribution": "Normal", "parameters": [1.0, 1.0]},
    "a": {"distribution": "LogNormal", "parameters": [0.0, 0.3]},
    "t": {"distribution": "Gamma", "parameters": [9.0, 1 / 30]},  # its random variable has a scale
}
DDM = Described(PRIORS, "ddm", {"v": "v", "a": "a", "z": 0.5, "t": "t"})


def weights(size: int, condition: int, trials: int, rng: np.random.Generator, depth: int = 2) -> dict[str, Any]:
    """Those of a network with one hidden layer everywhere, which is not near the identity."""

    def dense(name: str, n: int, m: int) -> dict[str, Any]:
        return {f"{name}/kernel": rng.normal(0, 0.4, (n, m)), f"{name}/bias": rng.normal(0, 0.4, m)}

    found = dense("trials/0", trials, 3)
    half = size // 2
    for i in range(depth):
        found |= {f"flow/{i}/norm/scale": rng.uniform(0.5, 2, size), f"flow/{i}/norm/bias": rng.normal(size=size)}
        found[f"flow/{i}/order"] = rng.permutation(size)
        for name, known, other in (("first", half, size - half), ("second", size - half, half)):
            if other:
                found |= dense(f"flow/{i}/{name}/0", known + condition, 5) | dense(f"flow/{i}/{name}/out", 5, 2 * other)
    return {k: np.asarray(x, np.int32 if k.endswith("order") else np.float32) for k, x in found.items()}


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_flow_knows_by_how_much_it_spreads(size: int) -> None:
    rng = np.random.default_rng(size)
    network, given = Stored(weights(size, 4, 2, rng), 10.0), rng.normal(size=4)
    z, step = rng.normal(size=(3, size)), 1e-2
    x, spread = network.invert(z, given)
    np.testing.assert_allclose(network.latent(x, given), z, atol=1e-4)
    for i in range(3):
        moved = [network.invert(z[i : i + 1] + step * e * sign, given)[0][0] for e in np.eye(size) for sign in (1, -1)]
        slopes = [(moved[2 * j] - moved[2 * j + 1]) / (2 * step) for j in range(size)]
        np.testing.assert_allclose(spread[i], np.linalg.slogdet(np.array(slopes))[1], atol=0.02)


@pytest.mark.parametrize("df", [10.0, np.inf])
@pytest.mark.parametrize("widened", [False, True])
def test_draws_have_the_density_that_they_say(df: float, widened: bool) -> None:
    """The mean of a normalised density over theirs is 1, and of its first moment what it is."""
    network = Stored(weights(2, 0, 1, np.random.default_rng(3)), df)
    x, log_q = network.draw(np.random.default_rng(1), 20_000, 2, np.zeros(0), widened=widened)
    centre, spread = np.median(x, axis=0), np.diff(np.quantile(x, [0.4, 0.6], axis=0), axis=0)[0]
    ratio = np.exp(stats.norm.logpdf(x, centre, spread).sum(axis=1) - log_q)
    error = ratio.std() / np.sqrt(len(x))
    assert error < 0.03
    assert abs(ratio.mean() - 1) < 4 * error
    np.testing.assert_allclose(ratio @ x / ratio.sum(), centre, atol=5 * error * spread.max())


@pytest.mark.parametrize(
    ("least", "most", "backward"),
    [
        (0.0, np.inf, np.exp),
        (0.1, np.inf, lambda u: 0.1 + np.exp(u)),
        (0.05, 0.6, lambda u: 0.05 + 0.55 / (1 + np.exp(-u))),
        (0.0, 1.0, lambda u: 1 / (1 + np.exp(-u))),
    ],
)
def test_a_time_is_answered_as_a_share_of_the_fastest(least: float, most: float, backward: Any) -> None:
    by, fastest = Scale(2, 1, least, most), 0.45
    u = np.column_stack([[0.3, -2.0, 1.0], [-2.5, -2.0, -1.6]])
    x = by.forward(u, np.full(3, fastest))
    time = backward(u[:, 1])
    np.testing.assert_allclose(x[:, 1], stats.logistic.ppf((time - least) / (fastest - least)))
    rows, spread = by.backward(x, fastest)
    np.testing.assert_allclose(rows, u)
    step = np.array([[0.0, 1e-5]])
    slope = (by.backward(x + step, fastest)[0] - by.backward(x - step, fastest)[0])[:, 1] / 2e-5
    np.testing.assert_allclose(np.exp(spread), slope, rtol=1e-6)
    assert np.all(backward(by.backward(np.array([[0.0, 15.0]]), fastest)[0][:, 1]) < fastest)


def test_which_time_is_so_answered() -> None:
    df = pd.DataFrame({"rt": [0.6, 0.7], "response": [1, -1]})

    def model(t: Any, **further: Any) -> pm.Model:
        with pm.Model() as made:
            v = pm.Normal("v", shape=2)
            pl.DDM("obs", v[0], 1.0, 0.5, t(), observed=df, **further)
        return made

    assert scale(model(lambda: pm.Gamma("t", 9, 30))) == Scale(3, 2, 0.0, np.inf)
    assert scale(model(lambda: pm.Uniform("t", 0.05, 0.6))) == Scale(3, 2, 0.05, 0.6)
    assert scale(model(lambda: pm.Beta("t", 2, 5))) == Scale(3, 2, 0.0, 1.0)
    assert scale(model(lambda: pm.math.exp(pm.Normal("log_t", -1, 0.3)))) == Scale(3)
    # A guess may come before it.
    assert scale(model(lambda: pm.Gamma("t", 9, 30), p_lapse=0.05, lapse_window=3.0)) == Scale(3)


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated(DDM, None, (40, 60), 64, 1)


def test_parameters_are_draws_of_the_prior(simulated: Simulated) -> None:
    every = [simulated.batch(i) for i in range(20)]
    rows = np.concatenate([x.rows for x in every])
    laws = (stats.norm(1, 1), stats.norm(0, 0.3), stats.loggamma(9, scale=1, loc=-np.log(30)))
    assert all(stats.kstest(column, law.cdf).pvalue > 1e-3 for column, law in zip(rows.T, laws, strict=True))
    assert np.abs(np.corrcoef(rows.T) - np.eye(3)).max() < 0.1
    assert {x.observed[0].shape for x in every} == {(64, 40, 2), (64, 60, 2)}


def test_trials_are_draws_of_their_parameters(simulated: Simulated) -> None:
    """The share of upper responses of an unbiased diffusion, and no response before the non-decision time."""
    batch = simulated.batch(5, 60)
    v, a, t = batch.rows[:, 0], np.exp(batch.rows[:, 1]), np.exp(batch.rows[:, 2])
    upper = (batch.observed[0][..., 1] == 1).mean(axis=1)
    expected = 1 / (1 + np.exp(-2 * v * a))
    assert np.abs(stats.zscore(upper - expected)).max() < 6
    assert abs((upper - expected).mean()) < 4 * np.sqrt((expected * (1 - expected)).sum() / 60) / len(v)
    assert np.all(batch.observed[0][..., 0].min(axis=1) > t)


def test_a_batch_is_the_same_whatever_came_before(simulated: Simulated) -> None:
    first, _, again = simulated.batch(3), simulated.batch(4), simulated.batch(3)
    np.testing.assert_array_equal(first.observed[0], again.observed[0])
    assert not np.array_equal(first.rows, simulated.batch(5).rows)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of 40 parameter sets with 60 trials, a non-decision time that tells which set it is."""
    rng, folder = np.random.default_rng(3), tmp_path / "simulations"
    folder.mkdir()
    for i in range(2):
        t = 0.2 + 0.001 * (40 * i + np.arange(40))
        rt = t[:, None] + rng.uniform(0.01, 1, (40, 60))
        v, a = rng.uniform(-2, 2, 40), rng.uniform(0.5, 2, 40)
        np.savez(folder / f"{i}.npz", v=v, a=a, t=t, rt=rt, response=rng.choice([-1, 1], rt.shape))
    return folder


def test_data_sets_are_those_of_files(files: Path) -> None:
    with ExitStack() as stack:
        found = Filed(DDM, files, (40, 60), 8, 1, stack)
        learned, held = ([found.batch(i, 60) for i in numbers] for numbers in (range(9), (APART,)))
        kept = [np.load(files / f"{i}.npz") for i in range(2)]
        v, a, rt = (np.concatenate([x[name] for x in kept]) for name in ("v", "a", "rt"))
        for batch in (*learned, *held):
            which = np.round((np.exp(batch.rows[:, 2]) - 0.2) / 0.001).astype(int)
            np.testing.assert_allclose(batch.rows[:, :2], np.column_stack([v, np.log(a)])[which])
            np.testing.assert_array_equal(batch.observed[0][..., 0], rt[which])
        times = np.concatenate([np.exp(x.rows[:, 2]) for x in (*learned, *held)]).round(3)
        assert len({*times}) == 80
        np.testing.assert_array_equal(found.batch(0, 40).observed[0], learned[0].observed[0][:, :40])
        np.testing.assert_array_equal(found.batch(9, 60).rows, learned[0].rows)
        assert {x.shape[1] for x in (found.batch(i).observed[0] for i in range(9))} == {40, 60}


def test_files_that_are_not_of_the_model(files: Path) -> None:
    z = Described({**PRIORS, "z": PRIORS["v"]}, "ddm", {name: name for name in "vazt"})
    narrow = Described(
        {**PRIORS, "a": {"distribution": "Uniform", "parameters": [0.5, 0.6]}}, "ddm", dict(DDM.arguments)
    )

    def normal(df: Any) -> pm.Model:
        with pm.Model() as model:
            pm.Normal("x", pm.Normal("v"), 1, observed=np.zeros(len(df)))
        return model

    with ExitStack() as stack:
        for build, n_trials, n, message in (
            (z, (40,), 8, "Expected the columns v, a, t, z, rt, response"),
            (DDM, (61,), 8, "Expected files with 61 trials of each set. Found 60"),
            (DDM, (40,), 41, "Expected two batches of 41 parameter sets"),
            (normal, (40,), 8, "Expected a model of response times"),
        ):
            with pytest.raises(ValueError, match=message):
                Filed(build, files, n_trials, n, 1, stack)
        with pytest.raises(ValueError, match=r"Expected parameters within the model's prior in the files\. Found a = "):
            Filed(narrow, files, (40,), 8, 1, stack).batch(0)
    with pytest.raises(ValueError, match="Expected simulations for offline training"):
        pl.amortize(DDM, (40, 40), simulations=files)


@pytest.mark.table
def test_training_from_files(files: Path) -> None:
    few: dict[str, Any] = {"epochs": 2, "batches": 6, "batch_size": 16, "regime": "offline", **QUIET}
    found = pl.amortize(DDM, (40, 60), simulations=files, **few)
    assert found.losses[1]["loss"] < found.losses[0]["loss"]
    assert found.usual.misfit is not None


def test_designs_are_shown_and_obeyed() -> None:
    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            mu = pm.Normal("mu", 0, 1)
            v = pm.Normal("v", mu, 0.1, shape=2)
            pm.Normal("x", v[(df["kind"] == "b").to_numpy().astype(int)], 0.01, observed=df["x"].to_numpy())
        return model

    def design(rng: np.random.Generator) -> pd.DataFrame:
        return pd.DataFrame({"kind": rng.permutation(["a", "a", "b", "b"]), "dose": rng.uniform(size=4), "x": 0.0})

    found = Simulated(build, design, (4, 6), 8, 1)
    assert len(found.models) == 1
    batch = found.batch(1, 4)
    which = (batch.table["kind"] == "b").to_numpy().astype(int)
    np.testing.assert_allclose(batch.observed[0], batch.rows[:, 1:][:, which], atol=0.06)
    context = Context.of(found.tables)
    assert context.levels["kind"] == ("a", "b")
    np.testing.assert_array_equal(context.look(batch.table.assign(x=0.0))[:, 0], which)
    with pytest.raises(ValueError, match="Expected kind as one of"):
        context.look(batch.table.assign(kind="c"))
    with pytest.raises(ValueError, match="Expected a column 'dose'"):
        context.look(batch.table.drop(columns="dose"))
    assert context.outside(batch.table) == []
    assert context.outside(batch.table.assign(dose=7.0)) == ["dose"]


@pytest.mark.parametrize("given", [(0, 10), (20, 10), 30, (1.5, 3), "ab", (1, 2, 3)])
def test_numbers_of_trials_are_two(given: Any) -> None:
    with pytest.raises(ValueError, match="Expected n_trials as two whole numbers"):
        sizes(given)
    with pytest.raises(ValueError, match="Expected a design with rows"):
        designs(pd.DataFrame({"x": []}), 3, np.random.default_rng(1))


def test_what_is_seen_of_trials() -> None:
    part = ResponseTimes((-1.0, 1.0), True)
    x = np.array([[[0.5, 1], [0.9, -1], [0.7, 1], [np.inf, 0]]])
    trials, whole, fastest = part.look(x)
    assert fastest.tolist() == [0.5]
    np.testing.assert_allclose(trials[0, :, 0], [1, 0, 1, 0])
    np.testing.assert_allclose(trials[0, :3, 1], np.log([0.5, 0.9, 0.7]))
    np.testing.assert_allclose(trials[0, :3, 2], np.log(np.array([0, 0.4, 0.2]) / 0.2 + 0.02))
    np.testing.assert_allclose(trials[0, :, 3], [0, 0, 0, 1])
    np.testing.assert_allclose(whole[0, [0, 1, 2, -1]], [np.log(0.5), np.log(0.2), np.log(np.std([0, 0.4, 0.2])), 0.75])
    # The order of trials is nothing to the whole, and neither is a data set without a response.
    np.testing.assert_allclose(part.look(x[:, ::-1])[1], whole)
    assert all(np.isfinite(each).all() for each in part.look(np.array([[[np.inf, 0.0]] * 3])))
    values, of_all, _ = Numbers(2).look(np.array([[[1.0, 2.0], [3.0, np.nan]]]))
    assert values.tolist() == [[[1, 2, 0, 0], [3, 0, 0, 1]]]
    np.testing.assert_allclose(of_all[0], [2, 2, np.log(1 + 1e-6), np.log(1e-6), 1, 0.5])


def test_models_as_data() -> None:
    df = pd.DataFrame({"rt": [0.6, 0.7], "response": [1, -1]})
    truncated = {"distribution": "Truncated", "of": PRIORS["a"], "lower": 0.3, "upper": 2.5}
    build = Described({**PRIORS, "a": truncated}, "ddm", dict(DDM.arguments))
    assert describe(build(df)) == build
    with pm.Model() as written:
        v, a = pm.Normal("v", 1, 1), pm.Truncated("a", pm.LogNormal.dist(0, 0.3), lower=0.3, upper=2.5)
        pl.DDM("obs", v, a, 0.5, pm.Gamma("t", 9, 30), observed=df)
    assert describe(written).arguments == build.arguments
    plain: dict[str, Any] = {"mode": "FAST_COMPILE"}
    point = {"v": np.array(0.3), "a_interval__": np.array(0.1), "t_log__": np.array(-1.5)}
    np.testing.assert_allclose(build(df).compile_logp(**plain)(point), written.compile_logp(**plain)(point), rtol=1e-6)
    for mu in (lambda: pm.Normal("mu"), lambda: pm.Truncated("mu", pm.LogNormal.dist(), upper=2)):
        with pm.Model() as hierarchical:
            pl.DDM("obs", pm.Normal("v", mu(), 1), 1.0, 0.5, 0.3, observed=df)
        assert describe(hierarchical) is None
    z = Described(
        {"z": {"distribution": "LogitNormal", "parameters": [0.2, 0.5]}}, "ddm", {"v": 0, "a": 1, "z": "z", "t": 0.3}
    )
    model = z(df)
    prior = model.compile_logp(vars=model.free_RVs, **plain)({"z_logodds__": np.array(0.7)})
    np.testing.assert_allclose(prior, stats.norm.logpdf(0.7, 0.2, 0.5))
    with pytest.raises(ValueError, match="Expected a distribution of PyMC"):
        Described({"v": {"distribution": "Model", "parameters": []}}, "ddm", dict(DDM.arguments))(df)


@pytest.mark.parametrize("regime", ["online", "offline", "rounds", "replay"])
def test_schedules(regime: str) -> None:
    found = [schedule(regime, 6, 4, 2, 1).number(step) for step in range(24)]
    again = {"online": 24, "offline": 6, "rounds": 12, "replay": 12}
    assert len({*found}) == again[regime]
    assert [schedule(regime, 6, 4, 2, 1).number(step) for step in range(24)] == found
    if regime in ("offline", "rounds"):
        assert all(sorted(found[i : i + 6]) == sorted({*found[i : i + 6]}) for i in range(0, 24, 6))
    made: list[int] = []
    batches = Batches(lambda number: made.append(number) or {}, schedule(regime, 6, 4, 2, 1).kept)  # type: ignore[func-returns-value]
    for number in found:
        batches[number]
    assert len(made) == again[regime]
    with pytest.raises(ValueError, match="regime"):
        schedule("onlin", 6, 4, 2, 1)


@pytest.fixture(scope="module")
def untrained(simulated: Simulated) -> Amortizer:
    """A network that has learned nothing: the prior's mean and spread, whatever it sees."""
    source = training_of._source(simulated)
    batch = source(1)
    trials, whole = batch["summary_variables"], batch["inference_conditions"]
    arrays = weights(3, 3 + whole.shape[1], trials.shape[2], np.random.default_rng(2), depth=1)
    for name, x in arrays.items():
        if name.startswith("flow") and not name.endswith(("order", "scale")):
            x[...] = 0
    arrays["flow/0/norm/scale"][...] = 1
    network = Stored(arrays, 10.0)
    seen_ = np.array([network.condition(x, y) for i in range(8) for x, y in _pairs(source(i))])
    return Amortizer(
        build=DDM,
        variables={"v": (), "a": (), "t": ()},
        n_trials=(40, 60),
        view=source.view,
        scale=source.scale,
        standard=source.standard,
        network=network,
        usual=Usual.of(seen_),
        losses=({"loss": 1.0, "validation": 1.5},),
    )


def _pairs(batch: Any) -> Any:
    return zip(batch["summary_variables"], batch["inference_conditions"], strict=True)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    parts = [
        pl.simulate("ddm", {"v": rng.normal(1, 1), "a": 1.0, "z": 0.5, "t": 0.3}, n=n, seed=n).assign(who=f"s{n}")
        for n in (40, 50, 60)
    ]
    return pd.concat(parts)


def test_a_bad_network_is_found_out_and_repaired(untrained: Amortizer, table: pd.DataFrame) -> None:
    found = untrained.sample(table, by="who", fallback=None, **QUIET)
    alone = pl.posteriors(DDM, table, by="who", fallback=None, **QUIET)
    assert found["verdicts"]["right"].all()
    assert {*found["verdicts"]["step"].to_numpy()} <= {"Laplace approximation", "refitted t mixture"}
    for name in DDM.priors:
        one, other = (x.posterior[name] for x in (found, alone))
        sd = other.std(("chain", "draw"))
        assert float(np.abs((one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd).max()) < 0.2
    loose = untrained.sample(table, by="who", correct=False, **QUIET)
    assert loose["verdicts"]["verdict"].to_numpy().tolist() == ["not checked: draws of the network as they are"] * 3
    assert not loose["verdicts"]["right"].any()
    # The prior's mean, as a network that has learned nothing answers.
    assert float(np.abs(loose.posterior["v"].mean(("chain", "draw")) - 1).max()) < 0.2


def test_models_that_take_their_trials_are_those_of_each(untrained: Amortizer, table: pd.DataFrame) -> None:
    """A model as data is built once for all; a function that returns the same models is called for each."""
    mixed = table.sample(frac=1, random_state=1).reset_index(drop=True)
    alike = untrained.sample(mixed, by="who", fallback=None, **QUIET)
    each = replace(untrained, build=lambda df: DDM(df)).sample(mixed, by="who", fallback=None, **QUIET)
    for name in DDM.priors:
        np.testing.assert_allclose(alike.posterior[name], each.posterior[name], rtol=1e-9)
    labels = alike["verdicts"]["subject"].to_numpy()
    assert alike["verdicts"]["n_trials"].to_numpy().tolist() == mixed["who"].value_counts()[labels].tolist()
    late = mixed.assign(deadline=40.0)
    late.loc[0, "rt"] = np.nan
    with pytest.raises(ValueError, match="knows trials without a response"):
        untrained.sample(late, by="who", **QUIET)


@pytest.fixture
def parts(table: pd.DataFrame, tmp_path: Path) -> Path:
    folder = tmp_path / "trials"
    folder.mkdir()
    table[table["who"] != "s60"].to_parquet(folder / "one.parquet")
    table[table["who"] == "s60"].to_parquet(folder / "two.parquet")
    return folder


def test_folders_of_parts(untrained: Amortizer, table: pd.DataFrame, parts: Path, tmp_path: Path) -> None:
    out, few = tmp_path / "found", {"by": "who", "processes": 1, "fallback": None, "keep_draws": True, **QUIET}
    files = untrained.sample_to(out, parts, **few)
    assert [path.name for path in files] == ["one.parquet", "two.parquet"]
    rows = pd.concat([pd.read_parquet(path) for path in files]).set_index("who")
    assert rows.index.tolist() == ["s40", "s50", "s60"]
    alone = pl.posteriors(DDM, table, by="who", draws=4000, fallback=None, **QUIET).posterior
    for name in DDM.priors:
        x, draws = alone[name].to_numpy()[0], np.stack(rows[f"{name}_draws"])
        assert np.abs((rows[f"{name}_mean"] - x.mean(axis=0)) / x.std(axis=0)).max() < 0.2
        assert np.abs(rows[f"{name}_sd"] / x.std(axis=0) - 1).max() < 0.15
        for end in (5, 95):
            np.testing.assert_allclose(rows[f"{name}_{end}%"], np.quantile(draws, end / 100, axis=1), rtol=1e-5)
    # What a killed run left is done as it would have been, and nothing else is.
    whole, times = files[1].read_bytes(), files[0].stat().st_mtime_ns
    files[1].unlink()
    (out / ".two.parquet-part").write_bytes(whole[:100])
    untrained.sample_to(out, parts, **(few | {"seed": None}))
    assert files[1].read_bytes() == whole
    assert files[0].stat().st_mtime_ns == times
    with pytest.raises(ValueError, match="Expected a folder begun with draws=10"):
        untrained.sample_to(out, parts, **few, draws=10)
    (out / "study.json").unlink()
    with pytest.raises(ValueError, match="Expected a folder without Parquet files"):
        untrained.sample_to(out, parts, **few)


def test_what_parts_cannot_be(untrained: Amortizer, table: pd.DataFrame, parts: Path, tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"by": "who", **QUIET}
    with pytest.raises(TypeError, match="Expected client= as a client of Dask"):
        untrained.sample_to(tmp_path / "out", parts, client=3, **quiet)
    with pytest.raises(ValueError, match="Expected a folder with Parquet files"):
        untrained.sample_to(tmp_path / "out", tmp_path, **quiet)
    with pytest.raises(ValueError, match=r"Expected a column 'subject' in one\.parquet"):
        untrained.sample_to(tmp_path / "out", parts, **QUIET)
    table.iloc[:3].to_parquet(parts / "three.parquet")
    with pytest.raises(ValueError, match=r"Expected each subject in one part. Found 's40' in three\.parquet"):
        untrained.sample_to(tmp_path / "out", parts, **quiet)
    (parts / "three.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="Expected a Parquet file at"):
        untrained.sample_to(tmp_path / "out", parts, **quiet)


def deadly(df: pd.DataFrame) -> pm.Model:
    die_once()
    return DDM(df)


@pytest.mark.slow
def test_parts_survive_a_worker(untrained: Amortizer, parts: Path, tmp_path: Path, monkeypatch: Any) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    network, few = replace(untrained, build=deadly), {"by": "who", "fallback": None, **QUIET}
    here = network.sample_to(tmp_path / "here", parts, processes=1, **few)
    monkeypatch.setenv(FLAG, str(tmp_path / "one has died"))
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        there = network.sample_to(tmp_path / "there", parts, client=client, **few)
    assert (tmp_path / "one has died").exists()
    for one, other in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other))


def uniform(shares: Any) -> float:
    return float(stats.kstest(shares.to_numpy().ravel(), "uniform").pvalue)


@pytest.mark.table
def test_calibration_finds_a_network_out_and_what_corrects_it_right(untrained: Amortizer) -> None:
    """A network that has learned nothing answers with the prior, which is calibrated; moved, it is not."""
    few: dict[str, Any] = {"fallback": None, "progressbar": False}
    centre = untrained.standard.centre | {"values": untrained.standard.centre["values"] + [1.0, 0.0, 0.0]}
    moved = replace(untrained, standard=replace(untrained.standard, centre=centre))
    before, after = (moved.sbc(100, 40, correct=correct, seed=3, **few) for correct in (False, True))
    assert uniform(before["prior_sbc"]["v"]) < 1e-6
    assert min(uniform(after["prior_sbc"][name]) for name in DDM.priors) > 1e-3
    assert uniform(before["prior_sbc"]["a"]) > 1e-3
    assert after["sample_stats"]["right"].to_numpy().mean() > 0.95
    truth, mean, sd = (after[group]["v"].to_numpy() for group in ("prior", "posterior_mean", "posterior_sd"))
    assert 0.8 < ((truth - mean) / sd).std() < 1.2
    assert pl.diagnostics.recovery(after) is not None
    # The prior proposes too few draws that count.
    assert accuracy_of(untrained, 5, 40)["right"] == 0
    with pytest.raises(ValueError, match="Expected a model of response times"):
        replace(untrained, view=replace(untrained.view, parts=(Numbers(1),))).sbc(3, 40, **few)


def test_unusual_data_are_said_to_be(untrained: Amortizer, table: pd.DataFrame, caplog: Any) -> None:
    with caplog.at_level("INFO", "pymc.posteriors"):
        kept = untrained.sample(table, by="who", correct=False, **QUIET)["verdicts"]
    assert kept["usual"].all()
    assert "unlike" not in caplog.text
    assert "draws of 3 subjects as they are, not checked" in caplog.text
    slow = table.assign(rt=np.where(np.arange(len(table)) % 4 == 0, 30.0, table["rt"]))
    found = untrained.sample(slow, by="who", correct=False, **QUIET)["verdicts"]
    assert not found["usual"].any()
    assert float(found["distance"].min()) > 1
    assert "the data of 3 of 3 subjects" in caplog.text


def test_what_is_usual_depends_on_the_answer() -> None:
    """Data sets lie near a curve; what is off it, and not far from all, is seen by its answer alone."""
    rng = np.random.default_rng(1)

    def drawn(n: int) -> tuple[Any, Any]:
        answer, error = rng.normal(size=(n, 1)), rng.normal(size=(n, 2))
        seen = np.column_stack([np.full(n, 5.0), answer[:, 0] + 0.1 * error[:, 0], answer[:, 0] ** 2])
        seen[:, 2] += 0.1 * np.exp(0.5 * answer[:, 0]) * error[:, 1]
        return np.column_stack([seen, rng.normal(size=n)]), answer

    conditions, answers = drawn(2000)
    whole = Usual.of(conditions, answers, 3)
    fresh = [whole.distance(x, y) > 1 for x, y in zip(*drawn(2000), strict=True)]
    assert 0.005 < np.mean(fresh) < 0.045
    on, off, far = np.array([5.0, 0.0, 0.0, 0.0]), np.array([5.0, 0.0, 1.0, 0.0]), np.array([5.0, 9.0, 81.0, 0.0])
    assert whole.distance(on, np.zeros(1)) < 1 < whole.distance(off, np.zeros(1))
    assert whole.distance(far, np.full(1, 9.0)) > 1
    assert Usual.of(conditions).distance(off) < 1


def test_what_it_was_not_trained_for_is_refused(untrained: Amortizer, table: pd.DataFrame) -> None:
    for n in (39, 61):
        with pytest.raises(ValueError, match=f"Expected 40 to 60 trials of each subject. Found {n} of 's'"):
            untrained.sample(table.iloc[:n].assign(who="s"), by="who", **QUIET)

    def other(df: Any) -> pm.Model:
        with pm.Model() as model:
            pl.DDM("obs", pm.Normal("drift"), 1.0, 0.5, 0.3, observed=df)
        return model

    with pytest.raises(ValueError, match="Expected a model with the variables"):
        replace(untrained, build=other).sample(table, by="who", **QUIET)
    with pytest.raises(ValueError, match="Expected a model to weigh draws with"):
        replace(untrained, build=None).sample(table, by="who", **QUIET)


def test_files_hold_all_of_it(untrained: Amortizer, table: pd.DataFrame, tmp_path: Path, caplog: Any) -> None:
    measured = {"n_trials": 50, "n": 200, "right": 0.995, "median": 0.9, "least": 0.7}
    made = untrained.usual
    misfit = Misfit.of(np.eye(4)[[0, 1, 2, 3] * 8][:, :3], np.arange(32.0)[:, None])
    untrained = replace(untrained, accuracy=(measured,), usual=replace(made, misfit=misfit))
    folder = untrained.save(tmp_path / "mine", name="mine", version="2.0")
    assert "| 50 | 200 | 0.995 | 0.90 / 0.70 |" in (folder / "README.md").read_text()
    assert {x.name for x in folder.iterdir()} == {"weights.safetensors", "config.json", "README.md"}
    loaded = pl.load_amortized(folder)
    registered = tmp_path / "registry" / "amortized"
    shutil.copytree(folder, registered / "mine" / "2.0")
    hashes = {x.name: sha256(x.read_bytes()).hexdigest() for x in folder.iterdir()}
    lines = ["[models.mine]", 'default = "2.0"', '[models.mine.versions."2.0".files]']
    (registered / "registry.toml").write_text("\n".join([*lines, *(f'"{k}" = "{x}"' for k, x in hashes.items())]))
    assert pl.load_amortized("mine", registries=[tmp_path / "registry"]).build == DDM
    (registered / "mine" / "2.0" / "config.json").write_text("{}")
    with pytest.raises(RegistryError, match="as the registry lists it"):
        pl.load_amortized("mine@2.0", registries=[tmp_path / "registry"])
    assert loaded.build == DDM
    one, other = (x.sample(table, by="who", fallback=None, **QUIET) for x in (untrained, loaded))
    np.testing.assert_array_equal(one.posterior["a"], other.posterior["a"])
    for part in ("fit", "scatter", "centre", "whiten", "limit"):
        np.testing.assert_array_equal(getattr(loaded.usual.misfit, part), getattr(misfit, part))
    assert (loaded.losses, loaded.accuracy) == (untrained.losses, untrained.accuracy)
    config = json.loads((folder / "config.json").read_text())
    caplog.set_level("INFO", "pymc.amortized")
    pl.load_amortized(folder)
    assert "was trained with" not in caplog.text
    then = {"packages": config["packages"] | {"keras": "3.0.0"}}
    (folder / "config.json").write_text(json.dumps(config | then))
    pl.load_amortized(folder)
    assert "mine@2.0 was trained with keras 3.0.0 (here" in caplog.text
    (folder / "config.json").write_text(json.dumps(config | {"format": 2}))
    with pytest.raises(RegistryError, match="upgrade pymc-lan"):
        pl.load_amortized(folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights_file = folder / "weights.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(RegistryError, match="Expected the weights that config"):
        pl.load_amortized(folder)


def test_what_is_published_is_what_is_loaded(untrained: Amortizer, hub: Hub, tmp_path: Path) -> None:
    """In the folder of amortised posteriors, by one commit with a tag; what else a repository holds is left alone."""
    hub.repositories["lab/nets"] = repository = Repository()
    repository.commit({"README.md": b"Nets of a lab."})
    planned = untrained.publish("lab/nets", name="mine", version="2.0", dry_run=True)
    assert len(repository.commits) == 1
    done = untrained.publish("lab/nets", name="mine", version="2.0")
    assert planned.files == done.files
    assert set(done.files) == {
        "amortized/registry.toml",
        *(f"amortized/mine/2.0/{name}" for name in ("weights.safetensors", "config.json", "README.md")),
    }
    assert repository.refs == {"main": done.commit, "amortized-mine-2.0": done.commit}
    for name in ("lab/nets:mine", "lab/nets:mine@2.0", "lab/nets@amortized-mine-2.0:mine@2.0"):
        assert pl.load_amortized(name).network.identity == untrained.network.identity
    hub.stop()
    assert pl.load_amortized("mine", registries=["lab/nets"]).network.identity == untrained.network.identity
    with pytest.raises(RegistryError, match="Expected a new version"):
        [untrained.publish(tmp_path, name="mine") for _ in range(2)]
    assert pl.load_amortized("mine@1.0", registries=[tmp_path]).build == DDM
    with pytest.raises(RegistryError, match="Expected an amortised posterior by its name"):
        pl.load_amortized("yours", registries=[tmp_path])


@pytest.mark.table
def test_the_network_that_ships() -> None:
    """Its draws need no other proposal; they are those of pl.posteriors; its priors are those of pl.regression."""
    network = pl.load_amortized("ddm")
    truths = {
        "v": [0.5, -1.5, 2.0, 0.0, 4.2],
        "a": [0.8, 0.6, 1.2, 1.6, 0.9],
        "z": [0.5, 0.4, 0.6, 0.5, 0.5],
        "t": [0.3, 0.4, 0.2, 0.7, 0.3],
    }
    numbers = [50, 200, 300, 1000, 200]
    rows = {name: np.repeat(x, numbers) for name, x in truths.items()}
    df = pl.simulate("ddm", rows, seed=3).assign(subject=np.repeat(["a", "b", "c", "d", "e"], numbers))
    found = network.sample(df, draws=2000, fallback=None, **QUIET)
    assert found["verdicts"]["step"].to_numpy().tolist() == ["network"] * 5
    assert found["verdicts"]["right"].all()
    assert found["verdicts"]["usual"].all()

    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            v, a = pm.Normal("v", 0, 2), pm.LogNormal("a", np.log(0.7), 0.4)
            z = pm.Deterministic("z", pm.math.sigmoid(pm.Normal("logit_z", 0, 0.5)))
            pl.DDM("obs", v, a, z, pm.LogNormal("t", np.log(0.4), 0.4), observed=df)
        return model

    alone = pl.posteriors(build, df, draws=2000, fallback=None, **QUIET).posterior
    for name in truths:
        one, other = found.posterior[name], alone[name]
        sd = other.std(("chain", "draw"))
        assert float(np.abs((one - other.mean(("chain", "draw"))).mean(("chain", "draw")) / sd).max()) < 0.15
        assert float(np.abs(one.std(("chain", "draw")) / sd - 1).max()) < 0.12
    for n in (49, 1001):
        with pytest.raises(ValueError, match="Expected 50 to 1000 trials of each subject"):
            network.sample(
                pl.simulate("ddm", {k: x[0] for k, x in truths.items()}, n=n, seed=1).assign(subject=1), **QUIET
            )


def test_keras_of_another_backend_is_left_alone(monkeypatch: Any) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    with pytest.raises(RuntimeError, match="Found Keras on torch"):
        bayesflow()


@pytest.mark.parametrize(
    ("further", "message"),
    [({"epochs": 0}, "epochs"), ({"rate": 2.0}, "rate as a number"), ({"regime": "often"}, "regime")],
)
def test_arguments_of_training_are_checked_first(further: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pl.amortize(DDM, (40, 40), **further)
    with pytest.raises(ValueError, match="from a table to a model"):
        pl.amortize(3, (40, 40))  # type: ignore[arg-type]


@pytest.mark.table
def test_training_learns_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: Any) -> None:
    """BayesFlow's own density of its networks is that of the stored ones; a checkpoint leads to the same weights."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    made: list[Any] = []
    kept = training_of.stored
    monkeypatch.setattr(training_of, "stored", lambda estimator: made.append(estimator) or kept(estimator))
    few: dict[str, Any] = {"epochs": 2, "batches": 40, "batch_size": 32, **QUIET}
    whole = pl.amortize(DDM, (40, 40), **few)
    assert "KERAS_BACKEND" not in os.environ
    assert whole.losses[1]["validation"] < whole.losses[0]["validation"]
    rng = np.random.default_rng(1)
    trials, wholes = rng.normal(size=(1, 40, 3)), rng.normal(size=(1, whole.standard.centre["whole"].size))
    given = whole.network.condition(trials[0, :, : whole.standard.centre["trials"].size], wholes[0])
    x, log_q = whole.network.draw(rng, 50, 3, given, widened=False)
    data = {
        "summary_variables": np.repeat(trials[..., : whole.standard.centre["trials"].size], 50, axis=0),
        "inference_conditions": np.repeat(wholes, 50, axis=0),
        "inference_variables": x,
    }
    own = made[0].log_prob({k: v.astype(np.float32) for k, v in data.items()})
    np.testing.assert_allclose(log_q, own, atol=1e-3)

    def stop(plan: Any, *rest: Any) -> None:
        written(plan, *rest)
        raise KeyboardInterrupt

    from pymc_lan.amortized import training

    written = training._write
    monkeypatch.setattr(training, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        pl.amortize(DDM, (40, 40), **few, checkpoint=tmp_path)
    monkeypatch.setattr(training, "_write", written)
    resumed = pl.amortize(DDM, (40, 40), **few, checkpoint=tmp_path)
    # But for sums in single precision, whose order depends on how many threads are free.
    for one, other in zip(resumed.losses, whole.losses, strict=True):
        np.testing.assert_allclose([*one.values()], [*other.values()], rtol=1e-5)
    for name, array in whole.network.arrays.items():
        np.testing.assert_allclose(resumed.network.arrays[name], array, atol=1e-5)
    with pytest.raises(ValueError, match="Expected a checkpoint of this training"):
        pl.amortize(DDM, (40, 40), **(few | {"batches": 39}), checkpoint=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("summary", "inference"), [("deep_set", "flow_matching"), ("set_transformer", "coupling_flow")]
)
def test_networks_of_bayesflow_are_held_as_they_are(summary: str, inference: str, tmp_path: Path) -> None:
    few: dict[str, Any] = {"epochs": 1, "batches": 10, "batch_size": 16, **QUIET}
    found = pl.amortize(DDM, (40, 40), summary=summary, inference=inference, **few)
    rng = np.random.default_rng(1)
    k, m = (found.standard.centre[name].size for name in ("trials", "whole"))
    given, n = found.network.condition(rng.normal(size=(40, k)), rng.normal(size=m)), 4000
    x, log_q = found.network.draw(rng, n, 3, given, widened=True)
    centre, spread = np.median(x, axis=0), np.diff(np.quantile(x, [0.4, 0.6], axis=0), axis=0)[0]
    ratio = np.exp(stats.norm.logpdf(x, centre, spread).sum(axis=1) - log_q)
    error = ratio.std() / np.sqrt(n)
    assert error < 0.1
    assert abs(ratio.mean() - 1) < 4 * error
    z = rng.normal(size=(5, 3))
    np.testing.assert_allclose(found.network.latent(found.network.invert(z, given)[0], given), z, atol=0.02)
    with pytest.raises(ValueError, match="Expected networks that are stored by their weights"):
        found.save(tmp_path / "mine", name="mine")
