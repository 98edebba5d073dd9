"""The distribution of responses alone: a choice, without its time, of any task that can be simulated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.distribution import Discrete, _support_point
from pymc.logprob.abstract import _logprob
from pymc.model.core import modelcontext
from pymc.pytensorf import convert_observed_data
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.observed import RESPONSE, check_names, nameless
from pymc_lan.data.tables import column, recoded, subjects, table_columns
from pymc_lan.distributions.base import (
    apply_rv,
    extract_theta,
    finish,
    in_order,
    is_zero,
    resolve_model,
    split_model,
    write_record,
)
from pymc_lan.distributions.extent import (
    check_dims,
    check_total_size,
    names_of,
    of_fixed_length,
    trials_of_dims,
)
from pymc_lan.distributions.provenance import record
from pymc_lan.distributions.response_rv import ResponseRV
from pymc_lan.distributions.rows import check_codes_of_rows
from pymc_lan.distributions.values import check_covariates, check_fraction, check_indices, check_parameter, known_value
from pymc_lan.errors import check_length, describe_codes, explain, is_missing, refuse
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.ops.likelihood import PYTENSOR
from pymc_lan.registry.sources import AnyModel


@_logprob.register(ResponseRV)
def response_logprob(
    op: ResponseRV, values: Any, rng: Any, size: Any, log_p: Any, *_: Any, **kwargs: Any
) -> TensorVariable:
    """Log probability of each response; of another code -inf."""
    if op.unobserved and (now := known_value(values[0])) is not None:
        observed_responses(np.atleast_1d(now), op.spec)
    value, result = of_fixed_length(values[0], op.lengths, 0), pt.constant(-np.inf, dtype="float64")
    for k, code in enumerate(op.spec.choices):
        result = pt.where(pt.eq(value, code), log_p[..., k], result)
    return result


@_support_point.register(ResponseRV)
def response_support_point(op: ResponseRV, rv: Any, rng: Any, size: Any, log_p: Any, *_: Any) -> TensorVariable:
    """The last choice."""
    return pt.full_like(rv, op.spec.choices[-1])


class ChoiceDist(Discrete):
    r"""Responses alone, of a model whose choice probabilities a network has learned.

    Any task with a binary or categorical outcome: what is needed is a function that draws responses, `simulator_spec`
    with ``times=False``, and a network of `train`.

    Parameters
    ----------
    name : str
        Left out in ``ChoiceDist.dist``.
    model : str, Model, path or Network
        A name given to `register`, a spec, a version's folder, or a network just trained.
    *params, **params_by_name : tensor_like
        The model's parameters, in its order or by name; scalar or one per trial.
    p_lapse : tensor_like
        Probability that a trial is a guess, of which every choice is as likely. Default 0.
    weights : str, path or Network, optional
        Where `model` is a spec: its network, if it has no registered name.
    observed : array_like, DataFrame or pm.Data, optional
        Codes of the model's choices, one per trial; of a table the column ``response``.
    response : str or mapping, optional
        Of `observed`: the name of the column, or what its codes stand for, as ``{"left": 0, "right": 1}``.
    dims : str, optional
        The name of the trials' dimension.

    Raises
    ------
    ValueError
        For a model of response times, responses that are none of the choices, an unknown or missing parameter, lengths
        that do not match, a constant outside the trained bounds.
    RegistryError
        For weights that cannot be found or verified.

    Notes
    -----
    Draws follow the network's probabilities, so no simulator is needed to predict. Parameters outside the trained
    bounds are evaluated at the nearest point inside, minus a penalty that grows with the distance. Where parameters are
    scalar the network is evaluated once, however many trials there are.

    Examples
    --------
    >>> import tempfile, pymc as pm, pymc_lan as pl
    >>> def detect(theta, rng):
    ...     return rng.normal(theta[:, 0], 1.0) > 1.0
    >>> spec = pl.simulator_spec("yes_no", detect, {"d": (0.0, 4.0)}, choices=[0, 1], times=False)
    >>> small = pl.SimulationRecipe(hidden=(4,), chunks=2, sets=64, trials=64, batch=16, held_out=32)
    >>> network = pl.train(spec, tempfile.mkdtemp(), simulation_recipe=small, n_measured=5000, progress=False)
    >>> with pm.Model():
    ...     d = pm.Uniform("d", 0, 4)
    ...     obs = pl.ChoiceDist("obs", network, d, observed=[1, 0, 0, 1])
    """

    model: ClassVar[str | None] = None

    def __new__(cls, name: str, *args: Any, observed: Any = None, **kwargs: Any) -> TensorVariable:  # type: ignore[misc]
        """Add the responses to the current PyMC model."""
        kwargs["total_size"] = check_total_size(kwargs.get("total_size"))
        theta: dict[str, Any] = {}
        if observed is not None:
            source, positional = split_model(cls, args)
            spec, network = _resolved(source, kwargs.pop("weights", None))
            table, dims = None if isinstance(observed, Variable) else observed, kwargs.get("dims")
            names, model = () if dims is None else names_of(dims), modelcontext(None)
            trials = trials_of_dims(model, names) if names else None
            theta = in_order(table, dict(zip(spec.names, positional, strict=False)), trials)
            args, kwargs = (
                (network or spec, *theta.values(), *positional[len(theta) :]),
                in_order(table, kwargs, trials),
            )
            observed, kwargs["_grid"] = read_responses(observed, spec, kwargs.pop("response", RESPONSE))
            if names:
                check_dims(model, names, observed.type.shape if isinstance(observed, Variable) else observed.shape)
        rv = super().__new__(cls, name, *args, observed=observed, **kwargs)
        write_record(rv)
        finish(cls, rv, observed, theta | kwargs)
        return rv

    @classmethod
    def dist(
        cls,
        *args: Any,
        p_lapse: Any = 0.0,
        weights: AnyModel | None = None,
        _grid: tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        """Return trials outside a model, for `pm.draw` and `pm.logp`.

        Arguments as inside a model, without the name and ``observed``; ``shape=(n,)`` says how many trials there are.
        """
        source, positional = split_model(cls, args)
        spec, network = _resolved(source, weights)
        theta = extract_theta(cls, spec, positional, kwargs)
        for name, value in (theta | {"p_lapse": p_lapse}).items():
            check_indices(name, value, _grid)
            check_covariates(name, value, _grid)
            if _grid is not None:
                check_length(name, value, _grid)
        op = ResponseRV(spec, None if network is None else network.lan, record=record(network))
        log_p = log_probabilities(spec, network, theta, check_fraction("p_lapse", p_lapse))
        parameters = [pt.cast(pt.as_tensor_variable(x), "float64") for x in theta.values()]
        return apply_rv(op, [log_p, *parameters], **kwargs)


def log_probabilities(
    spec: Model, network: Network | None, theta: dict[str, Any], p_lapse: Any = 0.0
) -> TensorVariable:
    """Log probability of each choice, along the last axis, as a graph of the parameters."""
    for p in spec.parameters:
        check_parameter(p, theta[p.name], trained=network is not None)
    values = {name: pt.cast(pt.as_tensor_variable(x), "float64") for name, x in theta.items()}
    likelihood = Likelihood(spec, None if network is None else partial(network.lan.outputs, PYTENSOR))
    log_p, penalty = likelihood.log_probabilities(PYTENSOR, values)
    if not is_zero(p_lapse):
        guess = -np.log(len(spec.choices))
        log_p = [mix_lapses(PYTENSOR, x, pt.as_tensor_variable(p_lapse), guess) for x in log_p]
    return pt.stack(pt.broadcast_arrays(*(x - penalty for x in log_p)), axis=-1)


def _resolved(source: AnyModel, weights: AnyModel | None) -> tuple[Model, Network | None]:
    """The model and its network; None of one whose probabilities have a closed form."""
    spec, network = resolve_model(source, weights, None)
    if spec.times or (network is None and spec.log_choices is None):
        expected = "a model of responses alone, from pl.simulator_spec(..., times=False)"
        raise ValueError(explain(expected, f"{spec.name!r}, a model of response times", "use LANDist"))
    return spec, network


def read_responses(
    observed: Any, spec: Model, response: str | Mapping[Any, Any], default: str = RESPONSE
) -> tuple[Any, Any]:
    """Check observed responses, of a variable as they are now; return them as PyMC takes them, and their shape.

    The shape is None where it may change.
    """
    if isinstance(observed, Variable):
        check_codes_of_rows(response)
        if (now := known_value(observed)) is not None:
            observed_responses(now, spec)
        return observed, None if observed.type.shape[0] is None else observed.type.shape
    codes = observed_responses(observed, spec, response, default)
    return convert_observed_data(codes), codes.shape


def observed_responses(
    data: Any, spec: Model, response: str | Mapping[Any, Any] = RESPONSE, default: str = RESPONSE
) -> NDArray[np.int64]:
    """Check observed responses.

    Parameters
    ----------
    data : array_like of shape (n_trials,) or DataFrame
    spec : Model
    response : str or mapping
        As of `pymc_lan.as_observed`.
    default : str
        The column of a table whose codes a mapping names.

    Returns
    -------
    ndarray of int64, shape (n_trials,)

    Raises
    ------
    ValueError
        If there are none, or others than the model's choices.
    """
    if (whose := subjects(data)) is not None:
        for doubt in nameless(*whose):
            raise ValueError(str(doubt))
    name = default if isinstance(response, Mapping) else response
    if (names := table_columns(data)) is not None:
        check_names(data, names, [name])
    raw = column(data, data if names is None else name, argument="response")
    if raw.ndim != 1 or not len(raw):
        expected = "responses of shape (n_trials,), one code per trial"
        raise ValueError(explain(expected, f"shape {raw.shape}", "give one column, with a row for each trial"))
    if isinstance(response, Mapping):
        raw = recoded(raw, response, RESPONSE)
    cells, codes = raw.tolist(), set(spec.choices)
    bad = np.array([not isinstance(cell, Hashable) or is_missing(cell) or cell not in codes for cell in cells], bool)
    refuse(
        bad,
        {"response": raw},
        expected=f"the response codes {', '.join(map(str, spec.choices))} of {spec.name!r}",
        found=f"other codes, {describe_codes(raw[bad])},",
        remedy="recode the responses as the simulator returns them; a trial that ends without one needs a choice of "
        "its own in the model",
    )
    return np.array(cells, np.int64)
