"""Parameters and trials from files, in the format of `pymc_lan.simulate_to`, instead of drawn from a model."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.simulated import Batch, designs
from pymc_lan.amortized.trials import ResponseTimes, seen
from pymc_lan.errors import explain
from pymc_lan.inference.subjects.ends import of_numbers
from pymc_lan.inference.subjects.tables import model_of
from pymc_lan.training.simulated.offline import find_files, known_by, map_file

Float = NDArray[np.float64]

# Numbers of batches from here on are of data sets that are held out: a tenth of all.
APART, HELD_OUT = 2**40, 0.1


@final
class Filed:
    """Data sets that lie in files, together with their parameters.

    Parameters
    ----------
    build : callable
        From a table to a model; its free variables are the files' columns.
    files : path or sequence of path
    n_trials : sequence of int
        At most as many as the files have for each parameter set; of more, the first are taken.
    n : int
        Data sets in a batch.
    seed : int
    stack : ExitStack
        Closes the files.

    Attributes
    ----------
    models : list of pm.Model
    tables : list of DataFrame
    identity : tuple of str
        What changes when other files are given.
    """

    def __init__(self, build: Any, files: Any, n_trials: tuple[int, ...], n: int, seed: int, stack: ExitStack) -> None:
        paths: list[Path] = find_files(files)
        self.n_trials, self._n, self._seed = n_trials, n, seed
        self.tables = [table for size in n_trials for table in designs(None, size, np.random.default_rng(seed))]
        self.models = [model_of(build, "design", self.tables[0])]
        self.identity = tuple(f"{known_by(path)} {path.name}" for path in paths)
        [model] = self.models
        names = [rv.name for rv in model.free_RVs]
        self._forward = _forward(model)
        parts = seen(model)
        if len(parts) > 1 or not isinstance(parts[0], ResponseTimes):
            remedy = "leave simulations out: its data are drawn from the model"
            raise ValueError(explain("a model of response times, to train from files", "one of other data", remedy))
        self._codes = np.array(parts[0].codes)
        columns = [*names, "rt", "response"]
        tables = [map_file(path, columns, stack) for path in paths]
        width = min(table["response"].shape[1] for table in tables)
        if width < max(n_trials):
            remedy = f"give n_trials of at most {width}, or simulate more trials of each set"
            raise ValueError(explain(f"files with {max(n_trials)} trials of each set", f"{width}", remedy))
        self._tables, self._names = tables, names
        self._ends = np.cumsum([0, *(len(table["response"]) for table in tables)])
        if self._ends[-1] < 2 * n:
            remedy = f"simulate more, or give a batch_size of at most {self._ends[-1] // 2}"
            raise ValueError(explain(f"two batches of {n} parameter sets", f"{self._ends[-1]} sets", remedy))
        order = np.random.default_rng([seed, 7]).permutation(self._ends[-1])
        held = max(n, int(HELD_OUT * len(order)))
        self._held, self._learned = order[:held], order[held:]

    def batch(self, index: int, size: int | None = None) -> Batch:
        """A batch, the same for an index whatever was asked for before.

        Parameters
        ----------
        index : int
            Once all sets were seen, they come again in the same order; from `APART` on come those that are held out.
        size : int, optional
            Number of trials; by default any of those that there are.

        Returns
        -------
        Batch
        """
        rng = np.random.default_rng([self._seed, 1, index])
        size = int(rng.choice(self.n_trials)) if size is None else size
        rows, number = (self._held, index - APART) if index >= APART else (self._learned, index)
        at = np.sort(rows[np.arange(number * self._n, (number + 1) * self._n) % len(rows)])
        values, trials = self._read(at, size)
        return Batch(self._forward(values), (trials,), self.tables[self.n_trials.index(size)])

    def _read(self, rows: NDArray[np.int64], size: int) -> tuple[list[Float], Float]:
        """Values of the variables (n,), and trials (n, size, 2)."""
        columns: dict[str, list[Any]] = {name: [] for name in (*self._names, "rt", "response")}
        for table, first, end in zip(self._tables, self._ends[:-1], self._ends[1:], strict=True):
            mine = rows[(rows >= first) & (rows < end)] - first
            for name, parts in columns.items():
                x = np.asarray(table[name][mine], np.float64)
                parts.append(x[:, :size] if x.ndim > 1 else x)
        found = {name: np.concatenate(parts) for name, parts in columns.items()}
        rt, response = found["rt"], found["response"]
        there = np.isfinite(rt)
        if not np.isin(response[there], self._codes).all():
            other = response[there][~np.isin(response[there], self._codes)][0]
            remedy = "write the codes that the distribution has"
            raise ValueError(explain(f"responses of {self._codes.tolist()} in the files", f"{other:g}", remedy))
        trials = np.stack([np.where(there, rt, np.inf), np.where(there, response, 0.0)], axis=-1)
        return [found[name] for name in self._names], trials


def _forward(model: Any) -> Any:
    """A function from values of scalar variables, each (n,), to rows of unconstrained ones."""
    import pytensor
    import pytensor.tensor as pt

    from pymc_lan.inference.subjects.template import without_blas

    columns, parts = [], []
    for rv in model.free_RVs:
        if rv.ndim or not of_numbers(rv):
            remedy = "leave simulations out: its data are drawn from the model"
            raise ValueError(explain("scalar variables, each with a prior of numbers", f"{rv.name!r}", remedy))
        x, change = pt.vector(rv.name, dtype="float64"), model.rvs_to_transforms[rv]
        columns.append(x)
        parts.append(x if change is None else change.forward(x, *rv.owner.inputs))
    with without_blas():
        function = pytensor.function(columns, pt.stack(parts, axis=1).astype("float64"), mode="FAST_COMPILE")

    def rows(values: list[Float]) -> Float:
        with np.errstate(all="ignore"):
            found: Float = function(*values)
        if not np.isfinite(found).all():
            at = int(np.argmin(np.isfinite(found).all(axis=1)))
            name = model.free_RVs[int(np.argmin(np.isfinite(found[at])))].name
            remedy = "widen the prior of the model, or leave these sets out of the files"
            value = float(values[[rv.name for rv in model.free_RVs].index(name)][at])
            raise ValueError(explain("parameters within the model's prior in the files", f"{name} = {value:g}", remedy))
        return found

    return rows
