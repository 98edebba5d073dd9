"""What a model's posterior says of its trials: parameters, log likelihoods and guesses for draws, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.errors import explain, unknown
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.models.model import require_labels, shift
from pymc_lan.models.watched import watched
from pymc_lan.networks import bounds
from pymc_lan.networks.bounds import has_closed_form
from pymc_lan.networks.network import nan_handed_on
from pymc_lan.numerics.passage import NUMPY

if TYPE_CHECKING:
    from pymc_lan.distributions.response_rv import ResponseRV
    from pymc_lan.distributions.trial_rv import TrialRV

Float = NDArray[np.float64]
Parameters = dict[str, Float]

# Values of draws times trials that are in memory at once, a few arrays of them.
CHUNK = 500_000
# Of which trials without a response a solution of a model's equations tells the probability: it has P(upper by T).
KNOWN_TO_SOLUTIONS = frozenset({Silence.NO_PRESS})


@dataclass(frozen=True, slots=True)
class Trials:
    """An observed variable of ours.

    Parameters
    ----------
    name : str
    op : TrialRV or ResponseRV
    rt, response : ndarray, shape (n_trials,)
        Without times, rt is NaN.
    grid : tuple of int
        The shape that the trials have in the model: (n_trials,), or (subject, trial).
    """

    name: str
    op: TrialRV | ResponseRV
    rt: Float
    response: Float
    grid: tuple[int, ...]

    @property
    def responded(self) -> NDArray[np.bool_]:
        """Trials with a response whose time is known."""
        return (self.rt >= 0) & (self.rt < np.inf)


def find_trials(model: Any) -> list[Trials]:
    """The observed variables of a model that are this package's distributions.

    Raises
    ------
    ValueError
        If there is none.
    """
    from pymc_lan.distributions.nodes import observed_trials, trial_node

    found = []
    for rv in model.observed_RVs:
        if (node := trial_node(rv)) is not None:
            value = observed_trials(model, rv)
            if value.ndim < 2:  # responses without times
                value = np.stack([np.full(value.shape, np.nan), value], axis=-1)
            rt, response = value[..., 0], value[..., 1]
            found.append(Trials(rv.name, node.op, rt.ravel(), response.ravel(), rt.shape))
    if not found:
        known = ", ".join(rv.name for rv in model.observed_RVs) or "none"
        expected = "a model with observed trials of a pymc_lan distribution"
        raise ValueError(explain(expected, f"observed variables: {known}", "pass the model that was sampled"))
    return found


def sample_dims(idata: Any, model: Any) -> dict[str, Float]:
    """Draws of every free variable of a model, of shape (n_chains, n_draws, ...).

    Raises
    ------
    ValueError
        If there is no posterior, or one of another model.
    """
    if "posterior" not in getattr(idata, "children", ()):
        raise ValueError(explain("the result of pm.sample", "no group posterior", "sample the model first"))
    posterior = idata["posterior"]
    for rv in model.free_RVs:
        if rv.name not in posterior:
            raise ValueError(unknown("variable", rv.name, [str(name) for name in posterior.data_vars]))
    return {rv.name: posterior[rv.name].transpose("chain", "draw", ...).to_numpy() for rv in model.free_RVs}


def each_draw(model: Any, trials: Sequence[Trials]) -> Callable[[dict[str, Any]], list[Parameters]]:
    """Compile the parameters of trials as a function of the free variables, whatever stands in between.

    Returns
    -------
    callable
        Takes the value of every free variable; returns, for each of `trials`, every parameter of its distribution, of
        shape (n_trials,).
    """
    import pytensor

    from pymc_lan.distributions.nodes import trial_node

    named = {rv.name: rv for rv in model.observed_RVs}
    nodes: list[Any] = [trial_node(named[each.name]) for each in trials]
    graphs = [graph for node in nodes for graph in node.inputs[-len(node.op.parameters) :]]
    # Compiled for a few hundred calls: in Python at once.
    function = pytensor.function(model.free_RVs, graphs, mode="FAST_COMPILE", on_unused_input="ignore")

    def evaluate(point: dict[str, Any]) -> list[Parameters]:
        values, result = iter(function(*(point[rv.name] for rv in model.free_RVs))), []
        for each in trials:
            wide = ((name, next(values)) for name in each.op.parameters)
            result.append({name: np.broadcast_to(x, each.grid).ravel() for name, x in wide})
        return result

    return evaluate


def chunks(
    model: Any, trials: Sequence[Trials], draws: dict[str, Float]
) -> Iterator[tuple[NDArray[np.intp], list[Parameters]]]:
    """Yield numbers of draws and the parameters of their trials, of shape (k, n_trials), a few draws at a time.

    Parameters
    ----------
    model : pymc.Model
    trials : sequence of Trials
    draws : dict of str to ndarray, shape (n_draws, ...)
        Of every free variable.
    """
    evaluate, n = each_draw(model, trials), len(next(iter(draws.values())))
    size = max(1, CHUNK // max(each.rt.size for each in trials))
    for begin in range(0, n, size):
        rows = np.arange(begin, min(n, begin + size))
        found = [evaluate({name: x[row] for name, x in draws.items()}) for row in rows]
        yield rows, stacked(found)


def stacked(found: Sequence[list[Parameters]]) -> list[Parameters]:
    """What `each_draw` found for several draws, by variable, of shape (k, n_trials)."""
    return [{name: np.stack([f[i][name] for f in found]) for name in each} for i, each in enumerate(found[0])]


def take(trials: Trials, chosen: NDArray[np.intp]) -> Trials:
    """Some of the trials of a variable."""
    return replace(trials, rt=trials.rt[chosen], response=trials.response[chosen])


def likelihood_of(op: Any) -> Likelihood:
    """The likelihood that a distribution evaluates, in NumPy."""
    silence = op.observation.silence
    return Likelihood(watched(op.spec, op.choice, silence), op.lan, op.choice, silence)


def log_likelihood(trials: Trials, likelihood: Likelihood, parameters: Parameters) -> Float:
    """Log likelihood of trials, as the distribution defines it, by a network or the closed form.

    Parameters
    ----------
    trials : Trials
    likelihood : Likelihood
    parameters : dict of str to ndarray, shape (k, n_trials)

    Returns
    -------
    ndarray, shape (k, n_trials)
    """
    op, theta = trials.op, {name: parameters[name] for name in trials.op.spec.names}
    with nan_handed_on():
        log_p = op.observation.log_trial(NUMPY, likelihood, trials.rt, trials.response, parameters, theta)
    penalty = likelihood.clamp(NUMPY, theta)[1] if op.lapses else 0.0
    log_p = np.broadcast_to(log_p, next(iter(theta.values())).shape)
    return _with_lapses(trials, parameters, log_p, penalty) - _log_recorded(trials, likelihood, parameters)


def _log_recorded(trials: Trials, likelihood: Likelihood, parameters: Parameters) -> Any:
    """Log probability that a trial is recorded at all, be it a guess or not."""
    op, theta = trials.op, {name: parameters[name] for name in trials.op.spec.names}
    with nan_handed_on():
        found = op.observation.log_recorded(NUMPY, likelihood, parameters, likelihood.clamp(NUMPY, theta)[0])
    if found is None or not op.lapses:
        return 0.0 if found is None else found
    with np.errstate(divide="ignore"):
        of_guesses = op.observation.log_recorded_guess(NUMPY, parameters)
    return mix_lapses(NUMPY, found, parameters["p_lapse"], of_guesses)


def _with_lapses(trials: Trials, parameters: Parameters, log_p: Float, penalty: Any = 0.0) -> Float:
    """With guesses, where the model has a place for them.

    As in the distribution, the penalty outside the bounds is then taken of the mixture, not of the trial alone.
    """
    if not trials.op.lapses:
        return log_p
    return mix_lapses(NUMPY, log_p, parameters["p_lapse"], _log_guess(trials, parameters)) - penalty


def _log_guess(trials: Trials, parameters: Parameters) -> Float:
    """Log density of trials that are guesses, of shape (k, n_trials)."""
    with np.errstate(divide="ignore"):
        guess: Float = trials.op.observation.log_guess(NUMPY, trials.rt, parameters, trials.response)
        return guess


def guess_probability(trials: Trials, parameters: Parameters, log_mixture: Float) -> Float:
    """Probability that each trial was a guess, of shape (k, n_trials).

    Parameters
    ----------
    trials : Trials
    parameters : dict of str to ndarray, shape (k, n_trials)
    log_mixture : ndarray, shape (k, n_trials)
        From `log_likelihood`.
    """
    log_all = log_mixture + _log_recorded(trials, likelihood_of(trials.op), parameters)
    with np.errstate(divide="ignore"):
        return np.exp(np.minimum(np.log(parameters["p_lapse"]) + _log_guess(trials, parameters) - log_all, 0.0))


def exact_log_likelihood(trials: Trials, parameters: Parameters) -> Float:
    """The likelihood that the network stands for: in closed form, or from a solution of the model's equations.

    Parameters
    ----------
    trials : Trials
    parameters : dict of str to ndarray, shape (k, n_trials)

    Returns
    -------
    ndarray, shape (k, n_trials)
        NaN where nothing is known: parameters that the solver does not manage, or times that it does not reach.
    """
    spec = trials.op.spec
    if has_closed_form(trials.op):
        return log_likelihood(trials, Likelihood(spec, silence=trials.op.observation.silence), parameters)
    names = [name for name in spec.names if name != "t"]
    shape = parameters["t"].shape
    table = np.column_stack([parameters[name].ravel() for name in names])
    sets, which = np.unique(table, axis=0, return_inverse=True)
    deadline = trials.op.observation.deadline(parameters, KNOWN_TO_SOLUTIONS)
    log_p = (
        require_labels(spec)
        .at(
            dict(zip(names, sets.T, strict=True)),
            which.ravel(),
            (trials.rt - parameters["t"]).ravel(),
            np.broadcast_to(trials.op.observation.code(trials.response), shape).ravel(),
            None if deadline is None else (deadline - parameters["t"]).ravel(),
        )
        .reshape(shape)
    )
    # Of intervals of time nothing is known, nor of what lies within limits.
    seen = trials.op.observation
    known = (np.isinf(trials.rt) | seen.is_whole(trials.rt, trials.response)) & ("truncation_low" not in seen.extras)
    log_p = np.where(known, log_p, np.nan)
    return _with_lapses(trials, parameters, log_p)


def late_share(trials: Trials, parameters: Parameters) -> float:
    """Share of responses, over draws and trials, that came before the decision can have begun."""
    spec = trials.op.spec
    if not spec.times:
        return 0.0
    begins = shift(spec, parameters) + spec.earliest(parameters)
    return float((begins >= trials.rt)[..., trials.responded].mean()) if trials.responded.any() else 0.0


def outside(trials: Trials, parameters: Parameters, margin: float = 0.0) -> dict[str, NDArray[np.bool_]]:
    """Whether each parameter of some draws leaves its bounds, or comes near them, in any trial.

    They are those that the network was trained on or, of a closed form, those of the model itself.

    Parameters
    ----------
    trials : Trials
    parameters : dict of str to ndarray, shape (k, n_trials)
    margin : float
        A share of the bounds' distance: how near is near.

    Returns
    -------
    dict of str to ndarray of bool, shape (k,)
    """
    found = bounds.outside(trials.op.spec, parameters, trained=trials.op.lan is not None, margin=margin)
    return {name: where.any(axis=-1) for name, where in found.items()}


def say_all_outside(trials: Sequence[Trials], found: Sequence[dict[str, NDArray[np.bool_]]]) -> list[str]:
    """A sentence for each observed variable whose parameters leave their bounds in some draws, as `outside` found."""
    words = []
    for each, flags in zip(trials, found, strict=True):
        if shares := {name: float(x.mean()) for name, x in flags.items() if x.any()}:
            words.append(bounds.say_outside(each.op, shares, next(iter(flags.values())).size))
    return words


def good_k(n: int) -> float:
    """The largest Pareto k at which n weighted draws are reliable (Vehtari et al. 2024, JMLR 25(72))."""
    return min(1 - 1 / np.log10(n), 0.7) if n > 10 else 0.0
