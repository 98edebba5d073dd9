"""What is measured in corners is said in lists and cards, and the measure is right where the truth is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pymc_lan as pl
from pymc_lan.registry.corners import corner_lines, largest_in_corners

ROOT = Path(__file__).resolve().parents[1]
MEASURED = json.loads((ROOT / "pymc_lan" / "registry" / "corners.json").read_text())


@pytest.fixture
def corners(script: Callable[[str], Any]) -> Any:
    return script("benchmarks/corners")


def test_figures_are_of_the_shipped_weights(corners: Any) -> None:
    assert set(MEASURED) == set(corners.MODELS)
    table = pl.list_models().set_index(["model", "version"])
    for model, figures in MEASURED.items():
        network = pl.load_network(model)
        row = table.loc[(model, network.version)]
        assert (row["mass_corners"], row["choice_corners"]) == (
            figures["corners"]["mass"]["max"],
            figures["corners"]["choice"]["max"],
        )
        card = "\n".join(corner_lines(model, network.sha256))
        for kind in corners.KINDS:
            cells = [figures[kind][x][y] for x in ("mass", "choice") for y in ("median", "max")]
            assert " | ".join(f"{x:g}" for x in cells) in card
    # Other weights of that name, and other models, have not been measured.
    assert corner_lines("levy", "0" * 64) == []
    assert all(math.isnan(x) for x in largest_in_corners("levy", "0" * 64))
    assert math.isnan(table.loc[("conflict_ds", "1.1"), "mass_corners"])


def test_the_documents_have_the_figures() -> None:
    for page, models in (("simulators", ("levy", "lca_3")), ("accumulators", [x for x in MEASURED if "race" in x])):
        text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
        for model in models:
            rows = re.findall(rf"^\| `{model}` \|(.+)\|$", text, re.M)
            told = {float(x) for row in rows for x in re.findall(r"0\.\d+", row)}
            for kind in ("uniform", "ends", "corners"):
                for quantity in ("mass", "choice"):
                    largest = MEASURED[model][kind][quantity]["max"]
                    assert any(abs(x - largest) <= max(0.03 * largest, 6e-5) for x in told), (model, kind, quantity)


def test_sets_are_where_they_should_be(corners: Any) -> None:
    spec = pl.get_model("lca_3")
    for kind, share in corners.KINDS.items():
        rows, free = corners.draw_sets(spec, np.random.default_rng(1), 200, share), corners.seen(spec)
        places = np.array([[(row[p.name] - p.bounds[0]) / np.ptp(p.bounds) for p in free] for row in rows])
        near = (np.minimum(places, 1 - places) <= 0.04).mean(axis=1)
        assert {"uniform": near.mean() < 0.15, "ends": near.min() >= 4 / 9, "corners": near.min() == 1}[kind]
        assert abs((places > 0.5).mean() - 0.5) < 0.06


def test_the_measure_finds_what_a_closed_form_leaves_over(corners: Any) -> None:
    """With the labels' own density there is no error, and one that is 3 % too high is told."""
    spec = pl.get_model("race_3")
    theta = {"v0": 2.0, "v1": 0.5, "v2": 1.0, "a": 1.5, "z0": 0.1, "z1": 0.6, "z2": 0.3}
    truth = corners.of_labels(spec, theta)
    assert truth.sum() == pytest.approx(1, abs=2e-4)
    drawn = corners.of_trials(spec, theta, 40_000, 3)
    assert np.abs(drawn - truth).max() < 4 * 0.5 / 200
    network = pl.load_network("race_3")
    right = corners.of_network(network, theta)
    np.testing.assert_allclose(right, truth, atol=1e-3)

    class Louder:
        spec = network.spec

        class likelihood:  # noqa: N801
            @staticmethod
            def log_density(*arguments: Any) -> Any:
                return network.likelihood.log_density(*arguments) + math.log(1.03)

    np.testing.assert_allclose(corners.of_network(Louder, theta), 1.03 * right, rtol=1e-9)
