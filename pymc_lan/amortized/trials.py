"""What a network sees of a data set: a row for each trial, and numbers of the data set as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.tables import as_table
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.errors import explain

Float = NDArray[np.float64]

# Quantiles of response times above the fastest.
QUANTILES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
# Where nobody responded, the fastest response is said to have come then [s]: later than any.
NEVER = 10.0
# Columns of a table that are data, whatever they are of.
DATA = frozenset({"rt", "response"})


class Seen(ABC):
    """What is seen of one observed variable."""

    @abstractmethod
    def look(self, x: Float) -> tuple[Float, Float, Float]:
        """Look at data sets.

        Parameters
        ----------
        x : ndarray of shape (n, n_trials, ...)

        Returns
        -------
        trials : ndarray of shape (n, n_trials, k)
        whole : ndarray of shape (n, m)
        fastest : ndarray of shape (n,)
            The fastest response time.
        """


@final
@dataclass(frozen=True, slots=True)
class ResponseTimes(Seen):
    """Rows ``[rt, response]``, with rt infinite where there was no response.

    Parameters
    ----------
    codes : tuple of float
        Of the responses.
    silent : bool
        Whether there may be none.
    """

    codes: tuple[float, ...]
    silent: bool

    @override
    def look(self, x: Float) -> tuple[Float, Float, Float]:
        rt, response = x[..., 0], x[..., 1]
        there = np.isfinite(rt)
        n = np.maximum(there.sum(axis=1), 1)

        def mean(y: Float) -> Float:
            found: Float = np.where(there, y, 0.0).sum(axis=1) / n
            return found

        fastest = np.where(there.any(axis=1), np.where(there, rt, np.inf).min(axis=1), NEVER)
        later = np.where(there, rt - fastest[:, None], 0.0)
        typical = np.maximum(mean(later), 1e-3)
        log_rt = np.where(there, np.log(np.where(there, rt, 1.0)), 0.0)
        log_later = np.log(later / typical[:, None] + 0.02)
        chosen = [there & (response == code) for code in self.codes]
        trials = [*(each.astype(float) for each in chosen[1:]), log_rt, np.where(there, log_later, 0.0)]
        counts = [each.sum(axis=1) for each in chosen]
        spread = np.sqrt(np.maximum(mean(later**2) - mean(later) ** 2, 1e-8))
        ordered = np.sort(np.where(there, later, np.inf), axis=1)
        at = (np.array(QUANTILES) * (n[:, None] - 1)).astype(int)
        quantiles = np.where(there.any(axis=1)[:, None], np.take_along_axis(ordered, at, axis=1), 0.0)
        centre = mean(log_rt)
        whole = [np.log(fastest), np.log(typical), np.log(spread), *np.log(quantiles / typical[:, None] + 0.01).T]
        whole += [centre, np.sqrt(np.maximum(mean(log_rt**2) - centre**2, 1e-8))]
        for each, count in zip(chosen, counts, strict=True):
            whole += [np.log((count + 0.5) / (rt.shape[1] + 1.0))]
            with_it = np.where(each, later, 0.0).sum(axis=1) / np.maximum(count, 1)
            whole += [np.where(count > 0, with_it / typical - 1.0, 0.0)]
        if self.silent:
            trials.append((~there).astype(float))
            whole.append(there.mean(axis=1))
        return np.stack(trials, axis=-1), np.stack(whole, axis=-1), fastest


@final
@dataclass(frozen=True, slots=True)
class Numbers(Seen):
    """Numbers as they are; NaN is seen as none.

    Parameters
    ----------
    width : int
        How many there are for each trial.
    """

    width: int

    @override
    def look(self, x: Float) -> tuple[Float, Float, Float]:
        x = x.reshape(*x.shape[:2], self.width)
        there = np.isfinite(x)
        n = np.maximum(there.sum(axis=1), 1)
        known = np.where(there, x, 0.0)
        mean = known.sum(axis=1) / n
        spread = np.sqrt(np.where(there, (known - mean[:, None]) ** 2, 0.0).sum(axis=1) / n)
        trials = np.concatenate([known, 1.0 - there], axis=-1)
        whole = np.concatenate([mean, np.log(spread + 1e-6), there.mean(axis=1)], axis=-1)
        return trials, whole, np.full(len(x), NEVER)


def seen(model: Any) -> tuple[Seen, ...]:
    """What is seen of each observed variable of a model."""
    found: list[Seen] = []
    for rv in model.observed_RVs:
        node = trial_node(rv)
        if node is not None and isinstance(node.op, TrialRV):
            observation = node.op.observation
            found.append(ResponseTimes(tuple(map(float, observation.responses)), bool(observation.silent)))
        else:
            found.append(Numbers(int(np.prod(model.rvs_to_values[rv].shape.eval()[1:]))))
    if not found:
        raise ValueError(explain("a model with observed data", "none", "pass observed=df to its distribution"))
    return tuple(found)


@final
@dataclass(frozen=True, slots=True)
class Context:
    """Columns of a table that say what kind of trial each is.

    Parameters
    ----------
    levels : mapping of str to tuple
        By column; none for a column of numbers.
    ends : mapping of str to tuple of float
        The least and the most of a column of numbers.
    """

    levels: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Sequence[Any]) -> Context:
        """All columns of designs that do not hold data, and are not the same everywhere."""
        import pandas as pd

        whole = pd.concat(tables, ignore_index=True)
        levels: dict[str, tuple[Any, ...]] = {}
        ends: dict[str, tuple[float, float]] = {}
        for name in whole.columns:
            column = whole[name]
            if name in DATA or column.nunique(dropna=False) < 2:
                continue
            levels[name] = ()
            if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
                finite = column[np.isfinite(column)]
                ends[name] = (float(finite.min()), float(finite.max()))
            else:
                levels[name] = tuple(sorted({x.item() if hasattr(x, "item") else x for x in column}, key=str))
        return cls(levels, ends)

    def look(self, table: Any) -> Float:
        """Columns of a table as numbers, (n_trials, k).

        Raises
        ------
        ValueError
            For a column that is missing, or a level that no design had.
        """
        frame, found = as_table(table, "df"), [np.zeros((len(table), 0))]
        for name, levels in self.levels.items():
            if name not in frame.columns:
                remedy = "add it: the network was trained with it"
                raise ValueError(explain(f"a column {name!r}", f"{list(frame.columns)}", remedy))
            column = frame[name].to_numpy()
            if not levels:
                x = column.astype(np.float64)
                there = np.isfinite(x)
                found.append(np.stack([np.where(there, x, 0.0), 1.0 - there], axis=1))
                continue
            places = {level: i for i, level in enumerate(levels)}
            other = next((x for x in column.tolist() if x not in places), None)
            if other is not None:
                remedy = "train with a design that has it, or use pl.posteriors"
                raise ValueError(explain(f"{name} as one of {levels}, which were trained", f"{other!r:.80}", remedy))
            found.append(np.eye(len(levels))[[places[x] for x in column.tolist()]][:, 1:])
        return np.concatenate(found, axis=1)

    def outside(self, table: Any) -> list[str]:
        """Columns of numbers that reach beyond those of the designs."""
        frame, found = as_table(table, "df"), []
        for name, (least, most) in self.ends.items():
            x = frame[name].to_numpy().astype(np.float64)
            x = x[np.isfinite(x)]
            if x.size and (x.min() < least or x.max() > most):
                found.append(name)
        return found


@final
@dataclass(frozen=True, slots=True)
class View:
    """All that is seen of a data set.

    Parameters
    ----------
    parts : tuple of Seen
        One for each observed variable.
    context : Context
    """

    parts: tuple[Seen, ...]
    context: Context

    def look(self, observed: Sequence[Float], table: Any) -> tuple[Float, Float, Float]:
        """Look at data sets of one design: trials (n, n_trials, k), wholes (n, m), and fastest response times (n,)."""
        looks = [part.look(x) for part, x in zip(self.parts, observed, strict=True)]
        n, n_trials = looks[0][0].shape[:2]
        context = self.context.look(table)
        trials = [*(x for x, _, _ in looks), np.broadcast_to(context, (n, *context.shape))]
        whole = [np.full((n, 1), np.log(n_trials)), *(x for _, x, _ in looks)]
        whole.append(np.broadcast_to(context.mean(axis=0), (n, context.shape[1])))
        fastest: Float = np.stack([x for *_, x in looks]).min(axis=0)
        return np.concatenate(trials, axis=-1), np.concatenate(whole, axis=-1), fastest
