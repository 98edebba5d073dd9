"""What a model is apart from its data: two models of one shape are one graph with other numbers in it.

A graph is written down as lines, one for each of its nodes in the order of a walk from the model's variables. Numbers
that users, or their tables, may have put in are not part of a line: they are leaves, in the order of that walk.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Leaf = NDArray[Any]


# What Python notes of any class, which says nothing of what it does.
OF_PYTHON = frozenset({"__module__", "__doc__", "__dict__", "__abstractmethods__", "_abc_impl"})


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A model, as far as it can be compared.

    Parameters
    ----------
    lines : tuple
        Equal for models that are the same graph.
    variables : tuple of Variable
        The leaves that hold numbers: constants and data.
    """

    lines: tuple[Hashable, ...]
    variables: tuple[Any, ...]

    @property
    def numbers(self) -> list[Leaf]:
        """What the leaves hold."""
        return [np.asarray(x.get_value() if hasattr(x, "get_value") else x.data) for x in self.variables]


def roots(model: Any) -> list[Any]:
    """All that a model's density, and what is computed from its variables, is made of."""
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [*model.free_RVs, *model.observed_RVs, *observed, *model.potentials, *model.deterministics]


def trace(model: Any) -> Trace:
    """Write down a model.

    Parameters
    ----------
    model : pm.Model

    Returns
    -------
    Trace

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> def build(y):
    ...     with pm.Model() as model:
    ...         pm.Normal("y", pm.Normal("x"), y[0], observed=y)
    ...     return model
    >>> one, other = trace(build(np.array([1.0, 2.0]))), trace(build(np.array([3.0, 4.0, 5.0])))
    >>> one.lines == other.lines, len(other.variables[-1].data)
    (True, 3)
    """
    lines: list[Hashable] = [_names(model), tuple(_of_transform(x) for x in model.rvs_to_transforms.values())]
    leaves: list[Any] = []
    places: dict[Any, Hashable] = {}
    for variable in _walk(roots(model)):
        if variable.owner is None:
            line = _of_leaf(variable)
            leaves += [variable] if line[0] == "numbers" else []
            places[variable] = len(lines)
        else:
            node = variable.owner
            line = (_of_op(node.op), *(places[x] for x in node.inputs))
            places |= {x: (len(lines), i) for i, x in enumerate(node.outputs)}
        lines.append(line)
    lines.append(tuple(places[x] for x in roots(model)))
    return Trace(tuple(lines), tuple(leaves))


def _walk(outputs: Sequence[Any]) -> Iterator[Any]:
    """Variables, what they are made of before them; of each node one."""
    done: set[Any] = set()
    waiting = [*reversed(outputs)]
    while waiting:
        variable = waiting[-1]
        node = variable.owner
        left = [] if node is None or node in done else [x for x in node.inputs if (x.owner or x) not in done]
        if left:
            waiting += reversed(left)
            continue
        waiting.pop()
        if (node or variable) not in done:
            done.add(node or variable)
            yield variable


def _names(model: Any) -> Hashable:
    kinds = (model.free_RVs, model.observed_RVs, model.potentials, model.deterministics)
    return tuple(tuple(x.name for x in kind) for kind in kinds)


def _of_leaf(variable: Any) -> tuple[Hashable, ...]:
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.basic import Constant
    from pytensor.tensor.type import TensorType

    kind = variable.type
    if isinstance(variable, Constant | SharedVariable) and isinstance(kind, TensorType):
        number = variable.data if isinstance(variable, Constant) else variable.get_value(borrow=True)
        # What has no end is left out of formulas when they are written.
        special = str(number) if kind.ndim == 0 and not np.isfinite(number) else None
        return ("numbers", kind.dtype, kind.ndim, special)
    if isinstance(variable, Constant):
        return ("constant", type(kind).__name__, variable.signature())
    return ("random",) if isinstance(variable, SharedVariable) else ("unknown", id(variable))


def _of_op(op: Any) -> Hashable:
    """An op, or what its class holds: PyMC writes a class for each variable of pm.CustomDist; pm.LogitNormal is one.

    Its graph, which has numbers of its own, and the functions that were given are then the same, or the models differ.
    """
    from pymc.distributions.custom import CustomDistRV, CustomSymbolicDistRV
    from pymc.logprob.abstract import _logcdf, _logprob

    if not isinstance(op, CustomDistRV | CustomSymbolicDistRV):
        return cast("Hashable", op)
    kind = type(op)
    own = [(name, _of_transform(x)) for name, x in sorted(vars(kind).items()) if name not in OF_PYTHON]
    given = [
        (where.__name__, _of_transform(_cells(where.registry[kind])))
        for where in (_logprob, _logcdf)
        if kind in where.registry
    ]
    return (kind.__bases__, *own, *given, op.ndim_supp, getattr(op, "fgraph", None))


def _cells(function: Any) -> list[Any]:
    """What a function closes over, but for variables that it only counts."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [cell.cell_contents for name, cell in cells if name != "dist_params"]


def _of_transform(x: Any) -> Hashable:
    """A transform, or what its functions hold: PyMC writes one anew for each variable; as much of anything else."""
    match x:
        case None | bool() | int() | float() | str() | CodeType():
            return x
        case tuple() | list():
            return tuple(map(_of_transform, x))
        case FunctionType():
            cells = [cell.cell_contents for cell in x.__closure__ or ()]
            return (x.__code__, *map(_of_transform, cells), *map(_of_transform, x.__defaults__ or ()))
    if hasattr(x, "backward") and hasattr(x, "log_jac_det"):
        return (type(x), *((name, _of_transform(value)) for name, value in sorted(vars(x).items())))
    # Whatever else compares by what it is: an op by its properties, most things by themselves.
    return x if isinstance(x, Hashable) else id(x)
