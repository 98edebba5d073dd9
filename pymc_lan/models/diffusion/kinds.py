"""The functions that closed forms stand for, and what each kind of likelihood takes for granted of a model.

A likelihood in closed form calls neither drift nor boundary. So a model with others would be fitted by one density and
simulated by another: what a kind does not see is refused when the model is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pymc_lan.errors import explain, unknown
from pymc_lan.numerics.passage import Boundary, Drift, Theta


def constant_drift(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v."""
    return theta["v"]


def constant_boundary(time: Any, theta: Theta) -> Any:
    """Boundary a."""
    return theta["a"]


def straight_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a at the angle theta."""
    import jax.numpy as jnp

    return theta["a"] - time * jnp.tan(theta["theta"])


def no_boundaries(time: Any, *_: Any) -> Any:
    """Stand for drift and boundary of a model that has neither: a ValueError."""
    raise ValueError(
        explain(
            "a diffusion between two boundaries",
            "a race of accumulators",
            "use its distribution or simulate it",
        )
    )


def unknown_dynamics(time: Any, *_: Any) -> Any:
    """Stand for the drift and the boundary of a model of which only a simulator or a network is known: a ValueError."""
    raise ValueError(
        explain(
            "a model whose drift and boundary are known, to simulate it",
            "one of which only a network was imported, or that is known by its simulator",
            "give a Model as model when importing, or do not draw from it",
        )
    )


class Kind(NamedTuple):
    """What a kind of likelihood takes for granted.

    Parameters
    ----------
    drift, boundary : callable, optional
        The only ones that it stands for; None: it follows any.
    parameters : tuple of str
        Those that it looks up by name.
    exact : tuple of bool
        What `Model.exact` may be.
    varies : mapping of str to str
        Parameters that may vary across trials, and how they are distributed.
    always : str, optional
        The parameter that holds the spread, of a kind in which all of `varies` do vary.
    """

    drift: Drift | None = None
    boundary: Boundary | None = None
    parameters: tuple[str, ...] = ()
    exact: tuple[bool, ...] = (False,)
    varies: Mapping[str, str] = {}
    always: str | None = None


_ANY, _DDM, _EITHER = ("z", "t"), ("v", "a", "z", "t"), (False, True)
_CLOSED_RACE = Kind(no_boundaries, no_boundaries, ("t",), exact=(True,))
_LEARNED_RACE = Kind(no_boundaries, no_boundaries, ("t",))
_FROM_TRIALS = Kind(unknown_dynamics, unknown_dynamics)

KINDS: Mapping[str, Kind] = {
    "path": Kind(parameters=_ANY),
    "constant_drift": Kind(constant_drift, constant_boundary, _DDM, _EITHER),
    "variable_drift": Kind(constant_drift, constant_boundary, (*_DDM, "sv"), _EITHER, {"v": "normal"}, always="sv"),
    "straight_boundary": Kind(constant_drift, straight_boundary, (*_DDM, "theta"), _EITHER),
    "spread": Kind(constant_drift, constant_boundary, _DDM, varies={"z": "uniform", "v": "normal", "t": "uniform"}),
    "simulated": _FROM_TRIALS,
    "responses": _FROM_TRIALS,
    "lba": _CLOSED_RACE,
    "racing_diffusion": _CLOSED_RACE,
    "poisson_race": _CLOSED_RACE,
    "reflected": _LEARNED_RACE,
    "reflected_no_bias": _LEARNED_RACE,
}
"""Kinds of likelihood by the name that `Model.transform` gives."""

# Values of `Model.view`.
VIEWS = ("residual", "plain", "plain_omission")

_OWN = "for a diffusion by functions of your own give transform='path', exact=False and variability=(), and train it"
_VARYING = (
    "take ddm_sdv, ddm_st or full_ddm, or let the function of a pl.simulator_spec draw what varies from trial to trial"
)


def check_kind(spec: Any) -> None:
    """Check that a model has nothing that its kind of likelihood would pass over in silence.

    Parameters
    ----------
    spec : Model

    Raises
    ------
    ValueError
        If it has, or names a kind, a view or a shift that does not exist.
    """
    for what, name, known in (("transform", spec.transform, KINDS), ("view", spec.view, VIEWS)):
        if name not in known:
            raise ValueError(unknown(what, name, known))
    kind, names = KINDS[spec.transform], [p.name for p in spec.parameters]
    here = f"model {spec.name!r} with transform={spec.transform!r}"
    for what, needed, given in (("drift", kind.drift, spec.drift), ("boundary", kind.boundary, spec.boundary)):
        if needed is not None and given is not needed:
            expected = f"{needed.__name__} as the {what} of {here}, whose density stands for that function"
            raise ValueError(explain(expected, f"{_name(given)}, which would never be called", _OWN))
    if spec.exact not in kind.exact:
        remedy = f"give exact={kind.exact[0]}, or the transform of the closed form"
        raise ValueError(explain(f"exact={kind.exact[0]} of {here}", f"exact={spec.exact}", remedy))
    _check_names(spec, kind, names, here)
    _check_variability(spec, kind, names, here)


def _check_names(spec: Any, kind: Kind, names: list[str], here: str) -> None:
    if spec.shift is not None and spec.shift not in names:
        raise ValueError(unknown(f"shift of model {spec.name!r}", spec.shift, names))
    # A network that sees trials as they are looks up nothing but its own parameters.
    if spec.view != VIEWS[0]:
        return
    if missing := [name for name in kind.parameters if name not in names]:
        found = f"no {' and no '.join(missing)} among {', '.join(names) or 'none'}"
        remedy = "name them so; a z of 0.5 or a t of 0 is a parameter that distributions are given as a constant"
        raise ValueError(explain(f"the parameters {', '.join(kind.parameters)} of {here}", found, remedy))
    if "t" in kind.parameters and spec.shift != "t":
        raise ValueError(explain(f"shift='t' of {here}", f"shift={spec.shift!r}", "call the non-decision time t"))


def _check_variability(spec: Any, kind: Kind, names: list[str], here: str) -> None:
    found = [(each.parameter, each.distribution, each.spread) for each in spec.variability]
    known = len({name for name, _, _ in found}) == len(found) and all(
        kind.varies.get(name) == how and kind.always in (None, by) and by in names for name, how, by in found
    )
    if not known or (kind.always and len(found) < len(kind.varies)):
        may = ", ".join(f"{name} ({how}, by {kind.always or 'a parameter'})" for name, how in kind.varies.items())
        has = ", ".join(f"{name} ({how}, by {by})" for name, how, by in found) or "none"
        expected = f"variability of {may or 'nothing'} across trials in {here}, which knows no other"
        raise ValueError(explain(expected, has, _VARYING))


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
