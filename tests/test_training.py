"""Training: proposals and labels, seeds, learning, resuming after a real kill, and `pl.train` to a whole folder."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest
from tables import one_of_a_kind

import pymc_lan as pl
import pymc_lan.training.labelled.fit as fit_module
from pymc_lan.errors import RegistryError
from pymc_lan.models.diffusion.closed_labels import distributions, draw_decisions, go_labels, log_densities
from pymc_lan.models.model import require_labels
from pymc_lan.models.proposals import LONGEST, SHORTEST, draw_decision_times, draw_horizons, draw_theta
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network
from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import CARD, CONFIG, REGISTRY, WEIGHTS, verify_network
from pymc_lan.training.labelled import teacher
from pymc_lan.training.labelled.fit import fit
from pymc_lan.training.labelled.tasks import Task, choice_task, lan_task
from pymc_lan.training.recipes import Recipe

DATA = Path(__file__).parent / "data"
DDM = pl.get_model("ddm")
TASKS: dict[str, Callable[[], Task]] = {"lan": lambda: lan_task(DDM), "choice": lambda: choice_task(DDM)}

# Long enough for several checkpoints of `CHUNK` steps, and small enough for a second.
CHUNK = 50
SMALL = Recipe(hidden=(8,), steps=400, batch=32, pool=1000)
TINY = Recipe(hidden=(4,), steps=20, batch=16, pool=100)


@pytest.fixture
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CHUNK", CHUNK)


def table(name: str) -> np.ndarray:
    return np.genfromtxt(DATA / name, delimiter=",", names=True)


# Proposals


def test_parameters_lie_within_bounds_and_reach_them() -> None:
    theta = draw_theta(DDM, np.random.default_rng(0), 20_000, with_t=True)
    assert tuple(theta) == DDM.names
    for p in DDM.parameters:
        low, high = p.bounds
        margin = 0.01 * (high - low)
        assert low <= theta[p.name].min() < low + margin
        assert high - margin < theta[p.name].max() <= high
        # Uniform: the mean of n draws is within four standard errors of the middle.
        assert abs(theta[p.name].mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * 20_000)
    # Open ends of the domain are left out.
    assert theta["z"].min() > 0
    assert theta["z"].max() < 1
    assert "t" not in draw_theta(DDM, np.random.default_rng(0), 5)


PROPOSALS: dict[str, tuple[Callable[..., Any], float]] = {
    "decision times": (
        lambda rng: draw_decision_times(rng, rng.uniform(0.3, 2.5, 20_000), np.full(20_000, 30.0)),
        SHORTEST / 5,
    ),
    "horizons": (lambda rng: np.minimum(draw_horizons(rng, (5000, 4)).ravel(), LONGEST), 10 * SHORTEST),
}


@pytest.mark.parametrize(("draw", "least"), PROPOSALS.values(), ids=PROPOSALS)
def test_times_cover_onset_bulk_and_tail(draw: Callable[..., Any], least: float) -> None:
    time_ = draw(np.random.default_rng(1))
    assert time_.shape == (20_000,)
    assert least <= time_.min()
    assert time_.max() <= LONGEST
    for low, high in ((least, 0.05), (0.05, 0.5), (0.5, 3.0), (3.0, LONGEST)):
        assert ((time_ >= low) & (time_ <= high)).mean() > 0.03


@pytest.mark.parametrize("name", TASKS)
def test_tasks_draw_finite_arrays_of_one_length(name: str) -> None:
    task = TASKS[name]()
    batch = task.draw(np.random.default_rng(2), 5000)
    assert batch["inputs"].shape == (5000, task.n_inputs)
    for key, array in batch.items():
        assert array.dtype == (bool if key == "unknown" else np.float32)
        assert array.shape[0] == 5000
        assert np.isfinite(array).all()
    # Inputs of order one need no scaling in the network.
    assert np.abs(batch["inputs"]).max() < 60
    assert np.median(np.abs(batch["inputs"])) < 3


# Labels, against tables of 40 digits


def test_density_labels_agree_with_the_table() -> None:
    rows = table("ddm_reference_logpdf.csv")
    theta = {name: rows[name] for name in "vaz"}
    upper, lower = (x[:, 0] for x in log_densities(DDM.form, theta, (rows["rt"] - rows["t"])[:, None]))
    label = np.where(rows["response"] > 0, upper, lower)
    # rt - t of the table's decimals is off by a rounding of rt.
    assert np.abs(label - rows["logpdf"]).max() < 1e-9


def test_go_labels_agree_with_the_table() -> None:
    rows = table("ddm_reference_choice.csv")
    theta = {name: rows[name] for name in "vaz"}
    log_go, log_rest = (x[:, 0] for x in go_labels(DDM.form, theta, rows["deadline"][:, None]))
    measurable = rows["log_p_go"] > math.log(1e-12)
    assert measurable.sum() > 300
    assert np.abs(log_go - rows["log_p_go"])[measurable].max() < 1e-9
    assert np.abs(log_rest - rows["log_p_nogo"]).max() < 1e-9


def test_go_labels_by_quadrature_agree_with_the_closed_form() -> None:
    """`ddm_sdv` without variability and `angle` without an angle are the DDM."""
    rng = np.random.default_rng(4)
    theta = {"v": rng.uniform(-3, 3, 200), "a": rng.uniform(0.3, 2.5, 200), "z": rng.uniform(0.1, 0.9, 200)}
    horizon = np.exp(rng.uniform(np.log(0.05), np.log(20), (200, 8)))
    horizon[:, 0] = np.inf
    expected = go_labels(DDM.form, theta, horizon)
    for name, extra in (("ddm_sdv", "sv"), ("angle", "theta")):
        found = go_labels(pl.get_model(name).form, theta | {extra: np.zeros(200)}, horizon)
        for x, y in zip(found, expected, strict=True):
            likely = y > math.log(1e-4)
            # A tenth of what the networks that learn them must reach.
            assert np.abs(x - y)[likely].max() < 3e-4


def test_no_press_is_as_likely_as_among_trials_whose_drift_varies() -> None:
    """Labels at given trials, which checks of go/no-go fits use; without the variability it is another probability."""
    theta, t, deadline, n = {"v": 2.5, "a": 1.2, "z": 0.5, "sv": 2.0}, 0.3, 1.2, 40_000
    trials = pl.simulate("ddm_sdv", theta | {"t": t}, n=n, seed=5)
    share = 1 - ((trials["response"] == 1) & (trials["rt"] <= deadline)).mean()
    sets = {name: np.array([x, x + 0.2]) for name, x in theta.items()}
    unseen, press = np.array([np.inf, np.inf, 0.4]), np.ones(3)
    found = pl.get_model("ddm_sdv").labels.at(sets, np.array([0, 1, 0]), unseen, press, np.full(3, deadline - t))
    assert abs(np.exp(found[0]) - share) < 4 * math.sqrt(share * (1 - share) / n)
    steady = pl.get_model("ddm_sdv").labels.at(
        sets | {"sv": np.zeros(2)}, np.array([0]), unseen[:1], press[:1], np.array([0.9])
    )
    assert abs(np.exp(steady[0]) - share) > 0.02
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("name", "more"), [("angle", {"theta": 0.4}), ("ddm_sdv", {"sv": 1.0})])
def test_draws_from_the_labels_follow_them(name: str, more: dict[str, float]) -> None:
    spec, n = pl.get_model(name), 20_000
    one = {k: np.array([x]) for k, x in ({"v": 1.0, "a": 1.2, "z": 0.4} | more).items()}
    time_, response = draw_decisions(spec.form, np.random.default_rng(9), {k: np.repeat(x, n) for k, x in one.items()})
    upper, _ = distributions(spec.form, one)
    up = float(upper.total[0, 0])
    assert abs((response > 0).mean() - up) < 4 * np.sqrt(up * (1 - up) / n)
    cdf = lambda t: upper.at(t[None])[0] / up  # noqa: E731
    assert kstest(time_[response > 0], cdf).pvalue > 1e-3
    assert kstest(time_[response > 0] * 1.05, cdf).pvalue < 1e-3


def test_a_model_that_is_not_known_has_no_labels() -> None:
    with pytest.raises(ValueError, match=r"Expected a model whose density is known.*Found 'levy'"):
        require_labels(pl.get_model("levy"))


# The loop


@pytest.mark.usefixtures("_short_chunks")
@pytest.mark.parametrize("name", one_of_a_kind(TASKS, "lan"))
def test_weights_follow_from_the_seed(name: str) -> None:
    first, same, other = (fit(TASKS[name](), TINY, seed=seed, progress=False) for seed in (0, 0, 1))
    assert first == same
    assert first != other
    assert first.sizes == (TASKS[name]().n_inputs, 4, 1)


def test_weights_do_not_depend_on_the_precision_of_the_process() -> None:
    """PyTensor's JAX mode turns float64 on for good, so a run may be killed without it and go on with it."""
    task = TASKS["lan"]()
    with jax.enable_x64(True):
        wide = fit(task, TINY, progress=False)
    with jax.enable_x64(False):
        assert fit(task, TINY, progress=False) == wide


