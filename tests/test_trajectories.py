"""Simulated trials with their paths: the trials are the model's, and each path ends where its trial does."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from scipy.stats import kstest

import pymc_lan as pl
from pymc_lan.models.diffusion import trajectories

PARAMS = {"v": 0.8, "a": 0.7, "z": 0.4, "t": 0.3004}
K = 600


@pytest.fixture(scope="module")
def drawn() -> Any:
    return pl.simulate("ddm", PARAMS, n=K + 20, seed=7, trajectories=K)


def test_trials_with_paths_are_distributed_as_the_process(drawn: Any) -> None:
    df = drawn[0][:K]
    upper = df.loc[df["response"] == 1, "rt"]
    ever = oracle.upper_by(np.inf, 0.8, 0.7, 0.4)
    assert abs(upper.size / K - ever) < 4 * np.sqrt(ever * (1 - ever) / K)
    assert kstest(upper, np.vectorize(lambda rt: oracle.upper_by(rt - 0.3004, 0.8, 0.7, 0.4) / ever)).pvalue > 0.001


def test_a_path_goes_from_its_start_to_the_boundary_of_its_trial(drawn: Any) -> None:
    df, paths = drawn
    times, x = paths["time"].to_numpy(), paths.to_numpy()
    assert paths.dims == ("trial", "time")
    assert list(paths["trial"]) == list(df["trial"][:K])
    np.testing.assert_allclose(np.diff(times), 0.001)
    last = np.isfinite(x).sum(axis=1) - 1
    rt, response = df["rt"].to_numpy()[:K], df["response"].to_numpy()[:K]
    np.testing.assert_array_equal(x[np.arange(K), last], 0.7 * response)
    assert np.all((times[last] >= rt) & (times[last - 1] < rt))
    inside = np.arange(times.size) < last[:, None]
    assert np.all(np.abs(x[inside]) < 0.7)
    np.testing.assert_allclose(x[:, times <= 0.3], 0.7 * (2 * 0.4 - 1))
    steps = np.diff(x, axis=1)[:, (times[1:] > 0.302) & (times[1:] < 0.35)]
    # Paths that have not ended so early move as the process does: drift and unit noise.
    steps = steps[last > 400].ravel()
    assert abs(steps.std() / np.sqrt(0.001) - 1) < 0.03


def test_other_trials_are_those_of_the_same_seed(drawn: Any) -> None:
    same = pl.simulate("ddm", PARAMS, n=K + 20, seed=7)
    assert same[K:].equals(drawn[0][K:])
    again = pl.simulate("ddm", PARAMS, n=K + 20, seed=7, trajectories=2)
    assert again[1].shape[0] == 2


def test_a_boundary_may_move_and_be_written_in_jax() -> None:
    df, paths = pl.simulate("angle", {**PARAMS, "theta": 0.5}, n=3, seed=1, trajectories=3)
    x = paths.to_numpy()
    last = np.isfinite(x).sum(axis=1) - 1
    decided = paths["time"].to_numpy()[last] - 0.3004
    np.testing.assert_allclose(x[range(3), last], df["response"] * (0.7 - np.tan(0.5) * decided), rtol=1e-6)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no diffusion": (
        {"model": "lba2", "params": {"A": 0.2, "b": 0.5, "v0": 1.0, "v1": 0.5, "t": 0.1}},
        r"a diffusion between two boundaries\. Found 'lba2'",
    ),
    "more than trials": ({"trajectories": 5}, r"trajectories as a whole number from 1 to 2\. Found trajectories=5"),
    "none": ({"trajectories": 0}, r"from 1 to 2\. Found trajectories=0"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_paths_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"model": "ddm", "params": PARAMS, "n": 2, "seed": 1, "trajectories": 1}
    with pytest.raises(ValueError, match=message):
        pl.simulate(**(given | change))


def test_a_path_that_is_too_long_to_keep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "LONGEST", 0.1)
    with pytest.raises(ValueError, match=r"decided within 0\.1 s, to keep their paths.*row 0 \(v = 0\.0, a = 30\.0"):
        pl.simulate("ddm", PARAMS | {"a": 30.0, "v": 0.0}, n=2, seed=1, trajectories=1)
