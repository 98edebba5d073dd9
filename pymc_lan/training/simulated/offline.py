"""Simulations in files, to train from: written once, read chunk by chunk, larger than memory.

A file holds a table with a row for each parameter set: a column for each parameter, by name, and the columns ``rt`` and
``response``, each with all trials of the set; without times there is no ``rt``. An ``.npy`` file is a structured array,
an ``.npz`` file has an array for each column, and a Parquet file has lists in the columns of trials. All are mapped
into memory, those of the last two kinds after they are unpacked, so that any rows can be read at any time. Nothing is
unpickled.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.files import FULL, array_header, write_whole, writing
from pymc_lan.errors import check_count, check_path, explain, refuse
from pymc_lan.models.model import check_model
from pymc_lan.models.simulator.calls import check_responses, check_trials
from pymc_lan.models.simulator.simulated import Simulated
from pymc_lan.training.recipes import LIKELIHOOD
from pymc_lan.training.simulated.online import Online
from pymc_lan.training.simulated.parquet import unpack_parquet

Float = NDArray[np.float64]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Parameter sets that are simulated, and written, at a time.
BLOCK = 1024
# Bytes by which a file is known, from its begin.
KNOWN_BY = 1 << 16
KINDS = (".npy", ".npz", ".parquet")
# At most this share of all parameter sets is held out.
HELD_OUT = 0.1


def simulate_to(
    spec: Simulated,
    folder: str | os.PathLike[str],
    *,
    sets: int,
    trials: int = 256,
    files: int = 1,
    seed: int = 0,
) -> list[Path]:
    """Simulate a model into files that `pymc_lan.train` can train from.

    Parameters
    ----------
    spec : Simulated
        With a simulator.
    folder : path
        Made when missing.
    sets, trials : int
        Parameter sets of each file, uniform over the bounds, and trials of each set.
    files : int
        How many files ``simulations-0000.npy`` and so on to write, each a function of the seed and its number alone.
    seed : int

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If the spec has no simulator, a file exists already, a number is none or not positive, the folder no path.
    OSError
        If a file cannot be written; those before it are whole.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> def detect(theta, rng):
    ...     return rng.normal(theta[:, 0], 1.0) > 1.0
    >>> spec = pl.simulator_spec("yes_no", detect, {"d": (0.0, 4.0)}, choices=[0, 1], times=False)
    >>> [path.name for path in pl.simulate_to(spec, tempfile.mkdtemp(), sets=100, trials=8)]
    ['simulations-0000.npy']
    """
    check_model(spec)
    if spec.simulator is None:
        raise ValueError(explain("a model with a simulator", f"{spec.name!r}", "make one with pl.simulator_spec"))
    sets, trials = check_count("sets", sets), check_count("trials", trials)
    files, seed = check_count("files", files), check_count("seed", seed, 0)
    folder = check_path("folder", folder)
    paths = [folder / f"simulations-{number:04d}.npy" for number in range(files)]
    if begun := [path for path in paths if os.path.exists(path)]:
        raise ValueError(explain("files that are new", f"{begun[0]}", "give another folder, or remove the file"))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with Online(spec, sets, trials, seed) as source:
        for number, path in enumerate(paths):
            # A file of this name is whole.
            with writing(path):
                write_whole(path, _table(source, [seed, 6, number]))
    return paths


def _table(source: Online, seed: Sequence[int]) -> Iterator[bytes]:
    """The parts of an ``.npy`` file of all parameter sets with their trials."""
    spec, trials = source.spec, source.trials
    columns: list[Any] = [(name, "f8") for name in spec.names]
    columns += [("rt", "f8", (trials,))] if spec.times else []
    dtype = np.dtype([*columns, ("response", "i4", (trials,))])
    yield array_header(dtype, (source.sets,))
    for start in range(0, source.sets, BLOCK):
        rows, each = np.empty(min(BLOCK, source.sets - start), dtype), [*seed, start]
        theta, rt, response = source.draw(np.random.default_rng([*each, 0]), each, len(rows), trials)
        for name, x in zip(spec.names, theta.T, strict=True):
            rows[name] = x
        rows["response"] = response
        if spec.times:
            rows["rt"] = rt
        yield rows.tobytes()


def find_files(given: Any) -> list[Path]:
    """The files of simulations in a folder, or those that are given, in order.

    Raises
    ------
    ValueError
        If there are none, or another kind of file is given.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    paths = [check_path("simulations", each) for each in (given if several else [given])]
    if len(paths) == 1 and os.path.isdir(paths[0]):
        paths = sorted(path for path in paths[0].iterdir() if path.suffix in KINDS)
    wrong = [path for path in paths if path.suffix not in KINDS or not os.path.isfile(path)]
    if wrong or not paths:
        found = f"{wrong[0]}" if wrong else f"none in {given}"
        raise ValueError(
            explain("files of simulations, .npy, .npz or .parquet", found, "write them with pl.simulate_to")
        )
    return paths


