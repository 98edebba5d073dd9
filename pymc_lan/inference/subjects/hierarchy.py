"""`group_posterior`: from posteriors of subjects, each on its own, to that of the group they are from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.posterior import resolve_model
from pymc_lan.inference.subjects.proposals import PROPOSALS, Target, best_of
from pymc_lan.inference.subjects.result import resampled
from pymc_lan.inference.subjects.scales import scales_of
from pymc_lan.inference.subjects.template import without_blas
from pymc_lan.inference.subjects.verdicts import Draws
from pymc_lan.numerics.seeds import as_generator

Float = NDArray[np.float64]

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.posteriors")

# Effective draws of each subject, given the group: of fewer, the log of their mean is off by more than a tenth.
LEAST_OF_SUBJECT = 50
# Shares of the spread of subjects' means at which the search for a mode begins: part of that is their own uncertainty.
SHARES = (1.0, 0.5, 0.25, 0.1)
# Draws of the group, at least: of fewer, Pareto k says little; and draws of the prior that tell where it lies.
LEAST, OF_PRIOR = 1000, 2000
# Doubles of a table of draws by draws.
AT_ONCE = 2**20


def group_posterior(
    found: Any,
    model: Any,
    *,
    var_names: str | Sequence[str] | None = None,
    links: Mapping[str, str] | None = None,
    priors: Mapping[str, tuple[Any, Any]] | None = None,
    draws: int = 1000,
    seed: int | None = None,
) -> Any:
    """The posterior of a hierarchical model, from posteriors of its subjects that were fitted one by one.

    On a scale without ends, subjects are normal around a mean of the group, each variable on its own. Subjects' draws
    are weighed anew: the prior under which they were fitted is taken out, and the group put in. Draws of the group's
    means and standard deviations are proposed and weighed as `pymc_lan.posteriors` does it for a subject.

    Parameters
    ----------
    found : xarray.DataTree
        From `pymc_lan.posteriors` or `Amortizer.sample`.
    model : pm.Model
        That of one subject, as ``build(df)`` returns it: its prior is that of all.
    var_names : str or sequence of str, optional
        Free variables that are normal over subjects; by default all. The others keep their prior.
    links : mapping of str to {"identity", "log", "logit"}, optional
        The scale of a variable; by default "log" of a positive one, "logit" of one between 0 and 1.
    priors : mapping of str to tuple of two distributions, optional
        Of the group's mean and of its standard deviation, on that scale: ``{"v": (pm.Normal.dist(1, 1),
        pm.HalfNormal.dist(1))}``. By default normal with the mean and standard deviation of the variable's prior, and
        half-normal with that standard deviation.
    draws : int
    seed : int, optional

    Returns
    -------
    xarray.DataTree
        Groups:

        * ``posterior``: ``v_mu`` and ``v_sd`` for each variable ``v``, on their scale, and subjects' variables given
          the group;
        * ``verdicts``: the step that it came to, ``pareto_k``, the share of ``effective`` draws, whether it is
          ``right`` and that in words; and by subject how many of their draws are effective given the group.

    Raises
    ------
    ValueError
        For fewer than two subjects, one without draws, a variable that is not in `found`, a prior that nothing can be
        drawn from, or a link that is not known or does not suit a variable's values.

    Notes
    -----
    It is right where every subject has draws where the group puts them: at least 50 effective ones. A group whose
    subjects hardly differ asks for more draws of each.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=np.repeat([0.8, 1.0, 1.4, 1.1], 60), a=1.0, z=0.5, t=0.3), seed=1)
    >>> df = df.assign(subject=np.repeat(["ann", "bob", "cyd", "dan"], 60))
    >>> def build(df):
    ...     with pm.Model() as model:
    ...         pl.DDM("obs", pm.Normal("v", 1, 1), pm.LogNormal("a", 0, 0.3), 0.5, 0.3, observed=df)
    ...     return model
    >>> alone = pl.posteriors(build, df, seed=1, progressbar=False)
    >>> group = pl.group_posterior(alone, build(df), seed=1)
    >>> group.posterior["v_mu"].dims, group.posterior["a"].dims, bool(group.verdicts["right"])
    (('chain', 'draw'), ('chain', 'draw', 'subject'), True)
    >>> bool(group.posterior["v"].std("draw").mean() < alone.posterior["v"].std("draw").mean())
    True
    """
    draws, model = check_count("draws", draws), resolve_model(getattr(model, "model", model))
    names = _names(found, model, var_names)
    scales = scales_of(model, names, links or {})
    subjects = _subjects(found, model, names, scales)
    prior = _prior(model, names, scales, priors or {}, subjects)
    root = int(as_generator(seed).integers(2**63))
    rng = [np.random.default_rng([root, i]) for i in range(3)]
    target = Target(
        lambda rows: subjects.value(rows) + prior(rows)[0],
        lambda rows: tuple(x + y for x, y in zip(subjects.slope(rows), prior(rows), strict=True)),
        _starts(subjects),
    )
    best = best_of(PROPOSALS, rng[0], target, max(draws, LEAST))
    if best is None:
        remedy = "look at the subjects' posteriors, and at the priors of the group"
        raise ValueError(explain("a group that has a posterior density", "none", remedy))
    rows = best.rows[resampled(best.weights, draws, rng[1])]
    chosen, effective = subjects.given(rows, rng[2])
    return _tree(found, names, subjects, best, rows, chosen, effective)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Subjects:
    """Draws of all subjects, on the scale on which these are normal, in units in which they are near 0 and 1.

    Parameters
    ----------
    draws : ndarray of shape (n_subjects, n, k)
    log_weight : ndarray of shape (n_subjects, n)
        As draws of the likelihood alone, as far as the variables that are normal are concerned.
    centre, spread : ndarray of shape (k,)
        The units.
    shapes : dict of str to tuple of int
        Of the variables.
    """

    draws: Float
    log_weight: Float
    centre: Float
    spread: Float
    shapes: dict[str, tuple[int, ...]]

    def value(self, rows: Float) -> Float:
        """Log likelihood of groups, rows of means and logs of standard deviations (n, 2 k)."""
        return np.concatenate([sum(map(_log_sum, self._each(part)), start=np.zeros(1)) for part in self._parts(rows)])

    def slope(self, rows: Float) -> tuple[Float, Float]:
        """Log likelihoods of groups, and their gradients."""
        value, slope = zip(*map(self._slope, self._parts(rows)), strict=True)
        return np.concatenate(value), np.concatenate(slope)

    def given(self, rows: Float, rng: np.random.Generator) -> tuple[NDArray[np.intp], Float]:
        """A draw of each subject for each group, by its place (n, n_subjects); and effective draws (n_subjects,)."""
        chosen, effective = [], np.zeros(len(self.draws))
        for part in self._parts(rows):
            places = []
            for i, each in enumerate(self._each(part)):
                shares = np.exp(each - _log_sum(each))
                effective[i] += (1 / (shares**2).sum(axis=0)).sum() / len(rows)
                ends = np.cumsum(shares, axis=0)
                at = (ends < rng.random(len(part)) * ends[-1]).sum(axis=0)
                places.append(np.minimum(at, len(shares) - 1))
            chosen.append(np.stack(places, axis=1))
        return np.concatenate(chosen), effective

    def _slope(self, rows: Float) -> tuple[Float, Float]:
        mu, sd = self._units(rows)
        value, (n, k) = np.zeros(len(rows)), mu.shape
        by_mean, by_spread = np.zeros((n, k)), np.zeros((n, k))
        for x, each in zip(self.draws, self._each(rows), strict=True):
            total = _log_sum(each)
            value += total
            shares = np.exp(each - total)
            mean, square = shares.T @ x, shares.T @ x**2
            by_mean += (mean - mu) / sd**2 / self.spread
            by_spread += (square - 2 * mu * mean + mu**2) / sd**2 - 1
        return value, np.concatenate([by_mean, by_spread], axis=1)

    def _parts(self, rows: Float) -> Iterator[Float]:
        n = max(1, AT_ONCE // self.draws.shape[1])
        return (rows[i : i + n] for i in range(0, len(rows), n))

    def _units(self, rows: Float) -> tuple[Float, Float]:
        mu, log_sd = np.split(rows, 2, axis=1)
        return (mu - self.centre) / self.spread, np.exp(log_sd) / self.spread

    def _each(self, rows: Float) -> Iterator[Float]:
        """Of each subject, the log weight of each draw in each group (n, n_rows)."""
        mu, sd = self._units(rows)
        # A normal density is linear in the draw and its square.
        linear = np.concatenate([-0.5 / sd**2, mu / sd**2], axis=1).T
        rest = -(0.5 * (mu / sd) ** 2 + np.log(sd)).sum(axis=1)
        for x, own in zip(self.draws, self.log_weight, strict=True):
            yield np.concatenate([x**2, x], axis=1) @ linear + rest + own[:, None]


def _log_sum(x: Float) -> Float:
    top = x.max(axis=0)
    found: Float = top + np.log(np.exp(x - top).sum(axis=0))
    return found


def _names(found: Any, model: Any, wanted: str | Sequence[str] | None) -> list[str]:
    """Variables that are normal over subjects."""
    if not {"weighted_posterior", "verdicts"} <= {*getattr(found, "children", ())}:
        remedy = "pass what pl.posteriors or Amortizer.sample returned"
        raise ValueError(explain("posteriors of subjects", f"a {type(found).__name__}", remedy))
    free = [rv.name for rv in model.free_RVs]
    names = free if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    if other := [name for name in names if name not in free]:
        raise ValueError(unknown("free variable", other[0], free))
    if missing := [name for name in free if name not in found["weighted_posterior"]]:
        remedy = "leave var_names out where subjects are fitted: the prior needs all of them"
        raise ValueError(explain(f"draws of {missing[0]!r}", "none", remedy))
    return names


def _subjects(found: Any, model: Any, names: list[str], scales: Mapping[str, Any]) -> Subjects:
    weighted = found["weighted_posterior"]
    labels, log_weight = weighted["subject"].to_numpy().tolist(), weighted["log_weight"].to_numpy()[0].T
    if len(labels) < 2:
        remedy = "fit more of them: one says nothing of how subjects differ"
        raise ValueError(explain("two subjects or more", f"{len(labels)}", remedy))
    values = {rv.name: np.moveaxis(weighted[rv.name].to_numpy()[0], 1, 0) for rv in model.free_RVs}
    there = np.isfinite(log_weight)
    if not there.any(axis=1).all():
        none = labels[int(np.argmin(there.any(axis=1)))]
        remedy = f"leave them out: found.isel(subject=...); found['verdicts'] says what failed (n = {len(labels)})"
        raise ValueError(explain("draws of every subject", f"none of {none!r}", remedy))
    wrong = [x for x, right in zip(labels, found["verdicts"]["right"].to_numpy(), strict=True) if not right]
    if wrong:
        logger.warning("group: draws of %d of %d subjects are not known to be right", len(wrong), len(labels))
    # Where a subject has fewer draws than another, the first of its own stands, with no weight.
    values = {name: np.where(_wide(there, x), x, x[:, :1]) for name, x in values.items()}
    flat = {name: x.reshape(-1, *x.shape[2:]) for name, x in values.items()}
    prior = _log_prior(model, names)(flat).reshape(there.shape)
    parts = []
    for name in names:
        with np.errstate(all="ignore"):
            x, spread = scales[name].of(values[name]), scales[name].spread(values[name])
        if not np.isfinite(x).all():
            raise ValueError(explain(f"values of {name!r} that suit its link", "others", "give another in links="))
        prior = prior + spread.reshape(*there.shape, -1).sum(axis=2)
        parts.append(x.reshape(*there.shape, -1))
    draws = np.concatenate(parts, axis=2)
    with np.errstate(invalid="ignore"):
        log_weight = np.where(there, log_weight - prior, -np.inf)
    means = (np.where(there, np.exp(log_weight - _log_sum(log_weight.T)[:, None]), 0.0)[..., None] * draws).sum(axis=1)
    centre, spread = means.mean(axis=0), np.maximum(means.std(axis=0), 1e-6 + draws.std(axis=(0, 1)) / 100)
    shapes = {name: values[name].shape[2:] for name in names}
    return Subjects((draws - centre) / spread, log_weight, centre, spread, shapes)


def _wide(there: NDArray[np.bool_], x: Float) -> NDArray[np.bool_]:
    return there.reshape(*there.shape, *(1,) * (x.ndim - 2))


def _log_prior(model: Any, names: list[str]) -> Any:
    """A function of draws of the free variables to the log prior density of some, on their own scale."""
    import pytensor
    import pytensor.tensor as pt
    from pymc.logprob.basic import conditional_logp
    from pytensor.graph.replace import vectorize_graph

    values = {rv: rv.type(f"{rv.name}_value") for rv in model.free_RVs}
    terms = conditional_logp(dict(values))
    total = sum(
        (terms[values[model[name]]].sum() for name in names), start=0 * pt.sum([x.sum() for x in values.values()])
    )
    rows = {x: pt.tensor(x.name, dtype=x.dtype, shape=(None, *x.type.shape)) for x in values.values()}
    options: Any = {"mode": "FAST_COMPILE", "on_unused_input": "ignore", "allow_input_downcast": True}
    with without_blas():
        function = pytensor.function([*rows.values()], vectorize_graph(total, rows), **options)
    order = [rv.name for rv in values]

    def log_prior(draws: Mapping[str, Float]) -> Float:
        with np.errstate(all="ignore"):
            return np.asarray(function(*(draws[name] for name in order)), np.float64)

    return log_prior


def _prior(
    model: Any, names: list[str], scales: Mapping[str, Any], given: Mapping[str, tuple[Any, Any]], subjects: Subjects
) -> Any:
    """A function of rows of means and logs of standard deviations to the log prior density, and its gradient."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    if other := [name for name in given if name not in names]:
        raise ValueError(unknown("variable of priors", other[0], names))
    rows = pt.matrix("rows", dtype="float64")
    k, first, terms = len(subjects.centre), 0, []
    for name in names:
        mean, spread = given[name] if name in given else _usual(model, name, scales[name])
        for _ in range(int(np.prod(subjects.shapes[name]))):
            terms.append(pm.logp(mean, rows[:, first]))
            # A density of the standard deviation as one of its logarithm.
            terms.append(pm.logp(spread, pt.exp(rows[:, k + first])) + rows[:, k + first])
            first += 1
    value = sum(terms, start=pt.zeros(rows.shape[0]))
    slope: Any = pytensor.grad(value.sum(), rows)
    with without_blas():
        function = pytensor.function([rows], [value, slope], mode="FAST_COMPILE")

    def log_prior(at: Float) -> list[Float]:
        with np.errstate(all="ignore"):
            found: list[Float] = function(at)
        return found

    return log_prior


