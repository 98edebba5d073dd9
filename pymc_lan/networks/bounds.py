"""Draws outside the bounds of a model: which they are, the sentence that says so, and a count while predicting."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter


def limits(p: Parameter, *, trained: bool) -> tuple[float, float]:
    """Bounds that a network was trained on or, of a closed form, those of the model itself."""
    return p.bounds if trained else p.domain


def outside(
    spec: Model, values: Mapping[str, Any], *, trained: bool, margin: float = 0.0
) -> dict[str, NDArray[np.bool_]]:
    """Whether values leave their parameter's bounds, or come near them.

    Parameters
    ----------
    spec : Model
    values : mapping of str to ndarray
    trained : bool
        Whether a network is looked at.
    margin : float
        A share of the bounds' distance: how near is near.

    Returns
    -------
    dict of str to ndarray of bool
        Of the shape of each parameter's values.
    """
    result = {}
    for p in spec.parameters:
        (low, high), x = limits(p, trained=trained), np.asarray(values[p.name])
        free = margin * (high - low) if np.isfinite(high - low) else 0.0
        result[p.name] = (x < low + free) | (x > high - free)
    return result


def has_closed_form(op: Any) -> bool:
    """Whether the exact likelihood of what a distribution observes is known in closed form."""
    exact = op.spec.exact
    return exact is not None and bool(op.observation.is_known(exact.known))


def say_outside(op: Any, shares: Mapping[str, float], n: int) -> str:
    """Word a warning of draws outside the bounds.

    Parameters
    ----------
    op : TrialRV or ResponseRV
    shares : mapping of str to float
        Share of the draws by parameter, of those that leave their bounds.
    n : int
        Number of draws that were looked at.

    Returns
    -------
    str
    """
    spec, trained = op.spec, op.lan is not None
    named = {name: limits(spec.parameter(name), trained=trained) for name in shares}
    expected = " and ".join(f"{name} within {low:g} to {high:g}" for name, (low, high) in named.items())
    whose = f"where the network of {spec.name!r} was trained" if trained else f"the domain of {spec.name!r}"
    found = ", ".join(f"{name} outside in {share:.3g} %" for name, share in ((k, 100 * x) for k, x in shares.items()))
    wider = trained and _old(spec, named)
    others = [f"use the default version of {spec.name!r}, whose bounds are wider"] if wider else []
    others += ["use likelihood='exact'"] if trained and has_closed_form(op) else []
    others += ["give priors that stay inside, if no value outside is plausible"]
    why = "; there the likelihood only leads back, so the posterior is cut at the bounds" if trained else ""
    return explain(f"posterior draws with {expected}, {whose}", f"{found} of {n} draws{why}", ", or ".join(others))


def _old(spec: Model, names: Iterable[str]) -> bool:
    """Whether this release knows the model within wider bounds of any of these parameters."""
    newest = MODELS.get(spec.name)
    if newest is None:
        return False
    known = [name for name in names if name in newest.names]  # a model of one's own may be called so, too
    return any(np.ptp(newest.parameter(name).bounds) > np.ptp(spec.parameter(name).bounds) for name in known)


class Watch:
    """Counts the draws of one compiled random function, and warns of those outside the bounds.

    Predictions come one posterior draw at a time, so the share is told at the first draw outside and again whenever the
    number of draws reaches a power of ten. Draws that do not come from a posterior are counted in silence: a prior may
    reach further than a network.

    Parameters
    ----------
    op : TrialRV or ResponseRV
    """

    def __init__(self, op: Any):
        self.op, self.n, self.found = op, 0, dict.fromkeys(op.spec.names, 0)

    def see(self, values: Mapping[str, Any]) -> None:
        """Look at the parameters of all trials of one draw."""
        self.n, before = self.n + 1, any(self.found.values())
        for name, where in outside(self.op.spec, values, trained=self.op.lan is not None).items():
            self.found[name] += bool(where.any())
        shares = {name: k / self.n for name, k in self.found.items() if k}
        if shares and (not before or self.n == 10 ** round(np.log10(self.n))) and (level := _predicting()):
            # By this time of a long run, and not yet of all of it.
            warnings.warn(say_outside(self.op, shares, self.n), UserWarning, stacklevel=level)


def watch(op: Any, node: Any, inputs: Any) -> None:
    """Look at the inputs of a random variable that is about to be drawn from; the count belongs to its node.

    Parameters
    ----------
    op : TrialRV or ResponseRV
        Its last inputs are its parameters.
    node : Apply
    inputs : sequence of ndarray
    """
    if not hasattr(node.tag, "watch"):
        node.tag.watch = Watch(op)
    node.tag.watch.see(dict(zip(op.parameters, inputs[-len(op.parameters) :], strict=True)))


def _predicting() -> int:
    """How many levels up the stack PyMC's posterior predictive draws were asked for; 0 where they were not."""
    frame: FrameType | None = sys._getframe(2)
    level = 2
    while frame is not None:
        if frame.f_code.co_name == "sample_posterior_predictive" and frame.f_globals.get("__name__", "")[:5] == "pymc.":
            return level + 1
        frame, level = frame.f_back, level + 1
    return 0
