"""`posteriors`: every subject's posterior from the likelihood alone, and whether it is right."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pymc_lan.data.messages import each_once
from pymc_lan.errors import check_count, explain, unknown
from pymc_lan.inference.subjects.chains import by_nuts
from pymc_lan.inference.subjects.proposals import PROPOSALS, Proposal
from pymc_lan.inference.subjects.reading import OneByOne, Reading
from pymc_lan.inference.subjects.result import as_datatree
from pymc_lan.inference.subjects.sampling import Group, Posterior, side_by_side
from pymc_lan.inference.subjects.tables import Subject, check_alike, model_of, tables
from pymc_lan.inference.subjects.template import Template
from pymc_lan.inference.subjects.verdicts import OfNothing
from pymc_lan.numerics.seeds import as_generator

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.posteriors")

FALLBACKS = ("nuts", None)
# Subjects that a message names.
SHOWN = 5
# Draws of a proposal, at least: of fewer, Pareto k says little.
LEAST_PROPOSED = 1000


def posteriors(
    build: Any,
    df: Any,
    by: str = "subject",
    draws: int = 1000,
    *,
    var_names: str | Sequence[str] | None = None,
    fallback: str | None = "nuts",
    cores: int | None = None,
    seed: int | None = None,
    progressbar: bool = True,
) -> Any:
    """Posteriors of many subjects, each on its own, in a fraction of a second each.

    Draws come from an approximation of the posterior, and are weighed by the posterior itself: prior and likelihood.
    The weights say whether the approximation was good enough: Pareto k below 0.7, and at least 20 % effective draws.
    Where it was not, the next one is tried, and at last NUTS.

    Parameters
    ----------
    build : callable
        From one subject's table to a PyMC model of it: any prior, any likelihood, free variables that are continuous.
        It is called once for each subject, and again for those that NUTS samples. Models that are the same graph with
        other numbers in it are evaluated by one compiled function; others work as well, and take seconds each.
    df : DataFrame
        The trials of all subjects.
    by : str
        The column that says whose trials they are.
    draws : int
        Of each subject.
    var_names : str or sequence of str, optional
        What is kept; by default all free variables, and the deterministic ones that have no value for each trial.
    fallback : {"nuts", None}
        What is done where no approximation was good enough. None keeps the best of them, and says that it is not right.
    cores : int, optional
        By default all. Results do not depend on it.
    seed : int, optional
    progressbar : bool

    Returns
    -------
    xarray.DataTree
        Variables have an axis ``subject`` after ``chain`` and ``draw``. Groups:

        * ``posterior``: equally likely draws, for everything that ArviZ does;
        * ``weighted_posterior``: the draws that these were chosen from, with ``log_weight``; their moments are a little
          more accurate;
        * ``verdicts``, by subject: the step that it came to, ``pareto_k``, the share of effective draws, whether it is
          ``right``, and that in words. ``result["verdicts"].to_dataset().to_dataframe()`` is a table.

    Raises
    ------
    ValueError
        If there is no such column; a model cannot be built, or sampled; or subjects' variables, their shapes or labels
        differ.
    TypeError
        If `build` returns no model.

    Notes
    -----
    Steps: Newton's method from the best of 128 points of the prior and around the model's initial point; Laplace's
    approximation with the tails of a t distribution; up to eight times a mixture of t distributions that is fitted to
    the weighted draws of all proposals before it (Cappe, Douc, Guillin, Marin & Robert 2008, Statistics and Computing
    18, 447-459; Cornuet, Marin, Mira & Robert 2012, Scandinavian Journal of Statistics 39, 798-812); and NUTS.

    A mode that no start leads to is not found, and nothing in the weights says so.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> subject = np.repeat(["ann", "bob", "cyd"], [80, 100, 60])
    >>> v = np.repeat([0.5, 1.0, 2.0], [80, 100, 60])
    >>> df = pl.simulate("ddm", dict(v=v, a=1.0, z=0.5, t=0.3), seed=1).assign(subject=subject)
    >>> def build(df):
    ...     with pm.Model() as model:
    ...         v, a = pm.Normal("v", 1, 1.5), pm.LogNormal("a", 0, 0.35)
    ...         pl.DDM("obs", v, a, 0.5, pm.Gamma("t", mu=0.3, sigma=0.1), observed=df)
    ...     return model
    >>> found = pl.posteriors(build, df, seed=1, progressbar=False)
    >>> found.posterior["v"].dims, found.verdicts["right"].values.all()
    (('chain', 'draw', 'subject'), np.True_)
    >>> bool(abs(found.posterior["v"].sel(subject="bob").mean() - 1) < 0.3)
    True
    """
    check_build(build)
    return sample_each(
        OneByOne(build),
        df,
        by,
        draws,
        lambda *_: PROPOSALS,
        var_names=var_names,
        fallback=fallback,
        cores=cores,
        seed=seed,
        progressbar=progressbar,
    )


def sample_each(
    reading: Reading,
    df: Any,
    by: str,
    draws: int,
    propose: Callable[[Subject, Any], Sequence[Proposal]],
    *,
    var_names: str | Sequence[str] | None,
    fallback: str | None,
    cores: int | None,
    seed: int | None,
    progressbar: bool,
) -> Any:
    """Sample each subject by proposals of their own.

    Parameters
    ----------
    reading : Reading
    df, by, draws, var_names, fallback, cores, seed, progressbar
        As of `posteriors`.
    propose : callable
        From a subject and a model that has their graph to what is tried for them, in order.

    Returns
    -------
    xarray.DataTree
    """
    draws, cores = check_count("draws", draws), None if cores is None else check_count("cores", cores)
    if fallback not in FALLBACKS:
        raise ValueError(explain("fallback as 'nuts' or None", f"{fallback!r}", "give one of them"))
    var_names = [var_names] if isinstance(var_names, str) else var_names
    root = int(as_generator(seed).integers(2**63))
    parts = tables(df, by)
    with _bar(progressbar) as bar, each_once():
        subjects, models, proposals = _read(reading, parts, propose, bar.add_task("models", total=len(parts)), bar)
        templates = _templates(subjects, models)
        names, shapes = _kept(subjects, templates, var_names)
        groups = [(Group(template, names), of) for template, of in templates]
        groups = [each for group, of in groups for each in _checked(group, of, subjects, models, reading)]
        group_of = {i: group for group, of in groups for i in of}
        n = max(draws, LEAST_PROPOSED)
        tasks = [
            partial(group_of[i].sample, subjects[i], n, _seed(root, i, 0), each) for i, each in enumerate(proposals)
        ]
        task = bar.add_task("posteriors", total=len(tasks))
        found: dict[int, Posterior] = {}
        for i, posterior in side_by_side(tasks, cores):
            found[i] = posterior
            bar.advance(task)
        left = [i for i in range(len(tasks)) if fallback is not None and not found[i].verdict.right]
        task = bar.add_task("NUTS", total=len(left), visible=bool(left))
        for i in left:
            model = model_of(reading.build, subjects[i].label, subjects[i].table)
            found[i] = by_nuts(model, names, draws, _seed(root, i, 1), cores, found[i].top)
            bar.advance(task)
    _say(subjects, found)
    every = [found[i] for i in range(len(tasks))]
    return as_datatree(models[0], subjects, every, shapes, draws, [_seed(root, i, 2) for i in range(len(tasks))])


def check_build(build: Any) -> None:
    """Refuse what is no function.

    Raises
    ------
    ValueError
    """
    if not callable(build):
        remedy = "write one: def build(df)"
        raise ValueError(explain("a function from a table to a model", f"a {type(build).__name__}", remedy))


def _seed(root: int, subject: int, step: int) -> np.random.SeedSequence:
    """A seed of each subject's own, so that it does not matter what is drawn before, or where."""
    return np.random.SeedSequence([root, subject, step])


