"""Where a hierarchical model starts: near the parameters that each subject's trials say.

The parameters of a distribution are expressions of the model's free variables, whatever the user made of them: centred
or not, on a link, with regressors. The free variables are moved until the expressions come near the estimates. The
estimates of a group of trials cannot tell what differs between these trials: such models climb their own density from
there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observation import EVERY_SILENCE, Silence
from pymc_lan.data.tables import as_table, every_name, table_columns, whose
from pymc_lan.distributions.nodes import observed_trials, trial_node
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.errors import check_length, explain
from pymc_lan.inference.posterior import Point, compiled, not_finite, resolve_model
from pymc_lan.inference.start_grid import Estimates, estimates
from pymc_lan.models.imported import Imported
from pymc_lan.models.model import Model
from pymc_lan.models.simulator.simulated import Simulated

Float = NDArray[np.float64]
Codes = NDArray[np.intp]

# How far off a parameter may be to weigh as much as a free variable that is moved by 1 / RIDGE^0.5; t by this share of
# the fastest response.
SCALES: Mapping[str, float] = {"v": 0.5, "a": 0.1, "z": 0.1, "t": 0.1}
# Pull of the unconstrained values towards the model's own initial point; it decides what the estimates leave open.
RIDGE = 0.1
# A start need not be the very minimum.
STEPS = 200
# The column that says whose trials they are, unless told otherwise.
SUBJECT = "subject"
# t starts at most at this share of the fastest response.
BELOW = 0.8
# Where guesses are part of the model, the fastest responses are likely to be some.
GUESSES = 0.05
# A cell of fewer trials says nothing; the model then has regressors by trial, and cells are subjects.
FEWEST_TRIALS = 5


def initvals(model: Any = None, df: Any = None, *, by: str | None = None) -> dict[str, Float]:
    """Initial values for ``pm.sample(initvals=...)``, from the trials of each subject.

    Boundary and non-decision time are estimated for each subject, and the drift for each of the conditions that the
    model tells apart, by the likelihood of the plain diffusion on a coarse grid. The free variables are moved until v,
    a and t match, by least squares, and z is 0.5. Where a parameter differs between trials that the estimates take
    together, because of a regressor, the free variables go on from there, up the model's own log density.

    Parameters
    ----------
    model : pm.Model, optional
        By default that of the context. One of its variables is an observed distribution of this package.
    df : DataFrame
        The trials that were given as ``observed``, in that order.
    by : str, optional
        The column that says whose trial it is. By default ``"subject"`` and, where `df` has none of that name, all
        trials are one subject's.

    Returns
    -------
    dict of str to ndarray
        Free variables by name, on their own scale.

    Raises
    ------
    ValueError
        If the model has no such variable or several, or it is no diffusion between boundaries; `df` has another number
        of rows, no column `by`, or trials without a subject; or the log density is not finite there.

    Notes
    -----
    t starts below the subject's fastest response (with lapses in the model, which may be guesses: below the 5 %
    quantile). Free variables that are not behind v, a, z and t, such as the groups of members that are drawn around
    them directly, stay at the model's initial point: the density of members that are all alike has no upper limit.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=400, seed=1)
    >>> with pm.Model() as model:
    ...     t = pm.HalfNormal("t", 0.5)
    ...     obs = pl.DDM("obs", pm.Normal("v", 0, 2), pm.LogNormal("a", 0, 0.5), 0.5, t, observed=df)
    >>> start = pl.initvals(model, df)
    >>> sorted(start), bool(start["t"] < df["rt"].min())
    (['a', 't', 'v'], True)
    """
    model = resolve_model(model)
    rv = _trial_variable(model)
    rows, node = observed_trials(model, rv), _diffusion(rv)
    grid, trials = rows.shape[:-1], rows.reshape(-1, 2)
    rt, op = trials[:, 0], node.op
    subject = _subjects(df, by, len(rt))
    begin = {name: np.asarray(x, np.float64) for name, x in model.initial_point(random_seed=0).items()}
    named = dict(zip(op.parameters, node.inputs[2:], strict=True))
    expressions = _by_trial(model, named, [name for name in SCALES if name in named], grid)
    # Where it is given up, and not late, a trial without a response says nothing.
    known = frozenset() if op.spec.omissions else EVERY_SILENCE
    deadline, ends = np.full(len(rt), -np.inf), op.observation.deadline(named, known)
    if ends is not None:
        [deadline] = _evaluate(model, list(_by_trial(model, {"deadline": ends}, ["deadline"], grid).values()), begin)
    anywhere = _evaluate(model, list(expressions.values()), _moved(begin))
    cell = _cells([subject, deadline], anywhere)
    latest = _latest(rt, subject, lapses=op.lapses)
    # What was lost of a trial leaves it to the others to say where it starts.
    whole = np.isinf(rt) | ((rt > 0) & np.isin(trials[:, 1], op.observation.responses))
    point, timed = begin, bool((whole & np.isfinite(rt)).any())
    if timed:
        silence = op.observation.silence or Silence.NO_PRESS
        found = _of_whole(whole, rt, trials[:, 1] > 0, cell, subject, latest, deadline, silence)
        # A t that subjects share has to suit the fastest of them.
        shared = _codes([anywhere[list(expressions).index("t")]])
        limit = _least(latest[subject], shared)[shared]
        limit = np.where(np.isfinite(limit), limit, np.median(limit[np.isfinite(limit)]))
        cost = _misfit(expressions, _targets(op.spec, found, limit), limit, 1.0 / np.bincount(cell)[cell])
        point = _descend(model, cost, begin, model.value_vars, RIDGE)
    if not timed or _differ(cell, subject, deadline, dict(zip(expressions, anywhere, strict=True))):
        point = _descend(model, -model.logp(), point, _members(model), 0.0)
    if bad := not_finite(model, point):
        remedy = "give initvals by hand, or priors that allow what the data need"
        raise ValueError(explain("a finite log density at the start", f"none of {bad}", remedy))
    free = [rv.name for rv in model.free_RVs]
    outputs = [v for v in model.unobserved_value_vars if v.name in free]
    return {v.name: np.asarray(x) for v, x in zip(outputs, _evaluate(model, outputs, point), strict=True)}


def _of_whole(
    whole: NDArray[np.bool_], rt: Float, upper: NDArray[np.bool_], cell: Codes, subject: Codes, latest: Float,
    deadline: Float, silence: Silence,
) -> Estimates:  # fmt: skip
    """`estimates` by the trials that are whole; of a cell or subject that has none, the median of the others."""
    if whole.all():
        return estimates(rt, upper, cell, subject, latest, deadline, silence)
    of_subject = np.unique(subject[whole])
    of_cell, whose = _codes([cell[whole]]), _codes([subject[whole]])
    some = estimates(rt[whole], upper[whole], of_cell, whose, latest[of_subject], deadline[whole], silence)
    found = []
    for values, group in zip(some, (cell, subject, subject), strict=True):
        wide = np.full(group.max() + 1, np.median(values))
        wide[group[whole]] = values
        found.append(wide[group])
    return Estimates(*found)


@singledispatch
def speaks_of_diffusion(model: Model) -> bool:
    """Whether v, a and t, where there are such parameters, are drift, boundary and non-decision time."""
    return True


@speaks_of_diffusion.register
def _of_a_simulator(model: Simulated) -> bool:
    # Nobody knows what its parameters mean.
    return False


@speaks_of_diffusion.register
def _of_the_known(model: Imported) -> bool:
    return speaks_of_diffusion(model.known)


def _trial_variable(model: Any) -> Any:
    found = [rv for rv in model.observed_RVs if (node := trial_node(rv)) is not None and isinstance(node.op, TrialRV)]
    if len(found) != 1:
        expected = "a model with one observed distribution of response times of pymc_lan"
        names = ", ".join(rv.name for rv in found) or "none"
        raise ValueError(explain(expected, names, "give initvals by hand, or pass the model that has the data"))
    return found[0]


def _diffusion(rv: Any) -> Any:
    """The node that draws a variable, of a diffusion."""
    node: Any = trial_node(rv)
    spec = node.op.spec
    if not {"v", "a", "t"} <= set(spec.names) or not speaks_of_diffusion(spec):
        expected = "a diffusion with drift v, boundary a and non-decision time t"
        raise ValueError(explain(expected, f"{spec.name!r} with {', '.join(spec.names)}", "give initvals by hand"))
    return node


def _subjects(df: Any, by: str | None, n: int) -> Codes:
    """A code from 0 on for each trial's subject."""
    if every_name(df) is None:
        expected, remedy = "a DataFrame with the trials", "pass df, as in initvals(model, df)"
        raise ValueError(explain(expected, type(df).__name__, remedy))
    if by is not None:
        whose(df, by)
    by = SUBJECT if by is None else by
    check_length("df", np.empty(len(as_table(df, "df"))), n, scalar=False)
    if by not in (table_columns(df) or []):
        return np.zeros(n, np.intp)
    return np.unique(whose(df, by).astype(str), return_inverse=True)[1]


