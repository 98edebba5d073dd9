"""Labels that solvers cannot give: told apart, and learned from as bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions import by_functions

import pymc_lan as pl
import pymc_lan.models.diffusion.solved_labels as trials_module
import pymc_lan.training.labelled.tasks as tasks_module
from pymc_lan.models.diffusion.closed_labels import ClosedLabels
from pymc_lan.models.diffusion.solution import Report, Solution
from pymc_lan.models.diffusion.solved_labels import PathLabels
from pymc_lan.models.labels import Trials
from pymc_lan.models.proposals import draw_theta
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.training.labelled.tasks import choice_task, lan_task, survivor_task
from pymc_lan.training.recipes import usual_recipes

DDM, CONFLICT = pl.get_model("ddm"), pl.get_model("conflict_ds")


def late_trials(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Trials:
    """Trials of two parameter sets with the same exponential decay, one of them down to where only noise is left."""
    times = np.tile(np.linspace(0.1, 30.0, 300), (2, 1))
    log_f = np.stack([-times[0], -0.1 * times[1]])
    mass = (1 - np.exp(log_f)) / 2
    report = Report(2, {300: 2}, 0, 0.0)
    found = Solution({name: np.full(2, 0.5) for name in "vaz"}, times, log_f, log_f, mass, mass, times, report)
    monkeypatch.setattr(PathLabels, "_solutions", lambda *_: found)
    return CONFLICT.labels._trials(np.random.default_rng(0), 2000, 1000, **how)


def test_a_late_label_that_is_noise_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = late_trials(monkeypatch)
    decays = np.repeat([1.0, 0.1], 1000)
    noise = -decays * trials.d < trials_module.LEAST_LATE
    assert 100 < noise.sum() < 900
    np.testing.assert_array_equal(np.isneginf(trials.label), noise)
    np.testing.assert_allclose(trials.label[~noise], (-decays * trials.d)[~noise])
    # When a network is measured, its trials are the model's, and keep the labels that they have.
    assert np.isfinite(late_trials(monkeypatch, of_model=True).label).all()


def test_the_labels_of_another_drift_are_not_taken_for_those_of_a_corrected_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solved: list[pl.ModelSpec] = []

    def solve(spec: pl.ModelSpec, theta: dict[str, np.ndarray], *_: Any) -> list[np.ndarray]:
        solved.append(spec)
        return [*theta.values()]

    monkeypatch.setattr("pymc_lan.models.diffusion.solver.solve", solve)
    monkeypatch.setattr(trials_module, "_LATEST", {})
    first = by_functions(DDM)
    corrected = replace(first, drift=lambda t, x, theta: 2 * theta["v"])
    for spec in (first, first, corrected):
        spec.labels._solutions(np.random.default_rng(0), 10, None, 0.0)
    assert solved == [first, corrected]


def test_a_share_of_the_sets_lies_in_corners() -> None:
    """With `ends`, three sets in ten of that share have every parameter next to an end, a little outside or inside."""
    n, ends = 20_000, 0.6
    free = [p for p in CONFLICT.parameters if p.name != "t"]

    # On a logarithmic scale the ends of a positive parameter are elsewhere, so those are left out of the count.
    linear = [i for i, p in enumerate(free) if p.bounds[0] < 0]

    def places(share: float) -> np.ndarray:
        drawn = draw_theta(CONFLICT, np.random.default_rng(1), n, ends=share)
        assert all((drawn[p.name] > p.domain[0]).all() and (drawn[p.name] < p.domain[1]).all() for p in free)
        return np.array([(drawn[p.name] - p.bounds[0]) / (p.bounds[1] - p.bounds[0]) for p in free])[linear]

    def corners(place: np.ndarray) -> float:
        return float((np.minimum(place, 1 - place) < 0.1).all(axis=0).mean())

    place = places(ends)
    # Of the Beta sets a few have all three there too.
    assert 0.3 * ends < corners(place) < 0.3 * ends + 0.05
    assert -0.06 <= place.min() < -0.05 < 1.05 < place.max() <= 1.06
    uniform = places(0.0)
    assert corners(uniform) < 0.02
    assert 0 <= uniform.min() < uniform.max() <= 1


def test_a_recipe_says_how_many_lie_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def solutions(*given: Any) -> None:
        seen.append(given[-1])
        raise InterruptedError

    monkeypatch.setattr(PathLabels, "_solutions", solutions)
    lan, choice = usual_recipes(CONFLICT)
    for make_task, recipe in ((lan_task, lan), (choice_task, choice), (survivor_task, choice)):
        with pytest.raises(InterruptedError):
            make_task(CONFLICT, None, recipe.ends).draw(np.random.default_rng(0), 64)
    assert seen == [0.6, 0.6, 0.6]


def test_an_unknown_density_is_pushed_down_only_where_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    d, one = np.array([0.2, 0.4]), np.ones(2)
    drawn = Trials(dict.fromkeys("vaz", 0.5 * one), d, one, np.array([-np.inf, -1.0]))
    monkeypatch.setattr(ClosedLabels, "training_trials", lambda *_: drawn)
    task = lan_task(DDM)
    batch = task.draw(np.random.default_rng(0), 2)
    baseline = DDM.views.lan.baseline(NUMPY, d, one, drawn.theta)
    np.testing.assert_allclose(batch["residual"] + baseline, [tasks_module.CEILING, -1.0], rtol=1e-6)
    output = jnp.asarray(batch["residual"])
    slope = jax.grad(task.loss)
    assert task.loss(output, batch) == 0
    assert slope(output - 1.0, batch)[0] == 0
    assert slope(output - 1.0, batch)[1] < 0
    assert slope(output + 1.0, batch)[0] > 0
