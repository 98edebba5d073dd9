"""Stimuli and covariances of percepts as arguments of a distribution: what their shapes mean, and what is wrong."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Variable

from pymc_lan.data.labelled import Trials, is_labelled
from pymc_lan.data.tables import by_label
from pymc_lan.distributions.values import as_numbers, known_numbers
from pymc_lan.errors import explain, refuse
from pymc_lan.models.perception.percepts import DIMENSIONS, Covariance, Trial

# How far two elements of a covariance across its diagonal may differ, as a correlation: by rounding, of single
# precision and of inverses too.
ASYMMETRY = 1e-6
# Of coordinates, and of standard deviations and what they are divided by: squares of squares are numbers still.
LARGEST = 1e30

STIMULI, COVARIANCES = ("ref", "comparison"), ("covariance_ref", "covariance_comparison")


def read_trial(given: dict[str, Any], grid: tuple[int, ...] | None) -> Trial:
    """The stimuli and covariances of a distribution, as formulas take them.

    Parameters
    ----------
    given : dict of str to tensor_like
        By the names `STIMULI` and `COVARIANCES`.
    grid : tuple of int, optional
        The shape of the trials, where it is known.

    Returns
    -------
    Trial
        Of float64 graphs, each of shape () or (n_trials,).

    Raises
    ------
    ValueError
        For other dimensions than one and two, shapes that do not go together, missing numbers, covariances that are
        known and not symmetric and positive definite.
    """
    if missing := [name for name, x in given.items() if x is None]:
        expected = f"{', '.join(given)}, in this order or by name"
        raise ValueError(explain(expected, f"no {missing[0]}", f"give {missing[0]}=..."))
    given = {name: as_numbers(name, x) for name, x in given.items()}
    d = dimension(given)
    ref, comparison = (_coordinates(name, given[name], d) for name in STIMULI)
    forms = [_elements(name, given[name], d) for name in COVARIANCES]
    _check_lengths({name: x[0] for name, x in zip(given, (ref, comparison, *forms), strict=True)}, grid)
    return Trial(tuple(y - x for x, y in zip(ref, comparison, strict=True)), *forms)


def in_order_of_trials(given: dict[str, Any], table: Any, trials: Trials | None) -> dict[str, Any]:
    """Put stimuli and covariances that have labels into the order of the observed trials.

    Parameters
    ----------
    given : dict of str to object
        Arguments of a distribution, of which others are left as they are.
    table : object
        The observed answers.
    trials : Trials, optional
        What the model says of the dimension of the trials.

    Returns
    -------
    dict
    """
    found = dict(given)
    for name in (*STIMULI, *COVARIANCES):
        value: Any = given.get(name)
        frame = nw.from_native(value, pass_through=True, eager_only=True) if name in STIMULI else None
        if isinstance(frame, nw.DataFrame):
            columns, shape = [column.to_native() for column in frame.iter_columns()], (len(frame.columns),)
        elif is_labelled(value) and value.ndim == 1 + (name in STIMULI) + 2 * (name in COVARIANCES):
            shape = value.shape[1:]
            columns = [value[:, *place] for place in np.ndindex(shape)]
        else:
            continue
        ordered = [np.asarray(by_label(column, table, name, trials)) for column in columns]
        found[name] = np.stack(ordered, axis=-1).reshape(-1, *shape)
    return found


def trial_columns(given: dict[str, Any]) -> dict[str, Any]:
    """One element of each trial's stimuli and covariances, by name: of shape () or (n_trials,)."""
    d = dimension({name: given[name] for name in STIMULI + COVARIANCES})
    columns = {name: _coordinates(name, given[name], d)[0] for name in STIMULI}
    return columns | {name: _elements(name, given[name], d)[0] for name in COVARIANCES}


def dimension(given: dict[str, Any]) -> int:
    """How many coordinates a stimulus has: the last axis of stimuli of two axes, else of covariances of two or three.

    Where there is neither, stimuli are on a line, and covariances variances.
    """
    shapes = {name: _shape(x) for name, x in given.items()}
    told = [shapes[name] for name in STIMULI if len(shapes[name]) >= 2]
    told += [shapes[name] for name in COVARIANCES if len(shapes[name]) >= 2]
    known = [shape[-1] for shape in told if shape[-1] is not None]
    d = known[0] if known else 1
    if d not in DIMENSIONS or (told and not known):
        found = f"stimuli of {d} dimensions" if known else "variables whose shape is not known"
        remedy = "give stimuli of shape (n_trials, 1) or (n_trials, 2)"
        raise ValueError(explain("stimuli of one dimension or two", found, remedy))
    return int(d)


