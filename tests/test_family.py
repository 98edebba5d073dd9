"""The family of models: nobody outside `models` asks what kind one is, and a new diffusion is one entry."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.imported import TAGS
from pymc_lan.models.model import Model

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pymc_lan"
# What used to ask for the kind, and words for a kind in a config, which only `models` compares with.
BANNED = re.compile(r"^(is_(plain|closed_race|linear|positional|simulated)|race_of|unknown_dynamics|SIMULATED|RACES)$")
WORDS = {views.tag for model in MODELS.values() if (views := model.views) is not None} | {*TAGS, "responses"}
# Fields of one class only: to ask whether a model has one is to ask for its kind.
OWN = {"form", "accumulator", "closes", "known", "tag"}


def family() -> set[str]:
    """The names of all classes of models."""
    found, new = set(), [Model]
    while new:
        new = [each for cls in new for each in cls.__subclasses__() if each.__module__.startswith("pymc_lan.")]
        found |= {cls.__name__ for cls in new}
    return found


FAMILY = family()


def questions(source: str) -> Iterator[str]:
    """Yield what in a source asks for the kind of a model."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass" as call), args=[_, kinds]):
                named = {each.id for each in ast.walk(kinds) if isinstance(each, ast.Name)}
                if named & FAMILY:
                    yield f"line {node.lineno}: {call} of {', '.join(named & FAMILY)}"
            case ast.Call(func=ast.Name(id="hasattr" | "getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                if name in OWN:
                    yield f"line {node.lineno}: whether there is {name}"
            case ast.Compare(left=left, comparators=others):
                if any(isinstance(x, ast.Constant) and x.value in WORDS for x in (left, *others)):
                    yield f"line {node.lineno}: a comparison with the word for a kind"
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.Attribute(attr=name) if BANNED.match(name):
                yield f"line {node.lineno}: {name}"


def test_nobody_outside_asks_for_the_kind() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "models"]
    assert len(files) > 80
    found = {str(path.relative_to(ROOT)): [*questions(path.read_text("utf-8"))] for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(spec, Race)",
        "isinstance(model, (str, ModelSpec))",
        "spec.views.tag == 'path'",
        "race_of(spec)",
        "getattr(spec, 'accumulator', None)",
    ],
)
def test_a_question_is_found(source: str) -> None:
    assert len([*questions(source)]) == 1
    assert [*questions("isinstance(spec, Model); spec.views is None; spec.labels.pointwise")] == []


ENTRY = '''
def parabolic_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a like a parabola that has its top at the start."""
    return theta["a"] / (1 + theta["lam"] * time**2)


PARABOLIC_SPEC = ModelSpec(
    name="parabolic",
    parameters=(*HYPERBOLIC_SPEC.parameters[:4], replace(HYPERBOLIC_SPEC.parameters[4], unit="1/s^2")),
    drift=constant_drift,
    boundary=parabolic_boundary,
    description="Diffusion with a boundary that falls like a parabola at first.",
    reference="unpublished",
)

DIFFUSIONS'''
CLASS = """

@named
class Parabolic(LANDist):
    model = "parabolic"
"""
WEIGHTS = """
import numpy as np, pymc_lan as pl
from pymc_lan.registry.load import embedded_root
from pymc_lan.training.recipes import Recipe

small = Recipe(hidden=(4,), steps=20, batch=16, pool=256)
pl.train("parabolic", embedded_root(), lan_recipe=small, choice_recipe=small, progress=False, n_measured=256)
"""
USE = """
import numpy as np, pymc as pm, pymc_lan as pl
import model_pages

truth = dict(v=0.7, a=1.2, z=0.5, t=0.3, lam=1.0)
trials = pl.simulate("parabolic", truth, n=50, seed=1)
two = pm.logp(pl.Parabolic.dist(**truth), pl.as_observed(trials)).eval()
one = pm.logp(pl.GoNoGo.dist("parabolic", **truth, deadline=1.0), np.array([[0.6, 1.0], [np.inf, 0.0]])).eval()
assert np.isfinite(two).all() and two.shape == (50,) and np.isfinite(one).all()
assert "parabolic" in set(pl.list_models()["model"]) and "Parabolic" in pl.__all__
page = model_pages.page_text("parabolic")
assert "falls from a like a parabola" in page and "`Parabolic`, `GoNoGo`" in page
"""


@pytest.mark.slow
def test_a_boundary_nobody_shipped_is_one_entry_one_class_and_weights(tmp_path: Path) -> None:
    """In a copy of the package: with its page, its distribution and its go/no-go form."""
    shutil.copytree(PACKAGE, tmp_path / "pymc_lan", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "weights_registry", tmp_path / "weights_registry")
    catalogue = tmp_path / "pymc_lan" / "models" / "diffusion" / "catalogue.py"
    text = catalogue.read_text("utf-8").replace("\nDIFFUSIONS", ENTRY, 1)
    catalogue.write_text(
        text.replace("        CONFLICT_DS_SPEC,\n", "        CONFLICT_DS_SPEC,\n        PARABOLIC_SPEC,\n")
    )
    named = tmp_path / "pymc_lan" / "distributions" / "named.py"
    named.write_text(named.read_text("utf-8") + CLASS)
    path = os.pathsep.join([str(tmp_path), str(ROOT / "scripts")])
    for script in (WEIGHTS, USE):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stderr
