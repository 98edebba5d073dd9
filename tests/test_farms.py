"""Simulations and labels made on a cluster, one of whose workers is killed half-way: nothing lost, the same result."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_simulators import BOUNDS, COIN, gamma_coin
from toy_workers import FLAG, deadly_square, die_once, square

import pymc_lan as pl
from pymc_lan.models.diffusion import solved_labels as trials
from pymc_lan.models.labels import Trials
from pymc_lan.numerics.parallel import WorkerDiedError, open_executor
from pymc_lan.training.simulated import online as sampling
from pymc_lan.training.simulated.online import Online


def deadly_coin(theta: Any, rng: np.random.Generator) -> Any:
    if rng.random() < 0.3:
        die_once()
    return gamma_coin(theta, rng)


def deadly_boundary(t: Any, theta: Any) -> Any:
    die_once()
    return pl.get_model("exponential_collapse").boundary(t, theta)


DEADLY_COIN = pl.simulator_spec("coin", deadly_coin, BOUNDS, choices=COIN.choices, shift="t")
DEADLY_DIFFUSION = replace(pl.get_model("exponential_collapse"), boundary=deadly_boundary)


def test_processes_survive_one_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLAG, str(tmp_path / "one has died"))
    with ExitStack() as stack:
        pool = open_executor(stack, 2)
        assert list(pool.map(square, range(20))) == [x * x for x in range(20)]
        assert (tmp_path / "one has died").exists()
        # Errors are not deaths: they come back, and nothing is tried again.
        with pytest.raises(TypeError):
            pool.submit(square, "x").result()


def test_a_task_that_kills_every_process_is_told_and_the_others_are_done() -> None:
    with ExitStack() as stack:
        pool = open_executor(stack, 2)
        tasks = [pool.submit(deadly_square, x) for x in range(12)]
        message = (
            r"Expected processes that live until their tasks are done\. Found 3 that died of one\. Remedy: .*memory"
        )
        for x, task in enumerate(tasks):
            if x == 7:
                with pytest.raises(WorkerDiedError, match=message):
                    task.result()
            else:
                assert task.result() == x * x


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    monkeypatch.setenv(FLAG, str(tmp_path / "one has died"))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        # The simulations and labels that all is compared with are made in this process.
        monkeypatch.delenv(FLAG)
        yield found.scheduler_address


@pytest.mark.slow
def test_simulations_survive_a_worker(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "BLOCK", 1_000)
    here = Online(DEADLY_COIN, 40, 500, seed=5).chunk(1)
    with Online(DEADLY_COIN, 40, 500, seed=5, scheduler=cluster) as source:
        there = source.chunk(1)
    assert (tmp_path / "one has died").exists()
    for x, y in zip(here, there, strict=True):
        assert np.array_equal(x, y)


def labelled(farm: Executor | None, monkeypatch: pytest.MonkeyPatch) -> Trials:
    monkeypatch.setattr(trials, "_LATEST", {})
    return DEADLY_DIFFUSION.labels.training_trials(np.random.default_rng(1), 40 * trials.TRIALS_PER_SOLUTION, farm)


@pytest.mark.slow
def test_labels_survive_a_worker(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "FARM_BLOCK", 10)
    alone = labelled(None, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        here = labelled(pool, monkeypatch)
    with ExitStack() as stack:
        there = labelled(open_executor(stack, scheduler=cluster), monkeypatch)
    assert (tmp_path / "one has died").exists()
    assert np.array_equal(here.label, there.label)
    assert np.array_equal(here.d, there.d)
    # Rows of other lengths may be summed in another order.
    np.testing.assert_allclose(here.label, alone.label, rtol=1e-9)


def test_a_scheduler_that_is_not_there() -> None:
    # Imported before its configuration is set: what is set first takes its defaults away when it goes.
    dask, _ = pytest.importorskip("dask"), pytest.importorskip("distributed", reason="needs the extra dask")
    words = r"Expected a Dask scheduler with workers\. Found 'tcp://127\.0\.0\.1:9'"
    soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with soon, ExitStack() as stack, pytest.raises(ConnectionError, match=words):
        open_executor(stack, scheduler="tcp://127.0.0.1:9")


def test_a_cluster_has_nothing_to_do_for_labels_in_closed_form(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected something for a cluster to do.*leave out scheduler"):
        pl.train("ddm", tmp_path, scheduler="tcp://localhost:1")
