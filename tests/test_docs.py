"""Every example in a docstring and in the README runs, and everything public has one."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from pydoc import locate
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytest
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.catalogue import MODELS
from pymc_lan.training.labelled import teacher

MODULES = ["pymc_lan", *(module.name for module in walk_packages(pl.__path__, "pymc_lan."))]
README = Path(__file__).resolve().parents[1] / "README.md"
# Short outputs, and arrays printed on one line or on several, are compared by their words.
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def examples(module: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(import_module(module))
    return [test for test in found if test.examples]


# What has many examples, or trains, samples or solves in them.
LONG = {f"pymc_lan.{x}" for x in ("amortized.load", "distributions.named", "training.train")}
LONG |= {f"pymc_lan.{x}" for x in ("diagnostics.recovery", "diagnostics.sbc", "networks.accuracy.accuracy")}
LONG |= {f"pymc_lan.{x}" for x in ("inference.blackjax.sample", "numerics.fokker_planck")}
LONG |= {f"pymc_lan.numerics.{x}" for x in ("special", "volterra")}


@pytest.fixture
def session() -> Iterator[None]:
    """Forget models that an example registers."""
    known = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(known)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("module", one_of_a_kind(MODULES, *(set(MODULES) - LONG)))
def test_examples_run(module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # The example of `pl.train` is to show a call; measuring 100,000 trials would only take time.
    figures = pl.load_network("ddm").config["accuracy"]
    monkeypatch.setattr(teacher, "accuracy", lambda _, n, seed: dict(figures) | {"seed": seed})
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    # Compiling each for numba would take half of the time.
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        for test in examples(module):
            runner.run(test)
    assert runner.summarize().failed == 0, capsys.readouterr().out


def test_examples_are_found() -> None:
    # One of each kind: function, class, compiled function.
    names = {test.name for module in MODULES for test in examples(module)}
    assert {
        "pymc_lan.registry.load.load_network",
        "pymc_lan.models.diffusion.kinds.ModelSpec",
        "pymc_lan.numerics.samplers.wiener.ddm_draws",
    } <= names


@pytest.mark.parametrize("name", sorted({*pl.__all__} - {"__version__", *pl._MODULES}))
def test_public_names_are_documented(name: str) -> None:
    documented = getattr(pl, name)
    text = inspect.getdoc(documented)
    assert text, name
    assert len(text.splitlines()[0]) < 110
    # The plainest of them, an exception and a record, explain themselves.
    if name not in {"Parameter", "RegistryError"}:
        assert ">>> " in text


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield place and docstring of every module, class and function of the package."""
    for path in sorted(Path(pl.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{path.name}: {getattr(node, 'name', 'the module')}", text


def test_no_docstring_only_points_at_its_neighbour() -> None:
    assert [place for place, text in docstrings() if text.startswith(("The same", "As `"))] == []


def test_names_that_docstrings_refer_to_are_there() -> None:
    name = re.compile(r"(?<!`)`((?:pl|pymc_lan)\.[\w.]+)`")
    found = {re.sub("^pl", "pymc_lan", each) for _, text in docstrings() for each in name.findall(text)}
    assert "pymc_lan.load_network" in found
    assert [each for each in sorted(found) if locate(each) is None] == []


def by_formulas(names: dict[str, Any], folder: Path) -> None:
    assert names["idata"].posterior["subject_effects"].shape == (2, 50, 3, 7)
    assert names["reg"].table(names["idata"]).loc["v[valence[win]:action[go]]", "mean"] > 0
    assert (folder / "predictive.png").read_bytes().startswith(b"\x89PNG")


def by_hand(names: dict[str, Any], folder: Path) -> None:
    assert names["idata"].posterior["v"].shape == (2, 50, 3)
    assert names["idata"].posterior_predictive["obs"].shape == (2, 50, 120, 2)


@pytest.mark.table
@pytest.mark.parametrize(("number", "made"), [(0, by_formulas), (1, by_hand)])
def test_the_readme_examples_run(
    number: int, made: Callable[[dict[str, Any], Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.findall(r"```python\n(.+?)```", README.read_text("utf-8"), re.DOTALL)[number]
    monkeypatch.chdir(tmp_path)
    action, subject = np.tile(["go", "no-go"], 60), np.repeat(["ann", "bob", "eve"], 40)
    trials = pl.GoNoGoDDM.dist(1.0, 1.2, 0.5, 0.3, deadline=1.5, trial_type=action)
    table = pl.as_dataframe(pm.draw(trials, random_seed=1))
    table = table.assign(action=action, valence=np.tile(["win", "win", "lose", "lose"], 30), subject=subject)
    table.to_csv("trials.csv", index=False)
    quiet = {"progressbar": False, "random_seed": 1}
    monkeypatch.setattr(pm, "sample", partial(pm.sample, draws=50, tune=100, chains=2, **quiet))
    monkeypatch.setattr(pm, "sample_posterior_predictive", partial(pm.sample_posterior_predictive, **quiet))
    names: dict[str, Any] = {}
    exec(block, names)
    made(names, tmp_path)
    lines = [line for line in block.splitlines() if line]
    assert number > 0 or len(lines) <= 12, "what a newcomer reads first is to be short"