def _by_trial(model: Any, named: Mapping[str, Any], names: Sequence[str], grid: tuple[int, ...]) -> dict[str, Any]:
    """Parameters, one value for each trial, as functions of the unconstrained values."""
    import pytensor.tensor as pt

    values = model.replace_rvs_by_values([named[name] for name in names])
    return {name: pt.broadcast_to(x, grid).ravel() for name, x in zip(names, values, strict=True)}


def _evaluate(model: Any, outputs: Sequence[Any], point: Point) -> list[Float]:
    return list(compiled(model, outputs)(*(point[v.name] for v in model.value_vars)))


def _moved(point: Point) -> Point:
    """Another point, at which no two free variables are equal by chance."""
    rng = np.random.default_rng(0)
    return {name: x + rng.uniform(-1, 1, x.shape) for name, x in point.items()}


def _codes(columns: Sequence[NDArray[Any]]) -> Codes:
    """A code from 0 on for each distinct row."""
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel()


def _cells(known: Sequence[NDArray[Any]], parameters: Sequence[Float]) -> Codes:
    """A code for each group of trials that have the same parameters wherever the free variables are."""
    cell = _codes([*known, *parameters])
    return cell if len(cell) >= FEWEST_TRIALS * (cell.max() + 1) else _codes(known)


