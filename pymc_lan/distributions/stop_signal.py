"""Stop-signal trials: a go and a stop process, each given as a distribution of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.observed import RESPONSE, read_observed
from pymc_lan.data.plausible import NO_DECISION_ABOVE
from pymc_lan.data.tables import AUTO, as_array, column_names, floats, from_table
from pymc_lan.distributions.landist import LANDist
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.errors import explain, refuse
from pymc_lan.models.race.race import Race
from pymc_lan.models.race.stop_signal import NO_SIGNAL, STOP, StopSignalRace, closed_race


class StopSignal:
    r"""Stop-signal trials: a go process, and where there is a signal a stop process that starts with it.

    A response is seen where the go process finishes first. Nothing is seen where the stop process does, or where
    neither has by the deadline. A signal may trigger nothing.

    Parameters
    ----------
    name : str
        Left out in ``StopSignal.dist``.
    go : TensorVariable
        A race in closed form, of any number of choices: ``pl.ShiftedWald.dist(v, a, t)``, ``pl.RDM.dist(...)``,
        ``pl.LNR.dist(...)``, ``pl.LBA.dist(...)`` and the like.
    stop : TensorVariable
        The stop process, counted from the signal: ``pl.ShiftedWald.dist(v, a, t)``, or an `RDM` or `LNR` of one
        accumulator.
    ssd : tensor_like or str
        Delay of the signal in seconds after the onset of the stimulus, empty (NaN) or inf where there is none; or the
        name of its column. By default, ``"auto"``, the column ``ssd`` of `observed`.
    trigger_failure : tensor_like
        Probability that a signal triggers nothing. Default 0.
    observed : DataFrame, array or pm.Data, optional
        Columns ``rt`` (empty where there was no response) and ``response``; or rows of the two, ``[inf, 0]`` without a
        response. A go process of one choice needs no column of responses.
    deadline, p_lapse, lapse_window, response, dims
        As in `LANDist`. A go trial without a response needs a deadline.

    Raises
    ------
    ValueError
        For processes that are no such races, delays that are below 0, go trials without a response where there is no
        deadline, and as `LANDist`.

    Notes
    -----
    The probability of a successful stop is an integral, by 96 nodes; its log is right to 1e-6.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> go, stop = pl.ShiftedWald.dist(3.0, 1.2, 0.2), pl.ShiftedWald.dist(6.0, 1.0, 0.05)
    >>> trials = pl.StopSignal.dist(go=go, stop=stop, ssd=[float("nan"), 0.2, 0.3], trigger_failure=0.05)
    >>> pm.draw(trials, random_seed=1).shape
    (3, 2)
    """

    def __new__(  # type: ignore[misc]
        cls, name: str, *, go: Any, stop: Any, ssd: Any = AUTO, observed: Any = None, **kwargs: Any
    ) -> TensorVariable:
        """Add the trials to the current PyMC model."""
        if isinstance(ssd, str):
            ssd = _of_table(ssd, observed)
        model, theta = _processes(go, stop, ssd)
        if not isinstance(observed, Variable | None):
            _check_go_trials(model, theta["ssd"], observed, kwargs)
        return LANDist(name, model, **theta, observed=observed, **kwargs)

    @classmethod
    def dist(cls, *, go: Any, stop: Any, ssd: Any, **kwargs: Any) -> TensorVariable:
        """Return trials outside a model, for `pm.draw` and `pm.logp`."""
        model, theta = _processes(go, stop, ssd)
        return LANDist.dist(model, **theta, **kwargs)


def _of_table(ssd: str, observed: Any) -> Any:
    """The column of delays."""
    found = from_table("ssd" if ssd == AUTO else ssd, observed, "ssd") if column_names(observed) is not None else None
    if found is None:
        remedy = "name it, ssd='...', or give the delays, one for each trial, NaN where there is no signal"
        raise ValueError(explain("a column 'ssd' in the observed table", "none", remedy))
    return found


def _processes(go: Any, stop: Any, ssd: Any) -> tuple[StopSignalRace, dict[str, Any]]:
    """The model of two processes, and its parameters by name."""
    (first, of_go), (second, of_stop) = _process("go", go), _process("stop", stop)
    if len(second.choices) != 1 or not second.accumulator.bounded:
        remedy = "give pl.ShiftedWald.dist(v, a, t), or pl.RDM.dist or pl.LNR.dist of one accumulator"
        raise ValueError(explain("stop as a process of one accumulator that finishes", f"{second.name!r}", remedy))
    theta = of_go | {f"{STOP}{name}": x for name, x in of_stop.items()}
    return StopSignalRace(first, second), theta | {"ssd": _delays(ssd)}


def _process(argument: str, rv: Any) -> tuple[Race, dict[str, Any]]:
    """The race behind a distribution, and its parameters."""
    node = trial_node(rv) if isinstance(rv, TensorVariable) else None
    spec = None if node is None else closed_race(node.op.spec)
    if node is None or not isinstance(node.op, TrialRV) or spec is None:
        remedy = f"{argument}=pl.ShiftedWald.dist(v, a, t), or another race in closed form by its .dist"
        raise ValueError(explain(f"{argument} as the distribution of a race", f"{rv!r:.60}", remedy))
    op: TrialRV = node.op
    if op.lapses or op.observation.silent:
        remedy = f"give deadline and p_lapse to StopSignal, and not to {argument}"
        raise ValueError(explain(f"{argument} without a deadline and lapses", "one that has them", remedy))
    named = dict(zip(op.parameters, node.inputs[2:], strict=True))
    return spec, {name: named[name] for name in spec.names}


def _delays(ssd: Any) -> Any:
    """Delays as finite numbers: very late where there is no signal."""
    if isinstance(ssd, Variable):
        symbols: Any = ssd
        return pt.where(pt.isnan(symbols) | (symbols > NO_SIGNAL), NO_SIGNAL, symbols)
    given = as_array(ssd)
    delays, not_a_number = floats(given.ravel())
    refuse(
        not_a_number | (delays < 0),
        {"ssd": given.ravel()},
        expected="delays of the stop signal of 0 s and more, empty (NaN) where there is none",
        found="others",
        remedy="give the seconds from the onset of the stimulus to that of the signal",
    )
    refuse(
        np.isfinite(delays) & (delays > NO_DECISION_ABOVE),
        {"ssd": given.ravel()},
        expected=f"delays of the stop signal in seconds, at most {NO_DECISION_ABOVE:g}, empty where there is none",
        found="others, which look like milliseconds or a code for none,",
        remedy="divide milliseconds by 1000, and leave trials without a signal empty (NaN)",
    )
    found: NDArray[np.float64] = np.where(np.isnan(delays), NO_SIGNAL, np.minimum(delays, NO_SIGNAL))
    return found.reshape(given.shape)


def _check_go_trials(model: StopSignalRace, ssd: Any, observed: Any, kwargs: dict[str, Any]) -> None:
    """Refuse trials that have neither a signal nor a response nor a deadline: nothing explains them."""
    deadline = kwargs.get("deadline", AUTO)
    has_one = deadline is not None and not (isinstance(deadline, str) and deadline == AUTO)
    if has_one or isinstance(ssd, Variable) or "deadline" in (column_names(observed) or ()):
        return
    seen = LANDist._observation(model, np.inf)
    rows = np.asarray(read_observed(observed, seen, response=kwargs.get("response", RESPONSE)))
    silent = np.isinf(rows[:, 0])
    refuse(
        silent & (np.broadcast_to(ssd, silent.shape) >= NO_SIGNAL),
        {"rt": rows[:, 0]},
        expected="a response on every trial without a stop signal, because there is no deadline",
        found="none",
        remedy="give deadline=..., the end of the response window",
    )
