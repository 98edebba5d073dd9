"""`pymc_lan.regression`: formulas for the parameters of a model of decisions, and an ordinary PyMC model of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pymc_lan.registry.sources import AnyModel
from pymc_lan.regressions.arguments import describe
from pymc_lan.regressions.build import build
from pymc_lan.regressions.code import code
from pymc_lan.regressions.description import Description
from pymc_lan.regressions.plan import Plan, known_parameters, make_plan
from pymc_lan.regressions.prior_draws import prior_draws
from pymc_lan.regressions.sampling import sample
from pymc_lan.regressions.saving import load, save
from pymc_lan.regressions.show import show
from pymc_lan.regressions.table import table

if TYPE_CHECKING:
    import pandas as pd


class Regression:
    """A hierarchical regression: a description, and the model that it comes to. See `pymc_lan.regression`.

    Parameters
    ----------
    description : Description

    Attributes
    ----------
    description : Description
        What was asked for, as plain data.
    plan : Plan
        Design matrices, links, members and priors.
    model : pm.Model
    idata : DataTree or None
        The draws of the last `sample`, or those that were loaded.
    """

    def __init__(self, description: Description):
        self.description = description
        self.plan: Plan = make_plan(description)
        self.idata: Any = None

    def __repr__(self) -> str:
        return show(self.plan)

    @cached_property
    def model(self) -> Any:
        """The PyMC model."""
        return build(self.plan)

    def sample(self, **kwargs: Any) -> Any:
        """Draw from the posterior with `pm.sample`, whose arguments these are.

        Members are on the scale that `pymc_lan.informed` finds for them, and chains start there. In the end it is said
        whether they have met, and whether parameters are within the bounds of the network.

        Returns
        -------
        DataTree
            As `pm.sample` returns it; it is kept as ``idata``, too.
        """
        self.idata = sample(self.plan, self.model, kwargs)
        return self.idata

    def table(self, idata: Any = None) -> pd.DataFrame:
        """The posterior on the scale of the parameters: effects, spreads of members, correlations.

        An intercept, or a condition that is given a value of its own, is shown as the parameter there; anything else as
        the change of the parameter by one unit, from the intercept or the mean of the conditions. A spread is half the
        difference between members who lie one standard deviation above and below the mean.

        Parameters
        ----------
        idata : DataTree, optional
            By default the draws of the last `sample`.

        Returns
        -------
        DataFrame
            A row for each, named as in ``arviz.summary``; columns mean, sd, 5%, 95%, r_hat, ess.
        """
        return table(self.plan, self.idata if idata is None else idata)

    def plot_prior(self, *, draws: int = 500, seed: int = 0) -> Any:
        """Plot what the priors say of the parameters of trials, and of the trials themselves.

        Parameters
        ----------
        draws : int
            From the prior.
        seed : int

        Returns
        -------
        matplotlib.figure.Figure
        """
        from pymc_lan.plots.priors import prior

        found = prior_draws(self.plan, self.model, draws=draws, seed=seed)
        units = {name: p.unit for name, p in known_parameters(self.plan.spec).items()}
        parameters = {name: found.parameters[name] for name in units if name in found.parameters}
        return prior(parameters, units, found.rt, found.response)

    def code(self) -> str:
        """The model as PyMC code, which runs where a table `df` of the trials is: a place to begin from."""
        return code(self.plan)

    def save(self, path: str | os.PathLike[str], idata: Any = None) -> None:
        """Write the description and the draws to a netCDF file, which `pymc_lan.load_regression` reads.

        Parameters
        ----------
        path : str or path
        idata : DataTree, optional
            By default the draws of the last `sample`, if there are any.

        Raises
        ------
        ValueError
            Of a network that has no name: `pymc_lan.register` gives it one.
        """
        save(self.description, self.idata if idata is None else idata, path)


def load_regression(path: str | os.PathLike[str]) -> Regression:
    """Read a regression that `Regression.save` has written, with its draws as ``idata``.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Regression
        Of the same version of the network.

    Raises
    ------
    ValueError
        For another file.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
    >>> path = tempfile.mkdtemp() + "/fit.nc"
    >>> pl.regression("ddm", df, v="1", a="1", t="1").save(path)
    >>> pl.load_regression(path).description.formulas
    {'v': '1', 'a': '1', 't': '1'}
    """
    description, idata = load(path)
    found = Regression(description)
    found.idata = idata
    return found


def regression(
    model: AnyModel,
    data: Any,
    *,
    formulas: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    go_nogo: bool = False,
    accuracy: str | None = None,
    stimulus: str | None = None,
    **parameters: Any,
) -> Regression:
    """A hierarchical model from formulas for the parameters of a model of decisions.

    Parameters
    ----------
    model : str, Model, path or Network
        As in `LANDist`.
    data : DataFrame
        One row per trial: rt, response and whatever the formulas name. Any library's.
    formulas : mapping, optional
        Parameters whose names are arguments of this function, too.
    priors : mapping, optional
        In place of default ones: a prior of PyMC (``pm.Normal.dist(0, 1)``) by the name of a variable (``"v"``,
        ``"subject_sd"``), or of one of its values as ``print(reg)`` has them (``"v[Intercept]"``). Priors are those of
        the link's scale. ``"subject_corr"``: the parameter of the LKJ distribution of correlations, or None for none.
    go_nogo : bool
        Whether trials are presses or none, as in `GoNoGo`.
    accuracy, stimulus : str, optional
        Columns, in place of one of responses: whether the answer was right, and which stimulus was shown. With
        `accuracy` alone the boundaries are right (upper) and wrong. With both they are the two responses, of which each
        stimulus makes one right: the first in order of its values the lower.
    **parameters
        Each parameter of the model is a formula, a number, or a prior of one value for all trials. So are ``p_lapse``
        and, of go/no-go trials, ``v_nogo``, ``lapse_go`` and ``d_press``. One that is left out has its default (z is
        0.5) or else ``1 + (1 | subject)`` where there is a column ``subject``, and ``1`` where there is none.
        ``trial_type``, ``deadline``, ``response``, ``lapse_window``, ``likelihood`` and ``weights`` are handed on to
        the distribution.

    Returns
    -------
    Regression

    Raises
    ------
    ValueError
        For formulas that cannot be read, columns, parameters and priors that are not there, covariates that are missing
        somewhere, and all that the distribution refuses.

    Notes
    -----
    Formulas are those of `formulae <https://bambinos.github.io/formulae/>`_, without a response: ``1 + x``, ``0 +
    condition``, ``a * b``, ``bs(x, df=4)``, ``scale(x)``, ``offset(x)``, ``np.log(x)``; effects of members of a
    group as ``(1 + x | subject)``, several groups as ``(1 | subject) + (1 | item)``, and ``(x || subject)`` for effects
    that are not correlated. All effects of one group, on whatever parameters, are one variable, and correlated from 20
    members on.

    The model is written as in a paper, with members drawn around their group: ``subject_effects`` around the common
    effects, which are vectors ``v``, ``a``, and so on. Whatever is constant within every member, such as age, is in the
    mean of the member's intercept.

    Parameters stay in the bounds of the network by smooth links, which are the identity (v), the exponential (a, t) or
    the inverse logit (z, p_lapse) wherever parameters plausibly are.

    In go/no-go trials a and z of one subject trade off: with presses alone, the data say how far the start is from the
    pressing boundary, 2 a (1 - z), and hardly how far from the other. ``d_press`` is that distance, in units of
    evidence. With a formula for it in place of z, each of the two is known for itself, and z is 1 - d_press / (2 a);
    the ratio bends before it passes 1, where z would leave its bounds.

    Examples
    --------
    >>> import numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
    >>> df["subject"], df["speed"] = np.repeat(["s1", "s2", "s3"], 20), np.tile(["fast", "slow"], 30)
    >>> reg = pl.regression("ddm", df, v="speed + (1 | subject)", a="1", t="1", p_lapse=0.03)
    >>> [variable.name for variable in reg.model.free_RVs]
    ['v', 'a', 't', 'subject_sd', 'subject_effects']
    """
    task = {name: parameters.pop(name) for name in TASK if name in parameters}
    return Regression(
        describe(
            model, data, parameters, formulas, priors, go_nogo=go_nogo, task=task, accuracy=accuracy, stimulus=stimulus
        )
    )


# Arguments of the distributions that are handed on as they are.
TASK = ("trial_type", "deadline", "response", "lapse_window", "likelihood", "weights")