def _differ(cell: Codes, subject: Codes, deadline: Float, parameters: Mapping[str, Float]) -> bool:
    """Whether a parameter takes more values than were estimated: of v one for each cell, of others for each subject."""
    finest = _codes([subject, deadline, *parameters.values()])
    others = _codes([subject, *(x for name, x in parameters.items() if name != "v")])
    return bool(finest.max() > cell.max() or others.max() > subject.max())


def _members(model: Any) -> list[Any]:
    """Unconstrained values of the free variables that no other one is drawn around."""
    from pytensor.graph.traversal import ancestors

    free = model.free_RVs
    groups = {x for rv in free for x in ancestors([rv]) if x is not rv}
    return [model.rvs_to_values[rv] for rv in free if rv not in groups]


def _latest(rt: Float, subject: Codes, *, lapses: bool) -> Float:
    """For each subject the time that t should stay below: the fastest response, or near it; inf without any."""
    share = GUESSES if lapses else 0.0
    seen = [rt[(subject == i) & np.isfinite(rt) & (rt > 0)] for i in range(subject.max() + 1)]
    return np.array([np.quantile(x, share) if x.size else np.inf for x in seen])


def _least(values: Float, code: Codes) -> Float:
    """The least value of each code."""
    found = np.full(code.max() + 1, np.inf)
    np.minimum.at(found, code, values)
    return found


def _targets(spec: Any, found: Any, limit: Float) -> dict[str, Float]:
    """The estimates, within the bounds of the network and before the first response."""
    targets = found._asdict() | {"z": np.full(len(limit), 0.5), "t": np.minimum(found.t, BELOW * limit)}
    bounds = {p.name: p.bounds for p in spec.parameters}
    return {name: np.clip(x, *bounds[name]) for name, x in targets.items() if name in bounds}


def _misfit(expressions: Mapping[str, Any], targets: Mapping[str, Float], limit: Float, weight: Float) -> Any:
    """How far the parameters are from the estimates, every cell counting alike."""
    scales = dict(SCALES) | {"t": SCALES["t"] * limit}
    rows = [(expressions[name] - targets[name]) / scales[name] for name in expressions]
    return 0.5 * sum((weight * row**2).sum() for row in rows)


def _descend(model: Any, cost: Any, begin: Point, variables: Sequence[Any], ridge: float) -> Point:
    """Some of the unconstrained values, moved down the cost with a pull back to where they were."""
    import pytensor
    from pymc.blocking import DictToArrayBijection
    from scipy.optimize import minimize

    gradients: Any = pytensor.grad(cost, variables, disconnected_inputs="ignore")
    function = compiled(model, [cost, *gradients])
    start = DictToArrayBijection.map({v.name: begin[v.name] for v in variables})

    def point(x: Float) -> Point:
        return begin | dict(DictToArrayBijection.rmap(start._replace(data=x)))

    def value_and_gradient(x: Float) -> tuple[float, Float]:
        at, away = point(x), x - start.data
        found = function(*(at[v.name] for v in model.value_vars))
        gradient = np.concatenate([np.ravel(row) for row in found[1:]]) + ridge * away
        return float(found[0] + ridge / 2 * away @ away), gradient

    return point(minimize(value_and_gradient, start.data, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)
