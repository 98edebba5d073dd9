"""Calibration studies: a model whose posterior is known, one whose likelihood is wrong, and what interrupts them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytest
import toy_workers
from scipy import stats
from scipy.signal import lfilter

import pymc_lan as pl
from pymc_lan.diagnostics import sbc_folder as study_folder
from pymc_lan.diagnostics.sbc_fits import judge
from pymc_lan.diagnostics.sbc_ranks import fractional_rank

N_DATA, PRIOR_SD = 5, 2.0
# The package has a function of this name, too.
calibration = import_module("pymc_lan.diagnostics.sbc")

SMALL = {"draws": 200, "tune": 200, "progressbar": False}
N = 24


def conjugate(shift: float = 0.0) -> pm.Model:
    """A Normal mean, whose posterior is known."""
    with pm.Model(coords={"who": ["ann", "bob"]}) as model:
        mu = pm.Normal("mu", shift, PRIOR_SD, dims="who")
        pm.Deterministic("twice", 2 * mu)
        pm.Normal("y", mu, 1, observed=np.zeros((N_DATA, 2)))
    return model


def overconfident() -> pm.Model:
    """The same, whose log density takes the noise for a tenth of what it is."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, PRIOR_SD)
        pm.CustomDist(
            "y",
            mu,
            logp=lambda value, mu: pm.logp(pm.Normal.dist(mu, 0.1), value),
            random=lambda mu, rng=None, size=None: rng.normal(mu, 1.0, size),
            observed=np.zeros(N_DATA),
        )
    return model