def _usual(model: Any, name: str, scale: Any) -> tuple[Any, Any]:
    """Priors of a group, by that of a subject."""
    import pymc as pm

    try:
        with without_blas():
            x = scale.of(pm.draw(model[name], OF_PRIOR, random_seed=0, mode="FAST_COMPILE"))
    except NotImplementedError as error:
        remedy = f"give one of the group: priors={{{name!r}: (mean, standard deviation)}}"
        raise ValueError(explain(f"a prior of {name!r} that can be drawn from", "none", remedy)) from error
    return pm.Normal.dist(x.mean(), x.std()), pm.HalfNormal.dist(x.std())


def _starts(subjects: Subjects) -> Float:
    """Means and standard deviations of subjects' means."""
    weights = np.exp(subjects.log_weight - _log_sum(subjects.log_weight.T)[:, None])
    means = (weights[..., None] * subjects.draws).sum(axis=1)
    centre = subjects.centre + subjects.spread * means.mean(axis=0)
    spread = subjects.spread * np.maximum(means.std(axis=0), 1e-3)
    return np.array([np.concatenate([centre, np.log(share * spread)]) for share in SHARES])


def _tree(
    found: Any,
    names: list[str],
    subjects: Subjects,
    best: Draws,
    rows: Float,
    chosen: NDArray[np.intp],
    effective: Float,
) -> Any:
    """Everything as one object."""
    import xarray as xr

    weighted = found["weighted_posterior"].to_dataset().drop_vars("log_weight")
    at = xr.DataArray(chosen, dims=("draw", "subject"), coords={"draw": np.arange(len(rows))})
    every = (
        weighted.isel(chain=[0])
        .drop_vars("draw")
        .isel(draw=at, subject=xr.DataArray(np.arange(chosen.shape[1]), dims="subject"))
    )
    first, k = 0, len(subjects.centre)
    for name in names:
        shape, n = subjects.shapes[name], int(np.prod(subjects.shapes[name]))
        for word, start, function in (("mu", 0, np.asarray), ("sd", k, np.exp)):
            x = function(rows[:, start + first : start + first + n]).reshape(1, len(rows), *shape)
            every[f"{name}_{word}"] = (("chain", "draw", *weighted[name].dims[3:]), x)
        first += n
    enough = effective >= LEAST_OF_SUBJECT
    right, words = bool(best.verdict.right and enough.all()), best.verdict.words
    if best.verdict.right and not right:
        words = (
            f"not right: {int((~enough).sum())} of {len(enough)} subjects have fewer than {LEAST_OF_SUBJECT} effective "
            "draws given the group (give more draws where they are fitted)"
        )
    if not right:
        logger.warning("group: %s", words)
    verdict = best.verdict
    said = {
        "step": verdict.step,
        "pareto_k": verdict.k,
        "effective": verdict.effective,
        "right": right,
        "verdict": words,
    }
    table = xr.Dataset(
        {**said, "effective_draws": (("subject",), effective)}, {"subject": weighted["subject"].to_numpy()}
    )
    return xr.DataTree.from_dict({"posterior": every.transpose("chain", "draw", ...), "verdicts": table})
