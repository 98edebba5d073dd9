"""The pages of docs/models are those of the shipped models, say what the generator says now, and their code runs."""

from __future__ import annotations

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.data.observation import PressOrNot
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "models"
REGISTRY = ROOT / "weights_registry"
SHIPPED = sorted(folder.name for folder in REGISTRY.iterdir() if folder.name in DIFFUSIONS)


def load_generator() -> ModuleType:
    spec = spec_from_file_location("model_pages", ROOT / "scripts" / "model_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def section(name: str, title: str) -> str:
    return page(name).split(f"## {title}\n")[1].split("\n## ")[0]


def cells(text: str) -> list[list[str]]:
    """Rows of every table, without head and rule."""
    tables = re.findall(r"\|[-|]+\|\n((?:\|.+\|\n)+)", text)
    return [[cell.strip() for cell in row.strip("|").split("|")] for table in tables for row in table.splitlines()]


def number(text: str) -> float:
    return float(text.replace(",", ""))


def shipped_config(name: str) -> dict[str, Any]:
    version = pl.load_network(name).version
    return json.loads((REGISTRY / name / version / "config.json").read_text("utf-8"))


def test_pages_are_those_of_the_shipped_models() -> None:
    expected = {"README.md", *(f"{name}{suffix}" for name in SHIPPED for suffix in (".md", ".png"))}
    assert {path.name for path in PAGES.iterdir()} == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_a_page_is_what_the_generator_writes(name: str) -> None:
    assert page(name) == GENERATOR.page_text(name), f"run: python scripts/model_pages.py {name}"


def test_the_index_is_what_the_generator_writes() -> None:
    assert page("README") == GENERATOR.index_text(), "run: python scripts/model_pages.py"
    assert sorted(re.findall(r"\]\((\w+)\.md\)", page("README"))) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_accuracy_is_that_of_the_config(name: str) -> None:
    measured, text = shipped_config(name)["accuracy"], section(name, "Accuracy")
    rows = {row[0]: [number(cell) for cell in row[1:] if re.fullmatch(r"[-\d.,e]+", cell)] for row in cells(text)}
    errors = {"abs error of log f(rt, response)": measured["lan"]}
    if measured["choice"] is not None:
        errors |= {
            "abs error of log P(go)": measured["choice"]["go"],
            "abs error of log P(no go)": measured["choice"]["nogo"],
            "the same, finite deadlines only: go": measured["choice"]["go_deadline"],
            "the same, finite deadlines only: no go": measured["choice"]["nogo_deadline"],
        }
    if "survivor" in measured:
        errors["abs error of log P(neither boundary by a deadline)"] = measured["survivor"]
    expected = {label: [each[key] for key in ("mean", "p95", "p99", "max")] for label, each in errors.items()}
    expected |= {f"`{key}`": [each["median"], each["p99"]] for key, each in (measured["gradient"] or {}).items()}
    # Layers, read as one cell, are no number; what is left of a network's row is its cost.
    expected |= {key: [cost] for key, cost in measured["flop"].items()}
    assert rows == expected
    mass = re.search(r"over ([\d,]+) parameter sets: median (\S+), p99 ([\d.e-]+\d)\.", text)
    assert mass is not None
    dropped = re.findall(r"want of an accurate label: (\S+) %", text)
    assert dropped == ([f"{100 * measured['dropped']:.2g}"] if measured["dropped"] else [])
    assert [number(x) for x in mass.groups()] == [measured["n_mass"], measured["mass"]["p50"], measured["mass"]["p99"]]


@pytest.mark.parametrize("name", SHIPPED)
def test_parameters_are_those_of_the_config(name: str) -> None:
    found = [
        (row[0], *map(float, row[1].split(" to ")), row[2], row[3], None if row[4] == "-" else float(row[4]))
        for row in cells(section(name, "Parameters"))
    ]
    assert found == [
        (f"`{p['name']}`", *p["bounds"], p["unit"], p["meaning"], p["default"])
        for p in shipped_config(name)["parameters"]
    ]


def test_a_model_without_a_named_go_nogo_form_has_that_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(pl._distributions(), "GoNoGoAngle")
    text = GENERATOR.page_text("angle")
    assert text.startswith("# angle: `Angle`, `GoNoGo`\n")
    call = '`pl.GoNoGo("obs", "angle", **theta, deadline=1.5, observed=df)`'
    assert call in text
    names = {"pl": pl, "theta": {p.name: np.mean(p.bounds) for p in pl.get_model("angle").parameters}}
    with pm.Model() as model:
        exec(call.strip("`"), names | {"df": pd.DataFrame({"rt": [0.9, None]})})
    assert model["obs"].owner.op.observation == PressOrNot()


@pytest.mark.parametrize("name", one_of_a_kind(SHIPPED, "ddm", "weibull", "gamma_drift"))
def test_the_code_of_a_page_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section(name, "Use")
    block = re.search(r"```python\n(.+?)```", text, re.DOTALL)
    go_nogo = re.search(r"`(pl\..+\))`", text)
    assert block is not None
    assert go_nogo is not None
    built = []
    monkeypatch.setattr(pm, "sample", lambda: built.append(pm.modelcontext(None)))
    names: dict[str, Any] = {}
    exec(block[1], names)
    assert [rv.name for rv in built[0].free_RVs] == list(pl.get_model(name).names)
    names["df"] = names["df"].assign(
        rt=names["df"]["rt"].where((names["df"]["response"] == 1) & (names["df"]["rt"] <= 1.5))
    )
    names["df"] = names["df"].drop(columns="response")
    with pm.Model() as model:
        (priors,) = (line.strip() for line in block[1].splitlines() if line.startswith("    theta = "))
        exec(f"{priors}\n{go_nogo[1]}", names)
    assert model["obs"].owner.op.observation == PressOrNot()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_picture_is_small(name: str) -> None:
    content = (PAGES / f"{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 60_000


@pytest.mark.parametrize("name", sorted(DIFFUSIONS))
def test_every_model_can_have_a_page(name: str) -> None:
    spec = pl.get_model(name)
    block = GENERATOR.formula(spec)
    assert sum(line.startswith("m &= ") for line in block) == sum(line.startswith("b &= ") for line in block) == 1
    values = GENERATOR.picture_values(spec)
    assert all(p.bounds[0] <= values[p.name] <= p.bounds[1] for p in spec.parameters)
    assert set(GENERATOR.OWN.get(name, {})) <= set(spec.names)


def test_the_table_of_the_readme_is_that_of_the_cards() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    expected = []
    for name in SHIPPED:
        config, classes = shipped_config(name), GENERATOR.class_names(name)
        error = " / ".join(f"{1000 * config['accuracy']['lan'][key]:.2g}" for key in ("mean", "p99"))
        names = ", ".join(p.keyword for p in pl.get_model(name).parameters)
        expected.append([", ".join(f"`{each}`" for each in classes), names, error])
    found = [[row[0], row[1], row[3]] for row in cells(text) if "`GoNoGo" in row[0] and len(row) == 4]
    assert sorted(found) == sorted(expected)