def scalar(observed: bool = True, potential: bool = False, discrete: bool = False) -> pm.Model:
    with pm.Model() as model:
        x = pm.Poisson("x", 3) if discrete else pm.Normal("x")
        if potential:
            pm.Potential("nudge", x)
        pm.Normal("y", x, observed=np.zeros(2) if observed else None)
    return model


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return an undisturbed study of the conjugate model and its folder."""
    folder = tmp_path_factory.mktemp("study") / "conjugate"
    return pl.diagnostics.sbc(conjugate, N, folder=folder, chunk=8, **SMALL), folder


def test_posteriors_are_those_of_the_closed_form(study: tuple[Any, Path]) -> None:
    dt, folder = study
    data = np.load(folder / "simulations.npz")["data/y"]
    precision = 1 / PRIOR_SD**2 + N_DATA
    sd = precision**-0.5
    # Of 400 draws worth 100 at least: five standard errors of a mean, and of a standard deviation.
    np.testing.assert_allclose(dt["posterior_mean"]["mu"][0], data.sum(axis=1) / precision, atol=5 * sd / 10)
    np.testing.assert_allclose(dt["posterior_sd"]["mu"][0], sd, rtol=5 / np.sqrt(2 * 100))
    assert float(dt["sample_stats"]["ess"].min()) > 100
    truth = np.load(folder / "simulations.npz")["truth/mu"]
    np.testing.assert_array_equal(dt["prior"]["mu"][0], truth)


def test_shares_below_the_truth_are_those_of_the_closed_form(study: tuple[Any, Path]) -> None:
    dt, folder = study
    data, truth = (np.load(folder / "simulations.npz")[key] for key in ("data/y", "truth/mu"))
    precision = 1 / PRIOR_SD**2 + N_DATA
    expected = stats.norm.cdf(truth, data.sum(axis=1) / precision, precision**-0.5)
    # A share of 100 draws is off by 0.05 at most in one standard error: four of them.
    np.testing.assert_allclose(dt["prior_sbc"]["mu"][0], expected, atol=0.2)
    table = pl.diagnostics.recovery(dt)
    assert table.index.tolist() == ["mu[ann]", "mu[bob]"]
    assert (table["p_uniform"] > 0.01).all()
    # 1 - 1 / (1 + PRIOR_SD^2 N_DATA) with a standard deviation of the prior that 24 truths tell to 14 %: four of those.
    assert table["contraction"].between(0.85, 0.98).all()


def test_fits_whose_chains_never_met_are_told(study: tuple[Any, Path]) -> None:
    """Their ranks may well look uniform: two chains that are stuck on either side of the truth."""
    apart = study[0].copy(deep=True)
    apart["sample_stats"]["r_hat"][0, [2, 5]] = [1.8, 1.3]
    with pytest.warns(UserWarning, match=r"The chains of 2 of 24 fits have not met \(R-hat above 1.1, up to 1.80\)"):
        pl.diagnostics.recovery(apart)


def test_a_wrong_likelihood_is_found() -> None:
    dt = pl.diagnostics.sbc(overconfident, N, **SMALL)
    table = pl.diagnostics.recovery(dt)
    assert table.loc["mu", "p_uniform"] < 1e-4
    assert table.loc["mu", "z_sd"] > 5
    tarp = pl.diagnostics.tarp(dt, [0.1, 0.9])
    assert ((tarp["coverage"] < tarp["low"]) | (tarp["coverage"] > tarp["high"])).any()
    half = pl.diagnostics.coverage(dt, [0.5])
    assert half["coverage"].item() < half["low"].item()


def test_arviz_reads_it(study: tuple[Any, Path]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plots = az.plot_ecdf_pit(study[0], group="prior_sbc", backend="matplotlib")
    assert plots.viz["figure"].item() is not None
    plt.close("all")
    assert az.summary(study[0], group="posterior_mean", kind="stats").index.tolist() == ["mu[ann]", "mu[bob]"]


def test_an_interrupted_study_goes_on(study: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, asked = calibration.fit_chunk, []

    def interrupted(job: Any) -> Any:
        asked.append(job.index.tolist())
        if len(asked) == 3:
            raise KeyboardInterrupt
        return fit(job)

    monkeypatch.setattr(calibration, "fit_chunk", interrupted)
    again = partial(pl.diagnostics.sbc, conjugate, N, folder=tmp_path, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        again(chunk=8)
    # What was finished is kept, and no other chunk size makes a difference.
    dt = again(chunk=13)
    assert asked[3:] == [list(range(16, N))]
    assert dt.equals(study[0])
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seed": 1}, "seed 0, which is 1 now"),
        ({"n_simulations": 41}, f"simulations {N}, which is 41 now"),
        ({"draws": 201}, "sampler"),
        ({"var_names": ["twice"]}, "parameters"),
        ({"model_builder": partial(conjugate, 0.5)}, "log density"),
        ({"model_builder": overconfident}, "observed"),
    ],
)
def test_another_study_is_refused(study: tuple[Any, Path], change: dict[str, Any], found: str) -> None:
    arguments = {"model_builder": conjugate, "n_simulations": N, "folder": study[1], **SMALL} | change
    with pytest.raises(ValueError, match=f"the same study as before in .*{found}.*another folder"):
        pl.diagnostics.sbc(**arguments)


def copied(study: tuple[Any, Path], to: Path) -> Path:
    for path in study[1].iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def cut(path: Path, size: int = 100) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_fits_that_were_cut_are_made_again(study: tuple[Any, Path], tmp_path: Path) -> None:
    whole = {path.name: path.read_bytes() for path in copied(study, tmp_path).iterdir()}
    cut(tmp_path / "fits-000008.npz")
    assert pl.diagnostics.sbc(conjugate, N, folder=tmp_path, chunk=8, **SMALL).equals(study[0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_cut_fits_are_no_fits(study: tuple[Any, Path], tmp_path: Path, size: int) -> None:
    cut(copied(study, tmp_path) / "fits-000008.npz", size)
    (tmp_path / "fits-000016.npz").write_bytes((tmp_path / "simulations.npz").read_bytes())
    assert sorted(study_folder.finished(tmp_path)) == list(range(8))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *[(name, partial(cut, size=size)) for name in ("study.json", "simulations.npz") for size in (0, 1, 100)],
        ("simulations.npz", Path.unlink),
        ("study.json", lambda path: path.write_text("[1]")),
    ],
)
def test_what_a_study_is_of_cannot_be_made_again(
    study: tuple[Any, Path], tmp_path: Path, name: str, damage: Any
) -> None:
    damage(copied(study, tmp_path) / name)
    message = rf"Expected a readable .*{name}\..*Remedy: give another folder, or remove this one with its fits"
    with pytest.raises(ValueError, match=message):
        pl.diagnostics.sbc(conjugate, N, folder=tmp_path, **SMALL)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"Expected to write .*simulations\.npz\. Found .*no space left.*make room"):
        pl.diagnostics.sbc(conjugate, N, folder=tmp_path / "new", **SMALL)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_study_survives_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "fit_chunk", toy_workers.fits)
    alone = pl.diagnostics.sbc(conjugate, N, chunk=2, **SMALL)
    monkeypatch.setenv(toy_workers.FLAG, str(tmp_path / "one has died"))
    assert pl.diagnostics.sbc(conjugate, N, chunk=2, processes=2, folder=tmp_path / "study", **SMALL).equals(alone)
    assert (tmp_path / "one has died").exists()


def test_a_simulation_that_kills_every_worker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "fit_chunk", toy_workers.deadly_fits)
    message = r"Expected processes that live until simulation 7 is fitted\. Found 3 that died of it\. Remedy: .*memory"
    with pytest.raises(RuntimeError, match=message):
        pl.diagnostics.sbc(conjugate, N, chunk=2, processes=2, folder=tmp_path, **SMALL)
    kept = study_folder.finished(tmp_path)
    assert {0, 1, 2, 3, 4, 5} <= kept.keys()
    assert not {6, 7} & kept.keys()


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (partial(scalar, observed=False), {}, "observed variables"),
        (partial(scalar, potential=True), {}, "the potentials nudge"),
        (partial(scalar, discrete=True), {}, "the discrete x"),
        (scalar, {"var_names": ["z"]}, "Unknown variable 'z'"),
        (scalar, {"n_simulations": 1}, "n_simulations as a whole number, 2 or more"),
        (scalar, {"draws": 3}, "draws as a whole number, 4 or more"),
        (scalar, {"processes": 0}, "processes as a whole number, 1 or more"),
        (scalar, {"chunk": 0}, "chunk as a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(builder: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pl.diagnostics.sbc(builder, **arguments)


@pytest.mark.parametrize("summary", [pl.diagnostics.recovery, pl.diagnostics.coverage, pl.diagnostics.tarp])
def test_other_results_are_refused(summary: Any) -> None:
    with pytest.raises(ValueError, match=r"the result of pl\.diagnostics\.sbc"):
        summary(az.from_dict({"posterior": {"mu": np.zeros((1, 4))}}))


@pytest.mark.parametrize("levels", [[0.0], [1.5], 0.5])
def test_levels_are_shares(study: tuple[Any, Path], levels: Any) -> None:
    with pytest.raises(ValueError, match="levels between 0 and 1"):
        pl.diagnostics.coverage(study[0], levels)


def test_coverage_counts() -> None:
    pit = np.array([[0.5, 0.45, 0.3, 0.05]])  # within central intervals of 0, 10, 40 and 90 %
    groups = {key: {"x": pit} for key in ("prior_sbc", "prior", "posterior_mean", "posterior_sd")}
    dt = az.from_dict(groups | {"sample_stats": {"tarp": pit}})
    central = pl.diagnostics.coverage(dt, [0.2, 0.5, 0.95])
    assert central["coverage"].tolist() == [0.5, 0.75, 1.0]
    assert central["low"].tolist() == (stats.binom.ppf(0.025, 4, [0.2, 0.5, 0.95]) / 4).tolist()
    assert pl.diagnostics.tarp(dt, [0.1, 0.4, 0.6])["coverage"].tolist() == [0.25, 0.5, 1.0]


def test_correlated_draws_do_not_spoil_calibration() -> None:
    """Draws that are correlated 0.99 from one to the next, around truths of the same distribution."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        x = lfilter([np.sqrt(1 - 0.99**2)], [1, -0.99], rng.standard_normal((2, 1200)))[:, 400:]
        truth = rng.standard_normal()
        row = judge({"x": x}, {"x": np.asarray(truth)}, {"x": np.zeros(())}, {"x": np.ones(())}, rng)
        found.append((row["pit/x"], row["tarp"], fractional_rank(x.ravel(), truth, rng)))
    thinned, tarp, whole = np.transpose(found)
    assert stats.kstest(thinned, "uniform").pvalue > 0.01
    assert stats.kstest(tarp, "uniform").pvalue > 0.01
    # Too many ranks at the ends: a uniform distribution has a variance of 1/12.
    assert 12 * np.var(thinned) < 12 * np.var(whole) - 0.03


