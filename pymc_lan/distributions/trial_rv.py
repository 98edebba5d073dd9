"""The random variable behind every distribution: rows [rt, response], their log density, draws and support point."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.distribution import _support_point
from pymc.distributions.shape_utils import rv_size_is_none
from pymc.logprob.abstract import _logcdf, _logprob
from pytensor.graph.basic import Apply, Constant
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.guesses import is_possible
from pymc_lan.data.observation import Observation, Silence
from pymc_lan.distributions.extent import Lengths, of_fixed_length
from pymc_lan.distributions.rows import read_rows
from pymc_lan.distributions.unobserved import seen_or_refused
from pymc_lan.errors import explain
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.models.model import Model, require_views, shift
from pymc_lan.networks.bounds import watch
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.ops.backends import register_with_backend
from pymc_lan.ops.likelihood import PYTENSOR, LikelihoodGraph


class TrialRV(RandomVariable):
    """Trials ``[rt, response]`` of a model; ``rt = inf`` is no response.

    Inputs: the model's parameters in order, then the extras of the observation; all scalar per trial.

    Parameters
    ----------
    spec : Model
    lan, choice : MLP or Program, optional
        None for the closed form.
    observation : Observation
        What is seen of a trial.
    lapses : bool
        Whether any trial may be a guess; without, the mixture is left out of the graph.
    record : tuple of str
        What `pymc_lan.distributions.provenance.record` says of the networks; no part of what makes two of these equal.

    Attributes
    ----------
    unobserved : bool
        Whether the model had no data of these trials when they were added.
    lengths : Lengths
        Of arguments that do not change with the trials. No part of what makes two equal, either.
    """

    unobserved = False
    lengths: Lengths = ()

    dtype = "float64"
    __props__ = (  # type: ignore[assignment]
        "name", "signature", "dtype", "inplace", "spec", "lan", "choice", "observation", "lapses",
    )  # fmt: skip

    def __init__(
        self,
        spec: Model,
        lan: AnyNetwork | None,
        choice: AnyNetwork | None,
        *,
        observation: Observation,
        lapses: bool,
        record: tuple[str, ...] = (),
        inplace: bool = False,
        **fixed: Any,
    ):
        self.spec, self.lan, self.choice = spec, lan, choice
        self.observation, self.lapses, self.record = observation, lapses, record
        self.parameters = (*spec.names, *observation.extras)
        label = f"{observation.prefix}{spec.name.upper()}"
        self._print_name = (label, rf"\operatorname{{{label}}}")
        super().__init__(label, signature=f"{','.join(['()'] * len(self.parameters))}->(2)", inplace=inplace)

    def make_node(self, rng: Any, size: Any, *params: Any) -> Apply:  # type: ignore[override]
        """Cast parameters to float64."""
        return super().make_node(rng, size, *(pt.cast(pt.as_tensor_variable(p), "float64") for p in params))

    def perform(self, node: Apply, inputs: Any, outputs: Any) -> None:
        """Draw trials, one posterior draw at a time, and look whether it lies within the bounds."""
        watch(self, node, inputs)
        super().perform(node, inputs, outputs)

    def rng_fn(self, rng: np.random.Generator, *args: Any) -> Any:
        """Draw trials."""
        from pymc_lan.models.simulate import draw_trials  # loads numba, which takes half a second

        *params, size = args
        shape = np.broadcast_shapes(*(np.shape(p) for p in params)) if size is None else tuple(size)
        for name, p in zip(self.parameters, params, strict=True):
            if any(n not in (1, of) for n, of in zip(np.shape(p)[::-1], shape[::-1], strict=False)):
                found = f"{name} of shape {np.shape(p)}"
                remedy = "after pm.set_data trials are as many as shape=v.shape, dims or observed=pm.Data(...) say"
                raise ValueError(explain(f"parameters of as many trials as are drawn, {shape}", found, remedy))
        values = {name: np.broadcast_to(p, shape).ravel() for name, p in zip(self.parameters, params, strict=True)}
        return draw_trials(self.spec, rng, values, self.observation).reshape(*shape, 2)


@_logprob.register(TrialRV)
def trial_logprob(op: TrialRV, values: Any, rng: Any, size: Any, *params: Any, **kwargs: Any) -> TensorVariable:
    """One log density per trial."""
    named = dict(zip(op.parameters, params, strict=True))
    if op.unobserved:
        # By pm.observe, which tells nobody.
        read_rows(values[0], op.observation, named.get("deadline"))
    value = of_fixed_length(pt.cast(seen_or_refused(values[0]), "float64"), op.lengths, op.ndim_supp)
    # Data that are part of the graph say which rows are which kind of trial.
    rows: Any = value.data if isinstance(value, Constant) else value
    rt, response = rows[..., 0], rows[..., 1]
    theta = {name: named[name] for name in op.spec.names}
    seen, deadline = op.observation, op.observation.deadline(named)
    likelihood = LikelihoodGraph(op.spec, op.lan, op.choice, seen.silence)
    log_p = seen.log_trial(PYTENSOR, likelihood, rt, response, named, theta)
    possible = seen.possible(rt, response, named)
    view = require_views(op.spec).choice if op.choice is not None else None
    if deadline is not None and view is not None and view.deadlines and view.silence is Silence.OMISSION:
        # It knows no probability without an end.
        possible = possible & (deadline < np.inf)
    inside, penalty = Likelihood(op.spec, op.lan).clamp(PYTENSOR, theta)
    recorded = seen.log_recorded(PYTENSOR, likelihood, named, inside)
    if op.lapses:
        # A guess has no bounds: outside them the penalty has to be taken of the mixture, or guesses would drown it.
        guess = seen.log_guess(PYTENSOR, rt, named, response)
        log_p = mix_lapses(PYTENSOR, log_p, named["p_lapse"], guess) - penalty
        possible = possible & is_possible(named)
        if recorded is not None:
            of_guesses = seen.log_recorded_guess(PYTENSOR, named)
            recorded = mix_lapses(PYTENSOR, recorded, named["p_lapse"], of_guesses)
    if recorded is not None:
        log_p = log_p - recorded
    return pt.where(possible, log_p, -np.inf)


@_logcdf.register(TrialRV)
def trial_logcdf(op: TrialRV, values: Any, *inputs: Any, **kwargs: Any) -> TensorVariable:
    """Refuse, with a NotImplementedError: a pair has none, and what it is asked for has arguments of its own."""
    remedy = (
        "deadline=... is for trials without a response by then, truncation=(low, high) for trials that were not "
        "recorded, rt_interval=... for times known to within an interval; each has its probability in pm.logp"
    )
    raise NotImplementedError(explain("a distribution of one number, for a logcdf", f"trials of {op.name}", remedy))


@_support_point.register(TrialRV)
def trial_support_point(op: TrialRV, rv: Any, rng: Any, size: Any, *params: Any) -> TensorVariable:
    """The model's last response, when it is typically made, or at the deadline."""
    named = dict(zip(op.parameters, params, strict=True))
    rt = shift(op.spec, named) + op.spec.typical(named)
    deadline = op.observation.deadline(named)
    if deadline is not None:
        rt = pt.minimum(rt, deadline)
    rt = pt.broadcast_arrays(rt, *params)[0] if rv_size_is_none(size) else pt.broadcast_to(rt, size)
    return pt.stack([rt, pt.full_like(rt, op.spec.choices[-1])], axis=-1)


def _draws_in_object_mode() -> None:
    """One vectorised call in object mode is what is meant: all trials of a draw are seen at once."""
    warnings.filterwarnings("ignore", "Numba will use object mode to run (TrialRV|ResponseRV)", UserWarning)


register_with_backend("numba", "pymc_lan_draws", _draws_in_object_mode)
