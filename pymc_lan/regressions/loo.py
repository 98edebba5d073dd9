"""`Regression.loo`: how well a trial, or all trials of a member, would be predicted from the others."""

from __future__ import annotations

import warnings
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.messages import say
from pymc_lan.diagnostics.fitted_trials import find_trials, take
from pymc_lan.diagnostics.loo import as_elpd, loo, pointwise, relative_efficiency, say_high
from pymc_lan.errors import explain, unknown
from pymc_lan.numerics.seeds import as_generator
from pymc_lan.regressions.draws import Draws, read_draws
from pymc_lan.regressions.integral import Normal, conditional, draw_t, integral, log_normal, log_t
from pymc_lan.regressions.parameters import Deviations, designs, deviations, factor_of_covariance, means, parameters
from pymc_lan.regressions.plan import Members, Plan, Rows
from pymc_lan.regressions.task import make_task

Float = NDArray[np.float64]

TRIAL = "trial"
# Nodes that all draws share: of so many draws, so many of each. And nodes of a draw that has its own.
FROM, EACH, OWN = 100, 20, 64
# Parameters that vary over draws by less, in units of their size, do not vary.
SAME = 1e-9
# With n effective nodes the mean of one over an integral is too large by 1 / n: with fewer, by more than 0.2 nats.
ENOUGH_NODES = 5
# What takes longer is announced [s].
LONG = 60.0
# Trials times nodes that are evaluated at once.
CHUNK = 200_000


def leave_out(plan: Plan, model: Any, idata: Any, *, by: str, n_draws: int, seed: int | None) -> Any:
    """Leave-one-out cross-validation by trials or members of a group; see `Regression.loo`."""
    if by == TRIAL and by not in plan.members:
        return loo(idata, model)
    if by not in plan.members:
        raise ValueError(unknown("group", by, [*plan.members, TRIAL]))
    m, draws, rng = plan.members[by], read_draws(plan, idata, n_draws), as_generator(seed)
    _refuse_nested(plan, m)
    apart = deviations(plan, draws, {})
    found, fewest, begin = [], [], perf_counter()
    n = len(m.grouping.members)
    for number in range(n):
        likelihood = MemberLikelihood(plan, model, m, number, draws, apart)
        log_p, nodes = of_member(likelihood, m, number, rng)
        found.append(draws.by_chain(log_p))
        fewest.append(np.median(nodes))
        if number == 0 and (seconds := (n - 1) * (perf_counter() - begin)) > LONG:
            say(f"Leaving out {n} members of {by} takes about {max(1, seconds / 60):.0f} min; fewer n_draws take less.")
    result = as_elpd(
        pointwise(np.array(found), _efficiency(draws)), len(draws), "obs", [by], {by: list(m.grouping.members)}
    )
    _warn(result, m, np.array(fewest))
    return result


def _warn(result: Any, m: Members, nodes: Float) -> None:
    if result.warning:
        words = f"{say_high(result, f'members of {m.name}')}: without one of these the group would be another one, and "
        warnings.warn(words + "its estimate is not reliable. Fit the model without it to know.", stacklevel=4)
    if (few := nodes < ENOUGH_NODES).any():
        names = ", ".join(str(x) for x, f in zip(m.grouping.members, few, strict=True) if f)
        words = f"The integral over the effects of {names} rests on few nodes, and its estimate is not reliable."
        warnings.warn(f"{words} Fit the model without such members to know.", stacklevel=4)


def _refuse_nested(plan: Plan, m: Members) -> None:
    """Refuse groups within what is left out: their effects would be known from nothing but what is left out."""
    for name, other in plan.members.items():
        pairs = {*zip(other.grouping.index.tolist(), m.grouping.index.tolist(), strict=True)}
        if name != m.name and len(pairs) == len(other.grouping.members):
            expected = f"members of {m.name!r} none of whose effects are those of groups within it"
            remedy = f"leave out by={name!r}, or fit the model without a member"
            raise ValueError(explain(expected, f"{name!r}, each of whom is in one of them", remedy))


def _efficiency(draws: Draws) -> float:
    import xarray as xr

    shaped = {name: draws.by_chain(x) for name, x in draws.variables.items() if not name.endswith("_corr")}
    columns = {k: (("chain", "draw", *(f"{k}_{i}" for i in range(x.ndim - 2))), x) for k, x in shaped.items()}
    return relative_efficiency(xr.Dataset(columns))


