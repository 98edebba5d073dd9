"""The command: what each subcommand prints, and that a mistake is one sentence on stderr and exit code 1."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from onnx_files import layers, make_file

import pymc_lan as pl
from pymc_lan import cli
from pymc_lan.numerics.parallel import WorkerDiedError
from pymc_lan.registry import load as registry
from pymc_lan.registry.card import write_card
from pymc_lan.registry.corners import corner_lines
from pymc_lan.registry.load import CARD, CONFIG, WEIGHTS
from pymc_lan.training import train as build
from pymc_lan.training.labelled import teacher
from pymc_lan.training.recipes import Recipe

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "weights_registry"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in this process."""
    # Wide enough that no table wraps.
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["pymc-lan", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a copy of the shipped registry that stands in its place."""
    copy = tmp_path / "registry"
    shutil.copytree(SHIPPED, copy)
    monkeypatch.setattr(registry, "embedded_root", lambda: copy)
    registry._load_named.cache_clear()
    yield copy
    registry._load_named.cache_clear()


def test_list(run: Run) -> None:
    result = run("list")
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if line.startswith("ddm ") and "(default)" in line)
    for text in ("ddm", "2.0 (default)", "v a z t", pl.load_network("ddm").sha256[:12]):
        assert text in row


@pytest.mark.parametrize("columns", [None, "80"])
def test_list_cuts_nothing(run: Run, columns: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS")
    else:
        monkeypatch.setenv("COLUMNS", columns)
    out = run("list").out
    lines = out.splitlines()
    assert "…" not in out
    assert {*pl.list_models()["model"]} <= {line.split()[0] for line in lines if line.strip()}
    if columns is None:
        assert len([line for line in lines if line.strip()]) == len(pl.list_models()) + 2  # and the head, with its line
    else:
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", [(), ("ddm",), ("ddm@2.0",), (str(SHIPPED / "ddm" / "2.0"),)], ids=str)
def test_info_prints_the_card(run: Run, name: tuple[str, ...]) -> None:
    network = pl.load_network("ddm")
    card = "\n".join([write_card(network.config), *corner_lines("ddm", network.sha256)])
    assert run("info", *name) == (0, card + "\n", "")
    assert "## Corners" in card


def test_info_as_json(run: Run) -> None:
    result = run("info", "ddm", "--json")
    assert result.code == 0
    assert json.loads(result.out) == pl.load_network("ddm").config


@pytest.mark.parametrize("name", [(), ("ddm",), ("ddm@2.0",)], ids=str)
def test_verify_names_every_file(run: Run, name: tuple[str, ...]) -> None:
    result = run("verify", *name)
    assert result.code == 0
    for file in (WEIGHTS, CONFIG, CARD):
        assert f"  {file}\n" in result.out
    checked = {line.split()[1] for line in result.out.splitlines() if line.startswith("ok  ")}
    weighted = pl.list_models().query("sha256 != ''").itertuples()
    assert checked == ({f"{row.model}@{row.version}" for row in weighted} if name == () else {name[0]})
    assert len(result.out.splitlines()) == 3 * len(checked)


FAULTS = {
    "weights": lambda folder: (folder / WEIGHTS).write_bytes(bytes(5600)),
    "config not JSON": lambda folder: (folder / CONFIG).write_text("{"),
    "no config": lambda folder: (folder / CONFIG).unlink(),
    "card": lambda folder: (folder / CARD).write_text("perfect"),
    "no folder": shutil.rmtree,
    "table": lambda folder: (folder.parents[1] / "registry.toml").write_text("["),
    "no table": lambda folder: (folder.parents[1] / "registry.toml").unlink(),
}


@pytest.mark.parametrize("name", [(), ("ddm",)], ids=str)
@pytest.mark.parametrize("damage", FAULTS.values(), ids=FAULTS)
def test_verify_fails_in_one_sentence(
    run: Run, root: Path, damage: Callable[[Path], object], name: tuple[str, ...]
) -> None:
    damage(root / "ddm" / "2.0")
    result = run("verify", *name)
    assert result.code == 1
    assert result.err.startswith("pymc-lan: Expected ")
    assert "Remedy: " in result.err
    assert "Traceback" not in result.err


def test_evaluate_measures(run: Run) -> None:
    result = run("evaluate", "ddm", "--n", "500", "--n-mass", "5", "--seed", "3")
    assert result.code == 0
    assert "abs error of log f(rt, response)" in result.out
    assert "P(no go)" in result.out
    lines = pl.diagnostics.accuracy(pl.load_network("ddm"), n=500, n_mass=5, seed=3)
    assert f"bias {lines['lan']['bias']:g}" in result.out


TINY = Recipe(hidden=(4,), steps=10, batch=16, pool=100)


def test_train_passes_its_options_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = pl.load_network("ddm").config["accuracy"]
    monkeypatch.setattr(teacher, "accuracy", lambda _, n, seed: dict(figures) | {"seed": seed})
    monkeypatch.setattr(build, "train", partial(build.train, lan_recipe=TINY, choice_recipe=TINY, progress=False))
    options = [
        "--out",
        str(tmp_path / "out"),
        "--version",
        "0.7",
        "--seed",
        "9",
        "--checkpoints",
        str(tmp_path / "state"),
    ]
    result = run("train", "ddm", *options)
    assert result.code == 0, result.err
    folder = tmp_path / "out" / "ddm" / "0.7"
    assert result.out.startswith(f"{folder}\n")
    assert "abs error of log f(rt, response)" in result.out
    assert pl.load_network(folder).config["training"]["seed"] == 9
    assert any((tmp_path / "state").iterdir())
    refused = run("train", "ddm", *options)
    assert refused.code == 1
    assert refused.err.startswith("pymc-lan: Expected a new version. Found ddm@0.7")


def test_train_passes_widths_and_measured_trials_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}

    def train(spec: Any, out: Path, **given: Any) -> Any:
        taken.update(given)
        return pl.load_network(spec.name)

    monkeypatch.setattr(build, "train", train)
    options = ("--out", str(tmp_path), "--n-measured", "900")
    assert run("train", "ddm", "--hidden", "3, 5", *options).code == 0
    # What is not said is as it was: 40,000 steps of two layers.
    assert taken["lan_recipe"] == pl.Recipe(hidden=(3, 5), steps=60_000)
    assert taken["n_measured"] == 900
    assert run("train", "levy", "--hidden", "7", "--no-report", *options).code == 0
    assert taken["simulation_recipe"] == pl.SimulationRecipe((7,), chunks=32, trials=128, batch=64, patience=32)
    assert run("train", "ddm", *options).code == 0
    for text in ("3,x", "0", "", "3,,3", "-3"):
        result = run("train", "ddm", f"--hidden={text}", *options)
        assert result.code == 1
        assert (
            f"Expected widths of hidden layers as whole numbers with commas between them. Found --hidden {text}."
            in (result.err)
        )


@pytest.mark.parametrize("kind", [FloatingPointError, OSError, WorkerDiedError])
def test_a_run_that_fails_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("Expected a finite loss. Found nan. Remedy: lower learning_rate.")

    monkeypatch.setattr(build, "train", fail)
    assert run("train", "ddm", "--out", str(tmp_path)) == (
        1,
        "",
        "pymc-lan: Expected a finite loss. Found nan. Remedy: lower learning_rate.\n",
    )


MISTAKES = {
    "info, unknown model": (("info", "dmd"), "Did you mean 'ddm'?"),
    "info, unknown version": (("info", "ddm@1.2"), "Unknown version '1.2' of model 'ddm'"),
    "info, no folder": (("info", "./nowhere"), "Expected a folder with weights.safetensors and config.json"),
    "verify, unknown model": (("verify", "dmd"), "Did you mean 'ddm'?"),
    "evaluate, unknown model": (("evaluate", "dmd"), "Did you mean 'ddm'?"),
    "train, unknown model": (("train", "dmd"), "Did you mean 'ddm'?"),
    "train, version": (("train", "ddm", "--version", "../1"), "Expected a version of letters"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_sentences(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("pymc-lan: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert not list(tmp_path.iterdir())


USAGE = {
    "unknown command": ("wish",),
    "unknown option": ("list", "--wish"),
    "no number": ("evaluate", "--n", "many"),
    "no trials": ("evaluate", "--n", "0"),
    "no parameter sets": ("evaluate", "--n-mass", "0"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_wrong_usage_is_explained(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert "Usage" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", ["list", "info", "verify", "pull", "publish", "evaluate", "train"])
def test_help(run: Run, command: str) -> None:
    overview, help_ = run("--help"), run(command, "--help")
    assert (overview.code, help_.code) == (0, 0)
    assert command in overview.out
    assert f"pymc-lan {command}" in help_.out


def test_the_installed_command_runs() -> None:
    command = shutil.which("pymc-lan", path=str(Path(sys.executable).parent))
    assert command is not None
    done = subprocess.run([command, "info", "dmd"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pymc-lan: Unknown model 'dmd'.")


@pytest.mark.parametrize(("format_", "name"), [("onnx", "ddm.onnx"), ("orbax", "ddm")])
def test_export(run: Run, tmp_path: Path, format_: str, name: str) -> None:
    out = tmp_path / name
    assert run("export", "ddm", "--format", format_, "--out", str(out)) == (0, f"{out}\n", "")
    assert out.exists()
    result = run("export", "ddm", "--format", "torch", "--out", str(out))
    assert (result.code, result.out) == (1, "")
    assert "Unknown format 'torch'" in result.err


def test_import_onnx(run: Run, tmp_path: Path) -> None:
    file = make_file(tmp_path / "x.onnx", layers(len(pl.get_model("weibull").names) + 2, 4, 1))
    result = run("import-onnx", str(file), "--model", "weibull", "--out", str(tmp_path / "w"))
    folder = tmp_path / "w" / "weibull" / "imported"
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{folder}\nx.onnx is imported as it is; its accuracy is unknown.")
    assert pl.load_network(folder).name == "weibull@imported"
    result = run("import-onnx", str(file), "--model", "ddm", "--out", str(tmp_path / "w"))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("pymc-lan: Expected a network of the 6 inputs")
