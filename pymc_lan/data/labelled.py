"""Arrays whose dimensions have names and labels, as xarray has them: read by these, and not by position.

xarray is not imported here: what has its attributes is taken for one of its arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import describe_codes, explain

# The labels of the two columns of the trials.
RT, RESPONSE = "rt", "response"
# What ArviZ calls the dimensions of draws.
DRAWS = ("chain", "draw", "sample")


def is_labelled(data: Any) -> bool:
    """Whether something is an xarray.DataArray."""
    return all(hasattr(data, name) for name in ("dims", "indexes", "to_dataset", "to_numpy"))


def as_dataset(data: Any) -> Any:
    """An xarray.Dataset: `data`, or the columns of a DataArray by their labels; None where there are none.

    A DataArray of nothing but rt and response is rows, and no table.
    """
    if hasattr(data, "data_vars") and hasattr(data, "to_dataframe"):
        return data
    axis = _columns(data)
    return None if axis is None or _is_pair(data, axis) else data.to_dataset(dim=axis)


def columns_last(data: Any) -> Any:
    """A DataArray with rt and response, in that order, along its last dimension, where labels say which they are."""
    axis = _columns(data)
    return data if axis is None or not _is_pair(data, axis) else data.sel({axis: [RT, RESPONSE]}).transpose(..., axis)


def draws_first(data: Any) -> Any:
    """A DataArray with the dimensions of draws before all others, and rt and response last."""
    if not is_labelled(data):
        return data
    return columns_last(data.transpose(*(axis for axis in DRAWS if axis in data.dims), ...))


def _columns(data: Any) -> Any:
    """The dimension along which the columns of a table are labelled."""
    if not is_labelled(data):
        return None
    return next((axis for axis in reversed(data.dims) if axis in data.indexes and RT in data.indexes[axis]), None)


def _is_pair(data: Any, axis: Any) -> bool:
    return set(data.indexes[axis]) == {RT, RESPONSE}


class Axis(NamedTuple):
    """A dimension of trials.

    Parameters
    ----------
    name : object
        None where it has none.
    labels : pandas.Index or None
    """

    name: Any
    labels: Any


class Trials(NamedTuple):
    """What the dimensions of trials are called.

    Parameters
    ----------
    axes : tuple of Axis
    whose : str
        Who says so, for messages.
    flat : tuple of int, optional
        The lengths of the dimensions, where each row is a trial of all of them.
    others : collection
        Names of dimensions that the trials do not have.
    """

    axes: tuple[Axis, ...]
    whose: str
    flat: tuple[int, ...] | None = None
    others: frozenset[Any] = frozenset()

    @property
    def names(self) -> list[Any]:
        """The names of the dimensions."""
        return [axis.name for axis in self.axes]


def trials_of(data: Any, rows: Any) -> Trials:
    """What observed data say of the dimensions of their trials; `rows` is the pandas.Index of a table, or None."""
    whose = "the observed data"
    if (dataset := as_dataset(data)) is not None:
        axes = tuple(Axis(name, dataset.indexes.get(name)) for name in dataset.sizes)
        return Trials(axes, whose, tuple(dataset.sizes.values()))
    if is_labelled(data):
        *dims, _ = columns_last(data).dims
        return Trials(tuple(Axis(name, data.indexes.get(name)) for name in dims), whose)
    return Trials(() if rows is None else (Axis(rows.name, rows),), whose)


def in_trials(value: Any, sources: Sequence[Trials], argument: str) -> NDArray[Any]:
    """The values of a DataArray in the order of the trials, by the names and labels of its dimensions.

    Parameters
    ----------
    value : xarray.DataArray
    sources : sequence of Trials
        The first that knows its names or its labels is followed.
    argument : str
        For the message.

    Returns
    -------
    ndarray
        By position where nothing is known of its names and labels.

    Raises
    ------
    ValueError
        If what is known contradicts them.
    """
    faults = []
    for source in sources:
        found = f"{value.dims}, where {source.whose} have {tuple(source.names)}"
        try:
            if source.axes and set(value.dims) <= set(source.names):
                return _by_name(value, source)
            if set(value.dims) & {*source.names, *source.others}:
                faults.append(found)
            elif len(value.dims) == len(source.axes):
                placed = value
                for name, axis in zip(value.dims, source.axes, strict=True):
                    placed = _labelled_as(placed, name, axis)
                if placed is not value:
                    return np.asarray(placed)
        except _UnknownLabelsError as fault:
            faults.append(f"{fault}, where {source.whose} have {describe_codes(fault.known)}")
    if faults:
        expected = f"a DataArray as {argument} whose dimensions and labels are those of the trials"
        remedy = "give .to_numpy() of it if it has one value for each trial, in their order; values for each subject "
        remedy += f"are indexed by trial, as in {argument}[subject]"
        raise ValueError(explain(expected, faults[0], remedy))
    return np.asarray(value)


class _UnknownLabelsError(Exception):
    """Labels of values that no trials have."""

    def __init__(self, name: Any, labels: Any, known: Any):
        super().__init__(f"the labels {describe_codes(labels)} of {name!r}")
        self.known = known


def _by_name(value: Any, source: Trials) -> NDArray[Any]:
    """Values whose dimensions are trials' by name; length 1 along those that they lack."""
    for axis in source.axes:
        if axis.name in value.dims:
            value = _labelled_as(value, axis.name, axis)
    found = np.asarray(value.transpose(*(name for name in source.names if name in value.dims)))
    missing = tuple(i for i, name in enumerate(source.names) if name not in value.dims)
    found = np.expand_dims(found, missing)
    return found if source.flat is None else np.broadcast_to(found, source.flat).ravel()


def _labelled_as(value: Any, name: Any, axis: Axis) -> Any:
    """Values in the order of the labels of an axis: the same object where nothing is said."""
    labels, known = value.indexes.get(name), axis.labels
    if labels is None or known is None or labels.equals(known):
        return value
    if len(labels) == len(known) and labels.nlevels == known.nlevels and labels.is_unique and known.is_unique:
        order = labels.get_indexer(known)
        if (order >= 0).all():
            return value.isel({name: order})
    # Labels of a dimension of another name are other labels, and 0, 1, 2, ... without a name are positions.
    if axis.name != name and (axis.name is not None or np.array_equal(known, np.arange(len(known)))):
        return value
    raise _UnknownLabelsError(name, labels, known)
