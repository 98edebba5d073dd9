"""How far the network's log likelihood is from the exact one at posterior draws, of all trials or of a sample.

What is wanted is the change of the whole log likelihood over the posterior, a sum over trials. Without time to solve
for all, it is estimated from a systematic sample of units: trials, in order of their response and time, or sets
of parameters with all their trials, whichever the exact likelihood is computed by. With D_i the difference of unit i, N
units and n of them sampled, the change's covariance with a parameter of unit variance has a standard error of at most
N sqrt((1 - n/N) / n mean(var D_i)), because a covariance is at most the product of two standard deviations (Saerndal,
Swensson and Wretman 1992, Model Assisted Survey Sampling, section 3.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.diagnostics.fitted_trials import (
    CHUNK,
    Parameters,
    Trials,
    each_draw,
    exact_log_likelihood,
    likelihood_of,
    log_likelihood,
    stacked,
    take,
)
from pymc_lan.networks.bounds import has_closed_form

Float = NDArray[np.float64]
Whole = NDArray[np.intp]

# Units, each at one draw, that are timed first; it is what solvers do at once.
PILOT = 64
# A sample of fewer units has no standard error to rely on.
LEAST_UNITS = 30
# Share of the time that is planned for; the rest is for what was not foreseen.
PLANNED = 0.7
# Seconds between two looks at the clock, about.
STEP = 1.0
# Work that takes fewer seconds is not worth a bar.
QUICK = 2.0
# Errors are summarised over at most so many values.
MOST_ERRORS = 1_000_000


@dataclass(frozen=True, slots=True)
class Differences:
    """Exact less approximate log likelihood, over draws.

    Parameters
    ----------
    rows : ndarray of int, shape (k,)
        The draws that were looked at, in order: as many as there was time for.
    log_ratio : ndarray, shape (k,)
        Of all trials.
    errors : list of ndarray
        For each variable, the size of differences by trial.
    unknown : list of float
        For each variable, the share of trials and draws without a label.
    sampling_error : float
        Two standard errors, in posterior standard deviations, of what the sample of trials does to a mean; at most.
    n_trials, of : int
        Trials that were looked at, and all.
    """

    rows: Whole
    log_ratio: Float
    errors: list[Float]
    unknown: list[float]
    sampling_error: float
    n_trials: int
    of: int


def differences(
    model: Any, trials: Sequence[Trials], draws: dict[str, Float], seconds: float, *, progressbar: bool
) -> Differences:
    """Compare log likelihoods at posterior draws, as far as the time goes.

    Parameters
    ----------
    model : pymc.Model
    trials : sequence of Trials
    draws : dict of str to ndarray, shape (n_draws, ...)
        Of every free variable.
    seconds : float
    progressbar : bool

    Returns
    -------
    Differences
    """
    end, n = time.perf_counter() + seconds, len(next(iter(draws.values())))
    evaluate = each_draw(model, trials)

    def parameters(rows: Whole, chosen: Sequence[Whole]) -> list[Parameters]:
        found = [evaluate({name: x[row] for name, x in draws.items()}) for row in rows]
        return [
            {name: x[:, some] for name, x in each.items()} for each, some in zip(stacked(found), chosen, strict=True)
        ]

    everything = [np.arange(each.rt.size) for each in trials]
    unit = _units(trials, parameters(np.array([0]), everything))
    # Whatever the time, the draws that were reached are spread over all.
    order = np.random.default_rng(0).permutation(n)
    cost = _cost(trials, unit, order, parameters)
    n_units = int(unit[-1].max()) + 1
    affordable = PLANNED * max(end - time.perf_counter(), 0.0) / (cost * n)
    n_sampled = n_units if n_units <= affordable else min(n_units, max(LEAST_UNITS, int(affordable)))
    sampled = np.unique((np.random.default_rng(1).random() + np.arange(n_sampled)) * n_units / n_sampled).astype(int)
    chosen = [np.flatnonzero(np.isin(codes, sampled)) for codes in unit]
    total = sum(x.size for x in chosen)
    step = min(max(1, int(STEP / (cost * n_sampled))), max(1, CHUNK // max(1, total)))
    place = [np.searchsorted(sampled, codes[c]) for codes, c in zip(unit, chosen, strict=True)]
    some = [take(each, c) for each, c in zip(trials, chosen, strict=True)]
    parts: list[_Part] = []
    with _progress(n, progressbar and cost * n_sampled * n > QUICK) as advance:
        for begin in range(0, n, step):
            rows = order[begin : begin + step]
            found = _compare(some, parameters(rows, chosen))
            by_unit = None if sampled.size == n_units else _by_unit(found, place, sampled.size)
            parts.append(_part(rows, found, by_unit, n_units, 1 + n * total // MOST_ERRORS))
            advance(rows.size)
            if time.perf_counter() > end:
                break
    rows = np.concatenate([part.rows for part in parts])
    spread = 0.0
    if sampled.size < n_units:
        every = np.concatenate([part.by_unit for part in parts if part.by_unit is not None], axis=1)
        with np.errstate(invalid="ignore"):
            variance = every.var(axis=1).mean()
        spread = 2 * n_units * math.sqrt((1 - sampled.size / n_units) / sampled.size * variance)
    return Differences(
        rows[np.argsort(rows)],
        np.concatenate([part.log_ratio for part in parts])[np.argsort(rows)],
        [np.concatenate([part.errors[i] for part in parts]) for i in range(len(trials))],
        [
            float(np.average([part.unknown[i] for part in parts], weights=[p.rows.size for p in parts]))
            for i in range(len(trials))
        ],
        spread,
        total,
        sum(each.rt.size for each in trials),
    )


class _Part(NamedTuple):
    """What is kept of some draws; ``by_unit``, of shape (n_units, k), where units are a sample."""

    rows: Whole
    log_ratio: Float
    by_unit: Float | None
    errors: list[Float]
    unknown: list[float]


def _part(rows: Whole, found: Sequence[Float], by_unit: Float | None, n_units: int, every: int) -> _Part:
    if by_unit is None:
        log_ratio = np.sum([np.nansum(x, axis=1) for x in found], axis=0)
    else:
        log_ratio = by_unit.sum(axis=0) * n_units / len(by_unit)
    sizes = [np.abs(x).ravel()[::every] for x in found]
    errors = [x[np.isfinite(x)] for x in sizes]
    return _Part(rows, log_ratio, by_unit, errors, [float(np.isnan(x).mean()) if x.size else 0.0 for x in found])


def _by_unit(found: Sequence[Float], place: Sequence[Whole], n: int) -> Float:
    """Sums over the trials of each unit, of shape (n, k)."""
    result = np.zeros((n, len(found[0])))
    for at, x in zip(place, found, strict=True):
        np.add.at(result, at, np.nan_to_num(x, posinf=np.inf, neginf=-np.inf).T)
    return result


def _units(trials: Sequence[Trials], parameters: Sequence[Parameters]) -> list[Whole]:
    """A code for each trial: of itself or, where a solution serves all trials of its parameters, of these."""
    result, first = [], 0
    for each, values in zip(trials, parameters, strict=True):
        op = each.op
        labels = op.spec.labels
        if has_closed_form(op) or (labels is not None and labels.pointwise and each.responded.all()):
            codes = np.empty(each.rt.size, np.intp)
            codes[np.lexsort((each.rt, each.response))] = np.arange(each.rt.size)
        else:
            table = np.column_stack([values[name].ravel() for name in op.spec.names if name != "t"])
            codes = np.unique(table, axis=0, return_inverse=True)[1].ravel()
        result.append(codes + first)
        first += int(codes.max()) + 1
    return result


def _cost(trials: Sequence[Trials], unit: Sequence[Whole], order: Whole, parameters: Any) -> float:
    """Seconds for a unit at a draw: of more and more of them, until a second has passed."""
    n_units, size, passed = int(unit[-1].max()) + 1, PILOT, 0.0
    warm = False
    while True:
        few = np.unique(np.linspace(0, n_units - 1, min(n_units, size)).astype(int))
        rows = order[: math.ceil(size / few.size)]
        chosen = [np.flatnonzero(np.isin(codes, few)) for codes in unit]
        begun = time.perf_counter()
        _compare([take(t, c) for t, c in zip(trials, chosen, strict=True)], parameters(rows, chosen))
        passed, done = time.perf_counter() - begun, few.size * rows.size
        # The first run compiles, and says nothing.
        if warm and (passed > STEP or done == n_units * order.size or sum(x.size for x in chosen) * rows.size > CHUNK):
            return passed / done
        size, warm = size * 8 if warm else size, True


def _compare(trials: Sequence[Trials], parameters: Sequence[Parameters]) -> list[Float]:
    """Exact less approximate log likelihood of each trial, of shape (k, n_trials); NaN where it is not known."""
    result = []
    for each, values in zip(trials, parameters, strict=True):
        op = each.op
        if op.lan is None:
            result.append(np.zeros((len(values["lapse_window"]), each.rt.size)))
            continue
        own = log_likelihood(each, likelihood_of(op), values)
        exact = exact_log_likelihood(each, values)
        with np.errstate(invalid="ignore"):
            # What is impossible for both is no difference.
            result.append(np.where(own == exact, 0.0, exact - own))
    return result


@contextmanager
def _progress(n: int, show: bool) -> Iterator[Any]:
    """A bar of draws with the time that is left."""
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not show) as progress:
        task = progress.add_task("draws", total=n)
        yield lambda size: progress.advance(task, size)
