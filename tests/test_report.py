"""The report of a training: numbers of held-out sets, figures against those numbers, and one file with everything."""

from __future__ import annotations

import base64
import errno
import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from toy_simulators import GIVEN_UP, THREE, TINY, three_probabilities
from typer.testing import CliRunner

import pymc_lan as pl
from pymc_lan import cli
from pymc_lan.models.simulator.lognormal import LogNormalView
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.models.simulator.run import draw_sets, draw_trials_of_sets
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network, version_config
from pymc_lan.plots.style import OF_RESPONSE
from pymc_lan.plots.training import BINS, NONE, Density, calibration, densities, error_map, losses
from pymc_lan.training.simulated.histograms import reduce_trials
from pymc_lan.training.simulated.loop import Fitted
from pymc_lan.training.simulated.probabilities import Counts
from pymc_lan.training.simulated.report import report_path, write_report
from pymc_lan.training.simulated.review import review

RECIPE = replace(TINY, chunks=6, sets=512, trials=64, held_out=128, held_out_trials=256, rounds=1)


def random_mlp(sizes: tuple[int, ...], rng: np.random.Generator) -> MLP:
    shapes = list(pairwise(sizes))
    kernels = tuple(rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes)
    return MLP(kernels, tuple(np.zeros(n, np.float32) for _, n in shapes))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Networks that know next to nothing, with held-out sets of their simulator."""
    rng = np.random.default_rng(7)
    inner = rng.normal(0, 0.3, (4, 3))
    # Half a second, give or take a factor of two, whatever the parameters.
    outer = np.column_stack([np.zeros((3, 4)), [np.log(0.5), np.log(0.7), 0.0]])
    baseline = Reference.from_lists({"inner": inner.tolist(), "outer": outer.tolist()})
    spec = replace(GIVEN_UP, baseline=baseline)
    lan, choice = (random_mlp((n, 4, 1), rng) for n in (LogNormalView(spec).n_inputs, 2))
    theta = draw_sets(spec, rng, 128)
    rt, response = draw_trials_of_sets(spec, theta, 256, [1])
    history = np.column_stack([np.linspace(3, 2, 4)] * 2 + [np.geomspace(1e-2, 1e-3, 4)]).astype(np.float32)
    return Fitted(spec, lan, choice, history, 3, reduce_trials(spec, theta, rt, response, rng))


@pytest.fixture(scope="module")
def network(fitted: Fitted) -> Network:
    network = Network(fitted.spec, fitted.lan, fitted.choice, version="1.0")
    training, kl = {"seconds": 1.0, "seed": 0}, dict.fromkeys(("median", "p95", "max"), 0.1)
    accuracy = {"simulations": kl, "mass": {"p50": 0.1, "p99": 0.2}, "omission": None, "n_sets": 1, "n_trials": 2}
    rest = {"labels": "none", "training": training, "packages": {"<pymc-lan>": "1"}, "accuracy": accuracy}
    return replace(network, config=version_config(network, "rt, response") | rest)


def test_held_out_sets_of_responses_alone_are_compared_with_the_network() -> None:
    rng = np.random.default_rng(1)
    mlp = MLP((rng.normal(size=(2, 2)).astype(np.float32),), (np.zeros(2, np.float32),))
    network = Network(THREE, mlp)
    theta = np.column_stack([rng.uniform(*p.bounds, 2000) for p in THREE.parameters])
    n, truth = 400, three_probabilities(*theta.T)
    share = rng.multinomial(n, truth) / n
    held_out = Counts(*(np.asarray(x, np.float32) for x in (theta, share, np.full(2000, n))))
    found = review(Fitted(THREE, mlp, None, np.zeros((1, 3), np.float32), 0, held_out))
    predicted = network.probabilities(x=theta[:, 0], gain=theta[:, 1])
    assert found.outcomes == ("0", "1", "2")
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-5)
    np.testing.assert_allclose(found.found, share, atol=1e-6)
    # An untrained network is far off, and half of a chi-square is a divergence to second order only.
    kl = (truth * np.log(truth / predicted)).sum(axis=1)
    assert np.corrcoef(found.errors, kl)[0, 1] > 0.8


def test_held_out_sets_with_times_are_compared_too(fitted: Fitted, network: Network) -> None:
    found, sets = review(fitted), fitted.held_out
    assert found.outcomes == ("1", "none")
    rate, limit = found.theta.T
    np.testing.assert_allclose(found.found.sum(axis=1), 1, atol=1e-6)
    none = 1 / (1 + limit)
    assert np.all(np.abs(found.found[:, 1] - none) < 5 * np.sqrt(none * (1 - none) / 256))
    log_none = network.likelihood.log_go(np, np.inf, {"rate": rate, "limit": limit})[1]
    np.testing.assert_allclose(found.predicted[:, 1], np.exp(log_none), atol=1e-5)
    # The mass of the network's density over the nodes of each set, which reach beyond its trials.
    for i in (0, 50, 127):
        log_d = np.linspace(sets.start[i], sets.start[i] + sets.step[i] * (sets.weights.shape[-1] - 1), 4000)
        density = np.exp(network.logpdf(np.exp(log_d), 1, rate=rate[i], limit=limit[i]) + log_d)
        assert found.predicted[i, 0] == pytest.approx(np.trapezoid(density, log_d), rel=0.02)
    assert np.all(found.n == 256)


# Figures: what is drawn against the numbers


def test_losses_are_drawn_as_they_are() -> None:
    history = np.column_stack([np.linspace(3, 2, 9), np.linspace(3.1, 2.2, 9), np.geomspace(1e-2, 1e-4, 9)])
    loss, error = losses(history, 7).axes
    training, held_out, kept = loss.lines
    np.testing.assert_array_equal(training.get_ydata(), history[:, 0])
    np.testing.assert_array_equal(held_out.get_ydata(), history[:, 1])
    np.testing.assert_array_equal(error.lines[0].get_ydata(), history[:, 2])
    assert list(kept.get_xdata()) == [8, 8]
    assert error.get_yscale() == "log"


def test_an_error_below_chance_is_drawn() -> None:
    error = losses(np.array([[1, 1, 1e-3], [1, 1, -1e-5]]), 1).axes[1]
    assert 0 < error.get_ylim()[0] < 1e-6


def test_the_error_map_shows_where_the_error_is() -> None:
    rng = np.random.default_rng(2)
    theta = rng.uniform([0, -1, 5], [1, 1, 6], (20_000, 3))
    errors = np.where(theta[:, 0] > 0.5, 0.02, 0.0) + np.where(theta[:, 2] < 5.5, 0.01, 0.0)
    figure = error_map(("a", "b", "c"), ((0, 1), (-1, 1), (5, 6)), theta, errors)
    panels = [panel for panel in figure.axes if panel.axison]
    by_labels = {(p.get_xlabel(), p.get_ylabel()): p for p in panels}
    assert {("a", "error [nats]"), ("a", "b"), ("a", "c"), ("b", "c"), ("c", "error [nats]")} <= by_labels.keys()
    marginal = by_labels["a", "error [nats]"].lines[0]
    np.testing.assert_allclose(marginal.get_xdata(), (np.arange(BINS) + 0.5) / BINS)
    np.testing.assert_allclose(marginal.get_ydata(), np.repeat([0.005, 0.025], BINS // 2), atol=1e-3)
    cells = by_labels["a", "c"].collections[0].get_array().reshape(BINS, BINS)
    # Rows from below are c, columns a.
    expected = np.add.outer(np.repeat([0.01, 0.0], BINS // 2), np.repeat([0.0, 0.02], BINS // 2))
    np.testing.assert_allclose(cells, expected, atol=1e-12)


@pytest.mark.parametrize("n", [6, 8, 12])
def test_of_many_parameters_all_are_shown_and_pairs_of_those_that_matter(n: int) -> None:
    rng = np.random.default_rng(3)
    theta = rng.random((4000, n))
    names = [f"p{i}" for i in range(n)]
    figure = error_map(names, [(0, 1)] * n, theta, theta[:, 5] + theta[:, 2])
    found = [(panel.get_xlabel(), panel.get_ylabel()) for panel in figure.axes if panel.axison and panel.get_xlabel()]
    # Each parameter alone, once.
    assert sorted(x for x, y in found if y == "error [nats]") == sorted(names)
    pairs = [{x, y} for x, y in found if y != "error [nats]"]
    assert len(pairs) == 10
    assert {"p2", "p5"} in pairs
    slope = [panel for panel in figure.axes if (panel.get_xlabel(), panel.get_ylabel()) == ("p5", "error [nats]")]
    np.testing.assert_allclose(np.diff(slope[0].lines[0].get_ydata()), 1 / BINS, atol=0.06)


def test_one_parameter_needs_no_map() -> None:
    figure = error_map(("d",), ((0, 1),), np.random.default_rng(4).random((100, 1)), np.ones(100))
    assert len(figure.axes) == 1


@pytest.mark.parametrize("codes", [(-1, 1), (1, -1), (0, 1)])
def test_densities_are_drawn_both_ways_for_two_choices(codes: tuple[int, int]) -> None:
    """Upwards and in blue the higher code, as `pl.plots` draws it."""
    each = Density("a", np.linspace(0, 1, 3), np.ones((2, 2)), np.linspace(0, 1, 5), np.full((2, 5), [[1.0], [2.0]]))
    panel = densities([each], codes).axes[0]
    heights = {line.get_label(): set(line.get_ydata()) for line in panel.lines}
    colours = {line.get_label(): line.get_color() for line in panel.lines}
    sign = {f"{code}": 1 if code == 1 else -1 for code in codes}
    assert heights == {f"{code}": {sign[f"{code}"] * (k + 1)} for k, code in enumerate(codes)}
    assert [np.sign(patch.get_data().values).tolist() for patch in panel.patches] == [
        [sign[f"{code}"]] * 2 for code in np.repeat(codes, 2)
    ]
    assert colours == {f"{code}": OF_RESPONSE[1 if code == 1 else -1] for code in codes}
    assert [text.get_text() for text in panel.get_legend().get_texts()] == [f"{code}" for code in codes]
    three = replace_choices(each)
    assert all(min(line.get_ydata()) > 0 for line in densities([three] * 4, [0, 1, 2]).axes[0].lines)


def test_outcomes_have_the_same_colours_everywhere() -> None:
    p = np.random.default_rng(6).dirichlet([1, 1, 1], 200)
    shares, differences = calibration([-1, 1], p, p, np.full(200, 50)).axes
    drawn = {line.get_label(): line.get_color() for line in shares.lines[1:]}
    assert drawn == {"-1": OF_RESPONSE[-1], "1": OF_RESPONSE[1], "none": NONE}
    assert [each.lines[0].get_color() for each in differences.containers] == [*drawn.values()]


def replace_choices(each: Density) -> Density:
    return each._replace(counted=np.ones((3, 2)), density=np.ones((3, 5)))


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.8, 1.0), (0.1, 0.0, 0.1)])
def test_calibration_bars_hold_zero_where_the_network_is_right(shift: float, least: float, most: float) -> None:
    rng = np.random.default_rng(5)
    p, n = expit(rng.normal(size=6000)), np.full(6000, 50)
    found = rng.binomial(50, np.clip(p + shift, 0, 1)) / 50
    shares, differences = calibration([1], p[:, None], found[:, None], n).axes
    points = shares.lines[1]
    assert np.abs(points.get_ydata() - points.get_xdata()).mean() == pytest.approx(shift, abs=0.03)
    ends = [segment[:, 1] for segment in differences.containers[0].lines[2][0].get_segments()]
    inside = np.mean([low < 0 < high for low, high in ends])
    assert least <= inside <= most


# The file


class Tags(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_file_with_everything(fitted: Fitted, network: Network, tmp_path: Path) -> None:
    (tmp_path / "given_up").mkdir()
    path = write_report(tmp_path, network, fitted)
    assert path == report_path(tmp_path, network)
    assert [x.name for x in path.parent.iterdir()] == ["1.0-report.html"]
    page = Tags(path.read_text())
    assert {tag for tag, _ in page.tags} >= {"h1", "figure", "figcaption", "pre", "img"}
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["Loss", "Error over the parameters", "Densities", "Calibration"]
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    assert not re.search(r"(?:src|href)=.(?!data:)", path.read_text())
    assert "Training of given_up@1.0" in page.text
    assert "| divergence from the simulator | 0.1 | 0.1 | 0.1 |" in page.text
    # The card is text, whatever it holds.
    assert r"\<pymc-lan\> 1" in page.text


def test_a_report_that_cannot_be_written_is_told(
    fitted: Fitted, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "given_up").mkdir()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"Expected to write .*1\.0-report\.html\. Found .*no space left.*make room"):
        write_report(tmp_path, network, fitted)
    assert list((tmp_path / "given_up").iterdir()) == []


@pytest.mark.slow
def test_training_writes_the_report_beside_the_version(tmp_path: Path) -> None:
    given = {"simulation_recipe": RECIPE, "n_measured": 50_000, "progress": False, "report": True}
    network = pl.train(GIVEN_UP, tmp_path, **given)
    path = report_path(tmp_path, network)
    # In the version's folder a registry lists every file.
    assert sorted(x.name for x in path.parent.iterdir()) == ["1.0", "1.0-report.html"]
    text = path.read_text()
    assert text.count("<img") == 4
    assert "divergence from the simulator" in text


def test_without_matplotlib_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"the package matplotlib.*pip install 'pymc-lan\[plots\]'"):
        pl.train(GIVEN_UP, tmp_path, simulation_recipe=RECIPE, progress=False, report=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [True, False])
def test_the_command_reports_where_it_can(
    there: bool, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def train(*_: Any, **kwargs: Any) -> Network:
        asked.append(kwargs["report"])
        return network

    monkeypatch.setattr("pymc_lan.training.train.train", train)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(cli, "find_spec", lambda name: object() if there else None)
    file = Path(__file__).parent / "toy_simulators.py"
    command = ["train", f"{file}:GIVEN_UP", "--out", str(tmp_path)]
    printed = CliRunner().invoke(cli.app, command).output
    assert ("No report: it needs the package matplotlib" in printed) is not there
    assert (f"{report_path(tmp_path, network)}" in printed.replace("\n", "")) is there
    CliRunner().invoke(cli.app, [*command, "--no-report"])
    assert asked == [there, False]