@dataclass
class Offline:
    """Simulations read from files, in an order that is random over all of them, again and again.

    Some sets, also random, are held out: they are never part of a chunk.

    Parameters
    ----------
    spec : Simulated
    files : path or sequence of path
        A folder, or files.
    sets : int
        Parameter sets of a chunk.
    held : int
        How many are held out, a tenth of all at most.
    seed : int
    estimator : str
        That of the recipe: it decides what chunks are reduced to.

    Raises
    ------
    ValueError
        If there are no such files; on entering, if their columns, shapes or types are others than the spec's; on
        reading, if their parameters lie outside the bounds, or trials cannot be.
    ImportError
        On entering, for a Parquet file without the package pyarrow.
    """

    spec: Simulated
    files: Paths
    sets: int
    held: int
    seed: int
    estimator: str = LIKELIHOOD
    trials: int = field(default=0, init=False)
    """Trials of each set; known once entered."""
    _tables: list[Mapping[str, Any]] = field(default_factory=list, init=False, repr=False)
    _ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64), init=False, repr=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> Self:
        paths = find_files(self.files)
        known: dict[str, Path] = {}
        for path in paths:
            if (other := known.setdefault(known_by(path), path)) != path:
                remedy = "leave one out: give pl.simulate_to another seed on every machine"
                raise ValueError(explain("simulations that are not the same", f"{path} and {other}", remedy))
        with ExitStack() as stack:
            self._tables = [map_file(path, self._columns, stack) for path in paths]
            lengths = [len(table["response"]) for table in self._tables]
            widths = [table["response"].shape[1] for table in self._tables]
            if len(set(widths)) > 1:
                found = f"{widths[0]} in {paths[0]} and others elsewhere"
                raise ValueError(explain("as many trials of each set in all files", found, "train on one kind"))
            self._ends, self.trials = np.cumsum([0, *lengths]), widths[0]
            if self._held + 1 > self._ends[-1] or not self._held:
                remedy = "simulate more: thousands are needed"
                raise ValueError(explain("ten parameter sets or more", f"{self._ends[-1]}", remedy))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        self._tables = []
        self._open.close()

    @property
    def _held(self) -> int:
        return min(self.held, int(HELD_OUT * self._ends[-1]))

    @property
    def distinct(self) -> int:
        """Parameter sets to train on."""
        return int(self._ends[-1]) - self._held

    def identity(self) -> str:
        """What changes when other files are given."""
        return sha256("".join(known_by(path) + path.name for path in find_files(self.files)).encode()).hexdigest()

    def chunk(self, number: int, focus: Float | None = None) -> Any:
        """Read one chunk."""
        order, rows = self._order(), np.empty(0, np.int64)
        while len(rows) < self.sets:
            # Each time that all were seen, the order is another one.
            turn, place = divmod(number * self.sets + len(rows), self.distinct)
            turned = np.random.default_rng([self.seed, 8, turn]).permutation(order[self._held :])
            rows = np.concatenate([rows, turned[place : place + self.sets - len(rows)]])
        return self._read(rows, [self.seed, 9, number], self.estimator)

    def held_out(self, sets: int, trials: int) -> Any:
        """Read the sets that no chunk has, with all of their trials."""
        return self._read(self._order()[: self._held], [self.seed, 10])

    def _order(self) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, 7]).permutation(self._ends[-1])

    def _read(self, rows: NDArray[np.int64], seed: list[int], estimator: str = LIKELIHOOD) -> Any:
        from pymc_lan.training.simulated.learners import estimator_of

        columns: dict[str, list[Any]] = {name: [] for name in self._columns}
        # One after another, as they lie on the disk.
        rows = np.sort(rows)
        for table, first, end in zip(self._tables, self._ends[:-1], self._ends[1:], strict=True):
            mine = rows[(rows >= first) & (rows < end)] - first
            for name, parts in columns.items():
                parts.append(np.asarray(table[name][mine], np.float64))
        found = {name: np.concatenate(parts) for name, parts in columns.items()}
        theta = np.column_stack([found[name] for name in self.spec.names])
        rt, response = self._checked(theta, found)
        rng = np.random.default_rng(seed)
        return estimator_of(self.spec, estimator).reduce(self.spec, theta, rt, response, rng)

    def _checked(self, theta: Float, found: Mapping[str, Float]) -> tuple[Float, Float]:
        low, high = np.array([p.bounds for p in self.spec.parameters]).T
        refuse(
            ~np.all((theta >= low) & (theta <= high), axis=1),
            dict(zip(self.spec.names, theta.T, strict=True)),
            expected="parameters within the bounds of the spec",
            found="others in the files of simulations",
            remedy="widen the bounds of the spec, or leave these sets out of the files",
        )
        each, shape = np.repeat(theta, self.trials, axis=0), (len(theta), self.trials)
        if not self.spec.times:
            response = check_responses(self.spec, each, found["response"].ravel()).reshape(shape)
            return np.zeros(shape), response
        rt, response = check_trials(self.spec, each, (found["rt"].ravel(), found["response"].ravel()))
        return rt.reshape(shape), response.reshape(shape)

    @property
    def _columns(self) -> list[str]:
        return [*self.spec.names, *(["rt"] if self.spec.times else []), "response"]


