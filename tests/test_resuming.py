"""Runs that are stopped or killed: the same weights, nothing lost, and all around them as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import jax.numpy as jnp
import numpy as np
import pytest
from toy_simulators import COIN, WIDE

from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.training.recipes import SimulationRecipe
from pymc_lan.training.simulated.loop import Fitted, fit_from_simulations
from pymc_lan.training.simulated.online import Online


def source(recipe: SimulationRecipe) -> Online:
    return Online(COIN, recipe.sets, recipe.trials, seed=3)


@pytest.fixture(scope="module")
def undisturbed() -> Fitted:
    return fit_from_simulations(COIN, WIDE, source(WIDE), seed=3, progress=False)


def same(one: Fitted, other: Fitted) -> bool:
    return (one.spec.baseline, one.lan, one.best) == (other.spec.baseline, other.lan, other.best) and np.array_equal(
        one.history, other.history
    )


@pytest.mark.table
def test_a_stopped_run_goes_on(tmp_path: Path, undisturbed: Fitted) -> None:
    # Before the second round, whose sets depend on what the first has found.
    stopped = fit_from_simulations(COIN, WIDE, source(WIDE), seed=3, checkpoints=tmp_path, progress=False, stop_after=2)
    assert len(stopped.history) == 2
    assert not same(stopped, undisturbed)
    assert same(
        fit_from_simulations(COIN, WIDE, source(WIDE), seed=3, checkpoints=tmp_path, progress=False), undisturbed
    )


KILLED = """
import os, signal, sys
from toy_simulators import COIN, WIDE
from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.training.simulated.loop import fit_from_simulations
from pymc_lan.training.simulated.online import Online

folder, moment, last = sys.argv[1], sys.argv[2], int(sys.argv[3])

def deadly(call):
    def called(self, n, *args):
        if n == last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = call(self, n, *args)
        if n == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return called

if moment == "chunk":
    Online.chunk = deadly(Online.chunk)
else:
    Checkpoints.save = deadly(Checkpoints.save)
source = Online(COIN, WIDE.sets, WIDE.trials, seed=3)
fit_from_simulations(COIN, WIDE, source, seed=3, checkpoints=folder, progress=False)
"""
# As importing pymc.sampling.jax leaves the environment: XLA then has a hundred threads, whatever the cores.
TOLD_OF_MANY = {"XLA_FLAGS": "--xla_force_host_platform_device_count=100"}


def kill(folder: Path, moment: str, number: int, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), moment, str(number)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.table  # test_training kills one by default
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, undisturbed: Fitted) -> None:
    """Killed while one chunk is trained on and the next is simulated, where some library speaks of many devices."""
    kill(tmp_path, "chunk", 3, TOLD_OF_MANY)
    assert {p.name for p in tmp_path.iterdir() if p.name.isdigit()} in ({"1", "2"}, {"2", "3"})
    assert same(
        fit_from_simulations(COIN, WIDE, source(WIDE), seed=3, checkpoints=tmp_path, progress=False), undisturbed
    )


@pytest.mark.slow
def test_a_run_that_is_killed_five_times_resumes_bit_for_bit(tmp_path: Path, undisturbed: Fitted) -> None:
    """Before and after checkpoints, while chunks are simulated, and with other threads each time."""
    for moment, number in (("chunk", 0), ("before", 1), ("after", 1), ("chunk", 2), ("after", 3)):
        kill(tmp_path, moment, number, TOLD_OF_MANY if number % 2 else {})
    assert same(
        fit_from_simulations(COIN, WIDE, source(WIDE), seed=3, checkpoints=tmp_path, progress=False), undisturbed
    )


def test_a_state_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words that orbax has for a full disk."""
    with Checkpoints(tmp_path) as saved:
        saved.save(1, {"x": jnp.ones(2)})
        says = "RESOURCE_EXHAUSTED: Failed to write 2697602 bytes: No space left on device [os_error_code='28']"
        monkeypatch.setattr(saved._manager, "save", Mock(side_effect=ValueError(says)))
        message = r"Expected to write the state at 2 to .*no space left on device.*Remedy: make room"
        with pytest.raises(OSError, match=message):
            saved.save(2, {"x": jnp.ones(2)})
        monkeypatch.setattr(saved._manager, "save", Mock(side_effect=ValueError("something else")))
        with pytest.raises(ValueError, match="something else"):
            saved.save(2, {"x": jnp.ones(2)})
        assert saved.restore({"x": jnp.zeros(2)})[0] == 1


LABELLED = """
import sys
import numpy as np
import pymc_lan as pl
from pymc_lan.training.labelled import fit
from pymc_lan.training.recipes import Recipe
from pymc_lan.training.labelled.tasks import lan_task

recipe = Recipe(hidden=(48, 48), steps=10, batch=2048, pool=4000)
mlp = fit.fit(lan_task(pl.get_model("ddm")), recipe, seed=3, progress=False)
np.savez(sys.argv[1], *mlp.kernels, *mlp.biases)
"""


@pytest.mark.table
def test_what_is_learned_from_labels_does_not_depend_on_threads(tmp_path: Path) -> None:
    found = []
    for environment in ({}, TOLD_OF_MANY):
        subprocess.run([sys.executable, "-c", LABELLED, str(tmp_path / "x")], check=True, env=os.environ | environment)
        found.append((tmp_path / "x.npz").read_bytes())
    assert found[0] == found[1]


LOGGED = """
import logging, sys
import pymc  # its lines are printed twice where the root logger has a handler
from toy_simulators import COIN, TINY
import pymc_lan as pl

root = logging.getLogger()
before = (root.level, [*root.handlers], [*root.filters])
network = pl.train(
    COIN, sys.argv[1], simulation_recipe=TINY, n_measured=100, checkpoints=sys.argv[1] + "/saved", progress=False
)
pl.export(network, sys.argv[1] + "/exported", "orbax")
pl.import_orbax(sys.argv[1] + "/exported", COIN)
assert (root.level, root.handlers, root.filters) == before, root.handlers
"""


@pytest.mark.table
def test_the_root_logger_is_left_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOGGED, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
