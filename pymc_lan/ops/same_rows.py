"""Rows of a graph's vectors that are the same wherever its inputs are: what is costly is looked at once for them.

Trials of a subject and a condition share their parameters, which a model writes as ``v[subject]`` or as a matrix of
conditions times effects. That two trials have the same row of such a matrix, or the same place, is known when the model
is built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.basic import Constant
from pytensor.tensor.basic import Alloc
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor

Codes = NDArray[np.intp]
# All rows are the same.
SHARED: Codes = np.zeros((), np.intp)
# Where fewer rows than this share repeat, a second look costs less than sorting them out.
WORTH = 0.8


def first_of_same(values: Sequence[Any], n: int) -> tuple[Codes, Codes] | None:
    """Places of rows that stand for all that are the same in all values, and which of them each row is.

    Parameters
    ----------
    values : sequence of TensorVariable
        Scalars, and vectors of n rows.
    n : int

    Returns
    -------
    first, which : ndarray of int
        ``values[first][which]`` are the values; None where hardly any rows are known to be the same.

    Examples
    --------
    >>> import numpy as np, pytensor.tensor as pt
    >>> v, subject = pt.vector("v"), np.array([0, 0, 1, 1, 1])
    >>> first, which = first_of_same([pt.exp(v)[subject], pt.scalar("a")], 5)
    >>> first.tolist(), which.tolist()
    ([0, 2], [0, 0, 1, 1, 1])
    """
    known: dict[Any, Codes | None] = {}
    codes = _together([_codes(x, known) for x in values])
    if codes is None:
        return None
    _, first, which = np.unique(np.broadcast_to(codes, n), return_index=True, return_inverse=True)
    return (first, which.ravel()) if first.size <= WORTH * n else None


def _together(found: Sequence[Codes | None]) -> Codes | None:
    """A code for each combination of codes; None where one is not known."""
    known = [codes for codes in found if codes is not None]
    return None if len(known) < len(found) else reduce(_pair, known, SHARED)


def _pair(a: Codes, b: Codes) -> Codes:
    if not a.ndim or not b.ndim:
        return b if b.ndim else a
    return np.unique(a * (b.max(initial=0) + 1) + b, return_inverse=True)[1].ravel()


def _codes(x: Any, known: dict[Any, Codes | None]) -> Codes | None:
    """A code for each row of a variable, the same where rows are; None where nothing is known of them."""
    if x.type.ndim == 0 or x.type.shape[0] == 1:
        return SHARED
    if isinstance(x, Constant):
        rows = np.asarray(x.data).reshape(len(x.data), -1)
        return np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    if x not in known:
        rule = None if x.owner is None else next((f for kind, f in RULES if isinstance(x.owner.op, kind)), None)
        known[x] = None if rule is None else rule(x.owner, known)
    return known[x]


def _of_all(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    """Row by row of all inputs, whose axes are those of the output."""
    return _together([_codes(x, known) for x in node.inputs])


def _of_first(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    """Row by row of the first input."""
    return _codes(node.inputs[0], known)


def _of_axes(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    return _of_first(node, known) if node.op.new_order[0] == 0 else None


def _of_sum(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    axis = node.op.axis
    ndim = node.inputs[0].type.ndim
    return None if axis is None or any(x % ndim == 0 for x in axis) else _of_first(node, known)


def _of_product(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    """Of a matrix times whatever there is: row by row of the matrix."""
    op = node.op.core_op if isinstance(node.op, Blockwise) else node.op
    return _of_first(node, known) if isinstance(op, Dot) and node.inputs[0].type.ndim == 2 else None


def _of_alloc(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    value = node.inputs[0]
    return SHARED if value.type.ndim < node.outputs[0].type.ndim else _codes(value, known)


def _of_places(node: Any, known: dict[Any, Codes | None]) -> Codes | None:
    """Of places along the first axis: rows of the same place, or of places that are the same."""
    first = node.op.idx_list[0]
    if first == slice(None):
        # Places of axes that are not next to each other make the first axis, wherever they stand.
        placed = [axis for axis, each in enumerate(node.op.idx_list) if not isinstance(each, slice)]
        apart = len(placed) > 1 and placed[-1] - placed[0] >= len(placed)
        return None if apart else _of_first(node, known)
    if isinstance(first, slice) or not isinstance(node.op, AdvancedSubtensor):
        return None
    others, places = node.op.idx_list[1:], node.inputs[1 + first]
    if any(each != slice(None) for each in others) or not isinstance(places, Constant) or places.type.ndim != 1:
        return None
    index = np.asarray(places.data)
    index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
    codes = _codes(node.inputs[0], known)
    if codes is None:
        # A place from the end may be one from the beginning, which is no harm: they count as different.
        return np.unique(index, return_inverse=True)[1].ravel()
    return codes[index] if codes.ndim else SHARED


Rule = Callable[[Any, dict[Any, "Codes | None"]], "Codes | None"]
RULES: tuple[tuple[type, Rule], ...] = (
    (Elemwise, _of_all),
    (DimShuffle, _of_axes),
    (CAReduce, _of_sum),
    (Dot, _of_product),
    (Blockwise, _of_product),
    (Alloc, _of_alloc),
    (SpecifyShape, _of_first),
    (Subtensor, _of_places),
    (AdvancedSubtensor, _of_places),
)
