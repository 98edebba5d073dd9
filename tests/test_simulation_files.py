"""Training from files of simulations: what is written and read, what is held out, and what is refused."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest
from toy_simulators import (
    BOUNDS,
    COIN,
    GIVEN_UP,
    ODDITY,
    SLOW_COIN,
    THREE,
    TINY,
    gamma_coin_logpdf,
    three_probabilities,
)

import pymc_lan as pl
from pymc_lan.training.recipes import SimulationRecipe
from pymc_lan.training.simulated.loop import fit_from_simulations
from pymc_lan.training.simulated.offline import Offline
from pymc_lan.training.simulated.teacher import run_name

SETS, TRIALS = 1500, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulations")
    pl.simulate_to(COIN, folder, sets=SETS, trials=TRIALS, files=2, seed=1)
    return folder


def opened(files: Any, spec: pl.ModelSpec = COIN, sets: int = 400, held: int = 200, seed: int = 3) -> Offline:
    return Offline(spec, files, sets, held, seed)


def table(folder: Path) -> np.ndarray:
    return np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])


def test_what_is_written_is_what_the_model_draws(folder: Path) -> None:
    found = table(folder)
    assert found.dtype.names == ("rate", "p", "t", "rt", "response")
    assert found["rt"].shape == found["response"].shape == (2 * SETS, TRIALS)
    for name, (low, high) in BOUNDS.items():
        assert kstest(found[name], "uniform", (low, high - low)).pvalue > 1e-3
        assert len(np.unique(found[name])) == 2 * SETS
    # A gamma variable over its mean has the mean 1; the share of a coin is its p.
    assert np.mean((found["rt"].mean(axis=1) - found["t"]) * found["rate"] / 3) == pytest.approx(1, abs=0.02)
    assert np.mean(found["response"].mean(axis=1) - found["p"]) == pytest.approx(0, abs=0.01)
    assert sorted(path.name for path in folder.iterdir()) == ["simulations-0000.npy", "simulations-0001.npy"]


def test_files_depend_on_the_seed_and_their_number_alone(folder: Path, tmp_path: Path) -> None:
    pl.simulate_to(COIN, tmp_path, sets=SETS, trials=TRIALS, files=1, seed=1)
    first = (folder / "simulations-0000.npy").read_bytes()
    assert (tmp_path / "simulations-0000.npy").read_bytes() == first
    assert (folder / "simulations-0001.npy").read_bytes() != first
    with pytest.raises(ValueError, match=r"Expected files that are new\. Found .*simulations-0000\.npy"):
        pl.simulate_to(COIN, tmp_path, sets=SETS, trials=TRIALS, files=2, seed=1)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_whole_files_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, left = os.fsync, iter([os.fsync, full])
    monkeypatch.setattr(os, "fsync", lambda *args: next(left, sync)(*args))
    message = r"Expected to write .*simulations-0001\.npy\. Found the answer 'no space left.*Remedy: make room"
    with pytest.raises(OSError, match=message):
        pl.simulate_to(COIN, tmp_path, sets=SETS, trials=TRIALS, files=3, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["simulations-0000.npy"]
    assert (tmp_path / "simulations-0000.npy").read_bytes() == (folder / "simulations-0000.npy").read_bytes()


LIMITED = """
import resource, sys
from toy_simulators import COIN
import pymc_lan as pl
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    pl.simulate_to(COIN, sys.argv[1], sets=2000, trials=16)
except OSError as error:
    print(error)
"""


def test_a_file_that_cannot_grow_is_told(tmp_path: Path) -> None:
    """The operating system's own refusal, of which a mapped file would have died."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert re.match(r"Expected to write .*0000\.npy\. Found the answer 'file too large'.*make room", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_no_room_to_unpack_is_no_fault_of_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_npz(folder, tmp_path, np.savez)
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with (
        pytest.raises(
            OSError, match=r"Expected room to unpack .*npz in .*No space left.*TMPDIR; \.npy files need none"
        ),
        opened(path),
    ):
        pass


