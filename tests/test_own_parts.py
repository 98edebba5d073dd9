"""Recipes with a module, an optimiser or a loss of one's own: the same pipeline, and no version for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import pymc_lan as pl
from pymc_lan.networks.accuracy import accuracy as measuring
from pymc_lan.networks.flax import FlaxMLP
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.program import Program
from pymc_lan.training.labelled import fit as fit_module
from pymc_lan.training.labelled import teacher
from pymc_lan.training.labelled.fit import fit
from pymc_lan.training.labelled.own import identity
from pymc_lan.training.labelled.tasks import choice_task, lan_task

DDM = pl.get_model("ddm")
SMALL = pl.Recipe(hidden=(4,), steps=20, batch=32, pool=200)


class Gated(linen.Module):
    """No plain perceptron."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(1)(linen.silu(linen.Dense(5)(x)))


def ours(n_inputs: int, rngs: nnx.Rngs) -> FlaxMLP:
    return FlaxMLP((n_inputs, 4, 1), "squareplus", rngs=rngs)


def test_our_own_module_gives_the_same_network() -> None:
    """Made by a function of the number of inputs, or given with its weights."""
    task, recipe = lan_task(DDM), replace(SMALL, optimizer=optax.sgd)
    expected = fit(task, recipe, progress=False)
    for module in (ours, ours(4, nnx.Rngs(0))):
        assert fit(task, replace(recipe, module=module), progress=False) == expected


def test_an_optimiser_follows_the_schedule_of_the_rate() -> None:
    task, recipe = lan_task(DDM), replace(SMALL, learning_rate=0.1)
    by_schedule, transformation = (
        fit(task, replace(recipe, optimizer=each), progress=False) for each in (optax.sgd, optax.sgd(0.1))
    )
    assert isinstance(by_schedule, MLP)
    assert isinstance(transformation, MLP)
    for one, other in zip(by_schedule.kernels, transformation.kernels, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def squared(predicted: Any, label: Any) -> Any:
    return (predicted - label) ** 2


def test_a_loss_sees_log_densities_and_probabilities() -> None:
    task = lan_task(DDM, own=squared)
    batch = task.draw(np.random.default_rng(0), 300)
    assert task.loss(batch["residual"], batch) == pytest.approx(0, abs=1e-5)
    # Where a label is only an upper bound, a lower density is as good, and a higher one is not.
    known = 1 - batch["unknown"].mean()
    assert task.loss(batch["residual"] - 2, batch) == pytest.approx(4 * known, rel=1e-4)
    assert task.loss(batch["residual"] + 2, batch) == pytest.approx(4, rel=1e-4)
    choice = choice_task(DDM, own=squared)
    batch = choice.draw(np.random.default_rng(0), 300)
    seen = jax.nn.log_sigmoid(batch["baseline"])
    log_go = batch["log_upper"] + seen
    log_rest = jnp.logaddexp(batch["log_lower"], batch["log_upper"] + jax.nn.log_sigmoid(-batch["baseline"]))
    pairs = ((log_go, batch["log_go"]), (log_rest, batch["log_rest"]))
    off = sum(np.mean(np.where(np.isfinite(y), x - y, 0) ** 2) for x, y in pairs)
    assert choice.loss(np.zeros(300, np.float32), batch) == pytest.approx(off, rel=1e-4)


def test_a_network_of_ones_own_is_used_saved_and_measured_but_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = teacher.accuracy
    monkeypatch.setattr(teacher, "accuracy", lambda network, n, seed: usual(network, n=n, n_mass=3, seed=seed))
    monkeypatch.setattr(measuring, "_gradient", lambda *_: {})  # which takes JAX seconds to compile
    recipe = replace(SMALL, module=Gated(), optimizer=optax.adam(1e-2), loss=optax.squared_error)
    found = pl.train(
        "ddm", tmp_path, lan_recipe=recipe, choice_recipe=replace(SMALL, loss=squared), n_measured=200, progress=False
    )
    assert isinstance(found.lan, Program)
    assert isinstance(found.choice, MLP)
    own = {"module": "Gated", "optimizer": "GradientTransformationExtraArgs", "loss": "squared_error"}
    assert own.items() <= found.config["training"]["lan"].items()
    assert found.config["training"]["choice"]["loss"] == "squared"
    assert pl.load_network(tmp_path / "ddm" / "1.0") == found
    assert found.config["accuracy"]["lan"]["mean"] < 1
    assert np.isfinite(found.logpdf(0.8, 1, v=1.0, a=1.0, z=0.5, t=0.3))
    with pytest.raises(pl.RegistryError, match=r"train anew.*Found ddm@1\.0, with module and optimizer and loss"):
        pl.publish(tmp_path / "ddm" / "1.0", tmp_path / "registry")


@pytest.mark.table
def test_a_run_with_parts_of_ones_own_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CHUNK", 10)
    task, recipe = lan_task(DDM, own=squared), replace(SMALL, module=Gated(), optimizer=optax.adam(1e-2))
    whole = fit(task, recipe, progress=False)
    assert fit(task, recipe, checkpoints=tmp_path, stop_after=10, progress=False) != whole
    assert fit(task, recipe, checkpoints=tmp_path, progress=False) == whole


CHANGES: dict[str, dict[str, Any]] = {
    "module": {"module": ours},
    "optimizer": {"optimizer": optax.adam(2e-2)},
    "loss": {"loss": lambda predicted, label: jnp.abs(predicted - label)},
}


def test_a_run_is_known_by_what_its_parts_do() -> None:
    recipe = replace(SMALL, module=Gated(), optimizer=optax.adam(1e-2), loss=squared)
    mine = identity(recipe, 4, 0)
    assert mine == identity(replace(recipe, module=Gated(), optimizer=optax.adam(1e-2)), 4, 0)
    others = {identity(replace(recipe, **change), 4, 0) for change in CHANGES.values()}
    assert len(others | {mine}) == 4
    assert identity(SMALL, 4, 0) == ""
    assert repr(replace(SMALL, loss=squared)) == repr(SMALL)  # which names the states of runs begun before


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "module": (lambda: pl.Recipe(module=3), "a module of Flax as module of a recipe. Found a int"),
    "optimizer": (lambda: pl.Recipe(optimizer="adam"), "a transformation of optax as optimizer of a recipe"),
    "loss": (lambda: pl.Recipe(loss=1.0), "a function as loss of a recipe. Found a float"),
    "makes none": (
        lambda: fit(lan_task(DDM), replace(SMALL, module=lambda n_inputs, rngs: "x"), progress=False),
        "module as a module of Flax. Found a str",
    ),
    "two outputs": (
        lambda: fit(lan_task(DDM), replace(SMALL, module=linen.Dense(2)), progress=False),
        r"rows of 4 inputs to one number each. Found outputs of shape \(n, 2\)",
    ),
    "given by functions": (
        lambda: pl.train("ornstein", "nowhere", lan_recipe=replace(SMALL, module=Gated()), progress=False),
        "a plain multilayer perceptron for 'ornstein', whose formulas are written in jax.numpy",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_parts_that_cannot_be_are_refused(
    wrong: Callable[[], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        wrong()
