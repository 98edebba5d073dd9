"""Families for bambi: its formulas and its `interpret`, with the likelihood and the links of a model from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lan.distributions.base import TrialDistribution, resolve_model
from pymc_lan.distributions.gonogo import GoNoGo
from pymc_lan.distributions.landist import LANDist
from pymc_lan.errors import explain, unknown
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.simulator.logits import require_times
from pymc_lan.registry.sources import AnyModel
from pymc_lan.regressions.links import link_of

# What may be the same in all trials, beside parameters.
FIXED = (
    *("deadline", "p_lapse", "lapse_go", "lapse_window", "missing", "rt_interval", "truncation"),
    *("likelihood", "weights"),
)
# Arguments that elsewhere may name columns.
COLUMNS = ("deadline", "rt_interval", "truncation")
# What both kinds of distributions look for in the columns of a table, which bambi does not hand on.
NO_COLUMNS: Mapping[type[TrialDistribution], Mapping[str, None]] = {
    LANDist: {"deadline": None},
    GoNoGo: {"deadline": None, "trial_type": None},
}


@dataclass(frozen=True, slots=True)
class Trials:
    """A distribution that knows its model and what is the same in all trials, as bambi calls one.

    Parameters
    ----------
    form : type
        `LANDist` or `GoNoGo`.
    model : str, Model, path or Network
    fixed : mapping
        Its arguments that are no parameters of the family.
    """

    form: type[TrialDistribution]
    model: AnyModel
    fixed: Mapping[str, Any]

    def __call__(self, name: str, **parameters: Any) -> TensorVariable:
        """Add the trials to the current PyMC model."""
        return self.form(name, self.model, **self.fixed, **parameters)

    def dist(self, **parameters: Any) -> TensorVariable:
        """Trials outside a model."""
        return self.form.dist(self.model, **self.fixed, **parameters)


def bambi_family(
    model: AnyModel,
    *,
    parent: str | None = None,
    go_nogo: bool = False,
    links: Mapping[str, Any] | None = None,
    **fixed: Any,
) -> Any:
    """Make a bambi family of a model, for ``bmb.Model("c(rt, response) ~ ...", df, family=...)``.

    Parameters
    ----------
    model : str, Model, path or Network
        As of `LANDist`.
    parent : str, optional
        The parameter that the formula's first line is about; by default v or, where there is none, the first.
    go_nogo : bool
        Whether the upper boundary is a press, and a trial without one has rt = inf. `v` is then the drift of every
        trial; types of trials are a predictor of it, as in ``c(rt, response) ~ 0 + trial_type``.
    links : dict, optional
        Links of bambi, by parameter, in place of those that keep parameters inside the trained bounds.
    **fixed
        Numbers for parameters that are not estimated (``z=0.5``), and what is the same in all trials: ``deadline``,
        ``p_lapse`` with its ``lapse_window``, ``lapse_go``, ``likelihood``, ``weights``, ``missing``, ``rt_interval``
        and ``truncation``. bambi leaves out rows with empty cells: write inf, or
        0 and -1, as for arrays (`as_observed`).

    Returns
    -------
    bambi.Family
        A parameter without a formula has a uniform prior on its trained bounds, unless ``priors=`` of the model says
        otherwise.

    Raises
    ------
    ImportError
        Without bambi, the extra ``bambi``.
    ValueError
        If an argument is unknown, a value is not the same in all trials, or no window is given for guesses.

    Notes
    -----
    Effects are on the scale of the links: those of v in its own units, those of a and t logarithms, those of z logits.
    They turn aside only near the ends of the trained bounds. Priors of a parameter without a formula are on its own.

    Examples
    --------
    >>> import bambi as bmb, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=100, seed=1).assign(x=[0, 1] * 50)
    >>> model = bmb.Model("c(rt, response) ~ x", df, family=pl.bambi_family("ddm", z=0.5))
    >>> model.build()
    >>> sorted(variable.name for variable in model.backend.model.free_RVs)
    ['Intercept', 'a', 't', 'x']
    """
    bmb = _bambi()
    spec, network = resolve_model(model, fixed.get("weights"), fixed.get("likelihood"))
    require_times(spec)
    free = [p for p in spec.parameters if p.keyword not in fixed]
    _check_fixed(spec, free, fixed, go_nogo=go_nogo)
    names = [p.keyword for p in free]
    first = parent or ("v" if "v" in names else names[0])
    for name in (first, *(links or {})):
        if name not in names:
            raise ValueError(unknown("parameter", name, names, of=f"the family of {spec.name!r}"))
    form = GoNoGo if go_nogo else LANDist
    trials = Trials(form, model, {**NO_COLUMNS[form], **fixed})
    own = {p.keyword: _link(bmb, p, trained=network is not None) for p in free}
    likelihood = bmb.Likelihood(spec.name, params=names, parent=first, dist=trials)
    family = bmb.Family(spec.name, likelihood, own | dict(links or {}))
    uniform = {p.keyword: bmb.Prior("Uniform", lower=p.bounds[0], upper=p.bounds[1]) for p in free}
    family.set_default_priors(uniform)
    # bambi asks for it where draws of a response have another axis.
    family.create_extra_pps_coord = partial(list, ("rt", "response"))
    return family


def _bambi() -> Any:
    try:
        import bambi
    except ImportError as error:
        remedy = "install the extra, pip install 'pymc-lan[bambi]'"
        raise ImportError(explain("bambi, for pl.bambi_family", f"{error}", remedy)) from error
    return bambi


def _link(bmb: Any, p: Parameter, *, trained: bool) -> Any:
    """The link of a parameter as bambi has them."""
    link = link_of(p, trained=trained)
    # Its own name, because bambi takes others for links that it knows.
    name = f"{link.name} within {link.low:g} and {link.high:g}"
    return bmb.Link(name, np.vectorize(link.predictor), link.natural, partial(link.natural, xp=pt))


def _check_fixed(spec: Model, free: list[Parameter], fixed: Mapping[str, Any], *, go_nogo: bool) -> None:
    """Refuse arguments that are unknown or differ between trials, and guesses without a window."""
    known = [p.keyword for p in spec.parameters]
    for name, value in fixed.items():
        if name in ("trial_type", "v_nogo"):
            remedy = "write types of trials into the formula of v, as in 'c(rt, response) ~ 0 + trial_type'"
            raise ValueError(explain("arguments that bambi's families know", f"{name}={value!r:.40}", remedy))
        if name not in known and name not in FIXED:
            raise ValueError(unknown("argument", name, [*known, *FIXED], of="pl.bambi_family"))
        each = value if name == "truncation" and isinstance(value, tuple | list) else (value,)
        text = name in COLUMNS and any(isinstance(x, str) for x in each)
        if name not in ("likelihood", "weights") and (text or any(np.ndim(x) for x in each)):
            expected = f"one {name} for all trials, because bambi hands a family no columns but those of formulas"
            found = f"{name}={value!r:.40}" if text else f"{name} of shape {np.shape(value)}"
            raise ValueError(explain(expected, found, "use pl.LANDist or pl.GoNoGo"))
    if not free:
        raise ValueError(explain("a parameter to estimate", "numbers for all", "leave one out"))
    if np.any(fixed.get("p_lapse", 0.0)) and not {"lapse_window", "deadline"} & fixed.keys():
        expected = "lapse_window beside p_lapse, because bambi's predictions know no observed times"
        raise ValueError(
            explain(expected, "none", "give the seconds in which a guess may fall, such as the largest rt")
        )
    if go_nogo and "v" not in known:
        raise ValueError(explain("a model with a drift v, for go_nogo=True", f"{spec.name!r}", "leave go_nogo out"))
