"""From subjects' tables to what is known of their models: a model for each, or one that takes their trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.distributions.nodes import observed_trials
from pymc_lan.inference.subjects.tables import Dims, Subject, dims_of, model_of, rows_of, subject
from pymc_lan.inference.subjects.trace import Leaf, trace

Float = NDArray[np.float64]


class Reading(ABC):
    """What becomes of tables.

    Parameters
    ----------
    build : callable
        From a subject's table to a model of it.
    """

    build: Any

    @abstractmethod
    def read(self, label: Any, table: Any) -> tuple[Subject, Any]:
        """What is kept of a subject, and a model that has their graph."""

    @abstractmethod
    def observed(self, one: Subject, model: Any) -> Sequence[Float]:
        """What was observed of a subject, by the model's observed variables."""


@final
class OneByOne(Reading):
    """A model for each: nothing is known of what a function makes of a table."""

    def __init__(self, build: Any) -> None:
        self.build = build

    @override
    def read(self, label: Any, table: Any) -> tuple[Subject, Any]:
        import pytensor

        # Where each variable was made is kept for messages about functions that fail: a fifth of the time.
        with pytensor.config.change_flags(traceback__limit=0):
            model = model_of(self.build, label, table)
        return subject(label, table, model), model

    @override
    def observed(self, one: Subject, model: Any) -> Sequence[Float]:
        return [np.asarray(observed_trials(model, rv), np.float64) for rv in model.observed_RVs]


@final
class Alike(Reading):
    """One model for all, where it is known that models depend on tables by their trials alone.

    Parameters
    ----------
    build : callable
    shared : callable
        From trials to a model whose one observed variable is `pymc.Data` with them.
    trials : ndarray of shape (n_trials, ...)
        Of all subjects, in the order of the table.
    df, by
        As of `pymc_lan.posteriors`.
    """

    def __init__(self, build: Any, shared: Callable[[Float], Any], trials: Float, df: Any, by: str) -> None:
        self.build = build
        self._trials: Mapping[Any, Float] = {label: trials[at] for label, at in rows_of(df, by).items()}
        self._model = shared(next(iter(self._trials.values())))
        [self._data] = [self._model.rvs_to_values[rv] for rv in self._model.observed_RVs]
        self._written = trace(self._model)

    @override
    def read(self, label: Any, table: Any) -> tuple[Subject, Any]:
        own, written = self._trials[label], self._written
        numbers = [own if leaf is self._data else x for leaf, x in zip(written.variables, self._numbers, strict=True)]
        return Subject(label, table, len(own), written.lines, numbers, self._dims), self._model

    @override
    def observed(self, one: Subject, model: Any) -> Sequence[Float]:
        return [self._trials[one.label]]

    @cached_property
    def _numbers(self) -> list[Leaf]:
        return self._written.numbers

    @cached_property
    def _dims(self) -> Dims:
        return dims_of(self._model)
