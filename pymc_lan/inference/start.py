"""Where a hierarchical model starts: at parameters that EZ-diffusion finds for each subject.

The parameters of a distribution are expressions of the model's free variables, whatever the user made of them: centred
or not, on a link, with regressors. The free variables are moved until the expressions come near the estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data import column, table_columns
from pymc_lan.distributions.rv import TrialRV
from pymc_lan.errors import check_length, explain
from pymc_lan.inference.ez import estimates
from pymc_lan.inference.posterior import Point, not_finite, resolve_model

Float = NDArray[np.float64]

# How far off an estimate may be, by parameter, to weigh as much as a free variable that is moved by 1 / RIDGE^0.5.
SCALES: Mapping[str, float] = {"v": 0.5, "a": 0.1, "z": 0.1, "t": 0.03}
# Pull towards the model's own initial point. It decides where the estimates leave a choice (mean or offsets).
RIDGE = 0.1
# How far the unconstrained values of members may be off, in the eyes of their group.
BLUR = 0.3
# A start need not be the very minimum.
STEPS = 200
# How far a free variable may be moved on its unconstrained scale; beyond, links are flat.
REACH = 6.0
# t starts at most at this share of the fastest response.
BELOW = 0.8
# Seconds by which t may pass that before it weighs like an estimate that is off.
SLACK = 0.005
# Where guesses are part of the model, the fastest responses are likely to be some.
GUESSES = 0.05
# Subjects that a message names.
SHOWN = 5
# A cell of fewer trials says nothing; the model then has regressors by trial, and cells are subjects.
FEWEST_TRIALS = 5


def initvals(model: Any = None, df: Any = None, *, by: str = "subject") -> dict[str, Float]:
    """Initial values for ``pm.sample(initvals=...)``, by EZ-diffusion for each subject.

    Drift, boundary and non-decision time are estimated for each subject, the drift also for each of the cells that the
    model tells apart (go/no-go: from the presses). The free variables behind v, a, z and t are moved until these match,
    by least squares, with z = 0.5; those behind them (groups) to their highest prior density given the rest.

    Parameters
    ----------
    model : pm.Model, optional
        By default that of the context. One of its variables is an observed distribution of this package.
    df : DataFrame
        The trials that were given as ``observed``, in that order.
    by : str
        The column that says whose trial it is. Where `df` has none of that name, all trials are one subject's.

    Returns
    -------
    dict of str to ndarray
        Free variables by name, on their own scale.

    Raises
    ------
    ValueError
        If the model has no such variable or several; `df` has another number of rows; t cannot be brought below a
        subject's shortest response time (with lapses in the model, which may be guesses: below its 5 % quantile) or
        the log density is not finite there.

    Notes
    -----
    EZ-diffusion: Wagenmakers, van der Maas & Grasman (2007), Psychonomic Bulletin & Review 14, 3-22. Other parameters
    than v, a, z and t stay near the highest density of their priors.

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
    trials = _trials(model, rv)
    rt, op = trials[:, 0], rv.owner.op
    subject = _subjects(df, by, len(rt))
    begin = _initial_point(model)
    expressions = _expressions(model, rv, len(rt))
    cell = _cells(model, expressions, begin, subject)
    latest = _latest(rt, subject, lapses=op.lapses)
    targets = _targets(op.spec, estimates(rt, np.isfinite(rt) & (trials[:, 1] > 0), cell, subject), latest)
    weight = 1.0 / np.bincount(cell)[cell]
    near, far = _behind(model, expressions)
    cost = _misfit(expressions, targets, latest, weight) - _log_prior(model, near)
    point = begin | _descend(model, cost, near, begin, REACH)
    point |= _descend(model, -model.logp(vars=model.free_RVs), far, _blurred(point, near), REACH)
    if "t" in expressions and not op.lapses:
        _check_t(_evaluate(model, [expressions["t"]], point)[0], rt, df, by, subject)
    if bad := not_finite(model, point):
        remedy = "give initvals by hand, or priors that allow what the data need"
        raise ValueError(explain("a finite log density at the start", f"none of {bad}", remedy))
    free = [rv.name for rv in model.free_RVs]
    outputs = [v for v in model.unobserved_value_vars if v.name in free]
    return {v.name: np.asarray(x) for v, x in zip(outputs, _evaluate(model, outputs, point), strict=True)}