class MemberLikelihood:
    """Log likelihood of the trials of one member, as a function of its effects and of what all share.

    Parameters
    ----------
    plan : Plan
    model : pm.Model
    m : Members
    number : int
        Of the member.
    draws : Draws
    apart : mapping of str to ndarray
        From `deviations`, of other groups.
    """

    def __init__(self, plan: Plan, model: Any, m: Members, number: int, draws: Draws, apart: Deviations):
        (mine,) = np.nonzero(m.grouping.index == number)
        table = plan.description.table.iloc[mine].reset_index(drop=True)
        self.plan, self.name, self.draws, self.apart = plan, m.name, draws, apart
        self.mean = means(m, draws)[:, number]
        self.task, self.seen = make_task(plan, model, table), take(find_trials(model)[0], mine)
        where = designs(plan, table)
        # There is one member of the group here: the first.
        self.where = replace(where, rows={name: _of_first(rows, m.name) for name, rows in where.rows.items()})

    def parameters(self, which: NDArray[np.intp], effects: Float) -> dict[str, Float]:
        """Parameters of the member's trials, shape (k, n), at the draws of k numbers and at as many effects."""
        common = {name: x[which] for name, x in self.draws.variables.items() if name in _shared(self.plan)}
        apart = {f: x[which] for f, x in self.apart.items() if f != self.name}
        apart[self.name] = (effects - self.mean[which])[:, None, :]
        return parameters(self.plan, self.where, Draws(common, np.zeros(1), which), apart)

    @property
    def alone(self) -> bool:
        """Whether the trials depend on nothing but the member's effects."""
        every = np.arange(len(self.draws))
        found = self.parameters(every, np.broadcast_to(self.mean.mean(0), self.mean.shape))
        return all(np.ptp(x, axis=0).max() <= SAME * np.abs(x).max() for x in found.values())

    def __call__(self, which: NDArray[np.intp], effects: Float) -> Float:
        """Log likelihoods, shape (k,)."""
        step = max(1, CHUNK // self.where.n)
        parts = (slice(first, first + step) for first in range(0, len(which), step))
        found = (self.task.log_likelihood(self.seen, self.parameters(which[i], effects[i])) for i in parts)
        return np.concatenate([x.sum(1) for x in found])


def _of_first(rows: Rows, factor: str) -> Rows:
    groups = {f: (np.zeros_like(i) if f == factor else i, x) for f, (i, x) in rows.groups.items()}
    return replace(rows, groups=groups)


def _shared(plan: Plan) -> set[str]:
    """The variables that trials depend on without a member."""
    return {*plan.predictors, *plan.others}


def of_member(likelihood: MemberLikelihood, m: Members, number: int, rng: np.random.Generator) -> tuple[Float, Float]:
    """Log likelihood of a member's trials for each draw, its effects integrated out, and effective nodes."""
    draws = likelihood.draws
    prior = Normal(likelihood.mean, factor_of_covariance(m, draws))
    posterior = conditional(draws[m.effects][:, number], prior)
    if likelihood.alone:
        some = posterior.take(np.linspace(0, len(draws) - 1, min(FROM, len(draws))).round().astype(int))
        nodes = draw_t(some, EACH, rng).reshape(-1, posterior.mean.shape[1])
        proposal = np.logaddexp.reduce(log_t(nodes, some), axis=1) - np.log(len(some.mean))
        log_l = likelihood(np.zeros(len(nodes), np.intp), nodes)
        return integral(log_l[:, None], log_normal(nodes, prior), proposal[:, None])
    own = draw_t(posterior, OWN, rng)
    log_l = likelihood(np.repeat(np.arange(len(draws)), OWN), own.reshape(-1, own.shape[2])).reshape(-1, OWN)
    found = np.empty((2, len(draws)))
    for d, nodes in enumerate(own):
        one = np.array([d])
        found[:, d] = integral(
            log_l[d], log_normal(nodes, prior.take(one))[:, 0], log_t(nodes, posterior.take(one))[:, 0]
        )
    return found[0], found[1]
