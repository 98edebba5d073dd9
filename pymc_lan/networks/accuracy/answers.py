"""Accuracy of the network of a task of perception: against simulated trials, and against exact probabilities."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count
from pymc_lan.models.perception.oddity_labels import draw_everywhere, draw_studies, labelled
from pymc_lan.models.perception.percepts import Trial
from pymc_lan.models.perception.task import Task
from pymc_lan.networks.config import rounded
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]

# Log odds are compared where both answers are at least so likely.
LEAST = 0.02
# A share of none, or of all, is taken for this much more or less.
TINY = 1e-9
# Labels cost a millisecond each.
MOST_LABELS = 20_000
# Trials of a task that are drawn at once.
CHUNK = 50_000


def accuracy_of_answers(
    network: Network, *, n_tasks: int = 200, n_trials: int = 10_000_000, n_labels: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Measure the network of the oddity task.

    Parameters
    ----------
    network : Network
    n_tasks, n_trials : int
        Tasks as experiments have them, and trials of each, which are drawn from percepts.
    n_labels : int, optional
        Tasks from everywhere, whose probabilities are computed by quadrature; by default as many as a task has trials,
        and no more than `MOST_LABELS`.
    seed : int

    Returns
    -------
    dict
        ``answers``: mean and max of the absolute error of the log odds against the simulations, where both answers have
        a probability of `LEAST` or more, and the mean that chance alone brings; ``labels``: mean, p99 and max of the
        same against exact probabilities, and ``probability``, the largest error of a probability anywhere; ``flop``,
        ``n_tasks``, ``n_trials``, ``n_labels``, ``seed``.

    Raises
    ------
    ValueError
        For numbers of tasks or trials, or a seed, that are none.
    """
    seed = check_count("seed", seed, 0)
    n_labels = min(n_trials, MOST_LABELS) if n_labels is None else n_labels
    counts = {"n_tasks": n_tasks, "n_trials": n_trials, "n_labels": n_labels}
    counts = {name: check_count(name, n) for name, n in counts.items()}
    spec: Any = network.spec
    tasks = draw_studies(np.random.default_rng([seed, 6]), n_tasks)
    truth = np.clip(share_right(spec, tasks, n_trials, seed), TINY, 1 - TINY)
    error, band = _error(log_odds(network, tasks), np.log(truth) - np.log1p(-truth))
    chance = np.sqrt(2 / np.pi / (n_trials * truth[band] * (1 - truth[band])))
    theta, exact = labelled(draw_everywhere(np.random.default_rng([seed, 7]), n_labels))
    found = network.probabilities(**theta)
    here, _ = _error(np.log(found[:, 1]) - np.log(found[:, 0]), exact)
    return {
        "answers": {"mean": rounded(error.mean()), "max": rounded(error.max()), "chance": rounded(chance.mean())},
        "labels": {
            "mean": rounded(here.mean()),
            "p99": rounded(np.quantile(here, 0.99)),
            "max": rounded(here.max()),
            "probability": rounded(np.abs(found[:, 1] - 1 / (1 + np.exp(-exact))).max()),
        },
        "flop": {"lan": network.lan.flop},
        **counts,
        "seed": seed,
    }


def log_odds(network: Network, trial: Trial) -> Float:
    """Log odds of a right answer by a network."""
    spec: Any = network.spec
    wrong, right = spec.log_answers(NUMPY, partial(network.lan.outputs, NUMPY), spec.seen(NUMPY, trial))
    found: Float = right - wrong
    return found


def share_right(spec: Task, tasks: Trial, n_trials: int, seed: int) -> Float:
    """The share of right answers among simulated trials of each task, shape (n_tasks,)."""
    found = []
    for number in range(len(tasks.displacement[0])):
        trial = Trial(*(tuple(x[number] for x in part) for part in tasks))
        rng, right = np.random.default_rng([seed, 8, number]), 0
        for start in range(0, n_trials, CHUNK):
            right += int(np.count_nonzero(spec.answer(rng, trial, min(CHUNK, n_trials - start))))
        found.append(right / n_trials)
    return np.array(found)


def _error(found: Float, truth: Float) -> tuple[Float, NDArray[np.bool_]]:
    band = np.abs(truth) < np.log(1 / LEAST - 1)
    return np.abs(found - truth)[band], band
