"""Draws of each subject: proposals, one after another until the rule holds; subjects side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock, local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.posterior import start_points
from pymc_lan.inference.subjects.proposals import PROPOSALS, Proposal, Target, best_of
from pymc_lan.inference.subjects.tables import Subject
from pymc_lan.inference.subjects.template import AT_ONCE, Functions, Template, without_blas
from pymc_lan.inference.subjects.verdicts import OfFailure, Verdict
from pymc_lan.numerics.pareto import ENOUGH_DRAWS, smooth

Float = NDArray[np.float64]

# Points at which a climb may start: half of them from the prior, half near the model's own initial point.
N_STARTS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """One subject's posterior.

    Parameters
    ----------
    values : dict of str to ndarray of shape (n, ...)
        Weighted draws of the variables, on their own scale; none where there are none.
    weights : ndarray of shape (n,)
        They add up to 1.
    verdict : Verdict
    top : dict of str to ndarray
        The most likely ones.
    """

    values: dict[str, NDArray[Any]]
    weights: Float
    verdict: Verdict
    top: dict[str, NDArray[Any]]


def starts(template: Template) -> Float:
    """Points that suit any subject of a template: unconstrained values know of their own bounds."""
    from pymc.initial_point import make_initial_point_fn

    model = template.model

    def flat(point: Mapping[str, Any]) -> Float:
        return np.concatenate([np.ravel(point[v.name]).astype(np.float64) for v in model.value_vars])

    with without_blas():
        near = [flat(point) for point in start_points(model, None, 0, [False] + [True] * (N_STARTS // 2 - 1))]
        try:
            draw = make_initial_point_fn(model=model, default_strategy="prior")
            anywhere = [flat(draw(seed)) for seed in range(N_STARTS - len(near))]
        except NotImplementedError:
            # A prior that nothing can be drawn from, as pm.Flat.
            anywhere = []
    found = np.array([*near, *anywhere])
    return found[np.isfinite(found).all(axis=1)]


class Group:
    """Subjects whose models are one template.

    Parameters
    ----------
    template : Template
    names : sequence of str
        Variables whose values are wanted.
    """

    def __init__(self, template: Template, names: Sequence[str]) -> None:
        self.template, self.names = template, tuple(names)
        self._starts, self._functions = starts(template), template.functions(self.names)
        self._own, self._lock = local(), Lock()
        self._turn: Lock | nullcontext[None] = Lock() if self._functions.share_memory else nullcontext()

    def _mine(self) -> Functions:
        """Functions of the thread: a compiled one has memory."""
        if not hasattr(self._own, "functions"):
            with self._lock:
                self._own.functions = self._functions.copy()
        found: Functions = self._own.functions
        return found

    def sample(
        self, subject: Subject, n: int, seed: np.random.SeedSequence, proposals: Sequence[Proposal] = PROPOSALS
    ) -> Posterior:
        """Draws by the first proposal for which the rule holds, or the best of all."""
        functions, given = self._mine(), self.template.given(subject.numbers)
        at_once = max(1, AT_ONCE // max(subject.n_trials, 1))

        def in_parts(function: Callable[..., Any], rows: Float) -> list[Any]:
            with self._turn, np.errstate(all="ignore"):
                parts = [function(rows[i : i + at_once], *given) for i in range(0, len(rows), at_once)]
            return [np.concatenate(each) for each in zip(*parts, strict=True)]

        def slope(rows: Float) -> tuple[Float, Float]:
            value, found = in_parts(functions.slope, rows)
            return value, found

        target = Target(lambda rows: in_parts(functions.value, rows)[0], slope, self._starts)
        best = best_of(proposals, np.random.default_rng(seed), target, n)
        if best is None:
            return Posterior({}, np.zeros(0), OfFailure("no start has a posterior density"), {})
        values = dict(zip(self.names, in_parts(functions.variables, best.rows), strict=True))
        return Posterior(values, best.weights, best.verdict, {name: x[best.top] for name, x in values.items()})

    def agrees(self, model: Any, subject: Subject) -> bool:
        """Whether a subject's own model has the same log density, at the best of all starts."""
        given, functions = self.template.given(subject.numbers), self._mine()
        try:
            with np.errstate(all="ignore"):
                values = functions.value(self._starts, *given)[0]
                best = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
                own = Template(model, [subject.numbers]).value()(self._starts[best : best + 1])[0]
        except (ValueError, AssertionError):
            return False
        return bool(np.isclose(values[best], own[0], rtol=1e-9, atol=1e-9, equal_nan=True))


def side_by_side(tasks: Sequence[Callable[[], Posterior]], cores: int | None) -> Iterator[tuple[int, Posterior]]:
    """Do tasks in threads, of which kernels do not keep each other waiting; yield what is done with its number."""
    # ArviZ puts modules in place that load when SciPy first looks at them: that has to be before there are threads.
    smooth(np.linspace(0.0, 1.0, ENOUGH_DRAWS))
    with ThreadPoolExecutor(cores or available_cores()) as pool:
        numbers = {pool.submit(task): i for i, task in enumerate(tasks)}
        try:
            for job in as_completed(numbers):
                yield numbers[job], job.result()
        finally:
            for job in numbers:
                job.cancel()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