LEARNING = Recipe(hidden=(16,), steps=2000, batch=128, pool=20_000)


@pytest.mark.parametrize("name", one_of_a_kind(TASKS, "lan"))
def test_a_small_recipe_learns(name: str) -> None:
    task = TASKS[name]()
    mlp = fit(task, LEARNING, progress=False)
    # Trials that the training has not seen.
    fresh = task.draw(np.random.default_rng(99), 20_000)
    output, _ = mlp.value_and_partials(fresh["inputs"].T)
    learned, baseline = (float(task.loss(jnp.asarray(x), fresh)) for x in (output, np.zeros_like(output)))
    assert learned < 0.02 * baseline
    if name == "lan":
        off, before = np.abs(output - fresh["residual"]), np.abs(fresh["residual"])
        bulk = fresh["weight"] > 1
        assert off[bulk].mean() < 0.2 * before[bulk].mean()


RUINED = {
    "learning rate": (lambda task: task, replace(SMALL, learning_rate=1e30)),
    "labels": (lambda task: replace(task, loss=lambda output, _: jnp.mean(output) * jnp.nan), SMALL),
}


@pytest.mark.usefixtures("_short_chunks")
@pytest.mark.parametrize(("spoil", "recipe"), RUINED.values(), ids=RUINED)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, spoil: Callable[[Task], Task], recipe: Recipe) -> None:
    message = (
        r"Expected a finite loss of the lan network. Found (nan|inf) within \d+ steps.*Remedy: lower learning_rate"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(spoil(TASKS["lan"]()), recipe, checkpoints=tmp_path, progress=False)
    # Nothing that is ruined is saved to go on from.
    assert not list(tmp_path.glob("[0-9]*"))


# Resuming


@pytest.fixture(scope="module")
def undisturbed() -> MLP:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(fit_module, "CHUNK", CHUNK)
        return fit(TASKS["lan"](), SMALL, seed=3, progress=False)


def resume(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MLP, list[int]]:
    """Go on with the run of that folder; return its weights and the steps it saved."""
    saved, save = [], Checkpoints.save

    def recording(self: Checkpoints, step: int, state: Any) -> None:
        saved.append(step)
        save(self, step, state)

    monkeypatch.setattr(Checkpoints, "save", recording)
    return fit(TASKS["lan"](), SMALL, seed=3, checkpoints=folder, progress=False), saved


@pytest.mark.usefixtures("_short_chunks")
def test_checkpoints_alone_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: MLP) -> None:
    mlp, saved = resume(tmp_path, monkeypatch)
    assert mlp == undisturbed
    assert saved == list(range(CHUNK, SMALL.steps + 1, CHUNK))
    # A run that has finished does not begin again.
    again, saved = resume(tmp_path, monkeypatch)
    assert again == undisturbed
    assert saved == []


