"""The matrix of observed trials, and what of their table goes along with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Observed(np.ndarray):
    """Rows ``[rt, response]`` that remember the other columns of their table; made by `pymc_lan.as_observed`.

    A read-only array of shape (n_trials, 2), because rows that change would no longer match their columns;
    ``numpy.array(observed)`` is a plain copy. Rows that are chosen by indexing, copies and pickles keep their columns;
    whatever else is computed from it only remembers which columns there were.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (n_trials,)
        The table's other columns, by name.
    lost : tuple of str
        Names of columns that a computation has separated from the rows.
    labels : pandas.Index or None
        The labels of the rows, of a pandas table.
    lenient : bool
        Whether doubtful times have been let through, with ``strict=False``.
    """

    columns: dict[str, NDArray[Any]]
    lost: tuple[str, ...]
    labels: Any
    lenient: bool

    @classmethod
    def of(cls, matrix: ArrayLike, columns: Mapping[str, NDArray[Any]], labels: Any, *, lenient: bool) -> Self:
        """Put a matrix and its columns together."""
        made = np.array(matrix, np.float64).view(cls)
        made.columns, made.labels, made.lenient = dict(columns), labels, lenient
        made.flags.writeable = False
        return made

    def __array_finalize__(self, source: Any) -> None:
        """Start without columns: NumPy does not say which rows it has put where."""
        self.columns, self.labels, self.lenient = {}, None, False
        self.lost = (*source.columns, *source.lost) if isinstance(source, Observed) else ()

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Let sums and other single values be plain numbers."""
        return array[()] if return_scalar else super().__array_wrap__(array, context, return_scalar)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Remember only the names of columns: what ``np.sort`` or ``np.concatenate`` return has other rows."""
        result = super().__array_function__(func, types, args, kwargs)
        if not isinstance(result, np.ndarray) or result.ndim != 2 or result.shape[1] != 2:
            return result
        parted = np.asarray(result).view(Observed)
        parted.lost = (*self.columns, *self.lost)
        return parted

    def __getitem__(self, key: Any) -> Any:
        """Choose rows together with their columns; anything that is no such matrix is a plain array."""
        found = super().__getitem__(key)
        if not isinstance(found, Observed):
            return found
        if found.ndim != 2 or found.shape[1:] != (2,) or self.ndim != 2:
            return np.asarray(found)
        # Where each cell came from tells, for any kind of index, whether rows are still rows.
        rows, sides = (np.broadcast_to(x, self.shape)[key] for x in (np.arange(len(self))[:, None], np.arange(2)))
        if (rows[:, 0] == rows[:, 1]).all() and (sides == (0, 1)).all():
            self._hand_on(found, rows[:, 0])
        return found

    def copy(self, order: Any = "C") -> Observed:
        """Copy it with its columns."""
        found = super().copy(order)
        self._hand_on(found, np.arange(len(self)))
        return found

    def __copy__(self) -> Observed:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Observed:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the columns, too."""
        return _unpickled, (np.asarray(self), self.columns, self.lost, self.labels, self.lenient)

    def in_shape(self, shape: tuple[int, ...]) -> Observed:
        """Return an array of more axes of these trials, which has no columns."""
        found = self.reshape(shape).view(Observed)
        found.lenient = self.lenient
        return found

    def _hand_on(self, found: Observed, rows: NDArray[np.intp]) -> None:
        found.columns = {name: values[rows] for name, values in self.columns.items()}
        found.labels = None if self.labels is None else self.labels[rows]
        found.lost, found.lenient = self.lost, self.lenient
        found.flags.writeable = False


def _unpickled(
    matrix: NDArray[Any], columns: dict[str, NDArray[Any]], lost: tuple[str, ...], labels: Any, lenient: bool
) -> Observed:
    made = matrix.view(Observed)
    made.columns, made.lost, made.labels, made.lenient = columns, lost, labels, lenient
    made.flags.writeable = False
    return made