def test_ties_are_broken_at_random() -> None:
    rng = np.random.default_rng(1)
    found = [fractional_rank(rng.integers(0, 2, 4), rng.integers(2), rng) for _ in range(4000)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


LEVEL = [0.0]


def shifted() -> pm.Model:
    """A model that depends on something that may change."""
    with pm.Model() as model:
        x = pm.Normal("x", LEVEL[0], 1)
        pm.Normal("y", x, 1, observed=np.zeros(20))
    return model


def test_a_builder_that_changed_is_built_anew() -> None:
    found = []
    for level in (0.0, 50.0):
        LEVEL[0] = level
        dt = pl.diagnostics.sbc(shifted, 2, **SMALL)
        found.append(dt["posterior_mean"]["x"].to_numpy())
    # Under the prior of the first, the posterior of the second would lie 50 / 21 lower.
    assert abs(found[1].mean() - 50 - found[0].mean()) < 1


@pytest.mark.slow
def test_processes_and_clusters_give_the_same(study: tuple[Any, Path]) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    found = [pl.diagnostics.sbc(conjugate, N, processes=2, **SMALL)]
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        found.append(pl.diagnostics.sbc(conjugate, N, scheduler=cluster.scheduler_address, **SMALL))
    assert [dt.equals(study[0]) for dt in found] == [True, True]


def several() -> pm.Model:
    """Sums of many terms, whose last digit depends on how they were compiled."""
    with pm.Model() as model:
        mu, sd, slope = pm.Normal("mu"), pm.HalfNormal("sd"), pm.Normal("slope")
        x = pm.Normal("x", mu, sd, shape=5)
        pm.Normal("y", x[:, None] + slope * np.linspace(0, 1, 7), 1, observed=np.zeros((5, 7)))
    return model


COMPILED = """
import sys
import numpy as np
from test_sbc import several
import pymc_lan as pl
dt = pl.diagnostics.sbc(several, 2, draws=60, tune=60, progressbar=False)
print([np.asarray(x).tolist() for group in ("posterior_mean", "sample_stats") for x in dt[group].data_vars.values()])
"""


@pytest.mark.slow
def test_results_do_not_depend_on_what_was_compiled_before(tmp_path: Path) -> None:
    """The second process finds what the first has compiled."""
    flags = f"{os.environ.get('PYTENSOR_FLAGS', '')},base_compiledir={tmp_path}".strip(",")
    found = [
        subprocess.run(
            [sys.executable, "-c", COMPILED],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTENSOR_FLAGS": flags},
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1] != ""


def test_models_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class CompiledError(Exception):
        pass

    def compile_model(*_: Any, **__: Any) -> None:
        raise CompiledError(pytensor.config.numba__cache)

    monkeypatch.setattr(nutpie, "compile_pymc_model", compile_model)
    with pytest.raises(CompiledError, match="False"):
        pl.diagnostics.sbc(several, 2, **SMALL)


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_sbc import N, SMALL, conjugate
import pymc_lan as pl
pl.diagnostics.sbc(conjugate, N, folder={folder!r}, chunk=4, **SMALL)
"""


@pytest.mark.slow
def test_a_killed_study_goes_on(study: tuple[Any, Path], tmp_path: Path) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("fits-*.npz"))) < 3 and time.monotonic() < deadline:
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
    finished = len(list(tmp_path.glob("fits-*.npz")))
    assert 3 <= finished < 6
    assert json.loads((tmp_path / "study.json").read_text())["simulations"] == N
    assert pl.diagnostics.sbc(conjugate, N, folder=tmp_path, **SMALL).equals(study[0])
