"""Labelled trials as plain arrays, to train a network of one's own on: exact labels, kernel estimates, histograms."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.files import write_whole, writing
from pymc_lan.errors import check_count, check_path, explain, unknown
from pymc_lan.models.labels import Trials
from pymc_lan.models.model import Model, require_exact, require_labels, shift
from pymc_lan.models.proposals import LONGEST, SHORTEST, draw_theta
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.sources import AnyModel, get_model
from pymc_lan.training.simulated.histograms import reduce_trials
from pymc_lan.training.simulated.kde import POINTS, label_trials

Float = NDArray[np.float64]

EXACT, KDE, HISTOGRAM = LABELS = ("exact", "kde", "histogram")
# Rows of a parameter set that simulated trials label: as many as kernel estimates are made for.
ROWS = sum(POINTS)
# Simulated trials in memory at once.
BLOCK = 1_000_000
# Share of the rows that lie where trials of the model are; the others cover onset, tails and rare responses.
AMONG_TRIALS = 0.8
# How often labels are drawn until enough of them are known, where solvers leave some out.
ATTEMPTS = 100


class TrainingData(NamedTuple):
    """Labelled trials of n rows.

    Parameters
    ----------
    features : ndarray, shape (n, p + 2)
        The p parameters of the model in its order, rt in seconds and the response.
    labels : ndarray, shape (n,)
        Log densities of (rt, response).
    names : tuple of str
        Of the columns of the features.
    """

    features: Float
    labels: Float
    names: tuple[str, ...]


def training_data(model: AnyModel, n: int, labels: str = EXACT, seed: int = 0, *, trials: int = 1000) -> TrainingData:
    """Draw labelled trials of a model, to train a likelihood network of one's own on.

    Parameters
    ----------
    model : str, path, Model or Network
        One of response times; with exact labels one whose true density is known.
    n : int
        Rows.
    labels : {"exact", "kde", "histogram"}
        Where the log densities come from: the closed form or a solver; or kernel estimates or histograms of the log
        decision times of simulated trials, as likelihood approximation networks were first trained (Fengler et al.
        2021, eLife 10:e65074).
    seed : int
    trials : int
        Simulated trials of each parameter set, from which 100 rows are made; not for exact labels.

    Returns
    -------
    features : ndarray, shape (n, p + 2)
        The parameters of the model in its order, uniform over their bounds, then rt in seconds and the response.
    labels : ndarray, shape (n,)
        Log densities of (rt, response), per second.
    names : tuple of str
        Of the columns.

    Raises
    ------
    ValueError
        For a model of responses alone, or one whose density is not known where exact labels are asked for, or whose
        process is not where simulated ones are; other labels, numbers that are none.

    Notes
    -----
    Rows are in random order. Eight in ten are distributed as trials of the model are, whatever their labels, and the
    others cover onset, tails and rare responses; of a model that has to be solved for it is half of them. Many rows of
    such a solution, and all 100 of simulated trials, share a parameter set. Where no trial is, simulated labels say no
    more than that the density is low: a kernel estimate is never lower than three widths beside a single trial, a
    histogram never lower than half a trial in a bin.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> features, labels, names = pl.training_data("ddm", 1000, seed=1)
    >>> features.shape, labels.shape, names
    ((1000, 6), (1000,), ('v', 'a', 'z', 't', 'rt', 'response'))
    """
    spec, n, seed = get_model(model), check_count("n", n), check_count("seed", seed, 0)
    return _draw(spec, n, labels, [seed, 0], check_count("trials", trials, 10))


def training_data_to(
    model: AnyModel,
    folder: str | os.PathLike[str],
    *,
    n: int,
    labels: str = EXACT,
    files: int = 1,
    seed: int = 0,
    trials: int = 1000,
) -> list[Path]:
    """Write labelled trials of a model into files; see `training_data`.

    Parameters
    ----------
    model : str, path, Model or Network
    folder : path
        Made when missing.
    n : int
        Rows of each file.
    labels : {"exact", "kde", "histogram"}
    files : int
        How many files ``training-0000.npz`` and so on to write, each a function of the seed and its number alone:
        arrays ``features``, ``labels`` and ``names``, which `numpy.load` reads.
    seed : int
    trials : int

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        As `training_data`; if a file exists already, or the folder is no path.
    OSError
        If a file cannot be written; those before it are whole.

    Examples
    --------
    >>> import tempfile, numpy as np, pymc_lan as pl
    >>> (path,) = pl.training_data_to("ddm", tempfile.mkdtemp(), n=100)
    >>> path.name, np.load(path)["features"].shape
    ('training-0000.npz', (100, 6))
    """
    spec, n, seed = get_model(model), check_count("n", n), check_count("seed", seed, 0)
    files, trials = check_count("files", files), check_count("trials", trials, 10)
    _check(spec, labels)
    paths = [check_path("folder", folder) / f"training-{number:04d}.npz" for number in range(files)]
    if begun := [path for path in paths if os.path.exists(path)]:
        raise ValueError(explain("files that are new", f"{begun[0]}", "give another folder, or remove the file"))
    with writing(paths[0].parent):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        found = _draw(spec, n, labels, [seed, number], trials)
        content = io.BytesIO()
        np.savez(content, features=found.features, labels=found.labels, names=np.array(found.names))
        # A file of this name is whole.
        with writing(path):
            write_whole(path, content.getvalue())
    return paths


def _check(spec: Model, labels: str) -> None:
    if labels not in LABELS:
        raise ValueError(unknown("label", labels, LABELS))
    if not spec.times:
        found = f"{spec.name!r}, a model of responses alone"
        raise ValueError(explain("a model of response times", found, "count the responses of pl.simulate"))
    if labels == EXACT and spec.exact is None:
        require_labels(spec)


def _draw(spec: Model, n: int, labels: str, seed: list[int], trials: int) -> TrainingData:
    _check(spec, labels)
    rng = np.random.default_rng([*seed, 12])
    features, found = _exact(spec, rng, n) if labels == EXACT else _simulated(spec, rng, n, REDUCED[labels], trials)
    order = rng.permutation(len(features))[:n]
    return TrainingData(features[order], found[order], (*spec.names, "rt", "response"))


def _exact(spec: Model, rng: np.random.Generator, n: int) -> tuple[Float, Float]:
    """At least n rows with true labels; those without one that is trusted are left out."""
    parts: list[tuple[Float, Float]] = []
    for _ in range(ATTEMPTS):
        missing = n - sum(len(label) for _, label in parts)
        if missing <= 0:
            break
        drawn = _training_trials(spec, rng, missing)
        t = draw_theta(spec, rng, drawn.d.size, with_t=True)["t"]
        theta = drawn.theta | {"t": t}
        rt = t + drawn.d
        known = np.isfinite(drawn.label) & (rt >= 0)
        columns = [*(theta[name] for name in spec.names), rt, drawn.response]
        parts.append((np.column_stack(columns)[known], drawn.label[known]))
    features, labels = (np.concatenate(x) for x in zip(*parts, strict=True))
    return features, labels


def _training_trials(spec: Model, rng: np.random.Generator, n: int) -> Trials:
    """Trials with true labels, most of them as the model has them."""
    if spec.labels is None:
        return _closed_trials(spec, rng, n)
    # Those that a race learns from are of one accumulator.
    if spec.labels.learned is not None:
        return spec.labels.model_trials(rng, n)
    # Those of a solution are half as the model has them.
    if not spec.labels.quick:
        return spec.labels.training_trials(rng, n)
    among = rng.binomial(n, AMONG_TRIALS)
    return _joined(spec.labels.model_trials(rng, among), spec.labels.training_trials(rng, n - among))


def _joined(first: Trials, second: Trials) -> Trials:
    theta = {name: np.concatenate([x, second.theta[name]]) for name, x in first.theta.items()}
    d, response, label = (np.concatenate(x) for x in zip(first[1:4], second[1:4], strict=True))
    return Trials(theta, d, response, label)


def _closed_trials(spec: Model, rng: np.random.Generator, n: int) -> Trials:
    """Trials of a model in closed form that takes no network: most as the model has them, the others at any time."""
    theta = draw_theta(spec, rng, n)
    rt, response = spec.draw(rng, theta | {"t": np.zeros(n)})
    anywhere = (rng.random(n) >= AMONG_TRIALS) | ~np.isfinite(rt)
    d = np.where(anywhere, np.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST), n)), rt)
    response = np.where(anywhere, rng.choice(np.asarray(spec.choices, np.float64), n), response)
    density = require_exact(spec)
    begun = d >= density.onset(NUMPY, d, response, theta)[0]
    label = density.log_density(NUMPY, np.where(begun, d, 1.0), response, theta)
    return Trials(theta, d, response, np.where(begun, label, np.nan))


# ``(spec, theta, rt, response, rng)`` to log decision times, responses and log densities of these, (m, ROWS).
Reduce = Callable[[Model, Float, Float, Float, np.random.Generator], tuple[Float, Float, Float]]


def _simulated(spec: Model, rng: np.random.Generator, n: int, reduce: Reduce, trials: int) -> tuple[Float, Float]:
    """At least n rows whose labels are estimated from simulated trials."""
    sets, features, labels = -(-n // ROWS), [], []
    size = max(BLOCK // trials, 1)
    for first in range(0, sets, size):
        m = min(size, sets - first)
        theta = draw_theta(spec, rng, m, with_t=True)
        rt, response = (
            np.asarray(x, np.float64).reshape(m, trials)
            for x in spec.draw(rng, {name: np.repeat(x, trials) for name, x in theta.items()})
        )
        columns = np.column_stack([theta[name] for name in spec.names])
        # Decision times are counted from the first that there may be.
        first_d = np.broadcast_to(np.asarray(spec.earliest(theta), np.float64), m)[:, None]
        log_d, code, label = reduce(spec, columns, rt - first_d, np.where(np.isfinite(rt), response, 0.0), rng)
        times = np.exp(log_d) + first_d + np.broadcast_to(np.asarray(shift(spec, theta)), m)[:, None]
        features.append(np.column_stack([np.repeat(columns, ROWS, axis=0), times.ravel(), code.ravel()]))
        # From the density of log decision times to that of times.
        labels.append((label - log_d).ravel())
    return np.concatenate(features), np.concatenate(labels)


def _by_kernels(
    spec: Model, theta: Float, rt: Float, response: Float, rng: np.random.Generator
) -> tuple[Float, Float, Float]:
    found = label_trials(spec, theta, rt, response, rng)
    codes = np.asarray(spec.choices, np.float64)[found.choice]
    return found.log_d.astype(np.float64), codes, found.label.astype(np.float64)


def _by_histograms(
    spec: Model, theta: Float, rt: Float, response: Float, rng: np.random.Generator
) -> tuple[Float, Float, Float]:
    found = reduce_trials(spec, theta, rt, response, rng)
    m, choices, nodes = found.weights.shape
    shares = found.weights.reshape(m, choices * nodes).astype(np.float64)
    step = found.step[:, None].astype(np.float64)
    # One sorted array for all sets, to search at once.
    ladder = np.cumsum(shares, axis=1)
    none = ladder[:, -1:] <= 0
    ladder = np.where(none, np.linspace(0, 1, choices * nodes), ladder / np.where(none, 1.0, ladder[:, -1:]))
    row = np.arange(m)[:, None]
    among = np.searchsorted((ladder + row).ravel(), rng.random((m, ROWS)) + row) - row * choices * nodes
    # Nodes that go on for days teach nothing.
    ends = (np.log([[SHORTEST, LONGEST]]) - found.start[:, None]) / step
    first, last = np.floor(ends.T[..., None]).clip(0, nodes - 1)
    anywhere = rng.integers(choices, size=(m, ROWS)) * nodes + rng.integers(first, last + 1, (m, ROWS))
    place = np.where(rng.random((m, ROWS)) < AMONG_TRIALS, among, anywhere).clip(0, choices * nodes - 1)
    least = 0.5 / rt.shape[1]
    log_d = found.start[:, None] + step * (place % nodes)
    label = np.log(np.maximum(np.take_along_axis(shares, place, 1), least) / step)
    return log_d, np.asarray(spec.choices, np.float64)[place // nodes], label


REDUCED: dict[str, Reduce] = {KDE: _by_kernels, HISTOGRAM: _by_histograms}
