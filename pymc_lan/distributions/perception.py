"""Distributions of answers in tasks of perception: right or wrong, without their times."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, final

import numpy as np
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pymc.distributions.distribution import Discrete
from pymc.model.core import modelcontext
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.observed import RESPONSE
from pymc_lan.distributions.base import apply_rv, finish, in_order, is_zero, resolve_model, write_record
from pymc_lan.distributions.choice import read_responses
from pymc_lan.distributions.extent import check_dims, check_total_size, names_of, trials_of_dims
from pymc_lan.distributions.provenance import record
from pymc_lan.distributions.response_rv import ResponseRV
from pymc_lan.distributions.stimuli import (
    COVARIANCES,
    STIMULI,
    dimension,
    in_order_of_trials,
    read_trial,
    trial_columns,
)
from pymc_lan.distributions.values import as_numbers, check_covariates, check_fraction, check_indices, known_numbers
from pymc_lan.errors import check_length, explain, unknown
from pymc_lan.models.likelihood import mix_lapses
from pymc_lan.models.perception.catalogue import ODDITY_LINE, ODDITY_PLANE, THREE_ALTERNATIVES, TWO_ALTERNATIVES
from pymc_lan.models.perception.percepts import as_trial, proper
from pymc_lan.models.perception.task import Task
from pymc_lan.networks.network import Network
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.ops.likelihood import PYTENSOR
from pymc_lan.registry.sources import AnyModel

# What PyMC takes of the arguments of a distribution.
KNOWN_TO_PYMC = {"shape", "size", "rng", "return_next_rng"}
# The column of a table that has the answers.
CORRECT = "correct"


class Perception(Discrete):
    """What distributions of answers have in common: stimuli, covariances, lapses, observed answers."""

    def __new__(cls, name: str, *args: Any, observed: Any = None, **kwargs: Any) -> TensorVariable:  # type: ignore[misc]
        """Add the answers to the current PyMC model."""
        kwargs["total_size"] = check_total_size(kwargs.get("total_size"))
        kwargs |= dict(zip((*STIMULI, *COVARIANCES), args, strict=False))
        args = args[len(STIMULI + COVARIANCES) :]
        if observed is not None:
            dims, table = kwargs.get("dims"), None if isinstance(observed, Variable) else observed
            names, model = () if dims is None else names_of(dims), modelcontext(None)
            trials = trials_of_dims(model, names) if names else None
            kwargs = in_order(table, in_order_of_trials(kwargs, table, trials), trials)
            task = cls._task(kwargs)
            response = kwargs.pop("response", RESPONSE if table is None else CORRECT)
            observed, kwargs["_grid"] = read_responses(observed, task, response, CORRECT)
            if names:
                check_dims(model, names, observed.type.shape if isinstance(observed, Variable) else observed.shape)
        rv = super().__new__(cls, name, *args, observed=observed, **kwargs)
        write_record(rv)
        finish(cls, rv, observed, kwargs | trial_columns(kwargs))
        return rv

    @classmethod
    def dist(
        cls,
        ref: Any = None,
        comparison: Any = None,
        covariance_ref: Any = None,
        covariance_comparison: Any = None,
        p_lapse: Any = 0.0,
        *,
        weights: AnyModel | None = None,
        _grid: tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        """Return answers outside a model, for `pm.draw` and `pm.logp`.

        Arguments as inside a model, without the name and ``observed``; ``shape=(n,)`` says how many trials there are.
        """
        given = dict(
            zip((*STIMULI, *COVARIANCES), (ref, comparison, covariance_ref, covariance_comparison), strict=True)
        )
        for name in kwargs.keys() - KNOWN_TO_PYMC:
            raise ValueError(unknown("argument", name, [*given, "p_lapse", "observed", "response"], of=cls.__name__))
        trial, task = read_trial(given, _grid), cls._task(given)
        p_lapse = check_fraction("p_lapse", p_lapse)
        for name, value in (given | {"p_lapse": p_lapse}).items():
            check_indices(name, value, _grid)
        check_covariates("p_lapse", p_lapse, _grid)
        if _grid is not None:
            check_length("p_lapse", p_lapse, _grid)
        network = cls._network(task, weights)
        seen = task.seen(PYTENSOR, trial)
        log_p = task.log_answers(PYTENSOR, None if network is None else partial(_outputs, network.lan), seen)
        if not is_zero(p_lapse):
            guesses = np.log(1 - task.chance), np.log(task.chance)
            lapse = pt.as_tensor_variable(p_lapse)
            log_p = [mix_lapses(PYTENSOR, x, lapse, guess) for x, guess in zip(log_p, guesses, strict=True)]
        op = ResponseRV(task, None if network is None else network.lan, record=record(network))
        # A sampler may try what is no covariance, which formulas do not refuse by themselves.
        known = pt.and_(proper(PYTENSOR, trial.reference), proper(PYTENSOR, trial.comparison))
        both = pt.stack([pt.where(known, x, -np.inf) for x in log_p], axis=-1)
        return apply_rv(op, [both, *task.theta(PYTENSOR, seen).values()], **kwargs)

    @classmethod
    def simulate(
        cls,
        ref: ArrayLike,
        comparison: ArrayLike,
        covariance_ref: ArrayLike,
        covariance_comparison: ArrayLike,
        *,
        seed: int | None = None,
    ) -> NDArray[np.int64]:
        """Draw answers by what an observer does: percepts are drawn and judged, and no formula or network is used.

        Parameters
        ----------
        ref, comparison : array_like, shape (n_trials, d) or (n_trials,)
        covariance_ref, covariance_comparison : array_like, shape (n_trials, d, d), (d, d), (n_trials,) or ()
        seed : int, optional

        Returns
        -------
        ndarray of int64, shape (n_trials,)
            1 where the answer is right, 0 where it is wrong.
        """
        given = dict(
            zip((*STIMULI, *COVARIANCES), (ref, comparison, covariance_ref, covariance_comparison), strict=True)
        )
        given = {name: _known_of(name, x) for name, x in given.items()}
        read_trial(given, None)
        d, task = dimension(given), cls._task(given)
        ref, other = (np.asarray(given[name], np.float64).reshape(-1, d) for name in STIMULI)
        forms = [np.asarray(given[name], np.float64).reshape(-1, d, d) for name in COVARIANCES]
        n = max(map(len, (ref, other, *forms)))
        return task.answer(as_generator(seed), as_trial(other - ref, *forms), n).astype(np.int64)

    @classmethod
    @abstractmethod
    def _task(cls, given: Mapping[str, Any]) -> Task:
        """The task, of stimuli and covariances of so many dimensions."""

    @classmethod
    def _network(cls, task: Task, weights: AnyModel | None) -> Network | None:
        """The network of a task that has one."""
        if task.views is not None:
            return resolve_model(task, weights, None)[1]
        if weights is not None:
            remedy = "leave weights out"
            raise ValueError(explain(f"no weights for {task.name!r}, which has a closed form", "weights", remedy))
        return None


def _known_of(name: str, value: Any) -> Any:
    """Numbers, which a simulation needs; a ValueError for a variable."""
    known = known_numbers(as_numbers(name, value))
    if known is None:
        remedy = "draw answers of a model by pm.draw, or give the numbers"
        raise ValueError(explain(f"numbers as {name}", "a variable", remedy))
    return known


def _outputs(lan: AnyNetwork, inputs: tuple[Any, ...]) -> list[Any]:
    """What a network says of inputs of the same shape."""
    return lan.of_rows(PYTENSOR, pt.stack(inputs, axis=-1))


@final
class Oddity(Perception):
    r"""Answers in the oddity task: which of three stimuli, of which two are the same, is the odd one.

    Three percepts are normal, two around the reference and one around the comparison. The answer is right where the two
    percepts of the reference are the closest of the three pairs, in squared Mahalanobis distance by the mean covariance
    ``(2 covariance_ref + covariance_comparison) / 3``.

    Parameters
    ----------
    name : str
        Left out in ``Oddity.dist``.
    ref, comparison : tensor_like, shape (n_trials, d)
        Stimuli of one dimension or two; (n_trials,) of one.
    covariance_ref, covariance_comparison : tensor_like, shape (n_trials, d, d) or (d, d)
        Covariances of the percepts of either; on a line variances, (n_trials,) or ().
    p_lapse : tensor_like
        Probability that a trial is a guess, of which one in three is right. Default 0.
    weights : str, path or Network, optional
        Of the network, where it is not to be the shipped one.
    observed : array_like, DataFrame or pm.Data, optional
        1 where the answer was right, 0 where it was wrong; of a table the column ``correct``.
    response : str or mapping, optional
        Of `observed`: the name of the column, or what its codes stand for, as ``{"right": 1, "wrong": 0}``.
    dims : str, optional
        The name of the trials' dimension.

    Raises
    ------
    ValueError
        For stimuli of more than two dimensions, shapes that do not go together, missing numbers, constants that are no
        covariances, answers that are neither 0 nor 1.
    RegistryError
        For weights that cannot be found or verified.

    Notes
    -----
    In one dimension the probability is a closed form, ``1 - 4 T(h, a)`` with Owen's T. In two a network gives its log
    odds from four numbers that no change of coordinates changes, so that covariances of any size and shape will do;
    they are smooth where stimuli are the same and where variances are equal. Nothing is smoothed: psyphy's Monte-Carlo
    likelihood replaces the comparison of distances by a logistic of their difference over its bandwidth.

    Chance is 1/3 only where both covariances are equal. A comparison whose percepts vary more is told from the
    reference even where it is the same stimulus.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> ref, comparison = np.zeros((4, 2)), np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 2.0], [5.0, 0.0]])
    >>> with pm.Model():
    ...     s = pm.HalfNormal("s", 1.0)
    ...     obs = pl.Oddity("obs", ref, comparison, s * np.eye(2), s * np.eye(2), observed=[0, 1, 1, 1])
    >>> p = pm.logp(pl.Oddity.dist(ref, comparison, np.eye(2), np.eye(2)), 1).exp().eval()
    >>> p.round(2).tolist()
    [0.33, 0.4, 0.71, 0.95]
    """

    @classmethod
    def _task(cls, given: Mapping[str, Any]) -> Task:
        """In closed form on a line, by a network in a plane."""
        return {1: ODDITY_LINE, 2: ODDITY_PLANE}[dimension({name: given[name] for name in STIMULI + COVARIANCES})]


@final
class TwoAlternative(Perception):
    r"""Answers in two-alternative discrimination (2AFC): which of two stimuli is the comparison.

    One percept is normal around the reference, one around the comparison, and the observer, who knows how they differ,
    chooses the one that lies farther along y, ``(covariance_ref + covariance_comparison) y = comparison - ref``. That
    is right with probability ``Phi(d)``, ``d^2 = (comparison - ref)' y``: a closed form.

    Parameters
    ----------
    name, ref, comparison, covariance_ref, covariance_comparison, observed, response, dims
        As of `Oddity`.
    p_lapse : tensor_like
        Probability that a trial is a guess, of which one in two is right. Default 0.

    Raises
    ------
    ValueError
        As `Oddity`.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> answers = pl.TwoAlternative.dist([0.0, 0.0], [1.0, 3.0], 1.0, 1.0)
    >>> pm.logp(answers, 1).exp().eval().round(3).tolist()
    [0.76, 0.983]
    """

    @classmethod
    def _task(cls, given: Mapping[str, Any]) -> Task:
        """One task for stimuli of any dimension."""
        return TWO_ALTERNATIVES


@final
class ThreeAlternative(Perception):
    r"""Answers in three-alternative discrimination (3AFC): which of three stimuli is the comparison.

    Two percepts are normal around the reference, one around the comparison, and the observer, who knows how they
    differ, chooses the one that lies farthest along y, ``(covariance_ref + covariance_comparison) y = comparison -
    ref``. The probability of a right answer is a closed form, with Owen's T. Where it is not known how they differ, the
    task is `Oddity`.

    Parameters
    ----------
    name, ref, comparison, covariance_ref, covariance_comparison, observed, response, dims
        As of `Oddity`.
    p_lapse : tensor_like
        Probability that a trial is a guess, of which one in three is right. Default 0.

    Raises
    ------
    ValueError
        As `Oddity`.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> answers = pl.ThreeAlternative.dist([0.0, 0.0], [0.0, 3.0], 1.0, 1.0)
    >>> pm.logp(answers, 1).exp().eval().round(3).tolist()
    [0.333, 0.969]
    """

    @classmethod
    def _task(cls, given: Mapping[str, Any]) -> Task:
        """One task for stimuli of any dimension."""
        return THREE_ALTERNATIVES