def rows_of(found: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Which rows of a table some parameter sets, in single precision, are."""
    known = {float(np.float32(x)): i for i, x in enumerate(found["rate"])}
    return np.array([known[float(x)] for x in theta[:, 0]])


def test_chunks_go_through_everything_but_what_is_held_out(folder: Path) -> None:
    found = table(folder)
    with opened(folder) as source:
        assert (source.distinct, source.trials) == (2 * SETS - 200, TRIALS)
        held = source.held_out(200, 0)
        chunks = [source.chunk(number) for number in range(14)]
        again = source.chunk(5)
    rows = [rows_of(found, chunk.theta) for chunk in chunks]
    assert all(len(each) == 400 for each in rows)
    # Seven chunks are one pass, in an order that is no longer that of the files; then comes another order.
    seen = [np.concatenate(rows[start : start + 7]) for start in (0, 7)]
    assert all(len(np.unique(each)) == 2800 for each in seen)
    assert not set(seen[0]) & set(rows_of(found, held.theta))
    assert len(held.theta) == 200
    assert set(rows[0]) != set(rows[7])
    assert 0.3 < np.mean(rows[0] < SETS) < 0.7
    for x, y in zip(chunks[5], again, strict=True):
        assert np.array_equal(x, y)


def test_trials_stay_with_their_parameters(folder: Path) -> None:
    found = table(folder)
    with opened(folder) as source:
        chunk = source.chunk(0)
    rows = rows_of(found, chunk.theta)
    share = (found["response"][rows] == 1).mean(axis=1)
    np.testing.assert_allclose(chunk.moments[:, 1, 0], share, atol=1e-6)
    log_d = np.log(found["rt"][rows] - found["t"][rows, None])
    np.testing.assert_allclose(chunk.moments[:, :, 1].sum(axis=1), log_d.mean(axis=1), rtol=1e-4, atol=1e-5)


def as_npz(folder: Path, to: Path, save: Callable[..., None], spec: pl.ModelSpec = COIN, **changed: Any) -> Path:
    """The first file as an ``.npz``, with some columns changed or, where they are None, left out."""
    found = np.load(folder / "simulations-0000.npy")
    columns = {name: found[name] for name in found.dtype.names} | changed
    path = to / "simulations-0000.npz"
    save(path, **{name: x for name, x in columns.items() if x is not None})
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_read_like_an_npy_file(save: Callable[..., None], folder: Path, tmp_path: Path) -> None:
    path = as_npz(folder, tmp_path, save)
    with opened(path) as source, opened([folder / "simulations-0000.npy"]) as other:
        unpacked = Path(source._tables[0]["rt"].filename).parent
        for x, y in zip(source.chunk(2), other.chunk(2), strict=True):
            assert np.array_equal(x, y)
    assert not unpacked.exists()


def test_files_are_mapped_and_not_read(folder: Path, tmp_path: Path) -> None:
    """A file far larger than memory, of which nearly all is a hole, opens and gives its chunks."""
    names = np.load(folder / "simulations-0000.npy", mmap_mode="r").dtype.descr[:3]
    dtype = np.dtype([*names, ("rt", "f8", (6000,)), ("response", "i4", (6000,))])
    size, path = 2_000_000, tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", dtype, (size,))
    assert path.stat().st_size > 100 * 2**30
    with opened(path) as source:
        assert source.distinct == size - 200
        rows = np.array([3, size - 1])
        for name, x in (("rate", 8.0), ("p", 0.5), ("t", 0.3), ("rt", 0.8)):
            large[name][rows] = x
        found = source._read(rows, [1])
    assert found.theta.tolist() == np.array([[8.0, 0.5, 0.3]] * 2, np.float32).tolist()
    assert found.moments[:, 0, 0].tolist() == [1, 1]


def test_responses_alone_and_omissions_come_back(tmp_path: Path) -> None:
    for spec, name in ((ODDITY, "odd"), (GIVEN_UP, "given_up")):
        pl.simulate_to(spec, tmp_path / name, sets=100, trials=50, seed=2)
    with opened(tmp_path / "odd", ODDITY, 50, 10) as source:
        chunk, found = source.chunk(0), table(tmp_path / "odd")
        assert "rt" not in found.dtype.names
        share = {float(np.float32(x)): y for x, y in zip(found["delta"], found["response"].mean(axis=1), strict=True)}
        np.testing.assert_allclose(chunk.share[:, 1], [share[float(x)] for x in chunk.theta[:, 0]], atol=1e-6)
    with opened(tmp_path / "given_up", GIVEN_UP, 90, 10) as source:
        assert source.chunk(0).omitted.mean() == pytest.approx(
            np.isinf(table(tmp_path / "given_up")["rt"]).mean(), abs=0.05
        )


def test_probabilities_are_learned_from_files(tmp_path: Path) -> None:
    """From 192,000 trials, gone through several times."""
    pl.simulate_to(THREE, tmp_path / "files", sets=1600, trials=64, files=2)
    recipe = SimulationRecipe(hidden=(8,), chunks=6, sets=2900, passes=20, batch=64, held_out=300)
    given = {"simulations": tmp_path / "files", "simulation_recipe": recipe, "n_measured": 20_000, "progress": False}
    network = pl.train(THREE, tmp_path, **given)
    assert network.config["training"]["simulated_trials"] == 2900 * 64
    rng = np.random.default_rng(9)
    theta = {p.name: rng.uniform(*p.bounds, 2000) for p in THREE.parameters}
    truth = three_probabilities(**theta)
    kl = (truth * np.log(truth / network.probabilities(**theta))).sum(axis=1)
    # 42 weights: statistics alone leave 42 / (2 * 192,000) = 1e-4 nats; to know nothing leaves a third of a nat.
    assert kl.mean() < 3e-3


@pytest.mark.slow
def test_a_density_is_learned_from_files(folder: Path, tmp_path: Path) -> None:
    """From 43,200 trials, gone through several times."""
    recipe = SimulationRecipe(hidden=(8,), chunks=8, sets=1350, passes=12, batch=32, held_out=300, patience=4)
    network = pl.train(COIN, tmp_path, simulations=folder, simulation_recipe=recipe, n_measured=50_000, progress=False)
    rng = np.random.default_rng(9)
    theta = {name: rng.uniform(*bounds, 5000) for name, bounds in BOUNDS.items()}
    df = pl.simulate(COIN, theta, seed=10)
    rt, response = df["rt"].to_numpy(), df["response"].to_numpy()
    error = network.logpdf(rt, response, **theta) - gamma_coin_logpdf(rt, response, **theta)
    # About 170 weights: statistics alone leave sqrt(170 / 43,200) = 0.06 nats.
    assert np.sqrt(np.mean(error**2)) < 0.2
    assert network.config["training"]["simulated_trials"] == 2700 * TRIALS


def test_a_run_is_that_of_its_files(folder: Path) -> None:
    files = [opened(folder).identity(), opened(folder / "simulations-0000.npy").identity()]
    names = [run_name(COIN, TINY, 0, each) for each in ("", files[0], opened(folder).identity(), files[1])]
    assert names[1] == names[2]
    assert len({*names}) == 3


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, rounds=1)

    def run(**kwargs: Any) -> Any:
        return fit_from_simulations(COIN, recipe, opened(folder, sets=64), seed=3, progress=False, **kwargs)

    whole = run()
    assert run(checkpoints=tmp_path, stop_after=2).lan != whole.lan
    again = run(checkpoints=tmp_path)
    assert (again.spec.baseline, again.lan, again.best) == (whole.spec.baseline, whole.lan, whole.best)


def test_functions_of_one_trial_are_written_too(tmp_path: Path) -> None:
    spec = replace(SLOW_COIN, name="slow")
    (path,) = pl.simulate_to(spec, tmp_path, sets=10, trials=3)
    assert np.load(path)["rt"].shape == (10, 3)


def text(path: Path) -> Path:
    path.write_text("rate,p,t")
    return path


def cut(folder: Path, to: Path) -> Path:
    path = to / "cut.npy"
    path.write_bytes((folder / "simulations-0000.npy").read_bytes()[:-100])
    return path


def put(folder: Path, name: str, value: Any) -> np.ndarray:
    x = np.load(folder / "simulations-0000.npy")[name].copy()
    x[3] = value
    return x


def changed(**columns: Any) -> Callable[[Path, Path], Path]:
    """One cell, where a number is given, or a whole column."""

    def make(folder: Path, to: Path) -> Path:
        new = {name: put(folder, name, x) if isinstance(x, float) else x for name, x in columns.items()}
        return as_npz(folder, to, np.savez, **new)

    return make


def twice(folder: Path, to: Path) -> list[Path]:
    first = sorted(folder.glob("*.npy"))[0]
    return [first, Path(shutil.copy(first, to / "again.npy"))]


def two_kinds(folder: Path, to: Path) -> list[Path]:
    return [folder / "simulations-0000.npy", *pl.simulate_to(COIN, to, sets=20, trials=3)]


WRONG: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "no files": (lambda folder, to: to, r"files of simulations, \.npy, \.npz or \.parquet\. Found none in"),
    "no such file": (lambda folder, to: to / "no.npy", r"Found .*no\.npy"),
    "another kind": (lambda folder, to: text(to / "trials.csv"), r"Found .*trials\.csv"),
    "no array": (lambda folder, to: text(to / "trials.npy"), r"Expected arrays of numbers in .*trials\.npy"),
    "no archive": (lambda folder, to: text(to / "trials.npz"), r"Expected arrays of numbers in .*trials\.npz"),
    "cut off": (cut, r"Expected arrays of numbers in .*cut\.npy\. Found .*write the file anew"),
    "objects": (changed(rt=np.array([[None]])), r"Expected arrays of numbers in .*npz"),
    "a column less": (changed(p=None), r"the columns rate, p, t, rt, response in .*Found rate, t, rt, response\."),
    "a column more": (changed(a=np.ones(SETS)), r"Found rate, p, t, rt, response, a\."),
    "shapes": (changed(p=np.ones(7)), r"parameters of shape \(sets,\) in .*Found p of shape \(7,\) and type float64"),
    "text": (changed(p=np.array(["a"] * SETS)), r"Found p of shape \(1500,\) and type <U1"),
    "twice": (twice, r"simulations that are not the same\. Found .*again\.npy and .*another seed on every machine"),
    "two kinds": (two_kinds, r"as many trials of each set in all files\. Found 16 in"),
    "few": (lambda folder, to: pl.simulate_to(COIN, to, sets=5, trials=3), r"ten parameter sets or more\. Found 5"),
    "bounds": (changed(rate=30.0), r"within the bounds of the spec\. Found others .*rate = 30\.0"),
    "codes": (changed(response=2.0), r"Expected the responses 0, 1\."),
    "early": (changed(rt=0.01), r"rt above t"),
    "missing": (changed(rt=float("nan")), r"rt = missing"),
    "no response": (changed(rt=float("inf")), r"Expected a response in every trial"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_files_that_cannot_be_are_refused(
    make: Callable[[Path, Path], Any], message: str, folder: Path, tmp_path: Path
) -> None:
    def read() -> None:
        with opened(make(folder, tmp_path), sets=1400) as source:
            source.chunk(0)
            source.held_out(0, 0)

    with pytest.raises(ValueError, match=message):
        read()


def test_arguments_that_cannot_be_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected one round with simulations from files\. Found rounds=2"):
        pl.train(COIN, "nowhere", simulations=folder, simulation_recipe=TINY)
    for wrong in ({"simulations": folder}, {"report": True}):
        with pytest.raises(ValueError, match=r"Expected a model with a simulator, to train from files.*Found .*'ddm'"):
            pl.train("ddm", "nowhere", **wrong)
    with pytest.raises(ValueError, match=r"Expected a model with a simulator\. Found 'three'"):
        pl.simulate_to(replace(THREE, simulator=None), "nowhere", sets=1)
    with pytest.raises(ValueError, match=r"sets as a whole number, 1 or more\. Found sets=0"):
        pl.simulate_to(COIN, "nowhere", sets=0)