@pytest.mark.usefixtures("_short_chunks")
def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: MLP) -> None:
    stopped = fit(TASKS["lan"](), SMALL, seed=3, checkpoints=tmp_path, progress=False, stop_after=2 * CHUNK)
    assert stopped != undisturbed
    mlp, saved = resume(tmp_path, monkeypatch)
    assert saved[0] == 3 * CHUNK
    assert mlp == undisturbed


KILLED = """
import os, signal, sys, threading
from pathlib import Path
import pymc_lan as pl
import pymc_lan.training.labelled.fit as fit_module
from pymc_lan.networks.orbax import Checkpoints
from pymc_lan.training.recipes import Recipe
from pymc_lan.training.labelled.tasks import lan_task

folder, moment, chunk = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fit_module.CHUNK = chunk
save = Checkpoints.save

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def save_or_die(self, step, state):
    if moment == "before" and step == 3 * chunk:
        die()
    save(self, step, state)
    if moment == "after" and step == 3 * chunk:
        die()

def watch():
    # orbax writes into a folder of another name first.
    while True:
        if (folder / str(chunk)).exists() and any(
            (partial / "default").exists() for partial in folder.glob("*.orbax-checkpoint-tmp*")
        ):
            die()

Checkpoints.save = save_or_die
if moment == "within":
    threading.Thread(target=watch, daemon=True).start()
recipe = Recipe(hidden=(8,), steps=400, batch=32, pool=1000)
fit_module.fit(lan_task(pl.get_model("ddm")), recipe, seed=3, checkpoints=folder, progress=False)
"""