def _bar(shown: bool) -> Any:
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), disable=not shown)


def _read(
    reading: Reading, parts: Mapping[Any, Any], propose: Any, task: Any, bar: Any
) -> tuple[list[Subject], dict[int, Any], list[Sequence[Proposal]]]:
    """All subjects, and the models of the first and the last of each graph: thousands would not fit into memory."""
    subjects, models, last = list[Subject](), dict[int, Any](), dict[Hashable, tuple[int, Any]]()
    proposals = list[Sequence[Proposal]]()
    for i, (label, table) in enumerate(parts.items()):
        one, model = reading.read(label, table)
        if one.lines not in last:
            models[i] = model
        last[one.lines] = (i, model)
        subjects.append(one)
        proposals.append(propose(one, model))
        bar.advance(task)
    return subjects, models | dict(last.values()), proposals


def _templates(subjects: Sequence[Subject], models: Mapping[int, Any]) -> list[tuple[Template, list[int]]]:
    same: dict[Hashable, list[int]] = {}
    for i, one in enumerate(subjects):
        same.setdefault(one.lines, []).append(i)
    return [(Template(models[of[0]], [subjects[i].numbers for i in of]), of) for of in same.values()]


def _kept(
    subjects: Sequence[Subject], templates: Sequence[tuple[Template, list[int]]], wanted: Sequence[str] | None
) -> tuple[list[str], dict[str, tuple[int, ...]]]:
    """Names and shapes of the variables that are kept."""
    shapes: list[dict[str, tuple[int, ...]]] = [{}] * len(subjects)
    for template, of in templates:
        function, names = template.shapes(), [rv.name for rv in template.model.free_RVs]
        for i in of:
            found = function(*template.given(subjects[i].numbers))
            shapes[i] = {name: tuple(x.tolist()) for name, x in zip(names, found, strict=True)}
    check_alike(subjects, shapes)
    for template, of in templates:
        known = [x.name for x in (*template.model.free_RVs, *template.model.deterministics)]
        names = known if wanted is None else list(wanted)
        if other := [name for name in names if name not in known]:
            raise ValueError(unknown("variable", other[0], known))
        function = template.variables(names)
        for i in of:
            values = function(template.begin[None], *template.given(subjects[i].numbers))
            shapes[i] = {name: x.shape[1:] for name, x in zip(names, values, strict=True)}
    if wanted is None:
        free = {rv.name for template, _ in templates for rv in template.model.free_RVs}
        by_trial = {
            name
            for name in set().union(*shapes) - free
            if all(s.n_trials in each.get(name, ()) for s, each in zip(subjects, shapes, strict=True))
        }
        shapes = [{name: x for name, x in each.items() if name not in by_trial} for each in shapes]
    check_alike(subjects, shapes)
    return [*shapes[0]], shapes[0]


