"""How many trials there are: what dimensions, total sizes and lengths of arguments say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.model.core import Model as PyMCModel
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.labelled import Axis, Trials
from pymc_lan.distributions.values import known_value
from pymc_lan.errors import check_count, explain
from pymc_lan.ops.likelihood import checked

# Of an argument, its shape, where that is fixed.
Lengths = tuple[tuple[str, tuple[int | None, ...]], ...]


def names_of(dims: Any) -> tuple[Any, ...]:
    """The names of dimensions; ValueError for what are none."""
    names = (dims,) if isinstance(dims, str) else tuple(dims) if isinstance(dims, list | tuple) else (dims,)
    if not all(name is None or isinstance(name, str) for name in names):
        raise ValueError(explain("dims as the name of the trials' dimension", f"{dims!r:.80}", "give it as text"))
    return names


def check_dims(model: PyMCModel, names: Sequence[Any], grid: Sequence[int | None]) -> None:
    """Refuse dimensions of a model that are not those of the trials.

    Parameters
    ----------
    model : pymc.Model
    names : sequence of str
    grid : sequence of int or None
        The shape of the trials, as far as it is known.
    """
    if len(names) != len(grid):
        expected = f"{len(grid)} names as dims, one for each axis of the trials"
        raise ValueError(explain(expected, f"{len(names)}, {names}", "name each axis but that of rt and response"))
    for name, n in zip(names, grid, strict=True):
        if name not in model.dim_lengths:
            remedy = f"give the model its labels, pm.Model(coords={{{name!r}: ...}})"
            known = ", ".join(model.dim_lengths) or "(none)"
            raise ValueError(explain(f"dims that the model knows: {known}", f"{name!r}", remedy))
        length = known_value(model.dim_lengths[name])
        if n is not None and length is not None and int(length) != n:
            remedy = f"take coords={{{name!r}: ...}} from the table itself, as in df.index"
            raise ValueError(explain(f"{n} labels of {name!r}, one for each trial along it", f"{length}", remedy))


def trials_of_dims(model: PyMCModel, names: Sequence[Any]) -> Trials:
    """What a model says of the dimensions of its trials."""
    import pandas as pd

    labels = {name: model.coords.get(name) for name in names}
    axes = tuple(Axis(name, None if each is None else pd.Index(each)) for name, each in labels.items())
    return Trials(axes, "the model's dims", others=frozenset(model.dim_lengths) - set(names))


def check_total_size(value: Any) -> Any:
    """The total size as PyMC takes it: whole numbers, of the first axis or of several."""
    if not isinstance(value, list | tuple):
        return None if value is None else check_count("total_size", value)
    parts = [each if each is None or each is ... else check_count("total_size", each) for each in value]
    return parts if ... in parts else [*parts, ...]


def fixed_lengths(arguments: Mapping[str, Any]) -> Lengths:
    """The shapes of arguments that do not change with the data, and are not the same for every number of trials."""
    shapes = {name: x.type.shape if isinstance(x, Variable) else np.shape(x) for name, x in arguments.items()}
    return tuple((name, shape) for name, shape in shapes.items() if any(n not in (None, 1) for n in shape))


def of_fixed_length(value: TensorVariable, lengths: Lengths, axes: int) -> TensorVariable:
    """Hand on trials where there are as many as the fixed arguments have values; a ValueError else, but in JAX.

    Parameters
    ----------
    value : TensorVariable
        Trials that may be exchanged.
    lengths : Lengths
    axes : int
        How many axes of `value` are those of one trial.
    """
    shape = value.type.shape[: value.type.ndim - axes][::-1]
    wanted = [
        (name, value.shape[-1 - axes - i], n)
        for name, fixed in lengths
        for i, n in enumerate(fixed[::-1])
        if i < len(shape) and shape[i] is None and n not in (None, 1)
    ]
    if not wanted:
        return value
    names = ", ".join(dict.fromkeys(name for name, *_ in wanted))
    message = explain(
        f"as many trials as there are values of {names}, {wanted[0][2]}, because these do not change with the trials",
        "another number of trials when the model was evaluated",
        f"give {names} as pm.Data, too, and set them together (of pm.Minibatch, as more of its variables)",
    )
    return checked(value, pt.all([pt.eq(length, n) for _, length, n in wanted]), message)
