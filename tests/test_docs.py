"""Every example in a docstring runs, and everything public has one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pkgutil import walk_packages

import pytest

import pymc_lan as pl
from pymc_lan import build

MODULES = ["pymc_lan", *(module.name for module in walk_packages(pl.__path__, "pymc_lan."))]
# Short outputs, and arrays printed on one line or on several, are compared by their words.
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def examples(module: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(import_module(module))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # The example of `pl.train` is to show a call; measuring 100,000 trials would only take time.
    figures = pl.load_network("ddm").config["accuracy"]
    monkeypatch.setattr(build, "accuracy", lambda _, seed: dict(figures) | {"seed": seed})
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in examples(module):
        runner.run(test)
    assert runner.summarize().failed == 0, capsys.readouterr().out


def test_examples_are_found() -> None:
    # One of each kind: function, class, compiled function.
    names = {test.name for module in MODULES for test in examples(module)}
    assert {
        "pymc_lan.registry.load_network",
        "pymc_lan.spec.ModelSpec",
        "pymc_lan.simulators.ddm_draws",
    } <= names


@pytest.mark.parametrize("name", sorted(pl._SOURCES))
def test_public_names_are_documented(name: str) -> None:
    documented = getattr(pl, name)
    text = inspect.getdoc(documented)
    assert text, name
    assert len(text.splitlines()[0]) < 110
    # The plainest of them, an exception and a record, explain themselves.
    if name not in {"Parameter", "RegistryError"}:
        assert ">>> " in text