def _checked(
    group: Group, of: list[int], subjects: Sequence[Subject], models: Mapping[int, Any], reading: Reading
) -> Iterator[tuple[Group, list[int]]]:
    """The group where it computes what the last one's own model does; else a group for each subject.

    What Python decided while a model was built leaves no trace in its graph.
    """
    if models[of[-1]] is models[of[0]] or group.agrees(models[of[-1]], subjects[of[-1]]):
        yield group, of
        return
    for i in of:
        _, model = reading.read(subjects[i].label, subjects[i].table)
        yield Group(Template(model, [subjects[i].numbers]), group.names), [i]


def _say(subjects: Sequence[Subject], found: Mapping[int, Posterior]) -> None:
    judged = [i for i in range(len(found)) if not isinstance(found[i].verdict, OfNothing)]
    if not judged:
        logger.info("posteriors: draws of %d subjects as they are, not checked", len(found))
        return
    steps = Counter(x.verdict.step for x in found.values() if x.verdict.right)
    logger.info("posteriors: right by %s", ", ".join(f"{step} {n}" for step, n in steps.items()) or "none")
    wrong = [subjects[i].label for i in judged if not found[i].verdict.right]
    if wrong:
        names = ", ".join(map(repr, wrong[:SHOWN])) + ", ..." * (len(wrong) > SHOWN)
        logger.warning("posteriors: not right for %d of %d subjects (%s); see verdicts", len(wrong), len(found), names)