def _trial_variable(model: Any) -> Any:
    found = [rv for rv in model.observed_RVs if isinstance(rv.owner.op, TrialRV)]
    if len(found) == 1:
        return found[0]
    expected = "a model with one observed distribution of pymc_lan"
    names = ", ".join(rv.name for rv in found) or "none"
    raise ValueError(explain(expected, names, "give initvals by hand, or pass the model that has the data"))


def _trials(model: Any, rv: Any) -> Float:
    from pymc.pytensorf import extract_obs_data

    return np.asarray(extract_obs_data(model.rvs_to_values[rv]), np.float64).reshape(-1, 2)


def _subjects(df: Any, by: str, n: int) -> NDArray[np.intp]:
    """A code from 0 on for each trial's subject."""
    columns = table_columns(df)
    if columns is None:
        raise ValueError(
            explain("a DataFrame with the trials", f"{type(df).__name__}", "pass df, as in initvals(model, df)")
        )
    labels = np.asarray(column(df, by if by in columns else columns[0], argument="by"))
    check_length("df", labels, n, scalar=False)
    return np.unique(labels.astype(str), return_inverse=True)[1] if by in columns else np.zeros(n, np.intp)


def _initial_point(model: Any) -> Point:
    return {name: np.asarray(x, np.float64) for name, x in model.initial_point(random_seed=0).items()}


def _expressions(model: Any, rv: Any, n: int) -> dict[str, Any]:
    """The parameters that are matched, one value for each trial, as functions of the unconstrained values."""
    import pytensor.tensor as pt

    named = dict(zip(rv.owner.op.parameters, rv.owner.inputs[2:], strict=True))
    names = [name for name in SCALES if name in rv.owner.op.spec.names]
    values = model.replace_rvs_by_values([named[name] for name in names])
    return {name: pt.broadcast_to(x, (n,)) for name, x in zip(names, values, strict=True)}


def _function(model: Any, outputs: Sequence[Any]) -> Any:
    """Compile for few calls: translating to numba would take longer than all of them."""
    import pytensor

    return pytensor.function(model.value_vars, outputs, mode="FAST_COMPILE", on_unused_input="ignore")


def _evaluate(model: Any, outputs: Sequence[Any], point: Point) -> list[Float]:
    return list(_function(model, outputs)(*(point[v.name] for v in model.value_vars)))


def _cells(model: Any, expressions: Mapping[str, Any], begin: Point, subject: NDArray[np.intp]) -> NDArray[np.intp]:
    """A code for each group of trials of a subject that have the same parameters wherever the free variables are."""
    rng = np.random.default_rng(0)
    anywhere = {name: x + rng.uniform(-1, 1, x.shape) for name, x in begin.items()}
    columns = [subject, *_evaluate(model, list(expressions.values()), anywhere)]
    cell = np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel()
    return cell if len(cell) >= FEWEST_TRIALS * (cell.max() + 1) else subject


def _latest(rt: Float, subject: NDArray[np.intp], *, lapses: bool) -> Float:
    """For each trial the time that its t should stay below: the fastest response of the subject, or near it."""
    share = GUESSES if lapses else 0.0
    seen = [rt[(subject == i) & np.isfinite(rt)] for i in range(subject.max() + 1)]
    return np.array([np.quantile(x, share) if x.size else np.inf for x in seen])[subject]


def _targets(spec: Any, found: Any, latest: Float) -> dict[str, Float]:
    """The estimates, within the bounds of the network and before the first response."""
    middle = np.full(len(latest), 0.5)
    targets = found._asdict() | {"z": middle, "t": np.minimum(found.t, BELOW * latest)}
    bounds = {p.name: p.bounds for p in spec.parameters}
    return {name: np.clip(x, *bounds[name]) for name, x in targets.items() if name in bounds}


