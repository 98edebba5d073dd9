"""Where things are written to and read from: paths that no file can have, and those that people have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pymc_lan as pl
from pymc_lan import cli
from pymc_lan.diagnostics.sbc_folder import open_simulations
from pymc_lan.models.catalogue import MODELS
from pymc_lan.training.simulated.offline import find_files
from pymc_lan.training.simulated.teacher import refuse_begun

LEVY = MODELS["levy"]
# Longer than any system takes.
LONG = "/tmp/" + "x" * 5_000

USES: dict[str, Callable[[str], Any]] = {
    "load": pl.load_network,
    "a registry": lambda path: pl.load_network("none", registries=[path]),
    "import": lambda path: pl.import_onnx(path, "ddm"),
    "import to": lambda path: pl.import_onnx("/tmp/x.onnx", "ddm", out=path),
    "import orbax": pl.import_orbax,
    "export": lambda path: pl.export("ddm", path),
    "export orbax": lambda path: pl.export("ddm", path, "orbax"),
    "publish": lambda path: pl.publish(path, "lab/nets"),
    "train to": lambda path: pl.train("ddm", path),
    "train from": find_files,
    "simulate to": lambda path: pl.simulate_to(LEVY, path, sets=1),
    "a model's file": lambda path: cli.spec_of_file(f"{path}.py:spec"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_path_that_is_too_long_is_a_sentence(use: Callable[[str], Any]) -> None:
    with pytest.raises((pl.RegistryError, ValueError, OSError), match=r"^Expected .*Found .*") as error:
        use(LONG)
    assert error.value.__class__ is not OSError or "Remedy: give a shorter path" in str(error.value)


def test_nothing_is_found_where_nothing_can_be() -> None:
    assert open_simulations(Path(LONG)) is None
    refuse_begun(LEVY, Path(LONG))
