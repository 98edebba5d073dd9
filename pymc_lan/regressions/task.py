"""The task of the trials in a table: what is drawn and evaluated there, from parameters as the formulas give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Observation
from pymc_lan.data.tables import AUTO, from_table
from pymc_lan.diagnostics.fitted_trials import Trials, find_trials, likelihood_of, log_likelihood
from pymc_lan.distributions.choice import ChoiceDist
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.response_rv import ResponseRV
from pymc_lan.distributions.seen_in_part import are_two_columns, take_arguments
from pymc_lan.regressions.build import DISTRIBUTIONS, keywords
from pymc_lan.regressions.plan import D_PRESS, Plan
from pymc_lan.regressions.priors import Prior

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """How trials come from parameters.

    Parameters
    ----------
    op : TrialRV or ResponseRV
    inputs : callable
        From arrays of parameters, shape (k, n_rows), to the inputs of `op`.
    n : int
        Rows.
    """

    op: Any
    inputs: Callable[[Mapping[str, Float]], list[Float]]
    n: int

    def draw(self, parameters: Mapping[str, Float], rng: np.random.Generator) -> Float:
        """Draw trials.

        Parameters
        ----------
        parameters : mapping of str to ndarray, shape (k, n_rows)
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, shape (k, n_rows, 2) or, of responses without times, (k, n_rows)
        """
        drawn: Float = self.op.rng_fn(rng, *self.inputs(parameters), None)
        return drawn

    def log_likelihood(self, seen: Trials, parameters: Mapping[str, Float]) -> Float:
        """Log likelihood of what was seen in the rows, shape (k, n_rows).

        Parameters
        ----------
        seen : Trials
        parameters : mapping of str to ndarray, shape (k, n_rows)
        """
        found = self.inputs(parameters)
        if isinstance(self.op, ResponseRV):
            place = np.searchsorted(np.sort(self.op.spec.choices), seen.response)
            number = np.argsort(self.op.spec.choices)[place]
            chosen: Float = np.take_along_axis(found[0], np.broadcast_to(number, found[1].shape)[..., None], -1)[..., 0]
            return chosen
        named = dict(zip(self.op.parameters, found, strict=True))
        return log_likelihood(seen, likelihood_of(self.op), named)


def make_task(plan: Plan, model: Any, table: pd.DataFrame) -> Task:
    """The task of a table, by what a regression was told of it.

    Parameters
    ----------
    plan : Plan
    model : pm.Model
        Of the plan: guesses fall into the window of its trials where nothing else is said.
    table : DataFrame

    Raises
    ------
    ValueError
        For a column that says what the task is and is missing.
    """
    import pytensor
    import pytensor.tensor as pt

    d = plan.description
    family = DISTRIBUTIONS[d.distribution]
    symbols = {n: pt.matrix(n) for n in plan.predictors if n != D_PRESS}
    symbols |= {n: pt.matrix(n) for n, x in plan.others.items() if isinstance(x, Prior)}
    symbols |= {} if plan.z is None else {"z": pt.matrix("z")}
    fixed = {n: x for n, x in plan.others.items() if n not in symbols}
    arguments = keywords(plan, fixed | symbols)
    arguments.pop("response", None)
    if family is not ChoiceDist:
        arguments |= {name: _column(family, name, plan, table) for name in family.from_columns}
        fitted = find_trials(model)[0]
        arguments.pop("rt_interval", None)
        arguments |= {"_times": fitted.rt} | _seen_in_part(fitted.op.observation, d.task, table)
    node = trial_node(family.dist(d.model, **arguments))
    assert node is not None
    function = pytensor.function([*symbols.values()], node.inputs[2:], mode="FAST_COMPILE", on_unused_input="ignore")

    def inputs(parameters: Mapping[str, Float]) -> list[Float]:
        shape = next(iter(parameters.values())).shape
        found = [np.asarray(x) for x in function(*(parameters[name] for name in symbols))]
        first = 1 if family is ChoiceDist else 0  # log probabilities have an axis of choices
        wide = [np.broadcast_to(x, (*shape, x.shape[-1])) for x in found[:first]]
        return wide + [np.broadcast_to(x, shape) for x in found[first:]]

    return Task(node.op, inputs, len(table))


def _seen_in_part(observation: Observation, given: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """What is not seen of the trials of a table, where that was said of the trials that were fitted."""
    found: dict[str, Any] = {name: given[name] for name in ("rt_interval", "truncation") if name in given}
    ends: Any = found.get("rt_interval")
    if are_two_columns(ends) and not {*ends} <= {*table.columns}:
        # Nobody has seen these trials yet: their times are whole.
        del found["rt_interval"]
    take_arguments(table, found)
    return found if observation.timed else found | {"_alone": True}


def _column(family: Any, name: str, plan: Plan, table: pd.DataFrame) -> Any:
    """The values of an argument that is a column of the trials, or may be."""
    d = plan.description
    given = d.task.get(name, AUTO)
    if isinstance(given, str) and given == AUTO:
        given = name if name in d.table.columns and family.uses(name, d.model, d.task) else None
    return from_table(given, table, name)
