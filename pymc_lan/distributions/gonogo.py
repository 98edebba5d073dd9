"""The go/no-go distribution of any model by name: a press or nothing, within a response window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.messages import say
from pymc_lan.data.observation import Observation, PressOrNot, Silence
from pymc_lan.data.observed import trial_type_is_go
from pymc_lan.data.partly_seen import Parts
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
    split_model,
)
from pymc_lan.distributions.seen_in_part import extras_of, parts_of, take_parts
from pymc_lan.distributions.values import as_numbers, check_deadline, check_fraction, known_value
from pymc_lan.errors import check_length, explain
from pymc_lan.models.model import Model, require_views
from pymc_lan.networks.network import Network
from pymc_lan.ops.likelihood import known_codes
from pymc_lan.registry.sources import AnyModel, get_model


class GoNoGo(TrialDistribution):
    r"""The go/no-go form of any two-choice model.

    The upper boundary is a press at ``rt``. Nothing is seen of a lower decision, nor of one after the deadline::

        press at rt:   log f_upper(rt - t)
        no press:      log (1 - F_upper(deadline - t))

    Parameters
    ----------
    name : str
        Left out in ``GoNoGo.dist``.
    model : str, Model, path or Network
        As in `LANDist`.
    *params, **params_by_name : tensor_like
        The model's parameters, in its order or by name; scalar or one per trial.
    v_nogo : tensor_like, optional
        Drift on no-go trials; by default ``-v``.
    trial_type : array_like, str or mapping, optional
        Whether a trial is a go trial: "go" / "no-go", 1 / 0, 1 / -1 or True / False, one per trial; a variable with
        such numbers; the name of a column of `observed`; or what the cells of its column ``trial_type`` stand for, as
        ``{"target": "go", "foil": "no-go"}``. By default, ``"auto"``, the column ``trial_type`` where
        `observed` has one. None, or where there is none: every trial's drift is ``v``.
    deadline : tensor_like or str, optional
        End of the response window, seconds after stimulus onset, or the name of a column. By default, ``"auto"``, the
        column ``deadline`` where `observed` has one. None, or where there is none: no end.
    p_lapse : tensor_like
        Probability that a trial is a guess. Default 0.
    lapse_go : tensor_like
        Probability that a guess is a press. Default 0.5.
    lapse_window : tensor_like, optional
        Presses by guess are uniform on 0 to this many seconds; one after the deadline is not seen, so a guess ends in
        no press with probability ``1 - lapse_go min(1, deadline / lapse_window)``. By default each trial's deadline
        or, where it has none, the largest observed rt.
    likelihood, weights : optional
        As in `LANDist`.
    missing, rt_interval, truncation : optional
        As in `LANDist`: times of presses that were lost (a 1 without rt, in an array rt is -1), known to within an
        interval, or recorded between limits only. Where there is no column ``rt``, presses alone are seen.
    observed : DataFrame, array or pm.Data, optional
        A column ``rt`` (seconds; empty, NaN or inf where nothing was pressed) and, if there is one, ``response``
        (1 pressed, 0 or -1 not); or rows of the two, also (subject, trial, 2).
    response : str or mapping, optional
        Of `observed`: the name of the column, or what its codes stand for, as ``{"go": 1, "nogo": 0}``.
    dims : str, optional
        The name of the trials' dimension.

    Raises
    ------
    ValueError
        For data or parameters that cannot be: see `pymc_lan.as_observed`.
    RegistryError
        For weights that cannot be found or verified.

    Notes
    -----
    The value of a trial is the row ``[rt, response]``; ``rt = inf`` is no press.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> trials = pl.GoNoGo.dist("ddm", 1.0, 1.5, t=0.3, deadline=1.5, shape=(20, 2))
    >>> pm.draw(trials, random_seed=1).shape
    (20, 2)
    """

    from_columns = ("trial_type", "deadline")

    @classmethod
    @override
    def _say_none(cls, argument: str, source: AnyModel, kwargs: Mapping[str, Any]) -> None:
        if argument == "trial_type":
            say(
                "trial_type: the observed data have no columns, so v is the drift of every trial. trial_type=... says "
                "which are no-go trials; trial_type=None says that none are."
            )
        super()._say_none(argument, source, kwargs)

    @classmethod
    @override
    def _observation(cls, spec: Model, deadline: Any, parts: Parts = WHOLE) -> Observation:
        return parts.around(PressOrNot())

    @classmethod
    @override
    def _take_parts(cls, observed: Any, kwargs: dict[str, Any]) -> tuple[Float | None, Parts]:
        return take_parts(observed, kwargs)

    @classmethod
    @override
    def _knows_deadline(cls, spec: Model, network: Network | None) -> bool:
        view = deadline_view(network)
        return view is None or view.deadlines or view.silence is not Silence.NO_PRESS

    @classmethod
    @override
    def _check_network(cls, spec: Model, network: Network | None, deadline: Any) -> None:
        if network is not None:
            _check_go_nogo(network, deadline)

    @classmethod
    def dist(
        cls,
        *args: Any,
        v_nogo: Any = None,
        trial_type: Any = AUTO,
        deadline: Any = AUTO,
        p_lapse: Any = 0.0,
        lapse_go: Any = 0.5,
        lapse_window: Any = None,
        likelihood: str | None = None,
        weights: AnyModel | None = None,
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
        theta = extract_theta(cls, get_model(source), positional, kwargs)
        trial_type, deadline = (
            x if isinstance(x, Variable) else from_table(x, None, name)
            for name, x in (("trial_type", trial_type), ("deadline", deadline))
        )
        deadline = check_deadline(np.inf if deadline is None else deadline)
        if "v" not in theta:
            found = f"{', '.join(theta)} in its place"
            raise ValueError(explain("a model with a drift v, for go/no-go trials", found, "use LANDist"))
        drifts = {"v": theta["v"]} | ({} if v_nogo is None else {"v_nogo": as_numbers("v_nogo", v_nogo)})
        theta["v"] = _drift(drifts["v"], drifts.get("v_nogo"), trial_type, _grid)
        p_lapse = check_fraction("p_lapse", p_lapse)
        always = _alone and truncation is None
        extras = {
            "p_lapse": p_lapse,
            "lapse_window": _window(lapse_window, p_lapse, deadline, ANY_WINDOW if always else _times),
            "lapse_go": check_fraction("lapse_go", lapse_go),
            "deadline": deadline,
        } | extras_of(rt_interval, truncation)
        parts = parts_of(missing, rt_interval, truncation, alone=_alone)
        given: dict[str, Any] = {"likelihood": likelihood, "weights": weights, "grid": _grid}
        return cls._make(source, theta, extras, drifts=drifts, parts=parts, **given, **kwargs)


_window = lapse_window


def _check_go_nogo(network: Network, deadline: Any) -> None:
    """Refuse networks that do not say how likely it is that nothing is pressed by the deadline."""
    spec, view = network.spec, require_views(network.spec).choice
    expected = f"a choice/deadline network that knows how likely no press is, for the go/no-go form of {spec.name!r}"
    if view is not None and view.silence is not Silence.NO_PRESS:
        raise ValueError(explain(expected, *view.no_press))
    if len(spec.choices) != 2:
        raise ValueError(explain("a model of two choices", f"{spec.choices} in {spec.name!r}", "use LANDist"))
    if network.choice is None:
        remedy = "train one, import one with its CPN (cpn=...), or use the two-choice distribution"
        raise ValueError(explain(expected, "none in its weights", remedy))
    ends = constant_value(deadline)
    if view is not None and not view.deadlines and (ends is None or np.any(np.isfinite(ends))):
        found = f"a CPN, which knows no deadline, and deadline={deadline}"
        raise ValueError(explain(expected, found, "leave the deadline out, or use a network trained with pl.train"))


def _drift(v: Any, v_nogo: Any, trial_type: Any, grid: tuple[int, ...] | None) -> Any:
    """Drift per trial: v on go trials, v_nogo (by default -v) on no-go trials; only the drift changes sign."""
    if trial_type is None:
        if v_nogo is not None:
            raise ValueError(
                explain(
                    "trial_type together with v_nogo",
                    "v_nogo alone",
                    "give trial_type, one per trial or a column's name, to say which trials are no-go",
                )
            )
        return v
    is_go, known = _is_go(trial_type)
    if grid is not None:
        check_length("trial_type", is_go, grid, scalar=len(grid) > 1)
        check_length("v", v, grid)
        if v_nogo is not None:
            check_length("v_nogo", v_nogo, grid)
    other = -v if v_nogo is None else v_nogo
    drift = (
        pt.where(is_go, v, other) if isinstance(is_go, Variable) or v_nogo is not None else v * np.where(is_go, 1, -1)
    )
    return drift if known is None else known_codes(drift, known)


def _is_go(trial_type: Any) -> tuple[Any, Any]:
    """Which trials are go trials and, of a variable, whether each of its codes is known."""
    if not isinstance(trial_type, Variable):
        return trial_type_is_go(trial_type), None
    if (now := known_value(trial_type)) is not None:
        trial_type_is_go(now)
    if trial_type.type.dtype == "bool":
        return trial_type, None
    no_go = pt.and_(pt.eq(trial_type, 0), pt.all(pt.neq(trial_type, -1))) | pt.eq(trial_type, -1)
    return pt.gt(trial_type, 0), pt.eq(trial_type, 1) | no_go
