"""What tests share: the way to scripts and to the real data, which is not redistributed, and a registry to spoil."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hub_checks import write
from hub_server import Hub, Repository
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from pymc_lan.registry import load as registry

ROOT = Path(__file__).resolve().parents[1]


# The files that take longest, from the longest on, by default or with tables. A process that got one of them last would
# leave the others idle.
LONGEST = (
    *("kinds", "laws", "jax_function", "docs", "training", "solvers", "from_simulations", "inference", "xla", "ops"),
    *("samplers", "examples", "perception", "forms", "flax_module", "exact", "resuming", "informed", "sbc", "kde"),
    *("partly_seen", "likelihood", "mirror", "hub", "kernel_cache", "omissions", "posteriors", "stop_signal"),
    *("registry_writing", "jax_function_example", "draw_laws", "fuzz", "responses", "check", "spread", "plots"),
    *("paths", "accuracy"),
    *("accumulators", "report", "initvals", "onnx", "distributions", "simulation_files", "plot_summaries", "channel"),
    *("race_distributions", "amortized", "finite", "own_parts", "reflected", "blackjax", "layers"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Keep what XLA compiles until the end of the run: tests and their processes train the same small networks.

    The workers of pytest-xdist, and what tests start, inherit it.
    """
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; the order within a file, and that of the other files, stays."""
    rank = {f"test_{name}": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what was imported: going through it all has taken a twelfth of a run's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data: PYMC_LAN_SHARED, or ``shared`` beside the repository."""
    beside = ROOT.parent / "shared"
    folder = Path(os.environ.get("PYMC_LAN_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"This test reads real data: expected the folder {folder / 'data'}, found none. "
            "Set PYMC_LAN_SHARED to the folder that holds data/."
        )
    return folder


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return what imports a script of this repository, as ``script("benchmarks/scores")``."""

    def load(path: str) -> Any:
        monkeypatch.syspath_prepend((ROOT / path).parent)
        return import_module(Path(path).name)

    return load


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Forget loaded networks before and after a test that changes the registry."""
    registry._load_named.cache_clear()
    yield
    registry._load_named.cache_clear()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None) -> Path:
    """Return a copy of the shipped registry that stands in its place."""
    copy = tmp_path / "registry"
    shutil.copytree(ROOT / "weights_registry", copy)
    monkeypatch.setattr(registry, "embedded_root", lambda: copy)
    return copy


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with ddm 1.1."""
    root = tmp_path_factory.mktemp("lab")
    write(root, "1.1", 0.5)
    return root


@pytest.fixture(scope="session")
def client() -> Iterator[None]:
    """Close the client's connections after the last test: each new client would read all certificates."""
    yield
    close_session()


@pytest.fixture
def hub(client: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a hub, and point the client at it as HF_ENDPOINT and HF_HOME would."""
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    for name in ("HF_TOKEN", "PYMC_LAN_REGISTRIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield hub
    hub.stop()


@pytest.fixture
def nets(hub: Hub, lab: Path) -> Repository:
    """Return the repository lab/nets of the hub, with the registry of the lab."""
    hub.repositories["lab/nets"] = repository = Repository()
    repository.commit_folder(lab)
    return repository
