"""The distribution of responses and their times, of any model by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

import numpy as np
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.observation import Observation, Silence, of_choices
from pymc_lan.data.partly_seen import Parts
from pymc_lan.data.plausible import doubtful_edge, settle
from pymc_lan.data.tables import AUTO, from_table
from pymc_lan.distributions.base import (
    ANY_WINDOW,
    WHOLE,
    Float,
    TrialDistribution,
    constant_value,
    deadline_view,
    extract_theta,
    lapse_window,
    resolve_model,
    split_model,
)
from pymc_lan.distributions.seen_in_part import extras_of, parts_of, take_parts
from pymc_lan.distributions.values import check_deadline, check_fraction, known_numbers
from pymc_lan.errors import explain
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.registry.sources import AnyModel, get_model


class LANDist(TrialDistribution):
    r"""Response times and choices of any model, by name.

    Parameters
    ----------
    name : str
        Left out in ``LANDist.dist``.
    model : str, Model, path or Network
        ``"ddm"``, ``"ddm@1.0"``, a spec, a version's folder, or a network just trained.
    *params, **params_by_name : tensor_like
        The model's parameters, in its order or by name; scalar or one per trial. See ``pl.get_model(model)``. A name
        that PyMC reserves takes an underscore: ``shape_`` in ``gamma_drift``.
    likelihood : {"lan", "exact"}
        The network, or the closed form where the model has one; by default the network, and the closed form of a model
        that has nothing else (races of accumulators).
    weights : str, path or Network, optional
        Other weights than the model's default.
    p_lapse : tensor_like
        Probability that a trial is a guess: any response, at a time uniform on the lapse window. Default 0.
    lapse_window : tensor_like, optional
        Seconds; by default each trial's deadline or, where it has none, the largest observed rt. A guess after the
        deadline is an omission.
    deadline : tensor_like or str, optional
        End of the response window in seconds, where trials without a decision by then are seen as omissions (no rt);
        or the name of a column. By default, ``"auto"``, the column ``deadline`` where `observed` has one; None is none.
        How likely omissions are is known in closed form, by a network, or else as the integral of the density beyond
        the deadline. Models whose simulator leaves trials without a response (``omissions=True``) take none.
    missing : {"lost"}, optional
        Of some trials the time or the response was lost: the cell is empty, or in an array rt is -1, or the response 0
        (of accumulators, of which one is 0, -1). Without it such trials are refused.
    rt_interval : tensor_like, str or tuple of str, optional
        Within how many seconds times are known, rt being the middle; or the name of a column of that; or of two columns
        in place of ``rt``, its least and its largest value.
    truncation : tuple, optional
        Between which times [s] responses were recorded at all: the others are not in the table. Either may be None, one
        for each trial, or the name of a column.
    observed : DataFrame, array or pm.Data, optional
        Columns ``rt`` (seconds) and ``response`` (-1 or +1, or 0 to n - 1 for n accumulators), or rows of the two, also
        (subject, trial, 2). Where there is no column ``rt``, or it is -1 in all rows, responses are all that is seen.
    response : str or mapping, optional
        Of `observed`: the name of the column, or what its codes stand for, as ``{"left": -1, "right": 1}``.
    dims : str, optional
        The name of the trials' dimension.

    Raises
    ------
    ValueError
        For data or parameters that cannot be: see `pymc_lan.as_observed`; a constant outside the trained
        bounds; an unknown or missing parameter.
    RegistryError
        For weights that cannot be found or verified.

    Notes
    -----
    The value of a trial is the row ``[rt, response]``, so draws have shape (n_trials, 2). Parameters outside the
    trained bounds are evaluated at the nearest point inside, minus a penalty that grows with the distance, so a
    sampler is led back; keep priors inside the bounds.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=100, seed=1)
    >>> with pm.Model():
    ...     v = pm.Normal("v", 0, 2)
    ...     obs = pl.LANDist("obs", "ddm", v, 1.0, t=0.3, observed=df)
    """

    @classmethod
    @override
    def _observation(cls, spec: Model, deadline: Any, parts: Parts = WHOLE) -> Observation:
        return parts.around(of_choices(spec.choices, omissions=deadline is not None or spec.omissions))

    @classmethod
    @override
    def _take_parts(cls, observed: Any, kwargs: dict[str, Any]) -> tuple[Float | None, Parts]:
        return take_parts(observed, kwargs)

    @classmethod
    @override
    def _look_at(cls, times: Float, spec: Model, kwargs: Mapping[str, Any]) -> None:
        told = kwargs.get("deadline") is not None or kwargs.get("truncation") is not None
        if not (told or spec.omissions or spec.collapses):
            settle(doubtful_edge(times), strict=False)

    @classmethod
    @override
    def _knows_deadline(cls, spec: Model, network: Network | None) -> bool:
        return not spec.omissions or _has_opn(network) or spec.exact is not None

    @classmethod
    @override
    def _say_none(cls, argument: str, source: AnyModel, kwargs: Mapping[str, Any]) -> None:
        if _has_opn(resolve_model(source, kwargs.get("weights"), kwargs.get("likelihood"))[1]):
            super()._say_none(argument, source, kwargs)

    @classmethod
    @override
    def _check_network(cls, spec: Model, network: Network | None, deadline: Any) -> None:
        if deadline is not None:
            _check_omissions(spec, network, deadline)

    @classmethod
    def dist(
        cls,
        *args: Any,
        likelihood: str | None = None,
        weights: AnyModel | None = None,
        p_lapse: Any = 0.0,
        lapse_window: Any = None,
        deadline: Any = AUTO,
        missing: str | None = None,
        rt_interval: Any = None,
        truncation: Any = None,
        _grid: tuple[int, ...] | None = None,
        _times: Any = None,
        _alone: bool = False,
        **kwargs: Any,
    ) -> TensorVariable:
        """Return trials outside a model, for `pm.draw` and `pm.logp`.

        Arguments as inside a model, without the name and ``observed``; ``shape=(n, 2)`` says how many trials there are.
        """
        source, positional = split_model(cls, args)
        spec = get_model(source)
        theta = extract_theta(cls, spec, positional, kwargs)
        deadline = deadline if isinstance(deadline, Variable) else from_table(deadline, None, "deadline")
        if spec.omissions and deadline is None:
            # The simulator knows which trials have no response; none is late beyond that.
            deadline = np.inf
        p_lapse = check_fraction("p_lapse", p_lapse)
        always = _alone and deadline is None and truncation is None
        extras = {
            "p_lapse": p_lapse,
            "lapse_window": _window(lapse_window, p_lapse, deadline, ANY_WINDOW if always else _times),
        }
        if deadline is not None:
            extras["deadline"] = check_deadline(deadline)
        extras |= extras_of(rt_interval, truncation)
        parts = parts_of(missing, rt_interval, truncation, alone=_alone)
        return cls._make(
            source, theta, extras, likelihood=likelihood, weights=weights, grid=_grid, parts=parts, **kwargs
        )


_window = lapse_window


def _check_omissions(spec: Model, network: Network | None, deadline: Any) -> None:
    """Refuse a deadline where nothing says how likely it is that it passes without a decision."""
    if spec.omissions and spec.exact is None:
        ends = constant_value(deadline)
        if ends is None or np.any(np.isfinite(ends)):
            expected = f"no deadline=..., because the simulator of {spec.name!r} says which trials have no response"
            raise ValueError(explain(expected, f"{deadline}", "leave it out, or make it a parameter such as 'limit'"))
        return
    ends = known_numbers(deadline)
    if _has_opn(network) and ends is not None and not np.all(np.isfinite(ends)):
        remedy = "give every trial its own; without any deadline there are no omissions, and no deadline=... is needed"
        raise ValueError(explain("finite deadlines, because the OPN knows no others", f"{ends}", remedy))


def _has_opn(network: Network | None) -> bool:
    """Whether there is a network of trials that are not decided by a deadline."""
    view = deadline_view(network)
    return view is not None and view.deadlines and view.silence is Silence.OMISSION