def map_file(path: Path, columns: Sequence[str], stack: ExitStack) -> Mapping[str, Any]:
    """The columns of a file of simulations, mapped into memory; the stack closes what was unpacked.

    Raises
    ------
    ValueError
        For other columns, shapes or types.
    ImportError
        For a Parquet file without the package pyarrow.
    """
    try:
        if path.suffix == ".npy":
            mapped = np.load(path, mmap_mode="r")
            table = {name: mapped[name] for name in mapped.dtype.names or ()}
        else:
            unpack = _unpack if path.suffix == ".npz" else unpack_parquet
            table = unpack(path, columns, Path(stack.enter_context(tempfile.TemporaryDirectory())))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            expected, remedy = f"room to unpack {path} in {tempfile.gettempdir()}", "make room, or set TMPDIR"
            raise OSError(explain(expected, f"{error.strerror}", f"{remedy}; .npy files need none")) from error
        raise ValueError(explain(f"arrays of numbers in {path}", f"{error}", "write the file anew")) from error
    if table.keys() != {*columns}:
        found = ", ".join(table) or "none"
        remedy = "write them with pl.simulate_to and this spec, or rename the columns"
        raise ValueError(explain(f"the columns {', '.join(columns)} in {path}", found, remedy))
    shape = table["response"].shape
    shapes = {name: shape if name in ("rt", "response") else shape[:1] for name in table}
    # What the others are compared with comes first.
    for name, x in sorted(table.items(), key=lambda each: each[0] != "response"):
        if len(shape) != 2 or not shape[1] or x.shape != shapes[name] or x.dtype.kind not in "biuf":
            expected = f"rt and response of shape (sets, trials) and parameters of shape (sets,) in {path}"
            found, remedy = f"{name} of shape {x.shape} and type {x.dtype}", "give numbers, with a row for each set"
            if len(shape) == 1:
                found += ", one trial in each row"
                by = [name for name in columns if name not in ("rt", "response")]
                remedy = f"gather those of each set, df.groupby({by}).agg(list).reset_index()"
            raise ValueError(explain(expected, found, remedy))
    return table


def known_by(path: Path) -> str:
    """The size and the beginning of a file, in short."""
    with path.open("rb") as file:
        return sha256(f"{path.stat().st_size} ".encode() + file.read(KNOWN_BY)).hexdigest()


def _unpack(path: Path, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """The arrays of an ``.npz`` file; those of the names that are looked for are copied to disk and mapped."""
    with zipfile.ZipFile(path) as archive:
        found = [member.removesuffix(".npy") for member in archive.namelist()]
        if {*found} != {*names}:
            return dict.fromkeys(found)
        return {name: np.load(archive.extract(f"{name}.npy", folder), mmap_mode="r") for name in names}
