"""Parameters and trials drawn from a model: its prior, and whatever distribution its data have, many at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.tables import as_table
from pymc_lan.errors import explain
from pymc_lan.inference.subjects.tables import model_of
from pymc_lan.inference.subjects.template import Template
from pymc_lan.inference.subjects.trace import Leaf, trace

Float = NDArray[np.float64]

# Designs that are drawn for each number of trials, where there is a choice: a network sees all of them many times.
DESIGNS = 32
# Numbers of trials that a network is trained with, from the least to the most in equal ratios: JAX compiles for each.
SIZES = 5
# What stands in a table where a simulated trial will: any trial that may be.
PLACEHOLDER = {"rt": 1.0, "response": 1.0}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Data sets with the same number of trials and one design.

    Parameters
    ----------
    rows : ndarray of shape (n, n_values)
        Parameters on the unconstrained scale.
    observed : tuple of ndarray of shape (n, n_trials, ...)
        Of each observed variable.
    table : DataFrame
        The design.
    """

    rows: Float
    observed: tuple[Float, ...]
    table: Any


def sizes(n_trials: Any) -> tuple[int, ...]:
    """Numbers of trials that are trained with.

    Examples
    --------
    >>> sizes((50, 500)), sizes((80, 80))
    ((50, 89, 158, 281, 500), (80,))
    """
    try:
        least, most = (int(n) for n in n_trials)
        right = 1 <= least <= most and (least, most) == tuple(n_trials)
    except (TypeError, ValueError):
        right = False
    if not right:
        remedy = "give the least and the most, as in n_trials=(50, 500)"
        raise ValueError(explain("n_trials as two whole numbers", f"{n_trials!r:.80}", remedy))
    return tuple(dict.fromkeys(round(n) for n in np.geomspace(least, most, SIZES)))


def designs(design: Any, n: int, rng: np.random.Generator) -> list[Any]:
    """Tables of n trials whose responses are yet to be drawn.

    Parameters
    ----------
    design : callable or DataFrame, optional
        From a generator to a table, or a table. Of one with more rows some are taken, of one with fewer all of them, as
        often as is needed.
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    list of pandas.DataFrame
    """
    import pandas as pd

    if design is None:
        return [pd.DataFrame(dict.fromkeys(PLACEHOLDER, np.ones(n)))]
    found = []
    for _ in range(DESIGNS):
        table = as_table(design(rng) if callable(design) else design, "design").to_pandas()
        if not len(table):
            raise ValueError(explain("a design with rows", "none", "give one with a row for each trial"))
        at = np.concatenate([rng.permutation(len(table)) for _ in range(-(-n // len(table)))])[:n]
        table = table.iloc[np.sort(at)].reset_index(drop=True)
        found.append(table if "rt" in table or "response" in table else table.assign(**PLACEHOLDER))
    return found


@final
class Simulated:
    """Data sets that are drawn from a model together with its parameters.

    Parameters
    ----------
    build : callable
        From a table to a model.
    design : callable or DataFrame, optional
        As of `designs`.
    n_trials : sequence of int
    n : int
        Data sets in a batch.
    seed : int

    Attributes
    ----------
    models : list of pm.Model
        One of each graph.
    tables : list of DataFrame
        All designs.
    identity : tuple of str
        What a checkpoint must know of it beside the arguments of a training.
    """

    identity: tuple[str, ...] = ()

    def __init__(self, build: Callable[[Any], Any], design: Any, n_trials: Sequence[int], n: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.n_trials, self._seed = tuple(n_trials), seed
        self.tables = [table for size in self.n_trials for table in designs(design, size, rng)]
        same: dict[Hashable, list[tuple[Any, Any, list[Leaf]]]] = {}
        for table in self.tables:
            model = model_of(build, "design", table)
            written = trace(model)
            same.setdefault(written.lines, []).append((table, model, written.numbers))
        self.models = [every[0][1] for every in same.values()]
        self._ways: dict[int, list[tuple[Any, list[Leaf], Any]]] = {size: [] for size in self.n_trials}
        for every in same.values():
            template = Template(every[0][1], [numbers for _, _, numbers in every])
            draws = template.draws(n)
            for table, _, numbers in every:
                self._ways[len(table)].append((draws, template.given(numbers), table))

    def batch(self, index: int, size: int | None = None) -> Batch:
        """Draw a batch, which is the same for an index whatever was drawn before.

        Parameters
        ----------
        index : int
        size : int, optional
            Number of trials; by default any of those that there are.

        Returns
        -------
        Batch
        """
        rng = np.random.default_rng([self._seed, 1, index])
        ways = self._ways[int(rng.choice(self.n_trials)) if size is None else size]
        draws, given, table = ways[rng.integers(len(ways))]
        rows, *observed = draws(int(rng.integers(2**62)), given)
        for x in observed:
            if x.ndim < 2 or x.shape[1] != len(table):
                remedy = "give each observed variable an axis of trials before all others"
                raise ValueError(explain("data with a row for each trial", f"one of shape {x.shape[1:]}", remedy))
        return Batch(rows, tuple(np.asarray(x, np.float64) for x in observed), table)
