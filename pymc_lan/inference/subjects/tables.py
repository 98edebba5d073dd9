"""Each subject's table, and the model of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_lan.data.tables import as_table, whose
from pymc_lan.errors import explain
from pymc_lan.inference.posterior import resolve_model
from pymc_lan.inference.subjects.trace import Leaf, trace

Build = Callable[[Any], Any]

# The axis of subjects in what is returned, whatever their column is called.
SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Dims:
    """What a model calls the axes of its variables.

    Parameters
    ----------
    of : mapping of str to tuple of str
        By variable.
    labels : mapping of str to tuple
        By axis; without those that are only counted.
    """

    of: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One subject.

    Parameters
    ----------
    label : object
    table : DataFrame
        Their trials.
    n_trials : int
    lines, numbers
        Of their model, as of `pymc_lan.inference.subjects.trace.Trace`.
    dims : Dims
    """

    label: Any
    table: Any
    n_trials: int
    lines: tuple[Hashable, ...]
    numbers: list[Leaf]
    dims: Dims


def tables(df: Any, by: str) -> dict[Any, Any]:
    """The trials of each subject, who come in the order in which they first occur; rows are counted anew.

    Examples
    --------
    >>> import pandas as pd
    >>> found = tables(pd.DataFrame({"subject": ["b", "a", "b"], "rt": [0.4, 0.5, 0.6]}), "subject")
    >>> [*found], found["b"]["rt"].tolist()
    (['b', 'a'], [0.4, 0.6])
    """
    import narwhals.stable.v2 as nw

    frame = as_table(df, "df")
    return {label: nw.maybe_reset_index(frame[at]).to_native() for label, at in rows_of(df, by).items()}


def rows_of(df: Any, by: str) -> dict[Any, list[int]]:
    """The rows of each subject, in the order in which they first occur.

    Raises
    ------
    ValueError
        For a table without rows, or without that column.
    """
    rows: dict[Any, list[int]] = {}
    for i, label in enumerate(whose(df, by).tolist()):
        rows.setdefault(label, []).append(i)
    if not rows:
        raise ValueError(explain("a table with trials", "no rows", "pass one with a row for each trial"))
    return rows


def model_of(build: Build, label: Any, table: Any) -> Any:
    """The model of one subject; errors say whose it is."""
    from pymc.model.core import Model

    try:
        found = build(table)
        # What `pymc_lan.regression` returns has one.
        found = found if isinstance(found, Model) else getattr(found, "model", found)
        if isinstance(found, Model):
            return resolve_model(found)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Subject {label!r}: {error}") from error
    remedy = "let build end with 'return model'"
    raise TypeError(explain("build(df) to return a PyMC model", f"{found!r:.80} for subject {label!r}", remedy))


def subject(label: Any, table: Any, model: Any) -> Subject:
    """What is kept of a model: not itself, of which there may be thousands."""
    written = trace(model)
    n_trials = len(as_table(table, "df"))
    return Subject(label, table, n_trials, written.lines, written.numbers, dims_of(model))


def dims_of(model: Any) -> Dims:
    """What a model calls the axes of its variables."""
    own = {x.name for x in (*model.free_RVs, *model.deterministics)}
    of = {name: tuple(dims) for name, dims in model.named_vars_to_dims.items() if name in own}
    used = {dim for dims in of.values() for dim in dims}
    labels = {dim: tuple(x) for dim, x in model.coords.items() if dim in used and x is not None}
    return Dims(of, labels)


def check_alike(subjects: Sequence[Subject], shapes: Sequence[Mapping[str, tuple[int, ...]]]) -> None:
    """Refuse variables that are not the same for all subjects, which no array of all can hold.

    Raises
    ------
    ValueError
    """
    first, expected = subjects[0], "the same variables in the same shapes for every subject"
    remedy = "let build take names, levels and coords from all subjects' data, not from the table it is given"
    for one, other in zip(subjects, shapes, strict=True):
        if other != shapes[0]:
            name = next(x for x in (*shapes[0], *other) if shapes[0].get(x) != other.get(x))
            both = (f"{name} {_shape(x, name)} for {s.label!r}" for x, s in ((shapes[0], first), (other, one)))
            raise ValueError(explain(expected, " and ".join(both), remedy))
    axes = {dim for name in shapes[0] for dim in first.dims.of.get(name, ())}
    if SUBJECT in axes:
        raise ValueError(
            explain(f"another name than {SUBJECT!r} for an axis of one subject's model", "it", "rename it")
        )
    for one in subjects:
        for dim in axes:
            here, there = (s.dims.labels.get(dim) for s in (first, one))
            if not _equal(here, there):
                found = f"{dim} {here!s:.80} for {first.label!r} and {there!s:.80} for {one.label!r}"
                raise ValueError(explain("the same labels along an axis for every subject", found, remedy))


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return f"of shape {shapes[name]}" if name in shapes else "missing"


def _equal(x: Any, y: Any) -> bool:
    return x is y or (x is not None and y is not None and np.array_equal(np.array(x, object), np.array(y, object)))
