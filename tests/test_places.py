"""Where things are written to and read from: paths that no file can have, and those that people have."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pymc_lan as pl
from pymc_lan import cli
from pymc_lan.diagnostics.sbc_folder import open_simulations
from pymc_lan.models.catalogue import MODELS
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import write_version
from pymc_lan.registry.names import ModelName, parse_source
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


def test_folders_that_people_have(tmp_path: Path) -> None:
    """With spaces, umlauts, and what shells and URLs give a meaning to."""
    folder = tmp_path / "Ergebnisse für Ömer & Co (#1, 100 %)"
    network = pl.load_network("ddm")
    pl.export("ddm", folder / "orbax", "orbax")
    assert pl.import_orbax(folder / "orbax") == network
    pl.export("ddm", folder / "ddm.onnx")
    version = write_version(folder / "nets", network, network.config, write_card)
    assert pl.load_network(version) == pl.load_network(str(version)) == network
    assert pl.load_network("ddm@2.0", registries=[str(folder / "nets")]) == network
    (file,) = pl.simulate_to(LEVY, folder / "trials", sets=2, trials=2)
    assert find_files(folder / "trials") == [file]
    (folder / "my model.py").write_text("import pymc_lan as pl\nspec = pl.get_model('ddm')\n", "utf-8")
    assert cli.spec_of_file(f"{folder / 'my model.py'}:spec") is MODELS["ddm"]


@pytest.mark.parametrize(
    "text", ["C:\\nets\\ddm\\1.0", "C:/nets/ddm/1.0", "D:\\Eigene Dateien\\ddm", "\\\\server\\nets\\ddm", ".\\ddm"]
)
def test_paths_of_windows_are_paths_there(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    assert parse_source(text) == Path(text)
    assert parse_source("ddm@1.0") == ModelName("ddm", "1.0")


def test_what_the_command_prints_can_be_printed_on_windows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the output is a file, Windows writes it in the code page of Western Europe."""
    for arguments in (["list", "--all"], ["info", "full_ddm"], ["info", "levy"]):
        monkeypatch.setattr(sys, "argv", ["pymc-lan", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
    capsys.readouterr().out.encode("cp1252")


def test_nothing_is_found_where_nothing_can_be() -> None:
    assert open_simulations(Path(LONG)) is None
    refuse_begun(LEVY, Path(LONG))
