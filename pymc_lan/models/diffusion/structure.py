"""What the functions of a diffusion depend on, which decides how its networks see it and how it is solved."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.models.parameters import Parameter
from pymc_lan.numerics.passage import Boundary, Drift, Theta

# Where the displacement by a drift that changes is looked at. What it does in between is lost to the network, whose
# errors were twice as large for `gamma_drift` with three points.
BENDS = ((np.polynomial.legendre.leggauss(6)[0] + 1) / 2).tolist()
# Ends of the periods when there is no deadline, in units of the squared boundary.
PERIODS = (0.05, 0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.5, 9.0)

# Inputs that the second view of a moving boundary adds to the first.
CURVED_INPUTS = 3
# What a config calls the first view of a path, and the second.
PATH, CURVED = PATH_TAGS = ("path", "curved")


class Structure(NamedTuple):
    """What the functions of a diffusion depend on.

    Parameters
    ----------
    positional : bool
        Whether the drift depends on position.
    varying : bool
        Whether the drift depends on time.
    moving : bool
        Whether the boundary does.
    linear : bool
        Whether the drift is linear in the position, with a slope that does not change.
    """

    positional: bool
    varying: bool
    moving: bool
    linear: bool = True


class Process(Protocol):
    """A diffusion between two boundaries, as solvers and networks see it."""

    def __hash__(self) -> int:
        """What is found of a process is kept."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its parameters, within bounds."""

    @property
    def structure(self) -> Structure | None:
        """What its functions depend on; None where it is read off from them."""

    @property
    def drift(self) -> Drift:
        """``drift(time, position, theta)``."""

    @property
    def boundary(self) -> Boundary:
        """``boundary(time, theta)``."""

    @property
    def closes(self) -> Callable[[Theta], Any] | None:
        """``closes(theta)``: for boundaries that collapse, the time in seconds by which they have practically met."""


def density_inputs(kind: Structure) -> int:
    """How many inputs the likelihood network of such a process has: four, and those of the shape of its path."""
    return 4 + (5 if kind.moving else int(kind.varying)) + (3 + len(BENDS)) * kind.varying + 5 * kind.positional


def deadline_inputs(kind: Structure) -> int:
    """How many inputs its choice/deadline network has: nine, and those of the periods."""
    return 9 + len(PERIODS) * (kind.moving + kind.varying) + 2 * kind.positional


def structure_of(process: Process) -> Structure:
    """What a process depends on: as it says, without JAX, or read off from its functions."""
    return process.structure if process.structure is not None else structure(process)


@cache
def structure(process: Process) -> Structure:
    """What a model's functions depend on: as its author says, or read off from the traced functions.

    Raises
    ------
    ValueError
        If its author leaves out what they depend on, or JAX cannot follow them from numbers to a number.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import MODELS
    >>> from pymc_lan.models.diffusion.structure import structure
    >>> structure(MODELS["hyperbolic_collapse"])
    Structure(positional=False, varying=False, moving=True, linear=True)
    """
    drift = _traced(process, "drift", process.drift)
    boundary = _traced(process, "boundary", lambda t, x, theta: process.boundary(t, theta))
    slope = _traced(process, "drift", lambda t, x, theta: _slope(process, t, x, theta))
    found = Structure(
        positional=_depends(drift, 1),
        varying=_depends(drift, 0),
        moving=_depends(boundary, 0),
        linear=not any(_depends(slope, i) for i in (0, 1)),
    )
    if process.structure is None:
        return found
    # Saying that more depends on them costs time only; less would leave it out of labels and networks.
    if not all(x >= y for x, y in zip(_generality(process.structure), _generality(found), strict=True)):
        remedy = "leave structure out of the spec, and it is read off from drift and boundary"
        expected = f"a structure of {process.name!r} that covers {found}"
        raise ValueError(explain(expected, f"{process.structure}", remedy))
    return process.structure


def _generality(kind: Structure) -> tuple[bool, ...]:
    return kind.positional, kind.varying, kind.moving, not kind.linear


def _slope(process: Process, t: Any, x: Any, theta: Theta) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.grad(lambda y: jnp.asarray(process.drift(t, y, theta), y.dtype))(x)


def _traced(process: Process, what: str, function: Callable[[Any, Any, Theta], Any]) -> Any:
    """What JAX makes of a function of time, position and parameters; a ValueError where that is not one number."""
    import jax
    import jax.numpy as jnp

    theta = {p.name: 0.5 * (p.bounds[0] + p.bounds[1]) for p in process.parameters}
    names = ", ".join(f"theta[{name!r}]" for name in theta)
    expected = f"a {what} of model {process.name!r} that JAX can follow from numbers to one number"
    remedy = f"write it with plain arithmetic and jax.numpy (jnp.where in place of if), of {names}"

    def real(*args: Any) -> Any:
        found = jnp.asarray(function(*args))
        if jnp.iscomplexobj(found):
            raise TypeError("a complex number")
        return jnp.asarray(found, float)

    try:
        closed = jax.make_jaxpr(real)(0.5, 0.1, theta)
    except Exception as error:  # whatever the function raises
        said = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(explain(expected, f"{type(error).__name__}: {said}", remedy)) from error
    if closed.out_avals[0].shape:
        raise ValueError(explain(expected, f"an array of shape {closed.out_avals[0].shape}", remedy))
    return closed


def _depends(closed: Any, argument: int) -> bool:
    """Whether what was traced uses one of its arguments."""
    from jax.extend import core

    tainted = {closed.jaxpr.invars[argument]}
    for equation in closed.jaxpr.eqns:
        if any(not isinstance(x, core.Literal) and x in tainted for x in equation.invars):
            tainted |= set(equation.outvars)
    return any(not isinstance(x, core.Literal) and x in tainted for x in closed.jaxpr.outvars)