@pytest.mark.usefixtures("_short_chunks")
@pytest.mark.parametrize(
    "moment", [pytest.param("before", marks=pytest.mark.slow), "within", pytest.param("after", marks=pytest.mark.table)]
)
def test_a_killed_run_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: MLP, moment: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), moment, str(CHUNK)], check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = max(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit())
    assert CHUNK <= whole < SMALL.steps
    # The kill has left what it was to leave.
    assert any(tmp_path.glob("*-tmp*")) == (moment == "within")
    mlp, saved = resume(tmp_path, monkeypatch)
    assert saved[0] == whole + CHUNK
    assert mlp == undisturbed


def truncate_newest(folder: Path) -> None:
    newest = folder / str(2 * CHUNK)
    newest.rename(folder / f"{newest.name}.orbax-checkpoint-tmp")
    (folder / f"{newest.name}.orbax-checkpoint-tmp" / "default" / "manifest.ocdbt").unlink()


def half_delete_oldest(folder: Path) -> None:
    # As a kill leaves it that falls between two files of a checkpoint that is no longer kept.
    oldest = folder / str(CHUNK)
    for path in oldest.iterdir():
        if path.is_file():
            path.unlink()
    shutil.rmtree(oldest / "default" / "d")


PARTIAL = {"newest": (truncate_newest, 2 * CHUNK), "oldest": (half_delete_oldest, 3 * CHUNK)}


@pytest.mark.usefixtures("_short_chunks")
@pytest.mark.parametrize(("damage", "first_saved"), PARTIAL.values(), ids=PARTIAL)
def test_a_partial_checkpoint_is_ignored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: MLP,
    damage: Callable[[Path], None],
    first_saved: int,
) -> None:
    fit(TASKS["lan"](), SMALL, seed=3, checkpoints=tmp_path, progress=False, stop_after=2 * CHUNK)
    damage(tmp_path)
    mlp, saved = resume(tmp_path, monkeypatch)
    assert saved[0] == first_saved
    assert mlp == undisturbed


def test_checkpoints_restore_what_they_saved(tmp_path: Path) -> None:
    state = {"x": jnp.arange(3.0), "n": jnp.asarray(7)}
    like = {"x": jnp.zeros(3), "n": jnp.asarray(0)}
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(like) is None
        for step in (1, 2, 3):
            checkpoints.save(step, state | {"n": jnp.asarray(step)})
        checkpoints.save(3, state)
    with Checkpoints(tmp_path) as checkpoints:
        step, found = checkpoints.restore(like)
    assert (step, int(found["n"])) == (3, 3)
    np.testing.assert_array_equal(found["x"], state["x"])
    # Two are kept: the newest, and one to fall back on.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]


# From nothing to a folder


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    """Return `pl.train` with recipes of a second; what is measured there has its own tests, so figures stand in."""
    figures = pl.load_network("ddm").config["accuracy"]
    monkeypatch.setattr(teacher, "accuracy", lambda _, n, seed: dict(figures) | {"seed": seed})
    monkeypatch.setattr(fit_module, "CHUNK", 10)
    return partial(pl.train, lan_recipe=TINY, choice_recipe=TINY, progress=False)


def test_train_writes_a_complete_version(tmp_path: Path, train: Callable[..., Any]) -> None:
    network = train("ddm", tmp_path, version="0.1", seed=5)
    folder = tmp_path / "ddm" / "0.1"
    assert sorted(p.name for p in folder.iterdir()) == sorted([WEIGHTS, CONFIG, CARD])
    assert (tmp_path / REGISTRY).is_file()
    assert pl.load_network(folder) == network
    assert network.name == "ddm@0.1"
    assert network.lan == fit(TASKS["lan"](), TINY, seed=5, progress=False)
    assert network.choice == fit(TASKS["choice"](), TINY, seed=5, progress=False)
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    assert config == network.config
    assert config["format"] == 1
    assert (config["model"], config["version"]) == ("ddm", "0.1")
    assert [p["name"] for p in config["parameters"]] == list(DDM.names)
    assert all(p.keys() == {"name", "bounds", "unit", "meaning", "default"} for p in config["parameters"])
    assert config["networks"]["lan"] == {
        "sizes": [4, 4, 1],
        "activation": "squareplus",
        "transform": "constant_drift",
    }
    assert config["training"]["seed"] == 5
    assert Recipe(**config["training"]["lan"] | {"hidden": (4,)}) == TINY
    assert config["packages"].keys() == {"pymc-lan", "numpy", "jax", "flax", "optax"}
    # Measured on parameters other than the training's.
    assert config["accuracy"]["seed"] == 6
    assert config["outcome"]
    assert config["labels"]
    assert (folder / CARD).read_text("utf-8") == write_card(config)