def _behind(model: Any, expressions: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The free values that the parameters are made of, and the others."""
    from pytensor.graph.traversal import ancestors

    known = set(ancestors(list(expressions.values())))
    near = [v for v in model.value_vars if v in known]
    return near, [v for v in model.value_vars if v not in known]


def _misfit(expressions: Mapping[str, Any], targets: Mapping[str, Float], latest: Float, weight: Float) -> Any:
    """How far the parameters are from the estimates, every cell counting alike, and t from the first response."""
    import pytensor.tensor as pt

    rows = [(expressions[name] - targets[name]) / SCALES[name] for name in expressions]
    if "t" in expressions:
        seen = np.isfinite(latest)
        rows.append(pt.maximum(expressions["t"] - np.where(seen, BELOW * latest, np.inf), 0.0) / SLACK)
    return 0.5 * sum((weight * row**2).sum() for row in rows)


def _log_prior(model: Any, values: Sequence[Any]) -> Any:
    """Log density of those among the variables whose prior has no free parameters.

    The others, members drawn around a free group, would fall together: a group without spread has infinite density.
    """
    from pytensor.graph.traversal import ancestors

    free = set(model.free_RVs)
    own = [
        rv for rv in model.free_RVs if model.rvs_to_values[rv] in values and not free & set(ancestors(rv.owner.inputs))
    ]
    return model.logp(vars=own) if own else 0.0


def _blurred(point: Point, values: Sequence[Any]) -> Point:
    """The point with those values moved as far as they may be wrong.

    Members of a group that lie closer together than they are known would make it a group without spread, which is the
    neck of the funnel that samplers get stuck in.
    """
    rng = np.random.default_rng(1)
    return point | {v.name: point[v.name] + rng.normal(0.0, BLUR, point[v.name].shape) for v in values}


def _descend(model: Any, cost: Any, variables: Sequence[Any], point: Point, reach: float) -> Point:
    """The variables, moved down the cost, at most so far, and with a pull back to where they are."""
    import pytensor
    from pymc.blocking import DictToArrayBijection
    from scipy.optimize import minimize

    if not variables:
        return {}
    function = _function(model, [cost, *pytensor.grad(cost, list(variables), disconnected_inputs="ignore")])
    begin = DictToArrayBijection.map({v.name: point[v.name] for v in variables})

    def moved(x: Float) -> Point:
        return DictToArrayBijection.rmap(begin._replace(data=x))

    def value_and_gradient(x: Float) -> tuple[float, Float]:
        at = point | moved(x)
        value, *rows = function(*(at[v.name] for v in model.value_vars))
        away = x - begin.data
        return float(value + RIDGE / 2 * away @ away), np.concatenate([np.ravel(r) for r in rows]) + RIDGE * away

    bounds = np.column_stack([begin.data - reach, begin.data + reach])
    options = {"maxiter": STEPS}
    return moved(
        minimize(value_and_gradient, begin.data, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    )


def _check_t(t: Float, rt: Float, df: Any, by: str, subject: NDArray[np.intp]) -> None:
    """Refuse a start in which responses come before the non-decision time is over."""
    late = np.unique(subject[t >= rt])
    if late.size:
        shown = late[:SHOWN]
        labels = np.asarray(column(df, by, argument="by")) if by in table_columns(df) else np.full(len(rt), "all")
        who = f"{by} " + ", ".join(str(labels[subject == i][0]) for i in shown)
        found = f"t = {t[subject == shown[0]][0]:.3g} s and rt = {rt[subject == shown[0]].min():.3g} s"
        remedy = "drop responses that are too fast to be decisions, let t vary by subject, or add p_lapse"
        raise ValueError(explain("t below the shortest rt of every subject", f"{found} for {who}", remedy))
