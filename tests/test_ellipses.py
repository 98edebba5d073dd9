"""`pl.plots.ellipses`: what is drawn, against eigenvectors and quantiles, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import arviz as az
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
import pytest

import pymc_lan as pl

RNG = np.random.default_rng(3)
CENTRES = np.array([[0.0, 0.0], [0.5, -0.25]])


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    mpl.use("Agg")
    yield
    plt.close("all")


def field_of(d: int = 2) -> Any:
    with pm.Model():
        return pl.wishart_field("W", 1, d, diagonal=1e-3)


FIELD = field_of()


def of_length(draws: np.ndarray) -> Any:
    """Draws of the weights of constant fields, diagonal, of given deviations along the first axis."""
    weights = np.zeros((len(draws), *FIELD.shape))
    weights[:, 0, 0, 0, 0] = np.sqrt(draws**2 - 1e-3)
    weights[:, 0, 0, 1, 1] = np.sqrt(0.2**2 - 1e-3)
    return weights


def test_lines_and_bands_are_where_the_numbers_say() -> None:
    sd = RNG.uniform(0.1, 0.3, 201)
    idata = az.from_dict({"posterior": {"W": of_length(sd)[None]}})
    ax = pl.plots.ellipses(FIELD, idata, CENTRES, truth=of_length(np.array([0.25]))[0], threshold=2.0, prob=0.8)
    lines = {line.get_label(): line.get_xydata() for line in ax.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"median", "truth"}
    # Around the first centre: half axes are twice the deviations.
    for name, width in (("median", 2 * np.median(sd)), ("truth", 0.5)):
        np.testing.assert_allclose(lines[name].max(axis=0), [width, 0.4], rtol=1e-6)
        np.testing.assert_allclose((lines[name] ** 2 / [width**2, 0.16]).sum(axis=1)[[0, 90]], 1.0, rtol=1e-6)
    assert len(ax.collections) == 2
    (path,) = ax.collections[1].get_paths()
    along = path.vertices[np.abs(path.vertices[:, 1] + 0.25) < 1e-9]
    right = np.unique(along[along[:, 0] > 0.5, 0].round(9))
    np.testing.assert_allclose(right, 0.5 + 2 * np.quantile(sd, [0.1, 0.9]), atol=1e-8)


def test_a_truth_that_is_tilted_is_drawn_so() -> None:
    tilted = np.array([[[0.05, 0.03], [0.03, 0.05]]] * 2)
    ax = pl.plots.ellipses(FIELD, of_length(np.array([0.2])), CENTRES, truth=tilted)
    truth = next(line for line in ax.lines if line.get_label() == "truth").get_xydata()
    values, vectors = np.linalg.eigh(tilted[0])
    far = truth[np.argmax((truth**2).sum(axis=1))]
    np.testing.assert_allclose(np.abs(far), np.sqrt(values[1]) * np.abs(vectors[:, 1]), rtol=1e-9)
    assert far[0] * far[1] > 0
    # One draw is a mode, without a band.
    assert not ax.collections
    assert any(line.get_label() == "mode" for line in ax.lines)


def test_a_mode_and_a_member_are_drawn() -> None:
    with pm.Model(coords={"observer": ["ann", "bob"]}):
        field = pl.wishart_field("W", 1, mean=pl.wishart_field("shared", 1), dims="observer")
    weights = np.concatenate([of_length(np.array([0.1])), of_length(np.array([0.3]))])
    fit = SimpleNamespace(point={"W": weights})
    ax = pl.plots.ellipses(field, fit, CENTRES, member=1)
    widest = max(line.get_xydata()[:, 0].max() for line in ax.lines)
    assert widest == pytest.approx(0.8, abs=0.002)
    with pytest.raises(ValueError, match=r"Expected member, one of several fields\. Found none\."):
        pl.plots.ellipses(field, fit, CENTRES)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda w: pl.plots.ellipses(field_of(1), w), "Expected a field of two dimensions"),
        (lambda w: pl.plots.ellipses(FIELD, w, threshold=0.0), "Expected threshold as a number above 0."),
        (lambda w: pl.plots.ellipses(FIELD, w, prob=1.0), "Expected prob between 0 and 1."),
        (lambda w: pl.plots.ellipses(FIELD, w, [[0.0, 1.5]]), "Expected stimuli from -1 to 1"),
        (lambda w: pl.plots.ellipses(FIELD, w, truth=np.eye(2)), "Expected truth as weights of shape (2, 2, 2, 3)"),
    ],
)
def test_mistakes_are_explained(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ValueError, match="Expected") as caught:
        call(of_length(np.array([0.2])))
    assert words in str(caught.value)
