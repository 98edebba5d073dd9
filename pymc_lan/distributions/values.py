"""The arguments of a distribution: numbers from whatever users give, and what is wrong with those that are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.data import MinibatchOp
from pymc.distributions.distribution import SymbolicRandomVariable
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.subtensor import AdvancedSubtensor

from pymc_lan.data import tables
from pymc_lan.data.observed import check_deadlines
from pymc_lan.data.tables import as_array
from pymc_lan.errors import explain, refuse
from pymc_lan.models.parameters import Parameter

SYMBOLIC = (
    "numbers, or a PyTensor variable,",
    "a number, an array of a type of numbers (.astype(float)) with one for each trial, or one variable "
    "(several: pt.stack)",
)
"""What arguments of distributions are, and what to give as one, in words."""


def as_numbers(name: str, value: Any) -> Any:
    """Return a variable as it is and anything else as an array of floats, as `pymc_lan.data.tables.as_numbers` does.

    Raises
    ------
    ValueError
        As that, and for a variable of something else than numbers.
    """
    if not isinstance(value, Variable):
        return tables.as_numbers(name, value, wording=SYMBOLIC)
    if np.dtype(getattr(value.type, "dtype", None) or object).kind not in "biuf":
        expected, remedy = f"{SYMBOLIC[0]} as {name}", f"give {name} as {SYMBOLIC[1]}"
        raise ValueError(explain(expected, f"a variable of type {value.type}", remedy))
    return value


def known_value(value: Any) -> NDArray[Any] | None:
    """What a value is when the model is built: of a variable, where it follows from constants and data alone.

    Data may be exchanged later, so this is for checks and must not decide what is computed. Of a minibatch it is all
    that may be drawn.
    """
    if not isinstance(value, Variable):
        return as_array(value)
    if is_minibatch(value):
        return known_value(value.owner.inputs[value.owner.outputs.index(value)])
    if isinstance(value, Constant):
        return np.asarray(value.data)
    if isinstance(value, SharedVariable):
        return np.asarray(value.get_value())
    roots = list(graph_inputs([value]))
    if not all(isinstance(x, Constant | SharedVariable) and not isinstance(x.type, RandomType) for x in roots):
        return None
    try:
        return np.asarray(value.eval(mode="FAST_COMPILE"))
    except Exception:  # it will say so itself when the model is evaluated
        return None


def is_minibatch(value: Variable) -> bool:
    """Whether a variable is some rows of a table, drawn anew at each look."""
    return value.owner is not None and isinstance(value.owner.op, MinibatchOp)


def known_numbers(value: Any) -> NDArray[np.float64] | None:
    """`known_value` as floats."""
    known = known_value(value)
    return None if known is None else np.asarray(known, np.float64)


def check_parameter(p: Parameter, value: Any, *, trained: bool, name: str | None = None) -> None:
    """Refuse a known value outside the bounds that a network was trained on or, without one, outside the domain."""
    known = known_numbers(value)
    if known is None:
        return
    name = name or p.name
    refuse(
        np.isnan(known).ravel(),
        {name: known.ravel()},
        expected=f"a number for {name} on every trial",
        found="missing ones",
        remedy=f"fill in {name} where it is missing",
    )
    low, high = p.bounds if trained else p.domain
    outside = ~((known >= low) & (known <= high) & np.isfinite(known))
    if not outside.any():
        return
    which = "the network's trained bounds" if trained else "the model's domain"
    raise ValueError(
        explain(
            f"{name} within {which}, {low:g} to {high:g}",
            f"the constant {known[outside].ravel()[:5].tolist()}",
            f"change {name}" + (", or use likelihood='exact' if the model has a closed form" if trained else ""),
        )
    )


def check_fraction(name: str, value: Any) -> Any:
    """Return a value as numbers; refuse one that is known and not between 0 and 1."""
    value = as_numbers(name, value)
    known = known_numbers(value)
    if known is not None and not np.all((known >= 0) & (known <= 1)):
        raise ValueError(explain(f"{name} between 0 and 1", f"{known}", f"give {name} as a share of trials"))
    return value


def check_deadline(value: Any) -> Any:
    """Return a deadline as numbers; refuse one that is known and not above 0."""
    value = as_numbers("deadline", value)
    if (known := known_value(value)) is not None:
        check_deadlines(known, None)
    return value


def shared_by_trials(value: Any, grid: tuple[int, ...] | None) -> Any:
    """A variable with one value for all trials along an axis of trials of several: what PyTensor wants to be told."""
    known = known_value(value) if isinstance(value, Variable) and grid is not None and len(grid) > 1 else None
    if known is None or known.ndim != value.type.ndim:
        return value
    axes = [i for i, n in enumerate(known.shape) if n == 1 and value.type.shape[i] is None]
    return pt.specify_broadcastable(value, *axes) if axes else value


def _of_trials(known: NDArray[Any], grid: tuple[int, ...] | None) -> bool:
    """Whether an array may be one of trials of that grid, or of some of its axes; True where that is not known."""
    if grid is None or known.ndim == 1:
        return grid is None or known.size in grid
    try:
        return np.broadcast_shapes(known.shape, grid) == grid
    except ValueError:
        return False


def check_indices(name: str, value: Any, grid: tuple[int, ...] | None) -> None:
    """Refuse an index of trials, as in ``v[subject]``, that counts from the end: -1 is what a missing label becomes."""
    if not isinstance(value, Variable):
        return
    for index, indexed in _indices(value):
        known = known_value(index)
        if known is None or known.ndim == 0 or known.dtype.kind not in "iu" or not _of_trials(known, grid):
            continue
        known = known.ravel()
        n = _length(indexed)
        refuse(
            known >= (known.max(initial=0) + 1 if n is None else n),
            {"index": known},
            expected=f"numbers below {n}, the length of what they choose from, as the index of each trial in {name}",
            found="larger ones",
            remedy="count from 0: subject, names = pandas.factorize(df['subject'])",
        )
        refuse(
            known < 0,
            {"index": known},
            expected=f"numbers from 0 on as the index of each trial in {name}",
            found="negative ones, which count from the end (pandas.factorize gives -1 to a missing label),",
            remedy="give these trials a label before pandas.factorize, for instance df['subject'].fillna('unknown')",
        )


def check_covariates(name: str, value: Any, grid: tuple[int, ...] | None) -> None:
    """Refuse known values of each trial, such as a covariate, that are missing somewhere."""
    if not isinstance(value, Variable):
        return
    for variable in _inner(value):
        known = known_value(variable) if isinstance(variable, Constant | SharedVariable) else None
        if known is None or known.ndim != 1 or known.dtype.kind != "f" or not _of_trials(known, grid):
            continue
        refuse(
            np.isnan(known),
            {"value": known},
            expected=f"a number on every trial in what {name} is computed from",
            found="missing ones",
            remedy="fill them in, or let the model do so by a distribution of what is missing",
        )


def _length(indexed: Variable) -> int | None:
    """How many values a vector has, where that is known when the model is built."""
    static: int | None = indexed.type.shape[0]
    if static is not None or indexed.owner is None or not isinstance(indexed.owner.op, RandomVariable):
        return static
    size = known_value(indexed.owner.inputs[1])
    return int(size[0]) if size is not None and size.ndim == 1 and size.size else None


def _indices(value: Variable) -> Iterator[tuple[Variable, Variable]]:
    """The index arrays between a variable and the random variables that it is made of, with what they choose from."""
    for variable in _inner(value):
        if variable.owner is not None and isinstance(variable.owner.op, AdvancedSubtensor):
            indexed, *indices = variable.owner.inputs
            if len(indices) == 1 and indexed.type.ndim:
                yield indices[0], indexed


def _inner(value: Variable) -> Iterator[Variable]:
    """Yield everything between a variable and the random variables that it is made of."""
    seen, waiting = set(), [value]
    while waiting:
        variable = waiting.pop()
        if variable in seen:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is None or isinstance(variable.owner.op, RandomVariable | SymbolicRandomVariable):
            continue
        inputs = variable.owner.inputs
        waiting.extend(inputs[:1] if isinstance(variable.owner.op, AdvancedSubtensor) else inputs)