def _shape(value: Any) -> tuple[int | None, ...]:
    """The shape of a value, of data as they are now."""
    if not isinstance(value, Variable):
        return np.shape(value)
    fixed: tuple[int | None, ...] = value.type.shape
    if None in fixed and (now := known_numbers(value)) is not None:
        return now.shape
    return fixed


def _coordinates(name: str, value: Any, d: int) -> tuple[Any, ...]:
    """The coordinates of stimuli."""
    shape = _shape(value)
    on_a_line = d == 1 and len(shape) < 2
    if not on_a_line and (len(shape) not in (1, 2) or shape[-1] not in (None, d)):
        expected = f"{name} of shape (n_trials, {d})" + (
            ", or (n_trials,)" if d == 1 else f", or ({d},) for all trials"
        )
        raise ValueError(explain(expected, f"shape {shape}", "give one row for each trial"))
    known = known_numbers(value)
    if known is not None:
        rows = known.reshape(-1, d)
        refuse(
            ~(np.abs(rows) <= LARGEST).all(axis=1),
            {name: _text(rows)},
            expected=f"finite coordinates of {name} on every trial, up to {LARGEST:g}",
            found="others",
            remedy="leave out trials whose stimuli are not known, or correct them",
        )
    x = pt.cast(pt.as_tensor_variable(value), "float64")
    return (x,) if on_a_line else tuple(x[..., i] for i in range(d))


def _elements(name: str, value: Any, d: int) -> Covariance:
    """The elements of covariances, of the upper half of those of two dimensions."""
    shape = _shape(value)
    variances = d == 1 and len(shape) < 2
    if not variances and (len(shape) not in (2, 3) or any(n not in (None, d) for n in shape[-2:])):
        expected = f"{name} of shape (n_trials, {d}, {d}), or ({d}, {d}) for all trials"
        expected += ", or variances" if d == 1 else ""
        raise ValueError(explain(expected, f"shape {shape}", "give the covariance of the percepts of each trial"))
    known = known_numbers(value)
    if known is not None:
        _check_covariances(name, known.reshape(-1, d, d))
    x = pt.cast(pt.as_tensor_variable(value), "float64")
    if variances:
        return (x,)
    return tuple(x[..., i, j] for i in range(d) for j in range(i, d))


def _check_covariances(name: str, rows: NDArray[np.float64]) -> None:
    """Refuse what is no covariance, or that of percepts which do not vary in some direction."""
    finite = np.isfinite(rows).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], rows, np.eye(rows.shape[-1]))
    across = safe.swapaxes(1, 2)
    variances = np.diagonal(safe, axis1=1, axis2=2)
    within = ((variances >= LARGEST**-2) & (variances <= LARGEST**2)).all(axis=1)
    sd = np.sqrt(np.where(within[:, None], variances, 1.0))
    scale = sd[:, :, None] * sd[:, None, :]
    symmetric = (np.abs(safe - across) <= ASYMMETRY * scale).all(axis=(1, 2))
    positive = np.linalg.det(np.where(within[:, None, None], safe, np.eye(safe.shape[-1])) / scale) > 0
    refuse(
        ~(finite & within & symmetric & positive),
        {name: _text(rows)},
        expected=f"symmetric and positive definite covariances as {name}, of variances from {LARGEST**-2:g} to "
        f"{LARGEST**2:g}",
        found="another",
        remedy="correct it; percepts that do not vary in some direction need a small variance there",
    )


def _text(rows: NDArray[np.float64]) -> NDArray[np.object_]:
    """Each row as text, for a message."""
    found = np.empty(len(rows), object)
    found[:] = [str(row.tolist()) for row in rows]
    return found


def _check_lengths(columns: dict[str, Any], grid: tuple[int, ...] | None) -> None:
    """Refuse numbers of trials that do not go together, as far as they are known."""
    lengths = {name: _shape(x) for name, x in columns.items()}
    known = {shape[0] for shape in lengths.values() if shape and shape[0] not in (None, 1)}
    if grid is not None:
        known |= {n for n in grid if n != 1} or {1}
    fits = len(known) <= 1 and all(len(shape) <= 1 for shape in lengths.values())
    if grid is not None:
        fits = fits and all(not shape or shape[0] in (None, 1, grid[0]) for shape in lengths.values())
    if not fits:
        told = ", ".join(f"{name} of {shape[0] if shape else 1}" for name, shape in lengths.items())
        told += "" if grid is None else f" and {grid[0]} answers"
        remedy = "give each as many rows as there are trials, or one for all"
        raise ValueError(explain("stimuli, covariances and answers of as many trials", told, remedy))