def test_a_trained_registry_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]
) -> None:
    network = train("ddm", tmp_path, version="0.1")
    monkeypatch.setattr("pymc_lan.registry.load.embedded_root", lambda: tmp_path)
    assert len(verify_network("ddm@0.1")) == 3
    assert pl.load_network("ddm@0.1") == network
    monkeypatch.undo()
    assert verify_network("ddm")


REFUSED = {
    "existing version": ("ddm", "0.1", RegistryError, r"Expected a new version. Found ddm@0.1 in .* already. Remedy"),
    "unusable version": ("ddm", "../0.1", RegistryError, "Expected a version of letters"),
    "unknown model": ("dmd", "0.2", ValueError, "Unknown model 'dmd'.*Did you mean 'ddm'"),
}


@pytest.mark.parametrize(("model", "version", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_train_refuses_before_it_trains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: Callable[..., Any],
    model: str,
    version: str,
    kind: type[Exception],
    message: str,
) -> None:
    (tmp_path / "ddm" / "0.1").mkdir(parents=True)
    monkeypatch.setattr(fit_module, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(kind, match=message):
        train(model, tmp_path, version=version)
    assert [p.name for p in tmp_path.rglob("*")] == ["ddm", "0.1"]


@pytest.mark.table
def test_train_never_goes_on_from_the_state_of_another_seed(tmp_path: Path, train: Callable[..., Any]) -> None:
    plain = train("ddm", tmp_path / "plain", seed=1)
    checkpoints = tmp_path / "checkpoints"
    assert train("ddm", tmp_path / "a", seed=0, checkpoints=checkpoints) != plain
    assert train("ddm", tmp_path / "b", seed=1, checkpoints=checkpoints) == plain


def test_runs_are_named_by_their_arguments() -> None:
    runs = [
        (DDM, "lan", TINY, 0),
        (DDM, "lan", TINY, 1),
        (DDM, "choice", TINY, 0),
        (DDM, "lan", replace(TINY, learning_rate=0.1), 0),
        (replace(DDM, name="other"), "lan", TINY, 0),
    ]
    assert len({teacher.run_name(*run) for run in runs}) == len(runs)
    assert teacher.run_name(*runs[0]) == teacher.run_name(DDM, "lan", replace(TINY), 0)


def test_train_resumes_from_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]
) -> None:
    plain = train("ddm", tmp_path / "plain")
    with monkeypatch.context() as patch:
        patch.setattr(teacher, "accuracy", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train("ddm", tmp_path / "out", checkpoints=tmp_path / "checkpoints")
    assert not (tmp_path / "out" / "ddm").exists()
    # Both networks are finished: nothing is trained a second time.
    monkeypatch.setattr(Checkpoints, "save", lambda *_: pytest.fail("trained again"))
    assert train("ddm", tmp_path / "out", checkpoints=tmp_path / "checkpoints") == plain


@pytest.mark.slow
def test_the_command_trains_the_shipped_networks(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    command = "import sys; from pymc_lan.cli import main; sys.argv[0] = 'pymc-lan'; main()"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", command, "train", "ddm", "--out", str(tmp_path)], check=True)
    # Five minutes on two cores, the measurement of its accuracy included.
    assert time.perf_counter() - start < 300
    network, shipped = pl.load_network(tmp_path / "ddm" / "1.0"), pl.load_network("ddm")
    # Another processor rounds otherwise, so this is recorded, not required.
    record_property("bit_for_bit_as_shipped", network == shipped)
    measured = network.config["accuracy"]
    assert measured["lan"]["mean"] <= 0.002
    assert measured["lan"]["p99"] <= 0.01
    assert measured["mass"]["p99"] <= 0.01
    assert measured["choice"]["go"]["mean"] <= 0.003
    assert measured["choice"]["nogo"]["mean"] <= 0.003
    clocks = {"seconds": 0, "cpu_seconds": 0}
    assert network.config["training"] | clocks == shipped.config["training"] | clocks
