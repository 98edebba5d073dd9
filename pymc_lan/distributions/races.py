"""Races of any number of accumulators: what each has for itself lies along the last axis of one argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, final

import numpy as np
import pytensor.tensor as pt
from pymc.pytensorf import constant_fold
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.tables import column_names
from pymc_lan.distributions.landist import LANDist
from pymc_lan.distributions.values import as_numbers, known_value
from pymc_lan.errors import explain, unknown
from pymc_lan.models.model import Model
from pymc_lan.models.race.catalogue import lba, log_normal_race, racing_diffusion, reflected


class OfAnyNumber:
    """A model whose number of accumulators, or options, is how many values an argument has; abstract."""

    family: ClassVar[Any] = LANDist
    # From the number to the model, the arguments in order, those that each accumulator has for itself, and defaults.
    make: ClassVar[Callable[[int], Model]]
    arguments: ClassVar[tuple[str, ...]]
    own: ClassVar[tuple[str, ...]]
    defaults: ClassVar[dict[str, float]] = {}

    def __new__(cls, name: str, *args: Any, **kwargs: Any) -> TensorVariable:  # type: ignore[misc]
        """Add the trials to the current PyMC model."""
        model, theta, others = cls._bind(args, kwargs)
        return cls.family(name, model, **theta, **others)

    @classmethod
    def dist(cls, *args: Any, **kwargs: Any) -> TensorVariable:
        """Return trials outside a model, for `pm.draw` and `pm.logp`."""
        model, theta, others = cls._bind(args, kwargs)
        return cls.family.dist(model, **theta, **others)

    @classmethod
    def _bind(cls, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Model, dict[str, Any], dict[str, Any]]:
        """The model, its parameters by name, and the other arguments."""
        if len(args) > len(cls.arguments):
            expected = f"at most the {len(cls.arguments)} parameters {', '.join(cls.arguments)} of {cls.__name__}"
            raise ValueError(explain(expected, f"{len(args)} positional arguments", "give everything else by name"))
        given = dict(zip(cls.arguments, args, strict=False))
        for name in cls.arguments:
            if name in given and name in kwargs:
                raise ValueError(
                    explain(f"{name} once", f"{name} by position and by name", f"give {name} by name only")
                )
        given |= {name: kwargs[name] for name in cls.arguments if name in kwargs}
        others = {name: x for name, x in kwargs.items() if name not in cls.arguments}
        if missing := [name for name in cls.arguments if name not in given and name not in cls.defaults]:
            expected = f"the parameters {', '.join(cls.arguments)} of {cls.__name__}"
            raise ValueError(explain(expected, f"no {missing[0]}", f"give {missing[0]}=..."))
        first, *further = cls.own
        each = {first: columns(first, given[first])}
        n = len(each[first])
        each |= {name: columns(name, given[name], n) for name in further}
        theta = {f"{name}{i}" if n > 1 else name: x for name, values in each.items() for i, x in enumerate(values)}
        theta |= {name: x for name, x in (cls.defaults | given).items() if name not in cls.own}
        model = cls.make(n)
        for name in others:
            if name in model.names:
                raise ValueError(unknown("parameter", name, cls.arguments, of=cls.__name__))
        return model, theta, others


def columns(name: str, value: Any, n: int | None = None) -> list[Any]:
    """Values of each accumulator, which lie along the last axis; `n` times the same where there is one for all.

    Raises
    ------
    ValueError
        For a number where the accumulators are to be counted, another number of them, or one that is not known.
    """
    if isinstance(value, list | tuple) and any(isinstance(x, Variable) for x in value):
        value = pt.stack(pt.broadcast_arrays(*(pt.as_tensor_variable(x) for x in value)), axis=-1)
    if (names := column_names(value)) is not None:
        found = [value[each] for each in names]
    elif hasattr(value, "isel"):
        found = [value.isel({value.dims[-1]: i}) for i in range(value.shape[-1])]
    else:
        array: Any = value if isinstance(value, Variable) else as_numbers(name, value)
        if array.ndim == 0 and n is not None:
            return [value] * n
        if array.ndim == 0:
            remedy = f"give {name} of shape (n,), or (trials, n)"
            raise ValueError(explain(f"{name} of each accumulator along its last axis", "a single number", remedy))
        found = [array[..., i] for i in range(_length(name, array))]
    if n not in (None, len(found)):
        raise ValueError(explain(f"{n} values of {name}, one for each accumulator", f"{len(found)}", "give as many"))
    return found


def _length(name: str, array: Any) -> int:
    """How long the last axis is."""
    known = array.type.shape if isinstance(array, Variable) else np.shape(array)
    if known[-1] is not None:
        return int(known[-1])
    (folded,) = constant_fold([array.shape[-1]], raise_not_constant=False)
    if (found := known_value(folded)) is None:
        remedy = f"tell by pt.specify_shape({name}, (None, n)), or make it of shape=(..., n)"
        raise ValueError(explain(f"a number of accumulators that is known, in the last axis of {name}", "none", remedy))
    return int(found)


@final
class LBA(OfAnyNumber):
    """Linear ballistic accumulators, any number of them: see `LBA3`.

    Parameters
    ----------
    name : str
        Left out in ``LBA.dist``.
    A : tensor_like
        Upper end of the starting points, which are uniform from 0.
    b : tensor_like
        Threshold, A or more.
    v : tensor_like
        Mean drift of each accumulator, of shape (n,) or (trials, n).
    t : tensor_like
        Non-decision time in seconds, 0 where it is left out.
    **kwargs
        As `LANDist` has them. Responses are 0 to n - 1.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.LBA.dist(0.3, 0.5, [0.6, 0.4, 0.3, 0.2, 0.2], 0.1, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    make = staticmethod(lba)
    arguments = ("A", "b", "v", "t")
    own = ("v",)
    defaults: ClassVar[dict[str, float]] = {"t": 0.0}


@final
class RDM(OfAnyNumber):
    """Racing diffusions with one boundary each, any number of them: see `RDM3`.

    Parameters
    ----------
    name : str
        Left out in ``RDM.dist``.
    A : tensor_like
        Upper end of the starting points, which are uniform from 0.
    b : tensor_like
        Threshold, A or more.
    v : tensor_like
        Drift of each accumulator, above 0, of shape (n,) or (trials, n).
    t : tensor_like
        Non-decision time in seconds.
    **kwargs
        As `LANDist` has them. Responses are 0 to n - 1.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.RDM.dist(0.5, 1.5, [1.0, 2.0], 0.2, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    make = staticmethod(racing_diffusion)
    arguments = ("A", "b", "v", "t")
    own = ("v",)


@final
class LNR(OfAnyNumber):
    """Race of any number of accumulators whose finishing times are log-normal.

    Parameters
    ----------
    name : str
        Left out in ``LNR.dist``.
    m : tensor_like
        Mean of the log of each accumulator finishing time in seconds, of shape (n,) or (trials, n).
    s : tensor_like
        Its standard deviation: one for all accumulators, or of the shape of `m`.
    t : tensor_like
        Non-decision time in seconds.
    **kwargs
        As `LANDist` has them. Responses are 0 to n - 1.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.LNR.dist([-0.5, 0.0], 0.4, 0.2, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    make = staticmethod(log_normal_race)
    arguments = ("m", "s", "t")
    own = ("m", "s")


@final
class Race(OfAnyNumber):
    """Race of any number of reflected diffusions, by the networks of one of them: see `Race3`.

    Parameters
    ----------
    name : str
        Left out in ``Race.dist``.
    v : tensor_like
        Drift of each accumulator, 0 to 2.5, of shape (n,) or (trials, n).
    a : tensor_like
        Boundary, 1 to 3.
    z : tensor_like
        Relative starting point, 0 to 0.9: one for all accumulators, or of the shape of `v`.
    t : tensor_like
        Non-decision time in seconds.
    **kwargs
        As `LANDist` has them. Responses are 0 to n - 1.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.Race.dist([1.5, 0.5], 1.5, 0.2, 0.1, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    make = staticmethod(reflected)
    arguments = ("v", "a", "z", "t")
    own = ("v", "z")
