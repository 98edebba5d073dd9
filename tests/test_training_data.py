"""Labelled trials as arrays: true, by kernels and by histograms, against the density of the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from scipy.stats import gamma

import pymc_lan as pl

# Of the Poisson race, the response of its first counter.
LOWER = -1
NAMES = ("v", "a", "z", "t", "rt", "response")


def truths(features: np.ndarray) -> np.ndarray:
    found = [oracle.density(rt - t, response > 0, v, a, z) for v, a, z, t, rt, response in features]
    return np.log(np.maximum(found, 1e-300))


def test_exact_labels_are_log_densities_over_the_bounds() -> None:
    features, labels, names = pl.training_data("ddm", 400, seed=3)
    assert (features.shape, labels.shape, names) == ((400, 6), (400,), NAMES)
    expected = truths(features)
    likely = expected > -100
    assert likely.mean() > 0.9
    np.testing.assert_allclose(labels[likely], expected[likely], atol=1e-9)
    assert np.all(np.isfinite(labels))
    for name, column in zip(NAMES[:4], features.T, strict=False):
        low, high = pl.get_model("ddm").parameter(name).bounds
        assert low <= column.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < column.max() <= high


@pytest.mark.parametrize("labels", ["kde", "histogram"])
def test_labels_from_simulations_scatter_about_the_log_density(labels: str) -> None:
    features, found, names = pl.training_data("ddm", 2000, labels, seed=4, trials=4000)
    assert (features.shape, names) == ((2000, 6), NAMES)
    expected = truths(features)
    likely = expected > -3
    error = (found - expected)[likely]
    assert likely.mean() > 0.6
    assert abs(error.mean()) < 0.02
    assert 0.005 < np.abs(error).mean() < 0.08
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize("labels", ["exact", "kde", "histogram"])
def test_whatever_the_labels_most_rows_are_trials_of_the_model(labels: str) -> None:
    """Of trials the model makes the bound is reached that evidence drifts to: of 1 / (1 + exp(-2 v a)) from the middle.

    Of rows at any response it would be half.
    """
    features, _, _ = pl.training_data("ddm", 20_000, labels, seed=7, trials=100)
    v, a, z, _, rt, response = features.T
    middle = np.abs(z - 0.5) < 0.1
    reached = 1 / (1 + np.exp(-2 * np.abs(v) * a))
    share, expected = np.mean((response * v > 0)[middle]), np.mean(reached[middle])
    assert 0.75 < (share - 0.5) / (expected - 0.5) < 1.1
    assert (rt < 10).mean() > 0.9


def test_a_closed_form_without_a_network_has_labels() -> None:
    """Of a Poisson race: who counts to k first, gamma distributed, while the other does not."""
    features, labels, names = pl.training_data("poisson_race", 100, seed=1)
    assert names == ("r1", "r2", "k1", "k2", "t", "rt", "response")
    for (r1, r2, k1, k2, t, rt, response), label in zip(features, labels, strict=True):
        first, second = gamma(k1, scale=1 / r1), gamma(k2, scale=1 / r2)
        winner, loser = (first, second) if response == LOWER else (second, first)
        assert label == pytest.approx(winner.logpdf(rt - t) + loser.logsf(rt - t), rel=1e-6, abs=1e-6)


def test_a_seed_means_the_same_rows_and_files_hold_them(tmp_path: Path) -> None:
    paths = pl.training_data_to("ddm", tmp_path / "rows", n=50, labels="kde", files=2, seed=5, trials=100)
    assert [path.name for path in paths] == ["training-0000.npz", "training-0001.npz"]
    features, labels, names = pl.training_data("ddm", 50, labels="kde", seed=5, trials=100)
    first, second = (np.load(path) for path in paths)
    np.testing.assert_array_equal(first["features"], features)
    np.testing.assert_array_equal(first["labels"], labels)
    assert tuple(first["names"]) == names
    assert not np.array_equal(second["features"], features)
    with pytest.raises(ValueError, match=r"files that are new.*training-0000"):
        pl.training_data_to("ddm", tmp_path / "rows", n=50)


def detect(theta: Any, rng: np.random.Generator) -> Any:
    return rng.normal(theta[:, 0], 1.0) > 1.0


ALONE = pl.simulator_spec("detect", detect, {"d": (0.0, 4.0)}, choices=[0, 1], times=False)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "labels": ({"labels": "exakt"}, r"Unknown label 'exakt'\. Known labels: exact, kde, histogram.*'exact'\?"),
    "unknown density": ({"model": "levy"}, r"a model whose density is known.*Found 'levy'"),
    "no times": ({"model": ALONE, "labels": "kde"}, r"a model of response times\. Found 'detect'"),
    "n": ({"n": 0}, r"n as a whole number, 1 or more\. Found n=0"),
    "trials": ({"trials": 2}, r"trials as a whole number, 10 or more"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_labelled_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pl.training_data(**({"model": "ddm", "n": 10} | change))
