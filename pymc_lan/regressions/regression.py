"""`pymc_lan.regression`: formulas for the parameters of a model of decisions, and an ordinary PyMC model of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pymc_lan.errors import explain
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.registry.sources import AnyModel
from pymc_lan.regressions.arguments import describe
from pymc_lan.regressions.build import build
from pymc_lan.regressions.code import code
from pymc_lan.regressions.contrast import contrast, means
from pymc_lan.regressions.description import Description
from pymc_lan.regressions.grid import grid
from pymc_lan.regressions.loo import TRIAL, leave_out
from pymc_lan.regressions.plan import Plan, known_parameters, make_plan
from pymc_lan.regressions.predict import Kind, NewGroups, of_new_members, predict
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

    def predict(
        self,
        idata: Any = None,
        new_df: Any = None,
        *,
        kind: Kind = "parameters",
        new_groups: NewGroups = "draw",
        n_draws: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Parameters, or trials, of the rows of a table, for draws of the posterior.

        Parameters
        ----------
        idata : DataTree, optional
            By default the draws of the last `sample`.
        new_df : DataFrame, optional
            The columns that the formulas name; those of the task, such as ``trial_type`` and ``deadline``, too, where
            trials are predicted. By default the trials that were fitted.
        kind : {"parameters", "trials"}
            Parameters on their own scale; or response times and responses, drawn from the model with its guesses.
        new_groups : {"draw", "mean"}
            Who a member is that was not fitted: one drawn from its group, with the correlations and covariates there
            are, another one for each draw; or one at the group's mean. Without a column of members, all rows are those
            of one such member.
        n_draws : int, optional
            Of the posterior, evenly spaced and as many of each chain. By default all, or as many as keep a variable
            below 10 million values.
        seed : int, optional

        Returns
        -------
        Dataset
            Dimensions chain, draw and row, which has the labels of the rows of `new_df`. Of parameters a variable each,
            fixed ones too; v of go/no-go trials is as its formula says, before no-go trials turn it around. Of trials
            ``rt``, which is inf without a response, ``response`` in the model's codes, and the column of `accuracy`.

        Raises
        ------
        ValueError
            For rows in which a covariate is missing or has a level that was not fitted.

        Examples
        --------
        >>> import arviz as az, numpy as np, pandas as pd, pymc_lan as pl
        >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
        >>> df["speed"] = ["fast", "slow"] * 30
        >>> reg = pl.regression("ddm", df, v="0 + speed", a="1", t="1")
        >>> draws = dict(v=np.ones((2, 50, 2)), a=np.zeros((2, 50, 1)), t=np.full((2, 50, 1), -1.0))
        >>> idata = az.from_dict({"posterior": draws})  # of reg.sample(), in earnest
        >>> new = pd.DataFrame({"speed": ["slow", "fast"]})
        >>> float(reg.predict(idata, new)["a"].mean().round(3))
        1.0
        >>> dict(reg.predict(idata, new, kind="trials", seed=1).sizes)
        {'chain': 2, 'draw': 50, 'row': 2}
        """
        idata = self.idata if idata is None else idata
        model = self.model if kind == "trials" else None
        return predict(self.plan, model, idata, new_df, kind=kind, new_groups=new_groups, n_draws=n_draws, seed=seed)

    def means(
        self,
        idata: Any,
        parameter: str,
        *,
        by: str | Sequence[str] = (),
        at: Mapping[str, Any] | None = None,
        prob: float = 0.9,
        new_groups: NewGroups = "mean",
        seed: int | None = 0,
    ) -> pd.DataFrame:
        """A parameter, on its own scale, at the levels of some conditions, averaged over the others.

        Parameters
        ----------
        idata : DataTree or None
            None for the draws of the last `sample`.
        parameter : str
            One with a formula; ``"z"``, where `d_press` has one.
        by : str or sequence of str
            Conditions, and groups such as ``"subject"`` for each member's own.
        at : mapping of str to object, optional
            A level or value for any variable of the formula.
        prob : float
            Of the interval.
        new_groups : {"mean", "draw"}
            Of groups that are not in `by`: a member at the mean, or one drawn from it, so that the interval is where
            new members are.
        seed : int, optional
            Of these.

        Returns
        -------
        DataFrame
            The columns of `by`, mean, sd and both ends of the central interval.

        Notes
        -----
        As in emmeans: the average is over all combinations of other conditions that occur, each with the same weight,
        on the scale of the parameter; covariates are at their mean over trials (a number in ``C(...)``, or of two
        values, is a condition); members, where they are not asked for, are at the mean of their group. A member keeps
        what is the same in all of its own trials, such as its age.
        """
        given, rng = self.idata if idata is None else idata, of_new_members(new_groups, as_generator(seed))
        return means(self.plan, given, parameter, by=_listed(by), at=at, prob=prob, rng=rng)

    def grid(self, parameter: str, *, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """What `means` and `contrast` average over: a row for each combination of conditions in a formula.

        Parameters
        ----------
        parameter : str
        at : mapping of str to object, optional
            As of `means`.

        Returns
        -------
        DataFrame
            The columns that the formula uses but those of groups.
        """
        return grid(self.plan, parameter, at)

    def contrast(
        self,
        idata: Any,
        parameter: str,
        variable: str,
        *,
        levels: Sequence[Any] | None = None,
        by: str | Sequence[str] = (),
        at: Mapping[str, Any] | None = None,
        prob: float = 0.9,
    ) -> pd.DataFrame:
        """By how much a parameter, on its own scale, differs between levels of a variable.

        Parameters
        ----------
        idata : DataTree or None
            None for the draws of the last `sample`.
        parameter, variable : str
        levels : sequence of two, optional
            The first less the second; of a covariate two values. By default every pair of levels, and of a covariate
            the slope at its mean, per unit.
        by, at, prob
            As of `means`: for each level of other conditions, for each member.

        Returns
        -------
        DataFrame
            A row for each contrast: the columns of `by`, mean, sd, both ends of the central interval, and how probable
            it is that the difference is above 0.

        Raises
        ------
        ValueError
            For names that the formula does not have, and levels that are never found with all else being equal.

        Notes
        -----
        Averages are those of `means`, over combinations of other conditions that occur with both levels.

        Examples
        --------
        >>> import arviz as az, numpy as np, pymc_lan as pl
        >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
        >>> df["speed"] = ["fast", "slow"] * 30
        >>> reg = pl.regression("ddm", df, v="speed", a="1", t="1")
        >>> v = np.random.default_rng(1).normal([1.0, -0.5], 0.1, (2, 100, 2))
        >>> draws = dict(v=v, a=np.zeros((2, 100, 1)), t=np.full((2, 100, 1), -1.0))
        >>> idata = az.from_dict({"posterior": draws})  # of reg.sample(), in earnest
        >>> reg.contrast(idata, "v", "speed", levels=("fast", "slow")).round(1)
                     mean   sd   5%  95%  P(> 0)
        fast - slow   0.5  0.1  0.4  0.7     1.0
        """
        given = self.idata if idata is None else idata
        return contrast(self.plan, given, parameter, variable, levels=levels, by=_listed(by), at=at, prob=prob)

    def loo(self, idata: Any = None, *, by: str = TRIAL, n_draws: int = 1000, seed: int | None = 0) -> Any:
        """Leave-one-out cross-validation: by trials, or leaving out all trials of a member of a group.

        Parameters
        ----------
        idata : DataTree, optional
            By default the draws of the last `sample`.
        by : str
            ``"trial"``, or a group, such as ``"subject"``: how well are new subjects predicted.
        n_draws : int
            Draws that members are left out from, evenly spaced. Trials take all.
        seed : int, optional
            Of the nodes that members' effects are integrated over.

        Returns
        -------
        arviz_stats.ELPDData
            With pointwise values and Pareto k, a value for each trial or member; ``az.compare`` takes it.

        Warns
        -----
        UserWarning
            Where the Pareto k of a trial or member is too large, or an integral rests on few nodes.

        Notes
        -----
        Trials are left out by Pareto-smoothed importance sampling, as in ``az.loo``. So are members, with the
        likelihood of all of a member's trials given what all members share; its effects are integrated out by
        importance sampling. Conditional on these effects, which were estimated from its trials, one could not leave
        the trials out (Merkle, Furr and Rabe-Hesketh 2019, Psychometrika 84, 802-829).

        Where a member's trials depend on nothing but its effects, one set of nodes does for all draws. A shared slope,
        another group or a `p_lapse` that is estimated need nodes for each draw, which takes many times as long;
        `n_draws` is what it is proportional to.
        """
        given = self.idata if idata is None else idata
        return leave_out(self.plan, self.model, given, by=by, n_draws=n_draws, seed=seed)

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


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise ValueError(explain("a name, or several, as by", f"{names!r:.60}", "write by=['condition', 'subject']"))
    return found


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
        0.5) or else ``1 + (1 | subject)`` where a column says who the subjects are (``subject``, ``participant_id``,
        ...), and ``1`` where there is none.
        ``trial_type``, ``deadline``, ``response``, ``lapse_window``, ``missing``, ``rt_interval``, ``truncation``,
        ``likelihood`` and ``weights`` are handed on to
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
    evidence. It may have a formula in place of z, which is then 1 - d_press / (2 a); the ratio bends before it passes
    1, where z would leave its bounds. Priors of a and d_press say little against a z near 0, where such data often have
    a second mode: begin with a formula of z.

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
TASK = (
    *("trial_type", "deadline", "response", "lapse_window", "missing", "rt_interval", "truncation"),
    *("likelihood", "weights"),
)
